package cmaf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"weir/codecs"
)

// some returns a segment of so many seconds that starts at a second.
func some(number, at, length int64) *Segment {
	g := NewGeneration(both)
	return newSegment(number, g, piece(at*second, (at+length)*second, second), &codecs.AccessUnit{DTS: (at + length) * second})
}

func TestWindowNeverGoesBackAndLastsThreeTargetDurations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	store := NewStore(Config{Window: 3})
	first, at := int64(0), int64(100)
	for n := int64(1); n < 200; n++ {
		length := 1 + random.Int64N(5)
		if err := store.Append(some(n, at, length)); err != nil {
			t.Fatal(err)
		}
		at += length
		w := store.Window()
		if w.Segments[0].Number < first || w.Last() != n {
			t.Fatalf("window after %d is %d to %d, and had started at %d", n, w.Segments[0].Number, w.Last(), first)
		}
		first = w.Segments[0].Number
		listed := int64(0)
		for _, s := range w.Segments {
			listed += s.Duration
		}
		if n > 30 && listed < 3*second*int64(w.TargetDuration) {
			t.Fatalf("window after %d lasts %d ticks, target is %d s", n, listed, w.TargetDuration)
		}
		if w.Segments[0].Number > 4 && w.Segment(w.Segments[0].Number-4) == nil {
			t.Fatalf("segment %d is gone although %d is listed", w.Segments[0].Number-4, w.Segments[0].Number)
		}
	}
}

func TestDiscontinuitySequenceCountsWhatLeftTheWindow(t *testing.T) {
	store := NewStore(Config{Window: 2})
	var got strings.Builder
	for n := int64(1); n <= 8; n++ {
		s := some(n, n*8, 8)
		s.marked = true
		s.Discontinuity = n%2 == 0
		if err := store.Append(s); err != nil {
			t.Fatal(err)
		}
		w := store.Window()
		got.WriteString(fmt.Sprintf("%d:%d ", w.Segments[0].Number, w.Discontinuities()))
	}
	// The tag at the first listed segment is still in the playlist, so it is not counted.
	if want := "1:0 1:0 1:0 1:0 2:0 3:1 4:1 5:2 "; got.String() != want {
		t.Errorf("first:discontinuities = %s, want %s", got.String(), want)
	}
}

func TestHoleStartsThePlaylistAnew(t *testing.T) {
	store := NewStore(Config{})
	if err := store.Append(some(5, 10, 4), some(6, 14, 4)); err != nil {
		t.Fatal(err)
	}
	if err := store.Append(some(9, 18, 4)); err != nil {
		t.Fatal(err)
	}
	w := store.Window()
	if w.Segments[0].Number != 9 || !w.Segments[0].Discontinuity {
		t.Errorf("first listed is %d, discontinuity %t, want 9, true", w.Segments[0].Number, w.Segments[0].Discontinuity)
	}
	if w.Segment(6) == nil || w.Segment(7) != nil {
		t.Error("what was before the hole is not kept")
	}
	if err := store.Append(some(9, 18, 4)); !errors.Is(err, ErrBehind) {
		t.Errorf("Append() = %v, want %v", err, ErrBehind)
	}
}

func TestOtherTracksOrTimesAreADiscontinuityEvenIfNobodySaysSo(t *testing.T) {
	store := NewStore(Config{})
	silent := newSegment(8, NewGeneration(codecs.Tracks{avc}), strip(piece(30*second, 34*second, second), 1), nil)
	if err := store.Append(some(5, 10, 4), some(6, 14, 4), some(7, 26, 4), silent); err != nil {
		t.Fatal(err)
	}
	if got, want := shows(store.Window().Segments), "5@10+4D 6@14+4 7@26+4D 8@30+4D"; got != want {
		t.Errorf("segments = %s, want %s", got, want)
	}
}

