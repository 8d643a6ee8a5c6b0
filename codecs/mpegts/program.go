// Package mpegts writes and reads MPEG transport streams (ISO/IEC 13818-1): HLS segments, each a function of the access units in
// it, the endless stream that HTTP MPEG-TS sends, and whatever comes from outside.
//
// Reading is our own because what a table announces and what arrives are two things, and either may change at any moment. The reader
// of the library that weir uses elsewhere takes the tables of the start as a promise: it waits for each track that is announced,
// drops pictures without a timestamp, takes a PES packet for an access unit, and refuses the whole input for a codec that it does not
// know, for packets of 192 bytes, or for two programs that share a PID. Nothing of that can be changed from outside. [Demuxer] is
// pushed bytes and tells what it finds as it finds it: which streams the tables list now, access units wherever they begin, what is
// scrambled, and what was lost. It keeps nothing but the access units that have begun, so that its memory is bounded, and reads some
// ten times faster.
//
// The package knows no playlist and no socket, and repairs no times.
package mpegts

import (
	"encoding/binary"
	"errors"
	"fmt"

	"weir/codecs"
	"weir/codecs/aac"
	"weir/codecs/carriage"
	"weir/codecs/nal"
)

// The PIDs in use (2.4.3.3). Those of elementary streams are pidFirst plus the index of the track, so a track keeps
// its PID when another one comes or goes.
const (
	pidPAT   = 0
	pidPMT   = 0x1000
	pidFirst = 0x100
)

// maxCarried is the number of tracks of one program: as many as describe themselves in a PMT of one packet.
const maxCarried = 14

// maxIndex bounds the index of a carried track, so that its PID stays below that of the PMT.
const maxIndex = pidPMT - pidFirst

// ErrNoTrack says that none of the tracks can be carried.
var ErrNoTrack = errors.New("no track that MPEG-TS can carry")

// Check says whether at least one of the tracks can be carried; the error is the reason why not.
func Check(tracks codecs.Tracks) error {
	return tracks.Carried(ErrNoTrack, func(i int, t codecs.Track) error {
		_, err := newElementary(i, t)
		return err
	})
}

// An elementary is a track that is carried.
type elementary struct {
	carriage.TS
	index int
	video bool
	pid   uint16

	// samples of rate make up an access unit of audio; rate is zero when it is unknown.
	samples, rate int64
}

// newElementary prepares a track, or says why it cannot be carried.
func newElementary(index int, t codecs.Track) (*elementary, error) {
	row := carriage.Of(t.Codec)
	switch {
	case index >= maxIndex:
		return nil, fmt.Errorf("more than %d tracks", maxIndex)
	case row.TS == nil:
		return nil, fmt.Errorf("MPEG-TS cannot carry codec %v", t.Codec)
	}
	e := &elementary{index: index, video: t.Codec.Video(), pid: uint16(pidFirst + index)}
	var err error
	if e.TS, err = row.TS(t); err != nil {
		return nil, err
	}
	if row.Length != nil {
		samples, rate, err := row.Length(t)
		if err != nil {
			return nil, err
		}
		e.samples, e.rate = int64(samples), int64(rate)
	}
	return e, nil
}

// size is the number of bytes of an access unit in the elementary stream; zero when it cannot be carried: it is
// empty, is broken from the start, or is too large for the header that audio gets.
func (e *elementary) size(au *codecs.AccessUnit) int {
	n := len(au.Payload)
	switch {
	case e.ADTS != nil && (n == 0 || n > aac.MaxADTS), !e.video && n > maxAudioPES:
		return 0
	case e.ADTS != nil:
		return n + aac.ADTSHeaderSize
	case !e.video:
		return n
	}
	n = 0
	for u := range nal.Units(au.Payload) {
		n += 4 + len(u)
	}
	if n == 0 {
		return 0
	}
	if au.RandomAccess {
		n += len(e.Parameters)
	}
	return n + len(e.Delimiter)
}

// append appends the size(au) bytes of an access unit, which are not none.
func (e *elementary) append(dst []byte, au *codecs.AccessUnit) []byte {
	if e.video {
		dst = append(dst, e.Delimiter...)
		if au.RandomAccess {
			dst = append(dst, e.Parameters...)
		}
		for u := range nal.Units(au.Payload) {
			dst = append(append(dst, 0, 0, 0, 1), u...) // a start code, ITU-T H.264 and H.265, annex B
		}
		return dst
	}
	if e.ADTS != nil {
		header := e.ADTS.Header(len(au.Payload))
		dst = append(dst, header[:]...)
	}
	return append(dst, au.Payload...)
}

// A program is what the tables say: which tracks are carried, and how.
type program struct {
	// byTrack is indexed by track; nil for one that is left out.
	byTrack []*elementary

	// clock carries the PCR: the first video track, else the first track. Nil if nothing is carried.
	clock *elementary

	pat, pmt []byte // sections
}

// newProgram plans the program of tracks. It depends on nothing else, the version of the PMT included: nodes that
// never met give equal tracks equal tables.
func newProgram(tracks codecs.Tracks) *program {
	p := &program{byTrack: make([]*elementary, len(tracks))}
	var carried []*elementary
	var video, audio byte
	for i, t := range tracks {
		e, err := newElementary(i, t)
		if err != nil || len(carried) == maxCarried {
			continue
		}
		switch e.StreamID {
		case 0xe0:
			e.StreamID += video
			video++
		case 0xc0:
			e.StreamID += audio
			audio++
		}
		if p.clock == nil || e.video && !p.clock.video {
			p.clock = e
		}
		p.byTrack[i] = e
		carried = append(carried, e)
	}
	if p.clock == nil {
		return p
	}
	p.pat = section(0, 1, 0, []byte{0, 1, 0xe0 | pidPMT>>8, pidPMT & 0xff})

	body := []byte{0xe0 | byte(p.clock.pid>>8), byte(p.clock.pid), 0xf0, 0}
	for _, e := range carried {
		body = append(body, e.StreamType, 0xe0|byte(e.pid>>8), byte(e.pid), 0xf0, byte(len(e.Descriptor)))
		body = append(body, e.Descriptor...)
	}
	// Receivers take a table with the version that they know for the one that they know (2.4.4.9), so that another
	// content must have another version; five bits of its checksum tell most apart.
	sum := crc(body)
	version := byte(sum^sum>>5^sum>>10^sum>>15^sum>>20^sum>>25^sum>>30) & 0x1f
	p.pmt = section(2, 1, version, body)
	return p
}

// section makes a PSI section of one part (2.4.4.11).
func section(table byte, id uint16, version byte, body []byte) []byte {
	length := 5 + len(body) + 4
	b := []byte{table, 0xb0 | byte(length>>8), byte(length), byte(id >> 8), byte(id), 0xc1 | version<<1, 0, 0}
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc(b))
}

// crc is the checksum of PSI sections (annex A): polynomial 0x04c11db7, most significant bit first.
func crc(b []byte) uint32 {
	sum := ^uint32(0)
	for _, x := range b {
		sum ^= uint32(x) << 24
		for range 8 {
			if sum&(1<<31) != 0 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}
