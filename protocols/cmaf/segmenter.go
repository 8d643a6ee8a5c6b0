package cmaf

import (
	"math"

	"weir/codecs"
)

// A Segmenter decides where a stream is cut. It is a pure state machine: the same calls give the same segments.
//
// A stream that carries marks (AccessUnit.Cut) is cut at them and nowhere else, and they are the numbers. Any other
// stream with video is cut at the first random access point at or after the target duration, and one without at any
// access unit; it is counted upwards. A change of tracks or a break of the timeline cuts too, and the next segment is
// marked as a discontinuity. Where no random access point comes, the cut is forced before a segment would break the
// promise of [Segmenter.TargetDuration], and counted.
type Segmenter struct {
	target, shortest int64
	maxBytes         int
	repairs          bool // the caller can rebuild any segment that starts at a mark

	duration int // target duration in seconds; zero until the first segment has shown how long they are
	stats    SegmenterStats

	gen  *Generation
	main int // the track at whose access units the stream is cut

	run    run
	marks  bool  // the stream has carried a mark before
	next   int64 // the number that is due: of open if that began at a mark, else of the next segment that is closed
	fresh  int64 // the number of the first segment if no mark gives it
	shift  int64 // added to the marks, when a stream's own numbers would go back
	broken bool  // what comes next does not follow from what was before
	credit int64 // ticks of unmarked media beyond the shortest duration of each segment made of it

	open *draft // what is being gathered; nil when waiting for a start
	held *draft // a marked segment that a break interrupted and that may be rebuilt; nil if none

	since int64   // DTS of the first access unit lost while waiting for a start
	waits bool    // since is set
	step  int64   // the largest distance of two access units of the main track in open
	final int64   // DTS of the newest access unit of the main track in open
	point int64   // DTS of the newest random access point in open, or of its start
	last  []int64 // DTS of the newest access unit of each track; math.MinInt64 without one since the last break
	top   int64   // the largest of last
}

// A run is how the stream is numbered since the last break.
type run uint8

const (
	counted   run = iota // by the segmenter
	undecided            // a mark may still come
	marked               // by marks
)

// A draft is a segment that is still growing. It is never empty.
type draft struct {
	gen           *Generation
	number        int64 // only if marked
	marked        bool
	whole         bool
	discontinuity bool
	units         []*codecs.AccessUnit
	bytes         int
}

// SegmenterStats counts what a segmenter did that a person may want to know.
type SegmenterStats struct {
	Forced uint64 // cuts without a random access point
	Breaks uint64 // discontinuities
	Lost   uint64 // access units in no segment: before a random access point, of an unknown track, or of a segment too short to be published
}

// A Step is what an access unit or a change of tracks led to.
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

// behind is how far below the number that is due a mark may be and still belong to the same numbering: an input that
// starts anew goes back a little, and a predecessor's clock may have been ahead. What was published already is waited
// over; a stream further behind is shifted instead, because nothing would be published for too long.
const behind = 3

// maxNumber is the largest mark that counts as one: JavaScript players hold numbers in a float64.
const maxNumber = 1 << 53

// NewSegmenter returns a segmenter whose numbers start at next. When next is zero, nothing has been published yet: the
// first mark gives the number, or fresh does if the stream has none. duration is the target duration promised earlier,
// or zero. repairs says that the caller can rebuild every segment that starts at a mark.
func NewSegmenter(c Config, next, fresh int64, duration int, repairs bool) *Segmenter {
	c = c.withDefaults()
	s := &Segmenter{
		target: ticks(c.Target), shortest: ticks(c.Shortest), maxBytes: c.MaxBytes,
		repairs: repairs, duration: duration, next: next, fresh: max(fresh, 1), broken: true, top: math.MinInt64,
	}
	if repairs {
		s.run = undecided
	}
	return s
}

// TargetDuration is the duration in seconds that no segment exceeds, rounded, from the first segment to the last
// (RFC 8216, 4.3.3.1). It is zero until the first segment is closed. It is one and a half times the target, which
// leaves room for random access points at irregular distances, and more only for a stream whose first segment shows
// that they are far apart.
func (s *Segmenter) TargetDuration() int { return s.duration }

// Promise fixes the target duration from outside, once.
func (s *Segmenter) Promise(duration int) {
	if s.duration == 0 {
		s.duration = duration
	}
}

// Stats returns the counts so far.
func (s *Segmenter) Stats() SegmenterStats { return s.stats }

// SetTracks says which tracks the following access units belong to. Equal tracks change nothing.
func (s *Segmenter) SetTracks(tracks codecs.Tracks) Step {
	var st Step
	if s.gen != nil && s.gen.Tracks.Equal(tracks) {
		return st
	}
	if s.gen != nil {
		s.interrupt(&st, true)
	}
	s.gen, s.main = nil, 0
	if len(tracks) > 0 {
		s.gen, s.main = NewGeneration(tracks), max(tracks.Video(), 0)
	}
	s.last = make([]int64, len(tracks))
	s.forget()
	return st
}

