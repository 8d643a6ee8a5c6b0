package router

import (
	"context"
	"strings"

	"weir/actors/stream"
	"weir/cluster/directory"
	"weir/protocols"
	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

// Play implements [listen.Router].
func (r *Router) Play(ctx context.Context, q listen.Request) listen.Answer {
	c := r.resolve(q)
	if c.Protocol != protocols.Relay {
		if err := r.cfg.Hooks.Play(ctx, c.vhost, c.Request); err != nil {
			return listen.Answer{Verdict: listen.Refused, Reason: err.Error()}
		}
	}
	a, live := r.find(ctx, c, false)
	if live == nil {
		r.cfg.Hooks.Dismissed(c.Remote)
		return a
	}
	r.keep(c, a.Stream)
	a.Source = live.Hub
	return a
}

// Locate is Play about a client that has been admitted before: no hook is asked, and the client has a session already.
func (r *Router) Locate(ctx context.Context, q listen.Request) listen.Answer {
	a, _ := r.find(ctx, r.resolve(q), false)
	return a
}

// Names implements [hls.Router].
func (r *Router) Names(q listen.Request) []string { return r.resolve(q).Streams }

// Window implements [hls.Router].
func (r *Router) Window(ctx context.Context, q listen.Request) (*cmaf.Store, listen.Answer) {
	c := r.resolve(q)
	if strings.HasSuffix(c.Path, ".m3u8") { // who asks for a segment was asked about with the playlist
		if err := r.cfg.Hooks.Watch(ctx, c.vhost, c.Request); err != nil {
			return nil, listen.Answer{Verdict: listen.Refused, Reason: err.Error()}
		}
	}
	a, live := r.find(ctx, c, true)
	if live == nil {
		return nil, a
	}
	if r.view().Streams[a.Stream].OnDemand && len(live.Store.Window().Segments) == 0 {
		r.want(a.Stream, StartUp)() // the client waits for the first segment, and is no viewer before
	}
	return live.Store, a
}

// find waits until a viewer can be answered, at most for the hold limit. A live stream comes with the verdict
// Serve and has media; pack asks for its segments.
func (r *Router) find(ctx context.Context, c request, pack bool) (listen.Answer, *stream.Live) {
	hold := r.cfg.Hold()
	if r.view().Decide(c.Request).OnDemand {
		hold += StartUp
	}
	held, cancel := context.WithTimeout(ctx, hold)
	defer cancel()
	var live *stream.Live
	wanted := false
	for {
		view, changed := r.cfg.Directory.View()
		d := view.Decide(c.Request)
		if d.Kind == directory.NotFound || d.Vain {
			if a, live, done := r.external(ctx, c, d.Stream, pack); done {
				return a, live
			}
		}
		if d.OnDemand && !wanted {
			wanted = true
			defer r.want(d.Stream, 0)()
		}
		if a, settled := answer(d); settled {
			return a, nil
		}
		var ready <-chan struct{}
		if d.Kind != directory.Hold { // it is here, or relayed
			if live == nil || live.Hub.Closed() {
				live = r.live(held, d.Stream, pack)
			}
			if live != nil {
				ready = live.Hub.Ready()
			}
		}
		select {
		case <-ready:
			return listen.Answer{Verdict: listen.Serve, Stream: d.Stream}, live
		default:
		}
		if reason, failed := r.failed(d); failed {
			a := unavailable(d.Stream, reason)
			a.Failing = true
			return a, nil
		}
		again, look := context.WithTimeout(held, lookPause)
		select {
		case <-again.Done():
		case <-changed:
		case <-ready:
		}
		look()
		if held.Err() != nil {
			a := unavailable(d.Stream, "the stream has no media now")
			if d.Why != "" {
				a.Reason += ": " + d.Why
			}
			return a, nil
		}
	}
}

// failed says that a stream is captured in vain, here or at the node that it is to be relayed from, and why.
func (r *Router) failed(d directory.Decision) (reason string, failed bool) {
	switch d.Kind {
	case directory.Here:
		_, s, _ := r.cfg.Registry.Get(d.Stream)
		reason, failed = s.Failed()
		return "the stream has no media now: " + reason, failed
	case directory.Relay:
		return r.cfg.Relayed(d.Stream)
	}
	return "", false
}

// answer is what a decision means for a viewer; settled is false for a stream that is served here once it has media, and
// for one that is still waited for.
func answer(d directory.Decision) (a listen.Answer, settled bool) {
	a = listen.Answer{Stream: d.Stream, Location: d.Location, Upstream: d.Upstream, Public: d.Public}
	switch d.Kind {
	case directory.Redirect:
		a.Verdict = listen.Redirect
	case directory.Fetch:
		a.Verdict = listen.Fetch
	case directory.NotFound:
		return notFound(d.Stream), true
	case directory.Disabled:
		a.Verdict, a.Reason = listen.NotFound, "the stream is disabled: "+d.Stream
	case directory.Loop:
		return unavailable(d.Stream, "the stream is moving: too many nodes have passed this request on"), true
	default:
		a = unavailable(d.Stream, d.Why)
		a.Failing = d.Failing
		return a, d.Vain
	}
	return a, true
}

func notFound(stream string) listen.Answer {
	return listen.Answer{Verdict: listen.NotFound, Stream: stream, Reason: "there is no such stream: " + stream}
}

func unavailable(stream, reason string) listen.Answer {
	return listen.Answer{Verdict: listen.Unavailable, Stream: stream, Reason: reason, RetryAfter: retryAfter}
}

// live gives a stream, asking the supervisor of streams unless it is captured here already, as it is for most requests;
// nil if the context ends first.
func (r *Router) live(ctx context.Context, name string, pack bool) *stream.Live {
	live, is, ok := r.cfg.Registry.Get(name)
	if ok && is.Role == stream.Capturing && (is.Packing || !pack) && !live.Hub.Closed() {
		return live
	}
	return r.ask(ctx, stream.Want{Stream: name, Pack: pack})
}

// ask asks the supervisor of streams for a stream; nil if the context ends first.
func (r *Router) ask(ctx context.Context, w stream.Want) *stream.Live {
	reply := make(chan *stream.Live, 1)
	w.Reply = reply
	r.cfg.Streams(w)
	select {
	case live := <-reply:
		return live
	case <-ctx.Done():
		return nil
	}
}
