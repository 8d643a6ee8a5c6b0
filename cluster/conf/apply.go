package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/protocols"
)

// A peerDraft is a peer whose block is being read.
type peerDraft struct {
	Peer
	api, public, fetch, stale Pos // where these were given; zero if they were not
}

// A streamDraft is a stream whose block is being read.
type streamDraft struct {
	Stream
	own      delivery
	inherits word // the template from which it takes what it does not say itself; empty for none
	capture  Pos  // of capture_at's word
	inputs   []*inputDraft

	// sourceTimeout and clientsTimeout are zero where nothing is said; clientsTimeout is negative for `false`.
	sourceTimeout, clientsTimeout time.Duration
	clients                       Pos // where clients_timeout stands

	isTemplate bool
	prefix     word
}

// An inputDraft is an input whose block is being read; what is zero was not said.
type inputDraft struct{ Input }

// A sourceDraft is a source whose block is being read. Its stream holds what its streams have in common.
type sourceDraft struct {
	Source
	stream *streamDraft
}

// delivery is what a file says about [Delivery] in one place; zero fields mean that it says nothing.
type delivery struct {
	hls             HLSMode
	redirect, relay []string
	latency         time.Duration
}

// The words of values.
var (
	logLevels  = []string{"debug", "error", "info", "warn"}
	handovers  = []string{string(Make), string(Break)}
	partitions = []string{string(Available), string(Exclusive)}
	hlsModes   = []string{string(HLSPlaylist), string(HLSRelay), string(HLSRedirect)}

	// forwarded are the protocols that the directives redirect and relay may name; HLS and DASH have their modes.
	forwarded      = forwardedProtocols()
	laterProtocols = []string{"srt", "whep", "whip"}
)

func forwardedProtocols() []string {
	var names []string
	for _, d := range protocols.All() {
		if d.Forward {
			names = append(names, string(d.Protocol))
		}
	}
	slices.Sort(names)
	return names
}

func applyName(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	if err := checkNodeName(w.text); err != nil {
		b.refuse(w.pos, c.name, err)
		return nil
	}
	b.file.Name = w.text
	return nil
}

// minKey is the length, in bytes, below which a cluster key can be guessed by whoever can connect: 16 random letters
// and digits hold 95 bits.
const minKey = 16

func (b *builder) key(c *call) string {
	w := c.arg(0)
	switch n := len(w.text); {
	case n == 0:
		b.errorf(w.pos, "found an empty cluster_key, expected the secret that all nodes share")
	case n < minKey:
		b.warnf(w.pos, "cluster_key has only %d characters, and whoever can connect can guess a short one; "+
			"%d random ones or more are safe, such as `openssl rand -hex 16` prints", n, minKey)
	}
	return w.text
}

func applyClusterKey(b *builder, _ *scope, c *call) *scope {
	b.file.ClusterKey = b.key(c)
	return nil
}

func applyPeerKey(b *builder, sc *scope, c *call) *scope {
	sc.peer.ClusterKey = b.key(c)
	return nil
}

func applyReturnHolddown(b *builder, _ *scope, c *call) *scope {
	b.millis(c, 0, &b.file.ReturnHolddown)
	return nil
}

// millis sets a duration from the only argument of a directive.
func (b *builder) millis(c *call, least int64, into *time.Duration) bool {
	w := c.arg(0)
	d, err := parseMillis(w.text, least)
	if err != nil {
		b.refuse(w.pos, c.name, err)
		return false
	}
	*into = d
	return true
}

// maxEntries is how many peers, directories, balancers, or listeners of one kind a file may have: they are compared with
// each other. The largest cluster meant has 20 nodes, the largest simulated one some hundreds.
const maxEntries = 1000

// room reports whether there may be one more of what a directive names, and refuses it otherwise.
func (b *builder) room(c *call, have int) bool {
	if have < maxEntries {
		return true
	}
	b.errorf(c.pos, "found more than %d of `%s`, expected fewer", maxEntries, c.name)
	return false
}

func applyListen(b *builder, _ *scope, c *call) *scope {
	w, at, list := c.arg(0), protocols.Protocol(c.name), b.file.Listeners
	if !b.room(c, len(list[at])) {
		return nil
	}
	if w.text == "off" {
		b.off[at] = c.pos
		return &scope{}
	}
	l, err := parseListen(w.text)
	if err != nil {
		b.refuse(w.pos, c.name, fmt.Errorf("%w%s", err, didYouMean(w.text, []string{"off"})))
		return &scope{}
	}
	l.Pos = c.pos
	list[at] = append(list[at], l)
	return &scope{}
}

