package hls

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/protocols"
	"weir/protocols/cmaf"
	"weir/protocols/hls/edge"
	"weir/protocols/hls/playlist"
	"weir/protocols/listen"
)

// owner is a node that serves the test pattern up to the segment before number.
func owner(t *testing.T, number int64) *node {
	t.Helper()
	n := newNode(t, patient, Deps{})
	n.serve(stored(t, number))
	return n
}

func TestEntryAnswersPlaylistsWhoseSegmentsAreAtTheOwner(t *testing.T) {
	o := owner(t, noon)
	n := newNode(t, patient, Deps{})
	n.proxy(o.http.URL, "http://public.example:8080/")
	url := n.http.URL + "/a%20b/%C3%BC%3F/"
	variant := fetchURL(t, "GET", url+"index.m3u8?token=x").is(t, 200).uris()[0]
	if !strings.HasPrefix(variant, "ts.m3u8?session=") || !strings.HasSuffix(variant, "&token=x") {
		t.Fatalf("variant = %q, want ts.m3u8 with session and token", variant)
	}
	r := fetchURL(t, "GET", url+variant).is(t, 200)
	if got, want := r.uris()[0], fmt.Sprintf("http://public.example:8080/a%%20b/%%C3%%BC%%3F/s%d.ts", noon-6); got != want {
		t.Errorf("first segment = %s, want %s", got, want)
	}
	r = fetchURL(t, "GET", url+"cmaf.m3u8").is(t, 200)
	if want := `#EXT-X-MAP:URI="http://public.example:8080/a%20b/%C3%BC%3F/i`; !strings.Contains(r.body, want) {
		t.Errorf("cmaf.m3u8 = %s, want %s", r.body, want)
	}
	// The owner counts no viewer, and sees that a node asks.
	for _, asked := range o.asked {
		if asked.Hops != 1 || strings.Contains(asked.Query, "token") || asked.Streams[0] != "a b/ü?" {
			t.Errorf("the owner was asked %+v, want a b/ü?, one hop and no token", asked)
		}
	}
}

func TestOwnerThatChangesNeverTakesNumbersBack(t *testing.T) {
	for _, test := range []struct {
		name       string
		next       int64 // what the new owner has
		want       int64
		isRepeated bool
	}{
		{"same", noon, noon - 6, false},
		{"higher", noon + 2, noon - 4, false},
		{"lower", noon - 2, noon - 6, true},
	} {
		for _, relay := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, relay %t", test.name, relay), func(t *testing.T) {
				a, b := owner(t, noon), owner(t, test.next)
				public := func(o *node) string {
					if relay {
						return ""
					}
					return o.http.URL
				}
				n := newNode(t, patient, Deps{})
				n.proxy(a.http.URL, public(a))
				first := n.get(t, "ts.m3u8")
				if got := first.starts(t); got != noon-6 {
					t.Fatalf("media sequence = %d, want %d", got, noon-6)
				}
				n.proxy(b.http.URL, public(b))
				second := n.get(t, "ts.m3u8")
				if got := second.starts(t); got != test.want {
					t.Errorf("media sequence = %d, want %d", got, test.want)
				}
				if isRepeated := second.body == first.body; !relay && isRepeated != test.isRepeated {
					t.Errorf("repeated is %t, want %t", isRepeated, test.isRepeated)
				}
				// The new owner catches up.
				pack(t, b.store, noon+3)
				got := n.get(t, "ts.m3u8").starts(t)
				for got == test.want { // until what was fetched a moment ago is too old
					got = n.get(t, "ts.m3u8").starts(t)
				}
				if got != noon-3 {
					t.Errorf("media sequence after catching up = %d, want %d", got, noon-3)
				}
			})
		}
	}
}

