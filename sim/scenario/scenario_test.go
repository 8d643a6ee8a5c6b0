package scenario_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/cluster/control"
	"weir/protocols"
	"weir/sim"
	"weir/sim/scenario"
)

// group is a configuration that the tests of the language stand on.
const group = `-- cluster.conf --
cluster_key abcd; return_holddown 1000;
peer n[1..3]:8080 { fetch_timeout 1000; stale_timeout 3000; }
stream cam[01..03] { input fake://fake; cluster_ingest; }
stream pinned { input fake://fake; cluster_ingest capture_at=n2; }
stream talk { input publish://; }
-- after.conf --
cluster_key abcd;
peer n[1..3]:8080;
stream cam[01..02] { input fake://fake; cluster_ingest; }
-- scenario --
`

// lineTests give what a line says, and how it is printed; an empty print means as it was written. The line that follows
// `edit` uses the section after.conf, which all others leave unused.
var lineTests = []struct {
	line, print string
	want        []sim.Step
}{
	{line: "at 20s crash n2", want: steps(20, 0, sim.Crash{Nodes: []string{"n2"}})},
	{line: "at 20s power-off n2", want: steps(20, 0, sim.PowerOff{Nodes: []string{"n2"}})},
	{line: "from 20s to 30s reject n1 -> n2", want: steps(20, 30, sim.Reject{Links: sim.Links{From: []string{"n1"}, To: []string{"n2"}, OneWay: true}})},
	{line: "at 20s crash all", want: steps(20, 0, sim.Crash{})},
	{line: "at 1m restart n1,n3 remembered", print: "at 60s restart n1,n3 remembered", want: steps(60, 0, sim.Restart{Nodes: []string{"n1", "n3"}, Remembered: true})},
	{line: "at 20s restart n1 moved", want: steps(20, 0, sim.Restart{Nodes: []string{"n1"}, Moved: true})},
	{line: "from 10s to 40s crash-loop n1 up 3s down 500ms", want: steps(10, 40, sim.CrashLoop{Nodes: []string{"n1"}, Up: 3 * time.Second, Down: 500 * time.Millisecond})},
	{line: "at 90s pause n3 8s", print: "from 90s to 98s pause n3", want: steps(90, 98, sim.Pause{Nodes: []string{"n3"}})},
	{line: "at 90s suspend n3 for 8s", print: "from 90s to 98s suspend n3", want: steps(90, 98, sim.Suspend{Nodes: []string{"n3"}})},
	{line: "at 90s resume n[1..3]", want: steps(90, 0, sim.Resume{Nodes: []string{"n1", "n2", "n3"}})},
	{line: "from 1s to 2s throttle n1 by 20ms", want: steps(1, 2, sim.Throttle{Nodes: []string{"n1"}, By: 20 * time.Millisecond})},
	{line: "from 1s to 2s exhaust n1", want: steps(1, 2, sim.Exhaust{Nodes: []string{"n1"}})},
	{line: "at 1s load n1 85%", want: steps(1, 0, sim.Load{Nodes: []string{"n1"}, CPU: 850})},
	{line: "at 1s drain all", want: steps(1, 0, sim.Drain{})},
	{line: "from 1s to 9s wrong-key n2", want: steps(1, 9, sim.WrongKey{Nodes: []string{"n2"}})},
	{line: "from 1s to 9s foreign n2", want: steps(1, 9, sim.NewerProtocol{Nodes: []string{"n2"}})},
	{line: "at 1s kill streams/cam01 on n1", want: steps(1, 0, sim.KillActor{Node: "n1", ID: "streams/cam01"})},
	{line: "at 1s fail streams/cam01/core on n1 with release", want: steps(1, 0, sim.FailActor{ID: "streams/cam01/core", Node: "n1", Message: "release"})},
	{line: "from 1s to 3s block streams/cam01 on n1", want: steps(1, 3, sim.BlockActor{ID: "streams/cam01", Node: "n1"})},
	{line: "at 110s clock n1 rate +300ppm ; clock n3 jump -1h", want: steps(110, 0, sim.ClockRate{Nodes: []string{"n1"}, PPM: 300}, sim.ClockJump{Nodes: []string{"n3"}, By: -time.Hour})},
	{line: "from 60s to 75s partition n1 | n2,n3", want: steps(60, 75, sim.Partition{Groups: [][]string{{"n1"}, {"n2", "n3"}}})},
	{line: "from 60s to 75s cut n1->n2", print: "from 60s to 75s cut n1 -> n2", want: steps(60, 75, sim.Cut{Links: sim.Links{From: []string{"n1"}, To: []string{"n2"}, OneWay: true}})},
	{line: "from 60s to 75s oneway n1->n2", print: "from 60s to 75s cut n1 -> n2", want: steps(60, 75, sim.Cut{Links: sim.Links{From: []string{"n1"}, To: []string{"n2"}, OneWay: true}})},
	{line: "from 60s to 75s cut n1 <-> n2", print: "from 60s to 75s cut n1 | n2", want: steps(60, 75, sim.Cut{Links: sim.Links{From: []string{"n1"}, To: []string{"n2"}}})},
	{line: "at 1s cut n1", want: steps(1, 0, sim.Cut{Links: sim.Links{From: []string{"n1"}}})},
	{line: "at 1s isolate n3", want: steps(1, 0, sim.Isolate{Nodes: []string{"n3"}})},
	{line: "at 1s isolate n3 in", want: steps(1, 0, sim.Isolate{Nodes: []string{"n3"}, In: true})},
	{line: "at 1s isolate n3 out", want: steps(1, 0, sim.Isolate{Nodes: []string{"n3"}, Out: true})},
	{line: "from 1s to 2s ring", want: steps(1, 2, sim.Ring{})},
	{line: "from 1s to 2s ring n1,n3", want: steps(1, 2, sim.Ring{Nodes: []string{"n1", "n3"}})},
	{line: "from 1s to 2s swizzle", want: steps(1, 2, sim.Swizzle{})},
	{line: "from 1s to 9s flap n1 | n2 down 3s up 1.5s", want: steps(1, 9, sim.FlapLink{Links: sim.Links{From: []string{"n1"}, To: []string{"n2"}}, Down: 3 * time.Second, Up: 1500 * time.Millisecond})},
	{line: "at 1s heal", want: steps(1, 0, sim.Heal{})},
	{line: "from 1s to 9s loss all 0.5%", want: steps(1, 9, sim.Loss{Probability: 5000})},
	{line: "from 1s to 9s burst n1 -> all begin 1% end 20%", want: steps(1, 9, sim.Burst{Links: sim.Links{From: []string{"n1"}, OneWay: true}, Begin: sim.Percent(1), End: sim.Percent(20)})},
	{line: "from 1s to 9s delay n1 | n2 1s..2s", want: steps(1, 9, sim.Delay{Links: sim.Links{From: []string{"n1"}, To: []string{"n2"}}, By: sim.Range{Min: time.Second, Max: 2 * time.Second}})},
	{line: "from 1s to 9s spike all 3% by 900ms", want: steps(1, 9, sim.Spike{Probability: sim.Percent(3), By: sim.Range{Min: 900 * time.Millisecond, Max: 900 * time.Millisecond}})},
	{line: "from 1s to 9s reorder all 3% by 900ms", want: steps(1, 9, sim.Reorder{Probability: sim.Percent(3), By: 900 * time.Millisecond})},
	{line: "from 1s to 9s duplicate all 3%", want: steps(1, 9, sim.Duplicate{Probability: sim.Percent(3)})},
	{line: "from 1s to 9s clog n1->n3", print: "from 1s to 9s clog n1 -> n3", want: steps(1, 9, sim.Clog{Links: sim.Links{From: []string{"n1"}, To: []string{"n3"}, OneWay: true}})},
	{line: "from 1s to 9s bandwidth n1 -> n3 2000", want: steps(1, 9, sim.Bandwidth{Links: sim.Links{From: []string{"n1"}, To: []string{"n3"}, OneWay: true}, Bytes: 2000})},
	{line: "from 1s to 9s refuse n1 -> n3", want: steps(1, 9, sim.Refuse{Links: sim.Links{From: []string{"n1"}, To: []string{"n3"}, OneWay: true}})},
	{line: "from 1s to 9s reset all 50%", want: steps(1, 9, sim.Reset{Probability: sim.Percent(50)})},
	{line: "from 1s to 9s slow-replies n2 by 2.7s", want: steps(1, 9, sim.SlowReplies{Nodes: []string{"n2"}, By: sim.Range{Min: 2700 * time.Millisecond, Max: 2700 * time.Millisecond}})},
	{line: "from 1s to 9s slow-replies n2 after 3s", want: steps(1, 9, sim.SlowReplies{Nodes: []string{"n2"}, After: 3 * time.Second})},
	{line: "from 1s to 9s half-open n1 -> n2", want: steps(1, 9, sim.HalfOpen{Links: sim.Links{From: []string{"n1"}, To: []string{"n2"}, OneWay: true}})},
	{line: "at 1s demand all at n1,n3", want: steps(1, 0, sim.Demand{Nodes: []string{"n1", "n3"}})},
	{line: "from 1s to 9s broken-replies n2 100% garbled", want: steps(1, 9, sim.BrokenReplies{Nodes: []string{"n2"}, Probability: sim.Percent(100), How: sim.Garbled})},
	{line: "from 1s to 9s source-down cam[01..03] on n1", want: steps(1, 9, sim.SourceDown{Streams: []string{"cam01", "cam02", "cam03"}, Nodes: []string{"n1"}})},
	{line: "at 1s source-up all", want: steps(1, 0, sim.SourceUp{})},
	{line: "at 1s stall cam01", want: steps(1, 0, sim.Stall{Streams: []string{"cam01"}})},
	{line: "at 1s slow-source cam01 on n2 by 4s..6s", want: steps(1, 0, sim.SlowSource{Streams: []string{"cam01"}, Nodes: []string{"n2"}, Up: sim.Range{Min: 4 * time.Second, Max: 6 * time.Second}})},
	{line: "at 0s single-login cam01", want: steps(0, 0, sim.SingleLogin{Streams: []string{"cam01"}})},
	{line: "from 5s to 9s publish talk at n1", want: steps(5, 9, sim.Publish{Node: "n1", Stream: "talk"})},
	{line: "from 5s to 9s encoder talk at n2,n1 returns 700ms..2s", want: steps(5, 9, sim.Encoder{
		Stream: "talk", Nodes: []string{"n2", "n1"}, Back: sim.Range{Min: 700 * time.Millisecond, Max: 2 * time.Second},
	})},
	{line: "at 5s drop talk silent", want: steps(5, 0, sim.Drop{Streams: []string{"talk"}, Silent: true})},
	{line: "at 5s unpublish talk at n1", want: steps(5, 0, sim.Unpublish{Node: "n1", Stream: "talk"})},
	{line: "from 5s to 9s demand cam01 at n1", want: steps(5, 9, sim.Demand{Streams: []string{"cam01"}, Nodes: []string{"n1"}})},
	{line: "from 5s to 9s viewer hls cam01 via n2", want: steps(5, 9, sim.Viewer{Protocol: protocols.HLS, Stream: "cam01", Node: "n2"})},
	{line: "from 5s to 9s coworker-publish cam01 at a.srs", want: steps(5, 9, sim.CoworkerPublish{Coworker: "a.srs", Stream: "cam01"})},
	{line: "from 5s to 9s coworker-crash a.srs", want: steps(5, 9, sim.CoworkerCrash{Coworker: "a.srs"})},
	{line: "at 5s viewers 20 rtmp cam[01..03] via n1,n3", want: steps(5, 0, sim.Viewers{Count: 20, Protocol: protocols.RTMP, Streams: []string{"cam01", "cam02", "cam03"}, Nodes: []string{"n1", "n3"}})},
	{line: "from 5s to 90s crowd 9 mpegts all via all stay 1s..20s", want: steps(5, 90, sim.Crowd{Count: 9, Protocol: protocols.TS, Stay: sim.Range{Min: time.Second, Max: 20 * time.Second}})},
	{line: "from 120s to 180s random faults profile=swarm", print: "from 120s to 180s random swarm", want: steps(120, 180, sim.Random{Profile: sim.ProfileSwarm})},
	{line: "at 181s quiet ; check liveness 30s", print: "at 181s quiet\nexpect liveness within 30s", want: []sim.Step{
		{At: 181 * time.Second, Action: sim.Quiet{}}, {At: 181 * time.Second, To: 211 * time.Second, Expect: sim.Liveness{}},
	}},

	{line: "at 40s expect each stream on exactly 1 node within 3.6s", want: expect(40, 43.6, sim.OneEach{})},
	{line: "at 40s expect cam01,pinned on exactly one node", print: "at 40s expect cam01,pinned on exactly 1 node", want: expect(40, 0, sim.OneEach{Streams: []string{"cam01", "pinned"}})},
	{line: "at 40s expect pinned on n2", want: expect(40, 0, sim.OwnedBy{Streams: []string{"pinned"}, Node: "n2"})},
	{line: "at 40s expect pinned on nobody", want: expect(40, 0, sim.OwnedBy{Streams: []string{"pinned"}})},
	{line: "at 40s expect every stream captured in each side by +3.6s", print: "at 40s expect each stream on each side within 3.6s", want: expect(40, 43.6, sim.EachSide{})},
	{line: "at 40s expect each stream at home by 50s", print: "at 40s expect each stream at home within 10s", want: expect(40, 50, sim.AtHome{})},
	{line: "at 40s expect agreement within 5s", want: expect(40, 45, sim.Agreement{})},
	{line: "at 40s expect talk at n3 refused", want: expect(40, 0, sim.Refused{Node: "n3", Stream: "talk"})},
	{line: "at 40s expect moved == owned(n2)", want: expect(40, 0, sim.Moved{OwnedBefore: "n2"})},
	{line: "at 40s expect moved <= 4 within 9s", want: expect(40, 49, sim.Moved{Count: 4, AtMost: true})},
	{line: "from 40s to 50s expect no duplicates of cam01", print: "at 40s expect no duplicates of cam01 within 10s", want: expect(40, 50, sim.NoDuplicates{Streams: []string{"cam01"}})},
	{line: "at 40s expect duplicates == 0", print: "at 40s expect no duplicates", want: expect(40, 0, sim.NoDuplicates{})},
	{line: "from 60s to 75s isolate n1\nexpect duplicates == 0 by +1.3s after heal", print: "from 60s to 75s isolate n1\nat 76.3s expect no duplicates within 1ms", want: slices.Concat(
		steps(60, 75, sim.Isolate{Nodes: []string{"n1"}}), expect(76.3, 76.301, sim.NoDuplicates{}),
	)},
	{line: "at 40s expect no take-over until 60s", print: "at 40s expect no take-over within 20s", want: expect(40, 60, sim.NoTakeOver{})},
	{line: "at 40s expect viewers gap <= 5s of cam01 for 10s", print: "at 40s expect viewers gap <= 5s of cam01 within 10s", want: expect(40, 50, sim.ViewersWithin{Streams: []string{"cam01"}, Limit: 5 * time.Second})},
	{line: "at 40s expect gap <= 3.6s of cam01 for 10s", print: "at 40s expect gap <= 3.6s of cam01 within 10s", want: expect(40, 50, sim.GapWithin{Streams: []string{"cam01"}, Limit: 3600 * time.Millisecond})},
	{line: "at 40s expect note peer-stale at n1 within 4s", want: expect(40, 44, sim.Noted{Node: "n1", Kind: control.NoteStale})},
	{line: "from 60s to 75s partition n1 | n2,n3\nexpect no duplicates after heal", print: "from 60s to 75s partition n1 | n2,n3\nat 75s expect no duplicates", want: slices.Concat(
		steps(60, 75, sim.Partition{Groups: [][]string{{"n1"}, {"n2", "n3"}}}), expect(75, 0, sim.NoDuplicates{}),
	)},
	{line: "from 60s to 75s isolate n1\nexpect each stream on exactly 1 node within 1.3s after heal", print: "from 60s to 75s isolate n1\nat 75s expect each stream on exactly 1 node within 1.3s", want: slices.Concat(
		steps(60, 75, sim.Isolate{Nodes: []string{"n1"}}), expect(75, 76.3, sim.OneEach{}),
	)},
	{line: "at 10s crash n1\nat +5s restart n1", print: "at 10s crash n1\nat 15s restart n1", want: slices.Concat(
		steps(10, 0, sim.Crash{Nodes: []string{"n1"}}), steps(15, 0, sim.Restart{Nodes: []string{"n1"}}),
	)},
	{line: "at 20s edit n1 after.conf", print: "at 20s edit n1 edit1.conf"},
}

