package rtmp

import (
	"net"
	"slices"
	"strings"
	"testing"

	"weir/codecs/flv/amf"
)

var requestTests = []struct {
	app, tcURL, name string
	streams          []string
	path, query      string
}{
	{"live", "rtmp://h/live", "cam1", []string{"live/cam1", "cam1"}, "/live/cam1", ""},
	{"live", "rtmp://h/live", "cam1?user=bob&pass=x", []string{"live/cam1", "cam1"}, "/live/cam1", "user=bob&pass=x"},
	{"live?token=x", "rtmp://h/live?token=x", "cam1?user=bob", []string{"live/cam1", "cam1"}, "/live/cam1", "user=bob&token=x"},
	{"live", "rtmp://h/live?vhost=x?vhost=x", "cam1", []string{"live/cam1", "cam1"}, "/live/cam1", "vhost=x?vhost=x"},
	{"live...vhost...x", "rtmp://h/live...vhost...x", "cam1", []string{"live/cam1", "cam1"}, "/live/cam1", "vhost=x"},
	{"live/", "rtmp://h/live/", "/cam1", []string{"live/cam1", "cam1"}, "/live/cam1", ""},
	{"", "rtmp://h/", "cam1", []string{"cam1"}, "/cam1", ""},
	{"cam1", "rtmp://h/cam1", "", []string{"cam1"}, "/cam1", ""},
	{"a/b", "rtmp://h/a/b", "c", []string{"a/b/c", "b/c", "c"}, "/a/b/c", ""},
	{"a", "rtmp://h/a", "b/c", []string{"a/b/c", "b/c", "c"}, "/a/b/c", ""},
	{"live", "", "mp4:film.mp4", []string{"live/film.mp4", "film.mp4", "live/mp4:film.mp4", "mp4:film.mp4"}, "/live/mp4:film.mp4", ""},
	{"live", "", "caf%C3%A9", []string{"live/café", "live/caf%C3%A9", "café", "caf%C3%A9"}, "/live/caf%C3%A9", ""},
	{"live", "", "café 1", []string{"live/café 1", "café 1"}, "/live/caf%C3%A9%201", ""},
	{"live", "", "50%", []string{"live/50%", "50%"}, "/live/50%", ""},
	{"", "", "", nil, "", ""},
	{"", "", "a\x00b", nil, "", ""},
	{"live", "", "\xff", nil, "", ""},
}

func TestNamesQueriesAndPathsAreFoundWhereverClientsPutThem(t *testing.T) {
	for _, tt := range requestTests {
		g := parseConnect(command{args: []any{amf.Object{{Key: "app", Value: tt.app}, {Key: "tcUrl", Value: tt.tcURL}}}})
		r, err := g.request(tt.name, r0)
		if (err != nil) != (tt.streams == nil) {
			t.Errorf("request(%q, %q): error = %v", tt.app, tt.name, err)
		}
		if err == nil && (!slices.Equal(r.Streams, tt.streams) || r.Path != tt.path || r.Query != tt.query) {
			t.Errorf("request(%q, %q) = %q %q ? %q, want %q %q ? %q", tt.app, tt.name, r.Streams, r.Path, r.Query, tt.streams, tt.path, tt.query)
		}
	}
}

var r0 = (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}).AddrPort()

// FuzzCommand reads a command and what it asks for.
func FuzzCommand(f *testing.F) {
	f.Add(amf.Append(nil, "connect", 1, amf.Object{{Key: "app", Value: "live?x"}, {Key: "tcUrl", Value: "rtmp://h/live"}}, amf.Object{{Key: "srs_sig", Value: "SRS"}}), "cam1?user=bob")
	f.Add(amf.Append(nil, "play", 0, nil, "x"), "a/b/c")
	f.Add([]byte{0x0a, 0x7f, 0xff, 0xff, 0xff}, "%zz")
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		for _, typ := range []uint8{17, 20} {
			cmd, err := parseCommand(packet{typ: typ, body: body})
			if err != nil {
				continue
			}
			r, err := parseConnect(cmd).request(name, r0)
			if err != nil {
				continue
			}
			if len(r.Streams) == 0 || len(r.Streams) > 64 || !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, " ?#\n") {
				t.Fatalf("request = %+v", r)
			}
			for _, s := range r.Streams {
				if !valid(s) {
					t.Fatalf("stream %q", s)
				}
			}
		}
		_, _, _ = splitTags(packet{typ: 22, body: body})
		_, _, _ = splitTags(packet{typ: 15, body: body})
	})
}
