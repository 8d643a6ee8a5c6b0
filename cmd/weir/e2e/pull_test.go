//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/protocols/listen/listentest"
)

// A tsServer answers every request with the transport stream of an ffmpeg of its own, for as long as the client stays.
type tsServer struct {
	t    *testing.T
	addr string

	mu     sync.Mutex
	server *http.Server
	now    int // clients
	total  int
}

func newTSServer(t *testing.T) *tsServer {
	t.Helper()
	s := &tsServer{t: t, addr: fmt.Sprintf("127.0.0.1:%d", listentest.Ports(t, 1)[0])}
	s.on()
	t.Cleanup(s.off)
	return s
}

// on lets the server answer, off cuts all clients off and lets it refuse connections.
func (s *tsServer) on() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	server := &http.Server{Handler: s}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	go func() { _ = server.Serve(l) }()
}

func (s *tsServer) off() {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	_ = server.Close()
	eventually(s.t, 10*time.Second, "the source has no clients", func() error {
		if now, _ := s.clients(); now > 0 {
			return fmt.Errorf("it has %d", now)
		}
		return nil
	})
}

// clients returns how many there are now, and how many there have been.
func (s *tsServer) clients() (now, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.total
}

func (s *tsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/nothing") {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	s.now++
	s.total++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "video/mp2t")
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-re",
		"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-pix_fmt", "yuv420p",
		"-c:a", "aac", "-ac", "2", "-flush_packets", "1", "-f", "mpegts", "-")
	cmd.Stdout = flushing{w}
	if err := cmd.Run(); err != nil && r.Context().Err() == nil {
		s.t.Logf("the source's ffmpeg: %v", err)
	}
}

type flushing struct{ w http.ResponseWriter }

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err == nil {
		err = http.NewResponseController(f.w).Flush()
	}
	return n, err
}

func TestInputsArePulledFromServersOfEveryKind(t *testing.T) {
	source := newTSServer(t)
	origin := start(t, 1, func(int, []int) string {
		return "stream clip { input file://vod/bunny.mp4; }\nstream clock { input fake://fake; }\n"
	}).nodes[0]
	streams := map[string]string{
		"ts":   "tshttp://" + source.addr + "/cam/mpegts",
		"ts2":  "tshttp://" + origin.http + "/clip/mpegts",
		"flv":  "http://" + origin.http + "/clip.flv",
		"rtmp": "rtmp://" + origin.rtmp + "/static/clock",
		"rtsp": "rtsp://" + origin.rtsp + "/clip",
		"hls":  "hls://" + origin.http + "/clip/index.m3u8",
		"fmp4": "hls://" + origin.http + "/clock/index.fmp4.m3u8",
	}
	names := make([]string, 0, len(streams))
	c := start(t, 1, func(int, []int) string {
		var b strings.Builder
		for name, url := range streams {
			names = append(names, name)
			fmt.Fprintf(&b, "stream %s { input %s; }\n", name, url)
		}
		fmt.Fprintf(&b, "stream gone { input tshttp://bob:secret@%s/nothing; }\nstream page { input tshttp://%s/clip/index.m3u8; }\n", source.addr, origin.http)
		return b.String()
	})
	n := c.nodes[0]
	c.settle(40*time.Second, c.nodes, names)
	for name := range streams {
		for _, url := range []string{"rtmp://" + n.rtmp + "/x/" + name, "http://" + n.http + "/" + name + "/mpegts"} {
			if codecs, err := probe(t.Context(), url); err != nil || len(codecs) != 2 {
				t.Errorf("%s: %v, %v, want aac and h264", url, codecs, err)
			}
		}
	}
	all, err := n.streams()
	if err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{"gone": "404", "page": "no MPEG transport stream"} {
		s := all[name]
		if s.State != "failed" || !strings.Contains(s.Error, says) || strings.Contains(s.Error+s.Inputs[0].URL, "secret") {
			t.Errorf("%s is %s: %s, want failed, with %q and without the password", name, s.State, s.Error, says)
		}
	}
}

