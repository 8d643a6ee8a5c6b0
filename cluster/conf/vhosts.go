package conf

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"weir/protocols"
)

// DefaultVhost is the name of the virtual host for clients that name no virtual host, or one that the file does not have.
const DefaultVhost = "__defaultVhost__"

// The default ports of coworkers and of origins.
const (
	defaultAPIPort  = 1985
	defaultRTMPPort = 1935
)

// A Vhost is a virtual host in the sense of SRS. Publishers may use any stream name in it, without a `stream` in the file.
//
// The stream APP/NAME of the default vhost is called APP/NAME, and that of another vhost VHOST/APP/NAME.
type Vhost struct {
	Name string

	// Remote says that this node is an edge of the vhost: it fetches streams from Origins, and sends published streams to them.
	// An origin is HOST:PORT. Origins is empty if and only if Remote is false.
	Remote  bool
	Origins []string

	// OriginCluster says that this node and Coworkers tell each other which streams they have. A coworker is the HOST:PORT of
	// an HTTP API; this node itself may be among them. Both fields are empty in a Remote vhost.
	OriginCluster bool
	Coworkers     []string

	// Register says that a server which sends heartbeats to this node is a coworker for as long as it sends them.
	Register bool

	Fetch         Fetch
	TokenTraverse bool // an edge asks an origin whether each viewer may play

	// Hooks are the URLs that are called when a client does something, by action, in the order of the file.
	Hooks map[string][]string

	Pos Pos
}

// Fetch says how an edge fetches streams from its origins.
type Fetch string

// The protocols of an edge.
const (
	FetchRTMP Fetch = "rtmp"
	FetchFLV  Fetch = "flv"  // over HTTP
	FetchFLVS Fetch = "flvs" // over HTTPS
)

// Prefix is the beginning of the names of the vhost's streams; empty for the default vhost.
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

// Open gives the stream that a publisher makes with a name that no `stream` of the file has: the stream of a template if one
// fits the name, else a stream of a virtual host. It is false if the name belongs to neither. It is also false if this node is
// an edge of the virtual host, unless have says that the stream exists already: such a stream goes on until its publisher leaves.
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

// hookActions are the hooks that weir calls, in the order in which they are printed; when describes the occasion.
var hookActions = []struct{ name, when string }{
	{"on_connect", "a client connects"},
	{"on_close", "a client leaves"},
	{"on_publish", "a publisher comes"},
	{"on_unpublish", "a publisher leaves"},
	{"on_play", "a viewer comes"},
	{"on_stop", "a viewer leaves"},
}

// hooks are the URLs in a block http_hooks, by action.
type hooks map[string]*[]string

// of gives a pointer to the URLs of an action. It is never nil.
func (h hooks) of(action string) *[]string {
	if h[action] == nil {
		h[action] = new([]string)
	}
	return h[action]
}

