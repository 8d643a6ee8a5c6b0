package rtmp

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/yutopp/go-rtmp/handshake"
	"github.com/yutopp/go-rtmp/message"

	"weir/codecs/flv"
	"weir/codecs/flv/amf"
	"weir/protocols"
	"weir/protocols/listen"
)

// A phase is how far a connection has come. It outlives the session that serves it.
type phase uint8

const (
	phaseNew       phase = iota
	phaseHandshake       // begun; cannot be gone on with when it was interrupted
	phaseCommands
	phasePlay
	phasePublish
)

// A conn is one RTMP client, from accept to close. It implements [listen.Client].
type conn struct {
	conn   net.Conn
	log    *slog.Logger
	remote netip.AddrPort

	// The next fields belong to Serve, and to one Serve at a time.
	control
	phase     phase
	connect   connect
	connected bool           // it has said so
	want      listen.Request // phasePlay and phasePublish
	decide    time.Time      // when it has to have said what it wants
	published bool           // it has published before
	ignored   int            // messages that mean nothing here
	deadline  time.Time      // the read deadline in force

	play  playState
	media publishState

	mu          sync.Mutex // guards the fields up to publication
	serving     bool
	closed      bool
	over        bool  // Serve has ended for good, with outcome
	outcome     error // of the last Serve
	publication listen.Publication

	stream    atomic.Pointer[string] // never nil
	publisher atomic.Bool
	sent      atomic.Uint64
	dropped   atomic.Uint64
}

// newConn returns the client at the other end of c, which it owns from then on. The handshake timeout begins now.
func newConn(nc net.Conn, log *slog.Logger) *conn {
	c := &conn{
		conn: nc, log: log, remote: listen.RemoteAddr(nc), decide: time.Now().Add(handshakeTimeout),
	}
	c.stream.Store(new(string))
	c.begin(nc)
	return c
}

// Serve implements [listen.Client].
func (c *conn) Serve(ctx context.Context, d listen.Router) (err error) {
	c.mu.Lock()
	if c.over || c.closed || c.serving {
		defer c.mu.Unlock()
		if c.serving {
			return errors.New("connection is being served already")
		}
		return c.outcome
	}
	c.serving = true
	c.mu.Unlock()

	returned := false // false in a panic: the next Serve goes on behind the message that caused it
	defer func() { c.finish(returned && ctx.Err() == nil, err) }()

	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-interrupted // or it would set its deadline for the next Serve
		}
	}()
	err = c.serve(ctx, d)
	if ctx.Err() != nil && !errors.Is(err, listen.ErrCut) {
		err = fmt.Errorf("serving an RTMP client: %w", ctx.Err())
	}
	returned = true
	return err
}

// finish ends a Serve: for good, unless its context was over, in which case the connection waits for the next Serve.
func (c *conn) finish(over bool, err error) {
	c.mu.Lock()
	c.serving = false
	if over || errors.Is(err, listen.ErrCut) {
		c.over, c.outcome = true, err
	}
	over = c.over
	var p listen.Publication
	if c.over || c.closed {
		p, c.publication = c.publication, nil
	}
	c.mu.Unlock()
	if p != nil {
		p.Close()
	}
	if over {
		_ = c.conn.Close()
	}
}

