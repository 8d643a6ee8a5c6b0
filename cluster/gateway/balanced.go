package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"weir/cluster/balancer"
	"weir/protocols/hls"
	"weir/protocols/listen"
)

// retryAfter is what a client of a balancer is told that cannot get a server now.
const retryAfter = 2 * time.Second

// below takes the name of a balancer off an escaped path; ok is false if it does not begin with one.
func (g *Gateway) below(escaped string) (name, rest string, ok bool) {
	head, rest, found := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
	name, err := url.PathUnescape(head)
	if !found || err != nil || !g.cfg.Balancers.Has(name) {
		return "", "", false
	}
	return name, "/" + rest, true
}

// serveBalanced answers a request for a stream below a balancer, of which rest is the path behind its name.
func (g *Gateway) serveBalanced(w http.ResponseWriter, r *http.Request, name, rest string, rt route) {
	q := listen.HTTPRequest(r, rt.protocol, rt.stream)
	if h, ok := rt.handler.(BalancedHandler); ok {
		h.ServeBalanced(w, r, q, g.cfg.Balancers.OfPlaylists(name), name, rt.file)
		return
	}
	listen.CORS(w.Header())
	if rt.file == "whip" || rt.file == "whep" {
		w.Header().Set("Access-Control-Allow-Methods", methods)
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", methods)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if q.Hops >= listen.HopLimit {
		unavailable(w, "too many nodes have passed this request on")
		return
	}
	choice, ok := g.choose(name, q, rt.file == "whip")
	switch to, err := location(choice, rest, q); {
	case !ok:
		unavailable(w, "No server of this balancer takes clients now.")
	case choice.Here:
		q.Here = true
		rt.handler.ServeStream(w, r, q, rt.file)
	case err != nil:
		unavailable(w, "")
	default:
		redirect(w, r, to)
	}
}

const methods = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"

// choose picks the server of a client. When there is no server to which the client may be sent, as when it came over https
// and none speaks https, it is served here.
func (g *Gateway) choose(name string, q listen.Request, publish bool) (hls.Target, bool) {
	r := balancer.Request{Request: q, Publish: publish, Redirected: true}
	choice, ok := g.cfg.Balancers.Choose(name, r, nil)
	if !ok && !q.MayLeave(false, false) {
		r.Redirected = false
		choice, ok = g.cfg.Balancers.Choose(name, r, nil)
		choice.Here = true
	}
	return choice, ok
}

// location is the URL of a request below a balancer at the server that was chosen for it.
func location(c hls.Target, path string, q listen.Request) (string, error) {
	u, err := url.Parse(c.Public)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host + path + "?" + listen.WithHere(listen.WithHops(q.Query, q.Hops+1)), nil
}

func unavailable(w http.ResponseWriter, reason string) {
	listen.Refuse(w, listen.Answer{Verdict: listen.Unavailable, RetryAfter: retryAfter, Reason: reason})
}

// redirect sends a client to its server. With a method that has a body the client must repeat it there: 307 and not 302
// (RFC 9110, 15.4.8).
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		listen.Refuse(w, listen.Answer{Verdict: listen.Redirect, Location: to})
		return
	}
	w.Header().Set("Location", to)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusTemporaryRedirect)
}
