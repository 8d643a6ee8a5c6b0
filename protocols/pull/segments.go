package pull

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"weir/codecs"
	"weir/codecs/bytestream"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/nal"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// A wanted says which kinds of tracks are taken from segments.
type wanted struct{ video, audio bool }

func (w wanted) check(video bool) error {
	switch {
	case video && !w.video:
		return errors.New("the pictures of another playlist are played")
	case !video && !w.audio:
		return errors.New("the sound of another playlist is played")
	}
	return nil
}

// A segmentReader makes access units of segments of one form, one after the other.
type segmentReader interface {
	// read takes a segment, and the init segment that applies to it or nil. After a discontinuity another timeline begins.
	read(init, segment []byte, discontinuity bool) error

	// leave takes back what was joined.
	leave()
}

// ErrForm says that a segment is of no form that can be read.
var ErrForm = errors.New("it is neither a transport stream nor fragmented MP4 nor a stream of sound")

// A shared is what the media of a presentation have in common.
type shared struct {
	mu      sync.Mutex // held while segments are read
	joiner  *elementary.Joiner
	report  reception.Report
	left    map[*medium][]reception.LeftOut
	failing map[*medium]string // what cannot be had of them now
	order   merged
}

// fails notes what cannot be had of a medium; nil that all can.
func (s *shared) fails(m *medium, err error) {
	if err == nil {
		delete(s.failing, m)
		m.failed = time.Time{}
	} else {
		s.failing[m] = err.Error()
		if m.failed.IsZero() {
			m.failed = time.Now()
		}
	}
	reason := ""
	for of, why := range s.failing {
		if reason == "" || of.name == "" {
			reason = why
		}
	}
	s.report.Meet(reception.Unavailable, reason)
}

// leaveOut reports what a medium leaves out, beside what others do.
func (s *shared) leaveOut(m *medium, list []reception.LeftOut) {
	s.left[m] = list
	var all []reception.LeftOut
	for _, name := range []string{"", "sound"} {
		for of, l := range s.left {
			if of.name == name {
				all = append(all, l...)
			}
		}
	}
	s.joiner.LeaveOut(all)
}

// A form is how the media of a segment is held.
type form uint8

const (
	formNone form = iota
	formTransport
	formFragments
	formSound
)

// formOf tells the form of a segment by how it begins.
func formOf(segment []byte) form {
	sound := afterTags(segment)
	switch {
	case synchronous(segment):
		return formTransport
	case isBox(segment):
		return formFragments
	case bytestream.Recognise(sound) != 0:
		return formSound
	}
	return formNone
}

// reader makes the reader of the form.
func (f form) reader(m *medium) segmentReader {
	switch f {
	case formTransport:
		return newTransportSegments(m)
	case formFragments:
		return newFragments(m)
	}
	return newPackedSound(m)
}

// synchronous says whether packets of a transport stream follow each other, of any size that they have.
func synchronous(b []byte) bool {
	for _, size := range []int{tsPacket, tsPacket + 4, tsPacket + 16} {
		for at := range min(size, len(b)) {
			if b[at] == tsSync && (at+size >= len(b) || b[at+size] == tsSync) && (at == 0 || len(b) > 2*size) {
				return true
			}
		}
	}
	return false
}

// isBox says whether b begins with a box that a segment may begin with (ISO/IEC 14496-12, 8.16).
func isBox(b []byte) bool {
	return len(b) >= 8 && slices.Contains([]string{"styp", "ftyp", "moof", "moov", "sidx", "prft", "emsg", "free", "mdat", "skip", "uuid"}, string(b[4:8]))
}

// transportSegments reads segments that are transport streams.
type transportSegments struct{ t *transport }

func newTransportSegments(m *medium) *transportSegments {
	t := newTransport(nil, m.shared.report, m.program)
	t.joiner = m.shared.joiner
	t.put = m.put
	t.leaveOut = func(list []reception.LeftOut) { m.shared.leaveOut(m, list) }
	if m.takes != (wanted{true, true}) {
		t.refuse = func(codec codecs.Codec, _ string) error { return m.takes.check(codec.Video()) }
	}
	return &transportSegments{t}
}

func (r *transportSegments) read(_, segment []byte, discontinuity bool) error {
	if err := r.t.demuxer.NextSegment(discontinuity); err != nil {
		return err
	}
	_, err := r.t.Write(segment)
	return err
}

