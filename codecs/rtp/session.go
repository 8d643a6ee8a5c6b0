package rtp

import (
	"encoding/binary"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/reception"
)

// A Session is the media that one sender sends together. RTP timestamps of different media have nothing to do with each other;
// a session puts them on one timeline: by the sender's reports where they make sense, and else by when packets arrive. The zero
// Session has no media. It and its receivers belong to one goroutine.
type Session struct {
	first        *Receiver // the medium of the first packet
	arrived, pts int64     // of its newest packet
}

// How far the reports of a sender may be from what the arrival of packets says, in ticks. A sender that begins with what it has
// kept sends a GOP at once; a medium that plays already is moved by less.
const (
	maxEarly = 10 * codecs.ClockRate
	maxOff   = 2 * codecs.ClockRate
	minOff   = codecs.ClockRate / 25
)

// slew bounds by which part of its own pace a medium is moved while it plays.
const slew = 50

// Receive returns the receiver of a medium whose units go to out. What is lost, damaged or repaired is counted in report.
func (s *Session) Receive(in *carriage.Unpacking, out *elementary.Stream, report reception.Report) *Receiver {
	r := &Receiver{session: s, in: in, out: out, report: report}
	if row := carriage.Of(in.Codec); row.NAL != nil {
		r.picture = &picture{syntax: row.NAL}
	}
	return r
}

// A place is where a medium lies on the timeline of its session.
type place struct {
	begun bool
	raw   uint32 // the newest timestamp
	at    int64  // the same without wraps, from the first one on
	shift int64  // ticks from there to the timeline
	owed  int64  // by how much it is still to be moved

	report struct {
		known bool
		ntp   int64 // ticks
		raw   uint32
	}
	compared bool // with the reports of the first medium
}

// pts returns where a packet lies that arrived now.
func (r *Receiver) pts(timestamp uint32, now int64) int64 {
	p, s := &r.place, r.session
	clock := int64(r.in.Clock)
	if !p.begun {
		p.begun, p.raw, p.at = true, timestamp, 0
		switch {
		case s.first == nil:
			s.first = r
		case s.first != r:
			p.shift = s.pts + now - s.arrived
			if off, ok := r.off(); ok && off >= -maxEarly && off <= maxEarly {
				p.shift, p.compared = p.shift+off, true
			}
		default: // it begins anew
			p.shift = s.pts + now - s.arrived
		}
	}
	step := int64(int32(timestamp - p.raw))
	p.raw, p.at = timestamp, p.at+step
	if most := codecs.Ticks(max(step, 0), clock) / slew; p.owed != 0 && most > 0 {
		move := min(max(p.owed, -most), most)
		p.shift, p.owed = p.shift+move, p.owed-move
	}
	pts := codecs.Ticks(p.at, clock) + p.shift
	if s.first == r {
		s.arrived, s.pts = now, pts
	}
	return pts
}

// off is by how much the medium lies behind where the reports of the sender put it against the first one.
func (r *Receiver) off() (ticks int64, ok bool) {
	f := r.session.first
	if f == nil || f == r || !f.place.report.known || !r.place.report.known {
		return 0, false
	}
	return f.reported() + r.place.report.ntp - f.place.report.ntp - r.reported(), true
}

// reported is where the timestamp of the newest report lies.
func (r *Receiver) reported() int64 {
	p := &r.place
	return codecs.Ticks(p.at+int64(int32(p.report.raw-p.raw)), int64(r.in.Clock)) + p.shift
}

// Control takes a packet of RTCP. Only sender reports mean something here; what cannot be read is passed over.
func (r *Receiver) Control(b []byte, now int64) {
	const senderReport = 200
	for len(b) >= 4 && b[0]>>6 == 2 {
		size := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
		if size > len(b) {
			return
		}
		if b[1] == senderReport && size >= 20 {
			r.senderReport(binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:]), now)
		}
		b = b[size:]
	}
}

// senderReport takes the times of a report (RFC 3550, 6.4.1).
func (r *Receiver) senderReport(ntp uint64, raw uint32, now int64) {
	r.lastReport, r.lastReportAt = uint32(ntp>>16), now
	if ntp>>32 == 0 { // no clock, or one that counts from its start with a fraction of a second
		return
	}
	p := &r.place
	p.report.known, p.report.raw = true, raw
	p.report.ntp = int64(ntp>>32)*codecs.ClockRate + int64(ntp&0xffffffff*codecs.ClockRate>>32)
	if off, ok := r.off(); ok && p.begun && !p.compared {
		p.compared = true
		if off >= minOff && off <= maxOff || off <= -minOff && off >= -maxOff {
			p.owed = off
			r.report.Count(reception.RepairedTimes, 1, errOff)
		}
	}
}
