package rtsp

import (
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"

	"weir/codecs/rtp"
	"weir/protocols"
	"weir/protocols/listen"
)

// A handler is what the library calls. A connection is served by one of the library's goroutines and a session by
// another, which wait for each other, so what belongs to a connection or session needs no lock among them.
type handler struct{ s *Server }

// A target is a stream that was asked for and is here.
type target struct {
	request listen.Request
	source  listen.Source
	layout  rtp.Layout
}

// A setup is a SETUP that is being answered.
type setup struct {
	session *session
	medium  int
}

// find asks for the stream of a request; the response is nil if it can be played.
func (h *handler) find(c *conn, r *base.Request, path, query string) (target, *base.Response) {
	request := listen.Request{
		Protocol: protocols.RTSP,
		Streams:  []string{strings.TrimPrefix(path, "/")},
		Path:     escapedPath(r.URL, path),
		Query:    query,
		Remote:   listen.RemoteAddr(c),
		Host:     r.URL.Host,
		Hops:     listen.Hops(query),
	}
	if agent := r.Header["User-Agent"]; len(agent) > 0 {
		request.Agent = agent[0]
	}
	answer := h.s.deps.Router.Play(h.s.ctx, request)
	if answer.Verdict != listen.Serve || answer.Source == nil {
		return target{}, refuse(answer)
	}
	tracks := answer.Source.Tracks()
	if len(tracks) == 0 {
		return target{}, refuse(listen.Answer{Verdict: listen.Unavailable, Reason: "the stream has no tracks yet", RetryAfter: time.Second})
	}
	l := rtp.LayoutOf(answer.Source.Name(), tracks, maxMedia)
	if len(l.Media) == 0 {
		return target{}, response(base.StatusUnsupportedMediaType, "none of the stream's codecs can be sent over RTSP")
	}
	return target{request: request, source: answer.Source, layout: l}, nil
}

// OnDescribe answers DESCRIBE. It may block for as long as the router holds a request.
func (h *handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	c, ok := ctx.Conn.NetConn().(*conn)
	if !ok {
		return noTunnel(), nil, nil
	}
	t, refusal := h.find(c, ctx.Request, ctx.Path, ctx.Query)
	if refusal != nil {
		return refusal, nil, nil
	}
	body, err := describe(t.layout).Marshal()
	if err != nil {
		h.s.deps.Log.Error("stream cannot be described", slog.String("stream", t.source.Name()), slog.Any("err", err))
		return response(base.StatusInternalServerError, "the stream cannot be described"), nil, nil
	}
	c.answered = &described{path: ctx.Path, query: ctx.Query, target: t}
	return &base.Response{StatusCode: base.StatusOK, Header: base.Header{}, Body: body}, nil, nil
}

// OnSetup answers SETUP, with or without a DESCRIBE before it.
func (h *handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	c, ok := ctx.Conn.NetConn().(*conn)
	if !ok || ctx.Conn.Transport().Tunnel != gortsplib.TunnelNone {
		return noTunnel(), nil, nil
	}
	udp := ctx.Transport.Protocol == gortsplib.ProtocolUDP
	s, _ := ctx.Session.UserData().(*session)
	if s == nil {
		var t target
		if a := c.answered; a != nil && a.path == ctx.Path && a.query == ctx.Query {
			t = a.target
		} else {
			var refusal *base.Response
			if t, refusal = h.find(c, ctx.Request, ctx.Path, ctx.Query); refusal != nil {
				return refusal, nil, nil
			}
		}
		var err error
		if s, err = newSession(h.s, ctx.Session, t, udp); err != nil {
			h.s.deps.Log.Error("session cannot be set up", slog.String("stream", t.source.Name()), slog.Any("err", err))
			return response(base.StatusInternalServerError, "the session cannot be set up"), nil, nil
		}
		ctx.Session.SetUserData(s)
		h.s.deps.Sessions.Enter(s)
	}
	c.setup = &setup{session: s, medium: trackID(ctx.Request.URL)}
	return &base.Response{StatusCode: base.StatusOK}, s.stream, nil
}

