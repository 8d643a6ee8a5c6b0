package stream

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/actors/hub"
	"weir/actors/input"
)

var errCamera = errors.New("camera is dark")

// orders writes down what a roster wants, e.g. "start 1, stopped, let go".
func orders(os []order) string {
	var words []string
	for _, o := range os {
		if o.start >= 0 {
			words = append(words, fmt.Sprintf("start %d", o.start))
		}
		if o.stop >= 0 {
			words = append(words, fmt.Sprintf("stop %d", o.stop))
		}
		if o.status != nil {
			words = append(words, o.status.State.String())
		}
		if o.dismiss != nil {
			words = append(words, "dismiss")
		}
		if o.spec != nil {
			words = append(words, "take")
		}
		if o.dispensable {
			words = append(words, "let go")
		}
	}
	return strings.Join(words, ", ")
}

// A step is one event at an instant in seconds, and what the roster is to answer.
type step struct {
	at   time.Duration
	do   string
	want string
}

var rosterTests = []struct {
	name   string
	inputs int
	ranks  []int // instead of inputs, where they are not the places in the list
	steps  []step
}{
	{
		name: "a capture that nobody watches is released at once", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "release", "stop 1, stopped"},
			{5, "check", ""},
			{13, "check", "let go"},
		},
	},
	{
		name: "a stream that nobody has any more and nobody watches is let go of at once", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "release alone", "stop 1, stopped, let go"},
		},
	},
	{
		name: "viewers are kept: the input goes on until the new owner's media is there", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "release watched", "start 0"},
			{3, "check watched", ""},
			{4, "up 0", "stop 1, stopped"},
			{60, "check watched", ""},
			{69, "check", ""},
			{71, "check", "stop 0, let go"},
		},
	},
	{
		name: "a new owner whose media never comes ends the wait", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "release watched", "start 0"},
			{13, "check watched", "stop 1, stopped"},
		},
	},
	{
		name: "a release taken back", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "release watched", "start 0"},
			{3, "capture", "stop 0, running"},
		},
	},
	{
		name: "a stream that was followed is captured here: the relay goes on until the input is heard", inputs: 1,
		steps: []step{
			{0, "want", "start 0"},
			{0, "want", ""},
			{1, "up 0", ""},
			{2, "capture", "start 1, starting"},
			{3, "up 1", "stop 0, running"},
		},
	},
	{
		name: "the second input takes over when the first fails, which goes on trying and is returned to", inputs: 2,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "down 1", "start 2"},
			{3, "up 2", "running"},
			{4, "down 1", ""},
			{5, "down 1", ""},
			{6, "down 1", ""},
			{7, "up 1", "stop 2, running"},
			{8, "down 1", "start 2"},
		},
	},
	{
		name: "all inputs that fail together are a failed capture", inputs: 2,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "down 1", "start 2"},
			{3, "up 2", "running"},
			{4, "down 2", ""},
			{5, "down 2", ""},
			{6, "down 1", ""},
			{7, "down 2", ""},
			{8, "down 1", "stop 1, stop 2, failed"},
			{9, "capture", "start 1, starting"},
			{10, "down 1", "start 2"},
		},
	},
	{
		name: "a third input waits until the second has been tried", inputs: 3,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "down 1", "start 2"},
			{2, "down 1", ""},
			{3, "down 2", "start 3"},
			{4, "up 3", "running"},
			{5, "up 2", "stop 3, running"},
			{6, "up 1", "stop 2, running"},
		},
	},
	{
		name: "the priority counts and not the place in the list", ranks: []int{3, 1, 2},
		steps: []step{
			{0, "capture", "start 2, starting"},
			{1, "down 2", "start 3"},
			{2, "down 3", "start 1"},
			{3, "up 1", "running"},
			{4, "up 3", "stop 1, running"},
			{5, "up 2", "stop 3, running"},
		},
	},
	{
		name: "there is no return between equals", ranks: []int{1, 1},
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "down 1", "start 2"},
			{3, "up 2", "stop 1, running"},
			{4, "down 2", "start 1"},
			{5, "up 1", "stop 2, running"},
		},
	},
	{
		name: "an equal that comes back before the other has come keeps its place", ranks: []int{1, 1},
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "down 1", "start 2"},
			{3, "up 1", "stop 2, running"},
		},
	},
	{
		name: "an input that was silent has been waited for long enough", inputs: 2,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{60, "silent 1", "start 2"},
			{120, "silent 2", "stop 1, stop 2, failed"},
		},
	},
	{
		name: "inputs of a stream that is released and still runs fail without a word", inputs: 2,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "release watched", "start 0"},
			{3, "down 1", ""},
			{4, "up 0", "stop 1, stopped"},
		},
	},
	{
		name: "a failed capture with viewers follows whoever takes it", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "down 1", ""},
			{1, "down 1", ""},
			{1, "down 1", "stop 1, failed"},
			{2, "check watched", "start 0"},
		},
	},
	{
		name: "a publisher who loses the name is dismissed", inputs: 0,
		steps: []step{
			{0, "capture", ""},
			{1, "arrived", "running"},
			{2, "release watched", "dismiss, stopped"},
			{3, "left", "unpublished"},
			{4, "check watched", "start 0"},
		},
	},
	{
		name: "viewers of a publisher that has left follow the next one, wherever it is", inputs: 0,
		steps: []step{
			{0, "admitted", ""},
			{1, "arrived", "running"},
			{2, "left watched", "unpublished, start 0"},
			{3, "check watched", ""},
			{4, "admitted", ""},
			{5, "arrived", "stop 0, running"},
		},
	},
	{
		name: "another specification with the same inputs stops nothing", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "configure same", "take"},
			{3, "down 1", ""},
			{4, "up 1", "running"},
		},
	},
	{
		name: "other inputs begin anew, and viewers stay", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "configure watched", "stop 1, stopped, take, start 0"},
			{3, "capture", "start 1, starting"},
			{4, "up 1", "stop 0, running"},
		},
	},
	{
		name: "what is followed goes on whatever the file says", inputs: 1,
		steps: []step{
			{0, "want", "start 0"},
			{1, "up 0", ""},
			{2, "configure watched", "take"},
		},
	},
	{
		name: "a publisher that the file no longer permits is dismissed", inputs: 0,
		steps: []step{
			{0, "admitted", ""},
			{1, "arrived", "running"},
			{2, "configure same", "take, dismiss"},
			{3, "left watched", "unpublished, start 0"},
		},
	},
	{
		name: "a publisher that is let in and not heard yet is a reason to stay", inputs: 0,
		steps: []step{
			{0, "admitted", ""},
			{30, "check", ""},
			{31, "check watched", ""},
			{32, "arrived", "running"},
			{33, "left", "unpublished"},
			{40, "check", ""},
			{44, "check", "let go"},
		},
	},
	{
		name: "a publisher who loses the name before being heard is dismissed too", inputs: 0,
		steps: []step{
			{0, "admitted", ""},
			{1, "release", "dismiss, stopped"},
			{2, "left", "unpublished"},
		},
	},
	{
		name: "failures count in a row", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "down 1", ""},
			{2, "down 1", ""},
			{3, "up 1", "running"},
			{4, "down 1", ""},
			{5, "down 1", ""},
			{6, "down 1", "stop 1, failed"},
		},
	},
	{
		name: "failures of one capture do not count for the next", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "down 1", ""},
			{2, "down 1", ""},
			{3, "release", "stop 1, stopped"},
			{4, "capture", "start 1, starting"},
			{5, "down 1", ""},
			{6, "down 1", ""},
			{7, "down 1", "stop 1, failed"},
		},
	},
	{
		name: "a capture after a publisher has left is no publisher's: viewers are kept when it is released", inputs: 1,
		steps: []step{
			{0, "admitted", ""},
			{1, "arrived", "running"},
			{2, "left", "unpublished"},
			{3, "capture", "start 1, starting"},
			{4, "up 1", "running"},
			{5, "release watched", "start 0"},
		},
	},
	{
		name: "a publisher who has sent nothing is dismissed with the capture beside it", inputs: 1,
		steps: []step{
			{0, "capture", "start 1, starting"},
			{1, "up 1", "running"},
			{2, "admitted", ""},
			{3, "release", "stop 1, dismiss, stopped"},
		},
	},
	{
		name: "a release of what is not captured is answered", inputs: 1,
		steps: []step{{0, "release", "stopped"}},
	},
}

