package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"weir/actors/act"
	"weir/actors/stream"
	"weir/cluster/directory"
	"weir/protocols/listen"
)

// Publish implements [listen.Router].
func (r *Router) Publish(ctx context.Context, q listen.Request) (listen.Publication, error) {
	p, err := r.publish(ctx, r.resolve(q))
	if err != nil {
		r.cfg.Log.Info("publisher refused", slog.String("proto", string(q.Protocol)),
			slog.String("stream", strings.Join(q.Streams, " or ")), slog.String("client", q.Remote.String()), slog.Any("err", err))
	}
	return p, err
}

func (r *Router) publish(ctx context.Context, c request) (listen.Publication, error) {
	if err := r.cfg.Hooks.Publish(ctx, c.vhost, c.Request); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Hold())
	defer cancel()
	name, err := r.publishable(r.view(), c.Request)
	if c.vhost != nil && c.vhost.Remote && errors.Is(err, listen.ErrNotFound) {
		p, err := r.cfg.SRS.Publish(ctx, c.vhost, c.Request)
		if err == nil {
			r.begun(p, c, c.Streams[0])
		}
		return p, err
	}
	if err != nil {
		return nil, err
	}
	release, err := r.claim(ctx, c, name)
	if err != nil {
		return nil, err
	}
	p, err := r.admit(ctx, name, c.Remote.String())
	if err != nil {
		release()
		return nil, err
	}
	context.AfterFunc(p.Context(), release)
	r.begun(p, c, name)
	return p, nil
}

// claim gets the name of a stream for a publisher, in this cluster and among SRS servers; release gives it back to those.
func (r *Router) claim(ctx context.Context, c request, name string) (release func(), err error) {
	tookOver, err := r.cfg.Claim(ctx, name)
	if err != nil {
		return nil, err
	}
	if tookOver {
		// Hooks have been told meanwhile that the publisher before has ended. What they are told last has to be true.
		err = r.cfg.Hooks.Publish(ctx, c.vhost, c.Request)
	}
	if err == nil {
		release, err = r.cfg.SRS.Free(ctx, c.vhost, c.Request)
	}
	if err != nil {
		r.cfg.Unclaim(name)
	}
	return release, err
}

// begun tells the hooks that a client publishes, and that it does so no more when the publication ends.
func (r *Router) begun(p listen.Publication, c request, name string) {
	context.AfterFunc(p.Context(), r.cfg.Hooks.Published(c.Remote, name))
}

// admit brings the publisher to the stream whose name was granted to it.
func (r *Router) admit(ctx context.Context, name, session string) (listen.Publication, error) {
	reply := act.NewReply[stream.Published]()
	r.cfg.Streams(stream.Publish{Stream: name, Session: session, Reply: reply})
	p, err := reply.Wait(ctx)
	switch {
	case err != nil:
		r.cfg.Unclaim(name)
		return nil, fmt.Errorf("%w: the stream %q did not answer: %w", listen.ErrUnavailable, name, err)
	case p.Err == nil:
		return p.Publication, nil
	case !errors.Is(p.Err, listen.ErrBusy): // otherwise the name is another publisher's
		r.cfg.Unclaim(name)
	}
	return nil, p.Err
}

// publishable is the first of the names that this node's file has, else the first of which it can make a stream.
func (r *Router) publishable(v *directory.View, q listen.Request) (string, error) {
	names := q.Streams
	var reserved error
	elsewhere := false
	for _, n := range names {
		s, listed := v.Streams[n]
		if listed && s.Configured {
			if s.Disabled {
				return "", fmt.Errorf("%w: stream %q is disabled", listen.ErrDenied, n)
			}
			return n, nil
		}
		elsewhere = elsewhere || listed
		if err := r.cfg.Reserved(n); err != nil {
			reserved = err
		}
	}
	for _, n := range names {
		if err := r.cfg.Instances.Make(n, q.Protocol, q.Remote); !errors.Is(err, listen.ErrNotFound) {
			return n, err
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
