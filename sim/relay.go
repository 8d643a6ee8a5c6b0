package sim

import (
	"time"

	"weir/cluster/directory"
	"weir/cluster/node"
	"weir/cluster/source"
	"weir/protocols"
	"weir/protocols/listen"
)

// relayLinger is how long a node goes on relaying a stream that nobody watches there any more.
const relayLinger = 10 * time.Second

// A relay is what a node has of a stream for its viewers: the media of its own capture, or else what it relays from the node
// that its directory names. With [Actors] it is in the hub of the stream's own actor; see [hubReader].
type relay struct {
	w      *world
	m      *machine
	s      *streamTruth
	boots  int           // of m
	wanted time.Duration // when a viewer last asked for it
	looked time.Duration // when it was last looked at; -1 before

	looking bool          // at a node from which it relays
	flows   bool          // media comes now
	source  uint64        // of the newest access unit; see [feed.source]. With [Actors]
	newest  time.Duration // the place in the source's media of the newest access unit; -1 before the first

	// The connection to the node that has the stream.
	peer, private string
	to            *machine
	toBoots       int           // of to, when the connection was made
	link          linkState     // of the connection
	at            time.Duration // when that state began; of connecting: when the answer can come first; of pausing: when it is over
	heard         time.Duration // when something last came

	external fetch // while no node of the group has the stream

	hub  *hubReader // reads for the viewers; nil with [Core]
	feed *relayFeed // nil unless this is what the relay input of a stream's actor runs
}

// A linkState is the state of the connection of a relay.
type linkState uint8

const (
	unconnected linkState = iota
	connecting
	connected
	pausing // the connection has failed a moment ago
)

// relay gives what a machine has of a stream for a viewer who asks now.
func (vs *viewers) relay(m *machine, s *streamTruth) *relay {
	at := local{m.index, s.index}
	r := vs.relays[at]
	if r == nil || r.boots != m.boots {
		r = newRelay(m, s)
		if _, ok := m.process.(*actorProcess); ok && len(vs.w.coworkersOf(m, s)) == 0 {
			r.hub = &hubReader{}
		}
		vs.relays[at] = r
	}
	r.wanted = vs.w.now
	return r
}

func newRelay(m *machine, s *streamTruth) *relay {
	return &relay{w: m.w, m: m, s: s, boots: m.boots, newest: -1, looked: -1}
}

// sweep ends the relays that nobody wants.
func (vs *viewers) sweep() {
	for at, r := range vs.relays { // nothing depends on the order
		linger := relayLinger
		if r.hub != nil { // how long the stream itself stays is up to its actor
			linger = 2 * lookEvery
		}
		if vs.w.now-r.wanted >= linger || r.boots != r.m.boots {
			r.hub.close()
			delete(vs.relays, at)
		}
	}
}

// look brings a relay to this instant.
func (r *relay) look() {
	w := r.w
	if !r.m.runs() {
		r.flows = false
		return
	}
	if r.hub != nil {
		r.read()
		return
	}
	r.looked = w.now
	if f := r.m.captures[r.s.index].feed; f != nil && f.delivers() {
		r.drop()
		r.external = fetch{}
		r.receive(f.place(w.now))
		return
	}
	r.upstream()
}

// upstream brings the connection to the node that has the stream to this instant.
func (r *relay) upstream() {
	w := r.w
	r.flows = false
	view := w.viewers.directory(r.m)
	if view == nil {
		return
	}
	if !view.Keeps(r.s.name, r.peer, r.private) || r.peer != "" && r.link == pausing {
		peer, private := view.Upstream(r.s.name)
		if peer != r.peer || private != r.private || r.to != w.announcing(peer) {
			r.drop()
			r.peer, r.private, r.to = peer, private, w.announcing(peer)
			r.connect()
		}
	}
	switch {
	case r.peer == "":
		r.fetch()
		return
	case r.to != nil:
		r.follow()
	}
	r.external = fetch{}
}

// drop ends the connection.
func (r *relay) drop() { r.peer, r.private, r.to, r.link = "", "", nil, unconnected }

// connect begins a connection to the node that has the stream.
func (r *relay) connect() {
	if r.to == nil {
		return
	}
	w := r.w
	r.link, r.toBoots = connecting, r.to.boots
	there, back := w.link(r.m, r.to), w.link(r.to, r.m)
	r.at = w.now + 2*mean(there.delay) + 2*mean(back.delay) // a connection, and a request on it
	r.heard = w.now
	r.rejoin()
	w.viewers.wake(r.at)
}

