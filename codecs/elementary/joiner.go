// Package elementary makes one stream of the elementary streams of an input: the NAL units and audio frames that a
// demultiplexer gives become tracks and access units on one timeline.
//
// It knows no container and no transport. The reader of the container says which streams there are and hands their units
// over; timestamps that wrap or jump are joined here.
package elementary

import (
	"errors"

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
	// KeepWaiting says that the parameter sets of video are waited for without end, as in a file, which is read at once.
	KeepWaiting bool

	out     codecs.Writer
	clock   Clock
	streams [2]*Stream // by role; nil where there is none

	announced bool // the writer knows the tracks
	tracks    codecs.Tracks
	held      []*codecs.AccessUnit // before that; Track is the role
	heldBytes int
	first     int64 // DTS of the first unit of any stream
	begun     bool
}

// The roles of streams.
const (
	roleVideo = iota
	roleAudio
)

// New makes a joiner without streams that writes to out. Wrap is that of [Clock].
func New(out codecs.Writer, wrap int64) *Joiner { return &Joiner{out: out, clock: Clock{Wrap: wrap}} }

// Flush says that nothing follows: tracks that have not been described yet are no longer waited for.
func (j *Joiner) Flush() error { return j.announce() }

// advance is called for each unit, with its place on the timeline and whether its track is another one from it on. It
// announces the tracks when they are due, and returns an error when parameter sets have not come for too long.
func (j *Joiner) advance(dts int64, changed bool) error {
	if !j.begun {
		j.begun, j.first = true, dts
	}
	waited := dts - j.first
	full := len(j.held) >= maxHeld || j.heldBytes >= maxBytes
	video, audio := j.state(roleVideo), j.state(roleAudio)
	switch {
	case j.announced && !changed:
		return nil
	case j.announced:
	case video == unknown && waited >= waitVideo && !j.KeepWaiting:
		return ErrNoParameterSets
	case video == unknown:
		return nil
	case audio == unknown && waited < waitAudio && !full:
		return nil
	}
	return j.announce()
}

// The states of a role.
const (
	absent  = iota // there is no stream
	unknown        // the stream has not described itself
	known
)

func (j *Joiner) state(role int) int {
	if j.streams[role] == nil {
		return absent
	}
	if _, ok := j.streams[role].parser.Track(); !ok {
		return unknown
	}
	return known
}

// announce tells the writer the tracks that are known and writes the access units that were held.
func (j *Joiner) announce() error {
	var tracks codecs.Tracks
	for role, s := range j.streams {
		if j.state(role) == known {
			tracks = append(tracks, s.parser.track)
		}
	}
	if len(tracks) == 0 {
		return nil
	}
	if !j.announced || !j.tracks.Equal(tracks) {
		j.announced, j.tracks = true, tracks
		j.out.SetTracks(tracks)
	}
	held := j.held
	j.held, j.heldBytes = nil, 0
	for _, au := range held {
		if err := j.emit(au); err != nil {
			return err
		}
	}
	return nil
}

// write takes an access unit whose Track is a role.
func (j *Joiner) write(au *codecs.AccessUnit) error {
	if j.announced {
		return j.emit(au)
	}
	if len(j.held) >= maxHeld || j.heldBytes >= maxBytes { // sound without end before the first picture
		j.heldBytes -= len(j.held[0].Payload)
		j.held = j.held[1:]
	}
	j.held = append(j.held, au)
	j.heldBytes += len(au.Payload)
	return nil
}

// emit gives an access unit, whose Track is a role, to the writer.
func (j *Joiner) emit(au *codecs.AccessUnit) error {
	if au.Track == roleAudio {
		au.Track = len(j.tracks) - 1
		au.RandomAccess = j.streams[roleVideo] == nil
	}
	return j.out.Write(au)
}
