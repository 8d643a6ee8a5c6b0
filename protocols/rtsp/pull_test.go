package rtsp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"weir/codecs"
	"weir/codecs/elementary"
	"weir/codecs/fake"
	"weir/codecs/reception"
	"weir/protocols/listen"
)

// A keeper keeps what is pulled and refuses once it has enough.
type keeper struct {
	most int

	mu     sync.Mutex
	tracks codecs.Tracks
	units  []*codecs.AccessUnit
}

var errEnough = errors.New("enough")

func (k *keeper) SetTracks(t codecs.Tracks) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tracks = t
}

func (k *keeper) Write(au *codecs.AccessUnit) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.units = append(k.units, au)
	if len(k.units) == k.most {
		return errEnough
	}
	return nil
}

// usual is how streams are pulled.
var usual = PullConfig{Timeout: 10 * time.Second, Agent: "weir", Report: reception.Discard}

func TestPullTakesPicturesAndSound(t *testing.T) {
	src := pattern(t, "cam", 2)
	n := start(t, serving(src))
	k := &keeper{most: 40}
	if err := Pull(t.Context(), n.url("cam"), usual, k); !errors.Is(err, errEnough) {
		t.Fatalf("Pull = %v, want %v", err, errEnough)
	}
	if len(k.tracks) != 2 || !k.tracks[0].Equal(src.tracks[0]) || k.tracks[1].Codec != codecs.AAC {
		t.Errorf("tracks %+v, want %+v", k.tracks, src.tracks)
	}
	last, count := [2]int64{-1 << 62, -1 << 62}, [2]int{}
	for _, au := range k.units {
		if au.DTS <= last[au.Track] {
			t.Fatalf("track %d: %d follows %d", au.Track, au.DTS, last[au.Track])
		}
		if count[au.Track] > 0 && au.Track == 0 && au.DTS-last[0] != 3600 {
			t.Errorf("a picture %d ticks after the other, want 3600", au.DTS-last[0])
		}
		last[au.Track] = au.DTS
		count[au.Track]++
	}
	if count[0] == 0 || count[1] == 0 || !k.units[0].RandomAccess {
		t.Errorf("%d pictures and %d sounds, want some of both from a random access point on", count[0], count[1])
	}
}

// TestG711GoesFromRTSPToRTSP serves pictures with G.711, and looks that each sample arrives where it was.
func TestG711GoesFromRTSPToRTSP(t *testing.T) {
	for _, codec := range []codecs.Codec{codecs.PCMA, codecs.PCMU} {
		p, err := fake.New(fake.Config{Audio: fake.None})
		if err != nil {
			t.Fatal(err)
		}
		src := newSource("cam")
		src.write(append(p.Tracks(), codecs.Track{Codec: codec, SampleRate: 8000, Channels: 1}))
		units, err := p.Segment(440_000_000)
		if err != nil {
			t.Fatal(err)
		}
		var sent []byte
		for i, au := range units {
			src.write(au)
			frame := bytes.Repeat([]byte{byte(i)}, 320) // 40 ms
			sent = append(sent, frame...)
			src.write(&codecs.AccessUnit{Track: 1, DTS: au.DTS, PTS: au.DTS, RandomAccess: true, Payload: frame})
		}
		src.start = 1
		n := start(t, serving(src))
		k, report := &keeper{most: 2 * len(units) * 3 / 4}, &reception.Record{}
		cfg := usual
		cfg.Report = report
		if err := Pull(t.Context(), n.url("cam"), cfg, k); !errors.Is(err, errEnough) {
			t.Fatalf("%v: Pull = %v, want %v", codec, err, errEnough)
		}
		if len(k.tracks) != 2 || k.tracks[1].Codec != codec || k.tracks[1].SampleRate != 8000 || k.tracks[1].Channels != 1 {
			t.Fatalf("%v: tracks %+v", codec, k.tracks)
		}
		if l := report.LeftOut; len(l) != 1 || l[0].Track != "medium 2" || l[0].Codec != codec.String() || !strings.Contains(l[0].Reason, "only viewers over RTSP") {
			t.Errorf("%v: left out %+v, want the sound, for the other protocols", codec, l)
		}
		var got []byte
		base := [2]int64{-1, -1}
		for _, au := range k.units {
			if base[au.Track] < 0 {
				base[au.Track] = au.DTS
			}
			if au.Track == 1 {
				if at := int64(len(got)) * codecs.ClockRate / 8000; au.DTS-base[1] != at {
					t.Fatalf("%v: sample %d is at %d, want %d", codec, len(got), au.DTS-base[1], at)
				}
				got = append(got, au.Payload...)
			}
		}
		if !bytes.HasPrefix(sent, got) || len(got) < 320*10 {
			t.Errorf("%v: %d bytes came, want some, and those that were sent", codec, len(got))
		}
		if d := base[0] - base[1]; d < -3600 || d > 3600 {
			t.Errorf("%v: the sound is %d ticks behind the pictures", codec, -d)
		}
	}
}

