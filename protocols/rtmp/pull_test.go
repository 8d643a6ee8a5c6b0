package rtmp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
)

// A taker refuses once it has enough.
type taker struct {
	recorder
	most int
}

var errEnough = errors.New("enough")

func (k *taker) Write(au *codecs.AccessUnit) error {
	_ = k.recorder.Write(au)
	if len(k.units) == k.most {
		return errEnough
	}
	return nil
}

func TestPullTakesMediaUntilTheWriterRefuses(t *testing.T) {
	h := liveHub()
	s := serve(t, newRouter(h))
	k := &taker{most: 2}
	h.change(func() {
		h.units = append(h.units, &codecs.AccessUnit{Track: 1, DTS: h.base + 8000, PTS: h.base + 8000, Payload: soundBody[2:]})
	})
	if err := Pull(t.Context(), s.url("/live/cam1"), ClientConfig{}, nil, k); !errors.Is(err, errEnough) {
		t.Fatalf("Pull = %v, want %v", err, errEnough)
	}
	if !k.tracks.Equal(tracks) || !k.units[0].RandomAccess {
		t.Errorf("tracks %+v, want %+v, from a random access point on", k.tracks, tracks)
	}
}

func TestPullSaysThatTheStreamHasEnded(t *testing.T) {
	h := liveHub()
	h.end()
	s := serve(t, newRouter(h))
	if err := Pull(t.Context(), s.url("/live/cam1"), ClientConfig{}, nil, &taker{}); !errors.Is(err, errEnded) {
		t.Errorf("Pull = %v, want %v", err, errEnded)
	}
}

func TestPullEndsWithItsContext(t *testing.T) {
	h := liveHub()
	s := serve(t, newRouter(h))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	k := &taker{}
	ended := make(chan error, 1)
	go func() { ended <- Pull(ctx, s.url("/live/cam1"), ClientConfig{}, nil, k) }()
	receive(t, s.conns, "the connection")
	cancel()
	if err := receive(t, ended, "the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("Pull = %v, want %v", err, context.Canceled)
	}
}

func TestPullOfAServerThatIsNoneIsAnErrorWithoutSecrets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	err = Pull(t.Context(), "rtmp://bob:secret@"+addr+"/live/cam1?token=secret", ClientConfig{}, nil, &taker{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("Pull = %v, want an error without the secret", err)
	}
}

func TestPullGivesASilentServerUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := liveHub()
		here, there := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			c := newConn(there, slog.New(slog.DiscardHandler))
			served <- c.Serve(ctx, newRouter(h))
			_ = c.Close()
		}()
		start := time.Now()
		err := Pull(t.Context(), "rtmp://node/live/cam1", ClientConfig{
			Timeout: 3 * time.Second, Silence: 20 * time.Second,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil },
		}, nil, &taker{})
		if d := time.Since(start); err == nil || d < 20*time.Second || d > 30*time.Second {
			t.Errorf("Pull = %v after %v, want the end of its patience after 20 s", err, d)
		}
		cancel()
		<-served
	})
}

// TestSilenceIsThePatienceWhilePlaying has a server send one tag and then nothing, to a client that reads tags by itself.
func TestSilenceIsThePatienceWhilePlaying(t *testing.T) {
	o := serveOrigin(t, startingVideo)
	c, err := Play(t.Context(), "rtmp://"+o.addr+"/live/a", ClientConfig{Silence: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.patience != time.Hour {
		t.Errorf("the client waits %v for media, want an hour", c.patience)
	}
}
