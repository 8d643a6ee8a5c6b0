package status

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"weir/cluster/control"
	"weir/cluster/owner"
	"weir/cluster/wire"
	"weir/codecs"
	"weir/codecs/reception"
	"weir/protocols/api"
)

// A Stream holds the settings of a stream in the file.
type Stream struct {
	Title     string
	Inputs    []string // their URLs, with passwords hidden
	Clustered bool     // the stream has cluster_ingest
	CaptureAt string   // the capture_at of cluster_ingest; empty for none
}

// Streams implements [api.Node].
func (s *Status) Streams(ctx context.Context) []api.Stream {
	v := s.cfg.View()
	if v == nil {
		return nil
	}
	figures := s.figures(ctx)
	out := make([]api.Stream, 0, len(v.Streams))
	file := s.cfg.File()
	for i := range v.Streams {
		st := s.stream(v, &v.Streams[i], file)
		figures[st.Name].fill(&st)
		out = append(out, st)
	}
	return out
}

// Stream implements [api.Node].
func (s *Status) Stream(ctx context.Context, name string) (api.Stream, error) {
	v := s.cfg.View()
	if v == nil {
		return api.Stream{}, api.ErrNotFound
	}
	sv := v.Stream(name)
	if sv == nil {
		return api.Stream{}, fmt.Errorf("%w: %s", api.ErrNotFound, name)
	}
	st := s.stream(v, sv, s.cfg.File())
	s.figures(ctx)[name].fill(&st)
	if sv.Owner != "" && sv.Owner != v.Self {
		// If the owner does not answer, the stream is shown without the owner's inputs and tracks.
		if a, err := s.cfg.Ask(ctx, name, &wire.Describe{Protocol: wire.Protocol, Stream: name}); err == nil {
			if d, ok := a.(*wire.Description); ok {
				describe(&st, d)
			}
		}
	}
	return st, nil
}

// stream shows a stream by the control plane's view, by the file and, if this node captures the stream, by its actors.
func (s *Status) stream(v *control.View, sv *control.StreamView, file File) api.Stream {
	st := api.Stream{
		Name: sv.Name, Owner: api.Maybe(sv.Owner), State: string(sv.State), Reason: api.Maybe(sv.Reason),
		SpillOf: sv.Of, Error: sv.Detail, Disabled: sv.State == control.StreamDisabled, OnDemand: sv.OnDemand,
	}
	if c, ok := file.Stream(sv.Name); ok {
		st.Title = c.Title
		if c.Clustered {
			st.ClusterIngest = &api.ClusterIngest{CaptureAt: c.CaptureAt}
		}
		for _, url := range c.Inputs {
			st.Inputs = append(st.Inputs, input(&wire.Input{Url: url}, string(sv.State)))
		}
	}
	st.Since, _ = s.since(sv.Name)
	if sv.State == control.StreamFailed && st.Error == "" {
		st.Error = "no node could capture it"
	}
	if st.Reason == "" {
		st.Reason = api.Maybe(st.Error)
	}
	// A stream that has failed has no owner, and this node may be one of those that try.
	if sv.Owner == v.Self || sv.Owner == "" && slices.ContainsFunc(sv.Claimants, func(c control.ClaimView) bool { return c.Node == v.Self }) {
		s.captured(&st)
	}
	st.Stats.Alive = runs(sv.State)
	return st
}

// captured fills in the state of a stream that this node captures.
func (s *Status) captured(st *api.Stream) {
	live, is, ok := s.cfg.Streams.Get(st.Name)
	if !ok {
		return
	}
	st.Inputs = st.Inputs[:0]
	for _, in := range is.All() {
		st.Inputs = append(st.Inputs, shown(owner.DescribeInput(in)))
	}
	st.Stats.MediaInfo = tracks(live.Hub.Tracks())
}

func tracks(list codecs.Tracks) (out []api.Track) {
	for _, t := range list {
		out = append(out, api.Track{
			Codec: t.Codec.String(), Width: t.Width, Height: t.Height, SampleRate: t.SampleRate, Channels: t.Channels,
		})
	}
	return out
}

// describe fills in the description that the owner has sent.
func describe(st *api.Stream, d *wire.Description) {
	st.Stats.Publisher, st.Stats.MediaInfo = d.Publisher, nil
	for _, t := range d.Tracks {
		st.Stats.MediaInfo = append(st.Stats.MediaInfo, api.Track{
			Codec: t.Codec, Width: int(t.Width), Height: int(t.Height), SampleRate: int(t.SampleRate), Channels: int(t.Channels),
		})
	}
	st.Inputs = nil
	for _, in := range d.Inputs {
		st.Inputs = append(st.Inputs, shown(in))
	}
}

// inputs adds up the inputs of the streams that this node captures.
func (s *Status) inputs(t *api.Totals) {
	for _, name := range s.cfg.Streams.Names() {
		_, is, ok := s.cfg.Streams.Get(name)
		if !ok {
			continue
		}
		for _, in := range is.All() {
			if in.Monitor == nil {
				continue
			}
			d := owner.DescribeInput(in)
			t.Inputs[shown(d).State]++
			t.LeftOut += len(d.LeftOut)
			for kind, n := range d.Counters {
				t.InputEvents[kind] += n
			}
		}
	}
}

// shown is an input as the node says of it that captures its stream.
func shown(in *wire.Input) api.Input {
	state := control.StreamStarting
	switch {
	case in.Active:
		state = control.StreamRunning
	case in.Error != "":
		state = control.StreamFailed
	case in.Standby:
		state = control.StreamWaiting
	}
	i := input(in, string(state))
	if in.Condition != "" && (in.Active || state == control.StreamStarting) {
		i.State = in.Condition
	}
	return i
}

// reasons are why an input is in a state, where nothing else says it.
var reasons = map[string]string{
	string(control.StreamStarting): "no media has come from it yet", string(control.StreamWaiting): "it is not needed now",
	string(control.StreamFailed): "it has failed", string(control.StreamDisabled): "the stream is disabled",
}

func input(in *wire.Input, state string) api.Input {
	i := api.Input{
		URL: in.Url, State: state, Error: in.Error, Active: in.Active, Bytes: in.Bytes, Restarts: uint64(in.Restarts),
		TracksLeftOut: []api.LeftOut{},
		Counters: api.InputCounters{
			ContinuityErrors: in.Counters[reception.ContinuityErrors.String()], Damaged: in.Counters[reception.Damaged.String()],
			RepairedTimes: in.Counters[reception.RepairedTimes.String()], SkippedUnits: in.Counters[reception.SkippedUnits.String()],
			LostSegments: in.Counters[reception.LostSegments.String()], Reconnects: in.Counters[reception.Reconnects.String()],
			Gaps: in.Counters[reception.MissingMedia.String()], JitterMS: in.JitterMs,
		},
	}
	for _, l := range in.LeftOut {
		i.TracksLeftOut = append(i.TracksLeftOut, api.LeftOut{Track: l.Track, Codec: api.Maybe(l.Codec), Reason: l.Reason})
	}
	i.Reason = api.Maybe(cmp.Or(in.Reason, in.Error, reasons[state]))
	if i.Reason == "" && len(in.LeftOut) > 0 {
		l := in.LeftOut[0]
		i.Reason = api.Maybe(fmt.Sprintf("%d of its tracks are left out: %s: %s", len(in.LeftOut), l.Track, l.Reason))
	}
	return i
}
