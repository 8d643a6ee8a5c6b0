package srs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// askTimeout is how long coworkers have to answer, all together: a player waits.
	askTimeout = time.Second

	// An answer is believed for a while, so that many viewers cause one question.
	hitAge  = 2 * time.Second
	missAge = time.Second

	maxAnswer = 64 << 10
	maxCached = 10_000
)

// NodeHeader carries the name of the node that asks, so that no node is answered with its own address. instanceHeader carries
// the instance of the asker, and of the answerer, so that a node that lists itself finds out.
const (
	NodeHeader     = "X-Weir-Node"
	instanceHeader = "X-Weir-Instance"
)

// A Found is where an SRS coworker says that a stream is.
type Found struct {
	Addr  string // host:port of the RTMP server
	Place Place  // the stream's raw name there
}

// URL is the stream's URL, with a query. Names stand in it as they are.
func (f Found) URL(param string) string {
	return "rtmp://" + strings.TrimSuffix(f.Addr, ":1935") + "/" + f.Place.App + "/" + f.Place.Stream + param
}

// A finder asks coworkers.
type finder struct {
	cfg    Config
	client *http.Client

	asking singleflight.Group // by place and coworkers

	mu     sync.Mutex
	cached map[string]lookup // by place and coworkers; guarded by mu
	self   map[string]bool   // coworkers that have turned out to be this node; guarded by mu
}

// A lookup is what the coworkers have answered.
type lookup struct {
	found Found
	ok    bool
	until time.Time // when it is to be asked again
}

func newFinder(cfg Config) *finder {
	return &finder{
		cfg: cfg, cached: map[string]lookup{}, self: map[string]bool{},
		client: &http.Client{
			Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: askTimeout}).DialContext, MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // the stream's place is in a body, not in a header
			},
		},
	}
}

// find asks all coworkers at once, in each form of the name, unless that is under way already or was done just now.
// fresh asks in any case. It returns false if none has the stream, or none answers in time.
func (f *finder) find(ctx context.Context, coworkers []string, p Place, ip string, fresh bool) (Found, bool) {
	forms := p.forms()
	if len(forms) == 0 || len(coworkers) == 0 {
		return Found{}, false
	}
	if !sayable(ip) {
		ip = "127.0.0.1"
	}
	key := fmt.Sprint(p, coworkers)
	f.mu.Lock()
	l := f.cached[key]
	f.mu.Unlock()
	if !fresh && time.Now().Before(l.until) {
		return l.found, l.ok
	}
	select {
	case r := <-f.asking.DoChan(key, func() (any, error) { return f.look(key, coworkers, forms, ip), nil }):
		l := r.Val.(lookup)
		return l.found, l.ok
	case <-ctx.Done():
		return Found{}, false
	}
}

// look asks, up to the first coworker that has the stream, and keeps the answer.
func (f *finder) look(key string, coworkers []string, forms []Place, ip string) (l lookup) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	var questions []question
	for _, c := range coworkers {
		if f.isSelf(c) {
			continue
		}
		for _, p := range forms {
			questions = append(questions, question{place: p, ip: ip, coworker: c})
		}
	}
	addr, at, err := race(ctx, len(questions), 0, func(ctx context.Context, i int) (string, error) {
		q := questions[i]
		addr, err := f.ask(ctx, q)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			f.cfg.Log.Warn("a coworker has not answered in time", slog.String("server", q.coworker), slog.String("stream", q.place.App+"/"+q.place.Stream))
		case err != nil && !errors.Is(err, errNowhere) && ctx.Err() == nil:
			f.cfg.Log.Debug("a coworker does not answer", slog.String("server", q.coworker), slog.Any("err", err))
		}
		return addr, err
	}, func(string) {})
	now := time.Now()
	l = lookup{until: now.Add(missAge)}
	if err == nil {
		l = lookup{found: Found{Addr: addr, Place: questions[at].place}, ok: true, until: now.Add(hitAge)}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.cached) >= maxCached {
		maps.DeleteFunc(f.cached, func(_ string, l lookup) bool { return now.After(l.until) })
	}
	f.cached[key] = l
	return l
}

func (f *finder) isSelf(coworker string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.self[coworker]
}

// ask asks one coworker. The error is errNowhere if it does not have the stream.
func (f *finder) ask(ctx context.Context, q question) (string, error) {
	to := &url.URL{Scheme: "http", Host: q.coworker, Path: ClustersPath, RawQuery: q.query()}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+q.coworker, http.NoBody)
	if err != nil {
		return "", err
	}
	req.URL = to // the query goes out as it is
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "weir")
	req.Header.Set(NodeHeader, f.cfg.Node())
	req.Header.Set(instanceHeader, f.cfg.Instance)
	res, err := f.client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	if res.Header.Get(instanceHeader) == f.cfg.Instance {
		f.mu.Lock()
		f.self[q.coworker] = true
		f.mu.Unlock()
		return "", errNowhere
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("the answer has the status %s", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return "", err
	}
	addr, err := readAnswer(body)
	if err != nil {
		return "", err
	}
	if host, port, err := net.SplitHostPort(addr); err == nil && f.cfg.Own(host, port) {
		return "", errNowhere // it means this node, which has asked because it does not have the stream
	}
	return addr, nil
}

// forget drops the answers and the coworkers that have turned out to be this node, for a configuration that has changed.
func (f *finder) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.cached)
	clear(f.self)
}
