package hub_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"weir/actors/hub"
	"weir/codecs"
)

func ranked(h *hub.Hub, rank int) *hub.Writer {
	w := h.NewWriter(hub.WriterConfig{Rank: rank, Loose: true})
	w.SetTracks(codecs.Tracks{video})
	return w
}

func TestWriterTakesThePlaceOfAWorseOneOnly(t *testing.T) {
	h := hub.New("a", hub.Config{})
	second := ranked(h, 2)
	write(t, second, pictures(0, 5, 0)...)
	equal := ranked(h, 2)
	write(t, equal, pictures(10, 25, 0)...)
	third := ranked(h, 3)
	write(t, third, pictures(10, 25, 0)...)
	if !second.Active() || equal.Active() || third.Active() {
		t.Fatalf("active: %t, of the equal %t, of the worse %t; want the first alone", second.Active(), equal.Active(), third.Active())
	}
	write(t, second, pictures(6, 9, 0)...)
	first := ranked(h, 1)
	write(t, first, pictures(15, 19, 0)...) // not yet a random access point
	if first.Active() {
		t.Fatal("it took over in the middle of a GOP")
	}
	write(t, first, pictures(20, 20, 0)...)
	if !first.Active() {
		t.Fatal("the better one did not take over at its random access point")
	}
	if err := second.Write(at(10, 0)); !errors.Is(err, hub.ErrReplaced) {
		t.Errorf("Write of the former = %v, want %v", err, hub.ErrReplaced)
	}
	first.Close()
	write(t, third, pictures(30, 30, 0)...)
	if !third.Active() {
		t.Error("the worse one did not take over although nobody writes")
	}
	relay := h.NewWriter(hub.WriterConfig{})
	relay.SetTracks(codecs.Tracks{video})
	write(t, relay, pictures(40, 60, 0)...) // it waits a little for the other to arrive there
	if !relay.Active() {
		t.Error("a writer without rank did not take over")
	}
}

func TestLooseWriterFollowsOnWhatWasWritten(t *testing.T) {
	for _, behind := range []int64{-20, 0, 3, 10, 50, 10_000} { // pictures
		synctest.Test(t, func(t *testing.T) {
			h := hub.New("a", hub.Config{})
			old := ranked(h, 2)
			write(t, old, pictures(0, 100, 0)...)
			f := h.Units()
			defer f.Close()
			drain(t, f)
			from := (101 - behind) * picture
			next := ranked(h, 1)
			write(t, next, pictures(0, 5, from)...)
			got := drain(t, f)
			if len(got) != 6 || got[0] <= 100*picture || !slices.IsSorted(got) {
				t.Fatalf("%d pictures behind: viewer got %v after %d, want six later ones", behind, got, 100*picture)
			}
			if behind < 0 && got[0] != from {
				t.Errorf("a writer ahead begins at %d, want %d as it is", got[0], from)
			}
			if behind > 0 && got[0] != 101*picture {
				t.Errorf("%d pictures behind: it begins at %d, want %d, right behind the last", behind, got[0], 101*picture)
			}
		})
	}
}

func TestBetterWriterWithOtherTracksIsRefusedWhileSomebodyGoesOn(t *testing.T) {
	h := hub.New("a", hub.Config{})
	second := h.NewWriter(hub.WriterConfig{Rank: 2})
	second.SetTracks(tracks)
	write(t, second, pictures(0, 5, 0)...)
	first := ranked(h, 1) // video alone
	if err := first.Write(at(10, 0)); !errors.Is(err, hub.ErrTracks) {
		t.Errorf("Write = %v, want %v", err, hub.ErrTracks)
	}
	second.Close()
	write(t, first, pictures(20, 20, 0)...)
	if !first.Active() {
		t.Error("it did not take over although nobody else is there")
	}
	first.Close()
	third := ranked(h, 3)
	write(t, third, pictures(30, 30, 0)...)
	larger := video
	larger.Width *= 2
	better := h.NewWriter(hub.WriterConfig{Rank: 1})
	better.SetTracks(codecs.Tracks{larger})
	write(t, better, pictures(40, 40, 0)...)
	if !better.Active() {
		t.Error("pictures of another size were refused")
	}
}

// A writer that waits for its turn holds the sound that may belong to it. Once it turns to another source, that is not its sound.
func TestSoundOfTheLastSourceIsNotHeardAfterATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		first, waiting := h.NewWriter(hub.WriterConfig{}), h.NewWriter(hub.WriterConfig{})
		first.SetTracks(tracks)
		write(t, first, pictures(0, 0, 0)...)
		f := h.Units()
		defer f.Close()
		drain(t, f)
		waiting.SetTracks(tracks)
		write(t, waiting, audioAt(1, 0), audioAt(2, 0))
		waiting.Rejoin()
		first.Close()
		write(t, waiting, at(10, 0))
		if got, want := drain(t, f), dtsOf(pictures(10, 10, 0)); !slices.Equal(got, want) {
			t.Errorf("viewer got %v, want %v: nothing of the source before", got, want)
		}
	})
}

func TestWriterThatWasReplacedEndsNobodyElse(t *testing.T) {
	h := hub.New("a", hub.Config{})
	worse, better, third := ranked(h, 2), ranked(h, 1), ranked(h, 3)
	write(t, worse, pictures(0, 5, 0)...)
	write(t, better, pictures(0, 25, 0)...)
	if !better.Active() {
		t.Fatal("the better writer has not taken over")
	}
	worse.Close()
	write(t, third, pictures(30, 45, 0)...)
	if !better.Active() || third.Active() {
		t.Error("a writer of a worse rank takes over once the one that was replaced has closed")
	}
}
