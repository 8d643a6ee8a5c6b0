package stream_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/actors/act"
	"weir/actors/input"
	"weir/actors/stream"
	"weir/codecs"
	"weir/protocols/listen"
)

// A camera is a source whose timestamps begin anew with each connection, and which can be switched off, and hang.
type camera struct {
	off, hangs atomic.Bool
	starts     atomic.Int64
	tracks     codecs.Tracks
	from       int64 // its first timestamp
	mark       byte  // in its payloads
}

func (c *camera) run(ctx context.Context, w input.Writer) error {
	c.starts.Add(1)
	if c.off.Load() {
		return errors.New("connection refused")
	}
	w.SetTracks(c.tracks)
	for n := int64(0); ; n++ {
		if c.off.Load() {
			return errors.New("connection reset")
		}
		if !c.hangs.Load() {
			au := &codecs.AccessUnit{DTS: c.from + n*picture, PTS: c.from + n*picture, RandomAccess: n%10 == 0, Payload: []byte{c.mark, byte(n)}}
			if err := w.Write(au); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(40 * time.Millisecond):
		}
	}
}

func (c *camera) input(name string, rank int, silence time.Duration) stream.Input {
	return stream.Input{Config: input.Config{
		URL: "test://" + name, Source: input.Run(c.run), Rank: rank, Silence: silence,
		Wall: func() int64 { return time.Now().UnixMilli() * 90 },
	}}
}

// A viewer notes who is seen, and that time goes forward.
type viewer struct {
	mu   sync.Mutex
	seen string // the marks, each once in a row
	last int64
	t    *testing.T
}

func (v *viewer) watch(live *stream.Live) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	f := live.Hub.Units()
	go func() {
		defer close(done)
		defer f.Close()
		for {
			units, _, err := f.Next(ctx, nil)
			if err != nil {
				if ctx.Err() == nil {
					v.t.Errorf("the viewer was sent away: %v", err)
				}
				return
			}
			v.mu.Lock()
			for _, au := range units {
				if au.DTS <= v.last {
					v.t.Errorf("DTS %d follows %d", au.DTS, v.last)
				}
				v.last = au.DTS
				mark := au.Payload[0]
				if n := len(v.seen); n == 0 || v.seen[n-1] != mark {
					v.seen += string(mark)
					if n > 0 && mark != 0 && !au.RandomAccess {
						v.t.Errorf("%c begins in the middle of a GOP", mark)
					}
				}
			}
			v.mu.Unlock()
		}
	}()
	return func() { cancel(); <-done }
}

func (v *viewer) saw() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen
}

// states are the inputs as the registry shows them: a for active, f for failed, s for standing by, and - otherwise.
func (b *bench) states(name string) (s string) {
	_, is, _ := b.registry.Get(name)
	for _, in := range is.Inputs {
		switch {
		case !in.Own:
		case in.Active:
			s += "a"
		case in.Err != "":
			s += "f"
		case in.Standby:
			s += "s"
		default:
			s += "-"
		}
	}
	return s
}

func TestViewersStayWhileInputsTakeOverFromEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &camera{tracks: tracks, mark: '1', from: 5}, &camera{tracks: tracks, mark: '2', from: 1 << 40}
		b := newBench(t, stream.Spec{Name: "cam", Inputs: []stream.Input{first.input("1", 1, 10*time.Second), second.input("2", 2, 10*time.Second)}})
		b.send(stream.Capture{Stream: "cam"})
		time.Sleep(5 * time.Second)
		v := &viewer{t: t}
		stop := v.watch(b.want("cam", false))
		time.Sleep(5 * time.Second)
		step := func(what, seen, states string) {
			t.Helper()
			if got := v.saw(); got != seen {
				t.Errorf("%s: the viewer saw %s, want %s", what, got, seen)
			}
			if got := b.states("cam"); got != states {
				t.Errorf("%s: the inputs are %s, want %s", what, got, states)
			}
		}
		step("at first", "1", "as")
		if second.starts.Load() != 0 {
			t.Error("the second input runs although the first is heard")
		}

		first.off.Store(true)
		time.Sleep(5 * time.Second)
		step("after the first was reset", "12", "fa")
		time.Sleep(time.Minute)
		step("a minute later", "12", "fa")
		if n := first.starts.Load(); n < 4 || n > 30 {
			t.Errorf("the first was tried %d times, want some with pauses that grow up to five seconds", n)
		}

		first.off.Store(false)
		time.Sleep(time.Minute)
		step("after it has come back", "121", "as")

		first.hangs.Store(true)
		time.Sleep(15 * time.Second)
		step("after it fell silent", "1212", "fa")
		first.hangs.Store(false)
		time.Sleep(time.Minute)
		step("after it has come back again", "12121", "as")
		if b.last() != stream.Running {
			t.Errorf("the control plane was told %v last, want running", b.last())
		}
		stop()
		b.end()
	})
}

