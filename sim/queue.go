package sim

import "time"

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

	// Number is that of the wake-up, or of the question to which there is no answer: the exchange may have begun another since.
	number uint64
}

// A queue holds items in the order of their instants. What moves in it are entries, not items: a heap of values without
// pointers costs the garbage collector nothing.
//
// The time-outs of questions are most of what waits, and nearly all of them are pushed in the order in which they are due. They are in
// a list beside the heap, so that it stays short.
type queue struct {
	heap  []entry
	items []item
	free  []int32 // indices into items
	seq   uint64

	timeouts []item // in order, from first on
	first    int
}

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
	if len(q.heap) > 0 {
		at = q.heap[0].at
	}
	if q.first < len(q.timeouts) {
		at = min(at, q.timeouts[q.first].at)
	}
	return at
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
	it.seq = q.seq
	slot := int32(len(q.items))
	if n := len(q.free); n > 0 {
		slot, q.free = q.free[n-1], q.free[:n-1]
		q.items[slot] = it
	} else {
		q.items = append(q.items, it)
	}
	p := entry{it.at, it.seq, slot}
	q.heap = append(q.heap, p)
	i := len(q.heap) - 1
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

// branches of each entry in the heap.
const branches = 4

// pop takes the first item. The queue is not empty.
func (q *queue) pop() item {
	if q.first < len(q.timeouts) {
		it := &q.timeouts[q.first]
		if len(q.heap) == 0 || (entry{at: it.at, seq: it.seq}).before(q.heap[0]) {
			top := *it
			it.ex = nil // for the garbage collector
			q.first++
			return top
		}
	}
	slot := q.heap[0].item
	top := q.items[slot]
	q.items[slot].do, q.items[slot].ex = nil, nil // for the garbage collector
	q.free = append(q.free, slot)

	last := len(q.heap) - 1
	p := q.heap[last]
	q.heap = q.heap[:last]
	if last == 0 {
		return top
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
	return top
}
