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
