package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/cluster/srs/srstest"
	"weir/protocols/listen/listentest"
	"weir/protocols/rtmp"
)

// dead is an address at which no socket listens.
func dead(t *testing.T) string { return fmt.Sprintf("127.0.0.1:%d", listentest.Ports(t, 1)[0]) }

// hole is an address that accepts connections and says nothing.
func hole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // the kernel accepts
}

// D6, D7: an edge plays from the first origin that works, HTTP-FLV included.
func TestEdgePlaysFromTheFirstOriginThatWorks(t *testing.T) {
	a, waits := srstest.Start(t, srstest.Config{}), srstest.Start(t, srstest.Config{})
	mustPublish(t, a.RTMP, "live", "x", 288)
	n := lone(t, edgeOf(dead(t), hole(t), waits.RTMP, a.RTMP))
	if width, err := playFLV(t.Context(), "http://"+n.httpAddr()+"/live/x.flv?token=1"); width != 288 {
		t.Errorf("HTTP-FLV at the edge: a picture %d wide, %v; want it from the last origin", width, err)
	}
	if plays := a.Plays(); len(plays) != 1 || plays[0] != "__defaultVhost__/live/x?token=1" {
		t.Errorf("the origin was asked for %v", plays)
	}
}

func TestEdgeGoesOnAtTheNextOriginWhenOneDies(t *testing.T) {
	a, b := srstest.Start(t, srstest.Config{}), srstest.Start(t, srstest.Config{})
	mustPublish(t, a.RTMP, "live", "x", 256)
	mustPublish(t, b.RTMP, "live", "x", 320)
	n := lone(t, edgeOf(a.RTMP, b.RTMP))
	c, err := rtmp.Play(t.Context(), "rtmp://"+n.rtmpAddr()+"/live/x", rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if width, err := widthOf(c.ReadTag); width != 256 {
		t.Fatalf("a picture %d wide, %v; want the first origin's", width, err)
	}
	a.Stop()
	within(t, "the viewer gets the other origin's media on the same connection", func() error {
		if width, err := widthOf(c.ReadTag); err != nil {
			t.Fatal(err)
		} else if width != 320 {
			return fmt.Errorf("a picture %d wide", width)
		}
		return nil
	})
}

// The weakness of SRS's edge: with the first origin dead, an encoder is dropped at every attempt.
func TestEdgePublishesToTheFirstOriginThatWorks(t *testing.T) {
	b := srstest.Start(t, srstest.Config{})
	n := lone(t, edgeOf(dead(t), hole(t), b.RTMP))
	mustPublish(t, n.rtmpAddr(), "live", "x?key=1", 304)
	if !b.Publishing("live/x") {
		t.Error("the second origin does not have the stream")
	}
	if width, err := playRTMP(t.Context(), "rtmp://"+b.RTMP+"/live/x"); err != nil || width != 304 {
		t.Errorf("at the origin: a picture %d wide, %v", width, err)
	}
	if width, err := playFLV(t.Context(), "http://"+n.httpAddr()+"/live/x.flv"); width != 304 {
		t.Errorf("at the edge: a picture %d wide, %v", width, err)
	}
	if _, err := publish(t, n.rtmpAddr(), "live", "x", 256); err == nil {
		t.Error("a second publisher was accepted")
	}
}

func TestPublisherAtTheEdgeOutlivesItsOrigin(t *testing.T) {
	a, b := srstest.Start(t, srstest.Config{}), srstest.Start(t, srstest.Config{})
	n := lone(t, edgeOf(a.RTMP, b.RTMP))
	mustPublish(t, n.rtmpAddr(), "live", "x", 304)
	if !a.Publishing("live/x") {
		t.Fatal("the first origin does not have the stream")
	}
	a.Stop()
	within(t, "the other origin has the stream", func() error {
		if !b.Publishing("live/x") {
			return errors.New("it does not")
		}
		return nil
	})
	if width, err := playRTMP(t.Context(), "rtmp://"+b.RTMP+"/live/x"); err != nil || width != 304 {
		t.Errorf("at the other origin: a picture %d wide, %v; want one that can be decoded", width, err)
	}
}

// If an origin refuses a publisher, the edge tries no other one: a name must not have two publishers at two origins.
func TestEdgeDoesNotTakeAPublisherElsewhereWhoseNameIsTaken(t *testing.T) {
	a, b := srstest.Start(t, srstest.Config{}), srstest.Start(t, srstest.Config{})
	mustPublish(t, a.RTMP, "live", "x", 256)
	n := lone(t, edgeOf(a.RTMP, b.RTMP))
	c, err := rtmp.Dial(t.Context(), "rtmp://"+n.rtmpAddr()+"/live/x", rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var status *rtmp.StatusError
	if err := c.Publish(); !errors.As(err, &status) || status.Code != "NetStream.Publish.BadName" {
		t.Errorf("publishing a name that is taken = %v, want a status that says so", err)
	}
	if a.Refused() != 1 || b.Publishing("live/x") {
		t.Errorf("refused %d times at the first origin, at the second: %v", a.Refused(), b.Publishing("live/x"))
	}
}

func TestEdgeFetchesHTTPFLV(t *testing.T) {
	origin := lone(t, "stream live/x { input fake://fake?size=320x240; }\n")
	n := lone(t, "vhost __defaultVhost__ { cluster { mode remote; origin "+dead(t)+" "+origin.httpAddr()+"; protocol flv; } }\n")
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "x"); width != 320 {
		t.Errorf("a picture %d wide, %q; want the one of HTTP-FLV", width, code)
	}
	if _, code := plainPlay(t, n.rtmpAddr(), "live", "nothing"); code != "NetStream.Play.StreamNotFound" {
		t.Errorf("a stream that the origin does not have: %q", code)
	}
}

// token_traverse: the origin decides about each viewer.
func TestOriginDecidesAboutViewersOfTheEdge(t *testing.T) {
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "token=good") || !strings.Contains(string(body), "token=") {
			fmt.Fprint(w, "0")
			return
		}
		fmt.Fprint(w, "1")
	}))
	defer hook.Close()
	a := srstest.Start(t, srstest.Config{OnConnect: hook.URL})
	mustPublish(t, a.RTMP, "live", "x", 256)
	n := lone(t, "vhost __defaultVhost__ { cluster { mode remote; origin "+a.RTMP+"; token_traverse on; } }\n")
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "x?token=good"); width != 256 {
		t.Errorf("with the right token: a picture %d wide, %q", width, code)
	}
	if _, code := plainPlay(t, n.rtmpAddr(), "live", "x?token=bad"); code != "NetStream.Play.Failed" {
		t.Errorf("with a wrong token, though the stream is here: %q", code)
	}
}

