package hls

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/codecs"
	"weir/protocols"
	"weir/protocols/cmaf"
	"weir/protocols/hls/playlist"
	"weir/protocols/listen"
)

// A chooser knows servers by name and gives the first that is usable.
type chooser struct {
	mu      sync.Mutex
	targets []Target
	down    map[string]bool
	failed  []string
	asked   []listen.Request
}

func (b *chooser) Choose(q listen.Request, avoid []string) (Target, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, q)
	for _, p := range b.targets {
		if !b.down[p.Server] && !slices.Contains(avoid, p.Server) && !slices.Contains(b.failed, p.Server) {
			return p, true
		}
	}
	return Target{}, false
}

func (b *chooser) Target(_ listen.Request, server string) (Target, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.targets {
		if p.Server == server {
			return p, !b.down[server] && !slices.Contains(b.failed, server)
		}
	}
	return Target{}, false
}

func (b *chooser) Failed(server string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = append(b.failed, server)
}

func (b *chooser) close(server string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down[server] = true
}

// A counter counts the viewers of a node.
type counter struct {
	mu sync.Mutex
	n  int
}

func (g *counter) Enter(listen.Client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
}

// become waits until there are so many viewers, which enter after they have been answered, and fails if there are more.
func (g *counter) become(t *testing.T, want int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if g.count() >= want {
			break
		}
		<-tick.C
	}
	if n := g.count(); n != want {
		t.Errorf("%d viewers, want %d", n, want)
	}
}

func (g *counter) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// A balancedPair is a node with a balancer of two servers, each of which has the stream.
type balancedPair struct {
	asked, first, second *node
	balancer             *chooser
	viewers              [3]counter // of the asked node and the servers
	stores               [2]*cmaf.Store
}

func newBalancedPair(t *testing.T, c Config) *balancedPair {
	f := &balancedPair{balancer: &chooser{down: map[string]bool{}}}
	f.asked = newNode(t, c, Deps{Sessions: &f.viewers[0]})
	for i, n := range []**node{&f.first, &f.second} {
		*n = newNode(t, c, Deps{Sessions: &f.viewers[i+1]})
		f.stores[i] = stored(t, noon)
		(*n).serve(f.stores[i])
		f.balancer.targets = append(f.balancer.targets, Target{Server: []string{"a", "b"}[i], Upstream: (*n).http.URL, Public: (*n).http.URL})
	}
	f.asked.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.Path, "/lb/")
		if !ok {
			f.asked.answer(w, r)
			return
		}
		i := strings.LastIndexByte(rest, '/')
		f.asked.server.ServeBalanced(w, r, listen.HTTPRequest(r, protocols.HLS, rest[:i]), f.balancer, "lb", rest[i+1:])
	})
	return f
}

// media is the URL of a new viewer's media playlist.
func (f *balancedPair) media(t *testing.T, query string) string {
	t.Helper()
	m := fetchURL(t, "GET", f.asked.http.URL+"/lb/cam/index.m3u8"+query).is(t, 200)
	uris := m.uris()
	if len(uris) != 1 || !strings.HasPrefix(uris[0], "/lb/cam/ts.m3u8?session=") {
		t.Fatalf("variants %q, want one below the balancer", uris)
	}
	return f.asked.http.URL + uris[0]
}

func TestViewerOfABalancerGetsSegmentsOfOneServerAndCountsThere(t *testing.T) {
	t.Parallel()
	f := newBalancedPair(t, patient)
	url := f.media(t, "?token=a%2Fb&weir_hops=1")
	if !strings.HasSuffix(url, "&token=a%2Fb") {
		t.Errorf("variant %s, want the token and no hops", url)
	}
	uris := fetchURL(t, "GET", url).is(t, 200).uris()
	for _, u := range uris {
		if !strings.HasPrefix(u, f.first.http.URL+"/cam/s") || !strings.Contains(u, "?session=") || !strings.HasSuffix(u, "&weir_here=1") {
			t.Fatalf("segment %s, want one of the first server with the session", u)
		}
	}
	fetchURL(t, "GET", uris[0]).is(t, 200)
	fetchURL(t, "GET", uris[1]).is(t, 200)
	f.viewers[1].become(t, 1)
	// A viewer that was given the media playlist directly is known by its address.
	direct := fetchURL(t, "GET", f.asked.http.URL+"/lb/cam/ts.m3u8").is(t, 200).uris()
	fetchURL(t, "GET", direct[0]).is(t, 200)
	fetchURL(t, "GET", fetchURL(t, "GET", f.asked.http.URL+"/lb/cam/ts.m3u8").is(t, 200).uris()[1]).is(t, 200)
	f.viewers[1].become(t, 2)
	if a, c := f.viewers[0].count(), f.viewers[2].count(); a != 0 || c != 0 {
		t.Errorf("viewers: %d at the asked node and %d at the other server, want none", a, c)
	}
	if got := f.first.questions(); len(got) == 0 || !got[len(got)-1].Here {
		t.Errorf("the server was not told that it serves the viewer itself: %+v", got)
	}
}

