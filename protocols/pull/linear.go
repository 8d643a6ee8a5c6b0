package pull

import (
	"context"
	"fmt"
	"time"

	"weir/codecs"
	"weir/codecs/linear"
)

// A Clock tells and waits for the time.
type Clock interface {
	// Wall is the date and time.
	Wall() time.Time

	// Now is a monotonic clock that counts from any zero.
	Now() time.Duration

	// Wait returns after d, or earlier with the context's error when that ends.
	Wait(ctx context.Context, d time.Duration) error
}

// Limits of [Play].
const (
	// maxLead is how far ahead of the wall clock a successor waits for the segment that it is to start with. It covers
	// two segments and the error of two clocks.
	maxLead = 10 * time.Second

	// maxLag is how late access units are still written, one after the other as fast as they are taken.
	maxLag = 30 * time.Second
)

// Play writes what a linear stream has on air until the context ends, reading fails, or the writer refuses.
//
// It begins with the segment on air, whose past part it writes at once, so that there is a random access point
// immediately; every other access unit is written when its DTS is due. The segments are consecutive.
//
// The wall clock is read once, at the start. From then on the monotonic clock carries the stream, and no jump of the
// wall clock moves it. A successor gives the number after the last segment of its predecessor as from: it begins
// there, and waits until then, unless its own clock is already further. If it would wait for more than 10 s, the
// predecessor's clock went before its own, and the stream follows that clock. Zero means no predecessor.
//
// If the process was stopped and is more than 30 s late, the segments missed are skipped, and the next access unit is
// marked as a discontinuity.
func Play(ctx context.Context, t linear.Timeline, from int64, clock Clock, out codecs.Writer) error {
	origin := clock.Now()
	anchor := wallTicks(clock.Wall())
	now := func() int64 { return anchor + ticksOf(clock.Now()-origin) }

	msn := max(t.SegmentAt(anchor), from)
	if start, _ := t.Bounds(msn); start-anchor > ticksOf(maxLead) {
		anchor = start
	}
	out.SetTracks(t.Tracks())
	for skipped := false; ; msn++ {
		if _, end := t.Bounds(msn); now()-end > ticksOf(maxLag) {
			msn, skipped = t.SegmentAt(now()), true
		}
		units, err := t.Segment(msn)
		if err != nil {
			return fmt.Errorf("play: %w", err)
		}
		if skipped && len(units) > 0 {
			units[0].Discontinuity, skipped = true, false
		}
		for _, au := range units {
			if d := au.DTS - now(); d > 0 {
				if err := clock.Wait(ctx, durationOf(d)); err != nil {
					return err
				}
			} else if err := ctx.Err(); err != nil {
				return err
			}
			if err := out.Write(au); err != nil {
				return err
			}
		}
	}
}

// wallTicks are the ticks since the Unix epoch.
func wallTicks(t time.Time) int64 {
	return t.Unix()*codecs.ClockRate + int64(t.Nanosecond())*9/100000
}

// ticksOf rounds down, durationOf up, so that an access unit is due when the wait for it ends. The factors are 90000/1e9 reduced.
func ticksOf(d time.Duration) int64 {
	return int64(d/time.Second)*codecs.ClockRate + int64(d%time.Second)*9/100000
}

func durationOf(ticks int64) time.Duration {
	return time.Duration(ticks/codecs.ClockRate)*time.Second + time.Duration((ticks%codecs.ClockRate*100000+8)/9)
}

// SystemClock returns the machine's clock.
func SystemClock() Clock { return systemClock{start: time.Now()} }

type systemClock struct{ start time.Time }

func (systemClock) Wall() time.Time { return time.Now().Round(0) }

func (c systemClock) Now() time.Duration { return time.Since(c.start) }

func (systemClock) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
