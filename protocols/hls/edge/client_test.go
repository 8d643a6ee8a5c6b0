package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/protocols/hls/playlist"
)

// nodes answer requests without sockets: with the text of a playlist, or with the name of a segment.
type nodes struct {
	mu    sync.Mutex
	asked []string       // URLs, in order
	down  map[string]int // by host: the status of all answers
	slow  chan struct{}  // if not nil, answers wait until it is closed
}

const text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\ns5.ts\n#EXTINF:4,\ns6.ts\n"

// RoundTrip implements [http.RoundTripper].
func (n *nodes) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.asked = append(n.asked, r.URL.String())
	status, slow := http.StatusOK, n.slow
	if s := n.down[r.URL.Host]; s != 0 {
		status = s
	}
	n.mu.Unlock()
	if slow != nil {
		select {
		case <-slow:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	body := text
	if i := strings.LastIndexByte(r.URL.Path, '/'); !strings.HasSuffix(r.URL.Path, ".m3u8") {
		body = r.URL.Path[i+1:]
	}
	return &http.Response{StatusCode: status, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}, nil
}

// count returns how many requests there were, and forgets them.
func (n *nodes) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := len(n.asked)
	n.asked = nil
	return c
}

func newClient(t *testing.T, n *nodes) *Client {
	c := New(time.Second, n, slog.New(slog.DiscardHandler))
	t.Cleanup(c.Close)
	return c
}

var (
	group  = Source{Stream: "cam", Path: "/cam/", Node: "http://a"}
	media  = playlist.File{Name: "ts.m3u8", Kind: playlist.MediaFile}
	chosen = Source{Stream: "cam", Path: "/cam/", Node: "http://b", Separate: true}
)

func TestRequestGoesOnWhenTheCallerThatBeganItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nodes{slow: make(chan struct{})}
		c := newClient(t, n)
		ctx, leave := context.WithCancel(t.Context())
		left, stayed := make(chan error, 2), make(chan error, 4)
		fetch := func(ctx context.Context, done chan<- error) {
			go func() { _, err := c.Segment(ctx, group, "s5.ts"); done <- err }()
			go func() { _, err := c.Playlist(ctx, &Reload{}, group, media, false); done <- err }()
			synctest.Wait()
		}
		fetch(ctx, left)
		fetch(t.Context(), stayed)
		leave()
		for range 2 {
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("the caller that left: %v, want %v", err, context.Canceled)
			}
		}
		fetch(t.Context(), stayed) // comes later
		close(n.slow)
		for range 4 {
			if err := <-stayed; err != nil {
				t.Errorf("the caller that stayed: %v", err)
			}
		}
		if got := n.count(); got != 2 {
			t.Errorf("%d requests, want one for the segment and one for the playlist", got)
		}
		if b := c.Cached(group, "s5.ts"); string(b) != "s5.ts" {
			t.Errorf("cached: %q, want the segment", b)
		}
	})
}

func TestSilentNodeIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &nodes{slow: make(chan struct{})})
		start := time.Now()
		if _, err := c.Segment(t.Context(), group, "s5.ts"); !errors.Is(err, ErrSilent) || time.Since(start) != time.Second {
			t.Errorf("Segment() = %v after %s, want %v after 1s", err, time.Since(start), ErrSilent)
		}
	})
}

func TestCloseEndsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &nodes{slow: make(chan struct{})})
		start := time.Now()
		ended := make(chan error)
		go func() { _, err := c.Segment(t.Context(), group, "s5.ts"); ended <- err }()
		synctest.Wait()
		c.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(start) != 0 {
			t.Errorf("Segment() = %v after %s, want %v at once", err, time.Since(start), context.Canceled)
		}
	})
}

func TestNodeIsAskedForAPlaylistNoMoreOftenThanNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nodes{down: map[string]int{"down": 503}}
		c := newClient(t, n)
		up, down := group, group
		down.Node = "http://down"
		var r Reload
		for i, step := range []struct {
			after     time.Duration
			source    Source
			canRepeat bool
			err       error
			requests  int
		}{
			{0, up, false, nil, 1},
			{freshFor - 1, up, false, nil, 0},
			{1, up, false, nil, 1},
			{0, down, true, Status(503), 1},
			{backOff - 1, down, true, ErrSilent, 0},
			{0, down, false, Status(503), 1}, // a caller that has nothing to repeat
			{backOff - 1, down, true, ErrSilent, 0},
			{1, down, true, Status(503), 1},
			{0, up, true, nil, 1}, // another node
		} {
			time.Sleep(step.after)
			p, err := c.Playlist(t.Context(), &r, step.source, media, step.canRepeat)
			if !errors.Is(err, step.err) || err == nil && p.Last() != 6 {
				t.Errorf("step %d: Playlist() = %v, %v, want error %v", i, p, err, step.err)
			}
			if got := n.count(); got != step.requests {
				t.Errorf("step %d: %d requests, want %d", i, got, step.requests)
			}
		}
	})
}

func TestFilesOfAChosenServerAreItsOwn(t *testing.T) {
	n := &nodes{}
	c := newClient(t, n)
	second := group
	second.Node = "http://c"
	for _, s := range []Source{group, second, chosen, chosen} {
		if _, err := c.Segment(t.Context(), s, "s5.ts"); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"http://a/cam/s5.ts?weir_hops=1", "http://b/cam/s5.ts?weir_here=1&weir_hops=1"}
	if !slices.Equal(n.asked, want) {
		t.Errorf("requests = %q, want %q", n.asked, want)
	}
}

