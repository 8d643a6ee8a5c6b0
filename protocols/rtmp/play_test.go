package rtmp

import (
	"bytes"
	"context"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"weir/codecs"
	"weir/codecs/flv/amf"
	"weir/protocols/listen"
)

// play asks for a stream.
func (p *peer) play(app, name string, more ...any) {
	p.t.Helper()
	p.say(0, append([]any{"connect", 1, amf.Object{{Key: "app", Value: app}, {Key: "tcUrl", Value: "rtmp://node:1935/" + app}}}, more...)...)
	p.say(0, "createStream", 2, nil)
	p.say(1, "play", 0, nil, name)
}

func liveHub() *hub {
	h := newHub("cam1")
	h.base = 1e12
	h.SetTracks(tracks)
	for i := range 3 {
		_ = h.Write(&codecs.AccessUnit{DTS: h.base + int64(i)*3600, PTS: h.base + int64(i)*3600, RandomAccess: i == 0, Payload: idrBody[5:]})
	}
	return h
}

func TestViewerIsToldInOrderAndGetsTheMedia(t *testing.T) {
	h := liveHub()
	h.dropped = 4
	s := serve(t, newRouter(h))
	p := shake(t, s.addr)
	p.play("live", "cam1")
	var got []string
	for len(got) < 14 {
		m, err := p.chunks.next()
		if err != nil {
			t.Fatal(err)
		}
		switch m.typ {
		case 20, 18:
			vs, _ := amf.Read(m.body)
			name := vs[0].(string)
			if name == "onStatus" {
				o, _ := amf.AsObject(vs[3])
				name = o.String("code")
			}
			got = append(got, name)
		case 9:
			got = append(got, []string{"video configuration", "video"}[m.body[1]])
		default:
			got = append(got, map[uint8]string{1: "SetChunkSize", 4: "UserControl", 5: "WindowAck", 6: "SetPeerBandwidth", 8: "audio configuration"}[m.typ])
		}
	}
	want := []string{
		"WindowAck", "SetPeerBandwidth", "SetChunkSize", "_result", "_result", "SetChunkSize", "UserControl", "NetStream.Play.Reset",
		"NetStream.Play.Start", "|RtmpSampleAccess", "onMetaData", "video configuration", "audio configuration", "video",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("messages = %v, want %v", got, want)
	}
	c := receive(t, s.conns, "connection")
	if st := c.Stats(); st.Publisher || st.Stream != "cam1" || st.Dropped != 4 || st.BytesOut < 3073 {
		t.Errorf("Stats = %+v", st)
	}
	p.say(0, "deleteStream", 0, nil, 1)
	if err := receive(t, s.ended, "the end"); err != nil {
		t.Errorf("Serve = %v, want nil: the viewer left in order", err)
	}
}

func TestViewerIsToldWhenTheStreamEnds(t *testing.T) {
	h := liveHub()
	h.end()
	s := serve(t, newRouter(h))
	p := shake(t, s.addr)
	p.play("live", "cam1")
	for _, want := range []string{"NetStream.Play.Reset", "NetStream.Play.Start", "NetStream.Play.Stop"} {
		if code, _ := p.code(); code != want {
			t.Errorf("status = %s, want %s", code, want)
		}
	}
	_ = p.conn.Close()
	if err := receive(t, s.ended, "the end"); err != nil {
		t.Errorf("Serve = %v", err)
	}
}

var refusals = []struct {
	answer listen.Answer
	code   string
}{
	{listen.Answer{Verdict: listen.NotFound}, "NetStream.Play.StreamNotFound"},
	{listen.Answer{Verdict: listen.Unavailable, Reason: "being taken over"}, "NetStream.Play.Failed"},
	{listen.Answer{Verdict: listen.Refused, Reason: "no token"}, "NetStream.Play.Failed"},
	{listen.Answer{Verdict: listen.Fetch}, "NetStream.Play.Failed"},
	{listen.Answer{Verdict: listen.Serve, Source: &hub{name: "x", tracks: codecs.Tracks{{}}}}, "NetStream.Play.NoSupportedTrackFound"},
}

func TestViewerIsToldWhyItMayNot(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.code, func(t *testing.T) {
			d := newRouter(nil)
			d.answer = tt.answer
			s := serve(t, d)
			p := shake(t, s.addr)
			p.play("live", "cam1")
			code, description := p.code()
			if code != tt.code || !strings.Contains(description, tt.answer.Reason) || description == "" {
				t.Errorf("status = %s, %q, want %s with %q", code, description, tt.code, tt.answer.Reason)
			}
			_ = p.conn.Close()
			if err := receive(t, s.ended, "the end"); err == nil {
				t.Error("Serve = nil, want why the viewer was refused")
			}
		})
	}
}

// srsRedirect is what SRS 7.0.18 sends, byte for byte.
const srsRedirect = "05000000 0000e314 00000000 0200086f 6e537461747573 000000000000000000 05 03 00056c6576656c 0200056572726f72 " +
	"0004636f6465 02001e 4e6574436f6e6e656374696f6e2e436f6e6e6563742e52656a6563746564 000b6465736372697074696f6e 020011" +
	"52544d502033303220526564697265637400026578 03 0004636f6465 004072e00000000000 00087265646972656374 02001b" +
	"72746d703a2f2f3132372e302e302e313a31393335302f6c697665 0009726564697265637432 020026" +
	"72746d703a2f2f3132372e302e302e313a31393335302f6c6976652f6c69766573747265616d 000009 000009"

