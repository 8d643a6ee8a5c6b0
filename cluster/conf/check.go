package conf

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"weir/protocols"
)

// finish fills in defaults and checks what can be judged only when the whole file has been read. Self are names by
// which this node may be meant besides its `name`.
func (b *builder) finish(self []string) {
	b.finishListens()
	b.finishVods()
	if b.file.Name != "" {
		self = append([]string{b.file.Name}, self...)
	}
	b.finishPeers()
	b.finishBalancers()
	b.finishStreams(self)
	b.finishTemplates(self)
	b.finishSources(self)
	b.finishVhosts()
	b.checkKeys()
	b.file.index = make(map[string]int, len(b.file.Streams))
	for i := range b.file.Streams {
		b.file.index[b.file.Streams[i].Name] = i
	}
	if b.file.LogLevel == "" {
		b.file.LogLevel = DefaultLogLevel
	}
}

func (b *builder) finishListens() {
	type taken struct {
		kind string
		at   Listen
	}
	var all []taken
	for _, d := range protocols.Listeners() {
		list := b.file.Listeners[d.Protocol]
		off, isOff := b.off[d.Protocol]
		switch {
		case isOff && len(list) > 0:
			b.errorf(off, "found `%s off` beside `%s %s` at %s, expected one or the other",
				d.Directive(), d.Directive(), list[0].Addr(), list[0].Pos.place())
		case !isOff && len(list) == 0 && d.On:
			list = []Listen{{Port: d.Port}}
			b.file.Listeners[d.Protocol] = list
		}
		for _, l := range list {
			all = append(all, taken{d.Directive(), l})
		}
	}
	if b.file.Remote.Port != 0 {
		all = append(all, taken{"remote", b.file.Remote})
	}
	for i, t := range all {
		for _, u := range all[:i] {
			if !overlap(t.at, u.at) {
				continue
			}
			later, earlier := t, u
			if later.at.Pos == (Pos{}) { // the default of a kind: the message belongs where something was written
				later, earlier = u, t
			}
			b.errorf(later.at.Pos, "found `%s %s`, but %s", later.kind, addrWords(later.at), takenBy(earlier.kind, earlier.at))
			break
		}
	}
}

func overlap(a, b Listen) bool {
	return a.Port != 0 && a.Port == b.Port && (a.Host == "" || b.Host == "" || a.Host == b.Host)
}

func addrWords(l Listen) string {
	if l.Host == "" {
		return fmt.Sprint(l.Port)
	}
	return l.Addr()
}

func takenBy(kind string, l Listen) string {
	if l.Pos == (Pos{}) {
		return fmt.Sprintf("port %d is the default of `%s`; expected another port, or `%s off`", l.Port, kind, kind)
	}
	return fmt.Sprintf("the port is taken by `%s %s` at %s; expected another", kind, addrWords(l), l.Pos.place())
}

func (b *builder) finishVods() {
	f := b.file
	for i := range f.Vods {
		v := &f.Vods[i]
		if v.Root != "" {
			continue
		}
		if v.Name == DefaultVod {
			v.Root = DefaultVodRoot
			continue
		}
		b.errorf(v.Pos, "found `vod %s` without a directory, expected `root DIRECTORY;` in it", short(v.Name))
	}
	if f.Vod(DefaultVod) == nil {
		f.Vods = append(f.Vods, Vod{Name: DefaultVod, Root: DefaultVodRoot})
	}
}

