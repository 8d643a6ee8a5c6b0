package mpegts_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"weir/codecs"
	"weir/codecs/mpegts"
	"weir/codecs/mpegts/mpegtstest"
)

// A stream is a transport stream as it arrives, and what is to be found in it. Lost are access units that may be missing: those
// of which something was withheld.
type stream struct {
	name  string
	make  func(t testing.TB) []byte
	lost  int                                     // pictures, at most
	mute  int                                     // frames of sound, at most
	count func(c mpegts.Counters) (got, want int) // nil: nothing is counted
}

// seconds is how long the streams are.
const seconds = 3

// damaged are streams of our writer that something has happened to.
var damaged = []stream{
	{name: "as it is", make: whole},
	{name: "with a time before each packet", make: func(t testing.TB) []byte {
		return mpegtstest.Each(whole(t), func(i int, _ uint16, p []byte) []byte { return append([]byte{0x47, byte(i), 2, 3}, p...) })
	}, count: func(c mpegts.Counters) (int, int) { return int(c.Resyncs), 0 }},
	{name: "with a checksum behind each packet", make: func(t testing.TB) []byte {
		return mpegtstest.Each(whole(t), func(_ int, _ uint16, p []byte) []byte { return append(p, bytes.Repeat([]byte{0x47}, 16)...) })
	}, count: func(c mpegts.Counters) (int, int) { return int(c.Resyncs), 0 }},
	{name: "from the middle of a packet on", make: func(t testing.TB) []byte { return whole(t)[2*188+77:] }, lost: 50, mute: 95},
	{name: "with bytes inserted", make: func(t testing.TB) []byte {
		return mpegtstest.Each(whole(t), func(i int, _ uint16, p []byte) []byte {
			if i == 100 {
				return append(bytes.Repeat([]byte{0x47}, 100), p...)
			}
			return p
		})
	}, lost: 2, mute: 2},
	{name: "with bytes removed", make: func(t testing.TB) []byte {
		b := whole(t)
		return append(bytes.Clone(b[:100*188+40]), b[100*188+90:]...)
	}, lost: 2, mute: 2},
	{name: "with a wrong sync byte", make: func(t testing.TB) []byte {
		b := whole(t)
		b[90*188] = 0x46
		return b
	}, lost: 2, mute: 2},
	{name: "without a packet of a picture", make: without(pictures), lost: 1, count: errorsOf(1)},
	{name: "without a packet of sound", make: without(sound), mute: 1, count: errorsOf(1)},
	{name: "with an error in transport", make: func(t testing.TB) []byte {
		n := 0
		return mpegtstest.Each(whole(t), func(_ int, pid uint16, p []byte) []byte {
			if pid == pictures {
				if n++; n == 40 {
					p[1] |= 0x80
					p[3] ^= 5
				}
			}
			return p
		})
	}, lost: 1, count: errorsOf(1)},
	{name: "with every packet twice", make: func(t testing.TB) []byte {
		return mpegtstest.Each(whole(t), func(_ int, _ uint16, p []byte) []byte { return append(p, p...) })
	}, count: errorsOf(0)},
	{name: "with counters that stand still", make: func(t testing.TB) []byte {
		return mpegtstest.Each(whole(t), func(_ int, _ uint16, p []byte) []byte {
			p[3] &= 0xf0
			return p
		})
	}, lost: 25, mute: 25},
	{name: "with other counters at announced places", make: func(t testing.TB) []byte {
		by := map[uint16]byte{}
		return mpegtstest.Each(whole(t), func(_ int, pid uint16, p []byte) []byte {
			if pid == pictures && p[1]&0x40 != 0 && p[3]&0x20 != 0 && p[4] > 0 {
				p[5] |= 0x80
				by[pid] += 5
			}
			p[3] = p[3]&0xf0 | (p[3]+by[pid])&15
			return p
		})
	}, count: errorsOf(0)},
	{name: "with packets that have no payload, and null packets", make: func(t testing.TB) []byte {
		return mpegtstest.Each(whole(t), func(i int, pid uint16, p []byte) []byte {
			empty := append([]byte{0x47, byte(pid >> 8), byte(pid), 0x20 | p[3]&15, 183, 0}, bytes.Repeat([]byte{0xff}, 182)...)
			null := append([]byte{0x47, 0x1f, 0xff, 0x10 | byte(i*7)&15}, bytes.Repeat([]byte{0x47}, 184)...)
			return append(append(p, empty...), null...)
		})
	}, count: errorsOf(0)},
	{name: "with damaged tables between", make: func(t testing.TB) []byte {
		return mpegtstest.Each(whole(t), func(i int, pid uint16, p []byte) []byte {
			if (pid == 0 || pid == table) && i > 2 {
				p[10+i%10] ^= 1 << (i % 8)
			}
			return p
		})
	}},
	{name: "with tables that come late", make: func(t testing.TB) []byte {
		n := 0
		return mpegtstest.Each(whole(t), func(_ int, pid uint16, p []byte) []byte {
			if n++; n < 50 && (pid == 0 || pid == table) {
				return nil
			}
			return p
		})
	}, lost: 50, mute: 95},
	{name: "with the table of another program that is in force later", make: func(t testing.TB) []byte {
		m := &mpegtstest.Multiplex{}
		next := m.ProgramMap(1, mpegtstest.ES{Type: 0x1b, PID: 0x300})
		next[5] &^= 1
		mpegtstest.Seal(next)
		m.Tables(table, next)
		return mpegtstest.Each(whole(t), func(i int, pid uint16, p []byte) []byte {
			if pid == pictures && i%50 == 0 {
				return append(p, m.Out...)
			}
			return p
		})
	}, count: func(c mpegts.Counters) (int, int) { return int(c.BadSections), 0 }},
	{name: "with a table between that has a wrong checksum", make: func(t testing.TB) []byte {
		m := &mpegtstest.Multiplex{}
		wrong := m.ProgramMap(1, mpegtstest.ES{Type: 0x1b, PID: 0x300})
		wrong[len(wrong)-1]++
		m.Tables(table, wrong)
		n := 0
		return mpegtstest.Each(whole(t), func(_ int, pid uint16, p []byte) []byte {
			if pid == pictures {
				if n++; n == 20 {
					return append(p, m.Out...)
				}
			}
			return p
		})
	}, count: func(c mpegts.Counters) (int, int) { return int(c.BadSections), 1 }},
}

