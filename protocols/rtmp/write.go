package rtmp

import (
	"encoding/binary"

	"github.com/yutopp/go-rtmp/message"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/codecs/flv/amf"
)

// appendMessage appends a message in chunks of size: the first has a header of type 0, so that the bytes mean the same
// wherever they are put between others. The body is head and then rest.
func appendMessage(dst []byte, size int, cs, typ uint8, stream, ts uint32, head, rest []byte) []byte {
	n := len(head) + len(rest)
	field := min(ts, 0xffffff)
	dst = append(dst, cs, byte(field>>16), byte(field>>8), byte(field), byte(n>>16), byte(n>>8), byte(n), typ)
	dst = binary.LittleEndian.AppendUint32(dst, stream)
	if field == 0xffffff {
		dst = binary.BigEndian.AppendUint32(dst, ts)
	}
	room := size
	for _, part := range [2][]byte{head, rest} {
		for len(part) > 0 {
			if room == 0 {
				dst = append(dst, 0xc0|cs)
				if field == 0xffffff {
					dst = binary.BigEndian.AppendUint32(dst, ts)
				}
				room = size
			}
			k := min(room, len(part))
			dst = append(dst, part[:k]...)
			part = part[k:]
			room -= k
		}
	}
	return dst
}

// messageSize is the number of bytes that appendMessage appends for a body of n.
func messageSize(size int, ts uint32, n int) int {
	chunks := max(1, (n+size-1)/size)
	total := 11 + chunks + n
	if ts >= 0xffffff {
		total += 4 * chunks
	}
	return total
}

// NewEncoder returns the encoder of the form of RTMP: messages in chunks, for players who have been told the size of
// weir's chunks and asked for message stream 1. Its prologue is onMetaData and the decoder configurations.
func NewEncoder(base int64) codecs.Encoder { return &encoder{flv.NewMuxer(base)} }

type encoder struct{ mux *flv.Muxer }

// Prologue implements [codecs.Encoder].
func (e *encoder) Prologue(tracks codecs.Tracks) []byte {
	var b []byte
	for _, t := range e.mux.SetTracks(tracks) {
		b = appendTag(b, mediaStream, t)
	}
	return b
}

// appendTag appends t as a message of a message stream.
func appendTag(dst []byte, stream uint32, t flv.Tag) []byte {
	return appendMessage(dst, chunkSize, chunkStreamOf(t.Type), t.Type, stream, t.Timestamp, t.Body, nil)
}

func chunkStreamOf(typ uint8) uint8 {
	switch typ {
	case flv.TypeAudio:
		return csAudio
	case flv.TypeVideo:
		return csVideo
	}
	return csData
}

// Encode implements [codecs.Encoder].
func (e *encoder) Encode(au *codecs.AccessUnit) []byte {
	h, ok := e.mux.Head(au)
	if !ok {
		return nil
	}
	head := h.Bytes()
	b := make([]byte, 0, messageSize(chunkSize, h.Timestamp, len(head)+len(au.Payload)))
	return appendMessage(b, chunkSize, chunkStreamOf(h.Type), h.Type, mediaStream, h.Timestamp, head, au.Payload)
}

// appendControl appends one of the protocol's own messages, whose body is some numbers of four bytes.
func appendControl(dst []byte, typ message.TypeID, numbers ...uint32) []byte {
	var body []byte
	for _, n := range numbers {
		body = binary.BigEndian.AppendUint32(body, n)
	}
	return appendMessage(dst, chunkSize, csControl, uint8(typ), 0, 0, body, nil)
}

// The kinds of a user control message (RTMP 7.1.7).
const (
	eventStreamBegin  = 0
	eventStreamEOF    = 1
	eventBufferLength = 3
	eventPing         = 6
	eventPong         = 7
)

// event appends a user control message.
func event(dst []byte, kind uint16, numbers ...uint32) []byte {
	body := binary.BigEndian.AppendUint16(nil, kind)
	for _, n := range numbers {
		body = binary.BigEndian.AppendUint32(body, n)
	}
	return appendMessage(dst, chunkSize, csControl, uint8(message.TypeIDUserCtrl), 0, 0, body, nil)
}

// say appends a command in AMF0.
func say(dst []byte, cs uint8, stream uint32, values ...any) []byte {
	return appendMessage(dst, chunkSize, cs, uint8(message.TypeIDCommandMessageAMF0), stream, 0, amf.Append(nil, values...), nil)
}

// status appends an onStatus about the media stream (RTMP 7.2.2).
func status(dst []byte, level, code, description string) []byte {
	return say(dst, csData, mediaStream, "onStatus", 0, nil, amf.Object{
		{Key: "level", Value: level},
		{Key: "code", Value: code},
		{Key: "description", Value: description},
	})
}
