package rtp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/reception"
	"weir/codecs/sdp"
	"weir/codecs/timeline"
)

// Unpack says how a track comes in a format that a session description has. The error is a [codecs.UnsupportedError] if no codec
// of ours does.
func Unpack(f *sdp.Format) (in *carriage.Unpacking, err error) {
	carriage.Find(func(_ codecs.Codec, r *carriage.Row) bool {
		if r.Unpack != nil {
			in, err = r.Unpack(f)
		}
		return in != nil || err != nil
	})
	switch {
	case err != nil:
		return nil, err
	case in == nil && f.Encoding == "":
		return nil, &codecs.UnsupportedError{Video: f.Kind == "video", Name: fmt.Sprintf("of RTP payload type %d", f.PayloadType)}
	case in == nil:
		return nil, &codecs.UnsupportedError{Video: f.Kind == "video", Name: f.Encoding}
	case in.Clock <= 0:
		return nil, fmt.Errorf("%s without a clock rate", f.Encoding)
	}
	return in, nil
}

var (
	errLost     = errors.New("packets were lost")
	errStray    = errors.New("a packet that does not follow on the others")
	errAnew     = errors.New("the sender has begun to count anew")
	errNoPacket = errors.New("what is no RTP packet")
	errOff      = errors.New("a medium that lies elsewhere than the sender's reports say is moved")
)

// A Receiver makes access units of the packets of one medium. It belongs to one goroutine.
type Receiver struct {
	// PayloadType is the one whose packets count, and Others are those of the same medium that do not.
	PayloadType uint8
	Others      []uint8

	session *Session
	in      *carriage.Unpacking
	out     *elementary.Stream
	report  reception.Report

	begun    bool // a packet has come
	typed    bool // one of the payload type has come
	source   uint32
	sequence uint16
	arrived  int64 // of the newest packet
	waiting  []rtp.Packet
	changes  int  // of the source
	strays   int  // packets in a row that did not follow
	unsorted bool // sequence numbers mean nothing

	place   place
	picture *picture // nil for audio

	// For the receiver's reports.
	base, highest, received   uint32
	priorExpected, priorCount uint32
	lastReport                uint32
	lastReportAt              int64
}

// How an SSRC or a run of sequence numbers that is not the one before is told from a stray packet (RFC 3550, A.1).
const (
	probation = 3    // packets
	hopeless  = 64   // packets of which no three follow on each other
	maxGap    = 3000 // of sequence numbers that were lost

	// Two sources that send at the same time are not followed to and fro: after so many changes another source counts only once
	// the one before has been silent for so many ticks, or after so many packets of it alone.
	maxChanges = 4
	deserted   = codecs.ClockRate / 5
	maxWait    = 256
)

// Take takes the next packet, which arrived at that instant, in ticks of any clock that goes forward. Packets that cannot be read, and access
// units of which a part is missing, are counted and passed over. The error is that of the joiner. The receiver keeps b.
func (r *Receiver) Take(b []byte, now int64) error {
	p, err := parse(b)
	if err != nil {
		r.report.Count(reception.Damaged, 1, err)
		return nil
	}
	if !r.wanted(p.PayloadType) {
		return nil
	}
	switch gap := p.SequenceNumber - r.sequence - 1; {
	case !r.begun:
		return r.begin(&p, now)
	case p.SSRC == r.source && r.unsorted:
		return r.next(&p, false, now)
	case p.SSRC == r.source && gap < maxGap:
		r.stray(len(r.waiting))
		r.waiting, r.strays = nil, 0
		if gap > 0 {
			r.report.Count(reception.ContinuityErrors, int(gap), errLost)
		}
		return r.next(&p, gap > 0, now)
	}
	return r.doubtful(p, now)
}

func (r *Receiver) stray(packets int) {
	if packets > 0 {
		r.report.Count(reception.Damaged, packets, errStray)
	}
}

// doubtful takes a packet of another source, or of a sequence that has begun anew, or a stray one.
func (r *Receiver) doubtful(p rtp.Packet, now int64) error {
	if n := len(r.waiting); n > 0 && (r.waiting[n-1].SSRC != p.SSRC || r.waiting[n-1].SequenceNumber+1 != p.SequenceNumber) {
		r.stray(n)
		r.waiting = nil
	}
	r.waiting = append(r.waiting, p)
	r.strays++
	r.unsorted = r.strays >= hopeless && p.SSRC == r.source
	free := p.SSRC == r.source || r.changes < maxChanges || now-r.arrived > deserted || len(r.waiting) == maxWait
	if (len(r.waiting) < probation || !free) && !r.unsorted {
		return nil
	}
	waiting := r.waiting
	r.waiting, r.strays = nil, 0
	for i := range waiting {
		take := func() error { return r.next(&waiting[i], false, now) }
		if i == 0 {
			take = func() error { return r.begin(&waiting[0], now) }
		}
		if err := take(); err != nil {
			return err
		}
	}
	return nil
}

