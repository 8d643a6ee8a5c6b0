package sim

import (
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/cluster/control"
)

// A hop is how far an exchange is.
type hop uint8

const (
	asking    hop = iota + 1 // the question arrives
	answering                // the answer arrives
	failing                  // the asker learns that there is none
	message                  // a message between actors arrives
)

// An exchange is a question between two nodes and its answer, or one message between actors.
type exchange struct {
	from, to *machine
	boots    int // of from
	control  int // of from
	entry    string
	id       uint64
	seen     control.Seen
	want     []string
	name     string // the asker's, as it announces it
	timeout  control.Instant
	sent     time.Duration
	local    time.Duration // the asker's clock then
	over     bool
	waits    bool // the asker gives up at the instant at which the answer arrives, a moment after it

	state          *control.State
	raw            []byte // instead of state, where bytes travel
	garbled        bool   // the bytes have been changed
	made           time.Duration
	who            int // boots of to when it answered
	why            control.FailReason
	deliverMessage func()     // for mailing
	link           *actor.PID // that asked, with actors
}

// A link is the way from one machine to another.
type link struct {
	rng, chance *rand.Rand // delay and loss; everything else
	from, to    *machine

	behaviour
	lossy bool          // in a burst
	free  time.Duration // when its bandwidth is free
	queue []item        // held while it is clogged
}

// A behaviour is how a link treats messages, as the faults that are on make it.
type behaviour struct {
	cut, refuse, clog     int
	halfOpen              int
	punctual              time.Duration // answers arrive exactly so long after their questions
	delay                 Range
	loss                  PPM
	begin, end            PPM
	reset, spike, dup, re PPM
	spikeBy               Range
	overtake              time.Duration
	bandwidth             int
}

func draw(r *rand.Rand, d Range) time.Duration {
	if d.Max <= d.Min {
		return d.Min
	}
	return d.Min + time.Duration(r.Uint64N(uint64(d.Max-d.Min)+1))
}

func hits(r *rand.Rand, p PPM) bool { return p > 0 && r.Uint32N(million) < uint32(p) }

func (w *world) link(from, to *machine) *link { return &w.links[from.index*len(w.machines)+to.index] }

// transit draws what becomes of a message. The number of draws from rng is the same for all, so that a fault on one link
// shifts nothing else.
func (w *world) transit(l *link, size int) (delay, again time.Duration, lost bool) {
	w.messages++
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

// carry puts a message on a link: it arrives as that hop, or is lost.
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
		it.at = w.now + again
		w.queue.push(it)
	}
}

// unclog lets held messages go, in their order.
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
	ex.sent, ex.local, ex.boots = w.now, m.clock.at(w.now), m.boots
	w.queue.push(item{
		at: m.clock.when(ex.local+time.Duration(ex.timeout), w.now), m: m, boots: m.boots, ex: ex, step: failing, cause: w.trace.cause,
	})
	if ex.to == nil || m.exhausted > 0 {
		w.fail(ex, time.Millisecond, control.Unreachable)
		return
	}
	l := w.link(m, ex.to)
	if l.refuse > 0 {
		w.fail(ex, time.Millisecond, control.Unreachable)
		return
	}
	if hits(l.chance, l.reset) {
		w.fail(ex, draw(l.chance, l.delay), control.Unreachable)
		return
	}
	w.carry(l, ex, asking, 300)
}

// fail tells the asker after d that there is no answer.
func (w *world) fail(ex *exchange, d time.Duration, why control.FailReason) {
	ex.why = why
	w.queue.push(item{at: w.now + d, m: ex.from, boots: ex.boots, ex: ex, step: failing, cause: w.trace.cause})
}

// arrive handles a message at the end of a link.
func (w *world) arrive(it item) {
	ex := it.ex
	switch it.step {
	case message:
		ex.deliverMessage()
	case asking:
		w.question(ex)
	case answering:
		if ex.from.boots != ex.boots || !ex.from.up {
			return
		}
		if ex.over { // a copy; the process has read the first
			return
		}
		ex.over = true
		ex.from.process.answered(ex)
	case failing:
		if ex.over || ex.from.boots != ex.boots {
			return
		}
		if ex.waits { // the answer is there too, and comes first
			ex.waits = false
			w.queue.push(it)
			return
		}
		ex.over = true
		if ex.why == "" {
			ex.why = control.Unreachable
		}
		ex.from.process.unanswered(ex)
	}
}

// question is what a machine does with a question that arrives.
func (w *world) question(ex *exchange) {
	to := ex.to
	if !to.up || to.exhausted > 0 { // its kernel refuses at once
		back := w.link(to, ex.from)
		if d, _, lost := w.transit(back, 60); !lost && back.clog == 0 {
			w.fail(ex, d, control.Unreachable)
		}
		return
	}
	if !to.trusts(ex.from) {
		back := w.link(to, ex.from)
		if d, _, lost := w.transit(back, 300); !lost && back.clog == 0 {
			w.fail(ex, d, control.Unauthorised)
		}
		return
	}
	to.process.asked(ex)
}

// reply sends an answer back.
func (w *world) reply(ex *exchange, size int) {
	to := ex.to
	ex.made, ex.who = w.now, to.boots
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
			w.carry(w.link(to, ex.from), ex, answering, size)
		}})
		return
	}
	w.carry(w.link(to, ex.from), ex, answering, size)
}

// punctual lets an answer arrive exactly so long after its question, whatever the delay of the network is. At the
// instant at which the asker gives up either may come first, as between two processors.
func (w *world) punctual(ex *exchange) {
	l := w.link(ex.to, ex.from)
	at := ex.from.clock.when(ex.local+l.punctual, w.now)
	if _, _, lost := w.transit(l, 300); lost || l.clog > 0 || at < w.now {
		return
	}
	ex.waits = l.punctual == time.Duration(ex.timeout) && ex.to.chance.IntN(2) == 0
	w.queue.push(item{at: at, m: ex.from, ex: ex, step: answering, cause: w.trace.cause})
}

// trusts says whether two machines have the same key. Every wrong key is another one.
func (m *machine) trusts(o *machine) bool { return m == o || m.wrongKey == 0 && o.wrongKey == 0 }
