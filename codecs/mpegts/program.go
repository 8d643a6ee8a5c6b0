// Package mpegts writes MPEG transport streams (ISO/IEC 13818-1): HLS segments, each a function of the access units in
// it, and the endless stream that HTTP MPEG-TS sends.
//
// It knows no playlist and no socket, and reads nothing.
package mpegts

import (
	"encoding/binary"
	"errors"
	"fmt"

	"weir/codecs"
	"weir/codecs/aac"
	"weir/codecs/h264"
	"weir/codecs/h265"
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
	var reasons []error
	for i, t := range tracks {
		_, err := newElementary(i, t)
		if err == nil {
			return nil
		}
		reasons = append(reasons, fmt.Errorf("track %d: %w", i, err))
	}
	return errors.Join(append([]error{ErrNoTrack}, reasons...)...)
}

// An elementary is a track that is carried.
type elementary struct {
	index      int
	codec      codecs.Codec
	pid        uint16
	streamType byte // table 2-34
	streamID   byte // table 2-22
	descriptor string

	delimiter  string   // what each access unit of video starts with
	parameters []byte   // parameter sets in byte stream format; stand before each random access point
	adts       aac.ADTS // AAC only

	// samples of rate make up an access unit of audio; rate is zero when nobody knows.
	samples, rate int64
}

// Access unit delimiters in byte stream format: any slice types may follow (ITU-T H.264, 7.3.2.4; ITU-T H.265,
// 7.3.2.5). MPEG-TS demands one in each access unit (2.14.1 and 2.17.1).
const (
	delimiterH264 = "\x00\x00\x00\x01\x09\xf0"
	delimiterH265 = "\x00\x00\x00\x01\x46\x01\x50"
)

// newElementary prepares a track, or says why it cannot be carried.
func newElementary(index int, t codecs.Track) (*elementary, error) {
	if index >= maxIndex {
		return nil, fmt.Errorf("more than %d tracks", maxIndex)
	}
	e := &elementary{index: index, codec: t.Codec, pid: uint16(pidFirst + index), rate: int64(t.SampleRate)}
	switch t.Codec {
	case codecs.H264:
		c, err := h264.ParseConfig(t.Config)
		if err != nil {
			return nil, err
		}
		if c.LengthSize != 4 {
			return nil, fmt.Errorf("H.264 configuration with a length size of %d", c.LengthSize)
		}
		e.streamType, e.streamID, e.delimiter = 0x1b, 0xe0, delimiterH264
		e.parameters = byteStream(c.SPS, c.PPS)
	case codecs.H265:
		c, err := h265.ParseConfig(t.Config)
		if err != nil {
			return nil, err
		}
		if c.LengthSize != 4 {
			return nil, fmt.Errorf("H.265 configuration with a length size of %d", c.LengthSize)
		}
		e.streamType, e.streamID, e.delimiter = 0x24, 0xe0, delimiterH265
		e.parameters = byteStream(c.VPS, c.SPS, c.PPS)
	case codecs.AAC:
		adts, err := aac.NewADTS(t.Config)
		if err != nil {
			return nil, err
		}
		e.streamType, e.streamID, e.adts = 0x0f, 0xc0, adts
		e.samples, e.rate = aac.Samples, int64(adts.SampleRate)
	case codecs.MP3:
		e.streamType, e.streamID, e.samples = 0x03, 0xc0, 1152
		if t.SampleRate > 0 && t.SampleRate < 32000 { // ISO/IEC 13818-3, 2.4.2.3
			e.streamType, e.samples = 0x04, 576
		}
	case codecs.AC3:
		// As ATSC A/52, annex A, and HLS have it.
		e.streamType, e.streamID, e.samples = 0x81, 0xbd, 1536
		e.descriptor = "\x05\x04AC-3"
	default:
		return nil, fmt.Errorf("MPEG-TS cannot carry codec %v", t.Codec)
	}
	return e, nil
}

func byteStream(lists ...[][]byte) []byte {
	var b []byte
	for _, sets := range lists {
		for _, set := range sets {
			b = append(append(b, 0, 0, 0, 1), set...)
		}
	}
	return b
}

// size is the number of bytes of an access unit in the elementary stream; zero when it cannot be carried: it is
// empty, is broken from the start, or is too large for the header that audio gets.
func (e *elementary) size(au *codecs.AccessUnit) int {
	if !e.codec.Video() {
		n := len(au.Payload)
		if e.codec != codecs.AAC {
			if n > maxAudioPES {
				return 0
			}
			return n
		}
		if n == 0 || n > aac.MaxADTS {
			return 0
		}
		return n + aac.ADTSHeaderSize
	}
	n := 0
	for u := range h264.Units(au.Payload) {
		n += 4 + len(u)
	}
	if n == 0 {
		return 0
	}
	if au.RandomAccess {
		n += len(e.parameters)
	}
	return n + len(e.delimiter)
}

// append appends the size(au) bytes of an access unit, which are not none.
func (e *elementary) append(dst []byte, au *codecs.AccessUnit) []byte {
	if e.codec.Video() {
		dst = append(dst, e.delimiter...)
		if au.RandomAccess {
			dst = append(dst, e.parameters...)
		}
		return h264.AppendAnnexB(dst, au.Payload)
	}
	if e.codec == codecs.AAC {
		header := e.adts.Header(len(au.Payload))
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
		switch e.streamID {
		case 0xe0:
			e.streamID += video
			video++
		case 0xc0:
			e.streamID += audio
			audio++
		}
		if p.clock == nil || e.codec.Video() && !p.clock.codec.Video() {
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
		body = append(body, e.streamType, 0xe0|byte(e.pid>>8), byte(e.pid), 0xf0, byte(len(e.descriptor)))
		body = append(body, e.descriptor...)
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