func TestPlaylistIsRepeatedWhileTheOwnerIsSilentOrDead(t *testing.T) {
	for _, failing := range []string{silentNode(t), deadNode} {
		o := owner(t, noon)
		n := newNode(t, quick, Deps{})
		n.proxy(o.http.URL, o.http.URL)
		first := n.get(t, "ts.m3u8").is(t, 200)
		n.get(t, "index.m3u8").is(t, 200)
		n.proxy(failing, o.http.URL)
		for range 3 {
			if r := n.get(t, "ts.m3u8").is(t, 200); r.body != first.body {
				t.Error("the playlist is not the last one")
			}
		}
		a, b := n.get(t, "index.m3u8").is(t, 200), n.get(t, "index.m3u8").is(t, 200)
		if a.body == b.body {
			t.Error("two viewers have one session")
		}
		// This one was not served before, so there is nothing to repeat.
		if r := n.get(t, "cmaf.m3u8").is(t, 503); r.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		n.proxy(o.http.URL, o.http.URL)
		pack(t, o.store, noon+1)
		if got := n.get(t, "ts.m3u8").starts(t); got != noon-5 {
			t.Errorf("media sequence after the silence = %d, want %d", got, noon-5)
		}
	}
}

func TestNewViewerIsHeldUntilTheNewOwnerAnswers(t *testing.T) {
	o := owner(t, noon)
	n := newNode(t, patient, Deps{})
	n.proxy(deadNode, "")
	got := make(chan reply)
	go func() { got <- n.get(t, "index.m3u8") }()
	for n.server.deps.Transport.(*transport).failed.Load() == 0 {
		runtime.Gosched()
	}
	n.proxy(o.http.URL, "")
	if r := <-got; r.StatusCode != 200 {
		t.Errorf("status = %d, want 200", r.StatusCode)
	}
}

func TestEntryThatBecomesTheOwnerGoesOnFromWhatItServed(t *testing.T) {
	o := owner(t, noon)
	n := newNode(t, patient, Deps{})
	n.proxy(o.http.URL, o.http.URL)
	first := n.get(t, "ts.m3u8").is(t, 200)
	behind := stored(t, noon-1)
	n.serve(behind)
	if r := n.get(t, "ts.m3u8").is(t, 200); r.body != first.body {
		t.Errorf("playlist = %s, want the last one", r.body)
	}
	pack(t, behind, noon)
	r := n.get(t, "ts.m3u8")
	if got := r.starts(t); got != noon-6 {
		t.Errorf("media sequence = %d, want %d", got, noon-6)
	}
	if want := fmt.Sprintf("s%d.ts", noon-6); r.uris()[0] != want {
		t.Errorf("first segment = %s, want %s", r.uris()[0], want)
	}
	// And back: the segments that the playlist names are still here, whatever the router says.
	n.proxy(silentNode(t), "")
	n.get(t, r.uris()[5]).is(t, 200)
}

func TestRelayFetchesEachSegmentOnceAndBeforeAnybodyAsks(t *testing.T) {
	o := owner(t, noon)
	n := newNode(t, patient, Deps{})
	n.proxy(o.http.URL, "")
	asked := make(chan string, 100)
	o.before(func(path string) { asked <- path })

	list := n.get(t, "cmaf.m3u8").is(t, 200)
	if got := <-asked; got != "/cam/cmaf.m3u8" {
		t.Fatalf("the owner was asked for %s first", got)
	}
	if got := <-asked; !strings.HasPrefix(got, "/cam/i") {
		t.Errorf("the owner was asked for %s, want the init segment", got)
	}
	for i := range int64(6) {
		if got, want := <-asked, fmt.Sprintf("/cam/s%d.m4s", noon-6+i); got != want {
			t.Errorf("the owner was asked for %s, want %s", got, want)
		}
	}
	for last := fmt.Sprintf("s%d.m4s", noon-1); n.server.edge.Cached(edge.Source{Path: "/cam/"}, last) == nil; {
		runtime.Gosched()
	}
	n.proxy(silentNode(t), "")
	var wg sync.WaitGroup
	for _, uri := range list.uris() {
		for range 4 {
			wg.Go(func() {
				got := n.get(t, uri)
				if want := o.store.Window().Segment(mustNumber(t, uri)).Bytes(1); got.body != string(want) {
					t.Errorf("%s: %d bytes, want the owner's %d", uri, len(got.body), len(want))
				}
			})
		}
	}
	wg.Wait()
	if got := o.count(".m4s"); got != 6 {
		t.Errorf("the owner was asked for %d segments, want 6", got)
	}
}

