package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/cluster/conf"
	"weir/cluster/router"
	"weir/cluster/srs/srstest"
	"weir/codecs/flv"
	"weir/protocols/rtmp"
)

const patience = 20 * time.Second

func parseFile(t *testing.T, text string) *conf.File {
	t.Helper()
	file, problems := conf.Load("test", []byte(text), flags("n1", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"))
	if problems.Failed() {
		t.Fatal(problems)
	}
	return file
}

// lone starts a node without peers.
func lone(t *testing.T, text string) *Node {
	t.Helper()
	n, err := Start(Config{File: parseFile(t, text), Hostname: "n1", Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	within(t, "the node knows what there is", func() error { return n.reporter.status.Ready() })
	return n
}

// testLog writes to the log of the test.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Helper()
	if l.t.Context().Err() == nil {
		l.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// reload puts another file into effect.
func (n *Node) reload(t *testing.T, text string) {
	t.Helper()
	if _, err := n.Reload(parseFile(t, text)); err != nil {
		t.Fatal(err)
	}
}

func (n *Node) rtmpAddr() string { return n.Addresses()["rtmp"][0] }
func (n *Node) httpAddr() string { return n.Addresses()["http"][0] }

// within waits until ok returns nil.
func within(t *testing.T, what string, ok func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not in time: %v", what, err)
		}
	}
}

// publish publishes a picture of that width as an SRS edge does, until the test ends or stop is called.
func publish(t *testing.T, addr, app, stream string, width int) (stop context.CancelFunc, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done, err := (&srstest.Edge{Origins: []string{addr}}).Publish(ctx, app, stream, srstest.Tags(t, width))
	if err != nil {
		cancel()
		return func() {}, err
	}
	end := func() {
		cancel()
		<-done
	}
	t.Cleanup(func() { cancel() })
	return end, nil
}

func mustPublish(t *testing.T, addr, app, stream string, width int) (stop context.CancelFunc) {
	t.Helper()
	stop, err := publish(t, addr, app, stream, width)
	if err != nil {
		t.Fatalf("publishing %s/%s: %v", app, stream, err)
	}
	return stop
}

// playRTMP plays until a picture has come and gives its width. Redirects are followed.
func playRTMP(ctx context.Context, url string) (int, error) {
	c, err := rtmp.Play(ctx, url, rtmp.ClientConfig{})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return widthOf(c.ReadTag)
}

func widthOf(next func() (flv.Tag, error)) (int, error) {
	var tags []flv.Tag
	for {
		tag, err := next()
		if err != nil {
			return srstest.Width(tags), err
		}
		tags = append(tags, tag)
		if tag.Type == flv.TypeVideo && len(tag.Body) > 1 && tag.Body[1] == 1 {
			return srstest.Width(tags), nil
		}
	}
}

// playFLV plays HTTP-FLV.
func playFLV(ctx context.Context, url string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 500))
		return 0, fmt.Errorf("%s: %s", res.Status, text)
	}
	return widthOf(flv.NewReader(res.Body).Next)
}

