package sim

import (
	"math/bits"
	"time"
)

// An item is something that will happen at an instant. Items of one instant happen in the order in which they were arranged.
type item struct {
	at    time.Duration
	seq   uint64
	m     *machine  // whose event it is; nil for one of the world
	boots int       // of m: nothing reaches a process that has ended
	cause uint64    // the line of the trace that led to it
	do    func()    // nil for a wake-up
	ex    *exchange // for messages, instead of do
	step  hop
	next  int32 // the item after it in its slot of the queue, counted from 1; 0: none

	// Number is that of the wake-up, or of the question to which there is no answer: the exchange may have begun another since.
	number uint64
}

// A queue holds items in the order of their instants.
//
// Most of what waits is due soon: messages under way, and the next polls. It stands in a ring of slots, one for each stretch of time from
// the present one on, and each slot is a short list in order. What is due later is in a heap, where it stays when its time comes nearer.
// What moves in it are entries, not items: a heap of values without pointers costs the garbage collector nothing.
//
// The time-outs of questions are most of the rest, and nearly all of them are pushed in the order in which they are due. They are in
// a list beside the heap.
type queue struct {
	items []item
	free  []int32 // indices into items
	seq   uint64

	slots    [slotCount]int32 // the first item of each, counted from 1; 0: none
	occupied [slotCount / 64]uint64
	present  int64 // the stretch of the last item that was taken; all items in slots are of it or one of slotCount-1 after it
	soonest  int32 // the first item in slots, counted from 1; 0: it has to be looked for, or there is none

	heap []entry

	timeouts []item // in order, from first on
	first    int
}

const (
	slotWidth = 250 * time.Microsecond
	slotCount = 1024
)

// An entry is where an item stands in the order.
type entry struct {
	at   time.Duration
	seq  uint64
	item int32
}

func (a entry) before(b entry) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// next is the instant of the first item; never if there is none.
func (q *queue) next() time.Duration {
	at := never
	if i := q.soon(); i > 0 {
		at = q.items[i-1].at
	}
	if len(q.heap) > 0 {
		at = min(at, q.heap[0].at)
	}
	if q.first < len(q.timeouts) {
		at = min(at, q.timeouts[q.first].at)
	}
	return at
}

// soon is the first item in the slots, counted from 1; 0 if there is none.
func (q *queue) soon() int32 {
	if q.soonest > 0 {
		return q.soonest
	}
	from := int(q.present % slotCount)
	word := from / 64
	set := q.occupied[word] &^ (1<<(from%64) - 1)
	for range len(q.occupied) + 1 { // the first word twice: what is before from comes last
		if set != 0 {
			q.soonest = q.slots[word*64+bits.TrailingZeros64(set)]
			break
		}
		word = (word + 1) % len(q.occupied)
		set = q.occupied[word]
	}
	return q.soonest
}

// pushTimeout is push for what is most likely due after all other time-outs.
func (q *queue) pushTimeout(it item) {
	n := len(q.timeouts)
	if q.first < n && it.at < q.timeouts[n-1].at {
		q.push(it)
		return
	}
	if n == cap(q.timeouts) && q.first > n/2 {
		rest := copy(q.timeouts, q.timeouts[q.first:])
		clear(q.timeouts[rest:])
		q.timeouts, q.first = q.timeouts[:rest], 0
	}
	q.seq++
	it.seq = q.seq
	q.timeouts = append(q.timeouts, it)
}

func (q *queue) push(it item) {
	q.seq++
	it.seq, it.next = q.seq, 0
	i := int32(len(q.items))
	if n := len(q.free); n > 0 {
		i, q.free = q.free[n-1], q.free[:n-1]
		q.items[i] = it
	} else {
		q.items = append(q.items, it)
	}
	if stretch := int64(it.at / slotWidth); stretch >= q.present && stretch < q.present+slotCount {
		q.pushSoon(i, int(stretch%slotCount))
		return
	}
	q.heap = append(q.heap, entry{it.at, it.seq, i})
	q.up()
}

// pushSoon puts an item, which has the highest number so far, into a slot.
func (q *queue) pushSoon(i int32, slot int) {
	it := &q.items[i]
	at := &q.slots[slot]
	for *at > 0 && q.items[*at-1].at <= it.at {
		at = &q.items[*at-1].next
	}
	it.next, *at = *at, i+1
	q.occupied[slot/64] |= 1 << (slot % 64)
	if q.soonest > 0 && it.at < q.items[q.soonest-1].at {
		q.soonest = i + 1
	}
}

// pop takes the first item. The queue is not empty.
func (q *queue) pop() item {
	soon, first := q.soon(), entry{at: never}
	if soon > 0 {
		it := &q.items[soon-1]
		first = entry{it.at, it.seq, soon - 1}
	}
	if len(q.heap) > 0 && (soon == 0 || q.heap[0].before(first)) {
		first, soon = q.heap[0], 0
	}
	if q.first < len(q.timeouts) {
		it := &q.timeouts[q.first]
		if (entry{at: it.at, seq: it.seq}).before(first) {
			top := *it
			it.ex = nil // for the garbage collector
			q.first++
			q.reach(top.at)
			return top
		}
	}
	top := q.items[first.item]
	q.items[first.item].do, q.items[first.item].ex = nil, nil // for the garbage collector
	q.free = append(q.free, first.item)
	q.reach(top.at)
	if soon == 0 {
		q.down()
		return top
	}
	q.soonest = top.next
	slot := q.present % slotCount
	if q.slots[slot] = top.next; top.next == 0 {
		q.occupied[slot/64] &^= 1 << (slot % 64)
	}
	return top
}

// reach makes the stretch of an instant the present one: nothing is left that is due before it.
func (q *queue) reach(at time.Duration) { q.present = max(q.present, int64(at/slotWidth)) }

// branches of each entry in the heap.
const branches = 4

// up moves the last entry of the heap to its place.
func (q *queue) up() {
	i := len(q.heap) - 1
	p := q.heap[i]
	for i > 0 {
		up := (i - 1) / branches
		if !p.before(q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = p
}

// down takes the first entry off the heap.
func (q *queue) down() {
	last := len(q.heap) - 1
	p := q.heap[last]
	q.heap = q.heap[:last]
	if last == 0 {
		return
	}
	i := 0
	for {
		least := -1
		for k := branches*i + 1; k <= branches*i+branches && k < last; k++ {
			if q.heap[k].before(p) && (least < 0 || q.heap[k].before(q.heap[least])) {
				least = k
			}
		}
		if least < 0 {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = p
}
