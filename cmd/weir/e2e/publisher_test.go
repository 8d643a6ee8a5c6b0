//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/cluster/place"
	"weir/cluster/srs/srstest"
)

// defaultPeers are the peer lines of a file for nodes with the default timeouts: F = 2 s and S = 10 s.
func defaultPeers(ports []int) string {
	var b strings.Builder
	b.WriteString("cluster_key for-the-test-only-0123;\n")
	for _, p := range ports {
		fmt.Fprintf(&b, "peer 127.0.0.1:%d;\n", p)
	}
	return b.String()
}

// An encoder is a publisher that sends until it is stopped.
type encoder struct {
	stop func()
	done <-chan error
}

func encode(t *testing.T, n *node, app, stream string, width int) (*encoder, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	done, err := (&srstest.Edge{Origins: []string{n.rtmp}}).Publish(ctx, app, stream, srstest.Tags(t, width))
	return &encoder{cancel, done}, err
}

// sends fails if the encoder has been sent away.
func (e *encoder) sends(t *testing.T) {
	t.Helper()
	select {
	case err := <-e.done:
		t.Fatalf("the publisher was cut off: %v", err)
	default:
	}
}

// The node of a publisher dies, or hangs. Less than a second later the encoder publishes at another node, which comes after
// the first one in the static order: viewers at the third node get the new media long before the first node is taken for
// dead, and its claim never comes back.
func TestPublisherThatComesBackElsewhereIsHeardAtOnce(t *testing.T) {
	for _, tt := range []struct{ name, config, app, prefix string }{
		{"stream", "stream NAME { input publish://; }\n", "live", ""},
		{"template", "template talks { prefix talk; input publish://; }\n", "talk", "talk/"},
	} {
		for how, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "frozen": syscall.SIGSTOP} {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				short := ""
				for i := 0; short == "" || !place.Before(tt.prefix+short, "", "", "n3", "n1"); i++ {
					short = fmt.Sprintf("show%d", i)
				}
				name := tt.prefix + short
				c := start(t, 3, func(_ int, ports []int) string {
					return defaultPeers(ports) + "relay rtmp;\n" + strings.ReplaceAll(tt.config, "NAME", name)
				})
				t.Parallel() // only now, so that no two clusters look for free ports at one time
				comesBack(t, c, tt.app, short, name, signal)
			})
		}
	}
}

func comesBack(t *testing.T, c *cluster, app, short, name string, signal syscall.Signal) {
	next, third, first := c.nodes[0], c.nodes[1], c.nodes[2]
	var before *encoder
	eventually(t, 30*time.Second, "the first node takes the publisher", func() (err error) {
		before, err = encode(t, first, app, short, 256)
		return err
	})
	c.settle(20*time.Second, c.nodes, []string{name})
	viewer := watch(t, third, name)
	list := watchPlaylist(t, "http://"+third.http+"/"+name+"/index.m3u8")
	reach(t, []*reader{list}, "segments of the first publisher", 2, func(p playlist) int64 { return int64(len(p.segments)) })

	first.signal(t, signal)
	before.stop()
	pause(700 * time.Millisecond)
	old := list.last().last()
	back, err := encode(t, next, app, short, 320)
	if err != nil {
		t.Fatalf("the encoder publishes at another node: %v", err)
	}
	granted := time.Now()
	seen, _, _ := viewer.pictures()
	eventually(t, 8*time.Second, "a viewer at the third node gets the new media", func() error {
		if n, _, ended := viewer.pictures(); n <= seen || ended != nil {
			return fmt.Errorf("%d pictures more, ended: %v", n-seen, ended)
		}
		return nil
	})
	reach(t, []*reader{list}, "new segments at the third node", old+2, playlist.last)
	if d := time.Since(granted); d > 16*time.Second {
		t.Errorf("they came %v after the grant, want them within two segments and F", d)
	}
	for range 12 { // the first node is taken for dead meanwhile
		pause(time.Second)
		back.sends(t)
		if at, err := owners([]*node{next, third}, []string{name}); err != nil || at[name] != "n1" {
			t.Fatalf("the stream is at %v (%v), want n1", at, err)
		}
	}
	if signal == syscall.SIGSTOP {
		first.signal(t, syscall.SIGCONT)
		eventually(t, 20*time.Second, "the node that hung sees where the stream is", func() error {
			at, err := owners(c.nodes, []string{name})
			if err == nil && at[name] != "n1" {
				err = fmt.Errorf("it is at %s", at[name])
			}
			return err
		})
		pause(3 * time.Second)
	}
	back.sends(t)
	seen, _, _ = viewer.pictures()
	eventually(t, 5*time.Second, "the viewer goes on", func() error {
		if n, _, ended := viewer.pictures(); n < seen+10 || ended != nil {
			return fmt.Errorf("%d pictures more, ended: %v", n-seen, ended)
		}
		return nil
	})
	list.ascending(t)
}