// plainPlay plays as ffmpeg does, which does not follow redirects; code is how it is sent away.
func plainPlay(t *testing.T, addr, app, stream string) (width int, code string) {
	t.Helper()
	c, err := rtmp.Dial(t.Context(), "rtmp://"+addr+"/"+app+"/"+stream, rtmp.ClientConfig{Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Play()
	if err == nil {
		width, err = widthOf(c.ReadTag)
	}
	var status *rtmp.StatusError
	var redirect *rtmp.RedirectError
	switch {
	case errors.As(err, &redirect):
		return 0, "302 " + redirect.Location
	case errors.As(err, &status):
		return 0, status.Code
	case err != nil:
		t.Fatal(err)
	}
	return width, ""
}

func originCluster(coworkers ...string) string {
	return "vhost __defaultVhost__ { cluster { mode local; origin_cluster on; coworkers " + strings.Join(coworkers, " ") + "; } }\n"
}

func edgeOf(origins ...string) string {
	return "vhost __defaultVhost__ { cluster { mode remote; origin " + strings.Join(origins, " ") + "; } }\n"
}

// T1: SRS has weir as its coworker, and sends its players here.
func TestSRSOriginRedirectsToTheNodeThatHasTheStream(t *testing.T) {
	a := srstest.Start(t, srstest.Config{})
	n := lone(t, originCluster(a.API))
	a.Know(n.httpAddr())
	mustPublish(t, n.rtmpAddr(), "live", "livestream", 256)
	within(t, "the node says that it has the stream", func() error {
		_, err := srstest.Ask(n.httpAddr(), "__defaultVhost__", "x", "live", "livestream")
		return err
	})
	c, err := rtmp.Dial(t.Context(), "rtmp://"+a.RTMP+"/live/livestream?token=1", rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var to *rtmp.RedirectError
	err = c.Play()
	for err == nil {
		_, err = c.ReadTag()
	}
	if want := "rtmp://" + n.rtmpAddr() + "/live/livestream?token=1"; !errors.As(err, &to) || to.Location != want {
		t.Errorf("playing from SRS = %v, want to be sent to %s", err, want)
	}
}

// T2: an edge of SRS gets a stream of this node.
func TestSRSEdgeGetsMediaFromHereByWayOfSRS(t *testing.T) {
	a := srstest.Start(t, srstest.Config{})
	n := lone(t, originCluster(a.API))
	a.Know(n.httpAddr())
	mustPublish(t, n.rtmpAddr(), "live", "livestream", 272)
	within(t, "the node says that it has the stream", func() error {
		_, err := srstest.Ask(n.httpAddr(), "__defaultVhost__", "x", "live", "livestream")
		return err
	})
	e := &srstest.Edge{Origins: []string{a.RTMP}}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	tags, err := e.Play(ctx, "live", "livestream")
	if err != nil || srstest.Width(tags) != 272 || !slices.Equal(e.Visits, []string{a.RTMP, n.rtmpAddr()}) {
		t.Errorf("Play = a picture %d wide, %v, by way of %v", srstest.Width(tags), err, e.Visits)
	}
}

// T3: a stream of SRS is relayed to players that do not follow redirects, in every protocol; other players are redirected.
func TestStreamOfSRSIsServedHere(t *testing.T) {
	a := srstest.Start(t, srstest.Config{})
	n := lone(t, originCluster(a.API))
	mustPublish(t, a.RTMP, "live", "livestream", 288)
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "livestream?token=1"); width != 288 || code != "" {
		t.Errorf("an RTMP player gets a picture %d wide, %s; want 288", width, code)
	}
	if plays := a.Plays(); len(plays) != 1 || plays[0] != "__defaultVhost__/live/livestream?token=1" {
		t.Errorf("SRS was asked for %v, want the stream with the player's parameters, once", plays)
	}
	if width, err := playFLV(t.Context(), "http://"+n.httpAddr()+"/live/livestream.flv"); width != 288 {
		t.Errorf("an HTTP-FLV player gets a picture %d wide, %v; want 288", width, err)
	}
	if plays := a.Plays(); len(plays) != 1 {
		t.Errorf("SRS was asked %d times, want one relay for all players", len(plays))
	}
	within(t, "HLS of it", func() error {
		res, err := http.Get("http://" + n.httpAddr() + "/live/livestream/index.m3u8")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		return nil
	})
	e := &srstest.Edge{Origins: []string{n.rtmpAddr()}}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	tags, err := e.Play(ctx, "live", "livestream")
	if err != nil || srstest.Width(tags) != 288 || !slices.Equal(e.Visits, []string{n.rtmpAddr(), a.RTMP}) {
		t.Errorf("an SRS edge gets a picture %d wide, %v, by way of %v; want to be redirected", srstest.Width(tags), err, e.Visits)
	}
}

// D4: redirect=always sends every RTMP player away, as SRS does.
func TestRedirectAlwaysSendsEveryRTMPPlayerAway(t *testing.T) {
	a := srstest.Start(t, srstest.Config{})
	n := lone(t, "redirect always;\n"+originCluster(a.API))
	mustPublish(t, a.RTMP, "live", "livestream", 256)
	if _, code := plainPlay(t, n.rtmpAddr(), "live", "livestream?k=1"); code != "302 rtmp://"+a.RTMP+"/live/livestream?k=1&weir_hops=1" {
		t.Errorf("the player is told %q", code)
	}
}

// T4, D5: a stream that no server has.
func TestUnknownStreamIsAnsweredWithAStatus(t *testing.T) {
	a := srstest.Start(t, srstest.Config{})
	n := lone(t, originCluster(a.API, "127.0.0.1:1"))
	a.Know(n.httpAddr())
	if _, code := plainPlay(t, n.rtmpAddr(), "live", "nothing"); code != "NetStream.Play.StreamNotFound" {
		t.Errorf("the player is told %q", code)
	}
	if _, err := playRTMP(t.Context(), "rtmp://"+a.RTMP+"/live/nothing"); !errors.Is(err, rtmp.ErrNotFound) {
		t.Errorf("a stream that SRS does not have: %v, want %v", err, rtmp.ErrNotFound)
	}
	edge := lone(t, edgeOf(a.RTMP))
	if _, code := plainPlay(t, edge.rtmpAddr(), "live", "nothing"); code != "NetStream.Play.StreamNotFound" {
		t.Errorf("the edge's player is told %q", code)
	}
}

// T5: the middle one of three servers does not have the stream.
func TestThirdCoworkerIsAskedToo(t *testing.T) {
	a, b := srstest.Start(t, srstest.Config{}), srstest.Start(t, srstest.Config{})
	n := lone(t, originCluster(a.API, b.API))
	a.Know(n.httpAddr(), b.API)
	mustPublish(t, b.RTMP, "live", "x", 256)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	e := &srstest.Edge{Origins: []string{a.RTMP}}
	if _, err := e.Play(ctx, "live", "x"); err != nil || e.Visits[len(e.Visits)-1] != b.RTMP {
		t.Errorf("Play = %v by way of %v, want to end at %s: the node is asked first and does not have it", err, e.Visits, b.RTMP)
	}
}

// T6: this node dies after its answer and before the edge connects.
func TestEdgeRecoversWhenTheNodeThatWasNamedIsGone(t *testing.T) {
	gone := srstest.Start(t, srstest.Config{})
	addr := gone.RTMP
	gone.Stop()
	b := srstest.Start(t, srstest.Config{})
	mustPublish(t, b.RTMP, "live", "x", 256)
	liar := srstest.Start(t, srstest.Config{Redirect: addr})
	n := lone(t, edgeOf(liar.RTMP, b.RTMP))
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "x"); width != 256 {
		t.Errorf("the edge's player gets a picture %d wide, %q; want it from the next origin", width, code)
	}
}

// T7: the relay follows redirects, but not in circles.
func TestRelayFollowsRedirectsButNotInCircles(t *testing.T) {
	a := srstest.Start(t, srstest.Config{})
	mustPublish(t, a.RTMP, "live", "x", 304)
	b := srstest.Start(t, srstest.Config{Redirect: a.RTMP})
	n := lone(t, edgeOf(b.RTMP))
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "x"); width != 304 {
		t.Errorf("by way of a redirect the player gets a picture %d wide, %q", width, code)
	}
	addr := dead(t)
	loop := srstest.Start(t, srstest.Config{Redirect: addr, Addr: addr})
	m := lone(t, edgeOf(loop.RTMP))
	if _, code := plainPlay(t, m.rtmpAddr(), "live", "x"); code != "NetStream.Play.StreamNotFound" {
		t.Errorf("the player of a stream that runs in circles is told %q", code)
	}
	if plays := loop.Plays(); len(plays) > 3 {
		t.Errorf("the server that points to itself was visited %d times for one player", len(plays))
	}
}

