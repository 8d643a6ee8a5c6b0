package amf

import (
	"encoding/binary"
	"math"
)

// A reader walks one body. Invariant: 0 <= pos <= len(b).
type reader struct {
	b      []byte
	pos    int
	values int // counted against MaxValues
}

// take returns the next n bytes.
func (r *reader) take(n int) ([]byte, error) {
	if n > len(r.b)-r.pos {
		return nil, ErrTruncated
	}
	b := r.b[r.pos : r.pos+n]
	r.pos += n
	return b, nil
}

func (r *reader) value(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, ErrTooDeep
	}
	if r.values++; r.values > MaxValues {
		return nil, ErrTooMany
	}
	m, err := r.take(1)
	if err != nil {
		return nil, err
	}
	switch m[0] {
	case markNumber:
		return r.number()
	case markBoolean:
		b, err := r.take(1)
		if err != nil {
			return nil, err
		}
		return b[0] != 0, nil
	case markString:
		return r.string()
	case markLongString, markXML:
		return r.longString()
	case markNull:
		return nil, nil
	case markUndefined, markUnsupported:
		return Undefined{}, nil
	case markReference:
		_, err := r.take(2)
		return Undefined{}, err
	case markDate:
		n, err := r.number()
		if err != nil {
			return nil, err
		}
		_, err = r.take(2) // the time zone, "reserved, not supported" (2.13)
		return Date(n), err
	case markObject:
		return r.object(depth)
	case markTypedObject:
		if _, err := r.string(); err != nil {
			return nil, err
		}
		return r.object(depth)
	case markECMAArray:
		if _, err := r.take(4); err != nil { // a hint, and often wrong
			return nil, err
		}
		o, err := r.object(depth)
		return ECMAArray(o), err
	case markStrictArray:
		return r.array(depth)
	default:
		return nil, ErrUnsupported
	}
}

func (r *reader) number() (float64, error) {
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

func (r *reader) string() (string, error) {
	n, err := r.take(2)
	if err != nil {
		return "", err
	}
	b, err := r.take(int(binary.BigEndian.Uint16(n)))
	return string(b), err
}

func (r *reader) longString() (string, error) {
	n, err := r.take(4)
	if err != nil {
		return "", err
	}
	size := binary.BigEndian.Uint32(n)
	if uint64(size) > uint64(len(r.b)-r.pos) {
		return "", ErrTruncated
	}
	b, err := r.take(int(size))
	return string(b), err
}

// object reads properties to the end marker. Some encoders leave the end of their last object out, so the end of the
// body serves as well.
func (r *reader) object(depth int) (Object, error) {
	o := Object{}
	for {
		if r.pos == len(r.b) {
			return o, nil
		}
		key, err := r.string()
		if err != nil {
			return nil, err
		}
		if key == "" {
			end, err := r.take(1)
			if err != nil {
				return nil, err
			}
			if end[0] != markObjectEnd {
				return nil, ErrMalformed
			}
			return o, nil
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o = append(o, Field{key, v})
	}
}

func (r *reader) array(depth int) ([]any, error) {
	b, err := r.take(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(r.b)-r.pos) { // an element takes a byte at least
		return nil, ErrTruncated
	}
	vs := []any{}
	for range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		vs = append(vs, v)
	}
	return vs, nil
}
