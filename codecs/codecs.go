// Package codecs holds the vocabulary in which the layers of weir speak of media: tracks, access units and the
// encoders that turn them into wire forms.
//
// It and the packages below it are values and pure functions. They know no network, clock, file or goroutine; when
// to read and when to write is for their callers to decide.
package codecs

import (
	"bytes"
	"errors"
	"fmt"
)

// ClockRate is the number of ticks in a second of every DTS, PTS and duration inside weir. Another timescale exists
// only inside a container.
const ClockRate = 90000

// Ticks turns a time in units of which there are rate in a second into ticks, rounded down.
func Ticks(at, rate int64) int64 {
	seconds, rest := at/rate, at%rate
	if rest < 0 {
		seconds, rest = seconds-1, rest+rate
	}
	return seconds*ClockRate + rest*ClockRate/rate
}

// Rescale turns a time in units of which there are from in a second into units of which there are to, to the nearest. Whole
// seconds are split off because ticks since the epoch times a sample rate do not fit into 63 bits.
func Rescale(at, from, to int64) int64 {
	seconds, rest := at/from, at%from
	if rest < 0 {
		seconds, rest = seconds-1, rest+from
	}
	return seconds*to + (rest*to+from/2)/from
}

// A Codec says how the payload of a track is coded.
type Codec uint8

// The codecs that weir knows. The zero Codec is none. How each is carried says its row in package carriage. The numbers
// go from node to node with relayed media and stay what they are.
const (
	H264 Codec = iota + 1
	H265
	AV1
	AAC
	Opus
	MP3
	AC3
	PCMA // G.711, A-law
	PCMU // G.711, µ-law
)

var table = [...]struct {
	name  string
	video bool
}{
	H264: {"H264", true},
	H265: {"H265", true},
	AV1:  {"AV1", true},
	AAC:  {name: "AAC"},
	Opus: {name: "Opus"},
	MP3:  {name: "MP3"},
	AC3:  {name: "AC3"},
	PCMA: {name: "PCMA"},
	PCMU: {name: "PCMU"},
}

// String gives the name that pages and logs show, or "unknown".
func (c Codec) String() string {
	if int(c) < len(table) && c != 0 {
		return table[c].name
	}
	return "unknown"
}

// Named returns the codec whose [Codec.String] is name, or zero.
func Named(name string) Codec {
	for c := range table {
		if c != 0 && table[c].name == name {
			return Codec(c)
		}
	}
	return 0
}

// Video says whether the codec is a video codec.
func (c Codec) Video() bool { return int(c) < len(table) && table[c].video }

// An UnsupportedError says that an input has a codec that weir does not carry.
type UnsupportedError struct {
	Video bool
	Name  string
}

func (e *UnsupportedError) Error() string {
	if e.Video {
		return "video codec " + e.Name + " is not supported"
	}
	return "audio codec " + e.Name + " is not supported"
}

// A Track describes one elementary stream. It is immutable once it has been handed on.
type Track struct {
	Codec Codec

	// Config is the decoder configuration as ISO base media files carry it: for H.264 the
	// AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) with a NAL unit length size of 4, for H.265 the
	// HEVCDecoderConfigurationRecord (8.3.3.1), for AV1 the AV1CodecConfigurationRecord, for AAC the
	// AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), for Opus the body of dOps. It is empty for MP3 and AC-3, whose
	// frames describe themselves, and for G.711, which is always the same.
	Config []byte

	// Width and Height are in luma samples; zero for audio, and for video whose size is unknown.
	Width, Height int

	// FrameRate is in pictures per second, as the decoder configuration or the container says; zero for audio, and where
	// neither does. It is for people and players, and not for decoders: see [Track.Equal].
	FrameRate float64

	// SampleRate is in Hz and Channels counts; both zero for video.
	SampleRate, Channels int
}

// MaxFrameRate is the highest frame rate that is believed. Encoders of pictures at any time write the clock of their timestamps.
const MaxFrameRate = 240

// PlausibleRate is rate, or zero if no video has it.
func PlausibleRate(rate float64) float64 {
	if rate > 0 && rate <= MaxFrameRate {
		return rate
	}
	return 0
}

