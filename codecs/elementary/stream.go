package elementary

import (
	"errors"
	"fmt"

	"weir/codecs"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// A Stream is one stream of a [Joiner].
type Stream struct {
	j     *Joiner
	Name  string // names it in reports
	begun bool   // it has brought something
	anew  bool   // it has been configured since its last unit

	timed  bool
	next   int64 // the timestamp of the sound that follows, if timed
	parser *Parser
	place  timeline.Place
	broken bool // the next access unit is the first after a jump
}

var errUnconfigured = errors.New("a frame before the configuration of its decoder")

// Join adds a stream. Config is the decoder configuration, in the form of [codecs.Track], of audio that has one; it is nil where
// [Stream.Configure] brings it. Sets are the parameter sets of video that the container holds, if it holds any. Others are passed
// over. The error is a [codecs.UnsupportedError] if streams of the codec cannot be joined.
func (j *Joiner) Join(codec codecs.Codec, config []byte, sets ...[]byte) (*Stream, error) {
	s := &Stream{j: j, Name: "the track of " + codec.String(), parser: NewParser(codec)}
	role := roleAudio
	if codec.Video() {
		role = roleVideo
	}
	switch {
	case s.parser.row.NAL == nil && s.parser.row.Length == nil:
		return nil, &codecs.UnsupportedError{Video: codec.Video(), Name: codec.String()}
	case j.streams[role] != nil:
		return nil, fmt.Errorf("a second stream like that of %v", j.streams[role].parser.codec)
	case role == roleVideo:
		s.parser.Sets(sets)
	case config != nil:
		if _, err := s.parser.Configure(config); err != nil {
			return nil, err
		}
	}
	j.streams[role], s.place = s, j.places[role]
	return s, nil
}

// Configure takes the decoder configuration of the units that follow, in the form of [codecs.Track], and keeps it.
func (s *Stream) Configure(config []byte) error {
	changed, err := s.parser.Configure(config)
	s.anew = s.anew || changed
	return err
}

// Add takes the NAL units of one access unit of video, without start codes or lengths, or frames of audio that follow on
// each other, the first of them at the stamp. They are not changed.
func (s *Stream) Add(at timeline.Stamp, units ...[]byte) error {
	dts, pts, ok := at.Times()
	if !ok && s.timed && !s.parser.codec.Video() {
		pts, ok = s.next, true // sound follows on the sound before it
	}
	if !ok {
		s.j.report.Count(reception.SkippedUnits, 1, nil)
		return nil
	}
	if s.parser.codec.Video() {
		return s.addPicture(dts, pts, units)
	}
	offset := int64(0) // in samples
	for _, frame := range units {
		if len(frame) == 0 {
			continue
		}
		u, err := s.parser.Unit(frame, true)
		if unsupported := (*codecs.UnsupportedError)(nil); errors.As(err, &unsupported) {
			return err
		}
		if _, known := s.parser.Track(); err == nil && !known {
			err = errUnconfigured
		}
		if err != nil {
			s.j.report.Count(reception.Damaged, 1, err)
			continue
		}
		if err := s.addFrame(pts+offset*codecs.ClockRate/int64(s.parser.rate), u); err != nil {
			return err
		}
		offset += int64(u.Samples)
		s.timed, s.next = true, pts+offset*codecs.ClockRate/int64(s.parser.rate)
	}
	return nil
}

func (s *Stream) addPicture(dts, pts int64, units [][]byte) error {
	dts, pts, jumped := s.j.clock.PictureAt(&s.place, dts, pts)
	s.broken = s.broken || jumped
	u := s.parser.Units(units)
	changed := u.Changed || !s.begun
	s.begun = true
	if err := s.j.advance(dts, changed); err != nil {
		return err
	}
	if _, known := s.parser.Track(); !known || len(u.Payload) == 0 || !s.j.announced(roleVideo) {
		return nil // nothing can be decoded before the parameter sets
	}
	return s.write(&codecs.AccessUnit{Track: roleVideo, DTS: dts, PTS: pts, RandomAccess: u.RandomAccess, Payload: u.Payload})
}

func (s *Stream) addFrame(pts int64, u Unit) error {
	dts, jumped := s.j.clock.At(&s.place, pts)
	s.broken = s.broken || jumped
	changed := u.Changed || !s.begun || s.anew
	s.begun, s.anew = true, false
	if err := s.j.advance(dts, changed); err != nil {
		return err
	}
	if !s.j.announced(roleAudio) {
		return nil
	}
	return s.write(&codecs.AccessUnit{
		Track: roleAudio, DTS: dts, PTS: dts, Duration: int64(u.Samples) * codecs.ClockRate / int64(s.parser.rate), Payload: u.Payload,
	})
}

func (s *Stream) write(au *codecs.AccessUnit) error {
	au.Discontinuity, s.broken = s.broken, false
	return s.j.output.Write(au, s.j.out)
}
