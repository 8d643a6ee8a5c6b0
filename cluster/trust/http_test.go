package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	testKey  = Derive("abcd")
	wrongKey = Derive("wrong")
)

// Handler is the handler of a node with the key k, and with those of particular peers.
func (k Keys) Handler(next http.Handler, o Options, others ...Keys) http.Handler {
	return newGate(func() []Keys { return append([]Keys{k}, others...) }, next, o)
}

// echo answers with what it was asked, and counts.
type echo struct{ served atomic.Int32 }

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.served.Add(1)
	body, _ := io.ReadAll(r.Body)
	switch r.URL.Path {
	case "/unchanged":
		w.WriteHeader(http.StatusNotModified)
	case "/missing":
		http.Error(w, "no such stream", http.StatusNotFound)
	case "/big":
		big := make([]byte, 1<<20)
		for range 17 {
			if _, err := w.Write(big); err != nil {
				return
			}
		}
	case "/limit":
		_, _ = w.Write(make([]byte, maxBody))
	default:
		fmt.Fprintf(w, "%s %s %q", r.Method, r.URL.RequestURI(), body)
	}
}

// wire is a transport that somebody in the middle can look at and change.
type wire struct {
	before func(*http.Request)
	after  func(*http.Response)

	mu   sync.Mutex
	seen []string // statuses
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.before != nil {
		w.before(r)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if w.after != nil {
		w.after(res)
	}
	w.mu.Lock()
	w.seen = append(w.seen, fmt.Sprint(res.StatusCode, res.Header.Get(HeaderTrust)))
	w.mu.Unlock()
	return res, nil
}

func (w *wire) statuses() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.seen, " ")
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func ask(t *testing.T, c *http.Client, method, url, body string) (status int, text string, err error) {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, url, in)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

var exchangeTests = []struct {
	name, method, path, body string
	status                   int
	want                     string
}{
	{"get", "GET", "/cluster/state?v=1&t=a%20b", "", 200, `GET /cluster/state?v=1&t=a%20b ""`},
	{"escaped", "GET", "/a%2Fb/c%20d", "", 200, `GET /a%2Fb/c%20d ""`},
	{"post", "POST", "/config", "stream a;", 200, `POST /config "stream a;"`},
	{"unchanged", "GET", "/unchanged", "", 304, ""},
	{"error", "GET", "/missing", "", 404, "no such stream\n"},
	{"head", "HEAD", "/x", "", 200, ""},
	{"largest reply", "GET", "/limit", "", 200, strings.Repeat("\x00", maxBody)},
	{"reply too large", "GET", "/big", "", 500, "reply too large\n"},
	{"largest request", "POST", "/missing", strings.Repeat("a", maxBody), 404, "no such stream\n"},
}

func TestBothSidesProveThemselves(t *testing.T) {
	e := &echo{}
	url := serve(t, testKey.Handler(e, Options{}))
	w := &wire{}
	c := &http.Client{Transport: testKey.Transport(w)}
	for _, tt := range exchangeTests {
		status, text, err := ask(t, c, tt.method, url+tt.path, tt.body)
		if err != nil || status != tt.status || text != tt.want {
			t.Errorf("%s: got %d %.60q, %v, want %d %.60q", tt.name, status, text, err, tt.status, tt.want)
		}
	}
	if got, want := w.statuses(), "401nonce 200 200 200 304 404 200 200 500 404"; got != want {
		t.Errorf("on the wire: %s, want %s: one refusal, then each reply brings the next nonce", got, want)
	}
	if got, want := int(e.served.Load()), len(exchangeTests); got != want {
		t.Errorf("%d requests were served, want %d", got, want)
	}
}

func TestRequestTooLargeIsNeverSent(t *testing.T) {
	e := &echo{}
	url := serve(t, testKey.Handler(e, Options{}))
	c := &http.Client{Transport: testKey.Transport(nil)}
	if _, _, err := ask(t, c, "POST", url, strings.Repeat("a", maxBody+1)); err == nil || e.served.Load() != 0 {
		t.Errorf("error = %v, %d served, want an error and 0", err, e.served.Load())
	}
}

