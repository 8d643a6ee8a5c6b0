package rtp

import (
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/timeline"
)

// Unpack says how a track comes in a format that an SDP describes. The error is a [codecs.UnsupportedError] if no codec
// of ours does.
func Unpack(f format.Format, video bool) (in *carriage.Unpacking, err error) {
	carriage.Find(func(_ codecs.Codec, r *carriage.Row) bool {
		if r.Unpack != nil {
			in, err = r.Unpack(f)
		}
		return in != nil || err != nil
	})
	if err == nil && in == nil {
		name := f.RTPMap()
		if name == "" {
			name = fmt.Sprintf("of RTP payload type %d", f.PayloadType())
		}
		err = &codecs.UnsupportedError{Video: video, Name: name}
	}
	return in, err
}

// A Receiver makes access units of the packets of one medium. It belongs to one goroutine.
type Receiver struct {
	in     *carriage.Unpacking
	stream *elementary.Stream
	begun  bool
}

// NewReceiver returns a receiver that adds what comes in to a stream.
func NewReceiver(in *carriage.Unpacking, s *elementary.Stream) *Receiver {
	return &Receiver{in: in, stream: s}
}

// Take takes the next packet, whose PTS is in ticks. Incomplete access units, and those before the first picture
// that can be decoded, are passed over. The error is that of the joiner.
func (r *Receiver) Take(pts int64, packet *rtp.Packet) error {
	units, err := r.in.Decode(packet)
	if err != nil || len(units) == 0 {
		return nil // more packets are needed, or one was lost, which the library counts
	}
	if r.in.DTS == nil {
		return r.stream.Add(timeline.Presented(pts), units...)
	}
	ordered := units
	if !r.begun {
		ordered = r.withSets(units)
	}
	dts, err := r.in.DTS(ordered, pts)
	if err != nil {
		return nil
	}
	r.begun = true
	return r.stream.Add(timeline.At(dts, pts), units...)
}

// withSets puts the parameter sets of the description before the first picture, since the order of the pictures is read
// from the media only.
func (r *Receiver) withSets(units [][]byte) [][]byte {
	out := make([][]byte, 0, len(units)+len(r.in.Sets))
	for _, s := range r.in.Sets {
		if len(s) > 0 {
			out = append(out, s)
		}
	}
	return append(out, units...)
}
