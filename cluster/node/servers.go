package node

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"weir/actors"
	"weir/actors/act"
	"weir/actors/listener"
	"weir/actors/session"
	"weir/cluster/balancer"
	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/cluster/exchange"
	"weir/cluster/follower"
	"weir/cluster/gateway"
	"weir/cluster/owner"
	"weir/cluster/router"
	"weir/cluster/source"
	"weir/cluster/srs"
	"weir/cluster/status"
	"weir/protocols"
	"weir/protocols/api"
	"weir/protocols/hls"
	"weir/protocols/httpflv"
	"weir/protocols/httpts"
	"weir/protocols/listen"
	"weir/protocols/pages"
	"weir/protocols/relay"
	"weir/protocols/rtmp"
	"weir/protocols/rtsp"
)

// servers are the parts of a node that serve clients. A simulated node has nil servers.
type servers struct {
	sockets   *sockets
	limiter   *listen.Limiter // of all sockets
	router    *router.Router
	balancers *balancer.Balancers
	relays    *source.Relays
	srs       *srs.Cluster
	hooks     *srs.Hooks
	srsAPI    *srs.API
	access    *api.Access // who may see and change the node over HTTP
	hls       *hls.Server
	listening map[protocols.Protocol]server // by the protocol of the sockets from which they accept
}

// A server serves the clients of one protocol. Serve may run for several sockets at the same time.
type server interface {
	Serve(ctx context.Context, l net.Listener) error
}

// enter is a function that sends a client to the actor that supervises sessions.
type enter func(listen.Client)

// Enter implements [listen.Sessions].
func (e enter) Enter(c listen.Client) { e(c) }

// serve makes the servers of the open sockets.
func (n *Node) serve() {
	s := n.servers
	s.access = n.newAccess()
	n.newSRS(s)
	s.relays = &source.Relays{
		Directory: n.group.directory, External: s.srs, Transport: n.group.transport, Hold: n.hold, Wait: n.cfg.Machine.Clock.Wait, Log: n.log,
	}
	s.balancers = balancer.New(balancer.Config{
		View: n.group.view.Load, Now: n.tree.env.Now, Load: n.load.Load, Rate: n.load.Rate, Country: n.geo.Country,
	})
	s.balancers.Configure(balancersOf(n.file()))
	s.router = n.newRouter(s)
	d := listen.Deps{
		Router: s.router, Limiter: s.limiter, Log: n.log,
		Sessions: enter(func(c listen.Client) { n.tree.send(actors.Sessions, session.Enter{Client: c}) }),
	}
	viewers := func() int { return n.file().Limits.ViewersPerAddress }
	s.hls = hls.New(hls.Config{Hold: n.hold() + router.StartUp, PerAddress: viewers}, hls.Deps{
		Router: s.router, Limiter: s.limiter, Sessions: d.Sessions, Transport: n.group.keys.Base(), Log: n.log,
	})
	n.reporter.status = n.newStatus(s)
	n.settings = n.newSettings()
	api := n.newAPI()
	operators := pages.Handler(pages.Config{MaySee: s.access.MaySee, Ports: s.ports})
	s.listening = map[protocols.Protocol]server{
		protocols.HTTP: listen.NewHTTPServer(gateway.New(gateway.Config{
			Paths: []gateway.Path{
				n.certificates.challenges(),
				{Path: srs.Prefix, Handler: s.srsAPI},
				{Path: pages.Prefix, Handler: operators},
				{Path: "/streamer/", Handler: api},
				{Path: "/api/", Handler: api},
				{Path: "/metrics/", Handler: api},
				{Path: follower.Path, Handler: n.group.guard(follower.Handler(n.group.entitled(n.Control().State)), false)},
				{Path: relay.Path, Handler: n.group.guard(relay.New(d), true)},
				{Path: exchange.Path, Handler: n.group.guard(n.answers(), false)},
			},
			Streams: map[protocols.Protocol]gateway.Handler{
				protocols.HLS: s.hls, protocols.TS: httpts.New(d), protocols.FLV: httpflv.New(d),
			},
			Balancers: s.balancers, Player: pages.Player{}, Home: operators, Trusted: n.trusted,
		}), d),
		protocols.RTMP: rtmp.New(d),
		protocols.RTSP: rtsp.New(rtsp.Config{Host: s.sockets.host(protocols.RTSP)}, d),
	}
}

func (n *Node) newRouter(s *servers) *router.Router {
	return router.New(router.Config{
		Directory: n.group.directory, Registry: n.streams, Instances: n.media.instances, SRS: s.srs, Hooks: s.hooks, Log: n.log,
		Streams: func(m any) { n.tree.send(actors.Streams, m) },
		Hold:    n.hold, Reserved: n.reserved, Relayed: s.relays.Failing,
		Demanded: func(stream string, least time.Duration) {
			n.Control().Send(control.Demanded{Stream: stream, Fresh: max(controller.DemandFresh, control.Instant(least))})
		},
		Claim:   n.asker().Claim,
		Unclaim: func(stream string) { n.Control().Send(control.PublishEnded{Stream: stream}) },
	})
}

