package fake_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/ffmpegtest"
	"weir/codecs/linear"
)

// instant is half a minute before the end of a leap day.
var instant = time.Date(2028, time.February, 29, 23, 59, 30, 0, time.UTC)

func ticks(t time.Time) int64 { return t.Unix() * codecs.ClockRate }

func pattern(t testing.TB, query string) *fake.Pattern {
	t.Helper()
	c, err := fake.Parse(query)
	if err != nil {
		t.Fatalf("Parse(%q): %v", query, err)
	}
	p, err := fake.New(c)
	if err != nil {
		t.Fatalf("New(%+v): %v", c, err)
	}
	return p
}

// segments returns the access units of n segments from the one at an instant on.
func segments(t testing.TB, p *fake.Pattern, at time.Time, n int64) (units []*codecs.AccessUnit) {
	t.Helper()
	first := p.SegmentAt(ticks(at))
	for msn := first; msn < first+n; msn++ {
		s, err := p.Segment(msn)
		if err != nil {
			t.Fatalf("Segment(%d): %v", msn, err)
		}
		units = append(units, s...)
	}
	return units
}

var parseTests = []struct {
	query string
	want  fake.Config
	err   string // part of the error
}{
	{query: "", want: fake.Config{Width: 640, Height: 360, Rate: 25, SampleRate: 48000}},
	{query: "size=1280x720&fps=50", want: fake.Config{Width: 1280, Height: 720, Rate: 50, SampleRate: 48000}},
	{query: "audio=none&rate=44100&", want: fake.Config{Width: 640, Height: 360, Rate: 25, Audio: fake.None, SampleRate: 44100}},
	{query: "audio=silence", want: fake.Config{Width: 640, Height: 360, Rate: 25, Audio: fake.Silence, SampleRate: 48000}},
	{query: "size=1920x1080&fps=60", want: fake.Config{Width: 1920, Height: 1080, Rate: 60, SampleRate: 48000}},
	{query: "size=10000x10000", err: "1920x1088"},
	{query: "size=100x100", err: "256x144"},
	{query: "size=641x360", err: "even"},
	{query: "size=640", err: "size="},
	{query: "size=x", err: "size="},
	{query: "size=640x-360", err: "size="},
	{query: "fps=0", err: "fps="},
	{query: "fps=61", err: "1 to 60"},
	{query: "fps=29.97", err: "fps="},
	{query: "fps=999999999999999999999", err: "fps="},
	{query: "rate=8000", err: "44100"},
	{query: "audio=loud", err: "beep"},
	{query: "sise=640x360", err: "sise"},
}

func TestParse(t *testing.T) {
	for _, tt := range parseTests {
		got, err := fake.Parse(tt.query)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Parse(%q): error = %v, want one with %q", tt.query, err, tt.err)
			}
		} else if err != nil || got != tt.want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", tt.query, got, err, tt.want)
		}
	}
}

// FuzzParse checks that whatever Parse admits, New makes.
func FuzzParse(f *testing.F) {
	for _, tt := range parseTests {
		f.Add(tt.query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		c, err := fake.Parse(query)
		if err != nil {
			return
		}
		p, err := fake.New(c)
		if err != nil {
			t.Fatalf("Parse(%q) = %+v, which New refuses: %v", query, c, err)
		}
		if _, err := p.Segment(1); err != nil {
			t.Fatalf("%q: Segment(1): %v", query, err)
		}
	})
}

func TestSegmentsJoinAndCountOn(t *testing.T) {
	for _, query := range []string{"", "rate=44100", "fps=50&size=1280x720", "fps=7", "fps=1&audio=none", "size=256x144&fps=60"} {
		p, q := pattern(t, query), pattern(t, query)
		index, known := int64(0), false
		last := make(map[int]*codecs.AccessUnit)
		first := p.SegmentAt(ticks(instant))
		for msn := first; msn < first+10; msn++ {
			start, end := p.Bounds(msn)
			if next, _ := p.Bounds(msn + 1); next != end || end-start > p.Longest() || p.SegmentAt(start) != msn || p.SegmentAt(end-1) != msn {
				t.Fatalf("%q: Bounds(%d) = %d, %d do not meet", query, msn, start, end)
			}
			units, err := p.Segment(msn)
			if err != nil {
				t.Fatal(err)
			}
			again, err := q.Segment(msn)
			if err != nil {
				t.Fatal(err)
			}
			if au := units[0]; au.Cut != msn || !au.RandomAccess || au.DTS != start || au.Track != 0 {
				t.Fatalf("%q: segment %d starts with %+v", query, msn, *au)
			}
			for i, au := range units {
				x, y := *au, *again[i]
				x.Payload, y.Payload = nil, nil
				if fmt.Sprint(x) != fmt.Sprint(y) || !bytes.Equal(au.Payload, again[i].Payload) {
					t.Fatalf("%q: segment %d, access unit %d: two patterns differ", query, msn, i)
				}
				if b := last[au.Track]; b != nil && b.DTS+b.Duration != au.DTS {
					t.Fatalf("%q: track %d: DTS %d after %d and %d", query, au.Track, au.DTS, b.DTS, b.Duration)
				}
				last[au.Track] = au
				n, ok := fake.Index(au.Payload)
				if ok != (au.Track == 0) {
					t.Fatalf("%q: Index of an access unit of track %d: %v", query, au.Track, ok)
				}
				if ok && known && n != index+1 {
					t.Fatalf("%q: Index = %d after %d", query, n, index)
				}
				if ok {
					index, known = n, true
				}
			}
		}
	}
}

