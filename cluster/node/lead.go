package node

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"weir/cluster/balancer"
	"weir/protocols"
	"weir/protocols/hls"
	"weir/protocols/listen"
)

// below takes the name of a balancer off an escaped path; ok is false if it does not begin with one.
func (h *web) below(escaped string) (name, rest string, ok bool) {
	first, rest, found := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
	name, err := url.PathUnescape(first)
	if !found || err != nil || !h.balancers.Has(name) {
		return "", "", false
	}
	return name, "/" + rest, true
}

// serveBalanced answers a request below a balancer, of which rest is the path behind its name. HLS is answered here, from
// the server that was chosen; the others are sent there, or served here if it is this node.
func (h *web) serveBalanced(w http.ResponseWriter, r *http.Request, name, rest string) {
	rt := parseRoute(rest)
	switch {
	case rt.kind == routeHLS:
		h.balanced.ServeBalanced(w, r, h.balancers.OfPlaylists(name), name, rt.stream, rt.file)
	case rt.kind == routeTS, rt.kind == routeFLV, rt.kind == routeLater && rt.file != "embed.html":
		h.lead(w, r, name, rest, rt)
	default:
		h.serve(w, r, rt) // a page is this node's, and says where there is none
	}
}

// balancedHLS is the part of an HLS server that answers below balancers.
type balancedHLS interface {
	ServeBalanced(w http.ResponseWriter, r *http.Request, rt hls.Balancer, balancer, stream, file string)
}

var methods = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"

// lead sends a client to the server that was chosen for it.
func (h *web) lead(w http.ResponseWriter, r *http.Request, name, rest string, rt route) {
	listen.CORS(w.Header())
	webrtc := rt.file == "whip" || rt.file == "whep"
	if webrtc {
		w.Header().Set("Access-Control-Allow-Methods", methods)
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", methods)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	req := listen.HTTPRequest(r, protocolOf(rt), rt.stream)
	if req.Hops >= listen.HopLimit {
		listen.Refuse(w, listen.Answer{
			Verdict: listen.Unavailable, RetryAfter: 2 * time.Second, Reason: "too many nodes have passed this request on",
		})
		return
	}
	wanted := balancer.Request{Request: req, Publish: rt.file == "whip", Redirected: true}
	t, ok := h.balancers.Choose(name, wanted, nil)
	here := t.Here
	if !ok && req.Secure {
		// No server speaks https. A client that came by it is not led to http: this node serves it.
		wanted.Redirected = false
		_, ok = h.balancers.Choose(name, wanted, nil)
		here = true
	}
	if !ok {
		listen.Refuse(w, listen.Answer{
			Verdict: listen.Unavailable, RetryAfter: 2 * time.Second, Reason: "No server of this balancer takes clients now.",
		})
		return
	}
	if here {
		h.serve(w, listen.Here(r), rt)
		return
	}
	to, err := location(t, rest, req)
	if err != nil {
		listen.Refuse(w, listen.Answer{Verdict: listen.Unavailable, RetryAfter: time.Second})
		return
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		listen.Refuse(w, listen.Answer{Verdict: listen.Redirect, Location: to})
		return
	}
	w.Header().Set("Location", to)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// protocolOf is the protocol of a form of a stream; empty for one that has no viewers here yet.
func protocolOf(rt route) protocols.Protocol {
	switch rt.kind {
	case routeTS:
		return protocols.TS
	case routeFLV:
		return protocols.FLV
	}
	return ""
}

// location is the URL of a request below a balancer at the server that was chosen for it.
func location(c balancer.Choice, path string, r listen.Request) (string, error) {
	u, err := url.Parse(c.Public)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host + path + "?" + listen.WithHere(listen.WithHops(r.Query, r.Hops+1)), nil
}
