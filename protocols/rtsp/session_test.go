package rtsp

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/pion/rtcp"
	pion "github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/h264"
	"weir/codecs/nal"
	"weir/codecs/rtp"
	"weir/protocols/listen"
)

var refusalTests = []struct {
	stream   string
	answer   listen.Answer
	status   base.StatusCode
	location string
	retry    string
	phrase   string
}{
	{stream: "nowhere", answer: listen.Answer{Verdict: listen.NotFound, Reason: "no stream\r\nnowhere ü"}, status: 404, phrase: "no stream??nowhere ?"},
	{stream: "starting", answer: listen.Answer{Verdict: listen.Unavailable, RetryAfter: 2500 * time.Millisecond}, status: 503, retry: "3"},
	{stream: "secret", answer: listen.Answer{Verdict: listen.Refused, Reason: "not for you"}, status: 403, phrase: "not for you"},
	{stream: "elsewhere", answer: listen.Answer{Verdict: listen.Redirect, Location: "rtsp://b:554/elsewhere?x=1&weir_hops=1"}, status: 302, location: "rtsp://b:554/elsewhere?x=1"},
	{stream: "lost", answer: listen.Answer{Verdict: listen.Redirect}, status: 503},
	{stream: "split", answer: listen.Answer{Verdict: listen.Redirect, Location: "rtsp://b/\r\nX: y"}, status: 503},
	{stream: "proxied", answer: listen.Answer{Verdict: listen.Fetch}, status: 503},
	{stream: "empty", answer: listen.Answer{Verdict: listen.Serve, Source: newSource("empty")}, status: 503, retry: "1"},
	{stream: "av1", answer: listen.Answer{Verdict: listen.Serve, Source: func() *source {
		s := newSource("av1")
		s.write(codecs.Tracks{{Codec: codecs.AV1, Config: []byte{0x81, 0, 0, 0}}})
		return s
	}()}, status: 415, phrase: "codecs"},
}

func TestRefusalsSayWhyOnDescribeAndOnSetup(t *testing.T) {
	d := &router{answers: map[string]listen.Answer{}}
	for _, c := range refusalTests {
		d.answers[c.stream] = c.answer
	}
	n := start(t, d)
	for _, c := range refusalTests {
		p := dial(t, n, c.stream)
		for _, r := range []*base.Response{
			p.ask(base.Describe, "", "Accept: application/sdp"),
			p.ask(base.Setup, "/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"),
		} {
			if r.StatusCode != c.status || !strings.Contains(r.StatusMessage, c.phrase) {
				t.Errorf("%s: %d %s, want %d with %q", c.stream, r.StatusCode, r.StatusMessage, c.status, c.phrase)
			}
			if got := strings.Join(r.Header["Location"], ","); got != c.location {
				t.Errorf("%s: Location %q, want %q", c.stream, got, c.location)
			}
			if got := strings.Join(r.Header["Retry-After"], ","); got != c.retry {
				t.Errorf("%s: Retry-After %q, want %q", c.stream, got, c.retry)
			}
		}
	}
}

func TestSessionWithoutDescribeStartsAtARandomAccessPoint(t *testing.T) {
	src := pattern(t, "live/a", 1)
	n := start(t, serving(src))
	p := dial(t, n, "live/a")
	r := p.ok(base.Setup, "/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
	media := rtp.LayoutOf("live/a", src.Tracks(), maxMedia).Media
	if got := strings.Join(r.Header["Transport"], ","); !strings.Contains(strings.ToUpper(got), "SSRC="+hex32(media[0].SSRC)) {
		t.Errorf("Transport %q does not name the SSRC %s", got, hex32(media[0].SSRC))
	}
	p.ok(base.Setup, "/trackID=1", "Transport: RTP/AVP/TCP;unicast;interleaved=2-3")
	p.ok(base.Play, "")

	// First a report for each medium, then the picture, parameter sets first.
	for i, want := range []int{1, 3} {
		channel, b := p.packet()
		packets, err := rtcp.Unmarshal(b)
		if err != nil || channel != want || len(packets) != 1 {
			t.Fatalf("packet %d on channel %d: %v, want a report on %d", i, channel, err, want)
		}
		if sr, ok := packets[0].(*rtcp.SenderReport); !ok || sr.SSRC != media[i].SSRC {
			t.Errorf("packet %d = %v, want a sender report of SSRC %d", i, packets[0], media[i].SSRC)
		}
	}
	channel, b := p.packet()
	var pkt pion.Packet
	if err := pkt.Unmarshal(b); err != nil || channel != 0 {
		t.Fatalf("third packet on channel %d: %v", channel, err)
	}
	if kind := pkt.Payload[0] & 0x1f; kind != 24 || pkt.Payload[3]&0x1f != h264.TypeSPS || pkt.SSRC != media[0].SSRC {
		t.Errorf("the media begins with NAL units of type %d, SSRC %d; want an aggregate (24) with the SPS first, SSRC %d", kind, pkt.SSRC, media[0].SSRC)
	}
}

func hex32(v uint32) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 8)
	for i := range b {
		b[i] = digits[v>>(28-4*i)&15]
	}
	return string(b)
}

