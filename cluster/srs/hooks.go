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
	last    uint64
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

	Publisher, Player bool

	connected bool // it was asked about when it connected, so that it has a session
	hooks     map[string][]string
}

// NewHooks returns hooks of the node of that name and of this run of the process.
func NewHooks(node, instance string, log *slog.Logger) *Hooks {
	return &Hooks{
		server: "vid-" + short(node), service: short(instance), log: log,
		client:  &http.Client{Timeout: hookTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second}},
		sending: make(chan struct{}, maxSending), clients: map[netip.AddrPort]*Client{}, watches: map[string]*watch{},
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
	b := h.body(action, c, field{"tcUrl", c.TCURL}, field{"stream", c.Stream}, field{"param", c.Param})
	if action == "on_play" {
		b = append(b, field{"pageUrl", c.PageURL})
	}
	u := streamURL(c.Vhost, c.App, c.Stream)
	return append(b, field{"stream_url", u}, field{"stream_id", StreamID(u)})
}

// note takes in a request of a client, with a change by it, and returns all that the client has said.
func (h *Hooks) note(vh *Vhost, r *listen.Request, change func(*Client)) *Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.clients[r.Remote]
	if v == nil {
		v = h.newClient(r)
		h.clients[r.Remote] = v
	}
	describe(v, vh, r)
	change(v)
	seen := *v
	return &seen
}

// newClient is called with mu held.
func (h *Hooks) newClient(r *listen.Request) *Client {
	h.last++
	return &Client{ID: short(h.service + strconv.FormatUint(h.last, 10)), IP: r.Remote.Addr().String(), Since: time.Now()}
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
	if v.TCURL == "" {
		v.TCURL = (&url.URL{Scheme: string(r.Protocol), Host: r.Host, Path: "/" + v.App}).String()
	}
	v.Param = param(r.Query)
}

// Connect asks whether a client may connect. The error is [listen.ErrDenied] if not.
func (h *Hooks) Connect(ctx context.Context, vh *Vhost, r listen.Request) error {
	v := h.note(vh, &r, func(v *Client) { v.connected = true })
	return h.ask(ctx, v, "on_connect", h.body("on_connect", v,
		field{"stream", v.Stream}, field{"param", v.Param}, field{"tcUrl", v.TCURL}, field{"pageUrl", v.PageURL}))
}

// Publish asks whether a client may publish.
func (h *Hooks) Publish(ctx context.Context, vh *Vhost, r listen.Request) error {
	v := h.note(vh, &r, func(v *Client) { v.Publisher = true })
	return h.ask(ctx, v, "on_publish", h.streamBody("on_publish", v))
}

// Play asks whether a client may play.
func (h *Hooks) Play(ctx context.Context, vh *Vhost, r listen.Request) error {
	v := h.note(vh, &r, func(v *Client) { v.Player = true })
	return h.ask(ctx, v, "on_play", h.streamBody("on_play", v))
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
	if v, ok := h.Client(remote); ok && !v.connected {
		h.Left(remote, 0, 0)
	}
}

// Left tells that a client has gone. It returns at once.
func (h *Hooks) Left(remote netip.AddrPort, received, sent uint64) {
	h.mu.Lock()
	v := h.clients[remote]
	delete(h.clients, remote)
	h.mu.Unlock()
	if v == nil || len(v.hooks) == 0 {
		return
	}
	var hooks []hook
	if v.Publisher {
		hooks = append(hooks, hook{"on_unpublish", h.streamBody("on_unpublish", v)})
	}
	if v.Player {
		hooks = append(hooks, hook{"on_stop", h.streamBody("on_stop", v)})
	}
	hooks = append(hooks, hook{"on_close", h.body("on_close", v, field{"send_bytes", sent}, field{"recv_bytes", received})})
	h.send(v, hooks)
}

// A hook is a request that is still to be sent.
type hook struct {
	action string
	body   any
}

// send sends hooks that ask nothing, one after the other, beside the caller.
func (h *Hooks) send(v *Client, hooks []hook) {
	select {
	case h.sending <- struct{}{}:
	default:
		h.log.Warn("the hooks of a client that has left are dropped: too many wait for answers", slog.String("client", v.IP))
		return
	}
	go func() {
		defer func() { <-h.sending }()
		for _, k := range hooks {
			for _, u := range v.hooks[k.action] {
				if err := h.post(context.Background(), u, k.body); err != nil { // the client has gone, so that nothing can be refused
					h.log.Debug("a hook was not taken", slog.String("client", v.IP), slog.Any("err", fmt.Errorf("%s: %w", k.action, err)))
				}
			}
		}
	}()
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
