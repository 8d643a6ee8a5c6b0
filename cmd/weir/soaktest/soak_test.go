package soaktest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/cluster/conf"
	"weir/cluster/node"
	"weir/protocols/listen/listentest"
)

var (
	lasting = flag.Duration("for", 8*time.Second, "how long sources misbehave")
	seed    = flag.Uint64("seed", 1, "of what goes wrong")
	howMany = flag.Int("sources", 14, "how many there are")
	loud    = flag.Bool("log", false, "write the log of the node to its error output")
	only    = flag.String("kinds", "", "a comma-separated list of kinds; empty for all")
)

// A kind is what the sources of a protocol are like.
type kind struct {
	name     string
	url      string // around the address
	troubles []string
	serve    func(*source, net.Conn)
	hls      string // of a station; empty for other sources
}

// kinds are all kinds of sources.
var kinds = []kind{
	{"HTTP-TS", "tshttp://%s/x", with("lost", "damaged", "scrambled", "moved", "doubled", "garbage"), serveHTTP(newTS), ""},
	{"HTTP-FLV", "http://%s/x.flv", everyKind, serveHTTP(newFLV), ""},
	{"RTMP", "rtmp://%s/live/x", everyKind, serveRTMP, ""},
	{"RTSP", "rtsp://%s/cam", with("back", "requests", "noise", "lost", "doubled"), serveRTSP(false), ""},
	{"RTSP/UDP", "rtsp://%s/cam", with("back", "requests", "lost", "swapped", "doubled"), serveRTSP(true), ""},
	{"HLS ts", "hls://%s/index.m3u8", hlsTroubles(), serveHLS, "ts"},
	{"HLS fmp4", "hls://%s/index.m3u8", hlsTroubles(), serveHLS, "fmp4"},
	{"HLS aes", "hls://%s/index.m3u8", hlsTroubles("no key"), serveHLS, "aes"},
	{"HLS apart", "hls://%s/index.m3u8", hlsTroubles("no sound"), serveHLS, "apart"},
	{"HLS variants", "hls://%s/index.m3u8", hlsTroubles("no best"), serveHLS, "variants"},
}

func hlsTroubles(more ...string) []string {
	return slices.Concat([]string{"refused", "reset", "status 403", "status 404", "status 500", "segments missing", "hangs", "slow", "stale", "jump", "codec", "renumbered"}, more)
}

// lag is for how long after it is on air a picture may still be on its way to viewers: an HLS input begins three segments before the
// newest, and waits for the next one.
const lag = 25 * time.Second

// TestSoakOfPulledInputs has all sources misbehave at once. Viewers stay, and miss no more than what was not sent.
func TestSoakOfPulledInputs(t *testing.T) {
	m, err := newMaterial()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var text strings.Builder
	text.WriteString("http 127.0.0.1:0;\nrtmp 127.0.0.1:0;\nrtsp 127.0.0.1:0;\nstream file { input file://vod/bunny.mp4; }\n")
	var sources []*source
	ports := listentest.Ports(t, *howMany)
	for i := range *howMany {
		k := kinds[i%len(kinds)]
		if *only != "" {
			list := strings.Split(*only, ",")
			k = kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == list[i%len(list)] })]
		}
		s := &source{
			kind: k.name, port: ports[i], m: m, r: newRecord(), rng: rand.New(rand.NewPCG(*seed, uint64(i))),
			troubles: k.troubles, serve: k.serve, conns: map[net.Conn]bool{}, well: time.Now(),
		}
		if k.hls != "" {
			s.hls = &station{s: s, kind: k.hls, segments: map[int64]*segment{}, stale: map[string]string{}}
		} else if i%4 == 0 { // timestamps that will wrap
			s.shift = 1<<33 - now()%(1<<33) - 30*second
		}
		s.url = fmt.Sprintf(k.url, s.address())
		if err := s.listen(); err != nil {
			t.Fatal(err)
		}
		defer s.close(true, false)
		fmt.Fprintf(&text, "stream s%d { input %s; }\n", i, s.url)
		sources = append(sources, s)
	}
	at := run(t, text.String())
	var all sync.WaitGroup
	watching := func(ctx context.Context, name string, which int, r *record) {
		for ctx.Err() == nil { // the first answer may be that the source fails
			err := watch(ctx, at, name, which, m, r)
			if ctx.Err() != nil {
				return
			}
			r.mu.Lock()
			joined := len(r.seen) > 0
			r.mu.Unlock()
			if joined {
				r.end(fmt.Errorf("the viewer is disconnected: %w", err))
				return
			}
			wait(ctx, 200*time.Millisecond)
		}
	}
	began := time.Now()
	for i, s := range sources {
		all.Go(func() { watching(ctx, fmt.Sprintf("s%d", i), i/len(kinds)+i, s.r) })
	}
	// Every source is well at first.
	for _, s := range sources {
		for deadline := time.Now().Add(40 * time.Second); ; {
			s.r.mu.Lock()
			seen := len(s.r.seen)
			s.r.mu.Unlock()
			if seen > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not start", s.kind)
			}
			wait(ctx, 50*time.Millisecond)
		}
	}
	first := now() / picture
	t.Logf("all play after %v", time.Since(began).Round(time.Millisecond))
	troubled, calm := context.WithTimeout(ctx, *lasting)
	defer calm()
	var directors sync.WaitGroup
	for _, s := range sources {
		directors.Go(func() { s.misbehave(troubled, min(10*time.Second, 2*time.Second+*lasting/3)) })
		if s.hls != nil {
			all.Go(func() {
				for wait(ctx, time.Second) {
					s.hls.settle()
				}
			})
		}
	}
	directors.Wait()
	last := now() / picture
	patient := time.Now().Add(lag + 25*time.Second) // an HLS input may have half a minute of media ready
	if *lasting >= time.Minute {
		wait(ctx, lag) // until segments that nobody asked for are listed no more
	}
	for ; ; wait(ctx, 500*time.Millisecond) {
		err := healthy(at, len(sources))
		for _, s := range sources {
			if v := s.r.judge(first, last); v.lost > 0 {
				err = errors.Join(err, fmt.Errorf("%s: %d pictures have not come", s.kind, v.lost))
			}
		}
		if err == nil {
			break
		}
		if time.Now().After(patient) {
			t.Error(err)
			break
		}
	}
	stop()
	all.Wait()
	table(t, sources, first, last)
}

