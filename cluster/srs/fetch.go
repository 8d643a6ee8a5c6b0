package srs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"weir/codecs"
	"weir/protocols/pull"
	"weir/protocols/rtmp"
)

// An endpoint is one URL under which a stream may be had.
type endpoint struct {
	server string // as it is configured
	url    string
}

func endpointOf(v *Vhost, server string, p Place, param string) endpoint {
	path := "/" + p.App + "/" + p.Stream
	head := "rtmp://" + server + path
	switch v.Fetch {
	case FetchFLV, FetchFLVS:
		u := url.URL{Scheme: "http", Host: server, Path: "/" + decoded(p.App) + "/" + decoded(p.Stream) + ".flv"}
		if v.Fetch == FetchFLVS {
			u.Scheme = "https"
		}
		head = u.String()
	}
	return endpoint{server: server, url: head + withVhost(param, v.Name)}
}

// pull brings the stream of the endpoint to w until it ends; the error is never nil.
func (e endpoint) pull(ctx context.Context, w codecs.Writer) error {
	if strings.HasPrefix(e.url, "rtmp:") {
		return rtmp.Pull(ctx, e.url, rtmp.ClientConfig{Timeout: Silence, Silence: Silence}, nil, w)
	}
	return pull.FLV(ctx, e.url, pull.Options{Connect: fetchTimeout, Silence: Silence}, w)
}

// A fetch is the stream of an endpoint, of which the first media has come. It waits until [fetch.copy] says where to.
type fetch struct {
	endpoint endpoint
	ctx      context.Context
	close    context.CancelFunc
	ended    chan error // has room for one

	begin sync.Once
	begun chan struct{} // closed when the first media has come
	taken chan struct{} // closed when out is set
	out   codecs.Writer
}

var _ codecs.Writer = (*fetch)(nil)

// open waits for the first media of an endpoint, until opening ends. What it returns ends with ctx.
func (e endpoint) open(ctx, opening context.Context) (*fetch, error) {
	f := &fetch{endpoint: e, ended: make(chan error, 1), begun: make(chan struct{}), taken: make(chan struct{})}
	f.ctx, f.close = context.WithCancel(ctx)
	go func() { f.ended <- e.pull(f.ctx, f) }()
	var err error
	select {
	case <-f.begun:
		return f, nil
	case err = <-f.ended:
	case <-opening.Done():
		err = opening.Err()
	}
	f.close()
	return nil, fmt.Errorf("fetching from %s: %w", e.server, err)
}

// copy brings the media to out until the stream ends; the error is never nil.
func (f *fetch) copy(out codecs.Writer) error {
	f.out = out
	close(f.taken)
	return fmt.Errorf("fetching from %s: %w", f.endpoint.server, <-f.ended)
}

// wait returns once [fetch.copy] has said where the media goes; false if the fetch has ended before.
func (f *fetch) wait() bool {
	f.begin.Do(func() { close(f.begun) })
	select {
	case <-f.taken:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// SetTracks implements [codecs.Writer].
func (f *fetch) SetTracks(t codecs.Tracks) {
	if f.wait() {
		f.out.SetTracks(t)
	}
}

// Write implements [codecs.Writer].
func (f *fetch) Write(au *codecs.AccessUnit) error {
	if !f.wait() {
		return f.ctx.Err()
	}
	return f.out.Write(au)
}

// race tries n ways in their order and returns the first that works, and its number. The next one is tried when one has
// failed, or has not worked after wait. A way that works too late is given to drop. The error joins those of all, and is
// [ErrNowhere].
func race[T any](ctx context.Context, n int, wait time.Duration, try func(ctx context.Context, i int) (T, error), drop func(T)) (won T, at int, err error) {
	type result struct {
		got T
		i   int
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, n)
	timer := time.NewTimer(0) // the first one at once
	defer timer.Stop()
	errs := []error{ErrNowhere}
	for started, ended := 0, 0; ended < n; {
		select {
		case <-timer.C:
			if started < n {
				i := started
				go func() {
					got, err := try(ctx, i)
					results <- result{got, i, err}
				}()
				started++
				timer.Reset(wait)
			}
		case r := <-results:
			ended++
			if r.err == nil {
				go func() {
					for range started - ended {
						if late := <-results; late.err == nil {
							drop(late.got)
						}
					}
				}()
				return r.got, r.i, nil
			}
			errs = append(errs, r.err)
			timer.Reset(0)
		}
	}
	return won, -1, errors.Join(errs...)
}
