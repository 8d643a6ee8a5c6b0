package sim

import (
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/cluster/control"
)

// A hop says what of an exchange arrives.
type hop uint8

const (
	question hop = iota + 1
	answer
	failure // the asker learns that there is no answer
	message // of one actor to another
)

// An exchange is a question of one node to another and its answer, or one message of an actor to another.
type exchange struct {
	from, to *machine
	number   uint64 // of the question; a message has none

	// The question. A message has none.
	boots    int             // of from
	control  int             // of from
	local    time.Duration   // when from asked, by its clock
	name     string          // that from announces
	entry    string          // by which it asks
	place    int             // of the entry in its file
	link     *actor.PID      // that asks, with actors
	timeout  control.Instant // then it gives up
	id       uint64
	question *control.Question

	toBoots int // of to, when it answered

	// The answer, or why there is none.
	over    bool // from has the answer, or knows that there is none
	copied  bool // more may be under way than the question, its answer and its time-out, once each
	waits   bool // it gives up in the instant at which the answer arrives, and the answer comes first
	made    time.Duration
	state   *control.State
	raw     []byte // instead of state, where bytes travel
	garbled bool   // the bytes have been changed
	why     control.FailReason

	arrive func() // what a message does
}

// A link is the way from one machine to another.
type link struct {
	rng      rand.PCG // for delay and loss
	from, to *machine
	conn     established // that from keeps to the process of to
	led      int         // the boot of from in which a connection last led there

	behaviour
	chance     *rand.Rand    // for everything else
	lossy      bool          // a burst of losses is on
	free       time.Duration // when its bandwidth is free again
	soundSince time.Duration // since when no fault has been on it; never: one is
	queue      []item        // what waits while it is clogged
}

// A behaviour is what a link does with messages, as the faults that are on make it.
type behaviour struct {
	delay                       Range
	loss                        PPM
	begin, end                  PPM           // of a burst
	cut, refuse, clog, halfOpen int           // faults of these kinds that are on
	reject                      int           // of the connections that are refused, by a firewall that says so
	punctual                    time.Duration // answers arrive exactly so long after their questions
	reset, spike, dup, re       PPM           // of a broken exchange, a late message, a second copy, one that is overtaken
	spikeBy                     Range
	overtake                    time.Duration
	bandwidth                   int
}

// draw draws a time evenly.
func draw(r *rand.Rand, d Range) time.Duration {
	if d.Max <= d.Min {
		return d.Min
	}
	return d.Min + time.Duration(r.Uint64N(uint64(d.Max-d.Min)+1))
}

// hits says whether something of a probability happens.
func hits(r *rand.Rand, p PPM) bool { return p > 0 && r.Uint32N(million) < uint32(p) }

// link is the way from one machine to another.
func (w *world) link(from, to *machine) *link { return &w.links[from.index*len(w.machines)+to.index] }

// transit draws what becomes of a message: how long it is under way, and a second copy, if there is one; or that it is lost.
// It takes one number from rng whatever faults are on, so that a fault shifts no other delay.
func (w *world) transit(l *link, size int) (delay, again time.Duration, lost bool) {
	w.result.Messages++
	u := l.rng.Uint64()
	span := uint64(max(0, l.delay.Max-l.delay.Min)) + 1
	delay = l.delay.Min + time.Duration((u>>20)%span)
	lost = l.loss > 0 && uint32(u&0xfffff)%million < uint32(l.loss)
	if l.begin > 0 {
		if l.lossy {
			l.lossy = !hits(l.chance, l.end)
		} else {
			l.lossy = hits(l.chance, l.begin)
		}
		lost = lost || l.lossy
	}
	if hits(l.chance, l.spike) {
		delay += draw(l.chance, l.spikeBy)
	}
	if hits(l.chance, l.re) {
		delay += time.Duration(l.chance.Uint64N(uint64(l.overtake) + 1))
	}
	if hits(l.chance, l.dup) {
		again = delay + 1 + time.Duration(l.chance.Uint64N(uint64(max(l.delay.Max, time.Millisecond))))
	}
	if l.bandwidth > 0 {
		start := max(w.now, l.free)
		l.free = start + time.Duration(size)*time.Second/time.Duration(l.bandwidth)
		delay += l.free - w.now
	}
	lost = lost || l.cut > 0
	return delay, again, lost
}

// carry puts a part of an exchange on a link: it arrives, or is lost.
func (w *world) carry(l *link, ex *exchange, step hop, size int) {
	delay, again, lost := w.transit(l, size)
	if lost {
		return
	}
	it := item{at: w.now + delay, m: l.to, ex: ex, step: step, cause: w.trace.cause}
	if l.clog > 0 {
		l.queue = append(l.queue, it)
		return
	}
	w.queue.push(it)
	if again > 0 {
		ex.copied = true
		it.at = w.now + again
		w.queue.push(it)
	}
}

// send sends a message of an actor to one of another machine.
func (m *machine) send(to *machine, arrive func()) {
	if to == m {
		m.later(time.Millisecond, arrive)
		return
	}
	if l := m.w.link(m, to); l.reject == 0 {
		m.w.carry(l, &exchange{from: m, to: to, arrive: arrive}, message, 100)
	}
}

