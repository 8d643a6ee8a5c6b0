package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/protocols/listen"
)

func TestClientPublishesAndPlays(t *testing.T) {
	h := newHub("live/cam1")
	d := newRouter(h)
	s := serve(t, d)
	pub, err := Dial(t.Context(), s.url("/live/cam1?user=bob"), ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	if err := pub.Publish(); err != nil {
		t.Fatal(err)
	}
	if r := receive(t, d.asked, "request"); r.Query != "user=bob" || r.Streams[0] != "live/cam1" || !r.Redirects {
		t.Errorf("request = %+v", r)
	}
	for _, tag := range []flv.Tag{{Type: 9, Body: avcHeader}, {Type: 8, Body: aacHeader}, {Type: 9, Body: idrBody}, {Type: 8, Timestamp: 10, Body: soundBody}} {
		if err := pub.WriteTag(tag); err != nil {
			t.Fatal(err)
		}
	}
	h.wait(t, "two units", func() bool { return len(h.units) == 2 })

	c, err := Play(t.Context(), s.url("/live/cam1"), ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var r recorder
	var dm flv.Demuxer
	for len(r.units) < 2 {
		tag, err := c.ReadTag()
		if err != nil {
			t.Fatal(err)
		}
		if err := dm.Tag(tag, &r); err != nil {
			t.Fatal(err)
		}
	}
	if !r.tracks.Equal(tracks) {
		t.Errorf("tracks = %+v, want %+v", r.tracks, tracks)
	}
	h.end()
	for err == nil {
		_, err = c.ReadTag()
	}
	if err != io.EOF {
		t.Errorf("after the end of the stream: %v, want %v", err, io.EOF)
	}
}

type recorder struct {
	tracks codecs.Tracks
	units  []*codecs.AccessUnit
}

func (r *recorder) SetTracks(t codecs.Tracks) { r.tracks = t }
func (r *recorder) Write(au *codecs.AccessUnit) error {
	r.units = append(r.units, au)
	return nil
}

func TestClientReportsRefusals(t *testing.T) {
	d := newRouter(nil)
	d.refuse = listen.ErrBusy
	d.answer = listen.Answer{Verdict: listen.NotFound}
	s := serve(t, d)
	var status *StatusError
	c, err := Dial(t.Context(), s.url("/live/cam1"), ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(); !errors.As(err, &status) || status.Code != "NetStream.Publish.BadName" {
		t.Errorf("Publish = %v, want BadName", err)
	}
	_ = c.Close()
	if _, err := Play(t.Context(), s.url("/live/cam1"), ClientConfig{}); !errors.As(err, &status) || status.Code != "NetStream.Play.StreamNotFound" {
		t.Errorf("Play = %v, want StreamNotFound", err)
	}
}

func TestClientFollowsRedirectsButNotInCircles(t *testing.T) {
	last := serve(t, newRouter(liveHub()))
	to := func(url string) *server {
		d := newRouter(nil)
		d.answer = listen.Answer{Verdict: listen.Redirect, Location: url}
		return serve(t, d)
	}
	one := to(last.url("/live/cam1"))
	two := to(one.url("/live/cam1"))
	three := to(two.url("/live/cam1"))
	four := to(three.url("/live/cam1"))

	c, err := Play(t.Context(), three.url("/live/cam1"), ClientConfig{})
	if err != nil {
		t.Fatalf("Play over three redirects: %v", err)
	}
	_ = c.Close()
	if _, err := Play(t.Context(), four.url("/live/cam1"), ClientConfig{}); err == nil || !strings.Contains(err.Error(), "more than 3 redirects") {
		t.Errorf("Play over four redirects = %v", err)
	}

	d := newRouter(nil)
	circle := serve(t, d)
	d.answer = listen.Answer{Verdict: listen.Redirect, Location: circle.url("/live/cam1")}
	if _, err := Play(t.Context(), circle.url("/live/cam1"), ClientConfig{}); err == nil || !strings.Contains(err.Error(), "back to") {
		t.Errorf("Play of a server that points to itself = %v", err)
	}
}

func TestClientGivesSilentServersUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		start := time.Now()
		_, err := Dial(t.Context(), "rtmp://node/live/cam1", ClientConfig{
			Timeout: 3 * time.Second,
			DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
				if network != "tcp" || addr != "node:1935" {
					return nil, fmt.Errorf("dialled %s %s", network, addr)
				}
				return here, nil
			},
		})
		if got := time.Since(start); err == nil || got != 3*time.Second { // of the bubble's clock
			t.Errorf("Dial = %v after %v, want an error after 3 s", err, got)
		}
	})
}

func TestClientRefusesOtherURLs(t *testing.T) {
	for _, url := range []string{"http://node/live/cam1", "rtmp:///live/cam1", "rtmp://[::1", "cam1"} {
		if _, err := Dial(t.Context(), url, ClientConfig{}); err == nil {
			t.Errorf("Dial(%q): no error", url)
		}
	}
	_, err := Dial(t.Context(), "http://bob:secret@node/live/cam1?token=secret", ClientConfig{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("Dial = %v, want an error without the secret", err)
	}
}

func TestClientPlaysOverTLS(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil) // for its certificate
	certified.StartTLS()
	defer certified.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := newRouter(liveHub())
	ended := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		ended <- newConn(conn, slog.New(slog.DiscardHandler)).Serve(context.Background(), d)
	}()
	trust := certified.Client().Transport.(*http.Transport).TLSClientConfig
	c, err := Play(t.Context(), "rtmps://"+l.Addr().String()+"/live/cam1", ClientConfig{Roots: trust.RootCAs})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := c.ReadTag(); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	if err := receive(t, ended, "the end"); err != nil {
		t.Errorf("Serve = %v", err)
	}
}
