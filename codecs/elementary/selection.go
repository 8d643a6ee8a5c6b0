package elementary

import (
	"errors"
	"fmt"

	"weir/codecs"
)

// ErrNoTracks says that an input offers neither video nor audio.
var ErrNoTracks = errors.New("no video or audio in it")

// A Selection is the first video and the first audio stream that can be carried, of those that an input offers.
type Selection struct {
	// Note is called with a sentence for each stream that is left out.
	Note func(string)

	taken   [2]bool
	refused []refusal
}

type refusal struct {
	role   int
	reason error
}

// Offer says whether a stream is taken. What names it; reason, if it is not nil, says why it cannot be.
func (s *Selection) Offer(what string, video bool, reason error) bool {
	role := roleAudio
	if video {
		role = roleVideo
	}
	switch {
	case reason != nil:
		s.refused = append(s.refused, refusal{role, reason})
		return false
	case s.taken[role]:
		s.Note(what + " is left out: it is not the first of its kind")
		return false
	}
	s.taken[role] = true
	return true
}

// Finish is called when all streams have been offered. Where there is a kind of which none can be carried, the error is
// the reason; it is [ErrNoTracks] where there is nothing at all.
func (s *Selection) Finish() error {
	for _, r := range s.refused {
		if !s.taken[r.role] {
			return r.reason
		}
		s.Note(fmt.Sprintf("a track is left out: %v", r.reason))
	}
	if !s.taken[roleVideo] && !s.taken[roleAudio] {
		return ErrNoTracks
	}
	return nil
}

// An Offer is a stream that an input has.
type Offer struct {
	What  string // names it, in notes and errors
	Name  string // of its codec
	Video bool

	// Refused, if it is not nil, says why the stream cannot be carried. The rest does not count then.
	Refused error

	// The arguments of [Joiner.Join].
	Codec  codecs.Codec
	Config []byte
	Sets   [][]byte

	// Take is given the stream that the units of this one are to be added to.
	Take func(*Stream) error
}

// Choose joins the first video and the first audio stream of those on offer that can be carried, as a [Selection] does.
func (j *Joiner) Choose(offers []Offer, note func(string)) error {
	selection := Selection{Note: note}
	for _, o := range offers {
		if !selection.Offer(o.What, o.Video, o.Refused) {
			continue
		}
		s, err := j.Join(o.Codec, o.Config, o.Sets...)
		if err != nil {
			return fmt.Errorf("%s: %w", o.What, err)
		}
		if err := o.Take(s); err != nil {
			return err
		}
	}
	return selection.Finish()
}
