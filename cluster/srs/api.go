package srs

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/codecs"
	"weir/protocols/listen"
)

// A Live is a stream that has media on this node, whether this node captures or relays it.
type Live struct {
	Name   string // weir's
	Frames uint64 // access units so far
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

	// MayEdit says whether a request may end clients; its error is for the client, with the status for it.
	MayEdit func(r *http.Request) (status int, err error)

	Streams  func() []Live    // in the order of their names
	Sessions func() []Session // in any order

	// Close ends a session.
	Close func(session string)

	// Machine is the part of the machine's processors that is busy, 0 to 1, and the memory that this process has, in bytes.
	Machine func() (cpu float64, memory uint64)

	Uptime func() time.Duration
	Wall   func() time.Time
}

// An API answers the part of SRS's HTTP API that tools read, and what other servers ask.
type API struct {
	cfg   APIConfig
	rates rates
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
	if !ok {
		http.NotFound(w, r)
		return
	}
	listen.CORS(w.Header())
	kind, id, slash := strings.Cut(path, "/")
	switch kind {
	case "versions", "summaries", "streams", "clients", "vhosts":
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
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET is supported here", http.StatusMethodNotAllowed)
	case kind == "versions":
		writeJSON(w, a.versions())
	case kind == "summaries":
		writeJSON(w, a.summaries())
	case !slash: // as SRS has it
		to := r.URL.Path + "/"
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		http.Redirect(w, r, to, http.StatusFound)
	default:
		a.list(w, r, kind, id)
	}
}

func (a *API) versions() object {
	return a.envelope(0, field{"data", object{
		{"major", 7}, {"minor", 0}, {"revision", 0}, {"version", version}, {"weir", a.cfg.Build},
	}})
}

func (a *API) summaries() object {
	var sent, received uint64
	for _, c := range a.sessions() {
		sent += c.BytesOut
		received += c.BytesIn
	}
	cpu, memory := a.cfg.Machine()
	return a.envelope(0, field{"data", object{
		{"ok", true},
		{"now_ms", a.cfg.Wall().UnixMilli()},
		{"self", object{
			{"version", version}, {"pid", a.cfg.PID}, {"mem_kbyte", memory >> 10}, {"srs_uptime", a.cfg.Uptime().Seconds()},
		}},
		{"system", object{
			{"cpu_percent", cpu}, {"conn_srs", len(a.cfg.Sessions())}, {"net_send_bytes", sent}, {"net_recv_bytes", received},
		}},
	}})
}

// list answers with all of a kind, from ?start, at most ?count of them, or with the one of an id.
func (a *API) list(w http.ResponseWriter, r *http.Request, kind, id string) {
	var items []object
	switch kind {
	case "streams":
		items = a.streams()
	case "clients":
		items = a.clients()
	case "vhosts":
		items = a.vhosts()
	}
	if id != "" {
		i := slices.IndexFunc(items, func(o object) bool { return o[0].value == id })
		if i < 0 {
			writeJSON(w, a.envelope(noSuch))
			return
		}
		writeJSON(w, a.envelope(0, field{strings.TrimSuffix(kind, "s"), items[i]}))
		return
	}
	q := r.URL.Query()
	start := min(max(0, number(q.Get("start"), 0)), len(items))
	count := max(0, number(q.Get("count"), defaultCount))
	items = append([]object{}, items[start:min(len(items), start+count)]...) // never null
	writeJSON(w, a.envelope(0, field{kind, items}))
}

const (
	defaultCount = 10   // as in SRS
	noSuch       = 2048 // SRS's code for an id that is unknown
)

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return min(n, 1_000_000)
	}
	return otherwise
}

func (a *API) kick(w http.ResponseWriter, r *http.Request, id string) {
	if status, err := a.cfg.MayEdit(r); err != nil {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="weir"`)
		}
		http.Error(w, err.Error(), status)
		return
	}
	code := 0
	if !a.end(id) {
		code = noSuch
	}
	writeJSON(w, a.envelope(code))
}
