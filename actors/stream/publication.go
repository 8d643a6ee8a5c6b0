package stream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"weir/actors/hub"
	"weir/actors/input"
	"weir/codecs"
)

// A publication brings a publisher's media to the stream's hub. It implements [weir/protocols/listen.Publication];
// SetTracks, Write and Close belong to the publisher's goroutine, the rest to anybody.
type publication struct {
	*input.Monitor
	stream  string
	session string
	now     func() time.Duration
	wall    func() int64
	tell    func(msg any)
	writer  *hub.Writer

	anchored bool
	anchor   int64 // added to the publisher's timestamps, which makes them instants of the wall clock

	heard  atomic.Int64 // when the publisher sent something last, by now
	silent atomic.Bool  // the control plane has been told that the publisher is silent; the next that it sends ends that

	lasts context.Context // ends with the publication; its cause says why
	over  context.CancelCauseFunc

	mu    sync.Mutex
	taken bool
	left  bool // tell knows that the publication has ended
}

var errLeft = errors.New("the publisher has left")

func newPublication(h *hub.Hub, session string, m *input.Monitor, now func() time.Duration, wall func() int64, tell func(any)) *publication {
	m.Begin()
	p := &publication{Monitor: m, stream: h.Name(), session: session, now: now, wall: wall, tell: tell}
	p.lasts, p.over = context.WithCancelCause(context.Background())
	p.Heard()
	// The wall clocks of two nodes differ, and what viewers have may be by that of the publisher's former node.
	p.writer = h.NewWriter(hub.WriterConfig{Loose: true, Taken: func() {
		p.mu.Lock()
		p.taken = true
		p.mu.Unlock()
		tell(arrived{p})
	}})
	return p
}

// Name implements listen.Publication: the name of the stream that is published, out of those that the request allowed.
func (p *publication) Name() string { return p.stream }

// Context implements listen.Publication.
func (p *publication) Context() context.Context { return p.lasts }

// Heard implements listen.Publication.
func (p *publication) Heard() {
	p.heard.Store(int64(p.now()))
	if p.silent.Load() && p.silent.CompareAndSwap(true, false) {
		p.tell(heard{p})
	}
}

// fallsSilent says whether the publisher has been silent for so long that it gives way to one that sends, and was not before. The next
// that it sends is told of.
func (p *publication) fallsSilent(now time.Duration, t Takeover) bool {
	quiet := func() bool { return now-p.lastHeard() >= t.silence() }
	if p.closed() || !quiet() || !p.silent.CompareAndSwap(false, true) {
		return false
	}
	return quiet() || !p.silent.CompareAndSwap(true, false) // it may have sent something meanwhile, of which nobody was told
}

func (p *publication) isSilent() bool { return p.silent.Load() }

// lastHeard is when the publisher sent something last.
func (p *publication) lastHeard() time.Duration { return time.Duration(p.heard.Load()) }

// SetTracks implements listen.Publication.
func (p *publication) SetTracks(t codecs.Tracks) {
	p.Monitor.SetTracks(t)
	p.writer.SetTracks(t)
}

// Write implements listen.Publication.
func (p *publication) Write(au *codecs.AccessUnit) error {
	if p.closed() {
		return context.Cause(p.lasts)
	}
	p.Heard()
	p.Unit(au)
	if !p.anchored {
		p.anchored, p.anchor = true, p.wall()-au.DTS
	}
	moved := *au
	moved.DTS += p.anchor
	moved.PTS += p.anchor
	return p.writer.Write(&moved)
}

// Close implements listen.Publication.
func (p *publication) Close() { p.end(errLeft) }

// end ends the publication; its context says why.
func (p *publication) end(err error) {
	p.mu.Lock()
	first := !p.left
	p.left = true
	p.mu.Unlock()
	if first {
		p.over(err)
		p.writer.Close()
		p.tell(left{p})
	}
}

func (p *publication) closed() bool { return p.lasts.Err() != nil }

func (p *publication) active() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// A Takeover is the silence after which a publisher gives way to another one, or [Always] or [Never]. The zero value is five
// seconds: much longer than encoders pause while they send, and short enough for one that reconnects because its link has died.
type Takeover time.Duration

// The takeovers that do not depend on silence.
const (
	Always Takeover = -1
	Never  Takeover = -2
)

const defaultTakeover = Takeover(5 * time.Second) // as in the reference of the file

// due says whether a publisher that has been silent for so long gives way.
func (t Takeover) due(silence time.Duration) bool {
	switch t {
	case Always:
		return true
	case Never:
		return false
	}
	return silence >= t.silence()
}

// silence is how long a publisher has sent nothing when it counts as silent: then its node's claim of the stream gives way to that
// of a node whose publisher sends, even if the file lets no newcomer in, or each.
func (t Takeover) silence() time.Duration {
	switch t {
	case Always, Never, 0:
		t = defaultTakeover
	}
	return time.Duration(t)
}
