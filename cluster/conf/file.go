package conf

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/protocols"
)

// The defaults of directives at the top of the file.
const (
	DefaultReturnHolddown = 30 * time.Second
	DefaultRebalanceRate  = 1
	DefaultLogLevel       = "info"
	DefaultVod            = "vod" // the name of the vod that exists even if the file declares none
	DefaultVodRoot        = "/var/lib/weir/vod"
)

// A File is the model of a configuration file: defaults are filled in, names are resolved, URLs are normalised.
type File struct {
	// Name is the name under which the node announces itself. If it is empty, the node takes the name of the peer entry that it
	// finds to be itself, or else the host name.
	Name string

	// ClusterKey authorises what nodes send each other. Without it, peers, sources that are nodes, balancers and cluster_ingest
	// are errors, unless the entry gives its own key. The key is secret: see [File.Masked].
	ClusterKey string

	// FormerKey is accepted too, while the key is changed at one node after the other; empty means none.
	FormerKey string

	// Peers are the nodes of the group, in the order of the file. The list may or may not contain this node. No two have the
	// same host and port.
	Peers []Peer

	// ReturnHolddown is how long a node must be alive again before its streams go back to it.
	ReturnHolddown time.Duration

	// ChannelLimit and CPULimit are the limits of this node; see [Peer].
	ChannelLimit, CPULimit int

	// RebalanceRate is how many streams move per fetch interval after an edit of the file, until every node has its even share;
	// 0 means that no stream moves.
	RebalanceRate int

	// Journal is the file into which every event and effect of the control plane is written; empty means none.
	Journal string

	// Listeners are the addresses to listen at, by protocol. A protocol without an entry is switched off.
	Listeners map[protocols.Protocol][]Listen

	// Certificates are those with which the listeners that speak TLS prove this node, in the order of the file; ACME says how
	// others are had from an authority. TrustedCA are files of the authorities that this node trusts.
	Certificates []Certificate
	ACME         ACME
	TrustedCA    []string

	// Remote is the address at which the actors of other nodes connect. Port 0 means any free port: this node tells the others
	// which one it is.
	Remote Address

	// RemoteAdvertise is the address at which the other nodes reach Remote, if it is not the one at which this node listens. A
	// port that is not given is that of Remote.
	RemoteAdvertise Address

	// LogLevel is debug, info, warn or error.
	LogLevel string

	// Vods are the directories from which file inputs may read. [DefaultVod] is always among them.
	Vods []Vod

	// Delivery is the setting for streams that this file does not name, and the default for the others.
	Delivery Delivery

	// Streams are in the order of the file; no two have the same name.
	Streams []Stream
	index   map[string]int // the index into Streams, by name

	opened func(name string) bool // see [File.WithOpened]; nil: no stream

	// Templates are the templates that have a prefix. No two have the same prefix. A template without one is not kept: its
	// settings are in the streams that name it.
	Templates []Template

	// Sources are the origins whose streams are restreamed here, in the order of the file.
	Sources []Source

	// Vhosts are the virtual hosts in the order of the file; no two have the same name.
	Vhosts []Vhost

	// Advertise is the address to which SRS servers send RTMP clients for a stream of this node. The node finds out a host or
	// port that is not given.
	Advertise Address

	// Balancers are in the order of the file. No two have the same name, and no stream name begins with one.
	Balancers []Balancer

	// A client with EditAuth may change the node and see everything; nil means that every client on this machine may. A client
	// with ViewAuth may see pages, the API and metrics; nil means that EditAuth is required, or nothing if that is nil too.
	EditAuth, ViewAuth *Credentials

	// SessionLog is the directory of the file that gets a line for each ended session. Pulsedb is the directory of the file that
	// gets a line with the statistics of each minute. Both may be the same. Empty means that nothing is written.
	SessionLog, Pulsedb string

	// StreamMetrics says whether each stream has metrics of its own.
	StreamMetrics bool

	// GeoIP is the database in which the country of a client's address is looked up. If it is empty, the default files are
	// tried, see the directive.
	GeoIP string

	// TrustedProxies are the addresses of proxies. If a connection comes from one, the client's address is taken from
	// X-Forwarded-For or from the PROXY protocol.
	TrustedProxies []netip.Prefix

	// Limits are what clients may take up of the node.
	Limits Limits

	// Places are the positions of the directives at the top of the file, by name. Of several with one name it is the first.
	Places map[string]Pos
}

