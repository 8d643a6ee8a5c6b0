package relay

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

// Path is below what URL path nodes relay; the stream's name follows as one escaped segment.
const Path = "/cluster/relay/"

// MaxHops is the most nodes that a stream may be relayed by on its way from its owner to a viewer.
const MaxHops = 2

// afterParameter is the query parameter of [After].
const afterParameter = "after"

// MediaType is the content type of a relay.
const MediaType = "application/vnd.weir.relay"

// headTimeout bounds how long an accepted asker may leave the head of the answer unread.
const headTimeout = 5 * time.Second

// A Handler answers the requests of other nodes for streams. It implements [http.Handler] for URLs below [Path]. Who
// asks has been proved before.
type Handler struct {
	Router   listen.Router
	Sessions listen.Sessions
	Log      *slog.Logger
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream, ok := Stream(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	h.ServeStream(w, r, stream)
}

// Stream is the stream that a request is for, or false when its URL is not one of a relay.
func Stream(r *http.Request) (string, bool) {
	// r.URL.Path is unescaped already, and so is the slash within a name.
	stream, ok := strings.CutPrefix(r.URL.Path, Path)
	escaped, _ := strings.CutPrefix(r.URL.EscapedPath(), Path)
	return stream, ok && stream != "" && !strings.Contains(escaped, "/")
}

// ServeStream answers a request for the stream of that name: with its media if it is captured on this node, else with
// an error that says what the asker should do. It returns as soon as the connection is with the sessions.
func (h *Handler) ServeStream(w http.ResponseWriter, r *http.Request, stream string) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "a relay is asked for with GET", http.StatusMethodNotAllowed)
		return
	}
	hops := 1
	if s := r.URL.Query().Get("hops"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			http.Error(w, fmt.Sprintf("hops is a number from 1 on, not %q", s), http.StatusBadRequest)
			return
		}
		hops = n
	}
	var after *int64
	if s := r.URL.Query().Get(afterParameter); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			http.Error(w, fmt.Sprintf("%s is a number of ticks, not %q", afterParameter, s), http.StatusBadRequest)
			return
		}
		after = &n
	}
	if hops > MaxHops {
		http.Error(w, fmt.Sprintf("not here: %d nodes relay this already, and more than %d may not", hops, MaxHops), http.StatusConflict)
		return
	}
	remote, _ := netip.ParseAddrPort(r.RemoteAddr)
	request := listen.Request{
		Protocol: protocols.Relay,
		Streams:  []string{stream},
		Path:     r.URL.EscapedPath(),
		Query:    r.URL.RawQuery,
		Remote:   netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port()),
		Host:     r.Host,
		Secure:   r.TLS != nil,
		Agent:    r.UserAgent(),
		Hops:     hops,
		Edge:     r.URL.Query().Get("edge") == "1",
	}
	answer := h.Router.Play(r.Context(), request)
	if answer.Verdict != listen.Serve || answer.Source == nil {
		refuse(w, answer)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this connection cannot carry an endless answer; ask over HTTP/1.1", http.StatusHTTPVersionNotSupported)
		h.Log.Error("relay cannot take its connection over", slog.String("stream", stream), slog.Any("err", err))
		return
	}
	if err := writeHead(conn, buffered, w.Header()); err != nil {
		h.Log.Debug("relay ended before it began", slog.String("peer", r.RemoteAddr), slog.Any("err", err))
		_ = conn.Close()
		return
	}
	h.Sessions.Enter(&client{conn: conn, request: request, source: answer.Source, after: after, log: h.Log})
}

// refuse tells an asker why there is no relay. It is never redirected: only a fresh look-up knows who owns the stream.
func refuse(w http.ResponseWriter, a listen.Answer) {
	status, text := http.StatusConflict, "not here: look the stream up again"
	switch a.Verdict {
	case listen.NotFound:
		status, text = http.StatusNotFound, "no such stream"
	case listen.Refused:
		status, text = http.StatusForbidden, "refused"
	case listen.Unavailable:
		status, text = http.StatusServiceUnavailable, "not available now"
		if a.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((a.RetryAfter+time.Second-1)/time.Second)))
		}
	}
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	http.Error(w, text, status)
}

// writeHead writes the head of the answer, with the headers that the handlers around this one have set, and the header
// of the framing.
func writeHead(conn net.Conn, rw *bufio.ReadWriter, h http.Header) error {
	if n := rw.Reader.Buffered(); n > 0 {
		return fmt.Errorf("%d bytes follow the request", n)
	}
	// The server's deadlines for reading and writing ended with the request.
	if err := conn.SetDeadline(time.Now().Add(headTimeout)); err != nil {
		return err
	}
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Del("Content-Length")
	h.Set("Content-Type", MediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	if err := h.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n" + header)
	if _, err := conn.Write(b.Bytes()); err != nil {
		return fmt.Errorf("writing the head of the answer: %w", err)
	}
	return conn.SetDeadline(time.Time{})
}
