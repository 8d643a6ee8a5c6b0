package control

import (
	"fmt"
	"testing"
)

// alone makes a warm node without peers, whose file has some published streams.
func alone(streams int) *Node {
	cfg := Config{Self: "n1", Named: true, Instance: "i1"}
	for i := range streams {
		cfg.Streams = append(cfg.Streams, Stream{Name: fmt.Sprintf("s%d", i), Kind: Published})
	}
	n := New(cfg, 0)
	n.Step(0, Tick{})
	n.Step(Second, Tick{})
	return n
}

// comeAndGo lets a publisher make a stream, publish it, and leave.
func comeAndGo(n *Node, at Instant, name string) (granted bool) {
	n.Step(at, StreamsChanged{Added: []Stream{{Name: name, Kind: Published}}})
	for _, e := range n.Step(at, PublishWanted{Stream: name, Token: 1}) {
		if a, ok := e.(PublishAnswer); ok {
			granted = a.Verdict == Granted
		}
	}
	n.Step(at, CaptureUp{Stream: name})
	n.View()
	n.Step(at, PublishEnded{Stream: name})
	n.View()
	return granted
}

func TestPublisherCostsNoMoreBesideManyStreams(t *testing.T) {
	cost := func(streams int) float64 {
		n, i := alone(streams), 0
		return testing.AllocsPerRun(200, func() {
			i++
			if !comeAndGo(n, 2*Second, fmt.Sprintf("new%d", i)) {
				t.Fatal("a publisher is refused")
			}
		})
	}
	few, many := cost(2*manyStreams), cost(10_000)
	t.Logf("%v allocations beside %d streams, %v beside 10000", few, 2*manyStreams, many)
	if many > 2*few {
		t.Errorf("%v allocations beside 10000 streams, %v beside %d", many, few, 2*manyStreams)
	}
}

func TestStreamsThatAreAddedAreSeenSoonAndRemovedAtOnce(t *testing.T) {
	for _, streams := range []int{3, 10_000} {
		n := alone(streams)
		comeAndGo(n, 2*Second, "new")
		n.Step(2*Second, StreamsChanged{Added: []Stream{{Name: "busy", Kind: Published}}})
		n.Step(2*Second, PublishWanted{Stream: "busy", Token: 2})
		n.Step(2*Second, CaptureUp{Stream: "busy"})
		if wake := n.wake; streams > manyStreams && (wake <= 2*Second || wake > 3*Second) {
			t.Errorf("beside %d streams: the node wakes at %v, to look at what has changed", streams, wake)
		}
		n.Step(3*Second, Tick{})
		v := n.View()
		if s := v.Stream("new"); s == nil || s.State != StreamWaiting || !s.Here || s.Kind != Published {
			t.Errorf("beside %d streams: the view has %+v of the stream that was left", streams, s)
		}
		if s := v.Stream("busy"); s == nil || s.State != StreamRunning || s.Owner != "n1" {
			t.Errorf("beside %d streams: the view has %+v of the stream that is published", streams, s)
		}
		if got := len(n.own); got != streams+2 {
			t.Errorf("beside %d streams: the node tells of %d", streams, got)
		}
		n.Step(3*Second, PublishWanted{Stream: "s1", Token: 3})
		n.Step(3*Second+500*Millisecond, Tick{})
		if s := n.View().Stream("s1"); s.Owner != "n1" {
			t.Errorf("beside %d streams: the view has %+v of a stream of the file that is published", streams, s)
		}
		again := Restore(n.Save())
		again.Step(3*Second, Tick{})
		if len(again.own) != len(n.own) || again.ownHash != n.ownHash {
			t.Error("a node that is restored tells of other streams")
		}
		stopped := false
		for _, e := range n.Step(4*Second, StreamsChanged{Removed: []string{"new", "busy", "none"}}) {
			if s, ok := e.(StopCapture); ok {
				stopped = s.Stream == "busy"
			}
		}
		n.Step(4*Second, CaptureStopped{Stream: "busy"})
		n.Step(5*Second, Tick{})
		if v := n.View(); v.Stream("new") != nil || v.Stream("busy") != nil || len(v.Streams) != streams || len(n.own) != streams {
			t.Errorf("beside %d streams: removed ones are still there", streams)
		}
		if !stopped {
			t.Errorf("beside %d streams: the publisher of a removed stream stays", streams)
		}
	}
}
