package cmaf

import (
	"fmt"
	"strings"
	"testing"

	"weir/codecs"
)

const second = codecs.ClockRate

// shows writes segments as "number@start+duration" in seconds, with D for a discontinuity and N for one that does not
// start at a random access point.
func shows(segments []*Segment) string {
	var b strings.Builder
	for i, s := range segments {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d@%.4g+%.4g", s.Number, float64(s.Start)/second, float64(s.Duration)/second)
		if s.Discontinuity {
			b.WriteByte('D')
		}
		if !s.Independent {
			b.WriteByte('N')
		}
	}
	return b.String()
}

func strip(units []*codecs.AccessUnit, track int) []*codecs.AccessUnit {
	var left []*codecs.AccessUnit
	for _, au := range units {
		if au.Track != track {
			left = append(left, au)
		}
	}
	return left
}

func broken(units []*codecs.AccessUnit) []*codecs.AccessUnit {
	units[0].Discontinuity = true
	return units
}

func onlySound(units []*codecs.AccessUnit) []*codecs.AccessUnit {
	units = strip(units, 0)
	for _, au := range units {
		au.Track = 0
	}
	return units
}

// never is a distance of random access points that no test reaches.
const never = 1 << 40

var segmenterTests = []struct {
	name    string
	repairs bool
	next    int64
	steps   []batch // a batch with dropped is preceded by a break
	want    string
	lost    int // access units in no segment: without random access point, published, or behind the last mark
}{
	{
		name:  "cut at the first random access point at or after the target",
		steps: []batch{{tracks: both, units: piece(0, 16*second, 3*second)}},
		want:  "7@0+6D 8@6+6 9@12+4",
	},
	{
		name:  "random access point exactly at the target",
		steps: []batch{{tracks: both, units: piece(0, 9*second, 2*second)}},
		want:  "7@0+4D 8@4+4 9@8+1.003",
	},
	{
		name:  "nothing before the first random access point",
		steps: []batch{{tracks: both, units: piece(second, 7*second, 2*second)}},
		want:  "7@2+4D 8@6+1.019",
		lost:  72,
	},
	{
		name:  "audio alone is cut at audio",
		steps: []batch{{tracks: codecs.Tracks{aac}, units: onlySound(piece(0, 6*second, second))}},
		want:  "7@0+4.011D 8@4.011+2.005",
	},
	{
		name:  "forced where the first segment would last longer than any may",
		steps: []batch{{tracks: both, units: piece(0, 40*second, never)}},
		want:  "7@0+30.46D 8@30.46+9.536N",
	},
	{
		name:  "forced where a later segment would break the promise",
		steps: []batch{{tracks: both, units: append(piece(0, 4*second+1, second), piece(4*second+picture, 12*second, 20*second)...)}},
		want:  "7@0+4D 8@4+6.475 9@10.47+1.536N",
	},
	{
		name:  "picture that never comes",
		steps: []batch{{tracks: both, units: strip(piece(0, 17*second, second), 0)}},
		want:  "7@12.01+4.992DN",
		lost:  563,
	},
	{
		name: "discontinuity",
		steps: []batch{
			{tracks: both, units: piece(0, 5*second, second)},
			{units: broken(piece(50*second, 56*second, second))},
		},
		want: "7@0+4D 8@4+1.013 9@50+4D 10@54+2",
	},
	{
		name: "timeline that jumps without saying so",
		steps: []batch{
			{tracks: both, units: piece(0, 5*second, second)},
			{units: piece(50*second, 55*second, second)},
			{units: piece(20*second, 23*second, second)},
		},
		want: "7@0+4D 8@4+1.013 9@50+4D 10@54+1.019 11@20+3.019D",
	},
	{
		name: "gap that nobody noticed but the feed",
		steps: []batch{
			{tracks: both, units: piece(0, 5*second, second)},
			{dropped: 1, units: piece(7*second, 12*second, second)},
		},
		want: "7@0+4D 8@4+1.013 9@7+4D 10@11+1.011",
	},
	{
		name: "pictures too far apart for one segment",
		steps: []batch{{tracks: both, units: []*codecs.AccessUnit{
			{DTS: 0, PTS: 0, RandomAccess: true},
			{DTS: 14 * second, PTS: 14 * second},
			{DTS: 40 * second, PTS: 40 * second, RandomAccess: true},
			{DTS: 45 * second, PTS: 45 * second},
		}}},
		want: "7@0+28D 8@40+10D",
	},
	{
		name: "other tracks",
		steps: []batch{
			{tracks: both, units: piece(0, 5*second, second)},
			{tracks: both, units: piece(5*second, 6*second, second)},
			{tracks: codecs.Tracks{avc}, units: strip(piece(6*second, 8*second, second), 1)},
		},
		want: "7@0+4D 8@4+2.016 9@6+2D",
	},
	{
		name: "shorter than the shortest more often than the longer ones allow",
		steps: []batch{
			{tracks: both, units: piece(0, second/2, second)},
			{units: broken(piece(10*second, 13*second, second))},
			{units: broken(piece(20*second, 20*second+second/2, second))},
		},
		want: "7@10+3.013D 8@20+0.52D",
		lost: 37,
	},
	{
		name:  "numbers go on",
		next:  100,
		steps: []batch{{tracks: both, units: piece(0, 8*second, second)}},
		want:  "100@0+4D 101@4+4",
	},
	{
		name:  "marks are the numbers",
		steps: []batch{{tracks: both, units: linearPiece(40*second, 53*second)}},
		want:  "10@40+4D 11@44+4 12@48+4",
		lost:  72,
	},
	{
		name:  "before the first mark is the end of the segment before",
		steps: []batch{{tracks: both, units: linearPiece(41*second, 49*second)}},
		want:  "10@41+3D 11@44+4",
		lost:  72,
	},
	{
		name:  "marks that were published are waited over",
		next:  12,
		steps: []batch{{tracks: both, units: linearPiece(40*second, 53*second)}},
		want:  "12@48+4D",
		lost:  647,
	},
	{
		name:  "marks far below the numbers are shifted",
		next:  1000,
		steps: []batch{{tracks: both, units: linearPiece(40*second, 53*second)}},
		want:  "1000@40+4D 1001@44+4 1002@48+4",
		lost:  72,
	},
	{
		name: "marks that leave one out",
		steps: []batch{
			{tracks: both, units: linearPiece(40*second, 45*second)},
			{dropped: 1, units: linearPiece(52*second, 57*second)},
		},
		want: "10@40+4D 11@44+1.013 13@52+4D",
		lost: 72,
	},
	{
		name:    "a stream that may have marks and has none",
		repairs: true,
		steps:   []batch{{tracks: both, units: piece(0, 13*second, second)}},
		want:    "7@0+8D 8@8+4 9@12+1.013",
	},
	{
		name:    "a marked stream that breaks waits for its next mark",
		repairs: true,
		steps: []batch{
			{tracks: both, units: linearPiece(40*second, 45*second)},
			{dropped: 1, units: linearPiece(47*second, 53*second)},
		},
		want: "10@40+4D 11@44+1.013 11@47+1D 12@48+4",
		lost: 72,
	},
}