func whole(t testing.TB) []byte {
	b, _, _ := written(t, seconds)
	return b
}

func without(which uint16) func(testing.TB) []byte {
	return func(t testing.TB) []byte {
		n := 0
		return mpegtstest.Each(whole(t), func(_ int, pid uint16, p []byte) []byte {
			if pid == which {
				if n++; n == 41 {
					return nil
				}
			}
			return p
		})
	}
}

func errorsOf(n int) func(mpegts.Counters) (int, int) {
	return func(c mpegts.Counters) (int, int) { return int(c.ContinuityErrors), n }
}

func TestDamageCostsWhatItDamaged(t *testing.T) {
	clean, _ := read(t, whole(t), 0, 1<<20)
	for _, tt := range damaged {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.make(t)
			for _, size := range []int{1 << 20, 1000, 188, 61} {
				k, d := read(t, b, 0, size)
				for _, of := range []struct {
					pid  uint16
					lost int
				}{{pictures, tt.lost}, {sound, tt.mute}} {
					got, want := k.units[of.pid], clean.units[of.pid]
					if len(got) < len(want)-of.lost || len(got) > len(want) || len(want) == 0 {
						t.Errorf("pieces of %d: PID %d: %d access units of %d, want %d to be lost at most", size, of.pid, len(got), len(want), of.lost)
					}
					subset(t, got, want)
				}
				if tt.count != nil {
					if got, want := tt.count(d.Counters()); got != want {
						t.Errorf("pieces of %d: counted %d, want %d: %+v", size, got, want, d.Counters())
					}
				}
			}
		})
	}
}

// subset says which of the units are not among those of the clean stream, in their order: units that were put together wrongly, or
// have another time.
func subset(t *testing.T, got, clean []taken) {
	t.Helper()
	for i, u := range got {
		for len(clean) > 0 && !equal(clean[0], u) {
			clean = clean[1:]
		}
		if len(clean) == 0 {
			t.Errorf("access unit %d of %d, at %d, is none that was sent", i, len(got), u.PTS)
			return
		}
		clean = clean[1:]
	}
}

func equal(a, b taken) bool {
	return slices.EqualFunc(a.parts, b.parts, bytes.Equal) && (a.PTS == b.PTS && a.DTS == b.DTS || !a.Timed || !b.Timed)
}

func TestDiscontinuityOfTheClockIsToldOnce(t *testing.T) {
	tracks, units := excerpt(t, 2)
	e := mpegts.NewEncoder(0)
	b := e.Prologue(tracks)
	for _, shift := range []int64{0, 500000} {
		for i, au := range units {
			moved := *au
			moved.DTS += shift
			moved.PTS += shift
			moved.Discontinuity = shift > 0 && i == 0
			b = append(b, e.Encode(&moved)...)
		}
	}
	k, _ := read(t, b, 0, 188)
	for _, pid := range []uint16{pictures, sound} {
		var at []int
		for i, u := range k.units[pid] {
			if u.Break {
				at = append(at, i)
			}
		}
		if half := len(k.units[pid]) / 2; !slices.Equal(at, []int{half}) {
			t.Errorf("PID %d: breaks before access units %v, want %d", pid, at, half)
		}
	}
}

