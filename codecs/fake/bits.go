package fake

import "math/bits"

// A writer appends bits, the most significant first (ITU-T H.264, 7.2).
type writer struct {
	b   []byte
	acc uint64 // the last n bits, not yet in b
	n   uint   // < 8 between calls
}

// u writes the n low bits of v; n is at most 32.
func (w *writer) u(v uint32, n uint) {
	w.acc = w.acc<<n | uint64(v)&(1<<n-1)
	for w.n += n; w.n >= 8; {
		w.n -= 8
		w.b = append(w.b, byte(w.acc>>w.n))
	}
}

// ue writes v as unsigned Exp-Golomb code (9.1).
func (w *writer) ue(v uint32) {
	n := uint(bits.Len32(v + 1))
	w.u(0, n-1)
	w.u(v+1, n)
}

// align fills the byte up with zero bits.
func (w *writer) align() {
	if w.n > 0 {
		w.u(0, 8-w.n)
	}
}

// trail ends a raw byte sequence payload (7.3.2.11).
func (w *writer) trail() {
	w.u(1, 1)
	w.align()
}

// appendNAL appends a NAL unit behind its length in four bytes. The payload gets its emulation prevention bytes
// (7.4.1.1).
func appendNAL(dst []byte, header byte, rbsp []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, header)
	zeros := 0
	for len(rbsp) > 0 {
		// Most bytes are neither 0 nor follow two zeros, and are copied in runs.
		run := 0
		for run < len(rbsp) && rbsp[run] != 0 && (zeros < 2 || rbsp[run] > 3) {
			run++
			zeros = 0
		}
		if dst = append(dst, rbsp[:run]...); run == len(rbsp) {
			break
		}
		c := rbsp[run]
		if zeros >= 2 && c <= 3 {
			dst, zeros = append(dst, 3), 0
		}
		if dst = append(dst, c); c == 0 {
			zeros++
		} else {
			zeros = 0
		}
		rbsp = rbsp[run+1:]
	}
	n := len(dst) - at - 4
	dst[at], dst[at+1], dst[at+2], dst[at+3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return dst
}
