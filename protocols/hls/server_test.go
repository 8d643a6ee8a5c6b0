package hls

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/protocols"
	"weir/protocols/cmaf"
	"weir/protocols/hls/playlist"
	"weir/protocols/listen"
)

func TestPlaylistsAreAsAgreed(t *testing.T) {
	n := newNode(t, patient, Deps{})
	n.serve(stored(t, noon))
	for _, name := range []string{"ts.m3u8", "cmaf.m3u8", "index.m3u8", "index.fmp4.m3u8"} {
		r := n.get(t, name+"?token=a%2Fb&weir_hops=1").is(t, http.StatusOK)
		golden(t, name, regexp.MustCompile(`session=[0-9a-f]{32}`).ReplaceAll([]byte(r.body), []byte("session="+strings.Repeat("0", 32))))
		if got, want := r.Header.Get("Content-Type"), "application/vnd.apple.mpegurl"; got != want {
			t.Errorf("%s: Content-Type = %q, want %q", name, got, want)
		}
		if got := r.Header.Get("Cache-Control"); !strings.HasPrefix(got, "no-") {
			t.Errorf("%s: Cache-Control = %q, want none", name, got)
		}
	}
}

func TestRenderedPlaylistsAreParsed(t *testing.T) {
	w := stored(t, noon).Window()
	for _, name := range []string{"ts.m3u8", "cmaf.m3u8", "index.m3u8", "index.fmp4.m3u8"} {
		f, _ := playlist.ParseFile(name)
		want := playlist.Of(w, f)
		if again := playlist.Of(w, f); again != want {
			t.Errorf("%s is made twice for one window", name)
		}
		got, err := playlist.Parse(want.Text, f)
		if err != nil || !bytes.Equal(got.Text, want.Text) || !slices.Equal(got.Files(), want.Files()) || got.Target != want.Target {
			t.Errorf("%s: Parse() = %+v, %v, want %+v", name, got, err, want)
		}
		if f.Kind == playlist.MediaFile && (got.Segments[0].Number != noon-6 || got.Last() != noon-1 || got.Target != 4*time.Second) {
			t.Errorf("%s: segments %d to %d, target duration %s, want %d to %d, 4s", name, got.Segments[0].Number, got.Last(), got.Target, noon-6, noon-1)
		}
	}
}

func TestBrokenStreamHasDiscontinuitiesAndNewInitSegments(t *testing.T) {
	video := codecs.Tracks{pattern.Tracks()[0]}
	store := cmaf.NewStore(cmaf.Config{})
	for i, tracks := range []codecs.Tracks{pattern.Tracks(), video} {
		var units []*codecs.AccessUnit
		for n := range int64(2) {
			segment, err := pattern.Segment(noon + 10*int64(i) + n)
			if err != nil {
				t.Fatal(err)
			}
			for _, au := range segment {
				au.Cut = 0
				if au.Track < len(tracks) {
					units = append(units, au)
				}
			}
		}
		if err := cmaf.Pack(t.Context(), &script{tracks, units}, store, cmaf.Options{Start: 1000}); err != nil {
			t.Fatal(err)
		}
	}
	n := newNode(t, patient, Deps{})
	n.serve(store)
	r := n.get(t, "cmaf.m3u8").is(t, http.StatusOK)
	golden(t, "broken.m3u8", []byte(r.body))
	for line := range strings.Lines(r.body) {
		if uri, ok := strings.CutPrefix(line, `#EXT-X-MAP:URI="`); ok {
			n.get(t, strings.TrimSuffix(uri, "\"\n")).is(t, http.StatusOK)
		}
	}
}

func TestVariantCarriesSessionAndTokens(t *testing.T) {
	n := newNode(t, patient, Deps{})
	n.serve(stored(t, noon))
	session := func(query string) string {
		uris := n.get(t, "index.m3u8"+query).is(t, http.StatusOK).uris()
		if len(uris) != 1 {
			t.Fatalf("variants are %q, want one", uris)
		}
		return strings.TrimPrefix(uris[0], "ts.m3u8?")
	}
	a, b := session("?token=x"), session("?token=x")
	if a == b || len(a) != len("session=")+32+len("&token=x") || !strings.HasSuffix(a, "&token=x") {
		t.Errorf("queries are %q and %q, want sessions that differ, and the token", a, b)
	}
	if got := session("?" + a); got != a {
		t.Errorf("query of a viewer that has a session = %q, want %q", got, a)
	}
	if got := session("?session=forged"); strings.Contains(got, "forged") {
		t.Errorf("a session that is none of ours is kept: %q", got)
	}
}

