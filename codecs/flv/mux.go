package flv

import (
	"weir/codecs"
	"weir/codecs/flv/amf"
)

// A Muxer makes the bodies of tags, and of RTMP's messages, from tracks and access units. FLV has room for one video
// and one audio track: the first of each is written, others are left out.
type Muxer struct {
	base         int64
	tracks       codecs.Tracks
	video, audio int // indices; -1 for none
	last         uint32
}

// NewMuxer returns a Muxer that counts time from the DTS base.
func NewMuxer(base int64) *Muxer { return &Muxer{base: base, video: -1, audio: -1} }

// SetTracks takes the tracks of all access units that follow and returns what a player must be told about them:
// onMetaData and the decoder configurations, at the time of the last access unit.
func (m *Muxer) SetTracks(tracks codecs.Tracks) []Tag {
	m.tracks, m.video, m.audio = tracks, tracks.Video(), tracks.Audio()
	tags := []Tag{{Type: TypeScript, Timestamp: m.last, Body: m.metadata()}}
	for _, i := range []int{m.video, m.audio} {
		if i < 0 {
			continue
		}
		if b := configBody(&tracks[i]); b != nil {
			t := Tag{Type: TypeAudio, Timestamp: m.last, Body: b}
			if i == m.video {
				t.Type = TypeVideo
			}
			tags = append(tags, t)
		}
	}
	return tags
}

// fourCC names the codecs that only Enhanced RTMP can carry; "" for the others.
func fourCC(c codecs.Codec) string {
	switch c {
	case codecs.H265:
		return "hvc1"
	case codecs.AV1:
		return "av01"
	case codecs.Opus:
		return "Opus"
	case codecs.AC3:
		return "ac-3"
	}
	return ""
}

// codecID is what onMetaData says about a codec: its number, or its FourCC as one.
func codecID(c codecs.Codec) int {
	switch c {
	case codecs.H264:
		return videoAVC
	case codecs.AAC:
		return audioAAC
	case codecs.MP3:
		return audioMP3
	}
	n := 0
	for _, b := range []byte(fourCC(c)) {
		n = n<<8 | int(b)
	}
	return n
}

// metadata returns the body of onMetaData (E.5). hasVideo and hasAudio keep players such as flv.js from waiting for a
// track that will not come.
func (m *Muxer) metadata() []byte {
	o := amf.ECMAArray{
		{Key: "hasVideo", Value: m.video >= 0},
		{Key: "hasAudio", Value: m.audio >= 0},
	}
	if m.video >= 0 {
		t := m.tracks[m.video]
		if t.Width > 0 {
			o = append(o, amf.Field{Key: "width", Value: t.Width}, amf.Field{Key: "height", Value: t.Height})
		}
		o = append(o, amf.Field{Key: "videocodecid", Value: codecID(t.Codec)})
	}
	if m.audio >= 0 {
		t := m.tracks[m.audio]
		o = append(o, amf.Field{Key: "audiocodecid", Value: codecID(t.Codec)},
			amf.Field{Key: "audiosamplerate", Value: t.SampleRate},
			amf.Field{Key: "audiosamplesize", Value: 16},
			amf.Field{Key: "audiochannels", Value: t.Channels},
			amf.Field{Key: "stereo", Value: t.Channels > 1})
	}
	o = append(o, amf.Field{Key: "encoder", Value: "weir"})
	return amf.Append(nil, "onMetaData", o)
}

// configBody returns the sequence header of a track; nil if its codec has none.
func configBody(t *codecs.Track) []byte {
	var b []byte
	config := t.Config
	switch t.Codec {
	case codecs.H264:
		b = []byte{frameKey<<4 | videoAVC, 0, 0, 0, 0}
	case codecs.H265, codecs.AV1:
		b = append([]byte{0x80 | frameKey<<4 | packetSequenceStart}, fourCC(t.Codec)...)
	case codecs.AAC:
		b = []byte{aacByte, 0}
	case codecs.Opus:
		b = append([]byte{audioExtra<<4 | packetSequenceStart}, fourCC(t.Codec)...)
		config = opusHead(config)
	}
	if len(config) == 0 {
		return nil
	}
	return append(b, config...)
}

// aacByte is the first byte of every AAC body: its rate and size fields are fixed whatever the stream has (E.4.2.1).
const aacByte = audioAAC<<4 | 3<<2 | 1<<1 | 1

// A Head is what stands before the payload of an access unit in its tag body.
type Head struct {
	Type      uint8
	Timestamp uint32
	n         uint8
	b         [8]byte
}

// Bytes returns the head's bytes; the payload of the access unit follows.
func (h *Head) Bytes() []byte { return h.b[:h.n] }

func (h *Head) put(b ...byte) { h.n += uint8(copy(h.b[h.n:], b)) }

// Head returns the head of au's tag body, or false if au is left out.
func (m *Muxer) Head(au *codecs.AccessUnit) (Head, bool) {
	if au.Track != m.video && au.Track != m.audio || au.Track < 0 || len(au.Payload) > MaxBody-len(Head{}.b) {
		return Head{}, false
	}
	dts := m.millis(au.DTS)
	h := Head{Type: TypeAudio, Timestamp: uint32(dts)}
	m.last = h.Timestamp
	if au.Track == m.audio {
		return h, h.audio(&m.tracks[m.audio])
	}
	h.Type = TypeVideo
	frame := byte(frameInter << 4)
	if au.RandomAccess {
		frame = frameKey << 4
	}
	cts := int32(m.millis(au.PTS) - dts)
	switch c := m.tracks[m.video].Codec; c {
	case codecs.H264:
		h.put(frame|videoAVC, 1, byte(cts>>16), byte(cts>>8), byte(cts))
	case codecs.AV1:
		h.put(0x80 | frame | packetCodedFrames)
		h.put([]byte(fourCC(c))...)
	default:
		if cts == 0 {
			h.put(0x80 | frame | packetCodedFramesX)
			h.put([]byte(fourCC(c))...)
			break
		}
		h.put(0x80 | frame | packetCodedFrames)
		h.put([]byte(fourCC(c))...)
		h.put(byte(cts>>16), byte(cts>>8), byte(cts))
	}
	return h, true
}

func (h *Head) audio(t *codecs.Track) bool {
	switch t.Codec {
	case codecs.AAC:
		h.put(aacByte, 1)
	case codecs.MP3:
		rate := byte(3) // 44 kHz, also for what has no number
		switch t.SampleRate {
		case 11025, 12000:
			rate = 1
		case 22050, 24000:
			rate = 2
		}
		b := audioMP3<<4 | rate<<2 | 1<<1
		if t.Channels > 1 {
			b |= 1
		}
		h.put(b)
	case codecs.Opus, codecs.AC3:
		h.put(audioExtra<<4 | packetCodedFrames)
		h.put([]byte(fourCC(t.Codec))...)
	default:
		return false
	}
	return true
}

// millis turns ticks into milliseconds since base. What lies before base, audio that is a little ahead of the first
// picture, counts as zero: a negative number would be read as 49 days.
func (m *Muxer) millis(ticks int64) int64 {
	return max(0, (ticks-m.base)/(codecs.ClockRate/1000))
}
