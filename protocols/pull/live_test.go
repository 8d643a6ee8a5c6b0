package pull_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	tscodecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/ffmpegtest"
	"weir/codecs/flv"
	"weir/codecs/linear"
	"weir/codecs/reception"
	"weir/protocols/pull"
)

// A taker keeps what a pulled input brings, from any goroutine, and refuses once it has enough.
type taker struct {
	most int // 0: all

	mu     sync.Mutex
	tracks codecs.Tracks
	units  []*codecs.AccessUnit
}

func (k *taker) SetTracks(t codecs.Tracks) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tracks = t
}

func (k *taker) Write(au *codecs.AccessUnit) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.units = append(k.units, au)
	if len(k.units) == k.most {
		return errEnough
	}
	return nil
}

// check says what is wrong with what came: H.264 and AAC, timestamps of each that go forward, a random access point.
func (k *taker) check(t *testing.T) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.tracks) != 2 || k.tracks[0].Codec != codecs.H264 || k.tracks[1].Codec != codecs.AAC || k.tracks[0].Width == 0 {
		t.Fatalf("tracks %+v, want H264 and AAC", k.tracks)
	}
	last, count, random := [2]int64{-1 << 62, -1 << 62}, [2]int{}, 0
	for _, au := range k.units {
		if au.DTS <= last[au.Track] || au.PTS < au.DTS {
			t.Fatalf("track %d: DTS %d, PTS %d follow %d", au.Track, au.DTS, au.PTS, last[au.Track])
		}
		last[au.Track] = au.DTS
		count[au.Track]++
		if au.RandomAccess {
			random++
		}
	}
	if count[0] < 10 || count[1] < 10 || random == 0 {
		t.Errorf("%d pictures, %d sounds, %d random access points", count[0], count[1], random)
	}
}

func bunny(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vod, "bunny.ts"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serveTS answers every request with a transport stream.
func serveTS(t *testing.T, b []byte) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }))
	t.Cleanup(s.Close)
	return s
}

func TestTransportStreamIsPulledToItsEnd(t *testing.T) {
	var agent atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent.Store(r.UserAgent())
		_, _ = w.Write(bunny(t))
	}))
	defer s.Close()
	k := &taker{}
	if err := pull.TS(t.Context(), s.URL+"/cam/mpegts", pull.Options{Agent: "weir/1"}, k); !errors.Is(err, pull.ErrEnded) {
		t.Errorf("TS = %v, want %v", err, pull.ErrEnded)
	}
	k.check(t)
	if agent.Load() != "weir/1" {
		t.Errorf("the server was told the agent %v, want weir/1", agent.Load())
	}
	span := k.units[len(k.units)-1].DTS - k.units[0].DTS
	if span < 10*codecs.ClockRate || span > 11*codecs.ClockRate {
		t.Errorf("the stream lasts %d ticks, want some 10.4 s", span)
	}
}

func TestTransportStreamMayBeginInAPacket(t *testing.T) {
	k := &taker{}
	if err := pull.ReadTS(bytes.NewReader(bunny(t)[100:]), 0, reception.Discard, k); !errors.Is(err, pull.ErrEnded) {
		t.Errorf("ReadTS = %v, want %v", err, pull.ErrEnded)
	}
	k.check(t)
}

func TestRefusalOfTheWriterEndsThePull(t *testing.T) {
	s := serveTS(t, bunny(t))
	if err := pull.TS(t.Context(), s.URL, pull.Options{}, &taker{most: 5}); !errors.Is(err, errEnough) {
		t.Errorf("TS = %v, want %v", err, errEnough)
	}
}

