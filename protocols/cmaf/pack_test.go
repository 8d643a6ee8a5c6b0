package cmaf

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"weir/codecs"
)

// packed runs a packager over batches into store and fails when it does.
func packed(t *testing.T, store *Store, o Options, batches ...batch) {
	t.Helper()
	feed := &script{batches: batches}
	if err := Pack(t.Context(), feed, store, o); err != nil {
		t.Fatalf("Pack() = %v", err)
	}
	if !feed.closed {
		t.Error("Pack left its feed open")
	}
}

// function is a linear stream's options.
func function() Options {
	return Options{
		Backfill: linear, NumberAt: func(t int64) int64 { return t / grid }, Longest: 4 * time.Second,
		Start: 1 << 30,
	}
}

// sameMedia fails unless all segments that both windows keep have the same bytes, and returns how many there are.
func sameMedia(t *testing.T, a, b *Window) int {
	t.Helper()
	same := 0
	for _, x := range a.kept {
		y := b.Segment(x.Number)
		if y == nil {
			continue
		}
		same++
		for f := range forms {
			if !bytes.Equal(x.Bytes(f), y.Bytes(f)) {
				t.Errorf("segment %d, form %d: bytes differ", x.Number, f)
			}
			if x.Sizes[f] != y.Sizes[f] {
				t.Errorf("segment %d, form %d: size %d and %d", x.Number, f, x.Sizes[f], y.Sizes[f])
			}
		}
		if x.Start != y.Start || x.Duration != y.Duration || x.Discontinuity != y.Discontinuity {
			t.Errorf("segment %d: %s and %s", x.Number, shows([]*Segment{x}), shows([]*Segment{y}))
		}
	}
	return same
}

const noon = 1000 * grid // where the linear streams of the tests start

func TestLinearStreamStartsWithAWholeWindow(t *testing.T) {
	store := NewStore(Config{})
	packed(t, store, function(), batch{tracks: both}, batch{units: linearPiece(noon+second, noon+3*second)})
	w := store.Window()
	if w.Segments[0].Number != 994 || w.Last() != 999 || w.TargetDuration != 4 {
		t.Errorf("window is %d to %d, target %d, want 994 to 999, target 4", w.Segments[0].Number, w.Last(), w.TargetDuration)
	}
	if w.Discontinuities() != 0 || w.Segments[0].Discontinuity {
		t.Error("a linear stream starts with a discontinuity")
	}
	if w.Segment(987) == nil || w.Segment(986) != nil {
		t.Error("kept beyond the playlist are not 7 segments")
	}
}

func TestWindowFillsAtTheFirstMarkWhenNobodyKnowsTheNumber(t *testing.T) {
	store := NewStore(Config{})
	o := function()
	o.NumberAt = nil
	packed(t, store, o, batch{tracks: both}, batch{units: linearPiece(noon+second, noon+5*second)})
	if w := store.Window(); w.Segments[0].Number != 995 || w.Last() != 1000 {
		t.Errorf("window is %d to %d, want 995 to 1000", w.Segments[0].Number, w.Last())
	}
}

func TestTwoNodesMakeTheSameSegmentsOfALinearStream(t *testing.T) {
	early, late := NewStore(Config{}), NewStore(Config{})
	// The early node loses access units, its input starts anew, and it joins in the middle of a segment.
	packed(
		t, early, function(),
		batch{tracks: both, units: linearPiece(noon+2*second, noon+9*second)},
		batch{dropped: 7, units: linearPiece(noon+11*second, noon+21*second)},
		batch{units: broken(linearPiece(noon+20*second, noon+22*second))},
		batch{units: broken(linearPiece(noon+26*second, noon+41*second))},
	)
	packed(t, late, function(), batch{tracks: both, units: linearPiece(noon+30*second, noon+41*second)})
	a, b := early.Window(), late.Window()
	if a.Segments[0].Number != b.Segments[0].Number || a.Last() != b.Last() || a.Last() != 1009 {
		t.Fatalf("windows are %d to %d and %d to %d, want the same up to 1009", a.Segments[0].Number, a.Last(), b.Segments[0].Number, b.Last())
	}
	if same := sameMedia(t, a, b); same != 13 {
		t.Errorf("%d segments are in both stores, want 13", same)
	}
}

