package bytestream

import (
	"bytes"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"

	"weir/codecs"
)

// adtsHeader reads adts_fixed_header and adts_variable_header (ISO/IEC 14496-3, 1.A.3.2).
func adtsHeader(b []byte) (h header, err error) {
	const (
		short = 7 // the size without CRC
		crc   = 2
		rates = 13 // as many sampling frequencies have an index
	)
	switch {
	case b[0] != 0xff:
		return h, errNoFrame
	case len(b) < short:
		return h, errShort
	case b[1]&0xf6 != 0xf0 || b[2]>>2&15 >= rates:
		return h, errNoFrame
	}
	h.skip = short
	if b[1]&1 == 0 {
		h.skip += crc
	}
	h.size = int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	h.alike = uint32(b[2]&0xfd)<<8 | uint32(b[3]&0xc0) | 1
	switch {
	case h.size <= h.skip:
		return h, errNoFrame
	case b[6]&3 != 0:
		h.refused = &codecs.UnsupportedError{Name: "AAC with several blocks in an ADTS frame"}
	}
	return h, nil
}

// adts makes an AudioSpecificConfig of the headers.
type adts struct{ config []byte }

func (a *adts) unpack(s *Splitter, b []byte, h header) error {
	// audioObjectType, samplingFrequencyIndex, channelConfiguration (1.6.2.1).
	object, rate, layout := b[2]>>6+1, b[2]>>2&15, b[2]&1<<2|b[3]>>6
	config := [2]byte{object<<3 | rate>>1, rate<<7 | layout<<3}
	if !bytes.Equal(a.config, config[:]) {
		a.config = bytes.Clone(config[:])
	}
	return s.give(b[h.skip:], a.config)
}

// mpegRates are the bit rates in kbit/s by bitrate_index, of MPEG-1 by layer and then of MPEG-2: layer I, and layers II and III
// (ISO/IEC 11172-3, 2.4.2.3; ISO/IEC 13818-3, 2.4.2.3). Index 0 is the free format, which is not known here.
var mpegRates = [5][15]int{
	{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

// mpegHeader reads a header of MPEG audio (ISO/IEC 11172-3, 2.4.1.3). Version 0, "2.5", has no standard.
func mpegHeader(b []byte) (h header, err error) {
	if b[0] != 0xff {
		return h, errNoFrame
	}
	if len(b) < 4 {
		return h, errShort
	}
	version, layer, index, rate := b[1]>>3&3, 4-int(b[1]>>1&3), b[2]>>4, b[2]>>2&3
	if b[1]&0xe0 != 0xe0 || version == 1 || layer == 4 || index == 0 || index == 15 || rate == 3 {
		return h, errNoFrame
	}
	row, hertz := layer-1, [3]int{44100, 48000, 32000}[rate]
	if version != 3 {
		row = min(row, 1) + 3
		hertz /= 2
	}
	if version == 0 {
		hertz /= 2
	}
	bits, padding := mpegRates[row][index]*1000, int(b[2]>>1&1)
	switch {
	case layer == 1:
		h.size = (12*bits/hertz + padding) * 4
	case layer == 3 && version != 3:
		h.size = 72*bits/hertz + padding
	default:
		h.size = 144*bits/hertz + padding
	}
	h.alike = uint32(b[1]&0xfe)<<8 | uint32(b[2]&0x0c)
	if layer != 3 {
		h.refused = &codecs.UnsupportedError{Name: fmt.Sprintf("MPEG audio, layer %d", layer)}
	}
	return h, nil
}

// ac3Header reads syncinfo and the beginning of bsi (ETSI TS 102 366, 4.4), and of E-AC-3 (E.1.2), which is told by its bsid.
func ac3Header(b []byte) (h header, err error) {
	switch {
	case b[0] != 0x0b:
		return h, errNoFrame
	case len(b) < 6:
		return h, errShort
	case b[1] != 0x77:
		return h, errNoFrame
	}
	id := b[5] >> 3
	h.alike = uint32(id)<<8 | uint32(b[4]&0xc0)
	if id > 10 && id <= 16 {
		h.size = (int(b[2]&7)<<8 + int(b[3]) + 1) * 2
		h.refused = &codecs.UnsupportedError{Name: "E-AC-3"}
		return h, nil
	}
	var s ac3.SyncInfo
	if id > 10 || s.Unmarshal(b) != nil {
		return h, errNoFrame
	}
	h.size = s.FrameSize()
	return h, nil
}

// opusHeader reads a control header ("Encapsulation of Opus in MPEG-2 transport streams", draft of ETSI).
func opusHeader(b []byte) (h header, err error) {
	if len(b) < 3 {
		return h, errShort
	}
	if b[0] != 0x7f || b[1]&0xe0 != 0xe0 {
		return h, errNoFrame
	}
	size, at := 0, 2
	for {
		if at == len(b) {
			return h, errShort
		}
		size += int(b[at])
		if at++; b[at-1] != 0xff {
			break
		}
		if size > maxFrame {
			return h, errNoFrame
		}
	}
	if b[1]&0x10 != 0 { // start_trim_flag
		at += 2
	}
	if b[1]&8 != 0 { // end_trim_flag
		at += 2
	}
	if b[1]&4 != 0 { // control_extension_flag
		if at >= len(b) {
			return h, errShort
		}
		at += 1 + int(b[at])
	}
	if size == 0 || at+size > maxFrame {
		return h, errNoFrame
	}
	return header{size: at + size, skip: at}, nil
}
