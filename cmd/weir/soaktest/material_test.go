package soaktest

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"maps"
	"sync"
	"time"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/nal"
)

const (
	rate    = 25 // pictures in a second
	picture = codecs.ClockRate / rate
	second  = codecs.ClockRate // from one random access point to the next
)

// A material is a programme that is on air since the epoch, in two forms whose pictures have other sizes.
type material struct {
	forms [2]*fake.Pattern

	mu       sync.Mutex
	segments [2]map[int64][]*codecs.AccessUnit
	sums     map[uint32]bool // checksums of the coded pictures that were made
}

func newMaterial() (*material, error) {
	m := &material{segments: [2]map[int64][]*codecs.AccessUnit{{}, {}}, sums: map[uint32]bool{}}
	for i, c := range []fake.Config{{Width: 256, Height: 144}, {Width: 320, Height: 180}} {
		c.Rate, c.GOP, c.Audio = rate, rate, fake.Silence
		p, err := fake.New(c)
		if err != nil {
			return nil, err
		}
		m.forms[i] = p
	}
	return m, nil
}

func (m *material) tracks(form int) codecs.Tracks { return m.forms[form].Tracks() }

// segment makes a segment of the pattern, and forgets old ones.
func (m *material) segment(form int, number int64) []*codecs.AccessUnit {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.segments[form][number]; s != nil {
		return s
	}
	s, err := m.forms[form].Segment(number)
	if err != nil {
		panic(err)
	}
	m.segments[form][number] = s
	delete(m.segments[form], number-10)
	for _, au := range s {
		if m.forms[form].Tracks()[au.Track].Codec.Video() {
			m.sums[sum(au.Payload)] = true
		}
	}
	return s
}

// between are the access units of a time, from one instant to before another one, that the caller may change.
func (m *material) between(form int, from, to int64) (out []*codecs.AccessUnit) {
	p := m.forms[form]
	for n := p.SegmentAt(from); n <= p.SegmentAt(to); n++ {
		for _, au := range m.segment(form, n) {
			if au.DTS >= from && au.DTS < to {
				c := *au
				out = append(out, &c)
			}
		}
	}
	return out
}

// sum is the checksum of the coded slice of a picture, which is its last NAL unit.
func sum(payload []byte) uint32 {
	var last []byte
	for u := range nal.Units(payload) {
		last = u
	}
	return crc32.ChecksumIEEE(last)
}

// whole says whether a picture has the bytes with which it was made.
func (m *material) whole(payload []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sums[sum(payload)]
}

// mark is what the SEI message of each picture begins with, behind which its number is (package fake).
var mark = []byte{0x7c, 0x1e, 0x5b, 0x0f, 0x93, 0xd4, 0x4a, 0x62, 0xb1, 0x38, 0x5d, 0xe9, 0x06, 0xf2, 0xa7, 0x4c}

// numberOf reads the number of a picture, since the epoch.
func numberOf(payload []byte) (number int64, ok bool) {
	_, rest, ok := bytes.Cut(payload, mark)
	n := 0
	for i, zeros := 0, 0; ok && i < len(rest) && n < 8; i++ {
		if zeros >= 2 && rest[i] == 3 { // emulation_prevention_three_byte
			zeros = 0
			continue
		}
		if rest[i] == 0 {
			zeros++
		} else {
			zeros = 0
		}
		number = number<<8 | int64(rest[i])
		n++
	}
	return number, n == 8
}

// now is the instant that is on air.
func now() int64 { return time.Now().UnixNano() / 100_000 * 9 }

// nextPoint is the first random access point at or after an instant.
func nextPoint(at int64) int64 { return (at + second - 1) / second * second }

// A record is what a source has done with each picture, and what viewers have got.
type record struct {
	mu     sync.Mutex
	sent   map[int64]bool // pictures that have left whole, on a connection that lasted
	seen   map[int64]int
	spoilt int // pictures that viewers got with other bytes
	events []event
	figures
}

// figures are the numbers of a record.
type figures struct {
	sounds int // access units of sound that have left
	heard  int // access units of sound that viewers got
	faults map[string]int
	ended  error

	// For how long a source that was well was not asked: the longest time, and all.
	idle, unasked time.Duration
}

// snapshot copies the figures. Connections of a source may last beyond the soak.
func (r *record) snapshot() figures {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.figures
	f.faults = maps.Clone(f.faults)
	return f
}

func newRecord() *record {
	return &record{sent: map[int64]bool{}, figures: figures{faults: map[string]int{}}, seen: map[int64]int{}}
}

func (r *record) fault(name string) {
	r.note(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[name]++
}

// An event is something that a source has done, and when, by the number of the picture that was on air.
type event struct {
	at   int64
	what string
}

// note keeps an event for the report of what is lost.
func (r *record) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event{now() / picture, what})
}

// around lists the events between two pictures.
func (r *record) around(from, to, first int64) (list string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.at >= from && e.at <= to {
			list += fmt.Sprintf(" %d:%s", e.at-first, e.what)
		}
	}
	return list
}

// send notes pictures that have been sent.
func (r *record) send(numbers ...int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range numbers {
		r.sent[n] = true
	}
}

// see notes a picture that a viewer has got.
func (r *record) see(m *material, payload []byte) {
	n, ok := numberOf(payload)
	whole := m.whole(payload)
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok { // else the packet before the picture is missing, in which its number was
		r.seen[n]++
	}
	if !whole {
		r.spoilt++
	}
}

// A verdict is what became of the pictures of a time.
type verdict struct{ aired, withheld, sent, lost, spoilt int }

// judge looks at the pictures with numbers from first to before last.
func (r *record) judge(first, last int64) (v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v.spoilt = r.spoilt
	for n := first; n < last; n++ {
		v.aired++
		switch {
		case !r.sent[n]:
			v.withheld++
		case r.seen[n] == 0:
			v.sent++
			v.lost++
		default:
			v.sent++
		}
	}
	return v
}

// missing lists the numbers that were sent and never seen, as runs behind first, with what happened around them.
func (r *record) missing(first, last int64) (list string) {
	for n := first; n < last; n++ {
		from := n
		for n < last && r.lost(n) {
			n++
		}
		if n > from {
			list += fmt.Sprintf("\n%d+%d, from segment %d on:%s", from-first, n-from, from*picture/length, r.around(from-150, n+150, first))
		}
	}
	return list
}

func (r *record) lost(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent[n] && r.seen[n] == 0
}