// An Address is a host and a port.
type Address struct {
	Host string // empty means all interfaces; an IPv6 address has no brackets
	Port int    // 0 means any free one, or that none was given
}

// Addr is the address in the form that package net takes.
func (a Address) Addr() string { return joinHostPort(a.Host, a.Port) }

// Name is HOST, or HOST:PORT if the port was given.
func (a Address) Name() string {
	if a.Port == 0 {
		return a.Host
	}
	return a.Addr()
}

// words is the address as the directive of a listener gives it: PORT or HOST:PORT.
func (a Address) words() string {
	if a.Host == "" {
		return strconv.Itoa(a.Port)
	}
	return a.Addr()
}

// A Listen is an address to accept connections at.
type Listen struct {
	Address
	Pos Pos
}

// A Vod is a directory that file inputs may read.
type Vod struct {
	Name string // the LOCATION of file://LOCATION/PATH
	Root string
	Pos  Pos
}

// Credentials are a name and a password.
type Credentials struct {
	User, Password string
}

// Vod gives the directory of that name, or nil. The pointer is into f.
func (f *File) Vod(name string) *Vod {
	for i := range f.Vods {
		if f.Vods[i].Name == name {
			return &f.Vods[i]
		}
	}
	return nil
}

// block makes the block of the top of the file.
func (f *File) block() *block {
	return &block{
		scope: inFile, models: []any{f, &f.Delivery},
		said: map[string]*call{}, counts: map[string]int{}, byID: map[[2]string]*block{},
	}
}

var globalDirectives = []directive{
	{
		name: "name", in: inFile, value: text("NAME", func(f *File) *string { return &f.Name }, checkNodeName), reload: Restart,
		defaultWords: "the name of the peer entry that this node finds to be itself, else the host name", flag: &nodeFlag{placeholder: "NAME"},
		example: "n1.example.com", doc: "Name of this node in its cluster.",
	},
	{
		name: "cluster_key", in: inFile, shared: true, value: keyValue, secret: true, allSecret: true, reload: AtOnce, example: "3b7e1f0c9a5d42868e21c7f05d4ab963",
		flag: &nodeFlag{placeholder: "KEY", help: "Secret that all nodes share. Other users of this machine can see a flag; use the variable or the file."},
		doc:  "Secret that all nodes share; it is never sent. To change it while all nodes run, give each `cluster_key NEW OLD;`, and once all have it `cluster_key NEW;`. The first key of a node that had none needs a restart.",
	},
	{
		name: "return_holddown", in: inFile, shared: true, reload: AtOnce, example: "60000",
		value: millis(func(f *File) *time.Duration { return &f.ReturnHolddown }, DefaultReturnHolddown, 0), flag: &nodeFlag{placeholder: "MS"},
		doc: "How long a node must be alive again before its streams go back to it.",
	},
	{
		name: "channel_limit", in: inFile, reload: AtOnce, example: "200", defaultWords: "no limit",
		value: number("NUMBER", func(f *File) *int { return &f.ChannelLimit }, 1, maxChannels),
		doc:   "The most streams that this node captures at one time.",
	},
	{
		name: "cpu_limit", in: inFile, value: percent(func(f *File) *int { return &f.CPULimit }), reload: AtOnce, example: "80", defaultWords: "no limit",
		doc: "The load of the processor above which this node takes no further streams.",
	},
	{
		name: "rebalance_rate", in: inFile, shared: true, reload: AtOnce, example: "5",
		value: orWord("STREAMS", "off", "", 0, func(f *File) *int { return &f.RebalanceRate }, DefaultRebalanceRate,
			func(s string) (int, error) { return parseCount(s, 1, 1000) }, strconv.Itoa),
		doc: "How many streams move per fetch interval after an edit of the file, until every node has its even share.",
	},
	{
		name: "journal", in: inFile, value: text("FILE", func(f *File) *string { return &f.Journal }, nil), reload: Restart,
		example: "/var/log/weir/journal", defaultWords: "none is written",
		doc: "File into which the node writes every event and effect of its control plane, for `weir sim replay`.",
	},
}