func mustNumber(t *testing.T, uri string) int64 {
	f, ok := playlist.ParseFile(uri)
	if !ok {
		t.Errorf("%q is no segment", uri)
	}
	return f.Number
}

func TestSegmentOnlyTheDeadOwnerHadIsHeldAndThenPutOff(t *testing.T) {
	a := owner(t, noon)
	n := newNode(t, quick, Deps{})
	n.proxy(a.http.URL, a.http.URL) // segments are not fetched ahead
	uris := n.get(t, "ts.m3u8").is(t, 200).uris()
	b := owner(t, noon+100)
	n.proxy(b.http.URL, "")
	if r := n.get(t, fmt.Sprintf("s%d.ts", noon-1)).is(t, 503); r.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	// What no playlist has named is nowhere.
	n.get(t, fmt.Sprintf("s%d.ts", noon-10)).is(t, 404)
	if len(uris) != 6 {
		t.Errorf("%d segments, want 6", len(uris))
	}
}

func TestSegmentIsHeldUntilTheNewOwnerHasIt(t *testing.T) {
	a := owner(t, noon)
	n := newNode(t, patient, Deps{})
	n.proxy(a.http.URL, a.http.URL)
	n.get(t, "ts.m3u8").is(t, 200)
	n.proxy(deadNode, "")
	got := make(chan reply)
	go func() { got <- n.get(t, fmt.Sprintf("s%d.ts", noon-1)) }()
	for n.server.deps.Transport.(*transport).failed.Load() == 0 {
		runtime.Gosched()
	}
	b := owner(t, noon)
	n.proxy(b.http.URL, "")
	if r := <-got; r.StatusCode != 200 {
		t.Errorf("status = %d, want 200", r.StatusCode)
	}
}

func TestOneRequestIsUnderWayHoweverManyViewersAsk(t *testing.T) {
	o := owner(t, noon)
	release := make(chan struct{})
	o.before(func(string) { <-release })
	n := newNode(t, patient, Deps{})
	n.proxy(o.http.URL, "http://public")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			name := "ts.m3u8"
			if i%2 == 0 {
				name = fmt.Sprintf("s%d.ts", noon-1)
			}
			n.get(t, name).is(t, 200)
		})
	}
	for {
		n.router.mu.Lock()
		asked := len(n.asked)
		n.router.mu.Unlock()
		if asked == 20 {
			break
		}
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	if a, b := o.count(".m3u8"), o.count(".ts"); a != 1 || b != 1 {
		t.Errorf("the owner was asked for %d playlists and %d segments, want 1 and 1", a, b)
	}
}

func TestTwoNodesThatPointAtEachOtherDoNotAskForEver(t *testing.T) {
	a, b := newNode(t, quick, Deps{}), newNode(t, quick, Deps{})
	a.proxy(b.http.URL, "")
	b.proxy(a.http.URL, "")
	a.get(t, "index.m3u8").is(t, 503)
	a.get(t, "s5.ts").is(t, 503)
	if n := a.count(""); n != 2 {
		t.Errorf("the first node got %d requests, want the viewer's 2", n)
	}
}

func TestSecureViewerIsNotLedToPlainHTTP(t *testing.T) {
	o := owner(t, noon)
	d := &router{}
	s := newServer(patient, d, Deps{})
	defer s.Close()
	for _, test := range []struct {
		public string
		secure bool
		want   string
	}{
		{"http://p", false, "http://p/cam/s"},
		{"http://p", true, "s"},
		{"https://p", true, "https://p/cam/s"},
		{"https://p", false, "https://p/cam/s"},
	} {
		d.proxy(o.http.URL, test.public)
		r := httptest.NewRequest("GET", "/cam/ts.m3u8", nil)
		if test.secure {
			r.TLS = &tls.ConnectionState{}
		}
		s.mu.Lock()
		clear(s.streams)
		s.mu.Unlock()
		w := httptest.NewRecorder()
		s.ServeStream(w, r, listen.HTTPRequest(r, protocols.HLS, "cam"), "ts.m3u8")
		uris := reply{body: w.Body.String()}.uris()
		if len(uris) == 0 || !strings.HasPrefix(uris[0], test.want) {
			t.Errorf("public %s, secure %t: segments are %q, want %s…", test.public, test.secure, uris, test.want)
		}
	}
}

