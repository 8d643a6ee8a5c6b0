package stream_test

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/actors/packager"
	"weir/actors/stream"
	"weir/codecs"
	"weir/protocols/listen"
)

var tracks = codecs.Tracks{{Codec: codecs.H264, Config: []byte{1}, Width: 64, Height: 48}}

const picture = 3600 // ticks between access units

func unit(dts int64) *codecs.AccessUnit {
	return &codecs.AccessUnit{
		DTS: dts, PTS: dts, RandomAccess: dts%(10*picture) == 0,
		Payload: binary.BigEndian.AppendUint64(nil, uint64(dts)),
	}
}

// channel is a source on the timeline of the bubble's clock, the same wherever it runs.
func channel(starts *atomic.Int64) input.Run {
	return func(ctx context.Context, w input.Writer) error {
		starts.Add(1)
		w.SetTracks(tracks)
		n := time.Now().UnixMilli() / 40
		n -= n % 10
		for {
			for ; n*40 <= time.Now().UnixMilli(); n++ {
				if err := w.Write(unit(n * picture)); err != nil {
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
}

// bomb is an environment whose clock fails once when told to: the way to make a core fail, which reads the clock for
// each decision.
type bomb struct {
	*act.Real
	armed atomic.Bool
}

func (b *bomb) Now() time.Duration {
	if b.armed.Load() && calledByCore() && b.armed.CompareAndSwap(true, false) {
		panic("the clock fell off the wall")
	}
	return b.Real.Now()
}

// calledByCore says whether a method of the core is among its callers; inputs and their monitors ask for the time, too.
func calledByCore() bool {
	callers := make([]uintptr, 16)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "stream.(*core)") {
			return true
		}
		if !more {
			return false
		}
	}
}

type bench struct {
	sys      *actor.ActorSystem
	env      *bomb
	pid      *actor.PID
	registry *stream.Registry
	relayed  atomic.Int64

	mu       sync.Mutex
	statuses []stream.State
}

func newBench(t *testing.T, specs ...stream.Spec) *bench {
	t.Helper()
	return newBenchWith(t, func(*stream.Config) {}, specs...)
}

func newBenchWith(t *testing.T, change func(*stream.Config), specs ...stream.Spec) *bench {
	t.Helper()
	b := &bench{sys: act.NewSystem(nil), registry: stream.NewRegistry()}
	b.env = &bomb{Real: act.NewReal(b.sys, nil)}
	c := stream.Config{
		Pack:  packager.Config{Wall: time.Now},
		Relay: func(string) input.Source { return channel(&b.relayed) },
		Wall:  func() int64 { return time.Now().UnixMilli() * 90 },
		Report: func(_ actor.Context, s stream.Status) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.statuses = append(b.statuses, s.State)
		},
		Registry: b.registry,
	}
	change(&c)
	pid, err := b.sys.Root.SpawnNamed(stream.Supervisor(b.env, c), "streams")
	if err != nil {
		t.Fatal(err)
	}
	b.pid = pid
	b.sys.Root.Send(pid, stream.Configure{Specs: specs})
	return b
}

func (b *bench) send(msg any) { b.sys.Root.Send(b.pid, msg); synctest.Wait() }

func (b *bench) last() stream.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.statuses) == 0 {
		return 0
	}
	return b.statuses[len(b.statuses)-1]
}

func (b *bench) want(name string, pack bool) *stream.Live {
	reply := make(chan *stream.Live, 1)
	b.sys.Root.Send(b.pid, stream.Want{Stream: name, Pack: pack, Reply: reply})
	return <-reply
}

func (b *bench) end() {
	b.sys.Root.StopFuture(b.pid).Wait()
	time.Sleep(time.Hour) // protoactor's own goroutines for dead letters
}

// watch reads a viewer's feed until stop is called, which returns whether every access unit came.
func watch(t *testing.T, live *stream.Live) (stop func()) {
	f := live.Hub.Units()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer f.Close()
		last := int64(0)
		for {
			units, _, err := f.Next(ctx, nil)
			if err != nil {
				return
			}
			for _, au := range units {
				if last != 0 && au.DTS != last+picture {
					t.Errorf("access unit %d follows %d, want %d", au.DTS/picture, last/picture, last/picture+1)
				}
				last = au.DTS
			}
		}
	}()
	return func() { cancel(); <-done }
}

