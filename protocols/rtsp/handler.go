package rtsp

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/codecs"
	"weir/codecs/rtp"
	"weir/protocols"
	"weir/protocols/listen"
)

// A handler answers the requests of one connection, one after the other.
type handler struct {
	s *Server
	c *conn
}

// A target is a stream that was asked for and is here.
type target struct {
	request listen.Request
	source  listen.Source
	tracks  codecs.Tracks
	layout  rtp.Layout
}

// A response is an answer to a request.
type response struct {
	status int
	reason string // empty stands for the usual one
	lines  []string
	body   []byte

	after func() // called once the response has been written
}

// line adds a header line.
func (r *response) line(name, value string) *response {
	r.lines = append(r.lines, name+": "+value)
	return r
}

// reasons are the phrases of RFC 2326 (7.1.1).
var reasons = map[int]string{
	200: "OK", 302: "Found", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	415: "Unsupported Media Type", 451: "Parameter Not Understood", 454: "Session Not Found", 455: "Method Not Valid in This State",
	459: "Aggregate Operation Not Allowed", 461: "Unsupported Transport", 500: "Internal Server Error", 501: "Not Implemented",
	503: "Service Unavailable", 505: "RTSP Version Not Supported", 551: "Option Not Supported",
}

// because makes a response whose reason phrase, which players show, tells more than the standard one.
func because(status int, reason string) *response {
	r := &response{status: status}
	if reason != "" {
		r.reason = reasons[status] + ": " + strings.Map(func(c rune) rune {
			if c < ' ' || c > '~' {
				return '?'
			}
			return c
		}, reason[:min(len(reason), 200)])
	}
	return r
}

// methods has those that are served, and those that RFC 2326 has and no stream of ours allows, which are nil.
var methods = map[string]func(*handler, *message) *response{
	"OPTIONS": (*handler).options, "DESCRIBE": (*handler).describe, "SETUP": (*handler).setUp, "PLAY": (*handler).play,
	"PAUSE": (*handler).pause, "TEARDOWN": (*handler).tearDown, "GET_PARAMETER": (*handler).parameter, "SET_PARAMETER": (*handler).parameter,
	"ANNOUNCE": nil, "RECORD": nil, "REDIRECT": nil,
}

const public = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"

// run reads and answers until the connection ends.
func (h *handler) run() error {
	in := newClientReader(h.c)
	for {
		m, err := in.next()
		if err != nil {
			return err
		}
		switch {
		case m.method == "" || m.packet != nil: // reports of a player, and its answers
			if !h.c.requested {
				return errGarbage
			}
			continue
		case strings.HasPrefix(m.version, "HTTP/"):
			return h.notRTSP(m)
		}
		h.c.requested = true
		r := h.answer(m)
		if _, err := h.c.write(r.marshal(m)); err != nil {
			return err
		}
		if r.after != nil {
			r.after()
		}
	}
}

// notRTSP answers requests of HTTP, with which tunnels begin, in words.
func (h *handler) notRTSP(m *message) error {
	if m.method == "GET" || m.method == "POST" {
		const words = "Tunnels are not served; ask for RTSP itself, over TCP.\n"
		_, _ = fmt.Fprintf(connWriter{h.c}, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(words), words)
	}
	return errGarbage
}

// connWriter writes whole messages.
type connWriter struct{ c *conn }

func (w connWriter) Write(b []byte) (int, error) { return w.c.write(b) }

// answer makes the response to a request, whatever it is. Nothing that a request says ends the connection.
func (h *handler) answer(m *message) *response {
	answer, known := methods[m.method]
	switch {
	case m.version == "":
		return because(400, "a request has a method, a URL and a version")
	case m.header.first("cseq") == "": // RFC 2326, 12.17
		return because(400, "a request needs CSeq")
	case !strings.HasPrefix(m.version, "RTSP/1."):
		return &response{status: 505}
	case !known:
		return (&response{status: 501}).line("Public", public)
	case answer == nil:
		return (&response{status: 405}).line("Allow", public)
	case m.header.first("require") != "": // RFC 2326, 12.32
		return (&response{status: 551}).line("Unsupported", m.header.first("require"))
	}
	return answer(h, m)
}

