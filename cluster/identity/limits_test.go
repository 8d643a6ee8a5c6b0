package identity

import (
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/credentials"

	"weir/cluster/trust"
	"weir/protocols"
	"weir/protocols/listen"
)

// A distant connection comes from an address.
type distant struct {
	net.Conn
	from string
}

func (d distant) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(d.from + ":999"))
}

// Those who prove no key get no more places than there are, one address least of all, and nodes find one all the same.
func TestConnectionsWithoutAKeyLeaveRoomForNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := trust.Derive(clusterKey)
		server, err := trust.ServerTLS(func() []trust.Keys { return []trust.Keys{keys} })
		if err != nil {
			t.Fatal(err)
		}
		client, err := keys.ClientTLS()
		if err != nil {
			t.Fatal(err)
		}
		limiter := listen.NewLimiter(listen.Limits{
			Connections: 6, Protocols: map[protocols.Protocol]int{protocols.Cluster: 4}, PerAddress: 2, Reserve: 2,
		}, nil, slog.New(slog.DiscardHandler))
		g := guard{credentials.NewTLS(server), limiter, nil}
		open := func() int { n, _ := limiter.Counts(); return n[protocols.Cluster] }
		var ended atomic.Int32
		connect := func(from string) net.Conn {
			there, here := net.Pipe()
			go func() {
				if _, _, err := g.ServerHandshake(distant{here, from}); err != nil {
					ended.Add(1)
					_ = here.Close()
				}
			}()
			synctest.Wait()
			return there
		}
		node := func() net.Conn {
			there, here := net.Pipe()
			accepted := make(chan net.Conn, 1)
			go func() {
				c, _, err := g.ServerHandshake(distant{here, "192.0.2.7"})
				if err != nil {
					t.Errorf("a node with the key: %v", err)
				}
				accepted <- c
			}()
			go func() {
				_, _, err := credentials.NewTLS(client).ClientHandshake(t.Context(), client.ServerName, there)
				if err != nil {
					t.Errorf("the handshake of a node: %v", err)
				}
			}()
			return <-accepted
		}
		var held []net.Conn
		for range 5 {
			held = append(held, connect("192.0.2.66"))
		}
		if open() != 2 || ended.Load() != 3 {
			t.Fatalf("one address has %d connections, and %d were closed; want 2 and 3", open(), ended.Load())
		}
		for _, from := range []string{"192.0.2.67", "192.0.2.68", "192.0.2.69", "192.0.2.70"} {
			held = append(held, connect(from))
		}
		if open() != 4 {
			t.Fatalf("%d connections are open, want 4", open())
		}
		first := node() // at the limit of the protocol, in the reserve
		if first == nil || open() != 4 {
			t.Fatalf("%d connections without a key are open beside a node, want 4", open())
		}
		for _, c := range held {
			_ = c.Close()
		}
		synctest.Wait()
		if open() != 0 {
			t.Errorf("%d connections are open after all have left, want 0", open())
		}
		_ = first.Close()
		_, refused := limiter.Counts()
		if n := refused[listen.Refusal{Limit: listen.LimitAddress, Protocol: protocols.Cluster}]; n != 3 {
			t.Errorf("%v were counted, want 3 of the address", refused)
		}
		time.Sleep(5 * time.Minute) // the timers of the log end
	})
}

// TestLinkWithoutAKeyIsAnError is a node whose reload has taken its last key away.
func TestLinkWithoutAKeyIsAnError(t *testing.T) {
	var l linkCreds
	l.o.Keys = func() []trust.Keys { return nil }
	for _, l.o.KeysOf = range []func(string) trust.Keys{nil, func(string) trust.Keys { return trust.Keys{} }} {
		if _, _, err := l.ClientHandshake(t.Context(), "127.0.0.1:9", nil); err == nil {
			t.Error("a handshake without a key: no error")
		}
	}
}
