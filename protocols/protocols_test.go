package protocols_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"weir/protocols"
)

func TestRowsAreWhole(t *testing.T) {
	seen := map[string]string{}
	once := func(d protocols.Descriptor, what, value string) {
		key := what + " " + value
		if before, twice := seen[key]; twice {
			t.Errorf("%s: the %s is that of %s too", d.Protocol, key, before)
		}
		seen[key] = string(d.Protocol)
	}
	for _, d := range protocols.All() {
		once(d, "name", string(d.Protocol))
		once(d, "title", d.Title)
		if name := string(d.Protocol); name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, " -_/") || d.Title == "" {
			t.Errorf("%+v: a name is one lower-case word, and there is a title", d)
		}
		if got := protocols.Of(d.Protocol); got != d {
			t.Errorf("Of(%s) = %+v, want %+v", d.Protocol, got, d)
		}

		own := d.Listener == d.Protocol
		if own != slices.Contains(protocols.Listeners(), d) {
			t.Errorf("%s: own listener %t, and not so in Listeners", d.Protocol, own)
		}
		if at := protocols.Of(d.Listener); at.Listener != d.Listener {
			t.Errorf("%s: its listener %q is that of no row", d.Protocol, d.Listener)
		}
		if own != (d.Port != 0) || !own && (d.On || d.Plain != "") || d.On && d.Plain != "" {
			t.Errorf("%+v: port, on and plain are of a row's own listener; one with TLS needs certificates, and so is not on", d)
		}
		if own && d.Plain == "" { // HTTPS and RTMPS have one port
			once(d, "port", strconv.Itoa(d.Port))
		}
		if d.Plain != "" && (protocols.OverTLS(d.Plain) != d || d.Spoken() != d.Plain || protocols.Of(d.Plain).Plain != "") {
			t.Errorf("%+v: it is not %s within TLS", d, d.Plain)
		}
		if (d.Follows || d.Forward) && d.Path == "" {
			t.Errorf("%+v: nobody plays it, so nobody is redirected", d)
		}
		if d.Form != "" {
			once(d, "form", d.Form)
		}
		if d.Path != "" {
			if strings.Count(d.Path, "STREAM") != 1 || !strings.HasPrefix(d.Path, "/") {
				t.Errorf("%s: the path %q is not of the form /…STREAM…", d.Protocol, d.Path)
			}
			once(d, "URL", d.URL("host", "cam"))
			if d.Also != "" {
				once(d, "URL", d.Also)
			}
			for _, name := range []string{"cam", "a/b", "a b"} {
				path := strings.TrimPrefix(strings.Replace(d.Path, "STREAM", name, 1), "/")
				if got, ok := protocols.StreamIn(d.Path, path); got != name || !ok {
					t.Errorf("%s: StreamIn(%s) = %q, %t, want %q", d.Protocol, path, got, ok, name)
				}
			}
		}
	}
	if protocols.Of("none") != (protocols.Descriptor{}) {
		t.Error("a protocol that is in no row has one")
	}
	for _, path := range []string{"", "mpegts", "/mpegts", "cam", "cam/mpegts/"} {
		if stream, ok := protocols.StreamIn("/STREAM/mpegts", path); ok {
			t.Errorf("StreamIn(%q) = %q, want none", path, stream)
		}
	}
}

func TestURL(t *testing.T) {
	for _, tt := range []struct {
		protocol           protocols.Protocol
		host, stream, want string
	}{
		{protocols.HLS, "n1:8080", "cam", "http://n1:8080/cam/index.m3u8"},
		{protocols.RTMP, "n1", "cam", "rtmp://n1/static/cam"},
		{protocols.RTSP, "[::1]:554", "a b/ü", "rtsp://[::1]:554/a%20b/%C3%BC"},
		{protocols.TS, "n1", "what?", "http://n1/what%3F/mpegts"},
		{protocols.FLV, "n1", "live/cam", "http://n1/live/cam.flv"},
	} {
		if got := protocols.Of(tt.protocol).URL(tt.host, tt.stream); got != tt.want {
			t.Errorf("URL(%s, %s, %s) = %q, want %q", tt.protocol, tt.host, tt.stream, got, tt.want)
		}
	}
	if d := protocols.Of(protocols.RTMP); d.Flag() != "--rtmp" || d.Directive() != "rtmp" {
		t.Errorf("flag %q, directive %q", d.Flag(), d.Directive())
	}
}

func TestEveryListenerHasItsPortInTheState(t *testing.T) {
	for i, d := range protocols.Listeners() {
		var p protocols.Ports
		*p.At(d.Protocol) = 1000 + i
		got, err := json.Marshal(p)
		if want := fmt.Sprintf(`{"%s":%d}`, d.Protocol, 1000+i); err != nil || string(got) != want {
			t.Errorf("a port for %s is told as %s, %v, want %s", d.Protocol, got, err, want)
		}
	}
}
