package hub

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"weir/codecs"
	"weir/codecs/gop"
)

// ErrReplaced is returned to a writer after another one has taken over.
var ErrReplaced = errors.New("another input took over")

// ErrClosed is returned to the writers of a hub that was closed.
var ErrClosed = errors.New("the stream has ended")

// ErrTracks is returned to a writer whose tracks are of other kinds than those that viewers get, while another writer goes
// on with these.
var ErrTracks = errors.New("its tracks are not those of the stream")

// farBehind is a distance in ticks behind the newest access unit. A new writer that is further behind is taken to have
// another timeline, which is shifted; one that is less behind, to have the same timeline and to be catching up.
const farBehind = 15 * codecs.ClockRate

// never stands for the DTS of a track that has had no access unit yet.
const never = math.MinInt64

// alignRange is how far before the newest access unit of the hub the same random access point of another writer is looked for.
// A clip that is played again and again repeats itself later.
const alignRange = 5 * codecs.ClockRate

// maxHeld bounds the access units that are kept while a writer waits for its turn.
const maxHeld = 256

// spliceRange is the distance in ticks at which a writer may be ahead of the active one, or behind it, and take over without
// waiting for a random access point.
const spliceRange = codecs.ClockRate / 2

// A Writer writes one input's media to a hub. Any number may exist; one at a time is active, and viewers get its media. A
// new one takes over
//
//   - at once if there is no active writer and nothing was written before;
//   - where its video and the hub's newest are the same access units, from the next one on: then viewers cannot tell that
//     the input has changed. One that is a little ahead waits for the active writer to arrive there. Two nodes that capture
//     one camera have the same access units at instants that differ, since each puts them on its own clock: a random access
//     point that the hub has already says by how much;
//   - else with a random access point that is later than all that was written.
//
// Of two writers with ranks, one takes over from the other, while that goes on, only if it has the better rank and tracks of
// the same kinds.
//
// Until then its media is discarded and the active writer goes on; from then on the writes of the former one return
// [ErrReplaced]. A writer belongs to one goroutine.
type Writer struct {
	h      *Hub
	cfg    WriterConfig
	tracks codecs.Tracks
	active bool
	gone   bool
	shift  int64
	broken bool // the next access unit of the video is marked as a discontinuity

	// held are access units for the ring when the writer takes over: those of sound and, if point is not nil, all from
	// that random access point on, at which a writer that is ahead waits.
	held    []*codecs.AccessUnit
	point   *codecs.AccessUnit
	differs bool // the active writer had other access units at the same instants
	vain    bool // it has waited, and the active writer did not bring the same access units
}

// A WriterConfig says what kind of writer one is. The zero config is of one that may always take over.
type WriterConfig struct {
	// Rank orders the inputs of a stream, 1 first. Zero is no rank: such a writer takes over from all, and all from it.
	Rank int

	// Loose says that the writer's timeline is only roughly that of the others, by the same wall clock. Unless it has the same
	// pictures as the hub, it is shifted to follow on what was written; the hub does not wait for the timelines to meet.
	Loose bool

	// Taken, if not nil, is called once, when the writer takes over, with the hub's lock held: it may send a message,
	// and must not call the hub.
	Taken func()
}

// NewWriter makes a writer.
func (h *Hub) NewWriter(c WriterConfig) *Writer { return &Writer{h: h, cfg: c} }

// SetTracks announces the tracks of all access units that follow.
func (w *Writer) SetTracks(tracks codecs.Tracks) {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	w.tracks = tracks
	w.forget()
	w.differs, w.vain = false, false
	if w.active {
		w.h.adopt(tracks)
	}
}

// Write puts an access unit into the stream, or discards it while another writer goes on. The access unit belongs to
// the hub from then on.
func (w *Writer) Write(au *codecs.AccessUnit) error {
	h := w.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed.Load() {
		return ErrClosed
	}
	if w.gone {
		return ErrReplaced
	}
	if au.Track < 0 || au.Track >= len(w.tracks) {
		return errors.New("hub: access unit of an unknown track")
	}
	switch {
	case !w.active:
		if err := w.checkTracks(); err != nil {
			return err
		}
		if !w.takeOver(au) {
			return nil
		}
	case au.Discontinuity && w.again(au):
		return nil
	}
	w.put(au)
	h.schedule()
	return nil
}

// Rejoin says that the access units from now on come from another source, as when a relay has turned to another node. The
// writer goes on where a new one would take over, so that nothing is spliced into the middle of a GOP. newest is the DTS of
// the hub's last access unit, from which the new source should go on; ok is false while the hub is empty.
func (w *Writer) Rejoin() (newest int64, ok bool) {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	w.active, w.differs, w.vain = false, false, false
	w.forget()
	return w.h.newestDTS()
}

