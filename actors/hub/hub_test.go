package hub_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/actors/hub"
	"weir/codecs"
	"weir/protocols/listen"
)

var (
	video  = codecs.Track{Codec: codecs.H264, Config: []byte{1}, Width: 64, Height: 48}
	audio  = codecs.Track{Codec: codecs.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}
	tracks = codecs.Tracks{video, audio}
)

const (
	picture = 3600 // ticks between access units of video
	sound   = 1920
	gopSize = 10
)

// at makes the access unit number n of a video track whose timeline starts at from.
func at(n, from int64) *codecs.AccessUnit {
	dts := from + n*picture
	return &codecs.AccessUnit{Track: 0, DTS: dts, PTS: dts, RandomAccess: n%gopSize == 0, Payload: binary.BigEndian.AppendUint64(nil, uint64(dts))}
}

func audioAt(n, from int64) *codecs.AccessUnit {
	dts := from + n*sound
	return &codecs.AccessUnit{Track: 1, DTS: dts, PTS: dts, RandomAccess: true, Payload: binary.BigEndian.AppendUint64(nil, uint64(dts))}
}

func write(t *testing.T, w *hub.Writer, aus ...*codecs.AccessUnit) {
	t.Helper()
	for _, au := range aus {
		if err := w.Write(au); err != nil {
			t.Fatalf("Write(DTS %d) = %v, want nil", au.DTS, err)
		}
	}
}

func pictures(first, last, from int64) (aus []*codecs.AccessUnit) {
	for n := first; n <= last; n++ {
		aus = append(aus, at(n, from))
	}
	return aus
}

// moved are the pictures of a camera on the clock of another node.
func moved(first, last, by int64) (aus []*codecs.AccessUnit) {
	for _, au := range pictures(first, last, 0) {
		au.DTS, au.PTS = au.DTS+by, au.PTS+by
		aus = append(aus, au)
	}
	return aus
}

// drain returns the DTS of what is pending for a feed.
func drain(t *testing.T, f interface {
	Next(context.Context, []*codecs.AccessUnit) ([]*codecs.AccessUnit, codecs.Tracks, error)
},
) (dts []int64) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		units, _, err := f.Next(ctx, nil)
		cancel()
		if err != nil {
			return dts
		}
		for _, au := range units {
			dts = append(dts, au.DTS)
		}
	}
}

func dtsOf(aus []*codecs.AccessUnit) (dts []int64) {
	for _, au := range aus {
		dts = append(dts, au.DTS)
	}
	return dts
}

func TestViewerStartsAtTheNewestRandomAccessPoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		write(t, w, pictures(0, 27, 0)...)
		f := h.Units()
		defer f.Close()
		if got, want := drain(t, f), dtsOf(pictures(20, 27, 0)); !slices.Equal(got, want) {
			t.Errorf("viewer got %v, want %v", got, want)
		}
	})
}

// behind makes a hub with a ring of so many access units, and a viewer that has read the first picture of 106.
func behind(t *testing.T, units int) (h *hub.Hub, w *hub.Writer, f listen.UnitFeed) {
	t.Helper()
	h = hub.New("a", hub.Config{Units: units})
	w = h.NewWriter(hub.WriterConfig{})
	w.SetTracks(codecs.Tracks{video})
	write(t, w, pictures(0, 0, 0)...)
	f = h.Units()
	t.Cleanup(f.Close)
	drain(t, f)
	write(t, w, pictures(1, 105, 0)...)
	time.Sleep(time.Second)
	return h, w, f
}

// The ring is shorter than a GOP, so no random access point is left in it: what comes before the next one is missed too.
func TestViewerThatWaitsForARandomAccessPointMissesWhatComesBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w, f := behind(t, 4)
		if got := drain(t, f); len(got) != 0 {
			t.Errorf("the viewer got %v before a random access point", got)
		}
		for n := int64(106); n <= 112; n++ {
			write(t, w, pictures(n, n, 0)...)
			time.Sleep(time.Second)
			want := []int64(nil)
			if n >= 110 {
				want = dtsOf(pictures(n, n, 0))
			}
			if got := drain(t, f); !slices.Equal(got, want) {
				t.Errorf("after picture %d the viewer got %v, want %v", n, got, want)
			}
		}
		if f.Dropped() != 109 || h.Dropped() != 109 {
			t.Errorf("dropped %d of the viewer, %d of the stream, want 109 each", f.Dropped(), h.Dropped())
		}
	})
}