// segmented runs the steps of a test.
func segmented(repairs bool, next int64, steps []batch) ([]*Segment, *Segmenter) {
	s := NewSegmenter(Config{}, next, 7, 0, repairs)
	var got []*Segment
	for _, b := range steps {
		if b.dropped > 0 {
			got = append(got, s.Break().Closed...)
		}
		if b.tracks != nil {
			got = append(got, s.SetTracks(b.tracks).Closed...)
		}
		for _, au := range b.units {
			got = append(got, s.Push(au).Closed...)
		}
	}
	return append(got, s.Flush().Closed...), s
}

func TestSegmenterCuts(t *testing.T) {
	for _, test := range segmenterTests {
		t.Run(test.name, func(t *testing.T) {
			segments, _ := segmented(test.repairs, test.next, test.steps)
			if got := shows(segments); got != test.want {
				t.Errorf("segments = %s, want %s", got, test.want)
			}
			lost := 0
			for _, b := range test.steps {
				lost += len(b.units)
			}
			for _, s := range segments {
				lost -= len(s.units)
			}
			if lost != test.lost {
				t.Errorf("%d access units are in no segment, want %d", lost, test.lost)
			}
		})
	}
}

func TestSegmentsHoldEveryAccessUnitOnce(t *testing.T) {
	units := piece(0, 60*second, 3*second)
	segments, _ := segmented(false, 0, []batch{{tracks: both, units: units}})
	i := 0
	for _, s := range segments {
		for _, au := range s.units {
			if au != units[i] {
				t.Fatalf("access unit %d is not the stream's", i)
			}
			i++
		}
	}
	if i != len(units) {
		t.Errorf("segments hold %d access units, want %d", i, len(units))
	}
}

