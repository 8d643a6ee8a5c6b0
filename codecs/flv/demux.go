package flv

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/flv/amf"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// waitUnhinted is for how many ticks of media a second track is waited for that nothing announces: tags do not say how many tracks there
// will be. Where onMetaData names both, the second is waited for as all announced tracks are.
const waitUnhinted = codecs.ClockRate / 2

// A Demuxer turns the tags of one publisher, at most one video and one audio track, into tracks and access units.
// The zero Demuxer is ready. It belongs to one goroutine.
type Demuxer struct {
	// Report, if not nil, is told what is left out. It does not change after the first tag.
	Report reception.Report

	leftOut      []reception.LeftOut
	out          codecs.Writer // of the tag that is being read
	joiner       *elementary.Joiner
	video, audio *elementary.Stream // nil until there is one

	begun       bool
	first       uint32  // timestamp of the first media
	frameRate   float64 // that onMetaData tells
	unsupported error   // the last [codecs.UnsupportedError] before the tracks are announced
}

// millisecond is one in ticks.
const millisecond = codecs.ClockRate / 1000

// Tag takes the next tag and writes its content to out. Tag owns the body from then on.
//
// The errors are: those of out, unchanged; [ErrNoTracks], after which the publisher should go;
// [*codecs.UnsupportedError], when the tag belongs to a track that is left out; [ErrMalformed], when the tag was skipped.
// After the latter two the next tag can be given.
func (d *Demuxer) Tag(t Tag, out codecs.Writer) error {
	err := d.tag(t, out)
	unsupported := (*codecs.UnsupportedError)(nil)
	switch {
	case err == nil:
	case errors.As(err, &unsupported):
		d.leave(unsupported)
	case errors.Is(err, ErrMalformed):
		d.report().Count(reception.Damaged, 1, err)
	}
	return err
}

func (d *Demuxer) tag(t Tag, out codecs.Writer) error {
	if d.joiner == nil {
		d.begin()
	}
	d.out = out
	switch t.Type {
	case TypeVideo:
		b, err := parseVideo(t.Body)
		if err != nil {
			return d.failed(t, err)
		}
		return d.take(t.Timestamp, b)
	case TypeAudio:
		b, err := parseAudio(t.Body)
		if err != nil {
			return d.failed(t, err)
		}
		return d.take(t.Timestamp, b)
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
		d.joiner.LeaveOut(d.leftOut)
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
func (d *Demuxer) Tracks() codecs.Tracks {
	if d.joiner == nil {
		return nil
	}
	return d.joiner.Tracks()
}

// A sink hands on what the joiner writes to the writer of the tag that is being read.
type sink struct{ d *Demuxer }

func (s sink) SetTracks(t codecs.Tracks) { s.d.out.SetTracks(t) }

func (s sink) Write(au *codecs.AccessUnit) error { return s.d.out.Write(au) }

// begin makes what a demuxer needs. The wire's milliseconds have 32 bits.
func (d *Demuxer) begin() {
	d.joiner = elementary.NewTimed(sink{d}, timeline.Config{FromZero: true, Wrap: 1 << 32 * millisecond, Rounded: millisecond, Report: d.report()})
	d.joiner.Absent = waitUnhinted
}

func (d *Demuxer) report() reception.Report {
	if d.Report == nil {
		return reception.Discard
	}
	return d.Report
}

// late says whether so much media has passed since the first that no further track is to be expected.
func (d *Demuxer) late(timestamp uint32) bool {
	if !d.begun {
		d.begun, d.first = true, timestamp
	}
	return int32(timestamp-d.first) >= waitUnhinted/millisecond
}

// failed notes that a codec is not supported, and returns [ErrNoTracks] for a publisher that has nothing else.
func (d *Demuxer) failed(t Tag, err error) error {
	var u *codecs.UnsupportedError
	if !errors.As(err, &u) {
		return fmt.Errorf("reading media: %w", err)
	}
	if late := d.late(t.Timestamp); !d.joiner.Known() {
		d.unsupported = err
		if late {
			return fmt.Errorf("%w: %w", ErrNoTracks, err)
		}
	}
	return err
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
				d.joiner.Expect(map[bool]string{true: "video", false: "audio"}, o.Has("videocodecid"), o.Has("audiocodecid"))
				d.pace(o)
			}
			break
		}
	}
	if err != nil {
		return fmt.Errorf("reading script data: %w: %w", ErrMalformed, err)
	}
	return nil
}

