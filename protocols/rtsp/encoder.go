package rtsp

import (
	"encoding/binary"
	"log/slog"

	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/h264"
)

// form is the name of the wire form under which a hub shares RTP packets: each behind the four bytes of interleaving
// (RFC 2326, 10.12), medium i on channels 2i (RTP) and 2i+1 (RTCP), as almost every client that interleaves asks. A
// session with other channels, or over UDP, takes them apart.
const form = "rtsp"

const (
	frameMagic  = '$'
	frameHead   = 4
	layoutMagic = '!' // begins a note, of which the rest is the signature of the layout; it never reaches a client

	maxPayload = 1450 // of an RTP packet, the library's own default: fits an Ethernet frame with room for SRTP
)

// The least and the most time between sender reports, in ticks. In between they are sent at random access points, so
// that a new viewer can synchronise its media at once.
const (
	reportLeast = codecs.ClockRate / 2
	reportMost  = 5 * codecs.ClockRate
)

// An encoder makes the RTP and RTCP packets of one stream. It implements [codecs.Encoder].
type encoder struct {
	stream string
	log    *slog.Logger

	layout   layout
	byTrack  []*sender // nil for tracks that are left out
	senders  []*sender
	reported int64 // DTS of the last sender reports
	started  bool
	failed   uint64
	units    [][]byte // reused
}

// A sender is one medium and what its reports count.
type sender struct {
	medium
	channel  byte // of its RTP packets; RTCP is on the next
	pack     packetizer
	packets  uint32
	payloads uint32 // bytes
}

func newEncoder(stream string, log *slog.Logger) *encoder {
	return &encoder{stream: stream, log: log.With(slog.String("stream", stream))}
}

// Prologue implements [codecs.Encoder]: the result is a note to the sessions, which tells them whether what follows is
// what they were set up for.
func (e *encoder) Prologue(tracks codecs.Tracks) []byte {
	l := layoutOf(e.stream, tracks)
	for _, err := range l.left {
		e.log.Warn("track is left out of RTSP", slog.Any("err", err))
	}
	before := e.senders
	same := e.layout.signature == l.signature && len(before) == len(l.media)
	e.layout = l
	e.byTrack = make([]*sender, len(tracks))
	e.senders = make([]*sender, len(l.media))
	for i, m := range l.media {
		s := &sender{medium: m, channel: byte(2 * i)}
		if same { // only parameter sets differ: packets go on being numbered
			s.pack, s.packets, s.payloads = before[i].pack, before[i].packets, before[i].payloads
		} else {
			pack, err := m.newPack()
			if err != nil {
				e.log.Error("track cannot be packetised", slog.Any("err", err))
				pack = func([][]byte) ([]*rtp.Packet, error) { return nil, err }
			}
			s.pack = pack
		}
		e.senders[i], e.byTrack[m.track] = s, s
	}
	e.started = false
	return binary.BigEndian.AppendUint64([]byte{layoutMagic}, l.signature)
}

// Encode implements [codecs.Encoder].
func (e *encoder) Encode(au *codecs.AccessUnit) []byte {
	if au.Track < 0 || au.Track >= len(e.byTrack) || e.byTrack[au.Track] == nil {
		return nil
	}
	s := e.byTrack[au.Track]
	units := e.split(s, au)
	if len(units) == 0 {
		return nil
	}
	packets, err := s.pack(units)
	clear(units) // what is reused must not keep media alive
	if err != nil {
		if e.failed++; e.failed&(e.failed-1) == 0 { // the 1st, 2nd, 4th, …
			e.log.Warn("access units cannot be packetised", slog.Any("err", err), slog.Uint64("dropped", e.failed))
		}
		return nil
	}
	report := e.due(au)
	size := 0
	for _, p := range packets {
		size += frameHead + p.MarshalSize()
	}
	if report {
		size += len(e.senders) * (frameHead + reportSize)
	}
	b := make([]byte, 0, size)
	if report {
		for _, r := range e.senders {
			b = appendHead(b, r.channel+1, reportSize)
			b = r.appendReport(b, au.PTS)
		}
	}
	timestamp := rtpTime(au.PTS, s.clock)
	for _, p := range packets {
		p.Timestamp, p.SSRC = timestamp, s.ssrc
		n := p.MarshalSize()
		b = appendHead(b, s.channel, n)
		if _, err := p.MarshalTo(b[len(b) : len(b)+n]); err != nil {
			return nil // not for packets of the library's own encoders
		}
		b = b[:len(b)+n]
		s.packets++
		s.payloads += uint32(len(p.Payload))
	}
	return b
}