func TestWaitReturnsWithTheSegment(t *testing.T) {
	store := NewStore(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan string)
	wait := func(ctx context.Context, number int64) {
		w, err := store.Wait(ctx, number)
		got <- fmt.Sprint(w.Last(), errors.Is(err, context.Canceled))
	}
	go wait(t.Context(), 0)
	if err := store.Append(some(5, 10, 4)); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "5 false" {
		t.Errorf("Wait(0) = %s, want 5 false", s)
	}
	go wait(t.Context(), 6)
	go wait(ctx, 7)
	if err := store.Append(some(6, 14, 4)); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "6 false" {
		t.Errorf("Wait(6) = %s, want 6 false", s)
	}
	cancel()
	if s := <-got; s != "6 true" {
		t.Errorf("Wait(7) = %s, want 6 true", s)
	}
}

func TestBytesAreMadeOnceAndUnitsLetGoAfterBothForms(t *testing.T) {
	s := some(5, 10, 4)
	var wg sync.WaitGroup
	all := make([][forms][]byte, 8)
	for i := range all {
		wg.Go(func() {
			all[i][TS], all[i][CMAF] = s.Bytes(TS), s.Bytes(CMAF)
		})
	}
	wg.Wait()
	for f := range forms {
		for i := range all {
			if len(all[i][f]) == 0 || &all[i][f][0] != &all[0][f][0] {
				t.Fatalf("form %d was made more than once, or not at all", f)
			}
		}
	}
	if s.units != nil {
		t.Error("access units are held although both forms exist")
	}
	again := some(5, 10, 4)
	for f := range forms {
		if !bytes.Equal(s.Bytes(f), again.Bytes(f)) {
			t.Errorf("form %d differs between two segments of the same access units", f)
		}
		if size, real := s.Sizes[f], len(s.Bytes(f)); size < real*8/10 || size > real*3 {
			t.Errorf("Size(%d) = %d, and it has %d bytes", f, size, real)
		}
	}
}

func TestGenerationIsNamedByItsConfiguration(t *testing.T) {
	other := avc
	other.Config = append([]byte(nil), avc.Config...)
	other.Config[3]++
	names := map[string]bool{}
	for _, tracks := range []codecs.Tracks{both, {avc}, {aac}, {other, aac}, {aac, avc}} {
		g := NewGeneration(tracks)
		if names[g.Name] || len(g.Name) != 16 {
			t.Errorf("NewGeneration(%v).Name = %q, want 16 digits of its own", tracks, g.Name)
		}
		names[g.Name] = true
		if NewGeneration(tracks).Name != g.Name {
			t.Errorf("NewGeneration(%v) has two names", tracks)
		}
	}
	for _, test := range []struct {
		tracks   codecs.Tracks
		ts, cmaf bool
	}{
		{both, true, true},
		{codecs.Tracks{avc, {Codec: codecs.Opus, Config: []byte{0, 2, 1, 56, 0, 0, 187, 128, 0, 0, 0}, SampleRate: 48000, Channels: 2}}, false, true},
		{codecs.Tracks{avc, {Codec: codecs.PCMA, SampleRate: 8000, Channels: 1}}, true, true}, // the pictures, where they would be without it
		{codecs.Tracks{{Codec: codecs.PCMA, SampleRate: 8000, Channels: 1}}, false, false},
		{nil, false, false},
	} {
		g := NewGeneration(test.tracks)
		if ts, fragments := g.Carries(TS), g.Carries(CMAF); ts != test.ts || fragments != test.cmaf {
			t.Errorf("%v: Carries = %t, %t, want %t, %t", test.tracks, ts, fragments, test.ts, test.cmaf)
		}
	}
}

func TestSegmentThatBeginsBeforeTheOneBeforeItEndsIsADiscontinuity(t *testing.T) {
	store := NewStore(Config{})
	if err := store.Append(some(5, 10, 4), some(6, 12, 4), some(7, 16, 4)); err != nil {
		t.Fatal(err)
	}
	if got, want := shows(store.Window().Segments), "5@10+4D 6@12+4D 7@16+4"; got != want {
		t.Errorf("segments = %s, want %s", got, want)
	}
}