func (r *response) marshal(m *message) []byte {
	reason := r.reason
	if reason == "" {
		reason = reasons[r.status]
	}
	b := fmt.Appendf(nil, "RTSP/1.0 %d %s\r\n", r.status, reason)
	if n := m.header.first("cseq"); n != "" {
		b = fmt.Appendf(b, "CSeq: %s\r\n", n)
	}
	b = append(b, "Server: weir\r\n"...)
	for _, l := range r.lines {
		b = append(append(b, l...), "\r\n"...)
	}
	if len(r.body) > 0 {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(r.body))
	}
	return append(append(b, "\r\n"...), r.body...)
}

func (h *handler) options(*message) *response {
	return (&response{status: 200}).line("Public", public)
}

// find asks for the stream of a request; the response is nil if it can be played.
func (h *handler) find(m *message, at resource) (target, *response) {
	request := listen.Request{
		Protocol: protocols.RTSP,
		Streams:  listen.Names(strings.TrimPrefix(at.path, "/")),
		Path:     at.written,
		Query:    at.query,
		Remote:   listen.RemoteAddr(h.c),
		Host:     at.host,
		Secure:   at.secureStyle || listen.Secure(h.c.Conn),
		Proxied:  listen.OtherPort(h.c.LocalAddr(), at.host, at.usualPort()),
		Agent:    m.header.first("user-agent"),
		Hops:     listen.Hops(at.query),
	}
	key := sentKey{request.Remote.Addr(), request.Agent, request.Path, request.Query}
	request.Here = h.s.mustServe(key)
	answer := h.s.deps.Router.Play(h.s.ctx, request)
	if answer.Verdict != listen.Serve || answer.Source == nil {
		r := refuse(answer)
		if r.status == 302 {
			h.s.sending(key)
		}
		return target{}, r
	}
	tracks := answer.Source.Tracks()
	if len(tracks) == 0 {
		return target{}, refuse(listen.Answer{Verdict: listen.Unavailable, Reason: "the stream has no tracks yet", RetryAfter: time.Second})
	}
	l := rtp.LayoutOf(answer.Source.Name(), tracks, maxMedia)
	if len(l.Media) == 0 {
		return target{}, because(415, "none of the stream's codecs can be sent over RTSP")
	}
	return target{request: request, source: answer.Source, tracks: tracks, layout: l}, nil
}

// describe answers DESCRIBE. It may block for as long as the router holds a request.
func (h *handler) describe(m *message) *response {
	at, err := readURL(m.url)
	if err != nil {
		return because(400, err.Error())
	}
	t, refusal := h.find(m, at)
	if refusal != nil {
		return refusal
	}
	body, err := marshal(t.layout, t.tracks, &at)
	if err != nil {
		h.s.deps.Log.Error("stream cannot be described", slog.String("stream", t.source.Name()), slog.Any("err", err))
		return because(500, "the stream cannot be described")
	}
	h.c.answered = &described{path: at.path, query: at.query, target: t}
	r := &response{status: 200, body: body}
	if b := at.base(); b != "" {
		r.line("Content-Base", strings.TrimSuffix(b, "/")+"/")
	}
	return r.line("Content-Type", "application/sdp")
}

// setUp answers SETUP, with or without a DESCRIBE before it.
func (h *handler) setUp(m *message) *response {
	at, err := readURL(m.url)
	if err != nil {
		return because(400, err.Error())
	}
	offers, served := wishes(m.header.first("transport")), "RTP/AVP/TCP and RTP/AVP over UDP are served, by unicast"
	if listen.Secure(h.c.Conn) { // datagrams would leave TLS
		offers, served = slices.DeleteFunc(offers, func(w wish) bool { return w.udp }), "RTP/AVP/TCP is served within TLS"
	}
	if len(offers) == 0 {
		return because(461, served)
	}
	s, refusal := h.setUpSession(m, at, &offers)
	if refusal != nil {
		return refusal
	}
	medium, refusal := s.medium(at)
	if refusal != nil {
		return refusal
	}
	transport := s.agree(medium, offers[0])
	if s.id == "" {
		h.s.enter(h.c, s)
	}
	return (&response{status: 200}).line("Transport", transport).line("Session", s.header())
}