func TestWrongKeyIsRefusedAndChangesNothing(t *testing.T) {
	var log bytes.Buffer
	var refused atomic.Int32
	e := &echo{}
	url := serve(t, testKey.Handler(e, Options{
		Log: slog.New(slog.NewTextHandler(&log, nil)),
		WrongKey: func(a netip.Addr) {
			if a.IsLoopback() {
				refused.Add(1)
			}
		},
	}))
	w := &wire{}
	c := &http.Client{Transport: wrongKey.Transport(w)}
	for range 3 {
		if _, _, err := ask(t, c, "GET", url+"/cluster/state", ""); !errors.Is(err, ErrWrongKey) {
			t.Errorf("error = %v, want %v", err, ErrWrongKey)
		}
	}
	if got := e.served.Load(); got != 0 {
		t.Errorf("%d requests reached the handler, want 0", got)
	}
	if got := refused.Load(); got != 3 {
		t.Errorf("%d wrong keys were counted, want 3", got)
	}
	if got := strings.Count(log.String(), "another cluster key"); got != 1 {
		t.Errorf("%d warnings in one minute, want 1:\n%s", got, &log)
	}
	if strings.Contains(w.statuses(), "stale") {
		t.Errorf("on the wire: %s; a wrong key is not stale", w.statuses())
	}
	if _, _, err := ask(t, &http.Client{Transport: (Keys{}).Transport(w)}, "GET", url, ""); err == nil {
		t.Error("a client without key: no error")
	}
	if _, _, err := ask(t, &http.Client{Transport: testKey.Transport(nil)}, "GET", url, ""); err != nil {
		t.Errorf("right key after wrong ones: %v", err)
	}
}

func TestWrongKeysAreSlowedDown(t *testing.T) {
	var looked atomic.Int32
	g := testKey.Handler(&echo{}, Options{Log: slog.New(slog.DiscardHandler), WrongKey: func(netip.Addr) { looked.Add(1) }})
	url := serve(t, g)
	var all sync.WaitGroup
	for range 400 {
		all.Go(func() {
			_, _, _ = ask(t, &http.Client{Transport: wrongKey.Transport(&wire{})}, "GET", url+"/cluster/state", "")
		})
	}
	all.Wait()
	if n := looked.Load(); n < 100 || n > 250 {
		t.Errorf("%d of 400 wrong keys that came at once were looked at, want the burst and those of the time that it took", n)
	}
	if _, _, err := ask(t, &http.Client{Transport: testKey.Transport(nil)}, "GET", url, ""); err != nil {
		t.Logf("the right key of the same address waits: %v", err)
	}
}

func TestZeroKeysAdmitNobody(t *testing.T) {
	e := &echo{}
	url := serve(t, (Keys{}).Handler(e, Options{}))
	forged := &transport{base: http.DefaultTransport} // zero keys, past the check in RoundTrip
	r, _ := http.NewRequest("GET", url, nil)
	_, n, err := forged.try(r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := forged.try(r, nil, n); !errors.Is(err, ErrWrongKey) || e.served.Load() != 0 {
		t.Errorf("error = %v, %d served, want %v and 0", err, e.served.Load(), ErrWrongKey)
	}
}

func TestPeersOwnKeyIsAdmittedAndTold(t *testing.T) {
	theirs := Derive("theirs")
	var got Keys
	url := serve(t, testKey.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = Proven(r.Context())
	}), Options{}, theirs, Keys{}))
	for _, k := range []Keys{testKey, theirs} {
		if _, _, err := ask(t, &http.Client{Transport: k.Transport(nil)}, "GET", url, ""); err != nil || got != k {
			t.Errorf("proved with %v: Proven = %v, error %v", k, got, err)
		}
	}
}

