package stream_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/packager"
	"weir/actors/stream"
	"weir/protocols/cmaf"
)

// A maker is a bench whose stream is a camera, which makes segments.
type maker struct {
	*bench
	cam camera

	mu   sync.Mutex
	told []packager.Numbered
}

// newMaker makes a bench; ask is what a capture does that follows another node's.
func newMaker(t *testing.T, ask func(from string, done func(*cmaf.Handover))) *maker {
	t.Helper()
	m := &maker{cam: camera{tracks: tracks}}
	m.bench = newBenchWith(t, func(c *stream.Config) {
		c.Numbered = func(_ actor.Context, _ string, n packager.Numbered) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.told = append(m.told, n)
		}
		if ask != nil {
			c.Inherit = func(_ actor.Context, _, from string, done func(*cmaf.Handover)) { ask(from, done) }
		}
	}, stream.Spec{Name: "x", Inputs: []stream.Input{m.cam.input("cam", 1, 0)}})
	return m
}

func (m *maker) packs(t *testing.T) *stream.Live {
	t.Helper()
	reply := make(chan *stream.Live, 1)
	m.send(stream.Want{Stream: "x", Pack: true, Reply: reply})
	return <-reply
}

func (m *maker) numbers() []packager.Numbered {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.told)
}

// window is what a store leaves, as another node reads it.
func window(s *cmaf.Store) *cmaf.Handover {
	w := s.Window()
	l := &cmaf.Handover{Record: s.Record(), Before: w.Discontinuities()}
	for _, seg := range w.Segments {
		l.Segments = append(l.Segments, cmaf.NewSegment(seg.Outline, [2][]byte{cmaf.TS: {byte(seg.Number)}}))
	}
	return l
}

func TestNumberingIsToldOnceWhileItIsAsPredicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaker(t, nil)
		defer m.end()
		m.send(stream.Capture{Stream: "x"})
		time.Sleep(time.Second)
		if n := m.numbers(); len(n) != 0 {
			t.Errorf("%+v is told of a stream that nobody has asked segments of", n)
		}
		store := m.packs(t).Store
		time.Sleep(2 * time.Minute)
		told := m.numbers()
		if len(told) != 1 || told[0].Period != 4*time.Second {
			t.Fatalf("told %+v, want one numbering with 4 s a segment", told)
		}
		now := told[0].Number + int64(2*time.Minute/told[0].Period)
		if next := store.Record().Next; next < now-1 || next > now+1 {
			t.Errorf("segment %d is being cut, foretold is %d", next, now)
		}
		// A source that goes on after a break is behind what was foretold.
		m.cam.hangs.Store(true)
		time.Sleep(20 * time.Second)
		m.cam.hangs.Store(false)
		time.Sleep(40 * time.Second)
		if told = m.numbers(); len(told) != 2 {
			t.Errorf("told %+v, want a second numbering after the break", told)
		}
	})
}

func TestSegmentsAreMadeFromTheBeginningAboveAPredecessorsNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaker(t, nil)
		defer m.end()
		m.cam.hangs.Store(true)
		m.send(stream.Capture{Stream: "x", Least: func(later time.Duration) int64 { return 94 + int64(later/(100*time.Millisecond)) }})
		time.Sleep(600 * time.Millisecond)
		m.cam.hangs.Store(false)
		time.Sleep(20 * time.Second)
		live, is, _ := m.registry.Get("x")
		if !is.Packing {
			t.Fatal("nothing is packed although it was elsewhere")
		}
		w := live.Store.Window()
		if w.Segments[0].Number < 100 || w.Segments[0].Number > 103 || w.Last() < w.Segments[0].Number+2 || !w.Segments[0].Discontinuity {
			t.Errorf("segments %d to %d, want them to begin at 100 to 103, with a discontinuity", w.Segments[0].Number, w.Last())
		}
	})
}

// A publisher moves from another node to this one, whose segments go on above the other's.
func TestSegmentsOfAPublisherGoOnAboveThoseOfItsNodeBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, stream.Spec{Name: "live", Published: true})
		b.send(stream.Succeed{Stream: "live", Least: func(later time.Duration) int64 { return 100 + int64(later/time.Second) }})
		reply := act.NewReply[stream.Published]()
		b.send(stream.Publish{Stream: "live", Session: "1.2.3.4", Reply: reply})
		p, err := reply.Wait(t.Context())
		if err != nil || p.Err != nil {
			t.Fatal(err, p.Err)
		}
		p.Publication.SetTracks(tracks)
		for i := range int64(500) {
			if err := p.Publication.Write(unit(i * picture)); err != nil {
				t.Fatalf("Write = %v, want nil", err)
			}
			time.Sleep(40 * time.Millisecond)
		}
		live, _, _ := b.registry.Get("live")
		w := live.Store.Window()
		if len(w.Segments) == 0 || w.Segments[0].Number < 100 || w.Segments[0].Number > 103 {
			t.Errorf("the segments are %+v, want some from 100 on", w.Segments)
		}
		b.end()
	})
}

func TestSegmentsGoOnWhereTheyAreHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newMaker(t, nil)
		defer first.end()
		first.send(stream.Capture{Stream: "x"})
		old := first.packs(t).Store
		time.Sleep(50 * time.Second)
		if n := old.Record().Next; n == 0 {
			t.Fatal("the first owner has made no segments")
		}
		second := newMaker(t, func(from string, done func(*cmaf.Handover)) {
			if from != "first" {
				t.Errorf("%s is asked, want first", from)
			}
			first.sys.Root.Send(first.pid, stream.HandOver{Stream: "x", To: "second", Reply: func(handed bool) {
				if !handed {
					t.Error("the first owner does not hand over")
				}
				done(window(old))
			}})
		})
		defer second.end()
		second.send(stream.Capture{Stream: "x", From: "first", Least: func(time.Duration) int64 { return 1 << 40 }})
		time.Sleep(time.Second)
		next, left := old.Record().Next, old.Window()
		live := second.packs(t)
		if w := live.Store.Window(); w.Segments[0].Number != left.Segments[0].Number || w.Last() != next-1 || w.TargetDuration != left.TargetDuration {
			t.Fatalf("segments %d to %d, target %d; left were %d to %d, target %d",
				w.Segments[0].Number, w.Last(), w.TargetDuration, left.Segments[0].Number, left.Last(), left.TargetDuration)
		}
		time.Sleep(5 * time.Second)
		first.packs(t) // a viewer who still comes there
		time.Sleep(3 * time.Second)
		if old.Record().Next != next {
			t.Errorf("the first owner has made segment %d, want none from %d on", old.Record().Next-1, next)
		}
		w := live.Store.Window()
		own := w.Segment(next)
		if own == nil || !own.Discontinuity || w.Segments[0].Number > next-1 {
			t.Errorf("segments %d to %d, want %d with a discontinuity and some before it", w.Segments[0].Number, w.Last(), next)
		}
		if got := w.Segment(next - 1).Bytes(cmaf.TS); len(got) != 1 || got[0] != byte(next-1) {
			t.Errorf("segment %d is not the one that was handed over", next-1)
		}

		first.send(stream.Release{Stream: "x", To: "second"})
		time.Sleep(time.Minute)
		if old.Record().Next != next {
			t.Errorf("a released stream has made segment %d", old.Record().Next-1)
		}
	})
}

// Two nodes captured the stream at once for a while, and this one, whose numbers are higher, has let go of it. When it captures
// the stream again, viewers of the other have newer media than its old segments.
func TestOldSegmentsAreNotListedOnceTheStreamComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaker(t, nil)
		defer m.end()
		m.send(stream.Capture{Stream: "x"})
		store := m.packs(t).Store
		time.Sleep(30 * time.Second)
		m.send(stream.Release{Stream: "x", To: "other", Now: true})
		time.Sleep(5 * time.Second) // the stream stays for those who may still come
		next := store.Record().Next
		m.cam.hangs.Store(true)
		m.send(stream.Capture{Stream: "x", Least: func(time.Duration) int64 { return next - 1 }})
		for i := range 100 {
			time.Sleep(100 * time.Millisecond)
			if i == 20 {
				m.cam.hangs.Store(false)
			}
			if w := store.Window(); len(w.Segments) > 0 && w.Segments[0].Number < next {
				t.Fatalf("segments %d to %d are listed, want none below %d", w.Segments[0].Number, w.Last(), next)
			}
		}
		if w := store.Window(); len(w.Segments) == 0 || w.Segments[0].Number != next || !w.Segments[0].Discontinuity {
			t.Errorf("segments %+v, want them to begin at %d with a discontinuity", w.Segments, next)
		}
	})
}

func TestSegmentsThatWereHandedOverGoOnWhereTheStreamStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaker(t, nil)
		defer m.end()
		m.send(stream.Capture{Stream: "x"})
		store := m.packs(t).Store
		time.Sleep(30 * time.Second)
		answers := make(chan bool, 2)
		for range 2 { // asked twice
			m.send(stream.HandOver{Stream: "x", To: "other", Reply: func(handed bool) { answers <- handed }})
		}
		if a, b := <-answers, <-answers; !a || !b {
			t.Errorf("handed over: %v, %v", a, b)
		}
		next := store.Record().Next
		time.Sleep(30 * time.Second)
		w := store.Window()
		if w.Last() < next+10 || w.Segments[0].Number < next+10 || !w.Segments[0].Discontinuity {
			t.Errorf("segments %d to %d, want them to go on above all that the other can have made of %d on", w.Segments[0].Number, w.Last(), next)
		}
	})
}

func TestStreamWithoutSegmentsHandsNoneOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaker(t, nil)
		defer m.end()
		answers := make(chan bool, 1)
		ask := func(name string) bool {
			m.send(stream.HandOver{Stream: name, To: "other", Reply: func(handed bool) { answers <- handed }})
			return <-answers
		}
		if ask("nobody") {
			t.Error("a stream that is not here is handed over")
		}
		m.send(stream.Capture{Stream: "x"})
		time.Sleep(10 * time.Second)
		if ask("x") {
			t.Error("segments are handed over that nobody has made")
		}
		live := m.packs(t)
		time.Sleep(10 * time.Second)
		m.send(stream.Release{Stream: "x", To: "other", Now: true})
		time.Sleep(time.Second)
		if n := live.Store.Record().Next; !ask("x") || n == 0 {
			t.Error("what a capture has left that ended a moment ago is not handed over")
		}
	})
}