// Close implements [listen.Client].
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	var p listen.Publication
	if !c.serving { // else it ends now, and closes the publication, which is its own
		p, c.publication = c.publication, nil
	}
	c.mu.Unlock()
	err := c.conn.Close()
	if p != nil {
		p.Close()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Stats implements [listen.Client].
func (c *conn) Stats() listen.ClientStats {
	return listen.ClientStats{
		Protocol:  protocols.RTMP,
		Remote:    c.remote,
		Stream:    *c.stream.Load(),
		Publisher: c.publisher.Load(),
		BytesIn:   c.in.Load(),
		BytesOut:  c.sent.Load(),
		Dropped:   c.dropped.Load(),
	}
}

// serve goes on where the connection stands.
func (c *conn) serve(ctx context.Context, d listen.Router) error {
	c.deadline = time.Time{}
	for {
		var err error
		switch c.phase {
		case phaseNew:
			c.phase = phaseHandshake
			if err = c.handshake(ctx); err == nil {
				c.phase = phaseCommands
			}
		case phaseHandshake:
			return errors.New("the handshake was interrupted")
		case phaseCommands:
			err = c.commands(ctx, d)
		case phasePlay:
			return c.playing(ctx, d)
		case phasePublish:
			var again bool
			if again, err = c.publishing(ctx, d); !again {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil // a client that leaves before it wanted anything, such as a port check
		}
		if err != nil {
			return err
		}
	}
}

// version is the first byte that a client sends (RTMP 5.2.2). Encrypted RTMP would be 6.
const version = 3

// handshake does the handshake. A client that wants the "complex" one, whose second half is signed, gets the simple
// one, which all of them accept.
func (c *conn) handshake(ctx context.Context) error {
	c.until(ctx, c.decide)
	first, err := c.chunks.r.Peek(1)
	if err == nil && first[0] != version {
		err = fmt.Errorf("%w: first byte is %#x", errProtocol, first[0])
	}
	if err != nil {
		if !errors.Is(err, io.EOF) && ctx.Err() == nil {
			c.log.Debug("not an RTMP client", "proto", protocols.RTMP, "client", c.remote.String(), "err", err)
		}
		return fmt.Errorf("handshake: %w", err)
	}
	l := &flushReader{r: c.chunks.r, w: bufio.NewWriterSize(writerFunc(c.write), 3200)}
	if err := handshake.HandshakeWithClient(l, l.w, &handshake.Config{SkipHandshakeVerification: true}); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	return nil
}

// A flushReader flushes what has been written before it reads: the handshake writes in small pieces and then waits.
type flushReader struct {
	r io.Reader
	w *bufio.Writer
}

// Read implements [io.Reader].
func (l *flushReader) Read(b []byte) (int, error) {
	if err := l.w.Flush(); err != nil {
		return 0, err
	}
	return l.r.Read(b)
}

type writerFunc func([]byte) error

// Write implements [io.Writer].
func (f writerFunc) Write(b []byte) (int, error) {
	if err := f(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// write sends b, which is complete messages.
func (c *conn) write(b []byte) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(replyTimeout))
	n, err := c.conn.Write(b)
	_ = c.conn.SetWriteDeadline(time.Time{})
	c.sent.Add(uint64(n))
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// patience makes reading fail after d of silence.
func (c *conn) patience(ctx context.Context, d time.Duration) {
	now := time.Now()
	// Setting a deadline costs as much as reading a message does; a quarter of the patience is not missed.
	if left := c.deadline.Sub(now); left > d-d/4 && left <= d {
		return
	}
	c.until(ctx, now.Add(d))
}

// until makes reading fail at an instant; never if it is zero. A context that has ended stays in force.
func (c *conn) until(ctx context.Context, deadline time.Time) {
	c.deadline = deadline
	_ = c.conn.SetReadDeadline(deadline)
	if ctx.Err() != nil {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// commands obeys a client until it has said what it wants to play or publish.
func (c *conn) commands(ctx context.Context, d listen.Router) error {
	for c.phase == phaseCommands {
		c.until(ctx, c.decide)
		p, err := c.chunks.next()
		if err != nil && c.published && ctx.Err() == nil && (gone(err) || errors.Is(err, os.ErrDeadlineExceeded)) {
			return io.EOF // it has left, or publishes no more
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			return errors.New("the client did not say what it wants")
		}
		if err != nil {
			return err
		}
		if done, err := c.obey(p, c.write); err != nil {
			return err
		} else if done {
			continue
		}
		if !isCommand(p) {
			c.ignored++ // media of a client that does not wait to be allowed, or a message of a later version
			continue
		}
		if err := c.command(ctx, d, p); err != nil {
			return err
		}
	}
	return nil
}

// command obeys one command before media runs.
func (c *conn) command(ctx context.Context, d listen.Router, p packet) error {
	cmd, err := parseCommand(p)
	if err != nil {
		return err
	}
	switch cmd.name {
	case "connect":
		c.connect, c.connected = parseConnect(cmd), true
		c.connect.secure = c.connect.secure || listen.Secure(c.conn)
		if err := c.admit(ctx, d); err != nil {
			return c.reject(rejected(cmd.transaction, err), err)
		}
		return c.write(connected(cmd.transaction, c.connect))
	case "publish", "play":
		if !c.connected { // no hook was asked whether it may
			err := fmt.Errorf("%w: %s without connect", errProtocol, cmd.name)
			b := appendControl(nil, message.TypeIDSetChunkSize, chunkSize) // which the answer to connect would have told
			return c.reject(status(b, "error", "NetConnection.Connect.Rejected", err.Error()), err)
		}
		want, err := c.connect.request(cmd.arg(1), c.remote)
		if err != nil {
			code := "NetStream.Play.StreamNotFound"
			if cmd.name == "publish" {
				code = "NetStream.Publish.BadName"
			}
			return c.reject(status(nil, "error", code, err.Error()), err)
		}
		c.want, c.phase = want, phasePlay
		if cmd.name == "publish" {
			c.phase = phasePublish
		}
		return nil
	}
	return c.reply(cmd)
}

// admit asks the router, if it is an [listen.Authorizer], whether a server may stay: it may have connected only to find that out
// for its own client. Other clients are asked about when they say what they want, as SRS does.
func (c *conn) admit(ctx context.Context, d listen.Router) error {
	authorizer, ok := d.(listen.Authorizer)
	if !ok || !c.connect.redirects {
		return nil
	}
	if err := authorizer.Connect(ctx, c.connect.connectRequest(c.remote)); err != nil {
		return fmt.Errorf("connecting to %s: %w", c.connect.app, err)
	}
	return nil
}

// rejected answers a connect that is not granted (RTMP 7.2.1.1).
func rejected(transaction float64, why error) []byte {
	return say(nil, csCommand, 0, "_error", transaction, nil, amf.Object{
		{Key: "level", Value: "error"},
		{Key: "code", Value: "NetConnection.Connect.Rejected"},
		{Key: "description", Value: why.Error()},
	})
}

// reply answers commands that need no more than an answer. They may come at any time.
func (c *conn) reply(cmd command) error {
	var result any
	switch cmd.name {
	case "createStream":
		result = float64(mediaStream)
	case "getStreamLength":
		result = 0.0 // a live stream has none
	case "_checkbw", "releaseStream", "FCPublish", "FCUnpublish", "FCSubscribe":
		result = nil
	default: // pause, receiveAudio, _result and others
		c.ignored++
		return nil
	}
	if cmd.transaction == 0 {
		return nil // no answer is wanted (RTMP 7.1.1)
	}
	return c.write(say(nil, csCommand, 0, "_result", cmd.transaction, nil, result))
}

// connected is the answer to connect. AMF3 is not offered. Some clients look at fmsVer to see that this is a server
// for live media; the number is the one that most servers use.
func connected(transaction float64, g connect) []byte {
	b := appendControl(nil, message.TypeIDWinAckSize, windowSize)
	b = appendMessage(b, chunkSize, csControl, uint8(message.TypeIDSetPeerBandwidth), 0, 0,
		append(binary.BigEndian.AppendUint32(nil, windowSize), byte(message.LimitTypeDynamic)), nil)
	b = appendControl(b, message.TypeIDSetChunkSize, chunkSize)
	return say(b, csCommand, 0, "_result", transaction, connectProperties(g), connectInformation)
}

// reject sends the last message, waits a while for the client to read it and go, and returns err. A connection that is
// closed with something unread is reset, and the last message is lost.
func (c *conn) reject(last []byte, err error) error {
	if werr := c.write(last); werr != nil {
		return fmt.Errorf("%w (%w)", err, werr)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	_, _ = io.CopyN(io.Discard, c.chunks.r, maxPartial)
	return err
}

// gone says whether err is that of reading or writing after the other side has closed the connection, which players do
// in the middle of a message too.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// leaving says whether a command ends the playing or publishing of a client.
func leaving(p packet) bool {
	if !isCommand(p) {
		return false
	}
	cmd, err := parseCommand(p)
	return err == nil && (cmd.name == "deleteStream" || cmd.name == "closeStream")
}

// carries says whether FLV, and so RTMP, can carry the tracks of a source; none are known before the first media.
func carries(s listen.Source) error {
	tracks := s.Tracks()
	if len(tracks) == 0 {
		return nil
	}
	return flv.Check(tracks)
}
