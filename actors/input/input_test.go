package input_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/codecs"
)

var tracks = codecs.Tracks{{Codec: codecs.H264, Config: []byte{1}}}

// parent keeps one input and hands on what it says.
type parent struct {
	act.Backoff
	cfg  input.Config
	says chan any
}

func (p *parent) Receive(ctx actor.Context) {
	if p.Handle(ctx) {
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		if _, err := ctx.SpawnNamed(input.Props(p.Env, p.cfg), "inputs/1"); err != nil {
			panic(err)
		}
	case input.Up, input.Down:
		p.says <- m
	}
}

// run starts an input with a source and returns what its parent hears.
func run(t *testing.T, h *hub.Hub, silence time.Duration, src input.Run) (says chan any, end func()) {
	t.Helper()
	sys := act.NewSystem(nil)
	env := act.NewReal(sys, nil)
	says = make(chan any, 100)
	pid := sys.Root.Spawn(act.Props(env, "parent", func() actor.Actor {
		return &parent{
			Backoff: act.Backoff{Env: env, Min: time.Second, Max: time.Second, Quiet: time.Minute},
			cfg:     input.Config{Index: 1, URL: "test://x", Hub: h, Source: src, Silence: silence},
			says:    says,
		}
	}))
	return says, func() {
		sys.Root.StopFuture(pid).Wait()
		time.Sleep(time.Hour) // protoactor's own goroutines for dead letters
	}
}

func write(w input.Writer, dts int64) error {
	return w.Write(&codecs.AccessUnit{DTS: dts, PTS: dts, RandomAccess: true, Payload: []byte{1}})
}

func TestInputIsUpWithItsFirstMediaAndDownWhenItsSourceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts atomic.Int64
		errGone := errors.New("camera unplugged")
		says, end := run(t, hub.New("a", hub.Config{}), 0, func(ctx context.Context, w input.Writer) error {
			n := starts.Add(1)
			w.SetTracks(tracks)
			time.Sleep(time.Second)
			if err := write(w, n*90000); err != nil {
				return err
			}
			time.Sleep(time.Second)
			return errGone
		})
		for range 2 { // and again: it restarts by itself
			if m, ok := (<-says).(input.Up); !ok || m.Index != 1 {
				t.Errorf("first it says %v, want Up", m)
			}
			if m, ok := (<-says).(input.Down); !ok || !errors.Is(m.Err, errGone) || !strings.Contains(m.Err.Error(), "test://x") {
				t.Errorf("then it says %v, want Down with the URL and %v", m, errGone)
			}
		}
		end()
	})
}

func TestSilentInputIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says, end := run(t, hub.New("a", hub.Config{}), time.Minute, func(ctx context.Context, w input.Writer) error {
			w.SetTracks(tracks)
			if err := write(w, 90000); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if m, ok := (<-says).(input.Up); !ok {
			t.Errorf("first it says %v, want Up", m)
		}
		start := time.Now()
		m, ok := (<-says).(input.Down)
		if !ok || !strings.Contains(m.Err.Error(), "no media") {
			t.Errorf("then it says %v, want Down for want of media", m)
		}
		if d := time.Since(start); d < time.Minute || d > 2*time.Minute {
			t.Errorf("silence was noticed after %v, want between one and two minutes", d)
		}
		end()
	})
}

func TestInputWhosePlaceIsTakenIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		says, end := run(t, h, 0, func(ctx context.Context, w input.Writer) error {
			w.SetTracks(tracks)
			for n := int64(1); ; n++ {
				if err := write(w, n*90000); err != nil {
					return err
				}
				time.Sleep(time.Second)
			}
		})
		<-says
		other := h.NewWriter(nil)
		other.SetTracks(tracks)
		if err := write(other, 1000*90000); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		select {
		case m := <-says:
			t.Errorf("it says %v after another input took over, want nothing", m)
		default:
		}
		end()
	})
}
