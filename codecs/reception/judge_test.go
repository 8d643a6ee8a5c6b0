package reception_test

import (
	"slices"
	"strings"
	"testing"

	"weir/codecs"
	"weir/codecs/reception"
)

const second = codecs.ClockRate

var both = codecs.Tracks{{Codec: codecs.H264}, {Codec: codecs.AAC}}

// A feed is an input of pictures of 40 ms, with a random access point each second, and sound of 20 ms. Its fields say from which second
// on it is otherwise; zero means never.
type feed struct {
	noPictures, noPoints, noSound, nothing int64

	back    int64 // from when on pictures come again
	gap     int64 // where the timestamps jump five seconds ahead
	late    int64 // where media comes two seconds late, and catches up
	lost    int64 // where a packet is lost
	segment int64 // media comes so many seconds at a time; 0: as it is made
	points  int64 // seconds between random access points; 1 if it is 0
}

// judge feeds a judge for so many seconds and returns the conditions that it finds at the end of each, by seconds, without repetitions.
func (f feed) judge(seconds int64) (conditions []string) {
	var j reception.Judge
	j.SetTracks(both)
	from := func(s, at int64) bool { return at > 0 && s >= at }
	for s := range seconds {
		for i := range int64(25) {
			dts := s*second + i*second/25
			now := dts
			if f.segment > 0 {
				now = s / f.segment * f.segment * second
			}
			if from(s, f.gap) {
				dts += 5 * second
				now = dts
			}
			if f.late > 0 && s == f.late && i < 20 {
				now += (20 - i) * second / 10
			}
			if f.lost > 0 && s == f.lost && i == 0 {
				j.Count(now, reception.ContinuityErrors, 1, nil)
			}
			if from(s, f.nothing) {
				continue
			}
			if !from(s, f.noPictures) || from(s, f.back) {
				point := i == 0 && s%max(f.points, 1) == 0 && !from(s, f.noPoints)
				j.Unit(now, &codecs.AccessUnit{DTS: dts, RandomAccess: point})
			}
			if !from(s, f.noSound) {
				j.Unit(now, &codecs.AccessUnit{Track: 1, DTS: dts})
				j.Unit(now, &codecs.AccessUnit{Track: 1, DTS: dts + second/50})
			}
		}
		end := (s + 1) * second
		if from(s, f.gap) {
			end += 5 * second
		}
		c, reason := j.Condition(end)
		if (c == 0) != (reason == "") {
			return []string{"a condition without a reason, or a reason without a condition: " + c.String() + reason}
		}
		if word := c.String(); len(conditions) == 0 || conditions[len(conditions)-1] != word {
			conditions = append(conditions, word)
		}
	}
	return conditions
}

var judgeTests = []struct {
	name string
	in   feed
	want []string
}{
	{"all is well", feed{}, []string{""}},
	{"segments of six seconds", feed{segment: 6}, []string{""}},
	{"a random access point every twenty seconds", feed{points: 20}, []string{"", "no key picture", ""}},
	{"a random access point every eight seconds", feed{points: 8}, []string{""}},
	{"the pictures stop", feed{noPictures: 10}, []string{"", "no picture"}},
	{"the pictures stop for a while", feed{noPictures: 10, back: 20}, []string{"", "no picture", "gaps", ""}},
	{"random access points stop", feed{noPoints: 10}, []string{"", "no key picture"}},
	{"the sound stops", feed{noSound: 10}, []string{"", "silent"}},
	{"all stops", feed{nothing: 10}, []string{"", "no media"}},
	{"a gap", feed{gap: 10}, []string{"", "gaps", ""}},
	{"a packet is lost", feed{lost: 10}, []string{"", "continuity errors", ""}},
	{"media comes late", feed{late: 10}, []string{"", "jittering", ""}},
}

func TestInputIsJudgedByWhatArrives(t *testing.T) {
	for _, tt := range judgeTests {
		if got := tt.in.judge(70); !slices.Equal(got, tt.want) {
			t.Errorf("%s: the conditions are %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSourceSaysWhatCannotBeSeen(t *testing.T) {
	var j reception.Judge
	j.SetTracks(both)
	j.Unit(0, &codecs.AccessUnit{RandomAccess: true})
	j.Meet(reception.Unavailable, "segment 7: 404")
	j.Meet(reception.Scrambled, "PID 256 is scrambled")
	if c, reason := j.Condition(0); c != reception.Scrambled || !strings.Contains(reason, "256") {
		t.Errorf("condition %v, %q, want the worst", c, reason)
	}
	j.Meet(reception.Scrambled, "")
	if c, _ := j.Condition(0); c != reception.Unavailable {
		t.Errorf("condition %v, want the other one", c)
	}
	j.Count(0, reception.Damaged, 2, nil)
	j.Begin()
	if c, _ := j.Condition(0); c != 0 || j.Counts[reception.Damaged] != 2 || j.Units != 1 {
		t.Errorf("after a new start: condition %v, counts %v, %d units; want none, and the counts to go on", c, j.Counts, j.Units)
	}
}

func TestEveryConditionAndCounterHasAWord(t *testing.T) {
	seen := map[string]bool{}
	for c := reception.Scrambled; c <= reception.Jittering; c++ {
		seen[c.String()] = true
	}
	for c := range reception.Counters {
		seen["counter "+c.String()] = true
	}
	if want := int(reception.Jittering) + int(reception.Counters); len(seen) != want || seen[""] || seen["counter "] {
		t.Errorf("%d words %v, want %d", len(seen), seen, want)
	}
}
