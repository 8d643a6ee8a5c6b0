package srs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/cluster/srs"
	"weir/protocols"
	"weir/protocols/listen"
)

// A sink takes hooks and answers them with what the test wants.
type sink struct {
	url    string
	mu     sync.Mutex
	bodies []string
	status int
	says   string
	no     string // the action that is refused
	came   chan string
}

func newSink(t *testing.T) *sink {
	k := &sink{status: 200, says: "0", came: make(chan string, 64)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		k.mu.Lock()
		k.bodies = append(k.bodies, string(body))
		status, says := k.status, k.says
		if k.no != "" && strings.Contains(string(body), `"`+k.no+`"`) {
			says = "1"
		}
		k.mu.Unlock()
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			says = "1"
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, says)
		k.came <- string(body)
	}))
	t.Cleanup(s.Close)
	k.url = s.URL
	return k
}

func (k *sink) answer(status int, says string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status, k.says = status, says
}

func (k *sink) next(t *testing.T) string {
	t.Helper()
	select {
	case b := <-k.came:
		return b
	case <-time.After(20 * time.Second):
		t.Fatal("no hook has come")
		return ""
	}
}

func TestHooksHaveTheBodiesOfSRS(t *testing.T) {
	k := newSink(t)
	vh := &srs.Vhost{Name: srs.DefaultVhost, Hooks: map[string][]string{}}
	for _, action := range []string{"on_connect", "on_close", "on_publish", "on_unpublish", "on_play", "on_stop"} {
		vh.Hooks[action] = []string{k.url}
	}
	h := srs.NewHooks("n1", "i1", slog.New(slog.DiscardHandler))
	r := wants("live", "onc?key=v1")
	r.TCURL, r.PageURL = "rtmp://127.0.0.1/live", "http://page/"
	arriving := r
	arriving.Name, arriving.Streams, arriving.Query = "", nil, ""
	if err := h.Connect(t.Context(), vh, arriving); err != nil {
		t.Fatal(err)
	}
	v, ok := h.Client(r.Remote)
	if !ok || h.Server() == "" || h.Service() == "" {
		t.Fatalf("the client is not kept: %+v", v)
	}
	head := func(action string) string {
		return fmt.Sprintf(`{"server_id":%q,"service_id":%q,"action":%q,"client_id":%q,"ip":"127.0.0.1","vhost":"__defaultVhost__","app":"live"`,
			h.Server(), h.Service(), action, v.ID)
	}
	stream := `"stream_url":"/live/onc","stream_id":"` + srs.StreamID("/live/onc") + `"}`
	if got, want := k.next(t), head("on_connect")+`,"stream":"","param":"","tcUrl":"rtmp://127.0.0.1/live","pageUrl":"http://page/"}`; got != want {
		t.Errorf("on_connect:\n%s\nwant\n%s", got, want)
	}
	if err := h.Publish(t.Context(), vh, r); err != nil {
		t.Fatal(err)
	}
	media := `,"tcUrl":"rtmp://127.0.0.1/live","stream":"onc","param":"?key=v1",`
	if got, want := k.next(t), head("on_publish")+media+stream; got != want {
		t.Errorf("on_publish:\n%s\nwant\n%s", got, want)
	}
	h.Published(r.Remote, "live/onc")()
	if got, want := k.next(t), head("on_unpublish")+media+stream; got != want {
		t.Errorf("on_unpublish:\n%s\nwant\n%s", got, want)
	}
	if err := h.Play(t.Context(), vh, r); err != nil {
		t.Fatal(err)
	}
	if got, want := k.next(t), head("on_play")+
		`,"stream":"onc","tcUrl":"rtmp://127.0.0.1/live","param":"?key=v1","pageUrl":"http://page/",`+stream; got != want {
		t.Errorf("on_play:\n%s\nwant\n%s", got, want)
	}
	h.Left(r.Remote, 123, 456)
	for _, want := range []string{
		head("on_stop") + media + stream, head("on_close") + `,"send_bytes":456,"recv_bytes":123}`,
	} {
		if got := k.next(t); got != want {
			t.Errorf("after the client has left:\n%s\nwant\n%s", got, want)
		}
	}
	if _, ok := h.Client(r.Remote); ok {
		t.Error("the client is still kept")
	}
	h.Left(r.Remote, 0, 0) // nobody
	if again := srs.NewHooks("n1", "i2", slog.New(slog.DiscardHandler)); again.Server() != h.Server() || again.Service() == h.Service() {
		t.Error("after a restart the server must be the same, and the service another")
	}
}

