package identity

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"weir/cluster/trust"
	"weir/protocols"
	"weir/protocols/listen"
)

// Options say where protoactor's remote listens and whom it trusts.
type Options struct {
	// Listen is the address to listen on, "host:port"; port 0 takes any free one.
	Listen string

	// Advertise is the host, or host:port, under which the other nodes reach Listen. Empty means Listen's own host,
	// which must then be a definite one; without port, the one that is listened on.
	Advertise string

	// Keys are those that other nodes may prove now, the newest of the cluster first. At the start there is one; once a reload has
	// taken the last one away, no link is set up. Any goroutine may call it.
	Keys func() []trust.Keys

	// KeysOf returns the keys to prove to the peer at an address, and zero Keys where it is not known which; then the newest of the
	// cluster are proved. It may be nil; any goroutine may call it.
	KeysOf func(addr string) trust.Keys

	// Refused is told of each message that a peer must not send, whose connection is closed for it. It may be nil; any
	// goroutine may call it.
	Refused func(remote string, err error)

	// Limiter bounds the connections; nil for no bounds. The library accepts them by itself, so that each is closed only once it
	// has been accepted.
	Limiter *listen.Limiter

	// Unproven is told of each connection whose other side did not prove a key, or spoke something else, and that was
	// closed for it. It may be nil; any goroutine may call it.
	Unproven func(remote string, err error)
}

const (
	// never is how protoactor is told that its gossip, which is not started, has nothing to say.
	never = 365 * 24 * time.Hour

	// maxMessage is far above any message of ours; the largest is a window of some hundred segments.
	maxMessage = 1 << 20

	// writerQueue is the initial size of each link's queue; the default costs 15.6 MB per peer and direction.
	writerQueue = 1024

	// portTries is for a port that was free and was taken before protoactor listened on it.
	portTries = 5

	maxStreams = 16 // a peer uses one
	handshake  = 2 * time.Second
	alive      = 10 * time.Second // gRPC's least interval for a client
	dead       = 2 * time.Second
)

// Start boots protoactor's remote and cluster for sys, without Cluster.StartMember, which sleeps for a second and
// starts gossip, pubsub and an activator. The returned Provider has no View yet; sys.Address() is the address to
// advertise. After an error sys is of no use.
//
// stop ends the remote: nothing is received from then on, and the links to others are closed. The tree is stopped
// before. It is called once, and not while Publish runs.
func Start(sys *actor.ActorSystem, o Options) (c *cluster.Cluster, p *Provider, stop func(), err error) {
	serverTLS, err := trust.ServerTLS(o.Keys)
	if err != nil {
		return nil, nil, nil, err
	}
	p = NewProvider()
	allow := newAllow(p.advertised)
	rc := remote.Configure("", 0,
		remote.WithServerOptions(o.serverOptions(allow, guard{credentials.NewTLS(serverTLS), o.Limiter, o.Unproven})...),
		remote.WithDialOptions(o.dialOptions()...),
		remote.WithEndpointWriterQueueSize(writerQueue))
	rc.MaxRetryCount = 1 // a dial that fails sleeps for two seconds, times this, while the mail of the link waits
	cfg := cluster.Configure("weir", p, Lookup{p}, rc,
		cluster.WithRequestTimeout(AskLimit), cluster.WithHeartbeatExpiration(never))
	cfg.GossipInterval = never
	c = cluster.New(sys, cfg)
	c.Remote, c.IdentityLookup = remote.NewRemote(sys, rc), Lookup{p}
	if err := o.listen(c.Remote, rc, allow); err != nil {
		return nil, nil, nil, err
	}
	p.Bind(c)
	return c, p, func() { p.close(sys); c.Remote.Shutdown(false) }, nil
}

// listen starts the remote at the address of the options. The address that it advertises, and so its port, must be settled
// before it accepts a connection: where any free port will do, one is looked for first, again if it is taken meanwhile.
func (o Options) listen(r *remote.Remote, rc *remote.Config, a *allow) error {
	host, text, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("remote address %q: %w", o.Listen, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return fmt.Errorf("remote address %q: port %q is not a number up to 65535", o.Listen, text)
	}
	rc.Host = host
	if strings.Contains(host, ":") {
		rc.Host = "[" + host + "]" // the library joins host and port with a colon
	}
	tries := 1
	if port == 0 {
		tries = portTries
	}
	for range tries {
		rc.Port = int(port)
		if port == 0 {
			if rc.Port, err = freePort(o.Listen); err != nil {
				return err
			}
		}
		if a.self, err = o.advertised(host, rc.Port); err != nil {
			return err
		}
		rc.AdvertisedHost = a.self
		if err = serve(r, rc.Address()); err == nil {
			return nil
		}
	}
	return err
}

