package carriage

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/aac"
	"weir/codecs/sdp"
)

// maxFrameAAC bounds an access unit that is put together of packets: 6144 bits for each channel (ISO/IEC 14496-3, 4.5.1.1), of
// which 48 can be described.
const maxFrameAAC = 48 * 6144 / 8

// wholeAAC is the size below which an access unit in a packet without a marker is taken to be whole, not the first part of one:
// some cameras never set it.
const wholeAAC = 1000

// unpackAAC reads the two forms of AAC: elementary streams (RFC 3640) and LATM (RFC 6416).
func unpackAAC(in *sdp.Format) (*Unpacking, error) {
	switch in.Encoding {
	case "MPEG4-GENERIC":
		return unpackGeneric(in)
	case "MP4A-LATM":
		return unpackLATM(in)
	}
	return nil, nil
}

func unpackGeneric(in *sdp.Format) (*Unpacking, error) {
	config, err := hex.DecodeString(in.Parameters["config"])
	track, described := aac.Track(config)
	if err != nil || described != nil {
		if config, err = plainAAC(in.Clock, max(in.Channels, 1)); err != nil {
			return nil, err
		}
		if track, err = aac.Track(config); err != nil {
			return nil, err
		}
	}
	u := &Unpacking{Codec: codecs.AAC, Clock: in.Clock, Config: config}
	if u.Clock == 0 {
		u.Clock = track.SampleRate
	}
	u.Frames = newAACFrames(in).take
	return u, nil
}

// plainAAC makes the AudioSpecificConfig of AAC-LC, for a description without one that can be read.
func plainAAC(rate, channels int) ([]byte, error) {
	c := mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: rate, ChannelConfig: uint8(min(channels, 7))}
	if rate <= 0 {
		return nil, errors.New("AAC without a configuration and a sample rate")
	}
	config, err := c.Marshal()
	if err != nil {
		return nil, fmt.Errorf("AAC without a configuration: %w", err)
	}
	return config, nil
}

// aacFrames puts access units together. The lengths, in bits, are those of the fields of an AU-header (RFC 3640, 3.2.1).
type aacFrames struct {
	size, index, delta, cts, dts, state int
	random                              bool
	auxiliary, constant                 int

	parts []byte // of an access unit whose end is still to come
	begun bool
}

func newAACFrames(in *sdp.Format) *aacFrames {
	size, index := 13, 3 // of high bit-rate AAC (3.3.6), where the description does not say
	if strings.EqualFold(in.Parameters["mode"], "AAC-lbr") {
		size, index = 6, 2
	}
	if _, constant := in.Parameters["constantsize"]; constant {
		size, index = 0, 0
	}
	length := func(name string, fallback int) int { return min(in.Integer(name, fallback), 32) }
	f := &aacFrames{
		size: length("sizelength", size), index: length("indexlength", index),
		cts: length("ctsdeltalength", 0), dts: length("dtsdeltalength", 0), state: length("streamstateindication", 0),
		random: in.Parameters["randomaccessindication"] == "1", auxiliary: length("auxiliarydatasizelength", 0),
		constant: in.Integer("constantsize", 0),
	}
	f.delta = length("indexdeltalength", f.index)
	return f
}

func (f *aacFrames) take(p *rtp.Packet, lost bool) ([][]byte, error) {
	if lost {
		f.parts, f.begun = nil, false
	}
	sizes, b, err := f.sections(p.Payload)
	if err != nil {
		f.parts, f.begun = nil, false
		return nil, err
	}
	if len(sizes) == 1 && (f.begun || !p.Marker && !(sizes[0] == len(b) && len(b) < wholeAAC)) {
		return f.part(b, p.Marker)
	}
	f.parts, f.begun = nil, false
	var frames [][]byte
	for _, n := range sizes {
		if n > len(b) {
			return frames, errShort
		}
		if n > 0 {
			frames = append(frames, withoutADTS(b[:n:n]))
		}
		b = b[n:]
	}
	return frames, nil
}

// part takes a part of an access unit. What its AU-header says of the size is not the same with all senders.
func (f *aacFrames) part(b []byte, last bool) ([][]byte, error) {
	if len(f.parts)+len(b) > maxFrameAAC {
		f.parts, f.begun = nil, false
		return nil, fmt.Errorf("access unit of AAC of more than %d bytes", maxFrameAAC)
	}
	f.parts, f.begun = append(f.parts, b...), true
	if !last {
		return nil, nil
	}
	frame := f.parts
	f.parts, f.begun = nil, false
	return [][]byte{withoutADTS(frame)}, nil
}