func TestTooSlowViewerGoesOnAtARandomAccessPointAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _, f := behind(t, 32)
		if got, want := drain(t, f), dtsOf(pictures(100, 105, 0)); !slices.Equal(got, want) {
			t.Errorf("slow viewer got %v, want %v", got, want)
		}
		if got, want := f.Dropped(), uint64(99); got != want {
			t.Errorf("Dropped() = %d, want %d", got, want)
		}
		if got := h.Dropped(); got != 99 {
			t.Errorf("the hub counts %d dropped, want 99", got)
		}
	})
}

func TestRingIsBoundedByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{Bytes: 8 * 15})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		write(t, w, pictures(0, 0, 0)...)
		f := h.Units()
		defer f.Close()
		drain(t, f)
		write(t, w, pictures(1, 40, 0)...)
		time.Sleep(time.Second)
		if got, want := drain(t, f), dtsOf(pictures(40, 40, 0)); !slices.Equal(got, want) {
			t.Errorf("viewer of a ring of 15 access units got %v, want %v", got, want)
		}
	})
}

func TestRingKeepsAsMuchAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{Bytes: 8 * 15})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		write(t, w, pictures(0, 39, 0)...)
		f := h.Units()
		defer f.Close()
		if got, want := drain(t, f), dtsOf(pictures(30, 39, 0)); !slices.Equal(got, want) {
			t.Errorf("viewer of a ring of 15 access units got %v, want %v", got, want)
		}
	})
}

func TestViewerWhoJoinsAfterTheLastRandomAccessPointHasLeftTheRingMissesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{Units: 4})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		write(t, w, pictures(0, 7, 0)...)
		f := h.Units()
		defer f.Close()
		write(t, w, pictures(8, 9, 0)...)
		drain(t, f)
		write(t, w, pictures(10, 12, 0)...)
		if got, want := drain(t, f), dtsOf(pictures(10, 12, 0)); !slices.Equal(got, want) || f.Dropped() != 0 {
			t.Errorf("the viewer got %v and missed %d, want %v and none", got, f.Dropped(), want)
		}
	})
}

func TestViewerWhoWaitsIsToldThatTheStreamHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		f := h.Units()
		defer f.Close()
		ended := make(chan error, 1)
		go func() {
			_, _, err := f.Next(t.Context(), nil)
			ended <- err
		}()
		synctest.Wait()
		h.Close()
		synctest.Wait()
		select {
		case err := <-ended:
			if !errors.Is(err, io.EOF) {
				t.Errorf("Next = %v, want %v", err, io.EOF)
			}
		default:
			t.Error("the viewer still waits")
		}
	})
}

// units returns what is pending for a feed.
func units(t *testing.T, f listen.UnitFeed) (aus []*codecs.AccessUnit) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		more, _, err := f.Next(ctx, nil)
		cancel()
		if err != nil {
			return aus
		}
		aus = append(aus, more...)
	}
}

func TestOtherTimelineIsADiscontinuityAndLeavesTheInputsAccessUnitsAlone(t *testing.T) {
	const far = 100 * codecs.ClockRate
	for _, another := range []bool{true, false} { // writer, or the same one
		synctest.Test(t, func(t *testing.T) {
			h := hub.New("a", hub.Config{})
			w := h.NewWriter(hub.WriterConfig{})
			w.SetTracks(codecs.Tracks{video})
			write(t, w, pictures(0, 5, far)...)
			f := h.Units()
			defer f.Close()
			units(t, f)
			if another {
				w.Close()
				w = h.NewWriter(hub.WriterConfig{})
				w.SetTracks(codecs.Tracks{video})
			}
			sent := pictures(0, 2, 0)
			write(t, w, sent...)
			got := units(t, f)
			if len(got) != 3 || !got[0].Discontinuity || got[1].Discontinuity || got[0].DTS <= far {
				t.Errorf("another writer %v: got %d access units, the first %+v; want 3, and a discontinuity at the first, after all others", another, len(got), got[0])
			}
			if !slices.Equal(dtsOf(sent), dtsOf(pictures(0, 2, 0))) {
				t.Errorf("another writer %v: the access units that were written have changed: %v", another, dtsOf(sent))
			}
		})
	}
}