// told lists the actions that hooks are told of.
func (k *sink) told() (list []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.bodies {
		_, rest, _ := strings.Cut(b, `"action":"`)
		action, _, _ := strings.Cut(rest, `"`)
		_, rest, _ = strings.Cut(b, `"vhost":"`)
		vhost, _, _ := strings.Cut(rest, `"`)
		list = append(list, strings.TrimSuffix(action+" "+vhost, " "+srs.DefaultVhost))
	}
	return list
}

// hooked is a virtual host of which k is told everything.
func (k *sink) hooked(name string) *srs.Vhost {
	vh := &srs.Vhost{Name: name, Hooks: map[string][]string{}}
	for _, action := range []string{"on_connect", "on_close", "on_publish", "on_unpublish", "on_play", "on_stop"} {
		vh.Hooks[action] = []string{k.url}
	}
	return vh
}

// lifeTests have what a client does and, in their order, the hooks of which SRS tells it.
var lifeTests = []struct {
	name string
	does func(h *srs.Hooks, k *sink, r listen.Request) error
	want []string
}{
	{"a publisher that a hook refuses", func(h *srs.Hooks, k *sink, r listen.Request) error {
		k.refuse("on_publish")
		return h.Publish(context.Background(), k.hooked(srs.DefaultVhost), r)
	}, []string{"on_connect", "on_publish", "on_close"}},
	{"a publisher whose stream has a publisher", func(h *srs.Hooks, k *sink, r listen.Request) error {
		return h.Publish(context.Background(), k.hooked(srs.DefaultVhost), r)
	}, []string{"on_connect", "on_publish", "on_close"}},
	{"a client that on_connect refuses", func(h *srs.Hooks, k *sink, r listen.Request) error {
		k.refuse("on_connect")
		return h.Publish(context.Background(), k.hooked(srs.DefaultVhost), r)
	}, []string{"on_connect", "on_close"}},
	{"a player that a hook refuses", func(h *srs.Hooks, k *sink, r listen.Request) error {
		k.refuse("on_play")
		return h.Play(context.Background(), k.hooked(srs.DefaultVhost), r)
	}, []string{"on_connect", "on_play", "on_close"}},
	{"a publisher", func(h *srs.Hooks, k *sink, r listen.Request) error {
		err := h.Publish(context.Background(), k.hooked(srs.DefaultVhost), r)
		h.Published(r.Remote, "live/x")
		return err
	}, []string{"on_connect", "on_publish", "on_unpublish", "on_close"}},
	{"a publisher that publishes twice", func(h *srs.Hooks, k *sink, r listen.Request) error {
		err := h.Publish(context.Background(), k.hooked(srs.DefaultVhost), r)
		over := h.Published(r.Remote, "live/x")
		err = errors.Join(err, h.Publish(context.Background(), k.hooked(srs.DefaultVhost), r))
		h.Published(r.Remote, "live/x")
		over() // late
		return err
	}, []string{"on_connect", "on_publish", "on_unpublish", "on_publish", "on_unpublish", "on_close"}},
	{"a client that connects to one virtual host and publishes to another", func(h *srs.Hooks, k *sink, r listen.Request) error {
		err := h.Connect(context.Background(), k.hooked(srs.DefaultVhost), r)
		return errors.Join(err, h.Publish(context.Background(), k.hooked("v"), r))
	}, []string{"on_connect", "on_connect v", "on_publish v", "on_close v"}},
	{"a server that has been asked about when it connected", func(h *srs.Hooks, k *sink, r listen.Request) error {
		err := h.Connect(context.Background(), k.hooked(srs.DefaultVhost), r)
		return errors.Join(err, h.Play(context.Background(), k.hooked(srs.DefaultVhost), r))
	}, []string{"on_connect", "on_play", "on_stop", "on_close"}},
	{"an HTTP-FLV player", func(h *srs.Hooks, k *sink, r listen.Request) error {
		r.Protocol, r.Streams, r.App, r.Name, r.TCURL = protocols.FLV, []string{"live/x"}, "", "", ""
		return h.Play(context.Background(), k.hooked(srs.DefaultVhost), r)
	}, []string{"on_play", "on_stop"}},
}

// refuse answers 1 to an action, and 0 to others.
func (k *sink) refuse(action string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.no = action
}

