package rtsp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"weir/protocols/listen"
)

// urlTests are shared with the fuzz target.
var urlTests = []struct {
	url, path, written, query string
	track                     int
	bad                       bool
	control                   string // of medium 1
}{
	{"rtsp://n/a", "/a", "/a", "", -1, false, "rtsp://n/a/trackID=1"},
	{"rtsp://n:8554/live/a%20b/trackID=1", "/live/a b", "/live/a%20b", "", 1, false, "rtsp://n:8554/live/a%20b/trackID=1"},
	{"rtsp://n/live%2Fa/", "/live/a", "/live%2Fa", "", -1, false, "rtsp://n/live%2Fa/trackID=1"},
	{"rtsp://n/a?q=1/trackID=2", "/a", "/a", "q=1", 2, false, "rtsp://n/a/trackID=1"},
	{"rtsp://n/a/trackID=2?q=1", "/a", "/a", "q=1", 2, false, "rtsp://n/a/trackID=1"},
	{"rtsp://n/a/?q=1", "/a", "/a", "q=1", -1, false, "rtsp://n/a/trackID=1"},
	{"rtsp://n/a?q=1/", "/a", "/a", "q=1", -1, false, "rtsp://n/a/trackID=1"},
	{"rtsps://n/a", "/a", "/a", "", -1, false, "rtsps://n/a/trackID=1"},
	{"rtsp://n/a/trackID=x", "/a", "/a", "", 0, true, "rtsp://n/a/trackID=1"},
	{"rtsp://n/a/trackID=99999999999999999999", "/a", "/a", "", 65535, true, "rtsp://n/a/trackID=1"},
	{"rtsp://n/a/trackID=1/trackID=2", "/a/trackID=1", "/a/trackID=1", "", 2, false, "rtsp://n/a/trackID=1/trackID=1"},
	{"rtsp://n", "/", "/", "", -1, false, "rtsp://n/trackID=1"},
	{"/a", "/a", "/a", "", -1, false, "trackID=1"},
	{"*", "*", "*", "", -1, false, "trackID=1"},
}

