package sim

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/cluster/directory"
	"weir/cluster/node"
	"weir/cluster/router"
	"weir/protocols"
	"weir/protocols/listen"
)

const (
	// lookEvery is the interval at which viewers look at what has changed around them. They also look when a node publishes
	// another view, when media of their stream begins or ends, and when they have arranged to.
	lookEvery = 200 * time.Millisecond

	// noticed is the shortest time for which a picture stands still that is kept. What is shorter lies in a player's buffer.
	noticed = 250 * time.Millisecond

	// comeBack is how long a player waits before it opens its URL again, after its connection has ended or was refused.
	comeBack = time.Second

	// patience is how long a player waits for media or an answer that was redirected, or that reads playlists. Then it opens
	// its URL again. A player that is kept by the node it asked waits for ever: the node has to end it.
	patience = 10 * time.Second
)

// viewers are the players of a run, and what nodes do for them.
type viewers struct {
	w        *world
	list     []*viewer // those that are there, in the order in which they came
	count    int       // that have come so far
	relays   map[local]*relay
	shown    map[local]*shown
	looks    bool // the next look is arranged
	looking  bool
	soon     bool              // a look at this instant is arranged
	facts    []directory.Facts // of each machine
	factsOf  []any             // the file of each machine that facts were made of
	views    []*directory.View // what the directory of each machine says
	viewsOf  []*control.View   // from which view of its control plane, with [Core]
	madeOf   []*directory.View // from which view of its directory, with [Actors]
	wakeNext time.Duration     // the next instant for which a look is arranged; never if there is none
}

// A local names a stream at a machine.
type local struct{ machine, stream int }

// A viewer is a player of one stream, which opens it at one node.
type viewer struct {
	number int
	proto  protocols.Protocol
	s      *streamTruth
	entry  *machine
	gone   bool

	phase phase
	host  *machine      // that the player is connected to
	boots int           // of host then
	hops  int           // redirects that have led to host
	since time.Duration // of phase
	heard time.Duration // when something last came: media, an answer or an end
	next  time.Duration // of phase away: when the player comes back; of one that reads playlists: when it reloads

	demanded time.Duration // when host's control plane was told last that the viewer wants the stream
	hls      reader

	lost   time.Duration // since when the picture stands still, or will once what was fetched has been played; -1: it has not begun
	got    time.Duration // when media came last; -1 before
	downed bool          // the entry has not run at some time since then
	judged judged
}

// A phase is what a viewer is doing.
type phase uint8

const (
	away    phase = iota // not connected
	asking               // it has asked host for the stream, which has not answered
	playing              // host answers with media
)

// newViewers makes the viewers of a run: none.
func newViewers(w *world) *viewers {
	n := len(w.machines)
	return &viewers{
		w: w, relays: map[local]*relay{}, shown: map[local]*shown{}, wakeNext: never, facts: make([]directory.Facts, n),
		factsOf: make([]any, n), views: make([]*directory.View, n), viewsOf: make([]*control.View, n), madeOf: make([]*directory.View, n),
	}
}

// come lets a viewer open a stream at a node.
func (vs *viewers) come(p protocols.Protocol, s *streamTruth, entry *machine) *viewer {
	w := vs.w
	vs.count++
	v := &viewer{number: vs.count, proto: p, s: s, entry: entry, since: w.now, heard: w.now, lost: -1, got: -1}
	vs.list = append(vs.list, v)
	w.viewerLine(v, "comes").text("via", entry.name).causes()
	w.oracleCame(v)
	v.ask(w, entry, 0)
	vs.arrange()
	return v
}

// leave lets a viewer go.
func (vs *viewers) leave(v *viewer) {
	if v.gone {
		return
	}
	v.gone = true
	vs.w.viewerLine(v, "leaves").causes()
	if v.lost >= 0 && v.lost < vs.w.now {
		v.moves(vs.w, 0)
	}
	for i, x := range vs.list {
		if x == v {
			vs.list = append(vs.list[:i:i], vs.list[i+1:]...)
			return
		}
	}
}

// viewerLine begins a line of the trace about a viewer.
func (w *world) viewerLine(v *viewer, what string) *tracer {
	return w.line("viewer-"+what).num("viewer", int64(v.number)).text("proto", string(v.proto)).text("stream", v.s.name)
}

// idle says that nobody watches, and nothing is relayed.
func (vs *viewers) idle() bool { return len(vs.list) == 0 && len(vs.relays) == 0 && !vs.relayed() }

// arrange lets the viewers look after [lookEvery], for as long as there are any.
func (vs *viewers) arrange() {
	if vs.looks || vs.idle() {
		return
	}
	vs.looks = true
	vs.w.queue.push(item{at: vs.w.now + lookEvery, do: func() {
		vs.looks = false
		vs.look()
		vs.arrange()
	}})
}

