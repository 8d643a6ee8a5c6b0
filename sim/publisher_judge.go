package sim

import (
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/sim/oracle"
)

// publishing is what the oracle needs of a publisher beside what the publisher itself tells.
type publishing struct {
	*oracle.Publisher
	rivals []rival
	pairs  []pair // by machine

	delay   time.Duration // the longest of the network, of those that an answer on its way may still have
	delayed time.Duration // when it was in force last
}

// A rival is the connection of another publisher of the stream, as far as it matters.
type rival struct {
	f      *feed
	frozen bool
}

// A pair is what has to stay so for a machine to hear the publisher's.
type pair struct{ boots, control, ofBoots, ofControl int }

func (j *publishing) comes(w *world) {
	j.Publisher = oracle.NewPublisher(len(w.machines))
	j.pairs = make([]pair, len(w.machines))
}

// rival is when another connection of a publisher of the stream than f was there last.
func (p *publisher) rival(f *feed) time.Duration {
	for g := range p.w.feeds(p.s) {
		if g != f && g.pub {
			return p.w.now
		}
	}
	return p.s.published
}

// sender is when another publisher of the stream than that of f was last taken for one that sends, or was there.
func (p *publisher) sender(f *feed) (at time.Duration) {
	at = p.s.published
	for g := range p.w.feeds(p.s) {
		if g != f && g.pub {
			at = max(at, g.rivals())
		}
	}
	return at
}

func (p *publisher) judgeRefused(m *machine) {
	b := p.w.checks.bounds()
	p.told(oracle.I29, m, p.judged.Refused(p.w.now, p.rival(nil), b.down+b.poll()+2*b.d+2*b.lag+time.Second))
}

// judgeSentAway judges that the publisher has to go. Where it is silent, or the file says that each newcomer takes a stream over, no
// other need have it yet.
func (p *publisher) judgeSentAway(m *machine) {
	if m.takeover(p.s) == conf.TakeoverAlways || p.feed.muted {
		return
	}
	b := p.w.checks.bounds()
	p.told(oracle.I29, m, p.judged.SentAway(p.w.now, p.rival(p.feed), 2*b.lag+3*time.Millisecond))
	known := b.rate(b.s) + b.poll() + 4*b.d + 2*b.lag + b.differ
	p.told(oracle.I29, m, p.judged.Outranked(p.w.now, p.sender(p.feed), known))
}

// told reports what is wrong with a publisher.
func (p *publisher) told(i oracle.Invariant, m *machine, wrong string) {
	p.w.checks.hold(i, wrong == "", p.s, []string{m.name}, "publisher %d at %s: %s", p.number, m.name, wrong)
}

// arrangePublishers lets the oracle look at the publishers after [lookEvery], for as long as there are any.
func (w *world) arrangePublishers() {
	if w.publishersLook {
		return
	}
	w.publishersLook = true
	w.queue.push(item{at: w.now + lookEvery, do: func() {
		w.publishersLook = false
		some := false
		for _, p := range w.publishers {
			if !p.gone {
				some = true
				p.look()
			}
		}
		if some {
			w.arrangePublishers()
		}
	}})
}

// look judges which nodes hear the publisher: I29 and I32.
func (p *publisher) look() {
	w, f := p.w, p.feed
	if f == nil || f.state != control.Running || !f.delivers() {
		for i := range w.machines {
			p.judged.Excuse(i)
		}
		return
	}
	settled := p.lookAtRivals()
	b := w.checks.bounds()
	b.d = p.judged.longestDelay(w.now, &b)
	bound := oracle.HeardBound(b.rate(b.s), b.poll(), b.d, b.lag, b.up, b.differ, lookEvery)
	known := b.poll() + 4*b.d + 2*b.lag + lookEvery
	for i, q := range w.machines {
		now := pair{q.boots, q.control, f.m.boots, f.m.control}
		if !settled || p.judged.pairs[i] != now || !w.clean(q, f.m) {
			p.judged.pairs[i] = now
			p.judged.Excuse(i)
			continue
		}
		x := q.viewOf(p.s)
		owner := x != nil && x.Owner != ""
		waited, unheard, ownerless := p.judged.Heard(w.now, i, owner, owner && x.Owner == f.m.announced, bound, known)
		if waited > 0 {
			w.checks.measure(oracle.I29, bound, waited)
		}
		if unheard != "" {
			p.told(oracle.I29, q, unheard)
		}
		if ownerless != "" {
			p.told(oracle.I32, q, ownerless)
		} else {
			w.checks.ok(oracle.I32)
		}
	}
}

// longestDelay is the longest delay of what is on its way: a message that was sent while a link was slow still arrives late once the
// link is fast again.
func (j *publishing) longestDelay(now time.Duration, b *bounds) time.Duration {
	if b.d >= j.delay || now-j.delayed > b.poll()+4*j.delay {
		j.delay, j.delayed = b.d, now
	}
	return j.delay
}

// lookAtRivals says whether the other publishers of the stream are what they were at the last look, and at nodes with which
// the publisher's can settle who has the name.
func (p *publisher) lookAtRivals() bool {
	w, f := p.w, p.feed
	var now []rival
	clean := true
	for g := range w.feeds(p.s) {
		if g != f && g.pub {
			now = append(now, rival{g, g.m.frozen > 0})
			clean = clean && (g.m.frozen > 0 || w.clean(f.m, g.m))
		}
	}
	same := len(now) == len(p.judged.rivals)
	for i := range now {
		same = same && now[i] == p.judged.rivals[i]
	}
	p.judged.rivals = now
	return same && clean
}

// clean says whether two machines run and exchange answers as without faults.
func (w *world) clean(a, b *machine) bool {
	if a == b {
		return a.runs() && a.warm
	}
	fit := func(m, q *machine) bool {
		x := w.link(m, q).behaviour
		x.delay, x.dup = w.base.delay, 0 // bounds have the longest delay
		return m.runs() && x == w.base && m.exhausted == 0 && m.newer == 0 && m.broken == 0 && m.wrongKey == 0 && m.slow.Max == 0 &&
			m.lag < m.read().stale/8 && m.names(q)
	}
	return fit(a, b) && fit(b, a)
}
