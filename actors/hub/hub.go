// Package hub carries the media of one stream from its input to any number of viewers, beside the mailboxes.
//
// A hub is a ring of access units with one writer at a time; each viewer holds a cursor into it and nothing else, so
// a slow one costs the others nothing. Wire forms are made once per stream and shared. The hub knows no actor, no
// protocol and no reason: which input may write and which viewers may join is decided elsewhere.
package hub

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weir/codecs"
	"weir/codecs/gop"
	"weir/protocols/listen"
)

// Config sizes a hub. Zero fields take the defaults.
type Config struct {
	// Units is the most access units that the ring holds; 2048 by default. It is rounded up to a power of two.
	Units int

	// Bytes is the most payload that the ring holds; 16 MB by default. The newest access unit is kept whatever its size.
	Bytes int

	// Tick is how long written media may wait before viewers are woken, so that each wake-up and each socket write
	// serves several access units; 40 ms by default, and 100 ms above [manyViewers] viewers. Negative: no waiting.
	Tick time.Duration
}

// manyViewers is the number of viewers above which the default tick is slowTick: from there on the number of socket writes
// decides how many viewers a node can serve.
const manyViewers = 200

const slowTick = 100 * time.Millisecond

// forms is the most wire forms that one hub makes.
const forms = 8

// A Hub is the media of one stream. It implements [listen.Source].
type Hub struct {
	name string
	cfg  Config // its Tick is that of the beginning; see tick
	mask uint64

	ring []atomic.Pointer[unit]

	// published is the sequence number after the last access unit that viewers may see; tail that of the oldest one
	// that is still held. Sequence numbers start at 1.
	published, tail atomic.Uint64
	wake            atomic.Pointer[chan struct{}]
	readers         atomic.Int64
	dropped         atomic.Uint64
	written         atomic.Uint64
	pictures        atomic.Uint64
	volume          atomic.Uint64
	closed          atomic.Bool

	ready     chan struct{} // closed when the first random access point can be seen
	readyOnce sync.Once

	mu      sync.Mutex // what follows; writers hold it for each access unit, viewers when they come and go
	gen     *generation
	head    uint64 // the sequence number of the next access unit
	bytes   int
	index   gop.Index
	writer  *Writer // nil: nobody writes
	last    []int64 // newest DTS by track of gen
	wrote   time.Time
	pace    pace // of the pictures of gen
	tick    time.Duration
	grows   bool // the tick grows with the number of viewers
	flush   *time.Timer
	waiting bool // flush is armed
	base    int64
	hasBase bool
	forms   []*form
}

// A generation is a list of tracks and the access units that belong to it.
type generation struct {
	tracks codecs.Tracks
	video  int // index of the video track, or -1
	number uint64
}

// unit is an access unit in the ring, with its wire forms. All but wires is immutable.
type unit struct {
	*codecs.AccessUnit
	seq   uint64
	gen   *generation
	wires [forms]atomic.Pointer[[]byte]
}

// New makes the hub of the stream of that name.
func New(name string, cfg Config) *Hub {
	if cfg.Units <= 0 {
		cfg.Units = 2048
	}
	if cfg.Bytes <= 0 {
		cfg.Bytes = 16 << 20
	}
	size := uint64(1)
	for size < uint64(cfg.Units) {
		size *= 2
	}
	h := &Hub{name: name, cfg: cfg, mask: size - 1, ring: make([]atomic.Pointer[unit], size), head: 1, ready: make(chan struct{})}
	h.SetTick(cfg.Tick)
	h.published.Store(1)
	h.tail.Store(1)
	h.wakeAll()
	return h
}

// SetTick changes [Config.Tick].
func (h *Hub) SetTick(tick time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick, h.grows = tick, tick == 0
	if h.grows {
		h.tick = 40 * time.Millisecond
	}
}

// Name implements [listen.Source].
func (h *Hub) Name() string { return h.name }

// Tracks implements [listen.Source]; nil before any were announced.
func (h *Hub) Tracks() codecs.Tracks {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gen == nil {
		return nil
	}
	return h.tracks(h.gen)
}

// tracks are those of a generation, with the frame rate that was measured where nothing tells one. The caller holds mu.
func (h *Hub) tracks(g *generation) codecs.Tracks {
	if g != h.gen || g.video < 0 || g.tracks[g.video].FrameRate > 0 {
		return g.tracks
	}
	tracks := slices.Clone(g.tracks)
	tracks[g.video].FrameRate = h.pace.rate()
	return tracks
}

// Ready is closed once a viewer that joins gets media at once.
func (h *Hub) Ready() <-chan struct{} { return h.ready }

// Readers is the number of viewers, those in the form of access units included.
func (h *Hub) Readers() int { return int(h.readers.Load()) }

// Dropped is the number of access units that viewers have skipped because they were too slow, all together.
func (h *Hub) Dropped() uint64 { return h.dropped.Load() }