func TestMediaThatWasPlayedIsNotPlayedAgainAfterAChangeOfTracks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		write(t, w, pictures(0, 20, 0)...)
		f := h.Units()
		defer f.Close()
		units(t, f)
		other := video
		other.Config = []byte{2}
		w.SetTracks(codecs.Tracks{other})
		write(t, w, pictures(10, 40, 0)...)
		if got, want := dtsOf(units(t, f)), dtsOf(pictures(21, 40, 0)); !slices.Equal(got, want) {
			t.Errorf("after the change the viewer gets %v, want %v", got, want)
		}
	})
}

func TestSoundThatWasHeldGoesWithItsTracks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(tracks)
		write(t, w, audioAt(0, 0), audioAt(1, 0)) // waits for a picture
		w.SetTracks(codecs.Tracks{video})
		write(t, w, pictures(0, 3, 0)...)
		f := h.Units()
		defer f.Close()
		if got, want := dtsOf(units(t, f)), dtsOf(pictures(0, 3, 0)); !slices.Equal(got, want) {
			t.Errorf("the viewer gets %v, want the pictures alone: %v", got, want)
		}
	})
}

func TestViewersAreWokenOncePerTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{Tick: 40 * time.Millisecond})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		write(t, w, pictures(0, 0, 0)...)
		f := h.Units()
		defer f.Close()
		drain(t, f)
		start := time.Now()
		write(t, w, pictures(1, 3, 0)...)
		units, _, err := f.Next(t.Context(), nil)
		if err != nil || len(units) != 3 {
			t.Fatalf("Next = %d units, %v; want the 3 of one tick", len(units), err)
		}
		if got := time.Since(start); got != 40*time.Millisecond {
			t.Errorf("woken after %v, want 40ms", got)
		}
	})
}

// successions are the ways in which a second input follows a first one that wrote the pictures 0 to 14.
var successions = []struct {
	name   string
	second []*codecs.AccessUnit
	want   []*codecs.AccessUnit // what viewers get after the first input's
	marked bool                 // the first of them is marked as a discontinuity
}{
	{
		name:   "the same timeline, already caught up with: nobody can tell",
		second: pictures(10, 18, 0), want: pictures(15, 18, 0),
	},
	{
		name:   "the same timeline, a little behind",
		second: pictures(5, 18, 0), want: pictures(15, 18, 0),
	},
	{
		name:   "the same timeline, joined later: at its next random access point, once the first has had time to get there",
		second: pictures(16, 33, 0), want: pictures(20, 33, 0),
	},
	{
		name:   "another timeline, ahead",
		second: pictures(0, 13, 20*picture+7), want: pictures(0, 13, 20*picture+7),
	},
	{
		name:   "a timeline far behind is shifted",
		second: pictures(0, 1, -1000*picture), want: pictures(0, 1, 15*picture), marked: true,
	},
}

func TestSecondInputTakesOverWithoutGapOrStepBack(t *testing.T) {
	for _, tt := range successions {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hub.New("a", hub.Config{})
				first, taken := h.NewWriter(hub.WriterConfig{}), false
				second := h.NewWriter(hub.WriterConfig{Taken: func() { taken = true }})
				first.SetTracks(codecs.Tracks{video})
				second.SetTracks(codecs.Tracks{video})
				write(t, first, pictures(0, 0, 0)...)
				f := h.Units()
				defer f.Close()
				write(t, first, pictures(1, 14, 0)...)
				write(t, second, tt.second...)
				if !taken || !second.Active() {
					t.Fatal("the second input did not take over")
				}
				if err := first.Write(at(15, 0)); !errors.Is(err, hub.ErrReplaced) {
					t.Errorf("the first input's next Write = %v, want %v", err, hub.ErrReplaced)
				}
				want := append(dtsOf(pictures(0, 14, 0)), dtsOf(tt.want)...)
				if got := drain(t, f); !slices.Equal(got, want) {
					t.Errorf("viewer got %v, want %v", got, want)
				}
			})
		})
	}
}

