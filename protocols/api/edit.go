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
	"strconv"
	"strings"
	"time"

	"weir/protocols/listen"
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
var errNotHere = &problem{status: http.StatusForbidden, text: "without edit_auth in the file, changes are accepted from this machine only, and not through a proxy"}

// Access says who may see a node and who may change it. Any goroutine may use it.
type Access struct {
	Edit, View *Credentials    // as in [Options]
	Guesses    *listen.Guesses // slows wrong credentials down; nil: nothing does
}

// mayEdit says whether a request may change the node. With credentials it has to carry them, wherever it comes from.
// Without, it has to come from this machine: not from a page that a browser here shows, under whatever name, and not
// through a proxy that runs here.
func (a *Access) mayEdit(r *http.Request) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return &problem{status: http.StatusForbidden, text: err.Error()}
	}
	if a.Edit != nil {
		return a.carried(r, "edit_auth is required", a.Edit)
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

// MayEdit says whether a request may change the node, and MaySee whether it may see what is not for everybody, where that is
// beside this API. The error, if there is one, is for the client, with the status that goes with it.
func (a *Access) MayEdit(r *http.Request) (status int, err error) { return statusOf(a.mayEdit(r)) }

// MaySee is described at [Access.MayEdit].
func (a *Access) MaySee(r *http.Request) (status int, err error) {
	return statusOf(a.maySee(r, r.URL.EscapedPath()))
}

func statusOf(err error) (int, error) {
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
func (a *Access) maySee(r *http.Request, path string) error {
	switch {
	case a.View == nil && a.Edit == nil, slices.Contains(open, path):
		return nil
	case a.View == nil:
		return a.carried(r, "edit_auth is required", a.Edit)
	}
	return a.carried(r, "view_auth is required", a.View, a.Edit)
}

// carried returns nil if a request carries one of the credentials, of which some may be nil, and a problem with a text otherwise:
// as Basic, or as Bearer of the same base64 text.
func (a *Access) carried(r *http.Request, text string, any ...*Credentials) error {
	user, password, ok := r.BasicAuth()
	if token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); bearer {
		if text, err := base64.StdEncoding.DecodeString(token); err == nil {
			user, password, ok = strings.Cut(string(text), ":")
		}
	}
	if !ok {
		return &problem{status: http.StatusUnauthorized, text: text}
	}
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero Addr stands for all that have none
	done, retry := a.Guesses.Begin(r.Context(), remote.Addr())
	if done == nil {
		return &problem{
			status: http.StatusTooManyRequests, text: "too many wrong passwords came from this address",
			retry: strconv.Itoa(int(retry/time.Second) + 1),
		}
	}
	right := false
	for _, c := range any {
		right = right || c != nil && c.are(user, password)
	}
	done(right)
	if !right {
		return &problem{status: http.StatusUnauthorized, text: text}
	}
	listen.Prove(r.Context())
	return nil
}

// are says whether a user and a password are these, in a time that does not tell how much of them is.
func (c *Credentials) are(user, password string) bool {
	same := subtle.ConstantTimeCompare([]byte(user), []byte(c.User)) & subtle.ConstantTimeCompare([]byte(password), []byte(c.Password))
	return same == 1
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
		return &problem{status: http.StatusMethodNotAllowed, text: "only GET is supported here"}
	}
	if err := a.access.mayEdit(r); err != nil {
		return err
	}
	if path == base+"/drain" {
		return a.drain(w, r)
	}
	restart, err := a.control.Reload(r.Context())
	if err != nil {
		return &problem{status: http.StatusConflict, text: err.Error()}
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
