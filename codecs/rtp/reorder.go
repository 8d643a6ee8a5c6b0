package rtp

import "encoding/binary"

// A Reorderer puts the packets of one medium back into the order in which they were sent, which datagrams lose, and drops
// duplicates. The zero Reorderer is ready. It belongs to one goroutine.
type Reorderer struct {
	begun   bool
	next    uint16
	held    [reorderable][]byte // by sequence number
	count   int
	strange int // packets from far away, in a row
}

// reorderable is the most packets that are held for one that is missing: about 100 ms of 8 Mbit/s.
const reorderable = 64

// Push takes a packet and returns those that are due, in order. The caller does not change the packet.
func (o *Reorderer) Push(b []byte) (due [][]byte) {
	if len(b) < 12 {
		return nil
	}
	n := binary.BigEndian.Uint16(b[2:])
	if !o.begun {
		o.begun, o.next = true, n
	}
	switch ahead := n - o.next; {
	case ahead < reorderable:
		o.strange = 0
		if slot := &o.held[n%reorderable]; *slot == nil {
			*slot = b
			o.count++
		}
	case ahead >= 1<<16-reorderable && o.strange < reorderable: // late, or twice
		o.strange++
		return nil
	default: // too far ahead to wait, or the sender has begun anew
		o.strange = 0
		due = o.flush()
		o.next = n + 1
		return append(due, b)
	}
	return o.ready(due)
}

// ready returns what follows without a gap; and what comes after it once half of what can be held is.
func (o *Reorderer) ready(due [][]byte) [][]byte {
	for o.count > 0 {
		slot := &o.held[o.next%reorderable]
		if *slot == nil && o.count < reorderable/2 {
			break
		}
		if *slot != nil {
			due = append(due, *slot)
			*slot = nil
			o.count--
		}
		o.next++
	}
	return due
}

func (o *Reorderer) flush() (due [][]byte) {
	for range reorderable {
		if slot := &o.held[o.next%reorderable]; *slot != nil {
			due = append(due, *slot)
			*slot = nil
		}
		o.next++
	}
	o.count = 0
	return due
}