func seconds(s float64) time.Duration { return time.Duration(s*1000) * time.Millisecond }

func steps(at, to float64, actions ...sim.Action) []sim.Step {
	var list []sim.Step
	for _, a := range actions {
		list = append(list, sim.Step{At: seconds(at), To: seconds(to), Action: a})
	}
	return list
}

func expect(at, to float64, e sim.Expectation) []sim.Step {
	return []sim.Step{{At: seconds(at), To: seconds(to), Expect: e}}
}

// useAfter keeps the section after.conf in use.
const useAfter = "at 1000s edit n1 after.conf\n"

func parseLine(t *testing.T, line string) *sim.Scenario {
	t.Helper()
	d, problems := scenario.Parse("line.txtar", []byte(group+line+"\n"+useAfter))
	if d == nil {
		t.Fatalf("Parse(%q) fails:\n%v", line, problems)
	}
	return d.Scenario
}

func unlined(list []sim.Step) []sim.Step {
	list = slices.Clone(list)
	for i := range list {
		list[i].Line = 0
	}
	return list
}

func TestEveryLineIsUnderstoodAndPrinted(t *testing.T) {
	for _, tt := range lineTests {
		s := parseLine(t, tt.line)
		got := unlined(s.Steps[:len(s.Steps)-1])
		if tt.want != nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Parse(%q) = %#v, want %#v", tt.line, got, tt.want)
		}
		want := tt.print
		if want == "" {
			want = tt.line
		}
		text := scenario.Format(s)
		_, printed, _ := strings.Cut(text, "-- scenario --\nseed 0\n")
		if printed, _, _ = strings.Cut(printed, "at 1000s"); strings.TrimSuffix(printed, "\n") != want {
			t.Errorf("Format after Parse(%q) = %q, want %q", tt.line, printed, want)
		}
		again, problems := scenario.Parse("again.txtar", []byte(text))
		if again == nil {
			t.Errorf("what is printed for %q cannot be read:\n%v%s", tt.line, problems, text)
			continue
		}
		n := len(got) // behind it stands the edit, whose configuration is another value
		if again := unlined(again.Scenario.Steps); len(again) != n+1 || tt.want != nil && !reflect.DeepEqual(again[:n], got) {
			t.Errorf("%q is, printed and read again, %#v, want %#v", tt.line, again, got)
		}
	}
}