var addressDirectives = []directive{
	{
		name: "remote", in: inFile, value: single("[HOST:]PORT", func(f *File) *Address { return &f.Remote }, Address{}, parseListen, Address.words),
		reload: Restart, defaultWords: "any free port", example: "10.0.0.1:7000", flag: &nodeFlag{placeholder: "[HOST:]PORT"},
		doc: "Listen for the actors of other nodes.",
	},
	{
		name: "remote_advertise", in: inFile, value: single("HOST[:PORT]", func(f *File) *Address { return &f.RemoteAdvertise }, Address{}, parsePeer, Address.Name),
		reload: Restart, defaultWords: "the address of remote", example: "10.0.0.1:7000",
		doc: "The address that this node tells the others for its actors, where a translator of addresses stands between them.",
	},
	{
		name: "advertise", in: inFile, value: single("HOST[:PORT]", func(f *File) *Address { return &f.Advertise }, Address{}, parsePeer, Address.Name),
		reload: NewClients, defaultWords: "the host of the node's peer entry, or of its first RTMP address", example: "10.0.0.3",
		doc: "The address to which SRS servers send RTMP players for streams of this node.",
	},
	{
		name: "loglevel", also: "log", in: inFile, reload: Restart, example: "debug",
		value: oneWord(func(f *File) *string { return &f.LogLevel }, DefaultLogLevel, "debug", "info", "warn", "error"),
		flag:  &nodeFlag{name: "log", placeholder: "LEVEL", help: "debug, info, warn or error."}, doc: "How much the node logs.",
	},
}

var accessDirectives = []directive{
	{
		name: "edit_auth", in: inFile, value: credentials(func(f *File) **Credentials { return &f.EditAuth }), secret: true, reload: Restart,
		defaultWords: "every client on this machine may", example: "admin s3cret", doc: "Name and password for clients that change the node through the API.",
	},
	{
		name: "view_auth", in: inFile, value: credentials(func(f *File) **Credentials { return &f.ViewAuth }), secret: true, reload: Restart,
		defaultWords: "those of edit_auth; without edit_auth, every client may", example: "guest s3cret",
		doc: "Name and password for clients that read pages, the API and metrics.",
	},
	{
		name: "stream_metrics", in: inFile, omitDefault: true, value: boolean(func(f *File) *bool { return &f.StreamMetrics }, false), reload: AtOnce,
		example: "true", doc: "Whether /metrics has figures of each stream that the node captures or has viewers of, seven for each; at most 2,000 streams have them.",
	},
	{
		name: "session_log", in: inFile, value: text("DIRECTORY", func(f *File) *string { return &f.SessionLog }, nil), reload: Restart,
		defaultWords: "nothing is written", example: "/var/log/weir", doc: "Directory whose sessions.jsonl gets a line for each session that ended.",
	},
	{
		name: "pulsedb", in: inFile, value: text("DIRECTORY", func(f *File) *string { return &f.Pulsedb }, nil), reload: Restart,
		defaultWords: "nothing is written", example: "/var/log/weir",
		doc: "Directory whose pulse.jsonl gets a line for each minute: clients, streams, output, load of the machine.",
	},
	{
		name: "geoip", in: inFile, value: text("FILE", func(f *File) *string { return &f.GeoIP }, nil), reload: AtOnce,
		defaultWords: "GeoLite2-Country.mmdb, then GeoLite2-City.mmdb, in /usr/share/GeoIP", example: "/srv/GeoLite2-Country.mmdb",
		flag: &nodeFlag{placeholder: "FILE"}, doc: "Database of countries (MaxMind), for balancers that name countries.",
	},
	{
		name: "trusted_proxies", in: inFile, many: true, reload: NewClients, defaultWords: "none", example: "10.0.0.0/8 ::1",
		value: listOf("ADDRESS[/BITS] …", 1, func(f *File) *[]netip.Prefix { return &f.TrustedProxies }, true, maxEntries, parsePrefix, netip.Prefix.String),
		doc:   "Proxies whose X-Forwarded-For and X-Forwarded-Proto headers or PROXY protocol are believed about the client: its address, and whether it uses TLS.",
	},
}

