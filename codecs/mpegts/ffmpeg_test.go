package mpegts_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/pmp4"

	weir "weir/codecs"
	"weir/codecs/aac"
	"weir/codecs/ffmpegtest"
	"weir/codecs/h264"
	"weir/codecs/h265"
	"weir/codecs/mpegts"
	"weir/codecs/nal"
)

// clip encodes a few seconds with ffmpeg and returns them as access units, the first at origin.
func clip(t *testing.T, origin int64, args ...string) (weir.Tracks, []*weir.AccessUnit) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.mp4")
	ffmpegtest.Run(t, "ffmpeg", slices.Concat([]string{
		"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=6",
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=6", "-threads", "1",
	}, args, []string{file})...)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var p pmp4.Presentation
	if err := p.Unmarshal(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	var tracks weir.Tracks
	var units []*weir.AccessUnit
	for i, pt := range p.Tracks {
		var track weir.Track
		keep := func([]byte) bool { return true }
		switch c := pt.Codec.(type) {
		case *codecs.H264:
			sets := [][]byte{c.SPS, c.PPS}
			track, keep = must(h264.Syntax.Track(sets)), func(unit []byte) bool { return h264.Syntax.Keep(unit, sets) }
		case *codecs.H265:
			sets := [][]byte{c.VPS, c.SPS, c.PPS}
			track, keep = must(h265.Syntax.Track(sets)), func(unit []byte) bool { return h265.Syntax.Keep(unit, sets) }
		case *codecs.MPEG4Audio:
			track = must(aac.Track(must(c.Config.Marshal())))
		case *codecs.AC3:
			track = weir.Track{Codec: weir.AC3, SampleRate: c.SampleRate, Channels: c.ChannelCount}
		case *codecs.MPEG1Audio:
			track = weir.Track{Codec: weir.MP3, SampleRate: c.SampleRate, Channels: c.ChannelCount}
		default:
			t.Fatalf("clip with %T", c)
		}
		tracks = append(tracks, track)
		scale := int64(pt.TimeScale)
		at := int64(pt.TimeOffset)
		for _, s := range pt.Samples {
			payload := must(s.GetPayload())
			if track.Codec.Video() {
				units := slices.DeleteFunc(slices.Collect(nal.Units(payload)), func(u []byte) bool { return !keep(u) })
				payload = nal.Join(units...)
			}
			units = append(units, &weir.AccessUnit{
				Track: i, DTS: origin + at*weir.ClockRate/scale, PTS: origin + (at+int64(s.PTSOffset))*weir.ClockRate/scale,
				RandomAccess: !s.IsNonSyncSample, Payload: payload,
			})
			at += int64(s.Duration)
		}
	}
	slices.SortStableFunc(units, func(a, b *weir.AccessUnit) int { return int(a.DTS - b.DTS) })
	return tracks, units
}

// cut splits units at the random access points of the first track.
func cut(units []*weir.AccessUnit) (segments [][]*weir.AccessUnit) {
	for _, au := range units {
		if len(segments) == 0 || au.Track == 0 && au.RandomAccess {
			segments = append(segments, nil)
		}
		last := &segments[len(segments)-1]
		*last = append(*last, au)
	}
	return segments
}

var clips = []struct {
	name string
	args []string
}{
	{"H.264 with B-frames and AAC", []string{"-c:v", "libx264", "-preset", "fast", "-g", "25", "-bf", "2", "-c:a", "aac"}},
	{"H.265 and AC-3", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=25:log-level=error", "-c:a", "ac3"}},
	{"H.264 and MP3", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "libmp3lame"}},
}

func TestFFmpegReadsJoinedSegmentsOverTheWrap(t *testing.T) {
	ffmpegtest.Path(t, "ffmpeg")
	for _, c := range clips {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tracks, units := clip(t, 18_600*wrap-3*weir.ClockRate, c.args...)
			segments := cut(units)
			if len(segments) < 5 {
				t.Fatalf("%d segments, want at least 5", len(segments))
			}
			var joined, endless []byte
			for _, s := range segments {
				joined = append(joined, mpegts.Segment(tracks, s)...)
			}
			e := mpegts.NewEncoder(0)
			endless = append(endless, e.Prologue(tracks)...)
			for _, au := range units {
				endless = append(endless, e.Encode(au)...)
			}
			check(t, "joined segments", joined, tracks, units)
			check(t, "endless form", endless, tracks, units)
		})
	}
}

// check has ffmpeg and ffprobe judge a transport stream that should hold units.
func check(t *testing.T, what string, b []byte, tracks weir.Tracks, units []*weir.AccessUnit) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "joined.ts")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs := ffmpegtest.Run(t, "ffmpeg", "-v", "error", "-err_detect", "+crccheck+bitstream+buffer", "-i", file, "-f", "null", "-"); errs != "" {
		t.Errorf("%s: ffmpeg complains:\n%s", what, errs)
	}
	_, log := ffmpegtest.Run(t, "ffmpeg", "-v", "debug", "-nostats", "-i", file, "-map", "0", "-c", "copy", "-f", "null", "-")
	for line := range strings.Lines(log) {
		for _, bad := range []string{"Continuity check failed", "mismatch", "corrupt", "Invalid timestamps", "Non-increasing DTS"} {
			if strings.Contains(line, bad) && !strings.Contains(line, "0 corrupt") {
				t.Errorf("%s: ffmpeg says %q", what, strings.TrimSpace(line))
			}
		}
	}
	// Counted per track; ffprobe's parser splits groups of audio again and keeps the timeline over the wrap.
	for i := range tracks {
		out, _ := ffmpegtest.Run(t, "ffprobe", "-v", "error", "-select_streams", strconv.Itoa(i), "-show_entries", "packet=pts,dts", "-of", "csv=p=0", file)
		lines := strings.Fields(out)
		var own []*weir.AccessUnit
		for _, au := range units {
			if au.Track == i {
				own = append(own, au)
			}
		}
		if len(lines) != len(own) {
			t.Errorf("%s, track %d: ffprobe finds %d access units, want %d", what, i, len(lines), len(own))
			continue
		}
		var offset int64
		for k, line := range lines {
			pts, dts, _ := strings.Cut(strings.TrimSuffix(line, ","), ",")
			p, err1 := strconv.ParseInt(pts, 10, 64)
			d, err2 := strconv.ParseInt(dts, 10, 64)
			if err1 != nil || err2 != nil {
				t.Fatalf("%s, track %d: packet %q", what, i, line)
			}
			if k == 0 {
				offset = own[0].DTS - d
			}
			if dd, pp := own[k].DTS-d-offset, own[k].PTS-p-offset; max(dd, -dd) > 1 || max(pp, -pp) > 1 {
				t.Errorf("%s, track %d, access unit %d: DTS off by %d, PTS by %d", what, i, k, dd, pp)
				break
			}
		}
	}
}