func TestInputThatIsAheadWaitsForThePresentOne(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps func(t *testing.T, first, second *hub.Writer)
		want  []*codecs.AccessUnit
	}{
		{
			name: "which arrives: nothing is missing",
			steps: func(t *testing.T, first, second *hub.Writer) {
				write(t, second, pictures(19, 22, 0)...)
				write(t, first, pictures(15, 21, 0)...)
				write(t, second, pictures(23, 25, 0)...)
			},
			want: pictures(0, 25, 0),
		},
		{
			name: "which passes it between two of its access units",
			steps: func(t *testing.T, first, second *hub.Writer) {
				write(t, second, pictures(20, 20, 0)...)
				write(t, first, pictures(15, 24, 0)...)
				write(t, second, pictures(21, 27, 0)...)
			},
			want: pictures(0, 27, 0),
		},
		{
			name: "which ends: with all that was held",
			steps: func(t *testing.T, first, second *hub.Writer) {
				write(t, second, pictures(20, 22, 0)...)
				first.Close()
				write(t, second, pictures(23, 24, 0)...)
			},
			want: append(pictures(0, 14, 0), pictures(20, 24, 0)...),
		},
		{
			name: "which has other pictures: half a second later, at the next random access point",
			steps: func(t *testing.T, first, second *hub.Writer) {
				write(t, second, pictures(20, 24, 7)...)
				write(t, first, pictures(15, 22, 0)...)
				write(t, second, pictures(25, 35, 7)...)
				write(t, first, pictures(23, 36, 0)...)
				write(t, second, pictures(36, 41, 7)...)
			},
			want: append(pictures(0, 36, 0), pictures(40, 41, 7)...),
		},
		{
			name: "with the same pictures at later instants, and is ahead of it",
			steps: func(t *testing.T, first, second *hub.Writer) {
				write(t, second, moved(18, 23, 1234)...)
				write(t, first, pictures(15, 22, 0)...)
				write(t, second, moved(24, 26, 1234)...)
			},
			want: pictures(0, 26, 0),
		},
		{
			name: "with the same pictures at earlier instants, and is ahead of it",
			steps: func(t *testing.T, first, second *hub.Writer) {
				write(t, second, moved(18, 23, -8*picture)...)
				write(t, first, pictures(15, 22, 0)...)
				write(t, second, moved(24, 26, -8*picture)...)
			},
			want: pictures(0, 26, 0),
		},
		{
			name: "with the same pictures at later instants, and is behind it",
			steps: func(t *testing.T, first, second *hub.Writer) {
				write(t, second, moved(8, 13, 3*picture+7)...)
				write(t, second, moved(14, 17, 3*picture+7)...)
			},
			want: pictures(0, 17, 0),
		},
		{
			name: "with the same pictures at instants that are much later, and is behind it",
			steps: func(t *testing.T, first, second *hub.Writer) {
				write(t, second, moved(8, 13, 8*codecs.ClockRate)...)
				write(t, second, moved(14, 17, 8*codecs.ClockRate)...)
			},
			want: pictures(0, 17, 0),
		},
		{
			name: "with the same pictures at instants that are much earlier, and is behind it",
			steps: func(t *testing.T, first, second *hub.Writer) {
				write(t, second, moved(8, 13, -8*codecs.ClockRate)...)
				write(t, second, moved(14, 17, -8*codecs.ClockRate)...)
			},
			want: pictures(0, 17, 0),
		},
		{
			name: "with the same pictures at earlier instants, and is behind it",
			steps: func(t *testing.T, first, second *hub.Writer) {
				write(t, second, moved(8, 13, -1234)...)
				write(t, second, moved(14, 17, -1234)...)
			},
			want: pictures(0, 17, 0),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hub.New("a", hub.Config{})
				first, second := h.NewWriter(hub.WriterConfig{}), h.NewWriter(hub.WriterConfig{})
				first.SetTracks(codecs.Tracks{video})
				second.SetTracks(codecs.Tracks{video})
				write(t, first, pictures(0, 0, 0)...)
				f := h.Units()
				defer f.Close()
				write(t, first, pictures(1, 14, 0)...)
				tt.steps(t, first, second)
				if !second.Active() {
					t.Error("the second input did not take over")
				}
				if got, want := drain(t, f), dtsOf(tt.want); !slices.Equal(got, want) {
					t.Errorf("viewer got %v, want %v", got, want)
				}
			})
		})
	}
}

