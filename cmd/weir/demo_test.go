package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/cluster/conf"
	"weir/codecs/ffmpegtest"
	"weir/codecs/reception"
	"weir/protocols"
	"weir/protocols/api"
	"weir/protocols/pull"
)

func TestPortsAreTheUsualOnesUnlessTaken(t *testing.T) {
	anyFree := func() func() (int, error) {
		next := 40000
		return func() (int, error) { next++; return next / 2, nil } // each port is offered twice
	}
	for _, tt := range []struct {
		name  string
		taken func(int) bool
		want  []protocols.Ports
	}{
		{"all free", func(int) bool { return false }, []protocols.Ports{{HTTP: 8081, RTMP: 1935, RTSP: 8554}, {HTTP: 8082, RTMP: 1936, RTSP: 8555}, {HTTP: 8083, RTMP: 1937, RTSP: 8556}}},
		{
			"some taken", func(p int) bool { return p == 8082 || p == 1935 },
			[]protocols.Ports{{HTTP: 8081, RTMP: 1936, RTSP: 8554}, {HTTP: 8083, RTMP: 1937, RTSP: 8555}, {HTTP: 8084, RTMP: 1938, RTSP: 8556}},
		},
		{
			"the usual ones taken", func(p int) bool { return p >= 8081 && p < 8081+portsTried },
			[]protocols.Ports{{HTTP: 20000, RTMP: 1935, RTSP: 8554}, {HTTP: 20001, RTMP: 1936, RTSP: 8555}, {HTTP: 20002, RTMP: 1937, RTSP: 8556}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := pickPorts(3, func(p int) bool { return !tt.taken(p) }, anyFree())
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("pickPorts(3) = %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestPortsRunOut(t *testing.T) {
	never := func(int) bool { return false }
	broken := errors.New("no sockets left")
	if _, err := pickPorts(1, never, func() (int, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("without any free port: error = %v, want %v", err, broken)
	}
	if got, err := pickPorts(2, never, func() (int, error) { return 5000, nil }); err == nil {
		t.Errorf("with one free port for six: %v, want an error", got)
	}
}

func TestPortInUseIsNotFree(t *testing.T) {
	port, err := anyFreePort()
	if err != nil {
		t.Fatal(err)
	}
	if !portIsFree(port) {
		t.Skipf("port %d was taken by another program", port)
	}
	held := listenLoopback(t)
	if portIsFree(held) {
		t.Errorf("portIsFree(%d) = true although this test listens there", held)
	}
}

// demoOf is a cluster with the ports that it has when all are free.
func demoOf(t *testing.T) []demoNode {
	t.Helper()
	ports, err := pickPorts(demoNodes, func(int) bool { return true }, anyFreePort)
	if err != nil {
		t.Fatal(err)
	}
	var nodes []demoNode
	for i, p := range ports {
		nodes = append(nodes, demoNode{name: fmt.Sprintf("n%d", i+1), ports: p})
	}
	return nodes
}

func TestDemoConfigurationIsUnderstood(t *testing.T) {
	const vod = `C:\clips "of" mine; {1}`
	text := demoConfig(testKey, vod, demoOf(t), demoStreams("n1"))
	f, problems := conf.Parse("weir.conf", []byte(text))
	if problems.Failed() {
		t.Fatalf("%s\n%s", problems, text)
	}
	if len(f.Peers) != 3 || len(f.Streams) != 13 {
		t.Errorf("%d peers and %d streams, want 3 and 13", len(f.Peers), len(f.Streams))
	}
	for i, p := range f.Peers {
		if p.APIURL != fmt.Sprintf("http://127.0.0.1:%d", 8081+i) || p.FetchTimeout != time.Second || p.StaleTimeout != 3*time.Second {
			t.Errorf("peer %s: %s, %v, %v", p.Name(), p.APIURL, p.FetchTimeout, p.StaleTimeout)
		}
	}
	if f.ReturnHolddown != 5*time.Second || f.Vod("vod").Root != filepath.ToSlash(vod) {
		t.Errorf("hold-down %v, vod %q, want 5s and %q", f.ReturnHolddown, f.Vod("vod").Root, vod)
	}
	schemes := map[string]int{}
	for _, s := range f.Streams {
		schemes[s.Inputs[0].Scheme]++
		pinned := s.Ingest != nil && s.Ingest.Peer == "n1"
		if clustered := s.Ingest != nil; clustered == (s.Name == demoLive) || pinned != (s.Name == demoPinned) {
			t.Errorf("%s: clustered %v, pinned %v", s.Name, clustered, pinned)
		}
	}
	if want := map[string]int{"fake": 10, "file": 2, "publish": 1}; !reflect.DeepEqual(schemes, want) {
		t.Errorf("inputs %v, want %v", schemes, want)
	}
}

func TestClipsCanBePlayed(t *testing.T) {
	dir := t.TempDir()
	if err := writeClips(dir); err != nil {
		t.Fatal(err)
	}
	for _, c := range demoClips {
		t.Run(c.file, func(t *testing.T) {
			f, err := pull.OpenFile(dir, c.file, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if !reflect.DeepEqual(f.Report, reception.Record{}) {
				t.Errorf("something is wrong with it: %+v", f.Report)
			}
			tracks := f.Clip.Tracks()
			if v, a := tracks.Video(), tracks.Audio(); v < 0 || a < 0 || tracks[v].Width != c.pattern.Width {
				t.Errorf("tracks %v, want video of width %d and audio", tracks, c.pattern.Width)
			}
			// Audio access units of 1024 samples do not end on whole seconds.
			const clock, unit = 90000, 1024 * 90000 / 48000
			want := int64(c.seconds * clock)
			if got := f.Clip.Length(); got < want || got > want+unit {
				t.Errorf("length %d ticks, want %d and at most an audio access unit more", got, want)
			}
		})
	}
}

func TestClipsAreCleanForOthers(t *testing.T) {
	ffmpegtest.Path(t, "ffprobe")
	dir := t.TempDir()
	if err := writeClips(dir); err != nil {
		t.Fatal(err)
	}
	for _, c := range demoClips {
		got, complaints, err := probe(t.Context(), filepath.Join(dir, c.file))
		if want := []string{"aac", "h264"}; err != nil || complaints != "" || !slices.Equal(got, want) {
			t.Errorf("ffprobe %s finds %v, %v, and says %q, want %v", c.file, got, err, complaints, want)
		}
	}
}

// probe gives the codecs that ffprobe finds, sorted, and what it says beside.
func probe(ctx context.Context, url string) (codecs []string, complaints string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "json", url)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, said.String(), err
	}
	var found struct {
		Streams []struct {
			Codec string `json:"codec_name"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, said.String(), err
	}
	for _, s := range found.Streams {
		codecs = append(codecs, s.Codec)
	}
	slices.Sort(codecs)
	return codecs, said.String(), nil
}

// followTests show the cluster at successive instants, and the lines that each of them gives.
var followTests = []struct {
	name   string
	sights []followStep
}{
	{"an owner dies and returns", []followStep{
		{0, "n1 alive, n2 alive", "cam03 n2 running home, cam04 n1 running home", ""},
		{1, "n1 alive, n2 alive", "cam03 n2 running home, cam04 n1 running home", ""},
		{2, "n1 alive, n2 stale", "cam03 - starting, cam04 n1 running home", "n2 silent"},
		{3, "n1 alive, n2 stale", "cam03 n1 running spill n2, cam04 n1 running home", "cam03: n2 → n1 (spill of n2)"},
		{4, "n1 alive, n2 starting", "cam03 n1 running spill n2, cam04 n1 running home", "n2 back"},
		{5, "n1 alive, n2 alive", "cam03 n1 moving spill n2, cam04 n1 running home", ""},
		{6, "n1 alive, n2 alive", "cam03 n2 running home, cam04 n1 running home", "cam03: n1 → n2 (home)"},
	}},
	{"a stream that comes back to its owner at once", []followStep{
		{0, "n1 alive", "cam01 n1 running home", ""},
		{1, "n1 alive", "cam01 - starting", ""},
		{2, "n1 alive", "cam01 n1 running home", ""},
		{9, "n1 alive", "cam01 - starting", ""},
	}},
	{"nobody takes a stream for long", []followStep{
		{0, "n1 alive", "cam01 n1 running home", ""},
		{1, "n1 alive", "cam01 - starting", ""},
		{5, "n1 alive", "cam01 - starting", "cam01: n1 → nobody yet"},
		{6, "n1 alive", "cam01 - starting", ""},
		{7, "n1 alive", "cam01 n2 running fallback n1", "cam01: nobody → n2 (fallback of n1)"},
	}},
	{"a publisher comes and leaves", []followStep{
		{0, "n1 alive", "live - waiting", ""},
		{1, "n1 alive", "live n1 running published_here", "live: nobody → n1 (published here)"},
		{2, "n1 alive", "live - waiting", "live: n1 → nobody (waiting for a publisher)"},
		{3, "n1 alive", "live - waiting", ""},
	}},
	{"a node restarts before anybody misses it", []followStep{
		{0, "n1 alive a, n2 alive b", "", ""},
		{1, "n1 alive a, n2 alive c", "", "n2 restarted"},
		{2, "n1 alive a, n2 stale", "", "n2 silent"},
		{3, "n1 alive a, n2 alive d", "", "n2 back"},
	}},
	{"a node gets another configuration, another key, or drains", []followStep{
		{0, "n1 alive, n2 alive, n3 alive", "", ""},
		{1, "n1 drifted, n2 unauthorised, n3 draining", "", "n1 drifted|n2 is refused: it has another cluster key|n3 draining"},
		{2, "n1 alive, n2 alive, n3 alive", "", "n2 back"},
	}},
	{"nobody answers", []followStep{
		{0, "n1 alive", "", ""},
		{1, "", "", "no node answers"},
		{2, "", "", ""},
		{3, "n1 alive", "", "n1 answers"},
	}},
	{"an input fails and recovers", []followStep{
		{0, "n1 alive", "clip n1 running home", ""},
		{1, "n1 alive", "clip n1 failed home !gone", "clip: failed: gone"},
		{2, "n1 alive", "clip n1 failed home !gone", ""},
		{3, "n1 alive", "clip n1 running home", ""},
	}},
}

// A followStep is what can be seen at a second. Peers are written "NAME STATUS [INSTANCE]", streams "NAME OWNER STATE
// [REASON [SPILL-OF]] [!ERROR]". Without peers, no node answers.
type followStep struct {
	second         int
	peers, streams string
	lines          string // separated by "|"
}

func (s followStep) sight() sight {
	v := sight{from: "n1"}
	for _, text := range splitList(s.peers) {
		w := append(strings.Fields(text), "")
		v.Peers = append(v.Peers, api.Peer{Name: api.Maybe(w[0]), Status: w[1], Stats: api.PeerStats{ID: w[2]}})
	}
	for _, text := range splitList(s.streams) {
		text, failure, _ := strings.Cut(text, " !")
		w := append(strings.Fields(text), "", "")
		v.Streams = append(v.Streams, api.Stream{
			Name: w[0], Owner: api.Maybe(strings.TrimPrefix(w[1], "-")), State: w[2],
			Reason: api.Maybe(strings.ReplaceAll(w[3], "_", " ")), SpillOf: w[4], Error: failure,
		})
	}
	return v
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ", ")
}

func TestChangesBecomeLines(t *testing.T) {
	start := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, tt := range followTests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFollower(tt.sights[0].sight(), start, screen{}.node)
			for _, s := range tt.sights[1:] {
				var got []string
				if s.peers == "" {
					got = f.blind()
				} else {
					got = f.see(s.sight(), start.Add(time.Duration(s.second)*time.Second))
				}
				if text := strings.Join(got, "|"); text != s.lines {
					t.Errorf("at second %d: %q, want %q", s.second, text, s.lines)
				}
			}
		})
	}
}

func TestClusterIsCompleteWhenAllNodesSeeAllStreamsRun(t *testing.T) {
	streams := []demoStream{{name: "cam01", input: "fake://cam01"}, {name: "live", input: "publish://"}}
	see := func(text string) sight { return followStep{peers: "n1 alive", streams: text}.sight() }
	for _, tt := range []struct{ first, second, want string }{
		{"cam01 n1 running home, live - waiting", "cam01 n1 running home, live - waiting", ""},
		{"cam01 n1 running home, live - waiting", "cam01 n1 running home", "n1 does not know the stream live"},
		{"cam01 n1 running home, live - waiting", "cam01 - starting, live - waiting", "cam01 is starting, as n1 sees it"},
		{"cam01 n1 running home, live - waiting", "cam01 n2 running home, live - waiting", "n1 and n1 do not agree who captures cam01"},
		{"cam01 n1 failed home !no such clip, live - waiting", "", "cam01 is failed: no such clip"},
	} {
		if got := incomplete([]sight{see(tt.first), see(tt.second)}, streams); got != tt.want {
			t.Errorf("incomplete(%q, %q) = %q, want %q", tt.first, tt.second, got, tt.want)
		}
	}
}

func TestCommandsAreQuotedForTheShell(t *testing.T) {
	for in, want := range map[string]string{
		"/opt/weir":  "/opt/weir",
		"":           "''",
		"my clips":   "'my clips'",
		"it's $HOME": `'it'\''s $HOME'`,
		"a=b,c@d%20": "a=b,c@d%20",
		"größe":      "'größe'",
		"semi;colon": "'semi;colon'",
		"127.0.0.1:": "127.0.0.1:",
	} {
		if got := shellWord(in); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestColumnsLineUpWhateverTheirColours(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	s := screen{painter: painter{colour: true}}
	got := table([][]string{{s.node("n1"), "–", "x"}, {s.dim("node"), "long", "y"}})
	want := "  \x1b[36mn1\x1b[0m    –     x\n  \x1b[2mnode\x1b[0m  long  y\n"
	if got != want {
		t.Errorf("table = %q, want %q", got, want)
	}
}

func TestContextEndsWithStandardInput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := untilClosed(t.Context(), r, func() {})
	defer cancel()
	if _, err := w.WriteString("ignored"); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Error("the context has ended although the pipe is open")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done() // or the test times out
}

func TestPollEndsWhenItFindsOrWhenItMayNot(t *testing.T) {
	looks := 0
	if err := poll(t.Context(), time.Millisecond, func() bool { looks++; return looks == 3 }); err != nil || looks != 3 {
		t.Errorf("poll = %v after %d looks, want nil after 3", err, looks)
	}
	ctx, cancel := context.WithCancel(t.Context())
	looks = 0
	err := poll(ctx, time.Hour, func() bool { looks++; cancel(); return false })
	if !errors.Is(err, context.Canceled) || looks != 1 {
		t.Errorf("poll = %v after %d looks, want %v after 1", err, looks, context.Canceled)
	}
}

// listenLoopback listens at some port until the test ends.
func listenLoopback(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", loopbackAddr(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return portOf(t, l.Addr().String())
}

// portOf gives the port of an address.
func portOf(t *testing.T, addr string) int {
	t.Helper()
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return int(a.Port())
}