func TestURLsOfRequestsAreReadInEveryForm(t *testing.T) {
	for _, c := range urlTests {
		got, err := readURL(c.url)
		if err != nil || got.path != c.path || got.written != c.written || got.query != c.query || got.track != c.track || got.bad != c.bad {
			t.Errorf("readURL(%q) = %+v, %v, want %+v", c.url, got, err, c)
		}
		if control := got.control(1); control != c.control {
			t.Errorf("%s: control %q, want %q", c.url, control, c.control)
		}
	}
	for _, bad := range []string{"rtsp://n/%zz", "http://n/a", "rtsp:a", "rtsp://[::1"} {
		if got, err := readURL(bad); err == nil {
			t.Errorf("readURL(%q) = %+v, want an error", bad, got)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, c := range urlTests {
		f.Add(c.url)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := readURL(raw)
		if err != nil {
			return
		}
		if back, err := url.PathUnescape(r.written); err != nil || back != r.path || r.track < -1 {
			t.Fatalf("readURL(%q) = %+v, whose path means %q, %v", raw, r, back, err)
		}
	})
}

// exchanges are what clients send on one connection, and the status of each answer. The stream "a" has two media. A connection
// that is not closed answers OPTIONS at the end.
var exchanges = []struct {
	name, in string
	want     string // status codes
	closed   bool
}{
	{name: "a method that nobody knows", in: "FOO rtsp://n/a RTSP/1.0\nCSeq: 1\n\nPLAY_NOTIFY * RTSP/1.0\nCSeq: 2\n\n", want: "501 501"},
	{name: "publishing", in: "ANNOUNCE rtsp://n/a RTSP/1.0\nCSeq: 1\nContent-Type: application/sdp\nContent-Length: 3\n\nv=0RECORD rtsp://n/a RTSP/1.0\nCSeq: 2\n\n", want: "405 405"},
	{name: "no CSeq", in: "OPTIONS * RTSP/1.0\n\nDESCRIBE rtsp://n/a RTSP/1.0\n\n", want: "400 400"},
	{name: "another version", in: "OPTIONS * RTSP/2.0\nCSeq: 1\n\n", want: "505"},
	{name: "no version", in: "OPTIONS *\nCSeq: 1\n\n", want: "400"},
	{name: "no URL", in: "DESCRIBE http://n/a RTSP/1.0\nCSeq: 1\n\nSETUP %zz RTSP/1.0\nCSeq: 2\nTransport: RTP/AVP/TCP\n\n", want: "400 400"},
	{name: "names of lines in lower case, folded lines, lines that are none", in: "OPTIONS * RTSP/1.0\ncseq:\n 1\nnothing\n: x\nX-Y: a\n\tb\n\n", want: "200"},
	{name: "a line of 30000 bytes", in: "OPTIONS * RTSP/1.0\nX: " + strings.Repeat("x", 30000) + "\nCSeq: 1\n\n", want: "200"},
	{name: "a thousand lines", in: "OPTIONS * RTSP/1.0\nCSeq: 1\n" + strings.Repeat("X: y\n", 1000) + "\n", want: "200"},
	{name: "a header without end", in: "OPTIONS * RTSP/1.0\nCSeq: 1\n" + strings.Repeat("X: y\n", 100000), closed: true},
	{name: "a feature that is required", in: "DESCRIBE rtsp://n/a RTSP/1.0\nCSeq: 1\nRequire: www.onvif.org/ver20/backchannel\n\n", want: "551"},
	{name: "pipelined", in: "OPTIONS * RTSP/1.0\nCSeq: 1\n\nDESCRIBE rtsp://n/a RTSP/1.0\nCSeq: 2\n\nSETUP rtsp://n/a/trackID=0 RTSP/1.0\nCSeq: 3\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\n\nSETUP rtsp://n/a/trackID=1 RTSP/1.0\nCSeq: 4\nTransport: RTP/AVP/TCP;interleaved=2-3\n\n", want: "200 200 200 200"},
	{name: "a session that nobody knows", in: "TEARDOWN rtsp://n/a RTSP/1.0\nCSeq: 1\nSession: 77\n\nPLAY rtsp://n/a RTSP/1.0\nCSeq: 2\nSession: 77\n\nPAUSE rtsp://n/a RTSP/1.0\nCSeq: 3\n\nGET_PARAMETER rtsp://n/a RTSP/1.0\nCSeq: 4\nSession: 77;timeout=1\n\nSETUP rtsp://n/a/trackID=0 RTSP/1.0\nCSeq: 5\nSession: 77\nTransport: RTP/AVP/TCP\n\n", want: "454 454 454 454 454"},
	{name: "tracks", in: setups("trackID=7", "trackID=x", "trackID=-1", "", "?token=x/trackID=0", "trackID=1?token=y", "trackID=1"), want: "404 404 404 459 200 200 200"},
	{name: "an interleaved pair that is taken", in: "SETUP rtsp://n/a/trackID=0 RTSP/1.0\nCSeq: 1\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\n\nSETUP rtsp://n/a/trackID=1 RTSP/1.0\nCSeq: 2\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\n\n", want: "200 200"},
	{name: "another stream in the same session", in: "SETUP rtsp://n/a/trackID=0 RTSP/1.0\nCSeq: 1\nTransport: RTP/AVP/TCP\n\nSETUP rtsp://n/b/trackID=0 RTSP/1.0\nCSeq: 2\nTransport: RTP/AVP/TCP\n\n", want: "200 404"},
	{name: "transports", in: transports("", "RTP/AVP;multicast", "RTP/SAVP;unicast;client_port=1-2", "RTP/AVP;unicast", "RAW/RAW/UDP;unicast", "RTP/AVP/TCP;mode=record",
		"RTP/AVP;multicast,RTP/AVP/UDP;unicast;client_port=5000-5001", "RTP/AVP/TCP;unicast;interleaved=0-1"), want: "461 461 461 461 461 461 200 461"},
	{name: "reports before a session", in: "OPTIONS * RTSP/1.0\nCSeq: 1\n\n$\x01\x00\x04\x80\xc9\x00\x00RTSP/1.0 200 OK\nCSeq: 9\n\nOPTIONS * RTSP/1.0\nCSeq: 2\n\n", want: "200 200"},
	{name: "parameters", in: "GET_PARAMETER rtsp://n/a RTSP/1.0\nCSeq: 1\n\nGET_PARAMETER rtsp://n/a RTSP/1.0\nCSeq: 2\nContent-Length: 9\n\nposition\nSET_PARAMETER rtsp://n/a RTSP/1.0\nCSeq: 3\nContent-Length: 4\n\na: bGET_PARAMETER rtsp://n/a RTSP/1.0\nCSeq: 4\nContent-Length: 2\n\n\n\n", want: "200 451 451 200"},
	{name: "garbage between requests", in: "OPTIONS * RTSP/1.0\nCSeq: 1\n\n\x00\xff\xffgarbage\n\n\nOPTIONS * RTSP/1.0\nCSeq: 2\n\n", want: "200 200"},
}

func setups(tracks ...string) (in string) {
	for i, track := range tracks {
		if !strings.HasPrefix(track, "?") && track != "" {
			track = "/" + track
		}
		in += fmt.Sprintf("SETUP rtsp://n/a%s RTSP/1.0\nCSeq: %d\nTransport: RTP/AVP/TCP;unicast\n\n", track, i+1)
	}
	return in
}

func transports(lines ...string) (in string) {
	for i, line := range lines {
		in += fmt.Sprintf("SETUP rtsp://n/a/trackID=%d RTSP/1.0\nCSeq: %d\nTransport: %s\n\n", i%2, i+1, line)
	}
	return in
}

func TestRequestsAreAnsweredAndTheConnectionIsKept(t *testing.T) {
	n := start(t, serving(pattern(t, "a", 1)))
	for _, e := range exchanges {
		t.Run(e.name, func(t *testing.T) {
			c, err := net.Dial("tcp", n.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			in := strings.ReplaceAll(e.in, "\n", "\r\n")
			in = strings.ReplaceAll(in, "position\r\n", "position\n")
			in = strings.ReplaceAll(in, "Length: 2\r\n\r\n\r\n\r\n", "Length: 2\r\n\r\n\n\n")
			go func() { _, _ = io.WriteString(c, in+"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n") }()
			r := newReader(c)
			var got []string
			for {
				m, err := r.next()
				if err != nil {
					if !e.closed {
						t.Errorf("after %v: %v", got, err)
					}
					break
				}
				if m.header.first("cseq") == "77" {
					if m.status != 200 || e.closed {
						t.Errorf("the connection answers OPTIONS with %d, want it closed: %t", m.status, e.closed)
					}
					break
				}
				got = append(got, fmt.Sprint(m.status))
			}
			if s := strings.Join(got, " "); s != e.want {
				t.Errorf("answers %s, want %s", s, e.want)
			}
		})
	}
}

// A client that drops the query when it resolves a control URL, as RFC 3986 has it, and one that keeps it, both play.
func TestControlsAreAbsoluteAndWithoutTheQuery(t *testing.T) {
	n := start(t, serving(pattern(t, "live/a", 1)))
	for _, asked := range []string{"?token=secret", "?token=secret&weir_hops=1", ""} {
		p := dial(t, n, "live/a")
		r := p.ok("DESCRIBE", asked)
		base := "rtsp://" + n.addr + "/live/a/"
		if got := strings.Join(r.Header["Content-Base"], ","); got != base {
			t.Errorf("Content-Base %q, want %q", got, base)
		}
		for i := range 2 {
			if want := fmt.Sprintf("a=control:%strackID=%d\r\n", base, i); !strings.Contains(string(r.Body), want) {
				t.Errorf("%q is not in the description\n%s", want, r.Body)
			}
		}
		p.ok("SETUP", "/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
		p.ok("SETUP", asked+"/trackID=1", "Transport: RTP/AVP/TCP;unicast;interleaved=2-3")
		p.ok("PLAY", asked+"/")
		if asks := n.router.requests(); asks[len(asks)-1].Query != strings.TrimPrefix(asked, "?") {
			t.Errorf("the router was asked %+v last, want once per DESCRIBE", asks[len(asks)-1])
		}
	}
	if asks := n.router.requests(); len(asks) != 3 {
		t.Errorf("the router was asked %d times, want 3", len(asks))
	}
}

func TestChannelsThatAreTakenAreReplaced(t *testing.T) {
	n := start(t, serving(pattern(t, "a", 1)))
	p := dial(t, n, "a")
	for i, want := range []string{"interleaved=5-6", "interleaved=0-1"} {
		r := p.ok("SETUP", fmt.Sprintf("/trackID=%d", i), "Transport: RTP/AVP/TCP;unicast;interleaved="+[]string{"5-6", "6-7"}[i])
		if got := strings.Join(r.Header["Transport"], ","); !strings.Contains(got, want) {
			t.Errorf("SETUP %d: Transport %q, want %s in it", i, got, want)
		}
	}
}

// A session over UDP outlives its connection while it plays, as long as its client is heard.
func TestSessionOverUDPEndsWhenItsClientIsSilent(t *testing.T) {
	src := pattern(t, "a", 1)
	n := start(t, serving(src))
	p := dial(t, n, "a")
	p.ok("SETUP", "/trackID=0", "Transport: RTP/AVP;unicast;client_port=40000-40001")
	p.ok("PLAY", "")
	<-src.joined
	p.net.Close()
	s := n.sessions.client(0).(*session)
	s.disconnected()
	if !s.playing() {
		t.Fatal("the session ended with its connection")
	}
	s.mu.Lock()
	s.last = time.Now().Add(-2 * sessionTimeout)
	s.mu.Unlock()
	if !s.expired() {
		t.Error("a client that has said nothing for two minutes is waited for")
	}
	remote := s.request.Remote.Addr()
	s.heard(netip.AddrPortFrom(remote, 9))
	if !s.expired() {
		t.Error("a datagram of somebody else keeps the session")
	}
	s.heard(netip.AddrPortFrom(remote, 40001))
	if s.expired() {
		t.Error("a report of the client does not keep the session")
	}
	s.end(errSilentClient)
	if err := <-n.sessions.ended; !errors.Is(err, errSilentClient) {
		t.Errorf("Serve = %v, want %v", err, errSilentClient)
	}
}

// Two nodes that take each other for the owner do not send a client to and fro for ever.
func TestClientThatIsSentToAndFroIsServedWhereItIs(t *testing.T) {
	d := serving()
	d.answers["a"] = listen.Answer{Verdict: listen.Redirect, Location: "rtsp://elsewhere/a?token=1&weir_hops=1"}
	n := start(t, d)
	for i, here := range []bool{false, false, true} {
		p := dial(t, n, "a")
		if r := p.ask("DESCRIBE", "?token=1"); strings.Join(r.Header["Location"], ",") != "rtsp://elsewhere/a?token=1" {
			t.Errorf("ask %d: %d, Location %v", i, r.StatusCode, r.Header["Location"])
		}
		if asks := n.router.requests(); asks[i].Here != here {
			t.Errorf("ask %d: the stream must be served here: %t, want %t", i, asks[i].Here, here)
		}
	}
	p := dial(t, n, "a")
	p.ask("DESCRIBE", "?token=2")
	if asks := n.router.requests(); asks[3].Here {
		t.Error("another viewer must be served here, too")
	}
}

// FuzzRequests gives a server whatever a client may send. It answers each request once, with its CSeq, and lives.
func FuzzRequests(f *testing.F) {
	for _, e := range exchanges {
		if len(e.in) < 10000 {
			f.Add([]byte(strings.ReplaceAll(e.in, "\n", "\r\n")))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newReader(strings.NewReader(string(in)))
		for {
			m, err := r.next()
			if err != nil {
				return
			}
			if m.packet != nil || m.status != 0 {
				continue
			}
			at, err := readURL(m.url)
			if err == nil {
				_, _, _ = at.control(1), wishes(m.header.first("transport")), agreed(m.header.first("transport"))
				_ = controls(m.url, m.header.first("control"))
			}
			b := string(because(400, m.url).marshal(m))
			if head, _, ok := strings.Cut(b, "\r\n\r\n"); !ok || strings.Count(head, "\r\n") > 2 || strings.ContainsAny(head, "\x00") && !strings.Contains(m.header.first("cseq"), "\x00") {
				t.Fatalf("answer %q", b)
			}
		}
	})
}
