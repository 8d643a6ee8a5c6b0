package rtmp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"reflect"
	"runtime"
	"slices"
	"testing"
)

// count is a body of n bytes that count.
func count(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// head0 is a type 0 header on chunk stream 6 for a video message of n bytes.
func head0(ts uint32, n int) []byte {
	f := min(ts, 0xffffff)
	b := []byte{6, byte(f >> 16), byte(f >> 8), byte(f), byte(n >> 16), byte(n >> 8), byte(n), 9, 1, 0, 0, 0}
	if f == 0xffffff {
		b = binary.BigEndian.AppendUint32(b, ts)
	}
	return b
}

var ext = []byte{1, 0, 0, 5} // 0x1000005

var chunkTests = []struct {
	name string
	in   []byte
	want []packet // of what is not the chunk layer's own
	err  error    // after these; io.EOF if nil
}{
	{name: "nothing"},
	{name: "type 0", in: slices.Concat(head0(7, 3), count(3)), want: []packet{{9, 1, 7, count(3)}}},
	{name: "without body", in: head0(7, 0), want: []packet{{9, 1, 7, []byte{}}}},
	{
		name: "two chunks", in: slices.Concat(head0(7, 130), count(130)[:128], []byte{0xc6}, count(130)[128:]),
		want: []packet{{9, 1, 7, count(130)}},
	},
	{
		name: "types 1, 2 and 3 begin messages",
		in: slices.Concat(head0(10, 1), []byte{1}, []byte{0x46, 0, 0, 5, 0, 0, 2, 8, 2, 2}, []byte{0x86, 0, 0, 7, 3, 3},
			[]byte{0xc6, 4, 4}),
		want: []packet{{9, 1, 10, []byte{1}}, {8, 1, 15, []byte{2, 2}}, {8, 1, 22, []byte{3, 3}}, {8, 1, 29, []byte{4, 4}}},
	},
	{
		name: "type 3 after type 0 takes its timestamp as the delta", in: slices.Concat(head0(40, 1), []byte{1, 0xc6, 2}),
		want: []packet{{9, 1, 40, []byte{1}}, {9, 1, 80, []byte{2}}},
	},
	{
		name: "chunk stream numbers of two and three bytes",
		in: slices.Concat([]byte{0, 10}, head0(1, 1)[1:], []byte{1}, []byte{1, 10, 1}, head0(2, 1)[1:], []byte{2},
			[]byte{0xc0, 10, 3}, []byte{0xc1, 10, 1, 4}),
		want: []packet{{9, 1, 1, []byte{1}}, {9, 1, 2, []byte{2}}, {9, 1, 2, []byte{3}}, {9, 1, 4, []byte{4}}},
	},
	{
		name: "interleaved", in: slices.Concat(head0(1, 130), count(128), []byte{4}, head0(2, 2)[1:], []byte{9, 9}, []byte{0xc6, 128, 129}),
		want: []packet{{9, 1, 2, []byte{9, 9}}, {9, 1, 1, count(130)}},
	},
	{
		name: "chunk size", in: slices.Concat([]byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 200}, head0(0, 200), count(200)),
		want: []packet{{9, 1, 0, count(200)}},
	},
	{
		name: "extended timestamp, repeated in type 3",
		in:   slices.Concat(head0(0x1000005, 260), count(128), []byte{0xc6}, ext, count(256)[128:], []byte{0xc6}, ext, []byte{0, 1, 2, 3}),
		want: []packet{{9, 1, 0x1000005, append(count(256), 0, 1, 2, 3)}},
	},
	{
		name: "extended timestamp, not repeated",
		in:   slices.Concat(head0(0x1000005, 260), count(128), []byte{0xc6}, count(256)[128:], []byte{0xc6, 0, 1, 2, 3}),
		want: []packet{{9, 1, 0x1000005, append(count(256), 0, 1, 2, 3)}},
	},
	{
		name: "extended timestamp, not repeated, and one byte is left",
		in:   slices.Concat(head0(0x1000005, 129), count(128), []byte{0xc6, 128}),
		want: []packet{{9, 1, 0x1000005, count(129)}},
	},
	{
		name: "extended timestamp, not repeated, and later media looks like it",
		in: slices.Concat(head0(0x1000005, 129), count(128), []byte{0xc6, 128}, head0(0x1000005, 132), count(128), []byte{0xc6},
			ext),
		want: []packet{{9, 1, 0x1000005, count(129)}, {9, 1, 0x1000005, slices.Concat(count(128), ext)}},
	},
	{
		name: "extended timestamp exactly at the border", in: slices.Concat(head0(0xffffff, 1), []byte{1}),
		want: []packet{{9, 1, 0xffffff, []byte{1}}},
	},
	{
		name: "extended delta that wraps", in: slices.Concat(head0(0xfffffff0, 1), []byte{1}, []byte{0x46, 0, 0, 0x20, 0, 0, 1, 9, 2}),
		want: []packet{{9, 1, 0xfffffff0, []byte{1}}, {9, 1, 0x10, []byte{2}}},
	},
	{
		name: "abort", in: slices.Concat(head0(1, 130), count(128), []byte{2, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 6}, head0(2, 1), []byte{5}),
		want: []packet{{9, 1, 2, []byte{5}}},
	},
	{
		name: "a new header in the middle of a message", in: slices.Concat(head0(1, 130), count(128), head0(2, 1), []byte{5}),
		want: []packet{{9, 1, 2, []byte{5}}},
	},
	{
		name: "librtmp's ping on a fresh chunk stream", in: []byte{0x42, 0, 0, 0, 0, 0, 6, 9, 0, 6, 0, 0, 0, 1},
		want: []packet{{9, 0, 0, []byte{0, 6, 0, 0, 0, 1}}},
	},
	{name: "begins with type 2", in: []byte{0x86, 0, 0, 1, 1}, err: errProtocol},
	{name: "begins with type 3", in: []byte{0xc6, 1}, err: errProtocol},
	{name: "chunk size zero", in: []byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0}, err: errProtocol},
	{name: "chunk size of 2^31", in: []byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0x80, 0, 0, 0}, err: errProtocol},
	{name: "short chunk size", in: []byte{2, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1}, err: errProtocol},
	{name: "long control message", in: []byte{2, 0, 0, 0, 0, 0, 65, 3, 0, 0, 0, 0, 0}, err: errLimit},
	{name: "command of 64 KB and one byte", in: []byte{3, 0, 0, 0, 1, 0, 1, 20, 0, 0, 0, 0}, err: errLimit},
	{name: "data of 1 MB and one byte", in: []byte{3, 0, 0, 0, 0x10, 0, 1, 18, 0, 0, 0, 0}, err: errLimit},
	{name: "ends in a header", in: head0(7, 3)[:8], err: io.ErrUnexpectedEOF},
	{name: "ends in a message", in: slices.Concat(head0(7, 3), count(2)), err: io.ErrUnexpectedEOF},
	{name: "ends between chunks of a message", in: slices.Concat(head0(7, 130), count(128)), err: io.ErrUnexpectedEOF},
}

