package cmaf

import (
	"context"
	"testing"

	"weir/codecs"
)

// sent is what is left of a window on the way to another node.
func sent(s *Store, skip int) Handover {
	w := s.Window()
	l := Handover{Record: s.Record(), Before: w.Discontinuities()}
	for i, seg := range w.Segments {
		if i < skip {
			if seg.Discontinuity {
				l.Before++
			}
			continue
		}
		l.Segments = append(l.Segments, NewSegment(seg.Outline, [2][]byte{seg.Bytes(TS), seg.Bytes(CMAF)}))
	}
	return l
}

func TestInheritedWindowIsListedLikeTheOldOne(t *testing.T) {
	old := NewStore(Config{})
	packed(
		t, old, Options{Start: 500}, batch{tracks: both, units: piece(noon, noon+9*second, 2*second)},
		batch{units: broken(piece(noon+20*second, noon+50*second, 2*second))},
	)
	was := old.Window()
	store := NewStore(Config{})
	came := make(chan error, 1)
	go func() {
		_, err := store.Wait(t.Context(), 0)
		came <- err
	}()
	store.Inherit(sent(old, 0))
	if err := <-came; err != nil {
		t.Error(err)
	}
	w := store.Window()
	if got, want := shows(w.Segments), shows(was.Segments); got != want {
		t.Fatalf("segments = %s, want %s", got, want)
	}
	if w.TargetDuration != was.TargetDuration || w.Discontinuities() != was.Discontinuities() {
		t.Errorf("target %d, discontinuities %d, want %d and %d", w.TargetDuration, w.Discontinuities(), was.TargetDuration, was.Discontinuities())
	}
	if got, want := sameMedia(t, w, was), len(was.Segments); got != want {
		t.Errorf("%d segments are the same, want %d", got, want)
	}
	for _, seg := range w.Segments {
		if seg.discontinuities != was.Segment(seg.Number).discontinuities {
			t.Errorf("segment %d: %d discontinuities, want %d", seg.Number, seg.discontinuities, was.Segment(seg.Number).discontinuities)
		}
	}
	packed(t, store, Options{Start: 1}, batch{tracks: both, units: piece(noon+51*second, noon+56*second, 2*second)})
	next := store.Window().Segment(was.Last() + 1)
	if next == nil || !next.Discontinuity || next.discontinuities != was.Segments[len(was.Segments)-1].discontinuities+1 {
		t.Errorf("the first segment of its own is %+v", next)
	}
}

func TestInheritedPartOfAWindowKeepsTheCountOfDiscontinuities(t *testing.T) {
	old := NewStore(Config{})
	packed(
		t, old, Options{Start: 500}, batch{tracks: both, units: piece(noon, noon+9*second, 2*second)},
		batch{units: broken(piece(noon+20*second, noon+30*second, 2*second))},
	)
	was := old.Window()
	store := NewStore(Config{})
	store.Inherit(sent(old, len(was.Segments)-1))
	w := store.Window()
	if len(w.Segments) != 1 || w.Last() != was.Last() || w.Segments[0].discontinuities != was.Segments[len(was.Segments)-1].discontinuities {
		t.Errorf("segments = %s, want the last of %s", shows(w.Segments), shows(was.Segments))
	}
	// Its predecessor of before takes it back, and has some of the segments still.
	old.Inherit(sent(store, 0))
	if got, want := shows(old.Window().Segments), shows(was.Segments); got != want {
		t.Errorf("a window that is not ahead changed %s to %s", want, got)
	}
	packed(t, store, Options{}, batch{tracks: both, units: piece(noon+31*second, noon+41*second, 2*second)})
	old.Inherit(sent(store, 0))
	back, ahead := old.Window(), store.Window()
	if back.Last() != ahead.Last() || back.Segments[0].Number > was.Last() {
		t.Errorf("segments = %s, want those of %s after those of %s", shows(back.Segments), shows(ahead.Segments), shows(was.Segments))
	}
	for _, seg := range ahead.Segments {
		if b := back.Segment(seg.Number); b == nil || b.discontinuities != seg.discontinuities {
			t.Errorf("segment %d is %+v, want %d discontinuities", seg.Number, b, seg.discontinuities)
		}
	}
}

