package trust

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"weir/protocols/listen"
)

// maxBody is how many bytes of a request or a reply are kept in memory to be hashed.
const maxBody = 16 << 20

var errTooLarge = fmt.Errorf("more than %d bytes", maxBody)

// readBody reads a body to be hashed.
func readBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && len(body) > maxBody {
		return nil, errTooLarge
	}
	return body, err
}

// Options of [Keyring.Handler]. The zero value is good.
type Options struct {
	// Streaming says which requests are answered with an endless body. The headers of such a reply hold its proof
	// before the handler runs, for status 200, and cover no body; a handler that hijacks the connection copies w.Header()
	// into the head that it writes. Another status of such a handler is proved like any other reply. Nil means none.
	Streaming func(*http.Request) bool

	// WrongKey is told of every request with a wrong key, for counters and pages; the log gets one line per address
	// and minute. It may be called by any goroutine.
	WrongKey func(remote netip.Addr)

	// Log is slog.Default() if nil.
	Log *slog.Logger
}

// newGate admits to next only requests that prove one of the keys that count now, and proves every reply. Everybody else gets 401, and
// nothing else happens. [Proven] tells next which key it was; whether the key suits the peer that the request claims to come from is
// for next to decide. Requests and replies are held in memory to be hashed, 16 MB of each at most.
func newGate(keys func() []Keys, next http.Handler, o Options) *gate {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &gate{keys: keys, next: next, o: o, nonces: newNonces(), guesses: &listen.Guesses{Every: 100 * time.Millisecond, Burst: 100}}
}

type gate struct {
	keys   func() []Keys
	next   http.Handler
	o      Options
	nonces *nonces
	warned warnings

	// guesses slows wrong keys down. A node that has a wrong key, and polls as nodes do, is far below its rate: others at the same
	// address, whose key is right, must not suffer.
	guesses *listen.Guesses
}

type provenKey struct{}

// Proven returns the keys with which the request of ctx was proved; ok is false outside of a [Keyring.Handler].
func Proven(ctx context.Context) (k Keys, ok bool) {
	k, ok = ctx.Value(provenKey{}).(Keys)
	return k, ok
}

// ServeHTTP implements [http.Handler].
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := parseRequest(r.Header.Get(HeaderProof))
	if err != nil {
		g.refuse(w, trustNonce)
		return
	}
	if !g.nonces.fresh(p.nonce) {
		g.refuse(w, trustStale)
		return
	}
	done, _ := g.guesses.Begin(r.Context(), remoteAddr(r))
	if done == nil {
		http.Error(w, "too many wrong cluster keys came from this address", http.StatusTooManyRequests)
		return
	}
	k, ok := g.prover(p, r.Method, requestURI(r))
	done(ok)
	if !ok {
		g.wrongKey(r)
		w.Header().Set(HeaderTrust, trustRefused)
		http.Error(w, "cluster key refused", http.StatusUnauthorized)
		return
	}
	// The nonce is taken after the proof was checked, so that it cannot be used up by an observer without the key.
	if !g.nonces.take(p.nonce) {
		g.refuse(w, trustStale)
		return
	}
	s := signer{keys: k, request: p.mac, next: g.nonces.issue().String(), head: r.Method == http.MethodHead}
	if status, err := admitBody(r, p.body); err != nil {
		s.reply(w, status, []byte(err.Error()+"\n"))
		return
	}
	listen.Prove(r.Context())
	r = r.WithContext(context.WithValue(r.Context(), provenKey{}, k))
	rw := &replyWriter{ResponseWriter: w, s: s, stream: g.o.Streaming != nil && g.o.Streaming(r)}
	if rw.stream {
		s.announceStream(w.Header())
	}
	g.next.ServeHTTP(rw, r)
	rw.finish(g.o.Log, r)
}

// prover finds the keys that made the proof.
func (g *gate) prover(p requestProof, method, uri string) (k Keys, ok bool) {
	for _, k = range g.keys() {
		want := p.sign(k, method, uri)
		if hmac.Equal(want[:], p.mac[:]) && !k.Zero() {
			return k, true
		}
	}
	return Keys{}, false
}

// refuse sends a nonce with which the request can be repeated.
func (g *gate) refuse(w http.ResponseWriter, why string) {
	w.Header().Set(HeaderTrust, why)
	w.Header().Set(HeaderNonce, g.nonces.issue().String())
	http.Error(w, "repeat with this nonce", http.StatusUnauthorized)
}

func (g *gate) wrongKey(r *http.Request) {
	addr := remoteAddr(r)
	if g.o.WrongKey != nil {
		g.o.WrongKey(addr)
	}
	if g.warned.due(addr, g.nonces.since(g.nonces.start)) {
		g.o.Log.Warn("a peer has another cluster key", slog.String("client", addr.String()))
	}
}

