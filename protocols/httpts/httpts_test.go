package httpts_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/ffmpegtest"
	"weir/protocols"
	"weir/protocols/httpts"
	"weir/protocols/listen"
)

// A stream is a router that serves itself, and the source: the test pattern's segments from one on, then the end.
type stream struct {
	tracks codecs.Tracks
	units  []*codecs.AccessUnit
	asked  []string
}

func (s *stream) Play(_ context.Context, r listen.Request) listen.Answer {
	s.asked = append(s.asked, r.Streams...)
	if r.Streams[0] != s.Name() {
		return listen.Answer{Verdict: listen.NotFound}
	}
	return listen.Answer{Verdict: listen.Serve, Stream: s.Name(), Source: s}
}

func (s *stream) Publish(context.Context, listen.Request) (listen.Publication, error) {
	return nil, listen.ErrNotFound
}

func (s *stream) Name() string           { return "cam/1" }
func (s *stream) Tracks() codecs.Tracks  { return s.tracks }
func (s *stream) Units() listen.UnitFeed { return nil }

func (s *stream) Join(_ string, mk func(int64) codecs.Encoder) listen.Feed {
	e := mk(s.units[0].DTS)
	f := &feed{}
	f.bufs = append(f.bufs, e.Prologue(s.tracks))
	for _, au := range s.units {
		f.bufs = append(f.bufs, e.Encode(au))
	}
	return f
}

type feed struct{ bufs [][]byte }

func (f *feed) Next(_ context.Context, bufs [][]byte) ([][]byte, error) {
	if len(f.bufs) == 0 {
		return bufs, io.EOF
	}
	n := min(50, len(f.bufs))
	bufs = append(bufs, f.bufs[:n]...)
	f.bufs = f.bufs[n:]
	return bufs, nil
}

func (f *feed) Dropped() uint64 { return 0 }
func (f *feed) Close()          {}

// A sessions serves each client on a goroutine of its own.
type sessions struct{ t *testing.T }

func (h sessions) Enter(c listen.Client) {
	go func() {
		if err := c.Serve(context.Background(), nil); err != nil {
			h.t.Errorf("Serve() = %v", err)
		}
		c.Close()
	}()
}

func serve(t *testing.T, s *stream) (url string) {
	t.Helper()
	ts := httpts.New(listen.Deps{Router: s, Sessions: sessions{t}})
	mux := http.NewServeMux()
	mux.HandleFunc("/{stream}/mpegts", func(w http.ResponseWriter, r *http.Request) {
		ts.ServeStream(w, r, listen.HTTPRequest(r, protocols.TS, r.PathValue("stream")), "")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/cam%2F1/mpegts"
}

func pattern(t *testing.T) *stream {
	t.Helper()
	p, err := fake.New(fake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{tracks: p.Tracks()}
	for n := int64(440_000_000); n < 440_000_002; n++ {
		units, err := p.Segment(n)
		if err != nil {
			t.Fatal(err)
		}
		s.units = append(s.units, units...)
	}
	return s
}

func TestViewerGetsAnUnbrokenTransportStream(t *testing.T) {
	s := pattern(t)
	resp, err := http.Get(serve(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "video/mp2t" {
		t.Fatalf("status %d, Content-Type %q", resp.StatusCode, got)
	}
	r := &mpegts.Reader{R: resp.Body}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	r.OnDecodeError(func(err error) { t.Errorf("decode error: %v", err) })
	var video, audio int
	r.OnDataH264(r.Tracks()[0], func(_, dts int64, _ [][]byte) error {
		for s.units[video+audio].Track != 0 { // whatever stands between is audio, read in its own time
			audio++
		}
		if want := s.units[video+audio].DTS % (1 << 33); dts != want {
			t.Errorf("access unit %d has DTS %d, want %d", video, dts, want)
		}
		video++
		return nil
	})
	heard := 0
	r.OnDataMPEG4Audio(r.Tracks()[1], func(_ int64, units [][]byte) error {
		heard += len(units)
		return nil
	})
	for err == nil {
		err = r.Read()
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if video != 200 || heard != len(s.units)-200 {
		t.Errorf("%d and %d access units, want 200 and %d", video, heard, len(s.units)-200)
	}
}

func TestOtherNamesAreNotFound(t *testing.T) {
	s := pattern(t)
	resp, err := http.Get(strings.Replace(serve(t, s), "cam%2F1", "cam2", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound || len(s.asked) != 1 || s.asked[0] != "cam2" {
		t.Errorf("status %d for %v", resp.StatusCode, s.asked)
	}
}

func TestStreamThatTransportStreamsCannotCarryIsRefused(t *testing.T) {
	s := &stream{tracks: codecs.Tracks{{Codec: codecs.Opus, SampleRate: 48000}}}
	resp, err := http.Get(serve(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusUnsupportedMediaType || err != nil || !strings.Contains(string(body), "Opus") {
		t.Errorf("status %d with %q, error %v", resp.StatusCode, body, err)
	}
}

func TestFFmpegPlays(t *testing.T) {
	path := ffmpegtest.Path(t, "ffprobe")
	s := pattern(t)
	cmd := exec.Command(path, "-v", "warning", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0", serve(t, s))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("ffprobe: %v\n%s", err, errs.String())
	}
	for line := range strings.Lines(errs.String()) {
		// ffmpeg 5.1 says so of every body without a length.
		if !strings.Contains(line, "Stream ends prematurely") {
			t.Errorf("ffprobe complains: %s", line)
		}
	}
	want := "h264,200\naac," + strconv.Itoa(len(s.units)-200) + "\n"
	if got := string(out); !strings.HasPrefix(got, want) { // and the same again, as streams of a program
		t.Errorf("ffprobe finds %q, want %q", got, want)
	}
}