func (r *transportSegments) leave() {
	for _, s := range r.t.streams {
		if s.joined != nil {
			r.t.joiner.Leave(s.joined)
		}
	}
	r.t.streams = nil
}

// packedSound reads segments that hold nothing but frames of sound, behind an ID3 tag that says the time of the first
// (RFC 8216, 3.4).
type packedSound struct {
	m      *medium
	form   bytestream.Form
	split  *bytestream.Splitter
	stream *elementary.Stream
	config []byte
	at     timeline.Stamp // of the next frame
	first  int64          // the time of the first frame of the segment
	timed  bool           // that is the next one
	cut    bool           // its time does not go on
}

func newPackedSound(m *medium) *packedSound { return &packedSound{m: m} }

func (r *packedSound) read(_, segment []byte, discontinuity bool) error {
	if err := r.m.takes.check(false); err != nil {
		return err
	}
	frames := afterTags(segment)
	form := bytestream.Recognise(frames)
	if form == 0 {
		return fmt.Errorf("%w: it begins with %q", ErrForm, frames[:min(len(frames), 16)])
	}
	if r.split == nil || r.form != form {
		r.leave()
		r.form, r.split = form, bytestream.NewSplitter(form, r.unit)
	}
	if r.first, r.timed = timeOf(segment); r.timed {
		r.at = timeline.Presented(r.first)
	} else {
		r.at = timeline.Following()
	}
	r.cut = discontinuity
	damaged := r.split.Damaged()
	err := r.split.Write(frames)
	if err == nil {
		err = r.split.Flush() // frames do not go over the end of a segment
	}
	if n := r.split.Damaged() - damaged; n > 0 {
		r.m.shared.report.Count(reception.Damaged, n, errDamagedUnit)
	}
	return err
}

func (r *packedSound) unit(u *bytestream.Unit) error {
	if u.Refused != nil {
		return u.Refused
	}
	if r.stream == nil {
		s, err := r.m.shared.joiner.Join(carriage.OfForm(r.form), u.Config)
		if err != nil {
			return err
		}
		s.Name = "the sound"
		r.stream, r.config = s, u.Config
	}
	stream, at, cut, config := r.stream, r.at, r.cut, []byte(nil)
	if u.Config != nil && !bytes.Equal(u.Config, r.config) {
		r.config, config = u.Config, u.Config
	}
	timed := r.timed
	r.at, r.cut, r.timed = timeline.Following(), false, false
	frame := bytes.Clone(u.Parts[0])
	return r.m.put(timed, r.first, func() error {
		if config != nil {
			if err := stream.Configure(config); err != nil {
				return err
			}
		}
		if cut {
			stream.Break()
		}
		return stream.Add(at, frame)
	})
}

func (r *packedSound) leave() {
	if r.stream != nil {
		r.m.shared.joiner.Leave(r.stream)
	}
	r.stream, r.split = nil, nil
}

// tagSize is the size of the ID3 tag with which b begins; 0 if it begins with none.
func tagSize(b []byte) int {
	if len(b) < 10 || string(b[:3]) != "ID3" {
		return 0
	}
	size := 10 + (int(b[6]&0x7f)<<21 | int(b[7]&0x7f)<<14 | int(b[8]&0x7f)<<7 | int(b[9]&0x7f))
	if b[5]&0x10 != 0 {
		size += 10 // a footer
	}
	return min(size, len(b))
}

// afterTags is b without the ID3 tags at its beginning.
func afterTags(b []byte) []byte {
	for n := tagSize(b); n > 0; n = tagSize(b) {
		b = b[n:]
	}
	return b
}

// timeOf reads the timestamp of the first frame out of the ID3 tags: a PRIV frame whose owner identifier is the following one.
func timeOf(b []byte) (pts int64, ok bool) {
	const owner = "com.apple.streaming.transportStreamTimestamp\x00"
	for n := tagSize(b); n > 0; n = tagSize(b) {
		if at := bytes.Index(b[:n], []byte(owner)); at >= 0 && at+len(owner)+8 <= n {
			return int64(binary.BigEndian.Uint64(b[at+len(owner):]) & (wrapTS - 1)), true
		}
		b = b[n:]
	}
	return 0, false
}

// fragments reads segments of fragmented MP4.
type fragments struct {
	m      *medium
	init   []byte
	tracks map[uint32]*fragmentTrack
}

