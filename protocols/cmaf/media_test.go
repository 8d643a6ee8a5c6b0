package cmaf

import (
	"context"
	"fmt"
	"io"

	"weir/codecs"
)

// The stream of the tests: 25 pictures a second, and AAC at 48 kHz, whose access units last 1920 ticks.
const (
	picture = codecs.ClockRate / 25
	sound   = 1920
	grid    = 4 * codecs.ClockRate // between two marks
)

var (
	avc = codecs.Track{
		Codec: codecs.H264, Width: 640, Height: 360,
		Config: []byte{
			1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 9, 0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5,
			1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
		},
	}
	aac  = codecs.Track{Codec: codecs.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}
	both = codecs.Tracks{avc, aac}
)

// nal is a NAL unit behind its length.
func nal(s string) []byte { return append([]byte{0, 0, 0, byte(len(s))}, s...) }

// piece returns the access units with from <= DTS < to of a stream with a random access point every gop ticks. What
// lies at an instant is a function of the instant.
func piece(from, to, gop int64) []*codecs.AccessUnit {
	up := func(t, step int64) int64 { return (t + step - 1) / step * step }
	v, a := up(from, picture), up(from, sound)
	var units []*codecs.AccessUnit
	for v < to || a < to {
		if v <= a {
			key, kind := v%gop == 0, "\x41"
			if key {
				kind = "\x65"
			}
			units = append(units, &codecs.AccessUnit{
				DTS: v, PTS: v, Duration: picture, RandomAccess: key, Payload: nal(fmt.Sprintf("%spicture %d", kind, v)),
			})
			v += picture
		} else {
			units = append(units, &codecs.AccessUnit{
				Track: 1, DTS: a, PTS: a, Duration: sound, RandomAccess: true, Payload: fmt.Appendf(nil, "sound %d", a),
			})
			a += sound
		}
	}
	return units
}

// linear is the segment with this mark of a stream that is a function of its marks.
func linear(mark int64) ([]*codecs.AccessUnit, error) {
	units := piece(mark*grid, (mark+1)*grid, codecs.ClockRate)
	units[0].Cut = mark
	return units, nil
}

// linearPiece returns the access units of a linear stream from one instant to another.
func linearPiece(from, to int64) []*codecs.AccessUnit {
	var units []*codecs.AccessUnit
	for mark := from / grid; mark*grid < to; mark++ {
		all, _ := linear(mark)
		for _, au := range all {
			if au.DTS >= from && au.DTS < to {
				units = append(units, au)
			}
		}
	}
	return units
}

// A batch is what one call to a feed brings.
type batch struct {
	units   []*codecs.AccessUnit
	tracks  codecs.Tracks
	dropped uint64 // before the units
}

// A script is a feed that brings its batches and then ends.
type script struct {
	batches []batch
	dropped uint64
	closed  bool
	then    error // in place of io.EOF
}

func (s *script) Next(ctx context.Context, dst []*codecs.AccessUnit) ([]*codecs.AccessUnit, codecs.Tracks, error) {
	if err := ctx.Err(); err != nil {
		return dst, nil, err
	}
	if len(s.batches) == 0 {
		if s.then != nil {
			return dst, nil, s.then
		}
		return dst, nil, io.EOF
	}
	b := s.batches[0]
	s.batches = s.batches[1:]
	s.dropped += b.dropped
	return append(dst, b.units...), b.tracks, nil
}

func (s *script) Dropped() uint64 { return s.dropped }
func (s *script) Close()          { s.closed = true }
