package node

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/actors"
	"weir/cluster/balance"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/peer"
	"weir/protocols/api"
	"weir/protocols/hls"
	"weir/protocols/listen"
)

// balancers choose servers for clients. Any goroutine may use them.
type balancers struct {
	n       *Node
	country func(netip.Addr) string

	mu      sync.Mutex // what follows
	byName  map[string]*balancer
	servers map[string]peer.Seen     // that are no peers, by entry
	failing map[string]time.Duration // when a server last failed a client, by its key
	chosen  uint64                   // choices of all balancers
	recent  uint64                   // chosen, when the load was last measured
	since   time.Duration            // when that was
	rate    int                      // choices per second before that
}

// A balancer is one balancer of the file, with what it remembers.
type balancer struct {
	conf conf.Balancer
	core *balance.Balancer
}

func newBalancers(n *Node, country func(netip.Addr) string) *balancers {
	b := &balancers{n: n, country: country, servers: map[string]peer.Seen{}, failing: map[string]time.Duration{}}
	b.configure(n.file())
	return b
}

// configure puts the balancers of a file into effect. What was chosen of late goes on counting.
func (b *balancers) configure(f *conf.File) {
	byName := make(map[string]*balancer, len(f.Balancers))
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range f.Balancers {
		is := &balancer{conf: c, core: balance.New(balanceConfig(c))}
		if old := b.byName[c.Name]; old != nil {
			is.core.Adopt(old.core)
		}
		byName[c.Name] = is
	}
	b.byName = byName
	used := map[string]bool{}
	for _, s := range outsiders(f) {
		used[serverKey(s)] = true
	}
	for key := range b.servers {
		if !used[key] {
			delete(b.servers, key)
		}
	}
}

func balanceConfig(c conf.Balancer) balance.Config {
	out := balance.Config{Name: c.Name, Mode: balance.Mode(c.Mode), Blind: !c.InFlight}
	for _, s := range c.Servers {
		out.Servers = append(out.Servers, balance.Entry{
			Name: s.Name(), MaxBitrate: s.MaxBitrate, Countries: s.Countries, Default: s.Default,
		})
	}
	return out
}

// serverKey is how this node calls a server that is no peer: with its port, whether or not the file gives it.
func serverKey(s conf.Server) string {
	port := s.Port
	if port == 0 {
		port = 80
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(port))
}

// outsiders are the servers of a file that are no peers, each once.
func outsiders(f *conf.File) (list []conf.Server) {
	seen := map[string]bool{}
	for _, b := range f.Balancers {
		for _, s := range b.Servers {
			if key := serverKey(s); s.Peer == "" && !seen[key] {
				seen[key] = true
				list = append(list, s)
			}
		}
	}
	return list
}

// watchers are the actors of the links to servers that are no peers.
func (n *Node) watchers(f *conf.File) (out []actors.Child) {
	for _, s := range outsiders(f) {
		out = append(out, actors.Child{Name: serverKey(s), Props: peer.ServerProps(n.env, peer.ServerConfig{
			Entry: serverKey(s), Fetcher: n.fetcher, Every: conf.DefaultFetchTimeout, Stale: conf.DefaultStaleTimeout,
			Publish: n.balance.seen, Measured: n.fetched,
		})})
	}
	return out
}

// seen takes in what is known of a server that is no peer.
func (b *balancers) seen(s peer.Seen) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers[s.Entry] = s
}

// has says whether there is a balancer of that name.
func (b *balancers) has(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byName[name] != nil
}

// A target is a server as a client would meet it.
type target struct {
	key  string
	name string // as it announces itself; empty until it has been heard
	self bool

	public, private string // URLs without path; empty for this node
	is              balance.Server
	chosen          int // clients per second that it sends elsewhere
}

// A wish is what a client wants of a balancer.
type wish struct {
	stream  string
	publish bool
	sent    bool // he is sent to the server, so that it has to speak his scheme
	request listen.Request
}

// targets are the servers of a balancer, in its order. It is called with b.mu held.
func (b *balancers) targets(c *conf.Balancer, w wish) []target {
	v, now := b.n.view.get(), b.n.env.Now()
	out := make([]target, 0, len(c.Servers))
	if v == nil {
		v = &control.View{}
	}
	var sv *control.StreamView
	if w.stream != "" {
		sv = v.Stream(w.stream)
	}
	file := b.n.file()
	for _, s := range c.Servers {
		t := b.target(v, file, s, sv, w, now)
		if at, failed := b.failing[t.key]; failed && !t.self && t.is.State == balance.Ready && time.Duration(t.is.Measured) < at {
			t.is.State = balance.Failing
		}
		if w.request.Secure && w.sent && !t.self && t.is.State == balance.Ready && !strings.HasPrefix(t.public, "https://") {
			t.is.State = balance.Unfit
		}
		out = append(out, t)
	}
	b.dropLacking(out, v, sv, w)
	return out
}

