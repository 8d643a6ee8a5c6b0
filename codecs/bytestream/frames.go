package bytestream

import "errors"

// A header is what the beginning of a frame says.
type header struct {
	size  int    // of the frame, with the header
	skip  int    // of what stands in the frame before what a track has
	alike uint32 // equal for all frames of a stream that does not change

	refused error // why the frame cannot be carried
}

var (
	errShort   = errors.New("a header needs more bytes")
	errNoFrame = errors.New("no frame begins here")
)

// frames cuts sound. What looks like a header can stand anywhere in a frame by chance. It counts where a frame is expected, where
// a packet of the container begins, and elsewhere if another one of the same kind stands where the frame ends.
type frames struct {
	// header reads the header at the start of b. The error is errShort if the bytes do not suffice, and errNoFrame if it is
	// none.
	header func(b []byte) (header, error)

	// unpack gives the units of a frame to [Splitter.give]. It is nil where the frame behind its header is the only one.
	unpack func(s *Splitter, b []byte, h header) error

	synced bool   // a frame is expected at the start of the buffer
	alike  uint32 // of the last frame
}

func (f *frames) lose(s *Splitter) (begun bool, err error) {
	begun = f.synced && len(s.buf) > 0
	f.synced = false
	return begun, nil
}

func (f *frames) cut(s *Splitter, last bool) error {
	at := 0
	defer func() { s.consume(at) }()
	for at < len(s.buf) {
		b := s.buf[at:]
		h, err := f.header(b)
		if err == nil && !f.expected(s, at, h) {
			err = f.confirm(b, h, last)
		}
		switch {
		case errors.Is(err, errShort) && !last, err == nil && h.size > len(b) && !last:
			return nil
		case err != nil:
			if f.synced {
				f.synced = false
				s.damaged++
			}
			at++
			continue
		case h.size > len(b):
			s.damaged++
			at = len(s.buf)
			return nil
		}
		f.synced, f.alike = true, h.alike
		mark := s.markAt(at)
		at += h.size
		if err := f.hand(s, b[:h.size], h, mark); err != nil {
			return err
		}
	}
	return nil
}

// expected says whether what looks like a header at a byte of the buffer is one without doubt.
func (f *frames) expected(s *Splitter, at int, h header) bool {
	if f.synced && h.alike == f.alike {
		return true
	}
	mark := s.markAt(at)
	return mark >= 0 && s.marks[mark].at == s.base+int64(at)
}

// confirm looks for the next header.
func (f *frames) confirm(b []byte, h header, last bool) error {
	switch {
	case h.size > len(b), h.size == len(b) && !last:
		return errShort
	case h.size == len(b):
		return nil
	}
	next, err := f.header(b[h.size:])
	if err == nil && next.alike != h.alike {
		err = errNoFrame
	}
	return err
}

func (f *frames) hand(s *Splitter, b []byte, h header, mark int) error {
	s.take(mark)
	if h.refused == nil {
		if f.unpack == nil {
			return s.give(b[h.skip:], nil)
		}
		err := f.unpack(s, b, h)
		refusal, ok := errors.AsType[*refusal](err)
		if !ok {
			return err
		}
		h.refused = refusal.error
	}
	s.unit.Parts, s.unit.Config, s.unit.Refused = nil, nil, h.refused
	return s.emit(&s.unit)
}

// give emits a frame. The mark is for the first only.
func (s *Splitter) give(frame, config []byte) error {
	s.part[0] = frame
	s.unit.Parts, s.unit.Config, s.unit.Refused = s.part[:], config, nil
	err := s.emit(&s.unit)
	s.unit.Mark = Mark{}
	return err
}

// A refusal is an error of a frame that cannot be carried.
type refusal struct{ error }
