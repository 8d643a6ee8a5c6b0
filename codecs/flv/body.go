package flv

import (
	"encoding/binary"
	"fmt"
	"slices"

	"weir/codecs"
	"weir/codecs/carriage"
)

// A kind says what the data of a body is.
type kind uint8

const (
	kindNone   kind = iota // nothing that concerns a decoder, or another track than the first
	kindConfig             // decoder configuration
	kindMedia              // an access unit
)

// A body is an audio or video tag body, understood as far as its own header goes. Data is a slice of the input.
type body struct {
	kind  kind
	codec codecs.Codec
	key   bool
	cts   int32 // composition time offset in milliseconds
	data  []byte
}

// The numbers of audio codecs (E.4.2.1) on which the layout of a body depends.
const (
	audioExtra = 9  // Enhanced RTMP: a FourCC follows
	audioAAC   = 10 // a packet type follows
)

// The packet types of enhanced video and audio. Where the two lists differ, the name says which is meant.
const (
	packetSequenceStart   = 0
	packetCodedFrames     = 1
	packetSequenceEnd     = 2
	packetCodedFramesX    = 3 // video: coded frames whose composition time offset is zero
	packetAudioMultitrack = 5
	packetVideoMultitrack = 6
	packetModEx           = 7
)

const (
	frameKey     = 1
	frameInter   = 2
	frameCommand = 5 // a seek command, not media
)

// numbered returns the codec that a number stands for, or zero.
func numbered(video bool, n byte) codecs.Codec {
	return carriage.Find(func(c codecs.Codec, r *carriage.Row) bool {
		return c.Video() == video && (r.FLV.Number == n && n != 0 || slices.Contains(r.FLV.Accepted, n))
	})
}

var oldVideo = map[byte]string{2: "Sorenson H.263", 3: "Screen Video", 4: "VP6", 5: "VP6 with alpha", 6: "Screen Video 2"}

var oldAudio = map[byte]string{
	0: "PCM", 1: "ADPCM", 3: "PCM", 4: "Nellymoser", 5: "Nellymoser", 6: "Nellymoser", 7: "G.711 A-law", 8: "G.711 mu-law",
	11: "Speex",
}

// parseVideo reads a video tag body (E.4.3.1; Enhanced RTMP, "ExVideoTagHeader").
func parseVideo(b []byte) (body, error) {
	if len(b) == 0 {
		return body{}, nil // some encoders send empty messages to keep a connection alive
	}
	frame := b[0] >> 4 & 7
	if b[0]&0x80 != 0 {
		return parseExtra(b[0]&0x0f, frame, b[1:], true)
	}
	if frame == frameCommand {
		return body{}, nil
	}
	n := b[0] & 0x0f
	p := body{codec: numbered(true, n), key: frame == frameKey}
	if p.codec == 0 {
		return body{}, unsupported(true, oldVideo[n], n)
	}
	if len(b) < 5 {
		return body{}, malformed("video body of %d bytes", len(b))
	}
	p.cts, p.data = int24(b[2:]), b[5:]
	switch b[1] {
	case 0:
		p.kind = kindConfig
	case 1:
		p.kind = kindMedia
	case 2: // end of sequence
	default:
		return body{}, malformed("AVC packet type %d", b[1])
	}
	return p, nil
}

// parseAudio reads an audio tag body (E.4.2.1; Enhanced RTMP, "ExAudioTagHeader").
func parseAudio(b []byte) (body, error) {
	if len(b) == 0 {
		return body{}, nil
	}
	n := b[0] >> 4
	if n == audioExtra {
		return parseExtra(b[0]&0x0f, 0, b[1:], false)
	}
	p := body{kind: kindMedia, codec: numbered(false, n), data: b[1:]}
	if p.codec == 0 {
		return body{}, unsupported(false, oldAudio[n], n)
	}
	if n == audioAAC {
		if len(b) < 2 {
			return body{}, malformed("AAC body of one byte")
		}
		p.data = b[2:]
		switch b[1] {
		case 0:
			p.kind = kindConfig
			return p, nil
		case 1:
		default:
			return body{}, malformed("AAC packet type %d", b[1])
		}
	}
	if len(p.data) == 0 {
		p.kind = kindNone // the end of a sequence, as ffmpeg writes it
	}
	return p, nil
}