// split returns what the packetizer takes: NAL units for H.264 and H.265, with the parameter sets before a random
// access point, and the whole access unit otherwise.
func (e *encoder) split(s *sender, au *codecs.AccessUnit) [][]byte {
	units := e.units[:0]
	switch s.codec {
	case codecs.H264, codecs.H265:
		if au.RandomAccess {
			units = append(units, s.sets...)
		}
		before := len(units)
		for u := range h264.Units(au.Payload) {
			units = append(units, u)
		}
		if len(units) == before {
			units = units[:0]
		}
	default:
		if len(au.Payload) > 0 {
			units = append(units, au.Payload)
		}
	}
	e.units = units
	return units
}

// due says whether sender reports go before this access unit.
func (e *encoder) due(au *codecs.AccessUnit) bool {
	since := au.DTS - e.reported
	video := e.layout.media[0].codec.Video()
	point := au.RandomAccess && (!video || e.byTrack[au.Track].codec.Video())
	if e.started && since >= 0 && since < reportMost && !(point && since >= reportLeast) {
		return false
	}
	e.started, e.reported = true, au.DTS
	return true
}

// reportSize is that of a sender report without report blocks.
const reportSize = 28

// appendReport appends a sender report (RFC 3550, 6.4.1), which says what the sender's RTP timestamp is at a PTS. All
// timestamps derive from the PTS alone, so it may be any.
func (s *sender) appendReport(b []byte, pts int64) []byte {
	b = append(b, 2<<6, 200, 0, reportSize/4-1)
	b = binary.BigEndian.AppendUint32(b, s.ssrc)
	b = binary.BigEndian.AppendUint64(b, ntpTime(pts))
	b = binary.BigEndian.AppendUint32(b, rtpTime(pts, s.clock))
	b = binary.BigEndian.AppendUint32(b, s.packets)
	return binary.BigEndian.AppendUint32(b, s.payloads)
}

// appendBye appends the packets that end a source (RFC 3550, 6.6): BYE, and before it the empty receiver report with
// which a compound packet has to begin.
func appendBye(b []byte, ssrc uint32) []byte {
	b = append(b, 2<<6, 201, 0, 1)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = append(b, 2<<6|1, 203, 0, 1)
	return binary.BigEndian.AppendUint32(b, ssrc)
}

func appendHead(b []byte, channel byte, size int) []byte {
	return append(b, frameMagic, channel, byte(size>>8), byte(size))
}

// rtpTime is a PTS on a clock of that rate, rounded to the nearest, modulo 2^32. Computed from the PTS itself, it is
// the same on every node and drifts nowhere.
func rtpTime(pts int64, clock int) uint32 {
	seconds, ticks := pts/codecs.ClockRate, pts%codecs.ClockRate
	if ticks < 0 {
		seconds, ticks = seconds-1, ticks+codecs.ClockRate
	}
	return uint32(uint64(seconds)*uint64(clock) + (uint64(ticks)*uint64(clock)+codecs.ClockRate/2)/codecs.ClockRate)
}

// ntpTime is a PTS as an NTP timestamp: seconds since 1900 with 32 bits of fraction. A PTS counts from the Unix epoch.
func ntpTime(pts int64) uint64 {
	const unixEpoch = 2_208_988_800
	seconds, ticks := pts/codecs.ClockRate, pts%codecs.ClockRate
	if ticks < 0 {
		seconds, ticks = seconds-1, ticks+codecs.ClockRate
	}
	return uint64(seconds+unixEpoch)<<32 | uint64(ticks)<<32/codecs.ClockRate
}