func TestViewersStayWhenTheMainInputDiesAndComesBack(t *testing.T) {
	source := newTSServer(t)
	origin := start(t, 1, func(int, []int) string { return "stream spare { input fake://fake; }\n" }).nodes[0]
	main, spare := "tshttp://"+source.addr+"/main", "rtmp://"+origin.rtmp+"/static/spare"
	c := start(t, 1, func(int, []int) string {
		return fmt.Sprintf("stream cam { source_timeout 3; input %s; input %s; }\n", main, spare)
	})
	n := c.nodes[0]
	c.settle(20*time.Second, c.nodes, []string{"cam"})
	players := []*player{
		play(t, "rtmp://"+n.rtmp+"/static/cam"),
		play(t, "http://"+n.http+"/cam/index.m3u8"),
		play(t, "rtsp://"+n.rtsp+"/cam", "-rtsp_transport", "tcp"),
		play(t, "http://"+n.http+"/cam/mpegts"),
	}
	for _, p := range players {
		p.plays(t, 30*time.Second, 50)
	}
	heard := func(url string) {
		t.Helper()
		eventually(t, 45*time.Second, "viewers get "+url, func() error {
			all, err := n.streams()
			if err != nil {
				return err
			}
			for _, in := range all["cam"].Inputs {
				if in.URL == url && in.Active {
					return nil
				}
			}
			return fmt.Errorf("inputs %+v", all["cam"].Inputs)
		})
	}
	heard(main)

	died := time.Now()
	source.off()
	heard(spare)
	for _, p := range players {
		p.plays(t, 30*time.Second, 100)
	}
	source.on()
	back := time.Now()
	heard(main)
	for _, p := range players {
		p.plays(t, 30*time.Second, 100)
		p.forward(t, step(p))
		t.Logf("%s: %d packets", p.url, len(p.video()))
	}
	lost, switched := n.log.find("the active input has failed", "cam", died), n.log.find("another input is active", "cam", died)
	if len(lost) == 0 || lost[0].Level != "WARN" || lost[0].Time.After(back) {
		t.Errorf("the loss is not in the log: %+v", lost)
	}
	if len(switched) != 2 || switched[0].Time.After(back) || switched[1].Time.Before(back) {
		t.Errorf("the log has the switches %+v, want one at the loss and one at the return", switched)
	}
}

// A crowd is many clients that read a URL each until they are sent away.
type crowd struct {
	mu     sync.Mutex
	served int // have got media
	errs   []error
	leave  context.CancelFunc
	gone   sync.WaitGroup
}

// throng lets so many clients at once ask for a URL of an HTTP stream.
func throng(count int, url func(i int) string) *crowd {
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{leave: cancel}
	patient := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: -1}}
	for i := range count {
		c.gone.Go(func() {
			err := c.read(ctx, patient, url(i))
			if ctx.Err() == nil {
				c.mu.Lock()
				c.errs = append(c.errs, err)
				c.mu.Unlock()
			}
		})
	}
	return c
}

func (c *crowd) read(ctx context.Context, hc *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return fmt.Errorf("%s: %s: %s", url, res.Status, text)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 20<<10)); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	c.mu.Lock()
	c.served++
	c.mu.Unlock()
	_, err = io.Copy(io.Discard, res.Body)
	return fmt.Errorf("%s ended: %w", url, errors.Join(err, io.EOF))
}

// all waits until all are served.
func (c *crowd) all(t *testing.T, limit time.Duration, count int) {
	t.Helper()
	eventually(t, limit, fmt.Sprintf("%d clients have media", count), func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.served < count {
			return fmt.Errorf("%d have; %d were sent away: %v", c.served, len(c.errs), errors.Join(c.errs[:min(len(c.errs), 3)]...))
		}
		return nil
	})
}

func (c *crowd) end() {
	c.leave()
	c.gone.Wait()
}