// wanted says whether packets of that payload type count. A sender that never uses the one that it described is taken to mean
// another one that it did not.
func (r *Receiver) wanted(payloadType uint8) bool {
	if payloadType == r.PayloadType {
		r.typed = true
		return true
	}
	if r.typed || payloadType >= 72 && payloadType <= 76 { // RTCP, of a sender that mixes up the channels (RFC 5761, 4)
		return false
	}
	for _, o := range r.Others {
		if o == payloadType {
			return false
		}
	}
	return true
}

// begin takes the first packet of a source, or of a sequence.
func (r *Receiver) begin(p *rtp.Packet, now int64) error {
	if r.begun {
		r.report.Count(reception.ContinuityErrors, 1, errAnew)
		if p.SSRC != r.source {
			r.changes++
			r.place = place{}
		}
	}
	again := r.begun
	r.begun, r.source = true, p.SSRC
	r.base, r.highest, r.received, r.priorExpected, r.priorCount = uint32(p.SequenceNumber), uint32(p.SequenceNumber), 0, 0, 0
	return r.next(p, again, now)
}

func (r *Receiver) next(p *rtp.Packet, lost bool, now int64) error {
	r.highest += uint32(p.SequenceNumber - uint16(r.highest))
	r.received++
	r.sequence, r.arrived = p.SequenceNumber, now
	if len(p.Payload) == 0 { // keeps a way through the network open
		return nil
	}
	pts := r.pts(p.Timestamp, now)
	if r.picture != nil {
		return r.takePicture(p, lost, pts)
	}
	frames, err := r.in.Frames(p, lost)
	if err != nil {
		r.report.Count(reception.Damaged, 1, err)
	}
	if len(frames) == 0 {
		return nil
	}
	return r.out.Add(timeline.Presented(pts), frames...)
}

// parse reads the header of a packet (RFC 3550, 5.1). Padding that cannot be is taken for media.
func parse(b []byte) (rtp.Packet, error) {
	var p rtp.Packet
	if len(b) < 12 || b[0]>>6 != 2 {
		return p, errNoPacket
	}
	p.Marker, p.PayloadType = b[1]&0x80 != 0, b[1]&0x7f
	p.SequenceNumber = binary.BigEndian.Uint16(b[2:])
	p.Timestamp, p.SSRC = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	at := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 { // an extension
		if at+4 > len(b) {
			return p, errNoPacket
		}
		at += 4 + 4*int(binary.BigEndian.Uint16(b[at+2:]))
	}
	if at > len(b) {
		return p, errNoPacket
	}
	p.Payload = b[at:len(b):len(b)]
	if b[0]&0x20 != 0 && len(p.Payload) > 0 {
		if n := int(b[len(b)-1]); n > 0 && n <= len(p.Payload) {
			p.Payload = p.Payload[:len(p.Payload)-n]
		}
	}
	return p, nil
}

// Report makes a receiver report (RFC 3550, 6.4.2), which tells the sender that somebody is there; nil before the first packet.
func (r *Receiver) Report(now int64) []byte {
	if !r.begun {
		return nil
	}
	expected := r.highest - r.base + 1
	lost := max(int64(expected)-int64(r.received), 0)
	block := rtcp.ReceptionReport{SSRC: r.source, LastSequenceNumber: r.highest, TotalLost: uint32(min(lost, 1<<23-1)), LastSenderReport: r.lastReport}
	if all, got := expected-r.priorExpected, r.received-r.priorCount; all > 0 && got < all {
		block.FractionLost = uint8(min((all-got)*256/all, 255))
	}
	r.priorExpected, r.priorCount = expected, r.received
	if r.lastReport != 0 {
		block.Delay = uint32((now - r.lastReportAt) * 65536 / codecs.ClockRate)
	}
	b, _ := rtcp.ReceiverReport{SSRC: ^r.source, Reports: []rtcp.ReceptionReport{block}}.Marshal() // one block always fits
	return b
}
