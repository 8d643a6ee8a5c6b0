package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/actors/stream"
	"weir/cluster/control"
	"weir/cluster/node"
	"weir/codecs"
	"weir/protocols/listen"
	"weir/sim/oracle"
)

// The media of simulated actors goes through their hubs, beside the mailboxes, as in a node. It is made when somebody looks: a look
// lets the capture of a node write what is newest into its hub, lets each relay carry that from the hub of one node to that of the
// next, and lets the viewers read the hub of their own node. An access unit says in its payload which place of the source's media
// it is, as those of the test pattern do.

// tracks are those of every simulated stream: one of video, of which every access unit is a random access point.
var tracks = codecs.Tracks{{Codec: codecs.H264}}

// picture is how long an access unit lasts. The pictures of one source begin at the same places for every node, as those of the test
// pattern do.
const picture = 40 * time.Millisecond

// accessUnit is the one at a place of a source's media.
func accessUnit(source uint64, place time.Duration) *codecs.AccessUnit {
	at := int64(place/time.Microsecond) * 9 / 100
	index := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, source), uint64(place))
	return &codecs.AccessUnit{DTS: at, PTS: at, RandomAccess: true, Payload: index}
}

// picture is the place of the newest access unit of a capture.
func (f *feed) picture() time.Duration { return f.place(f.m.w.now).Truncate(picture) }

// placeOf is the place that an access unit is of, and the source.
func placeOf(au *codecs.AccessUnit) (source uint64, place time.Duration) {
	return binary.BigEndian.Uint64(au.Payload), time.Duration(binary.BigEndian.Uint64(au.Payload[8:]))
}

// over is a context that has ended, with which a reader of a hub takes what is there and does not wait.
var over = func() context.Context {
	ctx, end := context.WithCancel(context.Background())
	end()
	return ctx
}()

// A hubReader is the place of a node's viewers in the hub of a stream. Those of one stream share it, since they read the same.
type hubReader struct {
	live  *stream.Live
	asked chan *stream.Live // the answer that the supervisor of streams owes; nil: none
	since time.Duration     // when that was asked for
	feed  listen.UnitFeed
	units []*codecs.AccessUnit
}

// close leaves the hub.
func (h *hubReader) close() {
	if h != nil && h.feed != nil {
		h.feed.Close()
		h.feed, h.live = nil, nil
	}
}

// join asks for the stream, as the router does, and joins its hub.
func (h *hubReader) join(r *relay, p *actorProcess) {
	h.close()
	if live, is, ok := p.node.Registry().Get(r.s.name); ok && is.Role == stream.Capturing && !live.Hub.Closed() {
		h.live = live
	}
	if h.live == nil && (h.asked == nil || r.w.now-h.since >= node.Hold(r.m.file)) {
		h.asked, h.since = make(chan *stream.Live, 1), r.w.now
		p.send(p.node.Streams(), stream.Want{Stream: r.s.name, Reply: h.asked})
	}
	select {
	case h.live = <-h.asked:
	default:
	}
	if h.live != nil {
		h.asked = nil
		h.feed = h.live.Hub.Units()
	}
}

// read takes what has come into the hub of the stream, after its writers have been given the occasion to bring something.
func (r *relay) read() {
	p, h := r.m.process.(*actorProcess), r.hub
	if p == nil || p.node == nil || r.looking {
		return
	}
	if h.live == nil || h.live.Hub.Closed() {
		h.join(r, p)
	}
	if h.live == nil {
		r.flows = false
		return
	}
	r.looking, r.s.read, p.read[r.s.index] = true, r.w.now, r.w.now
	p.bring(r.s)
	r.looking = false
	came := false
	for {
		var err error
		if h.units, _, err = h.feed.Next(over, h.units[:0]); err != nil {
			break // nothing more is there
		}
		for _, au := range h.units {
			r.source, r.newest = placeOf(au)
			came = true
		}
	}
	r.flows = came || r.flows && r.looked == r.w.now
	r.looked = r.w.now
}

// bring lets whatever writes to the hub of a stream write.
func (p *actorProcess) bring(s *streamTruth) {
	if f := p.m.captures[s.index].feed; f != nil && f.delivers() {
		switch c := f.ref.(type) {
		case *connection:
			c.bring()
		case listen.Publication:
			if f.picture() > f.newest {
				p.writePublished(f, c)
			}
		}
	}
	if up := p.relays[s.index]; up != nil && !up.looking {
		up.looking = true
		up.upstream()
		up.looking = false
	}
}

// A relaySource follows another node, through the simulated network.
type relaySource struct {
	p    *actorProcess
	name string
}

// A relayFeed is what the relay input of a stream runs.
type relayFeed struct {
	p     *actorProcess
	w     input.Writer
	owner *actor.PID
	task  *act.Task
	began time.Duration
	told  bool // that it goes on for too long
}

// Start implements [input.Source].
func (a relaySource) Start(_ act.Env, owner *actor.PID, w input.Writer) *act.Task {
	p := a.p
	r := newRelay(p.m, p.w.byName[a.name])
	r.feed = &relayFeed{p: p, w: w, owner: owner, began: p.w.now}
	r.feed.task = &act.Task{Done: make(chan struct{}), Stop: func() { p.unrelay(r) }}
	p.relays[r.s.index] = r
	p.w.viewers.changed()
	p.w.viewers.arrange()
	return r.feed.task
}

// unrelay forgets a relay that has ended.
func (p *actorProcess) unrelay(r *relay) {
	if p.relays[r.s.index] == r {
		delete(p.relays, r.s.index)
		p.m.later(restarts, func() { p.relayEnded(r.s) })
	}
}

