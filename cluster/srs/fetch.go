package srs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"weir/codecs"
	"weir/codecs/flv"
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

// A pull is a connection on which a stream comes: at least one tag of it has come.
type pull struct {
	endpoint endpoint
	next     func() (flv.Tag, error)
	first    []flv.Tag
	stop     func()
	once     sync.Once
}

func (p *pull) close() { p.once.Do(p.stop) }

// copy hands the media to sink until the stream ends; the error is never nil.
func (p *pull) copy(sink codecs.Writer) error {
	var d flv.Demuxer
	bad := 0
	for {
		var t flv.Tag
		var err error
		if len(p.first) > 0 {
			t, p.first = p.first[0], p.first[1:]
		} else if t, err = p.next(); err != nil {
			return fmt.Errorf("fetching from %s: %w", p.endpoint.server, err)
		}
		err = d.Tag(t, sink)
		var unsupported *codecs.UnsupportedError
		switch {
		case err == nil:
			bad = 0
		case errors.Is(err, errRefusedByWriter), errors.Is(err, flv.ErrNoTracks):
			return err
		case errors.As(err, &unsupported): // its track is left out
		default:
			if bad++; bad > maxBad {
				return fmt.Errorf("fetching from %s: %d malformed messages in a row: %w", p.endpoint.server, bad, err)
			}
		}
	}
}

const maxBad = 64

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

// open waits for the first media of an endpoint.
func (e endpoint) open(ctx context.Context) (*pull, error) {
	if u, err := url.Parse(e.url); err == nil && u.Scheme != "rtmp" {
		return e.openFLV(ctx)
	}
	c, err := rtmp.Play(ctx, e.url, rtmp.ClientConfig{Timeout: silence})
	if err != nil {
		return nil, err
	}
	return &pull{endpoint: e, next: c.ReadTag, stop: func() { _ = c.Close() }}, nil
}

var fetching = &http.Client{Transport: &http.Transport{
	DialContext: (&net.Dialer{Timeout: fetchTimeout}).DialContext, ResponseHeaderTimeout: fetchTimeout, DisableKeepAlives: true,
}}

// openFLV asks for HTTP-FLV. The connection must outlive ctx, which covers only the opening.
func (e endpoint) openFLV(ctx context.Context) (*pull, error) {
	flowing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	req, err := http.NewRequestWithContext(flowing, http.MethodGet, e.url, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("User-Agent", "weir")
	res, err := fetching.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	shut := func() {
		cancel()
		_ = res.Body.Close()
	}
	if res.StatusCode != http.StatusOK {
		shut()
		return nil, fmt.Errorf("fetching %s: %s", e.server, res.Status)
	}
	watch := time.AfterFunc(silence, cancel)
	body := &watched{r: res.Body, alive: func() { watch.Reset(silence) }}
	tags := flv.NewReader(body)
	p := &pull{endpoint: e, next: tags.Next, stop: func() { watch.Stop(); shut() }}
	for {
		tag, err := tags.Next()
		if err != nil {
			p.close()
			return nil, fmt.Errorf("fetching %s: %w", e.server, err)
		}
		p.first = append(p.first, tag)
		if tag.Type != flv.TypeScript {
			return p, nil
		}
		if len(p.first) > maxBad {
			p.close()
			return nil, fmt.Errorf("fetching %s: no media", e.server)
		}
	}
}

// watched calls alive for each read that brings bytes.
type watched struct {
	r     io.Reader
	alive func()
}

// Read implements [io.Reader].
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if n > 0 {
		w.alive()
	}
	return n, err
}