func TestUnusualChannelsGetTheirMediaOnly(t *testing.T) {
	src := pattern(t, "a", 1)
	n := start(t, serving(src))
	p := dial(t, n, "a")
	p.ok(base.Describe, "")
	p.ok(base.Setup, "/trackID=1", "Transport: RTP/AVP/TCP;unicast;interleaved=10-11")
	p.ok(base.Play, "")
	src.end()
	seen := map[int]int{}
	for {
		channel, _ := p.packet()
		if channel < 0 {
			break
		}
		seen[channel]++
	}
	if len(seen) != 2 || seen[10] < 180 || seen[11] < 2 {
		t.Errorf("packets by channel = %v, want 4 s of sound on 10, and reports and BYE on 11", seen)
	}
}

func TestViewersShareOneEncoderAndASlowOneHoldsNobodyUp(t *testing.T) {
	src := pattern(t, "a", 1)
	n := start(t, serving(src))
	slow, quick := dial(t, n, "a"), dial(t, n, "a")
	slow.play()
	<-src.joined // and never reads again
	quick.play()
	<-src.joined

	big := make([]byte, 4<<20)
	big[0] = 0x65
	for i := range int64(8) { // far more than the sockets between hold
		src.write(&codecs.AccessUnit{DTS: (1<<40 + i) * 3600, PTS: (1<<40 + i) * 3600, RandomAccess: true, Payload: nal.Join(big)})
	}
	src.end()
	markers := 0
	for {
		channel, b := quick.packet()
		if channel < 0 {
			break
		}
		if channel == 0 && b[1]&0x80 != 0 {
			markers++
		}
	}
	if want := 100 + 8; markers != want {
		t.Errorf("the quick viewer got %d pictures, want %d", markers, want)
	}
	if src.encoders != 1 {
		t.Errorf("%d encoders were made, want 1", src.encoders)
	}
	slow.net.Close()
}

