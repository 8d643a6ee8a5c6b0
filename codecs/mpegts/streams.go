package mpegts

import (
	"bytes"
	"fmt"
	"slices"

	"weir/codecs/bytestream"
	"weir/codecs/carriage"
)

// A Kind says what an elementary stream is for.
type Kind uint8

// The kinds.
const (
	Data Kind = iota // subtitles, metadata and whatever is not known
	Video
	Audio
)

// A Stream is an elementary stream of a program, as its table describes it.
type Stream struct {
	PID      uint16
	Type     byte // stream_type
	Kind     Kind
	Name     string          // of what it holds, such as "MPEG-2 video"
	Form     bytestream.Form // 0 if it cannot be carried
	Config   []byte          // the decoder configuration, if the table gives one
	Language string          // of three letters; empty if the table does not tell

	// Untold says that the table does not tell what it holds. If Form is 0, it may yet be found.
	Untold bool
}

// equal says whether the table says the same of both.
func (s *Stream) equal(o *Stream) bool {
	alike := s.PID == o.PID && s.Type == o.Type && s.Language == o.Language && s.Untold == o.Untold
	return alike && (s.Untold || s.Kind == o.Kind && s.Name == o.Name && s.Form == o.Form && bytes.Equal(s.Config, o.Config))
}

// guess returns a stream of which the table does not say what it holds, as it was found to be.
func (s *Stream) guess(form bytestream.Form) *Stream {
	found := *s
	for _, c := range types {
		if c.form == form {
			found.Kind, found.Name, found.Form = c.kind, c.name, c.form
		}
	}
	return &found
}

// A coding is how a stream type, a registration or a descriptor says that a stream is coded.
type coding struct {
	kind Kind
	name string
	form bytestream.Form
}

var (
	codedH264   = coding{Video, "H.264", bytestream.H264}
	codedH265   = coding{Video, "H.265", bytestream.H265}
	codedADTS   = coding{Audio, "AAC", bytestream.ADTS}
	codedLATM   = coding{Audio, "AAC in LATM", bytestream.LATM}
	codedMPEG   = coding{Audio, "MPEG audio", bytestream.MPEGAudio}
	codedAC3    = coding{Audio, "AC-3", bytestream.AC3}
	codedOpus   = coding{Audio, "Opus", bytestream.Opus}
	codedEAC3   = coding{Audio, "E-AC-3", 0}
	codedAC4    = coding{Audio, "AC-4", 0}
	codedDTS    = coding{Audio, "DTS", 0}
	codedTrueHD = coding{Audio, "Dolby TrueHD", 0}
	codedLPCM   = coding{Audio, "LPCM", 0}
	codedAV1    = coding{Video, "AV1", 0}
	codedVVC    = coding{Video, "H.266", 0}
	codedVC1    = coding{Video, "VC-1", 0}
	codedSCTE35 = coding{Data, "SCTE-35 splice information", 0}
)

// types are the codings by stream_type (table 2-34; ATSC A/53 part 3; SCTE 128; those from 0xc1 on of Apple's for SAMPLE-AES).
var types = map[byte]coding{
	0x01: {Video, "MPEG-1 video", 0},
	0x02: {Video, "MPEG-2 video", 0},
	0x03: codedMPEG,
	0x04: codedMPEG,
	0x05: {Data, "private sections", 0},
	0x0f: codedADTS,
	0x10: {Video, "MPEG-4 Part 2", 0},
	0x11: codedLATM,
	0x15: {Data, "metadata", 0},
	0x1b: codedH264,
	0x1c: {Audio, "MPEG-4 audio without framing", 0},
	0x1f: {Data, "enhancement of H.264 (SVC)", 0},
	0x20: {Data, "second view of H.264 (MVC)", 0},
	0x21: {Video, "JPEG 2000", 0},
	0x24: codedH265,
	0x25: {Data, "enhancement of H.265", 0},
	0x2d: {Audio, "MPEG-H audio", 0},
	0x32: {Video, "JPEG XS", 0},
	0x33: codedVVC,
	0x35: {Video, "EVC", 0},
	0x42: {Video, "AVS", 0},
	0x81: codedAC3,
	0x86: codedSCTE35,
	0x87: codedEAC3,
	0x8a: codedDTS,
	0xc1: {Audio, "encrypted AC-3 (SAMPLE-AES)", 0},
	0xc2: {Audio, "encrypted E-AC-3 (SAMPLE-AES)", 0},
	0xcf: {Audio, "encrypted AAC (SAMPLE-AES)", 0},
	0xd1: {Video, "Dirac", 0},
	0xd2: {Video, "AVS2", 0},
	0xd4: {Video, "AVS3", 0},
	0xdb: {Video, "encrypted H.264 (SAMPLE-AES)", 0},
	0xea: codedVC1,
}

// discTypes replace those of user private types in programs with the registration "HDMV" (Blu-ray).
var discTypes = map[byte]coding{
	0x80: codedLPCM,
	0x81: codedAC3,
	0x82: codedDTS,
	0x83: codedTrueHD,
	0x84: codedEAC3,
	0x85: codedDTS,
	0x86: codedDTS,
	0x90: {Data, "subtitles (PGS)", 0},
	0x91: {Data, "interactive graphics", 0},
	0x92: {Data, "text subtitles", 0},
	0xa1: codedEAC3,
	0xa2: codedDTS,
}