func TestRestartOfTheAnswererIsStaleAndRepeated(t *testing.T) {
	var wrong atomic.Int32
	e := &echo{}
	o := Options{WrongKey: func(netip.Addr) { wrong.Add(1) }}
	var h atomic.Pointer[http.Handler]
	boot := func() { g := testKey.Handler(e, o); h.Store(&g) }
	boot()
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*h.Load()).ServeHTTP(w, r) }))
	w := &wire{}
	c := &http.Client{Transport: testKey.Transport(w)}
	for range 2 {
		if _, _, err := ask(t, c, "GET", url, ""); err != nil {
			t.Fatal(err)
		}
		boot()
	}
	if got, want := w.statuses(), "401nonce 200 401stale 200"; got != want {
		t.Errorf("on the wire: %s, want %s", got, want)
	}
	if wrong.Load() != 0 {
		t.Errorf("%d wrong keys were counted, want 0", wrong.Load())
	}
}

func TestAnswererThatForgetsEveryNonceIsStaleNotWrong(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		testKey.Handler(&echo{}, Options{}).ServeHTTP(w, r) // each request meets a new process
	}))
	_, _, err := ask(t, &http.Client{Transport: testKey.Transport(nil)}, "GET", url, "")
	if !errors.Is(err, ErrStale) || errors.Is(err, ErrWrongKey) {
		t.Errorf("error = %v, want %v", err, ErrStale)
	}
}

func TestReplayedRequestIsRefused(t *testing.T) {
	e := &echo{}
	h := testKey.Handler(e, Options{WrongKey: func(netip.Addr) { t.Error("a replay counted as a wrong key") }})
	url := serve(t, h)
	var heard http.Header
	w := &wire{before: func(r *http.Request) { heard = r.Header.Clone() }}
	if _, _, err := ask(t, &http.Client{Transport: testKey.Transport(w)}, "GET", url+"/a", ""); err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest("GET", url+"/a", nil)
	r.Header = heard
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized || e.served.Load() != 1 {
		t.Errorf("replay: status %d, %d served, want 401 and 1", res.StatusCode, e.served.Load())
	}
}

// changes that somebody in the middle makes to a request; served says what the handler may see of it.
var requestChanges = []struct {
	name   string
	change func(*http.Request)
}{
	{"method", func(r *http.Request) { r.Method = "PUT" }},
	{"path", func(r *http.Request) { r.URL.Path = "/b" }},
	{"query", func(r *http.Request) { r.URL.RawQuery = "v=2" }},
	{"body", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("evil")), 4 }},
	{"body dropped", func(r *http.Request) { r.Body, r.ContentLength = nil, 0 }},
	{"body and its hash", func(r *http.Request) {
		p, _ := parseRequest(r.Header.Get(HeaderProof))
		p.body = sum{1}
		r.Header.Set(HeaderProof, p.String())
	}},
	{"asker's nonce", func(r *http.Request) {
		p, _ := parseRequest(r.Header.Get(HeaderProof))
		p.own = own{1}
		r.Header.Set(HeaderProof, p.String())
	}},
}

func TestChangedRequestIsRefused(t *testing.T) {
	for _, tt := range requestChanges {
		t.Run(tt.name, func(t *testing.T) {
			e := &echo{}
			url := serve(t, testKey.Handler(e, Options{}))
			w := &wire{before: func(r *http.Request) {
				if r.Header.Get(HeaderProof) != version {
					tt.change(r)
				}
			}}
			status, _, err := ask(t, &http.Client{Transport: testKey.Transport(w)}, "POST", url+"/a?v=1", "good")
			if err == nil && status < 400 || e.served.Load() != 0 {
				t.Errorf("status %d, error %v, %d served, want a refusal", status, err, e.served.Load())
			}
		})
	}
}