// serve starts the remote, which panics when it cannot listen, and only then.
func serve(r *remote.Remote, addr string) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case error:
			err = fmt.Errorf("remote on %s: %w", addr, v)
		default:
			err = fmt.Errorf("remote on %s: %v", addr, v)
		}
	}()
	r.Start()
	return nil
}

func freePort(addr string) (int, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return 0, fmt.Errorf("remote on %s: %w", addr, err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	return port, ln.Close()
}

// advertised is the address by which the other nodes know this one; every message to it bears exactly this text.
func (o Options) advertised(host string, port int) (string, error) {
	addr := o.Advertise
	if addr == "" {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			return "", fmt.Errorf("remote on %q: listening on every address needs one to advertise", o.Listen)
		}
		addr = host
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), strconv.Itoa(port))
	}
	if _, _, ok := splitAddr(addr); !ok {
		return "", fmt.Errorf("remote on %q: %q is no address to advertise", o.Listen, o.Advertise)
	}
	return addr, nil
}

func (o Options) serverOptions(a *allow, creds credentials.TransportCredentials) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(creds),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.ConnectionTimeout(handshake),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: alive, Timeout: dead}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo,
			h grpc.StreamHandler,
		) (err error) {
			refused := func(err error) {
				if p, ok := peer.FromContext(ss.Context()); ok && o.Refused != nil {
					o.Refused(p.Addr.String(), err)
				}
			}
			defer func() {
				if v := recover(); v != nil { // what the checks missed ends the stream, not the process
					refused(fmt.Errorf("panic: %v", v))
					err = status.Error(codes.Internal, "malformed")
				}
			}()
			return h(srv, checked{ss, a, refused})
		}),
		grpc.ChainUnaryInterceptor(func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			return nil, status.Error(codes.Unimplemented, "disabled") // the library's own panic
		}),
	}
}

// guard gives connections their places under the limits, and tells of handshakes that failed.
type guard struct {
	credentials.TransportCredentials
	limiter  *listen.Limiter
	unproven func(remote string, err error)
}

// errNoRoom says that a connection came up against a limit.
var errNoRoom = errors.New("there is no room for the connection")

// ServerHandshake implements credentials.TransportCredentials.
func (g guard) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	place, ok := g.limiter.Take(c, protocols.Cluster)
	if !ok { // the limiter has told of it
		return nil, nil, errNoRoom
	}
	conn, info, err := g.TransportCredentials.ServerHandshake(placed{place})
	if err != nil {
		_ = place.Close() // gRPC closes c alone
		if g.unproven != nil {
			g.unproven(c.RemoteAddr().String(), err)
		}
		return nil, nil, err
	}
	place.Prove()
	return conn, info, nil
}

// Clone implements credentials.TransportCredentials.
func (g guard) Clone() credentials.TransportCredentials {
	return guard{g.TransportCredentials.Clone(), g.limiter, g.unproven}
}

// A placed is a connection with a place under the limits. gRPC does not close one to which it cannot write its first frames, so that is
// done here.
type placed struct{ *listen.Conn }

// Write implements net.Conn.
func (p placed) Write(b []byte) (n int, err error) {
	if n, err = p.Conn.Write(b); err != nil {
		_ = p.Close()
	}
	return n, err
}

func (o Options) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(linkCreds{credentials.NewTLS(nil), o}),
		grpc.WithNoProxy(), // nodes speak to each other directly, whatever HTTPS_PROXY says
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: handshake}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: alive, Timeout: dead}),
	}
}

// linkCreds chooses the keys of a link by the address that is dialled. It states no server name of its own, since gRPC
// would then hand that to ClientHandshake instead of the address.
type linkCreds struct {
	credentials.TransportCredentials // TLS without a name
	o                                Options
}

// ClientHandshake implements credentials.TransportCredentials.
func (l linkCreds) ClientHandshake(ctx context.Context, addr string, conn net.Conn) (
	net.Conn, credentials.AuthInfo, error,
) {
	var k trust.Keys
	if common := l.o.Keys(); len(common) > 0 {
		k = common[0]
	}
	if l.o.KeysOf != nil {
		if own := l.o.KeysOf(addr); !own.Zero() {
			k = own
		}
	}
	cfg, err := k.ClientTLS()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(cfg).ClientHandshake(ctx, cfg.ServerName, conn) // gRPC would set addr over the name
}

// Clone implements credentials.TransportCredentials.
func (l linkCreds) Clone() credentials.TransportCredentials { return l }

// close makes the remote drop its links to all members.
func (p *Provider) close(sys *actor.ActorSystem) {
	v := p.now.Load()
	if v == nil {
		return
	}
	for _, m := range v.Members {
		if m.Addr != sys.Address() && m.asked() {
			sys.EventStream.Publish(&remote.EndpointTerminatedEvent{Address: m.Addr})
		}
	}
}