func TestSegmentsAreServedAsLongAsTheStoreHasThem(t *testing.T) {
	n := newNode(t, quick, Deps{})
	store := stored(t, noon)
	n.serve(store)
	for _, test := range []struct {
		file   string
		status int
		kind   string
	}{
		{fmt.Sprintf("s%d.ts", noon-1), 200, "video/mp2t"},
		{fmt.Sprintf("s%d.m4s", noon-1), 200, "video/mp4"},
		{fmt.Sprintf("s%d.ts", noon-13), 200, "video/mp2t"},
		{fmt.Sprintf("i%s.mp4", store.Window().Segments[0].Generation.Name), 200, "video/mp4"},
		{fmt.Sprintf("s%d.ts", noon-14), 404, ""},
		{fmt.Sprintf("s%d.ts", noon+1), 404, ""},
		{"i0123456789abcdef.mp4", 404, ""},
		{"s01.ts", 404, ""},
		{"unknown.ts", 404, ""},
		{fmt.Sprintf("s%d.ts", noon), 503, ""}, // held, and did not come
	} {
		r := n.get(t, test.file).is(t, test.status)
		if test.status == 200 && (r.Header.Get("Content-Type") != test.kind || !strings.Contains(r.Header.Get("Cache-Control"), "max-age=3600")) {
			t.Errorf("%s: headers are %v, want %s and max-age=3600", test.file, r.Header, test.kind)
		}
		if test.status == 503 && r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", test.file)
		}
		if test.status != 200 && r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: error may be cached", test.file)
		}
	}
}

func TestNextSegmentIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &router{}
		store := stored(t, noon)
		d.serve(store)
		s := newServer(Config{}, d, Deps{})
		defer s.Close()
		got := make(chan *recorder, 1)
		go func() { got <- record(s, fmt.Sprintf("/cam/s%d.ts", noon), "192.0.2.1:1000") }()
		synctest.Wait()
		if len(got) > 0 {
			t.Error("the request is not held")
		}
		pack(t, store, noon+1)
		if w := <-got; w.size == 0 || w.size%188 != 0 || w.status != 0 {
			t.Errorf("answer = %d, %d bytes, want whole packets", w.status, w.size)
		}
	})
}

func TestFirstViewerWaitsForTheFirstSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &router{}
		store := cmaf.NewStore(cmaf.Config{})
		d.serve(store)
		s := newServer(Config{}, d, Deps{})
		defer s.Close()
		got := make(chan *recorder, 1)
		go func() { got <- record(s, "/cam/index.m3u8", "192.0.2.1:1000") }()
		synctest.Wait()
		if len(got) > 0 {
			t.Error("the request is not held")
		}
		pack(t, store, noon)
		if w := <-got; w.size == 0 || w.status != 0 {
			t.Errorf("answer = %d, %d bytes, want a playlist", w.status, w.size)
		}
	})
}

func TestMethodsAndHeadersArePlayersCompatible(t *testing.T) {
	n := newNode(t, patient, Deps{})
	n.serve(stored(t, noon))
	url := n.http.URL + "/cam/ts.m3u8"
	if r := fetchURL(t, http.MethodOptions, url).is(t, 204); r.Header.Get("Access-Control-Allow-Methods") == "" {
		t.Error("OPTIONS names no methods")
	}
	full := fetchURL(t, http.MethodGet, url).is(t, 200)
	head := fetchURL(t, http.MethodHead, url).is(t, 200)
	if head.body != "" || head.ContentLength != int64(len(full.body)) {
		t.Errorf("HEAD: %d bytes and Content-Length %d, want 0 and %d", len(head.body), head.ContentLength, len(full.body))
	}
	if r := fetchURL(t, http.MethodPost, url).is(t, 405); r.Header.Get("Allow") == "" {
		t.Error("405 does not say what is allowed")
	}
	fetchURL(t, http.MethodGet, url+"?"+strings.Repeat("x", maxQuery+1)).is(t, 414)
}

