package listen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"weir/codecs"
	"weir/protocols"
)

// HopsParameter is the query parameter in which a redirect tells the next node how many nodes have sent the client on
// already. A header would not survive the redirect in most clients; the query does in all.
const HopsParameter = "weir_hops"

// HereParameter is the query parameter that tells a node that a balancer has chosen it; see [Request.Here].
const HereParameter = "weir_here"

// maxHops is the most that [HTTPRequest] believes; any node stops long before it.
const maxHops = 100

// headDeadline is how long the head of an endless body may take to be sent. A new socket's buffer has room for it.
const headDeadline = 5 * time.Second

// A BodyForm is a wire form that is sent as an HTTP body without end.
type BodyForm struct {
	Protocol    protocols.Protocol
	Name        string // of the form, as in [Source.Join]
	ContentType string

	// New makes the form's encoder for a stream whose first DTS is base.
	New func(base int64) codecs.Encoder

	// Head makes what the body starts with, once and before any prologue, for a stream that has these tracks; none while
	// the tracks are not known. Nil: nothing.
	Head func(codecs.Tracks) []byte

	// Check says whether the form can carry any of the tracks; its error is shown to the client. Nil: it always can.
	Check func(codecs.Tracks) error
}

// Body answers a request for a stream as an HTTP body without end: it asks d in the goroutine of the handler, and for
// a stream that is served here enters a [Client] into h. Every answer carries CORS headers.
//
// With HTTP/1 the connection is taken over, and Body returns when the client has entered; the body is then written
// with gathering writes, without net/http in between, and ends with the connection (RFC 9112, 6.3). Otherwise, as with
// HTTP/2, Body returns when the client has been closed or the other side has gone.
func Body(w http.ResponseWriter, r *http.Request, d Router, h Sessions, b BodyForm, stream string) {
	CORS(w.Header())
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Allow", allowed)
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.Header().Set("Allow", allowed)
		plain(w, http.StatusMethodNotAllowed, "Only GET, HEAD and OPTIONS are answered here.")
		return
	}

	req := HTTPRequest(r, b.Protocol, stream)
	a := d.Play(r.Context(), req)
	if a.Verdict == Redirect {
		a.Location = withHops(a.Location, req.Hops+1)
	}
	if a.Verdict != Serve {
		Refuse(w, a)
		return
	}
	// While a stream has no tracks yet nobody can say; its viewers wait for the first.
	if tracks := a.Source.Tracks(); b.Check != nil && len(tracks) > 0 {
		if err := b.Check(tracks); err != nil {
			plain(w, http.StatusUnsupportedMediaType, fmt.Sprintf("This stream cannot be sent as %s: %v.", b.Protocol, err))
			return
		}
	}

	w.Header().Set("Content-Type", b.ContentType)
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	c := &bodyClient{form: b, source: a.Source, remote: req.Remote}
	if b.Head != nil {
		c.head = b.Head(a.Source.Tracks())
	}
	c.here, c.left = context.WithCancel(context.Background())
	conn, err := takeOver(w)
	if errors.Is(err, http.ErrNotSupported) {
		through(w, r, h, c)
		return
	}
	if err != nil {
		plain(w, http.StatusInternalServerError, "The connection could not be taken over.")
		return
	}
	c.conn = conn
	h.Enter(c)
}

