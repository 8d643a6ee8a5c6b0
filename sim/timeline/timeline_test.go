package timeline_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/sim"
	"weir/sim/oracle"
	"weir/sim/timeline"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// drawn is a run made by hand in which everything occurs that can be drawn: a crash, a pause, a take-over, a gap, two
// owners at once, a start that fails, a stream without a publisher, and violations.
func drawn(t *testing.T) (*sim.Scenario, *sim.Result) {
	t.Helper()
	file, problems := conf.Parse("cluster.conf", []byte(`cluster_key k; peer n1:80; peer n2:80; peer n3:80;
		stream cam1 { input fake://fake; cluster_ingest; }
		stream cam2 { input fake://fake; cluster_ingest; }
		stream cam10 { input fake://fake; cluster_ingest; }
		stream talk { input publish://; }`))
	if problems.Failed() {
		t.Fatal(problems)
	}
	sec := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	s := &sim.Scenario{
		Name: "n2_dies_<while>_n3_is_frozen", Comment: "n2 dies, and n3 is paused & late.", Seed: 7,
		Files: map[string]*conf.File{"": file}, Nodes: []string{"n1", "n2", "n3"},
		Steps: []sim.Step{
			{At: sec(20), Action: sim.Crash{Nodes: []string{"n2"}}},
			{At: sec(30), To: sec(38), Action: sim.Pause{Nodes: []string{"n3"}}},
		},
	}
	view := func(self string, owner string, dead ...string) *control.View {
		v := &control.View{Self: self, Warm: true}
		for _, n := range s.Nodes {
			if n != self {
				v.Peers = append(v.Peers, control.PeerView{Name: n, Met: true, Alive: !strings.Contains(strings.Join(dead, " "), n), Direct: true})
			}
		}
		st := control.StreamView{Name: "cam1", Clustered: true, Owner: owner}
		if owner == self {
			st.Mine = control.Running
		}
		v.Streams = append(v.Streams, st)
		return v
	}
	at := func(t float64, down, frozen bool, v1, v3 *control.View) sim.Snapshot {
		n2 := sim.NodeState{Name: "n2", Up: !down, View: view("n2", "n1")}
		if down {
			n2.View = nil
		}
		return sim.Snapshot{At: sec(t), Nodes: []sim.NodeState{{Name: "n1", Up: true, View: v1}, n2, {Name: "n3", Up: true, Frozen: frozen, View: v3}}}
	}
	r := &sim.Result{
		Hash: strings.Repeat("0123456789abcdef", 4), Simulated: sec(60), Events: 1234,
		Holds: []sim.Hold{
			{Stream: "cam1", Node: "n1", From: sec(0.3), Up: sec(0.8), To: -1, Why: "home"},
			{Stream: "cam2", Node: "n2", From: sec(0.3), Up: sec(0.8), To: sec(20), Why: "home"},
			{Stream: "cam2", Node: "n1", From: sec(22.9), Up: sec(23.4), To: -1, Why: "spill"},
			{Stream: "cam10", Node: "n3", From: sec(0.3), Up: sec(0.8), To: -1, Why: "home"},
			{Stream: "cam10", Node: "n1", From: sec(33), Up: sec(33.5), To: sec(38.6), Why: "spill"},
			{Stream: "cam10", Node: "n2", From: sec(50), Up: -1, To: sec(54), Why: "fallback"},
		},
		Gaps:    []sim.Gap{{Stream: "cam2", From: sec(20), To: sec(23.4), Cause: sim.GapCrash}},
		Beliefs: []sim.Belief{{Node: "n1", Peer: "n2", From: sec(22.9), To: -1}, {Node: "n3", Peer: "n2", From: sec(23), To: -1}, {Node: "n1", Peer: "n3", From: sec(33), To: sec(38.1)}},
		Violations: []sim.Violation{
			{Invariant: oracle.I5, At: sec(34), Stream: "cam10", Line: 4, Text: "yields to <nobody>"},
			{Invariant: oracle.Expected, At: sec(60), Line: 5, Text: "cam10 is captured twice", Step: 3},
		},
		Measures: map[string]sim.Measure{
			"B2": {Name: "B2", Formula: "S + t_up", Bound: sec(3.5), Worst: sec(3.4), Count: 1},
			"B4": {Name: "B4", Formula: "F + 2d", Bound: sec(1.2), Worst: sec(5.1), Count: 1},
		},
		Verdicts: []sim.Verdict{{Invariant: oracle.I1, Outcome: sim.Held}, {Invariant: oracle.I5, Outcome: sim.Violated}, {Invariant: oracle.I7, Outcome: sim.NotApplicable}},
		Trace: []sim.Line{
			{Number: 1, Text: "T+00020.000000000 #000001 <#000000 n2 crash"},
			{Number: 2, Cause: 1, Text: "T+00022.000000000 #000002 <#000001 n1 tick"},
			{Number: 3, Cause: 2, Text: "T+00022.900000000 #000003 <#000002 n1 stale peer=n2"},
			{Number: 4, Cause: 3, Text: "T+00034.000000000 #000004 <#000003 n1 yields"},
			{Number: 5, Text: "T+00060.000000000 #000005 <#000000 - violation"},
		},
		Snapshots: []sim.Snapshot{
			at(0, false, false, view("n1", ""), view("n3", "")),
			at(10, false, false, view("n1", "n1"), view("n3", "n1")),
			at(20, true, false, view("n1", "n1"), view("n3", "n1")),
			at(30, true, true, view("n1", "n1", "n2"), view("n3", "n2", "n2")),
			at(38, true, false, view("n1", "n1", "n2"), view("n3", "n2", "n2")),
			at(60, true, false, view("n1", "n1", "n2"), view("n3", "n2", "n2")),
		},
	}
	for _, st := range s.Steps {
		r.Faults = append(r.Faults, sim.Span{From: st.At, To: max(st.At, st.To), Action: st.Action})
	}
	return s, r
}

