package hls

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/protocols/cmaf"
	"weir/protocols/hls/edge"
	"weir/protocols/hls/playlist"
	"weir/protocols/listen"
)

const (
	// retryPause is how long a request that is held waits before it asks the router again.
	retryPause = 250 * time.Millisecond

	// maxQuery bounds the query of a request, in bytes: it is repeated in the multivariant playlist.
	maxQuery = 8 << 10

	// maxWrite is how much is written under one deadline.
	maxWrite = 128 << 10
)

// Headers that never change, so that setting them allocates nothing.
var (
	playlistType = []string{"application/vnd.apple.mpegurl"}
	tsType       = []string{"video/mp2t"}
	mp4Type      = []string{"video/mp4"}
	noCache      = []string{"no-cache"}
	noStore      = []string{"no-store"}
	immutable    = []string{"public, max-age=3600, immutable"}
)

// A request is one for a file of a stream in the course of being answered.
type request struct {
	listen.Request
	w     http.ResponseWriter
	r     *http.Request
	file  playlist.File
	names []string // of the streams that may be meant, as the node has them
	key   streamKey
	name  string // of the stream in the URL; that of the key has the virtual host as well
	entry bool   // another node asks on behalf of its viewers

	// leaves says that the viewer may get the URLs of segments at another node.
	leaves bool

	// apart says that the URL is not below that of the stream: it is /NAME.m3u8, or has an app before the name, which the
	// stream has not.
	apart bool
}

// below is what the URLs of the stream's files begin with, seen from the URL of the request.
func (q *request) below() string {
	if !q.apart {
		return ""
	}
	return strings.Repeat("../", strings.Count(q.Path, "/")-1) + escape(q.name)[1:]
}

// ServeStream answers asked, which is what r asks for: a file of a stream, whose name is the last component of the URL's
// path, unescaped. [Server.Serves] tells beforehand which files there are. Every answer carries CORS headers.
func (s *Server) ServeStream(w http.ResponseWriter, r *http.Request, asked listen.Request, file string) {
	q := s.parseRequest(w, r, asked, file)
	if q == nil {
		return
	}
	q.entry = r.Header.Get(edge.Header) != ""
	if q.isPlaylist() {
		s.servePlaylist(q)
	} else {
		s.serveSegment(q)
	}
}

// parseRequest understands a request. It answers one that names no file or asks for none, and returns nil.
func (s *Server) parseRequest(w http.ResponseWriter, r *http.Request, asked listen.Request, file string) *request {
	if !listen.Reads(w, r) {
		return nil
	}
	f, ok := playlist.ParseFile(file)
	name := asked.Streams[0]
	beside := !ok && file == name[strings.LastIndexByte(name, '/')+1:]+".m3u8"
	if beside {
		f, ok = playlist.ParseFile("index.m3u8")
	}
	switch {
	case !ok:
		listen.Plain(w, http.StatusNotFound, "A stream has no such file.")
	case len(r.URL.RawQuery) > maxQuery:
		listen.Plain(w, http.StatusRequestURITooLong, "The query is too long.")
	default:
		names := s.deps.Router.Names(asked)
		return &request{w: w, r: r, file: f, names: names, key: streamKey{name: names[0]}, name: name, Request: asked, apart: beside}
	}
	return nil
}

func (q *request) isPlaylist() bool {
	return q.file.Kind == playlist.MultivariantFile || q.file.Kind == playlist.MediaFile
}

// answer calls try until it has answered the request, or says that it is of no use to try again, or the time is over for
// which the request may be held. In the latter cases the request is refused with the last error. canRepeat says that
// something is at hand with which the request can be answered.
func (s *Server) answer(q *request, canRepeat bool, try func(context.Context) (again bool, err error)) {
	limit := time.Duration(s.hold.Load())
	switch {
	case q.entry:
		limit = s.config.silence / 2 // the other node knows better how long its viewers can wait
	case canRepeat:
		limit = s.config.silence
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), limit)
	defer cancel()
	for {
		again, err := try(ctx)
		if err == nil {
			return
		}
		if again {
			select {
			case <-time.After(retryPause):
				continue
			case <-ctx.Done():
			}
		}
		refuse(q.w, err)
		return
	}
}