// declared lists the types of package sim that have a method.
func declared(t *testing.T, method string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../model.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == method {
			names = append(names, f.Recv.List[0].Type.(*ast.Ident).Name)
		}
	}
	return names
}

func TestEveryFaultAndExpectationHasAWord(t *testing.T) {
	said := map[string]bool{}
	for _, tt := range lineTests {
		for _, st := range parseLine(t, tt.line).Steps {
			if st.Action != nil {
				said[reflect.TypeOf(st.Action).Name()] = true
			} else {
				said[reflect.TypeOf(st.Expect).Name()] = true
			}
		}
	}
	for _, name := range declared(t, "expectation") {
		if !said[name] {
			t.Errorf("no line of the language gives sim.%s", name)
		}
	}
	for _, k := range sim.Kinds() {
		if !said[k.Type.Name()] {
			t.Errorf("no line of the language gives sim.%s", k.Type.Name())
		}
	}
}

func TestEveryKindOfNoteCanBeExpected(t *testing.T) {
	for _, kind := range control.NoteKinds() {
		parseLine(t, "at 1s expect note "+strings.ReplaceAll(kind.String(), " ", "-"))
	}
}

// errorTests give a line and the message about it: column and text.
var errorTests = []struct{ line, want string }{
	{"at 20s crahs n2", `8: error: found "crahs", expected an action, such as crash, partition or expect; did you mean "crash"?`},
	{"at 20s crash n4", `14: error: found "n4", expected the name of a node; did you mean "n1"? (crash NODES)`},
	{"at 20s crash streamer", `14: error: found "streamer", expected the name of a node: n[1..3] (crash NODES)`},
	{"at 20 crash n2", `4: error: found "20", expected a time with its unit, such as 3.6s, 500ms or 2m`},
	{"at 20s", `7: error: found the end of the line, expected an action, such as crash, partition or expect`},
	{"at 20s crash", `13: error: found the end of the line, expected the name of a node, or all (crash NODES)`},
	{"at 20s crash n1 n2", `17: error: found "n2", expected the end of the line or ` + "`;`"},
	{"at 20s crash n1 for 0s", `21: error: found "0s", expected a time above zero`},
	{"from 20s to 10s crash n1", `13: error: found "10s", expected the end to be later than the beginning, 20s`},
	{"from 20s crash n1", `10: error: found "crash", expected "to"`},
	{"sead 42", `1: error: found "sead", expected at, from, expect, seed, net, capture, until, fidelity or nodes; did you mean "seed"?`},
	{"net latency 5ms", `5: error: found "latency", expected behind net one of delay, loss`},
	{"net delay 50ms..1ms", `11: error: found "50ms..1ms", expected a range from a shorter time to a longer one, such as 1ms..50ms`},
	{"at 1s loss all 200%", `16: error: found "200%", expected a probability from 0% to 100%, such as 0.5% (loss LINK P%)`},
	{"at 1s source-down cam99", `19: error: found "cam99", expected the name of a stream`},
	{"at 1s partition n1", `17: error: found one group, expected at least two, such as n1 | n2,n3 (partition NODES | NODES …)`},
	{"expect agreement", `1: error: found "expect" before any ` + "`at`" + `, expected ` + "`at TIME expect …`"},
	{"at 1s expect each stream on exactly 1 nod", `29: error: found "exactly", expected the name of a node`},
	{"at 1s expect no duplicate", `17: error: found "duplicate", expected duplicates or take-over; did you mean "duplicates"?`},
	{"at 1s expect note peer-stal", `19: error: found "peer-stal", expected a kind of note`},
	{"at 1s expect agreement after heal", `24: error: found ` + "`after heal`" + `, but what stands before has no end; write from TIME to TIME`},
	{"at 1s expect moved == owned(n9)", `29: error: found "n9", expected the name of a node; did you mean "n1"?`},
	{"at 1s edit n1 befor.conf", `15: error: found "befor.conf", expected one of the sections after.conf, cluster.conf`},
	{"at 1s kill control n1", `20: error: found "n1", expected "on" (kill ACTOR on NODE)`},
	{"at 1s clock n1 rate fast", `21: error: found "fast", expected a rate such as +300ppm, at most ±100000ppm (clock NODES rate ±Nppm)`},
	{"at 1s clock n1 fast", `16: error: found "fast", expected rate or jump`},
	{"at 1s slow-replies n1 for 3s", `23: error: found "for", expected by or after (slow-replies NODES by TIME..TIME, or NODES after TIME)`},
	{"at +5s crash n1", `4: error: found "+5s", but nothing stands before from which to count`},
	{`at 1s crash "n1`, `13: error: found a string that is not closed on its line, expected a closing "`},
	{"at 1s crash n1 \x01", `16: error: found a control character, expected text`},
	{"at 1s random faults profile=storm", `21: error: found "storm", expected one of swarm, calm, network, process, source, edit`},
}