func TestHooksTellOfClientsWhatSRSTells(t *testing.T) {
	for _, tt := range lifeTests {
		t.Run(tt.name, func(t *testing.T) {
			k := newSink(t)
			h := srs.NewHooks("n1", "i1", slog.New(slog.DiscardHandler))
			r := wants("live", "x?key=v1")
			r.TCURL, r.Streams = "rtmp://127.0.0.1/live", []string{"live/x", "x"}
			if err := tt.does(h, k, r); (err != nil) != (k.no != "") {
				t.Errorf("error = %v", err)
			}
			h.Left(r.Remote, 1, 2)
			for range tt.want {
				k.next(t)
			}
			if got := k.told(); !slices.Equal(got, tt.want) {
				t.Errorf("told %q, want %q", got, tt.want)
			}
			for _, b := range k.bodies {
				if strings.Contains(b, `"on_connect"`) && !strings.Contains(b, `"stream":"x","param":"?key=v1"`) || strings.Contains(b, `"tcUrl"`) && !strings.Contains(b, `"tcUrl":"rtmp://`) {
					t.Errorf("told %s", b)
				}
			}
		})
	}
}

func TestNewcomerIsAskedAboutOnceTheEndOfThePublisherBeforeHasBeenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var list []string // guarded by mu
		h := srs.NewHooks("n1", "i1", slog.New(slog.DiscardHandler))
		h.Over(transport(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "slow" {
				time.Sleep(2 * time.Second)
			}
			mu.Lock()
			defer mu.Unlock()
			list = append(list, r.URL.Path)
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("0")), Header: http.Header{}}, nil
		}))
		vh := &srs.Vhost{Name: srs.DefaultVhost, Hooks: map[string][]string{
			"on_publish": {"http://h/on_publish"}, "on_unpublish": {"http://slow/on_unpublish"}, "on_close": {"http://h/on_close"},
		}}
		first, second := wants("live", "x"), wants("live", "x")
		first.Streams, second.Streams = []string{"live/x"}, []string{"live/x"}
		second.Remote = netip.MustParseAddrPort("127.0.0.1:4001")
		if err := h.Publish(t.Context(), vh, first); err != nil {
			t.Fatal(err)
		}
		h.Published(first.Remote, "live/x")
		ended := make(chan struct{})
		h.End("live/x", first.Remote.String(), func() { close(ended) })
		h.End("live/y", "nobody", func() {}) // of whom there is nothing to tell
		if session, _ := h.Leaving("live/x"); session != first.Remote.String() {
			t.Errorf("the publisher that leaves is %q, want %s", session, first.Remote)
		}
		h.Left(first.Remote, 1, 2)
		if err := h.Publish(t.Context(), vh, second); err != nil {
			t.Fatal(err)
		}
		<-ended
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"/on_publish", "/on_unpublish", "/on_publish", "/on_close"}; !slices.Equal(list, want) && !slices.Equal(list, []string{want[0], want[1], want[3], want[2]}) {
			t.Errorf("told %q, want %q", list, want)
		}
		if session, _ := h.Leaving("live/x"); session != "" {
			t.Errorf("%s still leaves", session)
		}
	})
}

func TestHookRefusesUnlessItSaysZero(t *testing.T) {
	k := newSink(t)
	h := srs.NewHooks("n1", "i1", slog.New(slog.DiscardHandler))
	second := newSink(t)
	vh := &srs.Vhost{Name: srs.DefaultVhost, Hooks: map[string][]string{"on_publish": {second.url, k.url}}}
	for i, tt := range []struct {
		status int
		says   string
		ok     bool
	}{
		{200, "0", true},
		{201, "0", true},
		{200, " 0\n", true},
		{200, `{"code":0}`, true},
		{200, `{"code":0,"msg":"x"}`, true},
		{200, "1", false},
		{200, "", false},
		{200, `{"code":1}`, false},
		{200, `{}`, false},
		{200, "ok", false},
		{403, "0", false},
		{500, `{"code":0}`, false},
	} {
		k.answer(tt.status, tt.says)
		r := wants("live", "x")
		r.Remote = netip.AddrPortFrom(r.Remote.Addr(), uint16(5000+i))
		if err := h.Publish(t.Context(), vh, r); (err == nil) != tt.ok || err != nil && !errors.Is(err, listen.ErrDenied) {
			t.Errorf("%d %q: %v, want accepted %v", tt.status, tt.says, err, tt.ok)
		}
	}
	vh.Hooks["on_publish"] = []string{"http://127.0.0.1:1/?key=pa55"}
	err := h.Publish(t.Context(), vh, wants("live", "x"))
	if err == nil || strings.Contains(err.Error(), "pa55") {
		t.Errorf("a hook that nobody answers: %v, want a refusal without the secret", err)
	}
	if err := h.Publish(t.Context(), nil, wants("live", "x")); err != nil {
		t.Errorf("without a virtual host: %v", err)
	}
}

