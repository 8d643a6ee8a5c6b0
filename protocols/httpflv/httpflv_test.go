package httpflv_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"weir/codecs"
	"weir/codecs/ffmpegtest"
	"weir/codecs/flv"
	"weir/protocols"
	"weir/protocols/httpflv"
	"weir/protocols/listen"
)

// A source is a finished stream of access units; it is a [codecs.Writer] too, which is how it is filled.
type source struct {
	tracks codecs.Tracks
	units  []*codecs.AccessUnit
}

func (s *source) SetTracks(t codecs.Tracks) { s.tracks = t }
func (s *source) Write(au *codecs.AccessUnit) error {
	s.units = append(s.units, au)
	return nil
}
func (s *source) Name() string           { return "cam1" }
func (s *source) Tracks() codecs.Tracks  { return s.tracks }
func (s *source) Units() listen.UnitFeed { panic("not used by HTTP-FLV") }

func (s *source) Join(form string, mk func(int64) codecs.Encoder) listen.Feed {
	if form != "flv" {
		panic("joined as " + form)
	}
	return &feed{s: s, enc: mk(0)}
}

// A feed brings everything at once, and then the end.
type feed struct {
	s    *source
	enc  codecs.Encoder
	done bool
}

func (f *feed) Next(_ context.Context, bufs [][]byte) ([][]byte, error) {
	if f.done {
		return bufs, io.EOF
	}
	f.done = true
	bufs = append(bufs, f.enc.Prologue(f.s.tracks))
	for _, au := range f.s.units {
		bufs = append(bufs, f.enc.Encode(au))
	}
	return bufs, nil
}
func (f *feed) Dropped() uint64 { return 0 }
func (f *feed) Close()          {}

type router struct{ answer listen.Answer }

func (d router) Play(_ context.Context, r listen.Request) listen.Answer {
	if r.Protocol != protocols.FLV || len(r.Streams) != 1 || r.Streams[0] != "cam1" {
		return listen.Answer{Verdict: listen.NotFound}
	}
	return d.answer
}

func (router) Publish(context.Context, listen.Request) (listen.Publication, error) {
	return nil, listen.ErrDenied
}

// A sessions serves each client once.
type sessions struct{ ctx context.Context }

func (h sessions) Enter(c listen.Client) {
	go func() {
		_ = c.Serve(h.ctx, nil)
		_ = c.Close()
	}()
}

// serve serves a stream with the media of the clip of codecs/flv at /cam1.flv.
func serve(t *testing.T) (url string, s *source) {
	t.Helper()
	file, err := os.ReadFile("../../codecs/flv/testdata/clip.flv")
	if err != nil {
		t.Fatal(err)
	}
	s = &source{}
	var d flv.Demuxer
	for r := flv.NewReader(bytes.NewReader(file)); ; {
		tag, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Tag(tag, s); err != nil {
			t.Fatal(err)
		}
	}
	server := httpflv.New(listen.Deps{Router: router{listen.Answer{Verdict: listen.Serve, Source: s}}, Sessions: sessions{t.Context()}})
	mux := http.NewServeMux()
	mux.HandleFunc("/cam1.flv", func(w http.ResponseWriter, r *http.Request) {
		server.ServeStream(w, r, listen.HTTPRequest(r, protocols.FLV, "cam1"), "")
	})
	mux.HandleFunc("/other.flv", func(w http.ResponseWriter, r *http.Request) {
		server.ServeStream(w, r, listen.HTTPRequest(r, protocols.FLV, "other"), "")
	})
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return web.URL, s
}

func TestBodyIsAnFLVStream(t *testing.T) {
	url, s := serve(t)
	resp, err := http.Get(url + "/cam1.flv")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "video/x-flv" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s, %v", resp.Status, resp.Header)
	}
	var again source
	var d flv.Demuxer
	for r := flv.NewReader(resp.Body); ; {
		tag, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Tag(tag, &again); err != nil {
			t.Fatal(err)
		}
	}
	if !again.tracks.Equal(s.tracks) || len(again.units) != len(s.units) {
		t.Fatalf("%d units of %+v, want %d of %+v", len(again.units), again.tracks, len(s.units), s.tracks)
	}
	for i, au := range again.units {
		if !bytes.Equal(au.Payload, s.units[i].Payload) || au.RandomAccess != s.units[i].RandomAccess {
			t.Errorf("unit %d differs", i)
		}
	}
}

func TestFfprobeReadsTheBody(t *testing.T) {
	ffprobe := ffmpegtest.Path(t, "ffprobe")
	url, _ := serve(t)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), ffprobe, "-v", "error", "-of", "json", "-show_streams", "-count_packets", url+"/cam1.flv")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil { // it also grumbles about every body that ends with its connection
		t.Fatalf("ffprobe: %v\n%s", err, stderr.Bytes())
	}
	var got struct {
		Streams []struct {
			Codec   string `json:"codec_name"`
			Packets string `json:"nb_read_packets"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Streams) != 2 || got.Streams[0].Codec != "h264" || got.Streams[0].Packets != "50" || got.Streams[1].Codec != "aac" {
		t.Errorf("streams = %+v, want 50 packets of h264, and aac", got.Streams)
	}
}

func TestUnknownStreamIsNotFound(t *testing.T) {
	url, _ := serve(t)
	resp, err := http.Get(url + "/other.flv")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("status = %s, want 404", resp.Status)
	}
}
