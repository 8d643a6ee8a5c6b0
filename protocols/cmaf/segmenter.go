package cmaf

import (
	"math"

	"weir/codecs"
)

// A Segmenter decides where a stream is cut. It is a pure state machine: the same calls give the same segments.
//
// A stream that carries marks (AccessUnit.Cut) is cut at them and nowhere else, and they are the numbers. Any other
// stream with video is cut at the first random access point at or after the target, and one without at any access unit;
// its segments are counted upwards. A change of tracks or a break of the timeline cuts too, and the next segment is a
// discontinuity. Where no random access point comes, the cut is forced before a segment would be longer than the target
// duration.
type Segmenter struct {
	target, shortest int64 // in ticks
	maxBytes         int   // of a segment
	repairs          bool  // the caller can rebuild any segment that starts at a mark

	// targetDuration is the duration in seconds that no segment exceeds, rounded, from the first segment to the last
	// (RFC 8216, 4.3.3.1). It is zero until the first segment is closed. It is one and a half times the target, which
	// leaves room for random access points at irregular distances, and more only for a stream whose first segment shows
	// that they are far apart.
	targetDuration int

	generation *Generation
	cutTrack   int // the track at whose access units the stream is cut

	numbering numbering
	hasMarks  bool  // the stream has carried a mark before
	next      int64 // the number that is due: of open if that began at a mark, else of the next segment that is closed
	first     int64 // the number of the first segment if no mark gives it
	shift     int64 // added to the marks, when a stream's own numbers would go back
	broken    bool  // the next segment does not follow from the one before
	credit    int64 // ticks of unmarked media beyond the shortest duration of each segment made of it

	open        *draft // being gathered; nil when waiting for a start
	interrupted *draft // a marked segment that a break interrupted and that may be rebuilt; nil if none

	waiting      bool    // access units are lost because no segment can start
	waitingSince int64   // DTS of the first of them
	maxStep      int64   // the largest distance of two access units of the cut track in open
	newest       int64   // DTS of the newest access unit of the cut track in open
	randomAccess int64   // DTS of the newest random access point in open, or of its start
	last         []int64 // DTS of the newest access unit of each track; math.MinInt64 without one since the last break
	maxLast      int64   // the largest of last
}

// A numbering is how the segments are numbered since the last break.
type numbering uint8

const (
	counted   numbering = iota // by the segmenter
	undecided                  // a mark may still come
	marked                     // by marks
)

// A draft is a segment that is still growing. It is never empty.
type draft struct {
	generation    *Generation
	number        int64 // only if marked
	marked        bool
	whole         bool
	discontinuity bool
	units         []*codecs.AccessUnit
	bytes         int
}

// A Step is the result of an access unit or a change of tracks.
type Step struct {
	// Closed are the segments that ended, in order; often none, at most three.
	Closed []*Segment

	// Began is the number of the segment that began at a mark with this access unit; zero if none did.
	Began int64

	// Shift is how much larger Began is than the mark.
	Shift int64
}

// rounding is how many ticks a segment may last longer than the target duration and still be rounded to it.
const rounding = codecs.ClockRate/2 - 1

// maxBehind is how far below the number that is due a mark may be and still belong to the same numbering: an input that
// starts anew goes back a little, and a predecessor's clock may have been ahead. Segments that were published already are
// left out. The marks of a stream further behind are shifted instead, because nothing would be published for too long.
const maxBehind = 3

// maxNumber is the largest mark that counts as one: JavaScript players hold numbers in a float64.
const maxNumber = 1 << 53

// NewSegmenter returns a segmenter whose numbers start at next. When next is zero, nothing has been published yet: the
// first mark gives the number, or first does if the stream has none. targetDuration is the one promised earlier, or zero.
// repairs says that the caller can rebuild every segment that starts at a mark.
func NewSegmenter(c Config, next, first int64, targetDuration int, repairs bool) *Segmenter {
	c = c.withDefaults()
	s := &Segmenter{
		target: ticks(c.Target), shortest: ticks(Shortest), maxBytes: maxPayload,
		repairs: repairs, targetDuration: targetDuration, next: next, first: max(first, 1), broken: true, maxLast: math.MinInt64,
	}
	if repairs {
		s.numbering = undecided
	}
	return s
}

// Promise fixes the target duration from outside, once.
func (s *Segmenter) Promise(targetDuration int) {
	if s.targetDuration == 0 {
		s.targetDuration = targetDuration
	}
}

// SetTracks says which tracks the following access units belong to. Equal tracks change nothing.
func (s *Segmenter) SetTracks(tracks codecs.Tracks) Step {
	var st Step
	if s.generation != nil && s.generation.Tracks.Equal(tracks) {
		return st
	}
	if s.generation != nil {
		s.interrupt(&st, true)
	}
	s.generation, s.cutTrack = nil, 0
	if len(tracks) > 0 {
		s.generation, s.cutTrack = NewGeneration(tracks), max(tracks.Video(), 0)
	}
	s.last = make([]int64, len(tracks))
	s.resetTimeline()
	return st
}

