package sim

import (
	"cmp"
	"math/rand/v2"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
)

const (
	// sendTimeout is how long a publisher waits for a node that takes nothing more. Then it goes, and tries again elsewhere.
	sendTimeout = 5 * time.Second

	// answerTimeout is how long a publisher waits to be told whether it may publish.
	answerTimeout = 20 * time.Second

	// sendEvery is the interval at which a publisher sends something.
	sendEvery = time.Second
)

// A publisher is a client that publishes a stream.
type publisher struct {
	w      *world
	number int
	s      *streamTruth
	nodes  []*machine // that it tries one after the other
	back   Range      // after which it tries again; zero: it does not
	rng    *rand.Rand
	gone   bool

	tries   int // so far
	waiting bool
	feed    *feed         // what it sends, while it is told that it publishes
	asked   time.Duration // when it came last
	judged  publishing
}

// comes lets a publisher come.
func (w *world) comes(s *streamTruth, nodes []*machine, back Range) *publisher {
	p := &publisher{w: w, number: len(w.publishers) + 1, s: s, nodes: nodes, back: back}
	p.rng = w.rng("publisher " + s.name + " " + string(rune('0'+p.number)))
	w.publishers = append(w.publishers, p)
	p.judged.comes(w)
	p.try()
	w.arrangePublishers()
	return p
}

// line begins a line of the trace about the publisher.
func (p *publisher) line(what string) *tracer {
	return p.w.line("publisher-"+what).num("publisher", int64(p.number)).text("stream", p.s.name)
}

// try connects to the next node.
func (p *publisher) try() {
	w := p.w
	if p.gone {
		return
	}
	m := p.nodes[p.tries%len(p.nodes)]
	p.tries++
	n := p.tries
	p.asked, p.waiting = w.now, true
	if !m.up { // its kernel refuses the connection
		p.ends("refused")
		return
	}
	p.line("comes").text("at", m.name).causes()
	m.later(time.Millisecond, func() { m.process.publish(&feed{m: m, s: p.s, boots: m.boots, pub: true, by: p, attempt: n}) })
	w.queue.push(item{at: w.now + answerTimeout, do: func() {
		if p.tries == n && p.waiting {
			p.ends("unanswered")
		}
	}})
}

// awaited says whether the publisher still waits for the answer to an attempt.
func (f *feed) awaited() bool {
	return f.by == nil || !f.by.gone && f.by.waiting && f.by.tries == f.attempt
}

// begins is told that it publishes.
func (p *publisher) begins(f *feed) {
	p.waiting, p.feed = false, f
	p.line("begins").text("at", f.m.name).causes()
	p.judged.Begins(p.w.now)
}

// refused is told that it may not publish. Busy says that another publisher is the reason.
func (p *publisher) refused(m *machine, busy bool) {
	if busy {
		p.judgeRefused(m)
	}
	p.ends("refused")
}

// sentAway is told that it has to go, because another publisher of the name comes first or for another reason.
func (p *publisher) sentAway(m *machine, busy bool) {
	if busy {
		p.judgeSentAway(m)
	}
	p.feed = nil
	p.judged.Ended()
	p.ends("sent away")
}

// lost notes that the connection has ended.
func (p *publisher) lost() {
	p.feed = nil
	p.judged.Ended()
	p.ends("lost")
}

// ends arranges the next attempt, if there is one.
func (p *publisher) ends(why string) {
	p.waiting = false
	p.line("ends").text("why", why).causes()
	if p.gone || p.back.Max == 0 {
		return
	}
	n := p.tries
	p.w.queue.push(item{at: p.w.now + max(time.Millisecond, draw(p.rng, p.back)), do: func() {
		if p.tries == n {
			p.try()
		}
	}})
}

// leaves ends the publisher in order.
func (p *publisher) leaves() {
	p.gone, p.waiting = true, false
	f := p.feed
	p.feed = nil
	p.judged.Ended()
	if f == nil {
		return
	}
	p.line("leaves").causes()
	f.by = nil
	f.m.later(0, func() { // a process that stands still learns of it when it runs on
		if f.m.captures[f.s.index].feed == f && f.state != control.Stopping {
			f.m.process.unpublish(f)
		}
	})
}

