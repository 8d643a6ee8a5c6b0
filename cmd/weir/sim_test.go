package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"weir/sim"
	"weir/sim/scenario"
)

func TestBarShowsRateAndWhatIsLeft(t *testing.T) {
	for _, tt := range []struct {
		done, total int
		since       time.Duration
		remark      string
		want        string
	}{
		{0, 10, 0, "", "[░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░] 0/10 seeds"},
		{5, 10, 10 * time.Second, "1 violation", "[███████████████░░░░░░░░░░░░░░░] 5/10 seeds, 0.5/s, 10s left, 1 violation"},
		{10, 10, 5 * time.Second, "", "[██████████████████████████████] 10/10 seeds, 2.0/s"},
	} {
		if got := barText("seeds", tt.done, tt.total, tt.since, tt.remark); got != tt.want {
			t.Errorf("barText(%d of %d) = %q, want %q", tt.done, tt.total, got, tt.want)
		}
	}
}

func TestBarIsSilentWhereNobodyLooksOn(t *testing.T) {
	f, read := tempFile(t)
	b := newBar(stdio{err: f}, "seeds", 10)
	b.step(5, "")
	b.end()
	if got := read(); got != "" {
		t.Errorf("it writes %q", got)
	}
}

func TestCountsAreNumbersOrRanges(t *testing.T) {
	for in, want := range map[string]count{"3": {3, 3}, "2..9": {2, 9}} {
		var c count
		if err := c.UnmarshalText([]byte(in)); err != nil || c != want {
			t.Errorf("UnmarshalText(%q) = %v, %v, want %v", in, c, err, want)
		}
	}
	for _, in := range []string{"", "0", "9..2", "a", "1..", "-1..2"} {
		var c count
		if err := c.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("UnmarshalText(%q) = %v, want an error", in, c)
		}
	}
}

func TestProfilesOfTheCommandLineAreThoseOfTheSimulator(t *testing.T) {
	parser, err := newParser(stdio{}, &cli{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range sim.Profiles() {
		if _, err := parser.Parse([]string{"sim", "swarm", "--profile", p.String()}); err != nil {
			t.Errorf("--profile %s: %v", p, err)
		}
	}
	if _, err := parser.Parse([]string{"sim", "swarm", "--profile", "storm"}); err == nil {
		t.Error("--profile storm is accepted")
	}
}

func TestExpectedTraceIsComparedLineByLine(t *testing.T) {
	for _, tt := range []struct {
		want, got []string
		line      uint64 // of the difference; 0 if there is none
	}{
		{[]string{"a", "b"}, []string{"a", "b"}, 0},
		{[]string{"a", "c"}, []string{"a", "b"}, 2},
		{[]string{"a"}, []string{"x", "a"}, 0}, // one line is the last, with the hash
		{[]string{"a", "b", "c"}, []string{"a", "b"}, 3},
		{[]string{"a", "b"}, []string{"a", "b", "c"}, 3},
	} {
		if v, _ := differs(tt.want, tt.got); v.Line != tt.line {
			t.Errorf("differs(%q, %q) in line %d, want %d", tt.want, tt.got, v.Line, tt.line)
		}
	}
}

func TestOutcomesBecomeExitCodes(t *testing.T) {
	f, _ := tempFile(t)
	for _, tt := range []struct {
		r    sim.Result
		code int
	}{
		{sim.Result{}, 0},
		{sim.Result{Violations: []sim.Violation{{}}}, 1},
		{sim.Result{Violations: []sim.Violation{{}}, Unknown: true}, 1},
		{sim.Result{Unknown: true}, 2},
	} {
		if got := code(stdio{err: f}, outcome(&tt.r)); got != tt.code {
			t.Errorf("exit code of %+v = %d, want %d", tt.r, got, tt.code)
		}
	}
}

func TestAnInterruptedSweepSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, read := tempFile(t)
	c := SweepFlags{Seeds: 5}
	err := c.tell(ctx, &sim.SweepResult{Runs: 1}, &sweepReport{}, stdio{out: out, err: out})
	if got := code(stdio{err: out}, err); got != exitUnknown || !strings.Contains(read(), "interrupted") {
		t.Errorf("exit code %d and %q, want %d and a word about it", got, read(), exitUnknown)
	}
}

// A newcomer begins with the example of the help: it has to hold on an ordinary configuration.
func TestExampleOfTheHelpHolds(t *testing.T) {
	const config = `cluster_key abcd;
peer flussonic:8080;
peer streamer:8081;
peer backup:8080;
stream cam01 { input fake://fake; cluster_ingest; }
stream cam02 { input fake://fake; cluster_ingest; }
stream cam03 { input fake://fake; cluster_ingest capture_at=streamer; }
`
	_, example, _ := strings.Cut((&SimCmd{}).Help(), "such as mine.txt:\n")
	example, _, ok := strings.Cut(example, "\n\nA line is")
	if !ok {
		t.Fatalf("the help has no example:\n%s", (&SimCmd{}).Help())
	}
	d, problems := scenario.ParseWith("mine.txt", []byte(example), scenario.Source{Name: "weir.conf", Text: []byte(config)})
	if d == nil {
		t.Fatal(problems)
	}
	for seed := range uint64(20) {
		d.Scenario.Seed = seed
		r := sim.Run(d.Scenario, sim.Options{})
		for _, v := range r.Violations {
			t.Errorf("seed %d: %s at %v: %s", seed, v.Invariant, v.At, v.Text)
		}
		if r.Unknown {
			t.Errorf("seed %d: unknown: %s", seed, r.Why)
		}
	}
}
