package cmaf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"sync/atomic"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/fmp4"
	"weir/codecs/mpegts"
)

// A Form is a container in which a segment is served.
type Form uint8

// The forms of a segment.
const (
	TS   Form = iota // an MPEG transport stream
	CMAF             // a movie fragment, played after the init segment of its generation
	forms
)

// A Generation is a list of tracks and its name, which is the same on every node for the same decoder configuration.
// It is immutable.
type Generation struct {
	Tracks codecs.Tracks

	// Name is 16 hexadecimal digits.
	Name string

	once sync.Once
	init []byte
	err  error
}

// NewGeneration names tracks.
func NewGeneration(tracks codecs.Tracks) *Generation {
	h := sha256.New()
	var b [8]byte
	number := func(n int) {
		binary.BigEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
	for _, t := range tracks {
		for _, n := range []int{int(t.Codec), t.Width, t.Height, t.SampleRate, t.Channels, len(t.Config)} {
			number(n)
		}
		h.Write(t.Config)
	}
	return &Generation{Tracks: tracks, Name: hex.EncodeToString(h.Sum(nil)[:8])}
}

// Init returns the init segment, made at the first call. The error says which track ISO media cannot carry.
func (g *Generation) Init() ([]byte, error) {
	g.once.Do(func() { g.init, g.err = fmp4.Init(g.Tracks) })
	return g.init, g.err
}

// Carries says whether players take all tracks of the generation in this form.
func (g *Generation) Carries(f Form) bool {
	if f == CMAF {
		_, err := g.Init()
		return err == nil
	}
	any := false
	for _, t := range g.Tracks {
		switch row := carriage.Of(t.Codec); {
		case row.Segments:
			any = true
		case row.Partly == nil: // else no form carries it
			return false
		}
	}
	return any
}

// An Outline is a segment without its media.
type Outline struct {
	// Number is the media sequence number.
	Number int64

	Generation *Generation

	// Start and Decode are the PTS and the DTS of the first access unit in ticks since the Unix epoch; Duration is in
	// ticks.
	Start, Decode, Duration int64

	// Discontinuity says that timestamps or tracks do not follow from the segment before.
	Discontinuity bool

	// Independent says that the segment starts at a random access point.
	Independent bool

	// Pictures counts the access units of the video track; zero without one.
	Pictures int

	// Sizes estimate the length of the segment in each form. They are a function of the access units, so that nodes which
	// cut alike announce the same bit rates.
	Sizes [forms]int
}

// end is the decoding time at which the segment ends.
func (o *Outline) end() int64 { return o.Decode + o.Duration }

// A Segment is a run of access units under one number. It is immutable but for its bytes, which are made at the first
// request for each form; any goroutine may ask.
type Segment struct {
	Outline

	marked bool    // cut at a mark of the stream
	whole  bool    // nothing is missing between the two cuts
	next   []int64 // DTS that follow the last access unit, by track

	// discontinuities counts those up to and including this segment. The store sets it before any other goroutine sees the
	// segment.
	discontinuities int64

	made [forms]atomic.Pointer[[]byte]

	mu    sync.Mutex
	units []*codecs.AccessUnit // nil once all forms are made; guarded by mu
}

// NewSegment returns the segment that another node made, whose bytes in each form belong to the segment from now on. Nil
// says that the tracks do not fit the form.
func NewSegment(o Outline, bytes [2][]byte) *Segment {
	s := &Segment{Outline: o}
	for f := range forms {
		s.made[f].Store(&bytes[f])
	}
	return s
}

// Bytes returns the segment in form f. It is called by any number of goroutines; each form is made once, and the
// access units are let go when both are. The bytes are shared and never changed.
func (s *Segment) Bytes(f Form) []byte {
	if b := s.made[f].Load(); b != nil {
		return *b
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.made[f].Load(); b != nil {
		return *b
	}
	var b []byte
	if f == TS {
		b = mpegts.Segment(s.Generation.Tracks, s.units)
	} else {
		b = fmp4.Fragment(s.Generation.Tracks, uint32(s.Number), s.units, s.next)
	}
	s.made[f].Store(&b)
	if s.made[TS].Load() != nil && s.made[CMAF].Load() != nil {
		s.units = nil
	}
	return b
}

// newSegment makes a segment of units, of which there is at least one. follow is the first access unit of the next
// segment if that goes on where this one ends, or nil.
func newSegment(number int64, g *Generation, units []*codecs.AccessUnit, follow *codecs.AccessUnit) *Segment {
	first := units[0]
	s := &Segment{
		Outline: Outline{Number: number, Generation: g, Start: first.PTS, Decode: first.DTS},
		units:   units, next: make([]int64, len(g.Tracks)),
	}
	video := g.Tracks.Video()
	s.Independent = video < 0
	gap := make([]int64, len(g.Tracks))
	last := make([]int64, len(g.Tracks))
	seen := make([]bool, len(g.Tracks))
	end := first.DTS
	for _, au := range units {
		t := au.Track
		if t == video {
			s.Pictures++
			if s.Pictures == 1 {
				s.Independent = au.RandomAccess
			}
		}
		if seen[t] && au.DTS > last[t] {
			gap[t] = au.DTS - last[t]
		}
		last[t], seen[t] = au.DTS, true
		d := au.Duration
		if d <= 0 {
			d = gap[t]
		}
		s.next[t] = au.DTS + d
		end = max(end, s.next[t])
		// MPEG-TS adds a PES header of up to 19 bytes, an access unit delimiter and the stuffing of the last packet; ISO
		// media adds up to 16 bytes in the sample table.
		s.Sizes[TS] += (len(au.Payload) + 25 + 183) / 184 * 188
		s.Sizes[CMAF] += len(au.Payload) + 16
	}
	s.Sizes[TS] += 3 * 188
	s.Sizes[CMAF] += 64 + 100*len(g.Tracks)
	if follow != nil && follow.DTS > first.DTS {
		end = follow.DTS
		if t := follow.Track; seen[t] && follow.DTS > last[t] {
			s.next[t] = follow.DTS
		}
	}
	s.Duration = max(end-first.DTS, 1)
	return s
}