func (b *builder) finishPeers() {
	f := b.file
	seen := map[string]Pos{}
	for _, p := range b.peers {
		b.finishPeer(p)
		key := fmt.Sprintf("%s %d", p.Host, effectivePort(p.Peer))
		if before, twice := seen[key]; twice {
			b.warnf(p.Pos, "`peer %s` stands in the list twice, which is one node; the entry at %s counts", p.Name(), before.place())
			continue
		}
		seen[key] = p.Pos
		f.Peers = append(f.Peers, p.Peer)
	}
	for _, p := range b.peers {
		b.checkTimeouts(p, max(2, len(f.Peers)))
	}
	if len(f.Listeners[protocols.HTTPS]) == 0 {
		return
	}
	for _, p := range b.peers {
		if !strings.HasPrefix(p.Public, "http://") {
			continue
		}
		at, what := p.Pos, "API URL, which stands in for its public one,"
		if p.public != (Pos{}) {
			at, what = p.public, "public URL"
		}
		b.warnf(at, "viewers who come over HTTPS would be sent to plain http: the %s of `peer %s` is %s; write `public https://…;`",
			what, p.Name(), p.Public)
	}
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

func (b *builder) finishPeer(p *peerDraft) {
	if p.APIURL == "" {
		p.APIURL = baseURL("http", p.Host, p.Port)
	}
	if p.Public == "" {
		p.Public = p.APIURL
	}
	if p.Private == "" {
		p.Private = p.APIURL
	}
	if p.FetchTimeout == 0 {
		p.FetchTimeout = DefaultFetchTimeout
	}
	if p.StaleTimeout == 0 {
		p.StaleTimeout = DefaultStaleTimeout
	}
	if p.ClusterKey == "" {
		if b.file.ClusterKey == "" {
			b.keyless = append(b.keyless, keyless{"peer", p.Pos})
		}
		p.ClusterKey = b.file.ClusterKey
	}
}

// checkTimeouts judges the pace of a peer in a group of n nodes.
func (b *builder) checkTimeouts(p *peerDraft, n int) {
	fetch, stale := p.FetchTimeout, p.StaleTimeout
	at := p.Pos
	for _, given := range []Pos{p.fetch, p.stale} {
		if given != (Pos{}) {
			at = given
		}
	}
	switch {
	case stale <= fetch:
		b.errorf(at, "`peer %s`: found stale_timeout %d with fetch_timeout %d, expected it longer, at best five times as long",
			p.Name(), stale.Milliseconds(), fetch.Milliseconds())
		return
	case stale < 3*fetch:
		b.warnf(at, "`peer %s`: stale_timeout %d is less than three times fetch_timeout %d, so one or two lost answers make a live peer seem dead",
			p.Name(), stale.Milliseconds(), fetch.Milliseconds())
	}
	if fetch <= time.Second {
		b.warnf(at, "`peer %s`: fetch_timeout %d is very often; in a group of %d with one answer in a hundred lost, expect %s false take-overs "+
			"per day where no third node can bear witness", p.Name(), fetch.Milliseconds(), n, rate(falseTakeOvers(n, fetch, stale)))
	}
}

// falseTakeOvers is how often per day some live peer of n is taken for dead because all polls within its stale timeout
// were lost, when one poll in a hundred is lost and nobody relays evidence: n(n−1)/F · (1−p) · p^k, k = ⌊(S−RTT)/F⌋.
// The round trip is taken as not zero and else negligible.
func falseTakeOvers(n int, fetch, stale time.Duration) float64 {
	const p = 0.01
	k := (stale - time.Nanosecond) / fetch
	day := float64(24*time.Hour) / float64(fetch)
	return float64(n) * float64(n-1) * day * (1 - p) * math.Pow(p, float64(k))
}

// rate shows a number with about two digits.
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

func (b *builder) finishStreams(self []string) {
	f := b.file
	f.Delivery = b.global.over(delivery{}).complete()
	seen := map[string]Pos{}
	for _, st := range b.streams {
		if err := CheckName(st.Name, f.BalancerNames()); err != nil {
			b.errorf(st.Pos, "`stream`: %v", err)
		}
		if before, twice := seen[st.Name]; twice {
			b.errorf(st.Pos, "found `stream %s` a second time, expected every stream to have a name of its own; the first is at %s",
				short(st.Name), before.place())
			continue
		}
		seen[st.Name] = st.Pos
		b.checkFiles(st)
		b.inherit(st)
		if len(st.inputs) == 0 && !st.Disabled {
			b.errorf(st.Pos, "found `stream %s` without an input, expected `input URL;` in it, such as `input publish://;` or `disabled;`", short(st.Name))
		}
		b.settle(st)
		b.pin(st, self)
		f.Streams = append(f.Streams, st.Stream)
	}
	for _, st := range b.streams {
		if st.Ingest != nil && f.ClusterKey == "" {
			b.keyless = append(b.keyless, keyless{"cluster_ingest", st.Ingest.Pos})
		}
	}
}

// checkFiles refuses files outside declared directories.
func (b *builder) checkFiles(st *streamDraft) {
	for _, in := range st.inputs {
		if in.Location == "" || b.file.Vod(in.Location) != nil {
			continue
		}
		var names []string
		for _, v := range b.file.Vods {
			names = append(names, v.Name)
		}
		b.errorf(in.Pos, "`input`: found the location %s, expected one that is declared by `vod NAME { root DIRECTORY; }`: %s%s",
			quote(in.Location), oneOf(names), didYouMean(in.Location, names))
	}
}

// pin finds the peer that capture_at means. A name that fits none is no error: the stream is placed as if it were not
// pinned.
func (b *builder) pin(st *streamDraft, self []string) {
	in := st.Ingest
	if in == nil || in.CaptureAt == "" {
		return
	}
	host, port, err := parsePeerName(in.CaptureAt)
	if err != nil {
		host, port = in.CaptureAt, 0
	}
	var fits []Peer
	for _, p := range b.file.Peers {
		if p.Host == host && (port == 0 || effectivePort(p) == port) {
			fits = append(fits, p)
		}
	}
	switch {
	case len(fits) == 1:
		in.Peer = fits[0].Name()
		return
	case len(fits) > 1:
		var names []string
		for _, p := range fits {
			names = append(names, joinHostPort(p.Host, effectivePort(p)))
		}
		b.errorf(st.capture, "capture_at: found %s, which several peers share; expected the port too: %s", quote(in.CaptureAt), oneOf(names))
		return
	case slices.ContainsFunc(self, func(n string) bool { return strings.EqualFold(n, in.CaptureAt) }):
		return
	case b.full():
		b.warnf(st.capture, "")
		return
	}
	names := slices.Clone(self)
	for _, p := range b.file.Peers {
		names = append(names, p.Host, p.Name())
	}
	b.warnf(st.capture, "capture_at: found %s, which is no peer's name%s (`stream %s` is placed as if it were not pinned, unless a node announces that name)",
		quote(in.CaptureAt), didYouMean(in.CaptureAt, names), short(st.Name))
}

// over gives what holds where a says something and otherwise what g says; what a says about a protocol counts, whichever
// of the two lists it stands in.
func (a delivery) over(g delivery) delivery {
	own := slices.Concat(a.redirect, a.relay)
	rest := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(p string) bool { return slices.Contains(own, p) })
	}
	a.redirect = slices.Concat(a.redirect, rest(g.redirect))
	a.relay = slices.Concat(a.relay, rest(g.relay))
	if a.hls == "" {
		a.hls = g.hls
	}
	if a.latency == 0 {
		a.latency = g.latency
	}
	return a
}

// complete fills in defaults.
func (a delivery) complete() Delivery {
	d := Delivery{HLS: a.hls, Redirect: slices.Sorted(slices.Values(a.redirect)), Relay: slices.Sorted(slices.Values(a.relay)), Latency: a.latency}
	if d.HLS == "" {
		d.HLS = HLSPlaylist
	}
	if d.Latency == 0 {
		d.Latency = DefaultLatency
	}
	return d
}

var errNoKey = errors.New("expected a global `cluster_key KEY;`, the same on all nodes")

// checkKeys reports the first directive of each kind that needs a cluster key and has none.
func (b *builder) checkKeys() {
	if b.file.ClusterKey != "" {
		return
	}
	many := map[string]int{}
	for _, k := range b.keyless {
		many[k.what]++
	}
	for _, what := range slices.Sorted(maps.Keys(many)) {
		i := slices.IndexFunc(b.keyless, func(k keyless) bool { return k.what == what })
		more := ""
		if n := many[what] - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more)", n)
		}
		b.errorf(b.keyless[i].pos, "found `%s` without a cluster key%s, %v", what, more, errNoKey)
	}
}
