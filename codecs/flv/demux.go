package flv

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/flv/amf"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// How long a publisher's tracks are waited for. Nothing says how many there will be; onMetaData hints.
const (
	waitUnhinted = codecs.ClockRate / 2 // ticks of media
	waitHinted   = 2 * codecs.ClockRate // ticks of media, when onMetaData names audio and video
)

// A Demuxer turns the tags of one publisher, at most one video and one audio track, into tracks and access units.
// The zero Demuxer is ready. It belongs to one goroutine.
type Demuxer struct {
	// Report, if not nil, is told what is left out.
	Report reception.Report

	leftOut      []reception.LeftOut
	clock        timeline.Clock
	video, audio stream

	hinted               bool // onMetaData came
	hintVideo, hintAudio bool

	output      elementary.Output
	first       int64 // DTS of the first media
	begun       bool
	unsupported error // the last [codecs.UnsupportedError] before the tracks are announced
}

const (
	roleVideo = iota
	roleAudio
)

// millisecond is one in ticks.
const millisecond = codecs.ClockRate / 1000

// A stream is the video or the audio of a publisher.
type stream struct {
	known  bool
	track  codecs.Track
	parser *elementary.Parser // of the codec of the track
	broken bool               // the next access unit is the first after a break

	place timeline.Place
	grid  grid  // audio
	dts   int64 // the last one given out
	any   bool
}

// Tag takes the next tag and writes its content to out. Tag owns the body from then on.
//
// The errors are: those of out, unchanged; [ErrNoTracks], after which the publisher should go;
// [*codecs.UnsupportedError], when the tag belongs to a track that is left out; [ErrMalformed], when the tag was skipped.
// After the latter two the next tag can be given.
func (d *Demuxer) Tag(t Tag, out codecs.Writer) error {
	err := d.tag(t, out)
	unsupported := (*codecs.UnsupportedError)(nil)
	switch {
	case d.Report == nil || err == nil:
	case errors.As(err, &unsupported):
		d.leave(unsupported)
	case errors.Is(err, ErrMalformed):
		d.Report.Count(reception.Damaged, 1, err)
	}
	return err
}

func (d *Demuxer) tag(t Tag, out codecs.Writer) error {
	switch t.Type {
	case TypeVideo:
		b, err := parseVideo(t.Body)
		if err != nil {
			return d.failed(t, err)
		}
		return d.take(&d.video, roleVideo, t.Timestamp, b, out)
	case TypeAudio:
		b, err := parseAudio(t.Body)
		if err != nil {
			return d.failed(t, err)
		}
		return d.take(&d.audio, roleAudio, t.Timestamp, b, out)
	case TypeScript:
		return d.script(t.Body)
	default:
		return nil
	}
}

// maxLeftOut bounds the codecs that are named, since a publisher can invent any.
const maxLeftOut = 8

// leave names a track that is left out.
func (d *Demuxer) leave(e *codecs.UnsupportedError) {
	track := "audio"
	if e.Video {
		track = "video"
	}
	l := reception.LeftOut{Track: track, Codec: e.Name, Reason: e.Error()}
	if len(d.leftOut) < maxLeftOut && !slices.Contains(d.leftOut, l) {
		d.leftOut = append(slices.Clone(d.leftOut), l)
		d.Report.LeaveOut(d.leftOut)
	}
}

// Copy demultiplexes the tags that next returns into out, until next fails or the publisher should go, and says why. The
// error is that of next, that of out, or [ErrNoTracks].
func Copy(next func() (Tag, error), report reception.Report, out codecs.Writer) error {
	d := Demuxer{Report: report}
	for {
		tag, err := next()
		if err != nil {
			return err
		}
		err = d.Tag(tag, out)
		unsupported := (*codecs.UnsupportedError)(nil)
		if err != nil && (errors.Is(err, ErrNoTracks) || !errors.As(err, &unsupported) && !errors.Is(err, ErrMalformed)) {
			return err
		}
	}
}

// Tracks returns the tracks that were announced last; none before.
func (d *Demuxer) Tracks() codecs.Tracks { return d.output.Tracks }

// failed notes that a codec is not supported, and returns [ErrNoTracks] for a publisher that has nothing else.
func (d *Demuxer) failed(t Tag, err error) error {
	var u *codecs.UnsupportedError
	if !errors.As(err, &u) {
		return fmt.Errorf("reading media: %w", err)
	}
	if !d.output.Announced {
		d.unsupported = err
		dts, _ := d.time(&timeline.Place{}, t.Timestamp)
		if !d.video.known && !d.audio.known && dts-d.first >= waitUnhinted {
			return fmt.Errorf("%w: %w", ErrNoTracks, err)
		}
	}
	return err
}

// time returns the DTS of a message of the stream at p, and says whether the stream has jumped: the wire's milliseconds
// have 32 bits.
func (d *Demuxer) time(p *timeline.Place, timestamp uint32) (dts int64, jumped bool) {
	d.clock.FromZero, d.clock.Wrap = true, 1<<32*millisecond
	dts, jumped = d.clock.At(p, int64(timestamp)*millisecond)
	if !d.begun {
		d.begun, d.first = true, dts
	}
	return dts, jumped
}

