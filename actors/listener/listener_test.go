package listener_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors"
	"weir/actors/act"
	"weir/actors/listener"
)

// socket is a listener that is only told apart and closed.
type socket struct{ net.Listener }

func (socket) Close() error { return nil }

func TestListenerThatFailsOpensItsAddressAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := act.NewSystem(nil)
		env := act.NewReal(sys, nil)
		var opened atomic.Int64
		over := make(chan struct{})
		pid := sys.Root.Spawn(actors.Group(env, "listeners", []actors.Child{{Name: "http:1", Props: listener.Props(env, listener.Config{
			Name: "http:1",
			Open: func() (net.Listener, error) {
				if opened.Add(1) == 2 {
					return nil, errors.New("port 1 is in use")
				}
				return socket{}, nil
			},
			Serve: func(ctx context.Context, _ net.Listener) error {
				if opened.Load() == 1 {
					return errors.New("accept failed")
				}
				<-ctx.Done()
				close(over)
				return nil
			},
		})}}))
		time.Sleep(time.Minute)
		if got := opened.Load(); got != 3 {
			t.Errorf("opened %d times, want 3: at first, while the port was in use, and again", got)
		}
		sys.Root.StopFuture(pid).Wait()
		<-over
		time.Sleep(time.Hour) // protoactor's own goroutines for dead letters
	})
}

func TestChildrenOfAGroupAreReplacedByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := act.NewSystem(nil)
		env := act.NewReal(sys, nil)
		child := func(name string) actors.Child {
			return actors.Child{Name: name, Props: act.Props(env, "peer", func() actor.Actor { return idle{} })}
		}
		pid, err := sys.Root.SpawnNamed(actors.Group(env, "peers", []actors.Child{child("a:1"), child("b:1")}), "peers")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		sys.Root.Send(pid, actors.Set{Children: []actors.Child{child("b:1"), child("c/1")}})
		time.Sleep(time.Second)
		var ids []string
		for _, l := range env.Tree().Leaves() {
			ids = append(ids, l.ID)
			if l.ID == "peers/b:1" && l.Started > 500*time.Millisecond {
				t.Error("the child that stays was started anew")
			}
		}
		if len(ids) != 3 || ids[1] != "peers/b:1" || ids[2] != "peers/c%2F1" {
			t.Errorf("tree = %v, want peers, peers/b:1, peers/c%%2F1", ids)
		}
		sys.Root.StopFuture(pid).Wait()
		time.Sleep(time.Hour)
	})
}

type idle struct{}

func (idle) Receive(actor.Context) {}
