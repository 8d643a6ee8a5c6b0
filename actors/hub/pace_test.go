package hub_test

import (
	"fmt"
	"math"
	"testing"

	"weir/actors/hub"
	"weir/codecs"
	"weir/protocols/listen"
)

// rated is a wire form whose prologue is the frame rate of the video.
type rated struct{ spelled }

func (*rated) Prologue(tracks codecs.Tracks) []byte {
	return fmt.Appendf(nil, "%g", tracks[0].FrameRate)
}

func TestFrameRateThatNothingTellsIsMeasured(t *testing.T) {
	for _, tt := range []struct {
		name  string
		told  float64
		ticks float64 // from picture to picture
		count int64
		round int64 // of timestamps, in ticks
		want  float64
	}{
		{"25", 0, 3600, 60, 1, 25},
		{"29.97, in milliseconds", 0, 3003, 300, 90, 29.97},
		{"30, in milliseconds", 0, 3000, 300, 90, 30},
		{"12.5", 0, 7200, 40, 1, 12.5},
		{"an unusual one", 0, 90000. / 17.3, 60, 1, 17.3},
		{"too few pictures", 0, 3600, 10, 1, 0},
		{"for a long time", 0, 3600, 5000, 1, 25},
		{"what is told counts", 50, 3600, 60, 1, 50},
	} {
		h := hub.New("a", hub.Config{})
		w := h.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{{Codec: codecs.H264, FrameRate: tt.told}})
		early := h.Join("early", func(int64) codecs.Encoder { return &rated{} })
		for n := range tt.count {
			dts := int64(math.Round(float64(n)*tt.ticks/float64(tt.round))) * tt.round
			write(t, w, &codecs.AccessUnit{DTS: dts, PTS: dts, RandomAccess: n%10 == 0, Payload: []byte{1}})
			if n == 0 {
				if got := prologue(t, early); got != fmt.Sprint(tt.told) {
					t.Errorf("%s: the first viewer is told %s", tt.name, got)
				}
				early.Close()
			}
		}
		if got := h.Tracks()[0].FrameRate; got != tt.want {
			t.Errorf("%s: the tracks say %g, want %g", tt.name, got, tt.want)
		}
		for _, form := range []string{"early", "late"} {
			f := h.Join(form, func(int64) codecs.Encoder { return &rated{} })
			if got := prologue(t, f); got != fmt.Sprint(tt.want) {
				t.Errorf("%s: a viewer of the form %s is told %s, want %g", tt.name, form, got, tt.want)
			}
			f.Close()
		}
	}
}

func prologue(t *testing.T, f listen.Feed) string {
	t.Helper()
	bufs, err := f.Next(t.Context(), nil)
	if err != nil || len(bufs) == 0 {
		t.Fatalf("Next() = %q, %v", bufs, err)
	}
	return string(bufs[0])
}