const (
	// restarts is longer than an input that has failed once needs to begin again.
	restarts = 500 * time.Millisecond

	// idleSlack is for what ends a relay: a clock that runs slow, and looks at the relay that are apart.
	idleSlack = time.Second

	// beside is the longest that a node relays a stream beside its own capture, which has been given up for another node.
	beside = stream.LongestRelease + time.Second
)

// relayEnded is one half of I35: a relay does not end while the stream is watched, nor too soon after that. Where the node captures the
// stream itself, or an actor has failed, it may.
func (p *actorProcess) relayEnded(s *streamTruth) {
	m, w := p.m, p.w
	read, ok := p.read[s.index]
	if !ok || p.ended || p.relays[s.index] != nil || m.captures[s.index].feed != nil || m.kills > 0 || w.checks.edit[m.index] > 0 || !m.keeps(s) {
		return
	}
	idle := w.now - restarts - read
	w.checks.hold(oracle.I35, idle >= stream.ShortestIdle-lookEvery, s, []string{m.name}, "%s relays it no more %v after it was watched, want at least %v", m.name, idle, stream.ShortestIdle)
}

// judgeRelay is the other half of I35: a relay ends soon after the last viewer has left, and when the node captures the stream itself.
func (p *actorProcess) judgeRelay(r *relay) {
	m, w := p.m, p.w
	read, f := max(p.read[r.s.index], r.feed.began), m.captures[r.s.index].feed
	if m.kills > 0 || len(p.blocked) > 0 || m.frozenAt > 0 || !m.keeps(r.s) {
		return
	}
	idle := w.now - read
	w.checks.hold(oracle.I35, idle <= stream.LongestIdle+idleSlack+m.lag || r.feed.told, r.s, []string{m.name}, "%s relays it %v after it was watched, want at most %v", m.name, idle, stream.LongestIdle)
	if f != nil && f.delivers() && f.state == control.Running {
		both := w.now - max(r.feed.began, f.upAt)
		w.checks.hold(oracle.I35, both <= beside+m.lag || r.feed.told, r.s, []string{m.name}, "%s relays it beside its own capture for %v, want at most %v", m.name, both, beside)
		r.feed.told = r.feed.told || both > beside+m.lag
	}
	r.feed.told = r.feed.told || idle > stream.LongestIdle+idleSlack+m.lag
}

// rejoin says that media comes from another node from now on.
func (r *relay) rejoin() {
	if r.feed != nil {
		r.feed.w.Rejoin()
		r.feed.w.SetTracks(tracks)
	}
}

// pullHub takes what is newest in the hub of the other node.
func (r *relay) pullHub() {
	up := r.w.viewers.relay(r.to, r.s)
	switch {
	case up.looking: // the two follow each other
		return
	case up.hub.live != nil && up.hub.live.Hub.Closed(): // that ends the connection
		r.fail()
		return
	}
	if up.look(); up.flows {
		if r.source != up.source {
			r.source, r.newest = up.source, up.newest
		}
		r.receive(up.newest)
	}
}

// bring writes media into the hub of the stream.
func (r *relay) bring(place time.Duration) {
	p := r.feed.p
	err := r.feed.w.Write(accessUnit(r.source, place))
	if errors.Is(err, hub.ErrReplaced) || errors.Is(err, hub.ErrClosed) {
		p.unrelay(r)
		p.send(r.feed.owner, act.Ended{Task: r.feed.task, Err: err})
		return
	}
	p.w.actors.run()
}

// relaying are the relays that run at a machine, by the index of their stream.
func (m *machine) relaying() (list []*relay) {
	p, ok := m.process.(*actorProcess)
	if !ok || p.ended || len(p.relays) == 0 {
		return nil
	}
	for i := range p.w.streams {
		if r := p.relays[i]; r != nil {
			list = append(list, r)
		}
	}
	return list
}

// lookRelays lets the relays of all machines go on, those too that nobody watches.
func (vs *viewers) lookRelays() {
	for _, m := range vs.w.machines {
		for _, r := range m.relaying() {
			if m.runs() && !r.looking {
				p := m.process.(*actorProcess)
				p.bring(r.s)
				p.judgeRelay(r)
			}
		}
	}
}

// relayed says whether any machine relays.
func (vs *viewers) relayed() bool {
	return slices.ContainsFunc(vs.w.machines, func(m *machine) bool { return len(m.relaying()) > 0 })
}

// watched says whether the hub of a stream at any node has been read a moment ago, so that the node may go on with the stream; of
// the empty name, whether any has.
func (w *world) watched(name string) bool {
	recent := func(s *streamTruth) bool { return s.read > 0 && w.now-s.read <= stream.LongestRelease+lookEvery }
	if name == "" {
		return slices.ContainsFunc(w.streams, recent)
	}
	return recent(w.byName[name])
}

// judgeInputs is I36: an input that a node shows as the active one is the one that brings media, and shows no failure.
func (p *actorProcess) judgeInputs() {
	m, w := p.m, p.w
	if p.node == nil || !m.runs() || len(p.blocked) > 0 {
		return
	}
	for _, s := range w.streams {
		_, snap, ok := p.node.Registry().Get(s.name)
		if !ok {
			continue
		}
		f := m.captures[s.index].feed
		for _, in := range snap.Inputs {
			if !in.Active || !in.Own {
				continue
			}
			w.checks.hold(oracle.I36, f != nil && f.upAt >= 0 && in.Err == "", s, []string{m.name}, "%s shows an active input with the failure %q", m.name, in.Err)
		}
	}
}
