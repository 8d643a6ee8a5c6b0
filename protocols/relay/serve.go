package relay

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

// Path is below what URL path nodes relay; the stream's name follows as one escaped segment.
const Path = "/cluster/relay/"

// afterParameter is the query parameter of [After].
const afterParameter = "after"

// MediaType is the content type of a relay.
const MediaType = "application/vnd.weir.relay"

// A Server answers the requests of other nodes for streams. It implements [http.Handler] for URLs below [Path]. The
// handler around it has proved that the asker is such a node.
type Server struct{ deps listen.Deps }

// New returns a server.
func New(d listen.Deps) *Server { return &Server{d} }

// ServeHTTP implements [http.Handler]: a stream that is captured on this node is answered with its media, any other
// with an error that says what the asker should do. It returns as soon as the connection is with the sessions.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream, ok := streamOf(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "a relay is asked for with GET", http.StatusMethodNotAllowed)
		return
	}
	request := listen.HTTPRequest(r, protocols.Relay, stream)
	request.Streams = []string{stream} // nodes say the whole name
	after, err := parameters(r.URL.Query(), &request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if request.Hops > listen.HopLimit {
		http.Error(w, fmt.Sprintf("not here: %d nodes relay this already, and more than %d may not", request.Hops, listen.HopLimit), http.StatusConflict)
		return
	}
	answer := s.deps.Router.Play(r.Context(), request)
	if answer.Verdict != listen.Serve || answer.Source == nil {
		refuse(w, answer)
		return
	}
	w.Header().Set("Content-Type", MediaType)
	conn, err := listen.TakeOver(w, []byte(header))
	if err != nil {
		http.Error(w, "this connection cannot carry an endless answer; ask over HTTP/1.1", http.StatusHTTPVersionNotSupported)
		s.deps.Log.Error("relay cannot take its connection over", slog.String("stream", stream), slog.Any("err", err))
		return
	}
	s.deps.Sessions.Enter(&client{conn: conn, request: request, source: answer.Source, after: after, log: s.deps.Log})
}

// parameters reads the query of a [URL] into the request. after is the instant of [After]; nil without one.
func parameters(query url.Values, request *listen.Request) (after *int64, err error) {
	request.Hops, request.Edge = 1, query.Get("edge") == "1"
	if s := query.Get("hops"); s != "" {
		if request.Hops, err = strconv.Atoi(s); err != nil || request.Hops < 1 {
			return nil, fmt.Errorf("hops is a number from 1 on, not %q", s)
		}
	}
	if s := query.Get(afterParameter); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is a number of ticks, not %q", afterParameter, s)
		}
		after = &n
	}
	return after, nil
}

// streamOf is the stream that a request is for, or false when its URL is not one of a relay.
func streamOf(r *http.Request) (string, bool) {
	// r.URL.Path is unescaped already, and so is the slash within a name.
	stream, ok := strings.CutPrefix(r.URL.Path, Path)
	escaped, _ := strings.CutPrefix(r.URL.EscapedPath(), Path)
	return stream, ok && stream != "" && !strings.Contains(escaped, "/")
}

// refuse tells an asker why there is no relay. An asker is never redirected: only a fresh look-up knows the owner of
// the stream.
func refuse(w http.ResponseWriter, a listen.Answer) {
	status, text := http.StatusConflict, "not here: look the stream up again"
	switch a.Verdict {
	case listen.NotFound:
		status, text = http.StatusNotFound, "no such stream"
	case listen.Refused:
		status, text = http.StatusForbidden, "refused"
	case listen.Unavailable:
		status, text = http.StatusServiceUnavailable, "not available now"
		if a.Failing {
			w.Header().Set(listen.FailingHeader, "1")
			http.Error(w, a.Reason, status)
			return
		}
		if a.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((a.RetryAfter+time.Second-1)/time.Second)))
		}
	}
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	http.Error(w, text, status)
}
