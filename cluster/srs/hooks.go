package srs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

// hookTimeout is how long one URL has to answer. The client waits meanwhile.
const hookTimeout = 3 * time.Second

// maxSending bounds the clients that have left and whose hooks are still being sent; the hooks of more are dropped and logged.
const maxSending = 256

// Hooks tells URLs what clients do, in SRS's form, and keeps what clients said when they came. Any goroutine may use it. A
// client is told by its address, which no two clients have at one time.
type Hooks struct {
	server  string // server_id: the identity of the node, which outlives restarts
	service string // service_id: that of this run of it
	client  *http.Client
	log     *slog.Logger
	sending chan struct{} // holds an element for each client whose last hooks are being sent

	mu      sync.Mutex
	clients map[netip.AddrPort]*Client // guarded by mu
	watches map[string]*watch          // guarded by mu
	endings map[string]ending          // by weir's name of the stream; guarded by mu
	last    uint64
}

// An ending is the hook on_unpublish of a stream while it is being sent.
type ending struct {
	session string        // the address of the publisher
	told    chan struct{} // closed once the hook has been taken or has failed
}

// A Client is what one client has said. It is a copy.
type Client struct {
	ID      string // client_id
	Vhost   string
	App     string
	Stream  string // SRS's name; empty until the client has said it
	Param   string
	TCURL   string
	PageURL string
	IP      string
	Since   time.Time

	// Publisher says that the client publishes now, and Player that a hook let it play.
	Publisher, Player bool

	remote netip.AddrPort
	name   string // weir's name of the stream that it publishes
	suffix string // of the file that it asks for; SRS shows that of playlists

	publications int // so far

	session bool                // it is a connection with a session of its own, of which [Hooks.Left] tells the end
	host    string              // the virtual host for which on_connect let it in
	hooks   map[string][]string // of its virtual host
	sent    chan struct{}       // closed once the hooks so far that ask nothing have been sent; nil if there were none
}

// NewHooks returns hooks of the node of that name and of this run of the process.
func NewHooks(node, instance string, log *slog.Logger) *Hooks {
	return &Hooks{
		server: "vid-" + short(node), service: short(instance), log: log,
		client:  &http.Client{Timeout: hookTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second}},
		sending: make(chan struct{}, maxSending), clients: map[netip.AddrPort]*Client{}, watches: map[string]*watch{}, endings: map[string]ending{},
	}
}

// StreamID is the identity of a stream in hooks and in the API.
func StreamID(streamURL string) string { return "vid-" + short(streamURL) }

// short makes seven letters and digits of a text, always the same.
func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	s := strconv.FormatUint(binary.BigEndian.Uint64(sum[:]), 36)
	return (s + "0000000")[:7]
}

// streamURL is the path by which SRS calls a stream.
func streamURL(vhost, app, stream string) string {
	u := "/" + app + "/" + stream
	if vhost != "" && vhost != DefaultVhost {
		u = vhost + u
	}
	return u
}

// body is that of a hook, with what all hooks have before more.
func (h *Hooks) body(action string, c *Client, more ...field) object {
	return append(object{
		{"server_id", h.server},
		{"service_id", h.service},
		{"action", action},
		{"client_id", c.ID},
		{"ip", c.IP},
		{"vhost", c.Vhost},
		{"app", c.App},
	}, more...)
}

// streamBody is the body of a hook about a stream.
func (h *Hooks) streamBody(action string, c *Client) object {
	tcURL, stream, param := field{"tcUrl", c.TCURL}, field{"stream", c.Stream + c.suffix}, field{"param", c.Param}
	b := h.body(action, c, tcURL, stream, param)
	if action == "on_play" { // where SRS has them in another order
		b = h.body(action, c, stream, tcURL, param, field{"pageUrl", c.PageURL})
	}
	u := streamURL(c.Vhost, c.App, c.Stream)
	return append(b, field{"stream_url", u}, field{"stream_id", StreamID(u)})
}

// note takes in a request of a client, and returns all that the client has said.
func (h *Hooks) note(vh *Vhost, r *listen.Request) *Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.clients[r.Remote]
	if v == nil {
		v = h.newClient(r)
		h.clients[r.Remote] = v
	}
	h.unpublish(v) // a client says something new only once it publishes no more
	describe(v, vh, r)
	seen := *v
	return &seen
}

// newClient is called with mu held.
func (h *Hooks) newClient(r *listen.Request) *Client {
	h.last++
	return &Client{
		ID: short(h.service + strconv.FormatUint(h.last, 10)), IP: r.Remote.Addr().String(), Since: time.Now(),
		remote: r.Remote, session: r.Protocol == protocols.RTMP,
	}
}

