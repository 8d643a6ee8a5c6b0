package pull_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"weir/codecs"
	"weir/codecs/aac"
	"weir/codecs/fake"
	"weir/codecs/ffmpegtest"
	"weir/codecs/h264"
	"weir/codecs/linear"
	"weir/codecs/mpegts"
	"weir/codecs/nal"
	"weir/codecs/reception"
	"weir/protocols/pull"
)

const vod = "../../testdata/vod"

// now is an instant in 2026, in ticks.
const now = int64(1_795_000_000) * codecs.ClockRate

func openProgram(t testing.TB, root, name string) *linear.Program {
	t.Helper()
	f, err := pull.OpenFile(root, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	for _, l := range f.Report.LeftOut {
		t.Logf("%s: %s is left out: %s", name, l.Track, l.Reason)
	}
	p, err := linear.NewProgram(f.Clip)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

// loops returns the access units of whole loops, from the one at an instant on.
func loops(t testing.TB, p *linear.Program, at int64, n int64) (units []*codecs.AccessUnit) {
	t.Helper()
	first := at/p.Length()*p.Length() + p.Length()/2
	begin := p.SegmentAt(first)
	for begin > 0 && p.SegmentAt(first-p.Length()) != begin {
		if start, _ := p.Bounds(begin); start <= first-p.Length()/2 {
			break
		}
		begin--
	}
	start, _ := p.Bounds(begin)
	for msn := begin; ; msn++ {
		if s, _ := p.Bounds(msn); s >= start+n*p.Length() {
			return units
		}
		segment, err := p.Segment(msn)
		if err != nil {
			t.Fatalf("Segment(%d): %v", msn, err)
		}
		units = append(units, segment...)
	}
}

func same(a, b []*codecs.AccessUnit) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d and %d access units", len(a), len(b))
	}
	for i := range a {
		x, y := *a[i], *b[i]
		if !bytes.Equal(x.Payload, y.Payload) {
			return fmt.Errorf("payload of access unit %d differs", i)
		}
		if x.Payload, y.Payload = nil, nil; fmt.Sprint(x) != fmt.Sprint(y) {
			return fmt.Errorf("access unit %d: %+v and %+v", i, x, y)
		}
	}
	return nil
}

var clipTests = []struct {
	root, name   string
	video, audio int // access units in a loop, of the clip; audio may be one more or less
	length       int64
	segments     []int64 // their lengths in tenths of a second
	width        int
	rate         int
}{
	{vod, "bunny.mp4", 260, 488, 936000, []int64{40, 40, 24}, 320, 48000},
	{vod, "bunny.ts", 260, 448, 936000, []int64{40, 40, 24}, 320, 44100},
	{"testdata", "tiny.mp4", 20, 87, 180000, []int64{20}, 64, 44100},
	{"testdata", "fragmented.mp4", 20, 87, 180000, []int64{20}, 64, 44100},
	{"testdata", "separate.mp4", 20, 87, 180000, []int64{20}, 64, 44100},
	{"testdata", "fragmented.mov", 20, 87, 180000, []int64{20}, 64, 44100},
	{"testdata", "quicktime.mov", 20, 87, 180000, []int64{20}, 64, 44100},
	{"testdata", "tiny.ts", 20, 87, 180000, []int64{20}, 64, 44100},
	{"testdata", "video.mp4", 20, 0, 180000, []int64{20}, 64, 0},
	{"testdata", "audio.mp4", 0, 87, 181812, []int64{20}, 0, 44100},
}