func TestNothingThatAnInputLosesOrRepeatsShowsInALinearStream(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		var batches []batch
		at := int64(noon)
		for range 20 {
			length := 1 + random.Int64N(9*second)
			b := batch{units: linearPiece(at, at+length)}
			at += length
			switch random.IntN(5) {
			case 0: // access units are dropped
				b.dropped = 1
				batches = append(batches, b)
				at += random.Int64N(12 * second)
				continue
			case 1: // the input starts anew, a little back
				at -= random.Int64N(3 * second)
				b = batch{units: linearPiece(at, at+length)}
				at += length
				if len(b.units) > 0 {
					b.units[0].Discontinuity = true
				}
			}
			batches = append(batches, b)
		}
		// What follows a loss starts at a random access point, as a hub sees to.
		lost := true
		for i := range batches {
			units := batches[i].units
			lost = lost || len(units) > 0 && units[0].Discontinuity
			for lost && len(units) > 0 && (units[0].Track != 0 || !units[0].RandomAccess) {
				units = units[1:]
			}
			if lost && len(units) > 0 {
				units[0].Discontinuity, lost = true, false
			}
			batches[i].units = units
			lost = lost || batches[i].dropped > 0
		}
		for i := len(batches) - 1; i > 0; i-- { // the feed counts before what follows
			batches[i].dropped = batches[i-1].dropped
		}
		batches[0].dropped = 0
		batches[0].tracks = both
		end := (at/grid + 3) * grid
		batches = append(batches, batch{units: broken(linearPiece((at/grid+1)*grid, end))}, batch{units: linearPiece(end, end+second)})
		store, clean := NewStore(Config{}), NewStore(Config{})
		packed(t, store, function(), batches...)
		packed(t, clean, function(), batch{tracks: both, units: linearPiece(end, end+second)})
		a, b := store.Window(), clean.Window()
		if a.Segments[0].Number != b.Segments[0].Number || a.Last() != b.Last() || sameMedia(t, a, b) != 13 || a.Discontinuities() != 0 {
			t.Errorf("seed %d: window is %s, want %s", seed, shows(a.kept), shows(b.kept))
		}
	}
}

func TestWindowsOfUnevenSegmentsAreTheSameOnANodeThatStartsLater(t *testing.T) {
	// Segments last 1 s, but each tenth lasts 11 s: three target durations are many more than six segments.
	start := func(mark int64) int64 { return (mark/10*20 + mark%10) * second }
	segment := func(mark int64) ([]*codecs.AccessUnit, error) {
		units := piece(start(mark), start(mark+1), second)
		units[0].Cut = mark
		return units, nil
	}
	o := Options{Backfill: segment, Longest: 11 * time.Second, NumberAt: func(t int64) int64 {
		return t/(20*second)*10 + min(t%(20*second)/second, 9)
	}}
	feed := func(from, to int64) batch {
		b := batch{tracks: both}
		for m := from; m < to; m++ {
			units, _ := segment(m)
			b.units = append(b.units, units...)
		}
		return b
	}
	early := NewStore(Config{})
	packed(t, early, o, feed(1000, 1200))
	late := NewStore(Config{})
	packed(t, late, o, feed(1198, 1200))
	a, b := early.Window(), late.Window()
	if a.Segments[0].Number != b.Segments[0].Number || a.Last() != b.Last() || len(a.kept) != len(b.kept) {
		t.Errorf("windows are %d to %d of %d and %d to %d of %d, want the same",
			a.Segments[0].Number, a.Last(), len(a.kept), b.Segments[0].Number, b.Last(), len(b.kept))
	}
	if len(a.Segments) <= 6 || a.TargetDuration != 11 {
		t.Errorf("%d segments are listed, target %d s, want more than 6, and 11 s", len(a.Segments), a.TargetDuration)
	}
}

func TestLinearStreamGoesOnAfterARestart(t *testing.T) {
	store := NewStore(Config{})
	packed(t, store, function(), batch{tracks: both, units: linearPiece(noon, noon+10*second)})
	packed(t, store, function(), batch{tracks: both, units: linearPiece(noon+30*second, noon+33*second)})
	w := store.Window()
	if got, want := shows(w.Segments), "1002@4008+4 1003@4012+4 1004@4016+4 1005@4020+4 1006@4024+4 1007@4028+4"; got != want {
		t.Errorf("segments = %s, want %s", got, want)
	}
}

func TestWhatCannotBeRebuiltIsADiscontinuity(t *testing.T) {
	o := function()
	o.Backfill = func(mark int64) ([]*codecs.AccessUnit, error) {
		if mark >= 1001 {
			return nil, errors.New("file is gone")
		}
		return linear(mark)
	}
	store := NewStore(Config{Window: 2})
	packed(
		t, store, o,
		batch{tracks: both, units: linearPiece(noon, noon+6*second)},
		batch{dropped: 1, units: linearPiece(noon+13*second, noon+21*second)},
	)
	if got, want := shows(store.Window().kept), "999@3996+4 1000@4000+4 1001@4004+2.016 1003@4013+3D 1004@4016+4"; got != want {
		t.Errorf("kept = %s, want %s", got, want)
	}
}

