// Package bytestream cuts the bytes of one elementary stream into access units: pictures of H.264 and H.265 between start
// codes, and frames of audio behind their headers.
//
// It knows no container. A container hands it pieces of any size, says which times stand at which byte, and where bytes are
// missing; where its own packets begin and end decides nothing. Damaged access units are left out, never put together of what
// remains.
package bytestream

// A Form is how an elementary stream says where its access units begin.
type Form uint8

// The forms.
const (
	H264      Form = iota + 1 // ITU-T H.264, annex B
	H265                      // ITU-T H.265, annex B
	ADTS                      // AAC, ISO/IEC 14496-3, 1.A.3.2
	LATM                      // AAC in LOAS, ISO/IEC 14496-3, 1.7.2
	MPEGAudio                 // ISO/IEC 11172-3 and 13818-3, all layers
	AC3                       // ETSI TS 102 366, 4.3
	Opus                      // control headers of ETSI TS 101 154's registration "Opus" in transport streams
)

// Recognise tells the form of a stream of sound by what it brings: b begins with a frame, and another one of the same kind stands
// where that one ends. It is 0 if there is none.
func Recognise(b []byte) Form {
	for _, c := range []struct {
		form   Form
		header func([]byte) (header, error)
	}{{ADTS, adtsHeader}, {LATM, latmHeader}, {AC3, ac3Header}, {MPEGAudio, mpegHeader}} {
		if len(b) == 0 {
			break
		}
		if h, err := c.header(b); err == nil && new(frames{header: c.header}).confirm(b, h, false) == nil {
			return c.form
		}
	}
	return 0
}

// A Mark is what a container says of the access unit that begins first behind it.
type Mark struct {
	DTS, PTS int64 // meaningful if Timed
	Timed    bool
	Key      bool // the container calls the access unit a random access point
	Break    bool // its time does not follow from those before it
}

// A Unit is an access unit. It and its slices are valid until the function that is given it returns.
type Unit struct {
	Mark // zero where the container says nothing of this access unit

	// Parts are the NAL units without start codes, or the frame without the header that a track does not have.
	Parts [][]byte

	// Config is the decoder configuration of AAC, in the form of [codecs.Track]. The same slice comes again as long as nothing
	// changes. It is nil for other forms.
	Config []byte

	// Refused, if not nil, says why the frame cannot be carried. It has no parts then.
	Refused error
}

// A Splitter cuts one elementary stream. It belongs to one goroutine.
type Splitter struct {
	emit   func(*Unit) error
	cutter cutter
	limit  int // the most bytes that are held

	buf   []byte // what is not cut yet; kept for its capacity
	base  int64  // the place of buf[0] in the stream
	marks []place
	sever bool // a [Mark.Break] that no access unit has got yet

	unit    Unit
	part    [1][]byte // of a unit of sound
	damaged int
}

// A place is a mark and the byte of the stream behind it.
type place struct {
	Mark
	at    int64
	taken bool
}

// maxMarks bounds the marks behind which nothing has begun yet.
const maxMarks = 64

// A cutter knows a form. It cuts what the splitter has in buf.
type cutter interface {
	// cut emits the access units that are complete. last says that nothing follows them.
	cut(s *Splitter, last bool) error

	// lose emits what is complete, forgets the access unit that has begun, and says whether there was one.
	lose(s *Splitter) (begun bool, err error)
}

// The most bytes of an access unit, with what is needed behind it to find its end. Level 6.2 of H.264 permits pictures of some
// tens of megabytes, which nobody sends.
const (
	maxPicture = 16 << 20
	maxFrame   = 64 << 10

	maxKept = 1 << 20 // what a buffer may keep for the next access unit
)

// NewSplitter makes a splitter of streams of a form, which hands each access unit to emit. An error of emit is returned by the
// method that was called.
func NewSplitter(f Form, emit func(*Unit) error) *Splitter {
	s := &Splitter{emit: emit, limit: maxFrame}
	switch f {
	case H264:
		s.cutter, s.limit = &pictures{syntax: &avc{}, torn: true}, maxPicture
	case H265:
		s.cutter, s.limit = &pictures{syntax: hevc{}, torn: true}, maxPicture
	case LATM:
		s.cutter = &frames{header: latmHeader, unpack: new(latm).unpack}
	case MPEGAudio:
		s.cutter = &frames{header: mpegHeader}
	case AC3:
		s.cutter = &frames{header: ac3Header}
	case Opus:
		s.cutter = &frames{header: opusHeader}
	default:
		s.cutter = &frames{header: adtsHeader, unpack: new(adts).unpack}
	}
	return s
}

// Mark says what the container tells of the access unit that begins first in what follows.
func (s *Splitter) Mark(m Mark) {
	if len(s.marks) == maxMarks {
		s.forget(1)
	}
	s.marks = append(s.marks, place{Mark: m, at: s.base + int64(len(s.buf))})
}

// Write takes the bytes that follow.
func (s *Splitter) Write(b []byte) error {
	s.buf = append(s.buf, b...)
	if err := s.cutter.cut(s, false); err != nil {
		return err
	}
	if len(s.buf) > s.limit {
		return s.Gap()
	}
	return nil
}

// Gap says that bytes are missing here. The access unit that has begun is left out.
func (s *Splitter) Gap() error {
	begun, err := s.cutter.lose(s)
	if begun {
		s.damaged++
	}
	s.consume(len(s.buf))
	s.forget(len(s.marks))
	return err
}

// Flush says that nothing follows: the access unit that has begun is complete.
func (s *Splitter) Flush() error {
	err := s.cutter.cut(s, true)
	s.consume(len(s.buf))
	s.forget(len(s.marks))
	return err
}

// Held is the number of bytes that are not cut yet.
func (s *Splitter) Held() int { return len(s.buf) }

// Damaged is how many access units were left out because bytes were missing or wrong.
func (s *Splitter) Damaged() int { return s.damaged }

// consume takes n bytes from the front of buf.
func (s *Splitter) consume(n int) {
	if n == 0 {
		return
	}
	s.base += int64(n)
	if rest := s.buf[n:]; cap(s.buf) > maxKept && len(rest) < maxKept/2 {
		s.buf = append(make([]byte, 0, maxKept/2), rest...)
	} else {
		s.buf = s.buf[:copy(s.buf, rest)]
	}
	stale := 0
	for stale+1 < len(s.marks) && s.marks[stale+1].at <= s.base {
		stale++
	}
	s.forget(stale)
}

// forget drops the first n marks. A break that no access unit has got is kept.
func (s *Splitter) forget(n int) {
	for _, m := range s.marks[:n] {
		s.sever = s.sever || m.Break && !m.taken
	}
	s.marks = append(s.marks[:0], s.marks[n:]...)
}

// markAt returns the index of the mark behind which a byte of buf stands; -1 for none.
func (s *Splitter) markAt(i int) int {
	at := s.base + int64(i)
	for m := len(s.marks) - 1; m >= 0; m-- {
		if s.marks[m].at <= at {
			return m
		}
	}
	return -1
}

// take gives the mark at an index to the access unit that is emitted next, if none has got it yet.
func (s *Splitter) take(i int) {
	s.unit.Mark = Mark{Break: s.sever}
	if i >= 0 && !s.marks[i].taken {
		s.marks[i].taken = true
		s.unit.Mark = s.marks[i].Mark
		s.unit.Break = s.unit.Break || s.sever
	}
	s.sever = false
}
