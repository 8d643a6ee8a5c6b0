package router

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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
	claim error         // what the control plane says to publishers
	pub   error         // what the stream says to them
	live  *stream.Live  // what the supervisor of streams gives; nil: nothing
	after time.Duration // when it does

	mu    sync.Mutex
	told  []string // messages and hooks, in order
	hooks string   // what hooks answer
}

// newFake is a node that knows cam as s says, and has the peer p.
func newFake(s directory.Stream, vhosts ...srs.Vhost) *fake {
	f := &fake{dir: directory.New("n"), hooks: "0"}
	log := slog.New(slog.DiscardHandler)
	hooks := srs.NewHooks("n", "i", log)
	hooks.Over(f)
	i, _, _ := newInstances()
	f.Router = New(Config{
		Directory: f.dir, Registry: stream.NewRegistry(), Instances: i, Hooks: hooks, Log: log,
		SRS:      srs.New(srs.Config{Vhosts: vhosts, Node: func() string { return "n" }, Log: log}),
		Streams:  f.streams,
		Hold:     func() time.Duration { return hold },
		Reserved: i.Reserved,
		Demanded: func(stream string, least time.Duration) { f.tell(fmt.Sprintf("demand %s %v", stream, least)) },
		Claim: func(_ context.Context, stream string) error {
			f.tell("claim " + stream)
			return f.claim
		},
		Unclaim: func(stream string) { f.tell("unclaim " + stream) },
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
		if f.live != nil {
			time.AfterFunc(f.after, func() { m.Reply <- f.live })
		}
	case stream.Publish:
		f.tell("publish " + m.Stream)
		m.Reply.Give(stream.Published{Publication: fakePublication{}, Err: f.pub})
	}
}

// RoundTrip answers hooks.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	_, action, _ := strings.Cut(string(body), `"action":"`)
	action, _, _ = strings.Cut(action, `"`)
	f.tell(action)
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(f.hooks)), Header: http.Header{}}, nil
}

type fakePublication struct{ listen.Publication }

func (fakePublication) Close() {}

// running is a stream that has media once media is called.
func running() (live *stream.Live, media func()) {
	live = &stream.Live{Hub: hub.New("cam", hub.Config{Tick: -1}), Store: cmaf.NewStore(cmaf.Config{})}
	return live, func() {
		w := live.Hub.NewWriter(nil)
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

func TestViewerIsHeldUntilItIsKnownWhatBecomesOfIt(t *testing.T) {
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

// hooked is the default virtual host with all hooks.
func hooked() srs.Vhost {
	v := srs.Vhost{Name: srs.DefaultVhost, Hooks: map[string][]string{}}
	for _, action := range []string{"on_connect", "on_close", "on_publish", "on_unpublish", "on_play", "on_stop"} {
		v.Hooks[action] = []string{"http://hooks.example.com/"}
	}
	return v
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
	for _, tt := range []struct {
		name   string
		stream directory.Stream
		do     func(ctx context.Context, f *fake) any
		says   string
		want   any
		hooks  []string
	}{
		{"a viewer that is served", here, play(protocols.TS, "/cam/mpegts"), "0", listen.Serve, []string{"on_play"}},
		{"a viewer that is sent on has gone", there, play(protocols.TS, "/cam/mpegts"), "0", listen.Redirect, []string{"on_play", "on_stop", "on_close"}},
		{"a viewer that must not", here, play(protocols.TS, "/cam/mpegts"), "1", listen.Refused, []string{"on_play"}},
		{"another node", here, play(protocols.Relay, "/cluster/relay/cam"), "0", listen.Serve, nil},
		{"a playlist, twice", here, func(ctx context.Context, f *fake) any {
			window("/cam/index.m3u8")(ctx, f)
			return window("/cam/index.m3u8")(ctx, f)
		}, "0", listen.Serve, []string{"on_play"}},
		{"a segment", here, window("/cam/s1.ts"), "0", listen.Serve, nil},
		{"a viewer that is to go on elsewhere", there, func(ctx context.Context, f *fake) any {
			return f.Locate(ctx, ask(protocols.TS, "/cam/mpegts")).Verdict
		}, "0", listen.Redirect, nil},
		{"a client that has connected stays one", there, func(ctx context.Context, f *fake) any {
			_ = f.Connect(ctx, listen.Request{Protocol: protocols.RTMP, Remote: ask(protocols.RTMP, "").Remote})
			q := ask(protocols.RTMP, "/live/x")
			q.Streams = []string{"live/x"}
			return f.Play(ctx, q).Verdict
		}, "0", listen.NotFound, []string{"on_connect", "on_play"}},
		{"a publisher", here, func(ctx context.Context, f *fake) any {
			_, err := f.Publish(ctx, ask(protocols.RTMP, "/live/cam"))
			return err
		}, "0", nil, []string{"on_publish"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(tt.stream, hooked())
				f.hooks = tt.says
				live, media := running()
				f.live = live
				media()
				got := tt.do(t.Context(), f)
				synctest.Wait() // hooks that ask nothing are sent beside the caller
				if got != tt.want {
					t.Errorf("it is answered with %v, want %v", got, tt.want)
				}
				hooks := slices.DeleteFunc(f.told, func(s string) bool { return !strings.HasPrefix(s, "on_") })
				if !slices.Equal(hooks, tt.hooks) {
					t.Errorf("hooks %q, want %q", hooks, tt.hooks)
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
