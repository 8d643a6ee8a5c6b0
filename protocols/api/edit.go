package api

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Control is what the API can make a node do. Its methods may be called by any goroutine but an actor's.
type Control interface {
	// Drain makes the node hand its streams over, wait for its viewers for at most limit (zero: the default), and end.
	// It returns when that is through or ctx ends, which does not end the drain; report is called with each new state,
	// the last one included. A node that drains already goes on with the limit that it was given first.
	Drain(ctx context.Context, limit time.Duration, report func(Drain))

	// Reload reads the file again and puts it into effect. It returns the names of the directives that need a restart;
	// an error means that nothing was changed.
	Reload(ctx context.Context) (restart []string, err error)

	// Explain says why a stream is where it is, and Plan what would move without some nodes, both as the control plane
	// of this node sees it. What they return is shown as JSON. The error of Explain is [ErrNotFound] if there is no such
	// stream.
	Explain(ctx context.Context, stream string) (any, error)
	Plan(ctx context.Context, without []string) (any, error)

	// Alarms returns what an operator should mend.
	Alarms() []Alarm
}

// An Alarm is something that an operator should mend.
type Alarm struct {
	Kind  string `json:"kind"` // configuration drift, all full
	Node  string `json:"node,omitempty"`
	Since int64  `json:"since"` // for how many seconds
	Text  string `json:"text"`
}

// Drain is how far a drain has come.
type Drain struct {
	State   string `json:"state"`             // handing over, waiting, done
	Streams int    `json:"streams"`           // captured here still
	Left    int    `json:"left"`              // that no live node can take
	Alone   bool   `json:"alone,omitempty"`   // there is no live node to hand anything to
	Expired bool   `json:"expired,omitempty"` // the limit was reached
	Viewers int    `json:"viewers"`           // that this node serves itself
	Relays  int    `json:"relays"`            // other nodes that take streams from here
	Moved   int    `json:"moved"`             // viewers that were told in their protocol where to go
	Closed  int    `json:"closed"`            // viewers that are cut off
}

// DrainDone is the state of a drain that is through.
const DrainDone = "done"

// Credentials are a user and a password with which a node can be seen or changed.
type Credentials struct{ User, Password string }

// errNotHere answers a change that comes from an address from which none is accepted.
var errNotHere = &problem{
	http.StatusForbidden, "without edit_auth in the file, changes are accepted from this machine only, and not through a proxy",
}

// mayEdit says whether a request may change the node. With credentials it has to carry them, wherever it comes from.
// Without, it has to come from this machine: not from a page that a browser here shows, under whatever name, and not
// through a proxy that runs here.
func mayEdit(r *http.Request, auth *Credentials) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return &problem{http.StatusForbidden, err.Error()}
	}
	if auth != nil {
		if !auth.carried(r) {
			return &problem{http.StatusUnauthorized, "edit_auth is required"}
		}
		return nil
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() || !localName(r.Host) {
		return errNotHere
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return errNotHere
		}
	}
	return nil
}

// MayEdit says whether a request may change the node, where something is changed beside this API. Credentials may be
// nil: then only this machine may. The error, if there is one, is for the client, with the status that goes with it.
func MayEdit(r *http.Request, auth *Credentials) (status int, err error) {
	err = mayEdit(r, auth)
	var p *problem
	if errors.As(err, &p) {
		return p.status, err
	}
	return http.StatusOK, err
}

// open are the paths that show nothing to keep: whether the node lives and takes clients, and what other servers ask of
// an origin.
var open = []string{base + "/monitoring/liveness", base + "/monitoring/readiness", "/api/v1/clusters"}

// maySee says whether a request may see the resource at a path.
func (a *api) maySee(r *http.Request, path string) error {
	switch {
	case a.view == nil && a.auth == nil, slices.Contains(open, path):
		return nil
	case a.view != nil && a.view.carried(r), a.auth != nil && a.auth.carried(r):
		return nil
	case a.view == nil:
		return &problem{http.StatusUnauthorized, "edit_auth is required"}
	}
	return &problem{http.StatusUnauthorized, "view_auth is required"}
}

// carried says whether a request has the credentials: as Basic, or as Bearer of the same base64 text.
func (c *Credentials) carried(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	if token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); bearer {
		if text, err := base64.StdEncoding.DecodeString(token); err == nil {
			user, password, ok = strings.Cut(string(text), ":")
		}
	}
	same := subtle.ConstantTimeCompare([]byte(user), []byte(c.User)) & subtle.ConstantTimeCompare([]byte(password), []byte(c.Password))
	return ok && same == 1
}

// localName says whether a Host header can only mean this machine, whatever a name server says.
func localName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// maxWithout bounds the nodes that a plan can be without.
const maxWithout = 1000

// ask answers questions to the control plane, below /cluster; ok is false if this is not such a path.
func (a *api) ask(ctx context.Context, path, query string) (answer any, ok bool, err error) {
	if a.control == nil || path != "/cluster/explain" && path != "/cluster/plan" && path != "/cluster/alarms" {
		return nil, false, nil
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, true, bad("the query %q: %v", query, err)
	}
	switch path {
	case "/cluster/explain":
		if q.Get("stream") == "" {
			return nil, true, bad("which stream? Add ?stream=NAME")
		}
		answer, err = a.control.Explain(ctx, q.Get("stream"))
	case "/cluster/plan":
		if len(q["without"]) > maxWithout {
			return nil, true, bad("%d nodes, want at most %d", len(q["without"]), maxWithout)
		}
		answer, err = a.control.Plan(ctx, q["without"])
	default:
		alarms := a.control.Alarms()
		if alarms == nil {
			alarms = []Alarm{}
		}
		answer = map[string][]Alarm{"alarms": alarms}
	}
	return answer, true, err
}

// edit obeys a POST below the API, or says that nothing is changed there.
func (a *api) edit(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.EscapedPath()
	if a.control == nil || path != base+"/drain" && path != base+"/config/reload" {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		return &problem{http.StatusMethodNotAllowed, "only GET is supported here"}
	}
	if err := mayEdit(r, a.auth); err != nil {
		return err
	}
	if path == base+"/drain" {
		return a.drain(w, r)
	}
	restart, err := a.control.Reload(r.Context())
	if err != nil {
		return &problem{http.StatusConflict, err.Error()}
	}
	if restart == nil {
		restart = []string{}
	}
	a.write(w, r, http.StatusOK, map[string][]string{"needs_restart": restart})
	return nil
}

// maxDrain bounds the limit that a drain can be given.
const maxDrain = 24 * time.Hour

// drain answers with a line of JSON for each state until the drain is through.
func (a *api) drain(w http.ResponseWriter, r *http.Request) error {
	limit := time.Duration(0)
	if s := r.URL.Query().Get("deadline"); s != "" {
		var err error
		if limit, err = time.ParseDuration(s); err != nil || limit <= 0 || limit > maxDrain {
			return bad("deadline %q, want a duration such as 30s, of at most %v", s, maxDrain)
		}
	}
	out := http.NewResponseController(w)
	if err := out.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	a.control.Drain(r.Context(), limit, func(d Drain) {
		_ = enc.Encode(d) // the drain goes on when the client has gone
		_ = out.Flush()
	})
	return nil
}
