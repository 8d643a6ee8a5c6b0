package conf

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"weir/protocols"
)

// DefaultVhost is the name of the virtual host of clients that name none, or one that the file does not have.
const DefaultVhost = "__defaultVhost__"

// The ports that hold where coworkers and origins are listed without one.
const (
	defaultAPIPort  = 1985
	defaultRTMPPort = 1935
)

// A Vhost is a virtual host in the sense of SRS. Streams may be published under any name of it without a `stream`.
//
// The stream APP/NAME of the default vhost is called APP/NAME, and that of another vhost VHOST/APP/NAME.
type Vhost struct {
	Name string

	// Remote says that this node is an edge: it has no streams of the vhost but fetches them from Origins, and sends
	// there what is published. Origins is then not empty; each is HOST:PORT.
	Remote  bool
	Origins []string

	// OriginCluster says that this node and Coworkers tell each other which streams they have. Coworkers are the HTTP
	// APIs, HOST:PORT, as the file has them; this node itself may be among them. Both are empty in a Remote vhost.
	OriginCluster bool
	Coworkers     []string

	// Register makes coworkers of the servers that send heartbeats here, for as long as they do.
	Register bool

	Fetch         Fetch
	TokenTraverse bool // an edge asks an origin about each viewer

	// Hooks are the URLs that are told of what clients do, by action, in the order of the file; empty means none.
	Hooks map[string][]string

	Pos Pos
}

// Fetch says how an edge fetches streams from its origins.
type Fetch string

// The ways.
const (
	FetchRTMP Fetch = "rtmp"
	FetchFLV  Fetch = "flv"  // over HTTP
	FetchFLVS Fetch = "flvs" // over HTTPS
)

// Prefix is what the names of the vhost's streams begin with; empty for the default one.
func (v Vhost) Prefix() string {
	if v.Name == DefaultVhost {
		return ""
	}
	return v.Name + "/"
}

// Vhost gives the virtual host of that name, or nil. The pointer is into f.
func (f *File) Vhost(name string) *Vhost {
	for i := range f.Vhosts {
		if f.Vhosts[i].Name == name {
			return &f.Vhosts[i]
		}
	}
	return nil
}

// Open gives the stream that a publisher makes by coming under a name that no `stream` of the file has: that of its
// template, else one of its virtual host. It is false if the name belongs to neither, and where this node is an edge,
// unless there is such a stream already: that goes on until its publisher leaves.
func (f *File) Open(name string, have bool) (Stream, bool) {
	if t := f.Template(name); t != nil {
		s := t.Stream
		s.Name = name
		return s, true
	}
	v := f.Vhost(DefaultVhost)
	for i := range f.Vhosts {
		if p := f.Vhosts[i].Prefix(); p != "" && strings.HasPrefix(name, p) {
			v = &f.Vhosts[i]
		}
	}
	if v == nil || v.Remote && !have {
		return Stream{}, false
	}
	in := Input{URL: "publish://", Scheme: "publish", Pos: v.Pos}
	return Stream{Name: name, Inputs: []Input{in}, Static: true, Delivery: f.Delivery, Pos: v.Pos}, true
}

// A vhostDraft is a vhost whose block is being read.
type vhostDraft struct {
	Vhost
	off                                   bool
	mode, cluster, coworkers, origin, tok Pos // where these were given; zero if they were not
	hooksOn, hooksSaid                    bool
}

// hookActions are the hooks that are sent, in the order in which they are written.
var hookActions = []string{"on_connect", "on_close", "on_publish", "on_unpublish", "on_play", "on_stop"}

var (
	onOff   = []string{"on", "off"}
	roles   = []string{"local", "remote"}
	fetches = []string{string(FetchRTMP), string(FetchFLV), string(FetchFLVS)}
)

