package node

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

// flood makes many clients publish new names at the same time, and gives what each of them took.
func flood(t *testing.T, n *Node, names int) (each time.Duration, allocated uint64, failed int64) {
	t.Helper()
	const clients = 64
	var next, errs atomic.Int64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := next.Add(1); i <= int64(names); i = next.Add(1) {
				p, err := n.servers.router.Publish(t.Context(), listen.Request{
					Protocol: protocols.RTMP, Streams: []string{fmt.Sprintf("live/%d", i)}, Remote: netip.MustParseAddrPort("192.0.2.1:9"),
				})
				if err != nil {
					if errs.Add(1) == 1 {
						t.Errorf("live/%d: %v", i, err)
					}
					continue
				}
				p.Close()
			}
		})
	}
	all.Wait()
	each = time.Since(start) / time.Duration(names)
	runtime.ReadMemStats(&after)
	return each, (after.TotalAlloc - before.TotalAlloc) / uint64(names), errs.Load()
}

// TestNewNameCostsNoMoreBesideManyStreams floods a node with new names. At 10,000 streams each of them once took 250 ms and 60 MB, so
// that most of the publishers were refused.
func TestNewNameCostsNoMoreBesideManyStreams(t *testing.T) {
	const names, most = 640, 4 << 20 // bytes a name: a tenth of what one look at all streams for each name takes
	for _, streams := range []int{100, 10_000} {
		var file strings.Builder
		file.WriteString("name_limit_per_address off;\ntemplate live { prefix live; input publish://; }\n")
		for i := range streams {
			fmt.Fprintf(&file, "stream s%d { input publish://; }\n", i)
		}
		n := lone(t, file.String())
		each, allocated, failed := flood(t, n, names)
		t.Logf("beside %d streams: %v and %d KB a name, %d of %d failed", streams, each, allocated>>10, failed, names)
		if failed > 0 || allocated > most {
			t.Errorf("beside %d streams, %d of %d publishers of new names failed, and each took %d bytes", streams, failed, names, allocated)
		}
		// What was made at once is there, and the node has noticed that the publishers are gone.
		within(t, "the view shows the streams", func() error {
			v := n.View()
			for _, i := range []int{1, names / 2, names} {
				s := v.Stream(fmt.Sprintf("live/%d", i))
				if s == nil || s.Owner != "" || !s.Here {
					return fmt.Errorf("live/%d: %+v", i, s)
				}
			}
			return nil
		})
		if p := n.file().Stream("live/1"); p == nil || p.Inputs[0].Scheme != "publish" {
			t.Errorf("the file in effect has %+v", p)
		}
	}
}