// TestOtherSoundIsTakenBeforeG711 offers both.
func TestOtherSoundIsTakenBeforeG711(t *testing.T) {
	c := &fakeCamera{sdp: sdpHead + sdpVideo + pcma + strings.ReplaceAll(sdpAudio, "trackID=1", "trackID=2")}
	at, report := c.start(t), &reception.Record{}
	cfg := usual
	cfg.Report = report
	k := &keeper{most: 4}
	_ = Pull(t.Context(), at, cfg, k)
	if l := report.LeftOut; len(l) != 1 || l[0].Codec != "PCMA" || !strings.Contains(l[0].Reason, "not the first") {
		t.Errorf("left out %+v, want G.711 alone", l)
	}
}

func TestPullFollowsRedirectsButNotForEver(t *testing.T) {
	last := start(t, serving(pattern(t, "cam", 2)))
	to := func(url string) *node {
		d := serving()
		d.answers["cam"] = listen.Answer{Verdict: listen.Redirect, Location: url}
		return start(t, d)
	}
	one := to(last.url("cam"))
	three := to(to(one.url("cam")).url("cam"))
	if err := Pull(t.Context(), three.url("cam"), usual, &keeper{most: 1}); !errors.Is(err, errEnough) {
		t.Errorf("Pull over three redirects = %v", err)
	}
	four := to(three.url("cam"))
	if err := Pull(t.Context(), four.url("cam"), usual, &keeper{most: 1}); !errors.Is(err, errRedirects) {
		t.Errorf("Pull over four redirects = %v, want %v", err, errRedirects)
	}
}

func TestPullSaysWhatTheServerSays(t *testing.T) {
	n := start(t, serving())
	if err := Pull(t.Context(), n.url("nothing"), usual, &keeper{}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("Pull of nothing = %v, want 404", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	for _, url := range []string{"rtsp://u:secret@" + addr + "/x", "rtsp://u:secret@[::1", "http://u:secret@h/x"} {
		if err := Pull(t.Context(), url, usual, &keeper{}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("Pull(%s) = %v, want an error without the secret", url, err)
		}
	}
}

func TestPullEndsWithItsContext(t *testing.T) {
	src := pattern(t, "cam", 1)
	n := start(t, serving(src))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Pull(ctx, n.url("cam"), usual, &keeper{}) }()
	<-src.joined
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Pull = %v, want %v", err, context.Canceled)
	}
}

// A camera is a server of the library's own, which asks for a password and describes what it is told to.
type camera struct {
	server *gortsplib.Server
	stream *gortsplib.ServerStream
	medias []*description.Media
}