// Close ends the writer: another one need not wait for it any more.
func (w *Writer) Close() {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	w.gone = true
	if w.h.writer == w {
		w.h.writer = nil
		w.h.publish()
	}
}

// incumbent is the active writer if only a better rank can take over from it; nil if w may take over. The caller holds mu.
func (w *Writer) incumbent() *Writer {
	old := w.h.writer
	if old == nil || old == w || old.cfg.Rank == 0 || w.cfg.Rank == 0 {
		return nil
	}
	return old
}

// checkTracks returns an error if the tracks of w are of other kinds than those of the incumbent. The caller holds mu.
func (w *Writer) checkTracks() error {
	if w.incumbent() == nil || sameKinds(w.tracks, w.h.gen.tracks) {
		return nil
	}
	return fmt.Errorf("%w: it has %s, and viewers get %s", ErrTracks, kinds(w.tracks), kinds(w.h.gen.tracks))
}

func sameKinds(a, b codecs.Tracks) bool {
	return slices.EqualFunc(a, b, func(a, b codecs.Track) bool { return a.Codec == b.Codec })
}

func kinds(ts codecs.Tracks) string {
	names := make([]string, len(ts))
	for i := range ts {
		names[i] = ts[i].Codec.String()
	}
	return strings.Join(names, " and ")
}

// takeOver decides whether w becomes the active writer with au, and whether au itself still has to be put. The caller holds
// mu.
func (w *Writer) takeOver(au *codecs.AccessUnit) (put bool) {
	h, video := w.h, w.tracks.Video()
	if old := w.incumbent(); old != nil && old.cfg.Rank <= w.cfg.Rank {
		return false
	}
	switch {
	case w.point != nil:
		if w.waitAtPoint(au) {
			return false
		}
	case video >= 0 && au.Track != video:
		w.hold(au)
		return false
	}
	if !w.cfg.Loose && w.matches(au) {
		w.activate(0, false)
		return false
	}
	if !au.RandomAccess || video >= 0 && au.Track != video {
		return false
	}
	if shift, ok := w.aligned(au); ok {
		w.activate(shift, false)
		return false
	}
	newest, some := h.newestDTS()
	equal := some && h.gen.tracks.Equal(w.tracks)
	switch {
	case !some:
		w.activate(0, false)
	case equal && video >= 0 && h.writer != nil && h.writer != w && !w.vain && !w.cfg.Loose && newest-au.DTS <= farBehind:
		w.hold(au)
		w.point = au
		return false
	case au.DTS > newest:
		w.activate(0, w.cfg.Loose || !equal)
	case w.cfg.Loose, newest-au.DTS > farBehind:
		w.activate(newest-au.DTS+codecs.ClockRate/25, true)
	default:
		// The same timeline: this writer is still catching up, and its later access units will be newer.
		w.forget()
		return false
	}
	return true
}

// waitAtPoint holds au of a writer that waits with a random access point which the active writer has not reached. It returns
// false if the active writer has passed that point with other access units, so that w has to begin again. The caller holds
// mu.
func (w *Writer) waitAtPoint(au *codecs.AccessUnit) bool {
	w.hold(au)
	h := w.h
	for _, held := range w.held {
		if shift, ok := w.aligned(held); ok {
			w.activate(shift, false)
			return true
		}
	}
	newest, _ := h.newestDTS()
	waited := h.writer == nil || au.DTS-w.point.DTS >= spliceRange || len(w.held) == maxHeld
	switch {
	case slices.ContainsFunc(w.held, w.matches), waited && w.point.DTS > newest:
		w.activate(0, false)
	case waited: // the active writer has passed it
		w.forget()
		w.vain = true
		return false
	}
	return true
}

// aligned finds the access unit of a random access point among the newest that the hub has, at whatever instant it stands there,
// and gives the difference, which is less than [farBehind]: a node that was late when it began to capture puts the same
// pictures on its clock that much later. Of several that are the same it takes the nearest. The caller holds mu.
func (w *Writer) aligned(au *codecs.AccessUnit) (shift int64, ok bool) {
	h, video := w.h, w.tracks.Video()
	if video < 0 || au.Track != video || !au.RandomAccess || h.gen == nil || !h.gen.tracks.Equal(w.tracks) {
		return 0, false
	}
	for seq := h.head - 1; seq >= h.tail.Load(); seq-- {
		u := h.at(seq)
		if u == nil || u.gen != h.gen || h.last[video]-u.DTS > alignRange {
			break
		}
		by := u.DTS - au.DTS
		near := by < farBehind && -by < farBehind && (!ok || max(by, -by) < max(shift, -shift))
		if near && u.Track == video && u.RandomAccess && bytes.Equal(u.Payload, au.Payload) {
			shift, ok = by, true
		}
	}
	return shift, ok
}