func vhostDirectives() []spec {
	list := []spec{
		obeyed("vhost", inFile, "NAME", 1, 1, applyVhost).repeated().withBlock(inVhost),
		obeyed("enabled", inVhost, "on or off", 1, 1, applyVhostEnabled),
		obeyed("cluster", inVhost, "", 0, 0, applyCluster).withBlock(inCluster),
		obeyed("mode", inCluster, "local or remote", 1, 1, applyClusterMode),
		obeyed("origin_cluster", inCluster, "on or off", 1, 1, applyOriginCluster),
		obeyed("coworkers", inCluster, "HOST:PORT …", 0, -1, applyCoworkers),
		obeyed("register", inCluster, "on or off", 1, 1, applyRegister),
		obeyed("origin", inCluster, "HOST:PORT …", 1, -1, applyOrigin),
		obeyed("protocol", inCluster, "rtmp, flv or flvs", 1, 1, applyFetch),
		obeyed("token_traverse", inCluster, "on or off", 1, 1, applyTokenTraverse),
		obeyed("http_hooks", inVhost, "", 0, 0, applyBlock).withBlock(inHooks),
		obeyed("enabled", inHooks, "on or off", 1, 1, applyHooksEnabled),
		obeyed("http_remux", inVhost, "", 0, 0, applyBlock).withBlock(inRemux),
		obeyed("enabled", inRemux, "on", 1, 1, applyRemux),
		obeyed("mount", inRemux, "[vhost]/[app]/[stream].flv", 1, 1, applyRemux),
	}
	for _, action := range hookActions {
		list = append(list, obeyed(action, inHooks, "URL …", 0, -1, applyHook))
	}
	for _, action := range []string{"on_dvr", "on_hls", "on_hls_notify", "on_forward_backend"} {
		list = append(list, laterArgs(action, inHooks, "URL …", 0, -1))
	}
	for _, name := range []string{"vhost", "debug_srs_upnode"} {
		list = append(list, laterArgs(name, inCluster, "VALUE", 1, 1))
	}
	for _, name := range []string{
		"chunk_size", "exec", "forward", "gop_cache", "in_ack_size", "ingest", "min_latency", "out_ack_size", "play", "publish",
		"queue_length", "rtc", "rtmp", "refer", "security", "tcp_nodelay", "transcode", "dash", "dvr", "hds", "hls", "srt",
	} {
		list = append(list, laterBlock(name, inVhost, "VALUE …", 0, -1, anywhere))
	}
	return list
}

func applyVhost(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	v := &vhostDraft{Vhost: Vhost{Name: w.text, Fetch: FetchRTMP, Pos: c.pos}}
	if v.Name != DefaultVhost {
		host, err := parseHost(w.text)
		if err != nil {
			b.refuse(w.pos, c.name, fmt.Errorf("%w, or %s", err, DefaultVhost))
			return &scope{vhost: v}
		}
		v.Name = host
	}
	if !b.room(c, len(b.vhosts)) {
		return nil
	}
	for _, known := range b.vhosts {
		if known.Name == v.Name {
			b.errorf(w.pos, "found `vhost %s` a second time, expected it once; the first is at %s", v.Name, known.Pos.place())
			return &scope{vhost: v}
		}
	}
	b.vhosts = append(b.vhosts, v)
	return &scope{vhost: v}
}

// applyBlock obeys a directive that only holds others.
func applyBlock(_ *builder, sc *scope, _ *call) *scope { return &scope{vhost: sc.vhost} }

func applyCluster(_ *builder, sc *scope, c *call) *scope {
	sc.vhost.cluster = c.pos
	return &scope{vhost: sc.vhost}
}

// onOff hands the only argument of a directive, as a truth, to set.
func (b *builder) onOff(c *call, set func(on bool)) {
	b.oneOf(c, onOff, func(w string) { set(w == "on") })
}

func applyVhostEnabled(b *builder, sc *scope, c *call) *scope {
	b.onOff(c, func(on bool) { sc.vhost.off = !on })
	return nil
}

func applyClusterMode(b *builder, sc *scope, c *call) *scope {
	b.oneOf(c, roles, func(w string) { sc.vhost.Remote = w == "remote" })
	sc.vhost.mode = c.pos
	return nil
}

func applyOriginCluster(b *builder, sc *scope, c *call) *scope {
	b.onOff(c, func(on bool) { sc.vhost.OriginCluster = on })
	return nil
}

