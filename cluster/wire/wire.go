// Package wire holds the messages that actors of different nodes send each other, and says which of them a node
// accepts from another.
//
// It knows no actor and no transport, and decides nothing. What nodes tell each other about themselves over HTTP is
// not here.
package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

//go:generate protoc --proto_path=. --go_out=. --go_opt=paths=source_relative wire.proto

// Protocol is the number of the protocol that this node speaks. A node understands its predecessor's too, so that a
// cluster is upgraded node by node.
const Protocol = 1

// oldest is the lowest protocol that this node understands: its own, or its predecessor's once there is one.
const oldest = 1

// A Question is a message to the owner of a stream, who answers it.
type Question interface {
	proto.Message
	GetProtocol() uint32
	GetAsk() uint64
	GetStream() string
}

// An Answer repeats the number of its [Question], so that the asker can tell to which one it belongs.
type Answer = Question

// The sides from which messages are sent.
var (
	questions = []Question{&Describe{}, &Demand{}, &Claim{}, &Kick{}, &Release{}, &Window{}}
	answers   = []Answer{
		&Description{}, &Demanded{}, &Claimed{}, &Kicked{}, &Released{}, &Windowed{}, &Refused{},
	}
)

// Questions returns the full protobuf names of the messages that may be sent to a stream.
func Questions() []string { return names(questions) }

// Answers returns the full protobuf names of the messages that may be sent to whoever asked.
func Answers() []string { return names(answers) }

func names[M proto.Message](ms []M) []string {
	out := make([]string, len(ms))
	for i, m := range ms {
		out[i] = string(proto.MessageName(m))
	}
	return out
}

// Check returns an error if a message is of a protocol that this node does not understand, or is about no stream.
func Check(m Question) error {
	switch p := m.GetProtocol(); {
	case p < oldest || p > Protocol:
		return fmt.Errorf("%s of protocol %d, this node speaks %d", proto.MessageName(m), p, Protocol)
	case m.GetStream() == "":
		return fmt.Errorf("%s about no stream", proto.MessageName(m))
	}
	return nil
}

// Refuse makes the answer to a question that gets no better one.
func Refuse(q Question, why Refused_Why, reason string) *Refused {
	return &Refused{Protocol: Protocol, Ask: q.GetAsk(), Stream: q.GetStream(), Why: why, Reason: reason}
}