// vhostDirectives are the directives of SRS.
func vhostDirectives() []directive {
	list := []directive{
		{
			name: "vhost", in: inFile, many: true, block: inVhost,
			value:  entries("NAME", func(f *File) *[]Vhost { return &f.Vhosts }, parseVhost, func(v *Vhost) *block { return newBlock(v.Name, v.Name, v) }),
			reload: NewClients, example: "__defaultVhost__ { }",
			doc: "A virtual host in the sense of SRS: publishers may use any stream name in it, without a `stream` in the file.",
		},
		{
			name: "enabled", in: inVhost, value: unstoredOnOff("on"), reload: NewClients, example: "off", doc: "Whether the vhost exists.",
		},
		{
			name: "cluster", in: inVhost, block: inCluster, value: clusterValue, reload: NewClients, example: "{ mode remote; origin 10.0.0.1; }",
			doc: "How the vhost works together with SRS servers.",
		},
		{
			name: "mode", in: inCluster, value: modeValue, reload: NewClients, example: "remote",
			doc: "With local the node has the streams of the vhost itself; with remote it is an edge, which fetches streams from an origin and sends published streams to it.",
		},
		{
			name: "origin", in: inCluster, value: servers(1, func(v *Vhost) *[]string { return &v.Origins }, defaultRTMPPort), reload: NewClients,
			example: "10.0.0.1:1935 10.0.0.2:1935", doc: "The servers from which an edge fetches, tried in this order.",
		},
		{
			name: "protocol", in: inCluster, omitDefault: true, reload: NewClients, example: "flv",
			value: oneWord(func(v *Vhost) *Fetch { return &v.Fetch }, FetchRTMP, FetchRTMP, FetchFLV, FetchFLVS),
			doc:   "How an edge fetches: over RTMP, HTTP-FLV or HTTPS-FLV.",
		},
		{
			name: "token_traverse", in: inCluster, value: onOff(func(v *Vhost) *bool { return &v.TokenTraverse }), reload: NewClients, example: "on",
			doc: "An edge asks an origin whether each viewer may play.",
		},
		{
			name: "origin_cluster", in: inCluster, value: onOff(func(v *Vhost) *bool { return &v.OriginCluster }), reload: NewClients, example: "on",
			doc: "This node and its coworkers tell each other which streams they have.",
		},
		{
			name: "register", in: inCluster, value: onOff(func(v *Vhost) *bool { return &v.Register }), reload: NewClients, example: "on",
			doc: "A server that sends heartbeats to this node is a coworker for as long as it sends them.",
		},
		{
			name: "coworkers", in: inCluster, value: servers(0, func(v *Vhost) *[]string { return &v.Coworkers }, defaultAPIPort), reload: NewClients,
			defaultWords: "none", example: "10.0.0.1:1985 10.0.0.2:1985", doc: "The HTTP APIs of the coworkers; this node itself may be among them.",
		},
		{
			name: "http_hooks", in: inVhost, block: inHooks, value: hooksValue, reload: NewClients,
			example: "{ enabled on; on_publish http://10.0.0.9/publish; }",
			doc:     "URLs that are called, in the form of SRS, when a client does something, and that may refuse the client.",
		},
		{
			name: "enabled", in: inHooks, value: hooksEnabled, reload: NewClients, example: "on", doc: "Whether the hooks are called.",
		},
		{
			name: "http_remux", in: inVhost, block: inRemux, value: value{open: openVhostPart}, reload: NewClients, example: "{ enabled on; }",
			doc: "HTTP-FLV is always served, at the URL that is the default of SRS; any other setting is refused.",
		},
		{
			name: "enabled", in: inRemux, value: remuxValue("on"), reload: NewClients, example: "on", doc: "Only on is permitted.",
		},
		{
			name: "mount", in: inRemux, value: remuxValue("[vhost]/[app]/[stream].flv"), reload: NewClients, example: "[vhost]/[app]/[stream].flv",
			doc: "Only the value of the example is permitted.",
		},
	}
	for _, action := range hookActions {
		v := listOf("URL …", 0, func(h hooks) *[]string { return h.of(action.name) }, false, maxServers, parseHook, asIs)
		list = append(list, directive{
			name: action.name, in: inHooks, value: v, hide: protocols.MaskURLs, reload: NewClients, defaultWords: "none", example: "http://10.0.0.9/srs",
			doc: fmt.Sprintf("URLs that are called when %s.", action.when),
		})
	}
	return list
}

func parseHook(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("found %s, expected an http or https URL", quote(text))
	}
	return text, nil
}

// unstoredOnOff is the word on or off, which is not stored in the model; finishVhosts reads the word.
func unstoredOnOff(byDefault string) value {
	v := unstored("on or off", func(s string) error {
		_, err := parseWord(s, onOffWords)
		return err
	})
	v.defaultText = byDefault
	return v
}

// hooksEnabled is always printed as on: hooks that are not enabled are not in the model.
var hooksEnabled = func() value {
	v := unstoredOnOff("off")
	v.lines = func(*block) [][]string { return [][]string{{"on"}} }
	return v
}()

// remuxValue is a word for which only one value is supported.
func remuxValue(only string) value {
	return value{args: only, min: 1, max: 1, read: func(r *reader, _ *block, c *call) {
		if w := c.args[0]; w.text != only {
			r.add(Unsupported, w.pos, "`http_remux` with `%s %s`", c.name, short(w.text))
		}
	}}
}

func parseVhost(name string, at Pos) (Vhost, error) {
	var err error
	if name != DefaultVhost {
		if name, err = parseHost(name); err != nil {
			err = fmt.Errorf("%w, or %s", err, DefaultVhost)
		}
	}
	return Vhost{Name: name, Fetch: FetchRTMP, Pos: at}, err
}

// openVhostPart opens a block whose directives are stored in the vhost around it.
func openVhostPart(_ *reader, b *block, _ *call) *block { return &block{models: b.models} }

var clusterValue = value{
	open: openVhostPart,
	each: func(b *block) []*block { return []*block{{models: b.models}} },
}

var hooksValue = value{
	open: func(*reader, *block, *call) *block { return &block{models: []any{hooks{}}} },
	each: func(b *block) []*block {
		h := hooks{}
		for _, action := range hookActions {
			*h.of(action.name) = part[*Vhost](b).Hooks[action.name]
		}
		if len(part[*Vhost](b).Hooks) == 0 {
			return nil
		}
		return []*block{{models: []any{h}}}
	},
}