// questions are the requests that the node's router was asked about.
func (n *node) questions() []listen.Request {
	n.router.mu.Lock()
	defer n.router.mu.Unlock()
	return slices.Clone(n.router.asked)
}

func TestViewerWhoseServerDiesGoesOnFromAnotherWithoutAReload(t *testing.T) {
	t.Parallel()
	f := newBalancedPair(t, quick)
	url := f.media(t, "")
	before := fetchURL(t, "GET", url).is(t, 200)
	f.first.http.CloseClientConnections()
	f.first.http.Close()
	pack(t, f.stores[1], noon+1)
	fresh := func() reply {
		r := fetchURL(t, "GET", url).is(t, 200)
		for strings.HasPrefix(r.uris()[0], f.first.http.URL) { // until what was fetched a moment ago is too old
			r = fetchURL(t, "GET", url).is(t, 200)
		}
		return r
	}
	after := fresh()
	if !strings.HasPrefix(after.uris()[0], f.second.http.URL) || strings.Contains(after.body, "#EXT-X-DISCONTINUITY\n") {
		t.Errorf("after the death:\n%s\nwant segments of the second server, and no discontinuity where both number alike", after.body)
	}
	if a, b := before.starts(t), after.starts(t); b != a+1 {
		t.Errorf("media sequence %d after %d, want the next", b, a)
	}
	fetchURL(t, "GET", after.uris()[0]).is(t, 200)

	// New viewers do not meet the dead one.
	if u := fetchURL(t, "GET", f.media(t, "")).is(t, 200).uris()[0]; !strings.HasPrefix(u, f.second.http.URL) {
		t.Errorf("a new viewer gets %s, want the second server", u)
	}

	// With no server left the last playlist is repeated to viewers that were shown one. Others are told to come again.
	f.balancer.close("b")
	if again := fetchURL(t, "GET", url).is(t, 200); again.starts(t) != after.starts(t) {
		t.Errorf("with no server left:\n%s\nwant the last playlist again", again.body)
	}
	r := fetchURL(t, "GET", f.asked.http.URL+"/lb/cam/index.m3u8").is(t, 503)
	if r.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
}