func TestSegmentsGoOn(t *testing.T) {
	tracks, units := excerpt(t, 4)
	half := slices.IndexFunc(units, func(au *codecs.AccessUnit) bool { return au.RandomAccess && au.DTS >= units[0].DTS+2*codecs.ClockRate })
	for _, discontinuity := range []bool{false, true} {
		k := newTaker()
		d := mpegts.NewDemuxer(k, 0)
		for i, part := range [][]*codecs.AccessUnit{units[:half], units[half:]} {
			segment := mpegtstest.Each(mpegts.Segment(tracks, part), func(_ int, _ uint16, p []byte) []byte {
				p[3] = p[3]&0xf0 | (p[3]+byte(5*i))&15 // each segment counts by itself
				return p
			})
			if err := d.NextSegment(discontinuity); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(append(segment, 0x47, 1, 2)); err != nil { // the beginning of a packet that was cut off
				t.Fatal(err)
			}
		}
		if err := d.Flush(); err != nil {
			t.Fatal(err)
		}
		video, audio := k.units[pictures], k.units[sound]
		if len(video) != 100 || len(audio) < 187 || d.Counters().ContinuityErrors != 0 {
			t.Errorf("discontinuity %t: %d pictures, %d sounds, %d continuity errors", discontinuity, len(video), len(audio), d.Counters().ContinuityErrors)
		}
		if len(video) == 100 && video[50].Break != discontinuity {
			t.Errorf("discontinuity %t: the picture behind it has a break: %t", discontinuity, video[50].Break)
		}
	}
}

func TestErrorOfTheReceiverIsReturned(t *testing.T) {
	k := newTaker()
	k.refuses = errors.New("enough")
	d := mpegts.NewDemuxer(k, 0)
	if _, err := d.Write(whole(t)); !errors.Is(err, k.refuses) || len(k.units[pictures])+len(k.units[sound]) != 1 {
		t.Errorf("Write = %v after %d pictures and %d sounds, want %v after one", err, len(k.units[pictures]), len(k.units[sound]), k.refuses)
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	b := whole(t)
	d := mpegts.NewDemuxer(nothing{}, 0)
	if _, err := d.Write(b); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(5, func() { _, _ = d.Write(b) }); n > 20 { // parameter sets are parsed
		t.Errorf("%v allocations for %d packets", n, len(b)/188)
	}
}

// BenchmarkDemuxer reads two seconds of 1 Mbit/s. A gigabyte in a second is the budget: 0.02 % of a core for each stream.
func BenchmarkDemuxer(b *testing.B) {
	tracks := codecs.Tracks{videoTrack, aacTrack}
	stream := mpegts.Segment(tracks, media(1, tracks, 2, 20000))
	d := mpegts.NewDemuxer(nothing{}, 0)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Write(stream); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzDemuxer reads garbage among packets: whatever comes, memory is bounded, and units have parts or a reason.
func FuzzDemuxer(f *testing.F) {
	for _, tt := range slices.Concat(damaged, tabled) {
		b := tt.make(f)
		f.Add(b[:min(len(b), 60*204)], uint16(0), uint16(61))
	}
	f.Fuzz(func(t *testing.T, b []byte, program, size uint16) {
		k := newTaker()
		d := mpegts.NewDemuxer(k, int(program))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for rest := b; len(rest) > 0; {
			n := min(len(rest), int(size)+1)
			if _, err := d.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := d.Flush(); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+100*len(b)); got > most {
			t.Fatalf("%d bytes allocated for %d", got, len(b))
		}
		for pid, list := range k.units {
			for _, u := range list {
				if (len(u.parts) == 0) == (u.refused == nil) {
					t.Fatalf("PID %d: a unit of %d parts, refused: %v", pid, len(u.parts), u.refused)
				}
				if u.Timed && (u.PTS < 0 || u.PTS >= wrap || u.DTS < 0 || u.DTS >= wrap) {
					t.Fatalf("PID %d: DTS %d, PTS %d", pid, u.DTS, u.PTS)
				}
			}
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := &mpegtstest.Multiplex{}
	list := make([]mpegtstest.ES, 60)
	for i := range list {
		list[i] = mpegtstest.ES{Type: 0x1b, PID: uint16(0x200 + i)}
	}
	m.Tables(0, m.Association(mpegtstest.Listed{Number: 1, PID: table}))
	m.Tables(table, m.ProgramMap(1, list...))
	d := mpegts.NewDemuxer(nothing{}, 0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 400_000 { // 75 MB of pictures without end
		if i < len(list) {
			m.Packet(list[i].PID, true, mpegtstest.PES(0xe0, 0, false, []byte{0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 0x88}))
		} else {
			m.Packet(list[r.IntN(len(list))].PID, false, bytes.Repeat([]byte{byte(i) | 2}, 184))
		}
		if _, err := d.Write(m.Out); err != nil {
			t.Fatal(err)
		}
		m.Out = m.Out[:0]
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 60<<20 {
		t.Errorf("%d MB are held of %d that were sent", got>>20, 400_000*184>>20)
	}
	runtime.KeepAlive(d)
}
