// Package elementary makes one stream of the elementary streams of an input: the NAL units and audio frames that a
// demultiplexer gives become tracks and access units on one timeline.
//
// It knows no container and no transport. What reads the container says which streams there are and hands their units
// over; timestamps that wrap or jump are joined here.
package elementary

import (
	"errors"
	"fmt"

	"weir/codecs"
)

// ErrNoParameterSets says that a video stream does not tell how it is coded.
var ErrNoParameterSets = errors.New("the video comes without parameter sets, so nobody can decode it")

// How long tracks that do not describe themselves yet are waited for, in ticks of media, and how much is held
// meanwhile.
const (
	waitVideo = 10 * codecs.ClockRate
	waitAudio = 2 * codecs.ClockRate
	maxHeld   = 1024
	maxBytes  = 8 << 20
)

// A Joiner joins at most one video and one audio stream. It belongs to one goroutine.
type Joiner struct {
	sink  codecs.Writer
	clock clock
	video *Video
	audio *Audio

	told      bool // the sink knows the tracks
	tracks    codecs.Tracks
	held      []*codecs.AccessUnit // before that; Track is roleVideo or roleAudio
	heldBytes int
	first     int64 // DTS of the first unit of any stream
	begun     bool
}

const (
	roleVideo = iota
	roleAudio
)

// New makes a joiner without streams. Wrap is the number of bits of the container's timestamps, 33 for transport
// streams; zero means that they do not wrap.
func New(sink codecs.Writer, wrap uint) *Joiner { return &Joiner{sink: sink, clock: clock{wrap: wrap}} }

// Streams says whether any stream has been added.
func (j *Joiner) Streams() bool { return j.video != nil || j.audio != nil }

// HasVideo and HasAudio say whether a stream of the kind has been added; there is room for one of each.
func (j *Joiner) HasVideo() bool { return j.video != nil }

// HasAudio is as [Joiner.HasVideo].
func (j *Joiner) HasAudio() bool { return j.audio != nil }

// seen is told of each unit at its place on the timeline. It returns an error when what is needed does not come.
func (j *Joiner) seen(dts int64) error {
	if !j.begun {
		j.begun, j.first = true, dts
	}
	if j.told {
		return nil
	}
	waited := dts - j.first
	full := len(j.held) >= maxHeld || j.heldBytes >= maxBytes
	switch {
	case j.video != nil && !j.video.known && waited >= waitVideo:
		return ErrNoParameterSets
	case j.complete():
	case (waited >= waitAudio || full) && (j.video == nil || j.video.known):
	default:
		return nil
	}
	return j.tell()
}

// complete says whether all streams have described themselves.
func (j *Joiner) complete() bool {
	return (j.video == nil || j.video.known) && (j.audio == nil || j.audio.known) && j.Streams()
}

// tell announces the tracks that are known and gives out what was held.
func (j *Joiner) tell() error {
	var tracks codecs.Tracks
	if j.video != nil && j.video.known {
		tracks = append(tracks, j.video.track)
	}
	if j.audio != nil && j.audio.known {
		tracks = append(tracks, j.audio.track)
	}
	if len(tracks) == 0 {
		return nil
	}
	if !j.told || !j.tracks.Equal(tracks) {
		j.told, j.tracks = true, tracks
		j.sink.SetTracks(tracks)
	}
	held := j.held
	j.held, j.heldBytes = nil, 0
	for _, au := range held {
		if err := j.give(au); err != nil {
			return err
		}
	}
	return nil
}

// write takes an access unit whose Track is a role.
func (j *Joiner) write(au *codecs.AccessUnit) error {
	if j.told {
		return j.give(au)
	}
	if len(j.held) >= maxHeld || j.heldBytes >= maxBytes { // sound without end before the first picture
		j.heldBytes -= len(j.held[0].Payload)
		j.held = j.held[1:]
	}
	j.held = append(j.held, au)
	j.heldBytes += len(au.Payload)
	return nil
}

func (j *Joiner) give(au *codecs.AccessUnit) error {
	if au.Track == roleAudio {
		au.Track = len(j.tracks) - 1
		au.RandomAccess = j.video == nil
	}
	return j.sink.Write(au)
}

// An UnsupportedError names a codec that weir does not carry.
type UnsupportedError struct{ Codec string }

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("the codec %s is not supported; weir takes H.264, H.265, AAC, Opus, MP3 and AC-3", e.Codec)
}