func TestServersThatNumberEachForThemselvesAreJoinedByADiscontinuity(t *testing.T) {
	t.Parallel()
	f := newBalancedPair(t, quick)
	// The second server numbers its segments otherwise, from lower numbers, as of the same moments.
	other := cmaf.NewStore(cmaf.Config{})
	var units []*codecs.AccessUnit
	for n := int64(noon - 6); n <= noon+1; n++ {
		u, err := pattern.Segment(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, au := range u {
			bare := *au
			bare.Cut = 0
			units = append(units, &bare)
		}
	}
	if err := cmaf.Pack(t.Context(), &script{pattern.Tracks(), units}, other, cmaf.Options{Start: 50}); err != nil {
		t.Fatal(err)
	}
	f.second.serve(other)
	url := f.media(t, "")
	before := fetchURL(t, "GET", url).is(t, 200)
	last := before.starts(t) + int64(len(before.uris()))
	f.balancer.close("a")
	after := fetchURL(t, "GET", url).is(t, 200)
	if got := after.starts(t); got != last || !strings.Contains(after.body, "#EXT-X-DISCONTINUITY\n") {
		t.Errorf("after the move:\n%s\nwant media sequence %d and a discontinuity", after.body, last)
	}
	for _, u := range after.uris() {
		if !strings.HasPrefix(u, f.second.http.URL) {
			t.Errorf("segment %s, want one of the second server", u)
		}
		fetchURL(t, "GET", u).is(t, 200)
	}
}

func TestServerThatAnswersBeginsWithoutFailures(t *testing.T) {
	v := position{server: "a", unavailable: 2, behind: 3}
	p := &servedPlaylist{Playlist: &playlist.Playlist{Segments: []playlist.Segment{{Number: 7}}}}
	if _, ok := v.show("a", p); !ok || v.unavailable != 0 || v.behind != 0 {
		t.Errorf("shown: %v, with %d failures and %d times behind, want none of either", ok, v.unavailable, v.behind)
	}
}

func TestPositionOfAViewerThatHasLeftIsDropped(t *testing.T) {
	t0 := time.Now()
	all := positions{limit: 9, all: map[positionKey]*position{}}
	all.of(positionKey{session: "left"}, t0)
	all.of(positionKey{session: "there"}, t0.Add(positionLinger))
	all.sweep(t0.Add(positionLinger + 1))
	if len(all.all) != 1 || all.all[positionKey{session: "there"}] == nil {
		t.Errorf("%d positions are kept, want that of the viewer that is there", len(all.all))
	}
}

// entered counts the clients that enter.
type entered int

func (n *entered) Enter(listen.Client) { *n++ }

func TestNoViewerEntersOnceTheServerCloses(t *testing.T) {
	var n entered
	v := viewers{sessions: &n, limit: 9, perAddress: func() int { return 0 }, all: map[viewerKey]*viewer{}}
	v.seen(&request{key: streamKey{name: "a"}}, time.Second, 1, true)
	v.close()
	v.seen(&request{key: streamKey{name: "b"}}, time.Second, 1, true)
	if n != 1 {
		t.Errorf("%d viewers have entered, want the one before the end", n)
	}
}

func TestUnknownStreamIsNotFoundThoughServersLive(t *testing.T) {
	t.Parallel()
	f := newBalancedPair(t, quick)
	for _, n := range []*node{f.first, f.second} {
		n.set(nil, listen.Answer{Verdict: listen.NotFound, Reason: "there is no such stream: cam"})
	}
	fetchURL(t, "GET", f.asked.http.URL+"/lb/cam/index.m3u8").is(t, 404)
	if len(f.balancer.failed) != 0 {
		t.Errorf("servers %v are said to have failed, though they answered", f.balancer.failed)
	}
}

func TestViewerComesAgainWhileTheStreamStarts(t *testing.T) {
	t.Parallel()
	f := newBalancedPair(t, quick)
	f.first.set(nil, listen.Answer{Verdict: listen.Unavailable})
	fetchURL(t, "GET", f.asked.http.URL+"/lb/cam/index.m3u8").is(t, 503)
	f.first.serve(f.stores[0])
	if u := fetchURL(t, "GET", f.media(t, "")).is(t, 200).uris()[0]; !strings.HasPrefix(u, f.first.http.URL) {
		t.Errorf("segment %s, want one of the first server, which lives", u)
	}
}

func TestThisNodeServesTheViewersForWhichItIsChosen(t *testing.T) {
	t.Parallel()
	f := newBalancedPair(t, patient)
	f.asked.serve(f.stores[0])
	f.balancer.targets = []Target{{Server: "self", Here: true}}
	url := f.media(t, "")
	uris := fetchURL(t, "GET", url).is(t, 200).uris()
	if !strings.HasPrefix(uris[0], "/cam/s") {
		t.Fatalf("segment %s, want one of this node's own", uris[0])
	}
	fetchURL(t, "GET", f.asked.http.URL+uris[0]).is(t, 200)
	f.viewers[0].become(t, 1)
	if got := f.asked.questions(); !got[0].Here {
		t.Errorf("the router was asked %+v, want a viewer that is served here", got[0])
	}
}

func TestViewerByHTTPSIsNotLedToHTTP(t *testing.T) {
	t.Parallel()
	f := newBalancedPair(t, patient)
	handler := f.asked.http.Config.Handler
	f.asked.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Forwarded-Proto", "https")
		handler.ServeHTTP(w, listen.Forwarded(r, func(netip.Addr) bool { return true }))
	})
	uris := fetchURL(t, "GET", f.media(t, "")).is(t, 200).uris()
	if !strings.HasPrefix(uris[0], "/lb/cam/s") {
		t.Fatalf("segment %s, want one through this node", uris[0])
	}
	r := fetchURL(t, "GET", f.asked.http.URL+uris[0]).is(t, 200)
	seg := f.stores[0].Window().Segments[0]
	if r.body != string(seg.Bytes(cmaf.TS)) {
		t.Errorf("%d bytes, want the %d of the server", len(r.body), len(seg.Bytes(cmaf.TS)))
	}
	f.viewers[0].become(t, 1)
}
