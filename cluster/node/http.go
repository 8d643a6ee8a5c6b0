package node

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"weir/cluster/balancer"
	"weir/cluster/follower"
	"weir/cluster/srs"
	"weir/protocols/hls"
	"weir/protocols/listen"
	"weir/protocols/relay"
)

// A route is what an HTTP path means.
type route struct {
	kind   routeKind
	stream string // unescaped
	file   string // last component, unescaped, where that is not implied by kind
}

type routeKind uint8

const (
	routeNone     routeKind = iota
	routeAPI                // the HTTP API, metrics, the tree
	routeSRS                // SRS's HTTP API
	routeState              // /cluster/state
	routeRelay              // /cluster/relay/STREAM
	routeReserved           // below /cluster/, but nothing
	routeTS                 // /STREAM/mpegts
	routeFLV                // /STREAM.flv
	routeHLS                // /STREAM/FILE
	routeLater              // a form of a stream that this version does not serve
)

const (
	statePath   = follower.Path
	relayPrefix = relay.Path
)

// parseRoute reads an escaped path. A stream name may contain slashes, so what a path means is told by its beginning
// and its last component.
func parseRoute(escaped string) route {
	switch first, _, _ := strings.Cut(strings.TrimPrefix(escaped, "/"), "/"); first {
	case "streamer", "api", "metrics":
		if strings.HasPrefix(escaped, srs.Prefix) {
			return route{kind: routeSRS}
		}
		return route{kind: routeAPI}
	case "cluster":
		if escaped == statePath {
			return route{kind: routeState}
		}
		if name, err := url.PathUnescape(strings.TrimPrefix(escaped, relayPrefix)); err == nil &&
			strings.HasPrefix(escaped, relayPrefix) && name != "" {
			return route{kind: routeRelay, stream: name}
		}
		return route{kind: routeReserved}
	}
	whole, err := url.PathUnescape(strings.TrimPrefix(escaped, "/"))
	if err != nil {
		return route{}
	}
	cut := strings.LastIndexByte(whole, '/')
	stream, file := whole[:max(cut, 0)], whole[cut+1:]
	switch {
	case strings.HasSuffix(whole, ".flv") && len(whole) > len(".flv"):
		return route{kind: routeFLV, stream: strings.TrimSuffix(whole, ".flv")}
	case stream == "":
		return route{}
	case file == "mpegts":
		return route{kind: routeTS, stream: stream}
	case file == "index.mpd" || file == "whip" || file == "whep" || file == "embed.html":
		return route{kind: routeLater, stream: stream, file: file}
	case hls.Serves(file):
		return route{kind: routeHLS, stream: stream, file: file}
	}
	return route{}
}

// streamServer serves one HTTP form of streams.
type streamServer interface {
	ServeStream(w http.ResponseWriter, r *http.Request, stream string)
}

// web is what a node answers over HTTP.
type web struct {
	api, srs, state, relay http.Handler
	ts, flv                streamServer
	hls                    interface {
		ServeStream(w http.ResponseWriter, r *http.Request, stream, file string)
	}
	balanced  balancedHLS
	balancers *balancer.Balancers
	trusted   func(netip.Addr) bool // proxies that say whom they speak for
}

// ServeHTTP implements [http.Handler].
func (h *web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = listen.Forwarded(r, h.trusted)
	path := r.URL.EscapedPath()
	if name, rest, ok := h.below(path); ok {
		h.serveBalanced(w, r, name, rest)
		return
	}
	h.serve(w, r, parseRoute(path))
}

// serve answers what is not below a balancer.
func (h *web) serve(w http.ResponseWriter, r *http.Request, rt route) {
	switch rt.kind {
	case routeAPI:
		h.api.ServeHTTP(w, r)
	case routeSRS:
		h.srs.ServeHTTP(w, r)
	case routeState:
		h.state.ServeHTTP(w, r)
	case routeRelay:
		h.relay.ServeHTTP(w, r)
	case routeTS:
		h.ts.ServeStream(w, r, rt.stream)
	case routeFLV:
		h.flv.ServeStream(w, r, rt.stream)
	case routeHLS:
		h.hls.ServeStream(w, r, rt.stream, rt.file)
	case routeLater:
		listen.CORS(w.Header())
		http.Error(w, rt.file+" is not supported yet; try /"+url.PathEscape(rt.stream)+"/index.m3u8", http.StatusNotImplemented)
	default:
		listen.CORS(w.Header())
		http.Error(w, "nothing is served here; a stream is at /STREAM/index.m3u8, /STREAM/mpegts, /STREAM.flv", http.StatusNotFound)
	}
}