// mean is the middle of a range.
func mean(d Range) time.Duration { return (d.Min + d.Max) / 2 }

// fail ends a connection that has failed, and pauses.
func (r *relay) fail() {
	r.link, r.at = pausing, r.w.now+source.RelayPause
	r.w.viewers.wake(r.at)
}

// follow brings the connection to this instant.
func (r *relay) follow() {
	w := r.w
	switch r.link {
	case pausing:
		if w.now >= r.at {
			r.connect()
		}
	case connecting:
		limit := node.Hold(r.m.file) + source.RelaySilence
		switch {
		case w.now < r.at:
		case !w.carries(r.m, r.to) || r.to.frozen > 0 || r.to.dark:
			if w.now-r.heard >= limit {
				r.fail()
			}
		case !r.to.up || r.to.exhausted > 0 || r.m.exhausted > 0 || w.link(r.m, r.to).refuse > 0 || !r.to.trusts(r.m):
			r.fail()
		default:
			r.ask(limit)
		}
	case connected:
		switch {
		case r.to.boots != r.toBoots || !r.to.up && !r.to.dark || w.link(r.m, r.to).reject > 0:
			r.fail()
		case !w.carries(r.m, r.to) || r.to.frozen > 0 || r.to.dark:
			if w.now-r.heard >= source.RelaySilence {
				r.fail()
				return
			}
			w.viewers.wake(r.heard + source.RelaySilence)
		default:
			r.heard = w.now // there are keep-alives without media
			r.pull()
		}
	}
}

// ask lets the other node answer the request.
func (r *relay) ask(limit time.Duration) {
	w := r.w
	if r.toBoots = r.to.boots; r.to.process == nil {
		return
	}
	there := w.viewers.directory(r.to)
	if there == nil {
		return
	}
	d := there.Decide(listen.Request{Protocol: protocols.Relay, Streams: []string{r.s.name}})
	if d.Kind != directory.Here && d.Kind != directory.Hold {
		r.fail()
		return
	}
	if d.Kind == directory.Here && r.hasMedia() {
		r.link, r.at, r.heard = connected, w.now, w.now
		r.pull()
		return
	}
	if w.now-r.heard >= limit {
		r.fail()
	}
}

// hasMedia says whether the other node has media of the stream for those who ask now.
func (r *relay) hasMedia() bool {
	if up := r.w.viewers.relay(r.to, r.s); up.hub != nil {
		up.look()
		return up.flows
	}
	f := r.to.captures[r.s.index].feed
	return f != nil && f.delivers()
}

// pull takes media from the other node: that of its capture, or what it relays itself by now.
func (r *relay) pull() {
	w := r.w
	if r.feed != nil {
		r.pullHub()
		return
	}
	late := mean(w.link(r.to, r.m).delay)
	if f := r.to.captures[r.s.index].feed; f != nil && f.delivers() {
		r.receive(f.place(w.now - late))
		return
	}
	up := w.viewers.relay(r.to, r.s) // the other node goes on serving this one, as it does its own viewers
	if up.looking {
		return // the two follow each other
	}
	r.looking = true
	if up.look(); up.flows {
		r.receive(up.newest - late)
	}
	r.looking = false
}

// receive takes the media up to a place. What the hub has had already is left out: a relay asks for what comes after that, and a
// capture that takes over begins behind it.
func (r *relay) receive(at time.Duration) {
	r.flows = at >= r.newest
	r.newest = max(r.newest, at)
	if r.feed != nil && r.flows {
		r.bring(r.newest)
	}
}

// carries says whether the network carries media from one machine to another that has asked for it.
func (w *world) carries(to, from *machine) bool {
	there, back := w.link(to, from), w.link(from, to)
	return there.cut == 0 && back.cut == 0 && there.clog == 0 && back.clog == 0 && there.halfOpen == 0
}

// place is how far a capture has come in the media of its source at an instant. Captures of one source lag behind it by
// different times, but for two: what a publisher sends comes once, and the test pattern, which actors capture, is made of the clock.
func (f *feed) place(at time.Duration) time.Duration { return at - f.lag() }

func (f *feed) lag() time.Duration {
	if f.pub || f.m.w.s.Fidelity == Actors {
		return 0
	}
	return time.Duration(stringHash(f.m.name+" "+f.s.name) % uint64(mostLag))
}

const mostLag = 400 * time.Millisecond
