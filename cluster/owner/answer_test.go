package owner

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"weir/actors/hub"
	"weir/actors/stream"
	"weir/cluster/wire"
	"weir/protocols/cmaf"
)

var (
	idle      = stream.Snapshot{Role: stream.Idle}
	capturing = stream.Snapshot{Role: stream.Capturing, Inputs: []stream.InputState{{URL: "fake://", Own: true, Active: true}}}
	failing   = stream.Snapshot{Role: stream.Capturing, Inputs: []stream.InputState{{URL: "fake://", Own: true, Err: "refused"}}}
	relayed   = stream.Snapshot{Role: stream.Capturing, Inputs: []stream.InputState{{URL: "the owner", Active: true}, {URL: "fake://", Own: true}}}
	leaving   = stream.Snapshot{Role: stream.Idle, Packing: true}
	published = stream.Snapshot{Role: stream.Capturing, Publisher: "192.0.2.1:4"}
)

// answerTests has for each question the answer, whose numbers and names are filled in by the test, and what is asked of the
// node itself meanwhile.
var answerTests = []struct {
	name string
	is   stream.Snapshot
	q    wire.Question
	yes  bool // what the node itself says
	want wire.Answer
	told string
}{
	{"a newer protocol", capturing, &wire.Claim{Protocol: wire.Protocol + 1}, true, &wire.Refused{Why: wire.Refused_WHY_PROTOCOL}, ""},
	{"not captured", idle, &wire.Claim{}, true, &wire.Refused{Why: wire.Refused_WHY_ELSEWHERE}, ""},
	{"claim of a captured one", capturing, &wire.Claim{}, true, &wire.Claimed{}, ""},
	{"claim of one without media", failing, &wire.Claim{}, true, &wire.Claimed{Granted: true}, ""},
	{"claim of one whose viewers still get another node's media", relayed, &wire.Claim{}, true, &wire.Claimed{Granted: true}, ""},
	{"claim of one whose publisher gives way", published, &wire.Claim{}, true, &wire.Claimed{Granted: true}, "give way, told of the end of 192.0.2.1:4"},
	{"claim of one whose publisher does not", published, &wire.Claim{}, false, &wire.Claimed{}, "give way, told of the end of "},
	{"claim while the publisher before leaves", leaving, &wire.Claim{}, true, &wire.Claimed{Granted: true}, "give way, told of the end of 192.0.2.1:4"},
	{"description", capturing, &wire.Describe{}, true, &wire.Description{
		State: wire.State_STATE_STARTING, Clients: 7, Inputs: []*wire.Input{{Url: "fake://", Active: true}},
	}, ""},
	{"kick of the publisher", published, &wire.Kick{Reason: "noise"}, true, &wire.Kicked{Sessions: 1}, "{Stream:cam Why:kicked: noise}"},
	{"kick without a publisher", capturing, &wire.Kick{}, true, &wire.Kicked{}, ""},
	{"kick of a viewer", capturing, &wire.Kick{Session: "5"}, true, &wire.Refused{Why: wire.Refused_WHY_UNSUPPORTED}, ""},
	{"release", capturing, &wire.Release{Node: "n2"}, true, &wire.Released{}, "cam to n2"},
	{"release that is refused", capturing, &wire.Release{Node: "n2"}, false, &wire.Refused{Why: wire.Refused_WHY_NOT_NOW}, "cam to n2"},
	{"segments", idle, &wire.Window{Node: "n2"}, true, &wire.Windowed{NextSequence: 5}, "segments of cam to n2"},
	{"segments of one that has none", idle, &wire.Window{Node: "n2"}, false, &wire.Refused{Why: wire.Refused_WHY_NOT_NOW}, "segments of cam to n2"},
	{"a question of a newer version", capturing, &wire.Demand{}, true, &wire.Refused{Why: wire.Refused_WHY_UNSUPPORTED}, ""},
}

func TestQuestionsAreAnsweredForStreamsThatAreCapturedHere(t *testing.T) {
	live := &stream.Live{Hub: hub.New("cam", hub.Config{}), Store: cmaf.NewStore(cmaf.Config{})}
	for _, tt := range answerTests {
		t.Run(tt.name, func(t *testing.T) {
			told := ""
			a := &Answerer{
				Self: func() string { return "n1" }, Viewers: func(string) int { return 7 },
				Window: func(q *wire.Window, self string, _ *cmaf.Store) *wire.Windowed {
					return &wire.Windowed{Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream, Node: self, NextSequence: 5}
				},
				Leaving: func(string) string {
					if tt.is.Packing { // stands for it
						return "192.0.2.1:4"
					}
					return ""
				},
				Left: func(stream, session string, done func()) {
					told += ", told of the end of " + session
					done()
				},
				Streams: func(msg any) {
					if g, ok := msg.(stream.GiveWay); ok {
						told = "give way"
						gone := ""
						if tt.yes && tt.is.Publisher != "" {
							gone = tt.is.Publisher
						}
						g.Reply(tt.yes, gone)
						return
					}
					if h, ok := msg.(stream.HandOver); ok {
						told = "segments of " + h.Stream + " to " + h.To
						h.Reply(tt.yes)
						return
					}
					told = fmt.Sprintf("%+v", msg)
				},
				Release: func(stream, from string, answer func(bool)) {
					told = stream + " to " + from
					answer(tt.yes)
				},
			}
			q := proto.Clone(tt.q).(wire.Question)
			set(q, "stream", "cam")
			set(q, "ask", uint64(3))
			if q.GetProtocol() == 0 {
				set(q, "protocol", uint32(wire.Protocol))
			}
			var later any
			got := a.Answer(live, tt.is, q, func(m any) { later = m })
			if got == nil {
				got = later
			}
			m, ok := got.(wire.Answer)
			if !ok {
				t.Fatalf("the answer is %v", got)
			}
			if m.GetAsk() != 3 || m.GetStream() != "cam" || m.GetProtocol() != wire.Protocol {
				t.Errorf("the answer %v does not belong to question 3 about cam", m)
			}
			for _, name := range []protoreflect.Name{"ask", "stream", "protocol", "node", "reason", "publisher"} {
				drop(m, name)
			}
			if !proto.Equal(m, tt.want) {
				t.Errorf("answer = %v, want %v", m, tt.want)
			}
			if told != tt.told {
				t.Errorf("the node was asked for %q, want %q", told, tt.told)
			}
		})
	}
}

func set(m proto.Message, field protoreflect.Name, v any) {
	r := m.ProtoReflect()
	r.Set(r.Descriptor().Fields().ByName(field), protoreflect.ValueOf(v))
}

func drop(m proto.Message, field protoreflect.Name) {
	r := m.ProtoReflect()
	if f := r.Descriptor().Fields().ByName(field); f != nil {
		r.Clear(f)
	}
}
