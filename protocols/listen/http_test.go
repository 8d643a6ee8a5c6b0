package listen

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// records is a log that sends its lines.
type records chan slog.Record

func (records) Enabled(context.Context, slog.Level) bool        { return true }
func (r records) WithAttrs([]slog.Attr) slog.Handler            { return r }
func (r records) WithGroup(string) slog.Handler                 { return r }
func (r records) Handle(_ context.Context, l slog.Record) error { r <- l; return nil }

func TestConnectionThatSendsNoRequestLeavesOneLine(t *testing.T) {
	log := make(records, 16)
	s := NewHTTPServer(http.NotFoundHandler(), Deps{Log: slog.New(log)})
	l, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, l) }()

	talk := func(text string) (me string) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, c) // until the server closes
		return c.LocalAddr().String()
	}
	talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	for _, garbage := range []string{"HELO there\r\nwho is it\r\n\r\n", strings.Repeat("\x00\xff", 100) + "\r\n"} {
		me := talk(garbage)
		line := <-log // of the garbage: the request has left none
		client := ""
		line.Attrs(func(a slog.Attr) bool {
			if a.Key == "client" {
				client = a.Value.String()
			}
			return true
		})
		if line.Message != "not an HTTP client" || line.Level != slog.LevelDebug || client != me {
			t.Errorf("%.10q from %s leaves the line %q of level %v about %s", garbage, me, line.Message, line.Level, client)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if len(log) > 0 {
		t.Errorf("%d lines more, the first %q", len(log), (<-log).Message)
	}
}

// pipes is a listener of connections within the process.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }
func (*pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestBodyThatDoesNotComeEndsItsConnection(t *testing.T) {
	read := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
	ignored := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
	slow := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(3 * time.Minute):
			w.WriteHeader(http.StatusOK)
		case <-r.Context().Done():
		}
	}
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		request string
		ends    bool // the connection, without the client
	}{
		{"a length is announced", read, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", true},
		{"a part of it comes", read, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhello", true},
		{"chunks are announced", read, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		{"nobody reads it", ignored, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", true},
		{"of a GET", ignored, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", true},
		{"no body, and an answer that takes long", slow, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false},
		{"a whole body", read, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewHTTPServer(tt.handler, Deps{Log: slog.New(slog.DiscardHandler)})
				l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				go func() { _ = s.Serve(t.Context(), l) }()
				client, server := net.Pipe()
				l.conns <- server
				ended := make(chan struct{})
				got := make(chan string, 100)
				go func() {
					defer close(ended)
					for b := make([]byte, 1<<10); ; {
						n, err := client.Read(b)
						got <- string(b[:n])
						if err != nil {
							return
						}
					}
				}()
				if _, err := io.WriteString(client, tt.request); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute + time.Second)
				synctest.Wait()
				select {
				case <-ended:
					if !tt.ends {
						t.Error("the connection has ended")
					}
				default:
					if tt.ends {
						t.Error("the connection is open still")
					}
				}
				if !tt.ends {
					time.Sleep(2 * time.Minute)
					synctest.Wait()
					if len(got) == 0 || !strings.Contains(<-got, "200") {
						t.Error("the request is not answered with 200")
					}
				}
				_ = client.Close()
				_ = s.Close()
				_ = l.Close()
				<-ended
			})
		})
	}
}
