package follower

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"

	"weir/cluster/dialer"
)

// headerEnds is the header with which a node tells the ends of the connection as it sees them: its own address and that of the asker.
const headerEnds = "Weir-Ends"

// tellEnds writes the header.
func tellEnds(w http.ResponseWriter, r *http.Request) {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		w.Header().Set(headerEnds, local.String()+" "+r.RemoteAddr)
	}
}

// ends remembers over which connection a request went.
type ends struct{ conn net.Conn }

func (e *ends) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { e.conn = i.Conn }}
}

// take compares the ends that a node tells with those of the connection. They differ where something stands in between.
func (e *ends) take(res *http.Response) {
	conn := e.conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	c, ok := conn.(*dialer.Conn)
	if !ok {
		return
	}
	local, remote, _ := strings.Cut(res.Header.Get(headerEnds), " ")
	l, err := netip.ParseAddrPort(local)
	if err != nil {
		return
	}
	if r, err := netip.ParseAddrPort(remote); err == nil {
		c.Ends(plain(l), plain(r))
	}
}

// plain is an address without what has no meaning on another machine.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
