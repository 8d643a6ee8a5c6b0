package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// WriteDeadline is how long a socket may accept nothing before its viewer is given up. [Carry] renews the deadline only
// when less than half of it is left, so the patience lies between the half and the whole.
const WriteDeadline = 10 * time.Second

// cancelGrace is how long a write that is under way when the context ends may take to finish. A viewer that reads takes
// the rest of the message well within it, and the connection is left at a message boundary; one that does not is cut.
const cancelGrace = 250 * time.Millisecond

// recordSize is the most plaintext that one TLS record holds (RFC 8446, 5.1). Connections that cannot gather are
// written in pieces of it.
const recordSize = 16 << 10

// ErrCut says that a write was given up in the middle: the other side has part of a message, and nothing sensible can
// follow on this connection.
var ErrCut = errors.New("connection cut in the middle of a message")

// A BuffersWriter is a connection around another one that may still gather: all buffers go out in one system call.
// WriteBuffers consumes v as [net.Buffers.WriteTo] does. Where the connection does not gather, Carry copies the media into
// pieces of 16 KB.
type BuffersWriter interface {
	Gathers() bool
	WriteBuffers(v *net.Buffers) (int64, error)
}

// Carry writes to conn what feed brings, until the feed ends, the connection fails or ctx ends. What is pending goes
// out in one system call, and nothing is allocated per call. sent, which may be nil, counts the bytes that the socket
// took.
//
// It returns nil when the stream ended. When it returns an error that is [ErrCut], conn must be closed; after every
// other return the connection is at a message boundary and the write deadline is off, so another Carry can go on with a
// new feed. The feed remains the caller's to close. While Carry runs no other goroutine may write to conn or set its write
// deadline.
func Carry(ctx context.Context, conn net.Conn, feed Feed, sent *atomic.Uint64) error {
	c := carrier{ctx: ctx, conn: conn, sent: sent}
	c.lock, _ = conn.(sync.Locker)
	switch w := conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		c.gathers = true
	case BuffersWriter:
		c.gathers, c.writer = w.Gathers(), w
	}
	if !c.gathers {
		c.record = make([]byte, 0, recordSize)
	}
	if nd, ok := conn.(interface{ SetNoDelay(bool) error }); ok {
		// Media is sent in large batches, where Nagle's algorithm saves small segments; whatever is said on this
		// connection before and after is short and waited for.
		_ = nd.SetNoDelay(false)
		defer func() { _ = nd.SetNoDelay(true) }()
	}

	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		_ = conn.SetWriteDeadline(time.Now().Add(cancelGrace))
	})
	defer func() {
		if !stop() {
			<-cancelled // or it would set its deadline on the connection's next use
		}
		_ = conn.SetWriteDeadline(time.Time{})
	}()

	bufs := make([][]byte, 0, 256)
	for {
		var err error
		bufs, err = feed.Next(ctx, bufs[:0])
		if len(bufs) > 0 {
			if werr := c.write(bufs); werr != nil {
				return werr
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		default:
			return fmt.Errorf("waiting for media: %w", err)
		}
	}
}

// A carrier is the state of one Carry.
type carrier struct {
	ctx  context.Context
	conn net.Conn
	sent *atomic.Uint64

	lock    sync.Locker // nil: no other goroutine writes
	gathers bool
	writer  BuffersWriter // nil for the connections of net itself
	pending net.Buffers   // what WriteTo consumes; here because it would escape from a frame at each call
	record  []byte        // collects a piece for connections that do not gather

	deadline time.Time // the write deadline in force; zero before the first
}

// write sends all of bufs and forgets them.
func (c *carrier) write(bufs [][]byte) error {
	defer clear(bufs) // a waiting viewer must not keep media alive
	if c.lock != nil {
		c.lock.Lock()
		defer c.lock.Unlock()
	}
	if c.gathers {
		return c.gather(bufs)
	}
	for _, b := range bufs {
		for len(b) > 0 {
			n := min(len(b), cap(c.record)-len(c.record))
			c.record = append(c.record, b[:n]...)
			b = b[n:]
			if len(c.record) == cap(c.record) {
				if err := c.flush(); err != nil {
					return err
				}
			}
		}
	}
	return c.flush()
}

func (c *carrier) gather(bufs [][]byte) error {
	c.pending = bufs
	for {
		if err := c.arm(); err != nil {
			return err
		}
		var n int64
		var err error
		if c.writer != nil {
			n, err = c.writer.WriteBuffers(&c.pending)
		} else {
			n, err = c.pending.WriteTo(c.conn)
		}
		c.count(n)
		if err == nil {
			return nil
		}
		// The deadline is for a socket that accepts nothing. A slow one goes on; the ring decides what it misses.
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.ctx.Err() == nil {
			c.deadline = time.Time{}
			continue
		}
		return c.cut(err)
	}
}

func (c *carrier) flush() error {
	if len(c.record) == 0 {
		return nil
	}
	if err := c.arm(); err != nil {
		return err
	}
	n, err := c.conn.Write(c.record)
	c.record = c.record[:0]
	c.count(int64(n))
	if err != nil {
		// TLS cannot go on after a write that timed out, not even where nothing was sent.
		return c.cut(err)
	}
	return nil
}

// arm renews the write deadline if it would expire soon.
func (c *carrier) arm() error {
	now := time.Now()
	if c.deadline.Sub(now) >= WriteDeadline/2 && c.ctx.Err() == nil {
		return nil
	}
	c.deadline = now.Add(WriteDeadline)
	err := c.conn.SetWriteDeadline(c.deadline)
	if err == nil && c.ctx.Err() != nil {
		// The context ended and its deadline may just have been overwritten.
		err = c.conn.SetWriteDeadline(now.Add(cancelGrace))
	}
	if err != nil {
		return c.cut(err)
	}
	return nil
}

func (c *carrier) count(n int64) {
	if c.sent != nil && n > 0 {
		c.sent.Add(uint64(n))
	}
}

func (c *carrier) cut(err error) error {
	if cause := c.ctx.Err(); cause != nil {
		return fmt.Errorf("writing media: %w: %w (%w)", ErrCut, err, cause)
	}
	return fmt.Errorf("writing media: %w: %w", ErrCut, err)
}

// Counted returns feed, whose drops it adds to dropped as they happen, so that other goroutines see them.
func Counted(feed Feed, dropped *atomic.Uint64) Feed {
	return &countedFeed{Feed: feed, dropped: dropped}
}

type countedFeed struct {
	Feed
	dropped *atomic.Uint64
	counted uint64 // of this feed's
}

// Next implements [Feed].
func (f *countedFeed) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	bufs, err := f.Feed.Next(ctx, bufs)
	if n := f.Feed.Dropped(); n != f.counted {
		f.dropped.Add(n - f.counted)
		f.counted = n
	}
	return bufs, err
}
