package scenario

import (
	"fmt"
	"slices"
	"testing"

	"weir/sim"
)

// Each row is a group whose nodes the simulator has to call as they call themselves.
var nameTests = []struct {
	name, file, self string
	announced        map[string]string
	nodes            []string
	same             map[string]string // what else a scenario may call a node
}{
	{
		name: "by the host", file: "peer a.example.com:8080; peer b.example.com:8080;",
		nodes: []string{"a.example.com", "b.example.com"}, same: map[string]string{"b.example.com:8080": "b.example.com"},
	},
	{
		name: "by the block", file: "peer a.example.com:8080 { name n1; } peer b.example.com { name n2; }", self: "n1",
		nodes: []string{"n1", "n2"}, same: map[string]string{"a.example.com": "n1", "b.example.com": "n2", "b.example.com:80": "n2"},
	},
	{
		name: "by the flag", file: "peer a.example.com:8080; peer b.example.com:8080;", self: "n1",
		announced: map[string]string{"a.example.com": "n1", "b.example.com:8080": "n2"},
		nodes:     []string{"n1", "n2"}, same: map[string]string{"a.example.com": "n1", "b.example.com": "n2"},
	},
	{
		name: "by host and port where entries share the host", file: "peer 10.0.0.1; peer 10.0.0.1:8080; peer 10.0.0.2:8080;",
		nodes: []string{"10.0.0.1:80", "10.0.0.1:8080", "10.0.0.2"}, same: map[string]string{"10.0.0.2:8080": "10.0.0.2"},
	},
	{
		name: "a list that leaves its own node out", file: "name n1; peer n2:8080; peer n3:8080;",
		nodes: []string{"n2", "n3", "n1"},
	},
}

func TestSimulatorCallsNodesAsTheyCallThemselves(t *testing.T) {
	for _, tt := range nameTests {
		t.Run(tt.name, func(t *testing.T) {
			own := Source{
				Name: "weir.conf", Self: tt.self, Announced: tt.announced,
				Text: []byte("cluster_key for-the-test-only-0123; stream cam { input fake://fake; cluster_ingest; }\n" + tt.file),
			}
			d, problems := ParseWith("names", []byte("seed 1 net delay 1ms\nat 40s expect agreement\nexpect cam on exactly 1 node\n"), own)
			if d == nil {
				t.Fatal(problems)
			}
			s := d.Scenario
			if !slices.Equal(s.Nodes, tt.nodes) {
				t.Fatalf("nodes are %v, want %v", s.Nodes, tt.nodes)
			}
			r := sim.Run(s, sim.Options{Snapshots: 30e9})
			if len(r.Violations) > 0 {
				t.Errorf("%v", r.Violations)
			}
			for i, n := range r.Snapshots[len(r.Snapshots)-1].Nodes { // these are real control planes
				if n.View.Self != s.Nodes[i] {
					t.Errorf("%s calls itself %s", s.Nodes[i], n.View.Self)
				}
				for _, p := range n.View.Peers {
					if !slices.Contains(tt.nodes, p.Name) || !p.Met {
						t.Errorf("%s has a peer %s, met: %t", s.Nodes[i], p.Name, p.Met)
					}
				}
			}
			for said, node := range tt.same {
				d, problems := ParseWith("names", fmt.Appendf(nil, "at 1s crash %s\n", said), own)
				if d == nil {
					t.Errorf("%s: %v", said, problems)
				} else if got := d.Scenario.Steps[0].Action.(sim.Crash).Nodes; !slices.Equal(got, []string{node}) {
					t.Errorf("%s means %v, want %s", said, got, node)
				}
			}
		})
	}
}
