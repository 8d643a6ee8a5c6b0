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
	"testing/synctest"
	"time"

	"weir/protocols"
)

func loopback(a netip.Addr) bool { return a.IsLoopback() || a == netip.MustParseAddr("10.0.0.1") }

// proxyTests are beginnings of connections, and the address and the rest that come of them. They seed the fuzz target.
var proxyTests = []struct {
	name, sent string
	addr       string // empty: none
	rest       string
	bad        bool
	secure     bool
}{
	{"version 1", "PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\nGET / HTTP/1.1\r\n", "192.0.2.1:5000", "GET / HTTP/1.1\r\n", false, false},
	{"version 1, IPv6", "PROXY TCP6 2001:db8::1 ::1 5000 80\r\n\x03", "[2001:db8::1]:5000", "\x03", false, false},
	{"version 1, unknown", "PROXY UNKNOWN\r\nrest", "", "rest", false, false},
	{"version 2", signature + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x13\x88\x00\x50rest", "192.0.2.1:5000", "rest", false, false},
	{"version 2 with more", signature + "\x21\x11\x00\x0f\xc0\x00\x02\x01\xc0\x00\x02\x02\x13\x88\x00\x50abcrest", "192.0.2.1:5000", "rest", false, false},
	{"version 2 of a client over TLS", signature + "\x21\x11\x00\x18\xc0\x00\x02\x01\xc0\x00\x02\x02\x13\x88\x00\x50\x04\x00\x01x\x20\x00\x05\x01\x00\x00\x00\x00rest", "192.0.2.1:5000", "rest", false, true},
	{"version 2 of a client without TLS", signature + "\x21\x11\x00\x14\xc0\x00\x02\x01\xc0\x00\x02\x02\x13\x88\x00\x50\x20\x00\x05\x00\x00\x00\x00\x00rest", "192.0.2.1:5000", "rest", false, false},
	{"version 2 with a field that is cut off", signature + "\x21\x11\x00\x0f\xc0\x00\x02\x01\xc0\x00\x02\x02\x13\x88\x00\x50\x20\x00\x05rest", "192.0.2.1:5000", "rest", false, false},
	{"version 2, IPv6", signature + "\x21\x21\x00\x24" + strings.Repeat("\x00", 15) + "\x07" + strings.Repeat("\x00", 16) + "\x13\x88\x00\x50x", "[::7]:5000", "x", false, false},
	{"version 2, local", signature + "\x20\x00\x00\x00rest", "", "rest", false, false},
	{"none", "GET /cam/mpegts HTTP/1.1\r\n", "", "GET /cam/mpegts HTTP/1.1\r\n", false, false},
	{"none, like one", "PRI * HTTP/2.0\r\n", "", "PRI * HTTP/2.0\r\n", false, false},
	{"none, short", "PRO", "", "PRO", false, false},
	{"wrong family", "PROXY TCP4 2001:db8::1 ::1 5000 80\r\n", "", "", true, false},
	{"no address", "PROXY TCP4 host host 5000 80\r\n", "", "", true, false},
	{"no end", "PROXY TCP4 " + strings.Repeat("1", 200), "", "", true, false},
	{"version 3", signature + "\x31\x11\x00\x0c", "", "", true, false},
	{"too short", signature + "\x21\x11\x00\x04\xc0\x00\x02\x01", "", "", true, false},
	{"too long", signature + "\x21\x11\xff\xff", "", "", true, false},
}

func TestProxyHeaderIsTakenOff(t *testing.T) {
	for _, tt := range proxyTests {
		r := bufio.NewReaderSize(strings.NewReader(tt.sent), maxProxyHeader)
		head, err := parseProxyHeader(r)
		if (err != nil) != tt.bad {
			t.Errorf("%s: error %v, want one %t", tt.name, err, tt.bad)
		}
		if tt.bad {
			continue
		}
		got := ""
		if head.remote.IsValid() {
			got = head.remote.String()
		}
		rest, _ := io.ReadAll(r)
		if got != tt.addr || string(rest) != tt.rest || head.secure != tt.secure {
			t.Errorf("%s: address %q, TLS %t and rest %q, want %q, %t and %q", tt.name, got, head.secure, rest, tt.addr, tt.secure, tt.rest)
		}
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, tt := range proxyTests {
		f.Add([]byte(tt.sent))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(sent), maxProxyHeader)
		head, err := parseProxyHeader(r)
		rest, _ := io.ReadAll(r)
		if err == nil && !head.remote.IsValid() && !bytes.HasPrefix(sent, []byte("PROXY ")) && !bytes.HasPrefix(sent, []byte(signature)) &&
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
		l := BehindProxies(raw, func(netip.Addr) bool { return trusted }, 8, log)
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

// A queue is a listener that gives out the connections that are put into it.
type queue chan net.Conn

func (q queue) Accept() (net.Conn, error) {
	c, ok := <-q
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (q queue) Close() error   { close(q); return nil }
func (q queue) Addr() net.Addr { return nil }

// Behind a proxy that sends no headers, clients that say nothing take few descriptors before the limits count them, and hold up nobody.
func TestClientsThatSayNothingHoldUpNobodyBehindAProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 4
		raw := make(queue, 100)
		l := BehindProxies(raw, func(netip.Addr) bool { return true }, most, slog.New(slog.DiscardHandler))
		connect := func(says string) net.Conn {
			client, server := net.Pipe()
			if says != "" {
				go func() { _, _ = client.Write([]byte(says)) }()
			}
			raw <- server
			return client
		}
		for range 50 {
			defer func(c net.Conn) { _ = c.Close() }(connect(""))
		}
		accepted := make(chan net.Conn, 100)
		go func() {
			for i := 0; ; i++ {
				if i == 1 { // nothing is accepted for a while, as without descriptors
					time.Sleep(time.Second)
				}
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- c
			}
		}()
		synctest.Wait()
		if took := 50 - len(raw); took > most+2 { // one was returned, one waits for a place
			t.Errorf("%d connections were accepted, want at most %d", took, most+2)
		}
		began := time.Now()
		defer func(c net.Conn) { _ = c.Close() }(connect("PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n"))
		for range most + 1 { // others that come later
			defer func(c net.Conn) { _ = c.Close() }(connect("GET"))
		}
		for {
			if c := <-accepted; c.RemoteAddr().String() == "192.0.2.1:5000" {
				break
			}
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("a client that speaks is accepted after %v, want at once when others are", d)
		}
		_ = l.Close()
	})
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

// frontTests are requests for a stream at another node, by what stands before this one.
var frontTests = []struct {
	name            string
	header          []string // names and values
	host            string   // n.example.com if empty
	http10          bool
	port            int // at which the request arrives; 0: unknown
	trusted         bool
	secure, proxied bool
}{
	{name: "nothing"},
	{name: "X-Forwarded-Proto", header: []string{"X-Forwarded-Proto", "https"}, trusted: true, secure: true, proxied: true},
	{name: "several proxies", header: []string{"X-Forwarded-Proto", "https, http"}, trusted: true, secure: true, proxied: true},
	{name: "X-Forwarded-Ssl", header: []string{"X-Forwarded-Ssl", "on"}, trusted: true, secure: true, proxied: true},
	{name: "Front-End-Https", header: []string{"Front-End-Https", "on"}, trusted: true, secure: true, proxied: true},
	{name: "X-Forwarded-Scheme", header: []string{"X-Forwarded-Scheme", "HTTPS"}, trusted: true, secure: true, proxied: true},
	{name: "Forwarded", header: []string{"Forwarded", `for=192.0.2.1;Proto="https", for=10.0.0.1;proto=http`}, trusted: true, secure: true, proxied: true},
	{name: "X-Forwarded-Proto of an address that is not trusted", header: []string{"X-Forwarded-Proto", "https"}, proxied: true},
	{name: "Forwarded of an address that is not trusted", header: []string{"Forwarded", "proto=https"}, proxied: true},
	{name: "X-Forwarded-Host alone", header: []string{"X-Forwarded-Host", "tv.example.com"}, proxied: true},
	{name: "Via alone", header: []string{"Via", "1.1 varnish"}, proxied: true},
	{name: "a proxy without TLS", header: []string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "tv.example.com", "Via", "1.1 x"}, trusted: true},
	{name: "X-Forwarded-For alone", header: []string{"X-Forwarded-For", "192.0.2.1"}, trusted: true},
	{name: "HTTP/1.0, as nginx asks", http10: true, proxied: true},
	{name: "the port at which it arrives", host: "n.example.com:8080", port: 8080},
	{name: "the usual port", host: "n.example.com", port: 80},
	{name: "the usual port of an address", host: "[2001:db8::1]", port: 80},
	{name: "another port, as through a pipe that ends TLS", host: "n.example.com:8443", port: 8080, proxied: true},
	{name: "the usual port, at another one", host: "n.example.com", port: 8080, proxied: true},
	{name: "a browser that got here over TLS", header: []string{"Sec-Fetch-Site", "cross-site"}, secure: true},
	{name: "a browser on this machine", header: []string{"Sec-Fetch-Site", "same-origin"}, host: "127.0.0.1:8080", port: 8080},
	{name: "the same by its name", header: []string{"Sec-Fetch-Site", "same-origin"}, host: "localhost:8080", port: 8080},
}

func TestWhatStandsBeforeTheNodeIsSeen(t *testing.T) {
	for _, tt := range frontTests {
		r := httptest.NewRequest(http.MethodGet, "/cam/index.m3u8", nil)
		r.RemoteAddr, r.Host = "192.0.2.9:99", "n.example.com"
		if tt.trusted {
			r.RemoteAddr = "127.0.0.1:99"
		}
		if tt.host != "" {
			r.Host = tt.host
		}
		if tt.http10 {
			r.ProtoMinor = 0
		}
		for i := 0; i < len(tt.header); i += 2 {
			r.Header.Set(tt.header[i], tt.header[i+1])
		}
		if tt.port != 0 {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{Port: tt.port})))
		}
		q := HTTPRequest(Forwarded(r, loopback), protocols.HLS, "cam")
		if q.Secure != tt.secure || q.Proxied != tt.proxied || q.Host != r.Host {
			t.Errorf("%s: TLS %t, behind a proxy %t, host %s, want %t, %t, %s", tt.name, q.Secure, q.Proxied, q.Host, tt.secure, tt.proxied, r.Host)
		}
	}
}