var replyChanges = []struct {
	name   string
	change func(*http.Response)
	want   error
}{
	{"body", func(r *http.Response) { r.Body = io.NopCloser(strings.NewReader("evil")) }, ErrWrongKey},
	{"status", func(r *http.Response) { r.StatusCode = 404 }, ErrWrongKey},
	{"next nonce", func(r *http.Response) { r.Header.Set(HeaderNonce, b32) }, ErrWrongKey},
	{"called a stream", func(r *http.Response) {
		r.Header.Set(HeaderProof, strings.Replace(r.Header.Get(HeaderProof), "body", "stream", 1))
	}, ErrWrongKey},
	{"asker's proof reflected", func(r *http.Response) {
		p, _ := parseRequest(r.Request.Header.Get(HeaderProof))
		r.Header.Set(HeaderProof, formatReply(domainReply, p.mac))
	}, ErrWrongKey},
	{"asker's proof reflected as a stream", func(r *http.Response) {
		p, _ := parseRequest(r.Request.Header.Get(HeaderProof))
		r.Header.Set(HeaderProof, formatReply(domainStream, p.mac))
	}, ErrWrongKey},
	{"no proof", func(r *http.Response) { r.Header.Del(HeaderProof) }, ErrUnproven},
	{"garbage", func(r *http.Response) { r.Header.Set(HeaderProof, "1 body x") }, ErrUnproven},
}

func TestChangedReplyIsRefused(t *testing.T) {
	for _, tt := range replyChanges {
		t.Run(tt.name, func(t *testing.T) {
			url := serve(t, testKey.Handler(&echo{}, Options{}))
			w := &wire{after: func(r *http.Response) {
				if r.StatusCode == http.StatusOK {
					tt.change(r)
				}
			}}
			if _, _, err := ask(t, &http.Client{Transport: testKey.Transport(w)}, "GET", url, ""); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestReplyToAnotherRequestIsRefused(t *testing.T) {
	url := serve(t, testKey.Handler(&echo{}, Options{}))
	var kept *http.Response
	w := &wire{after: func(r *http.Response) {
		switch {
		case r.StatusCode != http.StatusOK:
		case kept == nil:
			b, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(b))
			kept = &http.Response{Header: r.Header.Clone(), Body: io.NopCloser(bytes.NewReader(b))}
		default:
			r.Header, r.Body = kept.Header, kept.Body
		}
	}}
	c := &http.Client{Transport: testKey.Transport(w)}
	if _, _, err := ask(t, c, "GET", url+"/same", ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ask(t, c, "GET", url+"/same", ""); !errors.Is(err, ErrWrongKey) {
		t.Errorf("old reply to a new request: error = %v, want %v", err, ErrWrongKey)
	}
}

func TestAnswererWithoutTheKeyIsFoundOut(t *testing.T) {
	plain := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	closed := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }))
	eager := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, err := parseRequest(r.Header.Get(HeaderProof)); err == nil {
			// Knows everything but the key.
			signer{keys: wrongKey, request: p.mac, next: b32}.reply(w, 200, []byte("{}"))
			return
		}
		w.Header().Set(HeaderTrust, trustNonce)
		w.Header().Set(HeaderNonce, b32)
		w.WriteHeader(401)
	}))
	for url, want := range map[string]error{plain: ErrUnproven, closed: ErrUnproven, eager: ErrWrongKey} {
		if _, _, err := ask(t, &http.Client{Transport: testKey.Transport(nil)}, "GET", url, ""); !errors.Is(err, want) {
			t.Errorf("error = %v, want %v", err, want)
		}
	}
}

