package pull_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/linear"
	"weir/protocols/pull"
)

// A jumpyClock is the bubble's clock; its date can be set.
type jumpyClock struct {
	pull.Clock
	jump time.Duration
}

func (c *jumpyClock) Wall() time.Time { return c.Clock.Wall().Add(c.jump) }

// A written access unit, and when it came.
type written struct {
	codecs.AccessUnit
	at time.Duration // since the recorder was made
}

// A recorder is a [codecs.Writer] that ends the input after so many access units.
type recorder struct {
	start  time.Time
	most   int
	tracks codecs.Tracks
	units  []written
	before func(n int) // called before the access unit of that index is taken
}

var errEnough = errors.New("enough")

func newRecorder(most int) *recorder { return &recorder{start: time.Now(), most: most} }

func (r *recorder) SetTracks(t codecs.Tracks) { r.tracks = t }

func (r *recorder) Write(au *codecs.AccessUnit) error {
	if r.before != nil {
		r.before(len(r.units))
	}
	r.units = append(r.units, written{*au, time.Since(r.start)})
	if len(r.units) == r.most {
		return errEnough
	}
	return nil
}

func (r *recorder) play(t *testing.T, l linear.Timeline, from int64, c pull.Clock) {
	t.Helper()
	if err := pull.Play(t.Context(), l, from, c, r); !errors.Is(err, errEnough) {
		t.Fatalf("Play = %v, want %v", err, errEnough)
	}
}

func timeline(t *testing.T) *fake.Pattern {
	t.Helper()
	p, err := fake.New(fake.Config{Width: 256, Height: 144, Rate: 10})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ticksAt are the ticks of the bubble's clock at d after the recorder was made.
func ticksAt(r *recorder, d time.Duration) int64 {
	at := r.start.Add(d)
	return at.Unix()*codecs.ClockRate + int64(at.Nanosecond())*9/100000
}

// due checks that every access unit came at the first instant at which it was due, unless it was so at the start.
func due(t *testing.T, r *recorder, shift int64) {
	t.Helper()
	for i, u := range r.units {
		late := ticksAt(r, u.at) + shift - u.DTS
		if late < 0 || (u.at > 0 && late > 1) {
			t.Fatalf("access unit %d of DTS %d came %d ticks late", i, u.DTS, late)
		}
	}
}

func TestPastPartOfTheSegmentOnAirIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1300 * time.Millisecond) // into the segment
		p := timeline(t)
		r := newRecorder(600)
		r.play(t, p, 0, pull.SystemClock())
		if first := r.units[0]; first.Cut != p.SegmentAt(ticksAt(r, 0)) || !first.RandomAccess || first.at != 0 {
			t.Errorf("first access unit = %+v at %v, want the start of segment %d at once", first.AccessUnit, first.at, p.SegmentAt(ticksAt(r, 0)))
		}
		if !r.tracks.Equal(p.Tracks()) {
			t.Errorf("tracks = %v", r.tracks)
		}
		due(t, r, 0)
		msn := r.units[0].Cut
		for i, u := range r.units {
			if i > 0 && (u.DTS < r.units[i-1].DTS || u.Discontinuity) {
				t.Fatalf("access unit %d: %+v after DTS %d", i, u.AccessUnit, r.units[i-1].DTS)
			}
			if u.Cut != 0 && i > 0 {
				if msn++; u.Cut != msn {
					t.Fatalf("cut %d, want %d", u.Cut, msn)
				}
			}
		}
	})
}

func TestJumpOfTheWallClockMovesNothing(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 1000 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := timeline(t)
			c := &jumpyClock{Clock: pull.SystemClock()}
			r := newRecorder(1000)
			r.before = func(n int) {
				if n == 100 {
					c.jump = jump
				}
			}
			r.play(t, p, 0, c)
			due(t, r, 0)
			for _, u := range r.units {
				if u.Discontinuity {
					t.Fatalf("a jump by %v made a discontinuity", jump)
				}
			}
		})
	}
}

