package follower

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
)

// running claims that these streams run, and that others start.
func claims(running []string, starting ...string) (out []control.Claim) {
	for _, n := range running {
		out = append(out, control.Claim{Stream: n, State: control.ClaimRunning})
	}
	for _, n := range starting {
		out = append(out, control.Claim{Stream: n, State: control.ClaimStarting})
	}
	return out
}

func TestServerIsKnownByItsAnswers(t *testing.T) {
	list := []control.Listed{{Name: "a"}, {Name: "b"}}
	r := replica{}
	for i, tt := range []struct {
		name    string
		state   control.State
		old     bool
		running []string
		listed  []string
		again   bool // it asks for everything next
	}{
		{"everything", control.State{Instance: "i", Seq: 1, Version: 5, ListHash: "h", List: list, Claims: claims([]string{"a", "c"}, "b")}, false, []string{"a", "c"}, []string{"a", "b"}, false},
		{"unchanged", control.State{Instance: "i", Seq: 2, Version: 5, Same: true}, false, []string{"a", "c"}, []string{"a", "b"}, false},
		{"an old one", control.State{Instance: "i", Seq: 1, Version: 4}, true, []string{"a", "c"}, []string{"a", "b"}, false},
		{"a difference", control.State{Instance: "i", Seq: 3, Version: 7, Base: 5, ListHash: "h", Claims: claims([]string{"b"}, "c"), Gone: []string{"a"}}, false, []string{"b"}, []string{"a", "b"}, false},
		{"a difference from what is not known", control.State{Instance: "i", Seq: 4, Version: 9, Base: 8, Claims: claims([]string{"x"})}, false, []string{"b"}, []string{"a", "b"}, true},
		{"everything again", control.State{Instance: "i", Seq: 5, Version: 9, ListHash: "g", List: list[:1], Claims: claims([]string{"x"})}, false, []string{"x"}, []string{"a"}, false},
		{"another process", control.State{Instance: "j", Seq: 1, Version: 1, ListHash: "h", List: list}, false, nil, []string{"a", "b"}, false},
	} {
		at := time.Duration(i+1) * time.Second
		tt.state.Load.Age = 300
		if ok := r.take(&tt.state, at, at+20*time.Millisecond); ok == tt.old {
			t.Errorf("%s: taken %t, want %t", tt.name, ok, !tt.old)
		}
		var running []string
		for name := range r.state.Claims {
			if r.state.Runs(name) {
				running = append(running, name)
			}
		}
		if slices.Sort(running); !slices.Equal(running, tt.running) {
			t.Errorf("%s: running %v, want %v", tt.name, running, tt.running)
		}
		if got := slices.Sorted(maps.Keys(r.state.Listed)); !slices.Equal(got, tt.listed) {
			t.Errorf("%s: listed %v, want %v", tt.name, got, tt.listed)
		}
		if again := r.have == (control.Seen{}); again != tt.again {
			t.Errorf("%s: asks for everything %t, want %t", tt.name, again, tt.again)
		}
		if !tt.old && (r.state.LoadAt != at-300*time.Millisecond || r.state.Answered != at+20*time.Millisecond) {
			t.Errorf("%s: measured at %v, heard at %v", tt.name, r.state.LoadAt, r.state.Answered)
		}
	}
	if !r.state.Lacks("x") || r.state.Lacks("a") || (State{}).Lacks("a") {
		t.Error("what the list has is lacking, or the other way round")
	}
}

// A teller answers each fetch at once, and records the fetches and the calls of Changed.
type teller struct {
	send func(*actor.PID, any)

	mu    sync.Mutex
	asked []control.Fetch
	told  []State
	err   error
}

func (f *teller) Fetch(_ act.Env, link *actor.PID, m control.Fetch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, m)
	f.send(link, Answer{ID: m.ID, Err: f.err, State: &control.State{Node: "n", Instance: "i", Seq: uint64(len(f.asked)), Version: 1}})
}

func (f *teller) publish(s State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, s)
}

func (f *teller) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// sofar gives the numbers of fetches and of calls of Changed, and the last of each.
func (f *teller) sofar() (asked, told int, question control.Fetch, last State) {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked), len(f.told), f.asked[len(f.asked)-1], f.told[len(f.told)-1]
}

func TestServerIsAskedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := act.NewSystem(nil)
		f := &teller{send: func(to *actor.PID, m any) { sys.Root.Send(to, m) }}
		pid, err := sys.Root.SpawnNamed(External(act.NewReal(sys, nil), ExternalConfig{
			Config: Config{Entry: "edge:80", Fetcher: f}, Kind: "server", Every: 2 * time.Second, Stale: 10 * time.Second, Changed: f.publish,
		}), "server")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(21 * time.Second)
		asked, told, question, _ := f.sofar()
		if asked < 9 || asked > 13 || told != asked {
			t.Errorf("asked %d times and told %d, want about 11 of both", asked, told)
		}
		if got := question.Seen; got.Instance != "i" || got.Version != 1 {
			t.Errorf("the question says %+v, want what is known", got)
		}
		f.fail(&Error{Why: control.Unauthorised, Err: errors.New("wrong")})
		time.Sleep(3 * time.Second)
		if _, _, _, last := f.sofar(); last.Why != control.Unauthorised || last.Name != "n" {
			t.Errorf("told %+v, want unauthorised", last)
		}
		time.Sleep(10 * time.Second)
		if _, _, _, last := f.sofar(); last.Alive(time.Duration(1<<62)) || last.Listed != nil {
			t.Errorf("told %+v, want it dead", last)
		}
		_ = sys.Root.StopFuture(pid).Wait()
		time.Sleep(time.Hour)
	})
}

func TestStateThatWasHandedOutDoesNotChange(t *testing.T) {
	r := replica{}
	r.take(&control.State{Instance: "i", Seq: 1, Version: 1, Claims: claims([]string{"a", "b"})}, 0, 0)
	before := r.state
	r.take(&control.State{Instance: "i", Seq: 2, Version: 2, Base: 1, Claims: claims([]string{"c"}), Gone: []string{"a"}}, 0, 0)
	if !before.Runs("a") || before.Runs("c") {
		t.Errorf("a state that was handed out has the claims %v after a later answer, want those of a and b", before.Claims)
	}
}

// silent answers no fetch.
type silent struct{}

func (silent) Fetch(act.Env, *actor.PID, control.Fetch) {}

func TestServerThatHasNeverAnsweredIsToldToBeDeadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := act.NewSystem(nil)
		f := &teller{}
		var lost int
		env := act.NewReal(sys, func(e act.Event) {
			if e.Kind == "server_lost" {
				lost++
			}
		})
		pid, err := sys.Root.SpawnNamed(External(env, ExternalConfig{
			Config: Config{Entry: "edge:80", Fetcher: silent{}}, Kind: "server", Every: 2 * time.Second, Stale: 10 * time.Second, Changed: f.publish,
		}), "server")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(f.told) != 1 || f.told[0].Met || lost != 1 {
			t.Errorf("told %+v and %d events, want one of each: the server is dead", f.told, lost)
		}
		_ = sys.Root.StopFuture(pid).Wait()
		time.Sleep(time.Hour)
	})
}

func TestFailureIsToldAgainAfterAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := act.NewSystem(nil)
		f := &teller{send: func(to *actor.PID, m any) { sys.Root.Send(to, m) }}
		var failures int
		env := act.NewReal(sys, func(e act.Event) {
			if e.Kind == "server_failed" {
				failures++
			}
		})
		pid, err := sys.Root.SpawnNamed(External(env, ExternalConfig{
			Config: Config{Entry: "edge:80", Fetcher: f}, Kind: "server", Every: 2 * time.Second, Stale: time.Hour, Changed: f.publish,
		}), "server")
		if err != nil {
			t.Fatal(err)
		}
		for want := 1; want <= 2; want++ {
			f.fail(errors.New("no route"))
			time.Sleep(10 * time.Second)
			f.fail(nil)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if failures != want {
				t.Errorf("%d events tell of failures, want %d: one for each row of them", failures, want)
			}
		}
		_ = sys.Root.StopFuture(pid).Wait()
		time.Sleep(time.Hour)
	})
}