func TestRoster(t *testing.T) {
	for _, tt := range rosterTests {
		t.Run(tt.name, func(t *testing.T) {
			spec := Spec{Name: "a", Inputs: make([]Input, max(tt.inputs, len(tt.ranks)))}
			for i, rank := range tt.ranks {
				spec.Inputs[i].Config.Rank = rank
			}
			spec.Published = len(spec.Inputs) == 0
			r := newRoster(spec)
			for _, s := range tt.steps {
				if got := orders(apply(t, r, s)); got != s.want {
					t.Fatalf("at %d s, %s = %q, want %q", s.at, s.do, got, s.want)
				}
			}
		})
	}
}

func apply(t *testing.T, r *roster, s step) []order {
	now := s.at * time.Second
	verb, rest, _ := strings.Cut(s.do, " ")
	viewers, index := 0, 0
	elsewhere := rest != "alone"
	if rest == "watched" {
		viewers = 1
	} else if rest != "alone" && rest != "same" && rest != "" {
		fmt.Sscan(rest, &index)
	}
	switch verb {
	case "capture":
		return r.capture(now)
	case "release":
		return r.release(now, viewers, elsewhere, false)
	case "want":
		return r.want(now)
	case "up":
		return r.up(now, index)
	case "down":
		return r.down(now, index, errCamera)
	case "silent":
		return r.down(now, index, fmt.Errorf("input: %w", input.ErrSilent))
	case "admitted":
		r.admitted(now)
		return nil
	case "arrived":
		return r.arrived(now)
	case "left":
		return r.left(now, viewers)
	case "configure":
		return r.configure(now, viewers, &Spec{Name: r.name, Inputs: make([]Input, len(r.ranks))}, rest == "same")
	case "check":
		return r.check(now, viewers)
	}
	t.Fatalf("no such step: %s", s.do)
	return nil
}