func TestConcurrentClientsAndRequestsAreServed(t *testing.T) {
	e := &echo{}
	url := serve(t, testKey.Handler(e, Options{}))
	var wg sync.WaitGroup
	for i := range 2 {
		c := &http.Client{Transport: testKey.Transport(nil)}
		for j := range 4 {
			wg.Go(func() {
				for n := range 25 {
					path := fmt.Sprintf("/%d/%d/%d", i, j, n)
					if _, text, err := ask(t, c, "GET", url+path, ""); err != nil || text != "GET "+path+` ""` {
						t.Errorf("%s: got %q, %v", path, text, err)
					}
				}
			})
		}
	}
	wg.Wait()
	if got := e.served.Load(); got != 200 {
		t.Errorf("%d requests were served, want 200", got)
	}
}

func TestFloodWithoutTheKeyDoesNotPushAPeerOut(t *testing.T) {
	g := testKey.Handler(&echo{}, Options{})
	url := serve(t, g)
	w := &wire{}
	c := &http.Client{Transport: testKey.Transport(w)}
	_, _, _ = ask(t, c, "GET", url, "")
	for range 20000 {
		g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/cluster/state", nil))
	}
	if _, _, err := ask(t, c, "GET", url, ""); err != nil {
		t.Fatal(err)
	}
	if got, want := w.statuses(), "401nonce 200 200"; got != want {
		t.Errorf("on the wire: %s, want %s", got, want)
	}
}

func TestWarningsAreBounded(t *testing.T) {
	var w warnings
	told := 0
	for i := range 5000 {
		if w.due(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 0) {
			told++
		}
	}
	if told != warnMany || len(w.last) != warnMany {
		t.Errorf("%d warnings and %d addresses kept, want %d", told, len(w.last), warnMany)
	}
	if !w.due(netip.MustParseAddr("192.0.2.1"), warnEvery) || !w.due(netip.MustParseAddr("10.0.0.1"), warnEvery) {
		t.Error("silent after a minute")
	}
}

func TestAddressIsWarnedOfAgainAfterAMinute(t *testing.T) {
	var w warnings
	addr := netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		at   time.Duration
		want bool
	}{{0, true}, {warnEvery - 1, false}, {warnEvery, true}, {2*warnEvery - 1, false}} {
		if got := w.due(addr, tt.at); got != tt.want {
			t.Errorf("at %v a warning is due: %v, want %v", tt.at, got, tt.want)
		}
	}
}

func TestNoncesFromBeforeAStaleOneAreNotTried(t *testing.T) {
	w := &wire{}
	tr := testKey.Transport(w).(*transport)
	url := serve(t, testKey.Handler(&echo{}, Options{}))
	for i := range poolNonces {
		tr.pool.put(url, nonce{byte(i)}) // of an earlier life of the answerer
	}
	for range 2 {
		if _, _, err := ask(t, &http.Client{Transport: tr}, "GET", url, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := w.statuses(), "401stale 200 200"; got != want {
		t.Errorf("on the wire: %s, want %s", got, want)
	}
	if n := len(tr.pool.by[url]); n != 1 {
		t.Errorf("%d nonces are kept for requests at the same time, want the one that came last", n)
	}
}

func TestProvedReplyWithoutANonceProvesNothing(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		signer{keys: testKey, next: b32}.reply(w, 200, []byte("{}"))
	}))
	if _, _, err := ask(t, &http.Client{Transport: testKey.Transport(nil)}, "GET", url, ""); !errors.Is(err, ErrUnproven) {
		t.Errorf("error = %v, want %v", err, ErrUnproven)
	}
}

func TestPoolIsBounded(t *testing.T) {
	var p pool
	for i := range 3 * poolHosts {
		for j := range 3 * poolNonces {
			p.put(fmt.Sprint(i), nonce{byte(j)})
		}
	}
	if len(p.by) > poolHosts || len(p.by["767"]) != poolNonces {
		t.Errorf("%d targets, %d nonces of one, want at most %d and %d", len(p.by), len(p.by["767"]), poolHosts, poolNonces)
	}
	if n := p.get("767"); n == nil || *n != (nonce{3*poolNonces - 1}) {
		t.Errorf("get = %v, want the newest", n)
	}
}
