package node

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"weir/protocols/api"
)

// body is what a node answers below its API, or for its metrics.
func (p *proc) body(t *testing.T, path string) []byte {
	t.Helper()
	res, err := http.Get("http://" + p.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s of %s: %s, %v", path, p.name, res.Status, err)
	}
	return b
}

// alarms are the kinds of the alarms that a node shows, each with the node that it is about.
func (p *proc) alarms(t *testing.T) (out []string) {
	t.Helper()
	var said struct{ Alarms []api.Alarm }
	if err := json.Unmarshal(p.body(t, "/streamer/api/v3/cluster/alarms"), &said); err != nil {
		t.Fatal(err)
	}
	for _, a := range said.Alarms {
		out = append(out, a.Kind+": "+a.Node)
	}
	return out
}

// Rule R12: the files of n1 and n2 leave n3 out while it runs. It hands its stream over without a gap, and all say so. When the files list n3 again, its stream comes back.
func TestNodeThatTheOthersLeaveOutHandsItsStreamsOver(t *testing.T) {
	t.Parallel()
	var entries []string
	const streams = "stream_metrics true;\nstream cam { input fake://fake; cluster_ingest; }\nstream show { input publish://; }\n"
	nodes := threeNodes(t, func(entry [3]string) string {
		entries = entry[:]
		return streams + "stream mine { input fake://fake; cluster_ingest capture_at=" + entry[2] + "; }\n"
	})
	n1, n3 := nodes[0], nodes[2]
	pinned := func(to string) string {
		return streams + "stream mine { input fake://fake; cluster_ingest capture_at=" + to + "; }\n"
	}
	ownedBy := func(p *proc, want ...string) func() error {
		return func() error {
			if got := p.must(t, order{Do: "owners"}).Owners["mine"]; !slices.Contains(want, got) {
				return fmt.Errorf("%s says that %q has it, want one of %v", p.name, got, want)
			}
			return nil
		}
	}
	for _, p := range nodes {
		soon(t, "n3 has its stream", ownedBy(p, "n3"))
	}
	v := watchRTMP(t, n3, "mine")
	goOn(t, 25, v)
	first := v.seen()
	for _, series := range []string{`weir_stream_up{stream="mine"} 1`, `weir_stream_clients{stream="mine"} 1`, `weir_peer_silence_ratio_count{peer="`} {
		if got := string(n3.body(t, "/metrics")); !strings.Contains(got, series) {
			t.Errorf("the metrics of n3 have no %s", series)
		}
	}

	reload := func(entries []string) {
		for i, p := range nodes[:2] {
			p.must(t, order{Do: "reload", Config: fileOf(entries, pinned(nodes[2].http)), HTTP: nodes[i].http})
		}
	}
	reload(entries[:2])
	soon(t, "n1 and n2 settle who has it", ownedBy(n1, "n1", "n2"))
	soon(t, "n3 has handed it over", ownedBy(n3, "n1", "n2"))
	soon(t, "n1 names the node that is in no file", func() error {
		if got := n1.alarms(t); !slices.Contains(got, "not in the file: n3") {
			return fmt.Errorf("its alarms are %v", got)
		}
		return nil
	})
	if got := n3.alarms(t); !slices.Contains(got, "left out: n3") {
		t.Errorf("alarms of n3 are %v, want one that it is left out", got)
	}
	if got := string(n3.body(t, "/streamer/api/v3/cluster/peers")); !strings.Contains(got, `"left out"`) {
		t.Errorf("n3 does not show itself as left out: %s", got)
	}
	if got := string(n3.body(t, "/metrics")); !strings.Contains(got, `weir_alarms{kind="left out"} 1`) {
		t.Error("the metrics of n3 have no alarm that it is left out")
	}
	if got := n3.log.about("left out:"); len(got) != 1 {
		t.Errorf("n3 logs %d times that it is left out, want once", len(got))
	}
	if got := n1.log.about("a node asks for the state that no peer entry"); len(got) != 1 {
		t.Errorf("n1 logs %d times that n3 asks, want once", len(got))
	}
	goOn(t, 25, v)
	if n := v.missing(t, first); n != 0 {
		t.Errorf("the viewer at n3 missed %d pictures by the hand-over", n)
	}

	reload(entries)
	for _, p := range nodes {
		soon(t, "n3 has its stream again", ownedBy(p, "n3"))
	}
	soon(t, "the alarms are over", func() error {
		if got := append(n1.alarms(t), n3.alarms(t)...); len(got) > 0 {
			return fmt.Errorf("alarms are %v", got)
		}
		return nil
	})
	goOn(t, 25, v)
}