func (c *camera) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if !ctx.Conn.VerifyCredentials(ctx.Request, "bob", "secret") {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	go c.server.Close() // a camera that is switched off once it plays
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func newCamera(t *testing.T, formats ...format.Format) string {
	t.Helper()
	c := &camera{}
	for _, f := range formats {
		kind := description.MediaTypeVideo
		if _, sound := f.(*format.G711); sound {
			kind = description.MediaTypeAudio
		}
		c.medias = append(c.medias, &description.Media{Type: kind, Formats: []format.Format{f}})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.server = &gortsplib.Server{
		Handler: c, RTSPAddress: "127.0.0.1:0", Listen: func(string, string) (net.Listener, error) { return l, nil },
	}
	if err := c.server.Start(); err != nil {
		t.Fatal(err)
	}
	c.stream = &gortsplib.ServerStream{Server: c.server, Desc: &description.Session{Medias: c.medias}}
	if err := c.stream.Initialize(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.stream.Close()
		c.server.Close()
	})
	return l.Addr().String()
}

func TestPullProvesItsPassword(t *testing.T) {
	h264 := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
	addr := newCamera(t, h264)
	for _, user := range []string{"", "bob:wrong@"} {
		err := Pull(t.Context(), "rtsp://"+user+addr+"/x", usual, &keeper{})
		if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "wrong") {
			t.Errorf("Pull as %q = %v, want 401", user, err)
		}
	}
	err := Pull(t.Context(), "rtsp://bob:secret@"+addr+"/x", usual, &keeper{})
	if err == nil || strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "secret") {
		t.Errorf("Pull as bob = %v, want the end of a stream that played", err)
	}
}

func TestPullNamesACodecThatItDoesNotCarry(t *testing.T) {
	unsupported := (*codecs.UnsupportedError)(nil)
	addr := newCamera(t, &format.VP8{PayloadTyp: 96})
	err := Pull(t.Context(), "rtsp://bob:secret@"+addr+"/x", usual, &keeper{})
	if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "VP8") {
		t.Errorf("Pull = %v, want it to name VP8", err)
	}
}

func TestPullLeavesOutSoundThatItDoesNotCarry(t *testing.T) {
	addr := newCamera(t, &format.H264{PayloadTyp: 96, PacketizationMode: 1}, &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1})
	cfg, report := usual, &reception.Record{}
	cfg.Report = report
	if err := Pull(t.Context(), "rtsp://bob:secret@"+addr+"/x", cfg, &keeper{}); errors.Is(err, elementary.ErrNoTracks) {
		t.Errorf("Pull = %v, want the pictures", err)
	}
	if l := report.LeftOut; len(l) != 1 || l[0].Track != "medium 2" || !strings.Contains(l[0].Codec, "PCMA") {
		t.Errorf("left out %+v, want the second medium, PCMA", l)
	}
}

// moved makes a camera that sends its clients to another one.
func moved(status, method string, to func() string) *fakeCamera {
	return &fakeCamera{answer: instead(method, func(c *cameraConn, r *cameraRequest) {
		c.say(r, status, "", "Location: "+to())
	})}
}

func TestRedirectOfAnyKindIsFollowed(t *testing.T) {
	other := &fakeCamera{}
	at := other.start(t)
	for _, c := range []*fakeCamera{
		moved("301 Moved Permanently", "DESCRIBE", func() string { return at }),
		moved("302 Moved Temporarily", "OPTIONS", func() string { return at }),
		moved("302 Found", "SETUP", func() string { return at + " " + at }),
		moved("305 Use Proxy", "PLAY", func() string { return at }),
		{answer: func(c *cameraConn, r *cameraRequest) bool { // to a path of its own
			if r.method == "DESCRIBE" && !strings.HasSuffix(r.url, "/other") {
				c.say(r, "302 Found", "", "Location: /other")
				return true
			}
			return false
		}},
	} {
		if k, _, err := pulledFrom(t, c.start(t)); len(k.of(true)) != 100 {
			t.Errorf("%d pictures, want 100: %v", len(k.of(true)), err)
		}
	}
	for _, to := range []string{"http://x/", "rtsp://", "", "rtsp://h:x/"} {
		c := moved("302 Found", "DESCRIBE", func() string { return to })
		if _, _, err := pulledFrom(t, c.start(t)); err == nil {
			t.Errorf("a redirect to %q is followed", to)
		}
	}
}

