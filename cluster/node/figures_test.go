package node

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"weir/protocols/api"
)

// answered asks the API of a node for something.
func answered[T any](t *testing.T, addr, path string) (v T) {
	t.Helper()
	res, err := http.Get("http://" + addr + "/streamer/api/v3/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		t.Fatalf("%s: %s: %v", path, res.Status, err)
	}
	return v
}

// listed are the streams, sessions and events of an answer.
type listed struct {
	Streams  []api.Stream
	Sessions []api.Session
	Events   []api.Event
	Peers    []api.Peer
}

func (l listed) stream(name string) (s api.Stream) {
	for _, s := range l.Streams {
		if s.Name == name {
			return s
		}
	}
	return s
}

// TestFiguresOfStreamsAreTrueOnEveryNode asks a node that captures nothing: the figures are the owner's, and the clients those of
// both nodes.
func TestFiguresOfStreamsAreTrueOnEveryNode(t *testing.T) {
	t.Parallel()
	source := dead(t)
	nodes := threeNodes(t, func(entry [3]string) string {
		return "stream test { input fake://pattern; cluster_ingest capture_at=" + entry[0] + "; }\n" +
			"stream bad { input tshttp://" + source + "/x; cluster_ingest capture_at=" + entry[0] + "; }\n"
	})
	var bodies []io.Closer
	within(t, "two viewers", func() error {
		for _, n := range []*proc{nodes[0], nodes[2]} {
			res, err := http.Get("http://" + n.http + "/test/mpegts")
			if err != nil {
				return err
			}
			bodies = append(bodies, res.Body)
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s", res.Status)
			}
			go func() { _, _ = io.Copy(io.Discard, res.Body) }()
		}
		return nil
	})
	within(t, "n2 shows the figures of n1", func() error {
		s := answered[listed](t, nodes[1].http, "streams?sort=-clients").stream("test")
		if f := s.Stats; s.Clients < 2 || f.Uptime < 1 || f.Bytes == 0 || f.BytesIn == 0 || f.BytesOut == 0 || f.InputKbit == 0 || s.State != "running" {
			return fmt.Errorf("%+v", s)
		}
		if p := answered[listed](t, nodes[1].http, "cluster/peers").Peers; !slices.ContainsFunc(p, func(p api.Peer) bool { return p.Stats.InputKbit > 0 }) {
			return fmt.Errorf("no peer has input: %+v", p)
		}
		return nil
	})
	within(t, "the stream that fails says why, and how often it was tried", func() error {
		s := answered[listed](t, nodes[1].http, "streams?state=failed").stream("bad")
		if s.Reason == "" || s.Error == "" || s.Restarts == 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	within(t, "the start of a stream is an event of every node", func() error {
		for _, n := range nodes {
			if l := answered[listed](t, n.http, "events?stream=bad&kind=failed"); len(l.Events) == 0 || l.Events[0].Reason == "" {
				return fmt.Errorf("%s: %+v", n.http, l.Events)
			}
		}
		return nil
	})
	// A restart at a node that does not capture the stream.
	before := answered[listed](t, nodes[1].http, "streams").stream("test")
	res, err := http.Post("http://"+nodes[1].http+"/streamer/api/v3/streams/test/restart", "", nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("restart: %v, %v", res, err)
	}
	within(t, "the input has begun anew, and the viewers stay", func() error {
		if s := answered[listed](t, nodes[1].http, "streams").stream("test"); s.Restarts != before.Restarts+1 || s.Clients < 2 || s.Owner != before.Owner {
			return fmt.Errorf("%+v, before %+v", s, before)
		}
		return nil
	})
	list := answered[listed](t, nodes[0].http, "sessions?type=play&name=test").Sessions
	if len(list) == 0 || list[0].Bytes == 0 || list[0].IP != "127.0.0.1" || list[0].Protocol != "mpegts" {
		t.Fatalf("sessions: %+v", list)
	}
	req, _ := http.NewRequest("DELETE", "http://"+nodes[0].http+"/streamer/api/v3/sessions/"+list[0].ID, nil)
	res, err = http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("kick: %v, %v", res, err)
	}
	within(t, "the kicked session is gone", func() error {
		for _, s := range answered[listed](t, nodes[0].http, "sessions").Sessions {
			if s.ID == list[0].ID {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	})
	for _, b := range bodies {
		_ = b.Close()
	}
}