func unsupported(video bool, name string, number byte) error {
	if name == "" {
		name = fmt.Sprintf("number %d", number)
	}
	return &codecs.UnsupportedError{Video: video, Name: name}
}

// parseExtra reads the rest of an enhanced body: modifiers, then the codec's FourCC, then perhaps several tracks, of
// which the one with identifier 0 is the stream's.
func parseExtra(typ, frame uint8, b []byte, video bool) (body, error) {
	for typ == packetModEx {
		var err error
		if typ, b, err = skipModifier(b); err != nil {
			return body{}, err
		}
	}
	if video && frame == frameCommand {
		return body{}, nil
	}
	if typ == packetVideoMultitrack && video || typ == packetAudioMultitrack && !video {
		return parseMultitrack(b, frame, video)
	}
	if len(b) < 4 {
		return body{}, malformed("no FourCC")
	}
	return parseCoded(typ, frame, string(b[:4]), b[4:], video)
}

// skipModifier skips one ModEx prefix and returns the packet type that it announces.
func skipModifier(b []byte) (uint8, []byte, error) {
	if len(b) < 1 {
		return 0, nil, malformed("modifier without size")
	}
	n := int(b[0]) + 1
	b = b[1:]
	if n == 256 {
		if len(b) < 2 {
			return 0, nil, malformed("modifier without size")
		}
		n = int(binary.BigEndian.Uint16(b)) + 1
		b = b[2:]
	}
	if len(b) < n+1 {
		return 0, nil, malformed("modifier of %d bytes in %d", n, len(b))
	}
	return b[n] & 0x0f, b[n+1:], nil
}

// The layouts of a multitrack body.
const (
	oneTrack             = 0
	manyTracks           = 1
	manyTracksManyCodecs = 2
)

func parseMultitrack(b []byte, frame uint8, video bool) (body, error) {
	if len(b) < 1 {
		return body{}, malformed("multitrack body without layout")
	}
	layout, typ := b[0]>>4, b[0]&0x0f
	b = b[1:]
	var fourCC string
	if layout != manyTracksManyCodecs {
		if len(b) < 4 {
			return body{}, malformed("no FourCC")
		}
		fourCC, b = string(b[:4]), b[4:]
	}
	for len(b) > 0 {
		if layout == manyTracksManyCodecs {
			if len(b) < 4 {
				return body{}, malformed("no FourCC")
			}
			fourCC, b = string(b[:4]), b[4:]
		}
		if len(b) < 1 {
			return body{}, malformed("track without identifier")
		}
		id := b[0]
		b = b[1:]
		n := len(b)
		switch layout {
		case oneTrack:
		case manyTracks, manyTracksManyCodecs:
			if len(b) < 3 || int(uint24(b)) > len(b)-3 {
				return body{}, malformed("track longer than its body")
			}
			n = int(uint24(b))
			b = b[3:]
		default:
			return body{}, malformed("multitrack layout %d", layout)
		}
		if id == 0 {
			return parseCoded(typ, frame, fourCC, b[:n], video)
		}
		b = b[n:]
	}
	return body{}, nil
}

// parseCoded reads what follows a FourCC.
func parseCoded(typ, frame uint8, fourCC string, b []byte, video bool) (body, error) {
	codec := carriage.Find(func(c codecs.Codec, r *carriage.Row) bool { return c.Video() == video && r.FLV.FourCC == fourCC })
	if codec == 0 {
		return body{}, &codecs.UnsupportedError{Video: video, Name: fmt.Sprintf("%q", fourCC)}
	}
	p := body{codec: codec, key: video && frame == frameKey, data: b}
	switch {
	case typ == packetSequenceStart:
		p.kind = kindConfig
	case typ == packetCodedFrames && carriage.Of(codec).FLV.Composed:
		if len(b) < 3 {
			return body{}, malformed("no composition time")
		}
		p.kind, p.cts, p.data = kindMedia, int24(b), b[3:]
	case typ == packetCodedFrames, typ == packetCodedFramesX && video:
		p.kind = kindMedia
	default: // the end of a sequence, metadata, a channel layout, or something newer
	}
	if p.kind == kindMedia && len(p.data) == 0 {
		p.kind = kindNone
	}
	return p, nil
}

// int24 reads a signed number of three bytes.
func int24(b []byte) int32 { return int32(uint24(b)<<8) >> 8 }
