//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"weir/protocols/listen/listentest"
)

// stay does not follow redirects.
var stay = &http.Client{
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// seedServers are two nodes with one file, that of the balancer's documentation, at two addresses of the loopback
// interface. They are no peers of each other.
func seedServers(t *testing.T) (c *cluster, records string) {
	t.Helper()
	ports := listentest.Ports(t, 3)
	dir := t.TempDir()
	records = filepath.Join(dir, "records")
	text := fmt.Sprintf(`# Global settings:
http %d;
http %d;
rtmp %d;
pulsedb %s;
session_log %s;
cluster_key clusterkey;
edit_auth flussonic letmein1;
# Balancer:
balancer global {
mode clients;
server 127.0.0.11:%d;
server 127.0.0.12:%d;
}
# Ingest stream:
ondemand 1 {
disabled false;
input tshttp://%s/espn/123456;
title ESPN;
}
`, ports[0], ports[1], ports[2], records, records, ports[0], ports[0], newTSServer(t).addr)
	file := filepath.Join(dir, "weir.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c = &cluster{t: t}
	for i := range 2 {
		host := fmt.Sprintf("127.0.0.%d", 11+i)
		at := func(port int) string { return fmt.Sprintf("%s:%d", host, port) }
		n := &node{name: fmt.Sprintf("n%d", i+1), http: at(ports[0]), rtmp: at(ports[2]), log: &logFile{}}
		n.args = []string{
			"node", "--config", file, "--http", n.http, "--http", at(ports[1]), "--rtmp", n.rtmp, "--rtsp", "off",
			"--remote", at(0), "--log", "debug",
		}
		c.nodes = append(c.nodes, n)
	}
	c.run(t)
	return c, records
}

// run starts the nodes of a cluster, and ends them with the test.
func (c *cluster) run(t *testing.T) {
	t.Helper()
	for _, n := range c.nodes {
		n.run(t)
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.end()
			if report := n.log.report(); report != "" {
				t.Errorf("%s reports:\n%s", n.name, report)
			}
		}
		if t.Failed() {
			for _, n := range c.nodes {
				n.keepLog(t)
			}
		}
	})
}

// A balancerState is what the API says of a balancer.
type balancerState struct {
	Name, Mode string
	Chosen     int
	Refused    int
	Servers    []struct {
		Server, Name, Excluded string
		Self, Peer             bool
		Clients, Streams       int
		InFlight               int `json:"in_flight"`
		Bitrate                int64
		Share                  float64
	}
}

// balancer asks a node about one of its balancers.
func (n *node) balancer(name string) (b balancerState, err error) {
	req, err := http.NewRequest("GET", "http://"+n.http+"/streamer/api/v3/cluster/balancers/"+name, nil)
	if err != nil {
		return b, err
	}
	req.SetBasicAuth("flussonic", "letmein1") // not asked for without edit_auth
	res, err := client.Do(req)
	if err != nil {
		return b, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return b, fmt.Errorf("status %d", res.StatusCode)
	}
	return b, json.NewDecoder(res.Body).Decode(&b)
}

// usable waits until a node would give clients to so many servers of a balancer.
func usable(t *testing.T, n *node, name string, count int) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprintf("%d servers of %s take clients, says %s", count, name, n.name), func() error {
		b, err := n.balancer(name)
		if err != nil {
			return err
		}
		have := 0
		for _, s := range b.Servers {
			if s.Excluded == "" {
				have++
			}
		}
		if have != count {
			return fmt.Errorf("%+v", b.Servers)
		}
		return nil
	})
}

// without waits until a node would give clients to all servers of a balancer but those that are named as in the file.
func without(t *testing.T, n *node, name string, dead ...string) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprintf("all servers of %s but %v take clients, says %s", name, dead, n.name), func() error {
		b, err := n.balancer(name)
		if err != nil {
			return err
		}
		for _, s := range b.Servers {
			if (s.Excluded != "") != slices.Contains(dead, s.Server) {
				return fmt.Errorf("%+v", b.Servers)
			}
		}
		return nil
	})
}

