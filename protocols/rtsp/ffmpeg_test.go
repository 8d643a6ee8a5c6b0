package rtsp

import (
	"strconv"
	"strings"
	"testing"

	"weir/codecs/ffmpegtest"
	"weir/protocols"
	"weir/protocols/listen"
)

func TestFFprobeReadsTheStreamOverTCPAndUDP(t *testing.T) {
	ffmpegtest.Path(t, "ffprobe")
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			src := pattern(t, "live/cam 1", 2)
			n := start(t, serving(src))
			go func() {
				<-src.joined
				src.end()
			}()
			out, errs := ffmpegtest.Run(t, "ffprobe", "-v", "warning", "-rtsp_transport", transport, "-count_packets",
				"-show_entries", "stream=codec_name,width,height,sample_rate,channels,nb_read_packets",
				"-of", "compact", n.url("live/cam%201?token=a%20b"))
			for _, want := range []string{"codec_name=h264|width=640|height=360|", "codec_name=aac|sample_rate=48000|"} {
				if !strings.Contains(out, want) {
					t.Errorf("ffprobe printed\n%swant %q in it", out, want)
				}
			}
			// Datagrams may be lost on the way to a player that the machine does not let read.
			if transport == "tcp" && (!strings.Contains(out, "|nb_read_packets=200\n") || errs != "") {
				t.Errorf("ffprobe printed\n%s%swant 200 pictures and no complaint", out, errs)
			}
			if err := <-n.sessions.ended; err != nil {
				t.Errorf("Serve = %v, want nil", err)
			}
			st := n.sessions.client(0).Stats()
			if st.Protocol != protocols.RTSP || st.Stream != "live/cam 1" || st.BytesOut == 0 || !st.Remote.IsValid() {
				t.Errorf("Stats = %+v", st)
			}
			r := n.router.requests()[0]
			if r.Path != "/live/cam%201" || r.Query != "token=a%20b" || r.Host != n.addr || r.Protocol != protocols.RTSP {
				t.Errorf("the router was asked %+v", r)
			}
		})
	}
}

func TestFFmpegDecodesWithoutAComplaint(t *testing.T) {
	src := pattern(t, "a", 2)
	n := start(t, serving(src))
	go func() {
		<-src.joined
		src.end()
	}()
	_, errs := ffmpegtest.Run(t, "ffmpeg", "-v", "warning", "-rtsp_transport", "tcp", "-i", n.url("a"), "-f", "null", "-")
	if errs != "" {
		t.Errorf("ffmpeg complains:\n%s", errs)
	}
}

// Timestamps: the distance between pictures, and of sound from picture, is what the pattern has.
func TestSoundAndPictureKeepTheirTime(t *testing.T) {
	src := pattern(t, "a", 2)
	n := start(t, serving(src))
	go func() {
		<-src.joined
		src.end()
	}()
	out, _ := ffmpegtest.Run(t, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "packet=codec_type,pts_time", "-of", "csv=p=0", n.url("a"))
	times := map[string][]float64{}
	for line := range strings.Lines(out) {
		kind, at, ok := strings.Cut(strings.TrimRight(line, ",\n"), ",")
		if !ok {
			continue // an empty line after a packet with side data
		}
		if at == "N/A" && kind == "video" && len(times[kind]) == 0 {
			continue // ffmpeg 5.1 never knows the time of the first picture that its H.264 parser puts together
		}
		s, err := strconv.ParseFloat(at, 64)
		if err != nil {
			t.Fatalf("ffprobe printed %q ", line)
		}
		times[kind] = append(times[kind], s)
	}
	video, audio := times["video"], times["audio"]
	if len(video) < 199 || len(audio) < 370 {
		t.Fatalf("%d pictures and %d sounds with a time, want 200 but the first and 8 s of sounds", len(video), len(audio))
	}
	for i := 1; i < len(video); i++ {
		if d := video[i] - video[i-1]; d < 0.039 || d > 0.041 {
			t.Errorf("picture %d comes %.4f s after the one before, want 0.04", i, d)
		}
	}
	if d := audio[len(audio)-1] - video[len(video)-1]; d < -0.06 || d > 0.06 {
		t.Errorf("sound ends %.4f s after the picture, want about 0", d)
	}
}

func TestFFprobeFollowsARedirectToTheNodeThatHasTheStream(t *testing.T) {
	src := pattern(t, "a", 1)
	owner := start(t, serving(src))
	entry := start(t, &router{answers: map[string]listen.Answer{
		"a": {Verdict: listen.Redirect, Location: owner.url("a?user=x&weir_hops=1")},
	}})
	go func() {
		<-src.joined
		src.end()
	}()
	out, _ := ffmpegtest.Run(t, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name", "-of", "csv=p=0", entry.url("a?user=x"))
	if !strings.Contains(out, "h264") || !strings.Contains(out, "aac") {
		t.Errorf("ffprobe printed %q", out)
	}
	r := owner.router.requests()[0]
	if r.Query != "user=x" {
		t.Errorf("the owner was asked with query %q; want user=x and nothing of ours", r.Query)
	}
}