func TestImportedNumbersEndTheListThatWasBefore(t *testing.T) {
	store := NewStore(Config{})
	packed(t, store, Options{Start: 500}, batch{tracks: both, units: piece(noon, noon+30*second, 2*second)})
	store.Inherit(Handover{Record: Record{Next: 700, Discontinuities: 700}})
	packed(t, store, Options{}, batch{tracks: both, units: piece(noon+40*second, noon+44*second, 2*second)})
	if w := store.Window(); w.Segments[0].Number != 700 || w.Discontinuities() != 700 {
		t.Errorf("segments = %s after %d discontinuities, want them to begin at 700 after 700", shows(w.Segments), w.Discontinuities())
	}
}

func TestCountOfDiscontinuitiesDoesNotGoBackWithAnotherNodesSegments(t *testing.T) {
	other := NewStore(Config{})
	packed(t, other, Options{Start: 700}, batch{tracks: both, units: piece(noon, noon+9*second, 2*second)})
	store := NewStore(Config{})
	store.Inherit(Handover{Record: Record{Next: 700, Discontinuities: 700}})
	h := sent(other, 0)
	h.Before, h.Discontinuities = 3, 3
	store.Inherit(h)
	if w := store.Window(); len(w.Segments) == 0 || w.Segments[0].discontinuities < 700 {
		t.Errorf("segments = %s, the first after %d discontinuities, want at least the 700 that viewers have seen", shows(w.Segments), w.Discontinuities())
	}
}

// A waiting feed has no end.
type waiting struct{ script }

func (w *waiting) Next(ctx context.Context, dst []*codecs.AccessUnit) ([]*codecs.AccessUnit, codecs.Tracks, error) {
	if len(w.batches) == 0 {
		<-ctx.Done()
	}
	return w.script.Next(ctx, dst)
}

func TestPackerThatIsToFinishClosesTheOpenSegment(t *testing.T) {
	store := NewStore(Config{})
	ctx, finish := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Pack(t.Context(), &waiting{script{batches: []batch{{tracks: both, units: piece(noon, noon+10*second, 2*second)}}}}, store, Options{
			Start: 500, Finish: ctx,
		})
	}()
	if _, err := store.Wait(t.Context(), 501); err != nil {
		t.Fatal(err)
	}
	finish()
	if err := <-done; err != nil {
		t.Errorf("Pack() = %v, want nil", err)
	}
	if w := store.Window(); shows(w.Segments) != "500@4000+4D 501@4004+4 502@4008+2.005" {
		t.Errorf("segments = %s", shows(w.Segments))
	}
}

// Two nodes made segments at the same time, as when they did not hear each other, and one of them goes on.
func TestOwnSegmentsAreNotListedBehindNewerMediaOfAnotherNode(t *testing.T) {
	for _, tt := range []struct {
		name   string
		number int64 // of the first segment of the other node
		want   string
	}{
		{"the other node has come further", 505, "505@4040+4D 506@4044+4 507@4048+4.011"},
		{"the numbers overlap", 501, "503@4048+4.011"},
		{"the other node has come as far", 500, ""},
		{"the store has come further", 400, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, other := NewStore(Config{}), NewStore(Config{})
			packed(t, store, Options{Start: 500}, batch{tracks: both, units: piece(noon, noon+12*second, 2*second)})
			packed(t, other, Options{Start: tt.number}, batch{tracks: both, units: piece(noon+40*second, noon+52*second, 2*second)})
			store.Unlist()
			if w := store.Window(); len(w.Segments) > 0 || w.Segment(501) == nil {
				t.Fatalf("listed: %s, want none, and all kept", shows(w.Segments))
			}
			store.Inherit(sent(other, 0))
			if got := shows(store.Window().Segments); got != tt.want {
				t.Errorf("listed: %s, want %s", got, tt.want)
			}
			packed(t, store, Options{Start: 1}, batch{tracks: both, units: piece(noon+52*second, noon+58*second, 2*second)})
			if w := store.Window(); w.Segments[0].Decode < noon+40*second {
				t.Errorf("listed: %s, want none of the store's old ones", shows(w.Segments))
			}
		})
	}
}

func TestListIsAsBeforeWhereTheOtherNodeHasMadeNoSegment(t *testing.T) {
	store, other := NewStore(Config{}), NewStore(Config{})
	packed(t, store, Options{Start: 500}, batch{tracks: both, units: piece(noon, noon+12*second, 2*second)})
	was := shows(store.Window().Segments)
	other.Inherit(sent(store, 0))
	store.Unlist()
	store.Inherit(sent(other, 0))
	if got := shows(store.Window().Segments); got != was {
		t.Errorf("listed: %s, want %s", got, was)
	}
}
