package conf

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"weir/protocols"
)

// The defaults of a peer's directives.
const (
	DefaultFetchTimeout = 2 * time.Second
	DefaultStaleTimeout = 10 * time.Second
)

// maxChannels is the highest channel_limit that a file may give.
const maxChannels = 1_000_000

// A Peer is one entry of the group's list of nodes.
type Peer struct {
	Host string // lower case; an IPv6 address has no brackets
	Port int    // 0 means not given: 80, or 443 for an https API URL

	// Announced is the name that the node announces, if the file says so; see [File.NodeNames].
	Announced string

	// The URLs have the form SCHEME://HOST[:PORT]; the port is left out if it is the default of the scheme. The peer's state is
	// fetched from APIURL and its media from Private; viewers are sent to Public. None is empty.
	APIURL, Public, Private string

	// PublicGiven says that the file gives a public URL; otherwise Public is APIURL.
	PublicGiven bool

	// FetchTimeout is the interval between two fetches of the peer's state. A peer that has been silent for StaleTimeout is
	// taken for dead.
	// Invariant: 0 < FetchTimeout < StaleTimeout.
	FetchTimeout, StaleTimeout time.Duration

	ChannelLimit int // the most streams that the peer captures; 0 means no limit
	CPULimit     int // in percent; 0 means no limit

	// MaxBitrate is the most that the peer may send, in bits per second; 0 means no limit. A balancer may give another one.
	MaxBitrate int64

	// ClusterKey is the key of the link to the peer, in both directions; the default is the key of the file.
	ClusterKey string

	// FormerKey is accepted too, while the key is changed at one node after the other; empty means none.
	FormerKey string

	Pos Pos
}

// Name is the entry's identity: HOST, or HOST:PORT if the port was given.
func (p Peer) Name() string { return Address{p.Host, p.Port}.Name() }

// Entry is HOST:PORT, with the default port if none was given. Two entries that mean one node have the same.
func (p Peer) Entry() string { return joinHostPort(p.Host, effectivePort(p)) }

func (p *Peer) keys() (now, former *string) { return &p.ClusterKey, &p.FormerKey }
func (p *Peer) where() Pos                  { return p.Pos }

var peerDirectives = []directive{
	{
		name: "peer", in: inFile, shared: true, many: true, plural: "peers", key: "hostname", block: inPeer, mayRepeat: true,
		value:  entries("HOST[:PORT]", func(f *File) *[]Peer { return &f.Peers }, parsePeerEntry, func(p *Peer) *block { return newBlock(p.Name(), p.Entry(), p) }),
		reload: AtOnce, example: "n2.example.com:8080 { public https://cdn.example.com; }",
		flag: &nodeFlag{placeholder: "HOST[:PORT]", entry: peerFlag, help: "Add a peer; a block with its settings may follow, as in the file."},
		doc:  "A node of the group; the list of peers is the same on every node.",
	},
	{
		name: "name", in: inPeer, value: text("NAME", func(p *Peer) *string { return &p.Announced }, checkNodeName), reload: AtOnce,
		defaultWords: "the host of the entry, or HOST:PORT if several entries have the host", example: "n2",
		doc: "The name that the peer announces, if its own file or flag gives it another name than its entry does. The peer takes this name if it is given none.",
	},
	{
		name: "api_url", in: inPeer, value: baseURLOf(func(p *Peer) *string { return &p.APIURL }), reload: AtOnce,
		defaultWords: "http://HOST[:PORT] of the entry", example: "https://n2.example.com", doc: "Where the other nodes fetch the state of the peer.",
	},
	{
		name: "public_payload_url", also: "public", in: inPeer, value: baseURLOf(func(p *Peer) *string { return &p.Public }), reload: NewClients,
		isDefault: func(b *block) bool { return !part[*Peer](b).PublicGiven }, defaultWords: "that of api_url", example: "https://cdn.example.com",
		doc: "Where viewers reach the peer; redirects and playlists contain this URL.",
	},
	{
		name: "private_payload_url", also: "private", in: inPeer, value: baseURLOf(func(p *Peer) *string { return &p.Private }), reload: AtOnce,
		defaultWords: "that of api_url", example: "10.0.0.2:8080", doc: "Where other nodes fetch the media of the peer.",
	},
	{
		name: "fetch_timeout", in: inPeer, value: millis(func(p *Peer) *time.Duration { return &p.FetchTimeout }, DefaultFetchTimeout, 1), reload: AtOnce,
		example: "1000", doc: "How often the peer is asked for its state.",
	},
	{
		name: "stale_timeout", in: inPeer, value: millis(func(p *Peer) *time.Duration { return &p.StaleTimeout }, DefaultStaleTimeout, 1), reload: AtOnce,
		example: "20000",
		doc:     "How long the peer may be silent before the others take over its streams. A request waits for a take-over at most a little longer than the longest stale_timeout of all peers.",
	},
	{
		name: "channel_limit", in: inPeer, value: number("NUMBER", func(p *Peer) *int { return &p.ChannelLimit }, 1, maxChannels), reload: AtOnce,
		defaultWords: "no limit", example: "100", doc: "The most streams that the peer captures at one time.",
	},
	{
		name: "cpu_limit", in: inPeer, value: percent(func(p *Peer) *int { return &p.CPULimit }), reload: AtOnce, defaultWords: "no limit", example: "80",
		doc: "The load of the peer's processor above which it gets no further streams.",
	},
	{
		name: "max_bitrate", in: inPeer, value: bits(func(p *Peer) *int64 { return &p.MaxBitrate }), reload: NewClients, defaultWords: "no cap", example: "1G",
		doc: "The output at which balancers no longer choose the peer, unless the balancer gives another.",
	},
	{
		name: "cluster_key", in: inPeer, value: keyValue, secret: true, allSecret: true, inherits: true, reload: AtOnce, defaultWords: "the cluster_key of the file",
		example: "another-secret-of-16-or-more", doc: "Key of the link to the peer, in both directions.",
	},
}

