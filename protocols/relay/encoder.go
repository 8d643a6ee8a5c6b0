package relay

import (
	"log/slog"

	"weir/codecs"
	"weir/protocols"
)

// form is what an [Encoder] makes.
var form = protocols.Of(protocols.Relay).Form

// An Encoder makes records of a stream. It implements [codecs.Encoder].
type Encoder struct {
	log     *slog.Logger
	tracks  int
	dropped uint64
}

// NewEncoder returns an encoder that logs the tracks and access units that it leaves out, since they are beyond the
// limits of the framing.
func NewEncoder(log *slog.Logger) *Encoder { return &Encoder{log: log} }

// Prologue implements [codecs.Encoder].
func (e *Encoder) Prologue(tracks codecs.Tracks) []byte {
	e.tracks = 0
	b, err := appendTracks(nil, tracks)
	if err != nil {
		e.log.Error("tracks cannot be relayed", slog.Any("err", err))
		return nil
	}
	e.tracks = len(tracks)
	return b
}

// Encode implements [codecs.Encoder].
func (e *Encoder) Encode(au *codecs.AccessUnit) []byte {
	if au.Track < 0 || au.Track >= e.tracks || len(au.Payload) > MaxUnit {
		if e.dropped++; e.dropped&(e.dropped-1) == 0 { // the 1st, 2nd, 4th, …
			e.log.Error("access units cannot be relayed", slog.Int("bytes", len(au.Payload)), slog.Uint64("dropped", e.dropped))
		}
		return nil
	}
	var space [maxHead]byte
	head := appendHead(space[:0], au)
	size := len(head) + len(au.Payload)
	b := make([]byte, 0, 6+size) // kind, and a length of at most five bytes
	b = appendRecord(b, kindUnit, size)
	b = append(b, head...)
	return append(b, au.Payload...)
}