func TestBackfillThatLiesIsNotBelieved(t *testing.T) {
	for _, test := range []struct {
		name string
		lie  func(int64) ([]*codecs.AccessUnit, error)
	}{
		{"empty", func(int64) ([]*codecs.AccessUnit, error) { return nil, nil }},
		{"another segment", func(m int64) ([]*codecs.AccessUnit, error) { return linear(m + 1) }},
		{"unknown track", func(int64) ([]*codecs.AccessUnit, error) {
			return []*codecs.AccessUnit{{Track: 9}}, nil
		}},
	} {
		store := NewStore(Config{})
		o := function()
		o.Backfill = test.lie
		packed(t, store, o, batch{tracks: both, units: linearPiece(noon, noon+9*second)})
		if got, want := shows(store.Window().Segments), "1000@4000+4D 1001@4004+4"; got != want {
			t.Errorf("%s: segments = %s, want %s", test.name, got, want)
		}
	}
}

func TestOtherStreamStartsAtTheGivenNumberAndGoesForwardOnly(t *testing.T) {
	store := NewStore(Config{})
	o := Options{Start: 500}
	packed(t, store, o, batch{tracks: both, units: piece(noon, noon+9*second, second)})
	packed(t, store, o, batch{tracks: both, units: piece(noon+20*second, noon+25*second, second)})
	if got, want := shows(store.Window().Segments), "500@4000+4D 501@4004+4 502@4008+1.003 503@4020+4D 504@4024+1.003"; got != want {
		t.Errorf("segments = %s, want %s", got, want)
	}
	if got := store.Window().Discontinuities(); got != 500 {
		t.Errorf("Discontinuities() = %d, want 500: those of an unknown predecessor are fewer than the numbers", got)
	}
	if got := store.Record().Next; got != 505 {
		t.Errorf("Record().Next = %d, want 505", got)
	}
}

func TestTakenOverStreamGoesOnFromTheRecord(t *testing.T) {
	old := NewStore(Config{})
	packed(t, old, Options{Start: 500}, batch{tracks: both, units: piece(noon, noon+30*second, 8*second)})
	store := NewStore(Config{})
	store.Inherit(Handover{Record: old.Record()})
	store.Inherit(Handover{Record: Record{Next: 3}})
	packed(t, store, Options{Start: 1}, batch{tracks: both, units: piece(noon+40*second, noon+48*second, 2*second)})
	w := store.Window()
	if got, want := shows(w.Segments), "504@4040+4D 505@4044+4"; got != want {
		t.Errorf("segments = %s, want %s", got, want)
	}
	if w.TargetDuration != 10 || w.Discontinuities() != 501 {
		t.Errorf("target %d, discontinuities %d, want 10 and 501", w.TargetDuration, w.Discontinuities())
	}
}

func TestPublisherReplacesALinearInputAndBack(t *testing.T) {
	store := NewStore(Config{})
	packed(
		t, store, function(),
		batch{tracks: both, units: linearPiece(noon, noon+9*second)},
		batch{units: broken(piece(noon+9*second, noon+30*second, second))},
		batch{units: broken(linearPiece(noon+30*second, noon+41*second))},
	)
	w := store.Window()
	want := "997@3988+4 998@3992+4 999@3996+4 1000@4000+4 1001@4004+4 1002@4008+1.003 " +
		"1003@4009+4D 1004@4013+4 1005@4017+4 1006@4021+4 1007@4025+4 1008@4029+1.016 1009@4036+4D"
	if got := shows(w.kept); got != want {
		t.Errorf("kept = %s, want %s", got, want)
	}
}

func TestPackEndsWithTheContextOrTheFeedsError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Pack(ctx, &script{}, NewStore(Config{}), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Pack() = %v, want %v", err, context.Canceled)
	}
	bad := errors.New("hub is gone")
	if err := Pack(t.Context(), &script{then: bad}, NewStore(Config{}), Options{}); !errors.Is(err, bad) {
		t.Errorf("Pack() = %v, want %v", err, bad)
	}
}

func TestFreshNumberIsAboveAllThatWereUsed(t *testing.T) {
	start := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	first := FreshNumber(start)
	// A stream that breaks as often as it can for an hour, then another node.
	s := NewSegmenter(Config{}, 0, first, 0, false)
	s.SetTracks(both)
	last := int64(0)
	at := start.Unix() * second
	for i := range int64(3600 * 5) {
		from := at + i*second/5
		for _, au := range broken(piece(from, from+second/5, picture)) {
			for _, seg := range s.Push(au).Closed {
				last = seg.Number
			}
		}
	}
	if next := FreshNumber(start.Add(time.Hour)); last == 0 || next <= last {
		t.Errorf("FreshNumber() = %d after an hour, and %d had been used", next, last)
	}
}

func BenchmarkPack(b *testing.B) {
	units := piece(0, 60*second, 2*second)
	for b.Loop() {
		store := NewStore(Config{})
		feed := &script{batches: []batch{{tracks: both, units: units}}}
		if err := Pack(context.Background(), feed, store, Options{Start: 1}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(units)), "access-units/op")
}