func TestOnDemandStreamIsPulledForItsClientsOnly(t *testing.T) {
	source := newTSServer(t)
	c := start(t, 1, func(int, []int) string {
		return fmt.Sprintf("ondemand 1 {\ndisabled false;\ninput tshttp://%s/espn/123456;\ntitle ESPN;\nclients_timeout 3;\n}\n", source.addr)
	})
	n := c.nodes[0]
	eventually(t, 10*time.Second, "the stream waits for clients", func() error {
		all, err := n.streams()
		if err == nil && all["1"].State != "waiting" {
			err = fmt.Errorf("it is %s", all["1"].State)
		}
		return err
	})
	pause(3 * time.Second)
	if _, total := source.clients(); total != 0 {
		t.Fatalf("the source was asked %d times before any client came", total)
	}
	w := throng(100, func(int) string { return "http://" + n.http + "/1/mpegts" })
	defer w.end()
	w.all(t, 30*time.Second, 100)
	if now, total := source.clients(); now != 1 || total != 1 {
		t.Errorf("the source has %d clients and had %d, want one", now, total)
	}
	w.end()
	left := time.Now()
	eventually(t, 30*time.Second, "the capture ends", func() error {
		if now, _ := source.clients(); now > 0 {
			return errors.New("the source still has its client")
		}
		return nil
	})
	if d := time.Since(left); d < 2*time.Second {
		t.Errorf("the capture ended %v after the last client, want clients_timeout, 3 s", d)
	}
	for _, url := range []string{"http://" + n.http + "/1/index.m3u8", "rtsp://" + n.rtsp + "/1", "rtmp://" + n.rtmp + "/static/1"} {
		if codecs, err := probe(t.Context(), url); err != nil || len(codecs) != 2 {
			t.Errorf("the first client at %s: %v, %v", url, codecs, err)
		}
	}
}

func TestStormOfFirstClientsMakesOneCapture(t *testing.T) {
	source := newTSServer(t)
	c := start(t, 3, func(_ int, ports []int) string {
		return peers(ports) + fmt.Sprintf("ondemand espn { input tshttp://%s/espn; clients_timeout 4; cluster_ingest; }\n", source.addr)
	})
	eventually(t, 20*time.Second, "all nodes know of the stream", func() error {
		for _, n := range c.nodes {
			all, err := n.streams()
			if err != nil {
				return err
			}
			if _, err := get("http://" + n.http + "/streamer/api/v3/monitoring/readiness"); err != nil {
				return err
			}
			if all["espn"].State != "waiting" {
				return fmt.Errorf("%s says that it is %s", n.name, all["espn"].State)
			}
		}
		return nil
	})
	const count = 500
	forms := []string{"/espn/mpegts", "/espn.flv"}
	w := throng(count, func(i int) string { return "http://" + c.nodes[i%3].http + forms[i%2] })
	defer w.end()
	w.all(t, 60*time.Second, count)
	if now, total := source.clients(); now != 1 || total != 1 {
		t.Errorf("the source has %d clients and had %d, want one", now, total)
	}
	pause(8 * time.Second) // longer than clients_timeout
	if now, total := source.clients(); now != 1 || total != 1 {
		t.Errorf("while clients watch the source has %d clients and had %d, want one", now, total)
	}
	w.mu.Lock()
	if len(w.errs) > 0 {
		t.Errorf("%d clients were sent away: %v", len(w.errs), errors.Join(w.errs[:min(len(w.errs), 3)]...))
	}
	w.mu.Unlock()
	w.end()
	eventually(t, 40*time.Second, "the capture ends after the last client", func() error {
		if now, _ := source.clients(); now > 0 {
			return errors.New("the source still has its client")
		}
		return nil
	})
	if _, total := source.clients(); total != 1 {
		t.Errorf("the source was asked %d times, want once", total)
	}
}

