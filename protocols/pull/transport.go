package pull

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"weir/codecs"
	"weir/codecs/bytestream"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/mpegts"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// wrapTS is where the timestamps of transport streams begin again at 0.
const wrapTS = 1 << 33

// A transport makes access units of a transport stream, or of segments of one. Of the streams of a kind that can be carried it takes
// the first that brings something; the others are reported as left out. It is the [mpegts.Receiver] of its demuxer.
type transport struct {
	demuxer *mpegts.Demuxer
	joiner  *elementary.Joiner
	report  reception.Report
	wanted  int // the number of the program; 0 for the first that can be played

	// refuse, if not nil, says why a codec is not wanted. Name is that of the codec.
	refuse func(codec codecs.Codec, name string) error

	// put, if not nil, has an access unit joined, now or later.
	put func(timed bool, at int64, do func() error) error

	// leaveOut, if not nil, is told what is left out, in the place of the joiner.
	leaveOut func([]reception.LeftOut)

	streams  []*stream // of the program, in the order of its table
	counted  mpegts.Counters
	started  bool  // the streams of a program are known
	hopeless error // none of them can be carried
}

// A stream is an elementary stream of the program.
type stream struct {
	*mpegts.Stream
	joined  *elementary.Stream // nil if the stream is left out
	config  []byte             // that it was joined with, or was last configured with
	refused error              // why it cannot be carried, as far as is known
	barred  bool               // it will not be, whatever it brings

	begun     bool  // it has brought something
	scrambled bool  // it is
	first     int64 // the first timestamp since which it waits to take the place of another, if waits
	waits     bool
}

// patience is how much of its media a stream brings before it takes the place of one that has brought nothing, in ticks: a little less
// than after which the tracks are announced without that one.
const patience = elementary.Wait * 3 / 4

// newTransport makes a transport that writes to out. Program is the number of the program that is wanted; 0 stands for the first that
// can be played.
func newTransport(out codecs.Writer, report reception.Report, program int) *transport {
	t := &transport{joiner: elementary.New(out, report, wrapTS), report: report, wanted: program}
	t.demuxer = mpegts.NewDemuxer(t, program)
	return t
}

// Write takes the bytes that follow, in pieces of any size. It implements [io.Writer].
func (t *transport) Write(b []byte) (int, error) {
	n, err := t.demuxer.Write(b)
	t.count()
	if err == nil {
		err = t.hopeless
	}
	return n, err
}

// Flush says that nothing follows.
func (t *transport) Flush() error {
	err := t.demuxer.Flush()
	t.count()
	if err == nil {
		err = t.hopeless
	}
	if err != nil {
		return err
	}
	return t.joiner.Flush()
}

// absent says whether the program that is wanted is none of those that the stream lists.
func (t *transport) absent() bool {
	numbers := t.demuxer.Programs()
	return t.wanted != 0 && len(numbers) > 0 && !slices.Contains(numbers, t.wanted)
}

// programs says, behind an error, what the stream lists.
func (t *transport) programs() string {
	switch numbers := t.demuxer.Programs(); {
	case len(numbers) == 0:
		return ", with no list of programs"
	case t.absent():
		return fmt.Sprintf("; it has no program %d, but %v", t.wanted, numbers)
	default:
		return fmt.Sprintf("; it has the programs %v", numbers)
	}
}

// count reports what the demuxer has counted since the last time.
func (t *transport) count() {
	now, before := t.demuxer.Counters(), t.counted
	t.counted = now
	if n := now.ContinuityErrors - before.ContinuityErrors; n > 0 {
		t.report.Count(reception.ContinuityErrors, int(n), nil)
	}
	for _, c := range []struct {
		n    uint64
		what error
	}{
		{now.Damaged - before.Damaged, errDamagedUnit},
		{now.Unreadable - before.Unreadable, errUnreadable},
		{now.BadSections - before.BadSections, errBadTable},
		{now.Resyncs - before.Resyncs, errNoPacket},
	} {
		if c.n > 0 {
			t.report.Count(reception.Damaged, int(c.n), c.what)
		}
	}
}

var (
	errDamagedUnit = errors.New("an access unit of which packets are missing")
	errUnreadable  = errors.New("a packet that cannot be read")
	errBadTable    = errors.New("a table with a wrong checksum")
	errNoPacket    = errors.New("bytes between the packets")
)

// Streams implements [mpegts.Receiver].
func (t *transport) Streams(list []*mpegts.Stream) {
	old := t.streams
	t.started, t.streams = true, make([]*stream, 0, len(list))
	for _, s := range list {
		t.streams = append(t.streams, t.known(old, s))
	}
	for _, o := range old {
		if o.joined != nil && t.of(o.Stream) != o && !t.moved(o, old) {
			t.joiner.Leave(o.joined)
		}
	}
	t.fill()
}

// known returns the stream that goes on, or a new one.
func (t *transport) known(old []*stream, s *mpegts.Stream) *stream {
	for _, o := range old {
		if o.Stream == s {
			return o
		}
	}
	n := &stream{Stream: s}
	switch {
	case s.Kind == mpegts.Data:
		n.refused = errNeither
	case s.Form == 0:
		n.refused = &codecs.UnsupportedError{Video: s.Kind == mpegts.Video, Name: s.Name}
	case t.refuse != nil:
		n.refused = t.refuse(carriage.OfForm(s.Form), s.Name)
	}
	n.barred = n.refused != nil
	return n
}

