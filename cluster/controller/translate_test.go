package controller

import (
	"testing"
	"time"

	"weir/cluster/control"
)

func TestCaptureFollowsALivePredecessor(t *testing.T) {
	media := control.Media{Sequence: 50, Period: 4000, Age: 1000}
	view := &control.View{Self: "n2", Streams: []control.StreamView{{Name: "x", Claimants: []control.ClaimView{
		{Node: "n0", State: control.ClaimFailed}, {Node: "n2", State: control.ClaimStarting}, {Node: "n3", State: control.ClaimDraining},
	}}}}
	c := captureOf(control.StartCapture{Stream: "x", Media: media}, view, true)
	if c.From != "n3" || c.Least == nil || c.Least(8*time.Second) != 54 {
		t.Errorf("captures %+v, want it to follow n3, from 54 on after 8 s", c)
	}
	for name, c := range map[string]struct {
		media control.Media
		packs bool
	}{"nobody has made segments": {control.Media{}, true}, "a node without viewers": {media, false}} {
		if got := captureOf(control.StartCapture{Stream: "x", Media: c.media}, view, c.packs); got.Least != nil || got.From != "" {
			t.Errorf("%s: captures %+v, want nothing to go on from", name, got)
		}
	}
}
