package stream

import (
	"testing"
	"time"

	"weir/actors/hub"
	"weir/actors/input"
	"weir/codecs"
)

// A publisher that comes back at a node whose wall clock is behind that of its former node is seen at once.
func TestPublisherAtANodeWhoseClockIsBehindIsSeenAtOnce(t *testing.T) {
	tracks := codecs.Tracks{{Codec: codecs.H264}}
	h := hub.New("live", hub.Config{Tick: -1})
	former := h.NewWriter(hub.WriterConfig{}) // the relay of the former node
	former.SetTracks(tracks)
	if err := former.Write(&codecs.AccessUnit{DTS: 100 * codecs.ClockRate, RandomAccess: true, Payload: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	former.Close()

	clock := func() time.Duration { return 0 }
	behind := func() int64 { return 95 * codecs.ClockRate }
	taken := false
	p := newPublication(h, "encoder", input.NewMonitor(clock, func(input.Change) {}), clock, behind, func(msg any) {
		_, taken = msg.(arrived)
	})
	p.SetTracks(tracks)
	if err := p.Write(&codecs.AccessUnit{RandomAccess: true, Payload: []byte{2}}); err != nil {
		t.Fatal(err)
	}
	if !taken {
		t.Error("its first picture is left out, want it to be what viewers get")
	}
}
