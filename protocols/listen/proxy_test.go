package listen

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"weir/protocols"
)

func loopback(a netip.Addr) bool { return a.IsLoopback() || a == netip.MustParseAddr("10.0.0.1") }

// proxyTests are beginnings of connections, and the address and the rest that come of them. They seed the fuzz target.
var proxyTests = []struct {
	name, sent string
	addr       string // empty: none
	rest       string
	bad        bool
}{
	{"version 1", "PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\nGET / HTTP/1.1\r\n", "192.0.2.1:5000", "GET / HTTP/1.1\r\n", false},
	{"version 1, IPv6", "PROXY TCP6 2001:db8::1 ::1 5000 80\r\n\x03", "[2001:db8::1]:5000", "\x03", false},
	{"version 1, unknown", "PROXY UNKNOWN\r\nrest", "", "rest", false},
	{"version 2", signature + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x13\x88\x00\x50rest", "192.0.2.1:5000", "rest", false},
	{"version 2 with more", signature + "\x21\x11\x00\x0f\xc0\x00\x02\x01\xc0\x00\x02\x02\x13\x88\x00\x50abcrest", "192.0.2.1:5000", "rest", false},
	{"version 2, IPv6", signature + "\x21\x21\x00\x24" + strings.Repeat("\x00", 15) + "\x07" + strings.Repeat("\x00", 16) + "\x13\x88\x00\x50x", "[::7]:5000", "x", false},
	{"version 2, local", signature + "\x20\x00\x00\x00rest", "", "rest", false},
	{"none", "GET /cam/mpegts HTTP/1.1\r\n", "", "GET /cam/mpegts HTTP/1.1\r\n", false},
	{"none, like one", "PRI * HTTP/2.0\r\n", "", "PRI * HTTP/2.0\r\n", false},
	{"none, short", "PRO", "", "PRO", false},
	{"wrong family", "PROXY TCP4 2001:db8::1 ::1 5000 80\r\n", "", "", true},
	{"no address", "PROXY TCP4 host host 5000 80\r\n", "", "", true},
	{"no end", "PROXY TCP4 " + strings.Repeat("1", 200), "", "", true},
	{"version 3", signature + "\x31\x11\x00\x0c", "", "", true},
	{"too short", signature + "\x21\x11\x00\x04\xc0\x00\x02\x01", "", "", true},
	{"too long", signature + "\x21\x11\xff\xff", "", "", true},
}

func TestProxyHeaderIsTakenOff(t *testing.T) {
	for _, tt := range proxyTests {
		r := bufio.NewReaderSize(strings.NewReader(tt.sent), maxProxyHeader)
		addr, err := parseProxyHeader(r)
		if (err != nil) != tt.bad {
			t.Errorf("%s: error %v, want one %t", tt.name, err, tt.bad)
		}
		if tt.bad {
			continue
		}
		got := ""
		if addr.IsValid() {
			got = addr.String()
		}
		rest, _ := io.ReadAll(r)
		if got != tt.addr || string(rest) != tt.rest {
			t.Errorf("%s: address %q and rest %q, want %q and %q", tt.name, got, rest, tt.addr, tt.rest)
		}
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, tt := range proxyTests {
		f.Add([]byte(tt.sent))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(sent), maxProxyHeader)
		addr, err := parseProxyHeader(r)
		rest, _ := io.ReadAll(r)
		if err == nil && !addr.IsValid() && !bytes.HasPrefix(sent, []byte("PROXY ")) && !bytes.HasPrefix(sent, []byte(signature)) &&
			!bytes.Equal(rest, sent) {
			t.Fatalf("%q lost its beginning: %q is left", sent, rest)
		}
	})
}

func TestConnectionOfATrustedProxyIsItsClients(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		raw, err := Bind("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		got := make(chan *Conn, 1)
		l := BehindProxies(raw, func(netip.Addr) bool { return trusted }, log)
		go func() { _ = Accept(ctx, l, protocols.RTMP, Deps{Log: log}, func(c *Conn) { got <- c }) }()
		c, err := net.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		const sent = "PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\nhello"
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatal(err)
		}
		conn := <-got
		defer conn.Close()
		remote, rest := "192.0.2.1:5000", "hello"
		if !trusted {
			remote, rest = c.LocalAddr().String(), sent
		}
		b := make([]byte, len(rest))
		if _, err := io.ReadFull(conn, b); err != nil {
			t.Fatal(err)
		}
		if conn.RemoteAddr().String() != remote || string(b) != rest || RemoteAddr(conn).String() != remote {
			t.Errorf("trusted %t: %s said %q, want %s and %q", trusted, conn.RemoteAddr(), b, remote, rest)
		}
		if _, ok := conn.Conn.(*net.TCPConn); !ok {
			t.Errorf("trusted %t: the connection is a %T, which cannot gather", trusted, conn.Conn)
		}
	}
}

