package router

import (
	"context"
	"log/slog"
	"time"

	"weir/actors/stream"
	"weir/protocols"
	"weir/protocols/listen"
)

// fetchHold is how long a viewer waits for a stream that is fetched from an SRS server.
const fetchHold = 6 * time.Second

// external answers a viewer for whose stream no node of this cluster has media, if SRS servers have it; done says that they
// do, or at least that nothing more is to be waited for.
func (r *Router) external(ctx context.Context, c request, name string, pack bool) (_ listen.Answer, _ *stream.Live, done bool) {
	if c.vhost == nil || !c.vhost.Remote && !c.vhost.OriginCluster || c.Protocol == protocols.Relay || r.cfg.Reserved(name) != nil {
		return listen.Answer{}, nil, false
	}
	if c.Hops >= listen.HopLimit {
		return unavailable(name, "too many servers have passed this request on"), nil, true
	}
	ctx, cancel := context.WithTimeout(ctx, fetchHold)
	defer cancel()
	now := false // a server has just answered that it has the stream
	if c.vhost.Remote {
		if err := r.cfg.SRS.Admit(ctx, c.vhost, c.Request); err != nil {
			return listen.Answer{Verdict: listen.Refused, Stream: name, Reason: err.Error()}, nil, true
		}
	} else if follows := r.follows(c); follows || !r.cfg.SRS.Fetching(name) {
		found, ok := r.cfg.SRS.Find(ctx, c.vhost, c.Request)
		switch {
		case ok && follows:
			return listen.Answer{Verdict: listen.Redirect, Stream: name, Location: found.Location(c.Request)}, nil, true
		case !ok && !r.cfg.SRS.Fetching(name):
			return listen.Answer{}, nil, false
		}
		now = ok
	}
	a, live := r.fetch(ctx, c, name, pack, now)
	return a, live, true
}

// keep notes how the SRS servers of a virtual host are asked for a stream that is served here, because its viewers are kept when
// the stream moves there.
func (r *Router) keep(c request, name string) {
	if c.vhost == nil || !c.vhost.Remote && !c.vhost.OriginCluster || c.Protocol == protocols.Relay {
		return
	}
	if _, err := r.cfg.SRS.Expect(name, c.vhost, c.Request, false); err != nil {
		r.cfg.Log.Debug("the stream would not be followed to SRS servers", slog.String("stream", name), slog.Any("err", err))
	}
}

// follows says whether a viewer is sent to an SRS server rather than served here. SRS servers say only where their RTMP
// server is.
func (r *Router) follows(c request) bool {
	return c.Protocol == protocols.RTMP && !c.Secure && r.view().Default.Redirects(c.Request)
}

// fetch serves a stream that is fetched from SRS servers. found says that one has just answered that it has the stream.
func (r *Router) fetch(ctx context.Context, c request, name string, pack, found bool) (listen.Answer, *stream.Live) {
	nowhere := func(err error) (listen.Answer, *stream.Live) {
		r.cfg.Log.Debug("not found at SRS servers", slog.String("stream", name), slog.Any("err", err))
		return notFound(name), nil
	}
	up, err := r.cfg.SRS.Expect(name, c.vhost, c.Request, found)
	if err == nil {
		err = up.Err()
	}
	if err != nil {
		return nowhere(err)
	}
	late := unavailable(name, "the stream could not be fetched in time")
	for {
		live := r.ask(ctx, stream.Want{Stream: name, Pack: pack, External: true})
		if live == nil {
			return late, nil
		}
		select {
		case <-live.Hub.Ready():
			if live.Hub.Closed() {
				continue
			}
			return listen.Answer{Verdict: listen.Serve, Stream: name}, live
		case <-up.Failed():
			return nowhere(up.Err())
		case <-ctx.Done():
			return late, nil
		}
	}
}
