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
	"weir/codecs/reception"
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

func write(w codecs.Writer, dts int64) error {
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
		if d := time.Since(start); d < time.Minute || d > 70*time.Second {
			t.Errorf("silence was noticed after %v, want little more than a minute", d)
		}
		end()
	})
}

func TestPausesBetweenMediaDoNotAddUpToSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says, end := run(t, hub.New("a", hub.Config{}), 8*time.Second, func(ctx context.Context, w input.Writer) error {
			w.SetTracks(tracks)
			for n := range int64(60) {
				if err := write(w, n*2*90000); err != nil {
					return err
				}
				time.Sleep(2 * time.Second)
			}
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(time.Minute)
		for len(says) > 0 {
			if m, ok := (<-says).(input.Down); ok {
				t.Errorf("an input with media every two seconds is down: %v", m.Err)
			}
		}
		end()
	})
}

func TestSoundWithoutPicturesIsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := codecs.Tracks{tracks[0], {Codec: codecs.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}}
		says, end := run(t, hub.New("a", hub.Config{}), 10*time.Second, func(ctx context.Context, w input.Writer) error {
			w.SetTracks(both)
			for n := int64(1); ; n++ {
				au := &codecs.AccessUnit{Track: 1, DTS: n * 90000, PTS: n * 90000, Payload: []byte{1}}
				if n == 1 {
					au.Track, au.RandomAccess = 0, true
				}
				if err := w.Write(au); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Second):
				}
			}
		})
		if m, ok := (<-says).(input.Up); !ok {
			t.Errorf("first it says %v, want Up", m)
		}
		start := time.Now()
		if m, ok := (<-says).(input.Down); !ok || !errors.Is(m.Err, input.ErrSilent) {
			t.Errorf("then it says %v, want Down for want of pictures", m)
		}
		if d := time.Since(start); d > 12*time.Second {
			t.Errorf("it was noticed after %v, want some 10 s", d)
		}
		end()
	})
}

func TestTimestampsFromAnywhereBecomeInstants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New("a", hub.Config{})
		sys := act.NewSystem(nil)
		env := act.NewReal(sys, nil)
		wall := func() int64 { return time.Now().UnixMilli() * 90 }
		start := wall()
		pid := sys.Root.Spawn(act.Props(env, "parent", func() actor.Actor {
			return &parent{
				Backoff: act.Backoff{Env: env, Min: time.Second, Max: time.Second, Quiet: time.Minute},
				says:    make(chan any, 10),
				cfg: input.Config{Index: 1, Hub: h, Wall: wall, Source: input.Run(func(ctx context.Context, w input.Writer) error {
					w.SetTracks(tracks)
					for n := range int64(3) {
						if err := write(w, 777+n*3600); err != nil {
							return err
						}
						time.Sleep(40 * time.Millisecond)
					}
					<-ctx.Done()
					return ctx.Err()
				})},
			}
		}))
		synctest.Wait()
		f := h.Units()
		defer f.Close()
		time.Sleep(time.Second)
		var units []*codecs.AccessUnit
		for len(units) < 3 {
			var err error
			if units, _, err = f.Next(t.Context(), units); err != nil {
				t.Fatal(err)
			}
		}
		for _, au := range units {
			if off := au.DTS - start; off < 0 || off > 90000 || (off%3600) != 0 || au.PTS != au.DTS {
				t.Errorf("DTS %d, PTS %d, want pictures from %d on", au.DTS, au.PTS, start)
			}
		}
		sys.Root.StopFuture(pid).Wait()
		time.Sleep(time.Hour)
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
		other := h.NewWriter(hub.WriterConfig{})
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

func TestPicturesWithoutOneToStartFromAreALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says, end := run(t, hub.New("a", hub.Config{}), 10*time.Second, func(ctx context.Context, w input.Writer) error {
			w.SetTracks(tracks)
			for n := int64(0); ; n++ {
				au := &codecs.AccessUnit{DTS: n * 3600, PTS: n * 3600, RandomAccess: n%25 == 0 && n < 100, Payload: []byte{1}}
				if err := w.Write(au); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(40 * time.Millisecond):
				}
			}
		})
		if m, ok := (<-says).(input.Up); !ok {
			t.Errorf("first it says %v, want Up", m)
		}
		start := time.Now()
		m, ok := (<-says).(input.Down)
		if !ok || !errors.Is(m.Err, input.ErrSilent) || !strings.Contains(m.Err.Error(), "from which a viewer can start") {
			t.Errorf("then it says %v, want Down for want of pictures to start from", m)
		}
		if d := time.Since(start); d < 20*time.Second || d > 30*time.Second {
			t.Errorf("it was noticed after %v, want 10 s of pictures and the 10 s of source_timeout", d)
		}
		end()
	})
}

func TestMonitorTellsEachChangeOnce(t *testing.T) {
	var said []string
	now := time.Duration(0)
	m := input.NewMonitor(func() time.Duration { return now }, func(c input.Change) {
		if c.LeftOut != nil {
			said = append(said, "without "+c.LeftOut.Track)
		} else {
			said = append(said, c.Condition.String())
		}
	})
	left := []reception.LeftOut{{Track: "PID 257", Codec: "AAC", Reason: "nothing has come of it"}}
	for range 2 { // the input is restarted, and nothing has changed
		m.Begin()
		m.SetTracks(tracks)
		m.LeaveOut(left)
		m.Meet(reception.Scrambled, "PID 256 is scrambled")
		m.Meet(reception.Scrambled, "PID 256 is still scrambled")
		now += time.Second
		m.Look()
	}
	m.Unit(&codecs.AccessUnit{RandomAccess: true, Payload: []byte{1}})
	m.Meet(reception.Scrambled, "")
	m.LeaveOut(nil)
	m.LeaveOut(left)
	if got, want := strings.Join(said, ", "), "without PID 257, scrambled, , without PID 257"; got != want {
		t.Errorf("it tells %q, want %q", got, want)
	}
	if h := m.Health(); h.Restarts != 1 || h.Units != 1 || h.Bytes != 1 || h.Condition != 0 || len(h.LeftOut) != 1 {
		t.Errorf("health %+v", h)
	}
}