func TestFilesBecomeLinearChannels(t *testing.T) {
	for _, tt := range clipTests {
		t.Run(tt.name, func(t *testing.T) {
			p := openProgram(t, tt.root, tt.name)
			if p.Length() != tt.length {
				t.Errorf("length = %d, want %d", p.Length(), tt.length)
			}
			var counts [2]int
			last := make(map[int]int64)
			for i, au := range loops(t, p, now, 10) {
				before, seen := last[au.Track]
				if seen && au.DTS <= before || au.PTS < au.DTS || i == 0 != (au.Cut != 0) && au.Cut == 0 {
					t.Fatalf("access unit %d: %+v after DTS %d", i, *au, before)
				}
				codec := p.Tracks()[au.Track].Codec
				if codec == codecs.H264 {
					counts[0]++
					if units, err := nal.Split(au.Payload, 4); err != nil || len(units) == 0 {
						t.Fatalf("access unit %d does not consist of NAL units: %v", i, err)
					}
				} else {
					counts[1]++
					if unit := au.DTS - before; seen && (unit < 1919 || unit > 2090) {
						t.Fatalf("access unit %d of audio comes after %d ticks", i, unit)
					}
				}
				last[au.Track] = au.DTS
			}
			if d := counts[1] - 10*tt.audio; counts[0] != 10*tt.video || d > 5 || d < -20 {
				t.Errorf("access units of ten loops = %v, want %d and about %d", counts, 10*tt.video, 10*tt.audio)
			}
			msn := p.SegmentAt(now)
			for range tt.segments {
				start, end := p.Bounds(msn)
				j := int(msn % int64(len(tt.segments)))
				if got := (end - start + 4500) / 9000; got != tt.segments[j] {
					t.Errorf("segment %d has %d tenths of a second, want %d", msn, got, tt.segments[j])
				}
				msn++
			}
			for _, track := range p.Tracks() {
				if track.Width > 0 && track.Width != tt.width || track.SampleRate > 0 && track.SampleRate != tt.rate {
					t.Errorf("track %+v, want width %d and rate %d", track, tt.width, tt.rate)
				}
			}
		})
	}
}

func TestTwoNodesThatOpenAFileHaveEqualSegments(t *testing.T) {
	const wrap33 = int64(1) << 33
	for _, tt := range clipTests {
		a, b := openProgram(t, tt.root, tt.name), openProgram(t, tt.root, tt.name)
		for _, at := range []int64{now, (now/wrap33 + 1) * wrap33, now + 50*365*86400*codecs.ClockRate} {
			if err := same(loops(t, a, at, 3), loops(t, b, at, 3)); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
	}
}

func TestContainersOfTheSameMediaAreTheSameChannel(t *testing.T) {
	want := openProgram(t, "testdata", "tiny.mp4")
	for _, name := range []string{"fragmented.mp4", "separate.mp4", "fragmented.mov", "quicktime.mov"} {
		p := openProgram(t, "testdata", name)
		if err := same(loops(t, p, now, 3), loops(t, want, now, 3)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !p.Tracks().Equal(want.Tracks()) {
			t.Errorf("%s: tracks %+v, want %+v", name, p.Tracks(), want.Tracks())
		}
	}
}

// pictures returns the hashes of the decoded pictures of a file. An error line is a failure.
func pictures(t *testing.T, file string) (hashes []string) {
	t.Helper()
	c := exec.Command(ffmpegtest.Path(t, "ffmpeg"), "-hide_banner", "-loglevel", "error", "-nostdin", "-i", file,
		"-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-")
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("%v: %v\n%s", c.Args, err, errs.String())
	}
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "#") {
			fields := strings.Split(line, ",")
			hashes = append(hashes, strings.TrimSpace(fields[len(fields)-1]))
		}
	}
	return hashes
}

// TestDecodersSeeEveryPictureOverTheSeam decodes two loops and compares them with the decoded file.
func TestDecodersSeeEveryPictureOverTheSeam(t *testing.T) {
	for _, tt := range clipTests {
		if tt.video == 0 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			p := openProgram(t, tt.root, tt.name)
			sets, err := h264.Syntax.Carried(p.Tracks()[0].Config)
			if err != nil {
				t.Fatal(err)
			}
			video := nal.AppendAnnexB(nil, sets...)
			var audio []byte
			for _, au := range loops(t, p, now, 2) {
				if au.Track == 0 {
					video = nal.AppendAnnexB(video, slices.Collect(nal.Units(au.Payload))...)
					continue
				}
				adts, err := aac.NewADTS(p.Tracks()[1].Config)
				if err != nil {
					t.Fatal(err)
				}
				header := adts.Header(len(au.Payload))
				audio = append(append(audio, header[:]...), au.Payload...)
			}
			dir := t.TempDir()
			for name, b := range map[string][]byte{"v.h264": video, "a.aac": audio} {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want := pictures(t, filepath.Join(tt.root, tt.name))
			if got := pictures(t, filepath.Join(dir, "v.h264")); fmt.Sprint(got) != fmt.Sprint(append(want, want...)) {
				t.Errorf("%d pictures in two loops, %d in the file, or they differ", len(got), len(want))
			}
			if tt.audio == 0 {
				return
			}
			out, err := exec.Command(ffmpegtest.Path(t, "ffmpeg"), "-hide_banner", "-loglevel", "error", "-nostdin",
				"-i", filepath.Join(dir, "a.aac"), "-f", "null", "-").CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("decoding the audio: %v\n%s", err, out)
			}
		})
	}
}