func TestErrorsSayWhereAndWhatAndWhatIsNearest(t *testing.T) {
	line := strings.Count(group, "\n") + 1
	for _, tt := range errorTests {
		d, problems := scenario.Parse("bad.txtar", []byte(group+tt.line+"\n"+useAfter))
		if d != nil || len(problems) == 0 {
			t.Errorf("Parse(%q) finds nothing wrong, want %q", tt.line, tt.want)
			continue
		}
		if want := fmt.Sprintf("bad.txtar:%d:%s", line, tt.want); !strings.HasPrefix(problems[0].String(), want) {
			t.Errorf("Parse(%q):\n got %s\nwant %s", tt.line, problems[0], want)
		}
	}
}

func TestEveryLineIsCheckedEvenIfOneIsWrong(t *testing.T) {
	_, problems := scenario.Parse("bad.txtar", []byte(group+"at 1s crahs n1\nat 2s crash n1\nat 3s heel\n"))
	if len(problems) != 2 {
		t.Errorf("Parse finds\n%swant two problems", problems)
	}
}

// archiveTests give whole files that are refused, and the message.
var archiveTests = []struct{ name, text, want string }{
	{"a directive is misspelt below a range", "# x\n-- cluster.conf --\ncluster_key abcd;\npeer n[1..3]:8080 {\n  fetch_timeout 1000;\n}\nstream cam[01..30] { input fake://fake; cluster_ingst; }\n-- scenario --\n", `f.txtar:7:41: error: found "cluster_ingst"`},
	{"a range goes back", "-- cluster.conf --\npeer n[3..1]:8080;\n", `f.txtar:2:6: error: found "n[3..1]:8080", expected a range`},
	{"a section is unknown", "-- cluster.conf --\ncluster_key k;\npeer n[1..3];\n-- scenari --\n", `f.txtar:4:1: error: found the section "scenari", expected cluster.conf, NODE.conf, scenario or expect.trace; did you mean "scenario"?`},
	{"a section stands twice", "-- cluster.conf --\ncluster_key k;\npeer n[1..3];\n-- scenario --\n-- scenario --\n", `f.txtar:5:1: error: found the section "scenario" a second time`},
	{"there is no configuration", "at 1s crash n1\n", "f.txtar:1:1: error: found no section cluster.conf, expected one, or a configuration of your own by --config"},
	{"there is no group", "-- cluster.conf --\nhttp 8080;\n-- scenario --\n", "f.txtar:1:1: error: found no peer in the configuration"},
	{"a configuration is of no use", group, `f.txtar:7:1: error: found the section "after.conf", which is no node's name and in no edit`},
	{"a node has no configuration", "-- n1.conf --\ncluster_key k;\npeer n[1..2];\n-- scenario --\n", `f.txtar:1:1: error: found no configuration of the node "n2"`},
}

