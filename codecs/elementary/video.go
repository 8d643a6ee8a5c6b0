package elementary

import (
	"bytes"
	"fmt"
	"slices"

	"weir/codecs"
	"weir/codecs/h264"
	"weir/codecs/h265"
)

// maxSets bounds the parameter sets that a stream may have at one time.
const maxSets = 64

// A Video is the video stream of a [Joiner]: H.264 or H.265.
type Video struct {
	j     *Joiner
	codec codecs.Codec
	place place

	known  bool
	track  codecs.Track
	sets   [][]byte // the parameter sets in force, in the order in which they came
	broken bool
}

// Video adds the video stream. The codec is H264 or H265; sets are the parameter sets that the container holds, if it
// holds any; empty ones are passed over.
func (j *Joiner) Video(codec codecs.Codec, sets ...[]byte) (*Video, error) {
	switch {
	case codec != codecs.H264 && codec != codecs.H265:
		return nil, &UnsupportedError{codec.String()}
	case j.video != nil:
		return nil, fmt.Errorf("a second video stream")
	}
	v := &Video{j: j, codec: codec}
	j.video = v
	v.configure(slices.DeleteFunc(slices.Clone(sets), func(s []byte) bool { return len(s) < 2 || !v.set(v.kind(s)) }))
	return v, nil
}

// Add takes the NAL units of one access unit, without start codes or lengths. They are not changed.
func (v *Video) Add(dts, pts int64, units [][]byte) error {
	dts, pts, jumped := v.j.clock.at(&v.place, dts, pts)
	v.broken = v.broken || jumped
	kept := make([][]byte, 0, len(units))
	var sets [][]byte
	random := false
	for _, u := range units {
		u = bytes.TrimRight(u, "\x00") // trailing_zero_8bits (ITU-T H.264, B.1.1)
		if len(u) < 2 {
			continue
		}
		switch kind := v.kind(u); {
		case v.delimiter(kind):
			continue
		case v.set(kind):
			if len(sets) < maxSets {
				sets = append(sets, u)
			}
			continue
		default:
			random = random || v.random(kind, u)
		}
		kept = append(kept, u)
	}
	if changed := v.configure(sets); changed && v.j.told {
		if err := v.j.tell(); err != nil {
			return err
		}
	}
	if err := v.j.seen(dts); err != nil {
		return err
	}
	if !v.known || len(kept) == 0 { // nothing can be decoded before the parameter sets
		return nil
	}
	au := &codecs.AccessUnit{
		Track: roleVideo, DTS: dts, PTS: pts, RandomAccess: random, Discontinuity: v.broken, Payload: h264.Join(kept...),
	}
	v.broken = false
	return v.j.write(au)
}

// configure takes parameter sets into force and says whether the track is another one. Sets replace those of the same
// kind; such as make no sense are passed over.
func (v *Video) configure(sets [][]byte) (changed bool) {
	news, kinds := false, map[byte]bool{}
	for _, s := range sets {
		news = news || !has(v.sets, s)
		kinds[v.kind(s)] = true
	}
	if !news {
		return false
	}
	next := make([][]byte, 0, len(sets)+len(v.sets))
	for _, s := range sets {
		if !has(next, s) {
			next = append(next, bytes.Clone(s))
		}
	}
	for _, s := range v.sets {
		if !kinds[v.kind(s)] {
			next = append(next, s)
		}
	}
	track, err := v.describe(next)
	if err != nil {
		if !v.known {
			v.sets = next // the rest may come in another access unit
		}
		return false
	}
	v.sets = next
	if v.known && v.track.Equal(track) {
		return false
	}
	v.known, v.track = true, track
	return true
}

func (v *Video) describe(sets [][]byte) (codecs.Track, error) {
	by := map[byte][][]byte{}
	for _, s := range sets {
		by[v.kind(s)] = append(by[v.kind(s)], s)
	}
	if v.codec == codecs.H264 {
		return h264.Config{LengthSize: 4, SPS: by[h264.TypeSPS], PPS: by[h264.TypePPS]}.Track()
	}
	return h265.Config{LengthSize: 4, VPS: by[h265.TypeVPS], SPS: by[h265.TypeSPS], PPS: by[h265.TypePPS]}.Track()
}

func has(sets [][]byte, set []byte) bool {
	for _, s := range sets {
		if bytes.Equal(s, set) {
			return true
		}
	}
	return false
}

// kind is the NAL unit type.
func (v *Video) kind(unit []byte) byte {
	if v.codec == codecs.H264 {
		return unit[0] & 0x1f
	}
	return unit[0] >> 1 & 0x3f
}

func (v *Video) delimiter(kind byte) bool {
	return v.codec == codecs.H264 && kind == h264.TypeAUD || v.codec == codecs.H265 && kind == h265.TypeAUD
}

func (v *Video) set(kind byte) bool {
	if v.codec == codecs.H264 {
		return kind == h264.TypeSPS || kind == h264.TypePPS
	}
	return kind == h265.TypeVPS || kind == h265.TypeSPS || kind == h265.TypePPS
}

// random says whether a decoder can start at an access unit with this NAL unit: an IDR picture, a recovery point at
// which everything is right from the start (ITU-T H.264, D.2.8), as broadcasts have instead, or a random access picture
// of H.265 (ITU-T H.265, 3.69).
func (v *Video) random(kind byte, unit []byte) bool {
	const (
		sei, recoveryPoint  = 6, 6
		firstIRAP, lastIRAP = 16, 21
	)
	if v.codec == codecs.H265 {
		return kind >= firstIRAP && kind <= lastIRAP
	}
	return kind == h264.TypeIDR || kind == sei && len(unit) > 3 && unit[1] == recoveryPoint && unit[3]&0x80 != 0
}
