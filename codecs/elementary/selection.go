package elementary

import (
	"errors"
	"fmt"
	"slices"

	"weir/codecs"
	"weir/codecs/carriage"
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
	role := roleOf(video)
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

// Choose joins the first video and the first audio stream of those on offer that can be carried, those first that all outputs carry, and
// reports the others as left out, and those that few outputs carry. It may be called again when the input offers others: a stream of the same track and codec goes on, and what is new is waited for
// as at the beginning. The error says that none can be carried.
func (j *Joiner) Choose(offers []Offer) error {
	offers = slices.Clone(offers)
	slices.SortStableFunc(offers, func(a, b Offer) int { return rank(a) - rank(b) })
	before := j.streams
	for role, s := range before {
		if s != nil {
			j.places[role] = s.place
		}
	}
	j.streams, j.offers = [2]*Stream{}, nil
	var selection Selection
	changed := false
	for _, o := range offers {
		reason := o.Refused
		if role := roleOf(o.Video); reason == nil && !selection.taken[role] {
			if s := before[role]; s != nil && s.Name == o.Track && s.parser.codec == o.Codec {
				j.streams[role] = s
				reason = o.Take(s)
			} else {
				changed = true
				reason = j.take(o)
			}
		} else if reason == nil {
			j.offers = append(j.offers, o)
		}
		if partly := carriage.Of(o.Codec).Partly; selection.Offer(o.Track, o.Name, o.Video, reason) && partly != nil {
			selection.leave(o.Track, o.Name, partly.Error())
		}
	}
	for role, s := range before {
		changed = changed || s != nil && j.streams[role] == nil
	}
	if changed {
		j.changing, j.begun = true, false
	}
	j.LeaveOut(selection.LeftOut)
	return selection.Err()
}

// rank puts streams that few outputs carry behind the others.
func rank(o Offer) int {
	if o.Refused == nil && carriage.Of(o.Codec).Partly != nil {
		return 1
	}
	return 0
}

// take joins a stream on offer.
func (j *Joiner) take(o Offer) error {
	s, err := j.Join(o.Codec, o.Config, o.Sets...)
	if err == nil {
		s.Name, s.place.Name, s.offered = o.Track, o.Track, true
		if err = o.Take(s); err != nil {
			j.Leave(s)
		}
	}
	return err
}

// replace joins another stream on offer in the place of one that has been left out.
func (j *Joiner) replace(role int) {
	for _, o := range j.offers {
		if roleOf(o.Video) == role && j.streams[role] == nil && j.take(o) == nil {
			j.left = slices.DeleteFunc(slices.Clone(j.left), func(l reception.LeftOut) bool { return l.Track == o.Track })
			if partly := carriage.Of(o.Codec).Partly; partly != nil {
				j.left = append(j.left, reception.LeftOut{Track: o.Track, Codec: o.Name, Reason: partly.Error()})
			}
		}
	}
}