// run starts a node.
func run(t *testing.T, text string) addresses {
	t.Helper()
	vod := "../../../testdata/vod"
	file, problems := conf.Load("soak", []byte("vod vod { root "+vod+"; }\n"+text), conf.Flags{})
	if problems.Failed() {
		t.Fatal(problems.String())
	}
	log := slog.New(slog.DiscardHandler)
	if *loud {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	n, err := node.Start(node.Config{File: file, Hostname: "n1", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	a := n.Addresses()
	return addresses{a["http"][0], a["rtmp"][0]}
}

// wellEnough are the states of an input whose media comes. What was missing is remembered for ten seconds, and an HLS input has up to half a
// minute ready that was fetched while its source misbehaved.
var wellEnough = []string{"running", "jittering", "gaps", "continuity errors"}

// healthy says whether all streams run when their sources have been well for a while.
func healthy(at addresses, count int) error {
	for i := range count {
		res, err := http.Get(fmt.Sprintf("http://%s/streamer/api/v3/streams/s%d", at.http, i))
		if err != nil {
			return err
		}
		var s struct {
			State, Error string
			Inputs       []struct{ State, Reason, Error string }
		}
		err = json.NewDecoder(res.Body).Decode(&s)
		_ = res.Body.Close()
		if err != nil || s.State != "running" || len(s.Inputs) != 1 || !slices.Contains(wellEnough, s.Inputs[0].State) {
			return fmt.Errorf("s%d, well again: %+v, %v", i, s, err)
		}
	}
	return nil
}

// table prints what became of each source, and judges.
func table(t *testing.T, sources []*source, first, last int64) {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %d sources; pictures\n%-4s %-13s %7s %8s %7s %5s %6s  %-8s %-14s %s\n", *seed, len(sources), "", "kind", "aired", "withheld", "sent", "lost", "spoilt", "sound", "not asked", "faults")
	for i, s := range sources {
		v, r := s.r.judge(first, last), s.r.snapshot()
		sound := "-"
		if s.hls == nil && r.sounds > 0 {
			sound = fmt.Sprintf("%.1f %%", 100*float64(r.heard)/float64(r.sounds))
		}
		var faults []string
		total := 0
		for _, name := range slices.Sorted(maps.Keys(r.faults)) {
			faults = append(faults, fmt.Sprintf("%s %d", name, r.faults[name]))
			total += r.faults[name]
		}
		fmt.Fprintf(&b, "s%-3d %-13s %7d %8d %7d %5d %6d  %-8s %-14s %d: %s\n", i, s.kind, v.aired, v.withheld, v.sent, v.lost, v.spoilt, sound, fmt.Sprintf("%.1f s (%.1f)", r.unasked.Seconds(), r.idle.Seconds()), total, strings.Join(faults, ", "))
		if v.lost > 0 {
			t.Errorf("s%d, %s: %d pictures are lost that were sent:%s", i, s.kind, v.lost, s.r.missing(first, last))
		}
		if v.spoilt > 0 {
			t.Errorf("s%d, %s: viewers got %d pictures with other bytes", i, s.kind, v.spoilt)
		}
		if r.ended != nil {
			t.Errorf("s%d, %s: %v", i, s.kind, r.ended)
		}
		if r.idle > patience {
			t.Errorf("s%d, %s: it was not asked for %v while it was well", i, s.kind, r.idle)
		}
	}
	t.Log("\n" + b.String())
}

// patience is how soon a source that is well again is asked.
const patience = 7 * time.Second
