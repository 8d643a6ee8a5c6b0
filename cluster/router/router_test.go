package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/actors/hub"
	"weir/actors/stream"
	"weir/cluster/directory"
	"weir/cluster/srs"
	"weir/codecs"
	"weir/protocols"
	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

const hold = 5 * time.Second

// A fake is what a router needs of a node.
type fake struct {
	*Router
	dir   *directory.Directory
	claim error // what the control plane says to publishers

	relayed string // why the node that has the stream has no media

	tookOver bool          // with it
	pub      error         // what the stream says to them
	after    time.Duration // when the supervisor of streams answers

	mu    sync.Mutex
	live  *stream.Live // what the supervisor of streams gives; nil: nothing
	told  []string     // messages, in order
	hooks fakeHooks
}

// newFake is a node that knows cam as s says, and has the peer p.
func newFake(s directory.Stream, vhosts ...srs.Vhost) *fake {
	f := &fake{dir: directory.New("n")}
	log := slog.New(slog.DiscardHandler)
	i, _, _ := newInstances()
	f.Router = New(Config{
		Directory: f.dir, Registry: stream.NewRegistry(), Instances: i, Hooks: &f.hooks, Log: log,
		SRS: srs.New(srs.Config{
			Vhosts: vhosts, Node: func() string { return "n" }, Instance: "i", Own: func(string, string) bool { return false }, Log: log,
			Owner: func(string) (srs.Owner, bool) { return srs.Owner{}, false },
		}),
		Streams:  f.streams,
		Hold:     func() time.Duration { return hold },
		Reserved: i.Reserved,
		Demanded: func(stream string, least time.Duration) { f.tell(fmt.Sprintf("demand %s %v", stream, least)) },
		Claim: func(_ context.Context, stream string) (bool, error) {
			f.tell("claim " + stream)
			return f.tookOver, f.claim
		},
		Unclaim: func(stream string) { f.tell("unclaim " + stream) },
		Relayed: func(string) (string, bool) { return f.relayed, f.relayed != "" },
	})
	f.know(s)
	return f
}

func (f *fake) know(s directory.Stream) {
	public, private := url.URL{Scheme: "http", Host: "p.example.com"}, url.URL{Scheme: "http", Host: "10.0.0.2"}
	f.dir.Publish(&directory.View{
		Self: "n", Warm: true, Nodes: map[string]directory.Node{"p": {Name: "p", Alive: true, Public: &public, Private: &private}},
		Streams: map[string]directory.Stream{"cam": s},
	})
}

func (f *fake) tell(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, what)
}

// streams is the supervisor of streams.
func (f *fake) streams(msg any) {
	switch m := msg.(type) {
	case stream.Want:
		f.tell(fmt.Sprintf("want %s %t", m.Stream, m.Pack))
		f.mu.Lock()
		live := f.live
		f.mu.Unlock()
		if live != nil {
			time.AfterFunc(f.after, func() { m.Reply <- live })
		}
	case stream.Publish:
		f.tell("publish " + m.Stream)
		m.Reply.Give(stream.Published{Publication: fakePublication{}, Err: f.pub})
	}
}

// fakeHooks notes what they are asked.
type fakeHooks struct {
	asked     []string
	says      error
	published []string // streams
}

func (h *fakeHooks) ask(what string) error {
	h.asked = append(h.asked, what)
	return h.says
}

func (h *fakeHooks) Connect(context.Context, *srs.Vhost, listen.Request) error {
	return h.ask("connect")
}

func (h *fakeHooks) Publish(context.Context, *srs.Vhost, listen.Request) error {
	return h.ask("publish")
}

func (h *fakeHooks) Play(context.Context, *srs.Vhost, listen.Request) error { return h.ask("play") }

func (h *fakeHooks) Watch(context.Context, *srs.Vhost, listen.Request) error { return h.ask("watch") }

func (h *fakeHooks) Dismissed(netip.AddrPort) { _ = h.ask("dismissed") }

func (h *fakeHooks) Published(_ netip.AddrPort, stream string) func() {
	h.published = append(h.published, stream)
	return func() {}
}

