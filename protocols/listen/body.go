package listen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"weir/codecs"
	"weir/protocols"
)

// headDeadline is how long the head of an endless body may take to be sent. A new socket's buffer has room for it.
const headDeadline = 5 * time.Second

// A BodyForm is a wire form that is sent as an HTTP body without end.
type BodyForm struct {
	Protocol    protocols.Protocol
	ContentType string

	// New makes the form's encoder for a stream whose first DTS is base.
	New func(base int64) codecs.Encoder

	// Head makes what the body starts with, once and before any prologue, for a stream that has these tracks; none
	// while the tracks are not known. Nil: nothing.
	Head func(codecs.Tracks) []byte

	// Check says whether the form can carry any of the tracks; its error is shown to the client. Nil: it always can.
	Check func(codecs.Tracks) error
}

// A BodyServer answers viewers with HTTP bodies of one form. Its methods may be called by any goroutine.
type BodyServer struct {
	deps Deps
	form BodyForm
}

// NewBodyServer returns a server of a form.
func NewBodyServer(d Deps, f BodyForm) *BodyServer { return &BodyServer{d, f} }

// ServeStream answers q, the request of r, with an HTTP body without end: it asks the router in the goroutine of the
// handler, which may block, and a [Client] enters the sessions for a stream that is served here. Every answer carries
// CORS headers.
//
// With HTTP/1 the connection is taken over, and ServeStream returns when the client has entered; the body is then
// written with gathering writes, without net/http in between, and ends with the connection (RFC 9112, 6.3). Otherwise,
// as with HTTP/2, ServeStream returns when the client has been closed or the other side has gone.
func (s *BodyServer) ServeStream(w http.ResponseWriter, r *http.Request, q Request, _ string) {
	if !Reads(w, r) {
		return
	}
	d, b := s.deps, s.form
	a := d.Router.Play(r.Context(), q)
	if a.Verdict != Serve {
		Refuse(w, a)
		return
	}
	// A stream that has no tracks yet cannot be judged; its viewers wait for the first.
	if tracks := a.Source.Tracks(); b.Check != nil && len(tracks) > 0 {
		if err := b.Check(tracks); err != nil {
			Plain(w, http.StatusUnsupportedMediaType, fmt.Sprintf("This stream cannot be sent as %s: %v.", b.Protocol, err))
			return
		}
	}

	w.Header().Set("Content-Type", b.ContentType)
	if r.Method == http.MethodHead {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		return
	}
	var head []byte
	if b.Head != nil {
		head = b.Head(a.Source.Tracks())
	}
	c := &bodyClient{form: b, source: a.Source, remote: q.Remote}
	c.here, c.left = context.WithCancel(context.Background())
	c.sent.Store(uint64(len(head)))
	conn, err := TakeOver(w, head)
	if errors.Is(err, http.ErrNotSupported) {
		c.serveThrough(w, r, d.Sessions, head)
		return
	}
	if err != nil {
		Plain(w, http.StatusInternalServerError, "The connection could not be taken over.")
		return
	}
	c.conn = conn
	d.Sessions.Enter(c)
}

// TakeOver takes the connection from net/http and sends the head of a response without end, made of the headers set so
// far, with the first bytes of its body. It sets what says that the response is neither kept nor followed by another.
//
// A connection that fails meanwhile is returned too, closed: its client enters like any other, and the first Serve
// finds out.
func TakeOver(w http.ResponseWriter, first []byte) (net.Conn, error) {
	// What the client sent ahead stays in the reader and is forgotten: nothing can follow on this connection.
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	if c := connOf(conn); c != nil {
		conn = c
	}
	h := w.Header().Clone()
	h.Del("Content-Length")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&head) // a buffer takes everything
	head.WriteString("\r\n")
	head.Write(first)
	_ = conn.SetDeadline(time.Time{}) // whatever the server had set
	_ = conn.SetWriteDeadline(time.Now().Add(headDeadline))
	if _, err := conn.Write(head.Bytes()); err != nil {
		_ = conn.Close()
	}
	_ = conn.SetWriteDeadline(time.Time{})
	return conn, nil
}

// A bodyClient is the [Client] of one endless body.
type bodyClient struct {
	form   BodyForm
	source Source
	conn   net.Conn
	remote netip.AddrPort
	feed   Feed // of the session before; nil for the first

	// here ends when the other side has gone or the connection is closed.
	here context.Context
	left context.CancelFunc

	listening     sync.Once
	sent, dropped atomic.Uint64
}

// Serve implements [Client]. The router is not asked again: a source outlives the failures of the session.
func (c *bodyClient) Serve(ctx context.Context, _ Router) error {
	c.listening.Do(func() { go c.listen() })
	if c.here.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.here, cancel)()

	c.feed = JoinAgain(c.source, protocols.Of(c.form.Protocol).Form, c.form.New, c.feed)
	feed := UntilSilent(c.feed)
	defer feed.Close()
	err := Carry(ctx, c.conn, Counted(feed, &c.dropped), &c.sent)
	gone := c.here.Err() != nil
	if errors.Is(err, ErrCut) {
		_ = c.Close()
	}
	switch {
	case err == nil, gone:
		return nil
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		return nil // a viewer that has seen enough closes its connection, mostly in the middle of something
	}
	return fmt.Errorf("sending %s as %s: %w", c.source.Name(), c.form.Protocol, err)
}

// listen waits until the other side goes, which a stream without media would not notice by writing. Bytes that a client
// sends after its request have no meaning and are thrown away.
func (c *bodyClient) listen() {
	defer c.left()
	var b [256]byte
	for {
		if _, err := c.conn.Read(b[:]); err != nil {
			return
		}
	}
}

// Close implements [Client].
func (c *bodyClient) Close() error {
	c.left()
	err := c.conn.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Stats implements [Client].
func (c *bodyClient) Stats() ClientStats {
	return ClientStats{
		Protocol: c.form.Protocol,
		Remote:   c.remote,
		Stream:   c.source.Name(),
		BytesOut: c.sent.Load(),
		Dropped:  c.dropped.Load(),
	}
}
