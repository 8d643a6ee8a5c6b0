package act_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
)

// events collects what an environment is told.
type events struct {
	mu    sync.Mutex
	kinds []string
}

func (e *events) add(ev act.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kinds = append(e.kinds, ev.Kind)
}

func (e *events) count(kind string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range e.kinds {
		if k == kind {
			n++
		}
	}
	return n
}

// parent is an actor with one child, restarted by a Backoff.
type parent struct {
	act.Backoff
	child   func() actor.Actor
	started chan *actor.PID
	gone    chan struct{}
}

func (p *parent) Receive(ctx actor.Context) {
	if p.Handle(ctx) {
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		pid, err := ctx.SpawnNamed(act.Props(p.Env, "child", p.child), "child")
		if err != nil {
			panic(err)
		}
		p.started <- pid
	case *actor.Terminated:
		close(p.gone)
	case string:
		if m == "stop" {
			for _, c := range ctx.Children() {
				p.Stop(ctx, c)
			}
		}
	}
}

// failing panics when told to, and says when it starts.
type failing struct {
	starts   chan time.Duration
	env      act.Env
	stopping any // panic with it in Stopping
	stopped  any // panic with it in Stopped
}

func (f *failing) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		f.starts <- f.env.Now()
	case *actor.Stopping:
		if f.stopping != nil {
			panic(f.stopping)
		}
	case *actor.Stopped:
		if f.stopped != nil {
			panic(f.stopped)
		}
	case error:
		panic(m)
	}
}

type family struct {
	sys    *actor.ActorSystem
	env    *act.Real
	events *events
	pid    *actor.PID
	child  *actor.PID
	starts chan time.Duration
	gone   chan struct{}
}

func newFamily(t *testing.T, limit int, stopping, stopped any) *family {
	t.Helper()
	f := &family{sys: act.NewSystem(nil), events: &events{}, starts: make(chan time.Duration, 100), gone: make(chan struct{})}
	f.env = act.NewReal(f.sys, f.events.add)
	kids := make(chan *actor.PID, 1)
	pid, err := f.sys.Root.SpawnNamed(act.Props(f.env, "parent", func() actor.Actor {
		return &parent{
			Backoff: act.Backoff{Env: f.env, Min: time.Second, Max: 8 * time.Second, Quiet: time.Minute, Limit: limit},
			child: func() actor.Actor {
				return &failing{starts: f.starts, env: f.env, stopping: stopping, stopped: stopped}
			},
			started: kids, gone: f.gone,
		}
	}), "parent")
	if err != nil {
		t.Fatalf("spawning the parent: %v", err)
	}
	f.pid, f.child = pid, <-kids
	<-f.starts
	return f
}

// settle sleeps out the goroutines that protoactor starts for dead letters.
func settle() { time.Sleep(time.Hour) }

var errBoom = errors.New("boom")

func TestFailedChildIsRestartedAfterADelayThatDoublesUpToItsCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t, 0, nil, nil)
		for n, most := range []time.Duration{1, 2, 4, 8, 8} {
			most *= time.Second
			before := f.env.Now()
			f.sys.Root.Send(f.child, errBoom)
			got := <-f.starts - before
			if got < most/2 || got > most {
				t.Errorf("restart %d after %v, want between %v and %v", n+1, got, most/2, most)
			}
		}
		if got := f.env.Tree().Restarts()["child"]; got != 5 {
			t.Errorf("restarts counted = %d, want 5", got)
		}
		time.Sleep(2 * time.Minute) // quiet: the next failure counts as the first
		before := f.env.Now()
		f.sys.Root.Send(f.child, errBoom)
		if got := <-f.starts - before; got > time.Second {
			t.Errorf("restart after a quiet time took %v, want at most 1s", got)
		}
		f.sys.Root.Stop(f.pid)
		settle()
	})
}

func TestChildThatFailsBeyondTheLimitIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t, 1, nil, nil)
		f.sys.Root.Send(f.child, errBoom)
		<-f.starts
		f.sys.Root.Send(f.child, errBoom)
		<-f.gone
		if f.events.count("actor_gave_up") != 1 {
			t.Errorf("events = %v, want one %s", f.events.kinds, "actor_gave_up")
		}
		f.sys.Root.Stop(f.pid)
		settle()
	})
}

func TestPanicWhileStoppingNeitherRevivesTheActorNorHidesItsEnd(t *testing.T) {
	for _, tt := range []struct {
		name              string
		stopping, stopped any
	}{
		{name: "in Stopping", stopping: errBoom},
		{name: "in Stopped", stopped: errBoom},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFamily(t, 0, tt.stopping, tt.stopped)
				f.sys.Root.Send(f.pid, "stop")
				<-f.gone
				if got := f.events.count("actor_stop_panic"); got != 1 {
					t.Errorf("%s reported %d times, want 1", "actor_stop_panic", got)
				}
				select {
				case <-f.starts:
					t.Error("the child was started again")
				default:
				}
				f.sys.Root.Stop(f.pid)
				settle()
			})
		})
	}
}