func TestRefusalsOfTheRouter(t *testing.T) {
	for _, test := range []struct {
		answer listen.Answer
		status int
	}{
		{listen.Answer{Verdict: listen.NotFound}, 404},
		{listen.Answer{Verdict: listen.Refused, Reason: "No."}, 403},
		{listen.Answer{Verdict: listen.Unavailable, RetryAfter: 3 * time.Second}, 503},
		{listen.Answer{Verdict: listen.Redirect, Location: "http://other/cam/index.m3u8?token=x&weir_hops=1"}, 302},
		{listen.Answer{}, 500},
	} {
		n := newNode(t, quick, Deps{})
		n.set(nil, test.answer)
		for _, f := range []string{"index.m3u8", "ts.m3u8", "s1.ts"} {
			r := n.get(t, f).is(t, test.status)
			if r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s, status %d: may be cached", f, test.status)
			}
			if test.status == 302 && r.Header.Get("Location") != "http://other/cam/index.m3u8?token=x&weir_hops=1" {
				t.Errorf("Location = %q, want the one that the router gives", r.Header.Get("Location"))
			}
		}
	}
}

func TestReloadIsNotRedirected(t *testing.T) {
	owner := newNode(t, patient, Deps{})
	owner.serve(stored(t, noon))
	n := newNode(t, patient, Deps{})
	n.set(nil, listen.Answer{Verdict: listen.Redirect, Location: owner.http.URL + "/cam/index.m3u8", Upstream: owner.http.URL})
	n.get(t, "index.m3u8").is(t, 302)
	if got := n.get(t, "ts.m3u8").starts(t); got != noon-6 {
		t.Errorf("media sequence = %d, want %d", got, noon-6)
	}
}

func TestKnownPlaylistIsRepeatedWhileTheStreamCannotBeHad(t *testing.T) {
	n := newNode(t, quick, Deps{})
	n.serve(stored(t, noon))
	before := n.get(t, "ts.m3u8").is(t, 200)
	n.get(t, "index.m3u8").is(t, 200)
	n.set(nil, listen.Answer{Verdict: listen.Unavailable, RetryAfter: time.Second})
	if after := n.get(t, "ts.m3u8").is(t, 200); after.body != before.body {
		t.Error("the playlist is not the last one")
	}
	n.get(t, "index.m3u8").is(t, 200)
	// What it names is still there.
	n.get(t, before.uris()[5]).is(t, 200)
	n.get(t, "cmaf.m3u8").is(t, 503)
	n.set(nil, listen.Answer{Verdict: listen.NotFound})
	n.get(t, "ts.m3u8").is(t, 404)
}

func TestRequestIsHeldAsLongAsTheNewConfigurationSays(t *testing.T) {
	n := newNode(t, patient, Deps{})
	n.set(nil, listen.Answer{Verdict: listen.Unavailable, RetryAfter: time.Second})
	n.server.SetHold(time.Millisecond) // a minute before, longer than the test runs
	n.get(t, "ts.m3u8").is(t, 503)
}

func TestCodecsThatTransportStreamsDoNotCarryGoIntoFragments(t *testing.T) {
	opus := codecs.Track{
		Codec: codecs.Opus, Config: []byte{0, 2, 1, 56, 0, 0, 187, 128, 0, 0, 0}, SampleRate: 48000, Channels: 2,
	}
	var units []*codecs.AccessUnit
	for i := range int64(600) {
		units = append(units, &codecs.AccessUnit{DTS: i * 1800, PTS: i * 1800, RandomAccess: true, Payload: []byte{0xfc, 0xff, 0xfe}})
	}
	store := cmaf.NewStore(cmaf.Config{})
	if err := cmaf.Pack(t.Context(), &script{codecs.Tracks{opus}, units}, store, cmaf.Options{Start: 5}); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, quick, Deps{})
	n.serve(store)
	if r := n.get(t, "index.m3u8").is(t, 200); !strings.HasPrefix(r.uris()[0], "cmaf.m3u8?") || !strings.Contains(r.body, `CODECS="opus"`) {
		t.Errorf("index.m3u8 = %q, want the CMAF variant", r.body)
	}
	n.get(t, "ts.m3u8").is(t, 415)
	n.get(t, "cmaf.m3u8").is(t, 200)

	entry := newNode(t, quick, Deps{})
	entry.proxy(n.http.URL, "")
	entry.get(t, "ts.m3u8").is(t, 415)
}

