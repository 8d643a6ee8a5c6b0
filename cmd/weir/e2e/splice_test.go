//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/codecs/fake"
	"weir/codecs/flv"
	"weir/codecs/linear"
	"weir/codecs/mpegts"
	"weir/protocols/rtmp"
)

// A watcher plays RTMP and notes the timestamp of each picture that it gets.
type watcher struct {
	what string

	mu    sync.Mutex
	times []uint32 // in milliseconds
	ended error
}

// watch starts one; it costs far less than an ffmpeg.
func watch(t *testing.T, n *node, stream string) *watcher {
	t.Helper()
	w := &watcher{what: "a viewer of " + stream + " at " + n.name}
	c, err := rtmp.Play(t.Context(), "rtmp://"+n.rtmp+"/static/"+stream, rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		for {
			tag, err := c.ReadTag()
			w.mu.Lock()
			if err == nil && tag.Type == flv.TypeVideo && len(tag.Body) > 1 && tag.Body[1] == 1 { // not its configuration
				w.times = append(w.times, tag.Timestamp)
			}
			w.ended = err
			w.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return w
}

// pictures are how many came, how many are missing between them, and why no more will come; nil if they will.
func (w *watcher) pictures() (seen, missing int, ended error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i < len(w.times); i++ {
		missing += int(int32(w.times[i]-w.times[i-1]))/40 - 1
	}
	return len(w.times), missing, w.ended
}

// writeClip writes a test picture of so many seconds.
func writeClip(t *testing.T, file string, seconds int) {
	t.Helper()
	p, err := fake.New(fake.Config{Width: 256, Height: 144})
	if err != nil {
		t.Fatal(err)
	}
	units, err := linear.Excerpt(p, seconds)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, mpegts.Segment(p.Tracks(), units), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Many streams change hands at once, each at some other moment of its GOP: whoever watches, at the new owner, at the old
// one or elsewhere, misses nothing and gets nothing twice.
func TestStreamsThatChangeHandsLoseNoPicture(t *testing.T) {
	const streams = 8
	dir := t.TempDir()
	for i := range streams { // loops of different lengths, whose GOPs begin at different times
		writeClip(t, filepath.Join(dir, fmt.Sprintf("%d.ts", i)), 5+i)
	}
	c := start(t, 3, func(_ int, ports []int) string {
		var b strings.Builder
		b.WriteString(peers(ports) + "relay rtmp;\n") // these viewers would follow a redirect
		fmt.Fprintf(&b, "vod clips { root %q; }\n", dir)
		for i := range streams {
			fmt.Fprintf(&b, "stream s%d { input file://clips/%d.ts; cluster_ingest capture_at=127.0.0.1:%d; }\n", i, i, ports[0])
		}
		return b.String()
	})
	var names []string
	for i := range streams {
		names = append(names, fmt.Sprintf("s%d", i))
	}
	c.settle(20*time.Second, c.nodes, names)
	var here, there []*watcher
	for _, name := range names {
		here = append(here, watch(t, c.nodes[0], name))
		there = append(there, watch(t, c.nodes[1], name), watch(t, c.nodes[2], name))
	}
	more := func(watchers []*watcher, pictures int) {
		t.Helper()
		before := make([]int, len(watchers))
		for i, w := range watchers {
			before[i], _, _ = w.pictures()
		}
		eventually(t, 30*time.Second, fmt.Sprintf("%d viewers get %d pictures more", len(watchers), pictures), func() error {
			for i, w := range watchers {
				if seen, _, ended := w.pictures(); ended != nil || seen < before[i]+pictures {
					return fmt.Errorf("%s has got %d, of %d: %v", w.what, seen, before[i]+pictures, ended)
				}
			}
			return nil
		})
	}
	all := append(here, there...)
	more(all, 50)

	d, err := drain(c.nodes[0], 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if d.Left != 0 || d.Streams != 0 || d.Closed != streams {
		t.Errorf("the drain ended as %+v, want nothing left and the %d viewers of the node itself closed", d, streams)
	}
	c.settle(10*time.Second, c.nodes[1:], names)
	more(there, 50)
	for _, w := range all {
		if seen, missing, _ := w.pictures(); missing != 0 {
			t.Errorf("%s: of %d pictures %d are missing, want none", w.what, seen, missing)
		}
	}
}