func TestArchivesThatAreWrongAreRefused(t *testing.T) {
	for _, tt := range archiveTests {
		d, problems := scenario.Parse("f.txtar", []byte(tt.text))
		if d != nil || len(problems) == 0 || !strings.HasPrefix(problems[0].String(), tt.want) {
			t.Errorf("%s: problems are\n%swant %s", tt.name, problems, tt.want)
		}
	}
}

func TestRangesStandForNamesInTheConfiguration(t *testing.T) {
	s := parseLine(t, "seed 7")
	if got, want := s.Nodes, []string{"n1", "n2", "n3"}; !slices.Equal(got, want) {
		t.Errorf("nodes = %v, want %v", got, want)
	}
	var names []string
	for _, st := range s.Files[""].Streams {
		names = append(names, st.Name)
	}
	if want := []string{"cam01", "cam02", "cam03", "pinned", "talk"}; !slices.Equal(names, want) {
		t.Errorf("streams = %v, want %v", names, want)
	}
	if got := s.Files[""].Stream("pinned").Ingest.Peer; got != "n2:8080" {
		t.Errorf("the pin means %q, want n2:8080", got)
	}
}

func TestSettingsShareALine(t *testing.T) {
	s := parseLine(t, "seed 42   net delay 1ms..50ms loss 0.1%   capture up 500ms down 50ms timeout 8s segment 2s   until 90s fidelity actors")
	want := sim.Scenario{
		Seed: 42, Net: sim.Net{Delay: sim.Range{Min: time.Millisecond, Max: 50 * time.Millisecond}, Loss: 1000},
		Capture: sim.Capture{
			Up: sim.Range{Min: 500 * time.Millisecond, Max: 500 * time.Millisecond}, Down: sim.Range{Min: 50 * time.Millisecond, Max: 50 * time.Millisecond},
			Timeout: 8 * time.Second, Segment: 2 * time.Second,
		},
		Until: 90 * time.Second, Fidelity: sim.Actors,
	}
	if s.Seed != want.Seed || s.Net != want.Net || s.Capture != want.Capture || s.Until != want.Until || s.Fidelity != want.Fidelity {
		t.Errorf("settings = %+v, want %+v", *s, want)
	}
	again, problems := scenario.Parse("again.txtar", []byte(scenario.Format(s)))
	if again == nil {
		t.Fatalf("printed settings cannot be read:\n%v", problems)
	}
	if g := again.Scenario; g.Net != want.Net || g.Capture != want.Capture || g.Until != want.Until || g.Fidelity != want.Fidelity {
		t.Errorf("printed and read again: %+v, want %+v", *g, want)
	}
}