var fromTests = []struct {
	name string
	from int64         // relative to the segment on air
	want int64         // the first segment, likewise
	wait time.Duration // until then
}{
	{"the segment before", -1, 0, 0},
	{"an hour before", -900, 0, 0},
	{"the segment on air", 0, 0, 0},
	{"the next segment", 1, 1, 2500 * time.Millisecond},
	{"the one after next", 2, 2, 6500 * time.Millisecond},
	{"a predecessor whose clock is a minute ahead", 15, 15, 0},
}

func TestSuccessorStartsAtTheLargerOfItsOwnAndTheGivenNumber(t *testing.T) {
	for _, tt := range fromTests {
		synctest.Test(t, func(t *testing.T) {
			p := timeline(t)
			now := time.Now()
			time.Sleep(now.Truncate(4 * time.Second).Add(5500 * time.Millisecond).Sub(now)) // 1.5 s into a segment
			r := newRecorder(200)
			own := p.SegmentAt(ticksAt(r, 0))
			r.play(t, p, own+tt.from, pull.SystemClock())
			if got := r.units[0]; got.Cut != own+tt.want || got.at != tt.wait {
				t.Errorf("%s: first segment = %d of its own at %v, want %d at %v", tt.name, got.Cut-own, got.at, tt.want, tt.wait)
			}
			shift := int64(0)
			if tt.from > 3 {
				shift = r.units[0].DTS - ticksAt(r, 0)
			}
			due(t, r, shift)
		})
	}
}

func TestShortStopIsCaughtUpAndALongOneSkipped(t *testing.T) {
	for _, tt := range []struct {
		stop time.Duration
		skip bool
	}{{20 * time.Second, false}, {10 * time.Minute, true}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRecorder(3000)
			r.before = func(n int) {
				if n == 100 {
					time.Sleep(tt.stop)
				}
			}
			r.play(t, timeline(t), 0, pull.SystemClock())
			msn, breaks := r.units[0].Cut, 0
			for i, u := range r.units[1:] {
				if u.Discontinuity {
					breaks++
					if msn = u.Cut - 1; u.Cut == 0 || !u.RandomAccess || u.DTS > ticksAt(r, u.at) {
						t.Errorf("discontinuity at %d: %+v", i, u.AccessUnit)
					}
				}
				if u.Cut != 0 {
					if msn++; u.Cut != msn {
						t.Fatalf("stopped for %v: cut %d, want %d", tt.stop, u.Cut, msn)
					}
				}
			}
			if (breaks == 1) != tt.skip || breaks > 1 {
				t.Errorf("stopped for %v: %d discontinuities, want one: %v", tt.stop, breaks, tt.skip)
			}
			if last := r.units[len(r.units)-1]; ticksAt(r, last.at)-last.DTS > 1 {
				t.Errorf("stopped for %v: still %d ticks late at the end", tt.stop, ticksAt(r, last.at)-last.DTS)
			}
		})
	}
}

func TestEndOfTheContextEndsPlaying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		r := newRecorder(-1)
		if err := pull.Play(ctx, timeline(t), 0, pull.SystemClock(), r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Play = %v, want %v", err, context.DeadlineExceeded)
		}
		if got := time.Since(r.start); got != 90*time.Second {
			t.Errorf("ended after %v, want 90 s", got)
		}
	})
}

// A failing timeline cannot read its fourth segment.
type failing struct {
	*fake.Pattern
	bad int64
}

func (f failing) Segment(msn int64) ([]*codecs.AccessUnit, error) {
	if msn == f.bad {
		return nil, fmt.Errorf("segment %d: disk on fire", msn)
	}
	return f.Pattern.Segment(msn)
}

func TestUnreadableSegmentEndsPlayingWithItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeline(t)
		r := newRecorder(-1)
		bad := p.SegmentAt(ticksAt(r, 0)) + 3
		err := pull.Play(t.Context(), failing{p, bad}, 0, pull.SystemClock(), r)
		if want := fmt.Sprintf("play: segment %d: disk on fire", bad); err == nil || err.Error() != want {
			t.Errorf("Play = %v, want %s", err, want)
		}
	})
}
