package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"weir/codecs"
	"weir/protocols"
	"weir/protocols/listen"
)

// idle is after how long without media a keep-alive is sent. A reader's patience must be some times that.
const idle = time.Second

// endTimeout bounds how long the other node may leave the last record unread.
const endTimeout = 5 * time.Second

// A client is a node that pulls a stream from here. It implements [listen.Client].
type client struct {
	conn    net.Conn
	request listen.Request
	log     *slog.Logger

	source  listen.Source // for the first Serve, which consumes it; later ones ask the router
	after   *int64        // what the other node has already, for the first Serve; nil: nothing
	sent    atomic.Uint64
	read    atomic.Uint64
	dropped atomic.Uint64

	closeOnce sync.Once
}

// Serve implements [listen.Client].
func (c *client) Serve(ctx context.Context, d listen.Router) error {
	source, after := c.source, c.after
	c.source, c.after = nil, nil
	if source == nil {
		answer := d.Play(ctx, c.request)
		if answer.Verdict != listen.Serve || answer.Source == nil {
			return c.finish(endMoved)
		}
		source = answer.Source
	}
	present, left := c.watch(ctx)
	defer left()

	feed := &keptAlive{Feed: listen.Counted(c.join(source, after), &c.dropped)}
	defer feed.Close()
	err := listen.Carry(present, c.conn, feed, &c.sent)
	switch {
	case err == nil:
		return c.finish(endStream)
	case present.Err() != nil && ctx.Err() == nil: // the other node left, or Close was called
		_ = c.Close()
		return nil
	case errors.Is(err, listen.ErrCut):
		_ = c.Close()
	}
	return fmt.Errorf("relaying %s: %w", source.Name(), err)
}

func (c *client) join(source listen.Source, after *int64) listen.Feed {
	mk := func(int64) codecs.Encoder { return NewEncoder(c.log.With(slog.String("stream", source.Name()))) }
	if r, ok := source.(listen.Resumer); ok && after != nil {
		return r.JoinAfter(form, mk, *after)
	}
	return source.Join(form, mk)
}

// finish says why the relay ends, and closes.
func (c *client) finish(e end) error {
	defer func() { _ = c.Close() }()
	if err := c.conn.SetWriteDeadline(time.Now().Add(endTimeout)); err != nil {
		return fmt.Errorf("ending a relay: %w", err)
	}
	if _, err := c.conn.Write(e.record()); err != nil {
		return fmt.Errorf("ending a relay: %w", err)
	}
	return nil
}

// watch returns a context that ends with ctx, and when the other side closes the connection; nothing else is expected
// from there. left ends the watching and must be called.
func (c *client) watch(ctx context.Context) (present context.Context, left func()) {
	present, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	_ = c.conn.SetReadDeadline(time.Time{})
	go func() {
		defer close(done)
		defer cancel()
		var b [256]byte
		for {
			n, err := c.conn.Read(b[:])
			c.read.Add(uint64(max(n, 0)))
			if err != nil {
				return
			}
		}
	}()
	return present, func() {
		cancel()
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		<-done
	}
}

// Close implements [listen.Client].
func (c *client) Close() error {
	var err error
	c.closeOnce.Do(func() { err = c.conn.Close() })
	return err
}

// Stats implements [listen.Client].
func (c *client) Stats() listen.ClientStats {
	return listen.ClientStats{
		Protocol: protocols.Relay,
		Remote:   c.request.Remote,
		Stream:   c.request.Streams[0],
		Edge:     c.request.Edge,
		BytesIn:  c.read.Load(),
		BytesOut: c.sent.Load(),
		Dropped:  c.dropped.Load(),
	}
}

// keptAlive is a feed that brings a keep-alive when the feed within it has brought nothing for the length of idle.
type keptAlive struct {
	listen.Feed

	// waiting is the context under which the feed within waits. It ends when timer fires, which is put off whenever
	// media comes, so that nothing is allocated while media flows.
	waiting context.Context
	cancel  context.CancelFunc
	timer   *time.Timer
}

// Next implements [listen.Feed]. All calls must have the same context.
func (k *keptAlive) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	if k.waiting == nil {
		k.waiting, k.cancel = context.WithCancel(ctx)
		k.timer = time.AfterFunc(idle, k.cancel)
	} else {
		k.timer.Reset(idle)
	}
	bufs, err := k.Feed.Next(k.waiting, bufs)
	if err != nil && k.waiting.Err() != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		k.cancel()
		k.waiting = nil
		return append(bufs, keepAlive), nil
	}
	return bufs, err
}

// Close implements [listen.Feed].
func (k *keptAlive) Close() {
	if k.waiting != nil {
		k.timer.Stop()
		k.cancel()
	}
	k.Feed.Close()
}