func kept(name string, starts *atomic.Int64) stream.Spec {
	return stream.Spec{Name: name, Inputs: []stream.Input{{Config: input.Config{URL: "test://" + name, Source: channel(starts)}}}}
}

func TestCoreThatFailsLosesNoAccessUnitAndTellsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts atomic.Int64
		b := newBench(t, kept("a/b", &starts))
		b.send(stream.Capture{Stream: "a/b"})
		time.Sleep(time.Second)
		live := b.want("a/b", false)
		stop := watch(t, live)
		time.Sleep(time.Second)
		b.mu.Lock()
		before := len(b.statuses)
		b.mu.Unlock()

		b.env.armed.Store(true)
		b.want("a/b", false)
		time.Sleep(20 * time.Second)
		if b.env.armed.Load() {
			t.Fatal("the core did not fail")
		}
		if got := b.env.Tree().Restarts()["core"]; got != 1 {
			t.Errorf("cores restarted = %d, want 1", got)
		}
		if got := starts.Load(); got != 1 {
			t.Errorf("the input was started %d times, want 1", got)
		}
		b.mu.Lock()
		if len(b.statuses) != before {
			t.Errorf("the control plane was told %v of a failing core", b.statuses[before:])
		}
		b.mu.Unlock()
		b.send(stream.Release{Stream: "a/b", To: ""}) // the new core knows what runs
		if b.last() != stream.Stopped {
			t.Errorf("status after the release = %v, want stopped", b.last())
		}
		stop()
		b.end()
	})
}

func TestViewerOfAReleasedStreamSeesEveryAccessUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts atomic.Int64
		b := newBench(t, kept("cam", &starts))
		b.send(stream.Capture{Stream: "cam"})
		time.Sleep(time.Second)
		stop := watch(t, b.want("cam", false))
		time.Sleep(time.Second)
		b.send(stream.Release{Stream: "cam", To: "other"})
		time.Sleep(3 * time.Second)
		if b.last() != stream.Stopped {
			t.Errorf("status = %v, want stopped", b.last())
		}
		_, snap, _ := b.registry.Get("cam")
		if snap.Role != stream.Following {
			t.Errorf("role = %s, want following", snap.Role)
		}
		b.send(stream.Capture{Stream: "cam"}) // and back
		time.Sleep(3 * time.Second)
		if b.last() != stream.Running {
			t.Errorf("status = %v, want running", b.last())
		}
		stop()
		b.end()
	})
}

func TestStreamThatNobodyNeedsIsLetGoAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		live := b.want("far", false)
		time.Sleep(time.Second)
		stop := watch(t, live)
		time.Sleep(time.Minute)
		if _, _, ok := b.registry.Get("far"); !ok {
			t.Error("a watched stream was let go")
		}
		stop()
		time.Sleep(time.Minute)
		if _, _, ok := b.registry.Get("far"); ok {
			t.Error("a stream that nobody watches was kept")
		}
		if again := b.want("far", false); again == live || again.Hub.Closed() {
			t.Error("the stream that was wanted again is the one that had ended")
		}
		b.end()
	})
}

// A ring of four access units holds none of the pictures that a viewer left unread for a minute.
func TestHubOfAStreamThatNoSpecificationNamesIsThatOfTheOneWithoutName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			units int
			drops bool
		}{{4, true}, {0, false}} {
			b := newBench(t, stream.Spec{Hub: hub.Config{Units: tt.units}})
			live := b.want("far", false)
			feed := live.Hub.Units()
			time.Sleep(time.Minute)
			for range 3 {
				if _, _, err := feed.Next(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			if got := live.Hub.Dropped() > 0; got != tt.drops {
				t.Errorf("a ring of %d access units: viewers missed some: %t, want %t", tt.units, got, tt.drops)
			}
			feed.Close()
			b.end()
		}
	})
}

func TestFailingInputRestartsAloneThenTheCaptureFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error // nil: the source just ends
	}{{"an error", errors.New("no such file")}, {"the end of the source", nil}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var starts atomic.Int64
				broken := input.Run(func(context.Context, input.Writer) error { starts.Add(1); return tt.err })
				b := newBench(t, stream.Spec{Name: "cam", Inputs: []stream.Input{{Config: input.Config{URL: "test://x", Source: broken}}}})
				b.send(stream.Capture{Stream: "cam"})
				time.Sleep(5 * time.Second)
				if got := starts.Load(); got != 3 {
					t.Errorf("the input was tried %d times before the capture failed, want 3", got)
				}
				if b.last() != stream.Failed {
					t.Errorf("status = %v, want failed", b.last())
				}
				b.env.armed.Store(true)
				b.want("cam", false)
				time.Sleep(5 * time.Second)
				if b.env.armed.Load() {
					t.Fatal("the core did not fail")
				}
				if got := starts.Load(); got != 3 {
					t.Errorf("the core that was restarted begins the capture anew, which is over: %d attempts, want 3", got)
				}
				b.end()
			})
		})
	}
}