func TestParentStoppedWhileARestartIsPendingEndsTheChildForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t, 0, nil, nil)
		f.sys.Root.Send(f.child, errBoom)
		synctest.Wait() // the restart is pending
		if err := f.sys.Root.StopFuture(f.pid).Wait(); err != nil {
			t.Errorf("stopping the parent: %v", err)
		}
		settle()
		select {
		case <-f.starts:
			t.Error("the child was started again")
		default:
		}
		if got := f.env.Tree().Leaves(); len(got) != 0 {
			t.Errorf("tree = %v, want it empty", got)
		}
	})
}

// counting counts the timers that are cancelled.
type counting struct {
	act.Env
	cancelled *int
}

func (c counting) After(d time.Duration, to *actor.PID, msg any) func() {
	cancel := c.Env.After(d, to, msg)
	return func() {
		*c.cancelled++
		cancel()
	}
}

func TestChildThatIsStoppedWhileItWaitsForItsRestartLeavesNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, n := act.NewSystem(nil), 0
		env := counting{act.NewReal(sys, func(act.Event) {}), &n}
		kids, starts, gone := make(chan *actor.PID, 1), make(chan time.Duration, 9), make(chan struct{})
		pid := sys.Root.Spawn(act.Props(env, "parent", func() actor.Actor {
			return &parent{
				Backoff: act.Backoff{Env: env, Min: time.Minute, Max: time.Minute, Quiet: time.Hour},
				child:   func() actor.Actor { return &failing{starts: starts, env: env} }, started: kids, gone: gone,
			}
		}))
		child := <-kids
		<-starts
		sys.Root.Send(child, errBoom)
		synctest.Wait()
		sys.Root.Send(pid, "stop")
		<-gone
		synctest.Wait()
		if n != 1 || len(starts) != 0 {
			t.Errorf("%d timers were cancelled and %d children were started, want one and none", n, len(starts))
		}
		if err := sys.Root.StopFuture(pid).Wait(); err != nil {
			t.Error(err)
		}
		settle()
	})
}

// owner runs a task and hands on how it ended.
type owner struct {
	env  act.Env
	run  func(context.Context) error
	ends chan error
	task *act.Task
}

func (o *owner) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		o.task = o.env.Go(ctx.Self(), o.run)
	case act.Ended:
		if m.Task == o.task {
			o.ends <- m.Err
		}
	case *actor.Stopping:
		o.task.Stop()
	}
}

func TestTaskReportsItsEndAndAPanicIsAnError(t *testing.T) {
	for _, tt := range []struct {
		name     string
		run      func(context.Context) error
		panicked bool
	}{
		{name: "returns", run: func(context.Context) error { return errBoom }},
		{name: "panics", run: func(context.Context) error { panic(errBoom) }, panicked: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := act.NewSystem(nil)
				env := act.NewReal(sys, nil)
				ends := make(chan error, 1)
				pid := sys.Root.Spawn(act.Props(env, "owner", func() actor.Actor { return &owner{env: env, run: tt.run, ends: ends} }))
				err := <-ends
				if !errors.Is(err, errBoom) || act.Panicked(err) != tt.panicked {
					t.Errorf("Ended.Err = %v (panicked %v), want %v (panicked %v)", err, act.Panicked(err), errBoom, tt.panicked)
				}
				sys.Root.Stop(pid)
				settle()
			})
		})
	}
}

func TestStoppedActorStopsItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := act.NewSystem(nil)
		env := act.NewReal(sys, nil)
		over := make(chan struct{})
		pid := sys.Root.Spawn(act.Props(env, "owner", func() actor.Actor {
			return &owner{env: env, ends: make(chan error, 1), run: func(ctx context.Context) error {
				<-ctx.Done()
				close(over)
				return ctx.Err()
			}}
		}))
		sys.Root.Stop(pid)
		<-over
		settle()
	})
}

func TestDelayStaysWithinItsBounds(t *testing.T) {
	for _, tt := range []struct {
		fails      int
		least, cap time.Duration
	}{
		{1, 500, 1000},
		{2, 1000, 2000},
		{4, 4000, 8000},
		{5, 5000, 10000},
		{1 << 40, 5000, 10000},
	} {
		for _, random := range []uint64{0, 1, 12345, 1<<64 - 1} {
			if got := act.Delay(1000, 10000, tt.fails, random); got < tt.least || got > tt.cap {
				t.Errorf("Delay(1000, 10000, %d, %d) = %d, want within [%d, %d]", tt.fails, random, got, tt.least, tt.cap)
			}
		}
	}
}