func TestOperatorsOwnFileTakesThePlaceOfTheScenarios(t *testing.T) {
	own := scenario.Source{Name: "weir.conf", Text: []byte(`
		name streamer; cluster_key 0123456789abcdef0123456789abcdef;
		peer flussonic:8080; peer backup:8080 { stale_timeout 20000; }
		stream hall { input fake://fake; cluster_ingest capture_at=streamer; }`)}
	d, problems := scenario.ParseWith("crash.txtar", []byte("at 20s crash streamer\nexpect hall on exactly 1 node within 40s\n"), own)
	if d == nil {
		t.Fatalf("ParseWith fails:\n%v", problems)
	}
	if got, want := d.Scenario.Nodes, []string{"flussonic", "backup", "streamer"}; !slices.Equal(got, want) {
		t.Errorf("nodes = %v, want %v", got, want)
	}
	if printed := scenario.Format(d.Scenario); strings.Contains(printed, "0123456789abcdef") {
		t.Errorf("the printed scenario betrays the key:\n%s", printed)
	}
	_, problems = scenario.ParseWith("crash.txtar", []byte("at 20s crash streamr\n"), own)
	if len(problems) == 0 || !strings.HasPrefix(problems[len(problems)-1].String(), `crash.txtar:1:14: error: found "streamr", expected the name of a node; did you mean "streamer"?`) {
		t.Errorf("problems are\n%s", problems)
	}
}

