package srs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
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
	client   *http.Client
	node     func() string
	instance string
	own      func(host string, port string) bool
	log      *slog.Logger

	mu     sync.Mutex
	cached map[string]*lookup // by what is asked, of whom
	self   map[string]bool    // coworkers that have turned out to be this node
}

// A lookup is one question to all coworkers, under way or answered.
type lookup struct {
	done  chan struct{}
	found Found // once done
	ok    bool
	until time.Time // zero while it is under way
}

func newFinder(node func() string, instance string, own func(host, port string) bool, log *slog.Logger) *finder {
	return &finder{
		client: &http.Client{
			Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: askTimeout}).DialContext, MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // the stream's place is in a body, not in a header
			},
		},
		node: node, instance: instance, own: own, log: log, cached: map[string]*lookup{}, self: map[string]bool{},
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
	now := time.Now()
	f.mu.Lock()
	l := f.cached[key]
	if l == nil || !l.until.IsZero() && (fresh || now.After(l.until)) {
		f.prune(now)
		l = &lookup{done: make(chan struct{})}
		f.cached[key] = l
		go f.run(l, coworkers, forms, ip)
	}
	f.mu.Unlock()
	select {
	case <-l.done:
		return l.found, l.ok
	case <-ctx.Done():
		return Found{}, false
	}
}

// prune keeps the cache small. The caller holds mu.
func (f *finder) prune(now time.Time) {
	if len(f.cached) < maxCached {
		return
	}
	for key, l := range f.cached {
		if !l.until.IsZero() && now.After(l.until) {
			delete(f.cached, key)
		}
	}
}

// run asks. It ends with the first coworker that has the stream.
func (f *finder) run(l *lookup, coworkers []string, forms []Place, ip string) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	answers := make(chan Found, len(coworkers)*len(forms)) // room for all, as one is read
	var asking sync.WaitGroup
	for _, c := range coworkers {
		if f.isSelf(c) {
			continue
		}
		for _, p := range forms {
			asking.Go(func() {
				addr, err := f.ask(ctx, question{place: p, ip: ip, coworker: c})
				switch {
				case err == nil:
					answers <- Found{Addr: addr, Place: p}
				case !errors.Is(err, errNowhere) && ctx.Err() == nil:
					f.log.Debug("a coworker does not answer", slog.String("server", c), slog.Any("err", err))
				case errors.Is(err, context.DeadlineExceeded) || ctx.Err() == context.DeadlineExceeded:
					f.log.Warn("a coworker has not answered in time", slog.String("server", c), slog.String("stream", p.App+"/"+p.Stream))
				}
			})
		}
	}
	all := make(chan struct{})
	go func() {
		asking.Wait()
		close(all)
	}()
	found, ok := Found{}, false
	select {
	case found = <-answers:
		ok = true
	case <-all:
		select {
		case found = <-answers:
			ok = true
		default:
		}
	case <-ctx.Done():
	}
	f.mu.Lock()
	l.found, l.ok, l.until = found, ok, time.Now().Add(missAge)
	if ok {
		l.until = time.Now().Add(hitAge)
	}
	f.mu.Unlock()
	close(l.done)
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
	req.Header.Set(NodeHeader, f.node())
	req.Header.Set(instanceHeader, f.instance)
	res, err := f.client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	if res.Header.Get(instanceHeader) == f.instance {
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
	if host, port, err := net.SplitHostPort(addr); err == nil && f.own(host, port) {
		return "", errNowhere // it means this node, which has asked because it does not have the stream
	}
	return addr, nil
}

// forget drops the answers and the coworkers that have turned out to be this node, for a configuration that has changed.
func (f *finder) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, l := range f.cached {
		if !l.until.IsZero() {
			delete(f.cached, key)
		}
	}
	clear(f.self)
}