// A server that sends its clients elsewhere in the middle is followed, and what comes from there goes on behind what has come.
func TestPullGoesOnWhereTheServerSendsItInTheMiddle(t *testing.T) {
	for _, count := range []int{100, 15} { // pictures before
		other := &fakeCamera{}
		first := &fakeCamera{after: sent("REDIRECT * RTSP/1.0\nCSeq: 1\nLocation: " + other.start(t) + "\n\n"), edit: func(c *cameraConn, channel int, p []byte) [][]byte {
			if c.picture >= count {
				return nil
			}
			if channel == 0 && p[1]&0x80 != 0 {
				c.picture++
			}
			return alone(p)
		}}
		k, _, err := pulledFrom(t, first.start(t))
		pictures := k.of(true)
		if len(pictures) != count+100 {
			t.Fatalf("%d pictures, want those of both: %v", len(pictures), err)
		}
		for i := 1; i < len(pictures); i++ {
			if d := pictures[i].DTS - pictures[i-1].DTS; d <= 0 || d > 2*3600 || i != count && d != 3600 {
				t.Fatalf("picture %d of %d comes %d ticks after the one before", i, len(pictures), d)
			}
		}
		if !pictures[count].Discontinuity {
			t.Errorf("the first picture of the other server, after %d, is not marked", count)
		}
	}
}

func TestServerEndsThePulling(t *testing.T) {
	c := &fakeCamera{after: sent("TEARDOWN rtsp://x/ RTSP/1.0\nCSeq: 1\nSession: 1234\n\n")}
	if _, _, err := pulledFrom(t, c.start(t)); !errors.Is(err, errTornDown) {
		t.Errorf("Pull = %v, want %v", err, errTornDown)
	}
	s := &fakeCamera{answer: func(*cameraConn, *cameraRequest) bool { return true }}
	cfg := usual
	cfg.Timeout = 100 * time.Millisecond
	if err := Pull(t.Context(), s.start(t), cfg, &keeper{}); err == nil || !strings.Contains(err.Error(), "silent") {
		t.Errorf("Pull from a camera that does not answer = %v", err)
	}
}

// A session is kept alive by the method that the server knows. Refusals change nothing but the method.
func TestSessionIsKeptAlive(t *testing.T) {
	for _, refusal := range []string{"", "405 Method Not Allowed", "501 Not Implemented", "454 Session Not Found", "401 Unauthorized"} {
		t.Run(refusal, func(t *testing.T) {
			t.Parallel()
			playing, asked := false, 0
			c := &fakeCamera{answer: func(c *cameraConn, r *cameraRequest) bool {
				switch {
				case r.method == "SETUP":
					c.say(r, "200 OK", "", "Transport: "+r.header.first("transport"), "Session: 77 ; Timeout=1")
				case r.method == "PLAY":
					playing = true
					c.say(r, "200 OK", "", "Session: 77")
				case playing && (r.method == "OPTIONS" || r.method == "GET_PARAMETER"):
					asked++
					if got := r.header.first("session"); got != "77" {
						t.Errorf("%s of session %q, want 77", r.method, got)
					}
					if asked == 1 && refusal != "" {
						c.say(r, refusal, "", `WWW-Authenticate: Digest realm="x", nonce="y"`)
						return true
					}
					c.say(r, "200 OK", "")
					c.play()
				default:
					return false
				}
				return true
			}}
			k, _, err := pulledFrom(t, c.start(t))
			if len(k.of(true)) != 100 {
				t.Errorf("%d pictures, want 100: %v", len(k.of(true)), err)
			}
			if gets := len(c.asked("GET_PARAMETER")); gets == 0 || refusal != "" && refusal[:3] != "401" && gets != 1 {
				t.Errorf("the server was asked %d times by GET_PARAMETER after %q", gets, refusal)
			}
		})
	}
}
