// Package api answers the HTTP API in the shape of Flussonic's version 3, the metrics, the health checks and the tree
// of actors.
//
// It shows the state of a [Node] and hands changes to a [Control]. It decides only which requests may see and change
// something, and knows no actor and no cluster.
package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

const (
	base = "/streamer/api/v3"

	// patience bounds what the owner of a stream, or a stuck node, can make an asker wait.
	patience = 3 * time.Second
)

// Options are what a [Handler] can do without.
type Options struct {
	Metrics *Metrics

	// Control makes changes; nil: nothing can be changed.
	Control Control

	// Edit are the credentials for changes. Nil: changes are accepted from this machine only.
	Edit *Credentials

	// View are other credentials with which the node can be seen. Nil: only Edit are, and none are needed where Edit is
	// nil too.
	View *Credentials

	// Guesses slows wrong credentials down; nil: nothing does.
	Guesses *listen.Guesses

	Log *slog.Logger
}

// Handler serves the paths /streamer/api/v3/…, /metrics and /api/tree; anything else below it is 404.
func Handler(n Node, o Options) http.Handler {
	a := &api{node: n, control: o.Control, access: Access{o.Edit, o.View, o.Guesses}, log: o.Log}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics != nil {
		a.metrics = o.Metrics.handler()
	}
	return a
}

type api struct {
	node    Node
	control Control
	access  Access
	metrics http.Handler
	log     *slog.Logger
}

// A problem is an answer that is not the one asked for.
type problem struct {
	status int
	text   string
	retry  string // seconds after which to try again; empty for one
}

// Error implements error.
func (p *problem) Error() string { return p.text }

func bad(format string, args ...any) error {
	return &problem{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

var errNoResource = &problem{status: http.StatusNotFound, text: "no such resource"}

// ServeHTTP implements [http.Handler].
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	listen.CORS(w.Header())
	w.Header().Set("Cache-Control", "no-store")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodPost:
		if err := a.edit(w, r); err != nil {
			a.fail(w, r, err)
		}
		return
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		a.fail(w, r, &problem{status: http.StatusMethodNotAllowed, text: "only GET is supported here, and POST where something is changed"})
		return
	}
	path := r.URL.EscapedPath()
	if err := a.access.maySee(r, path); err != nil {
		a.fail(w, r, err)
		return
	}
	if path == "/metrics" && a.metrics != nil {
		a.metrics.ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	answer, err := a.answer(ctx, path, r.URL.RawQuery)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if text, ok := answer.(plainText); ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, protocols.MaskURLs(string(text))) // an error means that the asker is gone
		return
	}
	a.write(w, r, http.StatusOK, answer)
}

// plainText is an answer for people's terminals.
type plainText string

// answer gives the resource at a path. Stream names may contain slashes, escaped or not, so the path is not
// cut at each of them.
func (a *api) answer(ctx context.Context, path, query string) (any, error) {
	if path == "/api/tree" {
		return a.tree(query)
	}
	path, ok := strings.CutPrefix(path, base)
	if !ok {
		return nil, errNoResource
	}
	switch path {
	case "/streams":
		return listOf("streams", a.node.Streams(), streamFields, query)
	case "/cluster/peers":
		return listOf("peers", a.node.Peers(), peerFields, query)
	case "/cluster/balancers":
		return listOf("balancers", a.node.Balancers(), balancerFields, query)
	case "/pulse":
		return a.pulse(query)
	case "/monitoring/liveness":
		return healthy(a.node.Live(ctx))
	case "/monitoring/readiness":
		return healthy(a.node.Ready())
	}
	if answer, ok, err := a.ask(ctx, path, query); ok {
		return answer, err
	}
	if name, ok := strings.CutPrefix(path, "/streams/"); ok {
		return a.stream(ctx, name)
	}
	if name, ok := strings.CutPrefix(path, "/cluster/peers/"); ok {
		// The entry in the file is unique; a name announced twice is not.
		return find("peer", name, a.node.Peers(), func(p *Peer) string { return p.Hostname }, func(p *Peer) string { return string(p.Name) })
	}
	if name, ok := strings.CutPrefix(path, "/cluster/balancers/"); ok {
		return find("balancer", name, a.node.Balancers(), func(b *Balancer) string { return b.Name })
	}
	return nil, errNoResource
}

// Limits of a request for minutes.
const (
	defaultMinutes = 60
	maxMinutes     = 24 * 60
)

func (a *api) pulse(query string) (any, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, bad("the query %q: %v", query, err)
	}
	minutes := defaultMinutes
	if s := q.Get("minutes"); s != "" {
		if minutes, err = strconv.Atoi(s); err != nil || minutes < 1 || minutes > maxMinutes {
			return nil, bad("minutes %q, want a number from 1 to %d", s, maxMinutes)
		}
	}
	list := a.node.Pulse(minutes)
	if list == nil {
		list = []Minute{}
	}
	return map[string][]Minute{"pulse": list}, nil
}

// find returns the item with an escaped name; the first kind of names for which there is one counts.
func find[T any](kind, escaped string, items []T, names ...func(*T) string) (any, error) {
	name, err := url.PathUnescape(escaped)
	if err != nil || name == "" {
		return nil, bad("%q is no %s name", escaped, kind)
	}
	for _, nameOf := range names {
		for i := range items {
			if nameOf(&items[i]) == name {
				return items[i], nil
			}
		}
	}
	return nil, &problem{status: http.StatusNotFound, text: "no such " + kind}
}

func (a *api) stream(ctx context.Context, escaped string) (any, error) {
	name, err := url.PathUnescape(escaped)
	if err != nil || name == "" {
		return nil, bad("%q is no stream name", escaped)
	}
	s, err := a.node.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	s.complete()
	return s, nil
}

// complete turns lists that are nil into empty ones, since clients iterate over them.
func (s *Stream) complete() {
	if s.Inputs == nil {
		s.Inputs = []Input{}
	}
	for i := range s.Inputs {
		if s.Inputs[i].TracksLeftOut == nil {
			s.Inputs[i].TracksLeftOut = []LeftOut{}
		}
	}
}

type health struct {
	Status string `json:"status"`
}

func healthy(err error) (any, error) {
	if err != nil {
		return nil, &problem{status: http.StatusServiceUnavailable, text: err.Error()}
	}
	return health{Status: "ok"}, nil
}

func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, ErrNotFound):
		p = &problem{status: http.StatusNotFound, text: err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		p = &problem{status: http.StatusGatewayTimeout, text: err.Error()}
	default:
		p = &problem{status: http.StatusServiceUnavailable, text: err.Error()}
	}
	if p.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="weir"`)
	}
	if p.status == http.StatusServiceUnavailable || p.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", cmp.Or(p.retry, "1"))
	}
	a.write(w, r, p.status, struct {
		Error string `json:"error"`
	}{p.text})
}

func (a *api) write(w http.ResponseWriter, r *http.Request, status int, v any) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // a NaN among the figures
		a.log.Error("the API cannot show what it was given", slog.String("err", r.URL.EscapedPath()+": "+err.Error()))
		body.Reset()
		body.WriteString(`{"error":"internal error"}` + "\n")
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, protocols.MaskURLs(body.String())) // an error means that the asker is gone
}
