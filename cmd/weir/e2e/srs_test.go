//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"weir/cluster/srs/srstest"
)

// send publishes a picture of that width until the test ends or stop is called.
func send(t *testing.T, addr, stream string, width int) (stop func(), err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done, err := (&srstest.Edge{Origins: []string{addr}}).Publish(ctx, "live", stream, srstest.Tags(t, width))
	if err != nil {
		cancel()
		return func() {}, err
	}
	t.Cleanup(cancel)
	return func() { cancel(); <-done }, nil
}

// widthSeen gives the width of the picture as ffprobe sees it.
func widthSeen(t *testing.T, url string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width", "-of", "csv=p=0", url).CombinedOutput()
	width, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n") // a transport stream is told of twice
	return width, err
}

// asked says what a node answers a coworker about live/stream; empty for nowhere.
func asked(api, stream string) string {
	addr, _ := srstest.Ask(api, "__defaultVhost__", "127.0.0.1", "live", stream)
	return addr
}

func TestAnyNodeAnswersSRSForTheWholeCluster(t *testing.T) {
	c := start(t, 2, func(_ int, ports []int) string {
		return fmt.Sprintf("cluster_key for-the-test-only-0123;\npeer 127.0.0.1:%d { fetch_timeout 200; stale_timeout 2000; }\npeer 127.0.0.1:%d { fetch_timeout 200; stale_timeout 2000; }\n"+
			"vhost __defaultVhost__ { cluster { origin_cluster on; } }\n", ports[0], ports[1])
	})
	one, two := c.nodes[0], c.nodes[1]
	var stop func()
	eventually(t, 20*time.Second, "the second node takes a publisher", func() (err error) { stop, err = send(t, two.rtmp, "x", 256); return err })
	eventually(t, 20*time.Second, "the first node says that the second one has the stream", func() error {
		if got := asked(one.http, "x"); got != two.rtmp {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
	if _, err := send(t, one.rtmp, "x", 272); err == nil {
		t.Error("a second publisher of the name, at the other node, was accepted")
	}
	e := &srstest.Edge{Origins: []string{one.rtmp}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if tags, err := e.Play(ctx, "live", "x"); err != nil || srstest.Width(tags) != 256 || e.Visits[len(e.Visits)-1] != two.rtmp {
		t.Errorf("an SRS edge of the first node: a picture %d wide, %v, by way of %v", srstest.Width(tags), err, e.Visits)
	}
	stop()
	eventually(t, 20*time.Second, "the name is free for the first node", func() error { _, err := send(t, one.rtmp, "x", 272); return err })
}

func TestPlayersGetFromHereWhatSRSHas(t *testing.T) {
	o := srstest.Start(t, srstest.Config{})
	c := start(t, 1, func(int, []int) string {
		return "vhost __defaultVhost__ { cluster { origin_cluster on; coworkers " + o.API + "; } }\n"
	})
	n := c.nodes[0]
	if _, err := send(t, o.RTMP, "x", 288); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the node answers", func() error {
		res, err := http.Get("http://" + n.http + "/api/v1/versions")
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	})
	for _, url := range []string{"rtmp://" + n.rtmp + "/live/x", "http://" + n.http + "/live/x.flv", "http://" + n.http + "/live/x/mpegts", "rtsp://" + n.rtsp + "/live/x"} {
		if width, err := widthSeen(t, url); width != "288" {
			t.Errorf("%s: ffprobe sees a picture %s wide, %v; want 288", url, width, err)
		}
	}
	eventually(t, 30*time.Second, "ffprobe plays HLS", func() error {
		if width, err := widthSeen(t, "http://"+n.http+"/live/x/index.m3u8"); width != "288" {
			return fmt.Errorf("%s, %w", width, errors.Join(err, errors.New("no picture")))
		}
		return nil
	})
	if plays := o.Plays(); len(plays) != 1 {
		t.Errorf("SRS was asked %d times, want one relay for all players", len(plays))
	}
}