type fakePublication struct{ listen.Publication }

func (fakePublication) Context() context.Context { return context.Background() }

func (fakePublication) Close() {}

// running is a stream that has media once media is called.
func running() (live *stream.Live, media func()) {
	live = &stream.Live{Hub: hub.New("cam", hub.Config{Tick: -1}), Store: cmaf.NewStore(cmaf.Config{})}
	return live, func() {
		w := live.Hub.NewWriter(hub.WriterConfig{})
		w.SetTracks(codecs.Tracks{{Codec: codecs.H264}})
		_ = w.Write(&codecs.AccessUnit{RandomAccess: true, Payload: []byte{1}})
	}
}

func ask(p protocols.Protocol, path string) listen.Request {
	return listen.Request{
		Protocol: p, Streams: []string{"cam"}, Path: path, Host: "n.example.com", Remote: netip.MustParseAddrPort("192.0.2.1:4000"),
	}
}

var playTests = []struct {
	name   string
	stream directory.Stream
	change func(*fake, func()) // called in a goroutine of its own; the function makes media
	want   listen.Answer       // without what is in reason
	reason string
	wait   time.Duration
	told   []string
}{
	{
		name: "captured here", stream: directory.Stream{Here: true, Running: true},
		change: func(_ *fake, media func()) { media() },
		want:   listen.Answer{Verdict: listen.Serve, Stream: "cam"}, told: []string{"want cam false"},
	},
	{
		name: "about to have media", stream: directory.Stream{Here: true},
		change: func(_ *fake, media func()) { time.Sleep(2 * time.Second); media() },
		want:   listen.Answer{Verdict: listen.Serve, Stream: "cam"}, wait: 2 * time.Second, told: []string{"want cam false"},
	},
	{
		name: "without media for too long", stream: directory.Stream{Here: true},
		want: listen.Answer{Verdict: listen.Unavailable, Stream: "cam", RetryAfter: retryAfter}, reason: "no media now", wait: hold, told: []string{"want cam false"},
	},
	{
		name: "on a peer", stream: directory.Stream{Owner: "p", OwnerRunning: true},
		want: listen.Answer{Verdict: listen.Redirect, Stream: "cam", Location: "http://p.example.com/cam/mpegts?weir_hops=1"},
	},
	{
		name: "about to be on a peer",
		change: func(f *fake, _ func()) {
			time.Sleep(time.Second)
			f.know(directory.Stream{Owner: "p", OwnerRunning: true})
		},
		want: listen.Answer{Verdict: listen.Redirect, Stream: "cam", Location: "http://p.example.com/cam/mpegts?weir_hops=1"}, wait: time.Second,
	},
	{
		name: "about to be here", stream: directory.Stream{},
		change: func(f *fake, media func()) {
			media()
			time.Sleep(time.Second)
			f.know(directory.Stream{Here: true, Running: true})
		},
		want: listen.Answer{Verdict: listen.Serve, Stream: "cam"}, wait: time.Second, told: []string{"want cam false"},
	},
	{
		name: "here and then on a peer", stream: directory.Stream{Here: true},
		change: func(f *fake, _ func()) {
			time.Sleep(time.Second)
			f.know(directory.Stream{Owner: "p", OwnerRunning: true})
		},
		want: listen.Answer{Verdict: listen.Redirect, Stream: "cam", Location: "http://p.example.com/cam/mpegts?weir_hops=1"}, wait: time.Second,
		told: []string{"want cam false"},
	},
	{
		name: "run by nobody", want: listen.Answer{Verdict: listen.Unavailable, Stream: "cam", RetryAfter: retryAfter},
		reason: "no node runs it yet", wait: hold,
	},
	{
		name: "published by nobody", stream: directory.Stream{Waiting: true},
		want: listen.Answer{Verdict: listen.Unavailable, Stream: "cam", RetryAfter: retryAfter}, reason: "nobody publishes it now",
	},
	{
		name: "switched off", stream: directory.Stream{Disabled: true},
		want: listen.Answer{Verdict: listen.NotFound, Stream: "cam"}, reason: "the stream is disabled: cam",
	},
	{
		name: "on demand", stream: directory.Stream{OnDemand: true},
		want: listen.Answer{Verdict: listen.Unavailable, Stream: "cam", RetryAfter: retryAfter}, reason: "no node runs it yet", wait: hold + StartUp,
		told: []string{"demand cam 0s"},
	},
}