// A relay turns from one node to another while a GOP ends: what the new one sends begins early enough to leave nothing
// out.
func TestRelayThatTurnsToAnotherNodeMissesNothing(t *testing.T) {
	for _, tt := range []struct {
		name        string
		has         int64 // the last picture that came from the first node
		first, last int64 // the pictures that the second node has
		from        int64 // where the second node begins
	}{
		{"within a GOP", 25, 0, 27, 20},
		{"over the end of a GOP", 27, 0, 32, 20},
		{"the second node has only just begun", 27, 20, 32, 20},
		{"the second node has not come that far", 27, 0, 23, 20},
		{"too long ago: what is on air", 27, 0, 82, 80},
		{"the second node has not had it", 27, 40, 42, 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := hub.New("a", hub.Config{}), hub.New("a", hub.Config{})
				w, other := here.NewWriter(hub.WriterConfig{}), there.NewWriter(hub.WriterConfig{})
				w.SetTracks(codecs.Tracks{video})
				other.SetTracks(codecs.Tracks{video})
				write(t, w, pictures(0, 0, 0)...)
				viewer := here.Units()
				defer viewer.Close()
				write(t, w, pictures(1, tt.has, 0)...)
				write(t, other, pictures(tt.first, tt.last, 0)...)

				newest, ok := w.Rejoin()
				if !ok || newest != tt.has*picture {
					t.Fatalf("Rejoin = %d, %v; want picture %d", newest, ok, tt.has)
				}
				f := there.JoinAfter("spelled", func(int64) codecs.Encoder { return &spelled{} }, newest)
				defer f.Close()
				bufs, err := f.Next(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := len(bufs)-1, int(tt.last-tt.from+1); got != want { // the first is the prologue
					t.Fatalf("%d pictures came from the second node, want %d", got, want)
				}
				w.SetTracks(codecs.Tracks{video})
				for _, b := range bufs[1:] {
					write(t, w, at(int64(binary.BigEndian.Uint64(b))/picture, 0))
				}
				want := dtsOf(pictures(0, max(tt.last, tt.has), 0))
				if tt.from > tt.has {
					want = append(dtsOf(pictures(0, tt.has, 0)), dtsOf(pictures(tt.from, tt.last, 0))...)
				}
				if got := drain(t, viewer); !slices.Equal(got, want) {
					t.Errorf("viewer got %v, want %v", got, want)
				}
			})
		})
	}
}

// A relay turns to a node whose publisher has sent nothing for a while. Media that is older than what its viewers have had does not come
// to them, and what the publisher sends then does.
func TestRelayThatTurnsToASilentPublisherBringsNothingOfThePast(t *testing.T) {
	for _, tt := range []struct {
		name   string
		has    int64         // the last picture that came from the first node
		last   int64         // the last picture that the second node has
		silent time.Duration // since when
		past   bool          // the relay begins with what the second node has
	}{
		{"its pictures are of long ago", 500, 105, 16 * time.Second, false},
		{"its last random access point is", 500, 129, 14800 * time.Millisecond, false},
		{"they are not", 400, 105, 12 * time.Second, true},
		{"its clock is another", 500, 105, time.Second, true}, // then its media is shifted
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := hub.New("a", hub.Config{}), hub.New("a", hub.Config{})
				w, other := here.NewWriter(hub.WriterConfig{}), there.NewWriter(hub.WriterConfig{})
				w.SetTracks(codecs.Tracks{video})
				other.SetTracks(codecs.Tracks{video})
				write(t, w, pictures(0, tt.has, 0)...)
				write(t, other, pictures(0, tt.last, 0)...)
				time.Sleep(tt.silent)
				newest, _ := w.Rejoin()
				f := there.JoinAfter("spelled", func(int64) codecs.Encoder { return &spelled{} }, newest)
				defer f.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if bufs, err := f.Next(ctx, nil); (err == nil) != tt.past {
					t.Fatalf("the relay begins with %d buffers of the past, %v; want any: %v", len(bufs), err, tt.past)
				}
				write(t, other, pictures(535, 552, 0)...)
				bufs, err := f.Next(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if n := int64(binary.BigEndian.Uint64(bufs[len(bufs)-1])) / picture; n < 535 {
					t.Errorf("when the publisher sends again, the relay brings picture %d", n)
				}
			})
		})
	}
}