// OnPlay answers PLAY; the media follows the answer.
func (h *handler) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	c, ok := ctx.Conn.NetConn().(*conn)
	s, known := ctx.Session.UserData().(*session)
	if !ok || !known || ctx.Conn.Transport().Tunnel != gortsplib.TunnelNone {
		return noTunnel(), nil
	}
	c.sent = func() { s.play(c) }
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnPause answers PAUSE. A live stream goes on meanwhile; the next PLAY starts at its newest random access point.
func (h *handler) OnPause(ctx *gortsplib.ServerHandlerOnPauseCtx) (*base.Response, error) {
	if s, ok := ctx.Session.UserData().(*session); ok {
		s.pause()
	}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnRequest sees every request before it is answered.
func (h *handler) OnRequest(sc *gortsplib.ServerConn, _ *base.Request) {
	if c, ok := sc.NetConn().(*conn); ok {
		c.requested, c.sent, c.setup = true, nil, nil
	}
}

// OnResponse sees every answer before it is written. That of a SETUP says what was agreed on.
func (h *handler) OnResponse(sc *gortsplib.ServerConn, r *base.Response) {
	c, ok := sc.NetConn().(*conn)
	if !ok {
		return
	}
	if r.StatusCode != base.StatusOK {
		c.sent = nil
		return
	}
	if c.setup == nil || c.setup.medium >= len(c.setup.session.layout.Media) {
		return
	}
	var t headers.Transport
	if err := t.Unmarshal(r.Header["Transport"]); err != nil {
		h.s.deps.Log.Error("the library's answer to a SETUP cannot be read", slog.Any("err", err))
		return
	}
	if t.SSRC != nil {
		t.SSRC = &c.setup.session.layout.Media[c.setup.medium].SSRC
		r.Header["Transport"] = t.Marshal()
	}
	c.setup.session.agree(c.setup.medium, t)
}

// OnSessionClose ends the session, for whatever reason.
func (h *handler) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	if s, ok := ctx.Session.UserData().(*session); ok {
		s.end(ctx.Error)
	}
}

// OnConnClose logs the end of every connection.
func (h *handler) OnConnClose(ctx *gortsplib.ServerHandlerOnConnCloseCtx) {
	h.s.deps.Log.Debug("RTSP connection closed", slog.String("client", ctx.Conn.NetConn().RemoteAddr().String()), slog.Any("err", ctx.Error))
}

// OnDecodeError logs a packet from a client that cannot be read.
func (h *handler) OnDecodeError(ctx *gortsplib.ServerHandlerOnDecodeErrorCtx) {
	h.s.deps.Log.Debug("packet from an RTSP client cannot be read", slog.Any("err", ctx.Error))
}

// escapedPath is the path that the client meant, as it wrote it.
func escapedPath(u *base.URL, path string) string {
	written := (*url.URL)(u).EscapedPath()
	candidates := []string{written, strings.TrimSuffix(written, "/")}
	if i := strings.LastIndex(written, "/trackID="); i >= 0 {
		candidates = append(candidates, written[:i])
	}
	for _, c := range candidates {
		if p, err := url.PathUnescape(c); err == nil && p == path {
			return c
		}
	}
	return (&url.URL{Path: path}).EscapedPath()
}

// trackID is the index of the medium that a SETUP is for. The library has refused a URL without one before the index is
// used.
func trackID(u *base.URL) int {
	for _, s := range []string{u.RawQuery, u.Path} {
		if i := strings.LastIndex(s, "/trackID="); i >= 0 {
			n, err := strconv.ParseUint(s[i+len("/trackID="):], 10, 31)
			if err != nil {
				return 0
			}
			return int(n)
		}
	}
	return 0
}

// refuse tells a client why it cannot have the stream here.
func refuse(a listen.Answer) *base.Response {
	switch a.Verdict {
	case listen.Redirect:
		if a.Location == "" || strings.ContainsAny(a.Location, "\r\n") {
			return response(base.StatusServiceUnavailable, "the stream is elsewhere, and nobody knows where")
		}
		r := response(base.StatusFound, "")
		r.Header["Location"] = base.HeaderValue{a.Location}
		return r
	case listen.NotFound:
		return response(base.StatusNotFound, a.Reason)
	case listen.Refused:
		return response(base.StatusForbidden, a.Reason)
	}
	r := response(base.StatusServiceUnavailable, a.Reason)
	if a.RetryAfter > 0 {
		r.Header["Retry-After"] = base.HeaderValue{strconv.Itoa(int((a.RetryAfter + time.Second - 1) / time.Second))}
	}
	return r
}

func noTunnel() *base.Response {
	return response(base.StatusUnsupportedTransport, "tunnels are not served; ask for RTSP itself, over TCP")
}

// response makes a response whose reason phrase, which players show, tells more than the standard one.
func response(status base.StatusCode, reason string) *base.Response {
	r := &base.Response{StatusCode: status, Header: base.Header{}}
	if reason != "" {
		r.StatusMessage = base.StatusMessages[status] + ": " + strings.Map(func(c rune) rune {
			if c < ' ' || c > '~' {
				return '?'
			}
			return c
		}, reason[:min(len(reason), 200)])
	}
	return r
}