// target finds out what is known of one server.
func (b *balancers) target(v *control.View, f *conf.File, s conf.Server, sv *control.StreamView, w wish, now time.Duration) target {
	if s.Peer == "" {
		return b.outsider(v, s, sv, w, now)
	}
	var c conf.Peer
	for _, p := range f.Peers {
		if p.Name() == s.Peer {
			c = p
		}
	}
	t := target{key: entry(c), public: c.Public, private: c.Private}
	if slices.Contains(v.Entries, t.key) {
		return b.self(t, v, sv, now)
	}
	for i := range v.Peers {
		p := &v.Peers[i]
		if p.Entry != t.key && !slices.Contains(p.Aliases, t.key) {
			continue
		}
		if p.Met {
			t.name = p.Name
		}
		t.is, t.chosen = figures(p.Load, balance.Instant(p.LoadAt)), p.Load.Chosen
		t.is.State, t.is.Full, t.is.Has = stateOf(p), p.Full, runs(sv, p.Name)
		break
	}
	return t
}

func figures(l control.Load, at balance.Instant) balance.Server {
	return balance.Server{Clients: l.Clients, Bits: l.OutBits, Streams: l.Captures, Measured: at}
}

func stateOf(p *control.PeerView) balance.State {
	switch {
	case p.Status == control.Refused:
		return balance.Unauthorised
	case !p.Alive:
		return balance.Down
	case p.Status == control.Draining:
		return balance.Draining
	case p.Status == control.Booting:
		return balance.Booting
	}
	return balance.Ready
}

// runs says whether a node captures a stream and has media of it.
func runs(sv *control.StreamView, node string) bool {
	return sv != nil && slices.ContainsFunc(sv.Claimants, func(c control.ClaimView) bool {
		return c.Node == node && c.State == control.ClaimRunning
	})
}

// self makes a target of this node.
func (b *balancers) self(t target, v *control.View, sv *control.StreamView, now time.Duration) target {
	t.self, t.name, t.public, t.private = true, v.Self, "", ""
	load, at := b.n.load.Load()
	t.is = figures(load, balance.Instant(at))
	t.is.Has, t.is.Full = runs(sv, v.Self), v.Full
	switch {
	case v.Draining:
		t.is.State = balance.Draining
	case !v.Warm:
		t.is.State = balance.Booting
	default:
		t.is.State = balance.Ready
	}
	return t
}

// outsider makes a target of a server that is no peer, which may be this node.
func (b *balancers) outsider(v *control.View, s conf.Server, sv *control.StreamView, w wish, now time.Duration) target {
	t := target{key: serverKey(s), public: s.URL(), private: s.URL()}
	known := b.servers[t.key]
	if known.Ever && known.Instance == v.Instance {
		return b.self(t, v, sv, now)
	}
	t.name, t.is, t.chosen = known.Name, figures(known.Load, balance.Instant(known.LoadAt)), known.Load.Chosen
	t.is.Has, t.is.Full = known.Running[w.stream], known.Busy
	switch {
	case known.Why == control.Unauthorised:
		t.is.State = balance.Unauthorised
	case !known.Ever || now-known.Heard >= conf.DefaultStaleTimeout:
		t.is.State = balance.Down
	case known.Draining:
		t.is.State = balance.Draining
	case !known.Warm:
		t.is.State = balance.Booting
	default:
		t.is.State = balance.Ready
	}
	return t
}

// dropLacking marks servers that cannot have the stream although others can: a publisher needs one whose file has it,
// and a server that is no peer gets no stream from the group. A stream that nobody is known to have may come from a
// template, so that all are asked. It is called with b.mu held.
func (b *balancers) dropLacking(list []target, v *control.View, sv *control.StreamView, w wish) {
	if w.stream == "" {
		return
	}
	lacks, some := make([]bool, len(list)), false
	for i := range list {
		t := &list[i]
		known, outside := b.servers[t.key]
		outside = outside && !t.self
		have := t.is.Has
		switch {
		case outside:
			have = have || known.Listed == nil || known.Listed[w.stream]
		case w.publish:
			have = sv != nil && slices.Contains(sv.On, t.name)
		default:
			have = sv != nil
		}
		lacks[i] = !have
		some = some || have
	}
	for i := range list {
		if s := &list[i].is; some && lacks[i] && (s.State == balance.Ready || s.State == balance.Booting) {
			s.State = balance.Lacking
		}
	}
}

// choose picks a server for a client, not one of those that are avoided; ok is false when none is left.
func (b *balancers) choose(name string, w wish, avoid []string) (t target, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	is := b.byName[name]
	if is == nil {
		return target{}, false
	}
	list := b.targets(&is.conf, w)
	for i := range list {
		if slices.Contains(avoid, list[i].key) {
			list[i].is.State = balance.Failing
		}
	}
	servers := make([]balance.Server, len(list))
	for i := range list {
		servers[i] = list[i].is
	}
	now := b.n.env.Now()
	r := balance.Request{
		Country: b.country(w.request.Remote.Addr()), Publish: w.publish, Weight: b.weight(now),
		// Not the identifier of a viewer's session: a player that is reloaded stays where it was.
		Session: balance.Session(w.request.Remote.Addr().String(), w.request.Agent, w.stream),
		Bits:    b.n.load.Rate(w.stream),
	}
	at := is.core.Choose(balance.Instant(now), servers, r)
	if at < 0 {
		return target{}, false
	}
	b.chosen++
	return list[at], true
}

