package fake

// identifier is the uuid_iso_iec_11578 of our SEI messages: a random (version 4) UUID.
var identifier = [16]byte{0x7c, 0x1e, 0x5b, 0x0f, 0x93, 0xd4, 0x4a, 0x62, 0xb1, 0x38, 0x5d, 0xe9, 0x06, 0xf2, 0xa7, 0x4c}

const seiUserData = 5 // user_data_unregistered (ITU-T H.264, D.1.7)

// seiPayload is the message for one access unit, its index in 64 bits behind the identifier.
func seiPayload(index int64) []byte {
	b := make([]byte, 0, 2+len(identifier)+8+1)
	b = append(b, seiUserData, byte(len(identifier)+8))
	b = append(b, identifier[:]...)
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(index>>shift))
	}
	return append(b, 0x80)
}

// Index returns the number, counted from the Unix epoch, that an access unit of a test pattern carries in an SEI
// message, so that tests can count access units wherever they come out. The payload is that of a
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
