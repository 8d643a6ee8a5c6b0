package srs

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/cluster/load"
	"weir/codecs"
	"weir/protocols"
	"weir/protocols/listen"
)

// A Live is a stream that has media on this node, whether this node captures or relays it.
type Live struct {
	Name   string // weir's
	Active bool   // media comes: from a publisher, an input or another node
	Frames uint64 // pictures so far
	Tracks codecs.Tracks
}

// A Session is one open session.
type Session struct {
	ID string
	listen.ClientStats
}

// An APIConfig joins the API to its node. Its functions may be called by any goroutine.
type APIConfig struct {
	Cluster *Cluster // answers the paths that are not the API's
	Hooks   *Hooks   // knows what clients said when they came
	Build   string   // the version of the program
	PID     int

	// MayEdit says whether a request may end clients, and MaySee whether it may see anything but what other servers ask. Their
	// errors are for the client, with the status for it.
	MayEdit, MaySee func(r *http.Request) (status int, err error)

	Streams  func() []Live    // in the order of their names
	Sessions func() []Session // in any order

	// Close ends a session.
	Close func(session string)

	// Figures reads the figures of the machine. It takes some milliseconds.
	Figures func() load.Figures

	Uptime func() time.Duration
	Wall   func() time.Time
}

// An API answers the part of SRS's HTTP API that tools read, and what other servers ask.
type API struct {
	cfg   APIConfig
	rates rates

	mu     sync.Mutex
	latest load.Figures  // guarded by mu
	read   time.Duration // when latest was read, as Uptime; guarded by mu
	disks  disks         // guarded by mu

	seen map[string]time.Time // when each open session was seen first; guarded by mu
}

// NewAPI returns an API.
func NewAPI(cfg APIConfig) *API { return &API{cfg: cfg} }

// version is that of SRS for tools that take weir for one: the oldest that has all that is answered here.
const version = "7.0.0"

// envelope is an answer of the API, with what all answers have before more.
func (a *API) envelope(code int, more ...field) object {
	return append(object{
		{"code", code}, {"server", a.cfg.Hooks.server}, {"service", a.cfg.Hooks.service}, {"pid", strconv.Itoa(a.cfg.PID)},
	}, more...)
}

// Prefix is where the API is.
const Prefix = "/api/v1/"

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, Prefix)
	switch listen.CORS(w.Header()); {
	case r.URL.Path+"/" == Prefix:
		withSlash(w, r)
		return
	case !ok:
		http.NotFound(w, r)
		return
	}
	kind, id, slash := strings.Cut(path, "/")
	switch kind {
	case "streams", "clients", "vhosts":
	case "", "versions", "summaries", "rusages", "authors", "features":
		if id != "" {
			a.cfg.Cluster.ServeHTTP(w, r)
			return
		}
	default:
		a.cfg.Cluster.ServeHTTP(w, r)
		return
	}
	switch {
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete && kind == "clients" && id != "":
		a.kick(w, r, id)
	case r.Method != http.MethodGet && r.Method != http.MethodHead && slash && a.unknown(kind, id, r.Method):
		if allowed(w, r, a.cfg.MaySee) {
			writeMasked(w, object{{"code", noSuch[kind]}})
		}
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET is supported here", http.StatusMethodNotAllowed)
	case !allowed(w, r, a.cfg.MaySee):
	case kind == "":
		writeMasked(w, a.index())
	case kind == "versions":
		writeMasked(w, a.versions())
	case kind == "summaries":
		writeMasked(w, a.summaries())
	case kind == "rusages":
		writeMasked(w, a.rusages())
	case kind == "authors":
		writeMasked(w, a.authors())
	case kind == "features":
		writeMasked(w, a.features())
	case !slash:
		withSlash(w, r)
	default:
		a.list(w, r, kind, id)
	}
}

// withSlash sends a client to the path that ends with a slash, as SRS does.
func withSlash(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Path + "/"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, to, http.StatusFound)
}

func (a *API) versions() object {
	return a.envelope(0, field{"data", object{
		{"major", 7}, {"minor", 0}, {"revision", 0}, {"version", version}, {"weir", a.cfg.Build},
	}})
}

// index names what else is answered.
func (a *API) index() object {
	return a.envelope(0, field{"urls", object{
		{"versions", "the version of SRS whose answers these are, and that of weir"},
		{"summaries", "the load of the process and of the machine"},
		{"rusages", "what the process has used"},
		{"authors", "the license"},
		{"features", "what of SRS is here"},
		{"vhosts", "the virtual hosts, or the one of /ID"},
		{"streams", "the streams from ?start, at most ?count, or the one of /ID"},
		{"clients", "the clients, like streams; DELETE /ID ends one"},
		{"clusters", "who has a stream"},
	}})
}

// items are all of a kind.
func (a *API) items(kind string) []object {
	switch kind {
	case "streams":
		return a.streams()
	case "clients":
		return a.clients()
	case "vhosts":
		return a.vhosts()
	}
	return nil
}

// unknown says whether a request that would change something is about nothing that is there. SRS looks for it first, and at the
// method then; a request to end a client has to name one.
func (a *API) unknown(kind, id, method string) bool {
	if id == "" {
		return kind == "clients" && method == http.MethodDelete
	}
	return noSuch[kind] != 0 && !slices.ContainsFunc(a.items(kind), func(o object) bool { return o[0].value == id })
}

// list answers with all of a kind, from ?start, at most ?count of them, or with the one of an id.
func (a *API) list(w http.ResponseWriter, r *http.Request, kind, id string) {
	items := a.items(kind)
	if id != "" {
		i := slices.IndexFunc(items, func(o object) bool { return o[0].value == id })
		if i < 0 {
			writeMasked(w, object{{"code", noSuch[kind]}}) // without the rest of the envelope, as in SRS
			return
		}
		writeMasked(w, a.envelope(0, field{strings.TrimSuffix(kind, "s"), items[i]}))
		return
	}
	q := r.URL.Query()
	start := min(max(0, number(q.Get("start"), 0)), len(items))
	count := max(0, number(q.Get("count"), defaultCount))
	items = append([]object{}, items[start:min(len(items), start+count)]...) // never null
	writeMasked(w, a.envelope(0, field{kind, items}))
}

const defaultCount = 10 // as in SRS

// noSuch are SRS's codes for an id that is unknown.
var noSuch = map[string]int{"vhosts": 2014, "streams": 2048, "clients": 2049}

// allowed says whether a request may go on, and answers it if not.
func allowed(w http.ResponseWriter, r *http.Request, may func(*http.Request) (int, error)) bool {
	status, err := may(r)
	switch {
	case err == nil:
		return true
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="weir"`)
	case status == http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, err.Error(), status)
	return false
}

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return min(n, 1_000_000)
	}
	return otherwise
}

// writeMasked answers with JSON without the tokens of clients, which stand in what they say of themselves.
func writeMasked(w http.ResponseWriter, v any) {
	writeJSON(w, json.RawMessage(protocols.MaskURLs(string(compact(v)))))
}

func (a *API) kick(w http.ResponseWriter, r *http.Request, id string) {
	switch {
	case !allowed(w, r, a.cfg.MayEdit):
	case a.end(id):
		writeMasked(w, a.envelope(0))
	default:
		writeMasked(w, object{{"code", noSuch["clients"]}})
	}
}