var vodDirectives = []directive{
	{
		name: "vod", in: inFile, many: true, plural: "vods", block: inVod, value: entries("NAME", func(f *File) *[]Vod { return &f.Vods }, parseVod, func(v *Vod) *block { return newBlock(v.Name, v.Name, v) }), reload: AtOnce, defaultWords: "vod, in " + DefaultVodRoot, example: "clips { root /srv/clips; }",
		flag: &nodeFlag{
			placeholder: "[NAME=]DIR", entry: vodFlag, perLine: true,
			help: "Directory of file://NAME/…; NAME is vod if left out. In the variable: one per line.",
		},
		doc: "A directory below which inputs of the form file://NAME/PATH are read.",
	},
	{
		name: "root", in: inVod, value: directory(func(v *Vod) *string { return &v.Root }), reload: Restream, example: "/srv/clips",
		doc: "The directory that is read.",
	},
}

// A keyed part of the model has cluster keys.
type keyed interface{ keys() (now, former *string) }

// keyValue is a cluster key, and the former one while it is being changed.
var keyValue = value{
	args: "KEY [FORMER KEY]", min: 1, max: 2, json: []string{"string", "array"},
	take: func(to, from *block) {
		now, former := part[keyed](to).keys()
		fromNow, fromFormer := part[keyed](from).keys()
		*now, *former = *fromNow, *fromFormer
	},
	lines: func(b *block) [][]string {
		now, former := part[keyed](b).keys()
		if words := keyWords(*now, *former); words != nil {
			return [][]string{words}
		}
		return nil
	},
	read: func(r *reader, b *block, c *call) {
		now, former := part[keyed](b).keys()
		for i, into := range []*string{now, former}[:len(c.args)] {
			w := c.args[i]
			switch n := len(w.text); {
			case w.pos.Line != c.args[0].pos.Line:
				r.errorf(w.pos, "found a further word, expected `;` to end the `%s` of line %d", c.name, c.pos.Line)
			case n == 0:
				r.errorf(w.pos, "found an empty cluster_key, expected the secret that all nodes share")
			case n < minKey:
				r.warnf(w.pos, "cluster_key has only %d characters, and anybody who can connect can guess a short key; "+
					"%d random ones or more are safe, such as `openssl rand -hex 16` prints", n, minKey)
			}
			*into = w.text
		}
	},
}

func keyWords(now, former string) []string {
	switch {
	case now == "":
		return nil
	case former == "" || former == now:
		return []string{now}
	}
	return []string{now, former}
}

// Keys are the cluster keys of the file, the newest first.
func (f *File) Keys() []string { return keyWords(f.ClusterKey, f.FormerKey) }

// Keys are the cluster keys of the link to the peer, the newest first.
func (p Peer) Keys() []string { return keyWords(p.ClusterKey, p.FormerKey) }

// Keys are the cluster keys of the link to the origin, the newest first.
func (s Source) Keys() []string { return keyWords(s.ClusterKey, s.FormerKey) }

