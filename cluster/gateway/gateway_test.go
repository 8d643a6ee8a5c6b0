package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/cluster/balancer"
	"weir/protocols"
	"weir/protocols/hls"
	"weir/protocols/listen"
)

// named is a handler that says its name and what it was asked.
type named string

func (n named) ServeHTTP(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, string(n)) }

func (n named) ServeStream(w http.ResponseWriter, _ *http.Request, q listen.Request, file string) {
	_, _ = fmt.Fprintf(w, "%s %s %q %s here=%t hops=%d", n, q.Protocol, q.Streams, file, q.Here, q.Hops)
}

// playlists is a handler with several files that answers below balancers.
type playlists struct{ named }

func (playlists) Serves(file string) bool { return file == "index.m3u8" || file == "s1.ts" }

func (p playlists) ServeBalanced(w http.ResponseWriter, r *http.Request, q listen.Request, _ hls.Balancer, under, file string) {
	_, _ = fmt.Fprintf(w, "below %s ", under)
	p.ServeStream(w, r, q, file)
}

// fakeBalancers has the balancer lb, which chooses the same for everybody.
type fakeBalancers struct {
	choice hls.Target
	ok     bool
	asked  []balancer.Request
}

func (*fakeBalancers) Has(name string) bool            { return name == "lb" }
func (*fakeBalancers) OfPlaylists(string) hls.Balancer { return nil }

func (f *fakeBalancers) Choose(_ string, r balancer.Request, _ []string) (hls.Target, bool) {
	f.asked = append(f.asked, r)
	return f.choice, f.ok || r.Secure && !r.Redirected
}

func newGateway(b Balancers) *Gateway {
	return New(Config{
		Paths: []Path{
			{"/api/v1/", named("srs")},
			{"/api/", named("api")},
			{"/streamer/", named("api")},
			{"/metrics/", named("api")},
			{"/cluster/state", named("state")},
			{"/cluster/relay/", named("relay")},
		},
		Streams: map[protocols.Protocol]Handler{
			protocols.HLS: playlists{"hls"}, protocols.TS: named("ts"), protocols.FLV: named("flv"),
		},
		Balancers: b,
		Trusted:   func(netip.Addr) bool { return false },
	})
}

const nothing = "nothing is served here; a stream is at /STREAM/index.m3u8, /STREAM/mpegts, /STREAM.flv\n"

var pathTests = []struct{ path, want string }{
	{"/cam/index.m3u8", `hls hls ["cam"] index.m3u8 here=false hops=0`},
	{"/a/b/s1.ts", `hls hls ["a/b" "b"] s1.ts here=false hops=0`},
	{"/a%2Fb/s1.ts", `hls hls ["a/b" "b"] s1.ts here=false hops=0`},
	{"/live/cam.m3u8", `hls hls ["live/cam" "cam"] cam.m3u8 here=false hops=0`},
	{"/live/cam.ts", `ts mpegts ["live/cam" "cam"] cam.ts here=false hops=0`},
	{"/live/cam.flv", `flv flv ["live/cam" "cam"] cam.flv here=false hops=0`},
	{"/cam.m3u8", `hls hls ["cam"] cam.m3u8 here=false hops=0`},
	{"/.m3u8", nothing},
	{"/cam%20one/mpegts", `ts mpegts ["cam one"] mpegts here=false hops=0`},
	{"/cam/mpegts?weir_hops=1&weir_here=1", `ts mpegts ["cam"] mpegts here=true hops=1`},
	{"/a/b.flv", `flv flv ["a/b" "b"] b.flv here=false hops=0`},
	{"/cam/embed.html", "embed.html is not supported yet; try /cam/index.m3u8\n"},
	{"/a/b/index.mpd", "index.mpd is not supported yet; try /a%2Fb/index.m3u8\n"},
	{"/mpegts", nothing},
	{"/index.m3u8", nothing},
	{"/.flv", nothing},
	{"/", nothing},
	{"/cam", nothing},
	{"/streamer/api/v3/streams", "api"},
	{"/streamer/api/v3/streams/mpegts", "api"},
	{"/metrics", "api"},
	{"/api/tree", "api"},
	{"/api/v1/streams", "srs"},
	{"/cluster/state", "state"},
	{"/cluster/state/cam/mpegts", nothing},
	{"/cluster/relay/a%2Fb", "relay"},
	{"/cluster/anything/index.m3u8", nothing},
	{"/lb/cam/index.m3u8", `below lb hls hls ["cam"] index.m3u8 here=false hops=0`},
	{"/lb/live/cam.m3u8", `below lb hls hls ["live/cam" "cam"] cam.m3u8 here=false hops=0`},
	{"/lb/cam/mpegts", `ts mpegts ["cam"] mpegts here=true hops=0`},
	{"/lb/cam/embed.html", "embed.html is not supported yet; try /cam/index.m3u8\n"},
	{"/lb/metrics", "api"},
	{"/lb/cam", nothing},
	{"/other/cam/mpegts", `ts mpegts ["other/cam" "cam"] mpegts here=false hops=0`},
}