func applyRemote(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	l, err := parseListen(w.text)
	if err != nil {
		b.refuse(w.pos, c.name, err)
		return nil
	}
	l.Pos = c.pos
	b.file.Remote = l
	return nil
}

func applyLogLevel(b *builder, _ *scope, c *call) *scope {
	b.oneOf(c, logLevels, func(w string) { b.file.LogLevel = w })
	return nil
}

// oneOf hands the only argument of a directive to set if it is one of the known words.
func (b *builder) oneOf(c *call, known []string, set func(string)) {
	w := c.arg(0)
	text, err := parseWord(w.text, known)
	if err != nil {
		b.refuse(w.pos, c.name, err)
		return
	}
	set(text)
}

func applyVod(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	if w.text == "" || w.text == "." || w.text == ".." || strings.ContainsAny(w.text, "/\\?#") {
		b.refuse(w.pos, c.name, fmt.Errorf("found %s, expected a name that can stand in file://NAME/PATH", quote(w.text)))
		return nil
	}
	if !b.room(c, len(b.file.Vods)) {
		return nil
	}
	v := Vod{Name: w.text, Pos: c.pos}
	for _, known := range b.file.Vods {
		if known.Name == v.Name {
			b.errorf(w.pos, "found `vod %s` a second time, expected it once; the first is at %s", w.text, known.Pos.place())
			return &scope{vod: &v}
		}
	}
	b.file.Vods = append(b.file.Vods, v)
	return &scope{vod: &b.file.Vods[len(b.file.Vods)-1]}
}

func applyRoot(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	if w.text == "" || strings.ContainsAny(w.text, "\n\r\t") {
		b.refuse(w.pos, c.name, fmt.Errorf("found %s, expected a directory", quote(w.text)))
		return nil
	}
	sc.vod.Root = w.text
	return nil
}

func applyPeer(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	if !b.room(c, len(b.peers)) {
		return nil
	}
	p := &peerDraft{Peer: Peer{Pos: c.pos}}
	host, port, err := parsePeerName(w.text)
	if err != nil {
		b.refuse(w.pos, c.name, err)
		return &scope{peer: p} // not kept, but its block is worth checking
	}
	p.Host, p.Port = host, port
	b.peers = append(b.peers, p)
	return &scope{peer: p}
}

func applyPeerURL(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	u, err := parseBase(w.text)
	if err != nil {
		b.refuse(w.pos, c.name, err)
		return nil
	}
	switch c.spec.canonical() {
	case "api_url":
		sc.peer.APIURL, sc.peer.api = u, c.pos
	case "public_payload_url":
		sc.peer.Public, sc.peer.public, sc.peer.PublicGiven = u, c.pos, true
	case "private_payload_url":
		sc.peer.Private = u
	}
	return nil
}

func applyPeerTimeout(b *builder, sc *scope, c *call) *scope {
	if c.name == "fetch_timeout" {
		b.millis(c, 1, &sc.peer.FetchTimeout)
		sc.peer.fetch = c.pos
		return nil
	}
	b.millis(c, 1, &sc.peer.StaleTimeout)
	sc.peer.stale = c.pos
	return nil
}

// applyLimit obeys the limits of a peer, or of the node itself.
func applyLimit(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	channels, cpu := &b.file.ChannelLimit, &b.file.CPULimit
	if sc != nil && sc.peer != nil {
		channels, cpu = &sc.peer.ChannelLimit, &sc.peer.CPULimit
	}
	into, most := channels, 1_000_000
	if c.name == "cpu_limit" {
		into, most = cpu, 100
	}
	n, err := parseCount(w.text, 1, most)
	if err != nil {
		b.refuse(w.pos, c.name, err)
		return nil
	}
	*into = n
	return nil
}

func applyRebalance(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	if w.text == "off" {
		b.file.RebalanceRate = 0
		return nil
	}
	n, err := parseCount(w.text, 1, 1000)
	if err != nil {
		b.refuse(w.pos, c.name, fmt.Errorf("%w, or off", err))
		return nil
	}
	b.file.RebalanceRate = n
	return nil
}

func applyStream(b *builder, _ *scope, c *call) *scope {
	st := &streamDraft{Stream: Stream{Name: c.arg(0).text, Static: c.name != "ondemand", Pos: c.pos}}
	b.streams = append(b.streams, st)
	return &scope{stream: st}
}