// wake lets the viewers look at an instant.
func (vs *viewers) wake(at time.Duration) {
	if at <= vs.w.now || at >= vs.wakeNext || at == never {
		return
	}
	vs.wakeNext = at
	vs.w.queue.push(item{at: at, do: func() {
		if vs.wakeNext == at {
			vs.wakeNext = never
		}
		vs.look()
	}})
}

// look lets all viewers see what has changed.
func (vs *viewers) look() {
	if vs.looking || vs.idle() {
		return
	}
	vs.looking = true
	for i := 0; i < len(vs.list); i++ {
		vs.list[i].look(vs.w)
	}
	vs.lookRelays()
	vs.sweep()
	vs.looking = false
}

// changed is told that media of a stream begins or ends, or that a node may have published another view.
func (vs *viewers) changed() {
	if vs.soon || vs.looking || len(vs.list) == 0 {
		return
	}
	vs.soon = true
	vs.w.queue.push(item{at: vs.w.now, do: func() {
		vs.soon = false
		vs.look()
	}})
}

// published is told that the control plane of a machine has made a step. If that published another view, viewers look at it,
// as requests that are held do.
func (vs *viewers) published(m *machine) {
	i := m.index
	if len(vs.list) == 0 {
		return
	}
	if p, ok := m.process.(*actorProcess); ok && p.node != nil && p.node.Directory() != vs.madeOf[i] || !ok && m.view() != vs.viewsOf[i] {
		vs.changed()
	}
}

// need says whether viewers get media from a machine, or other machines relay from it.
func (vs *viewers) need(m *machine) bool {
	for _, v := range vs.list {
		if v.host == m && v.phase == playing {
			return true
		}
	}
	for _, r := range vs.relays { // nothing depends on the order
		if r.to == m && r.link == connected && r.boots == r.m.boots {
			return true
		}
	}
	return slices.ContainsFunc(vs.w.machines, func(q *machine) bool {
		return slices.ContainsFunc(q.relaying(), func(r *relay) bool { return r.to == m && r.link == connected })
	})
}

// directory is what the directory of a machine says; nil if it has published nothing yet.
func (vs *viewers) directory(m *machine) *directory.View {
	i := m.index
	if p, ok := m.process.(*actorProcess); ok {
		if p.node == nil {
			return nil
		}
		if v := p.node.Directory(); vs.madeOf[i] != v {
			vs.madeOf[i], vs.views[i] = v, listening(v)
		}
		return vs.views[i]
	}
	v := m.view()
	if v == nil {
		return nil
	}
	if vs.factsOf[i] != any(m.file) {
		vs.facts[i], vs.factsOf[i], vs.viewsOf[i] = node.Facts(m.file), m.file, nil
	}
	if v != vs.viewsOf[i] {
		vs.views[i], vs.viewsOf[i] = listening(directory.ViewOf(v, vs.facts[i])), v
	}
	return vs.views[i]
}

// listening is a view in which all nodes say that they listen at the usual ports, as simulated nodes, which open none, do not.
func listening(v *directory.View) *directory.View {
	c := *v
	c.Nodes = maps.Clone(v.Nodes)
	for name, n := range c.Nodes {
		for _, d := range protocols.Listeners() {
			if d.On {
				*n.Ports.At(d.Listener) = d.Port
			}
		}
		c.Nodes[name] = n
	}
	return &c
}

// request is what a viewer asks host for.
func (v *viewer) request() listen.Request {
	d := protocols.Of(v.proto)
	return listen.Request{Protocol: v.proto, Streams: []string{v.s.name}, Path: d.Path, Host: v.host.name, Hops: v.hops}
}

// ask lets a viewer connect to a machine and ask for its stream.
func (v *viewer) ask(w *world, m *machine, hops int) {
	v.host, v.boots, v.hops, v.phase, v.since, v.demanded = m, m.boots, hops, asking, w.now, -time.Hour
	v.hls = reader{last: -1}
	v.next = w.now
	v.look(w)
}

// end ends the connection of a viewer, who comes back to the entry.
func (v *viewer) end(w *world, why string) {
	w.viewerLine(v, "ends").text("at", v.host.name).text("why", why).causes()
	v.phase, v.since, v.next = away, w.now, w.now+comeBack
	w.oracleEnded(v)
	v.heard = w.now
	w.viewers.wake(v.next)
}

