package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/cluster/control"
	"weir/cluster/identity"
	"weir/cluster/wire"
	"weir/codecs"
	"weir/protocols/cmaf"
)

// Limits of what is taken from another node's window.
const (
	legacyTime     = 5 * time.Second // for all of it; what has not come by then is left out
	legacyBytes    = 256 << 20
	legacySegments = 200
	longestTaken   = 600 * codecs.ClockRate
	largestNumber  = 1 << 53
)

var errWindow = errors.New("not a window of this program")

// windowed describes a store to which nothing is added any more.
func windowed(q *wire.Window, self string, store *cmaf.Store) *wire.Windowed {
	r, w := store.Record(), store.Window()
	a := &wire.Windowed{
		Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream, Node: self,
		NextSequence: uint64(max(r.Next, 0)), DiscontinuitySequence: uint64(w.Discontinuities()),
		TargetDurationMs: uint32(r.TargetDuration) * 1000,
	}
	var gens []*cmaf.Generation
	for _, s := range w.Segments {
		o := s.Outline()
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

// outlines understands a window of another node.
func outlines(w *wire.Windowed) (cmaf.Handover, []cmaf.Outline, error) {
	l := cmaf.Handover{Record: cmaf.Record{Next: int64(w.NextSequence), TargetDuration: int(w.TargetDurationMs / 1000)}}
	if w.NextSequence == 0 || w.NextSequence > largestNumber || w.DiscontinuitySequence > largestNumber {
		return l, nil, fmt.Errorf("%w: next is segment %d", errWindow, w.NextSequence)
	}
	l.Before = int64(w.DiscontinuitySequence)
	if len(w.Segments) > legacySegments {
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
		if int64(s.Sequence) != first+int64(i) || first <= 0 || s.Duration == 0 || s.Duration > longestTaken || int(s.Generation) >= len(gens) {
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

// inherit asks the node that has captured a stream, beside the actors, for its segments.
func (n *Node) inherit(ctx actor.Context, name, from string, done func(*cmaf.Handover)) {
	n.env.Go(ctx.Self(), func(c context.Context) error {
		c, cancel := context.WithTimeout(c, legacyTime)
		defer cancel()
		l, err := n.legacy(c, name, from)
		if err != nil {
			n.log.Info("segments are not continued", slog.String("stream", name), slog.String("peer", from), slog.Any("err", err))
			done(nil)
			return nil
		}
		n.log.Info("segments are continued", slog.String("stream", name), slog.String("peer", from),
			slog.Int64("next", l.Next), slog.Int("segments", len(l.Segments)))
		done(l)
		return nil
	})
}

// legacy fetches the window of a stream from the node that has made it, which makes no more of it. Without time, or
// room, for all of its segments, it is the newest.
func (n *Node) legacy(ctx context.Context, name, from string) (*cmaf.Handover, error) {
	v, view := n.view.get(), (*control.PeerView)(nil)
	if v != nil {
		view = v.Peer(from)
	}
	switch {
	case n.cluster == nil:
		return nil, errNoKey
	case view == nil:
		return nil, fmt.Errorf("%s is not known", from)
	}
	answer, err := identity.AskAt(ctx, n.cluster, view.Advert.Remote, name, &wire.Window{
		Protocol: wire.Protocol, Stream: name, Node: n.name(),
	})
	if err != nil {
		return nil, err
	}
	w, ok := answer.(*wire.Windowed)
	if !ok {
		return nil, fmt.Errorf("%w: a %T", errWindow, answer)
	}
	l, list, err := outlines(w)
	if err != nil {
		return nil, err
	}
	d, _ := n.dir.View()
	upstream := d.Nodes[from].Private
	if upstream == nil {
		return &l, nil
	}
	room := legacyBytes
	got := make([]*cmaf.Segment, len(list))
	at := len(list)
	for at > 0 {
		s, size, err := n.fetchSegment(ctx, upstream.String(), name, list[at-1])
		if room -= size; err != nil || room < 0 {
			n.log.Warn("segment of another node", slog.String("stream", name), slog.String("peer", from), slog.Any("err", err))
			break
		}
		at--
		got[at] = s
	}
	for _, o := range list[:at] { // not counting one at the first that is left
		if o.Discontinuity {
			l.Before++
		}
	}
	l.Segments = got[at:]
	for _, o := range list {
		if o.Discontinuity {
			l.Discontinuities++
		}
	}
	l.Discontinuities += int64(w.DiscontinuitySequence)
	return &l, nil
}

// fetchSegment takes a segment in all forms that its tracks fit.
func (n *Node) fetchSegment(ctx context.Context, upstream, name string, o cmaf.Outline) (*cmaf.Segment, int, error) {
	var bytes [2][]byte
	size := 0
	for _, f := range []cmaf.Form{cmaf.TS, cmaf.CMAF} {
		if !o.Generation.Carries(f) {
			continue
		}
		b, err := n.front.hls.Fetch(ctx, upstream, name, f, o.Number)
		if err != nil {
			return nil, 0, fmt.Errorf("segment %d: %w", o.Number, err)
		}
		bytes[f], size = b, size+len(b)
	}
	return o.Segment(bytes), size, nil
}