// Written is the number of access units written so far.
func (h *Hub) Written() uint64 { return h.written.Load() }

// Pictures is the number of access units of video among them.
func (h *Hub) Pictures() uint64 { return h.pictures.Load() }

// Volume is the payload written so far, in bytes.
func (h *Hub) Volume() uint64 { return h.volume.Load() }

// Closed says whether the stream has ended for good.
func (h *Hub) Closed() bool { return h.closed.Load() }

// Close ends the stream for all viewers and refuses all writers.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed.Swap(true) {
		return
	}
	h.writer = nil
	if h.flush != nil {
		h.flush.Stop()
	}
	h.publish()
}

// append puts an access unit into the ring. The caller holds mu.
func (h *Hub) append(au *codecs.AccessUnit) {
	u := &unit{AccessUnit: au, seq: h.head, gen: h.gen}
	slot := &h.ring[h.head&h.mask]
	tail := h.tail.Load()
	if h.head-tail > h.mask {
		tail = h.drop(tail)
	}
	h.bytes += len(au.Payload)
	for h.bytes > h.cfg.Bytes && tail < h.head {
		tail = h.drop(tail)
	}
	h.tail.Store(tail)
	h.index.Trim(tail)
	slot.Store(u)
	h.index.Add(h.head, au, h.gen.video >= 0)
	h.head++
	h.wrote = time.Now()
	h.written.Add(1)
	if au.Track == h.gen.video {
		h.pictures.Add(1)
		h.pace.add(au)
	}
	h.volume.Add(uint64(len(au.Payload)))
	if !h.hasBase {
		h.base, h.hasBase = au.DTS, true
	}
}

// drop forgets the access unit at tail and returns the new tail. The caller holds mu.
func (h *Hub) drop(tail uint64) uint64 {
	slot := &h.ring[tail&h.mask]
	if u := slot.Load(); u != nil && u.seq == tail {
		h.bytes -= len(u.Payload)
		slot.Store(nil)
	}
	return tail + 1
}

// schedule publishes what has been written, now or at the tick. The caller holds mu.
func (h *Hub) schedule() {
	if h.waiting {
		return
	}
	tick := h.tick
	if h.grows && h.readers.Load() > manyViewers {
		tick = slowTick
	}
	if tick < 0 || h.readers.Load() == 0 || h.published.Load() == 1 {
		h.publish()
		return
	}
	h.waiting = true
	if h.flush == nil {
		h.flush = time.AfterFunc(tick, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.waiting = false
			h.publish()
		})
		return
	}
	h.flush.Reset(tick)
}

// publish lets viewers see all that has been written. The caller holds mu.
func (h *Hub) publish() {
	h.published.Store(h.head)
	if _, ok := h.index.Newest(); ok {
		h.readyOnce.Do(func() { close(h.ready) })
	}
	h.wakeAll()
}

// wakeAll wakes the viewers that wait, and makes the channel on which they wait next.
func (h *Hub) wakeAll() {
	ch := make(chan struct{})
	if old := h.wake.Swap(&ch); old != nil {
		close(*old)
	}
}

// at returns the access unit of that sequence number, or nil if the ring no longer holds it.
func (h *Hub) at(seq uint64) *unit {
	if u := h.ring[seq&h.mask].Load(); u != nil && u.seq == seq {
		return u
	}
	return nil
}

// resumable is for how many ticks a viewer may have been away and still be given what it missed. After a longer absence it
// starts with the newest media.
const resumable = 2 * codecs.ClockRate

// idle is for how long nothing was written when the writer counts as silent: longer than between pictures of most cameras.
const idle = 2 * time.Second

// startAfter is [Hub.start] for a viewer that has everything up to an instant: it starts at the last random access point
// that leaves no gap, if the ring still holds that and it is not long ago. If that is so far behind what the viewer has that the viewer
// would take it for the start of another timeline, and the writer is silent, it is media of the past: then the viewer starts with
// the next that is written. The caller holds mu.
func (h *Hub) startAfter(dts int64) uint64 {
	newest, ok := h.newestDTS()
	if !ok || newest-dts > resumable {
		return h.start()
	}
	seq, ok := h.index.Before(dts)
	if !ok {
		return h.start()
	}
	if u := h.at(seq); u != nil && dts-u.DTS > farBehind && time.Since(h.wrote) >= idle {
		return h.head
	}
	return seq
}

// start returns where a viewer that joins now starts: at the newest random access point or, if there is none, at the next
// access unit. The caller holds mu.
func (h *Hub) start() uint64 {
	if seq, ok := h.index.Newest(); ok {
		return seq
	}
	return h.head
}

var (
	_ listen.Source   = (*Hub)(nil)
	_ listen.Resumer  = (*Hub)(nil)
	_ listen.Returner = (*Hub)(nil)
)