// look lets a viewer see what has changed.
func (v *viewer) look(w *world) {
	m := v.host
	switch {
	case v.gone:
	case v.phase == away:
		if w.now >= v.next {
			v.ask(w, v.entry, 0)
		}
	case !m.up || m.boots != v.boots:
		v.stands(w)
		v.end(w, "the process is gone")
	case m.frozen > 0:
		if w.now-max(v.heard, v.since) >= patience && (v.hops > 0 || v.proto == protocols.HLS || v.phase == asking) {
			v.end(w, "no answer")
		}
	default:
		v.served(w)
	}
	v.downed = v.downed || !v.entry.runs()
	v.stands(w)
	w.oracleLooks(v)
}

// stands notes when the picture of a viewer begins to stand still. That of one who reads playlists does when lost says.
func (v *viewer) stands(w *world) {
	if v.proto != protocols.HLS && v.got >= 0 && v.got < w.now && v.lost < 0 {
		v.lost = w.now
	}
}

// moves notes that media has come with which the picture of a viewer moves for so long.
func (v *viewer) moves(w *world, long time.Duration) {
	if v.lost >= 0 && w.now-v.lost >= noticed {
		w.result.Stills = append(w.result.Stills, Still{v.s.name, v.entry.name, v.proto, v.lost, w.now, v.downed})
	}
	if v.got, v.downed = w.now, false; v.proto == protocols.HLS {
		v.lost = max(v.lost, w.now) + long
	} else {
		v.lost = -1
	}
}

// served lets a viewer have what a node that runs gives it.
func (v *viewer) served(w *world) {
	view := w.viewers.directory(v.host)
	if view == nil {
		return // the process has only begun
	}
	v.demands(w, view)
	switch {
	case v.proto == protocols.HLS:
		v.reads(w, view)
	case v.phase == asking:
		v.decide(w, view)
	default:
		v.carries(w, view)
	}
}

// demands tells the control plane of the host that somebody wants a stream that is captured on demand.
func (v *viewer) demands(w *world, view *directory.View) {
	if x := view.Streams[v.s.name]; x.OnDemand && !x.Disabled && w.now-v.demanded >= controller.LoadEvery {
		v.demanded = w.now
		v.host.demands(v.s)
	}
}

// decide lets the host answer, as the node's router does.
func (v *viewer) decide(w *world, view *directory.View) {
	d := view.Decide(v.request())
decision:
	switch d.Kind {
	case directory.Redirect:
		to := w.announcing(d.Peer)
		if to == nil || to == v.host {
			v.end(w, "sent nowhere")
			return
		}
		w.viewerLine(v, "redirected").text("at", v.host.name).text("to", to.name).causes()
		v.heard = w.now
		v.ask(w, to, v.hops+1)
		return
	case directory.Disabled, directory.Loop:
		v.end(w, "refused")
		return
	case directory.NotFound, directory.Hold:
		switch {
		case d.Kind == directory.Hold && !d.Vain:
			break decision
		case len(w.coworkersOf(v.host, v.s)) == 0:
			v.end(w, cmp.Or(d.Why, "refused"))
			return
		}
		r := w.viewers.relay(v.host, v.s) // which asks the coworkers
		if r.look(); r.flows {
			v.plays(w, r)
			return
		}
		if r.external.state == notFetching || r.external.state == resting {
			v.end(w, "nobody has the stream")
			return
		}
	default:
		r := w.viewers.relay(v.host, v.s)
		if r.look(); r.flows {
			v.plays(w, r)
			return
		}
	}
	if limit := v.hold(d.OnDemand); w.now-v.since >= limit {
		v.end(w, "held for too long")
	} else {
		w.viewers.wake(v.since + limit)
	}
}

// plays begins to carry media to a viewer.
func (v *viewer) plays(w *world, r *relay) {
	v.phase, v.since = playing, w.now
	w.viewerLine(v, "plays").text("at", v.host.name).causes()
	v.takes(w, r)
}

// hold is how long the host holds the viewer's request.
func (v *viewer) hold(onDemand bool) time.Duration {
	d := node.Hold(v.host.file)
	if onDemand {
		d += router.StartUp
	}
	return d
}

// carries lets the host carry media to a viewer.
func (v *viewer) carries(w *world, view *directory.View) {
	if _, listed := view.Streams[v.s.name]; !listed && view.Warm {
		v.end(w, "the stream is gone")
		return
	}
	r := w.viewers.relay(v.host, v.s)
	switch r.look(); {
	case r.flows:
		v.takes(w, r)
	case w.now-v.heard >= listen.MediaDeadline:
		v.end(w, "no media")
	case v.hops > 0 && w.now-v.heard >= patience:
		v.end(w, "the player has no more patience")
	}
}

// takes gives a viewer the newest media of the hub that it reads.
func (v *viewer) takes(w *world, r *relay) {
	v.heard = w.now
	v.moves(w, 0)
	w.oracleUnit(v, r.source, r.newest)
}
