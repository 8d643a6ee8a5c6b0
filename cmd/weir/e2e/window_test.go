//go:build e2e

package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// last is the playlist that was shown last.
func (r *reader) last() (p playlist) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lists) > 0 {
		p = r.lists[len(r.lists)-1]
	}
	return p
}

// reach waits until a number of each reader's playlist is at least so large.
func reach(t *testing.T, readers []*reader, what string, least int64, number func(playlist) int64) {
	t.Helper()
	eventually(t, 60*time.Second, what, func() error {
		for _, r := range readers {
			if n := number(r.last()); n < least {
				return fmt.Errorf("%s: %d, want %d", r.url, n, least)
			}
		}
		return nil
	})
}

// The owner of a stream that is no function of time is drained while its playlists are read at the other nodes: the new
// owner goes on with its numbers and lists its segments, which outlive it.
func TestDrainOfALiveStreamGoesOnWithItsSegments(t *testing.T) {
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
	reach(t, readers, "a window at the owner", 3, func(p playlist) int64 { return int64(len(p.segments)) })

	began, before := time.Now(), readers[0].last()
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
	reach(t, readers, "two segments of the new owner", before.last()+4, playlist.last)
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

// The owner of such a stream is killed: the new one makes segments although nobody has asked it for any, with numbers a
// little above those that the dead one can have used. When that one is back it goes on with the segments of the other.
func TestSegmentsOfADeadOwnerGoOnForwardAndReturnWithIt(t *testing.T) {
	for _, option := range []string{"handover=make", "handover=break"} {
		t.Run(option, func(t *testing.T) { diesAndReturns(t, option) })
	}
}

func diesAndReturns(t *testing.T, option string) {
	source := newTSServer(t)
	c := start(t, 3, func(_ int, ports []int) string {
		return peers(ports) + fmt.Sprintf("stream cam { input tshttp://%s/cam; cluster_ingest capture_at=127.0.0.1:%d %s; }\n", source.addr, ports[0], option)
	})
	owner, rest := c.by(c.settle(30*time.Second, c.nodes, []string{"cam"})["cam"])
	if owner.name != "n1" {
		t.Fatalf("cam is at %s, want n1, to which it is pinned", owner.name)
	}
	watch := func() (readers []*reader) {
		for _, n := range rest {
			readers = append(readers, watchPlaylist(t, "http://"+n.http+"/cam/index.m3u8"))
		}
		return readers
	}
	readers := watch()
	reach(t, readers, "a window at the owner", 2, func(p playlist) int64 { return int64(len(p.segments)) })
	before := readers[0].last().last()
	owner.signal(t, syscall.SIGKILL)
	reach(t, readers, "segments of the new owner", before+4, playlist.last)
	for _, r := range readers {
		if n := r.ascending(t); n > 30 {
			t.Errorf("%s: %d segments were left out, want no more than the owner could have made in two minutes", r.url, n)
		}
		if p := r.last(); p.discontinuities == 0 && p.first > before {
			t.Errorf("%s: no discontinuity in the new owner's segments", r.url)
		}
	}

	readers = watch()
	returned := time.Now()
	owner.run(t)
	eventually(t, 60*time.Second, "the owner is back and goes on with the segments", func() error {
		if n := len(owner.log.find("segments are continued", "cam", returned)); n != 1 {
			return fmt.Errorf("it says so %d times", n)
		}
		return nil
	})
	reach(t, readers, "its own segments", readers[0].last().last()+3, playlist.last)
	for _, r := range readers {
		r.consecutive(t)
	}
}
