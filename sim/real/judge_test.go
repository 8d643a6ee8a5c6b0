package real

import (
	"slices"
	"strings"
	"testing"
	"time"

	"weir/cluster/conf"
	"weir/protocols"
	"weir/sim"
)

// court makes the judge of a chaos of two nodes that lasted a minute: n1 captured a camera from the first second on and has had a
// publisher since then, nothing happened, and both nodes named n1 as the owner all the time.
func court(t *testing.T) (*judge, *viewer) {
	t.Helper()
	f, problems := conf.Parse("test", []byte(`cluster_key 01234567890123456789012345678901; return_holddown 1000;
peer n1:80 { fetch_timeout 500; stale_timeout 2500; } peer n2:80 { fetch_timeout 500; stale_timeout 2500; }
stream cam { input fake://fake; cluster_ingest capture_at=n1; } stream live { input publish://; cluster_ingest; }`))
	if problems.Failed() {
		t.Fatal(problems)
	}
	g := &group{
		s: &sim.Scenario{Nodes: []string{"n1", "n2"}, Files: map[string]*conf.File{"": f}}, zero: time.Unix(1000, 0), patience: impatience,
		sources: &sources{states: map[string]map[string]*sourceState{}},
	}
	for i, name := range g.s.Nodes {
		g.nodes = append(g.nodes, &node{name: name, index: i})
		g.done = append(g.done, sim.Step{At: time.Millisecond, Action: sim.Restart{Nodes: []string{name}}})
	}
	g.addLinks()
	v := &viewer{Stream: "cam", Protocol: protocols.TS, entry: g.nodes[1], began: g.zero, first: at(g, 2), at: at(g, 60), Pictures: 1000}
	w := &viewer{Stream: "live", Protocol: protocols.TS, entry: g.nodes[1], began: g.zero, first: at(g, 2), at: at(g, 60), Pictures: 1000}
	for s := 2; s < 60; s++ {
		w.shown = append(w.shown, shown{indexAt(at(g, s)), at(g, s)})
	}
	g.viewers = []*viewer{v, w}
	g.sources.holds = []*hold{
		{Stream: "cam", Node: "n1", From: at(g, 1), Up: at(g, 1)},
		{Stream: "live", Node: "n1", From: at(g, 1), Up: at(g, 1), publisher: &publisher{stream: "live", node: g.nodes[0]}},
	}
	for s := 2; s < 60; s++ {
		for _, n := range g.s.Nodes {
			g.answers = append(g.answers, answer{time.Duration(s) * time.Second, time.Duration(s) * time.Second, n, map[string]string{"cam": "n1", "live": "n1"}})
		}
	}
	return &judge{g: g, r: &ChaosReport{Fetch: 500 * time.Millisecond, Stale: 2500 * time.Millisecond, Judged: map[string]int{}}, up: time.Second}, v
}

// restart lets a node end at a second, and run again soon.
func restart(g *group, node string, second int) {
	end := time.Duration(second) * time.Second
	g.done = append(g.done, sim.Step{At: end, Action: sim.Crash{Nodes: []string{node}}}, sim.Step{At: end + time.Second, Action: sim.Restart{Nodes: []string{node}}})
}

func at(g *group, seconds int) time.Time { return g.zero.Add(time.Duration(seconds) * time.Second) }

func TestJudgeFindsWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(g *group, v *viewer)
		want  []string // the invariants that are violated
	}{
		{"all is well", func(*group, *viewer) {}, nil},
		{"nobody captures it", func(g *group, _ *viewer) { g.sources.holds[0].To = at(g, 20) }, []string{"I17", "I20"}},
		{"two capture it", func(g *group, _ *viewer) {
			g.sources.holds = append(g.sources.holds, &hold{Stream: "cam", Node: "n2", From: at(g, 20), Up: at(g, 20)})
		}, []string{"I1", "I18", "I24", "I28", "I6"}},
		{"the wrong one captures it", func(g *group, _ *viewer) {
			g.sources.holds[0].Node = "n2"
			for i := range g.answers {
				g.answers[i].owners["cam"] = "n2"
			}
		}, []string{"I6"}},
		{"a viewer gets nothing", func(g *group, v *viewer) { v.at = at(g, 30) }, []string{"I30"}},
		{"a viewer never got anything", func(_ *group, v *viewer) { v.first, v.at = time.Time{}, time.Time{} }, []string{"I30"}},
		{"a viewer gets nothing while its node is cut off", func(g *group, v *viewer) {
			v.at = at(g, 30)
			g.done = append(g.done, sim.Step{At: 30 * time.Second, Action: sim.Cut{Links: sim.Links{From: []string{"n1"}, To: []string{"n2"}}}})
			g.sources.holds = append(g.sources.holds, &hold{Stream: "cam", Node: "n2", From: at(g, 33), Up: at(g, 33)})
			for i := range g.answers {
				if g.answers[i].node == "n2" && g.answers[i].asked > 30*time.Second {
					g.answers[i].owners["cam"] = "n2"
				}
			}
		}, []string{"I30"}}, // for n2 has it too, and serves its own viewer
		{"a viewer goes back", func(_ *group, v *viewer) { v.back(wentBack{what: "b was followed by a"}) }, []string{"I31"}},
		{"a publisher is not heard", func(g *group, _ *viewer) { g.viewers[1].shown = g.viewers[1].shown[:0] }, []string{"I29"}},
		{"a publisher is heard too late", func(g *group, _ *viewer) {
			for i := range g.viewers[1].shown {
				g.viewers[1].shown[i].index = indexAt(g.zero) + int64(i/30)*2*30*25
			}
		}, []string{"I29"}},
		{"a publisher is told otherwise", func(g *group, _ *viewer) {
			g.viewers[1].shown, g.sources.holds[1].To = nil, at(g, 8)
			g.viewers[1].began = at(g, 50) // nor is it judged what nobody sends
		}, nil},
		{"a playlist goes back", func(g *group, v *viewer) { v.back(wentBack{at: at(g, 31), since: at(g, 29), numbers: 1}) }, []string{"I31"}},
		{"a playlist goes back a little behind a restart", func(g *group, v *viewer) {
			restart(g, "n2", 30)
			v.back(wentBack{at: at(g, 31), since: at(g, 29), numbers: restartLead})
		}, nil},
		{"a playlist goes back by much behind a restart", func(g *group, v *viewer) {
			restart(g, "n2", 30)
			v.back(wentBack{at: at(g, 31), since: at(g, 29), numbers: restartLead + 1})
		}, []string{"I31"}},
		{"a node does not name itself", func(g *group, _ *viewer) {
			for i := range g.answers {
				if g.answers[i].node == "n1" {
					g.answers[i].owners["cam"] = ""
				}
			}
		}, []string{"I23", "I32"}},
		{"a node names another", func(g *group, _ *viewer) {
			for i := range g.answers {
				if g.answers[i].node == "n2" {
					g.answers[i].owners["cam"] = "n2"
				}
			}
		}, []string{"I23", "I32"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j, v := court(t)
			tt.spoil(j.g, v)
			end := at(j.g, 60)
			j.h = j.g.history(end, 0)
			j.all(end)
			var got []string
			for _, text := range j.r.Violations {
				got = append(got, strings.SplitN(text, ":", 2)[0])
			}
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, tt.want) {
				t.Errorf("violated: %v, want %v:\n%s", got, tt.want, strings.Join(j.r.Violations, "\n"))
			}
		})
	}
}

func TestViewerOfRTSPThatIsRedirectedBeginsAnew(t *testing.T) {
	p, err := newPattern()
	if err != nil {
		t.Fatal(err)
	}
	units, err := p.Segment(p.SegmentAt(ticks(time.Unix(1000, 0))))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		protocol protocols.Protocol
		back     int
	}{{protocols.RTSP, 0}, {protocols.RTMP, 1}} {
		v := &viewer{Protocol: tt.protocol, last: -1}
		for _, au := range []int{7, 5} { // the other server begins with a random access point
			unit := *units[au]
			unit.Discontinuity = true
			if err := v.Write(&unit); err != nil {
				t.Fatal(err)
			}
		}
		if len(v.Back) != tt.back {
			t.Errorf("%s: %v went back, want %d", tt.protocol, v.Back, tt.back)
		}
	}
}