// TestInputThatFailsAgainAndAgainIsBackWithinSeconds has a source bring media for a while each time and then fail.
func TestInputThatFailsAgainAndAgainIsBackWithinSeconds(t *testing.T) {
	for _, tt := range []struct{ lasts, most time.Duration }{{20 * time.Second, 250 * time.Millisecond}, {8 * time.Second, 5 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			var ignored, starts atomic.Int64
			var failed, longest time.Duration
			began := time.Now()
			flaky := input.Run(func(ctx context.Context, w input.Writer) error {
				if starts.Add(1) > 1 {
					longest = max(longest, time.Since(began)-failed)
				}
				ctx, cancel := context.WithTimeout(ctx, tt.lasts)
				defer cancel()
				err := channel(&ignored)(ctx, w)
				failed = time.Since(began)
				return err
			})
			b := newBench(t, stream.Spec{Name: "cam", Inputs: []stream.Input{{Config: input.Config{URL: "test://x", Source: flaky}}}})
			b.send(stream.Capture{Stream: "cam"})
			time.Sleep(5 * time.Minute)
			b.end()
			if starts.Load() < 10 || longest > tt.most {
				t.Errorf("a source that fails after %v was started %d times, once after %v, want at most %v", tt.lasts, starts.Load(), longest, tt.most)
			}
		})
	}
}

func TestStateOfAnInputIsThatOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &camera{tracks: tracks}
		c.off.Store(true)
		b := newBench(t, stream.Spec{Name: "cam", Inputs: []stream.Input{c.input("1", 1, time.Minute)}})
		state := func() stream.InputState {
			t.Helper()
			_, s, ok := b.registry.Get("cam")
			if !ok || len(s.Inputs) != 1 {
				t.Fatalf("the state is %+v, %t, want that of one input", s, ok)
			}
			return s.Inputs[0]
		}
		b.send(stream.Capture{Stream: "cam"})
		time.Sleep(100 * time.Millisecond)
		if s := state(); s.Active || s.Err == "" {
			t.Errorf("while the source refuses: %+v, want its failure", s)
		}
		c.off.Store(false)
		time.Sleep(5 * time.Second)
		if s := state(); !s.Active || s.Err != "" {
			t.Errorf("while the source delivers: %+v, want it active, without a failure", s)
		}
		b.send(stream.Release{Stream: "cam", To: "n2"})
		time.Sleep(time.Second)
		if s := state(); s.Active || !s.Standby {
			t.Errorf("after the capture: %+v, want it standing by", s)
		}
		b.end()
	})
}

func TestSecondPublisherIsRefusedUntilFirstLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, stream.Spec{Name: "live", Published: true})
		publish := func() (listen.Publication, error) {
			reply := act.NewReply[stream.Published]()
			b.send(stream.Publish{Stream: "live", Session: "1.2.3.4", Reply: reply})
			p, err := reply.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return p.Publication, p.Err
		}
		first, err := publish()
		if err != nil {
			t.Fatalf("first publisher: %v", err)
		}
		if _, err := publish(); !errors.Is(err, listen.ErrBusy) {
			t.Errorf("second publisher: error = %v, want %v", err, listen.ErrBusy)
		}
		first.SetTracks(tracks)
		if err := first.Write(unit(0)); err != nil {
			t.Errorf("Write = %v, want nil", err)
		}
		synctest.Wait()
		if b.last() != stream.Running {
			t.Errorf("status = %v, want running", b.last())
		}
		feed := b.want("live", false).Hub.Units()
		defer feed.Close()
		if _, changed, err := feed.Next(t.Context(), nil); err != nil || !changed.Equal(tracks) {
			t.Fatalf("tracks = %v, %v, want %v", changed, err, tracks)
		}
		units, _, err := feed.Next(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if now := time.Now().UnixMilli() * 90; len(units) != 1 || units[0].DTS != now {
			t.Errorf("the publisher's zero became %v, want the wall clock's %d", units, now)
		}
		b.send(stream.Kick{Stream: "live", Why: "go away"})
		if err := first.Write(unit(picture)); err == nil || err.Error() != "go away" {
			t.Errorf("Write after the kick = %v, want go away", err)
		}
		synctest.Wait()
		if b.last() != stream.Unpublished {
			t.Errorf("status = %v, want unpublished", b.last())
		}
		if _, err := publish(); err != nil {
			t.Errorf("second publisher, after the first left: %v", err)
		}
		b.end()
	})
}

func TestCaptureThatACoreFailedOnIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts atomic.Int64
		b := newBench(t, kept("cam", &starts))
		b.want("cam", false)
		time.Sleep(time.Second)
		b.env.armed.Store(true)
		b.send(stream.Capture{Stream: "cam"})
		time.Sleep(5 * time.Second)
		if b.env.armed.Load() {
			t.Fatal("the core did not fail")
		}
		if b.last() != stream.Running || starts.Load() != 1 {
			t.Errorf("status = %v after %d starts, want running after 1", b.last(), starts.Load())
		}
		b.env.armed.Store(true)
		b.send(stream.Release{Stream: "cam"})
		time.Sleep(5 * time.Second)
		if b.last() != stream.Stopped {
			t.Errorf("status = %v, want stopped", b.last())
		}
		b.end()
	})
}

func TestStreamThatIsAskedForWhileItIsLetGoIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts atomic.Int64
		b := newBench(t, kept("cam", &starts))
		b.want("cam", false)
		// The stream is let go some ten seconds after nobody wants it; what is asked at any moment around that counts.
		for at := 9 * time.Second; at < 15*time.Second; at += 250 * time.Millisecond {
			b.want("cam", false)
			time.Sleep(at)
			b.send(stream.Capture{Stream: "cam"})
			time.Sleep(time.Second)
			if b.last() != stream.Running {
				t.Fatalf("status = %v, asked %v after the last viewer; want running", b.last(), at)
			}
			b.send(stream.Release{Stream: "cam"})
			time.Sleep(time.Second)
			if b.last() != stream.Stopped {
				t.Fatalf("status = %v, want stopped", b.last())
			}
		}
		b.end()
	})
}

func TestPublisherIsToldWhenItsStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, stream.Spec{Name: "live", Published: true})
		reply := act.NewReply[stream.Published]()
		b.send(stream.Publish{Stream: "live", Session: "1.2.3.4", Reply: reply})
		p, err := reply.Wait(t.Context())
		if err != nil || p.Err != nil {
			t.Fatal(err, p.Err)
		}
		time.Sleep(time.Minute) // it has sent nothing yet
		p.Publication.SetTracks(tracks)
		if err := p.Publication.Write(unit(0)); err != nil {
			t.Errorf("Write after a minute of silence = %v, want nil", err)
		}
		b.send(stream.Configure{}) // the file has it no more
		time.Sleep(time.Second)
		if err := p.Publication.Write(unit(picture)); err == nil {
			t.Error("the publisher goes on after its stream has ended")
		}
		if b.last() != stream.Unpublished && b.last() != stream.Stopped {
			t.Errorf("status = %v, want unpublished or stopped", b.last())
		}
		b.end()
	})
}

func TestSegmentsOfAnExternalStreamAreMadeWhileTheyAreWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ask := func(external bool) stream.Snapshot {
			reply := make(chan *stream.Live, 1)
			b.send(stream.Want{Stream: "far", Pack: true, External: external, Reply: reply})
			<-reply
			_, is, _ := b.registry.Get("far")
			return is
		}
		for range 20 { // a player that asks for a playlist now and then
			ask(true)
			time.Sleep(8 * time.Second)
			if _, is, _ := b.registry.Get("far"); !is.Packing || is.Role != stream.Following {
				t.Fatalf("while it is wanted the stream is %+v, want it to be relayed and packed", is)
			}
		}
		time.Sleep(2 * time.Minute)
		if _, is, ok := b.registry.Get("far"); ok {
			t.Errorf("the stream is still here after nobody wanted it for long: %+v", is)
		}
		ask(true)
		time.Sleep(time.Second)
		ask(false) // some node captures it now: segments are made there
		time.Sleep(time.Minute)
		if _, is, ok := b.registry.Get("far"); ok && is.Packing {
			t.Errorf("segments are still made here: %+v", is)
		}
		b.end()
	})
}
