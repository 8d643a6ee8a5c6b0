package soaktest

import (
	"context"
	"flag"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/protocols/pull"
)

var seeds = flag.Uint64("seeds", 2, "how many seeds are tried in virtual time, of each kind of HLS")

// TestPullsOfHLSLoseNothingThatWasSent has sources of HLS misbehave in virtual time, so that much of it passes in a moment and a fault
// that is found comes again.
func TestPullsOfHLSLoseNothingThatWasSent(t *testing.T) {
	for _, k := range kinds {
		if k.hls == "" || *only != "" && k.name != *only {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			m, err := newMaterial()
			if err != nil {
				t.Fatal(err)
			}
			for n := range *seeds {
				synctest.Test(t, func(t *testing.T) { pullVirtually(t, m, k, *seed+n, 2*time.Minute) })
			}
		})
	}
}

// pullVirtually pulls one source that misbehaves for so long, and judges what comes.
func pullVirtually(t *testing.T, m *material, k kind, seed uint64, lasts time.Duration) {
	s := &source{
		kind: k.name, m: m, r: newRecord(), rng: rand.New(rand.NewPCG(seed, 0)), troubles: k.troubles, serve: k.serve,
		conns: map[net.Conn]bool{}, well: time.Now(), piped: true,
	}
	s.hls = &station{s: s, kind: k.hls, segments: map[int64]*segment{}, stale: map[string]string{}}
	ctx, stop := context.WithCancel(t.Context())
	defer synctest.Wait()
	defer s.close(true, false)
	defer stop()
	transport := &http.Transport{DialContext: s.dial}
	defer transport.CloseIdleConnections()
	viewer := &eyes{m: m, r: s.r}
	go func() {
		for ctx.Err() == nil {
			err := pull.HLS(ctx, "http://station/index.m3u8", pull.Options{Transport: transport}, viewer)
			if ctx.Err() == nil {
				s.r.note("the pull ends: " + err.Error())
			}
			wait(ctx, 250*time.Millisecond)
		}
	}()
	go func() {
		for wait(ctx, time.Second) {
			s.hls.settle()
		}
	}()
	time.Sleep(10 * time.Second)
	first := now() / picture
	troubled, calm := context.WithTimeout(ctx, lasts)
	defer calm()
	s.misbehave(troubled, 10*time.Second)
	last := now() / picture
	time.Sleep(lag + 20*time.Second)
	if ago := time.Since(viewer.gap); ago < 10*time.Second {
		t.Errorf("%s, seed %d: something was left out %v ago, long after all has been well:%s", k.name, seed, ago, s.r.around(last-100, last+2000, first))
	}
	if v := s.r.judge(first, last); v.lost > 0 || v.spoilt > 0 {
		t.Errorf("%s, seed %d: of %d pictures that were sent %d are lost, and %d are spoilt:%s", k.name, seed, v.sent, v.lost, v.spoilt, s.r.missing(first, last))
	}
}

// dial makes a connection to a source without sockets.
func (s *source) dial(context.Context, string, string) (net.Conn, error) {
	if s.now() == "refused" {
		return nil, syscall.ECONNREFUSED
	}
	there, here := net.Pipe()
	go s.accepted(here)
	return there, nil
}
