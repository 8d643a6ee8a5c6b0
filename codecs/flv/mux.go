package flv

import (
	"encoding/binary"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/flv/amf"
)

// A Muxer makes the bodies of tags, and of RTMP's messages, from tracks and access units. FLV has room for one video
// and one audio track: the first of each that it can carry is written, others are left out.
type Muxer struct {
	base         int64
	video, audio muxed
	last         uint32
}

// A muxed is a track that is written.
type muxed struct {
	index int // in the stream's tracks; -1 for none
	track codecs.Track
	form  *carriage.FLV
}

// NewMuxer returns a Muxer that counts time from the DTS base.
func NewMuxer(base int64) *Muxer {
	return &Muxer{base: base, video: muxed{index: -1}, audio: muxed{index: -1}}
}

// SetTracks takes the tracks of all access units that follow and returns what a player must be told about them:
// onMetaData and the decoder configurations, the latter at the time of the last access unit. The time of onMetaData is always 0: FFmpeg
// takes one with another time for the first piece of a track of text.
func (m *Muxer) SetTracks(tracks codecs.Tracks) []Tag {
	m.video, m.audio = first(tracks, true), first(tracks, false)
	tags := []Tag{{Type: TypeScript, Body: m.metadata()}}
	if m.video.index >= 0 {
		if b := m.video.header(); b != nil {
			tags = append(tags, Tag{Type: TypeVideo, Timestamp: m.last, Body: b})
		}
	}
	if m.audio.index >= 0 {
		if b := m.audio.header(); b != nil {
			tags = append(tags, Tag{Type: TypeAudio, Timestamp: m.last, Body: b})
		}
	}
	return tags
}

func first(tracks codecs.Tracks, video bool) muxed {
	for i, t := range tracks {
		if form := &carriage.Of(t.Codec).FLV; form.FourCC != "" && t.Codec.Video() == video {
			return muxed{index: i, track: t, form: form}
		}
	}
	return muxed{index: -1}
}

// codecID is what onMetaData says about a codec: its number, or its FourCC as one.
func (t *muxed) codecID() int {
	if t.form.Number != 0 {
		return int(t.form.Number)
	}
	return int(binary.BigEndian.Uint32([]byte(t.form.FourCC)))
}

// metadata returns the body of onMetaData (E.5). hasVideo and hasAudio keep players such as flv.js from waiting for a
// track that will not come.
func (m *Muxer) metadata() []byte {
	o := amf.ECMAArray{
		{Key: "hasVideo", Value: m.video.index >= 0},
		{Key: "hasAudio", Value: m.audio.index >= 0},
	}
	if m.video.index >= 0 {
		t := &m.video.track
		if t.Width > 0 && t.Height > 0 {
			o = append(o, amf.Field{Key: "width", Value: t.Width}, amf.Field{Key: "height", Value: t.Height})
		}
		if t.FrameRate > 0 {
			o = append(o, amf.Field{Key: "framerate", Value: t.FrameRate})
		}
		o = append(o, amf.Field{Key: "videocodecid", Value: m.video.codecID()})
	}
	if m.audio.index >= 0 {
		t := &m.audio.track
		o = append(o, amf.Field{Key: "audiocodecid", Value: m.audio.codecID()},
			amf.Field{Key: "audiosamplerate", Value: t.SampleRate},
			amf.Field{Key: "audiosamplesize", Value: 16},
			amf.Field{Key: "audiochannels", Value: t.Channels},
			amf.Field{Key: "stereo", Value: t.Channels > 1})
	}
	o = append(o, amf.Field{Key: "encoder", Value: "weir"})
	return amf.Append(nil, "onMetaData", o)
}

// header returns the body of the sequence header; nil if the codec has none.
func (t *muxed) header() []byte {
	config := t.track.Config
	if t.form.ToHeader != nil {
		config = t.form.ToHeader(config)
	}
	if len(config) == 0 {
		return nil
	}
	var b []byte
	switch video := t.track.Codec.Video(); {
	case t.form.Number != 0 && video:
		b = []byte{frameKey<<4 | t.form.Number, 0, 0, 0, 0}
	case t.form.Number != 0:
		b = []byte{audioByte(t.form.Number, 3, true), 0}
	case video:
		b = append([]byte{0x80 | frameKey<<4 | packetSequenceStart}, t.form.FourCC...)
	default:
		b = append([]byte{audioExtra<<4 | packetSequenceStart}, t.form.FourCC...)
	}
	return append(b, config...)
}

// audioByte is the first byte of an audio body (E.4.2.1): its rate is a number from 5.5 to 44 kHz, its samples have 16
// bits. Both are fixed for AAC whatever the stream has.
func audioByte(number, rate byte, stereo bool) byte {
	b := number<<4 | rate<<2 | 1<<1
	if stereo {
		b |= 1
	}
	return b
}

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
	if au.Track != m.video.index && au.Track != m.audio.index || au.Track < 0 || len(au.Payload) > MaxBody-len(Head{}.b) {
		return Head{}, false
	}
	dts := m.millis(au.DTS)
	h := Head{Type: TypeAudio, Timestamp: uint32(dts)}
	m.last = h.Timestamp
	if au.Track == m.audio.index {
		h.audio(&m.audio)
		return h, true
	}
	h.Type = TypeVideo
	frame := byte(frameInter << 4)
	if au.RandomAccess {
		frame = frameKey << 4
	}
	h.video(m.video.form, frame, int32(m.millis(au.PTS)-dts))
	return h, true
}

func (h *Head) video(form *carriage.FLV, frame byte, cts int32) {
	switch {
	case form.Number != 0:
		h.put(frame|form.Number, 1, byte(cts>>16), byte(cts>>8), byte(cts))
	case form.Composed && cts == 0:
		h.put(0x80 | frame | packetCodedFramesX)
		h.name(form)
	case form.Composed:
		h.put(0x80 | frame | packetCodedFrames)
		h.name(form)
		h.put(byte(cts>>16), byte(cts>>8), byte(cts))
	default:
		h.put(0x80 | frame | packetCodedFrames)
		h.name(form)
	}
}

func (h *Head) audio(t *muxed) {
	switch t.form.Number {
	case 0:
		h.put(audioExtra<<4 | packetCodedFrames)
		h.name(t.form)
	case audioAAC:
		h.put(audioByte(audioAAC, 3, true), 1)
	default:
		rate := byte(3) // 44 kHz, also for what has no number
		switch t.track.SampleRate {
		case 11025, 12000:
			rate = 1
		case 22050, 24000:
			rate = 2
		}
		h.put(audioByte(t.form.Number, rate, t.track.Channels > 1))
	}
}

func (h *Head) name(form *carriage.FLV) { h.n += uint8(copy(h.b[h.n:], form.FourCC)) }

// millis turns ticks into milliseconds since base. What lies before base, audio that is a little ahead of the first
// picture, counts as zero: a negative number would be read as 49 days.
func (m *Muxer) millis(ticks int64) int64 {
	return max(0, (ticks-m.base)/millisecond)
}