// sections reads the AU-headers and the auxiliary section, and returns the sizes of the access units and what follows.
func (f *aacFrames) sections(b []byte) (sizes []int, rest []byte, err error) {
	at := 0
	if f.size+f.index+f.delta+f.cts+f.dts+f.state > 0 || f.random {
		if len(b) < 2 {
			return nil, nil, errShort
		}
		end := 16 + int(binary.BigEndian.Uint16(b))
		if end > 8*len(b) {
			return nil, nil, errShort
		}
		for at = 16; at < end; {
			before := at
			n, err := f.header(b, &at, len(sizes) == 0)
			if err != nil {
				return nil, nil, err
			}
			if at > end || at == before {
				break
			}
			sizes = append(sizes, n)
		}
		at = end
	}
	at = (at + 7) &^ 7
	if f.auxiliary > 0 {
		n, err := bits.ReadBits(b, &at, f.auxiliary)
		if err != nil || n > uint64(8*len(b)) {
			return nil, nil, errShort
		}
		at = (at + int(n) + 7) &^ 7
	}
	if at > 8*len(b) {
		return nil, nil, errShort
	}
	b = b[at/8:]
	if f.size > 0 {
		return sizes, b, nil
	}
	n := f.constant
	if n <= 0 {
		n = max(len(b), 1)
	}
	sizes = sizes[:0]
	for left := len(b); left > 0; left -= n {
		sizes = append(sizes, min(n, left))
	}
	return sizes, b, nil
}

func (f *aacFrames) header(b []byte, at *int, first bool) (size int, err error) {
	read := func(n int) uint64 {
		if n == 0 || err != nil {
			return 0
		}
		var v uint64
		v, err = bits.ReadBits(b, at, n)
		return v
	}
	flagged := func(n int) {
		if n > 0 && read(1) == 1 {
			read(n)
		}
	}
	size = int(read(f.size))
	if first {
		read(f.index)
	} else {
		read(f.delta)
	}
	flagged(f.cts)
	flagged(f.dts)
	if f.random {
		read(1)
	}
	read(f.state)
	return size, err
}

// withoutADTS takes off the header that some cameras leave before an access unit.
func withoutADTS(b []byte) []byte {
	if len(b) < aac.ADTSHeaderSize || b[0] != 0xff || b[1]&0xf6 != 0xf0 {
		return b
	}
	if size := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5; size != len(b) {
		return b
	}
	header := aac.ADTSHeaderSize
	if b[1]&1 == 0 { // with a CRC
		header += 2
	}
	return b[min(header, len(b)):]
}

// unpackLATM reads LATM whose configuration stands in the description.
func unpackLATM(in *sdp.Format) (*Unpacking, error) {
	config, err := hex.DecodeString(in.Parameters["config"])
	if err != nil || len(config) == 0 {
		return nil, errors.New("LATM without a configuration in the description")
	}
	mux := &mpeg4audio.StreamMuxConfig{}
	if err := mux.Unmarshal(config); err != nil {
		return nil, fmt.Errorf("configuration of LATM: %w", err)
	}
	if len(mux.Programs) != 1 || len(mux.Programs[0].Layers) != 1 || mux.Programs[0].Layers[0].AudioSpecificConfig == nil {
		return nil, errors.New("LATM with more than one layer")
	}
	own, err := mux.Programs[0].Layers[0].AudioSpecificConfig.Marshal()
	if err != nil {
		return nil, fmt.Errorf("configuration of LATM: %w", err)
	}
	track, err := aac.Track(own)
	if err != nil {
		return nil, err
	}
	u := &Unpacking{Codec: codecs.AAC, Clock: in.Clock, Config: own}
	if u.Clock == 0 {
		u.Clock = track.SampleRate
	}
	present := in.Parameters["cpresent"] != "0"
	var whole aacFrames
	u.Frames = func(p *rtp.Packet, lost bool) ([][]byte, error) {
		if lost {
			whole = aacFrames{}
		}
		elements, err := whole.part(p.Payload, p.Marker)
		if err != nil || len(elements) == 0 {
			return nil, err
		}
		e := mpeg4audio.AudioMuxElement{MuxConfigPresent: present, StreamMuxConfig: mux}
		if err := e.Unmarshal(elements[0]); err != nil {
			return nil, fmt.Errorf("element of LATM: %w", err)
		}
		var frames [][]byte
		for _, subframe := range e.Payloads {
			for _, program := range subframe {
				frames = append(frames, program...)
			}
		}
		return frames, nil
	}
	return u, nil
}