func TestRelayThatTurnsToAnotherNodeGoesOnAtARandomAccessPoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		write(t, w, pictures(0, 0, 0)...)
		f := h.Units()
		defer f.Close()
		write(t, w, pictures(1, 14, 0)...)
		w.Rejoin()
		w.SetTracks(codecs.Tracks{video})
		other := pictures(12, 22, 0) // of another encoder: the same instants, other pictures
		for _, au := range other {
			au.Payload = append([]byte("other"), au.Payload...)
		}
		write(t, w, other...)
		want := append(dtsOf(pictures(0, 14, 0)), dtsOf(pictures(20, 22, 0))...)
		if got := drain(t, f); !slices.Equal(got, want) {
			t.Errorf("viewer got %v, want %v: nothing from the middle of the other's GOP", got, want)
		}
	})
}

// The node from which a relay comes begins to capture the camera itself: the same pictures come at other instants.
func TestPictureThatComesAgainOnAnotherTimelineIsNotPlayedTwice(t *testing.T) {
	for _, by := range []int64{700, -700, 8 * codecs.ClockRate} {
		synctest.Test(t, func(t *testing.T) {
			h := hub.New("a", hub.Config{})
			w := h.NewWriter(hub.WriterConfig{})
			w.SetTracks(codecs.Tracks{video})
			write(t, w, pictures(0, 0, 0)...)
			f := h.Units()
			defer f.Close()
			write(t, w, pictures(1, 11, 0)...)
			own := moved(10, 14, by)
			own[0].Discontinuity = true
			write(t, w, own...)
			if got, want := drain(t, f), dtsOf(pictures(0, 14, 0)); !slices.Equal(got, want) {
				t.Errorf("moved by %d: viewer got %v, want %v", by, got, want)
			}
		})
	}
}

func TestInputThatIsNotCaughtUpIsNotHeard(t *testing.T) {
	h := hub.New("a", hub.Config{})
	first, second := h.NewWriter(hub.WriterConfig{}), h.NewWriter(hub.WriterConfig{})
	first.SetTracks(codecs.Tracks{video})
	second.SetTracks(codecs.Tracks{video})
	write(t, first, pictures(0, 25, 0)...)
	other := at(20, 0)
	other.Payload = []byte("another picture of the same instant")
	write(t, second, other, at(21, 0))
	if second.Active() {
		t.Error("an input whose media is older than what viewers have took over")
	}
	write(t, first, at(26, 0))
}

func TestSoundBetweenTwoInputsIsNeitherLostNorDoubled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		first, second := h.NewWriter(hub.WriterConfig{}), h.NewWriter(hub.WriterConfig{})
		first.SetTracks(tracks)
		second.SetTracks(tracks)
		write(t, first, at(0, 0))
		f := h.Units()
		defer f.Close()
		write(t, first, audioAt(0, 0), audioAt(1, 0), at(1, 0)) // sound up to 1920, pictures up to 3600
		write(t, second, audioAt(0, 0), audioAt(1, 0), audioAt(2, 0), at(1, 0), audioAt(3, 0), at(2, 0))
		got := drain(t, f)
		slices.Sort(got)
		want := []int64{0, 0, 1920, 3600, 3840, 5760, 7200}
		if !slices.Equal(got, want) {
			t.Errorf("viewer got %v, want %v", got, want)
		}
	})
}

func TestNewTracksAreAnnouncedBeforeTheirAccessUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		write(t, w, at(0, 0))
		f := h.Units()
		defer f.Close()
		other := video
		other.Width = 128
		write(t, w, at(1, 0))
		w.SetTracks(codecs.Tracks{other})
		write(t, w, at(10, 0))

		var seen []any
		for len(seen) < 5 {
			units, changed, err := f.Next(t.Context(), nil)
			if err != nil {
				t.Fatalf("Next: %v", err)
			}
			if changed != nil {
				seen = append(seen, changed[0].Width)
			}
			for _, au := range units {
				seen = append(seen, au.DTS)
			}
		}
		if want := []any{64, int64(0), int64(picture), 128, int64(10 * picture)}; !slices.Equal(seen, want) {
			t.Errorf("viewer saw %v, want %v", seen, want)
		}
	})
}

// spelled is a wire form that writes access units as their payload and counts what it makes.
type spelled struct {
	mu      sync.Mutex
	encoded int
}

func (s *spelled) Prologue(codecs.Tracks) []byte { return []byte("head") }

func (s *spelled) Encode(au *codecs.AccessUnit) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.encoded++
	return slices.Clone(au.Payload)
}