// registrations are the codings by format_identifier (2.6.8), of streams whose type says nothing.
var registrations = map[string]coding{
	"AC-3": codedAC3,
	"EAC3": codedEAC3,
	"AC-4": codedAC4,
	"Opus": codedOpus,
	"HEVC": codedH265,
	"AV01": codedAV1,
	"VVC ": codedVVC,
	"VC-1": codedVC1,
	"DTS1": codedDTS,
	"DTS2": codedDTS,
	"DTS3": codedDTS,
	"BSSD": {Audio, "SMPTE 302M", 0},
	"drac": {Video, "Dirac", 0},
	"KLVA": {Data, "KLV metadata", 0},
	"ID3 ": {Data, "ID3 metadata", 0},
	"CUEI": codedSCTE35,
	"VANC": {Data, "ancillary data (SMPTE 2038)", 0},
}

// descriptors are the codings by descriptor_tag, of streams whose type says nothing (ETSI EN 300 468, 6.1).
var descriptors = map[byte]coding{
	0x46: {Data, "VBI teletext", 0},
	0x45: {Data, "VBI data", 0},
	0x56: {Data, "teletext", 0},
	0x59: {Data, "DVB subtitles", 0},
	0x6a: codedAC3,
	0x6f: {Data, "application signalling", 0},
	0x7a: codedEAC3,
	0x7b: codedDTS,
	0x7c: codedADTS,
}

// The tags of the other descriptors that are read.
const (
	tagRegistration = 0x05
	tagLanguage     = 0x0a
	tagExtension    = 0x7f

	extensionDTSHD = 0x0e
	extensionAC4   = 0x15
	extensionOpus  = 0x80
)

// private says of which stream types the descriptors tell the coding: PES packets and sections with private data, and user private
// ones that are in no table.
func private(streamType byte) bool {
	_, listed := types[streamType]
	return streamType == 0x06 || streamType >= 0x80 && !listed
}

// eachDescriptor hands descriptors over until there are no more; false says that the last one is longer than it may be.
func eachDescriptor(b []byte, each func(tag byte, body []byte)) bool {
	for len(b) >= 2 {
		n := 2 + int(b[1])
		if n > len(b) {
			return false
		}
		each(b[0], b[2:n])
		b = b[n:]
	}
	return len(b) == 0
}

// readStreams reads the body of a PMT from PCR_PID on (2.4.4.9). Damaged descriptors tell nothing; a damaged table is none.
func readStreams(b []byte) (list []*Stream, ok bool) {
	if len(b) < 4 {
		return nil, false
	}
	n := 4 + int(b[2]&15)<<8 + int(b[3])
	if n > len(b) {
		return nil, false
	}
	disc := false
	eachDescriptor(b[4:n], func(tag byte, body []byte) {
		disc = disc || tag == tagRegistration && bytes.HasPrefix(body, []byte("HDMV"))
	})
	for b = b[n:]; len(b) > 0; b = b[n:] {
		if len(b) < 5 {
			return nil, false
		}
		if n = 5 + int(b[3]&15)<<8 + int(b[4]); n > len(b) {
			return nil, false
		}
		s := readStream(b[0], b[5:n], disc)
		s.PID = uint16(b[1]&0x1f)<<8 | uint16(b[2])
		if !slices.ContainsFunc(list, func(o *Stream) bool { return o.PID == s.PID }) {
			list = append(list, s)
		}
	}
	return list, true
}

func readStream(streamType byte, described []byte, disc bool) *Stream {
	s := &Stream{Type: streamType}
	c, known := types[streamType]
	if d, ok := discTypes[streamType]; ok && disc {
		c, known = d, true
	}
	var told coding
	layout := 2 // of Opus: two channels play one, too
	eachDescriptor(described, func(tag byte, body []byte) {
		row, listed := descriptors[tag]
		switch {
		case tag == tagLanguage && len(body) >= 3:
			s.Language = string(body[:3])
		case tag == tagRegistration && len(body) >= 4:
			if r, ok := registrations[string(body[:4])]; ok {
				told = r
			}
		case tag == tagExtension && len(body) >= 1:
			switch {
			case body[0] == extensionAC4:
				told = codedAC4
			case body[0] == extensionDTSHD:
				told = codedDTS
			case body[0] == extensionOpus && len(body) >= 2:
				layout = int(body[1])
			}
		case listed && told.name == "":
			told = row
		}
	})
	if private(streamType) && told.name != "" {
		c, known = told, true
	}
	if !known {
		s.Untold = true
		c = coding{Data, fmt.Sprintf("stream type 0x%02x", streamType), 0}
		if streamType == 0x06 {
			c.name = "private data"
		}
	}
	s.Kind, s.Name, s.Form = c.kind, c.name, c.form
	if s.Form == bytestream.Opus {
		var err error
		if s.Config, err = carriage.OpusConfig(layout); err != nil {
			s.Name, s.Form = err.Error(), 0
		}
	}
	return s
}
