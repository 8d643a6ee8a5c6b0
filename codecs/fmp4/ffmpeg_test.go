package fmp4_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	mp4codecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/pmp4"

	"weir/codecs"
	"weir/codecs/aac"
	"weir/codecs/ffmpegtest"
	"weir/codecs/fmp4"
)

// clip encodes a few seconds with ffmpeg and returns them as access units.
func clip(t *testing.T, args ...string) (codecs.Tracks, []*codecs.AccessUnit) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.mp4")
	ffmpegtest.Run(t, "ffmpeg", slices.Concat([]string{
		"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=3",
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=3", "-threads", "1",
	}, args, []string{file})...)
	b := must(os.ReadFile(file))
	var p pmp4.Presentation
	if err := p.Unmarshal(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	// box is the body of the only box with this name.
	box := func(name string) []byte {
		i := bytes.Index(b, []byte(name))
		return b[i+4 : i-4+int(binary.BigEndian.Uint32(b[i-4:]))]
	}
	var tracks codecs.Tracks
	var units []*codecs.AccessUnit
	for i, pt := range p.Tracks {
		track := codecs.Track{Width: 160, Height: 90}
		switch c := pt.Codec.(type) {
		case *mp4codecs.H264:
			track.Codec, track.Config = codecs.H264, box("avcC")
		case *mp4codecs.H265:
			track.Codec, track.Config = codecs.H265, box("hvcC")
		case *mp4codecs.AV1:
			track.Codec, track.Config = codecs.AV1, box("av1C")
		case *mp4codecs.MPEG4Audio:
			track = must(aac.Track(must(c.Config.Marshal())))
		case *mp4codecs.Opus:
			track = codecs.Track{Codec: codecs.Opus, Config: box("dOps"), SampleRate: 48000, Channels: c.ChannelCount}
		case *mp4codecs.MPEG1Audio:
			track = codecs.Track{Codec: codecs.MP3, SampleRate: c.SampleRate, Channels: c.ChannelCount}
		case *mp4codecs.AC3:
			track = codecs.Track{Codec: codecs.AC3, SampleRate: c.SampleRate, Channels: c.ChannelCount}
		default:
			t.Fatalf("clip with %T", c)
		}
		tracks = append(tracks, track)
		scale, at := int64(pt.TimeScale), int64(0)
		ticks := func(x int64) int64 { return epoch + (x*codecs.ClockRate+scale/2)/scale }
		for _, s := range pt.Samples {
			units = append(units, &codecs.AccessUnit{
				Track: i, DTS: ticks(at), PTS: ticks(at + int64(s.PTSOffset)),
				RandomAccess: !s.IsNonSyncSample, Payload: must(s.GetPayload()),
			})
			at += int64(s.Duration)
		}
	}
	slices.SortStableFunc(units, func(a, b *codecs.AccessUnit) int { return int(a.DTS - b.DTS) })
	return tracks, units
}

// fragments makes init segment and fragments, cut at the random access points of the first track.
func fragments(t *testing.T, tracks codecs.Tracks, units []*codecs.AccessUnit) []byte {
	t.Helper()
	b := must(fmp4.Init(tracks))
	var cuts []int
	for i, au := range units {
		if i > 0 && au.Track == 0 && au.RandomAccess {
			cuts = append(cuts, i)
		}
	}
	if len(cuts) < 2 {
		t.Fatalf("%d cuts, want at least 2", len(cuts))
	}
	from := 0
	for k, to := range append(cuts, len(units)) {
		next := make([]int64, len(tracks))
		for _, au := range slices.Backward(units[to:]) {
			next[au.Track] = au.DTS
		}
		b = append(b, fmp4.Fragment(tracks, uint32(k+1), units[from:to], next)...)
		from = to
	}
	return b
}

var clips = []struct {
	name string
	args []string
}{
	{"H.264 with B-frames and AAC", []string{"-c:v", "libx264", "-preset", "fast", "-g", "25", "-bf", "2", "-c:a", "aac"}},
	{"H.265 and MP3", []string{
		"-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "keyint=25:log-level=error", "-c:a", "libmp3lame",
	}},
	{"AV1 and Opus", []string{"-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "25", "-c:a", "libopus"}},
	{"H.264 and AC-3", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "ac3"}},
}

func TestFFmpegDecodesInitAndFragments(t *testing.T) {
	for _, c := range clips {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tracks, units := clip(t, c.args...)
			file := filepath.Join(t.TempDir(), "joined.mp4")
			if err := os.WriteFile(file, fragments(t, tracks, units), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, errs := ffmpegtest.Run(t, "ffmpeg", "-v", "warning", "-err_detect", "+crccheck+bitstream+buffer", "-i", file, "-f", "null", "-"); errs != "" {
				t.Errorf("ffmpeg complains:\n%s", errs)
			}
			for i, track := range tracks {
				out, _ := ffmpegtest.Run(t, "ffprobe", "-v", "error", "-select_streams", strconv.Itoa(i), "-show_entries", "packet=dts,flags", "-of", "csv=p=0", file)
				var own []*codecs.AccessUnit
				for _, au := range units {
					if au.Track == i {
						own = append(own, au)
					}
				}
				lines := strings.Fields(out)
				if len(lines) != len(own) {
					t.Errorf("track %d: ffprobe finds %d access units, want %d", i, len(lines), len(own))
					continue
				}
				scale := int64(fmp4.Timescale(track))
				for k, line := range lines {
					stamp, flags, _ := strings.Cut(line, ",")
					dts := must(strconv.ParseInt(stamp, 10, 64))
					off := (dts-epoch/codecs.ClockRate*scale)*codecs.ClockRate/scale - (own[k].DTS - epoch)
					if max(off, -off) > 1 || strings.HasPrefix(flags, "K") != own[k].RandomAccess {
						t.Errorf("track %d, access unit %d: %q, off by %d ticks", i, k, line, off)
						break
					}
				}
			}
		})
	}
}
