package controller_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors"
	"weir/actors/act"
	"weir/actors/stream"
	"weir/cluster/control"
	"weir/cluster/controller"
)

// A host is the environment of a control actor, on a node with the streams "cam" and "live", which is published, and no peers.
type host struct {
	sys    *actor.ActorSystem
	root   *actor.PID
	client controller.Client

	mu       sync.Mutex
	view     *control.View
	events   []control.Event
	captures []string // that were started
	drained  int
	asleep   time.Duration
}

// locked calls f while it holds the lock.
func (h *host) locked(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// count is how many events had the type of `one`.
func (h *host) count(of control.Event) (n int) {
	h.locked(func() {
		for _, ev := range h.events {
			if reflect.TypeOf(ev) == reflect.TypeOf(of) {
				n++
			}
		}
	})
	return n
}

var errBoom = errors.New("boom")

func start(t *testing.T, load func() control.Load) *host {
	t.Helper()
	h := &host{sys: act.NewSystem(nil)}
	env := act.NewReal(h.sys, nil)
	streams := h.sys.Root.Spawn(act.Props(env, "streams", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case stream.Capture:
				h.locked(func() { h.captures = append(h.captures, m.Stream) })
			case stream.Release:
				h.client.Send(control.CaptureStopped{Stream: m.Stream})
			}
		})
	}))
	props := controller.Props(env, controller.Config{
		Control: func() control.Config {
			return control.Config{
				Self: "n1", Named: true, Instance: "i1", Seed: 1,
				Streams: []control.Stream{{Name: "cam", Kind: control.Kept, Clustered: true}, {Name: "live", Kind: control.Published}},
			}
		},
		Name: func() string { return "n1" }, Streams: streams, Registry: stream.NewRegistry(), Peers: streams,
		Publish: func(v *control.View) { h.locked(func() { h.view = v }) },
		Note:    func(control.Note) {},
		Load:    load, Wanted: func() []string { return nil },
		Stepped: func(_ control.Instant, ev control.Event, _ []control.Effect) {
			h.locked(func() { h.events = append(h.events, ev) })
		},
		Suspended: func() (d time.Duration) {
			h.locked(func() { d = h.asleep })
			return d
		},
		Drained: func(control.Drained) { h.locked(func() { h.drained++ }) }, Draining: func() bool { return false },
	})
	root, err := actors.Spawn(h.sys, env, []actors.Child{{Name: actors.Control, Props: props}}, func(any) {})
	if err != nil {
		t.Fatal(err)
	}
	h.root = root
	pid := actor.NewPID(h.sys.Address(), actors.RootName+"/"+actors.Control)
	h.client = controller.Client{Send: func(m any) { h.sys.Root.Send(pid, m) }}
	t.Cleanup(func() {
		_ = h.sys.Root.StopFuture(h.root).Wait()
		time.Sleep(time.Hour) // goroutines that protoactor starts for dead letters
	})
	return h
}

func idle() control.Load { return control.Load{} }

func TestQuestionsAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, func() control.Load { return control.Load{Clients: 7} })
		time.Sleep(10 * time.Second)
		h.client.Send(control.CaptureUp{Stream: "cam"})
		if err := h.client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.locked(func() {
			if !slices.Equal(h.captures, []string{"cam"}) || h.view == nil || h.view.Stream("cam").Owner != "n1" {
				t.Errorf("captures %v, view %+v; want cam captured here", h.captures, h.view)
			}
		})
		if st, err := h.client.State(t.Context(), "n2", control.Question{}); err != nil || st.Node != "n1" || st.Load.Clients != 7 {
			t.Errorf("the state is %+v, %v; want that of n1 with its load", st, err)
		}
		if x, err := h.client.Explain(t.Context(), "cam"); err != nil || x == nil {
			t.Errorf("Explain = %v, %v, want an explanation", x, err)
		}
		if x, err := h.client.Explain(t.Context(), "none"); err != nil || x != nil {
			t.Errorf("Explain of no stream = %v, %v, want nil", x, err)
		}
		if f, err := h.client.Forecast(t.Context(), nil); err != nil || f == nil {
			t.Errorf("Forecast = %v, %v, want one", f, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := (controller.Client{Send: func(any) {}}).Ping(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("without an answer: %v, want %v", err, context.Canceled)
		}
	})
}

func TestStateMachineThatFailsIsFollowedByOneThatIsToldOfTheCaptures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		h := start(t, func() control.Load {
			if calls++; calls == 3 {
				panic(errBoom)
			}
			return control.Load{}
		})
		time.Sleep(time.Minute)
		if n := h.count(control.Resumed{}); n != 1 {
			t.Errorf("%d state machines were told what goes on, want 1", n)
		}
		if err := h.client.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestSuspendAndDrainReachTheStateMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, idle)
		time.Sleep(time.Second)
		h.locked(func() { h.asleep = time.Hour })
		h.client.Send(control.Drain{})
		time.Sleep(10 * time.Second)
		if h.count(control.Suspended{}) != 1 || h.count(control.Drain{}) != 1 {
			t.Errorf("events %v, want one of a suspend and one of a drain", h.events)
		}
		h.locked(func() {
			if h.drained == 0 {
				t.Error("the drain is not said to be through")
			}
		})
	})
}

func TestQuestionsForAReleaseAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, idle)
		time.Sleep(time.Second)
		var answers []bool
		for _, name := range []string{"cam", "none"} {
			h.client.AskRelease(name, "n2", func(released bool) { h.locked(func() { answers = append(answers, released) }) })
		}
		time.Sleep(time.Second)
		h.locked(func() {
			if !slices.Equal(answers, []bool{false, true}) {
				t.Errorf("answers %v, want that cam goes on and that nobody captures the other here", answers)
			}
		})
	})
}

// The next thing that is due is the second attempt at the source, a second after the first has failed. Nothing else happens then.
func TestOnlyTheLastWakeUpCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, idle)
		time.Sleep(10*time.Second + 100*time.Millisecond)
		h.client.Send(control.CaptureDown{Stream: "cam", Why: "refused"})
		time.Sleep(time.Second + 100*time.Millisecond)
		h.locked(func() {
			if len(h.captures) != 2 {
				t.Errorf("%d attempts, want the second one a second after the first has failed", len(h.captures))
			}
		})
	})
}

func TestNameIsFreeIfItsPublisherHasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, idle)
		time.Sleep(time.Second)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		gone := act.NewReply[control.PublishAnswer]()
		if _, err := gone.Wait(ended); err == nil {
			t.Fatal("an answer without a question")
		}
		h.client.WantPublish("live", nil, gone)
		if err := h.client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		next := act.NewReply[control.PublishAnswer]()
		h.client.WantPublish("live", nil, next)
		if a, err := next.Wait(t.Context()); err != nil || a.Verdict != control.Granted {
			t.Errorf("the next publisher gets %+v, %v, want granted", a, err)
		}
	})
}

// Other nodes know the state machine that failed by its number, and would take the answers of the next one for old.
func TestStateMachineThatFollowsHasAHigherNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		h := start(t, func() control.Load {
			if calls++; calls == 3 {
				panic(errBoom)
			}
			return control.Load{}
		})
		time.Sleep(time.Second)
		before, err := h.client.State(t.Context(), "n2", control.Question{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		after, err := h.client.State(t.Context(), "n2", control.Question{})
		if err != nil || after.Inc <= before.Inc {
			t.Errorf("its number is %d, %v, want more than %d", after.Inc, err, before.Inc)
		}
	})
}
