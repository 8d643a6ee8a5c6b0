package handover

import (
	"errors"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	"weir/cluster/wire"
	"weir/codecs"
	"weir/protocols/cmaf"
)

var tracks = codecs.Tracks{
	{Codec: codecs.H264, Config: []byte{1, 2, 3}, Width: 640, Height: 360},
	{Codec: codecs.AAC, Config: []byte{4}, SampleRate: 48000, Channels: 2},
}

// left is a store with four segments, of which the third begins with a discontinuity and other tracks.
func left(t *testing.T) *cmaf.Store {
	t.Helper()
	s := cmaf.NewStore(cmaf.Config{})
	s.Inherit(cmaf.Handover{Record: cmaf.Record{Next: 41, Discontinuities: 7}})
	first, second := cmaf.NewGeneration(tracks), cmaf.NewGeneration(tracks[:1])
	for i := range int64(4) {
		g := first
		if i >= 2 {
			g = second
		}
		at := i * 4 * codecs.ClockRate
		seg := cmaf.NewSegment(cmaf.Outline{
			Number: 41 + i, Generation: g, Start: at + 3600, Decode: at, Duration: 4 * codecs.ClockRate,
			Independent: true, Pictures: 100, Sizes: [2]int{1000, 900},
		}, [2][]byte{{byte(i)}, {byte(i)}})
		if err := s.Append(seg); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// over carries a window over the wire.
func over(t *testing.T, w *wire.Windowed) *wire.Windowed {
	t.Helper()
	b, err := proto.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	out := &wire.Windowed{}
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWindowIsTheSameOnTheOtherNode(t *testing.T) {
	store := left(t)
	w := over(t, Window(&wire.Window{Ask: 5, Stream: "a/b", Node: "n2"}, "n1", store))
	if w.Ask != 5 || w.Stream != "a/b" || w.Node != "n1" || wire.Check(w) != nil {
		t.Errorf("the answer is %v", w)
	}
	l, list, err := outlines(w)
	if err != nil {
		t.Fatal(err)
	}
	r := store.Record()
	if l.Next != 45 || l.TargetDuration != r.TargetDuration || l.End != r.End || l.Record.Generation != r.Generation || l.Before != 7 {
		t.Errorf("the record is %+v before %d, want %+v", l.Record, l.Before, r)
	}
	segs := store.Window().Segments
	if len(list) != len(segs) {
		t.Fatalf("%d segments, want %d", len(list), len(segs))
	}
	for i, o := range list {
		want := segs[i].Outline
		if o.Generation.Name != want.Generation.Name || !o.Generation.Tracks.Equal(want.Generation.Tracks) {
			t.Errorf("segment %d has the tracks %v, want %v", o.Number, o.Generation.Tracks, want.Generation.Tracks)
		}
		o.Generation = want.Generation
		if !reflect.DeepEqual(o, want) {
			t.Errorf("segment %+v, want %+v", o, want)
		}
	}
}

func TestWindowWithoutSegmentsKeepsTheCountOfDiscontinuities(t *testing.T) {
	s := cmaf.NewStore(cmaf.Config{})
	s.Inherit(cmaf.Handover{Record: cmaf.Record{Next: 41, Discontinuities: 7}})
	l, list, err := outlines(over(t, Window(&wire.Window{Stream: "x"}, "n1", s)))
	if err != nil || len(list) != 0 || l.Next != 41 || l.Before != 7 {
		t.Errorf("the record is %+v before %d, %d segments, %v, want 41 before 7", l.Record, l.Before, len(list), err)
	}
}

func TestWindowThatMakesNoSenseIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*wire.Windowed){
		"no number":      func(w *wire.Windowed) { w.NextSequence = 0 },
		"huge number":    func(w *wire.Windowed) { w.NextSequence = 1 << 60 },
		"number missing": func(w *wire.Windowed) { w.Segments[1].Sequence++ },
		"not the last":   func(w *wire.Windowed) { w.NextSequence++ },
		"no duration":    func(w *wire.Windowed) { w.Segments[2].Duration = 0 },
		"endless":        func(w *wire.Windowed) { w.Segments[2].Duration = 1 << 62 },
		"no generation":  func(w *wire.Windowed) { w.Segments[3].Generation = 9 },
		"unknown codec":  func(w *wire.Windowed) { w.Generations[0].Tracks[0].Codec = "VP8" },
		"below one":      func(w *wire.Windowed) { w.NextSequence = 2 },
	} {
		w := over(t, Window(&wire.Window{Stream: "x"}, "n1", left(t)))
		spoil(w)
		if _, _, err := outlines(w); !errors.Is(err, errWindow) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}
