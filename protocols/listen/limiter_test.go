package listen

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/protocols"
)

// A distant connection comes from any address.
type distant struct {
	net.Conn
	from netip.AddrPort
}

func (d distant) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(d.from) }

// lines is a log that keeps what it is told of limits, as "err dropped proto client".
type lines struct {
	slog.Handler
	got *[]string
}

func (lines) Enabled(context.Context, slog.Level) bool { return true }

func (l lines) Handle(_ context.Context, r slog.Record) error {
	line := ""
	r.Attrs(func(a slog.Attr) bool { line += a.Value.String() + " "; return true })
	*l.got = append(*l.got, strings.TrimSpace(line))
	return nil
}

// Listeners are the listeners of a node with limits, whose connections are pipes.
type listeners struct {
	limiter *Limiter
	log     []string
	ports   int
}

func newListeners(l Limits) *listeners {
	b := &listeners{}
	b.limiter = NewLimiter(l, func(a netip.Addr) bool { return a == netip.MustParseAddr("10.0.0.1") }, slog.New(lines{slog.DiscardHandler, &b.log}))
	return b
}

// connect makes a connection from an address to the listener of a protocol. It is nil if it was refused.
func (b *listeners) connect(p protocols.Protocol, from string) *Conn {
	b.ports++
	server, _ := net.Pipe()
	c := &Conn{Conn: distant{server, netip.AddrPortFrom(netip.MustParseAddr(from), uint16(b.ports))}}
	if !b.limiter.takes(c, p) {
		return nil
	}
	return c
}

func TestConnectionsAboveALimitAreRefusedUntilOneLeaves(t *testing.T) {
	const here, there = "192.0.2.1", "192.0.2.2"
	for _, tt := range []struct {
		name    string
		limits  Limits
		met     Limit
		first   string // two connections come from there, by RTMP
		third   string
		by      protocols.Protocol // of the third, which is refused
		other   string             // of one that is taken then
		otherBy protocols.Protocol // of that one
	}{
		{"in all", Limits{Connections: 2}, LimitConnections, here, there, protocols.RTSP, "", ""},
		{"of the protocol", Limits{Protocols: map[protocols.Protocol]int{protocols.RTMP: 2}}, LimitProtocol, here, there, protocols.RTMP, here, protocols.RTSP},
		{"of the address", Limits{PerAddress: 2}, LimitAddress, here, here, protocols.RTSP, there, protocols.RTMP},
		{"of a network", Limits{PerAddress: 2}, LimitAddress, "2001:db8::1", "2001:db8::2", protocols.RTMP, "2001:db8:0:1::1", protocols.RTMP},
		{"of an address in six bytes", Limits{PerAddress: 2}, LimitAddress, here, "::ffff:" + here, protocols.RTMP, there, protocols.RTMP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newListeners(tt.limits)
				one, two := b.connect(protocols.RTMP, tt.first), b.connect(protocols.RTMP, tt.first)
				if one == nil || two == nil {
					t.Fatal("a connection below the limit was refused")
				}
				if b.connect(tt.by, tt.third) != nil {
					t.Fatal("a connection above the limit was taken")
				}
				if tt.other != "" && b.connect(tt.otherBy, tt.other) == nil {
					t.Error("a connection that has nothing to do with the limit was refused")
				}
				one.Close()
				one.Close() // gives its place back once
				if b.connect(tt.by, tt.third) == nil {
					t.Error("a connection made no room when it was closed")
				}
				if b.connect(tt.by, tt.third) != nil {
					t.Error("a connection that was closed twice made room for two")
				}
				_, refused := b.limiter.Counts()
				if n := refused[Refusal{tt.met, tt.by}]; n != 2 || len(refused) != 1 {
					t.Errorf("%v were counted, want 2 of %s", refused, tt.met)
				}
				time.Sleep(2 * logEvery) // the timer of the log ends
			})
		})
	}
}

func TestThisMachineAndTrustedProxiesAreManyClients(t *testing.T) {
	b := newListeners(Limits{PerAddress: 1})
	for _, from := range []string{"127.0.0.1", "127.9.9.9", "::1", "10.0.0.1", "::ffff:10.0.0.1"} {
		for i := range 3 {
			if b.connect(protocols.RTMP, from) == nil {
				t.Errorf("connection %d from %s was refused", i, from)
			}
		}
	}
}

func TestLimitsMeetTheConnectionsThatComeAfterAChange(t *testing.T) {
	b := newListeners(Limits{Connections: 9})
	for range 9 {
		b.connect(protocols.RTMP, "192.0.2.1")
	}
	b.limiter.Set(Limits{Connections: 10, Protocols: map[protocols.Protocol]int{protocols.RTSP: 1}})
	if b.connect(protocols.RTSP, "192.0.2.1") == nil || b.connect(protocols.RTMP, "192.0.2.1") != nil {
		t.Error("the new limit is not in force")
	}
	open, _ := b.limiter.Counts()
	if open[protocols.RTMP] != 9 || open[protocols.RTSP] != 1 {
		t.Errorf("open are %v", open)
	}
}

func TestLogTellsOfALimitOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newListeners(Limits{Connections: 1})
		b.connect(protocols.RTMP, "192.0.2.1")
		for range 1000 {
			b.connect(protocols.RTSP, "192.0.2.2")
			time.Sleep(logEvery * 3 / 2000)
		}
		time.Sleep(10 * logEvery)
		b.connect(protocols.RTSP, "192.0.2.3")
		want := []string{
			limitTexts[LimitConnections] + " 1 rtsp 192.0.2.2:2",
			limitTexts[LimitConnections] + " 666 rtsp 192.0.2.2:668",
			limitTexts[LimitConnections] + " 333 rtsp 192.0.2.2:1001",
			limitTexts[LimitConnections] + " 1 rtsp 192.0.2.3:1002",
		}
		if got := strings.Join(b.log, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("the log has\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		time.Sleep(2 * logEvery)
	})
}

func TestEachLimitHasItsWords(t *testing.T) {
	for _, l := range []Limit{
		LimitConnections, LimitProtocol, LimitAddress, LimitReserve, LimitBody, LimitNames, LimitNamesOfAddress, LimitViewersOfAddress,
	} {
		if limitTexts[l] == "" {
			t.Errorf("the limit %s has no words for the log", l)
		}
	}
}

// reserver serves only what may have a connection of the reserve.
type reserver struct{ http.Handler }

func (reserver) Reserved(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/peer") }

func TestReserveIsForNodesAndTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newListeners(Limits{Connections: 1, Reserve: 8})
		handler := reserver{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/peer/proven" {
				Prove(r.Context())
			}
			fmt.Fprint(w, "served")
		})}
		s := NewHTTPServer(handler, Deps{Limiter: b.limiter, Log: slog.New(slog.DiscardHandler)})
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- s.Serve(ctx, l) }()
		connect := func(from string) net.Conn {
			client, server := net.Pipe()
			l.conns <- distant{server, netip.MustParseAddrPort(from)}
			synctest.Wait()
			return client
		}
		ask := func(c net.Conn, path string) string {
			go fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
			buf := make([]byte, 4<<10)
			n, err := c.Read(buf)
			if err != nil {
				return err.Error()
			}
			status, _, _ := strings.Cut(string(buf[:n]), "\r\n")
			return status
		}
		const ok, full = "HTTP/1.1 200 OK", "HTTP/1.1 503 Service Unavailable"
		first := connect("192.0.2.1:1")
		if got := ask(first, "/cam/mpegts"); got != ok {
			t.Errorf("below the limit: %s", got)
		}
		if got := ask(connect("192.0.2.1:2"), "/cam/mpegts"); got != full {
			t.Errorf("a viewer above the limit: %s", got)
		}
		if got := ask(connect("192.0.2.1:3"), "/peer"); got != ok {
			t.Errorf("a node above the limit: %s", got)
		}
		proven := connect("192.0.2.9:1")
		if got := ask(proven, "/peer/proven"); got != ok {
			t.Errorf("a node that proves its key: %s", got)
		}
		slow := connect("192.0.2.7:1")
		for port := range 100 { // silent ones of one address take no more than a quarter
			connect(fmt.Sprintf("192.0.2.66:%d", port+1))
		}
		for i := range 4 {
			connect(fmt.Sprintf("192.0.2.%d:1", i+70))
		}
		if got := ask(slow, "/peer"); got != ok {
			t.Errorf("a node that is slower than one address that connects often: %s", got)
		}
		for i := range 100 { // of many addresses: the oldest have to go
			connect(fmt.Sprintf("192.0.3.%d:1", i+1))
		}
		if got := ask(slow, "/peer"); got != io.EOF.Error() && got != io.ErrClosedPipe.Error() {
			t.Errorf("the oldest of the reserve: %s, want it closed", got)
		}
		if got := ask(connect("192.0.2.8:1"), "/peer"); got != ok {
			t.Errorf("a node that comes while all places of the reserve are taken: %s", got)
		}
		if got := ask(proven, "/peer/proven"); got != ok {
			t.Errorf("a node that has proved its key, after the flood: %s", got)
		}
		if got := ask(first, "/cam/mpegts"); got != ok {
			t.Errorf("a viewer that was there before, after the flood: %s", got)
		}
		cancel()
		<-served
		_ = s.Close()
		time.Sleep(3 * logEvery)
	})
}

func TestBodiesThatDoNotComeAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newListeners(Limits{Body: 7 * time.Second})
		s := NewHTTPServer(http.NotFoundHandler(), Deps{Limiter: b.limiter, Log: slog.New(slog.DiscardHandler)})
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		go func() { _ = s.Serve(t.Context(), l) }()
		for _, body := range []string{"", "hello"} {
			client, server := net.Pipe()
			l.conns <- distant{server, netip.MustParseAddrPort("192.0.2.1:1")}
			go io.Copy(io.Discard, client)
			fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n%s", body)
			time.Sleep(8 * time.Second)
			_ = client.Close()
			synctest.Wait()
		}
		_, refused := b.limiter.Counts()
		if n := refused[Refusal{LimitBody, protocols.HTTP}]; n != 1 {
			t.Errorf("%d bodies were late, want 1", n)
		}
		_ = l.Close()
		_ = s.Close()
		time.Sleep(3 * logEvery)
	})
}
