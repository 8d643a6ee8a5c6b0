package srs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/codecs/reception"
	"weir/protocols/listen"
	"weir/protocols/rtmp"
)

const (
	// dialTimeout is how long one origin may take to accept a publisher.
	dialTimeout = time.Second

	// dialStagger is how long an origin may keep a publisher waiting before the next one is tried beside it.
	dialStagger = 300 * time.Millisecond

	// forwardTimeout is how long a publisher is kept while no origin takes the stream; retryPause lies between two rounds.
	forwardTimeout = 20 * time.Second
	retryPause     = 300 * time.Millisecond
)

// A forward is a publication that is sent to the first origin that takes it, and to another one when that fails. The media in
// between is dropped up to the next random access point. It implements [listen.Publication].
type forward struct {
	reception.Report // [reception.Discard]: the origin judges the publisher

	c     *Cluster
	vhost string
	name  string
	place Place
	param string

	// What follows belongs to the publisher's goroutine.
	tracks codecs.Tracks
	mux    *flv.Muxer
	waits  bool // for a random access point
	left   string

	lasts context.Context // ends with the publication
	end   context.CancelCauseFunc

	mu     sync.Mutex
	client *rtmp.Client // nil: no origin takes it now
	server string
	over   bool
}

var _ listen.Publication = (*forward)(nil)

