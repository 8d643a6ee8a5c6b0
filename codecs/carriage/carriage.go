// Package carriage has a row for each codec: how FLV, fragmented MP4, MPEG-TS, RTP and HLS carry it, and how its decoder
// configuration, its parameter sets and its random access points are read. Every reader and writer of media asks this
// table, and none of them tells codecs apart by itself.
//
// A codec is added by its constant in package codecs, a file here, and its row in the table. Package carriage knows no
// stream and no container beyond what one codec says in it; the containers are written by the packages flv, fmp4,
// mpegts and rtp.
package carriage

import (
	"errors"
	"slices"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/aac"
	"weir/codecs/bytestream"
	"weir/codecs/h264"
	"weir/codecs/h265"
	"weir/codecs/nal"
	"weir/codecs/sdp"
)

// A Row is what one codec says. It is immutable. In the zero Row, that of an unknown codec, nothing carries it.
type Row struct {
	// NAL is the syntax of a codec that consists of NAL units: their parameter sets, decoder configuration records and
	// random access points. It is nil for any other. Access units of video without NAL units are random access points
	// where the container says so, and those of audio always are.
	NAL *nal.Syntax

	// Describe makes the track of a decoder configuration as [codecs.Track] has it, and keeps the slice. It is nil for
	// codecs that have none; their frames describe themselves.
	Describe func(config []byte) (codecs.Track, error)

	// Frame reads what an access unit of audio says of itself: its track, which is the zero Track for a codec that has
	// a configuration, and the number of samples in it. It is nil where all access units have as many as Length says.
	Frame func(b []byte) (codecs.Track, int, error)

	// Length is the number of samples in each access unit of an audio track, 0 if they differ, and the rate in Hz at
	// which they are counted. It is nil for video.
	Length func(t codecs.Track) (samples, rate int, err error)

	// Payload makes the payload of an access unit of what FLV and MP4 hold. It is nil where that is the same, or NAL
	// units behind their lengths.
	Payload func(b []byte) ([]byte, error)

	FLV FLV
	MP4 MP4

	// Partly says that few outputs carry the codec, and which. Another track of its kind is taken before it. It is nil for others.
	Partly error

	// Streams are the forms in which elementary streams of the codec come, such as those of a transport stream.
	Streams []bytestream.Form

	// TS says how a transport stream carries a track. It is nil if it cannot.
	TS func(t codecs.Track) (TS, error)

	// Segments says that players of HLS find the codec in transport stream segments. Transport streams could hold more
	// codecs: H.265 and Opus are expected in fragmented MP4.
	Segments bool

	// Pack says how RTP carries a track under a payload type, and Unpack how one comes in a format that a session
	// description has, nil if that is another codec's. Both are nil if RTP cannot carry the codec.
	Pack   func(t codecs.Track, payloadType uint8) (Packing, error)
	Unpack func(f *sdp.Format) (*Unpacking, error)
}

// FLV is how a codec goes in FLV and RTMP. The zero FLV says that it does not.
type FLV struct {
	// FourCC names the codec in Enhanced RTMP.
	FourCC string

	// Number, unless it is 0, names the codec in FLV itself (annex E.4.2.1, E.4.3.1) and is written instead of the
	// FourCC. Accepted are other numbers under which publishers send it.
	Number   byte
	Accepted []byte

	// Composed says that coded frames carry a composition time offset.
	Composed bool

	// FromHeader makes the decoder configuration of a sequence header, and ToHeader is the way back. Both are nil where
	// the two are the same.
	FromHeader func(header []byte) ([]byte, error)
	ToHeader   func(config []byte) []byte
}

// MP4 is how a codec goes in ISO base media files. The zero MP4 says that it does not.
type MP4 struct {
	Entry string // the type of the sample entry

	// Box makes the box with the decoder configuration, in the sample entry. The error says why the track cannot be
	// carried.
	Box func(t codecs.Track) (mp4.Box, error)

	// Name is the codec in the codecs parameter (RFC 6381) of a track that Box takes.
	Name func(config []byte) string
}

// TS is how a transport stream carries one track (ISO/IEC 13818-1).
type TS struct {
	StreamType byte // table 2-34
	StreamID   byte // table 2-22; of the first stream of its kind
	Descriptor string

	// Delimiter goes before each access unit of video, and Parameters before each random access point; both are in byte
	// stream format.
	Delimiter, Parameters []byte

	// ADTS makes the header of each access unit; nil if there is none.
	ADTS *aac.ADTS
}

// A Packing is how RTP carries one track.
type Packing struct {
	// Format is what an SDP says of it.
	Format format.Format

	// Sets are parameter sets, to be repeated before random access points.
	Sets [][]byte

	// NewPacker starts a run of packets with consecutive sequence numbers.
	NewPacker func() (Packer, error)
}

// A Packer makes the packets of one access unit, whose timestamp and SSRC are not filled in. Units are its NAL units, or
// it alone for codecs without.
type Packer func(units [][]byte) ([]*rtp.Packet, error)

// An Unpacking is how one track comes over RTP. Its functions have a state of their own and belong to one receiver.
type Unpacking struct {
	Codec  codecs.Codec
	Clock  int      // of timestamps, in Hz
	Config []byte   // of audio that has one
	Sets   [][]byte // parameter sets

	// Fragment reads the payload of a packet of a codec that consists of NAL units. It is nil for any other.
	Fragment func(payload []byte) (Fragment, error)

	// Frames returns the frames of audio that a packet completes. It is given all packets in their order; lost says that some
	// before it are missing. It is nil for video.
	Frames func(p *rtp.Packet, lost bool) ([][]byte, error)
}

