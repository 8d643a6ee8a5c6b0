package rtmp

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"weir/codecs"
	"weir/codecs/ffmpegtest"
)

// clip lets ffmpeg publish two seconds of H.264 with B pictures and AAC.
func clip(t *testing.T, url string, more ...string) {
	t.Helper()
	args := slices.Concat([]string{
		"-v", "error", "-nostdin",
		"-f", "lavfi", "-i", "testsrc=size=96x64:rate=25:duration=2", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=2",
		"-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25", "-c:a", "aac",
	}, more, []string{"-f", "flv", url})
	if out, err := exec.CommandContext(t.Context(), ffmpegtest.Path(t, "ffmpeg"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

// probed is what ffprobe says about a stream.
type probed struct {
	Streams []struct {
		Codec  string `json:"codec_name"`
		Width  int    `json:"width"`
		Height int    `json:"height"`
		Rate   string `json:"sample_rate"`
	} `json:"streams"`
	Packets []struct {
		Type string `json:"codec_type"`
		PTS  int64  `json:"pts"`
		DTS  int64  `json:"dts"`
	} `json:"packets"`
}

func probe(t *testing.T, url string) probed {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), ffmpegtest.Path(t, "ffprobe"), "-v", "error", "-of", "json", "-show_streams", "-show_packets", url)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffprobe: %v\n%s", err, stderr.Bytes())
	}
	if stderr.Len() > 0 {
		t.Errorf("ffprobe complains: %s", stderr.Bytes())
	}
	var p probed
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFfmpegPublishesAndFfprobePlays(t *testing.T) {
	for _, tt := range []struct {
		name  string
		shift int64 // seconds that ffmpeg's timestamps start at, and that the hub's base lies back
	}{
		{"from zero", 0},
		{"over the border of 24 bits", 0xffffff/1000 - 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHub("live/cam1")
			d := newRouter(h)
			s := serve(t, d)
			clip(t, s.url("/live/cam1?user=bob"), "-output_ts_offset", strconv.FormatInt(tt.shift, 10))
			if err := receive(t, s.ended, "the end of the publisher"); err != nil {
				t.Errorf("Serve = %v", err)
			}
			if r := receive(t, d.asked, "request"); r.Streams[0] != "live/cam1" || r.Query != "user=bob" || r.Path != "/live/cam1" {
				t.Errorf("request = %+v", r)
			}
			if len(h.tracks) != 2 || h.tracks[0].Codec != codecs.H264 || h.tracks[0].Width != 96 || h.tracks[1].SampleRate != 44100 {
				t.Fatalf("tracks = %+v", h.tracks)
			}
			pictures := 0
			last := int64(-1)
			for _, au := range h.units {
				if au.Discontinuity {
					t.Errorf("discontinuity at DTS %d", au.DTS)
				}
				if au.Track == 0 {
					if pictures++; last >= 0 && au.DTS-last != 3600 {
						t.Errorf("picture at DTS %d after %d, want 3600 ticks between", au.DTS, last)
					}
					last = au.DTS
				}
			}
			if pictures != 50 {
				t.Errorf("%d pictures, want 50", pictures)
			}

			// ffprobe gets the last second, from the random access point, and the end.
			h.base = -tt.shift * 90000
			h.end()
			p := probe(t, s.url("/live/cam1"))
			if len(p.Streams) != 2 || p.Streams[0].Codec != "h264" || p.Streams[0].Width != 96 || p.Streams[1].Codec != "aac" || p.Streams[1].Rate != "44100" {
				t.Errorf("streams = %+v", p.Streams)
			}
			var dts []int64
			for _, q := range p.Packets {
				if q.Type == "video" {
					dts = append(dts, q.DTS)
				}
			}
			if len(dts) != 25 || dts[0] < tt.shift*1000+900 || dts[0] > tt.shift*1000+1100 || dts[24]-dts[0] != 24*40 {
				t.Errorf("%d pictures at %v, want 25 from about %d ms", len(dts), dts, tt.shift*1000+1000)
			}
		})
	}
}

func TestFfmpegIsToldThatTheNameIsTaken(t *testing.T) {
	d := newRouter(nil)
	d.refuse = os.ErrExist
	s := serve(t, d)
	out, err := exec.CommandContext(t.Context(), ffmpegtest.Path(t, "ffmpeg"), "-v", "error", "-nostdin", "-f", "lavfi", "-i", "sine=duration=1",
		"-c:a", "aac", "-f", "flv", s.url("/live/cam1")).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(os.ErrExist.Error())) {
		t.Errorf("ffmpeg = %v, %s, want its failure with the reason", err, out)
	}
}