// pace takes the frame rate of onMetaData. Encoders call it one or the other, and some write it in words.
func (d *Demuxer) pace(o amf.Object) {
	for _, key := range []string{"framerate", "videoframerate", "fps"} {
		rate, ok := o.Get(key).(float64)
		if text, is := o.Get(key).(string); is {
			parsed, err := strconv.ParseFloat(text, 64)
			rate, ok = parsed, err == nil
		}
		if !ok {
			continue
		}
		if d.frameRate = rate; d.video != nil {
			d.video.FrameRate(rate)
		}
		return
	}
}

// stream returns the stream of a codec. It takes the place of that of another codec.
func (d *Demuxer) stream(c codecs.Codec) *elementary.Stream {
	at, name := &d.audio, "audio"
	if c.Video() {
		at, name = &d.video, "video"
	}
	if s := *at; s != nil && s.Codec() == c {
		return s
	}
	if *at != nil {
		d.joiner.Leave(*at)
	}
	s, err := d.joiner.JoinPacked(c, nil)
	if err != nil {
		panic(err) // the role is free, and nothing was configured
	}
	s.Name, *at = name, s
	if c.Video() {
		s.FrameRate(d.frameRate)
	}
	if i := slices.IndexFunc(d.leftOut, func(l reception.LeftOut) bool { return l.Track == name }); i >= 0 {
		d.leftOut = slices.Delete(slices.Clone(d.leftOut), i, i+1)
		d.joiner.LeaveOut(d.leftOut)
	}
	return s
}

func (d *Demuxer) take(ts uint32, b body) error {
	switch b.kind {
	case kindConfig:
		return d.configure(b)
	case kindMedia:
		return d.media(ts, b)
	default:
		return nil
	}
}

// configure takes a decoder configuration.
func (d *Demuxer) configure(b body) error {
	config := bytes.Clone(b.data)
	if from := carriage.Of(b.codec).FLV.FromHeader; from != nil {
		var err error
		if config, err = from(config); err != nil {
			return fmt.Errorf("reading media: %w", malformed("%v", err))
		}
	}
	if _, err := elementary.NewParser(b.codec).Configure(config); err != nil {
		return fmt.Errorf("reading media: %w", malformed("%v", err))
	}
	return d.stream(b.codec).Configure(config)
}

func (d *Demuxer) media(ts uint32, b body) error {
	late := d.late(ts)
	if s := d.current(b.codec); s == nil { // one damaged tag of another codec does not end a stream
		if _, err := elementary.NewParser(b.codec).Unit(b.data, b.key); err != nil {
			return d.nothing(late, fmt.Errorf("reading media: %w", malformed("%v", err)))
		}
	}
	dts := int64(ts) * millisecond
	s := d.stream(b.codec)
	err := s.AddPacked(timeline.At(dts, dts+int64(b.cts)*millisecond), b.data, b.key)
	if _, ok := errors.AsType[*codecs.UnsupportedError](err); ok {
		d.drop(s)
	}
	damaged := (*elementary.DamagedError)(nil)
	if errors.As(err, &damaged) {
		err = fmt.Errorf("reading media: %w", malformed("%v", err))
	}
	return d.nothing(late, err)
}

// drop forgets a stream that turned out to be of a codec that is not carried.
func (d *Demuxer) drop(s *elementary.Stream) {
	d.joiner.Leave(s)
	if s == d.video {
		d.video = nil
	} else {
		d.audio = nil
	}
}

// nothing is [ErrNoTracks] once a publisher has sent media for so long that cannot be played, and err before.
func (d *Demuxer) nothing(late bool, err error) error {
	if !late || d.joiner.Known() {
		return err
	}
	if reason := cmp.Or(d.unsupported, err); reason != nil {
		return fmt.Errorf("%w: %w", ErrNoTracks, reason)
	}
	return ErrNoTracks
}

// current is the stream of a codec; nil if there is none, or that of another codec.
func (d *Demuxer) current(c codecs.Codec) *elementary.Stream {
	for _, s := range []*elementary.Stream{d.video, d.audio} {
		if s != nil && s.Codec() == c {
			return s
		}
	}
	return nil
}
