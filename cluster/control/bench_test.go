package control

import (
	"fmt"
	"testing"
)

// A poll whose answer is unchanged is what a node does all day: its cost must not grow with the number of streams.
func BenchmarkUnchangedPoll(b *testing.B) {
	for _, streams := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			cfg := Config{Self: "n1", Named: true, Instance: "i1", Streams: kept(streams)}
			for i := 2; i <= 5; i++ {
				host := fmt.Sprintf("n%d", i)
				cfg.Peers = append(cfg.Peers, Peer{Entry: host, Host: host, Name: host, Fetch: 2 * Second, Stale: 10 * Second})
			}
			now := Instant(1)
			n := New(cfg, now)
			open := n.Step(now, Tick{})
			seq := uint64(0)
			ages := make([]Age, 3)
			states := map[string]*State{}
			for i := 2; i <= 5; i++ {
				host := fmt.Sprintf("n%d", i)
				states[host] = &State{V: 1, Node: host, Instance: host, Warm: true, ListHash: n.ownHash, List: n.own, Version: 1}
			}
			for _, s := range n.streams {
				if st := states[s.Home]; st != nil {
					st.Claims = append(st.Claims, Claim{Stream: s.Name, State: ClaimRunning, Home: s.Home})
				}
			}
			poll := func() {
				var fetches []Fetch
				for _, e := range open {
					if f, ok := e.(Fetch); ok {
						fetches = append(fetches, f)
					}
				}
				for _, f := range fetches {
					seq++
					st := states[f.Peer]
					st.Seq, st.Same, st.Ages = seq, seq > 4, ages[:0]
					for i := 2; i <= 5; i++ {
						if host := fmt.Sprintf("n%d", i); host != f.Peer {
							st.Ages = append(st.Ages, Age{Node: host, Instance: host, Seq: states[host].Seq, Age: 500})
						}
					}
					n.Step(now, Fetched{Peer: f.Peer, ID: f.ID, State: st})
				}
				now = n.wake
				open = n.Step(now, Tick{})
			}
			poll()
			if !n.warm {
				b.Fatal("not warm")
			}
			for _, st := range states {
				st.List, st.Claims = nil, nil
			}
			b.ReportAllocs()
			for b.Loop() {
				poll()
			}
		})
	}
}

// An evaluation after a change is linear in the number of streams.
func BenchmarkEvaluate(b *testing.B) {
	for _, streams := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			n := New(Config{Self: "n1", Named: true, Instance: "i1", Streams: kept(streams)}, 1)
			n.Step(1, Tick{})
			b.ReportAllocs()
			for b.Loop() {
				n.dirty = true
				n.Step(2, Tick{})
			}
		})
	}
}