// T8: SRS compares the bytes of names.
func TestNamesAreAskedForRawAndThenDecoded(t *testing.T) {
	a := srstest.Start(t, srstest.Config{})
	n := lone(t, originCluster(a.API))
	a.Know(n.httpAddr())
	for i, name := range []string{"caf\xc3\xa9", "na%C3%AFve", "50%", "a+b"} {
		mustPublish(t, a.RTMP, "live", name, 256+16*i)
		if width, code := plainPlay(t, n.rtmpAddr(), "live", name); width != 256+16*i {
			t.Errorf("%q at SRS: the player gets a picture %d wide, %q; want %d", name, width, code, 256+16*i)
		}
	}
	if width, code := plainPlay(t, n.rtmpAddr(), "live", "a%2Bb"); width != 256+16*3 {
		t.Errorf("a%%2Bb means a+b at SRS: a picture %d wide, %q", width, code)
	}
	before := len(a.Asked())
	if _, code := plainPlay(t, n.rtmpAddr(), "live", "a&b"); code != "NetStream.Play.StreamNotFound" {
		t.Errorf("a name that cannot be asked for: %q", code)
	}
	if got := len(a.Asked()); got != before {
		t.Errorf("SRS was asked for a name that would end its own value")
	}

	mustPublish(t, n.rtmpAddr(), "live", "\xd0\xb6", 256)
	for _, stream := range []string{"\xd0\xb6", "%D0%B6"} {
		within(t, "the node knows "+stream, func() error { _, err := srstest.Ask(n.httpAddr(), "__defaultVhost__", "x", "live", stream); return err })
	}
}

