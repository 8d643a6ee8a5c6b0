package nal

import "bytes"

// Message finds the first SEI message of a kind in what is behind the header of a NAL unit of them, of which there may be several
// (ITU-T H.264, 7.3.2.3.1; H.265, 7.3.2.4). Emulation prevention bytes are left out of the body.
func Message(b []byte, kind int) (body []byte, ok bool) {
	b = bytes.ReplaceAll(b, []byte{0, 0, 3}, []byte{0, 0})
	for len(b) >= 2 && b[0] != 0x80 { // the trailing bits
		k, rest, ok := sum(b)
		if !ok {
			break
		}
		size, rest, ok := sum(rest)
		if !ok || size > len(rest) {
			break
		}
		if k == kind {
			return rest[:size], true
		}
		b = rest[size:]
	}
	return nil, false
}

// sum reads a number that is a sum of bytes, of which all but the last are 255.
func sum(b []byte) (n int, rest []byte, ok bool) {
	for i, x := range b {
		if n += int(x); x != 0xff {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}