// A follower plays HLS as a player does: it reloads the media playlist that the multivariant playlist named once, and
// fetches each segment that is new to it.
type follower struct {
	client  *http.Client
	playing string // the URL of the media playlist

	mu      sync.Mutex
	last    int64          // the number of the newest segment that was listed
	from    map[string]int // segments got, by host
	current string         // the host of the newest one
	faults  []error
}

// follow starts a follower.
func follow(t *testing.T, url string, stop <-chan struct{}, running *sync.WaitGroup) *follower {
	w := &follower{client: &http.Client{Timeout: 20 * time.Second}, from: map[string]int{}}
	running.Go(func() {
		defer w.client.CloseIdleConnections()
		media, err := variant(url)
		if err != nil {
			w.fault(err)
			return
		}
		w.playing = media
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			w.reload()
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return w
}

func (w *follower) fault(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, err)
}

func (w *follower) reload() {
	body, err := get(w.playing)
	if err != nil {
		w.fault(fmt.Errorf("reloading: %w", err))
		return
	}
	p, err := parsePlaylist(body)
	if err != nil {
		w.fault(err)
		return
	}
	base, err := url.Parse(w.playing)
	if err != nil {
		w.fault(err)
		return
	}
	w.mu.Lock()
	last := w.last
	if p.last() < last {
		w.faults = append(w.faults, fmt.Errorf("the playlist ends at %d after %d", p.last(), last))
	}
	w.mu.Unlock()
	for i, uri := range p.segments {
		number := p.first + int64(i)
		if number <= last || last == 0 && i < len(p.segments)-1 { // it starts with the newest
			continue
		}
		ref, err := base.Parse(uri)
		if err != nil {
			w.fault(err)
			return
		}
		res, err := w.client.Get(ref.String())
		ok := err == nil && res.StatusCode == http.StatusOK
		if err == nil {
			n, _ := io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			ok = ok && n >= 188 && n%188 == 0
		}
		w.mu.Lock()
		w.last = number
		if ok {
			w.from[ref.Host]++
			w.current = ref.Host
		}
		w.mu.Unlock()
	}
}

// at is the host of the newest segment, and how many there were from it.
func (w *follower) at() (host string, segments int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current, w.from[w.current]
}

func TestHundredPlayersOfTheSeedsBalancerDivideAndSurviveAServer(t *testing.T) {
	c, records := seedServers(t)
	n1, n2 := c.nodes[0], c.nodes[1]
	for _, n := range c.nodes {
		usable(t, n, "global", 2)
		eventually(t, 60*time.Second, "the stream plays from "+n.name+" itself", func() error {
			body, err := get("http://" + n.http + "/1/index.m3u8")
			if err == nil && strings.Contains(string(body), "://") {
				err = fmt.Errorf("it leads elsewhere: %s", body)
			}
			return err
		})
		if codecs, err := probe(t.Context(), "http://"+n.http+"/1/index.m3u8"); err != nil || !slices.Equal(codecs, []string{"aac", "h264"}) {
			t.Errorf("%s: %v, %v, want aac and h264", n.name, codecs, err)
		}
	}
	eventually(t, 60*time.Second, "nobody watches any more", func() error {
		b, err := n1.balancer("global")
		if err == nil && b.Servers[0].Clients+b.Servers[1].Clients > 0 {
			err = fmt.Errorf("%+v", b.Servers)
		}
		return err
	})

	stop := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	ended := sync.OnceFunc(func() { close(stop) })
	defer ended()
	// The players come one after the other for some seconds, longer than statistics take.
	var players []*follower
	for range 100 {
		players = append(players, follow(t, "http://"+n1.http+"/global/1/index.m3u8", stop, &running))
		pause(60 * time.Millisecond)
	}
	ffmpegs := []*player{play(t, "http://"+n1.http+"/global/1/index.m3u8"), play(t, "http://"+n1.http+"/global/1/index.m3u8")}
	at := func() map[string]int {
		m := map[string]int{}
		for _, p := range players {
			host, n := p.at()
			if n < 1 {
				host = "nowhere"
			}
			m[host]++
		}
		return m
	}
	eventually(t, 30*time.Second, "all players have segments", func() error {
		if m := at(); m["nowhere"] > 0 {
			return fmt.Errorf("%v", m)
		}
		return nil
	})
	divided := at()
	t.Logf("players by server: %v", divided)
	if a, b := divided[n1.http], divided[n2.http]; a+b != 100 || a < 49 || a > 51 {
		t.Errorf("players by server: %v, want 50 each", divided)
	}
	for _, n := range c.nodes {
		eventually(t, 30*time.Second, n.name+" knows that both servers have half", func() error {
			b, err := n.balancer("global")
			if err == nil && (b.Servers[0].Share < 48 || b.Servers[0].Share > 52 || b.Servers[0].Clients+b.Servers[1].Clients != 102) {
				err = fmt.Errorf("%+v", b.Servers)
			}
			return err
		})
	}
	for _, p := range ffmpegs {
		p.plays(t, 30*time.Second, 50)
	}

	n2.signal(t, syscall.SIGKILL)
	before := make([]int, len(players))
	for i, p := range players {
		if host, n := p.at(); host == n1.http {
			before[i] = n
		}
	}
	eventually(t, 40*time.Second, "all players go on from the server that is left", func() error {
		for i, p := range players {
			if host, n := p.at(); host != n1.http || n < before[i]+3 {
				return fmt.Errorf("player %d has %d segments of %s", i, n, host)
			}
		}
		return nil
	})
	for _, p := range ffmpegs {
		p.plays(t, 40*time.Second, 100)
	}
	ended()
	running.Wait()
	for i, p := range players {
		for _, err := range p.faults {
			t.Errorf("player %d: %v", i, err)
		}
	}
	eventually(t, 60*time.Second, "the players are in the session log", func() error {
		b, err := os.ReadFile(filepath.Join(records, "sessions.jsonl"))
		if n := bytes.Count(b, []byte(`"proto":"hls","stream":"1"`)); err == nil && n < 100 {
			err = fmt.Errorf("%d sessions", n)
		}
		return err
	})
}

// geoServers are the four servers of the documentation's example of countries, with a database.
func geoServers(t *testing.T) *cluster {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country", RecordSize: 24})
	if err != nil {
		t.Fatal(err)
	}
	for cidr, code := range map[string]string{"1.2.0.0/16": "CN", "5.8.0.0/16": "RU", "85.10.0.0/16": "DE"} {
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Insert(network, mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "Country.mmdb")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return start(t, 4, func(_ int, ports []int) string {
		var b strings.Builder
		fmt.Fprintf(&b, "cluster_key for-the-test-only-0123;\nreturn_holddown 1000;\ngeoip %s;\ntrusted_proxies 127.0.0.1;\n", file)
		for i, p := range ports {
			fmt.Fprintf(&b, "peer p%d { api_url http://127.0.0.1:%d; fetch_timeout 1000; stale_timeout 3000; }\n", i+1, p)
		}
		return b.String() + `
balancer geo {
mode bitrate;
server p1 max_bitrate=60M countries=RU;
server p2 max_bitrate=40M countries=RU,CN;
server p3 max_bitrate=30M countries=CN countries_default=true;
server p4 max_bitrate=30M countries_default=true;
}
stream cam { input fake://fake?size=256x144; }
`
	})
}

// chosen are the servers, by name, to which a node sends some clients of an address.
func (c *cluster) chosen(asked *node, path, from string, clients int) (names []string, err error) {
	for range clients {
		req, err := http.NewRequest("HEAD", "http://"+asked.http+path, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("X-Forwarded-For", from)
		res, err := stay.Do(req)
		if err != nil {
			return nil, err
		}
		_ = res.Body.Close()
		host := asked.http
		switch res.StatusCode {
		case http.StatusOK:
		case http.StatusFound:
			to, err := res.Location()
			if err != nil {
				return nil, err
			}
			if host = to.Host; to.Query().Get("token") != "a b" {
				return nil, fmt.Errorf("sent to %s, want the token too", to)
			}
		default:
			if res.Header.Get("Retry-After") == "" {
				return nil, fmt.Errorf("%s without Retry-After", res.Status)
			}
			host = res.Status
		}
		for i, n := range c.nodes {
			if n.http == host {
				host = fmt.Sprintf("p%d", i+1)
			}
		}
		names = append(names, host)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func TestClientsAreSentToTheServersOfTheirCountry(t *testing.T) {
	c := geoServers(t)
	people := []struct{ who, addr, country string }{
		{"Chinese", "1.2.3.4", "CN"},
		{"Russian", "5.8.1.1", "RU"},
		{"German", "85.10.9.9", "DE"},
		{"private", "10.1.2.3", ""},
		{"unknown", "203.0.113.7", ""},
		{"Russian through two proxies", "9.9.9.9, 5.8.1.2, 127.0.0.1", "RU"},
	}
	// expected are the servers for a country while some are dead.
	expected := func(country string, dead ...string) []string {
		var want []string
		for _, tier := range [][]string{map[string][]string{"CN": {"p2", "p3"}, "RU": {"p1", "p2"}}[country], {"p3", "p4"}} {
			for _, s := range tier {
				if !slices.Contains(dead, s) {
					want = append(want, s)
				}
			}
			if want != nil {
				return want
			}
		}
		return []string{"503 Service Unavailable"}
	}
	check := func(asked *node, dead ...string) {
		t.Helper()
		for _, p := range people {
			got, err := c.chosen(asked, "/geo/cam/mpegts?token=a%20b", p.addr, 10)
			want := expected(p.country, dead...)
			unwanted := slices.ContainsFunc(got, func(s string) bool { return !slices.Contains(want, s) })
			// What clients of other countries have made of the load may leave one of them out while some are dead.
			if err != nil || unwanted || len(got) == 0 || len(dead) == 0 && !slices.Equal(got, want) {
				t.Errorf("with %v dead, %s clients (%s) at %s: %v, %v, want %v", dead, p.who, p.addr, asked.name, got, err, want)
			}
		}
	}
	for _, n := range c.nodes {
		usable(t, n, "geo", 4)
		eventually(t, 20*time.Second, "the stream runs at "+n.name, func() error {
			_, err := owners([]*node{n}, []string{"cam"})
			return err
		})
	}
	check(c.nodes[0])
	check(c.nodes[3])
	for i, victim := range c.nodes {
		asked := c.nodes[(i+1)%4]
		dead := fmt.Sprintf("p%d", i+1)
		victim.signal(t, syscall.SIGKILL)
		without(t, asked, "geo", dead)
		check(asked, dead)
		victim.run(t)
		for _, n := range c.nodes {
			without(t, n, "geo")
		}
	}
	// One after the other, until nobody is left for anybody but those whom the asked node serves itself.
	asked := c.nodes[3]
	for i := range 3 {
		dead := []string{"p1", "p2", "p3"}[:i+1]
		c.nodes[i].signal(t, syscall.SIGKILL)
		without(t, asked, "geo", dead...)
		check(asked, dead...)
	}
}

func TestNobodyIsLeftAnswersComeAgainAndIsCounted(t *testing.T) {
	c := start(t, 2, func(_ int, ports []int) string {
		return peers(ports) + fmt.Sprintf("balancer other { server 127.0.0.1:%d; }\nstream cam { input fake://fake?size=256x144; }\n", ports[1])
	})
	usable(t, c.nodes[0], "other", 1)
	c.nodes[1].signal(t, syscall.SIGKILL)
	usable(t, c.nodes[0], "other", 0)
	for i, path := range []string{"/other/cam/mpegts?token=a%20b", "/other/cam.flv?token=a%20b", "/other/cam/index.m3u8?token=a%20b", "/other/cam/whep?token=a%20b"} {
		got, err := c.chosen(c.nodes[0], path, "", 1)
		if err != nil || !slices.Equal(got, []string{"503 Service Unavailable"}) {
			t.Errorf("%s: %v, %v, want 503", path, got, err)
		}
		if b, err := c.nodes[0].balancer("other"); err != nil || b.Refused != i+1 {
			t.Errorf("after %s: %d refused (%v), want %d", path, b.Refused, err, i+1)
		}
	}
}

// A burst is what `weir bench balance --json` prints.
type burst struct {
	Requests int
	Seconds  float64
	Servers  map[string]int
	Errors   map[string]int
	P99      float64 `json:"p99_ms"`
}

// bench runs weir bench balance.
func bench(t *testing.T, nodes []*node, args ...string) (b burst) {
	t.Helper()
	args = append([]string{"bench", "balance", "--json"}, args...)
	for _, n := range nodes {
		args = append(args, "--node", n.http)
	}
	out, err := exec.Command(binary, args...).Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		t.Fatalf("weir %s: %v: %s", strings.Join(args, " "), err, out)
	}
	if err := json.Unmarshal(out, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBurstIsSpreadAsEachModeWantsAndWithoutCountingIsNot(t *testing.T) {
	c := start(t, 4, func(_ int, ports []int) string {
		var b strings.Builder
		b.WriteString(peers(ports))
		for _, mode := range []string{"clients", "bitrate", "usage", "streams"} {
			for _, counting := range []string{"on", "off"} {
				fmt.Fprintf(&b, "balancer %s-%s { mode %s; in_flight %s;", mode, counting, mode, counting)
				for i, p := range ports {
					fmt.Fprintf(&b, " server 127.0.0.1:%d max_bitrate=%d00G;", p, i+1)
				}
				b.WriteString(" }\n")
			}
		}
		b.WriteString("stream cam { input fake://fake?size=256x144; }\n")
		for i := range 40 {
			fmt.Fprintf(&b, "stream show%d { input publish://; }\n", i)
		}
		return b.String()
	})
	for _, n := range c.nodes {
		usable(t, n, "clients-on", 4)
		eventually(t, 20*time.Second, "the stream runs at "+n.name, func() error {
			_, err := owners([]*node{n}, []string{"cam"})
			return err
		})
	}
	for _, tt := range []struct {
		mode  string
		nodes []*node
		want  []int
	}{
		{"clients", c.nodes[:1], []int{2500, 2500, 2500, 2500}},
		{"bitrate", c.nodes[1:2], []int{2500, 2500, 2500, 2500}},
		{"usage", c.nodes[2:3], []int{1000, 2000, 3000, 4000}},
		{"streams", c.nodes[3:], []int{2500, 2500, 2500, 2500}},
		{"clients", c.nodes, []int{2500, 2500, 2500, 2500}},
	} {
		on := bench(t, tt.nodes, "--balancer", tt.mode+"-on", "--stream", "cam", "--requests", "10000", "--over", "1s", "--workers", "32")
		t.Logf("%s, asked %d: %v in %.1f s, p99 %.0f ms", tt.mode, len(tt.nodes), on.Servers, on.Seconds, on.P99)
		for i, n := range c.nodes {
			if got := on.Servers[n.http]; got < tt.want[i]*95/100 || got > tt.want[i]*105/100 {
				t.Errorf("%s: %v, want %v within 5 %%", tt.mode, on.Servers, tt.want)
				break
			}
		}
		if len(tt.nodes) > 1 {
			continue
		}
		off := bench(t, tt.nodes, "--balancer", tt.mode+"-off", "--stream", "cam", "--requests", "2000", "--over", "500ms", "--workers", "32")
		if most := slices.Max(slices.Collect(maps.Values(off.Servers))); most < 1200 {
			t.Errorf("%s without counting: %v of 2000, want most of them at one server", tt.mode, off.Servers)
		}
	}
	publishers := bench(t, c.nodes[:1], "--balancer", "streams-on", "--stream", "show%d", "--form", "whip", "--requests", "40", "--over", "1s")
	t.Logf("publishers by server: %v", publishers.Servers)
	for _, n := range c.nodes {
		if publishers.Servers[n.http] != 10 {
			t.Errorf("publishers by server: %v, want 10 each", publishers.Servers)
			break
		}
	}
}

func TestPublishersAndPlayersOfWebRTCAreSentOnWithTheirMethod(t *testing.T) {
	c := start(t, 2, func(_ int, ports []int) string {
		return peers(ports) + fmt.Sprintf("balancer lb { server 127.0.0.1:%d; }\nstream show { input publish://; }\n", ports[1])
	})
	usable(t, c.nodes[0], "lb", 1)
	for _, form := range []string{"whip", "whep"} {
		res, err := stay.Post("http://"+c.nodes[0].http+"/lb/show/"+form+"?token=x", "application/sdp", strings.NewReader("v=0\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		want := "http://" + c.nodes[1].http + "/show/" + form + "?token=x&weir_hops=1&weir_here=1"
		if res.StatusCode != http.StatusTemporaryRedirect || res.Header.Get("Location") != want || res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %s to %q, want 307 to %s with CORS headers", form, res.Status, res.Header.Get("Location"), want)
		}
	}
}

func TestServerThatWasChosenServesAStreamOfAnotherNodeItself(t *testing.T) {
	c := start(t, 2, func(_ int, ports []int) string {
		return peers(ports) + fmt.Sprintf(
			"balancer lb { server 127.0.0.1:%d; }\nstream cam { input fake://fake?size=256x144; cluster_ingest capture_at=127.0.0.1:%d; }\n", ports[1], ports[0])
	})
	owner, chosen := c.nodes[0], c.nodes[1]
	usable(t, owner, "lb", 1)
	c.settle(20*time.Second, c.nodes, []string{"cam"})
	var hops atomic.Int64
	once := &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if hops.Add(1); r.URL.Host != chosen.http {
			return fmt.Errorf("sent to %s", r.URL)
		}
		return nil
	}}
	for _, path := range []string{"/lb/cam/mpegts", "/lb/cam.flv"} {
		hops.Store(0)
		res, err := once.Get("http://" + owner.http + path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.CopyN(io.Discard, res.Body, 10_000)
		_ = res.Body.Close()
		if err != nil || hops.Load() != 1 {
			t.Errorf("%s: %v after %d redirects, want media after one", path, err, hops.Load())
		}
	}
	media, err := variant("http://" + owner.http + "/lb/cam/index.m3u8")
	if err != nil || !strings.Contains(media, "/lb/cam/") {
		t.Fatalf("the variant is %s (%v), want one below the balancer", media, err)
	}
	body, err := get(media)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePlaylist(body)
	if err != nil || len(p.segments) == 0 || !strings.HasPrefix(p.segments[0], "http://"+chosen.http+"/cam/s") {
		t.Fatalf("segments %v (%v), want those of the chosen server", p.segments, err)
	}
	if _, err := get(p.segments[len(p.segments)-1]); err != nil {
		t.Error(err)
	}
	if codecs, err := probe(t.Context(), "http://"+owner.http+"/lb/cam/index.m3u8"); err != nil || len(codecs) != 2 {
		t.Errorf("through the balancer: %v, %v, want aac and h264", codecs, err)
	}
	eventually(t, 20*time.Second, "the viewer counts at the chosen server", func() error {
		b, err := owner.balancer("lb")
		if err == nil && b.Servers[0].Clients-b.Servers[0].InFlight < 1 {
			err = fmt.Errorf("%+v", b.Servers)
		}
		return err
	})
}
