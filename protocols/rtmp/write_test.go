package rtmp

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"

	"weir/codecs"
	"weir/protocols/listen"
)

// decode reads what an encoder made.
func decode(t *testing.T, bs ...[]byte) []packet {
	t.Helper()
	in := slices.Concat(append([][]byte{appendControl(nil, 1, chunkSize)}, bs...)...)
	c := newChunkReader(bufio.NewReader(bytes.NewReader(in)))
	c.media = true
	ps, err := readAll(c)
	if err != io.EOF {
		t.Fatalf("reading what was encoded: %v", err)
	}
	return ps
}

func TestEncoderMakesMessagesThatAllViewersCanShare(t *testing.T) {
	const base = 1763683200 * 90000
	e := NewEncoder(base)
	payload := append([]byte{0, 1, 0, 0, 0x65}, make([]byte, 65535)...)
	out := [][]byte{e.Prologue(tracks)}
	for _, ms := range []int64{0, 40, 0xffffff, 1<<32 + 5} {
		out = append(out, e.Encode(&codecs.AccessUnit{DTS: base + ms*90, PTS: base + (ms+80)*90, RandomAccess: ms == 0, Payload: payload}))
		out = append(out, e.Encode(&codecs.AccessUnit{Track: 1, DTS: base + ms*90, PTS: base + ms*90, Payload: []byte{7}}))
	}
	got := decode(t, out...)
	if len(got) != 3+8 || got[0].typ != 18 || !bytes.Equal(got[1].body, avcHeader) || !bytes.Equal(got[2].body, aacHeader) {
		t.Fatalf("%d messages, prologue %.200v", len(got), got[:3])
	}
	for i, want := range []uint32{0, 40, 0xffffff, 5} {
		v, a := got[3+2*i], got[4+2*i]
		if v.timestamp != want || a.timestamp != want || v.stream != mediaStream || v.typ != 9 || a.typ != 8 {
			t.Errorf("messages at %d: %+v", want, a)
		}
		first := byte(0x27)
		if i == 0 {
			first = 0x17
		}
		if head := []byte{first, 1, 0, 0, 80}; !bytes.Equal(v.body, append(head, payload...)) {
			t.Errorf("video at %d begins with %x, want %x", want, v.body[:5], head)
		}
	}
	// New tracks are told at the time of the last access unit.
	if again := decode(t, e.Prologue(tracks[1:])); len(again) != 2 || again[1].timestamp != 5 {
		t.Errorf("second prologue = %+v", again)
	}
}

func TestEncodingAllocatesOnlyTheResult(t *testing.T) {
	e := NewEncoder(0)
	e.Prologue(tracks)
	au := &codecs.AccessUnit{Payload: make([]byte, 130000), DTS: 0x1000000 * 90}
	if n := testing.AllocsPerRun(100, func() { e.Encode(au) }); n > 1 {
		t.Errorf("Encode: %v allocations, want 1", n)
	}
}

// A loop is a feed of the same encoded bytes, so many times.
type loop struct {
	bufs [][]byte
	left int
}

func (l *loop) Next(_ context.Context, bufs [][]byte) ([][]byte, error) {
	if l.left == 0 {
		return bufs, io.EOF
	}
	l.left--
	return append(bufs, l.bufs...), nil
}
func (l *loop) Dropped() uint64 { return 0 }
func (l *loop) Close()          {}

// loopSource is a source whose viewers get what is encoded already.
type loopSource struct {
	hub
	loop loop
}

func (s *loopSource) Join(string, func(int64) codecs.Encoder) listen.Feed { return &s.loop }

// carryAllocations counts the allocations of the process while a viewer takes n batches of 20 access units.
func carryAllocations(t testing.TB, n int) uint64 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		c, err := l.Accept()
		if err != nil {
			return
		}
		b := make([]byte, 1<<20)
		for err == nil {
			_, err = c.Read(b)
		}
		_ = c.Close()
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	e := NewEncoder(0)
	src := &loopSource{loop: loop{left: n, bufs: [][]byte{e.Prologue(tracks)}}}
	for i := range int64(20) {
		src.loop.bufs = append(src.loop.bufs, e.Encode(&codecs.AccessUnit{DTS: i * 3600, PTS: i * 3600, Payload: make([]byte, 500)}))
	}
	c := newConn(conn, nil)
	c.play.source = src
	gone, stop := context.WithCancel(t.Context())
	feed := listen.Counted(src.Join(form, NewEncoder), &c.dropped)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := listen.Carry(gone, c.conn, feed, &c.sent); err != nil {
		t.Errorf("Carry: %v", err)
	}
	runtime.ReadMemStats(&after)
	stop()
	_ = conn.Close()
	<-read
	return after.Mallocs - before.Mallocs
}

func TestViewersOfEncodedMediaCostNoAllocations(t *testing.T) {
	few, many := carryAllocations(t, 10), carryAllocations(t, 1010)
	// 20,000 access units more; a handful is the runtime's own.
	if many > few+50 {
		t.Errorf("%d allocations for 200 access units, %d for 20,200: want no more", few, many)
	}
}

func BenchmarkViewer(b *testing.B) {
	// Budget: nothing per access unit beyond the write itself.
	b.ReportMetric(float64(carryAllocations(b, b.N))/float64(b.N), "allocs/batch")
}
