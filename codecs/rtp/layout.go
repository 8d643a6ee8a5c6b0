// Package rtp makes the RTP packets of streams, and the RTCP packets that go with them (RFC 3550), for the protocols that
// send both.
//
// It knows no session, no receiver and no socket; payload formats are those of the rows in package carriage.
package rtp

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"weir/codecs"
	"weir/codecs/carriage"
)

// A Medium is one track as RTP carries it.
type Medium struct {
	carriage.Packing
	Track int // index in the stream's tracks
	Codec codecs.Codec
	Clock int // of timestamps, in Hz
	SSRC  uint32
}

// A Layout says which tracks of a stream go over RTP, and how: what a session is set up for. Two layouts of the same
// signature differ at most in parameter sets, which the media repeats.
type Layout struct {
	Media     []Medium
	Signature uint64
	Left      []error // why tracks are left out
}

// LayoutOf makes the layout of a stream with at most so many media. Tracks that RTP cannot carry, or whose configuration
// cannot be read, are left out.
func LayoutOf(stream string, tracks codecs.Tracks, most int) Layout {
	var l Layout
	h := fnv.New64a()
	for i, t := range tracks {
		if len(l.Media) == most {
			l.Left = append(l.Left, fmt.Errorf("track %d: more than %d tracks", i, most))
			continue
		}
		pack := carriage.Of(t.Codec).Pack
		if pack == nil {
			l.Left = append(l.Left, fmt.Errorf("track %d, %s: no RTP payload format here", i, t.Codec))
			continue
		}
		p, err := pack(t, uint8(96+len(l.Media)))
		if err != nil {
			l.Left = append(l.Left, fmt.Errorf("track %d, %s: %w", i, t.Codec, err))
			continue
		}
		m := Medium{Packing: p, Track: i, Codec: t.Codec, Clock: p.Format.ClockRate(), SSRC: ssrc(stream, i)}
		l.Media = append(l.Media, m)
		fmt.Fprintf(h, "%d %d %s %d %d\n", i, t.Codec, m.Format.RTPMap(), m.Clock, t.Channels)
		if !t.Codec.Video() {
			_, _ = h.Write(t.Config)
		}
	}
	l.Signature = h.Sum64()
	return l
}

// ssrc names the source of a track's packets. It is the same for all viewers of the stream and on all nodes, which
// RFC 3550 (8.1) leaves to chance; a session has too few sources to collide.
func ssrc(stream string, track int) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(stream))
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(track)))
	return h.Sum32()
}