// patched writes a copy of a file in which all of one string is replaced by another of the same length, and cut off
// after some bytes if most is not 0.
func patched(t *testing.T, root, name, from, to string, most int) (string, string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	if from != "" && !bytes.Contains(b, []byte(from)) {
		t.Fatalf("%s does not contain %q", name, from)
	}
	b = bytes.ReplaceAll(b, []byte(from), []byte(to))
	if most > 0 {
		b = b[:most]
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, name
}

// TestLengthsOfTwoBytesAreMadeFour reads the lengths of a file, whose upper halves are zero, as an empty NAL unit and
// a length of two bytes.
func TestLengthsOfTwoBytesAreMadeFour(t *testing.T) {
	dir, name := patched(t, vod, "bunny.mp4", "\x0c\xff\xe1\x00", "\x0c\xfd\xe1\x00", 0)
	p, want := openProgram(t, dir, name), openProgram(t, vod, "bunny.mp4")
	if err := same(loops(t, p, now, 1), loops(t, want, now, 1)); err != nil {
		t.Error(err)
	}
	if !p.Tracks().Equal(want.Tracks()) {
		t.Errorf("tracks %+v, want %+v", p.Tracks(), want.Tracks())
	}
}

func TestParameterSetsOfTheConfigurationAreNotInBand(t *testing.T) {
	p := openProgram(t, vod, "bunny.ts") // which has them and delimiters in band
	for i, au := range loops(t, p, now, 1) {
		if au.Track != 0 {
			continue
		}
		for u := range nal.Units(au.Payload) {
			if kind := u[0] & 0x1f; kind >= h264.TypeSPS && kind <= h264.TypeAUD {
				t.Fatalf("access unit %d has a NAL unit of type %d", i, kind)
			}
		}
	}
}

func TestJoinedRecordingsGoOn(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(vod, "bunny.ts"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "joined.ts"), append(b, b...), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := pull.OpenFile(dir, "joined.ts", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, why := f.Report.Counts[reception.RepairedTimes], f.Report.Whys[reception.RepairedTimes]; n == 0 || why == nil || !strings.Contains(why.Error(), "jump") {
		t.Errorf("%d times repaired, %v, want one jump", n, why)
	}
	if got, want := f.Clip.Length(), int64(2*936000); got < want || got > want+9000 {
		t.Errorf("length = %d, want a little over %d", got, want)
	}
}

var badFiles = []struct {
	name string
	make func(t *testing.T) (root, name string)
	err  error // nil where only the text counts
	say  string
}{
	{"missing", func(*testing.T) (string, string) { return vod, "none.mp4" }, fs.ErrNotExist, "none.mp4"},
	{"missing root", func(*testing.T) (string, string) { return "/nowhere", "none.mp4" }, fs.ErrNotExist, "/nowhere"},
	{"no name", func(*testing.T) (string, string) { return vod, "" }, nil, vod},
	{"directory", func(*testing.T) (string, string) { return vod, "." }, nil, "a directory"},
	{"dots", func(*testing.T) (string, string) { return "testdata", "../../../testdata/vod/bunny.mp4" }, nil, "escapes"},
	{"absolute", func(t *testing.T) (string, string) {
		name, err := filepath.Abs(filepath.Join(vod, "bunny.mp4"))
		if err != nil {
			t.Fatal(err)
		}
		return vod, name
	}, nil, "escapes"},
	{"symbolic link out of the root", func(t *testing.T) (string, string) {
		dir := t.TempDir()
		target, err := filepath.Abs(filepath.Join(vod, "bunny.mp4"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, "a.mp4")); err != nil {
			t.Fatal(err)
		}
		return dir, "a.mp4"
	}, nil, "escapes"},
	{"pipe", func(t *testing.T) (string, string) {
		dir := t.TempDir()
		if err := syscall.Mkfifo(filepath.Join(dir, "a.mp4"), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir, "a.mp4"
	}, nil, "no regular file"},
	{"empty", func(t *testing.T) (string, string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.mp4"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir, "a.mp4"
	}, pull.ErrNotMedia, "empty"},
	{"text", func(*testing.T) (string, string) { return vod, "README.md" }, pull.ErrNotMedia, "starts with"},
	{"half an MP4 file", func(t *testing.T) (string, string) {
		return patched(t, vod, "bunny.mp4", "", "", 100_000)
	}, pull.ErrTruncated, "sample"},
	{"MP4 file without its end", func(t *testing.T) (string, string) {
		return patched(t, "testdata", "tiny.mp4", "", "", 5000)
	}, pull.ErrTruncated, ""},
	{"MP4 file that was never finished", func(t *testing.T) (string, string) {
		return patched(t, "testdata", "tiny.mp4", "moov", "free", 0)
	}, pull.ErrTruncated, "moov"},
	{"samples outside the file", func(t *testing.T) (string, string) {
		return patched(t, "testdata", "tiny.mp4", "stco\x00\x00\x00\x00\x00\x00\x00\x13\x00\x00", "stco\x00\x00\x00\x00\x00\x00\x00\x13\x7f\x00", 0)
	}, pull.ErrTruncated, "bytes at"},
	{"unknown audio alone", func(t *testing.T) (string, string) {
		return patched(t, "testdata", "audio.mp4", "mp4a", "zzzz", 0)
	}, pull.ErrCodec, "zzzz"},
	{"subtitles alone", func(t *testing.T) (string, string) {
		return patched(t, "testdata", "audio.mp4", "soun", "text", 0)
	}, pull.ErrNoTracks, ""},
	{"no random access point", func(t *testing.T) (string, string) {
		return patched(t, "testdata", "video.mp4", "stss\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x0b",
			"stss\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\xff\x01\x00\x00\xff\x0b", 0)
	}, linear.ErrRandomAccess, ""},
	{"transport stream without programme", func(t *testing.T) (string, string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.ts"), bytes.Repeat(append([]byte{0x47, 0x1f, 0xff, 0x10}, make([]byte, 184)...), 100), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir, "a.ts"
	}, pull.ErrNoTracks, ""},
}

// encoded makes another file of a clip.
func encoded(t *testing.T, name string, args ...string) (string, string) {
	t.Helper()
	dir := t.TempDir()
	args = append(append([]string{"-hide_banner", "-loglevel", "error", "-nostdin", "-i", "testdata/tiny.mp4"}, args...), filepath.Join(dir, name))
	if out, err := exec.Command(ffmpegtest.Path(t, "ffmpeg"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, out)
	}
	return dir, name
}

func TestBadFilesAreClearErrors(t *testing.T) {
	for _, tt := range badFiles {
		t.Run(tt.name, func(t *testing.T) {
			root, name := tt.make(t)
			f, err := pull.OpenFile(root, name, 0)
			if err == nil {
				f.Close()
				t.Fatal("no error")
			}
			t.Log(err)
			if tt.err != nil && !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("OpenFile: error = %v, want %v and %q", err, tt.err, tt.say)
			}
		})
	}
}

// partlyPlayed are files with a track that cannot be played beside one that can, and what the reason says.
var partlyPlayed = []struct {
	name string
	make func(t *testing.T) (root, name string)
	say  string
}{
	{"H.265", func(t *testing.T) (string, string) {
		return patched(t, "testdata", "tiny.mp4", "avc1", "hvc1", 0)
	}, "its video is H.265"},
	{"unknown audio", func(t *testing.T) (string, string) {
		return patched(t, "testdata", "tiny.mp4", "mp4a", "zzzz", 0)
	}, "zzzz"},
	{"encrypted", func(t *testing.T) (string, string) {
		return patched(t, "testdata", "tiny.mp4", "avc1", "encv", 0)
	}, "encrypted"},
	{"transport stream of another video codec", func(t *testing.T) (string, string) {
		return encoded(t, "a.ts", "-c:v", "mpeg2video", "-c:a", "aac")
	}, "MPEG-2"},
	{"transport stream of another audio codec", func(t *testing.T) (string, string) {
		return encoded(t, "a.ts", "-c:v", "copy", "-c:a", "mp2")
	}, "its audio is MPEG audio"},
}

func TestTracksThatCanBePlayedArePlayedAndTheOthersNamed(t *testing.T) {
	for _, tt := range partlyPlayed {
		t.Run(tt.name, func(t *testing.T) {
			root, name := tt.make(t)
			f, err := pull.OpenFile(root, name, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if left := f.Report.LeftOut; len(f.Clip.Tracks()) != 1 || len(left) != 1 || !strings.Contains(left[0].Reason, tt.say) || left[0].Track == "" {
				t.Errorf("%d tracks, left out %+v; want one of each, and %q", len(f.Clip.Tracks()), left, tt.say)
			}
		})
	}
}

func TestLinkWithinTheRootIsFollowed(t *testing.T) {
	dir, name := patched(t, "testdata", "tiny.mp4", "", "", 0)
	if err := os.Symlink(name, filepath.Join(dir, "link.mp4")); err != nil {
		t.Fatal(err)
	}
	openProgram(t, dir, "link.mp4")
}

func TestFileCutWhileOpenIsTheSegmentsError(t *testing.T) {
	dir, name := patched(t, "testdata", "tiny.mp4", "", "", 0)
	p := openProgram(t, dir, name)
	if err := os.Truncate(filepath.Join(dir, name), 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Segment(p.SegmentAt(now)); err == nil || !strings.Contains(err.Error(), "access unit") {
		t.Errorf("Segment: error = %v", err)
	}
}

// BenchmarkOpenAndReadSegment shows what a channel costs at its start and then every four seconds.
func BenchmarkOpenAndReadSegment(b *testing.B) {
	for _, name := range []string{"bunny.mp4", "bunny.ts"} {
		b.Run("open "+name, func(b *testing.B) {
			for b.Loop() {
				f, err := pull.OpenFile(vod, name, 0)
				if err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
		})
		b.Run("segment of "+name, func(b *testing.B) {
			p := openProgram(b, vod, name)
			msn := p.SegmentAt(now)
			for b.Loop() {
				if _, err := p.Segment(msn); err != nil {
					b.Fatal(err)
				}
				msn++
			}
		})
	}
}

// TestRecordingThatChangesItsPictureSaysSoInBand joins recordings of two sizes. The track of a channel is that of the
// first, so what a decoder needs for the second, and for the first after it, stands before its random access points.
func TestRecordingThatChangesItsPictureSaysSoInBand(t *testing.T) {
	var file []byte
	var sets [2][][]byte
	for i, width := range []int{640, 320} {
		p, err := fake.New(fake.Config{Width: width, Height: 180, Audio: fake.None})
		if err != nil {
			t.Fatal(err)
		}
		units, err := p.Segment(0)
		if err != nil {
			t.Fatal(err)
		}
		file = append(file, mpegts.Segment(p.Tracks(), units)...)
		if sets[i], err = h264.Syntax.Carried(p.Tracks()[0].Config); err != nil {
			t.Fatal(err)
		}
	}
	file = append(file, file[:len(file)/2/188*188]...) // the first again, or most of it
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.ts"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	p := openProgram(t, dir, "a.ts")
	if got := p.Tracks()[0].Width; got != 640 {
		t.Errorf("width %d, want 640", got)
	}
	var seen [2]int
	points := 0
	for _, au := range loops(t, p, now, 1) {
		units := slices.Collect(nal.Units(au.Payload))
		for i := range sets {
			if nal.Has(units, sets[i][0]) && nal.Has(units, sets[i][1]) {
				seen[i]++
			}
		}
		if au.RandomAccess {
			points++
		}
	}
	if points < 5 || seen[1] != 2 || seen[0] != points-4 {
		t.Errorf("of %d random access points %d have the first parameter sets and %d the second, want %d and 2", points, seen[0], seen[1], points-4)
	}
}
