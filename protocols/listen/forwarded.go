package listen

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

type secureKey struct{}

// Forwarded returns r as the client sent it: where r comes from a trusted proxy, it gets the client's address from
// X-Forwarded-For, and counts as sent over TLS where the proxy says so. Of several addresses the last one that
// is no trusted proxy's counts, since the client may have made up those before it.
func Forwarded(r *http.Request, trusted func(netip.Addr) bool) *http.Request {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !trusted(remote.Addr().Unmap()) {
		return r
	}
	if forwardedScheme(r.Header) == "https" {
		r = r.WithContext(context.WithValue(r.Context(), secureKey{}, true))
	}
	list := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	client := netip.AddrPort{}
	for i := len(list) - 1; i >= 0; i-- {
		a, ok := parseForwarded(strings.TrimSpace(list[i]))
		if !ok {
			break
		}
		client = a
		if !trusted(a.Addr()) {
			break
		}
	}
	if client.IsValid() {
		r2 := *r
		r2.RemoteAddr = client.String()
		r = &r2
	}
	return r
}

// parseForwarded reads an address with or without a port.
func parseForwarded(s string) (netip.AddrPort, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return netip.AddrPortFrom(a.Unmap().WithZone(""), 0), err == nil
}

// forwardedScheme is how the client reached the first proxy, as the headers say: https, http, or nothing if they do not.
func forwardedScheme(h http.Header) string {
	for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Protocol", "X-Url-Scheme"} {
		if first, _, _ := strings.Cut(h.Get(name), ","); first != "" {
			return strings.ToLower(strings.TrimSpace(first))
		}
	}
	for _, name := range []string{"X-Forwarded-Ssl", "Front-End-Https"} {
		if strings.EqualFold(h.Get(name), "on") {
			return "https"
		}
	}
	first, _, _ := strings.Cut(h.Get("Forwarded"), ",") // RFC 7239, 4
	for part := range strings.SplitSeq(first, ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(part), "="); strings.EqualFold(name, "proto") {
			return strings.ToLower(strings.Trim(value, `"`))
		}
	}
	return ""
}

// secure says whether the client of a request uses TLS: to this node, to a trusted proxy, or as a browser shows.
func secure(r *http.Request) bool {
	if r.TLS != nil || r.Context().Value(secureKey{}) != nil {
		return true
	}
	// Browsers send Sec-Fetch-Site to https only, and to the machine that they run on (Fetch Metadata, 2).
	host, _ := splitHost(r.Host)
	a, err := netip.ParseAddr(host)
	return r.Header.Get("Sec-Fetch-Site") != "" && host != "localhost" && !(err == nil && a.IsLoopback())
}

// proxied says whether there are signs of a proxy before this node, and no word of it that the client uses plain HTTP. A
// client may forge all of them, and wins nothing by it: it gets its media from this node.
func proxied(r *http.Request) bool {
	switch forwardedScheme(r.Header) {
	case "http":
		return false
	case "":
		return r.ProtoMajor == 1 && r.ProtoMinor == 0 || // as nginx asks, if it is not told otherwise
			r.Header.Get("X-Forwarded-Host") != "" || r.Header.Get("Via") != "" || otherPort(r)
	}
	return true
}

// otherPort says whether the client addressed another port than the one at which it arrived.
func otherPort(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	usual := 80
	if r.TLS != nil {
		usual = 443
	}
	return OtherPort(local, r.Host, usual)
}

// Direct says whether a request shows no sign of a proxy or a forwarder between its client and this node. One that passes connections
// on as they are leaves none, nor does a proxy that is told to leave none.
func Direct(r *http.Request) bool {
	if !r.ProtoAtLeast(1, 1) || otherPort(r) { // nginx asks by HTTP/1.0, if it is not told otherwise
		return false
	}
	for name := range r.Header {
		switch name {
		case "Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Url-Scheme", "Front-End-Https":
			return false
		}
		if strings.HasPrefix(name, "X-Forwarded-") {
			return false
		}
	}
	return true
}

// OtherPort says whether the host and port under which a client addressed this node name another port than local, where the
// client arrived: something between the two has sent it there. usual is the port that needs not be named.
func OtherPort(local net.Addr, host string, usual int) bool {
	at, ok := local.(*net.TCPAddr)
	_, port := splitHost(host)
	return ok && host != "" && cmp.Or(port, strconv.Itoa(usual)) != strconv.Itoa(at.Port)
}

// splitHost splits what a client writes as the host; port is empty if it writes none.
func splitHost(hostport string) (host, port string) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.Trim(hostport, "[]"), ""
	}
	return host, port
}