func TestFLVIsPulledToItsEnd(t *testing.T) {
	b, err := os.ReadFile("../../codecs/flv/testdata/clip.flv")
	if err != nil {
		t.Fatal(err)
	}
	s := serveTS(t, b)
	k := &taker{}
	if err := pull.FLV(t.Context(), s.URL+"/live/cam.flv", pull.Options{}, k); !errors.Is(err, pull.ErrEnded) {
		t.Errorf("FLV = %v, want %v", err, pull.ErrEnded)
	}
	k.check(t)
	cut := serveTS(t, b[:len(b)/2])
	if err := pull.FLV(t.Context(), cut.URL, pull.Options{}, &taker{}); !errors.Is(err, pull.ErrCutOff) {
		t.Errorf("FLV of half a file = %v, want %v", err, pull.ErrCutOff)
	}
	text := serveTS(t, []byte("<html>no stream here, but rather a long page</html>"))
	if err := pull.FLV(t.Context(), text.URL, pull.Options{}, &taker{}); !errors.Is(err, flv.ErrMalformed) {
		t.Errorf("FLV of a page = %v, want %v", err, flv.ErrMalformed)
	}
}

// tsOf muxes one second of tracks with unusual codecs.
func tsOf(t *testing.T, tracks ...*mpegts.Track) []byte {
	t.Helper()
	var b bytes.Buffer
	w := &mpegts.Writer{W: &b, Tracks: tracks}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	for i := range int64(25) {
		for _, track := range tracks {
			var err error
			switch track.Codec.(type) {
			case *tscodecs.MPEG1Video:
				err = w.WriteMPEG1Video(track, i*3600, []byte{0, 0, 1, 0xb3, byte(i), 1, 2, 3, 4})
			case *tscodecs.MPEG4Audio:
				err = w.WriteMPEG4Audio(track, i*3600, [][]byte{{1, 2, 3, byte(i)}})
			case *tscodecs.MPEG1Audio:
				err = w.WriteMPEG1Audio(track, i*3600, [][]byte{append([]byte{0xff, 0xfd, 0x14, 0xc0}, make([]byte, 92)...)})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.Bytes()
}

func TestWhatIsWrongWithATransportStreamIsSaid(t *testing.T) {
	mpeg2 := &mpegts.Track{PID: 256, Codec: &tscodecs.MPEG1Video{}}
	unsupported := (*codecs.UnsupportedError)(nil)
	for _, tt := range []struct {
		name string
		body []byte
		is   func(error) bool
		says string
	}{
		{"nothing", nil, func(err error) bool { return errors.Is(err, pull.ErrEnded) }, "before its tracks were known"},
		{"a page", []byte("<html><body>" + strings.Repeat("please log in ", 100)), func(err error) bool { return errors.Is(err, pull.ErrNotTS) }, "<html>"},
		{"a playlist", []byte("#EXTM3U\n#EXT-X-GAP\n"), func(err error) bool { return errors.Is(err, pull.ErrNotTS) }, "#EXTM3U"},
		{"half a packet", bunny(t)[:100], func(err error) bool { return err != nil }, "before its tracks were known"},
		{"video of another codec", tsOf(t, mpeg2), func(err error) bool { return errors.As(err, &unsupported) }, "MPEG-2 video"},
		{
			"sound of another codec", tsOf(t, &mpegts.Track{PID: 258, Codec: &tscodecs.MPEG1Audio{}}),
			func(err error) bool { return errors.As(err, &unsupported) }, "layer 2",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveTS(t, tt.body)
			err := pull.TS(t.Context(), s.URL, pull.Options{}, &taker{})
			if !tt.is(err) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("TS = %v, want it to say %q", err, tt.says)
			}
		})
	}
}

func TestTracksOfATransportStreamThatCannotBeCarriedAreNamed(t *testing.T) {
	aac := &mpegts.Track{PID: 257, Codec: &tscodecs.MPEG4Audio{Config: mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2}}}
	mpeg2 := &mpegts.Track{PID: 256, Codec: &tscodecs.MPEG1Video{}}
	s := serveTS(t, tsOf(t, mpeg2, aac))
	k, report := &taker{}, &reception.Record{}
	err := pull.TS(t.Context(), s.URL, pull.Options{Report: report}, k)
	if !errors.Is(err, pull.ErrEnded) || len(k.units) == 0 {
		t.Errorf("TS = %v with %d access units, want the sound up to its end", err, len(k.units))
	}
	want := reception.LeftOut{Track: "PID 256", Codec: "MPEG-2 video", Reason: "video codec MPEG-2 video is not supported"}
	if !slices.Equal(report.LeftOut, []reception.LeftOut{want}) {
		t.Errorf("left out %+v, want %+v", report.LeftOut, want)
	}
}