func TestNodesOnOneHostAreNamedWithTheirPorts(t *testing.T) {
	s, problems := scenario.Configured(scenario.Source{Name: "demo.conf", Text: []byte(`cluster_key k; peer 127.0.0.1:8081; peer 127.0.0.1:8082; peer n3:80;`)})
	if s == nil {
		t.Fatalf("Configured fails:\n%v", problems)
	}
	if got, want := s.Nodes, []string{"127.0.0.1:8081", "127.0.0.1:8082", "n3"}; !slices.Equal(got, want) {
		t.Errorf("nodes = %v, want %v", got, want)
	}
}

func TestAPrintedScenarioIsShort(t *testing.T) {
	d, problems := scenario.Parse("short.txtar", []byte(`# Two nodes have cameras of their own.
-- cluster.conf --
cluster_key abcd; return_holddown 1000;
peer n[1..9]:8080 { fetch_timeout 1000; stale_timeout 3000; }
stream cam[001..200] { input fake://cam[001..200]; cluster_ingest; }
-- n2.conf --
cluster_key other; return_holddown 1000;
peer n[1..9]:8080;
-- scenario --
seed 42
at 20s crash n2 ; pause n3 5s
expect each stream on exactly 1 node within 3.6s
`))
	if d == nil {
		t.Fatalf("Parse fails:\n%v", problems)
	}
	const want = `# Two nodes have cameras of their own.
-- cluster.conf --
cluster_key key1; return_holddown 1000;
peer n[1..9]:8080 { fetch_timeout 1000; stale_timeout 3000; }
stream cam[001..200] { input fake://cam[001..200]; cluster_ingest; }
-- n2.conf --
cluster_key key2; return_holddown 1000;
peer n[1..9]:8080;
-- scenario --
seed 42
at 20s crash n2
from 20s to 25s pause n3
at 20s expect each stream on exactly 1 node within 3.6s
`
	if got := scenario.Format(d.Scenario); got != want {
		t.Errorf("Format =\n%s\nwant\n%s", got, want)
	}
}