func TestSegmentsAskedForBeforeThePublisherIsBackBeginWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, stream.Spec{Name: "live", Published: true})
		publish := func(from int64) listen.Publication {
			t.Helper()
			reply := act.NewReply[stream.Published]()
			b.send(stream.Publish{Stream: "live", Session: "1.2.3.4", Reply: reply})
			p, err := reply.Wait(t.Context())
			if err != nil || p.Err != nil {
				t.Fatal(err, p.Err)
			}
			p.Publication.SetTracks(tracks)
			for n := range int64(20) {
				if err := p.Publication.Write(unit(from + n*picture)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			return p.Publication
		}
		publish(0).Close()
		synctest.Wait()
		b.want("live", true) // nobody publishes now
		time.Sleep(time.Second)
		if _, is, _ := b.registry.Get("live"); is.Packing {
			t.Errorf("the stream is %+v, want no segments of what is not captured here", is)
		}
		p := publish(0)
		if _, is, _ := b.registry.Get("live"); !is.Packing || is.Role != stream.Capturing {
			t.Errorf("the stream is %+v, want it captured and packed", is)
		}
		p.Close()
		b.send(stream.Release{Stream: "live"})
		p = publish(0)
		if _, is, _ := b.registry.Get("live"); is.Packing {
			t.Errorf("the stream is %+v, want no segments before somebody asks again", is)
		}
		p.Close()
		b.end()
	})
}

func TestThereIsNoReturnBetweenEqualInputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &camera{tracks: tracks, mark: '1'}, &camera{tracks: tracks, mark: '2'}
		b := newBench(t, stream.Spec{Name: "cam", Inputs: []stream.Input{first.input("1", 1, time.Minute), second.input("2", 1, time.Minute)}})
		b.send(stream.Capture{Stream: "cam"})
		v := &viewer{t: t}
		stop := v.watch(b.want("cam", false))
		time.Sleep(5 * time.Second)
		first.off.Store(true)
		time.Sleep(200 * time.Millisecond)
		first.off.Store(false)
		time.Sleep(5 * time.Minute)
		if got := v.saw(); got != "12" {
			t.Errorf("the viewer saw %s, want 12", got)
		}
		second.off.Store(true)
		time.Sleep(5 * time.Second)
		if got := v.saw(); got != "121" {
			t.Errorf("after the second failed the viewer saw %s, want 121", got)
		}
		stop()
		b.end()
	})
}

func TestInputWithOtherTracksIsNotReturnedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := codecs.Tracks{tracks[0], {Codec: codecs.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}}
		first, second := &camera{tracks: silent, mark: '1'}, &camera{tracks: tracks, mark: '2'}
		first.off.Store(true)
		b := newBench(t, stream.Spec{Name: "cam", Inputs: []stream.Input{first.input("1", 1, time.Minute), second.input("2", 2, time.Minute)}})
		b.send(stream.Capture{Stream: "cam"})
		v := &viewer{t: t}
		stop := v.watch(b.want("cam", false))
		time.Sleep(10 * time.Second)
		first.off.Store(false)
		time.Sleep(time.Minute)
		if got, states := v.saw(), b.states("cam"); got != "2" || states != "fa" {
			t.Errorf("the viewer saw %s of inputs %s, want 2 of fa", got, states)
		}
		if _, is, _ := b.registry.Get("cam"); is.Inputs[0].Err == "" {
			t.Error("nothing says why the first is not returned to")
		} else {
			t.Log(is.Inputs[0].Err)
		}
		second.off.Store(true)
		time.Sleep(5 * time.Second)
		b.send(stream.Capture{Stream: "cam"}) // as the control plane does with a failed one
		time.Sleep(5 * time.Second)
		if got := strings.ReplaceAll(v.saw(), "\x00", ""); got != "21" { // it followed another node for a moment
			t.Errorf("after the second failed the viewer saw %s, want 21: better than nothing", got)
		}
		stop()
		b.end()
	})
}

func TestCaptureFailsOnceAllInputsHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &camera{tracks: tracks}, &camera{tracks: tracks}
		first.off.Store(true)
		second.off.Store(true)
		b := newBench(t, stream.Spec{Name: "cam", Inputs: []stream.Input{first.input("1", 1, time.Minute), second.input("2", 2, time.Minute)}})
		b.send(stream.Capture{Stream: "cam"})
		time.Sleep(20 * time.Second)
		if b.last() != stream.Failed {
			t.Errorf("status %v, want failed", b.last())
		}
		if n := first.starts.Load() + second.starts.Load(); n < 6 {
			t.Errorf("the inputs were tried %d times, want three times each", n)
		}
		b.end()
	})
}
