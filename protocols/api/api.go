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
	"slices"
	"strings"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

const (
	base = "/streamer/api/v3"

	// patience bounds what the owner of a stream, or a stuck node, can make an asker wait.
	patience = 3 * time.Second

	// editPatience bounds an edit that other nodes take part in.
	editPatience = 30 * time.Second

	// maxBody is more than the longest configuration file.
	maxBody = 5 << 20
)

// Options are what a [Handler] can do without.
type Options struct {
	Metrics *Metrics

	// Control makes changes; nil: nothing can be changed.
	Control Control

	// Settings is the configuration file; nil: the node has none.
	Settings Settings

	// Edit are the credentials for changes. Nil: changes are accepted from this machine only.
	Edit *Credentials

	// View are other credentials with which the node can be seen. Nil: only Edit are, and none are needed where Edit is
	// nil too.
	View *Credentials

	// Guesses slows wrong credentials down; nil: nothing does.
	Guesses *listen.Guesses

	Version string // of weir, for the document

	Log *slog.Logger
}

// Handler serves the paths /streamer/api/v3/…, /metrics and /api/tree; anything else below it is 404.
func Handler(n Node, o Options) http.Handler {
	a := &api{node: n, control: o.Control, settings: o.Settings, access: Access{o.Edit, o.View, o.Guesses}, log: o.Log}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics != nil {
		a.metrics = o.Metrics.handler()
	}
	var schemas map[string]json.RawMessage
	if o.Settings != nil {
		schemas = o.Settings.Schemas()
	}
	a.document = newDocument(o.Version, schemas)
	return a
}

type api struct {
	node    Node
	control Control

	settings Settings // nil: there is no file
	access   Access
	metrics  http.Handler

	document *document
	log      *slog.Logger
}

// A problem is an answer that is not the one asked for.
type problem struct {
	status   int
	text     string
	retry    string // seconds after which to try again; empty for one
	problems []Problem
	diff     []string
	version  string
}

// Error implements error.
func (p *problem) Error() string { return p.text }

var errNoResource = &problem{status: http.StatusNotFound, text: "no such resource; " + base + "/openapi.json lists what there is"}

// ServeHTTP implements [http.Handler].
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	listen.CORS(w.Header())
	w.Header().Set("Cache-Control", "no-store")
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	o, part, others := find(method, r.URL.EscapedPath())
	if err := a.serve(w, r, o, part, others); err != nil {
		a.fail(w, r, err)
	}
}

// serve answers a request for an operation; if there is none, others are the methods that its path has.
func (a *api) serve(w http.ResponseWriter, r *http.Request, o *operation, part string, others []string) error {
	switch {
	case o == nil && len(others) > 0:
		w.Header().Set("Allow", allowed(others))
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return &problem{status: http.StatusMethodNotAllowed, text: "expected " + allowed(others) + " here"}
	case o == nil:
		if err := a.access.maySee(r); err != nil { // who may see nothing does not learn what there is
			return err
		}
		return errNoResource
	}
	if err := a.access.allows(r, o.needs); err != nil {
		return err
	}
	if o.needs == change {
		w.Header().Del("Access-Control-Allow-Origin") // no page of another origin reads what needs edit_auth
	}
	ctx := r.Context()
	if !o.endless {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.patience())
		defer cancel()
	}
	c, err := newCall(ctx, r, o, part)
	if err != nil {
		return err
	}
	if o.body != nil {
		if c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
			return &problem{status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("reading the body, of at most %d bytes: %v", maxBody, err)}
		}
	}
	return o.serve(a, w, c)
}

// patience is how long an answer may take.
func (o *operation) patience() time.Duration {
	if o.needs == change {
		return editPatience
	}
	return patience
}

// allowed is the Allow header of a path that has these methods.
func allowed(methods []string) string {
	all := slices.Clone(methods)
	if slices.Contains(all, http.MethodGet) {
		all = append(all, http.MethodHead)
	}
	all = append(all, http.MethodOptions)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// plainText is an answer for people's terminals.
type plainText string

// named returns the item with a name; the first kind of names for which there is one counts.
func named[T any](kind, name string, items []T, names ...func(*T) string) (item T, err error) {
	for _, nameOf := range names {
		for i := range items {
			if nameOf(&items[i]) == name {
				return items[i], nil
			}
		}
	}
	return item, &problem{status: http.StatusNotFound, text: "no such " + kind + ": " + name}
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

func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	var edit *EditError
	switch {
	case errors.As(err, &edit):
		a.write(w, r, edit.Status, edit.Failure)
		return
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
	a.write(w, r, p.status, Failure{Error: p.text, Problems: p.problems, Diff: p.diff, Version: p.version})
}

func (a *api) write(w http.ResponseWriter, r *http.Request, status int, v any) {
	if text, ok := v.(Text); ok { // with its secrets: whoever asks may change it
		if strings.HasPrefix(r.Header.Get("Accept"), "text/plain") {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, text.Text)
			return
		}
		w.Header().Set("Content-Type", jsonMedia)
		_ = json.NewEncoder(w).Encode(text)
		return
	}
	if text, ok := v.(plainText); ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, protocols.MaskURLs(string(text))) // an error means that the asker is gone
		return
	}
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
