package sim

import "time"

// An item is something that will happen at an instant. Those of one instant happen in the order in which they were
// arranged.
type item struct {
	at    time.Duration
	seq   uint64
	m     *machine // whose event it is; nil for one of the world
	boots int      // of m: nothing reaches a process that has ended
	wake  int      // for a wake-up: its number; 0 for others
	cause uint64   // the line of the trace that led to it
	do    func()
	ex    *exchange // for messages, instead of do
	step  hop
}

// A queue is a binary heap of items.
type queue struct {
	list []item
	seq  uint64
}

func (q *queue) before(i, j int) bool {
	a, b := &q.list[i], &q.list[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *queue) push(it item) {
	q.seq++
	it.seq = q.seq
	q.list = append(q.list, it)
	i := len(q.list) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !q.before(i, up) {
			break
		}
		q.list[i], q.list[up] = q.list[up], q.list[i]
		i = up
	}
}

// pop takes the first item. The queue is not empty.
func (q *queue) pop() item {
	top := q.list[0]
	last := len(q.list) - 1
	q.list[0] = q.list[last]
	q.list[last] = item{}
	q.list = q.list[:last]
	for i := 0; ; {
		least := i
		for k := 2*i + 1; k <= 2*i+2 && k < last; k++ {
			if q.before(k, least) {
				least = k
			}
		}
		if least == i {
			return top
		}
		q.list[i], q.list[least] = q.list[least], q.list[i]
		i = least
	}
}