// golden compares with a file of testdata, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

func text(t *testing.T, s *sim.Scenario, r *sim.Result, o timeline.TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := timeline.Text(&b, s, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func page(t *testing.T, s *sim.Scenario, r *sim.Result, o timeline.HTMLOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := timeline.HTML(&b, s, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextOfARun(t *testing.T) {
	s, r := drawn(t)
	golden(t, "run.txt", text(t, s, r, timeline.TextOptions{Width: 90}))
}

func TestColoursAddNothingButColours(t *testing.T) {
	s, r := drawn(t)
	coloured := text(t, s, r, timeline.TextOptions{Width: 90, Colour: true})
	plain := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(coloured, "")
	want := text(t, s, r, timeline.TextOptions{Width: 90})
	trim := func(text string) string { return regexp.MustCompile(`(?m) +$`).ReplaceAllString(text, "") }
	if coloured == plain || trim(plain) != trim(want) {
		t.Errorf("without its colours it is\n%s\nwant\n%s", plain, want)
	}
}

func TestAGapIsSeenHoweverShort(t *testing.T) {
	s, r := drawn(t)
	r.Simulated = 100 * time.Hour
	r.Holds = []sim.Hold{
		{Stream: "cam1", Node: "n1", From: 0, Up: 1, To: 50 * time.Hour},
		{Stream: "cam1", Node: "n1", From: 50*time.Hour + 1, Up: 50*time.Hour + 1, To: -1},
	}
	if got := text(t, s, r, timeline.TextOptions{}); !strings.Contains(got, "1!1") {
		t.Errorf("a gap of a nanosecond in a hundred hours is not to be seen:\n%s", got)
	}
}

// svg is the part of a page that has to be well-formed.
var svg = regexp.MustCompile(`(?s)<svg id=lanes.*?</svg>`)

func TestPageHasEverythingInItself(t *testing.T) {
	s, r := drawn(t)
	got := page(t, s, r, timeline.HTMLOptions{Source: "seed 7\nat 20s crash n2\nexpect </script> cam10 on n1\n"})
	for _, bad := range []string{"http:", "https:", "<link", " src=", "@import", "url(http", "<while>", "yields to <nobody>", "expect </script>"} {
		if strings.Contains(got, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, want := range []string{
		`n2_dies_&lt;while&gt;`, `class="verdict violation">VIOLATION`,
		`fill="url(#h-0-2)"`, `id="h-0-2"`, // two owners are hatched in the colours of both
		`class="piece none"`, `nobody captures it (crash)`,
		`class="piece cold"`,
		`class="start n1 failed"`,
		`crash n2`, `pause n3`, // in the words of the language
		`class="state down"`, `class="state frozen"`, `n2 is dead`,
		`href="#v1"`, `id=v1`, `href="#L4"`, `id=L4`, `n1 stale peer=n2`, // a violation leads to the trace
		`href="#s3"`, `id=s3 class=bad`, // and to the line of the scenario
		`<tr class=bad><td>B4`,
		`"wrong":["cam1: n2"]`, `"dead":["n2"]`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page does not contain %q", want)
		}
	}
	if strings.Contains(got, "n1 tick</a>") {
		t.Error("the page shows a timer as the cause of something")
	}
	// Attributes without quotes are HTML, not XML; all others have to be well-formed.
	part := regexp.MustCompile(`( [a-z0-9-]+)=([^" >/]+)([ >/])`).ReplaceAllString(svg.FindString(got), `$1="$2"$3`)
	part = regexp.MustCompile(`( [a-z0-9-]+)=([^" >/]+)([ >/])`).ReplaceAllString(part, `$1="$2"$3`)
	if part == "" {
		t.Fatal("the page has no drawing")
	}
	if err := xml.Unmarshal([]byte(part), new(struct{})); err != nil {
		t.Errorf("the drawing is not well-formed: %v", err)
	}
}

func TestAnEmptyRunCanBeDrawn(t *testing.T) {
	s, r := &sim.Scenario{}, &sim.Result{Unknown: true, Why: "it ended at once"}
	if got := text(t, s, r, timeline.TextOptions{}); !strings.Contains(got, "UNKNOWN") || !strings.Contains(got, "it ended at once") {
		t.Errorf("Text = %q", got)
	}
	if got := page(t, s, r, timeline.HTMLOptions{}); !strings.Contains(got, "UNKNOWN") {
		t.Errorf("HTML = %q", got)
	}
}

func TestAStormLeavesRoomForTheStreams(t *testing.T) {
	s, r := drawn(t)
	for i := range 200 {
		at := time.Duration(i) * 250 * time.Millisecond
		a := sim.Throttle{Nodes: []string{"n1"}, By: 1_234_567_890}
		s.Steps = append(s.Steps, sim.Step{At: at, To: at + time.Second, Action: a})
		r.Faults = append(r.Faults, sim.Span{From: at, To: at + time.Second, Action: a})
	}
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile(`class="fault"[^>]* y="(\d+)"`).FindAllStringSubmatch(page(t, s, r, timeline.HTMLOptions{}), -1) {
		rows[m[1]] = true
	}
	if len(rows) > 12 {
		t.Errorf("the page has %d rows of faults", len(rows))
	}
	got := text(t, s, r, timeline.TextOptions{})
	if n := strings.Count(got, "\nfaults "); n > 12 || !strings.Contains(got, "more faults") {
		t.Errorf("the text has %d rows of faults, and does not say that some are left out:\n%s", n, got)
	}
	if strings.Contains(got, "1.234567") || !strings.Contains(got, "throttle n1 by 1.23s") {
		t.Errorf("the text has numbers that nobody reads:\n%s", got)
	}
}

func TestManyStreamsKeepTheInterestingOnes(t *testing.T) {
	s, r := drawn(t)
	for i := range 500 {
		name := "calm" + strings.Repeat("x", i/26) + string(rune('a'+i%26))
		r.Holds = append(r.Holds, sim.Hold{Stream: name, Node: "n1", Up: 0, To: -1})
	}
	got := page(t, s, r, timeline.HTMLOptions{})
	for _, want := range []string{">cam2<", ">cam10<", "and 384 calmer ones"} {
		if !strings.Contains(got, want) {
			t.Errorf("the page does not contain %q", want)
		}
	}
}