// Break says that access units are missing before the next one.
func (s *Segmenter) Break() Step {
	var st Step
	s.interrupt(&st, false)
	return st
}

// Flush closes what is open because the stream has ended. A segment that should have gone on to a mark is not closed:
// its number stays free for the whole one.
func (s *Segmenter) Flush() Step {
	var st Step
	if s.open != nil && !s.open.marked && s.run == counted {
		s.interrupt(&st, false)
	}
	s.open, s.held = nil, nil
	s.broken = true
	return st
}

// Push takes the next access unit.
func (s *Segmenter) Push(au *codecs.AccessUnit) Step {
	var st Step
	if s.gen == nil || au.Track < 0 || au.Track >= len(s.gen.Tracks) {
		s.stats.Lost++
		return st
	}
	if au.Discontinuity || s.jumps(au) {
		s.interrupt(&st, false)
	} else if au.DTS < s.last[au.Track] {
		s.stats.Lost++
		return st
	} else if o := s.open; o != nil && s.run != marked && au.DTS-o.units[0].DTS > s.limit()+rounding {
		// Nothing came for so long that the segment cannot last until now.
		s.interrupt(&st, false)
	}
	s.last[au.Track], s.top = au.DTS, max(s.top, au.DTS)

	switch {
	case au.Cut > 0 && au.Cut <= maxNumber:
		s.mark(au, &st)
	case s.open == nil && s.run != marked && s.starts(au):
		s.begin(au)
	case s.open == nil:
		s.stats.Lost++
		if !s.waits {
			s.since, s.waits = au.DTS, true
		}
	case s.run != marked && s.due(au):
		s.decide(&st)
		s.count(s.open, au, &st)
		s.begin(au)
	default:
		s.add(au)
	}
	return st
}

// jumps says whether the timeline breaks before au although nobody said so: its track goes back by more than a writer's
// rounding explains, or all tracks forward by more than a segment may last.
func (s *Segmenter) jumps(au *codecs.AccessUnit) bool {
	if s.top == math.MinInt64 {
		return false
	}
	last := s.last[au.Track]
	return last != math.MinInt64 && au.DTS < last-codecs.ClockRate || au.DTS-s.top > s.limit()
}

// forget makes the next access unit the first of its timeline.
func (s *Segmenter) forget() {
	s.top = math.MinInt64
	for i := range s.last {
		s.last[i] = math.MinInt64
	}
}

// limit is the longest duration of a segment in ticks.
func (s *Segmenter) limit() int64 {
	if s.duration == 0 {
		return hardest
	}
	return int64(s.duration) * codecs.ClockRate
}

// starts says whether a segment can start with au: at a random access point, or anywhere when the video track has
// brought none for long.
func (s *Segmenter) starts(au *codecs.AccessUnit) bool {
	if au.Track == s.main && au.RandomAccess {
		return true
	}
	if s.open == nil && s.waits && au.DTS-s.since >= 3*s.target {
		s.stats.Forced++
		return true
	}
	return false
}

// due says whether the open segment, which did not begin at a mark, ends before au.
func (s *Segmenter) due(au *codecs.AccessUnit) bool {
	have := au.DTS - s.open.units[0].DTS
	want := s.target
	if s.run == undecided {
		want = max(want, min(2*want, s.limit()))
	}
	if s.starts(au) {
		gop := au.DTS - s.point
		s.point = au.DTS
		// A random access point too early is better than none when the segment must end.
		if have >= want || have >= s.shortest && have+gop > s.limit()+rounding {
			return true
		}
	}
	if au.Track != s.main && have < s.limit() {
		return false
	}
	step := s.step
	if au.Track == s.main {
		step = max(step, au.DTS-s.final)
	}
	// One access unit more, and the duration would be rounded to more than the limit.
	if have+step > s.limit()+rounding || s.open.bytes+len(au.Payload) > s.maxBytes {
		s.stats.Forced++
		return true
	}
	return false
}

func (s *Segmenter) begin(au *codecs.AccessUnit) {
	s.open = &draft{gen: s.gen, discontinuity: s.broken}
	if s.broken {
		s.stats.Breaks++
	}
	s.broken, s.waits, s.step, s.final, s.point = false, false, 0, au.DTS, au.DTS
	s.add(au)
}

func (s *Segmenter) add(au *codecs.AccessUnit) {
	d := s.open
	if d.marked && (d.bytes+len(au.Payload) > s.maxBytes || au.DTS-d.units[0].DTS > longestMarked) {
		// Marks that far apart break the promise of whoever sets them; memory has a bound all the same.
		d.whole = false
		s.stats.Lost++
		return
	}
	if au.Track == s.main {
		s.step, s.final = max(s.step, au.DTS-s.final), au.DTS
	}
	d.units = append(d.units, au)
	d.bytes += len(au.Payload) + 128
}

