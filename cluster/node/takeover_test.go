package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/cluster/srs/srstest"
	"weir/protocols/rtmp"
)

// silent publishes tags at once and then sends nothing more. It does not learn that it has to go, as an encoder whose link has
// died does not. Told gives the status with which it is sent away, to a test that asks.
func silent(t *testing.T, addr, app, stream string) (told func() error) {
	t.Helper()
	c, err := rtmp.Dial(t.Context(), "rtmp://"+addr+"/"+app+"/"+stream, rtmp.ClientConfig{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Publish(); err != nil {
		t.Fatal(err)
	}
	for _, tag := range srstest.Tags(t, 256) {
		if err := c.WriteTag(tag); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Drain() }()
	return func() error {
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("it is not told")
		}
	}
}

// comesBack publishes again and again, as an encoder does, until it is let in.
func comesBack(t *testing.T, addr, app, stream string, width int) {
	t.Helper()
	within(t, "the publisher that comes back is let in", func() error {
		_, err := publish(t, addr, app, stream, width)
		return err
	})
}

func TestSilentPublisherGivesWayToANewcomer(t *testing.T) {
	t.Parallel()
	h := newTold(t, "stranger")
	n := lone(t, hooked(h))
	told := silent(t, n.rtmpAddr(), "live", "onc")
	viewer := watchRTMP(t, &proc{rtmp: n.rtmpAddr()}, "live/onc")
	if _, err := publish(t, n.rtmpAddr(), "live", "onc", 256); err == nil {
		t.Fatal("a publisher that has just sent gives way")
	}
	n.reload(t, hooked(h)+"publish_takeover always;\n")
	if _, err := publish(t, n.rtmpAddr(), "live", "onc?key=stranger", 256); err == nil {
		t.Error("a newcomer whom a hook refuses is let in")
	}
	h.wait(t, "on_unpublish", "onc", 0) // and the publisher is still there
	comesBack(t, n.rtmpAddr(), "live", "onc", 256)
	goOn(t, 25, viewer)
	if err := told(); err == nil || strings.Contains(err.Error(), "not told") {
		t.Errorf("the silent publisher is told %v", err)
	}
	gone := h.wait(t, "on_unpublish", "onc", 1)[0]["client_id"]
	h.mu.Lock()
	defer h.mu.Unlock()
	var order []string
	for _, m := range h.got {
		if a := fmt.Sprint(m["action"]); strings.Contains(a, "publish") {
			order = append(order, strings.TrimPrefix(a, "on_")+map[bool]string{true: " of the first"}[m["client_id"] == gone])
		}
	}
	if want := []string{"publish", "unpublish of the first", "publish"}; !slices.Equal(order[len(order)-3:], want) {
		t.Errorf("hooks are told %q, want the last three to be %q", order, want)
	}
}

func TestSilentPublisherAtAnotherNodeGivesWay(t *testing.T) {
	t.Parallel()
	nodes := threeNodes(t, func([3]string) string {
		return "stream onc { input publish://; cluster_ingest; publish_takeover 2; }\nstream kept { input publish://; cluster_ingest; publish_takeover never; }\n"
	})
	for _, stream := range []string{"onc", "kept"} {
		silent(t, nodes[0].rtmp, "live", stream)
		for _, m := range nodes {
			soon(t, m.name+" knows the publisher of "+stream, func() error {
				if got := m.must(t, order{Do: "owners"}).Owners[stream]; got != "n1" {
					return fmt.Errorf("the owner is %q", got)
				}
				return nil
			})
		}
	}
	viewers := []*viewer{watchRTMP(t, nodes[0], "onc"), watchRTMP(t, nodes[2], "onc")}
	comesBack(t, nodes[1].rtmp, "live", "onc", 256)
	goOn(t, 25, viewers...)
	if got := nodes[1].must(t, order{Do: "owners"}).Owners["onc"]; got != "n2" {
		t.Errorf("the owner is %q, want the node of the newcomer", got)
	}
	if _, err := publish(t, nodes[1].rtmp, "live", "onc", 256); err == nil {
		t.Error("a publisher that sends gives way")
	}
	if _, err := publish(t, nodes[2].rtmp, "live", "onc", 256); err == nil {
		t.Error("a publisher that sends gives way to one at another node")
	}
	if _, err := publish(t, nodes[1].rtmp, "live", "kept", 256); err == nil {
		t.Error("a publisher gives way although the file says never")
	}
}