func TestAnswersOtherThanAStreamAreSaid(t *testing.T) {
	circle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
	}))
	defer circle.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = away.Close()
	for name, read := range map[string]func(context.Context, string, pull.Options, codecs.Writer) error{"TS": pull.TS, "FLV": pull.FLV, "HLS": pull.HLS} {
		for _, tt := range []struct{ url, says string }{
			{gone.URL + "/x?token=secret", "404"},
			{circle.URL + "/x?token=secret", "more than 5 redirects"},
			{"http://user:secret@" + away.Addr().String() + "/x?token=secret", "refused"},
		} {
			err := read(t.Context(), tt.url, pull.Options{}, &taker{})
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s of %s = %v, want %q and no secret", name, tt.url, err, tt.says)
			}
		}
	}
}

func TestRedirectsAreFollowed(t *testing.T) {
	s := serveTS(t, bunny(t))
	hops := 0
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hops++; hops < 5 {
			http.Redirect(w, r, fmt.Sprintf("/%d", hops), http.StatusFound)
			return
		}
		http.Redirect(w, r, s.URL, http.StatusTemporaryRedirect)
	}))
	defer first.Close()
	k := &taker{}
	if err := pull.TS(t.Context(), first.URL, pull.Options{}, k); !errors.Is(err, pull.ErrEnded) {
		t.Errorf("TS = %v, want %v", err, pull.ErrEnded)
	}
	k.check(t)
}

// over dials the other end of a pipe, on which serve answers.
func over(serve func(net.Conn)) http.RoundTripper {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go serve(there)
		return here, nil
	}, DisableKeepAlives: true}
}

func TestServerThatFallsSilentIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		half := bunny(t)[:100*188]
		rt := over(func(c net.Conn) {
			defer c.Close()
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
			_, _ = c.Write(half)
			_, _ = io.Copy(io.Discard, c) // until the other side closes
		})
		start := time.Now()
		err := pull.TS(t.Context(), "http://node/x", pull.Options{Silence: 7 * time.Second, Transport: rt}, &taker{})
		if d := time.Since(start); err == nil || !strings.Contains(err.Error(), "silent") || d != 7*time.Second {
			t.Errorf("TS = %v after %v, want silence after 7 s", err, d)
		}
	})
}

func TestContextEndsAPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, answers := range []bool{false, true} {
			rt := over(func(c net.Conn) {
				defer c.Close()
				_, _ = c.Read(make([]byte, 4096))
				if answers {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				}
				_, _ = io.Copy(io.Discard, c)
			})
			for name, read := range map[string]func(context.Context, string, pull.Options, codecs.Writer) error{"TS": pull.TS, "FLV": pull.FLV, "HLS": pull.HLS} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if err := read(ctx, "http://node/x", pull.Options{Transport: rt}, &taker{}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s = %v, want %v", name, err, context.DeadlineExceeded)
				}
				cancel()
			}
		}
		synctest.Wait() // the bubble fails if a goroutine stays
	})
}

