package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"weir/actors"
	"weir/actors/act"
	"weir/actors/listener"
	"weir/actors/session"
	"weir/cluster/conf"
	"weir/cluster/peer"
	"weir/cluster/router"
	"weir/cluster/trust"
	"weir/protocols"
	"weir/protocols/hls"
	"weir/protocols/httpflv"
	"weir/protocols/httpts"
	"weir/protocols/listen"
	"weir/protocols/relay"
	"weir/protocols/rtmp"
	"weir/protocols/rtsp"
)

// A socket is one address that the node listens at.
type socket struct {
	of   protocols.Descriptor
	addr string
	l    net.Listener
	wrap func(net.Listener) net.Listener

	once sync.Once
}

// sockets are all of a node's. They are opened before anything runs, so that a port in use ends the start.
type sockets struct{ list []*socket }

func openSockets(f *conf.File, wrap func(net.Listener) net.Listener) (_ *sockets, err error) {
	s := &sockets{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, d := range protocols.Listeners() {
		for _, at := range f.Listeners[d.Protocol] {
			if d.Later {
				return nil, fmt.Errorf("%s: %s is not supported yet", at.Pos, d.Directive())
			}
			l, err := listen.Bind(at.Addr())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.Directive(), err)
			}
			s.list = append(s.list, &socket{of: d, addr: l.Addr().String(), l: wrap(l), wrap: wrap})
		}
	}
	return s, nil
}

func (s *sockets) close() {
	for _, k := range s.list {
		_ = k.l.Close()
	}
}

// ports are the first of each protocol.
func (s *sockets) ports() (ports protocols.Ports) {
	for _, k := range s.list {
		if p := ports.At(k.of.Protocol); *p == 0 {
			*p = portOf(k.l)
		}
	}
	return ports
}

// open gives the socket that was opened at start, and later a new one on the same address.
func (k *socket) open() (l net.Listener, err error) {
	k.once.Do(func() { l = k.l })
	if l != nil {
		return l, nil
	}
	if l, err = listen.Bind(k.addr); err != nil {
		return nil, err
	}
	return k.wrap(l), nil
}

// A front is all that clients and peers meet.
type front struct {
	router  *router.Router
	sockets *sockets
	http    *http.Server
	hls     *hls.Server
	rtsp    *rtsp.Server
	hall    hall
	log     *slog.Logger
}

// hall sends clients to the sessions' supervisor.
type hall struct{ enter func(listen.Client) }

// Enter implements [listen.Sessions].
func (h hall) Enter(c listen.Client) { h.enter(c) }

// Limits of HTTP requests.
const (
	headTimeout = 10 * time.Second
	idleTimeout = 2 * time.Minute
	maxHead     = 64 << 10
)

func newFront(n *Node, s *sockets) (*front, error) {
	sessions := n.pid(actors.Sessions)
	f := &front{sockets: s, log: n.log, hall: hall{func(c listen.Client) { n.sys.Root.Send(sessions, session.Enter{Client: c}) }}}
	f.router = n.newRouter()
	f.hls = hls.New(hls.Config{Hold: n.hold() + router.StartUp}, hls.Deps{Router: f.router, Sessions: f.hall, Transport: n.keys.base, Log: n.log})
	f.rtsp = rtsp.NewServer(rtsp.Config{}, f.router, f.hall, n.log)
	for _, k := range s.list {
		if k.of.Protocol == protocols.RTSP {
			host, _, _ := net.SplitHostPort(k.addr)
			if err := f.rtsp.Open(host); err != nil {
				return nil, err
			}
			break
		}
	}
	guard := func(next http.Handler, streaming bool) http.Handler {
		if n.cluster == nil {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, errNoKey.Error(), http.StatusForbidden)
			})
		}
		o := trust.Options{Others: n.keys.others, WrongKey: func(netip.Addr) { n.metrics.Unauthorised() }, Log: n.log}
		if streaming {
			o.Streaming = func(*http.Request) bool { return true }
		}
		return n.keys.own.Handler(next, o)
	}
	f.http = &http.Server{
		Handler: &web{
			api:   newAPI(n),
			srs:   n.srsAPI(),
			state: guard(peer.Handler(n.entitled(n.controller().State)), false),
			relay: guard(&relay.Handler{Router: f.router, Sessions: f.hall, Log: n.log}, true),
			ts:    httpts.New(f.router, f.hall, n.log),
			flv:   httpflv.New(f.router, f.hall),
			hls:   f.hls,

			balanced: f.hls, balancers: n.balancers, trusted: n.trusted,
		},
		ReadHeaderTimeout: headTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
		ErrorLog: log.New(debugLines{n.log}, "", 0),
	}
	(&strangers{log: n.log}).attach(f.http)
	return f, nil
}

// debugLines writes what net/http complains of, such as garbage on its port, as debug lines.
type debugLines struct{ log *slog.Logger }

func (d debugLines) Write(b []byte) (int, error) {
	d.log.Debug("http", slog.String("err", string(b)))
	return len(b), nil
}

func (f *front) close() {
	_ = f.http.Close()
	_ = f.hls.Close()
	f.rtsp.Close()
	f.sockets.close()
}

func (f *front) addresses() map[string][]string {
	m := map[string][]string{}
	for _, k := range f.sockets.list {
		m[k.of.Directive()] = append(m[k.of.Directive()], k.addr)
	}
	return m
}

// listeners are the actors that accept.
func (f *front) listeners(env act.Env) []actors.Child {
	children := make([]actors.Child, 0, len(f.sockets.list))
	for _, k := range f.sockets.list {
		name := k.of.Directive() + ":" + k.addr
		children = append(children, actors.Child{Name: name, Props: listener.Props(env, listener.Config{
			Name: name, Open: k.open, Serve: f.serve(k.of.Protocol),
		})})
	}
	return children
}

func (f *front) serve(p protocols.Protocol) func(ctx context.Context, l net.Listener) error {
	switch p {
	case protocols.RTMP:
		return func(ctx context.Context, l net.Listener) error {
			return listen.Accept(ctx, l, listen.Limits{}, f.log, func(c net.Conn) {
				f.hall.Enter(rtmp.NewConn(c, rtmp.Config{}, f.log))
			})
		}
	case protocols.RTSP:
		return f.rtsp.Serve
	}
	return f.serveHTTP
}

// serveHTTP accepts until the context ends; requests that are under way go on.
func (f *front) serveHTTP(ctx context.Context, l net.Listener) error {
	l = listen.Guard(l, listen.Limits{}, f.log)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	err := f.http.Serve(l)
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