// describe fills in what a request says.
func describe(v *Client, vh *Vhost, r *listen.Request) {
	v.App, v.TCURL, v.PageURL = r.App, r.TCURL, r.PageURL
	if vh == nil {
		vh = &Vhost{Name: DefaultVhost}
	}
	v.Vhost, v.hooks = vh.Name, vh.Hooks
	if p, ok := placeOf(vh, r); ok {
		v.App, v.Stream = p.App, p.Stream
	}
	switch {
	case r.Protocol != protocols.RTMP: // SRS makes it for clients that have none
		v.TCURL = "rtmp://" + v.Vhost + "/" + v.App
	case v.TCURL == "":
		v.TCURL = "rtmp://" + r.Host + "/" + v.App
	}
	v.Param = shownParam(vh, r)
}

// Connect asks whether a client may connect. The error is [listen.ErrDenied] if not.
func (h *Hooks) Connect(ctx context.Context, vh *Vhost, r listen.Request) error {
	return h.connect(ctx, h.note(vh, &r))
}

// connect asks on_connect about a client, unless it has been asked for the same virtual host before: the one that a client names
// when it connects need not be the one in which it then plays or publishes.
func (h *Hooks) connect(ctx context.Context, v *Client) error {
	if v.host == v.Vhost || !v.session {
		return nil
	}
	err := h.ask(ctx, v, "on_connect", h.body("on_connect", v,
		field{"stream", v.Stream}, field{"param", v.Param}, field{"tcUrl", v.TCURL}, field{"pageUrl", v.PageURL}))
	if err == nil {
		h.change(v.remote, func(kept *Client) { kept.host = v.Vhost })
	}
	return err
}

// Publish asks whether a client may publish. It waits until the hooks have been told that the publisher before has ended.
func (h *Hooks) Publish(ctx context.Context, vh *Vhost, r listen.Request) error {
	v := h.note(vh, &r)
	h.settled(ctx, r.Streams)
	if err := h.connect(ctx, v); err != nil {
		return err
	}
	return h.ask(ctx, v, "on_publish", h.streamBody("on_publish", v))
}

// Published notes that a client publishes a stream. Over, which returns at once, sends on_unpublish once it does so no more. A
// client that was refused, by a hook or because the stream has a publisher, has never published: SRS sends no on_unpublish then.
func (h *Hooks) Published(remote netip.AddrPort, stream string) (over func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.clients[remote]
	if v == nil {
		return func() {}
	}
	v.name = stream
	v.publications++
	v.Publisher = true
	n := v.publications
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if v.publications == n {
			h.unpublish(v)
		}
	}
}

// unpublish is called with mu held.
func (h *Hooks) unpublish(v *Client) {
	if !v.Publisher {
		return
	}
	v.Publisher = false
	if len(v.hooks["on_unpublish"]) == 0 {
		return
	}
	name, told := v.name, h.send(v, hook{"on_unpublish", h.streamBody("on_unpublish", v)})
	h.endings[name] = ending{v.remote.String(), told}
	go func() {
		<-told
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.endings[name].told == told {
			delete(h.endings, name)
		}
	}()
}

// End sends on_unpublish for the publisher of a stream at an address, given as text, ahead of what [Hooks.Published] arranges. It
// returns at once; told is called when that has been sent, or at once if there is nothing to send.
func (h *Hooks) End(stream, session string, told func()) {
	if remote, err := netip.ParseAddrPort(session); err == nil {
		h.change(remote, h.unpublish)
	}
	_, sent := h.Leaving(stream)
	if sent == nil {
		told()
		return
	}
	go func() {
		<-sent
		told()
	}()
}

// Leaving is the session of the last publisher of a stream while on_unpublish is being sent about it, and a channel that is
// closed once it has been sent; an empty session and nil otherwise.
func (h *Hooks) Leaving(stream string) (session string, told <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.endings[stream]
	return e.session, e.told
}

// settled waits until hooks have been told that the last publisher of each stream has ended.
func (h *Hooks) settled(ctx context.Context, streams []string) {
	for _, name := range streams {
		if session, told := h.Leaving(name); session != "" {
			select {
			case <-told:
			case <-ctx.Done():
			}
		}
	}
}

// Play asks whether a client may play.
func (h *Hooks) Play(ctx context.Context, vh *Vhost, r listen.Request) error {
	v := h.note(vh, &r)
	if err := h.connect(ctx, v); err != nil {
		return err
	}
	if err := h.ask(ctx, v, "on_play", h.streamBody("on_play", v)); err != nil {
		return err
	}
	h.change(r.Remote, func(v *Client) { v.Player = true })
	return nil
}

