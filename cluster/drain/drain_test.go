package drain

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/actors/act"
	"weir/actors/session"
	"weir/cluster/control"
	"weir/protocols"
	"weir/protocols/api"
	"weir/protocols/listen"
)

// A viewer is a client that can be moved, or not.
type viewer struct {
	protocol  protocols.Protocol
	publisher bool
	movable   bool
	ended     chan struct{}
}

func (v *viewer) Serve(ctx context.Context, _ listen.Router) error {
	select {
	case <-v.ended:
	case <-ctx.Done():
	}
	return nil
}

func (v *viewer) Close() error { return nil }

func (v *viewer) Stats() listen.ClientStats {
	return listen.ClientStats{Protocol: v.protocol, Publisher: v.publisher}
}

// A movable viewer can be sent to another node.
type movable struct{ *viewer }

func (m movable) Move(context.Context, func(context.Context, listen.Request) listen.Answer) bool {
	return m.movable
}

// A node drains with these clients, of which none is a node of its own.
type node struct {
	*Drain
	mu       sync.Mutex
	handed   int
	captures int
	served   uint64
}

func (n *node) set(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func start(t *testing.T, clients ...listen.Client) *node {
	t.Helper()
	sys := act.NewSystem(nil)
	env := act.NewReal(sys, nil)
	sessions := session.NewRegistry()
	root := sys.Root.Spawn(session.Supervisor(env, session.Config{Registry: sessions}))
	for _, c := range clients {
		sys.Root.Send(root, session.Enter{Client: c})
	}
	t.Cleanup(func() {
		_ = sys.Root.StopFuture(root).Wait()
		time.Sleep(time.Hour) // goroutines that protoactor starts for dead letters
	})
	synctest.Wait()
	n := &node{captures: 2}
	n.Drain = New(Config{
		HandOver: func() { n.set(func() { n.handed++ }) },
		Go:       func(run func(context.Context) error) { env.Go(root, run) },
		Wait:     wait, Sessions: sessions,
		Captures: func() (c int) {
			n.set(func() { c = n.captures })
			return c
		},
		Served: func() (s uint64) {
			n.set(func() { s = n.served })
			return s
		},
		Log: slog.New(slog.DiscardHandler),
	})
	return n
}

// ended says whether the drain is over.
func (n *node) ended() bool {
	synctest.Wait()
	select {
	case <-n.Over():
		return true
	default:
		return false
	}
}

func TestDrainWaitsForTheHandOverAndForViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &viewer{protocol: protocols.RTMP, ended: make(chan struct{})}
		n := start(t, v, &viewer{protocol: protocols.RTMP, publisher: true, ended: make(chan struct{})})
		n.Begin(time.Hour)
		n.Begin(time.Second) // the first limit holds
		time.Sleep(time.Minute)
		if want := (api.Drain{State: "handing over", Streams: 2, Viewers: 1}); n.State() != want || n.handed != 1 || !n.Draining() || n.ended() {
			t.Errorf("before the hand-over: %+v after %d begins, over %t; want %+v after 1", n.State(), n.handed, n.ended(), want)
		}
		n.set(func() { n.captures = 0 })
		n.Handed(control.Drained{})
		time.Sleep(time.Minute)
		if want := (api.Drain{State: "waiting", Viewers: 1}); n.State() != want || n.ended() {
			t.Errorf("with a viewer: %+v, over %t; want %+v", n.State(), n.ended(), want)
		}
		close(v.ended)
		time.Sleep(time.Second)
		if !n.ended() {
			t.Errorf("without viewers: %+v, want it over", n.State())
		}
	})
}

func TestDrainWaitsUntilNoSegmentsAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		n.served = 1
		n.Begin(time.Hour)
		n.Handed(control.Drained{})
		for range 10 {
			time.Sleep(5 * time.Second)
			n.set(func() { n.served++ })
			if n.ended() {
				t.Fatal("over while segments are asked for")
			}
		}
		time.Sleep(quietLimit + time.Second)
		if !n.ended() {
			t.Error("not over although no segment is asked for any more")
		}
	})
}

func TestViewersThatAreLeftAreMovedOrCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		of := func(p protocols.Protocol) *viewer { return &viewer{protocol: p, ended: make(chan struct{})} }
		moves, stays := of(protocols.RTSP), of(protocols.RTSP)
		moves.movable = true
		n := start(t, movable{moves}, movable{stays}, of(protocols.TS), of(protocols.Relay))
		n.Begin(0)
		n.Handed(control.Drained{})
		time.Sleep(Limit + time.Second)
		want := api.Drain{State: api.DrainDone, Expired: true, Viewers: 3, Relays: 1, Streams: 2, Moved: 1, Closed: 2}
		if !n.ended() || n.State() != want {
			t.Errorf("over %t with %+v, want %+v", n.ended(), n.State(), want)
		}
	})
}

func TestFollowReportsEachChangeUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		var states []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			n.Follow(t.Context(), time.Minute, func(st api.Drain) { states = append(states, st.State) })
		}()
		time.Sleep(time.Second)
		n.Handed(control.Drained{Alone: true})
		<-done
		if len(states) < 3 || states[0] != "handing over" || states[len(states)-1] != api.DrainDone || !n.State().Alone {
			t.Errorf("reported %v, want each state until the end", states)
		}
		<-n.Over()
	})
}

func TestSilence(t *testing.T) {
	for _, tt := range []struct {
		name   string
		served []uint64 // a second apart
		want   bool
	}{
		{"nothing was ever served", []uint64{0, 0}, true},
		{"something was", []uint64{5, 5, 5}, false},
		{"long ago", []uint64{5, 5, 5, 5, 5, 5, 5, 5, 5}, true},
		{"and again", []uint64{5, 5, 5, 5, 5, 5, 5, 5, 6, 6}, false},
		{"for the first time", []uint64{0, 1, 1}, false},
	} {
		s := newSilence(tt.served[0])
		got := false
		for i, n := range tt.served {
			passed := time.Second
			if i == 0 {
				passed = 0
			}
			got = s.take(n, passed)
		}
		if got != tt.want {
			t.Errorf("%s: silent %t, want %t", tt.name, got, tt.want)
		}
	}
}