// again says whether the hub has a random access point of another timeline already, as one of its newest access units, and goes on
// with that timeline then. The node from which a relay comes has begun to capture a camera itself, whose pictures this hub has
// got through it from the node before. The caller holds mu.
func (w *Writer) again(au *codecs.AccessUnit) bool {
	shift, ok := w.aligned(au)
	if !ok || w.h.last[au.Track]-(au.DTS+shift) > spliceRange {
		return false
	}
	w.shift = shift
	return true
}

// matches says whether au is among the newest video access units of the hub, and all that the writer brought before it,
// back to a random access point, was the same as the hub's. The caller holds mu.
func (w *Writer) matches(au *codecs.AccessUnit) bool {
	h, video := w.h, w.tracks.Video()
	if video < 0 || au.Track != video || h.gen == nil || !h.gen.tracks.Equal(w.tracks) || h.last[video]-au.DTS > spliceRange {
		return false
	}
	for seq := h.head - 1; seq >= h.tail.Load(); seq-- {
		u := h.at(seq)
		if u == nil || u.gen != h.gen {
			return false
		}
		if u.Track != video || u.DTS > au.DTS {
			continue
		}
		switch same := u.DTS == au.DTS && bytes.Equal(u.Payload, au.Payload); {
		case !same && au.DTS <= h.last[video]:
			w.differs = true
		case same && au.RandomAccess:
			w.differs = false
		}
		return u.DTS == au.DTS && !w.differs
	}
	return false
}

// hold keeps au until the writer takes over; when there are too many, the newest. The caller holds mu.
func (w *Writer) hold(au *codecs.AccessUnit) {
	if len(w.held) == maxHeld {
		w.held = slices.Delete(w.held, 0, 1)
	}
	w.held = append(w.held, au)
}

// forget discards the access units that are held. The caller holds mu.
func (w *Writer) forget() { w.held, w.point = nil, nil }

// activate makes w the active writer. The caller holds mu.
func (w *Writer) activate(shift int64, broken bool) {
	h := w.h
	if old := h.writer; old != nil && old != w {
		old.gone = true
	}
	h.writer = w
	w.active, w.shift, w.broken = true, shift, broken
	h.adopt(w.tracks)
	held := w.held
	w.forget()
	for _, au := range held {
		w.put(au)
	}
	if w.cfg.Taken != nil {
		w.cfg.Taken()
	}
}

// put appends au to the ring unless the ring has it already. The caller holds mu.
func (w *Writer) put(au *codecs.AccessUnit) {
	h := w.h
	au = shifted(au, w.shift)
	if last := h.last[au.Track]; au.DTS <= last {
		back := last - au.DTS
		if back <= farBehind { // the former writer has delivered it, or the input repeats itself
			return
		}
		by := back + codecs.ClockRate/25
		w.shift += by
		w.broken = true
		au = shifted(au, by)
	}
	if w.broken && (au.Track == h.gen.video || h.gen.video < 0) {
		w.broken = false
		if !au.Discontinuity {
			marked := *au
			marked.Discontinuity = true
			au = &marked
		}
	}
	h.last[au.Track] = au.DTS
	h.append(au)
}

// shifted is au later by that many ticks.
func shifted(au *codecs.AccessUnit, by int64) *codecs.AccessUnit {
	if by == 0 {
		return au
	}
	moved := *au
	moved.DTS += by
	moved.PTS += by
	return &moved
}

// adopt puts a list of tracks in force. The caller holds mu.
func (h *Hub) adopt(tracks codecs.Tracks) {
	if h.gen != nil && h.gen.tracks.Equal(tracks) {
		return
	}
	number := uint64(1)
	old := h.last
	var oldTracks codecs.Tracks
	if h.gen != nil {
		number, oldTracks = h.gen.number+1, h.gen.tracks
	}
	h.gen = &generation{tracks: tracks, video: tracks.Video(), number: number}
	h.pace = pace{}
	h.last = make([]int64, len(tracks))
	for i := range h.last {
		h.last[i] = never
	}
	// Access units of a video or audio track that were played are not played again after a change of its configuration.
	for i := range tracks {
		for j := range oldTracks {
			if oldTracks[j].Codec.Video() == tracks[i].Codec.Video() {
				h.last[i] = max(h.last[i], old[j])
			}
		}
	}
	h.index = gop.Index{}
}

// newestDTS is the newest DTS of the track that random access goes by. The caller holds mu.
func (h *Hub) newestDTS() (dts int64, ok bool) {
	if h.gen == nil || h.head == 1 {
		return 0, false
	}
	if v := h.gen.video; v >= 0 {
		return h.last[v], h.last[v] != never
	}
	dts = never
	for _, d := range h.last {
		dts = max(dts, d)
	}
	return dts, dts != never
}
