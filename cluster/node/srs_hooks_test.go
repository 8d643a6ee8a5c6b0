package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"weir/protocols/rtmp"
)

// told is a server that collects the hooks of a node, and refuses a hook that contains a certain word.
type told struct {
	url string
	mu  sync.Mutex
	got []map[string]any
	no  string
}

func newTold(t *testing.T, no string) *told {
	h := &told{no: no}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m map[string]any
		_ = json.Unmarshal(body, &m)
		h.mu.Lock()
		h.got = append(h.got, m)
		h.mu.Unlock()
		if h.no != "" && strings.Contains(string(body), h.no) {
			fmt.Fprint(w, `{"code":403}`)
			return
		}
		fmt.Fprint(w, `{"code":0}`)
	}))
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// of are the hooks of an action about a stream; about any stream if it is empty.
func (h *told) of(action, stream string) (list []map[string]any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.got {
		if m["action"] == action && (stream == "" || m["stream"] == stream) {
			list = append(list, m)
		}
	}
	return list
}

func (h *told) wait(t *testing.T, action, stream string, n int) []map[string]any {
	t.Helper()
	within(t, fmt.Sprintf("%s about %q comes %d times", action, stream, n), func() error {
		if got := h.of(action, stream); len(got) != n {
			return fmt.Errorf("it came %d times", len(got))
		}
		return nil
	})
	return h.of(action, stream)
}

func hooked(h *told) string {
	text := "vhost __defaultVhost__ { http_hooks { enabled on;"
	for _, action := range []string{"on_connect", "on_close", "on_publish", "on_unpublish", "on_play", "on_stop"} {
		text += " " + action + " " + h.url + ";"
	}
	return text + " } }\n"
}