func TestPrefetchBringsWhatIsMissingUntilARequestFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nodes{}
		c := newClient(t, n)
		var r Reload
		p, err := c.Playlist(t.Context(), &r, group, media, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Segment(t.Context(), group, "s5.ts"); err != nil {
			t.Fatal(err)
		}
		n.count()
		for range 2 { // the second call has the same playlist
			c.Prefetch(&r, group, p)
			synctest.Wait()
		}
		if got := n.count(); got != 1 || c.Cached(group, "s6.ts") == nil {
			t.Errorf("%d requests, want one for the segment that was missing", got)
		}
		down := chosen
		n.down = map[string]int{"b": 404}
		c.Prefetch(&r, down, &playlist.Playlist{Segments: p.Segments})
		synctest.Wait()
		if got := n.count(); got != 1 {
			t.Errorf("%d requests to a node that fails, want 1", got)
		}
	})
}

func TestCacheDropsTheLeastRecentlyUsed(t *testing.T) {
	c := cache{limit: 10}
	c.put("a", make([]byte, 4))
	c.put("b", make([]byte, 4))
	c.get("a")
	c.put("c", make([]byte, 4))
	c.put("too large", make([]byte, 11))
	if c.get("a") == nil || c.get("b") != nil || c.get("c") == nil || c.get("too large") != nil || c.size != 8 {
		t.Errorf("%d bytes are kept, want the 8 of a and c", c.size)
	}
}

// A body is what a node sends of a segment: size bytes, announced or not, and then silence if it stops.
type body struct {
	size      int64
	announced bool
	stops     bool
}

// RoundTrip implements [http.RoundTripper].
func (b *body) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusOK, ContentLength: -1}
	if b.announced {
		resp.ContentLength = b.size
	}
	var sent io.Reader = strings.NewReader(strings.Repeat("x", int(b.size)))
	if b.stops {
		rest, end := io.Pipe()
		context.AfterFunc(r.Context(), func() { end.CloseWithError(r.Context().Err()) })
		sent = io.MultiReader(sent, rest)
	}
	resp.Body = io.NopCloser(sent)
	return resp, nil
}

func TestSegmentsBeyondTheLimitsAreNotTaken(t *testing.T) {
	b := &body{}
	c := New(time.Second, b, slog.New(slog.DiscardHandler))
	defer c.Close()
	c.limit, c.cache.limit = 1000, 1500
	for _, b.announced = range []bool{false, true} {
		b.size = 1001
		if _, err := c.Segment(t.Context(), group, "s1.ts"); err == nil {
			t.Errorf("a segment of %d bytes was taken, announced %v", b.size, b.announced)
		}
	}
	b.size = 900
	for _, name := range []string{"s2.ts", "s3.ts"} {
		if got, err := c.Segment(t.Context(), group, name); err != nil || len(got) != 900 {
			t.Errorf("Segment(%s) = %d bytes, %v, want 900", name, len(got), err)
		}
	}
	if c.cache.size != 900 {
		t.Errorf("%d bytes are held, want 900 of at most 1500", c.cache.size)
	}
}

func TestNodeThatFallsSilentWithinASegmentIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(time.Second, &body{size: 500, stops: true}, slog.New(slog.DiscardHandler))
		defer c.Close()
		start := time.Now()
		if _, err := c.Segment(t.Context(), group, "s5.ts"); !errors.Is(err, ErrSilent) || time.Since(start) != time.Second {
			t.Errorf("Segment() = %v after %s, want %v after 1s", err, time.Since(start), ErrSilent)
		}
	})
}

// A trickle is a node that sends a byte of a segment after each pause.
type trickle struct {
	pause time.Duration
	bytes int
	asker context.Context
}

// RoundTrip implements [http.RoundTripper].
func (n *trickle) RoundTrip(r *http.Request) (*http.Response, error) {
	left := *n
	left.asker = r.Context()
	return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: io.NopCloser(&left)}, nil
}

// Read implements [io.Reader].
func (n *trickle) Read(b []byte) (int, error) {
	if n.bytes == 0 {
		return 0, io.EOF
	}
	time.Sleep(n.pause)
	if n.asker.Err() != nil {
		return 0, n.asker.Err()
	}
	n.bytes--
	return copy(b[:1], "x"), nil
}

func TestNodeThatSendsSlowlyIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(time.Second, &trickle{pause: 900 * time.Millisecond, bytes: 10}, slog.New(slog.DiscardHandler))
		defer c.Close()
		if got, err := c.Segment(t.Context(), group, "s5.ts"); err != nil || len(got) != 10 {
			t.Errorf("Segment() = %d bytes, %v, want 10", len(got), err)
		}
	})
}

func TestAnswerOfTheLastOwnerIsNotThatOfTheNewOne(t *testing.T) {
	c := newClient(t, &nodes{})
	var r Reload
	r.ask("http://a")
	r.ask("http://b")
	r.ended(c, group, &playlist.Playlist{}, nil) // of a, late
	if r.current("http://b") != nil {
		t.Error("the playlist of the last owner is taken for that of the new one")
	}
	r.ended(c, group, nil, ErrSilent)
	if r.ask("http://b") {
		t.Error("the failure of the last owner is taken for one of the new one")
	}
}
