package source

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/cluster/directory"
	"weir/cluster/origin"
	"weir/codecs"
	"weir/codecs/reception"
	"weir/protocols/pull"
)

// out is a writer that drops all media.
type out struct {
	reception.Report
	err error
}

func (out) SetTracks(codecs.Tracks)          {}
func (o out) Write(*codecs.AccessUnit) error { return o.err }
func (out) Rejoin() (int64, bool)            { return 9000, true }

// nodes answers requests for relays as its hosts are set, and notes them. A host that is not set does not answer.
type nodes struct {
	mu    sync.Mutex
	down  map[string]error
	asked []string
}

func (n *nodes) set(host string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[host] = err
}

func (n *nodes) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.asked = append(n.asked, r.URL.String())
	err := n.down[r.URL.Host]
	n.mu.Unlock()
	if err != nil {
		return nil, err
	}
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

// questions are the requests since the last call.
func (n *nodes) questions() []string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.asked
	n.asked = nil
	return q
}

// external is an External that has the streams in its list.
type external struct {
	mu        sync.Mutex
	streams   []string
	expecting chan struct{}
}

var errExternal = errors.New("no server has it")

func (e *external) Expecting() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.expecting
}

func (e *external) Expected(stream string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.streams, stream)
}

func (e *external) Pull(context.Context, string, input.Writer) error { return errExternal }

func (e *external) expect(stream string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.streams = append(e.streams, stream)
	close(e.expecting)
	e.expecting = make(chan struct{})
}

// at is a view of a cluster in which a node has the stream "cam".
func at(node string) *directory.View {
	u, _ := url.Parse("http://" + node)
	return &directory.View{
		Self: "n1", Warm: true, Nodes: map[string]directory.Node{node: {Name: node, Alive: true, Private: u}},
		Streams: map[string]directory.Stream{"cam": {Owner: node, OwnerRunning: true}},
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestRelayFollowsTheOwnerAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, e := &nodes{down: map[string]error{}}, &external{expecting: make(chan struct{})}
		r := &Relays{
			Directory: directory.New("n1"), External: e, Transport: func(string) http.RoundTripper { return n },
			Hold: func() time.Duration { return time.Hour }, Wait: wait, Log: slog.New(slog.DiscardHandler),
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Follow("cam").(input.Run)(ctx, out{}) }()
		if q := n.questions(); q != nil {
			t.Errorf("asked %v before anybody has the stream", q)
		}
		r.Directory.Publish(at("n2"))
		if q, want := n.questions(), []string{"http://n2/cluster/relay/cam?hops=1&after=9000"}; !slices.Equal(q, want) {
			t.Errorf("asked %q, want %q", q, want)
		}
		n.set("n3", errors.New("no route"))
		r.Directory.Publish(at("n3"))
		time.Sleep(10 * RelayPause)
		if q := n.questions(); len(q) < 5 || !strings.HasPrefix(q[0], "http://n3/") {
			t.Errorf("asked %q, want n3 again and again", q)
		}
		r.Directory.Publish(at("n2"))
		if q := n.questions(); len(q) != 1 || !strings.HasPrefix(q[0], "http://n2/") {
			t.Errorf("once n2 has it, asked %q, want n2 without a pause", q)
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v, want the context's error", err)
		}
	})
}

func TestStreamThatNoNodeHasComesFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &external{expecting: make(chan struct{})}
		r := &Relays{Directory: directory.New("n1"), External: e, Wait: wait, Log: slog.New(slog.DiscardHandler)}
		ended := make(chan error, 1)
		go func() { ended <- r.Follow("live/x").(input.Run)(t.Context(), out{}) }()
		synctest.Wait()
		e.expect("live/x")
		if err := <-ended; !errors.Is(err, errExternal) {
			t.Errorf("ended with %v, want %v", err, errExternal)
		}
	})
}

func opener(o Origins) *Opener {
	return &Opener{Clock: pull.SystemClock(), Agent: "weir/test", Origins: o, Log: slog.New(slog.DiscardHandler)}
}

func TestOriginsAreTriedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nodes{down: map[string]error{"a": errors.New("no route"), "b": errors.New("no route")}}
		var d origin.Directory
		d.Sources([]string{"a", "b"})
		d.Set("a", []origin.Stream{{Name: "o/cam", Origin: "cam"}})
		d.Set("b", []origin.Stream{{Name: "o/cam", Origin: "cam", Running: true}})
		src, err := opener(Origins{
			Directory: &d, Transport: func(string) http.RoundTripper { return n }, URL: func(name string) string { return "http://" + name },
			Answer: func() time.Duration { return time.Hour },
		}).Open(Input{Kind: "source", Stream: "o/cam"})
		if err != nil {
			t.Fatal(err)
		}
		run := src.(input.Run)
		if err := run(t.Context(), out{}); err == nil || !strings.Contains(err.Error(), "source a: ") {
			t.Errorf("ended with %v, want the failure of the last origin", err)
		}
		want := []string{"http://b/cluster/relay/cam?hops=1&edge=1", "http://a/cluster/relay/cam?hops=1&edge=1"}
		if q := n.questions(); !slices.Equal(q, want) {
			t.Errorf("asked %q, want %q", q, want)
		}
		n.set("b", nil)
		ended := make(chan error, 1)
		go func() { ended <- run(t.Context(), out{}) }()
		synctest.Wait()
		d.Set("b", nil) // and on to a, which fails
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "source a: ") {
			t.Errorf("ended with %v, want the failure of the origin that is left", err)
		}
	})
}

func TestEachKindOfInputIsOpened(t *testing.T) {
	for kind := range kinds {
		if src, err := opener(Origins{}).Open(Input{Kind: kind, Address: "http://127.0.0.1:9/x"}); src == nil || err != nil {
			t.Errorf("%s: %v, %v", kind, src, err)
		}
	}
	if _, err := opener(Origins{}).Open(Input{Kind: "srt"}); err == nil || !strings.Contains(err.Error(), `"srt"`) {
		t.Errorf("an unknown kind: %v, want an error that names it", err)
	}
	if _, err := opener(Origins{}).Open(Input{Kind: "fake", Query: "size=huge"}); err == nil {
		t.Error("a pattern without a size was opened")
	}
}

func TestLinearChannelKnowsItsSegmentsOnceItHasBeenOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := act.NewSystem(nil)
		env := act.NewReal(sys, nil)
		ends := make(chan error, 1)
		owner := sys.Root.Spawn(act.Props(env, "input", func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				if m, ok := ctx.Message().(act.Ended); ok {
					ends <- m.Err
				}
			})
		}))
		src, err := opener(Origins{}).Open(Input{Kind: "fake"})
		if err != nil {
			t.Fatal(err)
		}
		l := src.(input.Linear)
		if _, err := l.Backfill(1); !errors.Is(err, errNotOpen) || l.SegmentAt(1) != 0 || l.Longest() != 0 {
			t.Errorf("before it is opened: %v, segment %d, longest %d", err, l.SegmentAt(1), l.Longest())
		}
		src.Start(env, owner, out{err: hub.ErrReplaced})
		if err := <-ends; !errors.Is(err, hub.ErrReplaced) {
			t.Errorf("ended with %v, want %v", err, hub.ErrReplaced)
		}
		if units, err := l.Backfill(100); err != nil || len(units) == 0 || l.SegmentAt(1<<40) == 0 || l.Longest() == 0 {
			t.Errorf("once opened: %d units, %v, segment %d, longest %d", len(units), err, l.SegmentAt(1<<40), l.Longest())
		}
		_ = sys.Root.StopFuture(owner).Wait()
		time.Sleep(time.Hour)
	})
}

func TestFileThatIsNoneIsAnErrorThatNamesIt(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.mp4"), []byte("no film"), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := opener(Origins{}).Open(Input{Kind: "file", Root: dir, File: "x.mp4"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := src.(*channel).open(reception.Discard); err == nil || !strings.Contains(err.Error(), "x.mp4") {
		t.Errorf("opening: %v, want an error that names the file", err)
	}
}

func TestFirstAccessUnitIsToldOnceWhereAnybodyWantsToKnow(t *testing.T) {
	told := 0
	for _, begun := range []func(){nil, func() { told++ }} {
		w := &watched{Writer: out{}, begun: begun}
		for range 2 {
			if err := w.Write(&codecs.AccessUnit{}); err != nil || !w.wrote {
				t.Errorf("Write = %v, written: %t", err, w.wrote)
			}
		}
	}
	if told != 1 {
		t.Errorf("it is told %d times, want once", told)
	}
}