// sessions serves each client that enters, as a node does.
type sessions struct {
	ctx context.Context
	mu  sync.Mutex
	in  []listen.Client
	out int
}

func (h *sessions) Enter(c listen.Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.in = append(h.in, c)
	go func() {
		_ = c.Serve(h.ctx, nil)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.out++
	}()
}

func (h *sessions) counts() (in, out int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.in), h.out
}

// record answers a request without sockets, for tests in synthetic time.
func record(s *Server, path, remote string) *recorder {
	r, err := http.NewRequest(http.MethodGet, "http://node"+path, nil)
	if err != nil {
		panic(err)
	}
	r.RemoteAddr = remote
	w := &recorder{header: make(http.Header)}
	i := strings.LastIndexByte(r.URL.Path, '/')
	s.ServeStream(w, r, listen.HTTPRequest(r, protocols.HLS, strings.TrimPrefix(r.URL.Path[:i], "/")), r.URL.Path[i+1:])
	return w
}

type recorder struct {
	header http.Header
	status int
	size   int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { r.size += len(b); return len(b), nil }

func TestViewerIsASessionUntilThreeTargetDurationsWithoutARequest(t *testing.T) {
	store := stored(t, noon)
	synctest.Test(t, func(t *testing.T) {
		h := &sessions{ctx: t.Context()}
		d := &router{}
		d.serve(store)
		s := newServer(Config{Viewers: 3}, d, Deps{Sessions: h})
		defer s.Close()
		id := "?session=" + strings.Repeat("a", 32)
		segment := playlist.SegmentName(store.Window().Last(), cmaf.TS)
		if record(s, "/cam/ts.m3u8"+id, "192.0.2.1:1000"); len(h.in) != 0 {
			t.Fatal("a player that has fetched no media is a viewer")
		}
		size := 0
		record(s, "/cam/"+segment, "192.0.2.1:1000")
		for range 5 {
			size += record(s, "/cam/ts.m3u8"+id, "192.0.2.1:1000").size
			time.Sleep(11 * time.Second)
			synctest.Wait()
		}
		if in, out := h.counts(); in != 1 || out != 0 {
			t.Fatalf("%d entered and %d left, want 1 and 0", in, out)
		}
		st := h.in[0].Stats()
		if st.Protocol != protocols.HLS || st.Stream != "cam" || st.BytesOut != uint64(size) || st.Remote.String() != "192.0.2.1:1000" {
			t.Errorf("Stats() = %+v, want hls, cam, %d bytes", st, size)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, out := h.counts(); out != 1 || len(s.viewers.all) != 0 {
			t.Errorf("%d left and %d are counted after 12 s, want 1 and 0", out, len(s.viewers.all))
		}

		// Without a session, an address is one viewer; another node is none; beyond the limit they are served.
		for _, at := range []string{"/cam/", "/cam/", "/other/", "/cam/"} { // of three viewers, and of one more
			record(s, at+segment, "192.0.2.1:1000")
		}
		record(s, "/cam/"+segment, "192.0.2.9:1000")
		record(s, "/cam/ts.m3u8", "192.0.2.1:1000")
		record(s, "/cam/ts.m3u8", "192.0.2.1:2000")
		record(s, "/cam/ts.m3u8"+id, "192.0.2.1:3000")
		record(s, "/other/ts.m3u8"+id, "192.0.2.1:3000")
		if w := record(s, "/cam/ts.m3u8", "192.0.2.9:1000"); w.size == 0 {
			t.Error("a viewer beyond the limit is not served")
		}
		if in, _ := h.counts(); in != 4 {
			t.Errorf("%d entered, want 4", in)
		}
		// One who is sent away comes back as another.
		_ = h.in[1].Close()
		synctest.Wait()
		record(s, "/cam/ts.m3u8", "192.0.2.1:1000")
		if in, _ := h.counts(); in != 5 {
			t.Errorf("%d entered, want 5", in)
		}
	})
}

func TestOneAddressInventsNoViewers(t *testing.T) {
	store := stored(t, noon)
	synctest.Test(t, func(t *testing.T) {
		h := &sessions{ctx: t.Context()}
		d := &router{}
		d.serve(store)
		limiter := listen.NewLimiter(listen.Limits{}, nil, slog.New(slog.DiscardHandler))
		s := newServer(Config{PerAddress: func() int { return 5 }}, d, Deps{Sessions: h, Limiter: limiter})
		defer s.Close()
		segment := playlist.SegmentName(store.Window().Last(), cmaf.TS)
		invent := func(from, to, segments int) (entered int) {
			for range segments {
				record(s, "/cam/"+segment, "192.0.2.1:1000")
			}
			for i := from; i < to; i++ {
				for range 3 {
					if w := record(s, fmt.Sprintf("/cam/ts.m3u8?session=%032x", i), "192.0.2.1:1000"); w.status >= 400 {
						t.Fatalf("a player is answered %d", w.status)
					}
				}
			}
			entered, _ = h.counts()
			return entered
		}
		if n := invent(0, 1000, 0); n != 0 {
			t.Errorf("%d viewers of 1000 who have fetched nothing", n)
		}
		if n := invent(0, 1000, 3); n != 3 {
			t.Errorf("%d viewers of three segments, want 3", n)
		}
		if n := invent(1000, 2000, 1000); n != 5 {
			t.Errorf("%d viewers of one address, want 5", n)
		}
		_, refused := limiter.Counts()
		if refused[listen.Refusal{Limit: listen.LimitViewersOfAddress, Protocol: protocols.HLS}] == 0 {
			t.Error("viewers above the limit of the address are not told of")
		}
		record(s, "/cam/"+segment, "192.0.2.2:1000")
		record(s, "/cam/ts.m3u8", "192.0.2.2:1000")
		if n, _ := h.counts(); n != 6 {
			t.Errorf("%d viewers, want one more of another address", n)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if s.viewers.sweep(time.Now()); len(s.viewers.byAddress)+len(s.viewers.fetched)+len(s.viewers.all) != 0 {
			t.Errorf("%v, %v are left", s.viewers.byAddress, s.viewers.fetched)
		}
	})
}

func TestForgottenStreamsLeaveNothing(t *testing.T) {
	store := stored(t, noon)
	synctest.Test(t, func(t *testing.T) {
		d := &router{}
		d.serve(store)
		s := newServer(Config{}, d, Deps{})
		defer s.Close()
		for i := range 20 {
			record(s, fmt.Sprintf("/cam%d/ts.m3u8", i), "192.0.2.1:1000")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		s.mu.RLock()
		for _, st := range s.streams {
			if st.lastStore() != nil {
				t.Error("a store is held although there was no request for minutes")
			}
		}
		n := len(s.streams)
		s.mu.RUnlock()
		if n != 20 {
			t.Errorf("%d streams are known after 2 min, want 20", n)
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		s.mu.RLock()
		defer s.mu.RUnlock()
		if len(s.streams) != 0 || s.sweeping != nil {
			t.Errorf("%d streams are known after 13 min, want 0 and no timer", len(s.streams))
		}
	})
}

// BenchmarkPlaylist is a reload of a media playlist: what is allocated is net/http's request, its copy for the router
// and the hold limit; nothing grows with the playlist.
func BenchmarkPlaylist(b *testing.B) {
	d := &quietRouter{stored(b, noon)}
	s := newServer(Config{}, d, Deps{Sessions: &sessions{ctx: b.Context()}})
	defer s.Close()
	r, err := http.NewRequest(http.MethodGet, "http://node/cam/ts.m3u8?session="+strings.Repeat("a", 32), nil)
	if err != nil {
		b.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:1000"
	w := &recorder{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		s.ServeStream(w, r, listen.HTTPRequest(r, protocols.HLS, "cam"), "ts.m3u8")
	}
}

type quietRouter struct{ store *cmaf.Store }

func (*quietRouter) Names(r listen.Request) []string { return r.Streams }

func (d *quietRouter) Window(context.Context, listen.Request) (*cmaf.Store, listen.Answer) {
	return d.store, listen.Answer{Verdict: listen.Serve}
}