// Break says that access units are missing before the next one.
func (s *Segmenter) Break() Step {
	var st Step
	s.interrupt(&st, false)
	return st
}

// Flush closes the open segment because the stream has ended. One that should have gone on to a mark is not closed: its
// number stays free for the whole segment.
func (s *Segmenter) Flush() Step {
	var st Step
	if s.open != nil && !s.open.marked && s.numbering == counted {
		s.interrupt(&st, false)
	}
	s.open, s.interrupted = nil, nil
	s.broken = true
	return st
}

// Push takes the next access unit. It is in no segment if it comes before a random access point, or its track is
// unknown.
func (s *Segmenter) Push(au *codecs.AccessUnit) Step {
	var st Step
	if s.generation == nil || au.Track < 0 || au.Track >= len(s.generation.Tracks) {
		return st
	}
	if au.Discontinuity || s.jumps(au) {
		s.interrupt(&st, false)
	} else if au.DTS < s.last[au.Track] {
		return st
	} else if o := s.open; o != nil && s.numbering != marked && au.DTS-o.units[0].DTS > s.limit()+rounding {
		// No access unit came for so long that the segment cannot last until this one.
		s.interrupt(&st, false)
	}
	s.last[au.Track], s.maxLast = au.DTS, max(s.maxLast, au.DTS)

	switch {
	case au.Cut > 0 && au.Cut <= maxNumber:
		s.mark(au, &st)
	case s.open == nil && s.numbering != marked && s.starts(au):
		s.begin(au)
	case s.open == nil:
		if !s.waiting {
			s.waitingSince, s.waiting = au.DTS, true
		}
	case s.numbering != marked && s.due(au):
		s.numbering = counted // the stream carries no marks
		s.closeInterrupted(&st)
		s.closeCounted(s.open, au, &st)
		s.begin(au)
	default:
		s.add(au)
	}
	return st
}

// jumps says whether the timeline breaks before au although au is not marked as a discontinuity: its track goes back by
// more than a writer's rounding explains, or all tracks go forward by more than a segment may last.
func (s *Segmenter) jumps(au *codecs.AccessUnit) bool {
	if s.maxLast == math.MinInt64 {
		return false
	}
	last := s.last[au.Track]
	return last != math.MinInt64 && au.DTS < last-codecs.ClockRate || au.DTS-s.maxLast > s.limit()
}

// resetTimeline makes the next access unit the first of its timeline.
func (s *Segmenter) resetTimeline() {
	s.maxLast = math.MinInt64
	for i := range s.last {
		s.last[i] = math.MinInt64
	}
}

// limit is the longest duration of a segment in ticks.
func (s *Segmenter) limit() int64 {
	if s.targetDuration == 0 {
		return maxUnmarked
	}
	return int64(s.targetDuration) * codecs.ClockRate
}

// starts says whether a segment can start with au: at a random access point, or anywhere when the video track has
// brought none for long.
func (s *Segmenter) starts(au *codecs.AccessUnit) bool {
	if au.Track == s.cutTrack && au.RandomAccess {
		return true
	}
	return s.open == nil && s.waiting && au.DTS-s.waitingSince >= 3*s.target
}

// due says whether the open segment, which did not begin at a mark, ends before au.
func (s *Segmenter) due(au *codecs.AccessUnit) bool {
	have := au.DTS - s.open.units[0].DTS
	want := s.target
	if s.numbering == undecided {
		want = max(want, min(2*want, s.limit()))
	}
	if s.starts(au) {
		gop := au.DTS - s.randomAccess
		s.randomAccess = au.DTS
		// A random access point too early is better than none when the segment must end.
		if have >= want || have >= s.shortest && have+gop > s.limit()+rounding {
			return true
		}
	}
	if au.Track != s.cutTrack && have < s.limit() {
		return false
	}
	step := s.maxStep
	if au.Track == s.cutTrack {
		step = max(step, au.DTS-s.newest)
	}
	// One access unit more, and the duration would be rounded to more than the limit.
	return have+step > s.limit()+rounding || s.open.bytes+len(au.Payload) > s.maxBytes
}

func (s *Segmenter) begin(au *codecs.AccessUnit) {
	s.open = &draft{generation: s.generation, discontinuity: s.broken}
	s.broken, s.waiting, s.maxStep, s.newest, s.randomAccess = false, false, 0, au.DTS, au.DTS
	s.add(au)
}

func (s *Segmenter) add(au *codecs.AccessUnit) {
	d := s.open
	if d.marked && (d.bytes+len(au.Payload) > s.maxBytes || au.DTS-d.units[0].DTS > maxMarked) {
		// An input does not set marks that far apart; this bounds the memory all the same.
		d.whole = false
		return
	}
	if au.Track == s.cutTrack {
		s.maxStep, s.newest = max(s.maxStep, au.DTS-s.newest), au.DTS
	}
	d.units = append(d.units, au)
	d.bytes += len(au.Payload) + 128
}

