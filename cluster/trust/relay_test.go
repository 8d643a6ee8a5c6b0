package trust_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/cluster/trust"
	"weir/codecs"
	"weir/protocols/listen"
	"weir/protocols/relay"
)

// over is a stream that has one list of tracks and is over.
type over struct{}

func (over) Name() string           { return "cam 01" }
func (over) Tracks() codecs.Tracks  { return codecs.Tracks{{Codec: codecs.MP3}} }
func (over) Units() listen.UnitFeed { return nil }

func (o over) Join(_ string, mk func(int64) codecs.Encoder) listen.Feed {
	return &prologue{bytes: mk(0).Prologue(o.Tracks())}
}

type prologue struct{ bytes []byte }

func (p *prologue) Next(_ context.Context, bufs [][]byte) ([][]byte, error) {
	if p.bytes == nil {
		return bufs, io.EOF
	}
	bufs, p.bytes = append(bufs, p.bytes), nil
	return bufs, nil
}

func (*prologue) Dropped() uint64 { return 0 }
func (*prologue) Close()          {}

type router struct{ asked atomic.Int32 }

func (d *router) Play(_ context.Context, r listen.Request) listen.Answer {
	d.asked.Add(1)
	if r.Streams[0] != "cam 01" {
		return listen.Answer{Verdict: listen.NotFound}
	}
	return listen.Answer{Verdict: listen.Serve, Stream: r.Streams[0], Source: over{}}
}

func (*router) Publish(context.Context, listen.Request) (listen.Publication, error) {
	return nil, listen.ErrDenied
}

type sessions struct{ router listen.Router }

func (s sessions) Enter(c listen.Client) {
	go func() {
		_ = c.Serve(context.Background(), s.router)
		_ = c.Close()
	}()
}

type tracks struct{ got codecs.Tracks }

func (t *tracks) SetTracks(ts codecs.Tracks)        { t.got = ts }
func (t *tracks) Write(au *codecs.AccessUnit) error { return nil }

// The relay takes its connection over and writes the head of its reply by itself; the proof must be in it.
func TestRelayOfMediaIsProvedInBothDirections(t *testing.T) {
	key := trust.Derive("abcd")
	d := &router{}
	var wrong atomic.Int32
	log := slog.New(slog.DiscardHandler)
	s := httptest.NewServer(key.Handler(relay.New(listen.Deps{Router: d, Sessions: sessions{d}, Log: log}), trust.Options{
		Streaming: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, relay.Path) },
		WrongKey:  func(netip.Addr) { wrong.Add(1) },
		Log:       log,
	}))
	defer s.Close()
	pull := func(k trust.Keys, stream string) (codecs.Tracks, error) {
		var out tracks
		err := relay.Pull(t.Context(), k.Transport(nil), relay.URL(s.URL, stream, 1), &out, relay.Options{Answer: time.Minute, Silence: time.Minute})
		return out.got, err
	}
	if got, err := pull(key, "cam 01"); !errors.Is(err, relay.ErrEnded) || !got.Equal(over{}.Tracks()) {
		t.Errorf("Pull = %v, %v, want the tracks and %v", got, err, relay.ErrEnded)
	}
	if _, err := pull(key, "cam02"); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("Pull of an unknown stream: error = %v, want %v", err, relay.ErrNotFound)
	}
	if _, err := pull(trust.Derive("wrong"), "cam 01"); !errors.Is(err, trust.ErrWrongKey) || wrong.Load() != 1 {
		t.Errorf("Pull with a wrong key: error = %v, %d counted, want %v and 1", err, wrong.Load(), trust.ErrWrongKey)
	}
	if got := d.asked.Load(); got != 2 {
		t.Errorf("the router was asked %d times, want 2", got)
	}
}
