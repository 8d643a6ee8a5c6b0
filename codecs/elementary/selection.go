package elementary

import (
	"errors"
	"fmt"

	"weir/codecs"
	"weir/codecs/reception"
)

// ErrNoTracks says that an input offers neither video nor audio that can be carried.
var ErrNoTracks = errors.New("no video or audio in it")

// A Selection is the first video and the first audio stream that can be carried, of those that an input offers. The zero
// Selection is ready.
type Selection struct {
	// LeftOut are the streams that were not taken, in the order in which they were offered.
	LeftOut []reception.LeftOut

	taken   [2]bool
	refused []error
}

// Offer says whether a stream is taken. Track and codec name it, as in [reception.LeftOut]; reason, if it is not nil, says why it
// cannot be carried.
func (s *Selection) Offer(track, codec string, video bool, reason error) bool {
	role := roleAudio
	if video {
		role = roleVideo
	}
	switch {
	case reason != nil:
		s.refused = append(s.refused, reason)
		s.leave(track, codec, reason.Error())
		return false
	case s.taken[role]:
		s.leave(track, codec, "it is not the first of its kind")
		return false
	}
	s.taken[role] = true
	return true
}

func (s *Selection) leave(track, codec, reason string) {
	s.LeftOut = append(s.LeftOut, reception.LeftOut{Track: track, Codec: codec, Reason: reason})
}

// Err is called when all streams have been offered. It is nil if one was taken, and else [ErrNoTracks], joined with why none was.
func (s *Selection) Err() error {
	if s.taken[roleVideo] || s.taken[roleAudio] {
		return nil
	}
	if len(s.refused) > 0 {
		return fmt.Errorf("%w that can be carried: %w", ErrNoTracks, errors.Join(s.refused...))
	}
	return ErrNoTracks
}

// An Offer is a stream that an input has.
type Offer struct {
	Track string // names it, as in [reception.LeftOut]
	Name  string // of its codec
	Video bool

	// Refused, if it is not nil, says why the stream cannot be carried, such as a [codecs.UnsupportedError]. The rest does not
	// count then.
	Refused error

	// The arguments of [Joiner.Join].
	Codec  codecs.Codec
	Config []byte
	Sets   [][]byte

	// Take is given the stream that the units of this one are to be added to. An error of Take leaves the stream out.
	Take func(*Stream) error
}

// Choose joins the first video and the first audio stream of those on offer that can be carried, and reports the others as left
// out. The error says that none can be carried.
func (j *Joiner) Choose(offers []Offer) error {
	var s Selection
	for _, o := range offers {
		reason := o.Refused
		if reason == nil && s.free(o.Video) {
			reason = j.take(o)
		}
		s.Offer(o.Track, o.Name, o.Video, reason)
	}
	j.report.LeaveOut(s.LeftOut)
	return s.Err()
}

func (s *Selection) free(video bool) bool {
	if video {
		return !s.taken[roleVideo]
	}
	return !s.taken[roleAudio]
}

func (j *Joiner) take(o Offer) error {
	s, err := j.Join(o.Codec, o.Config, o.Sets...)
	if err == nil {
		s.Name = o.Track
		if err = o.Take(s); err != nil {
			j.Leave(s)
		}
	}
	return err
}