// drops ends the connection of the publisher. Where that is silent its node does not learn of it: the connection lingers there
// until its node gives it up.
func (p *publisher) drops(silent bool) {
	f := p.feed
	if f == nil {
		return
	}
	f.by = nil
	m := f.m
	f.dead = true
	m.w.recount(f.s, GapPublisher)
	if silent {
		f.mute()
		f.lingers()
	} else {
		m.later(0, func() {
			if m.captures[f.s.index].feed == f && f.state != control.Stopping {
				m.process.unpublish(f)
			}
		})
	}
	p.lost()
}

// takeover is what the file of a machine says of the publishers of a stream that give way to others.
func (m *machine) takeover(s *streamTruth) time.Duration {
	d := m.file.Delivery
	if s := m.file.Stream(s.name); s != nil {
		d = s.Delivery
	}
	return cmp.Or(d.Takeover, conf.DefaultTakeover)
}

// givesWay says whether the publisher of f has sent nothing for so long that it gives way to another one, as its node's file says.
func (f *feed) givesWay() bool {
	switch silence := f.m.takeover(f.s); silence {
	case conf.TakeoverAlways:
		return true
	case conf.TakeoverNever:
		return false
	default:
		return f.muted && f.m.w.now-f.mutedAt >= silence
	}
}

// checkEvery is the interval at which a node looks whether a publisher is silent.
const checkEvery = 2 * time.Second

// silenceLimit is how long the publisher of f has sent nothing when its node takes it for silent.
func (f *feed) silenceLimit() time.Duration {
	if d := f.m.takeover(f.s); d > 0 {
		return d
	}
	return conf.DefaultTakeover
}

// mute notes that the publisher of f sends nothing from now on. Its node finds out when it next looks.
func (f *feed) mute() {
	w, limit := f.m.w, f.silenceLimit()
	f.muted, f.mutedAt = true, w.now
	f.mutes++
	n := f.mutes
	w.checks.oracle.Muted(w.now, f.m.name, f.s.name, limit+checkEvery)
	looks := (w.now + limit - f.began + checkEvery - 1) / checkEvery
	f.m.later(f.began+looks*checkEvery-w.now, func() {
		if f.muted && f.mutes == n && f.m.captures[f.s.index].feed == f && f.state == control.Running {
			f.m.process.silent(f, true)
		}
	})
}

// unmute notes that the publisher of f sends again.
func (f *feed) unmute() {
	w := f.m.w
	f.muted = false
	w.checks.oracle.Muted(w.now, f.m.name, f.s.name, 0)
	f.m.later(0, func() {
		if !f.muted && f.m.captures[f.s.index].feed == f && f.state == control.Running {
			f.m.process.silent(f, false)
		}
	})
}

// rivals says until when f counts as another publisher of its stream: while it sends, and for some time after.
func (f *feed) rivals() time.Duration {
	if !f.muted {
		return f.m.w.now
	}
	return f.mutedAt + f.silenceLimit() + checkEvery
}

// takenOver ends f for another publisher.
func (f *feed) takenOver() {
	f.sendAway(true)
	f.close(GapPublisher)
	f.m.process.down(f, "another publisher has taken the stream over")
}

// lingers lets the node give up the connection of a publisher that brings nothing any more.
func (f *feed) lingers() {
	f.m.later(f.m.w.silence, func() {
		if f.m.captures[f.s.index].feed == f && f.state != control.Stopping {
			f.close(GapPublisher)
			f.m.process.down(f, "the publisher was silent")
		}
	})
}

// publishersCrash is told that a machine has crashed: those that wait for its answer lose their connections.
func (w *world) publishersCrash(m *machine) {
	for _, p := range w.publishers {
		if p.waiting && p.nodes[(p.tries-1)%len(p.nodes)] == m {
			p.ends("lost")
		}
	}
}

// publishersFreeze is told that a machine stands still: its publishers go when it has taken nothing for a while. Their
// connections end in order, of which the machine learns when it runs on.
func (w *world) publishersFreeze(m *machine) {
	for _, p := range w.publishers {
		f := p.feed
		if f == nil || f.m != m {
			continue
		}
		n := m.thaws
		w.queue.push(item{at: w.now + sendTimeout, do: func() {
			if p.feed == f && m.thaws == n && m.frozen > 0 {
				p.drops(false)
			}
		}})
	}
}

// publisherAt is the publisher of a stream at a machine, or nil.
func (w *world) publisherAt(m *machine, s *streamTruth) *publisher {
	for _, p := range w.publishers {
		if p.s == s && p.feed != nil && p.feed.m == m {
			return p
		}
	}
	return nil
}