// route asks the router. The answer is Serve with a store, Fetch with an upstream, or a refusal.
func (s *Server) route(ctx context.Context, q *request) (*cmaf.Store, listen.Answer) {
	store, a := s.deps.Router.Window(ctx, q.Request)
	if a.Stream == "" {
		a.Stream = q.key.name
	}
	if i := slices.Index(q.names, a.Stream); i >= 0 && a.Stream != q.key.name {
		q.key.name, q.name, q.apart = a.Stream, q.Streams[i], true // one state of a stream, however its viewers call it
	}
	if a.Verdict == listen.Redirect && a.Upstream != "" && q.file.Kind != playlist.MultivariantFile {
		a.Verdict = listen.Fetch
	}
	switch {
	case a.Verdict == listen.Fetch && q.entry && !q.Here:
		// Two nodes that each believe the other has the stream would ask each other for ever. One that a balancer has
		// chosen asks the owner, which is not told that it was chosen too.
		return nil, listen.Answer{
			Verdict: listen.Unavailable, Stream: a.Stream, RetryAfter: time.Second,
			Reason: "The stream has moved on; ask again.",
		}
	case a.Verdict == listen.Serve && store == nil:
		return nil, listen.Answer{Verdict: listen.Unavailable, Stream: a.Stream, RetryAfter: time.Second}
	}
	return store, a
}

// A refusal is an error with which a request is answered, unless something is repeated. All other errors may pass.
type refusal struct {
	answer listen.Answer
	status int    // 0: as answer says
	reason string // of a status
}

func (r *refusal) Error() string {
	if r.status == 0 {
		return r.answer.Reason
	}
	return r.reason
}

var (
	errNoSegment = &refusal{status: http.StatusNotFound, reason: "There is no such segment, or not any more."}

	errForm = &refusal{
		status: http.StatusUnsupportedMediaType,
		reason: "The codecs of this stream are not carried in this form; index.m3u8 names one that carries them.",
	}
)

// failing makes a refusal of an error that says that the inputs of a stream fail; any other error stays.
func failing(err error, stream string) error {
	if e, ok := errors.AsType[*listen.FailingError](err); ok {
		return &refusal{answer: listen.Answer{
			Verdict: listen.Unavailable, Stream: stream, Reason: e.Reason, RetryAfter: 2 * time.Second, Failing: true,
		}}
	}
	return err
}

// refused returns the refusal in err, or nil.
func refused(err error) *refusal {
	var r *refusal
	errors.As(err, &r)
	return r
}

// unavailable says whether err is a refusal that may be another one a little later.
func (r *refusal) unavailable() bool { return r.status == 0 && r.answer.Verdict == listen.Unavailable }

// refuse answers with what err says. A client is told to come again for an error that may pass.
func refuse(w http.ResponseWriter, err error) {
	switch r := refused(err); {
	case r == nil:
		listen.Refuse(w, listen.Answer{Verdict: listen.Unavailable, RetryAfter: time.Second})
	case r.status == 0:
		listen.Refuse(w, r.answer)
	default:
		listen.Plain(w, r.status, r.reason)
	}
}

// write sends a body and returns how much of it was taken. A client that takes nothing for the write deadline is given
// up; one that takes little is not.
func (s *Server) write(q *request, body []byte) int {
	q.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if q.r.Method == http.MethodHead {
		q.w.WriteHeader(http.StatusOK)
		return 0
	}
	control := http.NewResponseController(q.w)
	// What was set here must not meet the connection's next response, so nothing may be left in a buffer either.
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	sent := 0
	for sent < len(body) {
		_ = control.SetWriteDeadline(time.Now().Add(listen.WriteDeadline)) // a test's recorder has none
		n, err := q.w.Write(body[sent:min(sent+maxWrite, len(body))])
		sent += n
		s.bytes.Add(uint64(n))
		if err != nil {
			return sent // the client has gone
		}
	}
	_ = control.Flush()
	return sent
}

// mayGet says whether the viewer may get the URLs that a playlist has for the node that has the stream; given says that the
// configuration gives them as public ones.
func (q *request) mayGet(p *servedPlaylist, given bool) bool {
	return q.MayLeave(isSecure(p.base), given)
}

func isSecure(url string) bool { return strings.HasPrefix(url, "https://") }
