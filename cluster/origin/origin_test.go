package origin_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
	"weir/cluster/follower"
	"weir/cluster/origin"
)

var list = []control.Listed{
	{Name: "cam"},
	{Name: "far", Restreamed: true},
	{Name: "film", OnDemand: true, Clustered: true},
	{Name: "show", Published: true},
	{Name: "talk", Published: true},
}

// listed makes a map by name of a list.
func listed(list []control.Listed) map[string]control.Listed {
	m := map[string]control.Listed{}
	for _, l := range list {
		m[l.Name] = l
	}
	return m
}

var claims = map[string]control.ClaimState{"cam": control.ClaimRunning, "show": control.ClaimRunning, "talk": control.ClaimStarting, "far": control.ClaimRunning}

// words describes streams: the name here, "=" and the origin's name if it differs, "d" for on demand, "r" for running.
func words(streams []origin.Stream) string {
	var w []string
	for _, s := range streams {
		word := s.Name
		if s.Name != s.Origin {
			word += "=" + s.Origin
		}
		if s.OnDemand {
			word += ",d"
		}
		if s.Running {
			word += ",r"
		}
		w = append(w, word)
	}
	return strings.Join(w, " ")
}

func TestRuleSaysWhatIsRestreamed(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule origin.Rule
		want string
	}{
		{"everything that is there", origin.Rule{}, "cam,r film,d show,r"},
		{"some", origin.Rule{OnlyGiven: true, Only: []string{"film", "cam", "nothing"}}, "cam,r film,d"},
		{"all but some", origin.Rule{Except: []string{"cam", "nothing"}}, "film,d show,r"},
		{"nothing by itself", origin.Rule{OnlyGiven: true}, "cam,d,r film,d show,d,r"},
		{"under other names", origin.Rule{Prefix: "o/1", Except: []string{"show"}}, "o/1/cam=cam,r o/1/film=film,d"},
		{"of some all but some", origin.Rule{OnlyGiven: true, Only: []string{"cam", "show"}, Except: []string{"show"}}, "cam,r"},
	} {
		if got := words(tt.rule.Restream(listed(list), claims)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestUpstreamsAreThoseThatRunItFirst(t *testing.T) {
	var d origin.Directory
	d.Sources([]string{"a", "b", "c"})
	ups, changed := d.Upstreams("cam")
	if len(ups) != 0 {
		t.Fatalf("upstreams %v of nothing", ups)
	}
	cam := func(running bool) []origin.Stream {
		return []origin.Stream{{Name: "cam", Origin: "cam", Running: running}}
	}
	if !d.Set("a", cam(false)) || !d.Set("c", cam(true)) || d.Set("c", cam(true)) || d.Set("a", cam(true)) || d.Set("a", cam(false)) {
		t.Error("Set does not say which streams there are, or says more")
	}
	if d.Set("x", cam(true)) {
		t.Error("a source that is in no file is believed")
	}
	<-changed
	ups, _ = d.Upstreams("cam")
	if want := []origin.Upstream{{Source: "c", Stream: "cam"}, {Source: "a", Stream: "cam"}}; !slices.Equal(ups, want) {
		t.Errorf("upstreams %v, want %v", ups, want)
	}
	while, cancel := d.While(t.Context(), "cam", ups[0])
	defer cancel()
	d.Set("a", nil)
	if while.Err() != nil {
		t.Error("While ended although its origin still has the stream")
	}
	d.Sources([]string{"a", "b"})
	<-while.Done()
	if ups, _ := d.Upstreams("cam"); len(ups) != 0 {
		t.Errorf("upstreams %v after the source was taken out of the file", ups)
	}
}

// A node answers for an origin as the test says.
type node struct {
	mu     sync.Mutex
	state  control.State
	err    error
	asked  []control.Seen
	silent bool
}

// Fetch implements [follower.Fetcher].
func (n *node) Fetch(env act.Env, link *actor.PID, f control.Fetch) {
	env.Go(link, func(context.Context) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.asked = append(n.asked, f.Seen)
		if n.silent {
			return nil
		}
		st := n.state
		st.Seq = uint64(len(n.asked))
		env.After(10*time.Millisecond, link, follower.Answer{ID: f.ID, State: &st, Err: n.err})
		return nil
	})
}

func (n *node) set(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

func TestStreamsAppearAndVanishWithTheirOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{state: control.State{
			Node: "o", Instance: "i", Inc: 1, Version: 7, ListHash: "h1", List: list[:1],
			Claims: []control.Claim{{Stream: "cam", State: control.ClaimRunning}},
		}}
		var d origin.Directory
		d.Sources([]string{"o:80"})
		var changes atomic.Int64
		sys := act.NewSystem(nil)
		env := act.NewReal(sys, nil)
		pid := sys.Root.Spawn(follower.External(env, follower.ExternalConfig{
			Config: follower.Config{Entry: "o:80", Fetcher: n}, Kind: "source", Every: 2 * time.Second, Stale: 10 * time.Second,
			Changed: func(is follower.State) {
				if d.Set("o:80", (origin.Rule{}).Restream(is.Listed, is.Claims)) {
					changes.Add(1)
				}
			},
		}))
		step := func(after time.Duration, want string, wantChanges int64) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got, n := words(d.Streams("o:80")), changes.Load(); got != want || n != wantChanges {
				t.Errorf("streams %q after %d changes, want %q after %d", got, n, want, wantChanges)
			}
		}
		step(time.Second, "cam,r", 1)
		n.set(func() { n.state = control.State{Node: "o", Instance: "i", Inc: 1, Version: 7, Same: true} })
		step(4*time.Second, "cam,r", 1)
		n.mu.Lock()
		if seen := n.asked[len(n.asked)-1]; seen != (control.Seen{Instance: "i", Inc: 1, Version: 7, List: "h1"}) {
			t.Errorf("it is asked again for what it has told: %+v", seen)
		}
		n.mu.Unlock()

		// An answer with changes only: the list, a claim that is gone, and a new claim.
		n.set(func() {
			n.state = control.State{
				Node: "o", Instance: "i", Inc: 1, Version: 9, Base: 7, ListHash: "h2", List: append(list[:1:1], list[3]),
				Gone: []string{"cam"}, Claims: []control.Claim{{Stream: "show", State: control.ClaimRunning}},
			}
		})
		step(3*time.Second, "cam show,r", 2)
		n.set(func() {
			n.state = control.State{Node: "o", Instance: "i", Inc: 1, Version: 10, Base: 9, ListHash: "h2", Gone: []string{"show"}}
		})
		step(3*time.Second, "cam", 3)

		n.set(func() { n.err = &follower.Error{Why: control.Unreachable, Err: errors.New("connection refused")} })
		step(7*time.Second, "cam", 3)
		step(6*time.Second, "", 4)
		n.set(func() { n.silent = true })
		step(20*time.Second, "", 4)

		// A new life of the origin tells everything.
		n.set(func() {
			n.silent, n.err = false, nil
			n.state = control.State{Node: "o", Instance: "j", Inc: 2, Version: 1, ListHash: "h1", List: list[:1]}
		})
		step(12*time.Second, "cam", 5)

		sys.Root.StopFuture(pid).Wait()
		time.Sleep(time.Hour)
	})
}