func TestRequestReachesTheHandlerOfItsPath(t *testing.T) {
	g := newGateway(&fakeBalancers{choice: hls.Target{Here: true}, ok: true})
	for _, tt := range pathTests {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tt.path, nil))
		if got := w.Body.String(); got != tt.want {
			t.Errorf("%s is answered with %q, want %q", tt.path, got, tt.want)
		}
	}
}

func FuzzRoute(f *testing.F) {
	for _, tt := range pathTests {
		f.Add(tt.path)
	}
	g := newGateway(&fakeBalancers{})
	f.Fuzz(func(t *testing.T, path string) {
		if rt := g.route(path); rt.form != nil && (rt.stream == "" || strings.Contains(rt.file, "/")) {
			t.Errorf("route(%q) = stream %q, file %q", path, rt.stream, rt.file)
		}
	})
}

var balancedTests = []struct {
	name         string
	method, path string
	secure       bool
	choice       hls.Target
	none         bool
	status       int
	location     string
	asked        []balancer.Request // Publish and Redirected only
}{
	{
		name: "sent to its server, with its query", path: "/lb/cam/mpegts?token=1", choice: hls.Target{Public: "http://s.example.com:8080"},
		status: 302, location: "http://s.example.com:8080/cam/mpegts?token=1&weir_hops=1&weir_here=1", asked: []balancer.Request{{Redirected: true}},
	},
	{
		name: "sent with its body", method: http.MethodPost, path: "/lb/a/b/whip", choice: hls.Target{Public: "https://s.example.com"},
		status: 307, location: "https://s.example.com/a/b/whip?weir_hops=1&weir_here=1", asked: []balancer.Request{{Redirected: true, Publish: true}},
	},
	{
		name: "sent too often", path: "/lb/cam/mpegts?weir_hops=2", choice: hls.Target{Public: "http://s.example.com"}, status: 503,
	},
	{name: "no server", path: "/lb/cam.flv", none: true, status: 503, asked: []balancer.Request{{Redirected: true}}},
	{
		name: "no server speaks https", path: "/lb/cam.flv", none: true, secure: true, status: 200,
		asked: []balancer.Request{{Redirected: true}, {}},
	},
	{name: "a page asks what it may", method: http.MethodOptions, path: "/lb/cam/whep", status: 204},
}

func TestClientOfABalancerIsSentToItsServer(t *testing.T) {
	for _, tt := range balancedTests {
		t.Run(tt.name, func(t *testing.T) {
			b := &fakeBalancers{choice: tt.choice, ok: !tt.none}
			method, scheme := tt.method, "http"
			if method == "" {
				method = http.MethodGet
			}
			if tt.secure {
				scheme = "https"
			}
			w := httptest.NewRecorder()
			newGateway(b).ServeHTTP(w, httptest.NewRequest(method, scheme+"://n.example.com"+tt.path, nil))
			if w.Code != tt.status || w.Header().Get("Location") != tt.location {
				t.Errorf("answered with %d, Location %q, want %d, %q", w.Code, w.Header().Get("Location"), tt.status, tt.location)
			}
			if tt.status == 200 && !strings.Contains(w.Body.String(), "here=true") {
				t.Errorf("answered with %q, want the stream from here", w.Body)
			}
			if w.Header().Get("Access-Control-Allow-Origin") == "" && tt.status != 200 { // handlers of streams say it themselves
				t.Error("a page of another origin may not read the answer")
			}
			same := func(a, b balancer.Request) bool { return a.Publish == b.Publish && a.Redirected == b.Redirected }
			if !slices.EqualFunc(b.asked, tt.asked, same) {
				t.Errorf("the balancer was asked %+v, want %+v", b.asked, tt.asked)
			}
		})
	}
}

func TestHandlerOfAnotherProtocolNeedsNothingElse(t *testing.T) {
	g := New(Config{
		Streams:   map[protocols.Protocol]Handler{protocols.RTSP: named("rtsp")}, // as if it came over HTTP
		Balancers: &fakeBalancers{}, Trusted: func(netip.Addr) bool { return false },
	})
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/a/cam", nil))
	if want := `rtsp rtsp ["a/cam" "cam"] cam here=false hops=0`; w.Body.String() != want {
		t.Errorf("answered with %q, want %q", w.Body, want)
	}
}