func TestByteLimitForcesACut(t *testing.T) {
	s := NewSegmenter(Config{}, 0, 1, 0, false)
	s.maxBytes = 100_000
	s.SetTracks(codecs.Tracks{avc})
	var got []*Segment
	for i := range int64(30) {
		got = append(got, s.Push(&codecs.AccessUnit{DTS: i * picture, PTS: i * picture, RandomAccess: i == 0, Payload: make([]byte, 10_000)}).Closed...)
	}
	if got, want := shows(got), "1@0+0.36D 2@0.36+0.36N 3@0.72+0.36N"; got != want {
		t.Errorf("segments = %s, want %s", got, want)
	}
}

func TestTargetDurationComesFromTheFirstSegmentAndStays(t *testing.T) {
	for _, test := range []struct{ gop, want int64 }{{second, 6}, {2 * second, 6}, {5 * second, 7}, {10 * second, 13}, {never, 30}} {
		_, s := segmented(false, 0, []batch{{tracks: both, units: piece(0, 90*second, test.gop)}})
		if got := s.targetDuration; int64(got) != test.want {
			t.Errorf("random access points every %d s: target duration = %d, want %d", test.gop/second, got, test.want)
		}
	}
}

// FuzzSegmenter feeds a segmenter whatever a broken input could and checks what every player relies on.
func FuzzSegmenter(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8}, false)
	f.Add([]byte("\x05\x01\x09\x03\x05\x01\x01\x05\x05\x05\x0e\x05\x16"), true)
	f.Fuzz(func(t *testing.T, script []byte, repairs bool) {
		const start = 1 << 40
		s := NewSegmenter(Config{}, 0, 7, 0, repairs)
		s.maxBytes = 1 << 16
		store := NewStore(Config{})
		var now, mark int64 = start, 10
		marks := false
		check := func(st Step) {
			for _, seg := range st.Closed {
				if seg.Duration <= 0 || len(seg.units) == 0 {
					t.Fatalf("segment %d has duration %d and %d access units", seg.Number, seg.Duration, len(seg.units))
				}
				if d := s.targetDuration; !marks && !repairs && (seg.Duration+second/2)/second > int64(d) {
					t.Fatalf("segment %d lasts %d ticks, promised are %d s", seg.Number, seg.Duration, d)
				}
				if seg.Number <= store.Window().Last() && repairs {
					continue // a prelude, which the packager replaces
				}
				if err := store.Append(seg); err != nil {
					t.Fatal(err)
				}
				_, _ = seg.Bytes(TS), seg.Bytes(CMAF)
			}
		}
		s.SetTracks(both)
		for _, b := range script {
			au := &codecs.AccessUnit{Track: int(b & 1), RandomAccess: b&6 == 6, Payload: make([]byte, int(b)*16)}
			switch b >> 3 {
			case 0:
				check(s.Break())
			case 1:
				check(s.SetTracks(both[:1+b&1]))
			case 2:
				now -= int64(b&7) * second
			case 3:
				now += int64(b&7) * 5 * second
			case 4:
				au.Discontinuity = true
			case 5:
				mark += int64(b & 3)
				au.Cut, marks = mark, true
			case 6:
				mark -= 100
			case 7:
				check(s.Flush())
			case 8:
				au.Track = int(b)
			default:
				now += int64(b) * 300
			}
			au.DTS, au.PTS = now, now
			check(s.Push(au))
		}
	})
}

// pushed pushes access units and returns the segments that ended.
func pushed(s *Segmenter, units []*codecs.AccessUnit) (closed []*Segment) {
	for _, au := range units {
		closed = append(closed, s.Push(au).Closed...)
	}
	return closed
}

func TestMarkedSegmentAfterAJumpOfTheTimelineIsADiscontinuity(t *testing.T) {
	s := NewSegmenter(Config{}, 0, 7, 0, false)
	s.SetTracks(both)
	pushed(s, linearPiece(40*second, 48*second))
	later := linearPiece(48*second, 57*second)
	for _, au := range later {
		au.DTS, au.PTS = au.DTS+1000*second, au.PTS+1000*second
	}
	closed := pushed(s, later)
	if len(closed) < 2 || closed[0].Duration > 5*second || closed[1].Number != 12 || !closed[1].Discontinuity {
		t.Errorf("segments = %s, want the one before the jump to end there, and a discontinuity at 12", shows(closed))
	}
}

func TestMarkedSegmentAfterTheEndOfAStreamIsADiscontinuity(t *testing.T) {
	s := NewSegmenter(Config{}, 0, 7, 0, false)
	s.SetTracks(both)
	pushed(s, linearPiece(40*second, 49*second))
	s.Flush()
	if closed := pushed(s, linearPiece(52*second, 57*second)); len(closed) != 1 || closed[0].Number != 13 || !closed[0].Discontinuity {
		t.Errorf("segments = %s, want a discontinuity at 13", shows(closed))
	}
}