func applyRegister(b *builder, sc *scope, c *call) *scope {
	b.onOff(c, func(on bool) { sc.vhost.Register = on })
	return nil
}

func applyTokenTraverse(b *builder, sc *scope, c *call) *scope {
	b.onOff(c, func(on bool) { sc.vhost.TokenTraverse = on })
	sc.vhost.tok = c.pos
	return nil
}

func applyFetch(b *builder, sc *scope, c *call) *scope {
	b.oneOf(c, fetches, func(w string) { sc.vhost.Fetch = Fetch(w) })
	return nil
}

// maxServers bounds the coworkers, and the origins, of a vhost: all may be asked at once.
const maxServers = 64

// servers reads HOST[:PORT] words.
func (b *builder) servers(c *call, port int) []string {
	var list []string
	for _, w := range c.args {
		host, given, err := parsePeerName(w.text)
		if err != nil {
			b.refuse(w.pos, c.name, err)
			continue
		}
		if given == 0 {
			given = port
		}
		at := joinHostPort(host, given)
		switch {
		case slices.Contains(list, at):
			b.warnf(w.pos, "%s stands twice in `%s`", at, c.name)
		case len(list) >= maxServers:
			b.errorf(w.pos, "found more than %d servers in `%s`, expected fewer", maxServers, c.name)
			return list
		default:
			list = append(list, at)
		}
	}
	return list
}

func applyCoworkers(b *builder, sc *scope, c *call) *scope {
	sc.vhost.Coworkers, sc.vhost.coworkers = b.servers(c, defaultAPIPort), c.pos
	return nil
}

func applyOrigin(b *builder, sc *scope, c *call) *scope {
	sc.vhost.Origins, sc.vhost.origin = b.servers(c, defaultRTMPPort), c.pos
	return nil
}

func applyHooksEnabled(b *builder, sc *scope, c *call) *scope {
	sc.vhost.hooksSaid = true
	b.onOff(c, func(on bool) { sc.vhost.hooksOn = on })
	return nil
}

func applyHook(b *builder, sc *scope, c *call) *scope {
	if sc.vhost.Hooks == nil {
		sc.vhost.Hooks = map[string][]string{}
	}
	for _, w := range c.args {
		u, err := url.Parse(w.text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			b.refuse(w.pos, c.name, fmt.Errorf("found %s, expected an http or https URL", quote(maskURL(w.text))))
			continue
		}
		if len(sc.vhost.Hooks[c.name]) >= maxServers {
			b.errorf(w.pos, "found more than %d URLs in `%s`, expected fewer", maxServers, c.name)
			return nil
		}
		sc.vhost.Hooks[c.name] = append(sc.vhost.Hooks[c.name], w.text)
	}
	return nil
}

// applyRemux accepts the only way in which HTTP-FLV is served: always, where SRS has it by default.
func applyRemux(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	if w.text != "on" && w.text != "[vhost]/[app]/[stream].flv" {
		b.add(Unsupported, w.pos, "`http_remux` with `%s %s`", c.name, short(w.text))
	}
	return nil
}

// finishVhosts checks the vhosts and keeps those that are enabled.
func (b *builder) finishVhosts() {
	for _, v := range b.vhosts {
		b.finishVhost(v)
		if v.off {
			continue
		}
		if v.Name != DefaultVhost {
			if err := CheckName(v.Name, b.file.BalancerNames()); err != nil {
				b.errorf(v.Pos, "`vhost`: %v", err)
			}
		}
		b.file.Vhosts = append(b.file.Vhosts, v.Vhost)
	}
}

