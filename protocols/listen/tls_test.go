package listen

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/protocols"
)

// hello is the beginning of a handshake.
func hello(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	go func() { _ = tls.Client(client, &tls.Config{ServerName: "localhost"}).Handshake() }()
	b := make([]byte, 200)
	if _, err := io.ReadFull(server, b); err != nil {
		t.Fatal(err)
	}
	_ = server.Close()
	return b
}

func TestClientThatDoesNotShakeHandsIsClosedAsOneThatSaysNothing(t *testing.T) {
	half := hello(t)
	for name, send := range map[string][]byte{"sends nothing": nil, "sends half of its first message": half} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limiter := NewLimiter(Limits{Connections: 1}, nil, slog.New(slog.DiscardHandler))
				s := NewHTTPServer(http.NotFoundHandler(), Deps{Log: slog.New(slog.DiscardHandler), Limiter: limiter})
				l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				go func() { _ = s.Serve(t.Context(), OverTLS(l, serverConfig(t))) }()
				client, server := net.Pipe()
				began := time.Now()
				l.conns <- server
				_, _ = client.Write(send)
				if open, _ := limiter.Counts(); open[protocols.HTTPS] != 1 || open[protocols.HTTP] != 0 {
					t.Errorf("open are %v, want one of https: it counts before it has shaken hands", open)
				}
				_, _ = io.Copy(io.Discard, client)
				if d := time.Since(began); d != headTimeout {
					t.Errorf("the connection was closed after %v, want %v", d, headTimeout)
				}
				synctest.Wait()
				if open, _ := limiter.Counts(); open[protocols.HTTPS] != 0 {
					t.Errorf("open are %v, want none", open)
				}
				_ = s.Close()
				_ = l.Close()
			})
		})
	}
}

// A server that reads with a deadline, as those of RTMP and RTSP do, shakes hands under it.
func TestHandshakeIsUnderTheDeadlineOfTheFirstRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn, 2), done: make(chan struct{})}
		failed := make(chan error)
		go func() {
			_ = Accept(t.Context(), OverTLS(l, serverConfig(t)), protocols.RTMP, Deps{Log: slog.New(slog.DiscardHandler)}, func(c *Conn) {
				if !Secure(c) || c.Gathers() {
					t.Errorf("a connection over TLS is secure: %t, gathers: %t", Secure(c), c.Gathers())
				}
				_ = c.SetReadDeadline(time.Now().Add(7 * time.Second))
				go func() {
					_, err := c.Read(make([]byte, 1))
					_ = c.Close()
					failed <- err
				}()
			})
		}()
		began := time.Now()
		silent, server := net.Pipe()
		l.conns <- server
		other, server := net.Pipe() // which is held up by nobody
		l.conns <- server
		go func() {
			_, _ = io.WriteString(tls.Client(other, &tls.Config{InsecureSkipVerify: true}), "x")
			_, _ = io.Copy(io.Discard, other)
		}()
		if err := <-failed; err != nil || time.Since(began) != 0 {
			t.Errorf("the client that shakes hands is read with error %v after %v, want at once", err, time.Since(began))
		}
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 7*time.Second {
			t.Errorf("the silent client fails with %v after %v, want its deadline", err, time.Since(began))
		}
		_ = silent.Close()
		_ = l.Close()
	})
}

func TestClosingWaitsForNoClientThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		l := &pipes{conns: make(chan net.Conn, 1), done: make(chan struct{})}
		l.conns <- server
		conn, err := OverTLS(l, serverConfig(t)).Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = tls.Client(client, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
		if err := accepted(conn).tls.Handshake(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_ = conn.Close()
		if d := time.Since(began); d > lastWords {
			t.Errorf("Close took %v, want %v at most", d, lastWords)
		}
	})
}

// secureServer serves handler over TLS, behind trusted proxies, and gives the address.
func secureServer(t *testing.T, h http.Handler, limiter *Limiter) string {
	t.Helper()
	l, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := serverConfig(t)
	config.NextProtos = []string{"h2", "http/1.1"}
	s := NewHTTPServer(h, Deps{Log: slog.New(slog.DiscardHandler), Limiter: limiter})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- s.Serve(ctx, OverTLS(BehindProxies(l, loopback, 8, slog.New(slog.DiscardHandler)), config))
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = s.Close()
	})
	return l.Addr().String()
}

func TestRequestsOverTLSAreSecureAndOfTheClientThatTheProxyNames(t *testing.T) {
	seen := make(chan string, 1)
	addr := secureServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		q := HTTPRequest(r, protocols.TS, "cam")
		seen <- fmt.Sprintf("%s from %s, secure %t, proxied %t", r.Proto, q.Remote, q.Secure, q.Proxied)
	}), nil)
	_, port, _ := net.SplitHostPort(addr)
	for _, tt := range []struct{ proto, header, want string }{
		{"http/1.1", "PROXY TCP4 192.0.2.1 192.0.2.2 99 443\r\n", "HTTP/1.1 from 192.0.2.1:99, secure true, proxied false"},
		{"h2", "PROXY TCP4 192.0.2.1 192.0.2.2 98 443\r\n", "HTTP/2.0 from 192.0.2.1:98, secure true, proxied false"},
	} {
		client := &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: tt.proto == "h2", DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{tt.proto}},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err == nil {
					_, err = io.WriteString(c, tt.header)
				}
				return c, err
			},
		}}
		res, err := client.Get("https://localhost:" + port + "/")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := <-seen; got != tt.want {
			t.Errorf("%s: the request is %s, want %s", tt.proto, got, tt.want)
		}
	}
}

func TestReserveIsForNodesOverTLSToo(t *testing.T) {
	limiter := NewLimiter(Limits{Protocols: map[protocols.Protocol]int{protocols.HTTPS: 1}, Reserve: 1}, nil, slog.New(slog.DiscardHandler))
	addr := secureServer(t, reserver{http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { Prove(r.Context()) })}, limiter)
	ask := func(path string) string {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.TrimSpace(strings.TrimPrefix(line, "HTTP/1.1 "))
	}
	first, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) // takes the only place
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if got := ask("/cam/mpegts"); got != "503 Service Unavailable" {
		t.Errorf("a viewer above the limit is answered %q, want 503", got)
	}
	if got := ask("/peer"); got != "200 OK" {
		t.Errorf("a node above the limit is answered %q, want 200", got)
	}
	if _, refused := limiter.Counts(); refused[Refusal{LimitReserve, protocols.HTTPS}] > 1 {
		t.Errorf("refused are %v", refused)
	}
}
