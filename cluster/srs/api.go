package srs

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/protocols/listen"
)

// A Node is what the API shows of this node. Its methods may be called by any goroutine.
type Node interface {
	Streams() []Stream
	Clients() []Client
	Vhosts() []VhostInfo
	Machine() Machine

	// Kick ends a client; false if there is none of that id.
	Kick(id string) bool
}

// A Stream is one stream that this node has, whether it captures it or relays it.
type Stream struct {
	Vhost, App, Name string
	TCURL            string
	Publisher        string // id of the client that publishes; empty if it does not do so here
	Active           bool   // somebody publishes it, here or elsewhere
	Now              time.Time
	Clients          int
	Frames           uint64
	Sent, Received   uint64 // bytes
	Rate             Rate
	Video            *Video // nil: none
	Audio            *Audio
}

// A Rate is how much was carried lately, in kbit/s.
type Rate struct {
	Received int `json:"recv_30s"`
	Sent     int `json:"send_30s"`
}

// Video describes a picture track.
type Video struct {
	Codec   string `json:"codec"`
	Profile string `json:"profile"`
	Level   string `json:"level"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
}

// Audio describes a sound track.
type Audio struct {
	Codec      string `json:"codec"`
	SampleRate int    `json:"sample_rate"`
	Channel    int    `json:"channel"`
	Profile    string `json:"profile"`
}

// A Client is one session.
type Client struct {
	ID, Vhost, Stream string // Stream is the id of the stream
	IP, PageURL       string
	TCURL, URL, Name  string
	Type              string // such as rtmp-play
	Publish           bool
	Alive             float64 // seconds
	Sent, Received    uint64
	Rate              Rate
}

// VhostInfo sums a virtual host up.
type VhostInfo struct {
	Name             string
	Clients, Streams int
	Sent, Received   uint64
	Rate             Rate
}

// Machine is what the summaries say of the process.
type Machine struct {
	PID         int
	Uptime      time.Duration
	MemoryKB    uint64  // of the process
	CPUPart     float64 // of the machine's processors, 0 to 1
	Now         time.Time
	Connections int
}

// An API answers the part of SRS's HTTP API that tools read.
type API struct {
	Node    Node
	Server  string // server id
	Service string
	PID     int

	// Build is the version of the program, and MayEdit says whether a request may kick clients; its error is for the
	// client, with the status that it wants.
	Build   string
	MayEdit func(r *http.Request) (status int, err error)

	// Other answers the paths that are not the API's.
	Other http.Handler
}

// version is what tools are told that take weir for an SRS: the oldest that has all that is answered here.
const version = "7.0.0"

type envelope struct {
	Code    int    `json:"code"`
	Server  string `json:"server"`
	Service string `json:"service"`
	PID     string `json:"pid"`
}

func (a *API) envelope() envelope {
	return envelope{Server: a.Server, Service: a.Service, PID: strconv.Itoa(a.PID)}
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
		a.Other.ServeHTTP(w, r)
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
		writeJSON(w, compact(a.versions()))
	case kind == "summaries":
		writeJSON(w, compact(a.summaries()))
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

func (a *API) versions() any {
	type data struct {
		Major    int    `json:"major"`
		Minor    int    `json:"minor"`
		Revision int    `json:"revision"`
		Version  string `json:"version"`
		Build    string `json:"weir"`
	}
	d := data{Version: version, Build: a.Build}
	parts := strings.Split(version, ".")
	for i, into := range []*int{&d.Major, &d.Minor, &d.Revision} {
		*into, _ = strconv.Atoi(parts[i])
	}
	return struct {
		envelope
		Data data `json:"data"`
	}{a.envelope(), d}
}

func (a *API) summaries() any {
	m := a.Node.Machine()
	var sent, received uint64
	for _, v := range a.Node.Vhosts() {
		sent += v.Sent
		received += v.Received
	}
	type self struct {
		Version string  `json:"version"`
		PID     int     `json:"pid"`
		MemKB   uint64  `json:"mem_kbyte"`
		Uptime  float64 `json:"srs_uptime"`
	}
	type system struct {
		CPUPart  float64 `json:"cpu_percent"`
		Conns    int     `json:"conn_srs"`
		Sent     uint64  `json:"net_send_bytes"`
		Received uint64  `json:"net_recv_bytes"`
	}
	type data struct {
		OK     bool   `json:"ok"`
		NowMS  int64  `json:"now_ms"`
		Self   self   `json:"self"`
		System system `json:"system"`
	}
	return struct {
		envelope
		Data data `json:"data"`
	}{a.envelope(), data{
		OK: true, NowMS: m.Now.UnixMilli(),
		Self:   self{version, m.PID, m.MemoryKB, m.Uptime.Seconds()},
		System: system{m.CPUPart, m.Connections, sent, received},
	}}
}

// list answers with all of a kind, from ?start, at most ?count of them, or with the one of an id.
func (a *API) list(w http.ResponseWriter, r *http.Request, kind, id string) {
	var all []any
	var ids []string
	switch kind {
	case "streams":
		for _, s := range a.Node.Streams() {
			all, ids = append(all, showStream(s)), append(ids, StreamID(StreamURL(s.Vhost, s.App, s.Name)))
		}
	case "clients":
		for _, c := range a.Node.Clients() {
			all, ids = append(all, showClient(c)), append(ids, c.ID)
		}
	case "vhosts":
		for _, v := range a.Node.Vhosts() {
			all, ids = append(all, showVhost(v)), append(ids, StreamID(v.Name))
		}
	}
	if id != "" {
		i := slices.Index(ids, id)
		if i < 0 {
			writeJSON(w, compact(struct {
				envelope
			}{envelope{Code: noSuch, Server: a.Server, Service: a.Service, PID: strconv.Itoa(a.PID)}}))
			return
		}
		writeJSON(w, a.with(strings.TrimSuffix(kind, "s"), all[i]))
		return
	}
	q := r.URL.Query()
	start := min(max(0, number(q.Get("start"), 0)), len(all))
	count := max(0, number(q.Get("count"), defaultCount))
	all = all[start:min(len(all), start+count)]
	if all == nil {
		all = []any{}
	}
	writeJSON(w, a.with(kind, all))
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

// with is an envelope around one field, whose name is not known beforehand.
func (a *API) with(key string, v any) []byte {
	head := compact(a.envelope())
	return slices.Concat(head[:len(head)-1], []byte(`,"`+key+`":`), compact(v), []byte("}"))
}

func (a *API) kick(w http.ResponseWriter, r *http.Request, id string) {
	if status, err := a.MayEdit(r); err != nil {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="weir"`)
		}
		http.Error(w, err.Error(), status)
		return
	}
	e := a.envelope()
	if !a.Node.Kick(id) {
		e.Code = noSuch
	}
	writeJSON(w, compact(e))
}