// admitBody replaces the body by what was proved, or says with which status to refuse it.
func admitBody(r *http.Request, want sum) (status int, err error) {
	body, err := readBody(r.Body)
	if errors.Is(err, errTooLarge) {
		return http.StatusRequestEntityTooLarge, errors.New("request too large")
	} else if err != nil {
		return http.StatusBadRequest, fmt.Errorf("reading the request: %w", err)
	}
	if got := sha256.Sum256(body); !hmac.Equal(got[:], want[:]) {
		return http.StatusBadRequest, errors.New("the body is not the one that was proved")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	return 0, nil
}

// requestURI is what stood on the request line, whatever handlers above have made of r.URL since.
func requestURI(r *http.Request) string {
	if len(r.RequestURI) > 0 && r.RequestURI[0] == '/' {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

func remoteAddr(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero Addr prints as "invalid IP"
	return at.Addr().Unmap()
}

// A signer proves the reply to one request.
type signer struct {
	keys    Keys
	request sum    // the request's mac
	next    string // the nonce for the asker's next request
	head    bool   // the reply to a HEAD request has no body
}

func (s signer) announceStream(h http.Header) {
	h.Set(HeaderNonce, s.next)
	h.Set(HeaderProof, formatReply(domainStream, replySum(s.keys, domainStream, s.request, http.StatusOK, s.next, sum{})))
}

func (s signer) reply(w http.ResponseWriter, status int, body []byte) {
	bare := s.head || status == http.StatusNoContent || status == http.StatusNotModified
	hash := emptySum
	if !bare {
		hash = sha256.Sum256(body)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.Header().Set(HeaderNonce, s.next)
	w.Header().Set(HeaderProof, formatReply(domainReply, replySum(s.keys, domainReply, s.request, status, s.next, hash)))
	w.WriteHeader(status)
	if !bare {
		_, _ = w.Write(body) // the asker is gone; there is nobody to tell
	}
}

// A replyWriter holds a reply until it is complete and can be proved. Where an endless reply was announced, one of status 200
// passes as it comes, and the handler may take the connection over instead.
type replyWriter struct {
	http.ResponseWriter
	s      signer
	stream bool // an endless reply was announced
	status int  // zero until the handler has decided
	body   bytes.Buffer
	over   bool // the reply is too large to be held
}

func (w *replyWriter) endless() bool { return w.stream && w.status == http.StatusOK }

// WriteHeader implements [http.ResponseWriter]; informational replies are not sent on.
func (w *replyWriter) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	if w.endless() {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter].
func (w *replyWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.endless() {
		return w.ResponseWriter.Write(b)
	}
	if w.body.Len()+len(b) > maxBody {
		w.over = true
		return 0, fmt.Errorf("trust: a reply may have at most %d bytes", maxBody)
	}
	return w.body.Write(b)
}

// Hijack implements [http.Hijacker] for an endless reply, until something was written. The caller answers 200 on the
// connection, with the headers that are set.
func (w *replyWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !w.stream || w.status != 0 {
		return nil, nil, fmt.Errorf("trust: hijacking a reply that is held or has begun: %w", http.ErrNotSupported)
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusOK
	}
	return conn, rw, err
}

// FlushError is what [http.ResponseController] calls to flush.
func (w *replyWriter) FlushError() error {
	if w.stream {
		w.WriteHeader(http.StatusOK)
	}
	if !w.endless() {
		return http.ErrNotSupported
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (w *replyWriter) Flush() { _ = w.FlushError() }

// Unwrap lets [http.ResponseController] set deadlines.
func (w *replyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// finish sends what was held. A handler that was to answer endlessly and did nothing at all has answered 200 with an empty
// body, which net/http does by itself.
func (w *replyWriter) finish(log *slog.Logger, r *http.Request) {
	if w.stream && (w.status == 0 || w.status == http.StatusOK) {
		return
	}
	w.WriteHeader(http.StatusOK)
	if w.over {
		log.Error("a reply to a peer is too large to be proved",
			slog.String("client", r.RemoteAddr), slog.Int("bytes", maxBody), slog.String("err", "answering "+r.URL.EscapedPath()))
		w.Header().Del("Content-Encoding")
		w.s.reply(w.ResponseWriter, http.StatusInternalServerError, []byte("reply too large\n"))
		return
	}
	w.s.reply(w.ResponseWriter, w.status, w.body.Bytes())
}

const (
	warnEvery = time.Minute
	warnMany  = 1024
)

// warnings remembers the addresses of which the log has told in the last minute, 1,024 at most. Beyond that the log tells of no
// new address until the minute of an old one is over.
type warnings struct {
	mu   sync.Mutex
	last map[netip.Addr]time.Duration
}

func (w *warnings) due(addr netip.Addr, now time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t, ok := w.last[addr]; ok && now-t < warnEvery {
		return false
	}
	if len(w.last) >= warnMany {
		maps.DeleteFunc(w.last, func(_ netip.Addr, t time.Duration) bool { return now-t >= warnEvery })
		if len(w.last) >= warnMany {
			return false
		}
	}
	if w.last == nil {
		w.last = map[netip.Addr]time.Duration{}
	}
	w.last[addr] = now
	return true
}