func TestRedirectHasTheFormOfSRS(t *testing.T) {
	want := unhex(strings.ReplaceAll(srsRedirect, " ", ""))
	const location = "rtmp://127.0.0.1:19350/live/livestream"
	srs := connect{host: "127.0.0.1:19351", redirects: true, server: true}
	if got := srs.redirect(nil, location); !bytes.Equal(got, want) {
		t.Errorf("redirect of an SRS server =\n%s\nwant\n%s", hex.Dump(got), hex.Dump(want))
	}
	// Others are told the number of hops in the whole form, which makes it and the message longer.
	mark := "?" + listen.HopsParameter + "=1"
	got := connect{redirects: true}.redirect(nil, location+mark)
	longer := bytes.Replace(want, []byte("/livestream"), []byte("/livestream"+mark), 1)
	longer = bytes.Replace(longer, append([]byte{0, 0x26}, location[:4]...), append([]byte{0, 0x26 + byte(len(mark))}, location[:4]...), 1)
	n := 0xe3 + len(mark)
	longer[5], longer[6] = byte(n>>8), byte(n)
	if !bytes.Equal(got, longer) {
		t.Errorf("redirect =\n%s\nwant\n%s", hex.Dump(got), hex.Dump(longer))
	}
}

func TestRedirectKeepsParametersAndTheVirtualHost(t *testing.T) {
	for _, tt := range []struct {
		name            string
		g               connect
		location, whole string
	}{
		{"parameters", connect{host: "10.0.0.1", server: true}, "rtmp://10.0.0.2/live/a?token=abc&vhost=my.vhost.com&weir_hops=1", "rtmp://10.0.0.2/live/a?token=abc&vhost=my.vhost.com"},
		{"a host name is lost at another place", connect{host: "my.host.com", server: true}, "rtmp://10.0.0.2:19350/live/a", "rtmp://10.0.0.2:19350/live/a?vhost=my.host.com"},
		{"with a port", connect{host: "my.host.com:1936", server: true}, "rtmp://10.0.0.2/live/a?t=1", "rtmp://10.0.0.2/live/a?t=1&vhost=my.host.com"},
		{"not where it is the same", connect{host: "my.host.com", server: true}, "rtmp://my.host.com:19350/live/a", "rtmp://my.host.com:19350/live/a"},
		{"an address is none", connect{host: "[::1]:1935", server: true}, "rtmp://10.0.0.2/live/a", "rtmp://10.0.0.2/live/a"},
		{"others carry the hops", connect{host: "my.host.com"}, "rtmp://10.0.0.2/live/a?weir_hops=2", "rtmp://10.0.0.2/live/a?weir_hops=2&vhost=my.host.com"},
	} {
		dir, whole := tt.g.redirection(tt.location)
		if want, _, _ := strings.Cut(tt.location, "/a"); whole != tt.whole || dir != want {
			t.Errorf("%s: redirection = %q and %q, want %q and %q", tt.name, dir, whole, want, tt.whole)
		}
	}
}

func TestRedirectComesAfterThePlayWasAcceptedAndClientIsGivenTime(t *testing.T) {
	d := newRouter(nil)
	d.answer = listen.Answer{Verdict: listen.Redirect, Location: "rtmp://other:1935/live/cam1?token=x"}
	s := serve(t, d)
	p := shake(t, s.addr)
	p.play("live", "cam1?token=x", amf.Object{{Key: "srs_sig", Value: "SRS"}})
	var last string
	for last != "NetConnection.Connect.Rejected" {
		vs := p.hear()
		if vs[0] != "onStatus" {
			continue
		}
		o, _ := amf.AsObject(vs[3])
		if code := o.String("code"); code == "NetConnection.Connect.Rejected" {
			ex, _ := amf.AsObject(o.Get("ex"))
			if last != "NetStream.Play.Start" || ex.String("redirect2") != "rtmp://other:1935/live/cam1?token=x&vhost=node" || ex.String("redirect") != "rtmp://other:1935/live" {
				t.Errorf("after %s: %v", last, ex)
			}
		}
		last = o.String("code")
	}
	if r := receive(t, d.asked, "request"); !r.Redirects || r.Query != "token=x" {
		t.Errorf("request = %+v, want one that follows redirects", r)
	}
	_ = p.conn.Close()
	if err := receive(t, s.ended, "the end"); err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// A holding router answers when the client is no longer there.
type holding struct {
	*router
	gone chan struct{}
}

func (h holding) Play(ctx context.Context, r listen.Request) listen.Answer {
	h.asked <- r
	<-ctx.Done()
	close(h.gone)
	return listen.Answer{Verdict: listen.Unavailable}
}

func TestViewerThatLeavesWhileItIsHeldIsNotHeldOn(t *testing.T) {
	d := holding{newRouter(nil), make(chan struct{})}
	s := serve(t, d)
	p := shake(t, s.addr)
	p.play("live", "cam1")
	receive(t, d.asked, "request")
	_ = p.conn.Close()
	receive(t, d.gone, "the end of the hold")
	if err := receive(t, s.ended, "the end"); err != nil {
		t.Errorf("Serve = %v", err)
	}
}