func applyInput(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	in, err := parseInput(w.text)
	in.Pos = c.pos
	if err != nil {
		b.refuse(w.pos, c.name, err)
	}
	// A wrong input is kept, so that its stream is not also said to have none.
	d := &inputDraft{in}
	sc.stream.inputs = append(sc.stream.inputs, d)
	return &scope{input: d}
}

func applyPriority(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	n, err := parseCount(w.text, 1, 1000)
	if err != nil {
		b.refuse(w.pos, c.name, err)
		return nil
	}
	sc.input.Priority = n
	return nil
}

func applySourceTimeout(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	d, err := parseSeconds(w.text)
	switch {
	case err != nil:
		b.refuse(w.pos, c.name, err)
	case sc.input != nil:
		sc.input.SourceTimeout = d
	default:
		sc.stream.sourceTimeout = d
	}
	return nil
}

func applyClientsTimeout(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	sc.stream.clients = c.pos
	if w.text == "false" {
		sc.stream.clientsTimeout = -1
		return nil
	}
	d, err := parseSeconds(w.text)
	if err != nil {
		b.refuse(w.pos, c.name, fmt.Errorf("%w, or false for never", err))
		return nil
	}
	sc.stream.clientsTimeout = d
	return nil
}

// applyComment obeys a note to the reader by doing nothing.
func applyComment(*builder, *scope, *call) *scope { return nil }

func applyIngest(_ *builder, sc *scope, c *call) *scope {
	in := &Ingest{Handover: Make, Partition: Available, Pos: c.pos}
	sc.stream.Ingest = in
	return &scope{ingest: in, stream: sc.stream}
}

func applyCaptureAt(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	host, port, err := parsePeerName(w.text)
	if err != nil {
		// A node may announce a name that is no host name, and that is as good.
		if checkNodeName(w.text) != nil || strings.Contains(w.text, ":") {
			b.refuse(w.pos, c.name, err)
			return nil
		}
		host = w.text
	}
	sc.ingest.CaptureAt, sc.stream.capture = Peer{Host: host, Port: port}.Name(), w.pos
	return nil
}

func applyHandover(b *builder, sc *scope, c *call) *scope {
	b.oneOf(c, handovers, func(w string) { sc.ingest.Handover = Handover(w) })
	return nil
}

func applyPartition(b *builder, sc *scope, c *call) *scope {
	b.oneOf(c, partitions, func(w string) {
		if w == string(Exclusive) {
			b.add(Unsupported, c.pos, "partition=exclusive")
		}
		if sc.ingest != nil { // elsewhere only the default gets past the check above
			sc.ingest.Partition = Partition(w)
		}
	})
	return nil
}

// flag reads a directive that may stand alone for true.
func (b *builder) flag(c *call, into *bool) {
	if len(c.args) == 0 {
		*into = true
		return
	}
	v, err := parseBool(c.arg(0).text)
	if err != nil {
		b.refuse(c.arg(0).pos, c.name, err)
		return
	}
	*into = v
}

func applyDisabled(b *builder, sc *scope, c *call) *scope {
	b.flag(c, &sc.stream.Disabled)
	return nil
}

func applyStatic(b *builder, sc *scope, c *call) *scope {
	b.flag(c, &sc.stream.Static)
	return nil
}

func applyTitle(_ *builder, sc *scope, c *call) *scope {
	var words []string
	for _, w := range c.args {
		words = append(words, w.text)
	}
	sc.stream.Title = strings.Join(words, " ")
	return nil
}

// delivery gives the delivery that a directive in this scope is about: the stream's, or the file's.
func (b *builder) delivery(sc *scope) *delivery {
	if sc.stream != nil {
		return &sc.stream.own
	}
	return &b.global
}

func applyHLS(b *builder, sc *scope, c *call) *scope {
	b.oneOf(c, hlsModes, func(w string) { b.delivery(sc).hls = HLSMode(w) })
	return nil
}

