package fake

// Index returns the number, counted from the Unix epoch, that an access unit of a test pattern carries in an SEI
// message, so that access units can be counted wherever they come out. The payload is that of a
// [weir/codecs.AccessUnit]; it reports false for any other.
func Index(payload []byte) (int64, bool) {
	for len(payload) >= 5 {
		n := int(payload[0])<<24 | int(payload[1])<<16 | int(payload[2])<<8 | int(payload[3])
		if payload = payload[4:]; n < 1 || n > len(payload) {
			return 0, false
		}
		if payload[0]&0x1f == nalSEI {
			if index, ok := indexOf(unescape(payload[1:n])); ok {
				return index, true
			}
		}
		payload = payload[n:]
	}
	return 0, false
}

// unescape removes emulation prevention bytes from the first bytes of a NAL unit, more than any SEI of ours has.
func unescape(b []byte) []byte {
	const enough = 4096
	out := make([]byte, 0, min(len(b), enough))
	zeros := 0
	for _, c := range b[:min(len(b), enough)] {
		if zeros >= 2 && c == 3 {
			zeros = 0
			continue
		}
		if out = append(out, c); c == 0 {
			zeros++
		} else {
			zeros = 0
		}
	}
	return out
}

// indexOf looks for our message among those of an SEI (7.3.2.3.1).
func indexOf(b []byte) (int64, bool) {
	number := func() int {
		v := 0
		for len(b) > 0 {
			c := b[0]
			b = b[1:]
			if v += int(c); c != 0xff {
				return v
			}
		}
		return -1
	}
	for len(b) >= 2 {
		kind, size := number(), number()
		if kind < 0 || size < 0 || size > len(b) {
			return 0, false
		}
		if kind == seiUserData && size == len(identifier)+8 && [16]byte(b) == identifier {
			index := int64(0)
			for _, c := range b[len(identifier):size] {
				index = index<<8 | int64(c)
			}
			return index, true
		}
		b = b[size:]
	}
	return 0, false
}
