// Package elementary makes one stream of the elementary streams of an input: the NAL units and audio frames that a
// demultiplexer gives become tracks and access units on one timeline.
//
// What a table announces and what arrives are two things. The tracks of the stream are those that have arrived and are described,
// about a second of media after the first; a track that comes later is added, and until then it is reported as left out. Of each
// kind one is taken.
//
// The package knows no container and no transport. The reader of the container says which streams there are and hands their units
// over; package timeline repairs the times.
package elementary

import (
	"cmp"
	"errors"
	"slices"

	"weir/codecs"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// ErrNoParameterSets says that a video stream does not tell how it is coded.
var ErrNoParameterSets = errors.New("the video comes without parameter sets, so nobody can decode it")

// For how long of media is waited, in ticks: for a stream that is announced and has not come, or has come and is not described; and
// for the parameter sets of pictures that come, since the first may be in the middle of a long GOP.
const (
	Wait          = codecs.ClockRate
	waitForKeyGOP = 10 * codecs.ClockRate
)

// A Joiner joins at most one video and one audio stream. It belongs to one goroutine.
type Joiner struct {
	// KeepWaiting says that the parameter sets of video are waited for without end, as in a file, which is read at once.
	KeepWaiting bool

	// Absent is for how long of media a stream is waited for that nothing announces; zero where tables say what there is.
	Absent int64

	// Patience, if not zero, is for how long of media a stream of each kind is waited for that has brought nothing, announced or not:
	// sound and pictures come apart, and far from the order of their times.
	Patience int64

	out     codecs.Writer
	report  reception.Report
	times   *timeline.Timeline
	streams [2]*Stream         // by role; nil where there is none
	places  [2]*timeline.Track // of streams that have left

	offers []Offer             // those that were not taken, but could be
	left   []reception.LeftOut // what is left out, beside streams of which nothing has come
	hints  [2]string           // names of streams that are announced and have not been joined
	told   []reception.LeftOut // what the report was told last

	output   Output
	first    int64 // DTS of the first unit of any stream, or of the first since the streams have changed
	begun    bool
	changing bool // the streams have changed, and the tracks have not been announced since
}

// The roles of streams.
const (
	roleVideo = iota
	roleAudio
)

func roleOf(video bool) int {
	if video {
		return roleVideo
	}
	return roleAudio
}

// New makes a joiner without streams that writes to out and tells report what it leaves out and repairs. Wrap is that of
// [timeline.Config].
func New(out codecs.Writer, report reception.Report, wrap int64) *Joiner {
	return NewTimed(out, timeline.Config{Wrap: wrap, Report: report})
}

// NewTimed is [New] of an input whose timestamps have other habits.
func NewTimed(out codecs.Writer, c timeline.Config) *Joiner {
	return &Joiner{out: out, report: c.Report, times: timeline.New(c)}
}

// Tracks returns the tracks that the writer was told last; none before.
func (j *Joiner) Tracks() codecs.Tracks { return j.output.Tracks }

// Known says whether any stream has described itself.
func (j *Joiner) Known() bool { return j.known(roleVideo) || j.known(roleAudio) }

func (j *Joiner) known(role int) bool {
	s := j.streams[role]
	if s == nil {
		return false
	}
	_, ok := s.parser.Track()
	return ok
}

func (j *Joiner) ready(role int) bool { return j.known(role) && j.streams[role].arrived }

// Flush says that nothing follows: tracks that have not been described yet are no longer waited for, nor times that are missing.
func (j *Joiner) Flush() error {
	for _, s := range j.streams {
		if s != nil && s.parser.codec.Video() {
			if err := s.writeAll(s.place.Flush()); err != nil {
				return err
			}
		}
	}
	return j.announce()
}

// Again says that access units that follow may have come before, as [timeline.Timeline.Again] does.
func (j *Joiner) Again() { j.times.Again() }

// Leave takes a stream back that has been joined. Another one may be joined in its place, where the times go on, and is waited for
// as at the start; if none is, the tracks are announced without it. What is added to a stream that has left is dropped.
func (j *Joiner) Leave(s *Stream) {
	if j.streams[s.role] == s {
		j.streams[s.role], j.places[s.role] = nil, s.place
		j.changing, j.begun = true, false
	}
}

// Expect says which streams are announced, and what each is called, where they are joined once something comes of them.
func (j *Joiner) Expect(names map[bool]string, video, audio bool) {
	j.Absent, j.hints = 0, [2]string{}
	if video {
		j.hints[roleVideo] = names[true]
	}
	if audio {
		j.hints[roleAudio] = names[false]
	}
}

// LeaveOut says which tracks are left out that were not joined, in the place of those that were told before. The report is told of
// them, and of streams of which nothing has come.
func (j *Joiner) LeaveOut(tracks []reception.LeftOut) {
	j.left = tracks
	j.tell()
}

// advance is called for each unit, with its place on the timeline and whether its track is another one from it on. It announces the
// tracks when they are due, and returns an error when the parameter sets of the only stream have not come for too long.
func (j *Joiner) advance(dts int64, changed bool) error {
	if !j.begun {
		j.begun, j.first = true, dts
	}
	if j.output.Announced && !j.changing {
		if changed {
			return j.announce()
		}
		return nil
	}
	waited := dts - j.first
	for role := range j.streams {
		if !j.ready(role) && waited < j.patience(role) {
			return nil
		}
	}
	if !j.ready(roleVideo) && !j.ready(roleAudio) {
		if s := j.streams[roleVideo]; s != nil && s.arrived && waited >= waitForKeyGOP && !j.KeepWaiting {
			return ErrNoParameterSets
		}
		return nil
	}
	return j.announce()
}

// patience is for how long of media the stream of a role that is not ready is waited for.
func (j *Joiner) patience(role int) int64 {
	s := j.streams[role]
	switch {
	case s == nil && j.refused(j.hints[role]):
		return j.Absent
	case s == nil && j.hints[role] != "":
		return cmp.Or(j.Patience, Wait)
	case s == nil:
		return max(j.Absent, j.Patience)
	case role == roleVideo && s.arrived && j.KeepWaiting:
		return 1 << 62
	case role == roleVideo && s.arrived:
		return waitForKeyGOP
	case role == roleAudio && j.ready(roleVideo) && j.output.Full():
		return 0
	}
	return cmp.Or(j.Patience, Wait)
}

// refused says whether a stream that is announced is left out for what came of it.
func (j *Joiner) refused(track string) bool {
	return track != "" && slices.ContainsFunc(j.left, func(l reception.LeftOut) bool { return l.Track == track })
}

// current says whether the track of a role is as it was announced last.
func (j *Joiner) current(role int) bool {
	i := j.output.Tracks.Audio()
	if role == roleVideo {
		i = j.output.Tracks.Video()
	}
	return j.output.Announced && i >= 0 && j.output.Tracks[i].Equal(j.streams[role].parser.track)
}

// announce tells the writer the tracks that have come, reports the others, and writes the access units that were held.
func (j *Joiner) announce() error {
	var tracks codecs.Tracks
	for role, s := range j.streams {
		if j.ready(role) {
			tracks = append(tracks, s.parser.track)
		}
	}
	if len(tracks) == 0 {
		return nil
	}
	j.changing = false
	err := j.output.Announce(tracks, j.out)
	j.tell()
	return err
}

// tell reports which tracks are left out now.
func (j *Joiner) tell() {
	left := slices.Clone(j.left)
	for role, s := range j.streams {
		l := reception.LeftOut{Track: j.hints[role], Reason: "it is announced, and nothing has come of it"}
		if s != nil {
			l.Track, l.Codec = s.Name, s.parser.codec.String()
			if s.arrived {
				l.Reason = "nothing says how it is coded"
			}
		}
		if l.Track != "" && !j.ready(role) && j.output.Announced && (s != nil || !j.refused(l.Track)) {
			left = append(left, l)
		}
	}
	if !slices.Equal(left, j.told) {
		j.told = left
		j.report.LeaveOut(left)
	}
}
