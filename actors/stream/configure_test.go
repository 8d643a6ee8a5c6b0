package stream_test

import (
	"testing"
	"testing/synctest"
	"time"

	"weir/actors/act"
	"weir/actors/input"
	"weir/actors/stream"
	"weir/protocols/listen"
)

// publish admits a publisher.
func (b *bench) publish(t *testing.T, name string) listen.Publication {
	t.Helper()
	reply := act.NewReply[stream.Published]()
	b.send(stream.Publish{Stream: name, Session: "1.2.3.4", Reply: reply})
	p, err := reply.Wait(t.Context())
	if err != nil || p.Err != nil {
		t.Fatal(err, p.Err)
	}
	return p.Publication
}

// sends writes so many pictures at their pace, on a timeline that begins at zero, and each with that mark.
func sends(t *testing.T, p listen.Publication, mark byte, pictures int64) {
	t.Helper()
	p.SetTracks(tracks)
	for n := range pictures {
		au := unit(n * picture)
		au.Payload = []byte{mark, byte(n)}
		if err := p.Write(au); err != nil {
			t.Fatalf("picture %d of %c: %v", n, mark, err)
		}
		time.Sleep(40 * time.Millisecond)
	}
}

func (b *bench) reported(state stream.State) (count int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.statuses {
		if s == state {
			count++
		}
	}
	return count
}

// The first publisher of a name makes a stream of it, which may be watched already because another server had it.
func TestViewersOfARelayedStreamStayWhenItIsPublishedHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := &camera{tracks: tracks, mark: 'r', from: 5}
		b := newBenchWith(t, func(c *stream.Config) { c.Relay = func(string) input.Source { return input.Run(remote.run) } })
		v := &viewer{t: t}
		stop := v.watch(b.want("x", false))
		time.Sleep(5 * time.Second)
		remote.hangs.Store(true)
		time.Sleep(time.Second)
		b.send(stream.Configure{Specs: []stream.Spec{{Name: "x", Published: true}}})
		p := b.publish(t, "x")
		sends(t, p, 'p', 50)
		if got := v.saw(); got != "rp" {
			t.Errorf("the viewer saw %s, want rp", got)
		}
		if n := b.reported(stream.Stopped); n != 0 {
			t.Errorf("the control plane was told %d times that a stream stopped which was not captured", n)
		}
		p.Close()
		b.send(stream.Configure{}) // the name is forgotten again
		remote.hangs.Store(false)
		time.Sleep(5 * time.Second)
		if got := v.saw(); got != "rpr" {
			t.Errorf("the viewer saw %s, want rpr", got)
		}
		stop()
		b.end()
	})
}

func TestViewersStayWhenTheInputOfTheirStreamIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &camera{tracks: tracks, mark: '1', from: 5}, &camera{tracks: tracks, mark: '2', from: 1 << 40}
		spec := func(c *camera, key string) stream.Spec {
			in := c.input(key, 1, 10*time.Second)
			in.Key = key
			return stream.Spec{Name: "cam", Inputs: []stream.Input{in}}
		}
		silent := &camera{tracks: tracks}
		silent.hangs.Store(true)
		b := newBenchWith(t, func(c *stream.Config) { c.Relay = func(string) input.Source { return input.Run(silent.run) } }, spec(first, "1"))
		b.send(stream.Capture{Stream: "cam"})
		time.Sleep(2 * time.Second)
		v := &viewer{t: t}
		stop := v.watch(b.want("cam", false))
		time.Sleep(2 * time.Second)
		b.env.armed.Store(true) // the core fails as it is told
		b.send(stream.Configure{Specs: []stream.Spec{spec(second, "2")}})
		time.Sleep(time.Second)
		if b.last() != stream.Stopped {
			t.Errorf("the control plane was told %v, want that the capture has stopped", b.last())
		}
		b.send(stream.Capture{Stream: "cam"})
		time.Sleep(5 * time.Second)
		if got := v.saw(); got != "12" || first.starts.Load() != 1 || second.starts.Load() != 1 {
			t.Errorf("the viewer saw %s of inputs started %d and %d times, want 12 of each once", got, first.starts.Load(), second.starts.Load())
		}
		stop()
		b.end()
	})
}

// Segments that other nodes make while a stream is elsewhere have numbers that this node does not see.
func TestSegmentsOfAStreamThatWasElsewhereGoOnAboveAllThatOthersCanHaveMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := &camera{tracks: tracks, mark: 'r', from: 5}
		b := newBenchWith(t, func(c *stream.Config) { c.Relay = func(string) input.Source { return input.Run(remote.run) } }, stream.Spec{Name: "x", Published: true})
		remote.hangs.Store(true)
		v := &viewer{t: t}
		stop := v.watch(b.want("x", true))
		p := b.publish(t, "x")
		sends(t, p, 'p', 400)
		p.Close()
		remote.hangs.Store(false)
		time.Sleep(10 * time.Minute)
		remote.hangs.Store(true)
		live, back := b.want("x", true), time.Now().Unix()
		p = b.publish(t, "x")
		sends(t, p, 'q', 400)
		if w := live.Store.Window(); len(w.Segments) == 0 || w.Segments[0].Number < back {
			t.Errorf("the window is %d segments up to %d, want them to begin at %d at least", len(w.Segments), w.Last(), back)
		}
		p.Close()
		stop()
		b.end()
	})
}
