package stream

import (
	"errors"
	"sync"

	"weir/actors/hub"
	"weir/actors/input"
	"weir/codecs"
)

// A publication brings a publisher's media to the stream's hub. It implements [weir/protocols/listen.Publication];
// SetTracks, Write and Close belong to the publisher's goroutine, the rest to anybody.
type publication struct {
	input.Monitor
	stream  string
	session string
	wall    func() int64
	tell    func(msg any)
	writer  *hub.Writer

	anchored bool
	anchor   int64 // added to the publisher's timestamps, which makes them instants of the wall clock

	mu    sync.Mutex
	taken bool
	over  error // why it ended; nil while it goes on
}

var errLeft = errors.New("the publisher has left")

func newPublication(h *hub.Hub, session string, wall func() int64, tell func(any)) *publication {
	p := &publication{stream: h.Name(), session: session, wall: wall, tell: tell}
	p.writer = h.NewWriter(hub.WriterConfig{Taken: func() {
		p.mu.Lock()
		p.taken = true
		p.mu.Unlock()
		tell(arrived{p})
	}})
	return p
}

// Name implements listen.Publication: the name of the stream that is published, out of those that the request allowed.
func (p *publication) Name() string { return p.stream }

// SetTracks implements listen.Publication.
func (p *publication) SetTracks(t codecs.Tracks) { p.writer.SetTracks(t) }

// Write implements listen.Publication.
func (p *publication) Write(au *codecs.AccessUnit) error {
	p.mu.Lock()
	over := p.over
	p.mu.Unlock()
	if over != nil {
		return over
	}
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

// end ends the publication; the publisher is told err by its next Write.
func (p *publication) end(err error) {
	p.mu.Lock()
	first := p.over == nil
	if first {
		p.over = err
	}
	p.mu.Unlock()
	if first {
		p.writer.Close()
		p.tell(left{p})
	}
}

func (p *publication) closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over != nil
}

func (p *publication) active() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}
