package real

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/protocols/rtmp"
	"weir/sim"
)

// A told is what a publisher was told, and when.
type told struct {
	At           time.Time
	Node, Stream string
	What         string // "start", "refused" or "ended"
	Why          string
}

// A publisher sends a stream to a node over RTMP, once: it does not come back.
type publisher struct {
	stream string
	node   *node
	cancel context.CancelFunc
	over   chan struct{}

	mu    sync.Mutex
	conn  net.Conn // nil before it is connected
	muted bool     // it has lost its connection, and the node does not learn of it
}

// publish lets a publisher come to a node.
func (g *group) publish(ctx context.Context, n *node, stream string) *publisher {
	ctx, cancel := context.WithCancel(ctx)
	p := &publisher{stream: stream, node: n, cancel: cancel, over: make(chan struct{})}
	g.mu.Lock()
	g.publishers = append(g.publishers, p)
	g.mu.Unlock()
	g.running.Go(func() {
		defer close(p.over)
		defer cancel()
		p.run(ctx, g)
	})
	return p
}

// encode publishes a stream at one of some nodes after the other, until the context ends.
func (g *group) encode(ctx context.Context, nodes []*node, stream string, back sim.Range, rng *rand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		<-g.publish(ctx, nodes[i%len(nodes)], stream).over
		wait(ctx, back.Min+time.Duration(rng.Int64N(int64(max(0, back.Max-back.Min))+1)))
	}
}

// drop breaks the connections of the publishers of streams. Where that is silent the nodes do not learn of it.
func (g *group) drop(names []string, silent bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.publishers {
		if names == nil || slices.Contains(names, p.stream) {
			p.lose(silent)
		}
	}
}

// lose breaks the connection of a publisher.
func (p *publisher) lose(silent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.conn == nil:
	case silent:
		p.muted = true
	default:
		_ = p.conn.Close() // its goroutine notices
	}
}

// dial connects, and keeps the connection for lose.
func (p *publisher) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = c
	return c, err
}

func (p *publisher) isMuted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.muted
}

var errLost = errors.New("the connection is lost")

func (p *publisher) run(ctx context.Context, g *group) {
	note := func(what string, err error) {
		t := told{At: time.Now(), Node: p.node.name, Stream: p.stream, What: what}
		if err != nil {
			t.Why = err.Error()
		}
		g.mu.Lock()
		g.told = append(g.told, t)
		g.mu.Unlock()
	}
	c, err := rtmp.Dial(ctx, "rtmp://"+address(p.node.host, g.ports.rtmp)+"/live/"+p.stream, rtmp.ClientConfig{Timeout: 10 * time.Second, DialContext: p.dial})
	if err == nil {
		defer func() {
			if !p.isMuted() { // otherwise it lingers until the run ends
				_ = c.Close() // a connection that breaks has been noted
			}
		}()
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		defer stop()
		err = c.Publish()
	}
	if err != nil {
		note("refused", err)
		return
	}
	note("start", nil)
	h := &hold{Stream: p.stream, Node: p.node.name, publisher: p, From: time.Now()}
	g.sources.note(func() { g.sources.holds = append(g.sources.holds, h) })
	err = p.send(ctx, g, c, h)
	g.sources.note(func() { h.To = time.Now() })
	note("ended", err)
}

// send sends what is on air until the context ends or the node closes the connection.
func (p *publisher) send(ctx context.Context, g *group, c *rtmp.Client, h *hold) error {
	closed := make(chan error, 1)
	g.running.Go(func() { closed <- c.Drain() })
	mux := flv.NewMuxer(ticks(time.Now()))
	for _, t := range mux.SetTracks(g.pattern.Tracks()) {
		if err := c.WriteTag(t); err != nil {
			return err
		}
	}
	err := g.pattern.live(ctx, func(au *codecs.AccessUnit) error {
		select {
		case err := <-closed:
			return fmt.Errorf("told by the node: %w", err)
		default:
		}
		if p.isMuted() {
			return errLost
		}
		head, ok := mux.Head(au)
		if !ok {
			return errors.New("the test picture cannot be published")
		}
		if err := c.WriteTag(flv.Tag{Type: head.Type, Timestamp: head.Timestamp, Body: append(head.Bytes(), au.Payload...)}); err != nil {
			return err
		}
		if h.Up.IsZero() {
			g.sources.note(func() { h.Up = time.Now() })
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}
