package e2e

import (
	"fmt"
	"testing"
	"time"
)

// The owner of a stream that is no function of time is drained while its playlists are read at the other nodes: the new
// owner goes on with its numbers and lists its segments, which outlive it.
func TestDrainOfALiveStreamGoesOnWithItsSegments(t *testing.T) {
	need(t, "ffmpeg")
	source := newTSServer(t)
	c := start(t, 3, func(_ int, ports []int) string {
		return peers(ports) + fmt.Sprintf("stream cam { input tshttp://%s/cam; cluster_ingest capture_at=127.0.0.1:%d; }\n", source.addr, ports[0])
	})
	owner, rest := c.by(c.settle(30*time.Second, c.nodes, []string{"cam"})["cam"])
	if owner.name != "n1" {
		t.Fatalf("cam is at %s, want n1, to which it is pinned", owner.name)
	}
	var readers []*reader
	for _, n := range rest {
		readers = append(readers, watchPlaylist(t, "http://"+n.http+"/cam/index.m3u8"))
	}
	last := func(r *reader) (p playlist) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.lists) > 0 {
			p = r.lists[len(r.lists)-1]
		}
		return p
	}
	long := func(what string, segments int64, p func(playlist) int64) {
		t.Helper()
		eventually(t, 60*time.Second, what, func() error {
			for _, r := range readers {
				if n := p(last(r)); n < segments {
					return fmt.Errorf("%s: %d of %d", r.url, n, segments)
				}
			}
			return nil
		})
	}
	long("a window at the owner", 3, func(p playlist) int64 { return int64(len(p.segments)) })

	began, before := time.Now(), last(readers[0])
	d, err := drain(owner, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the drain took %.1f s: %+v", time.Since(began).Seconds(), d)
	if d.State != "done" || d.Left != 0 {
		t.Errorf("the drain ended as %+v, want done with nothing left", d)
	}
	<-owner.done
	if _, err := segments(readers[0].url); err != nil {
		t.Errorf("what the playlist names once the old owner has ended: %v", err)
	}
	next, _ := c.by(c.settle(5*time.Second, rest, []string{"cam"})["cam"])
	if got := next.log.find("segments are continued", "cam", began); len(got) != 1 {
		t.Errorf("%s says %d times that it goes on with the owner's segments, want once", next.name, len(got))
	}
	long("two segments of the new owner", before.last()+4, playlist.last)
	for _, r := range readers {
		r.consecutive(t)
		broken := 0
		for _, p := range r.lists {
			broken = max(broken, p.discontinuities)
		}
		if broken == 0 {
			t.Errorf("%s: no discontinuity where the new owner's segments begin", r.url)
		}
	}
}
