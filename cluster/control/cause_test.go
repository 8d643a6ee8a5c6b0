package control

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"weir/cluster/place"
)

// causeTests make a state for each cause why n2, or this node n1, does not have the stream cam1.
var causeTests = map[string]struct {
	node string
	make func(p *probe, q *peer, s *stream)
	says string
}{
	"removed":           {"n9", func(*probe, *peer, *stream) {}, "is no node of the files any more"},
	"drains here":       {"n1", func(p *probe, _ *peer, _ *stream) { p.n.draining = true }, "drains"},
	"left out":          {"n1", func(p *probe, _ *peer, _ *stream) { p.n.unlisted = true }, "is in no live peer's file"},
	"warming up":        {"n1", func(p *probe, _ *peer, _ *stream) { p.n.warm = false }, "has just started and claims nothing yet"},
	"source fails here": {"n1", func(_ *probe, _ *peer, s *stream) { s.State, s.Detail = Failed, "timeout" }, "cannot get its source: timeout"},
	"busy here":         {"n1", func(p *probe, _ *peer, _ *stream) { p.n.busy = true }, "is at its cpu_limit"},
	"full here": {"n1", func(p *probe, _ *peer, _ *stream) {
		p.n.cfg.Limits.Channels = 1
		p.n.stream("other").State = Running
	}, "is at its channel_limit"},
	"held down here": {"n1", func(p *probe, _ *peer, s *stream) { s.HoldUntil = p.now + 90*Second }, "takes it back in 90.0 s (return_holddown)"},
	"here":           {"n1", func(p *probe, _ *peer, _ *stream) { p.n.boot -= 3600 * Second }, "lives"},

	"unauthorised": {"n2", func(_ *probe, q *peer, _ *stream) { q.Status = Refused }, "is unauthorised: the proof of the cluster key fails between it and n1"},
	"name taken":   {"n2", func(p *probe, q *peer, _ *stream) { p.neverAnswered(q, NameTaken) }, "announces the name of another live node"},
	"malformed":    {"n2", func(p *probe, q *peer, _ *stream) { p.neverAnswered(q, Malformed) }, "answers with what is no state of a node"},
	"incompatible": {"n2", func(p *probe, q *peer, _ *stream) { p.neverAnswered(q, Incompatible) }, "speaks a version of the protocol that is too old"},
	"never seen":   {"n2", func(p *probe, q *peer, _ *stream) { p.neverAnswered(q, Unreachable) }, "has not answered since n1 started"},
	"down":         {"n2", func(_ *probe, q *peer, _ *stream) { q.Alive, q.Down = false, true }, "is down: its machine refuses connections"},
	"stale":        {"n2", func(p *probe, q *peer, _ *stream) { q.Alive, q.EvidenceAt = false, p.now-12*Second }, "is dead: no node has heard it for 12.0 s"},
	"drains":       {"n2", func(_ *probe, q *peer, _ *stream) { q.Leaving = true }, "drains"},
	"starting":     {"n2", func(_ *probe, q *peer, _ *stream) { q.Warm = false }, "has just started and claims nothing yet"},
	"not in its file": {"n2", func(p *probe, q *peer, s *stream) {
		on := place.NewSet(3)
		on.Add(p.n.me)
		p.n.plan = place.NewPlan([]place.Stream{{Name: s.Name, On: on}}, p.n.nodes)
	}, "does not have it in its file"},
	"source fails": {"n2", func(_ *probe, q *peer, s *stream) {
		s.claimants = []claimant{{q, &claim{Claim: Claim{State: ClaimFailed, Detail: "no route"}}, true}}
	}, "cannot get its source: no route"},
	"busy":  {"n2", func(_ *probe, q *peer, _ *stream) { q.Busy = true }, "is at its cpu_limit"},
	"full":  {"n2", func(_ *probe, q *peer, s *stream) { q.Channel, q.claims = 1, []claim{{s: s}} }, "is at its channel_limit"},
	"lives": {"n2", func(*probe, *peer, *stream) {}, "lives"},
}

// neverAnswered makes a peer one of which there is no evidence.
func (p *probe) neverAnswered(q *peer, why FailReason) {
	q.Ever, q.Alive = false, false
	for _, l := range p.n.links {
		if l.peer == q {
			l.Why = why
		}
	}
}

func TestEachCauseOfAnAbsenceIsNamedAlone(t *testing.T) {
	for _, row := range absences {
		tt, ok := causeTests[row.cause]
		if !ok {
			t.Errorf("%s: no test makes this cause", row.cause)
			continue
		}
		p := newProbe(t, []string{"n2", "n3"}, "cam1")
		p.say("n2", State{Seq: 1})
		p.say("n3", State{Seq: 1})
		tt.make(p, p.n.peer("n2"), p.n.stream("cam1"))
		if cause, says := p.n.absent(p.n.stream("cam1"), tt.node, p.now); cause != row.cause || says != tt.says {
			t.Errorf("%s: explained as %s, %q, want %q", row.cause, cause, says, tt.says)
		}
	}
}

func TestPinThatNamesNoNodeIsExplained(t *testing.T) {
	for pin, want := range map[string]string{
		"n22":           "capture_at names n22, and no node is called so (nearest: n2): it is placed as if it were not pinned",
		"c.example.com": "capture_at names the host c.example.com, which several peer entries have: it is placed as if it were not pinned",
		"n2":            "capture_at names n2, which has not answered since n1 started",
	} {
		n := New(Config{
			Self: "n1", Named: true, Instance: "i", Streams: []Stream{{Name: "cam1", Clustered: true, Pin: pin}},
			Peers: []Peer{
				{Entry: "n2:80", Host: "n2", Name: "n2", Fetch: Second, Stale: 3 * Second},
				{Entry: "c.example.com:80", Host: "c.example.com", Name: "n3", Fetch: Second, Stale: 3 * Second},
				{Entry: "c.example.com:81", Host: "c.example.com", Name: "n4", Fetch: Second, Stale: 3 * Second},
			},
		}, 0)
		n.Step(0, Tick{})
		if got := strings.Join(n.Explain("cam1", 0).Why, "\n"); !strings.Contains(got, want) {
			t.Errorf("capture_at=%s is explained as %q, want it to say %q", pin, got, want)
		}
	}
}

// An operator who reads "dead or drains" knows nothing. This looks at all text that explains something.
func TestNoExplanationOffersAChoice(t *testing.T) {
	for _, file := range []string{
		"cause.go", "explain.go", "limit.go", "listing.go", "note.go", "view.go", "effect.go",
		"../status/status.go", "../status/peers.go", "../status/streams.go", "../../cmd/weir/explain.go",
	} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if f, ok := n.(*ast.Field); ok && f.Tag != nil { // help of a flag
				return false
			}
			if fn, ok := n.(*ast.FuncDecl); ok && fn.Name.Name == "Help" {
				return false
			}
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING && strings.Contains(l.Value, " or ") {
				t.Errorf("%s explains by a choice: %s", file, l.Value)
			}
			return true
		})
	}
}
