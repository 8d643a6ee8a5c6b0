package sim

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"time"
)

// A tracer writes the lines of a run, and makes their hash:
//
//	T+00020.000000000 #001234 <#001201 n3 stale peer=n2 age=3000000001
//
// the true time, the number of the line, that of the line which led to it, the node, and what happened. Every thousand
// lines there is one with the hash so far, so that two traces can be compared by halves.
type tracer struct {
	keep       bool
	lines      []Line
	number     uint64
	cause      uint64 // of the lines being written
	sum        hash.Hash
	unnumbered hash.Hash // of the lines of nodes without numbers, to compare runs that should not differ; nil: not wanted
	buf        []byte    // what the hash has not seen yet
	start      int       // of the line being written
	stamp      int       // end of its time
	body       int       // of its part after the numbers
	at         time.Duration
	node       string
}

func newTracer(keep bool) *tracer {
	return &tracer{keep: keep, sum: sha256.New(), buf: make([]byte, 0, 1<<14)}
}

const hashEvery = 1000

// line begins a line.
func (t *tracer) line(now time.Duration, node, what string) *tracer {
	t.number++
	t.at, t.node, t.start = now, node, len(t.buf)
	t.buf = append(t.buf, "T+"...)
	t.pad(uint64(now/time.Second), 5)
	t.buf = append(t.buf, '.')
	t.pad(uint64(now%time.Second), 9)
	t.stamp = len(t.buf)
	t.buf = append(t.buf, " #"...)
	t.pad(t.number, 6)
	t.buf = append(t.buf, " <#"...)
	t.pad(t.cause, 6)
	t.buf = append(t.buf, ' ')
	t.body = len(t.buf)
	t.buf = append(t.buf, node...)
	t.buf = append(t.buf, ' ')
	t.buf = append(t.buf, what...)
	return t
}

// pairs are the digits of the numbers 00 to 99, as two bytes each.
var pairs = func() (p [100]uint16) {
	for i := range p {
		p[i] = binary.LittleEndian.Uint16([]byte{byte('0' + i/10), byte('0' + i%10)})
	}
	return p
}()

// mostDigits is the number of digits that a number has at most.
const mostDigits = 20

// powers are those of ten.
var powers = func() (p [mostDigits]uint64) {
	p[0] = 1
	for i := range p[1:] {
		p[i+1] = p[i] * 10
	}
	return p
}()

// pad writes a number with at least that many digits.
func (t *tracer) pad(n uint64, digits int) {
	for digits < mostDigits && n >= powers[digits] {
		digits++
	}
	at := len(t.buf)
	t.buf = slices.Grow(t.buf, digits)[:at+digits]
	b := t.buf[at:]
	for len(b) > 1 {
		binary.LittleEndian.PutUint16(b[len(b)-2:], pairs[n%100])
		n /= 100
		b = b[:len(b)-2]
	}
	if len(b) > 0 {
		b[0] = byte('0' + n)
	}
}

// text adds key=value; nothing if the value is empty.
func (t *tracer) text(key, value string) *tracer {
	if value == "" {
		return t
	}
	t.buf = append(t.buf, ' ')
	t.buf = append(t.buf, key...)
	t.buf = append(t.buf, '=')
	for i := range len(value) { // one line, one word each
		c := value[i]
		if c <= ' ' || c == 0x7f {
			c = '_'
		}
		t.buf = append(t.buf, c)
	}
	return t
}

// num adds key=number.
func (t *tracer) num(key string, n int64) *tracer {
	t.buf = append(t.buf, ' ')
	t.buf = append(t.buf, key...)
	t.buf = append(t.buf, '=')
	if n < 0 {
		t.buf = append(t.buf, '-')
		n = -n
	}
	digits := 1
	t.pad(uint64(n), digits)
	return t
}

// end ends the line and returns its number.
func (t *tracer) end() uint64 {
	if t.unnumbered != nil && t.node != "-" {
		t.unnumbered.Write(t.buf[t.start:t.stamp])
		t.unnumbered.Write(t.buf[t.body:])
	}
	if t.keep {
		t.lines = append(t.lines, Line{t.number, t.cause, t.at, t.node, string(t.buf[t.start:])})
	}
	n := t.number
	t.buf = append(t.buf, '\n')
	if len(t.buf) > cap(t.buf)-512 {
		t.flush()
	}
	if n%hashEvery == 0 {
		t.flush()
		cause := t.cause
		t.cause = 0
		t.line(t.at, "-", "hash").text("sum", hex.EncodeToString(t.sum.Sum(nil))).end()
		t.cause = cause
	}
	return n
}

// causes ends the line, and makes it the cause of those that follow.
func (t *tracer) causes() { t.cause = t.end() }

func (t *tracer) flush() {
	t.sum.Write(t.buf)
	t.buf = t.buf[:0]
}

// finish writes the last line, which is the hash of all others.
func (t *tracer) finish(now time.Duration) string {
	t.flush()
	h := hex.EncodeToString(t.sum.Sum(nil))
	if t.keep {
		t.cause = 0
		t.line(now, "-", "sha256").text("sum", h).end()
	}
	return h
}

// Causes are the lines of the trace that led to a line, with it, the first cause first, at most so many. A timer that led
// to the next timer is left out: it explains nothing.
func (r *Result) Causes(line uint64, most int) []Line {
	var chain []Line
	for line != 0 && len(chain) < most {
		i, ok := slices.BinarySearchFunc(r.Trace, line, func(l Line, n uint64) int { return cmp.Compare(l.Number, n) })
		if !ok {
			break
		}
		if len(chain) == 0 || !strings.HasSuffix(r.Trace[i].Text, " tick") {
			chain = append(chain, r.Trace[i])
		}
		if r.Trace[i].Cause >= line {
			break
		}
		line = r.Trace[i].Cause
	}
	slices.Reverse(chain)
	return chain
}