// moved says whether a stream that the program no longer has goes on under another PID, and lets it.
func (t *transport) moved(o *stream, old []*stream) bool {
	for _, s := range t.streams {
		if s.Form == o.Form && s.refused == nil && s.joined == nil && !slices.Contains(old, s) {
			s.joined, s.config, s.begun = o.joined, o.config, o.begun
			s.joined.Name = s.track()
			return true
		}
	}
	return false
}

// track names the stream in reports.
func (s *stream) track() string { return fmt.Sprintf("PID %d", s.PID) }

func (t *transport) of(s *mpegts.Stream) *stream {
	for _, o := range t.streams {
		if o.Stream == s {
			return o
		}
	}
	return nil
}

// taken returns the stream of a kind that is joined; nil if there is none.
func (t *transport) taken(kind mpegts.Kind) *stream {
	for _, s := range t.streams {
		if s.Kind == kind && s.joined != nil {
			return s
		}
	}
	return nil
}

// fill joins streams in free places, and reports the rest.
func (t *transport) fill() {
	for _, s := range t.streams {
		if s.refused == nil && s.joined == nil && t.taken(s.Kind) == nil {
			t.join(s)
		}
	}
	var out []reception.LeftOut
	none := ErrNoTracks
	any := false
	for _, s := range t.streams {
		any = any || s.joined != nil || s.Untold && s.Form == 0
		if s.joined != nil {
			continue
		}
		reason := "it is not the first of its kind"
		if s.refused != nil {
			reason = s.refused.Error()
			if s.Kind != mpegts.Data {
				none = fmt.Errorf("%w; %w", none, s.refused)
			}
		}
		out = append(out, reception.LeftOut{Track: s.track(), Codec: s.Name, Reason: reason})
	}
	if t.leaveOut != nil {
		t.leaveOut(out)
	} else {
		t.joiner.LeaveOut(out)
	}
	t.hopeless = nil
	if !any {
		t.hopeless = fmt.Errorf("program %d: %w", t.demuxer.Program(), none)
	}
}

func (t *transport) join(s *stream) {
	s.joined, s.refused = t.joiner.Join(carriage.OfForm(s.Form), s.Config)
	if s.joined != nil {
		s.joined.Name = s.track()
	}
	s.config, s.barred = s.Config, s.refused != nil
}

// Scrambled implements [mpegts.Receiver].
func (t *transport) Scrambled(of *mpegts.Stream, scrambled bool) {
	if s := t.of(of); s != nil {
		s.scrambled = scrambled
	}
	reason := ""
	for _, s := range t.streams {
		if s.scrambled && s.joined != nil && reason == "" {
			reason = fmt.Sprintf("%s (%s) is scrambled, and there is no key", s.track(), s.Name)
		}
	}
	t.report.Meet(reception.Scrambled, reason)
}

// Unit implements [mpegts.Receiver].
func (t *transport) Unit(of *mpegts.Stream, u *bytestream.Unit) error {
	s := t.of(of)
	switch {
	case s == nil, s.barred, u.Refused != nil && s.refused != nil:
		return nil
	case u.Refused != nil:
		return t.reject(s, u.Refused)
	}
	s.begun = true
	if s.joined == nil && !t.replace(s, u) {
		return nil
	}
	if t.put != nil {
		kept := *u
		kept.Parts = make([][]byte, len(u.Parts))
		for i, part := range u.Parts {
			kept.Parts[i] = bytes.Clone(part)
		}
		return t.put(u.Timed, u.DTS, func() error { return t.hand(s, &kept) })
	}
	return t.hand(s, u)
}

// hand gives an access unit to the stream that is joined for it.
func (t *transport) hand(s *stream, u *bytestream.Unit) error {
	if s.joined == nil {
		return nil // it has left since
	}
	if u.Config != nil && !bytes.Equal(u.Config, s.config) {
		s.config = u.Config
		if err := s.joined.Configure(u.Config); err != nil {
			return t.reject(s, err)
		}
	}
	if u.Break {
		s.joined.Break()
	}
	var at timeline.Stamp
	switch {
	case u.Timed && s.Kind == mpegts.Video && u.DTS != u.PTS:
		at = timeline.At(u.DTS, u.PTS)
	case u.Timed: // there is no DTS, or it says the same (2.4.3.7)
		at = timeline.Presented(u.PTS)
	case s.Kind == mpegts.Audio: // a further frame of its PES packet
		at = timeline.Following()
	}
	if s.Kind == mpegts.Audio {
		u.Parts[0] = bytes.Clone(u.Parts[0]) // frames are kept as they are
	}
	err := s.joined.Add(at, u.Parts...)
	if unsupported, ok := errors.AsType[*codecs.UnsupportedError](err); ok {
		return t.reject(s, unsupported)
	}
	return err
}

// reject leaves a stream out that turned out to be none that can be carried.
func (t *transport) reject(s *stream, why error) error {
	if s.joined != nil {
		t.joiner.Leave(s.joined)
	}
	s.joined, s.refused = nil, why
	t.fill()
	return t.hopeless
}

// replace joins a stream that brings something in the place of another that has brought nothing so far, once it has waited, or in
// the place of none.
func (t *transport) replace(s *stream, u *bytestream.Unit) bool {
	before := t.taken(s.Kind)
	switch {
	case before == nil:
		if s.refused != nil && u.Config != nil && bytes.Equal(u.Config, s.config) {
			return false // as it was when it was refused
		}
	case before.begun, !u.Timed:
		return false
	default:
		if !s.waits {
			s.waits, s.first = true, u.PTS
		}
		if span := (u.PTS - s.first) & (wrapTS - 1); span < patience || span > wrapTS/2 {
			return false
		}
		t.joiner.Leave(before.joined)
		before.joined = nil
	}
	t.join(s)
	t.fill() // which reports
	return s.joined != nil
}