// newAPI makes the handler of the HTTP API.
func (n *Node) newAPI() http.Handler {
	a := n.servers.access
	o := api.Options{
		Metrics: n.reporter.metrics, Control: n.reporter.status, Edit: a.Edit, View: a.View, Guesses: a.Guesses, Version: n.cfg.Build, Log: n.log,
	}
	if n.settings != nil {
		o.Settings = n.settings
	}
	return api.Handler(n.reporter.status, o)
}

// newAccess is who may see and change the node, by its file. Of wrong passwords, an address may send some at once, for people who
// type, and then one a second.
func (n *Node) newAccess() *api.Access {
	a := &api.Access{Guesses: &listen.Guesses{Every: time.Second, Burst: 10}}
	if c := n.file().EditAuth; c != nil {
		a.Edit = &api.Credentials{User: c.User, Password: c.Password}
	}
	if c := n.file().ViewAuth; c != nil {
		a.View = &api.Credentials{User: c.User, Password: c.Password}
	}
	return a
}

// newStatus makes the source of everything that the API shows of this node.
func (n *Node) newStatus(s *servers) *status.Status {
	return status.New(status.Config{
		View: n.group.view.Load, Now: n.tree.env.Now, Control: n.Control(),
		File:     func() status.File { return shown(n.file()) },
		Sessions: n.sessions, Streams: n.streams, Captures: n.captures, Tree: n.tree.env.Tree(), Ask: n.group.ask,
		Countries: &n.geo, Drain: n.drain, Balancers: s.balancers.Report, Limits: s.limiter.Counts, Refused: n.fileRefused, Certificates: n.certificateAlarms, Minutes: n.history.Minutes, Reload: n.readAgain,
		Rate: n.load.Rate, Since: n.reporter.events.Since, History: n.reporter.events.History, Events: n.reporter.events.After, Others: n.otherFigures,
		Go:      func(run func(context.Context) error) { n.tree.beside(run) },
		Restart: n.restart, RestartAt: n.restartAt,
		Kick: func(id string) { n.tree.send(actors.Sessions, session.Close{ID: id}) },
	})
}

// trusted says whether a proxy at this address is believed about the addresses of its clients.
func (n *Node) trusted(a netip.Addr) bool {
	for _, p := range n.file().TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// wanted lists the on-demand streams for which this node has clients or waiting requests.
func (n *Node) wanted() []string {
	v := n.View()
	if n.servers == nil || v == nil {
		return nil
	}
	n.media.instances.Sweep(n.tree.env.Now(), n.publishes)
	return n.servers.router.Wanted(v, n.sessions.List())
}

// publishes says whether a stream has a publisher here.
func (n *Node) publishes(name string) bool {
	_, is, ok := n.streams.Get(name)
	return ok && is.Publisher != ""
}

// asker makes the Asker, which asks the owners of streams on behalf of this node.
func (n *Node) asker() *owner.Asker {
	return &owner.Asker{
		Self: n.group.name, Here: n.giveWay, Want: n.Control().WantPublish, Ask: n.group.ask, AskAt: n.group.askAt,
	}
}

func (s *servers) close() {
	if s == nil {
		return
	}
	for _, d := range protocols.Listeners() {
		if l, ok := s.listening[d.Protocol].(io.Closer); ok {
			_ = l.Close()
		}
	}
	if s.hls != nil {
		_ = s.hls.Close()
	}
	s.sockets.close()
}

// addresses are the addresses at which the node listens, by directive.
func (s *servers) addresses() map[string][]string {
	m := map[string][]string{}
	for _, k := range s.sockets.list {
		m[k.of.Directive()] = append(m[k.of.Directive()], k.addr)
	}
	return m
}

// ports are the ports of the first socket of each protocol.
func (s *servers) ports() (ports protocols.Ports) {
	if s == nil {
		return ports
	}
	return s.sockets.ports()
}

// listeners are the actors that accept connections, one for each socket.
func (s *servers) listeners(env act.Env) []actors.Child {
	children := make([]actors.Child, 0, len(s.sockets.list))
	for _, k := range s.sockets.list {
		name := k.of.Directive() + ":" + k.addr
		server := s.listening[k.of.Spoken()]
		if server == nil {
			panic("no server is made for the listener of " + k.of.Title)
		}
		children = append(children, actors.Child{Name: name, Props: listener.Props(env, listener.Config{
			Name: name, Open: k.open, Serve: server.Serve,
		})})
	}
	return children
}

// left calls the hooks for a client that has left.
func (s *servers) left(c listen.ClientStats) { s.hooks.Left(c.Remote, c.BytesIn, c.BytesOut) }

// stats are the figures of the HLS server.
func (s *servers) stats() (st hls.Stats) {
	if s == nil {
		return st
	}
	return s.hls.Stats()
}