func TestPlaylistsAreFollowed(t *testing.T) {
	ffmpeg := ffmpegtest.Path(t, "ffmpeg")
	dir := t.TempDir()
	for _, form := range []struct {
		name string
		args []string
	}{
		{"ts", nil},
		{"fmp4", []string{"-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"}},
	} {
		sub := filepath.Join(dir, form.name)
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		args := append([]string{
			"-v", "error", "-t", "3", "-i", filepath.Join(vod, "bunny.mp4"), "-c", "copy", "-hls_time", "1", "-hls_list_size", "0",
			"-hls_playlist_type", "vod",
		}, form.args...)
		if out, err := exec.Command(ffmpeg, append(args, filepath.Join(sub, "media.m3u8"))...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, out)
		}
		multi := "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.42c01e,mp4a.40.2\"\nnowhere.m3u8\n" +
			"#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS=\"avc1.42c01e,mp4a.40.2\"\nmedia.m3u8\n"
		if err := os.WriteFile(filepath.Join(sub, "index.m3u8"), []byte(multi), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(files.Close)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, files.URL+r.URL.Path, http.StatusFound)
	}))
	t.Cleanup(elsewhere.Close)
	for _, base := range []string{files.URL + "/ts/media.m3u8", files.URL + "/fmp4/media.m3u8", elsewhere.URL + "/ts/index.m3u8", files.URL + "/fmp4/index.m3u8"} {
		t.Run(strings.TrimPrefix(base, "http://127.0.0.1:"), func(t *testing.T) {
			t.Parallel()
			k := &taker{most: 120}
			if err := pull.HLS(t.Context(), base, pull.Options{}, k); !errors.Is(err, errEnough) {
				t.Errorf("HLS = %v, want %v", err, errEnough)
			}
			k.check(t)
		})
	}
	t.Run("to the end", func(t *testing.T) {
		k := &taker{}
		if err := pull.HLS(t.Context(), files.URL+"/ts/media.m3u8", pull.Options{}, k); !errors.Is(err, pull.ErrEnded) {
			t.Errorf("HLS = %v, want %v", err, pull.ErrEnded)
		}
	})
}

func TestPlaylistThatIsNoneIsSaid(t *testing.T) {
	s := serveTS(t, []byte("<html>"))
	if err := pull.HLS(t.Context(), s.URL+"/x.m3u8", pull.Options{}, &taker{}); err == nil || errors.Is(err, pull.ErrEnded) {
		t.Errorf("HLS of a page = %v, want an error", err)
	}
}

func TestURLThatIsNoneIsAnErrorWithoutIt(t *testing.T) {
	for _, read := range []func(context.Context, string, pull.Options, codecs.Writer) error{pull.TS, pull.HLS} {
		err := read(t.Context(), "http://user:secret@[::1", pull.Options{}, &taker{})
		if e := (*url.Error)(nil); err == nil || errors.As(err, &e) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v, want one without the URL", err)
		}
	}
}

// FuzzReadTS reads garbage after the beginning of a stream. Nothing may be written whose track was not announced.
func FuzzReadTS(f *testing.F) {
	b := bunny(f)
	f.Add(b[:12*188])
	f.Add(b[3*188 : 10*188])
	f.Add([]byte("Ghello"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := &taker{}
		if err := pull.ReadTS(bytes.NewReader(b), 0, reception.Discard, k); err == nil {
			t.Fatal("ReadTS ends without saying why")
		}
		for _, au := range k.units {
			if au.Track < 0 || au.Track >= len(k.tracks) || len(au.Payload) == 0 {
				t.Fatalf("access unit of track %d of %d with %d bytes", au.Track, len(k.tracks), len(au.Payload))
			}
		}
	})
}

// FuzzReadFLV is as FuzzReadTS.
func FuzzReadFLV(f *testing.F) {
	p, err := fake.New(fake.Config{})
	if err != nil {
		f.Fatal(err)
	}
	units, err := linear.Excerpt(p, 1)
	if err != nil {
		f.Fatal(err)
	}
	b := flv.FileHeader(p.Tracks())
	e := flv.NewEncoder(0)
	b = append(b, e.Prologue(p.Tracks())...)
	for _, au := range units[:20] {
		b = append(b, e.Encode(au)...)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		k := &taker{}
		if err := pull.ReadFLV(bytes.NewReader(b), reception.Discard, k); err == nil {
			t.Fatal("ReadFLV ends without saying why")
		}
		for _, au := range k.units {
			if au.Track < 0 || au.Track >= len(k.tracks) {
				t.Fatalf("access unit of track %d of %d", au.Track, len(k.tracks))
			}
		}
	})
}