// stutter is a reader that gives one byte at a time and fails with a deadline before each.
type stutter struct {
	r     io.Reader
	ready bool
}

func (s *stutter) Read(b []byte) (int, error) {
	s.ready = !s.ready
	if s.ready {
		return 0, os.ErrDeadlineExceeded
	}
	return s.r.Read(b[:1])
}

// readAll reads messages, over interruptions, until an error.
func readAll(c *chunkReader) ([]packet, error) {
	var ps []packet
	for {
		p, err := c.next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return ps, err
		}
		if p.typ != 1 && p.typ != 2 {
			ps = append(ps, p)
		}
	}
}

func TestChunksBecomeMessages(t *testing.T) {
	for _, tt := range chunkTests {
		for how, r := range map[string]io.Reader{"": bytes.NewReader(tt.in), ", interrupted at every byte": &stutter{r: bytes.NewReader(tt.in)}} {
			t.Run(tt.name+how, func(t *testing.T) {
				c := newChunkReader(bufio.NewReaderSize(r, 64))
				c.media = true
				got, err := readAll(c)
				if want := tt.err; want == nil && err != io.EOF || !errors.Is(err, tt.err) && want != nil {
					t.Errorf("next: error = %v, want %v", err, want)
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("messages = %v, want %v", got, tt.want)
				}
				if tt.err == nil && c.partial != 0 {
					t.Errorf("%d bytes are counted for unfinished messages, want 0", c.partial)
				}
			})
		}
	}
}