func TestIndexCountsAccessUnitsFromTheEpoch(t *testing.T) {
	units := segments(t, pattern(t, ""), instant, 1)
	if got, ok := fake.Index(units[0].Payload); !ok || got != ticks(instant)/codecs.ClockRate/4*4*25 {
		t.Errorf("Index = %d, %v, want %d", got, ok, ticks(instant)/codecs.ClockRate/4*4*25)
	}
}

func TestSegmentsOutsideTheClockAreErrors(t *testing.T) {
	p := pattern(t, "")
	last := p.SegmentAt(ticks(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)))
	if _, err := p.Segment(last); err != nil {
		t.Errorf("Segment at the end of 9999: %v", err)
	}
	for _, msn := range []int64{-1, last + 1, -1 << 63, 1<<63 - 1} {
		if _, err := p.Segment(msn); err == nil {
			t.Errorf("Segment(%d): no error", msn)
		}
		if start, end := p.Bounds(msn); start >= end {
			t.Errorf("Bounds(%d) = %d, %d", msn, start, end)
		}
	}
}

// FuzzIndex feeds garbage to the parser of SEI messages.
func FuzzIndex(f *testing.F) {
	p, err := fake.New(fake.Config{})
	if err != nil {
		f.Fatal(err)
	}
	units, err := p.Segment(1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(units[1].Payload)
	f.Add([]byte{0, 0, 0, 1, 6})
	f.Add([]byte{0, 0, 0, 4, 6, 255, 255, 255})
	f.Fuzz(func(_ *testing.T, b []byte) { fake.Index(b) })
}

// write stores the tracks of some access units as an H.264 byte stream and as ADTS.
func write(t *testing.T, p *fake.Pattern, units []*codecs.AccessUnit) (video, audio string) {
	t.Helper()
	config := p.Tracks()[0].Config
	n := int(config[6])<<8 | int(config[7])
	start := []byte{0, 0, 0, 1}
	v := append(append([]byte(nil), start...), config[8:8+n]...)
	v = append(append(v, start...), config[8+n+3:]...)
	var a []byte
	for _, au := range units {
		if au.Track == 0 {
			for b := au.Payload; len(b) > 0; {
				n := int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
				v = append(append(v, start...), b[4:4+n]...)
				b = b[4+n:]
			}
			continue
		}
		frequency := p.Tracks()[1].Config[0]<<1&0x0e | p.Tracks()[1].Config[1]>>7
		size := len(au.Payload) + 7
		a = append(a, 0xff, 0xf1, 0x40|frequency<<2, 0x80|byte(size>>11), byte(size>>3), byte(size<<5)|0x1f, 0xfc)
		a = append(a, au.Payload...)
	}
	video, audio = filepath.Join(t.TempDir(), "v.h264"), filepath.Join(t.TempDir(), "a.aac")
	if err := os.WriteFile(video, v, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(audio, a, 0o600); err != nil {
		t.Fatal(err)
	}
	return video, audio
}

// decode runs ffmpeg, in which any error line is a failure, and returns what it wrote.
func decode(t *testing.T, args ...string) []byte {
	t.Helper()
	c := exec.Command(ffmpegtest.Path(t, "ffmpeg"), append([]string{"-hide_banner", "-loglevel", "error", "-nostdin", "-err_detect", "explode"}, args...)...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("%v: %v\n%s", c.Args, err, errs.String())
	}
	return out.Bytes()
}

var decodeTests = []struct {
	query         string
	width, height int
	rate          int
	segments      int
}{
	{"", 640, 360, 25, 2},
	{"size=1280x720&fps=50&rate=44100", 1280, 720, 50, 1},
	{"size=1920x1080&fps=12", 1920, 1080, 12, 1},
	{"size=256x144&fps=7", 256, 144, 7, 2},
	{"size=322x242&fps=3", 322, 242, 3, 2},
}

// TestDecodersReadTheClock decodes some seconds over the end of a leap day, and reads the digits in every picture.
func TestDecodersReadTheClock(t *testing.T) {
	for _, tt := range decodeTests {
		t.Run(tt.query, func(t *testing.T) {
			p := pattern(t, tt.query)
			seconds := 4 * tt.segments
			start, _ := p.Bounds(p.SegmentAt(ticks(instant.Add(29 * time.Second))))
			from := time.Unix(start/codecs.ClockRate, 0).UTC()
			units := segments(t, p, from, int64(tt.segments))
			video, audio := write(t, p, units)
			pictures := decode(t, "-i", video, "-f", "rawvideo", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-")
			if got, want := len(pictures), seconds*tt.rate*tt.width*tt.height; got != want {
				t.Fatalf("%d bytes of pictures, want %d", got, want)
			}
			for i := range seconds * tt.rate {
				at := from.Add(time.Duration(i) * time.Second / time.Duration(tt.rate))
				picture := pictures[i*tt.width*tt.height:][:tt.width*tt.height]
				got := fake.ReadClock(p, picture, tt.width)
				if want := at.Format("2006-01-02 15:04:05.000"); got != want {
					t.Fatalf("picture %d shows %s, want %s", i, got, want)
				}
			}
			samples := decode(t, "-i", audio, "-f", "s16le", "-ac", "1", "-")
			checkBeeps(t, samples, p.Tracks()[1].SampleRate, seconds-1)
		})
	}
}

// checkBeeps looks for sound in the second tenth of each second and for none in its latter half.
func checkBeeps(t *testing.T, samples []byte, rate, seconds int) {
	t.Helper()
	loudest := func(from, to int) (most int) {
		for i := from; i < to; i++ {
			v := int(int16(uint16(samples[2*i]) | uint16(samples[2*i+1])<<8))
			most = max(most, v, -v)
		}
		return most
	}
	if got, want := len(samples)/2/rate, seconds; got < want {
		t.Fatalf("%d s of sound, want %d s", got, want)
	}
	for s := range seconds {
		if got := loudest(s*rate, s*rate+rate/5); got < 5000 {
			t.Errorf("second %d: loudest sample at its start = %d, want a beep", s, got)
		}
		if got := loudest(s*rate+rate/2, s*rate+rate-rate/20); got > 10 {
			t.Errorf("second %d: loudest sample in its middle = %d, want silence", s, got)
		}
	}
}

func TestProbeSeesTheStreamThatTracksDescribe(t *testing.T) {
	p := pattern(t, "size=1280x720&fps=50")
	video, audio := write(t, p, segments(t, p, instant, 1))
	for _, tt := range []struct{ file, entries, want string }{
		{video, "stream=codec_name,profile,width,height,has_b_frames,level,r_frame_rate", "h264,Constrained Baseline,1280,720,0,32,50/1"},
		{audio, "stream=codec_name,profile,sample_rate,channels", "aac,LC,48000,2"},
	} {
		out, err := exec.Command(ffmpegtest.Path(t, "ffprobe"), "-v", "error", "-show_entries", tt.entries, "-of", "csv=p=0", tt.file).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
			t.Errorf("ffprobe %s = %q, %v, want %q", tt.file, got, err, tt.want)
		}
	}
}

func TestExcerptStartsAtTheEpoch(t *testing.T) {
	units, err := linear.Excerpt(pattern(t, ""), 3)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := fake.Index(units[0].Payload); !ok || n != 0 || len(units) != 75+141 {
		t.Errorf("Excerpt(3) = %d access units from index %d on, want %d from 0 on", len(units), n, 75+141)
	}
}

// BenchmarkSegment reports the cost of an access unit of video, which should stay below 100 µs: 0.25 % of a core at 25
// in a second.
func BenchmarkSegment(b *testing.B) {
	for _, query := range []string{"", "size=1280x720&fps=50", "size=1920x1080&fps=60"} {
		b.Run(query, func(b *testing.B) {
			p := pattern(b, query)
			first := p.SegmentAt(ticks(instant))
			n, size := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				units, err := p.Segment(first)
				if err != nil {
					b.Fatal(err)
				}
				for _, au := range units {
					if size += len(au.Payload); au.Track == 0 {
						n++
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/au")
			b.ReportMetric(float64(size)*8/4/float64(b.N)/1000, "kbit/s")
		})
	}
}
