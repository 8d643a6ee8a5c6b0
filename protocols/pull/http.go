package pull

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"weir/codecs/reception"
)

// Options of the readers of HTTP inputs. Zero fields take the defaults.
type Options struct {
	// Connect is how long the server may take to be connected to, and from there to the head of each answer. Default 10 s.
	Connect time.Duration

	// Silence is how long nothing may arrive of a body. Default 60 s.
	Silence time.Duration

	// Agent is told to the server; empty means "weir".
	Agent string

	// Header is what requests carry beside it, such as a Referer. Requests to other servers than the input's, to which redirects and
	// playlists lead, carry no more of it than [public] lists.
	Header http.Header

	// Report, if not nil, is told what of the input does not become media.
	Report reception.Report

	// Program is the number of the program of a transport stream that is read; 0 stands for the first that can be played.
	Program int

	// Roots prove the server of an https URL; nil stands for the machine's.
	Roots *x509.CertPool

	// Transport replaces the HTTP transport, whose times it then has; for tests and for servers that are proved.
	Transport http.RoundTripper
}

// maxRedirects is how often one request follows.
const maxRedirects = 5

var (
	errSilent    = errors.New("the server has gone silent")
	errRedirects = fmt.Errorf("more than %d redirects", maxRedirects)
)

func (o Options) complete() Options {
	if o.Connect <= 0 {
		o.Connect = 10 * time.Second
	}
	if o.Silence <= 0 {
		o.Silence = time.Minute
	}
	if o.Agent == "" {
		o.Agent = "weir"
	}
	if o.Report == nil {
		o.Report = reception.Discard
	}
	return o
}

// client makes an HTTP client for an input at home that keeps the deadlines, answer being that for the head of each, and what
// ends its connections.
func (o Options) client(answer time.Duration, home *url.URL) (c *http.Client, end func()) {
	end = func() {}
	rt := o.Transport
	if rt == nil {
		t := &http.Transport{
			DialContext:           (&net.Dialer{Timeout: o.Connect}).DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: o.Roots},
			TLSHandshakeTimeout:   o.Connect,
			ResponseHeaderTimeout: answer,
			MaxIdleConnsPerHost:   2,
			IdleConnTimeout:       time.Minute,
			DisableCompression:    true, // media does not shrink, and a silent gzip stream would not be noticed
		}
		rt, end = t, t.CloseIdleConnections
	}
	jar, _ := cookiejar.New(nil) // it never fails
	return &http.Client{
		Jar:       jar,
		Transport: &inputTransport{next: rt, silence: o.Silence, agent: o.Agent, header: o.Header, home: home},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errRedirects
			}
			return nil
		},
	}, end
}

// An inputTransport is a round tripper whose requests carry what an input says, and whose bodies fail once nothing has arrived for too
// long.
type inputTransport struct {
	next    http.RoundTripper
	silence time.Duration
	agent   string
	header  http.Header
	home    *url.URL // of the input, with its login
}

// public lists the headers that other servers than the input's get too. Any other may hold a secret.
var public = map[string]bool{
	"Accept": true, "Accept-Language": true, "Cache-Control": true, "Origin": true, "Pragma": true, "Referer": true, "User-Agent": true,
}

// own says whether a URL is of the input's own server: of the same host and port, or of the same host where it has gone over to https.
func (p *inputTransport) own(u *url.URL) bool {
	if !strings.EqualFold(u.Hostname(), p.home.Hostname()) {
		return false
	}
	return u.Scheme == p.home.Scheme && portOf(u) == portOf(p.home) || u.Scheme == "https" && p.home.Scheme == "http"
}

func portOf(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// dress gives a request the headers and the login of the input.
func (p *inputTransport) dress(r *http.Request) {
	own := p.own(r.URL)
	r.Header.Del("Referer") // package net/http puts the whole URL there that was redirected, with its tokens
	r.Header.Set("User-Agent", p.agent)
	for name, values := range p.header {
		name = http.CanonicalHeaderKey(name)
		switch {
		case len(values) == 0, !own && !public[name]:
		case name == "Host":
			r.Host = values[0]
		case name == "Cookie": // beside those of the server
			r.Header.Set(name, strings.Join(slices.Concat(values, r.Header.Values(name)), "; "))
		default:
			r.Header[name] = values
		}
	}
	if login := p.home.User; own && login != nil && r.Header.Get("Authorization") == "" {
		password, _ := login.Password()
		r.SetBasicAuth(login.Username(), password)
	}
}

// RoundTrip implements [http.RoundTripper].
func (p *inputTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	r = r.Clone(ctx)
	p.dress(r)
	res, err := p.next.RoundTrip(r)
	if err == nil {
		if err = uncoded(res); err != nil {
			_ = res.Body.Close()
		}
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	b := &timedBody{ReadCloser: res.Body, silence: p.silence, cancel: cancel}
	b.timer = time.AfterFunc(p.silence, func() {
		b.silent.Store(true)
		cancel(errSilent)
	})
	res.Body = b
	return res, nil
}

type timedBody struct {
	io.ReadCloser
	silence time.Duration
	timer   *time.Timer
	cancel  context.CancelCauseFunc
	silent  atomic.Bool
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.timer.Reset(b.silence)
	}
	if err != nil && !errors.Is(err, io.EOF) && b.silent.Load() {
		err = fmt.Errorf("%w: nothing for %v", errSilent, b.silence)
	}
	return n, err
}

func (b *timedBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// redacted is an error without what may be secret in the URL that package net/http puts into it.
func redacted(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
