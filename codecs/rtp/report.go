package rtp

import (
	"encoding/binary"

	"weir/codecs"
)

// reportSize is that of a sender report without report blocks.
const reportSize = 28

// report makes a sender report (RFC 3550, 6.4.1), which says what the sender's RTP timestamp is at a PTS. All timestamps
// derive from the PTS alone, so it may be any.
func (s *sender) report(pts int64) []byte {
	b := append(make([]byte, 0, reportSize), 2<<6, 200, 0, reportSize/4-1)
	b = binary.BigEndian.AppendUint32(b, s.SSRC)
	b = binary.BigEndian.AppendUint64(b, ntpTime(pts))
	b = binary.BigEndian.AppendUint32(b, rtpTime(pts, s.Clock))
	b = binary.BigEndian.AppendUint32(b, s.packets)
	return binary.BigEndian.AppendUint32(b, s.payloads)
}

// Bye makes the packets that end a source (RFC 3550, 6.6): BYE, and before it the empty receiver report with which a
// compound packet has to begin.
func Bye(ssrc uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{2 << 6, 201, 0, 1}, ssrc)
	return binary.BigEndian.AppendUint32(append(b, 2<<6|1, 203, 0, 1), ssrc)
}

// rtpTime is a PTS on a clock of that rate, rounded to the nearest, modulo 2^32. Computed from the PTS itself, it is the
// same on every node and drifts nowhere.
func rtpTime(pts int64, clock int) uint32 {
	seconds, ticks := split(pts)
	return uint32(uint64(seconds)*uint64(clock) + (uint64(ticks)*uint64(clock)+codecs.ClockRate/2)/codecs.ClockRate)
}

// ntpTime is a PTS as an NTP timestamp: seconds since 1900 with 32 bits of fraction. A PTS counts from the Unix epoch.
func ntpTime(pts int64) uint64 {
	const unixEpoch = 2_208_988_800
	seconds, ticks := split(pts)
	return uint64(seconds+unixEpoch)<<32 | uint64(ticks)<<32/codecs.ClockRate
}

// split returns the whole seconds of a PTS, rounded down, and the ticks that remain.
func split(pts int64) (seconds, ticks int64) {
	if seconds, ticks = pts/codecs.ClockRate, pts%codecs.ClockRate; ticks < 0 {
		seconds, ticks = seconds-1, ticks+codecs.ClockRate
	}
	return seconds, ticks
}
