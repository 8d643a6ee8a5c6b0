// Package elementary makes one stream of the elementary streams of an input: the NAL units and audio frames that a
// demultiplexer gives become tracks and access units on one timeline.
//
// It knows no container and no transport. The reader of the container says which streams there are and hands their units
// over; timestamps that wrap or jump are joined here.
package elementary

import (
	"errors"
	"fmt"

	"weir/codecs"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// ErrNoParameterSets says that a video stream does not tell how it is coded.
var ErrNoParameterSets = errors.New("the video comes without parameter sets, so nobody can decode it")

// How long tracks that do not describe themselves yet are waited for, in ticks of media.
const (
	waitVideo  = 10 * codecs.ClockRate
	waitAudio  = 2 * codecs.ClockRate
	waitSilent = codecs.ClockRate // for a stream that has brought nothing at all
)

// A Joiner joins at most one video and one audio stream. It belongs to one goroutine.
type Joiner struct {
	// KeepWaiting says that the parameter sets of video are waited for without end, as in a file, which is read at once.
	KeepWaiting bool

	// Interleaved says that units come in the order of their times, so that a stream that brings nothing for a second of the
	// others' media is left out, whatever the container says of it, until it brings something.
	Interleaved bool

	out     codecs.Writer
	report  reception.Report
	clock   timeline.Clock
	streams [2]*Stream        // by role; nil where there is none
	places  [2]timeline.Place // of streams that have left

	output Output
	first  int64 // DTS of the first unit of any stream, or of the first since a stream has left
	begun  bool
	left   bool // a stream has left, and the tracks have not been announced since
	silent bool // it has been reported that a stream brings nothing
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

// Leave takes a stream back that has been joined. Another one may be joined in its place, where the times go on, and is waited for
// as at the start; if none is, the tracks are announced without it.
func (j *Joiner) Leave(s *Stream) {
	for role := range j.streams {
		if j.streams[role] == s {
			j.streams[role], j.places[role] = nil, s.place
			j.left, j.begun = true, false
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
	if j.output.Announced && !changed && !j.left {
		return nil
	}
	waited := dts - j.first
	video, audio := j.state(roleVideo), j.state(roleAudio)
	switch {
	case j.output.Announced && !j.left:
	case video == unknown && waited >= waitVideo && !j.KeepWaiting:
		return ErrNoParameterSets
	case video == unknown, video == silent && waited < waitSilent && !j.output.Full():
		return nil
	case audio == unknown && waited < waitAudio && !j.output.Full(), audio == silent && waited < waitSilent && !j.output.Full():
		return nil
	}
	return j.announce()
}

// The states of a role.
const (
	absent  = iota // there is no stream
	silent         // the stream has brought nothing
	unknown        // the stream has not described itself
	known
)

func (j *Joiner) state(role int) int {
	s := j.streams[role]
	if s == nil {
		return absent
	}
	if j.Interleaved && !s.begun {
		return silent
	}
	if _, ok := s.parser.Track(); !ok {
		return unknown
	}
	return known
}

// announced says whether units of a role may be written: their track is in force, or none is yet and they are held.
func (j *Joiner) announced(role int) bool {
	if !j.output.Announced {
		return true
	}
	i := j.output.Tracks.Audio()
	if role == roleVideo {
		i = j.output.Tracks.Video()
	}
	return i >= 0 && j.output.Tracks[i].Equal(j.streams[role].parser.track)
}

// announce tells the writer the tracks that are known and writes the access units that were held.
func (j *Joiner) announce() error {
	var tracks codecs.Tracks
	reason := ""
	for role, s := range j.streams {
		switch j.state(role) {
		case known:
			tracks = append(tracks, s.parser.track)
		case silent:
			reason = fmt.Sprintf("%s brings nothing", s.Name)
		}
	}
	if len(tracks) == 0 {
		return nil
	}
	j.left = false
	if reason != "" || j.silent {
		j.silent = reason != ""
		j.report.Meet(reception.SilentTrack, reason)
	}
	return j.output.Announce(tracks, j.out)
}