// takeOver takes the connection from net/http and sends the response head, made of the headers set so far.
func takeOver(w http.ResponseWriter) (net.Conn, error) {
	// What the client sent ahead stays in the reader and is forgotten: nothing can follow on this connection.
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\nDate: " + time.Now().UTC().Format(http.TimeFormat) + "\r\nConnection: close\r\n")
	_ = w.Header().Write(&head) // a buffer takes everything
	head.WriteString("\r\n")
	_ = conn.SetDeadline(time.Time{}) // whatever the server had set
	_ = conn.SetWriteDeadline(time.Now().Add(headDeadline))
	if _, err := conn.Write(head.Bytes()); err != nil {
		// The connection is beyond repair, and so is its client: the first Serve finds that out.
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
	head   []byte // still to be sent; a session that was restarted does not send it again
	feed   Feed   // of the session before; nil for the first

	// here ends when the other side has gone or the connection is closed.
	here context.Context
	left context.CancelFunc

	listening sync.Once
	sent      atomic.Uint64
	dropped   atomic.Uint64 // by feeds that have ended
	dropping  atomic.Uint64 // by the feed that is being served
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

	c.feed = JoinAgain(c.source, c.form.Name, c.form.New, c.feed)
	feed := &countedFeed{Feed: c.feed, dropped: &c.dropping, head: &c.head}
	defer func() {
		feed.Close()
		c.dropped.Add(c.dropping.Swap(0))
	}()
	err := Carry(ctx, c.conn, feed, &c.sent)
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

// listen waits until the other side goes, which a stream without media would not notice by writing. What a client
// sends after its request has no meaning and is thrown away.
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
		Dropped:  c.dropped.Load() + c.dropping.Load(),
	}
}

// A countedFeed lets other goroutines see what a feed has dropped, and brings the head of a body before all else.
type countedFeed struct {
	Feed
	dropped *atomic.Uint64
	head    *[]byte
}

// Next implements [Feed].
func (f *countedFeed) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	if len(*f.head) > 0 {
		bufs = append(bufs, *f.head)
		*f.head = nil
		return bufs, nil
	}
	bufs, err := f.Feed.Next(ctx, bufs)
	f.dropped.Store(f.Feed.Dropped())
	return bufs, err
}

// through serves c through a response writer that does not give its connection away, and returns when it ended.
func through(w http.ResponseWriter, r *http.Request, h Sessions, c *bodyClient) {
	conn := &responseConn{
		w: w, control: http.NewResponseController(w), done: make(chan struct{}),
		remote: net.TCPAddrFromAddrPort(c.remote), local: &net.TCPAddr{},
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		conn.local = a
	}
	c.conn = conn
	w.WriteHeader(http.StatusOK)
	_ = conn.control.Flush() // without it the head goes out with the first media
	h.Enter(c)
	select {
	case <-r.Context().Done():
	case <-conn.done:
	}
	_ = c.Close()
	conn.end()
}

// A responseConn is a response writer in the shape of a connection. Reading waits for the end.
type responseConn struct {
	control       *http.ResponseController
	local, remote net.Addr

	done chan struct{} // closed by Close
	once sync.Once

	writing sync.Mutex // held while the response writer is in use
	w       http.ResponseWriter

	deadlines sync.Mutex
	ended     bool // guarded by writing and deadlines: read under either, written under both
}

// end waits until nobody uses the response writer any more, and keeps it so: it must not be used when the handler has
// returned.
func (c *responseConn) end() {
	if !c.writing.TryLock() {
		_ = c.SetWriteDeadline(time.Unix(1, 0)) // a write is under way, maybe to somebody who does not read
		c.writing.Lock()
	}
	c.deadlines.Lock()
	c.ended = true
	c.deadlines.Unlock()
	c.writing.Unlock()
}

