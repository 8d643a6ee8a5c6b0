package rtmp

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/yutopp/go-rtmp/handshake"
	"github.com/yutopp/go-rtmp/message"

	"weir/codecs/flv"
	"weir/codecs/flv/amf"

	"weir/protocols"
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

	// DialContext replaces the dialler; nil means net's.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Roots prove the server of an rtmps URL; nil means the machine's.
	Roots *x509.CertPool
}

// A Client is a connection to an RTMP server, on which one stream is published or played. It belongs to one goroutine;
// only Close may be called by others.
type Client struct {
	conn     net.Conn
	timeout  time.Duration
	silence  time.Duration // while playing
	patience time.Duration // of the next message: one of both
	control

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

// maxReplies bounds the messages that are read while an answer is awaited.
const maxReplies = 256

// Dial connects to the server of an rtmp or rtmps URL and says which application is meant. The last component of the
// path is the stream's name, with the query; the path before it is the application. The context covers all of Dial and
// nothing after.
func Dial(ctx context.Context, rawURL string, cfg ClientConfig) (*Client, error) {
	c, err := dial(ctx, rawURL, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", protocols.MaskURLs(rawURL), err)
	}
	return c, nil
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
	c := &Client{timeout: cfg.Timeout, url: u, early: cfg.ConnectQuery, agent: agentPrefix + "1"}
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
		c.conn = tls.Client(c.conn, &tls.Config{ServerName: u.Hostname(), RootCAs: cfg.Roots})
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	if err := c.open(); err != nil {
		_ = c.conn.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return c, nil
}

// open does the handshake, connect and createStream.
func (c *Client) open() error {
	c.begin(c.conn)
	c.chunks.allowMedia()
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	l := &flushReader{r: c.chunks.r, w: bufio.NewWriterSize(c.conn, 3200)}
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
			{Key: "fourCcList", Value: fourCCs()},
		}), nil)
	if err := c.write(b); err != nil {
		return err
	}
	if _, err := c.await(1); err != nil {
		return err
	}
	b = appendControl(nil, message.TypeIDSetChunkSize, chunkSize)
	b = appendControl(b, message.TypeIDWinAckSize, windowSize)
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
		if done, err := c.obey(p, c.write); !done || err != nil {
			return p, err
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

// Drain reads what the server sends to a publisher until the connection ends, and returns why it did. A second
// goroutine calls it beside the one that writes: otherwise acknowledgements, pings and refusals would go unread.
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

// WriteTag sends one tag of the published stream.
func (c *Client) WriteTag(t flv.Tag) error { return c.write(appendTag(nil, c.stream, t)) }

// Close ends the connection, at any time, any number of times. A stream that is published or played ends in order.
func (c *Client) Close() error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.conn.Write(say(nil, csCommand, 0, "deleteStream", 0, nil, int(c.stream)))
	if err := c.conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
