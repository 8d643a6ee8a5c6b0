package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/stream"
	"weir/cluster/directory"
	"weir/cluster/srs"
	"weir/protocols"
	"weir/protocols/cmaf"
	"weir/protocols/hls"
	"weir/protocols/listen"
)

// retryAfter is what a client is told that came during a take-over.
const retryAfter = 2 * time.Second

// startUp is how long a client of an on-demand stream waits beyond that for its source: its connection, and a picture
// from which a player can start.
const startUp = 15 * time.Second

// A desk decides about clients. Its methods run in the goroutines of sessions and listeners, never in an actor's.
type desk struct {
	sys      *actor.ActorSystem
	dir      *directory.Directory
	streams  *actor.PID
	registry *stream.Registry
	log      *slog.Logger
	hold     time.Duration // how long a request is held at most
	demand   func(stream string, least time.Duration) (enough func())
	claim    func(ctx context.Context, stream string) error
	unclaim  func(stream string)
	names    func(stream string) error // why a name is reserved
	abroad   *srs.Cluster
	hooks    *srs.Hooks

	// instantiate makes a stream of the template that a name belongs to, or returns an error.
	instantiate func(stream string) error
}

var (
	_ listen.Router     = (*desk)(nil)
	_ listen.Authorizer = (*desk)(nil)
	_ hls.Router        = (*desk)(nil)
)

// Connect implements [listen.Authorizer].
func (d *desk) Connect(ctx context.Context, r listen.Request) error {
	r, vh := d.abroad.Resolve(r)
	return d.hooks.Connect(ctx, vh, r)
}

// Play implements [listen.Router].
func (d *desk) Play(ctx context.Context, r listen.Request) listen.Answer {
	if r.Protocol != protocols.Relay {
		named, vh := d.abroad.Resolve(r)
		if err := d.hooks.Play(ctx, vh, named); err != nil {
			return listen.Answer{Verdict: listen.Refused, Reason: err.Error()}
		}
	}
	a, live := d.find(ctx, r, false)
	if live != nil {
		a.Source = live.Hub
	} else if r.Protocol != protocols.RTMP { // what is answered over HTTP and not served becomes no session
		d.hooks.Left(r.Remote, 0, 0)
	}
	return a
}

// Window implements [hls.Router].
func (d *desk) Window(ctx context.Context, r listen.Request) (*cmaf.Store, listen.Answer) {
	if strings.HasSuffix(r.Path, ".m3u8") { // segments are known by their playlists
		named, vh := d.abroad.Resolve(r)
		if err := d.hooks.Watch(ctx, vh, named); err != nil {
			return nil, listen.Answer{Verdict: listen.Refused, Reason: err.Error()}
		}
	}
	a, live := d.find(ctx, r, true)
	if live == nil {
		return nil, a
	}
	if view, _ := d.dir.View(); view.Streams[a.Stream].OnDemand && len(live.Store.Window().Segments) == 0 {
		d.demand(a.Stream, startUp)() // whoever asks now waits for the first segment, and is no viewer before
	}
	return live.Store, a
}

// find waits until the directory knows what becomes of the client, at most for the hold limit. A live stream comes
// with a verdict of Serve and has media.
func (d *desk) find(ctx context.Context, r listen.Request, pack bool) (listen.Answer, *stream.Live) {
	whole := ctx
	r, vh := d.abroad.Resolve(r)
	hold := d.hold
	if view, _ := d.dir.View(); view.Decide(r).OnDemand {
		hold += startUp
	}
	ctx, cancel := context.WithTimeout(ctx, hold)
	defer cancel()
	var live *stream.Live
	wanted := ""
	for {
		view, changed := d.dir.View()
		dec := view.Decide(r)
		a := listen.Answer{Stream: dec.Stream}
		if dec.Kind == directory.NotFound || dec.Vain {
			if a, live, done := d.beyond(whole, r, vh, dec, pack); done {
				return a, live
			}
		}
		if dec.OnDemand && wanted == "" {
			wanted = dec.Stream
			defer d.demand(wanted, 0)()
		}
		switch dec.Kind {
		case directory.Here, directory.Follow:
			if live == nil || live.Hub.Closed() {
				live = d.want(ctx, dec.Stream, pack)
			}
			if live != nil {
				select {
				case <-live.Hub.Ready():
					a.Verdict = listen.Serve
					return a, live
				default:
				}
			}
		case directory.Redirect:
			a.Verdict, a.Location = listen.Redirect, dec.Location
			a.Upstream, a.Public = dec.Upstream, dec.Public // for what must not be redirected, such as a reload
			return a, nil
		case directory.Proxy:
			a.Verdict, a.Upstream, a.Public = listen.Proxy, dec.Upstream, dec.Public
			return a, nil
		case directory.NotFound:
			a.Verdict, a.Reason = listen.NotFound, "there is no such stream: "+dec.Stream
			return a, nil
		case directory.Disabled:
			a.Verdict, a.Reason = listen.NotFound, "the stream is disabled: "+dec.Stream
			return a, nil
		case directory.Loop:
			a.Verdict, a.RetryAfter = listen.Unavailable, retryAfter
			a.Reason = "the stream is moving: too many nodes have passed this request on"
			return a, nil
		}
		if dec.Vain {
			a.Verdict, a.RetryAfter, a.Reason = listen.Unavailable, retryAfter, dec.Why
			return a, nil
		}
		var ready <-chan struct{}
		if live != nil {
			ready = live.Hub.Ready()
		}
		select {
		case <-changed:
		case <-ready:
		case <-ctx.Done():
			a.Verdict, a.RetryAfter = listen.Unavailable, retryAfter
			a.Reason = "the stream has no media now"
			if dec.Why != "" {
				a.Reason += ": " + dec.Why
			}
			return a, nil
		}
	}
}

