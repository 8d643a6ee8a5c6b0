//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/protocols/rtmp"
)

// An rtmpViewer notes when each picture came.
type rtmpViewer struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration // between two pictures, since it was asked last
}

// SetTracks implements [codecs.Writer].
func (*rtmpViewer) SetTracks(codecs.Tracks) {}

// Write implements [codecs.Writer].
func (w *rtmpViewer) Write(au *codecs.AccessUnit) error {
	if _, ok := fake.Index(au.Payload); !ok {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if !w.last.IsZero() {
		w.longest = max(w.longest, now.Sub(w.last))
	}
	w.last = now
	return nil
}

// takeGap gives the longest time without a picture since it was called last.
func (w *rtmpViewer) takeGap() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	gap := w.longest
	w.longest = 0
	return gap
}

// since is how long ago the last picture came.
func (w *rtmpViewer) since() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.last)
}

// killsVariable says how often an owner is killed, for a measurement.
const killsVariable = "WEIR_E2E_KILLS"

// By default timeouts a peer is stale after ten seconds. A process that was killed is not waited for so long: its machine says that
// it is gone. A process that hangs is.
func TestKilledOwnerIsMissedWithoutWaitingForStaleTimeout(t *testing.T) {
	kills := 2
	if s := os.Getenv(killsVariable); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	}
	names := []string{"clock1", "clock2", "clock3"}
	c := start(t, 3, func(_ int, ports []int) string {
		text := "cluster_key the-key-of-the-end-to-end-tests;\n"
		for _, p := range ports {
			text += fmt.Sprintf("peer 127.0.0.1:%d;\n", p)
		}
		for _, n := range names {
			text += fmt.Sprintf("stream %s { input fake://fake; cluster_ingest; }\n", n)
		}
		return text
	})
	at := c.settle(20*time.Second, c.nodes, names)
	var gaps []time.Duration
	for i := range kills {
		stream := names[i%len(names)]
		owner, others := c.by(at[stream])
		w := &rtmpViewer{}
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() {
			_ = rtmp.Pull(ctx, "rtmp://"+others[i%2].rtmp+"/static/"+stream, rtmp.ClientConfig{Timeout: 20 * time.Second, Plain: true}, nil, w)
		})
		flows := func() error {
			if since := w.since(); since > 200*time.Millisecond {
				return fmt.Errorf("no picture for %v", since)
			}
			return nil
		}
		eventually(t, 20*time.Second, "a viewer elsewhere sees "+stream, flows)
		pause(time.Second)
		w.takeGap()
		killed := time.Now()
		owner.signal(t, syscall.SIGKILL)
		for _, n := range others {
			eventually(t, 8*time.Second, n.name+" notices", func() error {
				if len(n.log.find("peer down", "", killed)) == 0 {
					return fmt.Errorf("it has not said that %s is down", owner.name)
				}
				return nil
			})
		}
		eventually(t, 8*time.Second, "another node has it", func() (err error) {
			at, err = owners(others, names)
			return err
		})
		pause(500 * time.Millisecond)
		eventually(t, 8*time.Second, "the viewer sees it again", flows)
		gap := w.takeGap()
		gaps = append(gaps, gap)
		t.Logf("killed the owner of %s: the viewer had no picture for %v", stream, gap)
		cancel()
		watching.Wait()
		for _, n := range others {
			if len(n.log.find("peer stale", "", killed)) > 0 {
				t.Errorf("%s waited for %s as for one that hangs", n.name, owner.name)
			}
		}
		owner.run(t)
		at = c.settle(40*time.Second, c.nodes, names)
	}
	slices.Sort(gaps)
	t.Logf("%d kills: median %v, longest %v", kills, gaps[len(gaps)/2], gaps[len(gaps)-1])
}