func TestClientThatWasNeverServedIsForgotten(t *testing.T) {
	k := newSink(t)
	h := srs.NewHooks("n1", "i1", slog.New(slog.DiscardHandler))
	vh := &srs.Vhost{Name: srs.DefaultVhost, Hooks: map[string][]string{"on_stop": {k.url}}}
	here, gone := wants("live", "here"), wants("live", "gone")
	gone.Remote = netip.MustParseAddrPort("127.0.0.1:4001")
	for _, r := range []listen.Request{here, gone} {
		if err := h.Play(t.Context(), vh, r); err != nil {
			t.Fatal(err)
		}
	}
	open := func(at netip.AddrPort) bool { return at == here.Remote }
	h.Sweep(time.Now(), open)
	if _, ok := h.Client(gone.Remote); !ok {
		t.Error("a client that may still be served is forgotten")
	}
	h.Sweep(time.Now().Add(time.Hour), open)
	if body := k.next(t); !strings.Contains(body, `"stream":"gone"`) || !strings.Contains(body, "on_stop") {
		t.Errorf("told %s, want on_stop of the one that has gone", body)
	}
	if _, ok := h.Client(here.Remote); !ok {
		t.Error("a client with a session is forgotten")
	}
}

func TestClientThatIsNotServedHasGoneUnlessItHasASession(t *testing.T) {
	k := newSink(t)
	h := srs.NewHooks("n1", "i1", slog.New(slog.DiscardHandler))
	vh := &srs.Vhost{Name: srs.DefaultVhost, Hooks: map[string][]string{"on_stop": {k.url}}}
	connected, other := wants("live", "connected"), wants("live", "other")
	other.Remote, other.Protocol = netip.MustParseAddrPort("127.0.0.1:4001"), protocols.FLV
	other.Streams = []string{"live/other"}
	for _, r := range []listen.Request{connected, other} {
		if err := h.Play(t.Context(), vh, r); err != nil {
			t.Fatal(err)
		}
		h.Dismissed(r.Remote)
	}
	if body := k.next(t); !strings.Contains(body, `"stream":"other"`) {
		t.Errorf("told %s, want on_stop of the one without a session", body)
	}
	if _, ok := h.Client(connected.Remote); !ok {
		t.Error("a client with a session is forgotten")
	}
}

func TestViewerOfPlaylistsIsAskedAboutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var list []string // guarded by mu
		told := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return list
		}
		h := srs.NewHooks("n1", "i1", slog.New(slog.DiscardHandler))
		h.Over(transport(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			_, action, _ := strings.Cut(string(body), `"action":"`)
			action, _, _ = strings.Cut(action, `"`)
			mu.Lock()
			list = append(list, action)
			mu.Unlock()
			says := "0"
			if strings.Contains(string(body), "token=bad") {
				says = "1"
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(says)), Header: http.Header{}}, nil
		}))
		vh := &srs.Vhost{Name: srs.DefaultVhost, Hooks: map[string][]string{"on_play": {"http://h"}, "on_stop": {"http://h"}}}
		r := listen.Request{Protocol: protocols.HLS, Streams: []string{"live/x"}, Path: "/live/x/index.m3u8", Remote: netip.MustParseAddrPort("127.0.0.1:4000")}
		for i := range 20 { // two minutes of it, each playlist over another connection
			r.Remote = netip.AddrPortFrom(r.Remote.Addr(), uint16(4000+i))
			r.Query = "session=" + strings.Repeat("a", 32)
			if err := h.Watch(t.Context(), vh, r); err != nil {
				t.Fatal(err)
			}
			time.Sleep(6 * time.Second)
		}
		if came := told(); len(came) != 1 || came[0] != "on_play" {
			t.Errorf("while the viewer watches: %v, want on_play once", came)
		}
		time.Sleep(time.Minute)
		if came := told(); len(came) != 2 || came[1] != "on_stop" {
			t.Errorf("after the viewer has gone: %v, want on_stop", came)
		}
		r.Query = "token=bad"
		for range 3 {
			if err := h.Watch(t.Context(), vh, r); !errors.Is(err, listen.ErrDenied) {
				t.Errorf("a viewer whom the hook refuses: %v", err)
			}
		}
		time.Sleep(time.Minute)
		if came := told(); len(came) != 3 {
			t.Errorf("then %v, want one more on_play and no on_stop", came)
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