func TestRestartedSessionGoesOnOnItsConnection(t *testing.T) {
	src := pattern(t, "a", 1)
	n := start(t, serving(src))
	p := dial(t, n, "a")
	p.play()
	<-src.joined
	p.packet()
	n.sessions.restart(t, 0)
	<-src.joined
	src.end()
	end := false
	for {
		channel, b := p.packet()
		if channel < 0 {
			break
		}
		end = channel == 3 && slices.Equal(b, rtp.Bye(rtp.LayoutOf("a", src.Tracks(), maxMedia).Media[1].SSRC))
	}
	if !end {
		t.Error("the connection did not end with the BYE of the restarted session")
	}
	if err := <-n.sessions.ended; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestPauseStopsTheMediaAndPlayGoesOn(t *testing.T) {
	src := pattern(t, "a", 1)
	n := start(t, serving(src))
	p := dial(t, n, "a")
	p.play()
	<-src.joined
	p.ok(base.Pause, "")
	p.ok(base.Options, "") // nothing but answers arrives now
	p.ok(base.Play, "")
	<-src.joined
	if channel, _ := p.packet(); channel != 1 {
		t.Errorf("after PLAY comes channel %d, want the report on 1", channel)
	}
	p.ok(base.Teardown, "")
	if err := <-n.sessions.ended; err != nil {
		t.Errorf("Serve after TEARDOWN = %v, want nil", err)
	}
}

func TestOnlyNewParameterSetsKeepASession(t *testing.T) {
	src := pattern(t, "a", 1)
	n := start(t, serving(src))
	p := dial(t, n, "a")
	p.play()
	<-src.joined
	tracks := src.Tracks()

	sets, err := h264.Syntax.Carried(tracks[0].Config)
	if err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(tracks)
	if other[0], err = h264.Syntax.Track(append(sets, []byte{0x68, 0xee, 0x3c, 0x80})); err != nil {
		t.Fatal(err)
	}
	idr := &codecs.AccessUnit{DTS: 1 << 50, PTS: 1 << 50, RandomAccess: true, Payload: nal.Join([]byte{0x65, 1, 2, 3})}
	src.write(other, idr)
	found := false
	for !found {
		channel, b := p.packet()
		if channel < 0 {
			t.Fatal("the session ended with new parameter sets")
		}
		found = channel == 0 && slices.Contains(strings.Split(string(b), "\x00\x04"), "\x68\xee\x3c\x80")
		found = found || channel == 0 && strings.Contains(string(b), "\x00\x04\x68\xee\x3c\x80")
	}

	src.write(tracks[:1], idr)
	for {
		if channel, _ := p.packet(); channel < 0 {
			break
		}
	}
	if err := <-n.sessions.ended; err != nil {
		t.Errorf("Serve after a change of tracks = %v, want nil", err)
	}
}

func TestClosedClientEndsItsSession(t *testing.T) {
	src := pattern(t, "a", 1)
	n := start(t, serving(src))
	p := dial(t, n, "a")
	p.play()
	<-src.joined
	n.sessions.client(0).Close()
	n.sessions.client(0).Close()
	for {
		if channel, _ := p.packet(); channel < 0 {
			break
		}
	}
	if err := <-n.sessions.ended; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestSessionOutlivesItsListener(t *testing.T) {
	src := pattern(t, "a", 1)
	n := start(t, serving(src))
	second, err := listen.Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := second.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- n.Serve(ctx, second) }()
	p := dial(t, &node{Server: n.Server, addr: addr}, "a")
	p.play()
	<-src.joined
	cancel()
	if err := <-ended; err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the listener is still open")
	}
	p.ok(base.GetParameter, "")
}

func TestGarbageIsClosedAtOnce(t *testing.T) {
	n := start(t, serving())
	for _, garbage := range []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "\x03aaaa", "HEAD / HTTP/1.1\r\n\r\n", "O\x00", "$\x00\x00\x04abcd"} {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, garbage); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%q: got %q, %v, want a closed connection", garbage, b, err)
		}
		c.Close()
	}
}

func TestTunnelIsRefused(t *testing.T) {
	n := start(t, serving(pattern(t, "a", 1)))
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 400") {
		t.Errorf("got %q, %v, want 400", b, err)
	}
}

func TestRTPGoesOutFromAnEvenPortAndRTCPFromTheNext(t *testing.T) {
	pair, err := bindUDP("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	var ports [2]int
	for i, c := range pair {
		ports[i] = c.LocalAddr().(*net.UDPAddr).Port
		_ = c.Close()
	}
	if ports[0]%2 != 0 || ports[1] != ports[0]+1 {
		t.Errorf("ports %v, want an even one and the next", ports)
	}
}

// elsewhere is a router that knows the stream at another node.
type elsewhere struct{ listen.Router }

func (elsewhere) Play(context.Context, listen.Request) listen.Answer {
	return listen.Answer{Verdict: listen.Redirect, Location: "rtsp://n2.example:8554/a?weir_hops=1"}
}

func TestViewerIsSentToAnotherNodeInTheMiddleOfItsSession(t *testing.T) {
	src := pattern(t, "a", 1)
	n := start(t, serving(src))
	p := dial(t, n, "a")
	p.ok(base.Describe, "")
	p.ok(base.Setup, "/trackID=1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
	p.ok(base.Play, "")
	p.packet()
	m, ok := n.sessions.client(0).(listen.Mover)
	if !ok {
		t.Fatal("an RTSP session cannot be moved")
	}
	if m.Move(t.Context(), serving(src).Play) {
		t.Error("the session says that it moved although the stream is here")
	}
	if !m.Move(t.Context(), elsewhere{}.Play) {
		t.Fatal("the session says that it did not move")
	}
	for {
		what, err := p.conn.Read()
		if err != nil {
			t.Fatalf("no REDIRECT came: %v", err)
		}
		if r, ok := what.(*base.Request); ok {
			if got := strings.Join(r.Header["Location"], ","); r.Method != "REDIRECT" || got != "rtsp://n2.example:8554/a" {
				t.Errorf("the server asks %s to %q, want REDIRECT to the other node", r.Method, got)
			}
			return
		}
	}
}