// D9: everything of a cluster can be changed while the node runs, and streams go on.
func TestReloadOfACluster(t *testing.T) {
	a, b := srstest.Start(t, srstest.Config{}), srstest.Start(t, srstest.Config{})
	mustPublish(t, a.RTMP, "live", "x", 256)
	mustPublish(t, b.RTMP, "live", "x", 320)
	n := lone(t, "vhost __defaultVhost__ { }\n")
	if _, code := plainPlay(t, n.rtmpAddr(), "live", "x"); code != "NetStream.Play.StreamNotFound" {
		t.Errorf("origin_cluster is off, and the player is told %q", code)
	}
	mustPublish(t, n.rtmpAddr(), "live", "mine", 272)
	if addr, _ := srstest.Ask(n.httpAddr(), "__defaultVhost__", "x", "live", "mine"); addr != "" {
		t.Errorf("origin_cluster is off, and a coworker is told %s", addr)
	}

	n.reload(t, originCluster(b.API))
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "x"); width != 320 {
		t.Errorf("with b as the coworker: a picture %d wide, %q", width, code)
	}
	within(t, "a coworker is told of the stream here", func() error { _, err := srstest.Ask(n.httpAddr(), "__defaultVhost__", "x", "live", "mine"); return err })

	n.reload(t, originCluster(a.API))
	mustPublish(t, a.RTMP, "live", "y", 256)
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "y"); width != 256 {
		t.Errorf("with a as the coworker: a picture %d wide, %q", width, code)
	}

	n.reload(t, edgeOf(b.RTMP))
	mustPublish(t, b.RTMP, "live", "z", 304)
	c, err := rtmp.Play(t.Context(), "rtmp://"+n.rtmpAddr()+"/live/z", rtmp.ClientConfig{})
	if err != nil {
		t.Fatalf("as an edge of b: %v", err)
	}
	defer c.Close()
	mustPublish(t, a.RTMP, "live", "z", 336)
	n.reload(t, edgeOf(a.RTMP))
	within(t, "the viewer gets media of the new origin", func() error {
		if width, err := widthOf(c.ReadTag); err != nil {
			t.Fatal(err)
		} else if width != 336 {
			return fmt.Errorf("a picture %d wide", width)
		}
		return nil
	})
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "mine"); width != 272 {
		t.Errorf("what is published here went on through all that: a picture %d wide, %q", width, code)
	}
}

// D8: a name is published once in the mixed cluster.
func TestNameThatIsPublishedAtSRSIsRefusedHere(t *testing.T) {
	a := srstest.Start(t, srstest.Config{})
	n := lone(t, originCluster(dead(t), a.API))
	stop := mustPublish(t, a.RTMP, "live", "x", 256)
	if _, err := publish(t, n.rtmpAddr(), "live", "x", 272); err == nil {
		t.Fatal("the second publisher was accepted")
	}
	stop()
	within(t, "the name is free once the first has gone", func() error { _, err := publish(t, n.rtmpAddr(), "live", "x", 272); return err })
}