// Publish opens a stream of an edge's virtual host for a publisher, at the first origin that takes it. When an origin refuses,
// no other is tried: there would be two publishers of one name.
func (c *Cluster) Publish(ctx context.Context, v *Vhost, r listen.Request) (listen.Publication, error) {
	p, ok := placeOf(v, &r)
	if !ok {
		return nil, fmt.Errorf("%w: %w", listen.ErrNotFound, errNoApp)
	}
	f := &forward{
		Report: reception.Discard, c: c, vhost: v.Name, name: r.Streams[0], place: p, param: withVhost(param(r.Query), v.Name),
		waits: true,
	}
	f.lasts, f.end = context.WithCancelCause(context.Background())
	if err := f.connect(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

// Name is weir's name of the stream.
func (f *forward) Name() string { return f.name }

// Context implements [listen.Publication].
func (f *forward) Context() context.Context { return f.lasts }

// Heard implements [listen.Publication]. The origin decides whether a publisher gives way.
func (f *forward) Heard() {}

// errRefused says that an origin has refused the publisher.
var errRefused = errors.New("the origin refuses the publisher; most likely the name is taken there")

// connect tries the origins in their order, the one that was left last at the end.
func (f *forward) connect(ctx context.Context) error {
	v := f.c.vhost(f.vhost)
	if v == nil || !v.Remote {
		return fmt.Errorf("%w: vhost %s is no edge any more", listen.ErrUnavailable, f.vhost)
	}
	origins := slices.Clone(v.Origins)
	if i := slices.Index(origins, f.left); i >= 0 {
		origins = append(slices.Delete(origins, i, i+1), f.left)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	client, at, err := dial(ctx, origins, f.place, f.param, rtmp.ClientConfig{Timeout: Silence})
	if err != nil {
		return fmt.Errorf("%w: no origin takes it: %w", listen.ErrUnavailable, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	err = client.Publish()
	stop()
	if err == nil {
		return f.take(client, origins[at])
	}
	_ = client.Close()
	var status *rtmp.StatusError
	if errors.As(err, &status) || errors.Is(err, io.ErrUnexpectedEOF) { // SRS closes the connection without a word
		return fmt.Errorf("%w: %w: %w", listen.ErrBusy, errRefused, err)
	}
	f.left = origins[at]
	return fmt.Errorf("%w: %w", listen.ErrUnavailable, err)
}

// dial connects to the first of the origins that takes the URL of a stream, and returns its index.
func dial(ctx context.Context, origins []string, p Place, param string, cfg rtmp.ClientConfig) (*rtmp.Client, int, error) {
	return race(ctx, len(origins), dialStagger, func(ctx context.Context, i int) (*rtmp.Client, error) {
		c, err := rtmp.Dial(ctx, Found{origins[i], p}.URL(param), cfg)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", origins[i], err)
		}
		return c, nil
	}, func(c *rtmp.Client) { _ = c.Close() })
}

// Admit asks an origin whether a viewer may come, by connecting there as the viewer does: the origin's on_connect decides. An
// error is [listen.ErrDenied] if the origin refuses, and [listen.ErrUnavailable] if no origin answers.
func (c *Cluster) Admit(ctx context.Context, v *Vhost, r listen.Request) error {
	if !v.TokenTraverse {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	p, _ := placeOf(v, &r)
	client, _, err := dial(ctx, v.Origins, p, withVhost(param(r.Query), v.Name), rtmp.ClientConfig{Timeout: dialTimeout, ConnectQuery: true})
	if err == nil {
		_ = client.Close()
		return nil
	}
	var status *rtmp.StatusError
	if errors.As(err, &status) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the origin refuses the viewer", listen.ErrDenied)
	}
	return fmt.Errorf("%w: no origin answers: %w", listen.ErrUnavailable, err)
}

// take makes c the connection over which the publication goes, unless it has ended.
func (f *forward) take(c *rtmp.Client, origin string) error {
	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		_ = c.Close()
		return net.ErrClosed
	}
	f.client, f.server = c, origin
	f.mu.Unlock()
	f.waits = true
	f.c.cfg.Log.Info("publishing to an SRS origin", slog.String("stream", f.name), slog.String("server", origin))
	go func() {
		err := c.Drain()
		if f.drop(c) {
			f.c.cfg.Log.Warn("an SRS origin has let go of a publisher", slog.String("stream", f.name), slog.String("server", origin), slog.Any("err", err))
		}
	}()
	return nil
}

// drop closes a connection, and uses it no more if it was in use.
func (f *forward) drop(c *rtmp.Client) (used bool) {
	_ = c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.client != c || f.over {
		return false
	}
	f.client = nil
	return true
}

// current is the connection in use; nil if there is none, or its origin is no longer configured.
func (f *forward) current() (*rtmp.Client, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.client == nil {
		return nil, f.server
	}
	if v := f.c.vhost(f.vhost); v == nil || !v.Remote || !slices.Contains(v.Origins, f.server) {
		_ = f.client.Close()
		f.client = nil
	}
	return f.client, f.server
}

// LeaveOut implements [reception.Report].
func (f *forward) LeaveOut(tracks []reception.LeftOut) {
	for _, t := range tracks {
		f.c.cfg.Log.Warn("a track is left out", slog.String("stream", f.name), slog.String("err", t.Reason))
	}
}

// SetTracks implements [listen.Publication].
func (f *forward) SetTracks(t codecs.Tracks) {
	f.tracks = t
	if f.mux != nil && !f.waits {
		f.send(f.mux.SetTracks(t)...)
	}
}

// Write implements [listen.Publication]. It blocks while no origin takes the stream, so that the publisher waits.
func (f *forward) Write(au *codecs.AccessUnit) error {
	c, server := f.current()
	if c == nil {
		f.left = server
		if err := f.reconnect(); err != nil {
			return err
		}
	}
	if f.mux == nil {
		f.mux = flv.NewMuxer(au.DTS)
	}
	if f.waits {
		if video := f.tracks.Video(); video >= 0 && (au.Track != video || !au.RandomAccess) {
			return nil
		}
		f.waits = false
		f.send(f.mux.SetTracks(f.tracks)...)
	}
	head, ok := f.mux.Head(au)
	if !ok {
		return nil
	}
	f.send(flv.Tag{Type: head.Type, Timestamp: head.Timestamp, Body: slices.Concat(head.Bytes(), au.Payload)})
	return nil
}

// send gives tags to the origin. When the origin does not take them, the next Write tries another one.
func (f *forward) send(tags ...flv.Tag) {
	c, _ := f.current()
	if c == nil {
		return
	}
	for _, t := range tags {
		if len(t.Body) > math.MaxUint32>>8 {
			continue
		}
		if err := c.WriteTag(t); err != nil {
			_ = c.Close() // its Drain ends and says so
			return
		}
	}
}

// reconnect tries all origins again and again until one takes the stream.
func (f *forward) reconnect() error {
	ctx, cancel := context.WithTimeout(context.Background(), forwardTimeout)
	defer cancel()
	for {
		err := f.connect(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(retryPause):
		case <-f.lasts.Done():
			return net.ErrClosed
		case <-ctx.Done():
			return err
		}
	}
}

// Close implements [listen.Publication].
func (f *forward) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.over = true
	f.end(net.ErrClosed)
	if f.client != nil {
		_ = f.client.Close()
	}
}