// Equal says whether a decoder that was set up for t can go on with u.
func (t Track) Equal(u Track) bool {
	return t.Codec == u.Codec && t.Width == u.Width && t.Height == u.Height &&
		t.SampleRate == u.SampleRate && t.Channels == u.Channels && bytes.Equal(t.Config, u.Config)
}

// Tracks lists the tracks of a stream. An access unit names its track by its index here, so the order never changes
// while the list is in force; the video track, where there is one, comes first.
type Tracks []Track

// Equal says whether both lists hold equal tracks in the same order.
func (ts Tracks) Equal(us Tracks) bool {
	if len(ts) != len(us) {
		return false
	}
	for i := range ts {
		if !ts[i].Equal(us[i]) {
			return false
		}
	}
	return true
}

// Video returns the index of the first video track, or -1.
func (ts Tracks) Video() int { return ts.first(true) }

// Audio returns the index of the first audio track, or -1.
func (ts Tracks) Audio() int { return ts.first(false) }

// Carried returns nil if carry, which prepares the track of an index to be carried, succeeds for at least one of the
// tracks; else none, joined with the reason for each.
func (ts Tracks) Carried(none error, carry func(i int, t Track) error) error {
	reasons := []error{none}
	for i, t := range ts {
		err := carry(i, t)
		if err == nil {
			return nil
		}
		reasons = append(reasons, fmt.Errorf("track %d: %w", i, err))
	}
	return errors.Join(reasons...)
}

func (ts Tracks) first(video bool) int {
	for i := range ts {
		if ts[i].Codec.Video() == video {
			return i
		}
	}
	return -1
}

// An AccessUnit is the coded data of one instant of one track. It and its payload are immutable from the moment it
// is written to a hub: all viewers share them, and the garbage collector frees them.
type AccessUnit struct {
	Track int // index into the stream's Tracks

	// DTS and PTS are ticks of [ClockRate] since the Unix epoch: the timeline of every stream is anchored to the wall
	// clock once, when its input starts, and carried on by a monotonic clock. A container that has fewer bits takes
	// them modulo its width.
	DTS, PTS int64

	// Duration is in ticks; zero when only the next access unit of the track will tell.
	Duration int64

	// RandomAccess marks a point from which a decoder can start: an IDR or other random access picture (ITU-T H.264,
	// 3.69) of a video track. Every access unit of a stream without video is one.
	RandomAccess bool

	// Discontinuity marks the first access unit after a break: timestamps or coding parameters do not follow from
	// those before it.
	Discontinuity bool

	// Cut, when it is not zero, is the media sequence number of the segment that starts with this access unit. Inputs
	// whose media is a function of time set it, so that every node cuts alike; for all others the segmenter decides.
	// While a stream carries cuts, it is cut there and nowhere else.
	Cut int64

	// Payload is one access unit without framing of its own. H.264 and H.265: NAL units, each behind its length in
	// four bytes (ISO/IEC 14496-15), without access unit delimiters and without the parameter sets that stand in the
	// track's Config. AAC: one raw_data_block without ADTS header. AV1: a temporal unit in low-overhead format without
	// temporal delimiter. Others: one frame.
	Payload []byte
}

// An Encoder makes one wire form of one stream: RTMP chunks, FLV tags, transport stream packets. It is called in the
// order of the stream by one goroutine at a time, and what it returns is shared by all viewers, so it must be
// freshly allocated and is never changed.
type Encoder interface {
	// Prologue returns what a viewer that starts now must get before the first access unit: headers and decoder
	// configuration. It is called for each new list of tracks, and the result sent again to those who are watching.
	// A track whose codec the form cannot carry is left out.
	Prologue(tracks Tracks) []byte

	// Encode returns the bytes of one access unit; none if the form leaves it out.
	Encode(au *AccessUnit) []byte
}

// A Writer takes the media of a stream, in the stream's order. One goroutine at a time calls it.
type Writer interface {
	// SetTracks announces the tracks of all access units that follow. It comes before the first of them, and again when
	// the tracks change.
	SetTracks(Tracks)

	// Write takes one access unit, which is never changed from then on. After an error the caller writes no more.
	Write(*AccessUnit) error
}
