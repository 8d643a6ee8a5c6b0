package rtmp

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"weir/codecs/flv/amf"
	"weir/protocols/listen"
)

// An origin is a server by hand: it answers connect and createStream, and does with the rest what the test wants.
type origin struct {
	addr string
	seen chan command // connect, play and publish
}

// serveOrigin runs answer for every connect, play and publish; it returns false to close the connection.
func serveOrigin(t *testing.T, answer func(conn net.Conn, cmd command) bool) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	o := &origin{addr: l.Addr().String(), seen: make(chan command, 16)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go o.converse(conn, answer)
		}
	}()
	return o
}

func (o *origin) converse(conn net.Conn, answer func(net.Conn, command) bool) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	r := newChunkReader(bufio.NewReader(conn))
	r.allowMedia()
	if _, err := r.r.Discard(1 + 1536); err != nil {
		return
	}
	if _, err := conn.Write(append([]byte{version}, make([]byte, 2*1536)...)); err != nil {
		return
	}
	if _, err := r.r.Discard(1536); err != nil {
		return
	}
	_, _ = conn.Write(appendControl(nil, 1, chunkSize))
	for {
		p, err := r.next()
		if err != nil {
			return
		}
		if !isCommand(p) {
			continue
		}
		cmd, err := parseCommand(p)
		if err != nil {
			return
		}
		switch cmd.name {
		case "createStream":
			_, _ = conn.Write(say(nil, csCommand, 0, "_result", cmd.transaction, nil, 1.0))
		case "connect", "play", "publish":
			o.seen <- cmd
			if !answer(conn, cmd) {
				return
			}
		}
	}
}

func accepting(conn net.Conn, cmd command) {
	_, _ = conn.Write(say(nil, csCommand, 0, "_result", cmd.transaction, nil, amf.Object{{Key: "level", Value: "status"}, {Key: "code", Value: "NetConnection.Connect.Success"}}))
}

func started(conn net.Conn) {
	_, _ = conn.Write(status(status(nil, "status", "NetStream.Play.Reset", "x"), "status", "NetStream.Play.Start", "x"))
}

func TestServerThatClosesAfterPlayStartHasNoSuchStream(t *testing.T) {
	o := serveOrigin(t, func(conn net.Conn, cmd command) bool {
		if cmd.name == "connect" {
			accepting(conn, cmd)
			return true
		}
		started(conn)
		return false
	})
	if _, err := Play(t.Context(), "rtmp://"+o.addr+"/live/a", ClientConfig{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("Play = %v, want %v", err, ErrNotFound)
	}
	before := serveOrigin(t, func(conn net.Conn, cmd command) bool {
		accepting(conn, cmd)
		return cmd.name == "connect"
	})
	if _, err := Play(t.Context(), "rtmp://"+before.addr+"/live/a", ClientConfig{}); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("Play of a server that closes before it accepts = %v, want another error than %v", err, ErrNotFound)
	}
	if !errors.Is(&StatusError{Code: "NetStream.Play.StreamNotFound"}, ErrNotFound) {
		t.Error("StreamNotFound is not ErrNotFound")
	}
}