func applyForward(b *builder, sc *scope, c *call) *scope {
	d := b.delivery(sc)
	into, other, otherName := &d.redirect, d.relay, "relay"
	if c.name == "relay" {
		into, other, otherName = &d.relay, d.redirect, "redirect"
	}
	for _, w := range c.args {
		for p := range strings.SplitSeq(w.text, ",") {
			if p == "always" && c.name == "redirect" { // as SRS does it
				for _, each := range forwarded {
					if !slices.Contains(*into, each) && !slices.Contains(other, each) {
						*into = append(*into, each)
					}
				}
				continue
			}
			switch {
			case slices.Contains(other, p):
				b.errorf(w.pos, "found %s in `%s`, expected it either there or in `%s`", quote(p), c.name, otherName)
			case slices.Contains(laterProtocols, p):
				b.add(Unsupported, w.pos, "`%s` of %s", c.name, p)
			case p == "hls" || p == "dash":
				b.errorf(w.pos, "found %s in `%s`, expected %s; for HLS and DASH write `hls %s;`", quote(p), c.name, oneOf(forwarded), c.name)
			case slices.Contains(*into, p):
				b.warnf(w.pos, "%s stands twice in `%s`", p, c.name)
			default:
				if _, err := parseWord(p, forwarded); err != nil {
					b.refuse(w.pos, c.name, err)
					continue
				}
				*into = append(*into, p)
			}
		}
	}
	return nil
}

func applyLatency(b *builder, sc *scope, c *call) *scope {
	b.millis(c, 1, &b.delivery(sc).latency)
	return nil
}

func applyAuth(b *builder, _ *scope, c *call) *scope {
	cr := &Credentials{User: c.arg(0).text, Password: c.arg(1).text}
	if c.name == "edit_auth" {
		b.file.EditAuth = cr
	} else {
		b.file.ViewAuth = cr
	}
	return nil
}

func applyDirectory(b *builder, _ *scope, c *call) *scope {
	switch c.name {
	case "session_log":
		b.file.SessionLog = c.arg(0).text
	case "pulsedb":
		b.file.Pulsedb = c.arg(0).text
	case "journal":
		b.file.Journal = c.arg(0).text
	case "geoip":
		b.file.GeoIP = c.arg(0).text
	}
	return nil
}

// applyInherit notes the template from which a stream takes what it does not say itself.
func applyInherit(b *builder, sc *scope, c *call) *scope {
	if sc.stream.isTemplate {
		b.errorf(c.pos, "found `template` in a template, expected it in a stream")
		return nil
	}
	sc.stream.inherits = c.arg(0)
	return nil
}

func applyTemplate(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	if !b.room(c, len(b.templates)) {
		return nil
	}
	t := &streamDraft{Stream: Stream{Name: w.text, Static: true, Pos: c.pos}, isTemplate: true}
	for _, known := range b.templates {
		if known.Name == t.Name {
			b.errorf(w.pos, "found `template %s` a second time, expected it once; the first is at %s", short(w.text), known.Pos.place())
			return &scope{stream: t}
		}
	}
	b.templates = append(b.templates, t)
	return &scope{stream: t}
}

func applyPrefix(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	if err := CheckName(w.text+"/x", nil); err != nil {
		b.refuse(w.pos, c.name, err)
		return nil
	}
	sc.stream.prefix = w
	if sc.source != nil {
		sc.source.Prefix = w.text
	}
	return nil
}

func applySource(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	if !b.room(c, len(b.sources)) {
		return nil
	}
	s := &sourceDraft{Source: Source{Pos: c.pos}, stream: &streamDraft{Stream: Stream{Static: true, Pos: c.pos}}}
	var err error
	if s.Source, err = parseSource(w.text); err != nil {
		b.refuse(w.pos, c.name, err)
		return &scope{source: s, stream: s.stream} // not kept, but its block is worth checking
	}
	s.Pos = c.pos
	for _, known := range b.sources {
		if known.URL == s.URL {
			b.errorf(w.pos, "found `source %s` a second time, expected it once; the first is at %s", s.Name, known.Pos.place())
		}
	}
	b.sources = append(b.sources, s)
	return &scope{source: s, stream: s.stream}
}

func applySourceKey(b *builder, sc *scope, c *call) *scope {
	sc.source.ClusterKey = b.key(c)
	return nil
}

// applyOnly obeys `only` and `except`.
func applyOnly(b *builder, sc *scope, c *call) *scope {
	into := &sc.source.Except
	if c.name == "only" {
		into, sc.source.OnlyGiven = &sc.source.Only, true
	}
	for _, w := range c.args {
		if err := CheckName(w.text, nil); err != nil && !errors.Is(err, ErrReserved) {
			b.refuse(w.pos, c.name, err)
			continue
		}
		if !slices.Contains(*into, w.text) {
			*into = append(*into, w.text)
		}
	}
	return nil
}