// minKey is the least length of a cluster key, in bytes, without a warning. Anybody who can connect can guess a shorter key;
// 16 random letters and digits hold 95 bits.
const minKey = 16

func (f *File) keys() (now, former *string) { return &f.ClusterKey, &f.FormerKey }

// credentials are the words USER and PASSWORD.
func credentials(field func(*File) **Credentials) value {
	of := func(b *block) **Credentials { return field(part[*File](b)) }
	return value{
		args: "USER PASSWORD", min: 2, max: 2,
		read: func(_ *reader, b *block, c *call) {
			*of(b) = &Credentials{User: c.args[0].text, Password: c.args[1].text}
		},
		take: func(to, from *block) { *of(to) = *of(from) },
		lines: func(b *block) [][]string {
			if c := *of(b); c != nil {
				return [][]string{{c.User, c.Password}}
			}
			return nil
		},
	}
}

// parsePrefix reads an address, or a network as ADDRESS/BITS.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("found %s, expected an address or a network such as 10.0.0.0/8", quote(text))
	}
	return p.Masked(), nil
}

// listenerDirectives are the directives that open listeners: a row for each protocol that has its own listener.
func listenerDirectives() (list []directive) {
	for _, d := range protocols.Listeners() {
		row := directive{
			name: d.Directive(), in: inFile, many: true, block: inListener, value: listenerValue(d), reload: Restart,
			example: "127.0.0.1:" + strconv.Itoa(d.Port),
			flag:    &nodeFlag{placeholder: "[HOST:]PORT"},
			doc:     fmt.Sprintf("Listen for %s; several are possible, off disables.", d.Title),
		}
		if d.Plain != "" {
			row.doc = fmt.Sprintf("Listen for %s, with certificate or letsencrypt; several are possible, off disables.", d.Title)
		}
		row.defaultText = "off"
		if d.On {
			row.defaultText = strconv.Itoa(d.Port)
		}
		list = append(list, row)
	}
	return list
}

// listenerValue is the address of a protocol's listener, or off.
func listenerValue(d protocols.Descriptor) value {
	return value{
		args: "[HOST:]PORT or off", min: 1, max: 1,
		open: func(r *reader, b *block, c *call) *block {
			w := c.args[0]
			if w.text == "off" {
				return &block{}
			}
			l, err := parseListen(w.text)
			if err != nil {
				r.refuse(w.pos, c.name, fmt.Errorf("%w%s", err, didYouMean(w.text, []string{"off"})))
				return &block{refused: true}
			}
			return &block{models: []any{&Listen{l, c.pos}}}
		},
		take: func(to, from *block) {
			part[*File](to).Listeners[d.Protocol] = part[*File](from).Listeners[d.Protocol]
		},
		lines: func(b *block) (lines [][]string) {
			for _, l := range part[*File](b).Listeners[d.Protocol] {
				lines = append(lines, []string{l.words()})
			}
			if lines == nil && d.On {
				return [][]string{{"off"}}
			}
			return lines
		},
	}
}