// Write implements [net.Conn].
func (c *responseConn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.ended {
		return 0, net.ErrClosed
	}
	n, err := c.w.Write(b)
	if err == nil {
		if err = c.control.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	return n, err
}

// Read implements [net.Conn].
func (c *responseConn) Read([]byte) (int, error) {
	<-c.done
	return 0, io.EOF
}

// Close implements [net.Conn].
func (c *responseConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (c *responseConn) SetWriteDeadline(t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.ended {
		return net.ErrClosed
	}
	if err := c.control.SetWriteDeadline(t); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func (c *responseConn) SetDeadline(t time.Time) error   { return c.SetWriteDeadline(t) }
func (c *responseConn) SetReadDeadline(time.Time) error { return nil }
func (c *responseConn) LocalAddr() net.Addr             { return c.local }
func (c *responseConn) RemoteAddr() net.Addr            { return c.remote }

const allowed = "GET, HEAD, OPTIONS"

// CORS lets pages of any origin read an answer. Streams are not protected by the origin of a page but by tokens, which
// are in the URL, so credentials are not allowed.
func CORS(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", allowed)
	h.Set("Access-Control-Allow-Headers", "*")
	h.Set("Access-Control-Expose-Headers", "*")
	h.Set("Access-Control-Max-Age", "86400")
}

// Refuse answers a request whose verdict is not Serve: with the status for it, CORS headers and one line of text that
// says why. None of these answers may be cached: all of them change when a stream moves.
func Refuse(w http.ResponseWriter, a Answer) {
	CORS(w.Header())
	status, reason := http.StatusInternalServerError, "This request cannot be answered here."
	switch a.Verdict {
	case Redirect:
		w.Header().Set("Location", a.Location)
		status, reason = http.StatusFound, "The stream is at "+a.Location
	case NotFound:
		status, reason = http.StatusNotFound, "There is no such stream."
	case Unavailable:
		seconds := max(1, int64(math.Ceil(a.RetryAfter.Seconds())))
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
		status, reason = http.StatusServiceUnavailable, "The stream is not available now."
	case Refused:
		status, reason = http.StatusForbidden, "This stream may not be watched from here."
	}
	if a.Reason != "" {
		reason = a.Reason
	}
	plain(w, status, reason)
}

// plain answers with one line of text.
func plain(w http.ResponseWriter, status int, line string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.NewReplacer("\r", " ", "\n", " ").Replace(line)+"\n")
}

// HTTPRequest is what an HTTP client asks for: stream, which the caller found in the path, by protocol p.
func HTTPRequest(r *http.Request, p protocols.Protocol, stream string) Request {
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // none, for what is no address, such as a pipe
	return Request{
		Protocol: p,
		Streams:  []string{stream},
		Path:     requestPath(r),
		Query:    r.URL.RawQuery,
		Remote:   netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port()),
		Host:     r.Host,
		Secure:   secure(r),
		Agent:    r.UserAgent(),
		Hops:     hops(r.URL.RawQuery),
		Here:     here(r),
	}
}

type hereKey struct{}

// Here gives a request of which this node is to serve the client itself; see [Request.Here].
func Here(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), hereKey{}, true))
}

func here(r *http.Request) bool {
	if r.Context().Value(hereKey{}) != nil {
		return true
	}
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if part == HereParameter+"=1" {
			return true
		}
	}
	return false
}

// WithHere returns query with [HereParameter] set, and everything else in it as it was, in its order.
func WithHere(query string) string {
	parts := make([]string, 0, 8)
	for part := range strings.SplitSeq(query, "&") {
		if part != "" && !strings.HasPrefix(part, HereParameter+"=") {
			parts = append(parts, part)
		}
	}
	return strings.Join(append(parts, HereParameter+"=1"), "&")
}

// requestPath is the path as the client wrote it; a router may have taken a prefix off the one in r.URL.
func requestPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

// hops reads HopsParameter from a query. What is no number is none: the parameter may be somebody else's.
func hops(query string) int {
	for part := range strings.SplitSeq(query, "&") {
		if v, ok := strings.CutPrefix(part, HopsParameter+"="); ok {
			if n, err := strconv.Atoi(v); err == nil {
				return min(max(n, 0), maxHops)
			}
		}
	}
	return 0
}

// WithHops returns query with [HopsParameter] set to n, and everything else in it as it was, in its order.
func WithHops(query string, n int) string {
	if query = WithoutHops(query); query != "" {
		query += "&"
	}
	return query + HopsParameter + "=" + strconv.Itoa(n)
}

// WithoutHops returns query without [HopsParameter].
func WithoutHops(query string) string {
	parts := make([]string, 0, 8)
	for part := range strings.SplitSeq(query, "&") {
		if part != "" && !strings.HasPrefix(part, HopsParameter+"=") {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "&")
}

// withHops sets the hops in a redirect's URL, whether or not the router has.
func withHops(location string, n int) string {
	before, query, _ := strings.Cut(location, "?")
	return before + "?" + WithHops(query, n)
}