// unclog lets waiting messages go, in their order.
func (w *world) unclog(l *link) {
	for _, it := range l.queue {
		it.at = max(it.at, w.now+1)
		w.queue.push(it)
	}
	l.queue = nil
}

// ask begins an exchange.
func (w *world) ask(ex *exchange) {
	m := ex.from
	w.asks++
	ex.number, ex.local, ex.boots = w.asks, m.clock.at(w.now), m.boots
	w.queue.pushTimeout(item{
		at: m.clock.when(ex.local+time.Duration(ex.timeout), w.now), m: m, boots: m.boots, number: ex.number, ex: ex, step: failure, cause: w.trace.cause,
	})
	if ex.to == nil || m.exhausted > 0 {
		w.fail(ex, time.Millisecond, control.Unreachable)
		return
	}
	l := w.link(m, ex.to)
	if l.refuse > 0 {
		why := control.Unreachable
		if l.reject > 0 {
			why = l.refusal()
		}
		w.fail(ex, time.Millisecond, why)
		return
	}
	if hits(l.chance, l.reset) {
		d := draw(l.chance, l.delay)
		w.sever(l, d)
		w.fail(ex, d, control.Unreachable)
		return
	}
	w.carry(l, ex, question, unchangedSize)
}

// fail tells the asker after d that there is no answer.
func (w *world) fail(ex *exchange, d time.Duration, why control.FailReason) {
	ex.why, ex.copied = why, true
	w.queue.push(item{at: w.now + d, m: ex.from, boots: ex.boots, number: ex.number, ex: ex, step: failure, cause: w.trace.cause})
}

// arrive handles a message at the end of a link.
func (w *world) arrive(it *item) {
	ex := it.ex
	switch it.step {
	case message:
		ex.arrive()
	case question:
		w.asked(ex)
	case answer:
		if ex.from.boots != ex.boots || !ex.from.up {
			return
		}
		if ex.over { // the process has read another copy
			return
		}
		ex.over = true
		if !ex.garbled {
			l := w.link(ex.from, ex.to)
			l.conn, l.led = established{ex.boots, ex.toBoots}, ex.boots
		}
		ex.from.process.answered(ex)
		if !ex.copied && w.actors == nil { // only its time-out is under way, which is known by its number
			w.exchanges.give(ex)
		}
	case failure:
		if it.number != ex.number || ex.over || ex.from.boots != ex.boots {
			return
		}
		if ex.waits { // the answer has arrived too, and comes first
			ex.waits = false
			w.queue.push(*it)
			return
		}
		ex.over = true
		if ex.why == "" {
			ex.why = control.Unreachable
		}
		if ex.to != nil && ex.to != ex.from {
			w.checks.refusedAgain(ex)
		}
		ex.from.process.unanswered(ex)
	}
}

// asked is what a machine does with a question that arrives.
func (w *world) asked(ex *exchange) {
	l := w.link(ex.from, ex.to)
	refuse := func(size int, why control.FailReason) {
		back := w.link(ex.to, ex.from)
		if d, _, lost := w.transit(back, size); !lost && back.clog == 0 {
			if !ex.to.up {
				w.sever(l, d) // the connection of the question
			}
			w.fail(ex, d, why)
		}
	}
	switch {
	case !ex.to.up && ex.to.dark:
	case !ex.to.up: // its kernel refuses at once
		refuse(60, l.refusal())
	case ex.to.exhausted > 0:
		refuse(60, control.Unreachable)
	case !ex.to.trusts(ex.from):
		refuse(unchangedSize, control.Unauthorised)
	default:
		if l.conn.to != 0 && l.conn.to != ex.to.boots { // of an earlier process; the asker connects anew
			w.sever(l, l.delay.Min)
		}
		ex.to.process.asked(ex)
	}
}

// reply sends an answer back.
func (w *world) reply(ex *exchange, size int) {
	to := ex.to
	ex.made, ex.toBoots = w.now, to.boots
	if w.link(ex.from, to).halfOpen > 0 {
		return
	}
	if w.link(to, ex.from).punctual > 0 {
		w.punctual(ex)
		return
	}
	if to.slow.Max > 0 {
		d := draw(to.chance, to.slow)
		w.queue.push(item{at: w.now + d, m: to, boots: to.boots, cause: w.trace.cause, do: func() {
			w.carry(w.link(to, ex.from), ex, answer, size)
		}})
		return
	}
	w.carry(w.link(to, ex.from), ex, answer, size)
}

// punctual lets an answer arrive exactly so long after its question, whatever the delay of the network is. Where that is the
// instant at which the asker gives up, either may come first, as between two processors.
func (w *world) punctual(ex *exchange) {
	l := w.link(ex.to, ex.from)
	at := ex.from.clock.when(ex.local+l.punctual, w.now)
	if _, _, lost := w.transit(l, unchangedSize); lost || l.clog > 0 || at < w.now {
		return
	}
	ex.waits = l.punctual == time.Duration(ex.timeout) && ex.to.chance.IntN(2) == 0
	w.queue.push(item{at: at, m: ex.from, ex: ex, step: answer, cause: w.trace.cause})
}

// trusts says whether two machines have the same key. No two wrong keys are the same.
func (m *machine) trusts(o *machine) bool { return m == o || m.wrongKey == 0 && o.wrongKey == 0 }
