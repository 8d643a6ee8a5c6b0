package flv

import (
	"encoding/binary"

	"weir/codecs"
	"weir/codecs/carriage"
)

// NewEncoder returns the encoder of the form of HTTP-FLV: tags. Its prologue is onMetaData and the decoder
// configurations. An FLV stream's first 13 bytes, which are sent once and not with every prologue, are those of
// [FileHeader].
func NewEncoder(base int64) codecs.Encoder { return &encoder{NewMuxer(base)} }

type encoder struct{ mux *Muxer }

// Prologue implements [codecs.Encoder].
func (e *encoder) Prologue(tracks codecs.Tracks) []byte {
	var b []byte
	for _, t := range e.mux.SetTracks(tracks) {
		b = AppendTag(b, t)
	}
	return b
}

// Encode implements [codecs.Encoder].
func (e *encoder) Encode(au *codecs.AccessUnit) []byte {
	h, ok := e.mux.Head(au)
	if !ok {
		return nil
	}
	size := int(h.n) + len(au.Payload)
	b := make([]byte, 0, tagHeaderSize+size+backSize)
	b = appendTagHeader(b, h.Type, h.Timestamp, size)
	b = append(b, h.Bytes()...)
	b = append(b, au.Payload...)
	return binary.BigEndian.AppendUint32(b, uint32(tagHeaderSize+size))
}

// Check says whether FLV and RTMP can carry something of tracks: nil, or an error that says why not.
func Check(tracks codecs.Tracks) error {
	for _, t := range tracks {
		if carriage.Of(t.Codec).FLV.FourCC != "" {
			return nil
		}
	}
	return ErrNoTracks
}