// weight says how many clients one stands for that this node chooses for, in thousandths: other nodes choose for others
// meanwhile, of whom nothing is known before they are counted. It is called with b.mu held.
func (b *balancers) weight(now time.Duration) int {
	own := b.rate
	if passed := now - b.since; passed > 0 {
		own = max(own, int(float64(b.chosen-b.recent)/max(passed.Seconds(), 1)))
	}
	others, nodes := 0, 1
	if v := b.n.view.get(); v != nil {
		for i := range v.Peers {
			if p := &v.Peers[i]; p.Alive && p.Load.Chosen > 0 {
				others += p.Load.Chosen
				nodes++
			}
		}
	}
	for _, s := range b.servers {
		if s.Ever && s.Instance != b.instance() && now-s.Heard < conf.DefaultStaleTimeout && s.Load.Chosen > 0 {
			others += s.Load.Chosen
			nodes++
		}
	}
	if own == 0 || others == 0 {
		return 1000
	}
	return min(1000*(own+others)/own, 1000*nodes)
}

func (b *balancers) instance() string {
	if v := b.n.view.get(); v != nil {
		return v.Instance
	}
	return ""
}

// perSecond gives how many clients were sent to servers per second since it was last asked.
func (b *balancers) perSecond(now time.Duration) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now - b.since; passed > 0 {
		b.rate = int(float64(b.chosen-b.recent)/passed.Seconds() + 0.5)
	}
	b.recent, b.since = b.chosen, now
	return b.rate
}

// usable says whether a server that was chosen before may go on serving its viewers.
func (b *balancers) usable(name, key string, w wish) (t target, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	is := b.byName[name]
	if is == nil {
		return target{}, false
	}
	for _, t := range b.targets(&is.conf, w) {
		if t.key == key {
			return t, t.is.State == balance.Ready || t.is.State == balance.Booting || t.is.State == balance.Lacking
		}
	}
	return target{}, false
}

// failed notes that a server did not answer for a client. It gets nobody until it has measured its load once more.
func (b *balancers) failed(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing[key] = b.n.env.Now()
}

// report describes all balancers, in the order of the file.
func (b *balancers) report() (out []api.Balancer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out = make([]api.Balancer, 0, len(b.byName))
	for _, c := range b.n.file().Balancers {
		if is := b.byName[c.Name]; is != nil {
			out = append(out, b.describe(is))
		}
	}
	return out
}

func (b *balancers) describe(is *balancer) api.Balancer {
	list := b.targets(&is.conf, wish{})
	servers := make([]balance.Server, len(list))
	for i := range list {
		servers[i] = list[i].is
	}
	rows, refused := is.core.Report(balance.Instant(b.n.env.Now()), servers)
	out := api.Balancer{Name: is.conf.Name, Mode: string(is.conf.Mode), Refused: refused, Servers: []api.BalancedServer{}}
	for i, r := range rows {
		c, t := is.conf.Servers[i], list[i]
		out.Chosen += r.Chosen
		s := api.BalancedServer{
			Server: r.Name, Name: api.Maybe(t.name), Self: t.self, Peer: c.Peer != "",
			Clients: r.Clients, Bitrate: r.Bits, Streams: r.Streams, InFlight: r.InFlight, Share: float64(r.Share) / 10,
			MaxBitrate: c.MaxBitrate, Usage: float64(r.Usage) / 10, Countries: c.Countries, CountriesDefault: c.Default,
			Chosen: r.Chosen, Excluded: api.Maybe(r.Excluded),
		}
		if c.Peer == "" {
			s.Error = b.servers[t.key].Detail
		}
		out.Servers = append(out.Servers, s)
	}
	return out
}

// hlsRouter chooses servers for the viewers of one balancer by playlist.
type hlsRouter struct {
	all  *balancers
	name string
}

var _ hls.Balancer = hlsRouter{}

func (h hlsRouter) wish(r listen.Request) wish {
	return wish{stream: r.Streams[0], request: r}
}

// Route implements [hls.Balancer].
func (h hlsRouter) Route(r listen.Request, avoid []string) (hls.Place, bool) {
	t, ok := h.all.choose(h.name, h.wish(r), avoid)
	return place(t), ok
}

// Place implements [hls.Balancer].
func (h hlsRouter) Place(r listen.Request, server string) (hls.Place, bool) {
	t, ok := h.all.usable(h.name, server, h.wish(r))
	return place(t), ok
}

// Failed implements [hls.Balancer].
func (h hlsRouter) Failed(server string) { h.all.failed(server) }

func place(t target) hls.Place {
	return hls.Place{Server: t.key, Here: t.self, Upstream: t.private, Public: t.public}
}

// location is the URL of a request below a balancer at the server that was chosen for it.
func location(t target, path string, r listen.Request) (string, error) {
	u, err := url.Parse(t.public)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host + path + "?" + listen.WithHere(listen.WithHops(r.Query, r.Hops+1)), nil
}