// badUpstreams are answers of a node that is broken, or none of ours.
var badUpstreams = []struct {
	name, body string
	status     int
}{
	{"error", "", 500},
	{"redirect", "", 302},
	{"page", "<html>", 200},
	{"empty", "", 200},
	{"no segments", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n", 200},
	{"segment elsewhere", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\nhttp://evil/s5.ts\n", 200},
	{"other form", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\ns5.m4s\n", 200},
	{"wrong number", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\ns6.ts\n", 200},
	{"two sequences", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\ns5.ts\n", 200},
	{"key elsewhere", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-KEY:URI=\"http://evil\"\n#EXTINF:4,\ns5.ts\n", 200},
	{"too long", "#EXTM3U\n" + strings.Repeat("#\n", playlist.MaxBytes/2), 200},
}

func TestPlaylistsThatAreNoneAreNotPassedOn(t *testing.T) {
	for _, test := range badUpstreams {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer bad.Close()
			n := newNode(t, quick, Deps{})
			n.proxy(bad.URL, "")
			n.get(t, "ts.m3u8").is(t, 503)
			n.get(t, "index.m3u8").is(t, 503)
		})
	}
}

func TestPlaylistKeepsItsNumbersButNotForEver(t *testing.T) {
	var cached cachedPlaylist
	now := time.Now()
	playlists := map[string]*playlist.Playlist{}
	for name, numbers := range map[string][2]int64{"old": {100, 105}, "new": {101, 106}, "shorter": {102, 104}, "low": {3, 8}} {
		p := &playlist.Playlist{}
		for n := numbers[0]; n <= numbers[1]; n++ {
			p.Segments = append(p.Segments, playlist.Segment{Number: n})
		}
		playlists[name] = p
	}
	for i, step := range []struct {
		after time.Duration
		offer string
		want  string
	}{
		{0, "old", "old"},
		{time.Second, "new", "new"},
		{time.Second, "old", "new"},
		{time.Second, "shorter", "new"},
		{time.Second, "low", "new"},
		{50 * time.Second, "low", "new"},
		{time.Second, "new", "new"}, // the higher numbers are still about
		{59 * time.Second, "low", "new"},
		{59 * time.Second, "low", "new"},
		{time.Second, "low", "low"}, // a minute with nothing but lower ones
		{time.Second, "new", "new"},
		{10 * time.Minute, "low", "low"}, // forgotten
	} {
		now = now.Add(step.after)
		if got := cached.offer(playlists[step.offer], "/cam/", "", now); got.Playlist != playlists[step.want] {
			t.Errorf("step %d: offer(%s) = %d to %d, want %s", i, step.offer, got.Segments[0].Number, got.Last(), step.want)
		}
	}
	if cached.last(now.Add(playlist.RepeatFor-1)) == nil || cached.last(now.Add(playlist.RepeatFor)) != nil {
		t.Error("a playlist is not kept for exactly RepeatFor")
	}
}

// The node that another one asks has taken the stream over and has no segment yet. The old playlist that it could repeat may end
// before the one that the other node's viewers were shown.
func TestOldPlaylistIsRepeatedForViewersAndNotForAnotherNode(t *testing.T) {
	n := newNode(t, quick, Deps{})
	store := stored(t, noon)
	n.serve(store)
	n.get(t, "ts.m3u8").is(t, 200)
	store.Unlist()
	n.get(t, "ts.m3u8").is(t, 200)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.http.URL+"/cam/ts.m3u8?weir_hops=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(edge.Header, "1")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 503 {
		t.Errorf("another node is answered %s, want 503", resp.Status)
	}
}

// Two nodes have made segments at the same time, and the owner of the stream is now the one whose numbers are lower.
func TestPlaylistGoesOnBehindTheOneOfTheOwnerBefore(t *testing.T) {
	list := func(first, last int64, at time.Time) *playlist.Playlist {
		p := &playlist.Playlist{}
		for n := first; n <= last; n++ {
			p.Segments = append(p.Segments, playlist.Segment{Number: n, Start: at, Duration: 4 * time.Second})
			at = at.Add(4 * time.Second)
		}
		return p
	}
	began := time.Unix(1000, 0)
	now := began
	var cached cachedPlaylist
	for i, step := range []struct {
		offer       *playlist.Playlist
		first, last int64 // that are shown
	}{
		{list(105, 105, began), 105, 105},
		{list(98, 103, began.Add(-20*time.Second)), 105, 105},
		{list(99, 104, began.Add(-16*time.Second)), 105, 105},
		{list(100, 105, began.Add(-12*time.Second)), 105, 105},
		{list(101, 106, began.Add(-8*time.Second)), 106, 106},
		{list(102, 107, began.Add(-4*time.Second)), 106, 107},
		{list(107, 112, began.Add(16*time.Second)), 107, 112},
	} {
		now = now.Add(4 * time.Second)
		served := cached.offer(step.offer, "/cam/", "http://n1/cam/", now)
		for _, text := range [][]byte{served.text, served.absolute} {
			if text == nil {
				continue // these lists have no text of their own
			}
			got := reply{body: string(text)}.uris()
			if want := int(step.last - step.first + 1); len(got) != want || !strings.HasSuffix(got[0], playlist.SegmentName(step.first, cmaf.TS)) ||
				!strings.Contains(string(text), fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d\n", step.first)) {
				t.Errorf("step %d: shown is %q, want %d to %d", i, text, step.first, step.last)
			}
		}
	}
}

// TestManyViewersWhileTheOwnerChanges is for the race detector, and asserts what holds at every moment.
func TestManyViewersWhileTheOwnerChanges(t *testing.T) {
	a, b := owner(t, noon), owner(t, noon)
	local := stored(t, noon)
	n := newNode(t, Config{Hold: time.Minute, silence: quick.silence}, Deps{Sessions: &sessions{ctx: t.Context()}})
	n.holds = true
	n.proxy(a.http.URL, "")
	ctx, cancel := context.WithCancel(t.Context())
	var progress atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			last := int64(0)
			name := []string{"ts.m3u8", "cmaf.m3u8"}[i%2]
			for ctx.Err() == nil {
				r := n.get(t, name+"?session="+strings.Repeat(fmt.Sprint(i), 32))
				if got := r.starts(t); got < last {
					t.Errorf("media sequence went from %d back to %d", last, got)
					return
				} else {
					last = got
				}
				uris := r.uris()
				uri := uris[len(uris)-1]
				if !strings.HasPrefix(uri, "http:") {
					uri = n.http.URL + "/cam/" + uri
				}
				if s := fetchURL(t, http.MethodGet, uri); s.StatusCode != 200 {
					t.Errorf("%s = %d, want 200", s.Request.URL, s.StatusCode)
				}
				progress.Add(1)
			}
		})
	}
	// A server that repeats a playlist has viewers who want its segments: every store has them all.
	for i := range int64(5) {
		for _, store := range []*cmaf.Store{b.store, a.store, local} {
			pack(t, store, noon+1+i)
		}
		for _, move := range []func(){
			func() { n.proxy(b.http.URL, b.http.URL) },
			func() { n.proxy(a.http.URL, "") },
			func() { n.serve(local) },
			func() { n.set(nil, listen.Answer{Verdict: listen.Unavailable}) },
		} {
			move()
			if i%2 == 0 && n.a.Verdict == listen.Unavailable {
				continue // for a moment only
			}
			for done := progress.Load() + 4; progress.Load() < done && !t.Failed(); {
				runtime.Gosched()
			}
		}
	}
	cancel()
	wg.Wait()
}
