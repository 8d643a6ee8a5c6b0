package owner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"weir/actors/act"
	"weir/cluster/control"
	"weir/cluster/identity"
	"weir/cluster/wire"
	"weir/protocols/listen"
)

func ask(node string) control.PublishAnswer {
	return control.PublishAnswer{Verdict: control.AskNode, Node: node}
}

var (
	here    = control.PublishAnswer{Verdict: control.Busy, Node: "n1"}
	granted = control.PublishAnswer{Verdict: control.Granted}
	free    = &wire.Claimed{Granted: true}
	taken   = &wire.Claimed{Reason: "it is published at n2"}
)

// A reply is what the node that is asked says.
type reply struct {
	answer proto.Message
	err    error
}

var claimTests = []struct {
	name     string
	verdicts []control.PublishAnswer
	answers  []reply
	asked    []string // the nodes that the control plane is told of, question by question
	want     error
}{
	{"nobody else has it", []control.PublishAnswer{granted}, nil, []string{""}, nil},
	{"it has a publisher here", []control.PublishAnswer{here}, []reply{{Given("n1", false, ""), nil}}, []string{""}, listen.ErrBusy},
	{"its publisher here gives way", []control.PublishAnswer{here, granted}, []reply{{Given("n1", true, "1.2.3.4:5"), nil}}, []string{"", "n1"}, nil},
	{"its publisher here gives way to another one first", []control.PublishAnswer{here, here}, []reply{{Given("n1", true, ""), nil}}, []string{"", "n1"}, listen.ErrBusy},
	{"the publisher of the owner gives way", []control.PublishAnswer{ask("n2"), granted}, []reply{{Given("n2", true, "1.2.3.4:5"), nil}}, []string{"", "n2"}, nil},
	{"it is published elsewhere only", []control.PublishAnswer{{Verdict: control.Elsewhere, Node: "n2"}}, nil, []string{""}, listen.ErrNotFound},
	{"no file has it", []control.PublishAnswer{{Verdict: control.NotFound}}, nil, []string{""}, listen.ErrNotFound},
	{"the owner has a publisher", []control.PublishAnswer{ask("n2")}, []reply{{taken, nil}}, []string{""}, listen.ErrBusy},
	{"the owner has none", []control.PublishAnswer{ask("n2"), granted}, []reply{{free, nil}}, []string{"", "n2"}, nil},
	{"the owner is silent", []control.PublishAnswer{ask("n2"), granted}, []reply{{nil, identity.ErrNoAnswer}}, []string{"", "n2"}, nil},
	{"the owner is gone", []control.PublishAnswer{ask("n2"), granted}, []reply{{nil, identity.ErrNoOwner}}, []string{"", "n2"}, nil},
	{
		"the owner has let go of it",
		[]control.PublishAnswer{ask("n2"), granted},
		[]reply{{nil, &identity.RefusedError{Why: wire.Refused_WHY_ELSEWHERE}}},
		[]string{"", "n2"},
		nil,
	},
	{
		"the owner speaks another protocol",
		[]control.PublishAnswer{ask("n2")},
		[]reply{{nil, &identity.RefusedError{Why: wire.Refused_WHY_PROTOCOL}}},
		[]string{""},
		listen.ErrUnavailable,
	},
	{
		"the owner changes twice",
		[]control.PublishAnswer{ask("n2"), ask("n3"), ask("n4"), granted},
		[]reply{{free, nil}, {nil, identity.ErrNoAnswer}, {free, nil}},
		[]string{"", "n2", "n2 n3", "n2 n3 n4"},
		nil,
	},
	{
		"the owner changes again and again",
		[]control.PublishAnswer{ask("n2"), ask("n3"), ask("n4"), ask("n5"), ask("n6")},
		[]reply{{free, nil}, {free, nil}, {free, nil}, {free, nil}},
		[]string{"", "n2", "n2 n3", "n2 n3 n4", "n2 n3 n4 n5"},
		listen.ErrUnavailable,
	},
}

func TestPublisherIsAdmittedOnceNobodyElsePublishes(t *testing.T) {
	for _, tt := range claimTests {
		t.Run(tt.name, func(t *testing.T) {
			verdicts, answers, told := tt.verdicts, tt.answers, []string(nil)
			k := &Asker{
				Self: func() string { return "n1" },
				Want: func(stream string, asked []string, reply *act.Reply[control.PublishAnswer]) {
					told = append(told, strings.Join(asked, " "))
					reply.Give(verdicts[0])
					verdicts = verdicts[1:]
				},
				Here: func(_ context.Context, stream string) (*wire.Claimed, error) {
					if want := tt.verdicts[len(told)-1].Node; want != "n1" || stream != "cam" {
						t.Errorf("this node is asked about %q, want %s", stream, want)
					}
					a := answers[0]
					answers = answers[1:]
					return a.answer.(*wire.Claimed), a.err
				},
				AskAt: func(_ context.Context, node, stream string, q proto.Message) (proto.Message, error) {
					if want := tt.verdicts[len(told)-1].Node; node != want {
						t.Errorf("%s is asked, want %s", node, want)
					}
					if c := q.(*wire.Claim); c.Stream != "cam" || stream != "cam" || c.Node != "n1" {
						t.Errorf("asked about %q for %q: %v", stream, c.Node, c)
					}
					a := answers[0]
					answers = answers[1:]
					return a.answer, a.err
				},
			}
			tookOver, err := k.Claim(t.Context(), "cam")
			if want := strings.Contains(tt.name, "gives way") && tt.want == nil; tookOver != want {
				t.Errorf("another publisher has given way: %v, want %v", tookOver, want)
			}
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("Claim = %v, want %v", err, tt.want)
			}
			if !slices.Equal(told, tt.asked) {
				t.Errorf("the control plane was told of %q, want %q", told, tt.asked)
			}
			if len(verdicts) > 0 || len(answers) > 0 {
				t.Errorf("%d verdicts and %d answers were not asked for", len(verdicts), len(answers))
			}
		})
	}
}

func TestClaimEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	k := &Asker{Want: func(string, []string, *act.Reply[control.PublishAnswer]) { cancel() }}
	if _, err := k.Claim(ctx, "cam"); !errors.Is(err, listen.ErrUnavailable) {
		t.Errorf("Claim = %v, want %v", err, listen.ErrUnavailable)
	}
}

func TestReleaseByANodeWithoutTheStreamIsARelease(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		ok   bool
	}{
		{"released", nil, true},
		{"not captured there", &identity.RefusedError{Why: wire.Refused_WHY_ELSEWHERE}, true},
		{"kept", &identity.RefusedError{Why: wire.Refused_WHY_NOT_NOW}, false},
		{"silent", identity.ErrNoAnswer, false},
	} {
		k := &Asker{
			Self: func() string { return "n1" },
			Ask:  func(context.Context, string, proto.Message) (proto.Message, error) { return nil, tt.err },
		}
		if err := k.Release(t.Context(), "cam"); (err == nil) != tt.ok {
			t.Errorf("%s: Release = %v", tt.name, err)
		}
	}
}
