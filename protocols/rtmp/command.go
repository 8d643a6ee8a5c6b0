package rtmp

import (
	"encoding/binary"
	"fmt"

	"github.com/yutopp/go-rtmp/message"

	"weir/codecs/flv"
	"weir/codecs/flv/amf"
)

// A command is a message of type 17 or 20 (RTMP 7.1.1).
type command struct {
	name        string
	transaction float64
	args        []any // the command object first
}

// parseCommand reads a command. AMF3 commands are AMF0 behind one byte, for as long as their sender has not been
// promised AMF3, which weir never does.
func parseCommand(p packet) (command, error) {
	b := p.body
	if p.typ == uint8(message.TypeIDCommandMessageAMF3) && len(b) > 0 {
		b = b[1:]
	}
	vs, err := amf.Read(b)
	if err != nil {
		return command{}, fmt.Errorf("reading command: %w", err)
	}
	if len(vs) < 2 {
		return command{}, fmt.Errorf("%w: command of %d values", errProtocol, len(vs))
	}
	name, named := vs[0].(string)
	n, numbered := vs[1].(float64)
	if !named || !numbered {
		return command{}, fmt.Errorf("%w: command without name or number", errProtocol)
	}
	return command{name: name, transaction: n, args: vs[2:]}, nil
}

// isCommand says whether a message is a command.
func isCommand(p packet) bool {
	return p.typ == uint8(message.TypeIDCommandMessageAMF0) || p.typ == uint8(message.TypeIDCommandMessageAMF3)
}

// arg returns the i-th argument as a string; "" if it is none.
func (c command) arg(i int) string {
	if i >= len(c.args) {
		return ""
	}
	s, _ := c.args[i].(string)
	return s
}

// object returns the i-th argument as an object; none if it is not one.
func (c command) object(i int) amf.Object {
	if i >= len(c.args) {
		return nil
	}
	o, _ := amf.AsObject(c.args[i])
	return o
}

// splitTags turns a message that carries media, but is no tag itself, into tags: the data of AMF3 senders, and the
// several of an aggregate (RTMP 7.1.6). It returns false for other messages.
func splitTags(p packet) ([]flv.Tag, bool, error) {
	switch {
	case p.typ == uint8(message.TypeIDDataMessageAMF3):
		b := p.body
		if len(b) > 0 {
			b = b[1:]
		}
		return []flv.Tag{{Type: flv.TypeScript, Timestamp: p.timestamp, Body: b}}, true, nil
	case p.typ == uint8(message.TypeIDAggregateMessage):
		tags, err := splitAggregate(p)
		return tags, true, err
	}
	return nil, false, nil
}

// aggregateHeader is the size of a header inside an aggregate, which is a tag's; backPointer follows each body.
const (
	aggregateHeader = 11
	backPointer     = 4
)

// splitAggregate takes an aggregate apart. Its message's timestamp is that of the first tag, whose own says what the
// others count from. Bodies are parts of the message's.
func splitAggregate(p packet) ([]flv.Tag, error) {
	var tags []flv.Tag
	var shift uint32
	for b := p.body; len(b) > 0; {
		if len(b) < aggregateHeader {
			return tags, fmt.Errorf("%w: aggregate is cut off", flv.ErrMalformed)
		}
		n := int(uint24(b[1:]))
		ts := uint24(b[4:]) | uint32(b[7])<<24
		if n > len(b)-aggregateHeader {
			return tags, fmt.Errorf("%w: aggregate is cut off", flv.ErrMalformed)
		}
		if len(tags) == 0 {
			shift = p.timestamp - ts
		}
		end := aggregateHeader + n
		tags = append(tags, flv.Tag{Type: b[0] & 0x1f, Timestamp: ts + shift, Body: b[aggregateHeader:end:end]})
		b = b[min(len(b), end+backPointer):]
	}
	return tags, nil
}

// pinged returns the timestamp of a ping request, and whether p is one.
func pinged(p packet) (uint32, bool) {
	if p.typ != uint8(message.TypeIDUserCtrl) || len(p.body) < 6 || binary.BigEndian.Uint16(p.body) != eventPing {
		return 0, false
	}
	return binary.BigEndian.Uint32(p.body[2:]), true
}

// connectInformation is the second half of connect's answer; connectProperties makes the first.
var connectInformation = amf.Object{
	{Key: "level", Value: "status"},
	{Key: "code", Value: "NetConnection.Connect.Success"},
	{Key: "description", Value: "Connection succeeded."},
	{Key: "objectEncoding", Value: 0},
}

func connectProperties(g connect) amf.Object {
	return append(amf.Object{
		{Key: "fmsVer", Value: "FMS/3,0,1,123"},
		{Key: "capabilities", Value: 31},
		{Key: "mode", Value: 1},
	}, g.capabilities()...)
}
