package controller

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/packager"
	"weir/actors/stream"
	"weir/cluster/control"
	"weir/protocols"
	"weir/protocols/listen"
)

// Report makes [stream.Config.Report]: a function that tells the control actor when a capture has changed.
func Report(to *actor.PID) func(actor.Context, stream.Status) {
	return func(ctx actor.Context, s stream.Status) {
		switch s.State {
		case stream.Running:
			ctx.Send(to, control.CaptureUp{Stream: s.Stream})
		case stream.Failed:
			ctx.Send(to, control.CaptureDown{Stream: s.Stream, Why: protocols.MaskURLs(s.Err.Error())})
		case stream.Stopped:
			ctx.Send(to, control.CaptureStopped{Stream: s.Stream})
		case stream.Unpublished:
			ctx.Send(to, control.PublishEnded{Stream: s.Stream})
		case stream.Silent:
			ctx.Send(to, control.PublisherSilent{Stream: s.Stream})
		}
	}
}

// Numbered makes [stream.Config.Numbered]: a function that tells the control actor how segments are numbered.
func Numbered(to *actor.PID) func(actor.Context, string, packager.Numbered) {
	return func(ctx actor.Context, name string, n packager.Numbered) {
		ctx.Send(to, control.MediaChanged{Stream: name, Media: control.Media{
			Sequence: n.Number, Period: n.Period.Milliseconds(), Age: n.Age.Milliseconds(),
		}})
	}
}

// captureOf makes the message with which the streams' supervisor captures a stream. If another node has made segments of the
// stream, this node continues their numbers; if that node is alive, it also takes over the segments.
func captureOf(e control.StartCapture, v *control.View, packs bool) stream.Capture {
	c := stream.Capture{Stream: e.Stream}
	if m := e.Media; packs && m != (control.Media{}) {
		c.Least = func(later time.Duration) int64 { return m.After(control.Instant(later)) }
		c.From = predecessor(v, e.Stream)
	}
	return c
}

// predecessor is another node that captures the stream or is just stopping; empty if there is none.
func predecessor(v *control.View, name string) string {
	s := v.Stream(name)
	if s == nil {
		return ""
	}
	for _, c := range s.Claimants {
		switch c.State {
		case control.ClaimRunning, control.ClaimDraining, control.ClaimStopping:
			if c.Node != v.Self {
				return c.Node
			}
		}
	}
	return ""
}

// dismissal is what the publisher of a stream that is stopped is told, if it has one.
func dismissal(e control.StopCapture) error {
	switch e.Why {
	case control.Outranked:
		return fmt.Errorf("%w: at %s, which comes first of the two", listen.ErrBusy, e.To)
	case control.Silenced:
		return fmt.Errorf("%w: at %s, and this publisher has sent nothing for a while", listen.ErrBusy, e.To)
	case control.Ungranted:
		return fmt.Errorf("%w: the name was given to another publisher before this one came", listen.ErrBusy)
	case control.Removed:
		return errors.New("the configuration was changed: the stream takes no publisher here")
	}
	return fmt.Errorf("the stream is stopped: %s", e.Why)
}

// Captures are the streams that this node captures now. Last, the last view of the control plane that has started them, says
// with which epochs, and what they supersede; it may be nil.
func Captures(r *stream.Registry, last *control.View) []control.Capture {
	var cs []control.Capture
	for _, name := range slices.Sorted(slices.Values(r.Names())) {
		live, snap, ok := r.Get(name)
		if !ok || !captured(&snap) {
			continue
		}
		up := snap.Publisher != "" && snap.Role == stream.Capturing && live.Hub.Written() > 0
		for _, in := range snap.Inputs {
			up = up || in.Own && in.Active
		}
		c := control.Capture{Stream: name, Up: up, Silent: snap.Silent}
		if last != nil {
			if s := last.Stream(name); s != nil {
				c.Epoch, c.Supersedes = s.Epoch, s.Supersedes
			}
		}
		cs = append(cs, c)
	}
	return cs
}

// Capturing is how many streams this node captures now.
func Capturing(r *stream.Registry) (count int) {
	for _, name := range r.Names() {
		if _, snap, ok := r.Get(name); ok && captured(&snap) {
			count++
		}
	}
	return count
}

// captured says whether a stream is captured here, or has its publisher here.
func captured(s *stream.Snapshot) bool { return s.Role == stream.Capturing || s.Publisher != "" }
