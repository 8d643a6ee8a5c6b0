package node

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestKeyIsChangedOnThreeNodesUnderViewers changes the key of a group through the API of one node, in two steps. Viewers at each node
// get the same stream all the time, nobody is taken for dead or refused, and the actors of the nodes reach each other in the end.
func TestKeyIsChangedOnThreeNodesUnderViewers(t *testing.T) {
	t.Parallel()
	nodes, files := editable(t, 3, "stream a { input fake://a; cluster_ingest; }\nrelay mpegts;\n")
	calm := func() error {
		for _, n := range nodes {
			for _, p := range answered[listed](t, n.http, "cluster/peers").Peers {
				if p.Status != "alive" || p.Error != "" {
					return fmt.Errorf("%s: %s is %s: %s", n.http, p.Hostname, p.Status, p.Error)
				}
			}
		}
		return nil
	}
	within(t, "all nodes know each other", calm)
	var got [3]atomic.Int64
	var ended atomic.Int32
	for i, n := range nodes {
		var res *http.Response
		within(t, "a viewer", func() (err error) {
			if res, err = http.Get("http://" + n.http + "/a/mpegts"); err == nil && res.StatusCode != 200 {
				err = fmt.Errorf("%s", res.Status)
			}
			return err
		})
		defer res.Body.Close()
		go func() {
			b := make([]byte, 32<<10)
			for {
				n, err := res.Body.Read(b)
				got[i].Add(int64(n))
				if err != nil {
					ended.Add(1)
					return
				}
			}
		}()
	}
	flows := func(what string) {
		t.Helper()
		var from [3]int64
		for i := range got {
			from[i] = got[i].Load()
		}
		within(t, what, func() error {
			for i := range got {
				if got[i].Load() < from[i]+50_000 {
					return fmt.Errorf("the viewer of n%d has got %d bytes", i+1, got[i].Load()-from[i])
				}
			}
			return calm()
		})
		if n := ended.Load(); n > 0 {
			t.Fatalf("%s: %d viewers were lost", what, n)
		}
	}
	flows("before")
	const fresh = "another-key-for-the-test"
	nodes[1].mustEdit(t, "PUT", "/config", `{"cluster_key":["`+fresh+`","for-the-test-only-0123"]}`)
	flows("with both keys")
	nodes[1].mustEdit(t, "PUT", "/config", `{"cluster_key":"`+fresh+`"}`)
	flows("with the new key")
	for i, text := range contents(t, files) {
		if !strings.Contains(text, "cluster_key "+fresh+";\n") {
			t.Errorf("the file of n%d: %s", i+1, text)
		}
	}
	for _, n := range nodes {
		for _, e := range answered[listed](t, n.http, "events").Events {
			if strings.HasPrefix(e.Kind, "peer stale") || strings.HasPrefix(e.Kind, "peer refused") || strings.HasPrefix(e.Kind, "peer down") || e.Kind == "moved" {
				t.Errorf("%s: %+v", n.http, e)
			}
		}
		if r := n.must(t, order{Do: "describe", Stream: "a"}); r.Node == "" {
			t.Errorf("%s: nobody describes the stream", n.http)
		}
	}
	// A node with the former key alone is refused by now.
	res, err := http.Get("http://" + nodes[0].http + "/cluster/state")
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the state without a key: %v, %v", res, err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
}