// A fragmentTrack is a track of fragments that is joined.
type fragmentTrack struct {
	*movieTrack
	stream *elementary.Stream
	sets   [][]byte // parameter sets of a new init segment, to go before the next access unit
	cut    bool
}

func newFragments(m *medium) *fragments { return &fragments{m: m, tracks: map[uint32]*fragmentTrack{}} }

func (r *fragments) read(init, segment []byte, discontinuity bool) error {
	whole := segment
	if init != nil {
		whole = slices.Concat(init, segment)
	}
	movie := newMovie(bytes.NewReader(whole), int64(len(whole)))
	movie.anyCodec = true
	if err := movie.scan(); err != nil {
		return err
	}
	if init == nil {
		init = segment[:len(segment):len(segment)] // it describes itself, and may do so in another way each time
	}
	if !bytes.Equal(init, r.init) {
		if err := r.join(movie); err != nil {
			return err
		}
		r.init = init
	}
	type sample struct {
		track *fragmentTrack
		of    *movieTrack
		at    mediaSample
		dts   int64
		pts   int64
	}
	var all []sample
	for _, t := range movie.tracks {
		f := r.tracks[t.id]
		if f == nil {
			continue
		}
		f.cut = f.cut || discontinuity
		for _, s := range t.samples {
			dts, err := rescale(s.dts-t.mediaTime, t.scale)
			if err != nil {
				return err
			}
			pts, err := rescale(s.pts-t.mediaTime, t.scale)
			if err != nil {
				return err
			}
			all = append(all, sample{f, t, s, dts, pts})
		}
	}
	slices.SortStableFunc(all, func(a, b sample) int { return int(max(-1, min(1, a.dts-b.dts))) })
	for _, s := range all {
		b, err := movie.sample(place{s.at.offset, s.at.size})
		if err != nil {
			return err
		}
		cut := s.track.cut
		s.track.cut = false
		if err := r.m.put(true, s.dts, func() error {
			if cut {
				s.track.stream.Break()
			}
			return s.track.add(timeline.At(s.dts, s.pts), b, s.of, r.m.shared.report)
		}); err != nil {
			return err
		}
	}
	return nil
}

// add adds a sample. One that cannot be read is counted and left out.
func (t *fragmentTrack) add(at timeline.Stamp, b []byte, of *movieTrack, report reception.Report) error {
	units := [][]byte{b}
	if of.nal != nil {
		var err error
		if units, err = nal.Split(b, of.sets.LengthSize); err != nil {
			report.Count(reception.Damaged, 1, err)
			return nil
		}
		units = append(t.sets[:len(t.sets):len(t.sets)], units...)
		t.sets = nil
	}
	return t.stream.Add(at, units...)
}

// join takes the tracks of an init segment: those that go on keep their streams.
func (r *fragments) join(m *movie) error {
	var selection elementary.Selection
	chosen := map[uint32]*movieTrack{}
	for _, t := range m.tracks {
		if selection.Offer(trackName(t.id), t.track.Codec.String(), t.track.Codec.Video(), r.m.takes.check(t.track.Codec.Video())) {
			chosen[t.id] = t
		}
	}
	for _, x := range m.refused {
		selection.Offer(trackName(x.id), x.codec, x.video, x.reason)
	}
	r.m.shared.leaveOut(r.m, selection.LeftOut)
	if err := selection.Err(); err != nil {
		return err
	}
	for id, f := range r.tracks {
		if t := chosen[id]; t == nil || t.track.Codec != f.stream.Codec() {
			r.m.shared.joiner.Leave(f.stream)
			delete(r.tracks, id)
		}
	}
	for id, t := range chosen {
		f := r.tracks[id]
		if f != nil {
			if t.nal != nil {
				f.sets = t.sets.Sets
			} else if t.track.Config != nil {
				if err := f.stream.Configure(t.track.Config); err != nil {
					return fmt.Errorf("%s: %w", trackName(id), err)
				}
			}
			continue
		}
		stream, err := r.m.shared.joiner.Join(t.track.Codec, t.track.Config, t.sets.Sets...)
		if err != nil {
			return fmt.Errorf("%s: %w", trackName(id), err)
		}
		stream.Name = trackName(id)
		r.tracks[id] = &fragmentTrack{movieTrack: t, stream: stream}
	}
	return nil
}

func (r *fragments) leave() {
	for _, f := range r.tracks {
		r.m.shared.joiner.Leave(f.stream)
	}
	clear(r.tracks)
	r.init = nil
}