// mark cuts before au, which carries a mark.
func (s *Segmenter) mark(au *codecs.AccessUnit, st *Step) {
	if s.numbering != marked || au.Cut+s.shift < s.next-maxBehind {
		s.chooseShift(au.Cut)
	}
	number := au.Cut + s.shift
	open := s.open
	s.open = nil
	again := open != nil && open.marked && number == open.number
	if number < s.next || number <= 0 || again {
		open = nil
	}
	if number < s.next || number <= 0 {
		// The segment was published already: the input started anew a little way back.
		s.numbering, s.hasMarks = marked, true
		return
	}
	if h := s.interrupted; h != nil {
		s.interrupted = nil
		if h.number < number {
			s.closeMarked(h, h.number, nil, st)
		}
	}
	if open != nil {
		switch {
		case open.marked:
			var follow *codecs.AccessUnit
			if number == open.number+1 {
				follow = au
			} else {
				open.whole, s.broken = false, true
			}
			s.closeMarked(open, open.number, follow, st)
		case number > max(s.next, 1):
			// The access units before the first mark are the end of the segment before it.
			s.closeMarked(open, number-1, au, st)
		}
	}
	s.numbering, s.hasMarks, s.next = marked, true, number
	st.Began, st.Shift = number, s.shift
	whole := !s.broken
	s.begin(au)
	s.open.marked, s.open.number, s.open.whole = true, number, whole
}

// chooseShift chooses the shift for marks that start with cut: none, unless the numbers would go back further than an input
// that starts anew explains.
func (s *Segmenter) chooseShift(cut int64) {
	if due := s.next; cut >= due-maxBehind {
		s.shift = 0
	} else if at := cut + s.shift; s.shift == 0 || at < due-maxBehind || at > due+maxBehind {
		s.shift = due - cut
	}
}

// interrupt ends the open segment without a successor. forGood says that its tracks do not come back.
func (s *Segmenter) interrupt(st *Step, forGood bool) {
	open := s.open
	s.open = nil
	if forGood {
		s.closeInterrupted(st)
	}
	switch {
	case open == nil:
	case open.marked && s.repairs && !forGood:
		open.whole = false
		s.interrupted = open
	case open.marked:
		open.whole = false
		s.closeMarked(open, open.number, nil, st)
		s.next = open.number + 1
	case s.numbering == undecided && s.repairs && !forGood: // it is lost
	default:
		s.closeCounted(open, nil, st)
	}
	s.broken, s.waiting = true, false
	s.resetTimeline()
	s.numbering = counted
	if s.repairs || s.hasMarks {
		s.numbering = undecided
	}
}

// closeInterrupted closes the interrupted segment without the access units that it lacks.
func (s *Segmenter) closeInterrupted(st *Step) {
	if h := s.interrupted; h != nil {
		s.interrupted = nil
		s.closeMarked(h, h.number, nil, st)
		s.next = h.number + 1
	}
}

// closeCounted closes a segment that began at no mark. One that a break made too short is lost.
func (s *Segmenter) closeCounted(d *draft, follow *codecs.AccessUnit, st *Step) {
	number := s.next
	if number == 0 {
		number = s.first
	}
	seg := newSegment(number, d.generation, d.units, follow)
	if follow != nil {
		s.credit += seg.Duration
	} else {
		// The duration of the last access unit is what its sender says, and no time that has passed.
		if s.credit += max(s.maxLast-seg.Decode, 0); s.credit < s.shortest {
			return
		}
		seg.Duration = min(seg.Duration, s.limit())
	}
	s.credit = max(s.credit-s.shortest, 0)
	s.closeAs(d, seg, st)
	s.next = seg.Number + 1
}

// closeMarked closes a segment under a number that a mark gives.
func (s *Segmenter) closeMarked(d *draft, number int64, follow *codecs.AccessUnit, st *Step) {
	s.closeAs(d, newSegment(number, d.generation, d.units, follow), st)
}

func (s *Segmenter) closeAs(d *draft, seg *Segment, st *Step) {
	seg.Discontinuity, seg.marked, seg.whole = d.discontinuity, d.marked, d.whole && d.marked
	if s.targetDuration == 0 && !s.repairs {
		s.targetDuration = TargetDuration(s.target, seg.Duration)
	}
	st.Closed = append(st.Closed, seg)
}

// TargetDuration is the target duration in seconds of a stream that is cut at target and whose first segments last up
// to longest, both in ticks.
func TargetDuration(target, longest int64) int {
	return min(max(seconds(target*3/2), seconds(longest*5/4)), seconds(maxUnmarked))
}

// Skip says that the segments below next have been published without the segmenter.
func (s *Segmenter) Skip(next int64) { s.next = max(s.next, next) }