func TestEdgeTakesEachStreamOfItsOriginOnce(t *testing.T) {
	source := newTSServer(t)
	const key = "cluster_key for-the-test-only-0123;\n"
	origin := start(t, 1, func(int, []int) string {
		return key + fmt.Sprintf(`
stream clip   { input file://vod/bunny.mp4; }
stream a/clip { input file://vod/bunny.ts; }
stream clock  { input fake://fake; }
stream secret { input fake://fake; }
stream live/show { input publish://; }
ondemand espn { input tshttp://%s/espn; clients_timeout 3; }
`, source.addr)
	}).nodes[0]
	edge := start(t, 1, func(int, []int) string {
		return key + fmt.Sprintf(`
source %s { except secret; clients_timeout 3; }
source %s/ { only clock; prefix plain; }
source http://%s/a { only clip; prefix flv; }
`, origin.http, "rtmp://"+origin.rtmp+"/static", origin.http)
	}).nodes[0]
	states := func(want map[string]string) func() error {
		return func() error {
			all, err := edge.streams()
			if err != nil {
				return err
			}
			for name, state := range want {
				if got := all[name].State; got != state {
					return fmt.Errorf("%s is %q: %s, want %q", name, got, all[name].Error, state)
				}
			}
			return nil
		}
	}
	eventually(t, 30*time.Second, "the origin's streams run at the edge", states(map[string]string{
		"clip": "running", "a/clip": "running", "clock": "running", "plain/clock": "running", "flv/clip": "running",
		"espn": "waiting", "secret": "", "live/show": "",
	}))
	for name := range map[string]bool{"clip": true, "plain/clock": true, "flv/clip": true} {
		for _, url := range []string{"http://" + edge.http + "/" + name + "/index.m3u8", "rtsp://" + edge.rtsp + "/" + name} {
			if codecs, err := probe(t.Context(), url); err != nil || len(codecs) != 2 {
				t.Errorf("%s: %v, %v", url, codecs, err)
			}
		}
	}

	clients := func(name string, want int) func() error {
		return func() error {
			all, err := origin.streams()
			if err == nil && all[name].Clients != want {
				err = fmt.Errorf("the origin counts %d clients of %s, want %d", all[name].Clients, name, want)
			}
			return err
		}
	}
	w := throng(200, func(i int) string {
		return "http://" + edge.http + []string{"/clip/mpegts", "/clock.flv", "/espn/mpegts", "/espn.flv"}[i%4]
	})
	defer w.end()
	w.all(t, 60*time.Second, 200)
	for _, name := range []string{"clip", "espn"} {
		if err := clients(name, 1)(); err != nil {
			t.Error(err)
		}
	}
	if now, total := source.clients(); now != 1 || total != 1 {
		t.Errorf("the origin's source has %d clients and had %d, want one", now, total)
	}
	w.end()
	eventually(t, 40*time.Second, "the on-demand stream is let go of by the edge", clients("espn", 0))

	// A stream that is published at the origin appears, and vanishes.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1",
		"-i", "../../../testdata/vod/bunny.mp4", "-c", "copy", "-f", "flv", "rtmp://"+origin.rtmp+"/live/show")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "what is published at the origin runs at the edge", states(map[string]string{"live/show": "running"}))
	cancel()
	_ = cmd.Wait()
	eventually(t, 30*time.Second, "it is gone from the edge", states(map[string]string{"live/show": ""}))

	origin.end()
	eventually(t, 40*time.Second, "the origin's streams vanish with it", states(map[string]string{"clip": "", "espn": ""}))
	if _, err := get("http://" + edge.http + "/clip/index.m3u8"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a stream of an origin that is gone: %v, want 404", err)
	}
	origin.run(t)
	eventually(t, 40*time.Second, "they come back with it", states(map[string]string{"clip": "running", "espn": "waiting", "plain/clock": "running"}))
}

func TestTemplateMakesStreamsForPublishers(t *testing.T) {
	c := start(t, 2, func(_ int, ports []int) string {
		return peers(ports) + "template talks { prefix talk; input publish://; }\n"
	})
	eventually(t, 20*time.Second, "both nodes are ready", func() error {
		for _, n := range c.nodes {
			if _, err := get("http://" + n.http + "/streamer/api/v3/monitoring/readiness"); err != nil {
				return err
			}
		}
		return nil
	})
	publish(t, "rtmp://"+c.nodes[0].rtmp+"/talk/bob")
	c.settle(20*time.Second, c.nodes, []string{"talk/bob"})
	for _, n := range c.nodes {
		if codecs, err := probe(t.Context(), "http://"+n.http+"/talk/bob/mpegts"); err != nil || len(codecs) != 2 {
			t.Errorf("%s: %v, %v", n.name, codecs, err)
		}
	}
	done, said := publish(t, "rtmp://"+c.nodes[1].rtmp+"/chat/bob")
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Errorf("a name without a template is published: %s", said())
	}
	second, said := publish(t, "rtmp://"+c.nodes[1].rtmp+"/talk/bob")
	select {
	case <-second:
	case <-time.After(20 * time.Second):
		t.Errorf("a second publisher was let in: %s", said())
	}
}
