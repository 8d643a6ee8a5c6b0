package rtp

import (
	"github.com/pion/rtcp"

	"weir/codecs"
)

// report makes a sender report (RFC 3550, 6.4.1), which says what the sender's RTP timestamp is at a PTS. All timestamps
// derive from the PTS alone, so it may be any.
func (s *sender) report(pts int64) []byte {
	b, _ := rtcp.SenderReport{
		SSRC: s.SSRC, NTPTime: ntpTime(pts), RTPTime: rtpTime(pts, s.Clock), PacketCount: s.packets, OctetCount: s.payloads,
	}.Marshal() // fails only for too many report blocks
	return b
}

// Bye makes the packets that end a source (RFC 3550, 6.6): BYE, and before it the empty receiver report with which a
// compound packet has to begin.
func Bye(ssrc uint32) []byte {
	b, _ := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: ssrc}, &rtcp.Goodbye{Sources: []uint32{ssrc}}})
	return b
}

// rtpTime is a PTS on a clock of that rate, rounded to the nearest, modulo 2^32. Computed from the PTS itself, it is the
// same on every node and drifts nowhere.
func rtpTime(pts int64, clock int) uint32 {
	return uint32(codecs.Rescale(pts, codecs.ClockRate, int64(clock)))
}

// ntpTime is a PTS as an NTP timestamp: seconds since 1900 with 32 bits of fraction. A PTS counts from the Unix epoch.
func ntpTime(pts int64) uint64 {
	const unixEpoch = 2_208_988_800
	pts += unixEpoch * codecs.ClockRate
	return uint64(pts/codecs.ClockRate)<<32 | uint64(pts%codecs.ClockRate)<<32/codecs.ClockRate
}
