package elementary

import (
	"errors"
	"fmt"
	"slices"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// A Stream is one stream of a [Joiner].
type Stream struct {
	Name string // names it in reports, as in [reception.LeftOut]

	j       *Joiner
	role    int
	parser  *Parser
	place   *timeline.Track
	arrived bool // a unit has come
	offered bool // it was chosen of several; another may take its place
}

// Join adds a stream. Config is the decoder configuration, in the form of [codecs.Track], of audio that has one; it is nil where
// [Stream.Configure] brings it. Sets are the parameter sets of video that the container holds, if it holds any. Others are passed
// over. The error is a [codecs.UnsupportedError] if streams of the codec cannot be joined.
func (j *Joiner) Join(codec codecs.Codec, config []byte, sets ...[]byte) (*Stream, error) {
	if row := carriage.Of(codec); row.NAL == nil && row.Length == nil {
		return nil, &codecs.UnsupportedError{Video: codec.Video(), Name: codec.String()}
	}
	return j.JoinPacked(codec, config, sets...)
}

// JoinPacked is Join for a stream whose access units come as FLV and MP4 hold them, which [Stream.AddPacked] takes.
func (j *Joiner) JoinPacked(codec codecs.Codec, config []byte, sets ...[]byte) (*Stream, error) {
	s := &Stream{j: j, Name: "the track of " + codec.String(), role: roleOf(codec.Video()), parser: NewParser(codec)}
	switch {
	case j.streams[s.role] != nil:
		return nil, fmt.Errorf("a second stream like that of %v", j.streams[s.role].parser.codec)
	case s.role == roleVideo:
		s.parser.Sets(sets)
	case config != nil:
		if _, err := s.parser.Configure(config); err != nil {
			return nil, err
		}
	}
	if s.place = j.places[s.role]; s.place == nil {
		s.place = j.times.Track(s.role == roleVideo)
	}
	s.place.Name = s.Name
	j.streams[s.role] = s
	return s, nil
}

// Break says that the next timestamp is of another timeline, as [timeline.Track.Break] does.
func (s *Stream) Break() { s.place.Break() }

// Codec is what the stream was joined as.
func (s *Stream) Codec() codecs.Codec { return s.parser.codec }

// FrameRate takes the number of pictures in a second that the container tells of video. It is shown from the next announcement
// of the tracks on.
func (s *Stream) FrameRate(rate float64) { s.parser.FrameRate(rate) }

// Configure takes a decoder configuration from the container, in the form of [codecs.Track].
func (s *Stream) Configure(config []byte) error {
	s.place.Name = s.Name
	changed, err := s.parser.Configure(config)
	if err != nil || !changed {
		return err
	}
	s.place.Renew()
	if s.j.output.Announced && s.arrived {
		return s.j.announce()
	}
	return nil
}

// Add takes the NAL units of one access unit of video, without start codes or lengths, or frames of audio that follow on
// each other, the first of them at the stamp. They are not changed. Damaged frames are counted and passed over.
func (s *Stream) Add(at timeline.Stamp, units ...[]byte) error {
	if s.role == roleVideo {
		return s.picture(at, s.parser.Units(units))
	}
	for _, frame := range units {
		if len(frame) == 0 {
			continue
		}
		u, err := s.parser.Unit(frame, true)
		if err != nil {
			if err := s.damaged(err); err != nil {
				return err
			}
			continue
		}
		if err := s.sound(at, u); err != nil {
			return err
		}
		at = timeline.Following()
	}
	return nil
}

// A DamagedError says that an access unit cannot be read.
type DamagedError struct{ Err error }

func (e *DamagedError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *DamagedError) Unwrap() error { return e.Err }

// AddPacked takes one access unit as FLV and MP4 hold it, and may keep it. Key says that the container calls it a key frame. The error
// may be a [DamagedError]; the next access unit can be given then.
func (s *Stream) AddPacked(at timeline.Stamp, b []byte, key bool) error {
	u, err := s.parser.Unit(b, key)
	switch unsupported := (*codecs.UnsupportedError)(nil); {
	case errors.As(err, &unsupported):
		return s.damaged(err)
	case err != nil:
		return &DamagedError{err}
	case s.role == roleVideo:
		return s.picture(at, u)
	case len(u.Payload) == 0:
		return nil
	}
	return s.sound(at, u)
}

// damaged counts a unit that cannot be read; the next one may be whole. Where it turns out that the stream is of a
// codec that is not carried, that is the error; unless the stream was chosen of several on offer: then it is left out, and another one
// takes its place.
func (s *Stream) damaged(err error) error {
	unsupported := (*codecs.UnsupportedError)(nil)
	if !errors.As(err, &unsupported) {
		s.j.report.Count(reception.Damaged, 1, err)
		return nil
	}
	j := s.j
	if !s.offered {
		return err
	}
	if j.streams[s.role] != s {
		j.report.Count(reception.SkippedUnits, 1, nil)
		return nil // left out already
	}
	j.Leave(s)
	j.replace(s.role)
	j.LeaveOut(append(slices.Clone(j.left), reception.LeftOut{Track: s.Name, Codec: unsupported.Name, Reason: err.Error()}))
	if j.streams[roleVideo] == nil && j.streams[roleAudio] == nil {
		return err
	}
	return nil
}

func (s *Stream) picture(at timeline.Stamp, u Unit) error {
	if s.j.streams[s.role] != s {
		return nil
	}
	first := !s.arrived
	s.arrived = true
	_, known := s.parser.Track()
	if !known { // nothing can be decoded before the parameter sets
		s.j.report.Count(reception.SkippedUnits, 1, nil)
	}
	if !known || len(u.Payload) == 0 {
		return s.waits(at, u.Changed || first)
	}
	au := &codecs.AccessUnit{Track: roleVideo, RandomAccess: u.RandomAccess, Payload: u.Payload}
	if (u.Changed || first) && s.j.output.Announced && !s.j.changing {
		if err := s.j.announce(); err != nil {
			return err
		}
	}
	return s.writeAll(s.place.Picture(au, at, u.Picture))
}

// waits lets time pass for a picture that is not used.
func (s *Stream) waits(at timeline.Stamp, changed bool) error {
	au := &codecs.AccessUnit{}
	for _, placed := range s.place.Picture(au, at, s.parser.order.Picture(nil)) {
		if placed.Discontinuity {
			s.place.Renew() // the next one will be the first behind the jump that viewers get
		}
		if err := s.j.advance(placed.DTS, changed); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stream) sound(at timeline.Stamp, u Unit) error {
	if s.j.streams[s.role] != s {
		return nil
	}
	rate := s.parser.rate
	au := s.place.Sound(&codecs.AccessUnit{
		Track: roleAudio, Duration: int64(u.Samples) * codecs.ClockRate / int64(rate), Payload: u.Payload,
	}, at, u.Samples, rate)
	if au == nil {
		return nil
	}
	changed := u.Changed || !s.arrived
	s.arrived = true
	if err := s.j.advance(au.DTS, changed); err != nil {
		return err
	}
	return s.j.output.Write(au, s.j.current(s.role), s.j.out)
}

// writeAll writes access units of video that have their place.
func (s *Stream) writeAll(units []*codecs.AccessUnit) error {
	for _, au := range units {
		if len(au.Payload) == 0 {
			continue // it only let time pass
		}
		if err := s.j.advance(au.DTS, false); err != nil {
			return err
		}
		if err := s.j.output.Write(au, s.j.current(s.role), s.j.out); err != nil {
			return err
		}
	}
	return nil
}