// want gives a stream, asking the supervisor of streams unless it is captured here already, as it is for most requests;
// nil if the context ends first.
func (d *desk) want(ctx context.Context, name string, pack bool) *stream.Live {
	if live, is, ok := d.registry.Get(name); ok && is.Role == stream.Capturing && (is.Packing || !pack) && !live.Hub.Closed() {
		return live
	}
	return d.ask(ctx, stream.Want{Stream: name, Pack: pack})
}

// ask asks the supervisor of streams for one; nil if the context ends first.
func (d *desk) ask(ctx context.Context, w stream.Want) *stream.Live {
	reply := make(chan *stream.Live, 1)
	w.Reply = reply
	d.sys.Root.Send(d.streams, w)
	select {
	case live := <-reply:
		return live
	case <-ctx.Done():
		return nil
	}
}

// Publish implements [listen.Router].
func (d *desk) Publish(ctx context.Context, r listen.Request) (listen.Publication, error) {
	p, err := d.publish(ctx, r)
	if err != nil {
		d.log.Info("publisher refused", slog.String("proto", string(r.Protocol)),
			slog.String("stream", strings.Join(r.Streams, " or ")), slog.String("peer", r.Remote.String()), slog.Any("err", err))
	}
	return p, err
}

func (d *desk) publish(ctx context.Context, r listen.Request) (listen.Publication, error) {
	r, vh := d.abroad.Resolve(r)
	if err := d.hooks.Publish(ctx, vh, r); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.hold)
	defer cancel()
	view, _ := d.dir.View()
	name, err := d.publishable(view, r.Streams)
	if vh != nil && vh.Remote && errors.Is(err, listen.ErrNotFound) {
		return d.abroad.Publish(ctx, vh, r)
	}
	if err != nil {
		return nil, err
	}
	if err := d.claim(ctx, name); err != nil {
		return nil, err
	}
	release, err := d.abroad.Free(ctx, vh, r)
	if err != nil {
		d.unclaim(name)
		return nil, err
	}
	reply := act.NewReply[stream.Published]()
	d.sys.Root.Send(d.streams, stream.Publish{Stream: name, Session: r.Remote.String(), Reply: reply})
	p, err := reply.Wait(ctx)
	if err != nil {
		err = fmt.Errorf("%w: the stream %q did not answer: %w", listen.ErrUnavailable, name, err)
	}
	if err != nil || p.Err != nil && !errors.Is(p.Err, listen.ErrBusy) {
		d.unclaim(name)
	}
	if err = errors.Join(err, p.Err); err != nil {
		release()
		return p.Publication, err
	}
	return &held{p.Publication, name, release}, nil
}

// A held publication keeps its name, as far as SRS servers are concerned, until it ends.
type held struct {
	listen.Publication
	name    string
	release func()
}

// Name is the name of the stream that is published.
func (h *held) Name() string { return h.name }

// Close implements [listen.Publication].
func (h *held) Close() {
	h.Publication.Close()
	h.release()
}

// publishable is the first of the names that this node's file has.
func (d *desk) publishable(v *directory.View, names []string) (string, error) {
	var reserved error
	elsewhere := false
	for _, n := range names {
		s, known := v.Streams[n]
		if known && s.Configured {
			if s.Disabled {
				return "", fmt.Errorf("%w: stream %q is disabled", listen.ErrDenied, n)
			}
			return n, nil
		}
		elsewhere = elsewhere || known
		if err := d.names(n); err != nil {
			reserved = err
		}
	}
	for _, n := range names {
		if s, known := v.Streams[n]; known && s.Configured {
			continue
		}
		if err := d.instantiate(n); err == nil {
			return n, nil
		} else if !errors.Is(err, listen.ErrNotFound) {
			return "", err
		}
	}
	switch {
	case reserved != nil:
		return "", fmt.Errorf("%w: %w", listen.ErrReserved, reserved)
	case elsewhere:
		return "", fmt.Errorf("%w on this node: %s", listen.ErrNotFound, strings.Join(names, " or "))
	}
	return "", fmt.Errorf("%w: %s; add `stream NAME { input publish://; }` to the file", listen.ErrNotFound, strings.Join(names, " or "))
}