func TestHooksTellTheWholeLifeOfClients(t *testing.T) {
	h := newTold(t, "")
	n := lone(t, hooked(h))
	stop := mustPublish(t, n.rtmpAddr(), "live", "onc?key=v1", 256)
	pub := h.wait(t, "on_publish", "onc", 1)[0]
	if pub["param"] != "?key=v1" || pub["app"] != "live" || pub["vhost"] != "__defaultVhost__" || pub["stream_url"] != "/live/onc" || pub["ip"] != "127.0.0.1" {
		t.Errorf("on_publish = %v", pub)
	}
	c, err := rtmp.Play(t.Context(), "rtmp://"+n.rtmpAddr()+"/live/onc", rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	play := h.wait(t, "on_play", "onc", 1)[0]
	_ = c.Close()
	if end := h.wait(t, "on_stop", "onc", 1)[0]; end["client_id"] != play["client_id"] || play["client_id"] == pub["client_id"] {
		t.Errorf("on_stop = %v after on_play = %v", end, play)
	}
	if width, err := playFLV(t.Context(), "http://"+n.httpAddr()+"/live/onc.flv"); width != 256 {
		t.Fatal(err)
	}
	h.wait(t, "on_play", "onc", 2)
	h.wait(t, "on_stop", "onc", 2)
	stop()
	if end := h.wait(t, "on_unpublish", "onc", 1)[0]; end["client_id"] != pub["client_id"] {
		t.Errorf("on_unpublish = %v", end)
	}
	for _, m := range h.wait(t, "on_close", "", 2) {
		if m["client_id"] == pub["client_id"] && m["recv_bytes"].(float64) < 1000 || m["client_id"] == play["client_id"] && m["send_bytes"].(float64) < 1000 {
			t.Errorf("on_close = %v, want what was carried", m)
		}
	}
	h.wait(t, "on_connect", "", 2)
}

func TestHooksTurnClientsAway(t *testing.T) {
	h := newTold(t, "bad")
	n := lone(t, hooked(h))
	mustPublish(t, n.rtmpAddr(), "live", "good", 256)
	if _, err := publish(t, n.rtmpAddr(), "live", "bad", 256); err == nil {
		t.Error("a publisher whom the hook refuses was accepted")
	}
	if _, code := plainPlay(t, n.rtmpAddr(), "live", "good?token=bad"); code != "NetStream.Play.Failed" {
		t.Errorf("a player whom the hook refuses is told %q", code)
	}
	if _, err := playFLV(t.Context(), "http://"+n.httpAddr()+"/live/good.flv?token=bad"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("an HTTP-FLV player whom the hook refuses: %v", err)
	}
	if _, err := rtmp.Dial(t.Context(), "rtmp://"+n.rtmpAddr()+"/bad/x", rtmp.ClientConfig{}); err == nil {
		t.Error("a client whom on_connect refuses was accepted")
	}
	hls := func(query string) int {
		res, err := http.Get("http://" + n.httpAddr() + "/live/good/index.m3u8" + query)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	within(t, "an HLS player is served", func() error {
		if status := hls(""); status != http.StatusOK {
			return errors.New(http.StatusText(status))
		}
		return nil
	})
	if status := hls("?token=bad"); status != http.StatusForbidden {
		t.Errorf("an HLS player whom the hook refuses: %d", status)
	}
	if flv, hls := len(h.of("on_play", "good")), len(h.of("on_play", "good.m3u8")); flv != 1 || hls != 2 { // on_connect has refused the RTMP player
		t.Errorf("on_play came %d times for HTTP-FLV and %d times for HLS, want once for each player", flv, hls)
	}
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "good"); width != 256 {
		t.Errorf("a welcome player: a picture %d wide, %q", width, code)
	}
}

// getJSON asks SRS's API.
func (n *Node) getJSON(t *testing.T, path string, into any) {
	t.Helper()
	res, err := http.Get("http://" + n.httpAddr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestToolsOfSRSSeeAndKickClients(t *testing.T) {
	n := lone(t, "vhost __defaultVhost__ { }\nvhost v.example.com { }\n")
	stop := mustPublish(t, n.rtmpAddr(), "live", "onc?vhost=v.example.com", 256)
	defer stop()
	c, err := rtmp.Play(t.Context(), "rtmp://"+n.rtmpAddr()+"/live/onc?vhost=v.example.com", rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var streams struct {
		Code    int
		Streams []struct {
			ID, Name, App, URL string
			Clients            int
			Publish            struct {
				Active bool
				CID    string
			}
			Video struct {
				Codec, Profile, Level string
				Width                 int
			}
			Audio struct {
				Codec, Profile string
				SampleRate     int `json:"sample_rate"`
			}
			Sent uint64 `json:"send_bytes"`
		}
	}
	within(t, "the stream is listed with both clients", func() error {
		n.getJSON(t, "/api/v1/streams/?start=0&count=10", &streams)
		if len(streams.Streams) != 1 || streams.Streams[0].Clients != 2 {
			return fmt.Errorf("%+v", streams)
		}
		return nil
	})
	s := streams.Streams[0]
	if s.Name != "onc" || s.App != "live" || s.URL != "v.example.com/live/onc" || !s.Publish.Active || s.Video.Codec != "H264" || s.Video.Width != 256 ||
		s.Video.Profile == "Other" || s.Video.Level == "" || s.Audio.Codec != "AAC" || s.Audio.Profile != "LC" || s.Audio.SampleRate != 48000 {
		t.Errorf("stream = %+v", s)
	}
	var clients struct {
		Clients []struct {
			ID, Type, Stream, IP, TCURL string
			Publish                     bool
			Alive                       float64
		}
	}
	n.getJSON(t, "/api/v1/clients/", &clients)
	player := ""
	for _, cl := range clients.Clients {
		if cl.Stream != s.ID || cl.IP != "127.0.0.1" || cl.TCURL == "" || cl.Publish != (cl.ID == s.Publish.CID) {
			t.Errorf("client = %+v", cl)
		}
		if cl.Type == "rtmp-play" {
			player = cl.ID
		}
	}
	if len(clients.Clients) != 2 || player == "" {
		t.Fatalf("clients = %+v, want a publisher and a player", clients)
	}
	req, _ := http.NewRequest(http.MethodDelete, "http://"+n.httpAddr()+"/api/v1/clients/"+player, nil)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	for err == nil {
		_, err = c.ReadTag()
	}
	within(t, "the player has gone", func() error {
		n.getJSON(t, "/api/v1/clients/", &clients)
		if len(clients.Clients) != 1 {
			return fmt.Errorf("%+v", clients)
		}
		return nil
	})
	var vhosts struct {
		Vhosts []struct {
			Name             string
			Clients, Streams int
		}
	}
	n.getJSON(t, "/api/v1/vhosts/", &vhosts)
	if len(vhosts.Vhosts) != 2 || vhosts.Vhosts[1].Name != "v.example.com" || vhosts.Vhosts[1].Clients != 1 || vhosts.Vhosts[1].Streams != 1 {
		t.Errorf("vhosts = %+v", vhosts)
	}
	var versions struct {
		Code int
		Data struct{ Version string }
	}
	n.getJSON(t, "/api/v1/versions", &versions)
	if versions.Data.Version == "" {
		t.Errorf("versions = %+v", versions)
	}
}
