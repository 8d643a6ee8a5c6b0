package wire_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"weir/cluster/wire"
)

// Whoever adds a message to the file must also say who may send it.
func TestEveryMessageIsAQuestionAnAnswerOrAPartOfOne(t *testing.T) {
	parts := map[string]bool{"weir.wire.v1.Input": true, "weir.wire.v1.Track": true, "weir.wire.v1.LeftOut": true, "weir.wire.v1.Segment": true, "weir.wire.v1.Generation": true}
	known := map[string]bool{}
	for _, n := range append(wire.Questions(), wire.Answers()...) {
		known[n] = true
	}
	all := wire.File_wire_proto.Messages()
	for i := range all.Len() {
		name := string(all.Get(i).FullName())
		if known[name] == parts[name] {
			t.Errorf("%s is neither listed nor a part, or both", name)
		}
	}
	if got, want := len(known)+len(parts), all.Len(); got != want {
		t.Errorf("%d messages are listed, the file has %d", got, want)
	}
}

func TestEveryMessageStartsWithProtocolAskAndStream(t *testing.T) {
	all := wire.File_wire_proto.Messages()
	for _, name := range append(wire.Questions(), wire.Answers()...) {
		m := all.ByName(protoreflect.Name(name[strings.LastIndexByte(name, '.')+1:]))
		for number, field := range []protoreflect.Name{1: "protocol", 2: "ask", 3: "stream"} {
			if number == 0 {
				continue
			}
			if f := m.Fields().ByNumber(protoreflect.FieldNumber(number)); f == nil || f.Name() != field {
				t.Errorf("%s: field %d is not %s", name, number, field)
			}
		}
	}
}

var checkTests = []struct {
	name string
	in   wire.Question
	ok   bool
}{
	{"good", &wire.Describe{Protocol: wire.Protocol, Stream: "cam01"}, true},
	{"no protocol", &wire.Describe{Stream: "cam01"}, false},
	{"newer", &wire.Claim{Protocol: wire.Protocol + 1, Stream: "cam01"}, false},
	{"no stream", &wire.Kick{Protocol: wire.Protocol}, false},
}

func TestCheck(t *testing.T) {
	for _, tt := range checkTests {
		if err := wire.Check(tt.in); (err == nil) != tt.ok {
			t.Errorf("%s: Check(%v) = %v, want ok %v", tt.name, tt.in, err, tt.ok)
		}
	}
}

func TestRefusalBelongsToItsQuestion(t *testing.T) {
	q := &wire.Describe{Protocol: wire.Protocol, Ask: 7, Stream: "cam01"}
	r := wire.Refuse(q, wire.Refused_WHY_ELSEWHERE, "moved")
	if r.GetAsk() != 7 || r.GetStream() != "cam01" || wire.Check(r) != nil {
		t.Errorf("Refuse(%v) = %v", q, r)
	}
}

// A newer node's fields and enum values must not make its messages unreadable.
func TestUnknownFieldsAndValuesAreCarried(t *testing.T) {
	b, err := proto.Marshal(&wire.Description{Protocol: 1, Stream: "cam01", State: 99})
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, 0xf8, 0x07, 0x01) // field 127, varint 1
	var d wire.Description
	if err := proto.Unmarshal(b, &d); err != nil || d.GetStream() != "cam01" || d.GetState() != 99 {
		t.Errorf("Unmarshal = %v, %v", &d, err)
	}
}
