//go:build e2e

package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// A stream of handover=break returns to its node: the other ends its capture before this one begins, because it was
// asked to, and its viewers are kept.
func TestReturnOfASourceOfOneConnection(t *testing.T) {
	c := start(t, 2, func(_ int, ports []int) string {
		return peers(ports) + fmt.Sprintf("stream cam { input fake://fake; cluster_ingest capture_at=127.0.0.1:%d handover=break; }\n", ports[0])
	})
	names := []string{"cam"}
	if at := c.settle(20*time.Second, c.nodes, names); at["cam"] != "n1" {
		t.Fatalf("cam is at %s, want its pin", at["cam"])
	}
	home, other := c.nodes[0], c.nodes[1]
	home.signal(t, syscall.SIGKILL)
	c.settle(20*time.Second, []*node{other}, names)
	viewer := play(t, "rtmp://"+other.rtmp+"/static/cam")
	viewer.plays(t, 20*time.Second, 25)

	returned := time.Now()
	home.run(t)
	eventually(t, 20*time.Second, "cam is back", func() error {
		at, err := owners(c.nodes, names)
		if err == nil && at["cam"] != "n1" {
			err = fmt.Errorf("it is at %s", at["cam"])
		}
		return err
	})
	asked, stopped := home.log.find("release asked", "cam", returned), other.log.find("stream stopped", "cam", returned)
	claimed := home.log.find("stream claimed", "cam", returned)
	if len(asked) != 1 || len(stopped) != 1 || len(claimed) != 1 {
		t.Fatalf("asked %d times, stopped %d times, claimed %d times; want once each", len(asked), len(stopped), len(claimed))
	}
	if stopped[0].Time.Before(asked[0].Time) || claimed[0].Time.Before(stopped[0].Time) {
		t.Errorf("asked at %v, stopped at %v, claimed at %v; want this order", asked[0].Time, stopped[0].Time, claimed[0].Time)
	}
	t.Logf("nobody had the source for %v", claimed[0].Time.Sub(stopped[0].Time))
	viewer.plays(t, 20*time.Second, 100)
	viewer.forward(t, step(viewer))
}