func TestWireFormIsMadeOnceForAllViewersAndNotForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		write(t, w, pictures(0, 95, 0)...)
		enc := &spelled{}
		var base int64 = -1
		mk := func(b int64) codecs.Encoder { base = b; return enc }
		var got [3][]byte
		for i := range got {
			f := h.Join("spelled", mk)
			bufs, err := f.Next(t.Context(), nil)
			if err != nil {
				t.Fatalf("Next: %v", err)
			}
			got[i] = bytes.Join(bufs, nil)
			f.Close()
		}
		want := []byte("head")
		for _, au := range pictures(90, 95, 0) {
			want = append(want, au.Payload...)
		}
		for i := range got {
			if !bytes.Equal(got[i], want) {
				t.Errorf("viewer %d got %q, want %q", i, got[i], want)
			}
		}
		if enc.encoded != 6 {
			t.Errorf("%d access units were encoded, want 6: once each, and none that nobody watched", enc.encoded)
		}
		if base != 0 {
			t.Errorf("base = %d, want the first DTS, 0", base)
		}
		if n := h.Readers(); n != 0 {
			t.Errorf("Readers() = %d after all have left, want 0", n)
		}
	})
}

func TestWireFormThatNobodyTakesAnyMoreIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		enc := &spelled{}
		take := func() {
			f := h.Join("spelled", func(int64) codecs.Encoder { return enc })
			defer f.Close()
			if _, err := f.Next(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		write(t, w, pictures(0, 3, 0)...)
		take()
		write(t, w, pictures(4, 95, 0)...)
		take()
		if enc.encoded != 4+6 {
			t.Errorf("%d access units were encoded, want the 4 of the first viewer and the 6 of the second", enc.encoded)
		}
	})
}

func TestViewerWhoComesAgainGetsNothingTwice(t *testing.T) {
	for _, tt := range []struct {
		name  string
		had   int64 // pictures that were there when the viewer went
		there int64 // and when it comes again
		first int64 // the picture that it goes on with
	}{
		{"within a GOP: at the next random access point", 25, 27, 30},
		{"a random access point later", 25, 34, 30},
		{"long after: at the newest one", 25, 94, 90},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hub.New("a", hub.Config{})
				w := h.NewWriter(hub.WriterConfig{})
				w.SetTracks(codecs.Tracks{video})
				write(t, w, pictures(0, tt.had, 0)...)
				mk := func(int64) codecs.Encoder { return &spelled{} }
				f := h.JoinAgain("spelled", mk, nil)
				if _, err := f.Next(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				f.Close()
				write(t, w, pictures(tt.had+1, tt.there, 0)...)
				f = h.JoinAgain("spelled", mk, f)
				defer f.Close()
				write(t, w, pictures(tt.there+1, 99, 0)...)
				time.Sleep(time.Second)
				bufs, err := f.Next(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				want := [][]byte{[]byte("head")}
				for _, au := range pictures(tt.first, 99, 0) {
					want = append(want, au.Payload)
				}
				if !slices.EqualFunc(bufs, want, bytes.Equal) {
					t.Errorf("the viewer goes on with %d buffers, want %d from picture %d on", len(bufs), len(want), tt.first)
				}
			})
		})
	}
}

func TestClosedHubEndsViewersAndWriters(t *testing.T) {
	h := hub.New("a", hub.Config{})
	w := h.NewWriter(hub.WriterConfig{})
	w.SetTracks(codecs.Tracks{video})
	write(t, w, at(0, 0))
	f := h.Units()
	h.Close()
	for range 2 {
		if _, _, err := f.Next(t.Context(), nil); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("Next after Close = %v, want %v", err, io.EOF)
			}
			break
		}
	}
	if err := w.Write(at(1, 0)); !errors.Is(err, hub.ErrClosed) {
		t.Errorf("Write after Close = %v, want %v", err, hub.ErrClosed)
	}
}

