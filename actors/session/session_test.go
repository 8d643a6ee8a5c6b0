package session_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/session"
	"weir/protocols"
	"weir/protocols/listen"
)

// caller is a connection whose Serve the test decides.
type caller struct {
	serve  func(ctx context.Context, call int64) error
	calls  atomic.Int64
	inside atomic.Int64
	closed atomic.Bool
	most   atomic.Int64 // calls of Serve at one time
}

func (c *caller) Serve(ctx context.Context, _ listen.Router) error {
	if n := c.inside.Add(1); n > c.most.Load() {
		c.most.Store(n)
	}
	defer c.inside.Add(-1)
	return c.serve(ctx, c.calls.Add(1))
}

func (c *caller) Close() error { c.closed.Store(true); return nil }

func (c *caller) Stats() listen.ClientStats {
	return listen.ClientStats{Protocol: protocols.RTMP, Stream: "cam", BytesOut: 100}
}

func enter(t *testing.T, c *caller) (*actor.ActorSystem, *actor.PID, *session.Registry) {
	t.Helper()
	sys := act.NewSystem(nil)
	r := session.NewRegistry()
	pid, err := sys.Root.SpawnNamed(session.Supervisor(act.NewReal(sys, nil), session.Config{Registry: r}), "sessions")
	if err != nil {
		t.Fatal(err)
	}
	sys.Root.Send(pid, session.Enter{Client: c})
	synctest.Wait()
	return sys, pid, r
}

func end(sys *actor.ActorSystem, pid *actor.PID) {
	sys.Root.StopFuture(pid).Wait()
	time.Sleep(time.Hour) // protoactor's own goroutines for dead letters
}

func until(ctx context.Context, _ int64) error { <-ctx.Done(); return ctx.Err() }

func TestSessionEndsWithItsConnectionAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		c := &caller{serve: func(context.Context, int64) error { <-leave; return nil }}
		sys, pid, r := enter(t, c)
		if got := r.List(); len(got) != 1 || got[0].Stream != "cam" {
			t.Errorf("sessions = %v, want the one that entered", got)
		}
		close(leave)
		synctest.Wait()
		if got := r.List(); len(got) != 0 || !c.closed.Load() {
			t.Errorf("sessions = %v and closed = %v after the client left, want none and true", got, c.closed.Load())
		}
		if got := r.Totals()[protocols.RTMP]; got.Open != 0 || got.BytesOut != 100 {
			t.Errorf("totals = %+v, want none open and 100 bytes out", got)
		}
		end(sys, pid)
	})
}

func TestFailedSessionGoesOnWithTheSameConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{serve: func(ctx context.Context, call int64) error {
			if call == 1 {
				time.Sleep(time.Second)
				panic("a bug in a protocol")
			}
			return until(ctx, call)
		}}
		sys, pid, r := enter(t, c)
		time.Sleep(time.Minute)
		if got := c.calls.Load(); got != 2 || c.closed.Load() || len(r.List()) != 1 {
			t.Errorf("served %d times, closed %v, %d sessions; want 2, false, 1", got, c.closed.Load(), len(r.List()))
		}
		end(sys, pid)
		if !c.closed.Load() || c.inside.Load() != 0 {
			t.Error("the connection outlived its session")
		}
	})
}

func TestConnectionThatAlwaysFailsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{serve: func(context.Context, int64) error { panic(errors.New("always")) }}
		sys, pid, r := enter(t, c)
		time.Sleep(time.Minute)
		if got := len(r.List()); got != 0 || !c.closed.Load() {
			t.Errorf("%d sessions, closed %v; want none, true", got, c.closed.Load())
		}
		if got := c.calls.Load(); got != 6 {
			t.Errorf("served %d times before it was given up, want 6", got)
		}
		end(sys, pid)
	})
}

func TestEndOfASessionIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := act.NewSystem(nil)
		told := make(chan string, 10)
		pid, err := sys.Root.SpawnNamed(session.Supervisor(act.NewReal(sys, nil), session.Config{
			Registry: session.NewRegistry(),
			Ended: func(s session.Info, lasted time.Duration) {
				told <- s.ID + " " + s.Stream + " " + lasted.String()
			},
		}), "sessions")
		if err != nil {
			t.Fatal(err)
		}
		sys.Root.Send(pid, session.Enter{Client: &caller{serve: func(context.Context, int64) error { time.Sleep(time.Minute); return nil }}})
		synctest.Wait()
		if len(told) != 0 {
			t.Errorf("told %q of a session that goes on", <-told)
		}
		if got, want := <-told, "1 cam 1m0s"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		time.Sleep(time.Hour)
		if len(told) != 0 {
			t.Errorf("told %q, when the one session had ended", <-told)
		}
		end(sys, pid)
	})
}

func TestSessionIsClosedFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{serve: until}
		sys, pid, r := enter(t, c)
		sys.Root.Send(pid, session.Close{ID: "no such"})
		sys.Root.Send(pid, session.Close{ID: r.List()[0].ID})
		synctest.Wait()
		if len(r.List()) != 0 || !c.closed.Load() {
			t.Error("the session goes on")
		}
		end(sys, pid)
	})
}

func TestWhoeverAsksIsToldOfSessionsThatHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left []listen.ClientStats
		sys := act.NewSystem(nil)
		pid, err := sys.Root.SpawnNamed(session.Supervisor(act.NewReal(sys, nil), session.Config{
			Registry: session.NewRegistry(), Left: func(s listen.ClientStats) { left = append(left, s) },
		}), "sessions")
		if err != nil {
			t.Fatal(err)
		}
		leave := make(chan struct{})
		sys.Root.Send(pid, session.Enter{Client: &caller{serve: func(context.Context, int64) error { <-leave; return nil }}})
		synctest.Wait()
		if len(left) != 0 {
			t.Errorf("told of %v while it is open", left)
		}
		close(leave)
		synctest.Wait()
		if len(left) != 1 || left[0].Stream != "cam" || left[0].BytesOut != 100 {
			t.Errorf("told of %+v, want the session and what it carried", left)
		}
		end(sys, pid)
	})
}