// change changes what is kept of a client.
func (h *Hooks) change(remote netip.AddrPort, by func(*Client)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v := h.clients[remote]; v != nil {
		by(v)
	}
}

// ask sends a hook to its URLs, one after the other, until one refuses.
func (h *Hooks) ask(ctx context.Context, v *Client, action string, body any) error {
	for _, u := range v.hooks[action] {
		if err := h.post(ctx, u, body); err != nil {
			h.log.Info("a hook refuses a client", slog.String("client", v.IP), slog.String("stream", v.App+"/"+v.Stream), slog.Any("err", fmt.Errorf("%s: %w", action, err)))
			return fmt.Errorf("%w: %s: %w", listen.ErrDenied, action, err)
		}
	}
	return nil
}

// Dismissed tells that a client was not served. One that has no session is gone by that.
func (h *Hooks) Dismissed(remote netip.AddrPort) {
	if v, ok := h.Client(remote); ok && !v.session {
		h.Left(remote, 0, 0)
	}
}

// Left tells that a client has gone. It returns at once. SRS sends on_close for RTMP clients only.
func (h *Hooks) Left(remote netip.AddrPort, received, sent uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.clients[remote]
	delete(h.clients, remote)
	if v == nil || len(v.hooks) == 0 {
		return
	}
	h.unpublish(v)
	var hooks []hook
	if v.Player {
		hooks = append(hooks, hook{"on_stop", h.streamBody("on_stop", v)})
	}
	if v.session {
		hooks = append(hooks, hook{"on_close", h.body("on_close", v, field{"send_bytes", sent}, field{"recv_bytes", received})})
	}
	h.send(v, hooks...)
}

// A hook is a request that is still to be sent.
type hook struct {
	action string
	body   any
}

// send sends hooks that ask nothing, one after the other, beside the caller, and behind those that were sent about the client
// before. It is called with mu held. The channel is closed once they have been sent.
func (h *Hooks) send(v *Client, hooks ...hook) chan struct{} {
	before, sent := v.sent, make(chan struct{})
	v.sent = sent
	select {
	case h.sending <- struct{}{}:
	default:
		h.log.Warn("the hooks of a client that has left are dropped: too many wait for answers", slog.String("client", v.IP))
		close(sent)
		return sent
	}
	urls := v.hooks
	go func() {
		defer func() { <-h.sending }()
		defer close(sent)
		if before != nil {
			<-before
		}
		for _, k := range hooks {
			for _, u := range urls[k.action] {
				if err := h.post(context.Background(), u, k.body); err != nil { // the client has gone, so that nothing can be refused
					h.log.Debug("a hook was not taken", slog.String("client", v.IP), slog.Any("err", fmt.Errorf("%s: %w", k.action, err)))
				}
			}
		}
	}()
	return sent
}

// unservedAge is how long a client is kept that has no session, because it was admitted and then not served.
const unservedAge = time.Minute

// Sweep tells that clients have gone which were never served; open says whether a session has an address.
func (h *Hooks) Sweep(now time.Time, open func(netip.AddrPort) bool) {
	h.mu.Lock()
	var gone []netip.AddrPort
	for at, v := range h.clients {
		if now.Sub(v.Since) > unservedAge && !open(at) {
			gone = append(gone, at)
		}
	}
	h.mu.Unlock()
	for _, at := range gone {
		h.Left(at, 0, 0)
	}
}

// Client is the client at an address; false if there is none.
func (h *Hooks) Client(remote netip.AddrPort) (Client, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v := h.clients[remote]; v != nil {
		return *v, true
	}
	return Client{}, false
}

var errCode = errors.New("the answer is not 0")

// post sends one hook. It is accepted with status 200 or 201 and a body that is 0, or an object whose code is 0.
func (h *Hooks) post(ctx context.Context, to string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(compact(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "weir")
	res, err := h.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its text has the URL, which may hold a secret
			err = u.Err
		}
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		return fmt.Errorf("the answer has the status %s", res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return err
	}
	return accepted(text)
}

// accepted reads the answer to a hook.
func accepted(text []byte) error {
	if strings.TrimSpace(string(text)) == "0" {
		return nil
	}
	var o struct {
		Code *json.Number `json:"code"`
	}
	if err := json.Unmarshal(text, &o); err != nil || o.Code == nil {
		return fmt.Errorf("%w: %.60q", errCode, text)
	}
	if code, err := o.Code.Int64(); err != nil || code != 0 {
		return fmt.Errorf("%w: code %s", errCode, *o.Code)
	}
	return nil
}