var rows = [...]Row{
	codecs.H264: {
		NAL:      &h264.Syntax,
		Describe: h264.Syntax.Describe,
		FLV:      FLV{FourCC: "avc1", Number: 7, Composed: true},
		MP4:      MP4{Entry: "avc1", Box: setsBox(&h264.Syntax, "avcC"), Name: h264Name},
		Streams:  []bytestream.Form{bytestream.H264},
		TS:       setsTS(&h264.Syntax, 0x1b),
		Segments: true,
		Pack:     packH264, Unpack: unpackH264,
	},
	codecs.H265: {
		NAL:      &h265.Syntax,
		Describe: h265.Syntax.Describe,
		FLV:      FLV{FourCC: "hvc1", Accepted: []byte{12}, Composed: true}, // 12 is the older extension of Chinese services
		MP4:      MP4{Entry: "hvc1", Box: setsBox(&h265.Syntax, "hvcC"), Name: h265Name},
		Streams:  []bytestream.Form{bytestream.H265},
		TS:       setsTS(&h265.Syntax, 0x24),
		Pack:     packH265, Unpack: unpackH265,
	},
	codecs.AV1: {
		Describe: describeAV1,
		Payload:  payloadAV1,
		FLV:      FLV{FourCC: "av01"},
		MP4:      MP4{Entry: "av01", Box: av1Box, Name: av1Name},
	},
	codecs.AAC: {
		Describe: aac.Track,
		Length:   func(t codecs.Track) (samples, rate int, err error) { return aac.Length(t.Config) },
		FLV:      FLV{FourCC: "mp4a", Number: 10},
		MP4:      MP4{Entry: "mp4a", Box: aacBox, Name: aacName},
		Streams:  []bytestream.Form{bytestream.ADTS, bytestream.LATM},
		TS:       aacTS,
		Segments: true,
		Pack:     packAAC, Unpack: unpackAAC,
	},
	codecs.Opus: {
		Describe: describeOpus,
		Frame:    frameOpus,
		Length:   func(codecs.Track) (samples, rate int, err error) { return 0, opusRate, nil },
		FLV:      FLV{FourCC: "Opus", FromHeader: fromOpusHead, ToHeader: toOpusHead},
		MP4:      MP4{Entry: "Opus", Box: opusBox, Name: func([]byte) string { return "opus" }},
		Streams:  []bytestream.Form{bytestream.Opus},
		Pack:     packOpus, Unpack: unpackOpus,
	},
	codecs.MP3: {
		Frame:    frameMP3,
		Length:   lengthMP3,
		FLV:      FLV{FourCC: ".mp3", Number: 2, Accepted: []byte{14}}, // 14 is MP3 at 8 kHz
		MP4:      MP4{Entry: "mp4a", Box: mp3Box, Name: func([]byte) string { return "mp4a.6b" }},
		Streams:  []bytestream.Form{bytestream.MPEGAudio},
		TS:       mp3TS,
		Segments: true,
		Pack:     packMP3, Unpack: unpackMP3,
	},
	codecs.AC3: {
		Frame:    frameAC3,
		Length:   func(t codecs.Track) (samples, rate int, err error) { return ac3Samples, t.SampleRate, nil },
		FLV:      FLV{FourCC: "ac-3"},
		MP4:      MP4{Entry: "ac-3", Box: ac3Box, Name: func([]byte) string { return "ac-3" }},
		Streams:  []bytestream.Form{bytestream.AC3},
		TS:       ac3TS,
		Segments: true,
		Pack:     packAC3, Unpack: unpackAC3,
	},
	codecs.PCMA: g711(codecs.PCMA),
	codecs.PCMU: g711(codecs.PCMU),
}

// Of returns the row of a codec; the zero Row if there is none.
func Of(c codecs.Codec) *Row {
	if int(c) >= len(rows) {
		c = 0
	}
	return &rows[c]
}

// OfForm returns the codec of elementary streams of a form.
func OfForm(f bytestream.Form) codecs.Codec {
	return Find(func(_ codecs.Codec, r *Row) bool { return slices.Contains(r.Streams, f) })
}

// FourCCs lists the codecs that Enhanced RTMP can carry here, by their names in it.
func FourCCs() (names []string) {
	for i := range rows {
		if name := rows[i].FLV.FourCC; name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Find returns the first codec whose row matches, or zero.
func Find(match func(c codecs.Codec, r *Row) bool) codecs.Codec {
	for i := range rows {
		if c := codecs.Codec(i); c != 0 && match(c, &rows[i]) {
			return c
		}
	}
	return 0
}

// packer makes the NewPacker of a format whose library's encoder takes several units.
func packer[E interface {
	Encode(units [][]byte) ([]*rtp.Packet, error)
}](create func() (E, error)) func() (Packer, error) {
	return func() (Packer, error) {
		e, err := create()
		if err != nil {
			return nil, err
		}
		return e.Encode, nil
	}
}

// frames makes the Frames of an Unpacking of the library's decoder, which asks for a packet that the standard allows.
func frames[D interface {
	Decode(*rtp.Packet) ([][]byte, error)
}](d D, more error) func(*rtp.Packet, bool) ([][]byte, error) {
	return func(p *rtp.Packet, _ bool) ([][]byte, error) {
		units, err := d.Decode(p)
		if errors.Is(err, more) {
			err = nil
		}
		return units, err
	}
}
