// Package elementary makes one stream of the elementary streams of an input: the NAL units and audio frames that a
// demultiplexer gives become tracks and access units on one timeline.
//
// It knows no container and no transport. The reader of the container says which streams there are and hands their units
// over; timestamps that wrap or jump are joined here.
package elementary

import (
	"errors"

	"weir/codecs"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// ErrNoParameterSets says that a video stream does not tell how it is coded.
var ErrNoParameterSets = errors.New("the video comes without parameter sets, so nobody can decode it")

// How long tracks that do not describe themselves yet are waited for, in ticks of media.
const (
	waitVideo = 10 * codecs.ClockRate
	waitAudio = 2 * codecs.ClockRate
)

// A Joiner joins at most one video and one audio stream. It belongs to one goroutine.
type Joiner struct {
	// KeepWaiting says that the parameter sets of video are waited for without end, as in a file, which is read at once.
	KeepWaiting bool

	out     codecs.Writer
	report  reception.Report
	clock   timeline.Clock
	streams [2]*Stream // by role; nil where there is none

	output Output
	first  int64 // DTS of the first unit of any stream
	begun  bool
}

// The roles of streams.
const (
	roleVideo = iota
	roleAudio
)

// New makes a joiner without streams that writes to out and tells report what it leaves out. Wrap is that of [timeline.Clock].
func New(out codecs.Writer, report reception.Report, wrap int64) *Joiner {
	return &Joiner{out: out, report: report, clock: timeline.Clock{Wrap: wrap}}
}

// leave takes a stream back that has been joined.
func (j *Joiner) leave(s *Stream) {
	for role := range j.streams {
		if j.streams[role] == s {
			j.streams[role] = nil
		}
	}
}

// Flush says that nothing follows: tracks that have not been described yet are no longer waited for.
func (j *Joiner) Flush() error { return j.announce() }

// advance is called for each unit, with its place on the timeline and whether its track is another one from it on. It
// announces the tracks when they are due, and returns an error when parameter sets have not come for too long.
func (j *Joiner) advance(dts int64, changed bool) error {
	if !j.begun {
		j.begun, j.first = true, dts
	}
	waited := dts - j.first
	video, audio := j.state(roleVideo), j.state(roleAudio)
	switch {
	case j.output.Announced && !changed:
		return nil
	case j.output.Announced:
	case video == unknown && waited >= waitVideo && !j.KeepWaiting:
		return ErrNoParameterSets
	case video == unknown:
		return nil
	case audio == unknown && waited < waitAudio && !j.output.Full():
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
	return j.output.Announce(tracks, j.out)
}