func TestViewerIsHeldUntilTheAnswerIsSettled(t *testing.T) {
	for _, tt := range playTests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(tt.stream)
				live, media := running()
				f.live = live
				if tt.change != nil {
					go tt.change(f, media)
					synctest.Wait()
				}
				began := time.Now()
				got := f.Play(t.Context(), ask(protocols.TS, "/cam/mpegts"))
				if waited := time.Since(began); waited != tt.wait {
					t.Errorf("it took %v, want %v", waited, tt.wait)
				}
				if !strings.Contains(got.Reason, tt.reason) || (got.Reason == "") != (tt.reason == "") {
					t.Errorf("reason = %q, want %q in it", got.Reason, tt.reason)
				}
				if serves := got.Source != nil; serves != (tt.want.Verdict == listen.Serve) {
					t.Errorf("there is a source: %t", serves)
				}
				got.Reason, got.Source, got.Upstream, got.Public = "", nil, "", ""
				if got != tt.want {
					t.Errorf("Play = %+v, want %+v", got, tt.want)
				}
				if !slices.Equal(f.told, tt.told) {
					t.Errorf("told %q, want %q", f.told, tt.told)
				}
			})
		})
	}
}

func TestViewerOfAStreamThatEndsBeforeItsMediaGetsTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here := directory.Stream{Here: true, Running: true}
		f := newFake(here)
		ended, _ := running()
		f.live = ended
		go func() {
			time.Sleep(time.Second)
			ended.Hub.Close()
			live, media := running()
			media()
			f.mu.Lock()
			f.live = live
			f.mu.Unlock()
			f.know(here)
		}()
		began := time.Now()
		if got := f.Play(t.Context(), ask(protocols.TS, "/cam/mpegts")); got.Verdict != listen.Serve || time.Since(began) != time.Second {
			t.Errorf("Play = %+v after %v, want to be served after a second", got, time.Since(began))
		}
	})
}

func TestStreamThatNoFileHasIsNotFound(t *testing.T) {
	f := newFake(directory.Stream{})
	q := ask(protocols.RTMP, "/live/x")
	q.Streams = []string{"live/x", "x"}
	if got := f.Play(t.Context(), q); got.Verdict != listen.NotFound || got.Stream != "live/x" {
		t.Errorf("Play = %+v, want that live/x is not found", got)
	}
}

func TestSegmentsOfAnOnDemandStreamAreWaitedForWithoutViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(directory.Stream{Here: true, Running: true, OnDemand: true})
		live, media := running()
		f.live = live
		media()
		store, a := f.Window(t.Context(), ask(protocols.HLS, "/cam/index.m3u8"))
		if store != live.Store || a.Verdict != listen.Serve {
			t.Errorf("Window = %p, %+v, want the store of the stream", store, a)
		}
		if want := []string{"demand cam 0s", "want cam true", "demand cam 15s"}; !slices.Equal(f.told, want) {
			t.Errorf("told %q, want %q", f.told, want)
		}
	})
}