func parsePeerEntry(text string, at Pos) (Peer, error) {
	host, port, err := parsePeerName(text)
	return Peer{Host: host, Port: port, Pos: at}, err
}

// peerFlag reads HOST[:PORT], and a block if one follows.
func peerFlag(text string, at Pos) (*entry, *Problem) {
	list, err := parse([]byte("peer "+text), at)
	if err == nil && len(list) != 1 {
		err = errorAt(at, "found %d directives, expected one peer", len(list))
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

func (r *reader) finishPeers() {
	f, peers := r.file, r.top.all("peer")
	seen := map[string]Pos{}
	for _, b := range peers {
		p := r.finishPeer(b)
		if before, twice := seen[p.Entry()]; twice {
			r.warnf(p.Pos, "`peer %s` stands in the list twice, which is one node; the entry at %s counts", p.Name(), before.place())
			continue
		}
		seen[p.Entry()] = p.Pos
		f.Peers = append(f.Peers, *p)
	}
	for _, b := range peers {
		r.checkTimeouts(b, max(2, len(f.Peers)))
	}
	r.checkAnnounced(peers)
	if len(f.Listeners[protocols.HTTPS]) == 0 {
		return
	}
	for _, b := range peers {
		p := part[*Peer](b)
		if !strings.HasPrefix(p.Public, "http://") {
			continue
		}
		at, what := p.Pos, "API URL, which stands in for its public one,"
		if p.PublicGiven {
			at, what = b.where("public_payload_url"), "public URL"
		}
		r.warnf(at, "viewers who come over HTTPS are not sent on, but get its streams through this node: the %s of `peer %s` is %s; write `public https://…;`",
			what, p.Name(), p.Public)
	}
}

// checkAnnounced reports two peers with one name.
func (r *reader) checkAnnounced(peers []*block) {
	names, of := r.file.NodeNames(), map[string]Peer{}
	for i, p := range r.file.Peers {
		before, twice := of[names[i]]
		if !twice {
			of[names[i]] = p
			continue
		}
		at := p.Pos
		for _, b := range peers {
			if part[*Peer](b).Pos == p.Pos && b.where("name") != (Pos{}) {
				at = b.where("name")
			}
		}
		r.errorf(at, "`peer %s`: found the name %s, which `peer %s` has, expected another one for each node", p.Name(), quote(names[i]), before.Name())
	}
}

// NodeNames gives, for each of the file's peers, the name by which its node is called until it has been met, and which the node takes
// itself if it is given none: the name that the peer's block gives, else its host, or its [Peer.Entry] where several
// peers have the host.
func (f *File) NodeNames() []string {
	sharing := map[string]int{}
	for _, p := range f.Peers {
		sharing[p.Host]++
	}
	names := make([]string, len(f.Peers))
	for i, p := range f.Peers {
		switch {
		case p.Announced != "":
			names[i] = p.Announced
		case sharing[p.Host] == 1:
			names[i] = p.Host
		default:
			names[i] = p.Entry()
		}
	}
	return names
}

// effectivePort is the port at which a peer's HTTP is asked when its entry names none.
func effectivePort(p Peer) int {
	switch {
	case p.Port != 0:
		return p.Port
	case strings.HasPrefix(p.APIURL, "https://"):
		return 443
	default:
		return 80
	}
}

func (r *reader) finishPeer(b *block) *Peer {
	p := part[*Peer](b)
	p.PublicGiven = p.Public != ""
	if p.APIURL == "" {
		p.APIURL = baseURL("http", p.Host, p.Port)
	}
	for _, u := range []*string{&p.Public, &p.Private} {
		if *u == "" {
			*u = p.APIURL
		}
	}
	r.takeOver(b, r.top, inheriting)
	if p.ClusterKey == "" {
		r.keyless["peer"] = append(r.keyless["peer"], p.Pos)
	}
	return p
}

// checkTimeouts reports timeouts of a peer with which live peers would often be taken for dead. The group has n nodes.
func (r *reader) checkTimeouts(b *block, n int) {
	p := part[*Peer](b)
	fetch, stale := p.FetchTimeout, p.StaleTimeout
	at := p.Pos
	for _, given := range []string{"fetch_timeout", "stale_timeout"} {
		if pos := b.where(given); pos != (Pos{}) {
			at = pos
		}
	}
	switch {
	case stale <= fetch:
		r.errorf(at, "`peer %s`: found stale_timeout %d with fetch_timeout %d, expected it longer, at best five times as long",
			p.Name(), stale.Milliseconds(), fetch.Milliseconds())
		return
	case stale < 3*fetch:
		r.warnf(at, "`peer %s`: stale_timeout %d is less than three times fetch_timeout %d, so one or two lost answers make a live peer seem dead",
			p.Name(), stale.Milliseconds(), fetch.Milliseconds())
	}
	if fetch <= time.Second {
		r.warnf(at, "`peer %s`: fetch_timeout %d is very often; in a group of %d with one answer in a hundred lost, expect %s false take-overs "+
			"per day where no third node can bear witness", p.Name(), fetch.Milliseconds(), n, rate(falseTakeOvers(n, fetch, stale)))
	}
}

// falseTakeOvers is how often per day, in a group of n nodes, a live peer is taken for dead because all fetches within its
// stale timeout were lost. One fetch in a hundred is lost, and no third node tells that the peer is alive:
// n(n−1)/F · (1−p) · p^k, k = ⌊(S−RTT)/F⌋. The round-trip time RTT is taken as very small but not zero.
func falseTakeOvers(n int, fetch, stale time.Duration) float64 {
	const p = 0.01
	k := (stale - time.Nanosecond) / fetch
	day := float64(24*time.Hour) / float64(fetch)
	return float64(n) * float64(n-1) * day * (1 - p) * math.Pow(p, float64(k))
}

// rate shows a number of events, with about two digits.
func rate(x float64) string {
	switch {
	case x < 0.01:
		return "less than 0.01"
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	default:
		return fmt.Sprintf("%.0f", x)
	}
}

// fitting are the peers with this host and this port; if port is 0, all peers with this host.
func (f *File) fitting(host string, port int) (fits []Peer) {
	return slices.DeleteFunc(slices.Clone(f.Peers), func(p Peer) bool {
		return p.Host != host || port != 0 && effectivePort(p) != port
	})
}

// addresses lists the HOST:PORT of peers that share a host, for a message.
func addresses(peers []Peer) string {
	var names []string
	for _, p := range peers {
		names = append(names, p.Entry())
	}
	return oneOf(names)
}