// modeValue is the word local or remote, stored in [Vhost.Remote].
var modeValue = func() value {
	const local, remote = "local", "remote"
	v := single("local or remote", func(v *Vhost) *bool { return &v.Remote }, false, func(s string) (bool, error) {
		_, err := parseWord(s, []string{local, remote})
		return s == remote, err
	}, nil)
	v.defaultText = local
	v.lines = func(b *block) [][]string {
		if part[*Vhost](b).Remote {
			return [][]string{{remote}}
		}
		return [][]string{{local}}
	}
	return v
}()

// finishVhosts checks the vhosts and keeps those that are enabled.
func (r *reader) finishVhosts() {
	for _, b := range r.top.all("vhost") {
		v := part[*Vhost](b)
		cluster := &block{}
		if list := b.all("cluster"); len(list) > 0 {
			cluster = list[0]
		}
		r.finishHooks(b, v)
		r.finishVhost(b, cluster, v)
		if b.word("enabled").text == "off" {
			continue
		}
		if v.Name != DefaultVhost {
			if err := CheckName(v.Name, r.file.BalancerNames()); err != nil {
				r.errorf(v.Pos, "`vhost`: %v", err)
			}
		}
		r.file.Vhosts = append(r.file.Vhosts, *v)
	}
}

func (r *reader) finishHooks(b *block, v *Vhost) {
	for _, k := range b.all("http_hooks") {
		enabled := k.word("enabled").text
		for _, action := range hookActions {
			urls := *part[hooks](k).of(action.name)
			if len(urls) == 0 {
				continue
			}
			if v.Hooks == nil {
				v.Hooks = map[string][]string{}
			}
			v.Hooks[action.name] = urls
		}
		if len(v.Hooks) > 0 && enabled == "" {
			r.warnf(v.Pos, "the `http_hooks` of `vhost %s` are not enabled; write `enabled on;` among them", v.Name)
		}
		if enabled != "on" {
			v.Hooks = nil
		}
	}
}

// finishVhost drops the settings of a vhost that have no effect in its mode, with a warning for each.
func (r *reader) finishVhost(b, cluster *block, v *Vhost) {
	coworkers := cluster.where("coworkers")
	if coworkers == (Pos{}) {
		coworkers = b.where("cluster")
	}
	if v.Remote {
		mode := cluster.where("mode")
		for _, ignored := range []struct {
			what string
			is   bool
		}{{"origin_cluster", v.OriginCluster}, {"coworkers", len(v.Coworkers) > 0}, {"register", v.Register}} {
			if ignored.is {
				r.warnf(mode, "`vhost %s` has `mode remote`, so `%s` does nothing", v.Name, ignored.what)
			}
		}
		v.OriginCluster, v.Coworkers, v.Register = false, nil, false
		if len(v.Origins) == 0 {
			r.errorf(mode, "found `mode remote` in `vhost %s` without an origin, expected `origin HOST:PORT …;`", v.Name)
		}
		return
	}
	if len(v.Origins) > 0 {
		r.warnf(cluster.where("origin"), "`vhost %s` has `mode local`, so `origin` does nothing; write `mode remote;` for an edge", v.Name)
		v.Origins = nil
	}
	if v.TokenTraverse {
		r.warnf(cluster.where("token_traverse"), "`vhost %s` has `mode local`, so `token_traverse` does nothing", v.Name)
		v.TokenTraverse = false
	}
	v.Fetch = FetchRTMP
	if v.OriginCluster {
		r.checkReach(v, coworkers)
		return
	}
	if len(v.Coworkers) > 0 || v.Register {
		r.warnf(coworkers, "`vhost %s` has `origin_cluster off`, so its coworkers are neither asked nor answered; write `origin_cluster on;`", v.Name)
	}
	v.Coworkers, v.Register = nil, false
}

// checkReach warns if coworkers on other machines cannot reach the HTTP API of this node.
func (r *reader) checkReach(v *Vhost, at Pos) {
	away := slices.ContainsFunc(v.Coworkers, func(c string) bool {
		host, _, _ := parsePeerName(c)
		return !loopback(host)
	})
	list := r.file.Listeners[protocols.HTTP]
	here := len(list) > 0 && !slices.ContainsFunc(list, func(l Listen) bool { return !loopback(l.Host) })
	switch {
	case len(list) == 0:
		r.warnf(at, "`vhost %s` has `origin_cluster on`, but with `http off` no coworker can ask this node", v.Name)
	case away && here:
		r.warnf(at, "coworkers of `vhost %s` on other machines cannot ask this node: its `http` listens at %s only", v.Name, list[0].words())
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