// A viewer costs no allocation per access unit once the wire form is made: the budget of the hot path.
func TestViewerAllocatesNothingPerAccessUnit(t *testing.T) {
	h := hub.New("a", hub.Config{Tick: -1})
	w := h.NewWriter(hub.WriterConfig{})
	w.SetTracks(codecs.Tracks{video})
	write(t, w, at(0, 0))
	mk := func(int64) codecs.Encoder { return &spelled{} }
	lead, f := h.Join("spelled", mk), h.Join("spelled", mk)
	defer lead.Close()
	defer f.Close()
	bufs := make([][]byte, 0, 512)
	step := func(g listen.Feed) {
		if _, err := g.Next(t.Context(), bufs[:0]); err != nil {
			t.Fatal(err)
		}
	}
	step(lead)
	step(f)
	var before, after runtime.MemStats
	var spent uint64
	for n := range int64(500) {
		write(t, w, at(n+1, 0))
		step(lead) // pays for the encoding
		runtime.ReadMemStats(&before)
		step(f)
		runtime.ReadMemStats(&after)
		spent += after.Mallocs - before.Mallocs
	}
	if spent > 50 { // the runtime's own, now and then
		t.Errorf("a viewer allocated %d times in 500 calls, want 0", spent)
	}
}

// Budget: the ring's record, and what wakes the viewers.
func BenchmarkWrite(b *testing.B) {
	h := hub.New("a", hub.Config{Tick: -1})
	w := h.NewWriter(hub.WriterConfig{})
	w.SetTracks(codecs.Tracks{video})
	next := at(0, 0)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(next); err != nil {
			b.Fatal(err)
		}
		again := *next
		next = &again
		next.DTS += picture
		next.PTS += picture
	}
}

// Budget: nothing per access unit and viewer; what is counted is the writer's and the one encoding, shared by all.
func BenchmarkRead(b *testing.B) {
	const viewers = 100
	h := hub.New("a", hub.Config{Tick: -1})
	w := h.NewWriter(hub.WriterConfig{})
	w.SetTracks(codecs.Tracks{video})
	if err := w.Write(at(0, 0)); err != nil {
		b.Fatal(err)
	}
	enc := &spelled{}
	var feeds [viewers]listen.Feed
	for i := range feeds {
		feeds[i] = h.Join("spelled", func(int64) codecs.Encoder { return enc })
		defer feeds[i].Close()
	}
	bufs := make([][]byte, 0, 512)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := int64(0)
	for b.Loop() {
		n++
		if err := w.Write(at(n, 0)); err != nil {
			b.Fatal(err)
		}
		for _, f := range feeds {
			if _, err := f.Next(b.Context(), bufs[:0]); err != nil {
				b.Fatal(err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(n*viewers), "allocs/unit/viewer")
}

func TestManyViewersAndInputsAtOnce(t *testing.T) {
	h := hub.New("a", hub.Config{Units: 64, Tick: -1})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			f := h.Units()
			defer f.Close()
			last := int64(-1)
			for {
				units, _, err := f.Next(context.Background(), nil)
				if err != nil {
					return
				}
				for _, au := range units {
					if au.DTS <= last {
						t.Errorf("DTS %d after %d", au.DTS, last)
						return
					}
					last = au.DTS
				}
			}
		})
		wg.Go(func() {
			f := h.Join("spelled", func(int64) codecs.Encoder { return &spelled{} })
			defer f.Close()
			for {
				if _, err := f.Next(context.Background(), nil); err != nil {
					return
				}
			}
		})
	}
	for i := range int64(4) {
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{video})
		for _, au := range pictures(i*500, i*500+510, 0) {
			if err := w.Write(au); err != nil {
				t.Errorf("Write: %v", err)
			}
		}
	}
	h.Close()
	wg.Wait()
}

// A camera that two nodes capture: the hub of the one that takes over has the other's pictures from a relay.
func TestLooseInputGoesOnWhereItHasTheSamePictures(t *testing.T) {
	for _, by := range []int64{-30 * picture, -1234, 0, 7, 20 * picture} {
		synctest.Test(t, func(t *testing.T) {
			h := hub.New("a", hub.Config{})
			first, second := h.NewWriter(hub.WriterConfig{}), h.NewWriter(hub.WriterConfig{Rank: 1, Loose: true})
			first.SetTracks(codecs.Tracks{video})
			second.SetTracks(codecs.Tracks{video})
			write(t, first, pictures(0, 0, 0)...)
			f := h.Units()
			defer f.Close()
			write(t, first, pictures(1, 24, 0)...)
			write(t, second, moved(18, 27, by)...)
			if got, want := drain(t, f), dtsOf(pictures(0, 27, 0)); !slices.Equal(got, want) {
				t.Errorf("%d later: viewer got %v, want %v", by, got, want)
			}
		})
	}
}
