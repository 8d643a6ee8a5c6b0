package control

import (
	"slices"
	"testing"
)

// TestViewStaysAsItWasGiven takes a peer out of a file: other goroutines still read the view that was given before.
func TestViewStaysAsItWasGiven(t *testing.T) {
	w := calm(t, 1, 3, kept(3))
	m := w.machine("n3")
	on := m.n.View().Stream("cam001").On
	before := slices.Clone(on)
	m.cfg.Peers = slices.DeleteFunc(slices.Clone(m.cfg.Peers), func(p Peer) bool { return p.Entry == "n1:8080" })
	m.step(ConfigChanged{Config: m.cfg})
	w.run(Second)
	if len(before) != 3 || !slices.Equal(on, before) || slices.Equal(m.n.View().Stream("cam001").On, before) {
		t.Errorf("the view had the stream at %v, and then at %v; now it is at %v", before, on, m.n.View().Stream("cam001").On)
	}
}
