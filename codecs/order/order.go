// Package order says in which order coded pictures are shown: their picture order counts, and how far that order may differ from the one
// in which they come.
//
// It knows no codec and no time: the packages h264 and h265 read the counts, and what times follow from them is for package timeline.
package order

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"weir/codecs"
)

// A Picture is what is known of the order of one picture. In the zero Picture nothing is.
type Picture struct {
	// Counted says that Count and Reset hold.
	Counted bool

	// Count is the picture order count (ITU-T H.264, 8.2.1; H.265, 8.3.1). Counts compare within the pictures from one with
	// Reset to before the next.
	Count int
	Reset bool

	// Bounded says that Depth holds: the most pictures that come before another one and are shown after it.
	Bounded bool
	Depth   int

	// Interval is the nominal distance of two pictures in ticks; zero if the stream names none.
	Interval int64
}

// A Slice is what the first slice of a picture says.
type Slice struct {
	LSB       int  // pic_order_cnt_lsb
	Reset     bool // counts begin anew
	Reference bool // the next counts are completed by this one
}

// A Parser reads the parameter sets and slices of one stream.
type Parser interface {
	// Set takes a parameter set into force. If it is one of a sequence, ok is true, and the picture holds what is true of all; bits is the
	// length of pic_order_cnt_lsb, 0 if counts are not read.
	Set(set []byte) (p Picture, bits int, ok bool)

	// Slice reads a NAL unit. Other units than slices are none; whole is false for a slice that cannot be read.
	Slice(unit []byte, bits int) (s Slice, slice, whole bool)
}

// A Reader reads the pictures of one stream, in the order in which they come.
type Reader struct {
	parser  Parser
	picture Picture // what holds for all pictures
	bits    int
	before  int // the last count by which others are completed
}

// New returns a reader. Without a parser it knows nothing of any picture.
func New(p Parser) *Reader { return &Reader{parser: p} }

// Sets takes parameter sets into force. Those that cannot be read are passed over.
func (r *Reader) Sets(sets [][]byte) {
	if r.parser == nil {
		return
	}
	for _, set := range sets {
		if p, bits, ok := r.parser.Set(set); ok {
			p.Depth = min(p.Depth, MaxDepth)
			r.picture, r.bits = p, bits
		}
	}
}

// Picture reads the order of the picture that these NAL units make.
func (r *Reader) Picture(units [][]byte) Picture {
	p := r.picture
	if r.parser == nil || r.bits == 0 {
		return p
	}
	for _, u := range units {
		s, slice, whole := r.parser.Slice(u, r.bits)
		if !slice {
			continue
		}
		if whole {
			p.Counted, p.Reset, p.Count = true, s.Reset, r.count(s)
			if s.Reference {
				r.before = p.Count
			}
		}
		break
	}
	return p
}

// count completes a count of which the low bits are known: it is the one nearest to that before (8.2.1.1; 8.3.1).
func (r *Reader) count(s Slice) int {
	if s.Reset {
		return s.LSB
	}
	most := 1 << r.bits
	distance := (s.LSB - r.before) & (most - 1)
	if distance >= most/2 {
		distance -= most
	}
	return r.before + distance
}

// MaxDepth bounds [Picture.Depth]: a decoder holds at most 16 pictures (ITU-T H.264, A.3.1; H.265, A.4.2).
const MaxDepth = 16

// Interval turns a distance in units of which there are scale in a second into ticks; zero if no stream has it.
func Interval(units, scale uint64) int64 {
	if scale == 0 || units > 1<<40 {
		return 0
	}
	ticks := int64(units * codecs.ClockRate / scale)
	if ticks < codecs.ClockRate/300 || ticks > 2*codecs.ClockRate {
		return 0
	}
	return ticks
}

// Head is the part of a slice behind its NAL unit header that is read, without emulation prevention.
func Head(slice []byte) []byte { return h264.EmulationPreventionRemove(slice[:min(len(slice), 40)]) }