func TestBothFormsOfARedirectAreFollowed(t *testing.T) {
	object := func(code string, ex amf.Object) amf.Object {
		return amf.Object{{Key: "level", Value: "error"}, {Key: "code", Value: code}, {Key: "ex", Value: ex}}
	}
	for _, tt := range []struct {
		name   string
		answer func(to string) func(net.Conn, command) bool
		app    string // that the second server hears
		stream string
	}{
		{
			"SRS after play, whole", func(to string) func(net.Conn, command) bool {
				return func(conn net.Conn, cmd command) bool {
					if cmd.name == "connect" {
						accepting(conn, cmd)
						return true
					}
					started(conn)
					_, _ = conn.Write(say(nil, csData, 0, "onStatus", 0, nil, object("NetConnection.Connect.Rejected", amf.Object{
						{Key: "code", Value: 302}, {Key: "redirect", Value: "rtmp://" + to + "/other"}, {Key: "redirect2", Value: "rtmp://" + to + "/live/b?x=1"},
					})))
					return true
				}
			}, "live", "b?x=1",
		},
		{
			"SRS after play, the directory alone, in another command", func(to string) func(net.Conn, command) bool {
				return func(conn net.Conn, cmd command) bool {
					if cmd.name == "connect" {
						accepting(conn, cmd)
						return true
					}
					_, _ = conn.Write(say(nil, csData, 0, "redirected", 0, object("x", amf.Object{{Key: "redirect", Value: "rtmp://" + to + "/other"}})))
					return true
				}
			}, "other", "a?token=1",
		},
		{
			"Adobe's, instead of connect", func(to string) func(net.Conn, command) bool {
				return func(conn net.Conn, cmd command) bool {
					_, _ = conn.Write(say(nil, csCommand, 0, "_error", cmd.transaction, nil, object("NetConnection.Connect.Rejected", amf.Object{
						{Key: "code", Value: 302}, {Key: "redirect", Value: "rtmp://" + to + "/live"},
					})))
					return true
				}
			}, "live", "a?token=1",
		},
		{
			"SRS's doubled virtual host", func(to string) func(net.Conn, command) bool {
				return func(conn net.Conn, cmd command) bool {
					if cmd.name == "connect" {
						accepting(conn, cmd)
						return true
					}
					_, _ = conn.Write(say(nil, csData, 0, "onStatus", 0, nil, object("x", amf.Object{{Key: "redirect2", Value: "rtmp://" + to + "/live/a?vhost=x?vhost=x"}})))
					return true
				}
			}, "live", "a?vhost=x",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			last := serveOrigin(t, startingVideo)
			first := serveOrigin(t, tt.answer(last.addr))
			c, err := Play(t.Context(), "rtmp://"+first.addr+"/live/a?token=1", ClientConfig{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			connect, play := receive(t, last.seen, "connect"), receive(t, last.seen, "play")
			if app := connect.object(0).String("app"); app != tt.app || play.arg(1) != tt.stream {
				t.Errorf("the second server was asked for %q in %q, want %q in %q", play.arg(1), app, tt.stream, tt.app)
			}
			if _, vhost, ok := strings.Cut(tt.stream, "vhost="); ok && !strings.HasSuffix(connect.object(0).String("tcUrl"), "?vhost="+vhost) {
				t.Errorf("tcUrl = %q, want the virtual host in it", connect.object(0).String("tcUrl"))
			}
		})
	}
}

func TestSameServerUnderTwoSpellingsIsNotVisitedTwice(t *testing.T) {
	for a, b := range map[string]string{"rtmp://H/live/a": "rtmp://h:1935/live/b", "rtmps://h/x": "rtmps://h:443/x?y"} {
		pa, _ := place(a)
		if pb, _ := place(b); pa != pb {
			t.Errorf("%s is at %s, %s at %s; want the same", a, pa, b, pb)
		}
	}
}

// TestEdgeOfSRSPlaysAndPublishes has the sequences that SRS 7 sends, in its order.
func TestEdgeOfSRSPlaysAndPublishes(t *testing.T) {
	d := newRouter(liveHub())
	s := serve(t, d)
	greet := func(p *peer) {
		p.say(0, "connect", 1, amf.Object{
			{Key: "app", Value: "live"},
			{Key: "flashVer", Value: "WIN 15,0,0,239"},
			{Key: "swfUrl", Value: ""},
			{Key: "tcUrl", Value: "rtmp://127.0.0.1/live"},
			{Key: "fpad", Value: false},
			{Key: "capabilities", Value: 239},
			{Key: "audioCodecs", Value: 3575},
			{Key: "videoCodecs", Value: 252},
			{Key: "videoFunction", Value: 1},
			{Key: "pageUrl", Value: ""},
			{Key: "objectEncoding", Value: 0},
		}, amf.Object{
			{Key: "srs_sig", Value: "SRS"},
			{Key: "srs_server", Value: "SRS/7.0.18(Hang)"},
			{Key: "srs_license", Value: "x"},
			{Key: "srs_url", Value: "x"},
			{Key: "srs_version", Value: "7.0.18"},
			{Key: "srs_pid", Value: "1"},
			{Key: "srs_id", Value: "x"},
			{Key: "srs_server_ip", Value: "127.0.0.1"},
		})
		p.send(appendControl(nil, 5, 2500000))
		p.say(0, "createStream", 2, nil)
	}
	edge := shake(t, s.addr)
	greet(edge)
	edge.send(appendMessage(nil, 128, csData, 20, 1, 0, amf.Append(nil, "play", 0, nil, "livestream?token=1"), nil), event(nil, 3, 1, 1000), appendControl(nil, 1, 60000))
	if code, _ := edge.code(); code != "NetStream.Play.Reset" {
		t.Errorf("the edge is told %s first", code)
	}
	want := receive(t, d.asked, "request")
	if want.App != "live" || want.Name != "livestream" || want.Query != "token=1" || want.TCURL != "rtmp://127.0.0.1/live" || !want.Redirects {
		t.Errorf("request = %+v", want)
	}
	_ = edge.conn.Close()
	receive(t, s.ended, "the end")

	pub := shake(t, s.addr)
	greet(pub)
	pub.send(appendMessage(nil, 128, csData, 20, 1, 0, amf.Append(nil, "publish", 0, nil, "livestream", "live"), nil), appendControl(nil, 1, 60000))
	if code, _ := pub.code(); code != "NetStream.Publish.Start" {
		t.Errorf("the publishing edge is told %s", code)
	}
	if r := receive(t, d.asked, "request"); r.Streams[0] != "live/livestream" {
		t.Errorf("request = %+v", r)
	}
}

// An authorizer is a router that is asked at connect.
type authorizer struct {
	*router
	err  error
	came chan listen.Request
}

func (d authorizer) Connect(_ context.Context, r listen.Request) error {
	d.came <- r
	return d.err
}

func TestClientIsTurnedAwayAtTheDoor(t *testing.T) {
	d := authorizer{newRouter(liveHub()), errors.New("not today"), make(chan listen.Request, 1)}
	s := serve(t, d)
	var refused *StatusError
	_, err := Dial(t.Context(), s.url("/live/a?x=1"), ClientConfig{})
	if !errors.As(err, &refused) || refused.Code != "NetConnection.Connect.Rejected" || !strings.Contains(refused.Description, "not today") {
		t.Errorf("Dial = %v, want to be rejected with the reason", err)
	}
	if r := receive(t, d.came, "connect"); r.App != "live" || len(r.Streams) != 0 || r.TCURL == "" {
		t.Errorf("the authorizer was told %+v", r)
	}
}

// startingVideo lets a player connect, and sends it the configuration of a track and nothing else.
func startingVideo(conn net.Conn, cmd command) bool {
	if cmd.name == "connect" {
		accepting(conn, cmd)
		return true
	}
	started(conn)
	_, _ = conn.Write(appendMessage(nil, chunkSize, csVideo, 9, mediaStream, 0, avcHeader, nil))
	return true
}