func TestClientLeavesForURLsThatItCanUse(t *testing.T) {
	for _, tt := range []struct {
		secure, proxied, toTLS, given, leaves bool
	}{
		{leaves: true},
		{given: true, leaves: true},
		{proxied: true},
		{proxied: true, given: true, leaves: true},
		{proxied: true, toTLS: true, leaves: true},
		{secure: true},
		{secure: true, given: true},
		{secure: true, proxied: true, given: true},
		{secure: true, proxied: true, toTLS: true, leaves: true},
	} {
		q := Request{Secure: tt.secure, Proxied: tt.proxied}
		if got := q.MayLeave(tt.toTLS, tt.given); got != tt.leaves {
			t.Errorf("%+v: %t", tt, got)
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

// TestRequestThatCameStraightIsTold has the signs that [Direct] knows; those of frontTests that prove no proxy are direct.
func TestRequestThatCameStraightIsTold(t *testing.T) {
	for _, tt := range frontTests {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = "n.example.com"
		if tt.host != "" {
			r.Host = tt.host
		}
		if tt.http10 {
			r.ProtoMinor = 0
		}
		forwarded := false
		for i := 0; i < len(tt.header); i += 2 {
			r.Header.Set(tt.header[i], tt.header[i+1])
			forwarded = forwarded || tt.header[i] != "Sec-Fetch-Site"
		}
		if tt.port != 0 {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{Port: tt.port})))
		}
		if want := !forwarded && !tt.proxied; Direct(r) != want {
			t.Errorf("%s: direct %t, want %t", tt.name, Direct(r), want)
		}
	}
}
