// Package gateway finds out what an HTTP request to a node is for, and hands it to the handler of that: the API, other
// nodes' questions, or a stream in the form of some protocol, also below the name of a balancer.
//
// It knows no protocol: the forms of streams are those of the table of protocols for which there is a handler. It decides
// nothing about streams; the handlers ask the router.
package gateway

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"weir/cluster/balancer"
	"weir/protocols"
	"weir/protocols/hls"
	"weir/protocols/listen"
)

// A Handler serves the streams of one protocol. Its methods are called by any number of goroutines.
type Handler interface {
	// ServeStream answers q, which is what r asks for. file is the last component of the path, unescaped.
	ServeStream(w http.ResponseWriter, r *http.Request, q listen.Request, file string)
}

// A FileHandler is a [Handler] of which a stream has other files beside the one in the table of protocols.
type FileHandler interface {
	Handler

	// Serves says whether a file of that name, the last component of a path, is one of them.
	Serves(file string) bool
}

// A BalancedHandler is a [Handler] that answers clients of a balancer itself. Clients of other handlers are redirected to
// the server that is chosen for them.
type BalancedHandler interface {
	Handler

	// ServeBalanced is ServeStream below the balancer b, whose name is under.
	ServeBalanced(w http.ResponseWriter, r *http.Request, q listen.Request, b hls.Balancer, under, file string)
}

// Balancers are those of the file. [balancer.Balancers] implements it.
type Balancers interface {
	Has(name string) bool
	Choose(name string, r balancer.Request, avoid []string) (hls.Target, bool)
	OfPlaylists(name string) hls.Balancer
}

// A Config joins a gateway to its node.
type Config struct {
	// Paths are the handlers of the API and of other nodes' questions, which are no streams. The first one that fits takes a request. No stream begins with the first
	// component of one of them.
	Paths []Path

	// Streams are the handlers of streams.
	Streams map[protocols.Protocol]Handler

	Balancers Balancers

	// Player serves the page of each stream that plays it; nil says that this version does not.
	Player Handler

	// Home answers the path "/"; nil for nothing there.
	Home http.Handler

	// Trusted says whether the proxy at an address is believed what it says about its clients.
	Trusted func(netip.Addr) bool
}

// A Path is a path, or one with all that is below it if it ends in a slash.
type Path struct {
	Path    string
	Handler http.Handler
}

func (p Path) fits(path string) bool {
	return path == p.Path || strings.HasSuffix(p.Path, "/") && strings.HasPrefix(path+"/", p.Path)
}

// A Gateway is the [http.Handler] of a node.
type Gateway struct {
	cfg      Config
	reserved map[string]bool // first components that are no streams'
	forms    []form
}

// A form is one in which streams are to be had over HTTP.
type form struct {
	protocol protocols.Protocol // empty for one that this version does not serve
	handler  Handler

	// find takes the stream off an unescaped path, which has no leading slash.
	find func(path string) (stream string, ok bool)

	// here says that the form is this node's also below a balancer.
	here bool

	// also says that the form is a further one of a protocol that has another.
	also bool
}

// New returns a gateway.
func New(cfg Config) *Gateway {
	g := &Gateway{cfg: cfg, reserved: map[string]bool{}}
	for _, p := range cfg.Paths {
		g.reserved[first(p.Path)] = true
	}
	for _, d := range protocols.All() {
		h := cfg.Streams[d.Protocol]
		if h == nil {
			continue
		}
		f := form{protocol: d.Protocol, handler: h, find: inForm(d.Path)}
		if files, ok := h.(FileHandler); ok {
			f.find = func(path string) (string, bool) { return parent(path, files.Serves) }
		}
		g.forms = append(g.forms, f)
	}
	for _, d := range protocols.All() { // behind all others: /cam/s1.ts is a segment of cam
		h := cfg.Streams[d.Protocol]
		if h == nil || d.Also == "" {
			continue
		}
		find := inForm(d.Also)
		if files, ok := h.(FileHandler); ok {
			find = func(path string) (string, bool) {
				stream, ok := protocols.StreamIn(d.Also, path)
				return stream, ok && !files.Serves(path) // /index.m3u8 is a file of no stream
			}
		}
		g.forms = append(g.forms, form{protocol: d.Protocol, handler: h, find: find, also: true})
	}
	if cfg.Player == nil {
		cfg.Player = later{}
	}
	for _, file := range []string{"index.mpd", "whip", "whep", page} {
		find := func(path string) (string, bool) { return parent(path, func(last string) bool { return last == file }) }
		f := form{handler: later{}, find: find}
		if file == page {
			f.handler, f.here = cfg.Player, true
		}
		g.forms = append(g.forms, f)
	}
	return g
}