func TestHooksAreAskedOnceAboutAClient(t *testing.T) {
	here, there := directory.Stream{Here: true, Running: true, Configured: true}, directory.Stream{Owner: "p", OwnerRunning: true, Configured: true}
	play := func(p protocols.Protocol, path string) func(context.Context, *fake) any {
		return func(ctx context.Context, f *fake) any { return f.Play(ctx, ask(p, path)).Verdict }
	}
	window := func(path string) func(context.Context, *fake) any {
		return func(ctx context.Context, f *fake) any {
			_, a := f.Window(ctx, ask(protocols.HLS, path))
			return a.Verdict
		}
	}
	publish := func(ctx context.Context, f *fake) any {
		_, err := f.Publish(ctx, ask(protocols.RTMP, "/live/cam"))
		return errors.Is(err, listen.ErrDenied)
	}
	for _, tt := range []struct {
		name   string
		stream directory.Stream
		do     func(ctx context.Context, f *fake) any
		says   error
		want   any
		asked  []string
	}{
		{"a viewer that is served", here, play(protocols.TS, "/cam/mpegts"), nil, listen.Serve, []string{"play"}},
		{"a viewer that is sent on", there, play(protocols.TS, "/cam/mpegts"), nil, listen.Redirect, []string{"play", "dismissed"}},
		{"a viewer that must not", here, play(protocols.TS, "/cam/mpegts"), listen.ErrDenied, listen.Refused, []string{"play"}},
		{"another node", here, play(protocols.Relay, "/cluster/relay/cam"), nil, listen.Serve, nil},
		{"a playlist", here, window("/cam/index.m3u8"), nil, listen.Serve, []string{"watch"}},
		{"a playlist that must not be had", here, window("/cam/index.m3u8"), listen.ErrDenied, listen.Refused, []string{"watch"}},
		{"a segment", here, window("/cam/s1.ts"), nil, listen.Serve, nil},
		{"a viewer that is to go on elsewhere", there, func(ctx context.Context, f *fake) any {
			return f.Locate(ctx, ask(protocols.TS, "/cam/mpegts")).Verdict
		}, nil, listen.Redirect, nil},
		{"a client that connects", here, func(ctx context.Context, f *fake) any {
			return f.Connect(ctx, ask(protocols.RTMP, "/live"))
		}, listen.ErrDenied, listen.ErrDenied, []string{"connect"}},
		{"a publisher", here, publish, nil, false, []string{"publish"}},
		{"a publisher that must not", here, publish, listen.ErrDenied, true, []string{"publish"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(tt.stream)
				f.hooks.says = tt.says
				live, media := running()
				f.live = live
				media()
				if got := tt.do(t.Context(), f); got != tt.want {
					t.Errorf("it is answered with %v, want %v", got, tt.want)
				}
				if !slices.Equal(f.hooks.asked, tt.asked) {
					t.Errorf("hooks %q, want %q", f.hooks.asked, tt.asked)
				}
			})
		})
	}
}

func TestRequestIsResolvedToTheNamesOfItsVirtualHost(t *testing.T) {
	f := newFake(directory.Stream{}, srs.Vhost{Name: "v.example.com"})
	q := ask(protocols.RTMP, "/live/x")
	q.Streams, q.Query = []string{"live/x"}, "vhost=v.example.com"
	if got := f.Play(t.Context(), q); got.Stream != "v.example.com/live/x" {
		t.Errorf("%q is meant, want v.example.com/live/x", got.Stream)
	}
}

func TestViewerOfARelayIsToldAtOnceWhyTheOwnerHasNoMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(directory.Stream{Owner: "p"})
		f.live, _ = running()
		f.relayed = "its input fails: connection refused"
		start := time.Now()
		a := f.Play(t.Context(), ask(protocols.RTMP, "/live/cam"))
		if a.Verdict != listen.Unavailable || !a.Failing || a.Reason != f.relayed || time.Since(start) > time.Second {
			t.Errorf("answered with %+v after %s, want the reason of the owner at once", a, time.Since(start))
		}
	})
}

func TestViewerOfAStreamThatHasFailedOnAllNodesIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, s := range []directory.Stream{{Failed: "timeout"}, {Failed: "timeout", Configured: true, OnDemand: true, Own: true}} {
			f := newFake(s)
			start := time.Now()
			a := f.Play(t.Context(), ask(protocols.RTMP, "/live/cam"))
			if a.Verdict != listen.Unavailable || !a.Failing || !strings.HasSuffix(a.Reason, "timeout") || time.Since(start) != 0 {
				t.Errorf("answered with %+v after %s, want the reason at once", a, time.Since(start))
			}
		}
	})
}