// bombs are what costs its sender the connection; media says whether the sender may publish.
var bombs = []struct {
	name  string
	media bool
	in    func() io.Reader
}{
	{"65 chunk streams", true, func() io.Reader {
		var b []byte
		for i := range 65 {
			b = append(b, byte(i%60)+3)
			if i >= 60 {
				b = b[:len(b)-1]
				b = append(b, 0, byte(i))
			}
			b = append(b, head0(0, 1)[1:]...)
			b = append(b, 1)
		}
		return bytes.NewReader(b)
	}},
	{"16 MB announced before anything may be published", false, func() io.Reader { return bytes.NewReader(head0(0, 1<<24-1)) }},
	{"unfinished messages of 60 KB before anything may be published", false, func() io.Reader {
		var b []byte
		for i := range 60 {
			b = append(b, byte(i)+3)
			b = append(b, head0(0, 60000)[1:]...)
			b = append(b, make([]byte, 128)...)
		}
		return bytes.NewReader(b)
	}},
	{"60 unfinished messages of 16 MB", true, func() io.Reader {
		size := []byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xfe}
		rs := []io.Reader{bytes.NewReader(size)}
		for i := range 60 {
			rs = append(rs, bytes.NewReader([]byte{byte(i) + 3}), bytes.NewReader(head0(0, 1<<24-1)[1:]),
				io.LimitReader(zero{}, 1<<24-2))
		}
		return io.MultiReader(rs...)
	}},
}

type zero struct{}

func (zero) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestBombsCostTheirSenderTheConnectionAndWeirLittle(t *testing.T) {
	for _, tt := range bombs {
		t.Run(tt.name, func(t *testing.T) {
			in := tt.in()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c := newChunkReader(bufio.NewReader(in))
			if tt.media {
				c.allowMedia()
			}
			_, err := readAll(c)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, errLimit) {
				t.Errorf("next: error = %v, want %v", err, errLimit)
			}
			limit := uint64(1 << 20)
			if tt.media {
				limit = 2 * maxPartial // it grew there by copying
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > limit {
				t.Errorf("%d bytes were allocated, want at most %d", got, limit)
			}
		})
	}
}

func TestAnnouncedMessagesAllocateOnlyAsTheyCome(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := newChunkReader(bufio.NewReader(bytes.NewReader(slices.Concat(head0(0, 1<<24-1), count(100)))))
	c.media = true
	_, err := c.next()
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("next: error = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2*firstPiece {
		t.Errorf("%d bytes were allocated for a message of 16 MB that did not come", got)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 129, 59995, 60000, 60001, 120000, 200000} {
		for _, ts := range []uint32{0, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff} {
			b := appendMessage(nil, chunkSize, csVideo, 9, mediaStream, ts, count(n)[:min(n, 5)], count(n)[min(n, 5):])
			if want := messageSize(chunkSize, ts, n); len(b) != want {
				t.Errorf("message of %d bytes at %#x takes %d bytes, messageSize says %d", n, ts, len(b), want)
			}
			c := newChunkReader(bufio.NewReader(bytes.NewReader(append(appendControl(nil, 1, chunkSize), b...))))
			c.media = true
			got, err := readAll(c)
			if err != io.EOF || len(got) != 1 || got[0].timestamp != ts || !bytes.Equal(got[0].body, count(n)) {
				t.Fatalf("message of %d bytes at %#x is read as %.100v, %v", n, ts, got, err)
			}
		}
	}
}

// FuzzChunkReader holds the reader to its limits, whatever comes, and to reading the same when it is interrupted.
func FuzzChunkReader(f *testing.F) {
	for _, tt := range chunkTests {
		f.Add(tt.in, true)
	}
	for _, b := range bombs[:2] {
		in, _ := io.ReadAll(b.in())
		f.Add(in, b.media)
	}
	f.Fuzz(func(t *testing.T, in []byte, media bool) {
		c := newChunkReader(bufio.NewReaderSize(bytes.NewReader(in), 64))
		c.media = media
		var got []packet
		var err error
		for err == nil {
			var p packet
			if p, err = c.next(); err != nil {
				break
			}
			if p.typ != 1 && p.typ != 2 {
				got = append(got, p)
			}
			if len(p.body) > maxLength(p.typ, media) {
				t.Fatalf("message of type %d has %d bytes", p.typ, len(p.body))
			}
			held := 0
			for _, s := range c.streams {
				held += cap(s.body)
			}
			if held != c.partial || held > maxPartial || !media && held > maxPartialQuiet || len(c.streams) > maxChunkStreams {
				t.Fatalf("%d bytes held, %d counted, on %d chunk streams", held, c.partial, len(c.streams))
			}
		}
		s := newChunkReader(bufio.NewReaderSize(&stutter{r: bytes.NewReader(in)}, 64))
		s.media = media
		again, _ := readAll(s)
		if !reflect.DeepEqual(again, got) {
			t.Fatalf("interrupted: %v, want %v", again, got)
		}
	})
}
