package follower

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
	"weir/cluster/dialer"
	"weir/cluster/trust"
)

// Path is the path, below a node's API URL, at which the node serves its state.
const Path = "/cluster/state"

// maxState is the largest body of an answer, in bytes. A state with a hundred thousand streams is smaller.
const maxState = 16 << 20

// HTTP fetches states over HTTP. Its methods may be called by any goroutine.
type HTTP struct {
	// Self is the announced name of this node. It is sent with each request.
	Self func() string

	// URL gives the API URL of a node by its entry, without a path.
	URL func(entry string) string

	// Client gives the client for a node by its entry. The client proves the key of the link, and checks that the node proves
	// it too.
	Client func(entry string) *http.Client

	// Send delivers a message to an actor.
	Send func(to *actor.PID, msg any)
}

// Fetch implements [Fetcher].
func (h *HTTP) Fetch(env act.Env, link *actor.PID, f control.Fetch) {
	env.Go(link, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(f.Timeout))
		defer cancel()
		st, err := h.fetch(ctx, f)
		h.Send(link, Answer{ID: f.ID, State: st, Err: err})
		return nil
	})
}

func (h *HTTP) fetch(ctx context.Context, f control.Fetch) (*control.State, error) {
	where := h.URL(f.Peer) + Path + "?" + query(h.Self(), *f.Question).Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", f.Peer, err)
	}
	var e ends
	res, err := h.Client(f.Peer).Do(req.WithContext(httptrace.WithClientTrace(ctx, e.trace())))
	if whole := (*url.Error)(nil); errors.As(err, &whole) {
		err = whole.Err // without the question, which says nothing to people
	}
	switch {
	case errors.Is(err, trust.ErrWrongKey):
		return nil, &Error{control.Unauthorised, err}
	case errors.Is(err, dialer.ErrRefused):
		return nil, &Error{control.ConnectionRefused, err}
	case err != nil:
		return nil, &Error{control.Unreachable, err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxState+1))
	switch {
	case err != nil:
		return nil, &Error{control.Unreachable, fmt.Errorf("reading the state: %w", err)}
	case res.StatusCode != http.StatusOK:
		return nil, &Error{control.Malformed, fmt.Errorf("status %s", res.Status)}
	case len(body) > maxState:
		return nil, &Error{control.Malformed, fmt.Errorf("a state of more than %d bytes", maxState)}
	}
	st := &control.State{}
	if err := json.Unmarshal(body, st); err != nil {
		return nil, &Error{control.Malformed, fmt.Errorf("reading the state: %w", err)}
	}
	if err := st.Check(); err != nil {
		return nil, &Error{control.Malformed, err}
	}
	e.take(res)
	return st, nil
}

func query(self string, ask control.Question) url.Values {
	q := url.Values{"from": {self}, "late": {""}}
	if seen := ask.Seen; seen.Instance != "" {
		q.Set("instance", seen.Instance)
		q.Set("inc", strconv.FormatUint(seen.Inc, 10))
		q.Set("v", strconv.FormatUint(seen.Version, 10))
	}
	for key, hash := range map[string]string{"list": ask.Seen.List, "names": ask.Seen.Names} {
		if hash != "" {
			q.Set(key, hash)
		}
	}
	if ask.Unlisted {
		q.Set("unlisted", "1")
	}
	if len(ask.Want) > 0 {
		q["want"] = ask.Want
	}
	switch {
	case ask.Late == nil:
		q.Del("late")
	case len(ask.Late) > 0:
		q["late"] = ask.Late
	}
	for _, d := range ask.Doubt {
		q.Add("doubt", strconv.FormatInt(d.Age, 10)+" "+d.Node)
	}
	if ask.News {
		q.Set("news", "1")
	}
	return q
}

// maxNames is the most peers that a question may name in one list.
const maxNames = 4096

func parseQuery(q url.Values) (from string, ask control.Question, err error) {
	ask = control.Question{Seen: control.Seen{Instance: q.Get("instance"), List: q.Get("list"), Names: q.Get("names")}, Want: q["want"], Late: q["late"], Unlisted: q.Get("unlisted") != ""}
	for key, to := range map[string]*uint64{"inc": &ask.Seen.Inc, "v": &ask.Seen.Version} {
		if s := q.Get(key); s != "" {
			if *to, err = strconv.ParseUint(s, 10, 64); err != nil {
				return "", control.Question{}, fmt.Errorf("parameter %s: %w", key, err)
			}
		}
	}
	for key, names := range map[string][]string{"want": ask.Want, "late": ask.Late, "doubt": q["doubt"]} {
		if len(names) > maxNames {
			return "", control.Question{}, fmt.Errorf("parameter %s: %d values, want at most %d", key, len(names), maxNames)
		}
	}
	for _, s := range q["doubt"] {
		age, node, _ := strings.Cut(s, " ")
		d := control.Doubt{Node: node}
		if d.Age, err = strconv.ParseInt(age, 10, 64); err != nil || d.Age < 0 || d.Age > maxDoubt {
			return "", control.Question{}, fmt.Errorf("parameter doubt: %q, want milliseconds and a name", s)
		}
		ask.Doubt = append(ask.Doubt, d)
	}
	ask.News = q.Get("news") != ""
	return q.Get("from"), ask, nil
}

// maxDoubt is the longest time, in milliseconds, since which a node may be doubted: a year.
const maxDoubt = 366 * 24 * 3600 * 1000

// Ask asks the control plane for the state on behalf of the peer `from`, and waits for the answer.
type Ask func(ctx context.Context, from string, q control.Question) (*control.State, error)

// Handler serves this node's state. Only requests that have proved a cluster key may be passed to it.
func Handler(ask Ask) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tellEnds(w, r)
		from, q, err := parseQuery(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		st, err := ask(r.Context(), from, q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		body, err := json.Marshal(st)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(body)
	})
}