func showStream(s Stream) any {
	type publish struct {
		Active bool   `json:"active"`
		Client string `json:"cid"`
	}
	u := StreamURL(s.Vhost, s.App, s.Name)
	return struct {
		ID       string  `json:"id"`
		Name     string  `json:"name"`
		Vhost    string  `json:"vhost"`
		App      string  `json:"app"`
		TCURL    string  `json:"tcUrl"`
		URL      string  `json:"url"`
		LiveMS   int64   `json:"live_ms"`
		Clients  int     `json:"clients"`
		Frames   uint64  `json:"frames"`
		Sent     uint64  `json:"send_bytes"`
		Received uint64  `json:"recv_bytes"`
		Rate     Rate    `json:"kbps"`
		Publish  publish `json:"publish"`
		Video    *Video  `json:"video"`
		Audio    *Audio  `json:"audio"`
	}{
		StreamID(u), s.Name, StreamID(s.Vhost), s.App, s.TCURL, u, s.Now.UnixMilli(), s.Clients, s.Frames, s.Sent, s.Received, s.Rate,
		publish{s.Active, s.Publisher},
		s.Video, s.Audio,
	}
}

func showClient(c Client) any {
	return struct {
		ID       string  `json:"id"`
		Vhost    string  `json:"vhost"`
		Stream   string  `json:"stream"`
		IP       string  `json:"ip"`
		PageURL  string  `json:"pageUrl"`
		SWFURL   string  `json:"swfUrl"`
		TCURL    string  `json:"tcUrl"`
		URL      string  `json:"url"`
		Name     string  `json:"name"`
		Type     string  `json:"type"`
		Publish  bool    `json:"publish"`
		Alive    float64 `json:"alive"`
		Sent     uint64  `json:"send_bytes"`
		Received uint64  `json:"recv_bytes"`
		Rate     Rate    `json:"kbps"`
	}{c.ID, StreamID(c.Vhost), c.Stream, c.IP, c.PageURL, "", c.TCURL, c.URL, c.Name, c.Type, c.Publish, c.Alive, c.Sent, c.Received, c.Rate}
}

func showVhost(v VhostInfo) any {
	type hls struct {
		Enabled  bool    `json:"enabled"`
		Fragment float64 `json:"fragment"`
	}
	return struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Enabled  bool   `json:"enabled"`
		Clients  int    `json:"clients"`
		Streams  int    `json:"streams"`
		Sent     uint64 `json:"send_bytes"`
		Received uint64 `json:"recv_bytes"`
		Rate     Rate   `json:"kbps"`
		HLS      hls    `json:"hls"`
	}{StreamID(v.Name), v.Name, true, v.Clients, v.Streams, v.Sent, v.Received, v.Rate, hls{true, 4}}
}
