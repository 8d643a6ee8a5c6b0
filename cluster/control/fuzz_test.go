package control

import (
	"encoding/json"
	"slices"
	"testing"
)

// FuzzFetchedState feeds a node what a peer that has the key might send. It has to keep to its own rules whatever that
// is: no panic, captures started and stopped in turn, time asked for in the future only.
func FuzzFetchedState(f *testing.F) {
	for _, st := range []State{
		{V: 1, Node: "n2", Instance: "x", Seq: 1, Claims: []Claim{{Stream: "a", State: ClaimRunning, Home: "n2"}}},
		{V: 1, Node: "n1", Instance: "i1"},
		{V: 1, Node: "n3", Instance: "y", Inc: 1 << 63, Ages: []Age{{Node: "n3", Instance: "z", Inc: 9, Age: 5, Full: true, Claims: []Claim{{Stream: "b"}}}}},
		{V: 2, Node: "n2", Instance: "x", Same: true, Version: 7},
		{V: 1, Node: "n9", Instance: "x", ListHash: "0", List: []Listed{{Name: "q", Pin: "n1", Clustered: true}, {Name: "q"}}, Names: []EntryName{{Entry: "n3:80", Node: "n1"}}},
	} {
		out, err := json.Marshal(st)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out, out, uint32(2500))
	}
	f.Fuzz(func(t *testing.T, first, second []byte, wait uint32) {
		p := newProbe(t, []string{"n2", "n3"}, camNames...)
		p.say("n3", State{Seq: 1})
		state := map[string]Activity{}
		follow := func() {
			for _, e := range p.out {
				switch e := e.(type) {
				case StartCapture:
					if state[e.Stream] != Idle {
						t.Fatalf("%s is started while %v", e.Stream, state[e.Stream])
					}
					state[e.Stream] = Starting
				case StopCapture:
					if state[e.Stream] != Starting {
						t.Fatalf("%s is stopped while %v", e.Stream, state[e.Stream])
					}
					state[e.Stream] = Idle
				case WakeAt:
					if e.At <= p.now {
						t.Fatalf("WakeAt %d at %d", e.At, p.now)
					}
				}
			}
		}
		follow()
		for _, body := range [][]byte{first, second} {
			ids := p.ids["n2:80"]
			if len(ids) == 0 {
				break
			}
			st := new(State)
			if json.Unmarshal(body, st) != nil {
				st = nil
			} else if st.ListHash == "0" {
				st.ListHash = hashList(normalList(slices.Clone(st.List)))
			}
			p.ids["n2:80"] = ids[1:]
			p.step(Fetched{Peer: "n2:80", ID: ids[0], State: st})
			follow()
			for _, s := range sortedKeys(state) {
				if state[s] == Starting {
					p.step(CaptureUp{Stream: s})
					follow()
				}
			}
			p.now += Instant(wait) * Millisecond
			p.step(Tick{})
			follow()
			p.n.View()
			p.step(StateAsked{From: "n2", Token: 1})
			follow()
		}
		if p.n.View().Self != "n1" {
			t.Fatal("the node has another name")
		}
	})
}