// script reads onMetaData for its hints.
func (d *Demuxer) script(b []byte) error {
	vs, err := amf.Read(b)
	for len(vs) > 0 {
		name, ok := vs[0].(string)
		if !ok || name != "@setDataFrame" && name != "onMetaData" {
			break
		}
		vs = vs[1:]
		if name == "onMetaData" && len(vs) > 0 {
			if o, ok := amf.AsObject(vs[0]); ok {
				d.hinted = true
				d.hintVideo, d.hintAudio = o.Has("videocodecid"), o.Has("audiocodecid")
			}
			break
		}
	}
	if err != nil {
		return fmt.Errorf("reading script data: %w: %w", ErrMalformed, err)
	}
	return nil
}

func (d *Demuxer) take(s *stream, role int, ts uint32, b body, out codecs.Writer) error {
	switch b.kind {
	case kindConfig:
		changed, err := s.configure(b)
		if err != nil {
			return fmt.Errorf("reading media: %w", err)
		}
		if changed {
			return d.changed(out)
		}
		return nil
	case kindMedia:
		return d.media(s, role, ts, b, out)
	default:
		return nil
	}
}

// changed tells the writer about new tracks, unless it still waits for the first.
func (d *Demuxer) changed(out codecs.Writer) error {
	if d.output.Announced {
		return d.announce(out)
	}
	return d.decide(out, false)
}

func (d *Demuxer) announce(out codecs.Writer) error {
	var tracks codecs.Tracks
	for _, s := range []*stream{&d.video, &d.audio} {
		if s.known {
			tracks = append(tracks, s.track)
		}
	}
	return d.output.Announce(tracks, out)
}

// decide tells the writer the tracks once both are known, or no other is to be expected; late says that enough has
// been waited.
func (d *Demuxer) decide(out codecs.Writer, late bool) error {
	some := d.video.known || d.audio.known
	both := d.video.known && d.audio.known
	alone := d.hinted && (d.video.known && !d.hintAudio || d.audio.known && !d.hintVideo)
	switch {
	case both, alone, late && some:
	case late && d.unsupported != nil:
		return fmt.Errorf("%w: %w", ErrNoTracks, d.unsupported)
	case late:
		return ErrNoTracks
	default:
		return nil
	}
	return d.announce(out)
}

func (d *Demuxer) media(s *stream, role int, ts uint32, b body, out codecs.Writer) error {
	dts, jumped := d.time(&s.place, ts)
	s.broken = s.broken || jumped && s.any

	au, changed, err := s.unit(b, dts)
	if unsupported := (*codecs.UnsupportedError)(nil); errors.As(err, &unsupported) {
		d.unsupported = err
	} else if err != nil {
		err = fmt.Errorf("reading media: %w", malformed("%v", err))
	}
	if changed {
		if err := d.changed(out); err != nil {
			return err
		}
	}
	if au != nil {
		au.Track = role
		if werr := d.output.Write(au, out); werr != nil {
			return werr
		}
	}
	if !d.output.Announced {
		wait := int64(waitUnhinted)
		if d.hinted && d.hintVideo && d.hintAudio {
			wait = waitHinted
		}
		late := dts-d.first >= wait || d.output.Full()
		if derr := d.decide(out, late); derr != nil {
			return derr
		}
	}
	return err
}

// configure takes a decoder configuration and says whether the track is another one now.
func (s *stream) configure(b body) (changed bool, err error) {
	config := bytes.Clone(b.data)
	if from := carriage.Of(b.codec).FLV.FromHeader; from != nil {
		if config, err = from(config); err != nil {
			return false, malformed("%v", err)
		}
	}
	parser := elementary.NewParser(b.codec)
	if _, err := parser.Configure(config); err != nil {
		return false, malformed("%v", err)
	}
	t, ok := parser.Track()
	if !ok { // frames that describe themselves have no configuration
		return false, nil
	}
	s.parser = parser
	return s.become(t), nil
}

// become makes t the track and says whether it is another one.
func (s *stream) become(t codecs.Track) bool {
	if s.known && s.track.Equal(t) {
		return false
	}
	s.broken = s.broken || s.any
	s.known, s.track = true, t
	s.grid = grid{}
	return true
}

// unit makes an access unit without Track of b, which the publisher puts at dts; nil if there is nothing in it. It says
// whether the track is another one from this access unit on.
func (s *stream) unit(b body, dts int64) (au *codecs.AccessUnit, changed bool, err error) {
	parser := s.parser
	if !s.known || s.track.Codec != b.codec {
		parser = elementary.NewParser(b.codec)
	}
	u, err := parser.Unit(b.data, b.key)
	if err != nil {
		return nil, false, err
	}
	if s.parser = parser; u.Changed {
		t, _ := parser.Track()
		changed = s.become(t)
	}
	if len(u.Payload) == 0 {
		return nil, changed, nil
	}
	au = &codecs.AccessUnit{Payload: u.Payload, RandomAccess: u.RandomAccess, DTS: dts}
	if rate := int64(parser.Rate()); rate > 0 {
		au.DTS = s.grid.place(au.DTS, int64(u.Samples), rate)
		au.Duration = int64(u.Samples) * codecs.ClockRate / rate
	}
	if s.any && au.DTS <= s.dts {
		au.DTS = s.dts + 1 // jitter: time never stands still within a track
	}
	s.dts, s.any = au.DTS, true
	au.PTS = au.DTS + int64(b.cts)*millisecond
	au.Discontinuity, s.broken = s.broken, false
	return au, changed, nil
}
