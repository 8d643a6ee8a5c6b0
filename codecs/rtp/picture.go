package rtp

import (
	"fmt"

	"github.com/pion/rtp"

	"weir/codecs/nal"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// The most that one picture may have.
const (
	maxPicture = 16 << 20
	maxUnits   = 4096
)

// A picture is the access unit of video that is being put together. One of which a part was lost is dropped whole: decoders of
// browsers end at a slice that breaks off. The pictures after it are carried, even those that need it, since every decoder of H.264 and
// H.265 conceals what it misses, and shows the better part of a picture sooner than the next random access point.
type picture struct {
	syntax *nal.Syntax

	open      bool // packets of it have come
	timestamp uint32
	pts       int64
	units     [][]byte
	size      int
	part      []byte // the unit that is not complete yet; nil if there is none
	coded     bool   // a slice is among the units
	damaged   error  // why; nil if nothing is missing

	begun bool // a picture has been complete
}

func (r *Receiver) takePicture(p *rtp.Packet, lost bool, pts int64) error {
	v := r.picture
	if v.open && p.Timestamp != v.timestamp && (v.coded || v.part != nil || v.damaged != nil) { // there was no marker
		if lost || v.part != nil {
			v.damage(errLost)
		}
		if err := r.finishPicture(); err != nil {
			return err
		}
	}
	began := !v.open
	v.open, v.timestamp, v.pts = true, p.Timestamp, pts
	f, err := r.in.Fragment(p.Payload)
	if err != nil {
		r.report.Count(reception.Damaged, 1, err)
		v.damage(err)
	}
	if lost && !(began && v.starts(f.Units, f.Part, f.First)) {
		v.damage(errLost)
	}
	if len(f.Units) > 0 || f.First {
		if v.part != nil {
			v.damage(errLost)
		}
		v.part = nil
	}
	for _, u := range f.Units {
		v.add(u)
	}
	if f.Part != nil {
		v.extend(f.Part, f.First, f.Last)
	}
	if p.Marker && (v.coded || v.part != nil || v.damaged != nil) { // parameter sets alone belong to what follows
		if v.part != nil {
			v.damage(errLost)
		}
		return r.finishPicture()
	}
	return nil
}

func (v *picture) damage(why error) {
	if v.damaged == nil {
		v.damaged = why
	}
}

// starts says whether a picture can begin with what a packet holds.
func (v *picture) starts(units [][]byte, part []byte, first bool) bool {
	if len(units) > 0 {
		return v.syntax.Begins(units[0])
	}
	return first && v.syntax.Begins(part)
}

func (v *picture) add(unit []byte) {
	if len(unit) <= v.syntax.Header {
		return
	}
	if v.size += len(unit); v.size > maxPicture || len(v.units) == maxUnits {
		v.units = nil
		v.damage(fmt.Errorf("an access unit of more than %d bytes or %d units", maxPicture, maxUnits))
		return
	}
	v.units = append(v.units, unit)
	v.coded = v.coded || v.syntax.Coded(unit)
}

// extend takes a part of a unit.
func (v *picture) extend(part []byte, first, last bool) {
	switch {
	case first:
		v.part = part
	case v.part == nil:
		v.damage(errLost)
		return
	case len(v.part)+len(part) > maxPicture:
		v.part = nil
		v.damage(fmt.Errorf("a NAL unit of more than %d bytes", maxPicture))
		return
	default:
		v.part = append(v.part, part...)
	}
	if last {
		whole := v.part
		v.part = nil
		for _, u := range nal.SplitStartCodes(whole) {
			v.add(u)
		}
	}
}

// finishPicture hands the picture over, or drops it.
func (r *Receiver) finishPicture() error {
	v := r.picture
	done := *v
	v.open, v.units, v.size, v.part, v.coded, v.damaged = false, nil, 0, nil, false, nil
	if done.damaged != nil {
		if v.begun { // else it was the one in whose middle the playing began
			r.report.Count(reception.Damaged, 1, done.damaged)
		}
		return nil
	}
	v.begun = true
	return r.out.Add(timeline.Presented(done.pts), done.units...)
}
