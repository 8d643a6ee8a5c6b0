package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"weir/actors"
	"weir/actors/act"
	"weir/actors/listener"
	"weir/actors/session"
	"weir/cluster/conf"
	"weir/cluster/follower"
	"weir/cluster/gateway"
	"weir/cluster/router"
	"weir/cluster/srs"
	"weir/protocols"
	"weir/protocols/hls"
	"weir/protocols/httpflv"
	"weir/protocols/httpts"
	"weir/protocols/listen"
	"weir/protocols/relay"
	"weir/protocols/rtmp"
	"weir/protocols/rtsp"
)

// A socket is one address at which the node listens.
type socket struct {
	of   protocols.Descriptor
	addr string
	l    net.Listener
	wrap func(net.Listener) net.Listener

	once sync.Once
}

// sockets are those of a node, in the order of the table of protocols. They are opened before anything runs, so that a
// port in use ends the start.
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

// host is that of a protocol's first address; empty if there is none.
func (s *sockets) host(p protocols.Protocol) string {
	for _, k := range s.list {
		if k.of.Protocol == p {
			host, _, _ := net.SplitHostPort(k.addr)
			return host
		}
	}
	return ""
}

// open returns the listener that was opened at the start, and later a new one on the same address.
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

// servers are the servers of all protocols.
type servers struct {
	router  *router.Router
	sockets *sockets
	hls     *hls.Server
	on      map[protocols.Protocol]server // of each protocol that has sockets
}

// A server serves the clients of a protocol on any number of sockets.
type server interface {
	Serve(ctx context.Context, l net.Listener) error
}

// enter sends clients to the sessions' supervisor.
type enter func(listen.Client)

// Enter implements [listen.Sessions].
func (e enter) Enter(c listen.Client) { e(c) }

// newServers makes the server of each protocol: those that have a listener, and those of streams over HTTP.
func newServers(n *Node, s *sockets, r *router.Router) *servers {
	sessions := n.pid(actors.Sessions)
	f := &servers{router: r, sockets: s}
	d := listen.Deps{
		Router: f.router, Log: n.log,
		Sessions: enter(func(c listen.Client) { n.sys.Root.Send(sessions, session.Enter{Client: c}) }),
	}
	f.hls = hls.New(hls.Config{Hold: n.hold() + router.StartUp}, hls.Deps{Router: f.router, Sessions: d.Sessions, Transport: n.group.keys.Base(), Log: n.log})
	api := n.newAPI()
	f.on = map[protocols.Protocol]server{
		protocols.HTTP: listen.NewHTTPServer(gateway.New(gateway.Config{
			Paths: []gateway.Path{
				{Path: srs.Prefix, Handler: n.srsAPI},
				{Path: "/streamer/", Handler: api},
				{Path: "/api/", Handler: api},
				{Path: "/metrics/", Handler: api},
				{Path: follower.Path, Handler: n.group.guard(follower.Handler(n.group.entitled(n.controller().State)), false)},
				{Path: relay.Path, Handler: n.group.guard(relay.New(d), true)},
			},
			Streams: map[protocols.Protocol]gateway.Handler{
				protocols.HLS: f.hls, protocols.TS: httpts.New(d), protocols.FLV: httpflv.New(d),
			},
			Balancers: n.balancers, Trusted: n.trusted,
		}), d),
		protocols.RTMP: rtmp.New(rtmp.Config{}, d),
		protocols.RTSP: rtsp.New(rtsp.Config{Host: s.host(protocols.RTSP)}, d),
	}
	return f
}

func (s *servers) close() {
	for _, d := range protocols.Listeners() {
		if c, ok := s.on[d.Protocol].(io.Closer); ok {
			_ = c.Close()
		}
	}
	_ = s.hls.Close()
	s.sockets.close()
}

func (s *servers) addresses() map[string][]string {
	m := map[string][]string{}
	for _, k := range s.sockets.list {
		m[k.of.Directive()] = append(m[k.of.Directive()], k.addr)
	}
	return m
}

// listeners are the actors that accept.
func (s *servers) listeners(env act.Env) []actors.Child {
	children := make([]actors.Child, 0, len(s.sockets.list))
	for _, k := range s.sockets.list {
		name := k.of.Directive() + ":" + k.addr
		children = append(children, actors.Child{Name: name, Props: listener.Props(env, listener.Config{
			Name: name, Open: k.open, Serve: s.on[k.of.Protocol].Serve,
		})})
	}
	return children
}
