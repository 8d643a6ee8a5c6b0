package sim

import (
	"fmt"
	"testing"
	"time"

	"weir/cluster/conf"
)

// group makes a scenario of n nodes, n1 … that all have the same streams cam001 …; timeouts are F and S in milliseconds.
func group(tb testing.TB, n, streams int, directives string, timeouts ...int) *Scenario {
	tb.Helper()
	if timeouts == nil {
		timeouts = []int{1000, 3000}
	}
	src := "cluster_key a_long_enough_key_for_tests_0123456789; return_holddown 1000;\n" + directives
	s := &Scenario{Files: map[string]*conf.File{}, Seed: 1}
	for i := range n {
		s.Nodes = append(s.Nodes, fmt.Sprintf("n%d", i+1))
		src += fmt.Sprintf("peer n%d:8080 { fetch_timeout %d; stale_timeout %d; }\n", i+1, timeouts[0], timeouts[1])
	}
	for i := range streams {
		src += fmt.Sprintf("stream cam%03d { input fake://fake; cluster_ingest; }\n", i+1)
	}
	f, problems := conf.Parse("cluster.conf", []byte(src))
	if problems.Failed() {
		tb.Fatal(problems)
	}
	s.Files[""] = f
	return s
}

func report(tb testing.TB, r *Result) {
	tb.Helper()
	for i, v := range r.Violations {
		if i == 10 {
			tb.Errorf("and %d more", len(r.Violations)-i)
			break
		}
		tb.Errorf("%v #%d %s %s %v: %s", v.At, v.Line, v.Invariant, v.Stream, v.Nodes, v.Text)
	}
}

func TestCalmGroupStaysCalm(t *testing.T) {
	s := group(t, 5, 50, "")
	s.Until = 10 * time.Minute
	r := Run(s, Options{})
	report(t, r)
	t.Logf("%d events, %d messages, %d starts, %v", r.Events, r.Messages, r.Starts, r.Measures)
	for _, v := range r.Verdicts {
		t.Log(v)
	}
}

func TestCrash(t *testing.T) {
	s := group(t, 3, 20, "")
	s.Steps = []Step{{At: 120 * time.Second, To: 300 * time.Second, Action: Crash{[]string{"n2"}}}}
	s.Until = 10 * time.Minute
	r := Run(s, Options{Keep: true})
	report(t, r)
	t.Logf("%d events, %d messages, %d starts", r.Events, r.Messages, r.Starts)
	for _, m := range r.Measures {
		t.Log(m.Name, m.Bound, m.Worst, m.Count)
	}
	for _, v := range r.Verdicts {
		t.Log(v)
	}
}

func TestActorsDoWhatTheCoreDoes(t *testing.T) {
	s := group(t, 3, 12, "")
	s.Fidelity = Actors
	s.Steps = []Step{{At: 120 * time.Second, To: 200 * time.Second, Action: Crash{[]string{"n2"}}}}
	s.Until = 6 * time.Minute
	r := Run(s, Options{Keep: true})
	report(t, r)
	if r.Starts < 12 || r.Moves == 0 {
		t.Errorf("starts = %d, moves = %d, want 12 and more", r.Starts, r.Moves)
	}
	for _, v := range r.Verdicts {
		t.Log(v)
	}
	t.Log(r.Events, r.Starts, r.Measures)
}
