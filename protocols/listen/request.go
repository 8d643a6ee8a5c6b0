package listen

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"weir/protocols"
)

// HopsParameter is the query parameter in which a redirect tells the next node how many nodes have sent the client on
// already. A header would not survive the redirect in most clients; the query does in all.
const HopsParameter = "weir_hops"

// HereParameter is the query parameter that tells a node that a balancer has chosen it; see [Request.Here].
const HereParameter = "weir_here"

// HopLimit is how often a client may be sent on, or its stream relayed, from node to node.
const HopLimit = 2

// maxHops is the most that [Hops] believes; any node stops long before it.
const maxHops = 100

// maxNames bounds the names tried for one path.
const maxNames = 16

// Names are those of the streams that a path may mean: the whole path, and the shorter ones without leading components.
// Encoders and players that know SRS write an app before the name, as in live/cam.
func Names(path string) (names []string) {
	for path != "" && len(names) < maxNames {
		names = append(names, path)
		_, path, _ = strings.Cut(path, "/")
		path = strings.TrimLeft(path, "/")
	}
	return names
}

// HTTPRequest is what an HTTP client asks for: a stream by protocol p. The stream is named by a part of the path, which the
// caller has found.
func HTTPRequest(r *http.Request, p protocols.Protocol, name string) Request {
	here, _ := parameter(r.URL.RawQuery, HereParameter)
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address for a connection without one, such as a pipe
	return Request{
		Protocol: p,
		Streams:  Names(name),
		Path:     requestPath(r),
		Query:    r.URL.RawQuery,
		Remote:   netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port()),
		Host:     r.Host,
		Secure:   secure(r),
		Proxied:  proxied(r),
		Agent:    r.UserAgent(),
		PageURL:  r.Referer(),
		Hops:     Hops(r.URL.RawQuery),
		Here:     here == "1",
	}
}

// requestPath is the path as the client wrote it; a router may have taken a prefix off the one in r.URL.
func requestPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

// WithHere returns query with [HereParameter] set, and everything else in it as it was, in its order.
func WithHere(query string) string { return with(query, HereParameter, "1") }

// Hops reads [HopsParameter] from a query. A value that is no number counts as 0: other software may have a parameter
// of that name.
func Hops(query string) int {
	value, _ := parameter(query, HopsParameter)
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0
	}
	return min(max(n, 0), maxHops)
}

// WithHops returns query with [HopsParameter] set to n, and everything else in it as it was, in its order.
func WithHops(query string, n int) string { return with(query, HopsParameter, strconv.Itoa(n)) }

// WithoutHops returns query without [HopsParameter].
func WithoutHops(query string) string { return strings.Join(without(query, HopsParameter), "&") }

// parameter is the first value of a parameter in a query that is written as in a URL.
func parameter(query, name string) (value string, ok bool) {
	for part := range strings.SplitSeq(query, "&") {
		if value, ok = strings.CutPrefix(part, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func with(query, name, value string) string {
	return strings.Join(append(without(query, name), name+"="+value), "&")
}

// without are the parts of a query that are neither empty nor the parameter.
func without(query, name string) []string {
	parts := make([]string, 0, 8)
	for part := range strings.SplitSeq(query, "&") {
		if part != "" && !strings.HasPrefix(part, name+"=") {
			parts = append(parts, part)
		}
	}
	return parts
}
