package pull

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
)

// A sink is a writer that counts.
type sink struct{ units atomic.Int64 }

func (*sink) SetTracks(codecs.Tracks)          {}
func (s *sink) Write(*codecs.AccessUnit) error { s.units.Add(1); return nil }

// TestLongQueueIsHandedOnFaster has so much media wait that no more is fetched. A server lists its segments for a short time only, so
// that there must be room again soon.
func TestLongQueueIsHandedOnFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, out := newPacer(), &sink{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = p.run(ctx, out)
		}()
		p.SetTracks(codecs.Tracks{{Codec: codecs.H264}})
		for i := range int64(3*lead/time.Second) * 25 {
			if err := p.Write(&codecs.AccessUnit{DTS: i * codecs.ClockRate / 25}); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		for p.buffered(false) > 2*lead {
			time.Sleep(100 * time.Millisecond)
		}
		if d := time.Since(began); d > 8600*time.Millisecond {
			t.Errorf("ten seconds too much are handed on within %v, want less than 8.5 s", d)
		}
		before := out.units.Load()
		time.Sleep(10 * time.Second)
		if n := out.units.Load() - before; n < 249 || n > 252 {
			t.Errorf("%d pictures in ten seconds then, want 250", n)
		}
		cancel()
		<-done
	})
}
