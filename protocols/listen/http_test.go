package listen

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
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
