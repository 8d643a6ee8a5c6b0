package api

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMetrics(t *testing.T) {
	m := NewMetrics("0.1", func() Totals {
		return Totals{
			Clients: map[string]int{"hls": 12, "rtmp": 3}, BytesOut: map[string]uint64{"hls": 1 << 30}, Captures: 4, Dropped: 7,
			Restarts: map[string]uint64{"input": 9}, Balancers: example().balancers,
			Streams:     []StreamTotals{{Name: "cam1", Up: true, BytesIn: 5000, BytesOut: 900, Clients: 2, Restarts: 1, Moves: 3, Gap: 2500 * time.Millisecond}, {Name: "bad\xff"}},
			Connections: map[string]int{"http": 20}, Refused: map[Refusal]uint64{{"address", "rtmp"}: 5},
			Peers: []PeerTotals{
				{Name: "n2", Alive: true, RTT: 1500 * time.Microsecond}, {Name: "n3"}, {Name: "n3", Alive: true}, {Name: "bad\xff"},
			},
		}
	})
	m.Gap("crash", 3200*time.Millisecond)
	m.Moved("spill")
	m.Moved("spill")
	m.FetchFailed("n3", "timeout")
	m.FetchFailed("bad\xff", "timeout")
	m.Unauthorised()
	m.Overlapped(1500 * time.Millisecond)
	m.Lived("n3")
	m.Silent("n3", 0.55)
	res := get(Handler(&fake{}, Options{Metrics: m, Log: quiet()}), "GET", "/metrics")
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("status %d, %v", res.StatusCode, err)
	}
	text := string(body)
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if !strings.Contains(text, "\n"+name+" ") {
			t.Errorf("%s is missing", name)
		}
	}
	ours := regexp.MustCompile(`(?m)^(# \w+ )?weir_.*\n`).FindAllString(text, -1)
	golden(t, "metrics.txt", []byte(strings.Join(ours, "")))
}