func inForm(form string) func(path string) (string, bool) {
	return func(path string) (string, bool) { return protocols.StreamIn(form, path) }
}

// page is the file of a stream that is a page with a player.
const page = "embed.html"

// parent takes the last component off a path if it is a file of a stream.
func parent(path string, serves func(file string) bool) (stream string, ok bool) {
	cut := strings.LastIndexByte(path, '/')
	if cut <= 0 || !serves(path[cut+1:]) {
		return "", false
	}
	return path[:cut], true
}

func first(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// later says of a form that this version does not serve it.
type later struct{}

// ServeStream implements [Handler].
func (later) ServeStream(w http.ResponseWriter, _ *http.Request, q listen.Request, file string) {
	listen.CORS(w.Header())
	http.Error(w, file+" is not supported yet; try /"+url.PathEscape(q.Streams[0])+"/index.m3u8", http.StatusNotImplemented)
}

// A route is what an escaped path means that is no [Path]: a stream in some form.
type route struct {
	*form         // nil: nothing is there
	stream string // unescaped
	file   string // the last component of the path, unescaped
}

func (g *Gateway) route(escaped string) route {
	path, err := url.PathUnescape(strings.TrimPrefix(escaped, "/"))
	if err != nil || g.reserved[first(escaped)] {
		return route{}
	}
	for i := range g.forms {
		if stream, ok := g.forms[i].find(path); ok {
			return route{&g.forms[i], stream, path[strings.LastIndexByte(path, '/')+1:]}
		}
	}
	return route{}
}

// ServeHTTP implements [http.Handler].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = listen.Forwarded(r, g.cfg.Trusted)
	path := r.URL.EscapedPath()
	if name, rest, ok := g.below(path); ok {
		if rt := g.route(rest); rt.form != nil && !rt.here {
			g.serveBalanced(w, r, name, rest, rt)
			return
		}
		path = rest // below a balancer too, paths that are no streams are this node's
	}
	if path == "/" && g.cfg.Home != nil {
		g.cfg.Home.ServeHTTP(w, r)
		return
	}
	for _, p := range g.cfg.Paths {
		if p.fits(path) {
			p.Handler.ServeHTTP(w, r)
			return
		}
	}
	rt := g.route(path)
	if rt.form == nil {
		g.nothing(w)
		return
	}
	rt.handler.ServeStream(w, r, listen.HTTPRequest(r, rt.protocol, rt.stream), rt.file)
}

// Reserved implements [listen.Reserver].
func (g *Gateway) Reserved(r *http.Request) bool {
	path := r.URL.EscapedPath()
	if _, rest, ok := g.below(path); ok {
		path = rest
	}
	return slices.ContainsFunc(g.cfg.Paths, func(p Path) bool { return p.fits(path) })
}

func (g *Gateway) nothing(w http.ResponseWriter) {
	var paths []string
	for _, f := range g.forms {
		if f.protocol != "" && !f.also {
			paths = append(paths, protocols.Of(f.protocol).Path)
		}
	}
	listen.CORS(w.Header())
	http.Error(w, "nothing is served here; a stream is at "+strings.Join(paths, ", "), http.StatusNotFound)
}