func (b *builder) finishVhost(v *vhostDraft) {
	if len(v.Hooks) > 0 && !v.hooksSaid {
		b.warnf(v.Pos, "the `http_hooks` of `vhost %s` are not enabled; write `enabled on;` among them", v.Name)
	}
	if len(v.Hooks) == 0 || !v.hooksOn {
		v.Hooks = nil
	}
	if v.Remote {
		for _, ignored := range []struct {
			what string
			is   bool
		}{{"origin_cluster", v.OriginCluster}, {"coworkers", len(v.Coworkers) > 0}, {"register", v.Register}} {
			if ignored.is {
				b.warnf(v.mode, "`vhost %s` has `mode remote`, so `%s` does nothing", v.Name, ignored.what)
			}
		}
		v.OriginCluster, v.Coworkers, v.Register = false, nil, false
		if len(v.Origins) == 0 {
			b.errorf(v.mode, "found `mode remote` in `vhost %s` without an origin, expected `origin HOST:PORT …;`", v.Name)
		}
		return
	}
	if len(v.Origins) > 0 {
		b.warnf(v.origin, "`vhost %s` has `mode local`, so `origin` does nothing; write `mode remote;` for an edge", v.Name)
		v.Origins = nil
	}
	if v.TokenTraverse {
		b.warnf(v.tok, "`vhost %s` has `mode local`, so `token_traverse` does nothing", v.Name)
		v.TokenTraverse = false
	}
	v.Fetch = FetchRTMP
	if v.OriginCluster {
		b.checkReach(v)
		return
	}
	if len(v.Coworkers) > 0 || v.Register {
		b.warnf(v.coworkersPos(), "`vhost %s` has `origin_cluster off`, so its coworkers are neither asked nor answered; write `origin_cluster on;`", v.Name)
	}
	v.Coworkers, v.Register = nil, false
}

func (v *vhostDraft) coworkersPos() Pos {
	if v.coworkers == (Pos{}) {
		return v.cluster
	}
	return v.coworkers
}

// checkReach warns of an API that coworkers elsewhere cannot ask because it listens on this machine only.
func (b *builder) checkReach(v *vhostDraft) {
	away := slices.ContainsFunc(v.Coworkers, func(c string) bool {
		host, _, _ := parsePeerName(c)
		return !loopback(host)
	})
	list := b.file.Listeners[protocols.HTTP]
	here := len(list) > 0 && !slices.ContainsFunc(list, func(l Listen) bool { return !loopback(l.Host) })
	switch {
	case len(list) == 0:
		b.warnf(v.coworkersPos(), "`vhost %s` has `origin_cluster on`, but with `http off` no coworker can ask this node", v.Name)
	case away && here:
		b.warnf(v.coworkersPos(), "coworkers of `vhost %s` on other machines cannot ask this node: its `http` listens at %s only", v.Name, addrWords(list[0]))
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func applyAdvertise(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	host, port, err := parsePeerName(w.text)
	if err != nil {
		b.refuse(w.pos, c.name, err)
		return nil
	}
	b.file.Advertise = host
	b.file.AdvertisePort = port
	return nil
}

func (p *printer) vhost(v Vhost) {
	p.open("vhost", v.Name)
	p.open("cluster")
	on := func(name string, is bool) {
		if is {
			p.line(name, "on")
		}
	}
	if v.Remote {
		p.line("mode", "remote")
		p.line("origin", v.Origins...)
		if v.Fetch != FetchRTMP {
			p.line("protocol", string(v.Fetch))
		}
	} else {
		p.line("mode", "local")
	}
	on("token_traverse", v.TokenTraverse)
	on("origin_cluster", v.OriginCluster)
	on("register", v.Register)
	if len(v.Coworkers) > 0 {
		p.line("coworkers", v.Coworkers...)
	}
	p.close()
	if len(v.Hooks) > 0 {
		p.open("http_hooks")
		p.line("enabled", "on")
		for _, action := range hookActions {
			if urls := v.Hooks[action]; len(urls) > 0 {
				shown := slices.Clone(urls)
				for i := range shown {
					if p.mask {
						shown[i] = hideQuery(maskURL(shown[i]))
					}
				}
				p.line(action, shown...)
			}
		}
		p.close()
	}
	p.close()
}

// hideQuery hides what may be a secret behind the question mark of a hook's URL.
func hideQuery(text string) string {
	before, _, has := strings.Cut(text, "?")
	if has {
		return before + "?" + masked
	}
	return text
}
