package srs

import (
	"net/url"
	"slices"
	"strings"

	"weir/protocols"
	"weir/protocols/listen"
)

// DefaultVhost is the virtual host of clients that name none, or one that is not configured.
const DefaultVhost = "__defaultVhost__"

// A Vhost is a virtual host. The stream APP/NAME of the default one is called APP/NAME in weir, and that of another
// VHOST/APP/NAME.
type Vhost struct {
	Name string

	// Remote says that this node is an edge of Origins, each HOST:PORT: of their RTMP server, or of their HTTP server
	// where Fetch says so.
	Remote        bool
	Origins       []string
	Fetch         Fetch
	TokenTraverse bool // an origin is asked about each viewer

	// OriginCluster says that Coworkers, the HTTP APIs HOST:PORT, are asked and answered. Register makes coworkers of the
	// servers that send heartbeats.
	OriginCluster bool
	Coworkers     []string
	Register      bool

	// Hooks are the URLs to tell, by action.
	Hooks map[string][]string
}

// Fetch says how an edge fetches streams. The zero value means RTMP.
type Fetch string

// The ways to fetch.
const (
	FetchRTMP Fetch = "rtmp"
	FetchFLV  Fetch = "flv"  // HTTP-FLV
	FetchFLVS Fetch = "flvs" // over TLS
)

func (v *Vhost) prefix() string {
	if v.Name == DefaultVhost {
		return ""
	}
	return v.Name + "/"
}

// A Place is a stream in the words of SRS. App and Stream are raw: as a client sent them, without queries.
type Place struct{ Vhost, App, Stream string }

// vhosts are all that are configured.
type vhosts []Vhost

// named is the vhost of exactly that name, or nil.
func (vs vhosts) named(name string) *Vhost {
	for i := range vs {
		if vs[i].Name == name {
			return &vs[i]
		}
	}
	return nil
}

// orDefault is the vhost of that name, or the default one, or nil.
func (vs vhosts) orDefault(name string) *Vhost {
	if v := vs.named(strings.ToLower(name)); v != nil {
		return v
	}
	return vs.named(DefaultVhost)
}

// of is the vhost that a request is about: the one that its query names, else the one that has the name of the host under
// which the client came, else the default one; nil if there is none. byHost says that the host decided.
func (vs vhosts) of(r *listen.Request) (v *Vhost, byHost bool) {
	if name := vhostOf(r.Query); name != "" && name != DefaultVhost {
		return vs.orDefault(name), false
	}
	if v := vs.named(strings.ToLower(hostOnly(r.Host))); v != nil && v.Name != DefaultVhost {
		return v, true
	}
	return vs.named(DefaultVhost), false
}

// place is a stream of weir's in the words of SRS.
func (vs vhosts) place(name string) Place {
	p := Place{Vhost: DefaultVhost}
	for _, v := range vs {
		if rest, ok := strings.CutPrefix(name, v.prefix()); ok && v.prefix() != "" {
			p.Vhost, name = v.Name, rest
		}
	}
	p.App, p.Stream = appOf(name)
	return p
}

// appOf splits weir's name of a stream, without its virtual host, into the names that SRS has for it.
func appOf(name string) (app, stream string) {
	cut := strings.LastIndexByte(name, '/')
	return name[:max(cut, 0)], name[cut+1:]
}

// vhostOf is the value of the first parameter vhost of a query, or else of domain, its other name. SRS writes it a second time
// behind another question mark when it redirects.
func vhostOf(query string) string {
	for _, key := range vhostKeys {
		for part := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == '?' }) {
			if name, ok := strings.CutPrefix(part, key); ok && name != "" {
				if plain, err := url.QueryUnescape(name); err == nil {
					return plain
				}
				return name
			}
		}
	}
	return ""
}

var vhostKeys = []string{"vhost=", "domain="}

// placeOf is the stream of a request in the words of SRS; false if there is no app.
func placeOf(v *Vhost, r *listen.Request) (Place, bool) {
	p := Place{Vhost: v.Name, App: r.App, Stream: strings.Trim(r.Name, "/")}
	if r.Protocol != protocols.RTMP && len(r.Streams) > 0 {
		p.App, p.Stream = appOf(strings.TrimPrefix(r.Streams[0], v.prefix()))
	}
	return p, p.App != "" && p.Stream != ""
}

// sayable says whether a name can stand in a question. SRS takes the query as it is, so that a character that would end the
// value, or the request line, cannot be sent.
func sayable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '&' || r == '#' || r == '?'
	})
}

// forms are the raw names that a place may have at an SRS server: as the client wrote them, and decoded.
func (p Place) forms() []Place {
	var out []Place
	for _, decode := range []bool{false, true} {
		q := p
		if decode {
			q.App, q.Stream = decoded(p.App), decoded(p.Stream)
		}
		if sayable(q.App) && sayable(q.Stream) && !slices.Contains(out, q) {
			out = append(out, q)
		}
	}
	return out
}

func decoded(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// param is the query of a request to another server: with its question mark, and without weir's own parameters and the
// virtual host, which is sent apart.
func param(query string) string {
	if q := without(listen.WithoutHops(query), vhostKeys...); q != "" {
		return "?" + q
	}
	return ""
}

// shownParam is the query of a request as SRS shows it to hooks: with its question mark and all that the client wrote, but for a
// lone default virtual host, and for the virtual host that [Cluster.Resolve] has added.
func shownParam(vh *Vhost, r *listen.Request) string {
	q := listen.WithoutHops(r.Query)
	if vh.Name == strings.ToLower(hostOnly(r.Host)) {
		if before, ok := strings.CutSuffix(q, "vhost="+vh.Name); ok {
			q = strings.TrimSuffix(before, "&")
		}
	}
	if q == "" || !strings.Contains(q, "&") && vhostOf(q) == DefaultVhost {
		return ""
	}
	return "?" + q
}

// without is a query without the parameters that begin with one of these texts.
func without(query string, prefixes ...string) string {
	var parts []string
	for part := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == '?' }) {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(part, p) }) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "&")
}

// withVhost is the param of a request to another server about a stream of a vhost.
func withVhost(param, vhost string) string {
	if vhost == DefaultVhost {
		return param
	}
	if param == "" {
		return "?vhost=" + vhost
	}
	return param + "&vhost=" + vhost
}
