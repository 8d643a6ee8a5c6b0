package hub

import (
	"context"
	"io"
	"sync"

	"weir/codecs"
	"weir/protocols/listen"
)

// Most that one call of Next returns: as many slices as one writev takes, or about a megabyte.
const (
	batchSlices = 256
	batchBytes  = 1 << 20
)

// cursor is a viewer's place in the ring. It belongs to one goroutine.
type cursor struct {
	h       *Hub
	next    uint64
	gen     uint64 // number of the generation whose tracks this viewer has been given; 0: none
	synced  bool   // the viewer has had a random access point since it joined or was moved; without video it needs none
	dropped uint64
	closed  bool
}

// newCursor adds a viewer. start says where it begins, and is called with mu held.
func (h *Hub) newCursor(start func() uint64) cursor {
	h.readers.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	return cursor{h: h, next: start()}
}

// Dropped implements [listen.Feed].
func (c *cursor) Dropped() uint64 { return c.dropped }

// Close implements [listen.Feed].
func (c *cursor) Close() {
	if !c.closed {
		c.closed = true
		c.h.readers.Add(-1)
	}
}

// wait blocks until there is something at the cursor.
func (c *cursor) wait(ctx context.Context) error {
	for {
		wake := *c.h.wake.Load()
		if c.h.published.Load() > c.next {
			return nil
		}
		if c.h.closed.Load() {
			return io.EOF
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take returns the access unit at the cursor and moves on, or nil if there is none yet. A viewer that fell out of the
// ring goes on at the newest random access point.
func (c *cursor) take() *unit {
	for c.next < c.h.published.Load() {
		u := c.h.at(c.next)
		if u == nil {
			c.skip()
			continue
		}
		c.next++
		if !c.synced {
			if u.gen.video >= 0 && !(u.Track == u.gen.video && u.RandomAccess) {
				if c.dropped > 0 { // the viewer was moved; one that joins has missed nothing
					c.count(1)
				}
				continue
			}
			c.synced = true
		}
		return u
	}
	return nil
}

// skip moves a viewer that was too slow to the newest random access point, and counts the access units that it misses.
func (c *cursor) skip() {
	c.h.mu.Lock()
	to := c.h.start()
	if to <= c.next { // that point has left the ring, too: take goes on to the next one
		to = max(c.h.tail.Load(), c.next+1)
	}
	c.h.mu.Unlock()
	c.count(to - c.next)
	c.next, c.synced = to, false
}

// count adds n access units that the viewer missed.
func (c *cursor) count(n uint64) {
	c.dropped += n
	c.h.dropped.Add(n)
}

// form makes one wire form. Its encoder keeps state from one access unit to the next, so it encodes in the order of the
// stream, whichever viewer asks first. Access units that came while the form had no viewer are not encoded.
type form struct {
	name string
	slot int

	mu        sync.Mutex
	mk        func(base int64) codecs.Encoder
	enc       codecs.Encoder // made at the first access unit, with which the base is known
	viewers   int
	next      uint64 // the first access unit that has not been encoded
	gen       *generation
	prologues [2]prologue // of the present generation and the one before, for viewers that lag
}

type prologue struct {
	gen  uint64
	data []byte
}

// Join implements [listen.Source]. It panics when a stream is asked for more than eight different forms, which only a
// program error can do.
func (h *Hub) Join(name string, mk func(base int64) codecs.Encoder) listen.Feed {
	return h.join(name, mk, h.start)
}

// JoinAfter implements [listen.Resumer].
func (h *Hub) JoinAfter(name string, mk func(base int64) codecs.Encoder, dts int64) listen.Feed {
	return h.join(name, mk, func() uint64 { return h.startAfter(dts) })
}

// JoinAgain implements [listen.Returner].
func (h *Hub) JoinAgain(name string, mk func(base int64) codecs.Encoder, left listen.Feed) listen.Feed {
	return h.join(name, mk, func() uint64 {
		if old, ok := left.(*feed); ok && old.h == h {
			return max(h.start(), old.next)
		}
		return h.start()
	})
}

func (h *Hub) join(name string, mk func(base int64) codecs.Encoder, start func() uint64) listen.Feed {
	f := &feed{cursor: h.newCursor(start), form: h.formOf(name, mk)}
	f.form.mu.Lock()
	defer f.form.mu.Unlock()
	if f.form.viewers == 0 {
		if f.next >= f.form.next {
			f.form.gen = nil // the prologue is made anew, with what has been measured since
		}
		f.form.next = max(f.form.next, f.next)
	}
	f.form.viewers++
	return f
}

func (h *Hub) formOf(name string, mk func(base int64) codecs.Encoder) *form {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.forms {
		if f.name == name {
			return f
		}
	}
	if len(h.forms) == forms {
		panic("hub: too many wire forms: " + name)
	}
	f := &form{name: name, slot: len(h.forms), mk: mk}
	h.forms = append(h.forms, f)
	return f
}

// wire returns the access unit u in this wire form. With needPrologue it also returns the prologue of u's generation.
func (f *form) wire(h *Hub, u *unit, needPrologue bool) (wire, prologue []byte) {
	if w := u.wires[f.slot].Load(); w != nil && !needPrologue {
		return *w, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for ; f.next < u.seq; f.next++ {
		if v := h.at(f.next); v != nil {
			f.encode(h, v)
		}
	}
	f.next = max(f.next, u.seq+1)
	f.encode(h, u)
	for _, p := range f.prologues {
		if p.gen == u.gen.number {
			prologue = p.data
		}
	}
	return *u.wires[f.slot].Load(), prologue
}

func (f *form) encode(h *Hub, u *unit) {
	if u.wires[f.slot].Load() != nil {
		return
	}
	if f.enc == nil {
		h.mu.Lock()
		base := h.base
		h.mu.Unlock()
		f.enc = f.mk(base)
	}
	if f.gen != u.gen {
		h.mu.Lock()
		tracks := h.tracks(u.gen)
		h.mu.Unlock()
		f.gen = u.gen
		if f.prologues[0].gen != u.gen.number {
			f.prologues[1] = f.prologues[0]
		}
		f.prologues[0] = prologue{u.gen.number, f.enc.Prologue(tracks)}
	}
	w := f.enc.Encode(u.AccessUnit)
	u.wires[f.slot].Store(&w)
}

// feed implements [listen.Feed].
type feed struct {
	cursor
	form *form
}

// Close implements [listen.Feed].
func (f *feed) Close() {
	if f.closed {
		return
	}
	f.cursor.Close()
	f.form.mu.Lock()
	defer f.form.mu.Unlock()
	f.form.viewers--
}

func (f *feed) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	start, size := len(bufs), 0
	for {
		if err := f.wait(ctx); err != nil {
			return bufs, err
		}
		for len(bufs)-start < batchSlices-1 && size < batchBytes {
			u := f.take()
			if u == nil {
				break
			}
			need := f.gen != u.gen.number
			wire, prologue := f.form.wire(f.h, u, need)
			if need {
				f.gen = u.gen.number
				if len(prologue) > 0 {
					bufs = append(bufs, prologue)
					size += len(prologue)
				}
			}
			if len(wire) > 0 {
				bufs = append(bufs, wire)
				size += len(wire)
			}
		}
		if len(bufs) > start {
			return bufs, nil
		}
	}
}

// Units implements [listen.Source].
func (h *Hub) Units() listen.UnitFeed { return &unitFeed{cursor: h.newCursor(h.start)} }

// unitFeed implements [listen.UnitFeed].
type unitFeed struct {
	cursor
	held *unit // the first access unit of new tracks, due at the next call
}

func (f *unitFeed) Next(ctx context.Context, dst []*codecs.AccessUnit) ([]*codecs.AccessUnit, codecs.Tracks, error) {
	start, size := len(dst), 0
	if f.held != nil {
		dst = append(dst, f.held.AccessUnit)
		f.held = nil
	}
	for {
		if len(dst) == start {
			if err := f.wait(ctx); err != nil {
				return dst, nil, err
			}
		}
		for len(dst)-start < batchSlices && size < batchBytes {
			u := f.take()
			if u == nil {
				break
			}
			if f.gen != u.gen.number {
				if len(dst) > start { // the access units of the former tracks are returned first
					f.next--
					break
				}
				f.gen, f.held = u.gen.number, u
				return dst, u.gen.tracks, nil
			}
			dst = append(dst, u.AccessUnit)
			size += len(u.Payload)
		}
		if len(dst) > start {
			return dst, nil, nil
		}
	}
}
