package playlist

import (
	"time"

	"weir/protocols/cmaf"
)

// A Playlist is a media playlist, or a multivariant playlist, which has no segments and of which nothing but the text is
// set. It is immutable.
type Playlist struct {
	// Text is the playlist with relative URIs that have no query.
	Text []byte

	Target   time.Duration // the target duration
	Segments []Segment     // with consecutive numbers; never empty in a media playlist

	form            cmaf.Form
	discontinuities int64 // the discontinuity sequence number
	independent     bool  // every segment starts at a random access point
}

// A Segment is one line of a media playlist, with its tags.
type Segment struct {
	Number        int64
	Generation    string    // names the init segment; empty without one
	Start         time.Time // zero if the playlist does not say it
	Duration      time.Duration
	Discontinuity bool // before the segment

	sequence int64 // its discontinuity sequence number (RFC 8216, 6.2.1)
}

// First is the media sequence number of the first segment; zero in a multivariant playlist.
func (p *Playlist) First() int64 {
	if len(p.Segments) == 0 {
		return 0
	}
	return p.Segments[0].Number
}

// Last is the media sequence number of the last segment; zero in a multivariant playlist.
func (p *Playlist) Last() int64 {
	if len(p.Segments) == 0 {
		return 0
	}
	return p.last().Number
}

func (p *Playlist) last() *Segment { return &p.Segments[len(p.Segments)-1] }

// Lists says whether the segment with this number is in the playlist.
func (p *Playlist) Lists(number int64) bool { return p.at(number) != nil }

// at returns the segment with this number, or nil.
func (p *Playlist) at(number int64) *Segment {
	if i := number - p.First(); i >= 0 && i < int64(len(p.Segments)) {
		return &p.Segments[i]
	}
	return nil
}

// Files returns the names of all init segments and segments, in the order in which a player needs them.
func (p *Playlist) Files() []string {
	var names []string
	generation := ""
	for _, s := range p.Segments {
		if s.Generation != generation {
			generation = s.Generation
			names = append(names, initName(generation))
		}
		names = append(names, SegmentName(s.Number, p.form))
	}
	return names
}

// add appends a segment.
func (p *Playlist) add(s Segment) {
	s.sequence = p.discontinuities
	if len(p.Segments) > 0 {
		s.sequence = p.last().sequence
	}
	if s.Discontinuity {
		s.sequence++
	}
	p.Segments = append(p.Segments, s)
}