func TestSourceOfOneConnectionIsLetGoOfAtOnce(t *testing.T) {
	for viewers, want := range []string{"stop 1, stopped", "stop 1, stopped, start 0"} {
		r := newRoster(Spec{Name: "a", Inputs: make([]Input, 1)})
		r.capture(0)
		r.up(0, 1)
		if got := orders(r.release(time.Second, viewers, true, true)); got != want {
			t.Errorf("release with %d viewers = %q, want %q", viewers, got, want)
		}
	}
}

func TestRestoredRosterGoesOnWhereTheFormerOneWas(t *testing.T) {
	r := newRoster(Spec{Name: "a", Inputs: make([]Input, 1)})
	r.restore(facts{role: Capturing, active: 1, running: []int{1}}, 0)
	if got := orders(r.capture(0)); got != "running" {
		t.Errorf("capture again = %q, want %q: it runs already", got, "running")
	}
	if got := orders(r.release(time.Second, 0, true, false)); got != "stop 1, stopped" {
		t.Errorf("release = %q, want %q", got, "stop 1, stopped")
	}
	if got := slices.Collect(func(yield func(int) bool) {
		for i := range r.running {
			if !yield(i) {
				return
			}
		}
	}); len(got) != 0 {
		t.Errorf("inputs %v still run", got)
	}
}

func TestRestoredRosterGoesOnWithItsPublisher(t *testing.T) {
	for _, arrived := range []bool{false, true} {
		now := func() time.Duration { return 0 }
		p := newPublication(hub.New("a", hub.Config{}), "", input.NewMonitor(now, func(input.Change) {}), now, func() int64 { return 0 }, func(any) {})
		want := ""
		if arrived {
			p.taken, want = true, "running"
		}
		r := newRoster(Spec{Name: "a", Published: true})
		r.restore(facts{role: Capturing, active: -1, publication: p}, 0)
		if got := orders(r.capture(0)); got != want {
			t.Errorf("capture again, the publisher's media has come %v: %q, want %q", arrived, got, want)
		}
	}
}

func TestViewerThatComesKeepsARelayForTheWholeLinger(t *testing.T) {
	r := newRoster(Spec{Name: "a"})
	r.want(0)
	r.want(5 * time.Second)
	if got := orders(r.check(5*time.Second+linger-1, 0)); got != "" {
		t.Errorf("just before the end of the linger = %q, want nothing", got)
	}
	if got := orders(r.check(5*time.Second+linger, 0)); got == "" {
		t.Error("the relay goes on after the linger")
	}
}

func TestSpecificationThatDiffersInAnythingIsPassedOn(t *testing.T) {
	base := Spec{Name: "a", Inputs: []Input{{Key: "k"}}}
	for name, change := range map[string]func(*Spec){
		"Name": func(s *Spec) { s.Name = "b" }, "Inputs": func(s *Spec) { s.Inputs = []Input{{Key: "l"}} },
		"Published": func(s *Spec) { s.Published = true }, "Takeover": func(s *Spec) { s.Takeover = Never }, "Hub": func(s *Spec) { s.Hub.Tick = 1 },
	} {
		other := base
		change(&other)
		if same(base, other) || !same(base, base) {
			t.Errorf("%s: same = %t, want false", name, same(base, other))
		}
	}
	if n := reflect.TypeFor[Spec]().NumField(); n != 5 {
		t.Errorf("a specification has %d fields, and the test changes 5", n)
	}
}