// finishListeners fills in the addresses of the listeners, with defaults, and refuses two listeners at one address.
func (r *reader) finishListeners() {
	r.file.Listeners = map[protocols.Protocol][]Listen{}
	type taken struct {
		by string
		at Listen
	}
	var all []taken
	for _, d := range protocols.Listeners() {
		var list []Listen
		var off *block
		for _, b := range r.top.all(d.Directive()) {
			if l, ok := optional[*Listen](b); ok {
				list = append(list, *l)
			} else if off == nil {
				off = b
			}
		}
		switch {
		case off != nil && len(list) > 0:
			r.errorf(off.pos, "found `%s off` beside `%s %s` at %s, expected one or the other",
				off.name, off.name, list[0].Addr(), list[0].Pos.place())
		case off == nil && len(list) == 0 && d.On:
			list = []Listen{{Address: Address{Port: d.Port}}}
		}
		if list != nil {
			r.file.Listeners[d.Protocol] = list
		}
		for _, l := range list {
			all = append(all, taken{d.Directive(), l})
		}
	}
	if r.file.Remote.Port != 0 {
		all = append(all, taken{"remote", Listen{r.file.Remote, r.top.where("remote")}})
	}
	for i, t := range all {
		for _, u := range all[:i] {
			if !overlap(t.at, u.at) {
				continue
			}
			later, earlier := t, u
			if later.at.Pos == (Pos{}) { // a default has no place: report the address that was written
				later, earlier = u, t
			}
			by := fmt.Sprintf("the port is taken by `%s %s` at %s; expected another", earlier.by, earlier.at.words(), earlier.at.Pos.place())
			if earlier.at.Pos == (Pos{}) {
				by = fmt.Sprintf("port %d is the default of `%s`; expected another port, or `%s off`", earlier.at.Port, earlier.by, earlier.by)
			}
			r.errorf(later.at.Pos, "found `%s %s`, but %s", later.by, later.at.words(), by)
			break
		}
	}
}

func overlap(a, b Listen) bool {
	return a.Port != 0 && a.Port == b.Port && (a.Host == "" || b.Host == "" || a.Host == b.Host)
}

// parseVod reads the name of a directory.
func parseVod(name string, at Pos) (Vod, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\?#") {
		return Vod{}, fmt.Errorf("found %s, expected a name that can stand in file://NAME/PATH", quote(name))
	}
	return Vod{Name: name, Pos: at}, nil
}

// vodFlag reads DIR or NAME=DIR. The name must not look like a path.
func vodFlag(text string, at Pos) (*entry, *Problem) {
	name, dir, ok := strings.Cut(text, "=")
	if !ok || strings.ContainsAny(name, "/.\\") {
		name, dir = DefaultVod, text
	}
	return &entry{name: "vod", pos: at, words: []word{{text: name, pos: at}}, hasBlock: true, kids: []*entry{
		{name: "root", pos: at, words: []word{{text: dir, pos: at}}},
	}}, nil
}

func (r *reader) finishVods() {
	f := r.file
	for _, b := range r.top.all("vod") {
		v := part[*Vod](b)
		switch {
		case v.Root != "":
		case v.Name == DefaultVod:
			v.Root = DefaultVodRoot
		default:
			r.errorf(v.Pos, "found `vod %s` without a directory, expected `root DIRECTORY;` in it", short(v.Name))
		}
		f.Vods = append(f.Vods, *v)
	}
	if f.Vod(DefaultVod) == nil {
		f.Vods = append(f.Vods, Vod{Name: DefaultVod, Root: DefaultVodRoot})
	}
}

// finish runs once the whole file has been read. It fills in and checks everything for which several directives are needed.
func (r *reader) finish() {
	f := r.file
	f.Places = make(map[string]Pos, len(r.top.said))
	for _, name := range slices.Sorted(maps.Keys(r.top.said)) {
		f.Places[name] = r.top.where(name)
	}
	if f.Name != "" {
		r.self = append([]string{f.Name}, r.self...)
	}
	r.finishListeners()
	r.finishTLS()
	r.finishVods()
	r.finishPeers()
	r.finishBalancers()
	r.finishStreams()
	r.finishTemplates()
	r.finishSources()
	r.finishVhosts()
	r.checkKeys()
	f.index = make(map[string]int, len(f.Streams))
	for i := range f.Streams {
		f.index[f.Streams[i].Name] = i
	}
}

// checkKeys reports directives that need a cluster key when there is none: the first one of each name.
func (r *reader) checkKeys() {
	if r.file.ClusterKey != "" {
		return
	}
	for _, what := range slices.Sorted(maps.Keys(r.keyless)) {
		at, more := r.keyless[what], ""
		if n := len(at) - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more)", n)
		}
		r.errorf(at[0], "found `%s` without a cluster key%s, expected a global `cluster_key KEY;`, the same on all nodes", what, more)
	}
}