func TestSecondPublisherHereIsRefused(t *testing.T) {
	n := lone(t, "vhost __defaultVhost__ { }\n")
	stop := mustPublish(t, n.rtmpAddr(), "live", "x", 256)
	if _, err := publish(t, n.rtmpAddr(), "live", "x", 272); err == nil || !strings.Contains(err.Error(), "BadName") {
		t.Errorf("the second publisher: %v, want a status that says so", err)
	}
	stop()
	within(t, "the name is free once the first has gone", func() error { _, err := publish(t, n.rtmpAddr(), "live", "x", 272); return err })
}

// SRS accepts every publisher that its hook on_publish does not refuse.
func TestNameThatIsPublishedHereIsRefusedAtSRSWhoseHookLeadsHere(t *testing.T) {
	n := lone(t, originCluster())
	hook := "http://" + n.httpAddr() + "/api/v1/srs/claim"
	a, b := srstest.Start(t, srstest.Config{OnPublish: hook}), srstest.Start(t, srstest.Config{OnPublish: hook})
	n.reload(t, originCluster(a.API, b.API))
	stop := mustPublish(t, n.rtmpAddr(), "live", "x", 256)
	within(t, "the node says that it has the stream", func() error { _, err := srstest.Ask(n.httpAddr(), "__defaultVhost__", "x", "live", "x"); return err })
	if _, err := publish(t, a.RTMP, "live", "x", 272); err == nil || a.Refused() != 1 {
		t.Errorf("SRS took the second publisher: %v", err)
	}
	stop()
	within(t, "SRS may have the name once it is free", func() error { _, err := publish(t, a.RTMP, "live", "x", 272); return err })
	if _, err := publish(t, b.RTMP, "live", "x", 288); err == nil || b.Refused() != 1 {
		t.Errorf("another SRS took the third publisher: %v", err)
	}

	// Both publishers come at one instant, when neither server has the stream. Only one of them may publish.
	var both sync.WaitGroup
	errs := make([]error, 2)
	for i, o := range []*srstest.Origin{a, b} {
		both.Go(func() { _, errs[i] = publish(t, o.RTMP, "live", "race", 256) })
	}
	both.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("two publishers at one instant: %v; want exactly one to be refused", errs)
	}
}

// Without the hook SRS accepts a second publisher. Then each server serves its own media, and no player is redirected in circles.
func TestWithoutTheHookEachSideServesItsOwn(t *testing.T) {
	a := srstest.Start(t, srstest.Config{})
	n := lone(t, originCluster(a.API))
	a.Know(n.httpAddr())
	mustPublish(t, n.rtmpAddr(), "live", "x", 256)
	mustPublish(t, a.RTMP, "live", "x", 272)
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "x"); width != 256 {
		t.Errorf("here: a picture %d wide, %q; want this node's", width, code)
	}
	e := &srstest.Edge{Origins: []string{a.RTMP}}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if tags, err := e.Play(ctx, "live", "x"); err != nil || srstest.Width(tags) != 272 || !slices.Equal(e.Visits, []string{a.RTMP}) {
		t.Errorf("there: a picture %d wide, %v, by way of %v", srstest.Width(tags), err, e.Visits)
	}
}

// A redirect that leads back to this node does not run in circles, as it does between SRS servers.
func TestNodeDoesNotSendAnEdgeBackToWhereItCameFrom(t *testing.T) {
	a := srstest.Start(t, srstest.Config{})
	n := lone(t, originCluster(a.API))
	a.Know(n.httpAddr())
	stop := mustPublish(t, n.rtmpAddr(), "live", "x", 256)
	within(t, "the node says that it has the stream", func() error { _, err := srstest.Ask(n.httpAddr(), "__defaultVhost__", "x", "live", "x"); return err })
	stop()
	// The publisher has gone: the node says so at once, and its own answer names no owner.
	within(t, "the node no longer says so", func() error {
		if addr, _ := srstest.Ask(n.httpAddr(), "__defaultVhost__", "x", "live", "x"); addr != "" {
			return errors.New(addr)
		}
		return nil
	})
	e := &srstest.Edge{Origins: []string{n.rtmpAddr()}, Pause: time.Hour}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := e.Play(ctx, "live", "x"); err == nil || len(e.Visits) != 1 || len(e.Failures) != 1 || e.Failures[0] != "NetStream.Play.StreamNotFound" && e.Failures[0] != "NetStream.Play.Failed" {
		t.Errorf("the edge was at %v and left because of %v; want one visit that ends with a status", e.Visits, e.Failures)
	}
	// The node does not tell SRS about a stream that it relays from SRS.
	mustPublish(t, a.RTMP, "live", "y", 272)
	if width, _ := plainPlay(t, n.rtmpAddr(), "live", "y"); width != 272 {
		t.Fatal("not relayed")
	}
	if addr, _ := srstest.Ask(n.httpAddr(), "__defaultVhost__", "x", "live", "y"); addr != "" {
		t.Errorf("SRS is told that its own stream is at %s", addr)
	}
}