func TestClientsAddressComesFromTrustedProxiesOnly(t *testing.T) {
	for _, tt := range []struct {
		remote string
		header []string
		proto  string
		want   string
		secure bool
	}{
		{"127.0.0.1:99", []string{"192.0.2.1"}, "", "192.0.2.1:0", false},
		{"127.0.0.1:99", []string{"192.0.2.1"}, "https", "192.0.2.1:0", true},
		{"192.0.2.9:99", []string{"192.0.2.1"}, "https", "192.0.2.9:99", false},
		{"127.0.0.1:99", []string{"6.6.6.6, 192.0.2.1, 10.0.0.1"}, "", "192.0.2.1:0", false},
		{"127.0.0.1:99", []string{"6.6.6.6", "192.0.2.1"}, "", "192.0.2.1:0", false},
		{"127.0.0.1:99", []string{"2001:db8::1"}, "", "[2001:db8::1]:0", false},
		{"127.0.0.1:99", []string{"[2001:db8::1]:50"}, "", "[2001:db8::1]:50", false},
		{"127.0.0.1:99", []string{"192.0.2.1:50"}, "", "192.0.2.1:50", false},
		{"127.0.0.1:99", []string{"10.0.0.1"}, "", "10.0.0.1:0", false},
		{"127.0.0.1:99", []string{"unknown"}, "", "127.0.0.1:99", false},
		{"127.0.0.1:99", []string{"192.0.2.1, unknown"}, "", "127.0.0.1:99", false},
		{"127.0.0.1:99", nil, "", "127.0.0.1:99", false},
		{"[::ffff:127.0.0.1]:99", []string{"::ffff:192.0.2.1"}, "", "192.0.2.1:0", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/cam/mpegts", nil)
		r.RemoteAddr = tt.remote
		for _, h := range tt.header {
			r.Header.Add("X-Forwarded-For", h)
		}
		r.Header.Set("X-Forwarded-Proto", tt.proto)
		got := HTTPRequest(Forwarded(r, loopback), protocols.TS, "cam")
		if got.Remote.String() != tt.want || got.Secure != tt.secure {
			t.Errorf("from %s with %q, %q: client %s, TLS %t, want %s, %t", tt.remote, tt.header, tt.proto, got.Remote, got.Secure, tt.want, tt.secure)
		}
	}
}

// FuzzForwarded reads what proxies, and clients before them, may write. The address that counts is one, stands in the header, and is no
// proxy's unless all are; nobody but a proxy is believed.
func FuzzForwarded(f *testing.F) {
	for _, list := range []string{"", "192.0.2.1", "192.0.2.1, 10.0.0.2", "[2001:db8::1]:80,10.0.0.2:1", "unknown, 10.0.0.1", "fe80::1%eth0", "::ffff:10.0.0.3", ",,", "10.0.0.1,"} {
		f.Add("10.0.0.1:4000", list)
	}
	f.Add("192.0.2.9:1", "10.0.0.1")
	trusted := func(a netip.Addr) bool { return netip.MustParsePrefix("10.0.0.0/8").Contains(a) }
	f.Fuzz(func(t *testing.T, remote, list string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {list}}}
		got := Forwarded(r, trusted).RemoteAddr
		if got == remote {
			return
		}
		if by, err := netip.ParseAddrPort(remote); err != nil || !trusted(by.Addr().Unmap()) {
			t.Fatalf("%q is believed that the client is %q", remote, got)
		}
		client, err := netip.ParseAddrPort(got)
		if err != nil || client.Addr().Zone() != "" || client.Addr().Is4In6() {
			t.Fatalf("%q of %q is no address: %v", got, list, err)
		}
		if parts := strings.Split(list, ","); trusted(client.Addr()) && len(parts) == 1 && !strings.Contains(list, "10") {
			t.Fatalf("%q became %q", list, got)
		}
	})
}