// mark cuts before au, which carries a mark.
func (s *Segmenter) mark(au *codecs.AccessUnit, st *Step) {
	if s.run != marked || au.Cut+s.shift < s.next-behind {
		s.align(au.Cut)
	}
	number := au.Cut + s.shift
	open := s.open
	s.open = nil
	again := open != nil && open.marked && number == open.number
	if number < s.next || number <= 0 || again {
		s.lose(open)
		open = nil
	}
	if number < s.next || number <= 0 {
		// Published already: the input started anew a little way back.
		s.run, s.marks = marked, true
		s.stats.Lost++
		return
	}
	if h := s.held; h != nil {
		s.held = nil
		if h.number < number {
			s.publish(h, h.number, nil, st)
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
			s.publish(open, open.number, follow, st)
		case number > max(s.next, 1):
			// What came before the first mark is the end of the segment before it.
			s.publish(open, number-1, au, st)
		default:
			s.lose(open)
		}
	}
	s.run, s.marks, s.next = marked, true, number
	st.Began, st.Shift = number, s.shift
	whole := !s.broken
	s.begin(au)
	s.open.marked, s.open.number, s.open.whole = true, number, whole
}

// align chooses the shift for a run of marks that starts with cut: none, unless the numbers would go back further than
// an input that starts anew explains.
func (s *Segmenter) align(cut int64) {
	if due := s.next; cut >= due-behind {
		s.shift = 0
	} else if at := cut + s.shift; s.shift == 0 || at < due-behind || at > due+behind {
		s.shift = due - cut
	}
}

// interrupt ends the open segment without a successor. leave says that the stream does not come back to what it was.
func (s *Segmenter) interrupt(st *Step, leave bool) {
	open := s.open
	s.open = nil
	if h := s.held; h != nil && leave {
		s.held = nil
		s.publish(h, h.number, nil, st)
		s.next = h.number + 1
	}
	switch {
	case open == nil:
	case open.marked && s.repairs && !leave:
		open.whole = false
		s.held = open
	case open.marked:
		open.whole = false
		s.publish(open, open.number, nil, st)
		s.next = open.number + 1
	case s.run == undecided && s.repairs && !leave:
		s.lose(open)
	default:
		s.count(open, nil, st)
	}
	s.broken, s.waits = true, false
	s.forget()
	s.run = counted
	if s.repairs || s.marks {
		s.run = undecided
	}
}

// decide settles that the stream carries no marks.
func (s *Segmenter) decide(st *Step) {
	s.run = counted
	if h := s.held; h != nil {
		s.held = nil
		s.publish(h, h.number, nil, st)
		s.next = h.number + 1
	}
}

// count publishes a segment that began at no mark, unless a break made it too short.
func (s *Segmenter) count(d *draft, follow *codecs.AccessUnit, st *Step) {
	number := s.next
	if number == 0 {
		number = s.fresh
	}
	seg := newSegment(number, d.gen, d.units, follow)
	if follow != nil {
		s.credit += seg.Duration
	} else {
		// How long the last access unit would have lasted is no time that has passed.
		s.credit += max(s.top-seg.decode, 0)
	}
	if s.credit < s.shortest && follow == nil {
		s.lose(d)
		return
	}
	s.credit = max(s.credit-s.shortest, 0)
	if follow == nil {
		// The last access unit says how long it lasts, and may say anything.
		seg.Duration = min(seg.Duration, s.limit())
	}
	s.emit(d, seg, st)
	s.next = seg.Number + 1
}

func (s *Segmenter) publish(d *draft, number int64, follow *codecs.AccessUnit, st *Step) {
	s.emit(d, newSegment(number, d.gen, d.units, follow), st)
}

func (s *Segmenter) emit(d *draft, seg *Segment, st *Step) {
	seg.Discontinuity, seg.marked, seg.whole = d.discontinuity, d.marked, d.whole && d.marked
	if s.duration == 0 && !s.repairs {
		s.duration = TargetDuration(s.target, seg.Duration)
	}
	st.Closed = append(st.Closed, seg)
}

// lose counts the access units of a segment that is not published.
func (s *Segmenter) lose(d *draft) {
	if d != nil {
		s.stats.Lost += uint64(len(d.units))
	}
}

// TargetDuration is the target duration in seconds of a stream that is cut at target and whose first segments last up
// to longest, both in ticks.
func TargetDuration(target, longest int64) int {
	return min(max(seconds(target*3/2), seconds(longest*5/4)), seconds(hardest))
}

// Skip says that everything below next has been published by other means.
func (s *Segmenter) Skip(next int64) { s.next = max(s.next, next) }