func TestExpectedTraceIsReplacedInItsPlace(t *testing.T) {
	text := "# x\n" + strings.ReplaceAll(group, "after.conf", "n1.conf") + "seed 1 # the first\n-- expect.trace --\nold\n"
	d, problems := scenario.Parse("t.txtar", []byte(text))
	if d == nil {
		t.Fatalf("Parse fails:\n%v", problems)
	}
	if !slices.Equal(d.Trace, []string{"old"}) {
		t.Errorf("trace = %q, want one line", d.Trace)
	}
	got := string(d.SetTrace([]string{"a", "b"}))
	if want := strings.TrimSuffix(text, "old\n") + "a\nb\n"; got != want {
		t.Errorf("SetTrace =\n%s\nwant\n%s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range lineTests {
		f.Add(group + tt.line + "\n" + useAfter)
	}
	for _, tt := range errorTests {
		f.Add(group + tt.line + "\n" + useAfter)
	}
	for _, tt := range archiveTests {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, problems := scenario.Parse("fuzz.txtar", []byte(text))
		if d == nil {
			if !problems.Failed() {
				t.Fatal("refused without a word")
			}
			for _, p := range problems {
				if p.Pos.Line < 1 || p.Pos.Col < 1 {
					t.Fatalf("%s has no place", p)
				}
			}
			return
		}
		once := scenario.Format(d.Scenario)
		again, problems := scenario.Parse("again.txtar", []byte(once))
		if again == nil {
			t.Fatalf("what was printed cannot be read:\n%v%s", problems, once)
		}
		if twice := scenario.Format(again.Scenario); twice != once {
			t.Fatalf("printed twice:\n%s\nand\n%s", once, twice)
		}
		if !slices.Equal(again.Scenario.Nodes, d.Scenario.Nodes) {
			t.Fatalf("nodes = %v, want %v", again.Scenario.Nodes, d.Scenario.Nodes)
		}
	})
}
