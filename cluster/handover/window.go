package handover

import (
	"errors"
	"fmt"
	"slices"

	"weir/cluster/wire"
	"weir/codecs"
	"weir/protocols/cmaf"
)

// The limits of a window of another node.
const (
	maxSegments = 200
	maxDuration = 600 * codecs.ClockRate // of a segment
	maxNumber   = 1 << 53                // of a segment
)

var errWindow = errors.New("not a window of this program")

// Window answers another node's question for the window of a stream. No segment may be added to the store any more. Self is the
// announced name of this node.
func Window(q *wire.Window, self string, store *cmaf.Store) *wire.Windowed {
	r, w := store.Record(), store.Window()
	before := w.Discontinuities()
	if len(w.Segments) == 0 { // it has made none since it went on from another node
		before = r.Discontinuities
	}
	a := &wire.Windowed{
		Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream, Node: self,
		NextSequence: uint64(max(r.Next, 0)), DiscontinuitySequence: uint64(before),
		TargetDurationMs: uint32(r.TargetDuration) * 1000,
	}
	var gens []*cmaf.Generation
	for _, s := range w.Segments {
		o := s.Outline
		at := slices.IndexFunc(gens, func(g *cmaf.Generation) bool { return g.Name == o.Generation.Name })
		if at < 0 {
			at = len(gens)
			gens = append(gens, o.Generation)
			a.Generations = append(a.Generations, generationOut(o.Generation))
		}
		a.Segments = append(a.Segments, &wire.Segment{
			Sequence: uint64(o.Number), Duration: uint64(o.Duration), Discontinuity: o.Discontinuity,
			Dts: o.Decode, Start: o.Start, Bytes: uint64(o.Sizes[cmaf.TS]), FragmentBytes: uint64(o.Sizes[cmaf.CMAF]),
			Generation: uint32(at), Pictures: uint32(o.Pictures), Independent: o.Independent,
		})
	}
	return a
}

func generationOut(g *cmaf.Generation) *wire.Generation {
	out := &wire.Generation{}
	for _, t := range g.Tracks {
		out.Tracks = append(out.Tracks, &wire.Track{
			Codec: t.Codec.String(), Width: uint32(t.Width), Height: uint32(t.Height),
			SampleRate: uint32(t.SampleRate), Channels: uint32(t.Channels), Config: t.Config,
		})
	}
	return out
}

func generationIn(g *wire.Generation) (*cmaf.Generation, error) {
	var tracks codecs.Tracks
	for _, t := range g.Tracks {
		c := codecs.Named(t.Codec)
		if c == 0 {
			return nil, fmt.Errorf("%w: codec %q", errWindow, t.Codec)
		}
		tracks = append(tracks, codecs.Track{
			Codec: c, Config: t.Config, Width: int(t.Width), Height: int(t.Height),
			SampleRate: int(t.SampleRate), Channels: int(t.Channels),
		})
	}
	return cmaf.NewGeneration(tracks), nil
}

// outlines reads the answer of another node: the record of the window, and the outlines of the segments in it.
func outlines(w *wire.Windowed) (cmaf.Handover, []cmaf.Outline, error) {
	l := cmaf.Handover{Record: cmaf.Record{Next: int64(w.NextSequence), TargetDuration: int(w.TargetDurationMs / 1000)}}
	if w.NextSequence == 0 || w.NextSequence > maxNumber || w.DiscontinuitySequence > maxNumber {
		return l, nil, fmt.Errorf("%w: next is segment %d", errWindow, w.NextSequence)
	}
	l.Before = int64(w.DiscontinuitySequence)
	if len(w.Segments) > maxSegments {
		return l, nil, fmt.Errorf("%w: %d segments", errWindow, len(w.Segments))
	}
	gens := make([]*cmaf.Generation, len(w.Generations))
	for i, g := range w.Generations {
		var err error
		if gens[i], err = generationIn(g); err != nil {
			return l, nil, err
		}
	}
	out := make([]cmaf.Outline, len(w.Segments))
	first := l.Next - int64(len(w.Segments))
	for i, s := range w.Segments {
		if int64(s.Sequence) != first+int64(i) || first <= 0 || s.Duration == 0 || s.Duration > maxDuration || int(s.Generation) >= len(gens) {
			return l, nil, fmt.Errorf("%w: segment %d of %d ticks", errWindow, s.Sequence, s.Duration)
		}
		out[i] = cmaf.Outline{
			Number: int64(s.Sequence), Generation: gens[s.Generation], Start: s.Start, Decode: s.Dts,
			Duration: int64(s.Duration), Discontinuity: s.Discontinuity, Independent: s.Independent, Pictures: int(s.Pictures),
			Sizes: [2]int{cmaf.TS: int(s.Bytes), cmaf.CMAF: int(s.FragmentBytes)},
		}
		l.End, l.Generation = out[i].Decode+out[i].Duration, out[i].Generation.Name
	}
	return l, out, nil
}