// T9: every form of a virtual host.
func TestVirtualHostsAreKeptApart(t *testing.T) {
	a := srstest.Start(t, srstest.Config{Vhosts: []string{"v.example.com"}})
	cluster := "cluster { origin_cluster on; coworkers " + a.API + "; }"
	n := lone(t, "vhost __defaultVhost__ { "+cluster+" }\nvhost v.example.com { "+cluster+" }\n")
	mustPublish(t, n.rtmpAddr(), "live", "x?vhost=v.example.com", 272)
	mustPublish(t, n.rtmpAddr(), "live", "x", 256)
	for i, url := range []string{
		"/live/x", "/live/x?vhost=v.example.com", "/live/x?vhost=other.example.com", "/live/x?vhost=v.example.com?vhost=v.example.com",
		"/live...vhost...v.example.com/x", "/live/x?k=1&vhost=v.example.com",
	} {
		want := 272
		if i == 0 || i == 2 {
			want = 256
		}
		if width, err := playRTMP(t.Context(), "rtmp://"+n.rtmpAddr()+url); err != nil || width != want {
			t.Errorf("%s: a picture %d wide, %v; want %d", url, width, err, want)
		}
	}
	if width, err := playFLV(t.Context(), "http://"+n.httpAddr()+"/live/x.flv?vhost=v.example.com"); width != 272 {
		t.Errorf("HTTP-FLV with ?vhost=: a picture %d wide, %v", width, err)
	}
	if width, err := playFLV(t.Context(), "http://"+n.httpAddr()+"/v.example.com/live/x.flv"); width != 272 {
		t.Errorf("HTTP-FLV by weir's name: a picture %d wide, %v", width, err)
	}
	for vhost, port := range map[string]bool{"v.example.com": true, "__defaultVhost__": true, "": true, "unknown.example.com": true} {
		if addr, err := srstest.Ask(n.httpAddr(), vhost, "x", "live", "x"); port != (addr == n.rtmpAddr()) {
			t.Errorf("asked in vhost %q: %s, %v", vhost, addr, err)
		}
	}

	// The other way round: by the host of the URL, into which edges of SRS put the vhost.
	if _, err := (&srstest.Edge{Origins: []string{a.RTMP}, Vhost: "v.example.com"}).Publish(t.Context(), "live", "y", srstest.Tags(t, 320)); err != nil {
		t.Fatal(err)
	}
	if width, err := playRTMP(t.Context(), "rtmp://"+n.rtmpAddr()+"/live/y?vhost=v.example.com"); err != nil || width != 320 {
		t.Errorf("a stream of a vhost at SRS: a picture %d wide, %v", width, err)
	}
	if _, code := plainPlay(t, n.rtmpAddr(), "live", "y"); code != "NetStream.Play.StreamNotFound" {
		t.Errorf("in the default vhost: %q", code)
	}
	e := &srstest.Edge{Origins: []string{n.rtmpAddr()}, Vhost: "v.example.com"}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if tags, err := e.Play(ctx, "live", "y"); err != nil || srstest.Width(tags) != 320 {
		t.Errorf("an SRS edge that names the vhost by the host of its URL gets a picture %d wide, %v", srstest.Width(tags), err)
	}
}

func TestAdvertisedAddressIsTheOneThatSRSIsTold(t *testing.T) {
	n := lone(t, "advertise 203.0.113.5:1936;\n"+originCluster())
	mustPublish(t, n.rtmpAddr(), "live", "x", 256)
	within(t, "the node says that it has the stream", func() error {
		addr, err := srstest.Ask(n.httpAddr(), "__defaultVhost__", "x", "live", "x")
		if err == nil && addr != "203.0.113.5:1936" {
			err = errors.New(addr)
		}
		return err
	})
}

func TestNameWithoutAStreamIsForgottenSomeTimeAfterItsPublisher(t *testing.T) {
	n := lone(t, "vhost __defaultVhost__ { }\n")
	stop := mustPublish(t, n.rtmpAddr(), "live", "x", 256)
	age := func(by time.Duration) { n.media.instances.Sweep(n.tree.env.Now()+by, n.publishes) }
	within(t, "the publisher is there", func() error {
		if !n.publishes("live/x") {
			return errors.New("it is not")
		}
		return nil
	})
	age(2 * router.InstanceLinger)
	if got := n.media.instances.Names(); len(got) != 1 {
		t.Errorf("names = %v while one is published, want it", got)
	}
	stop()
	within(t, "the publisher has gone", func() error {
		if n.publishes("live/x") {
			return errors.New("it has not")
		}
		return nil
	})
	age(4 * router.InstanceLinger)
	if got := n.media.instances.Names(); len(got) != 0 {
		t.Errorf("names = %v long after the last was published, want none", got)
	}
	within(t, "the stream is unknown again", func() error {
		if _, code := plainPlay(t, n.rtmpAddr(), "live", "x"); code != "NetStream.Play.StreamNotFound" {
			return errors.New(code)
		}
		return nil
	})
	mustPublish(t, n.rtmpAddr(), "live", "x", 256)
}
