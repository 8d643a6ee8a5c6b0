package follower

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
)

func TestPeerIsAskedAsControlSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := act.NewSystem(nil)
		env := act.NewReal(sys, nil)
		f := &teller{send: func(to *actor.PID, m any) { sys.Root.Send(to, m) }}
		var told []any // belongs to the control actor
		to := sys.Root.Spawn(act.Props(env, "control", func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				if m, ok := ctx.Message().(control.Event); ok {
					told = append(told, m)
				}
			})
		}))
		measured := 0
		pid := sys.Root.Spawn(Peer(env, Config{Entry: "n2:80", Fetcher: f, Measured: func(entry string, _ time.Duration, _ error) {
			measured++
		}}, to))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(f.asked) != 0 {
			t.Errorf("it is asked %v although control is silent", f.asked)
		}
		sys.Root.Send(pid, control.Fetch{Peer: "n2:80", ID: 7})
		synctest.Wait()
		f.fail(&Error{Why: control.Unauthorised, Err: errors.New("wrong")})
		sys.Root.Send(pid, control.Fetch{Peer: "n2:80", ID: 8})
		synctest.Wait()
		f.fail(errors.New("no route"))
		sys.Root.Send(pid, control.Fetch{Peer: "n2:80", ID: 9})
		sys.Root.Send(pid, Answer{ID: 5, Err: errors.New("late")}) // of an earlier incarnation
		synctest.Wait()
		want := []any{
			control.Fetched{Peer: "n2:80", ID: 7, State: &control.State{Node: "n", Instance: "i", Seq: 1, Version: 1}},
			control.FetchFailed{Peer: "n2:80", ID: 8, Why: control.Unauthorised, Detail: "unauthorised: wrong"},
			control.FetchFailed{Peer: "n2:80", ID: 5, Why: control.Unreachable, Detail: "late"},
			control.FetchFailed{Peer: "n2:80", ID: 9, Why: control.Unreachable, Detail: "no route"},
		}
		if !reflect.DeepEqual(told, want) || measured != 3 {
			t.Errorf("control is told %v after %d measurements, want %v after 3", told, measured, want)
		}
		_ = sys.Root.StopFuture(pid).Wait()
		_ = sys.Root.StopFuture(to).Wait()
		time.Sleep(time.Hour)
	})
}
