package rtmp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/yutopp/go-rtmp/handshake"
	"github.com/yutopp/go-rtmp/message"

	"weir/codecs/flv"
	"weir/codecs/flv/amf"
)

// A ClientConfig says how a [Client] connects.
type ClientConfig struct {
	// Timeout is the patience with the server: for the connection and the handshake, and for each reply. Zero means 10
	// seconds.
	Timeout time.Duration

	// Silence is the patience while playing. Zero means Timeout.
	Silence time.Duration

	// ConnectQuery says that the server shall see the URL's query when the client connects, and not only when it names
	// the stream.
	ConnectQuery bool

	// Plain hides that the client follows redirects, so that weir serves it like any other player.
	Plain bool

	// TLS is used for rtmps URLs; nil means the system's authorities.
	TLS *tls.Config

	// DialContext replaces the dialler; nil means net's.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Client is a connection to an RTMP server, on which one stream is published or played. It belongs to one goroutine;
// only Close may be called by others.
type Client struct {
	conn     net.Conn
	timeout  time.Duration
	silence  time.Duration // while playing
	patience time.Duration // of the next message: one of both
	chunks   *chunkReader
	in       atomic.Uint64
	acked    uint64
	window   uint32

	url       *url.URL
	app, name string
	agent     string    // flashVer
	early     bool      // the query stands in tcUrl
	stream    uint32    // the message stream
	accepted  bool      // the play was
	waiting   []flv.Tag // read, and not yet asked for
}

// A RedirectError says that the stream is elsewhere.
type RedirectError struct {
	Location string // a complete URL
}

func (e *RedirectError) Error() string { return "the stream is at " + e.Location }

// A StatusError is the server's refusal.
type StatusError struct {
	Code, Description string
}

func (e *StatusError) Error() string { return e.Code + ": " + e.Description }

// Is says that a status that means so is [ErrNotFound].
func (e *StatusError) Is(target error) bool {
	return target == ErrNotFound && e.Code == "NetStream.Play.StreamNotFound"
}

// ErrNotFound is the reason of a play whose stream the server does not have. An SRS origin does not say so: it accepts
// the play and closes the connection before any media.
var ErrNotFound = errors.New("the server has no such stream")

// maxRedirects is how often [Play] follows.
const maxRedirects = 3

// maxReplies bounds the messages that are read while an answer is awaited.
const maxReplies = 256

// Dial connects to the server of an rtmp or rtmps URL and says which application is meant. The last component of the
// path is the stream's name, with the query; what is before it is the application. The context covers all of Dial and
// nothing after.
func Dial(ctx context.Context, rawURL string, cfg ClientConfig) (*Client, error) {
	c, err := dial(ctx, rawURL, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", redact(rawURL), err)
	}
	return c, nil
}

// splitURL reads a URL up to its path, which is given as it is written, without slashes around it: a server compares
// the bytes of names, and not all names are proper paths.
func splitURL(rawURL string) (u *url.URL, path string, err error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, "", errors.New("not a URL")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if u, err = url.Parse(scheme + "://" + authority); err != nil {
		return nil, "", err
	}
	u.RawQuery = query
	return u, strings.Trim(path, "/"), nil
}

// redact leaves out what may be secret in a URL.
func redact(rawURL string) string {
	u, path, err := splitURL(rawURL)
	if err != nil {
		before, _, _ := strings.Cut(rawURL, "?")
		return before
	}
	u.RawQuery = ""
	return u.Redacted() + "/" + path
}

func dial(ctx context.Context, rawURL string, cfg ClientConfig) (*Client, error) {
	u, path, err := splitURL(rawURL)
	if err != nil {
		return nil, err
	}
	port := defaultPorts[u.Scheme]
	if port == "" || u.Hostname() == "" {
		return nil, errors.New("not an rtmp or rtmps URL")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	c := &Client{timeout: cfg.Timeout, window: windowSize, url: u, early: cfg.ConnectQuery, agent: agentPrefix + "1"}
	if cfg.Plain {
		c.agent = "LNX 9,0,124,2"
	}
	if c.timeout == 0 {
		c.timeout = 10 * time.Second
	}
	c.patience, c.silence = c.timeout, cfg.Silence
	if c.silence == 0 {
		c.silence = c.timeout
	}
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		c.app, c.name = path[:i], path[i+1:]
	} else {
		c.name = path
	}
	if u.RawQuery != "" {
		c.name += "?" + u.RawQuery
	}

	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	dialer := cfg.DialContext
	if dialer == nil {
		dialer = (&net.Dialer{}).DialContext
	}
	if c.conn, err = dialer(ctx, "tcp", net.JoinHostPort(u.Hostname(), port)); err != nil {
		return nil, err
	}
	if u.Scheme == "rtmps" {
		t := &tls.Config{}
		if cfg.TLS != nil {
			t = cfg.TLS.Clone()
		}
		if t.ServerName == "" {
			t.ServerName = u.Hostname()
		}
		c.conn = tls.Client(c.conn, t)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	if err := c.greet(); err != nil {
		_ = c.conn.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return c, nil
}

// greet does the handshake, connect and createStream.
func (c *Client) greet() error {
	c.chunks = newChunkReader(bufio.NewReaderSize(countingReader{c.conn, &c.in}, 4<<10))
	c.chunks.allowMedia()
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	l := &lockstep{r: c.chunks.r, w: bufio.NewWriterSize(c.conn, 3200)}
	if err := handshake.HandshakeWithServer(l, l.w, &handshake.Config{SkipHandshakeVerification: true}); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if err := l.w.Flush(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	// connect must go out in chunks of 128 bytes; some servers do not take a chunk size before it.
	b := appendMessage(nil, 128, csCommand, uint8(message.TypeIDCommandMessageAMF0), 0, 0, amf.Append(nil, "connect", 1,
		amf.Object{
			{Key: "app", Value: c.app},
			{Key: "type", Value: "nonprivate"},
			{Key: "flashVer", Value: c.agent},
			{Key: "tcUrl", Value: c.tcURL()},
			{Key: "fourCcList", Value: []any{"avc1", "hvc1", "av01", "mp4a", "Opus", ".mp3", "ac-3"}},
		}), nil)
	if err := c.write(b); err != nil {
		return err
	}
	if _, err := c.await(1); err != nil {
		return err
	}
	b = control(nil, message.TypeIDSetChunkSize, chunkSize)
	b = control(b, message.TypeIDWinAckSize, windowSize)
	if err := c.write(say(b, csCommand, 0, "createStream", 2, nil)); err != nil {
		return err
	}
	r, err := c.await(2)
	if err != nil {
		return err
	}
	id, ok := at(r.args, 1).(float64)
	if !ok || id < 1 || id > math.MaxUint32 {
		return fmt.Errorf("%w: createStream gave message stream %v", errProtocol, at(r.args, 1))
	}
	c.stream = uint32(id)
	return c.conn.SetDeadline(time.Time{})
}

// tcURL is where the client says that it connects to. A virtual host stands there too, because servers look for it
// before they are told the stream's name and query.
func (c *Client) tcURL() string {
	u := c.url.Scheme + "://" + c.url.Host + "/" + c.app
	if c.early && c.url.RawQuery != "" {
		return u + "?" + c.url.RawQuery
	}
	for part := range strings.SplitSeq(c.url.RawQuery, "&") {
		if strings.HasPrefix(part, "vhost=") {
			return u + "?" + part
		}
	}
	return u
}

func at(vs []any, i int) any {
	if i >= len(vs) {
		return nil
	}
	return vs[i]
}

// write sends complete messages within the patience.
func (c *Client) write(b []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if _, err := c.conn.Write(b); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// next returns the next message that is not the protocol's own.
func (c *Client) next() (packet, error) {
	for {
		if err := c.conn.SetReadDeadline(time.Now().Add(c.patience)); err != nil {
			return packet{}, err
		}
		p, err := c.chunks.next()
		if err != nil {
			return packet{}, err
		}
		if in := c.in.Load(); in-c.acked >= uint64(c.window) {
			c.acked = in
			if err := c.write(control(nil, message.TypeIDAck, uint32(in))); err != nil {
				return packet{}, err
			}
		}
		switch message.TypeID(p.typ) {
		case message.TypeIDWinAckSize:
			if len(p.body) >= 4 {
				c.window = max(minWindow, uint32(p.body[0])<<24|uint24(p.body[1:]))
			}
		case message.TypeIDUserCtrl:
			if ts, ok := pinged(p); ok {
				if err := c.write(event(nil, eventPong, ts)); err != nil {
					return packet{}, err
				}
			}
		case message.TypeIDSetChunkSize, message.TypeIDAbortMessage, message.TypeIDAck, message.TypeIDSetPeerBandwidth:
		default:
			return p, nil
		}
	}
}

// await reads to the answer to a transaction, or for transaction 0 to the next onStatus, and keeps the media before it.
func (c *Client) await(transaction float64) (command, error) {
	for range maxReplies {
		p, err := c.next()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return command{}, err
		}
		if !isCommand(p) {
			if err := c.keep(p); err != nil {
				return command{}, err
			}
			continue
		}
		cmd, err := parseCommand(p)
		if err != nil {
			return command{}, err
		}
		if err := c.refused(cmd); err != nil {
			return command{}, err
		}
		switch {
		case cmd.name == "onStatus":
			if transaction == 0 {
				return cmd, nil
			}
		case cmd.transaction != transaction || transaction == 0:
		case cmd.name == "_result":
			return cmd, nil
		case cmd.name == "_error":
			return command{}, &StatusError{Code: "_error"}
		}
	}
	return command{}, fmt.Errorf("%w: no answer within %d messages", errLimit, maxReplies)
}

// refused returns the error that a command stands for; nil if it is none. A redirect may come in any command, as an
// error whose object has the new place in ex: SRS puts it into redirect2, and without the stream's name into redirect,
// where Adobe's servers put it when they reject a connect.
func (c *Client) refused(cmd command) error {
	for i := range cmd.args {
		o := cmd.object(i)
		if o.String("level") != "error" && (cmd.name != "_error" || o.String("code") == "") {
			continue
		}
		if ex, ok := amf.AsObject(o.Get("ex")); ok {
			if whole := ex.String("redirect2"); whole != "" {
				return &RedirectError{Location: whole}
			}
			if dir := ex.String("redirect"); dir != "" {
				return &RedirectError{Location: strings.TrimSuffix(dir, "/") + "/" + c.name}
			}
		}
		return &StatusError{Code: o.String("code"), Description: o.String("description")}
	}
	return nil
}

// keep keeps the tags of a message for ReadTag.
func (c *Client) keep(p packet) error {
	if tagBytes(c.waiting)+len(p.body) > maxPartial {
		return fmt.Errorf("%w: more than %d bytes of media before an answer", errLimit, maxPartial)
	}
	if tagOf(p.typ) {
		c.waiting = append(c.waiting, flv.Tag{Type: p.typ, Timestamp: p.timestamp, Body: p.body})
		return nil
	}
	tags, _, err := splitTags(p)
	c.waiting = append(c.waiting, tags...)
	return err
}

// Publish begins to publish. The error may be a [*StatusError].
func (c *Client) Publish() error {
	b := say(nil, csCommand, 0, "releaseStream", 3, nil, c.name)
	b = say(b, csCommand, 0, "FCPublish", 4, nil, c.name)
	b = say(b, csData, c.stream, "publish", 5, nil, c.name, "live")
	if err := c.write(b); err != nil {
		return fmt.Errorf("publishing to %s: %w", c.url.Host, err)
	}
	if _, err := c.await(0); err != nil {
		return fmt.Errorf("publishing to %s: %w", c.url.Host, err)
	}
	return nil
}

// Drain reads what the server has to say to a publisher, until the connection ends, and returns why that was. It is for a
// second goroutine, beside the one that writes: without it acknowledgements, pings and refusals would go unread.
func (c *Client) Drain() error {
	if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	for {
		p, err := c.chunks.next()
		if err != nil {
			return err
		}
		if ts, ok := pinged(p); ok {
			if err := c.write(event(nil, eventPong, ts)); err != nil {
				return err
			}
		}
		if !isCommand(p) {
			continue
		}
		cmd, err := parseCommand(p)
		if err == nil {
			err = c.refused(cmd)
		}
		if err != nil {
			return err
		}
	}
}

// WriteTag sends one tag of what is published.
func (c *Client) WriteTag(t flv.Tag) error { return c.write(appendTag(nil, c.stream, t)) }

// Play begins to play. The error may be a [*RedirectError] or a [*StatusError].
func (c *Client) Play() error {
	b := say(nil, csData, c.stream, "play", 0, nil, c.name)
	b = event(b, eventBufferLength, c.stream, 1000)
	if err := c.write(b); err != nil {
		return fmt.Errorf("playing from %s: %w", c.url.Host, err)
	}
	for {
		s, err := c.await(0)
		if err != nil {
			return fmt.Errorf("playing from %s: %w", c.url.Host, err)
		}
		if s.object(1).String("code") == "NetStream.Play.Start" {
			c.accepted = true
			return nil
		}
	}
}

// ReadTag returns the next tag of what is played. It returns io.EOF when the stream has ended, and a [*RedirectError]
// when the server sends the player on.
func (c *Client) ReadTag() (flv.Tag, error) {
	for {
		if len(c.waiting) > 0 {
			t := c.waiting[0]
			c.waiting[0] = flv.Tag{}
			c.waiting = c.waiting[1:]
			return t, nil
		}
		c.waiting = nil
		p, err := c.next()
		if errors.Is(err, io.EOF) {
			return flv.Tag{}, io.EOF
		}
		if err != nil {
			return flv.Tag{}, fmt.Errorf("playing from %s: %w", c.url.Host, err)
		}
		if !isCommand(p) {
			if err := c.keep(p); err != nil {
				return flv.Tag{}, fmt.Errorf("playing from %s: %w", c.url.Host, err)
			}
			continue
		}
		cmd, err := parseCommand(p)
		if err != nil {
			return flv.Tag{}, fmt.Errorf("playing from %s: %w", c.url.Host, err)
		}
		if err := c.refused(cmd); err != nil {
			return flv.Tag{}, fmt.Errorf("playing from %s: %w", c.url.Host, err)
		}
		switch cmd.object(1).String("code") {
		case "NetStream.Play.Stop", "NetStream.Play.Complete", "NetStream.Play.UnpublishNotify":
			return flv.Tag{}, io.EOF
		}
	}
}

// Close ends the connection, at any time, any number of times. A stream that is published or played ends in order.
func (c *Client) Close() error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.conn.Write(say(nil, csCommand, 0, "deleteStream", 0, nil, int(c.stream)))
	if err := c.conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Play connects to the server of a URL, plays, and follows redirects: at most three, and never back to where it was.
// It waits for the first tag, because a redirect may come after the server has accepted the play. The error is
// [ErrNotFound] when the server has no such stream.
func Play(ctx context.Context, rawURL string, cfg ClientConfig) (*Client, error) {
	been := map[string]bool{}
	for range maxRedirects + 1 {
		c, err := Dial(ctx, rawURL, cfg)
		if c != nil {
			if err = c.start(ctx); err == nil {
				return c, nil
			}
			_ = c.Close()
		}
		var r *RedirectError
		if !errors.As(err, &r) {
			return nil, err
		}
		at, err := place(rawURL)
		if err != nil {
			return nil, err
		}
		been[at] = true
		next := onceVhost(r.Location)
		to, err := place(next)
		if err != nil {
			return nil, fmt.Errorf("playing from %s: redirected to %q: %w", at, redact(next), err)
		}
		if been[to] {
			return nil, fmt.Errorf("playing from %s: redirected back to %s", at, to)
		}
		rawURL = next
	}
	return nil, fmt.Errorf("playing %s: more than %d redirects", redact(rawURL), maxRedirects)
}

// place is the server of a URL in one form, whether or not its port is written.
func place(rawURL string) (string, error) {
	u, _, err := splitURL(rawURL)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port), nil
}

var defaultPorts = map[string]string{"rtmp": "1935", "rtmps": "443"}

// onceVhost mends a URL to which SRS has added the virtual host a second time, as ?vhost=x?vhost=x.
func onceVhost(rawURL string) string {
	path, query, _ := strings.Cut(rawURL, "?")
	if !strings.Contains(query, "?") {
		return rawURL
	}
	var parts []string
	named := false
	for part := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '?' || r == '&' }) {
		if vhost := strings.HasPrefix(part, "vhost="); vhost && named {
			continue
		} else if vhost {
			named = true
		}
		parts = append(parts, part)
	}
	return path + "?" + strings.Join(parts, "&")
}

// start begins to play and reads up to the first media.
func (c *Client) start(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	err := c.Play()
	var seen []flv.Tag
	for n := 0; err == nil; n++ {
		var t flv.Tag
		if t, err = c.ReadTag(); err != nil {
			break
		}
		seen = append(seen, t)
		if t.Type != flv.TypeScript {
			break
		}
		if n == maxReplies || tagBytes(seen) > maxPartial {
			err = fmt.Errorf("playing from %s: %w: no media", c.url.Host, errLimit)
		}
	}
	c.waiting = append(seen, c.waiting...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.accepted && (errors.Is(err, io.ErrUnexpectedEOF) || err != nil && gone(err)) {
		return fmt.Errorf("playing from %s: %w: it has ended the connection before any media", c.url.Host, ErrNotFound)
	}
	return err
}

func tagBytes(tags []flv.Tag) int {
	n := 0
	for i := range tags {
		n += len(tags[i].Body)
	}
	return n
}