// setUpSession is the session of a SETUP. A client may leave its identifier out until it has got it; offers are those that the
// session can take.
func (h *handler) setUpSession(m *message, at resource, offers *[]wish) (*session, *response) {
	s, refusal := h.session(m)
	if s == nil && m.header.first("session") != "" {
		return nil, refusal
	}
	if s == nil || m.header.first("session") == "" && s.path != at.path {
		t, refusal := h.target(m, at)
		if refusal != nil {
			return nil, refusal
		}
		return newSession(h.s, h.c, t, at, (*offers)[0].udp), nil
	}
	var possible []wish
	for _, o := range *offers {
		if o.udp == s.udp {
			possible = append(possible, o)
		}
	}
	switch {
	case s.path != at.path:
		return nil, because(459, "a session has one stream")
	case len(possible) == 0:
		return nil, because(461, "all media of a session take the same way")
	case s.playing():
		return nil, because(455, "the session plays")
	}
	*offers = possible
	return s, nil
}

// target is the stream of a SETUP: the one that DESCRIBE has found, for a client that has lost the query with which it asked as well.
func (h *handler) target(m *message, at resource) (target, *response) {
	if a := h.c.answered; a != nil && a.path == at.path && (a.query == at.query || at.query == "") {
		return a.target, nil
	}
	return h.find(m, at)
}

// session is the one that a request names or, if it names none, the newest of the connection.
func (h *handler) session(m *message) (*session, *response) {
	id, _, _ := strings.Cut(m.header.first("session"), ";")
	if id = strings.TrimSpace(id); id != "" {
		if s := h.s.session(id); s != nil {
			s.touch()
			return s, nil
		}
		return nil, &response{status: 454}
	}
	for i := len(h.c.sessions) - 1; i >= 0; i-- {
		if s := h.c.sessions[i]; h.s.session(s.id) == s {
			s.touch()
			return s, nil
		}
	}
	return nil, &response{status: 454}
}

// play answers PLAY; the media follows the answer. A live stream begins now whatever range is asked for (RFC 2326, 10.5).
func (h *handler) play(m *message) *response {
	s, refusal := h.session(m)
	if refusal != nil {
		return refusal
	}
	if !s.udp && s.home != h.c {
		return because(455, "media goes over the connection on which it was set up")
	}
	return &response{status: 200, after: func() { s.play(h.c) }, lines: []string{
		"Session: " + s.header(), "Range: npt=now-", "RTP-Info: " + s.info(),
	}}
}

// pause answers PAUSE. A live stream goes on meanwhile; the next PLAY starts at its newest random access point.
func (h *handler) pause(m *message) *response {
	s, refusal := h.session(m)
	if refusal != nil {
		return refusal
	}
	s.pause()
	return (&response{status: 200}).line("Session", s.header())
}

func (h *handler) tearDown(m *message) *response {
	s, refusal := h.session(m)
	if refusal != nil {
		return refusal
	}
	return &response{status: 200, after: func() { s.end(nil) }}
}

// parameter answers GET_PARAMETER and SET_PARAMETER, with which clients keep their sessions alive. There are no parameters.
func (h *handler) parameter(m *message) *response {
	s, refusal := h.session(m)
	if refusal != nil && m.header.first("session") != "" {
		return refusal
	}
	r := &response{status: 200}
	if strings.TrimSpace(string(m.body)) != "" {
		r.status = 451
	}
	if s != nil {
		r.line("Session", s.header())
	}
	return r
}

// refuse tells a client why it cannot have the stream here.
func refuse(a listen.Answer) *response {
	switch a.Verdict {
	case listen.Redirect:
		to := withoutHops(a.Location)
		if to == "" || strings.ContainsAny(to, "\r\n") {
			return because(503, "the stream is elsewhere, and nobody knows where")
		}
		return (&response{status: 302}).line("Location", to)
	case listen.NotFound:
		return because(404, a.Reason)
	case listen.Refused:
		return because(403, a.Reason)
	}
	r := because(503, a.Reason)
	if a.RetryAfter > 0 {
		r.line("Retry-After", strconv.Itoa(int((a.RetryAfter+time.Second-1)/time.Second)))
	}
	return r
}

// withoutHops is a URL without the count of hops. The server counts them itself; see [Server.mustServe].
func withoutHops(location string) string {
	before, query, ok := strings.Cut(location, "?")
	if query = listen.WithoutHops(query); !ok || query == "" {
		return before
	}
	return before + "?" + query
}

// errSilentClient says that the client of a UDP session is gone.
var errSilentClient = errors.New("the client has said nothing for " + sessionTimeout.String())
