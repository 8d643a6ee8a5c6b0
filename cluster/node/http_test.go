package node

import "testing"

var routeTests = []struct {
	path string
	want route
}{
	{"/cam/index.m3u8", route{routeHLS, "cam", "index.m3u8"}},
	{"/a/b/s12.ts", route{routeHLS, "a/b", "s12.ts"}},
	{"/a%2Fb/i0123456789abcdef.mp4", route{routeHLS, "a/b", "i0123456789abcdef.mp4"}},
	{"/a/i1.mp4", route{}},
	{"/cam%20one/mpegts", route{routeTS, "cam one", ""}},
	{"/a/b.flv", route{routeFLV, "a/b", ""}},
	{"/cam/embed.html", route{routeLater, "cam", "embed.html"}},
	{"/cam/index.mpd", route{routeLater, "cam", "index.mpd"}},
	{"/mpegts", route{}},
	{"/index.m3u8", route{}},
	{"/.flv", route{}},
	{"/", route{}},
	{"/cam", route{}},
	{"/%zz/index.m3u8", route{}},
	{"/streamer/api/v3/streams", route{kind: routeAPI}},
	{"/streamer/api/v3/streams/mpegts", route{kind: routeAPI}},
	{"/metrics", route{kind: routeAPI}},
	{"/api/tree", route{kind: routeAPI}},
	{"/cluster/state", route{kind: routeState}},
	{"/cluster/relay/a%2Fb", route{routeRelay, "a/b", ""}},
	{"/cluster/relay/", route{kind: routeReserved}},
	{"/cluster/anything/index.m3u8", route{kind: routeReserved}},
}

func TestRoute(t *testing.T) {
	for _, tt := range routeTests {
		if got := parseRoute(tt.path); got != tt.want {
			t.Errorf("parseRoute(%q) = %+v, want %+v", tt.path, got, tt.want)
		}
	}
}

func FuzzRoute(f *testing.F) {
	for _, tt := range routeTests {
		f.Add(tt.path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := parseRoute(path)
		switch r.kind {
		case routeTS, routeFLV, routeHLS, routeRelay, routeLater:
			if r.stream == "" {
				t.Errorf("parseRoute(%q) = %+v: a stream without name", path, r)
			}
		}
	})
}
