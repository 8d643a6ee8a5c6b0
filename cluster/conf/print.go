package conf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"weir/protocols"
)

// masked stands where a secret was.
const masked = "****"

// Masked gives the configuration as text with everything filled in that holds by default, every key and password hidden.
func (f *File) Masked() string { return f.render(true) }

// render gives the configuration as text. Unmasked, it parses to the same File.
func (f *File) render(mask bool) string {
	p := &printer{mask: mask}
	if f.Name != "" {
		p.line("name", f.Name)
	}
	if f.ClusterKey != "" {
		p.line("cluster_key", p.secret(f.ClusterKey))
	}
	p.line("return_holddown", millis(f.ReturnHolddown))
	p.limits(f.ChannelLimit, f.CPULimit)
	if f.RebalanceRate == 0 {
		p.line("rebalance_rate", "off")
	} else {
		p.line("rebalance_rate", fmt.Sprint(f.RebalanceRate))
	}
	if f.Journal != "" {
		p.line("journal", f.Journal)
	}
	for _, d := range protocols.Listeners() {
		list := f.Listeners[d.Protocol]
		for _, l := range list {
			p.line(d.Directive(), addrWords(l))
		}
		if len(list) == 0 {
			p.line(d.Directive(), "off")
		}
	}
	if f.Remote.Host != "" || f.Remote.Port != 0 {
		p.line("remote", addrWords(f.Remote))
	}
	if f.Advertise != "" {
		p.line("advertise", Peer{Host: f.Advertise, Port: f.AdvertisePort}.Name())
	}
	p.line("loglevel", f.LogLevel)
	p.delivery(f.Delivery, Delivery{})
	p.access(f)
	for _, v := range f.Vods {
		p.open("vod", v.Name)
		p.line("root", v.Root)
		p.close()
	}
	for _, peer := range f.Peers {
		p.peer(peer, f)
	}
	for _, v := range f.Vhosts {
		p.vhost(v)
	}
	for _, b := range f.Balancers {
		p.balancer(b)
	}
	for _, s := range f.Streams {
		p.stream(s, f)
	}
	for _, t := range f.Templates {
		p.open("template", t.Name)
		p.line("prefix", t.Prefix)
		p.inside(t.Stream, f)
		p.close()
	}
	for _, s := range f.Sources {
		p.source(s, f)
	}
	return p.String()
}

// A printer writes directives.
type printer struct {
	strings.Builder
	mask  bool
	depth int
}

func (p *printer) indent() { p.WriteString(strings.Repeat("    ", p.depth)) }

func (p *printer) words(name string, args []string) {
	p.indent()
	p.WriteString(name)
	for _, a := range args {
		p.WriteByte(' ')
		p.WriteString(a)
	}
}

// line writes a directive; its words are quoted where they must be.
func (p *printer) line(name string, args ...string) {
	p.words(name, quoted(args))
	p.WriteString(";\n")
}

func (p *printer) open(name string, args ...string) {
	if p.depth == 0 {
		p.WriteByte('\n')
	}
	p.words(name, quoted(args))
	p.WriteString(" {\n")
	p.depth++
}

func (p *printer) close() {
	p.depth--
	p.indent()
	p.WriteString("}\n")
}

func (p *printer) secret(s string) string {
	if p.mask {
		return masked
	}
	return s
}

// access writes who may do what, and what is written down about clients.
func (p *printer) access(f *File) {
	for _, a := range []struct {
		name string
		is   *Credentials
	}{{"edit_auth", f.EditAuth}, {"view_auth", f.ViewAuth}} {
		if a.is != nil {
			p.line(a.name, a.is.User, p.secret(a.is.Password))
		}
	}
	for _, d := range []struct{ name, is string }{
		{"session_log", f.SessionLog}, {"pulsedb", f.Pulsedb}, {"geoip", f.GeoIP},
	} {
		if d.is != "" {
			p.line(d.name, d.is)
		}
	}
	if len(f.TrustedProxies) > 0 {
		words := make([]string, 0, len(f.TrustedProxies))
		for _, t := range f.TrustedProxies {
			words = append(words, t.String())
		}
		p.line("trusted_proxies", words...)
	}
}

func (p *printer) peer(peer Peer, f *File) {
	p.open("peer", peer.Name())
	p.line("api_url", peer.APIURL)
	if peer.PublicGiven {
		p.line("public_payload_url", peer.Public)
	}
	p.line("private_payload_url", peer.Private)
	p.line("fetch_timeout", millis(peer.FetchTimeout))
	p.line("stale_timeout", millis(peer.StaleTimeout))
	p.limits(peer.ChannelLimit, peer.CPULimit)
	if peer.MaxBitrate != 0 {
		p.line("max_bitrate", fmt.Sprint(peer.MaxBitrate))
	}
	if peer.ClusterKey != f.ClusterKey {
		p.line("cluster_key", p.secret(peer.ClusterKey))
	}
	p.close()
}

func (p *printer) limits(channels, cpu int) {
	if channels != 0 {
		p.line("channel_limit", fmt.Sprint(channels))
	}
	if cpu != 0 {
		p.line("cpu_limit", fmt.Sprint(cpu))
	}
}

func (p *printer) stream(s Stream, f *File) {
	if s.Static {
		p.open("stream", s.Name)
	} else {
		p.open("ondemand", s.Name)
	}
	p.inside(s, f)
	p.close()
}

// inside writes what stands in the block of a stream.
func (p *printer) inside(s Stream, f *File) {
	for i, in := range s.Inputs {
		p.input(in, i)
	}
	if s.ClientsTimeout < 0 {
		p.line("clients_timeout", "false")
	} else if s.ClientsTimeout != 0 && s.ClientsTimeout != DefaultClientsTimeout {
		p.line("clients_timeout", seconds(s.ClientsTimeout))
	}
	if in := s.Ingest; in != nil {
		args := []string{}
		if in.CaptureAt != "" {
			args = append(args, "capture_at="+in.CaptureAt)
		}
		if in.Handover != Make {
			args = append(args, "handover="+string(in.Handover))
		}
		if in.Partition != Available {
			args = append(args, "partition="+string(in.Partition))
		}
		p.words("cluster_ingest", args)
		p.WriteString(";\n")
	}
	if s.Disabled {
		p.line("disabled")
	}
	if s.Title != "" {
		p.line("title", s.Title)
	}
	p.delivery(s.Delivery, f.Delivery)
}

// input writes an input with the options that are not what they would be by themselves.
func (p *printer) input(in Input, at int) {
	url := in.URL
	if p.mask {
		url = maskURL(url)
	}
	args := quoted([]string{url})
	if in.Priority != at+1 {
		args = append(args, fmt.Sprintf("priority=%d", in.Priority))
	}
	usual := DefaultSourceTimeout
	if in.Form == HLS {
		usual = hlsSourceTimeout
	}
	if in.SourceTimeout != usual {
		args = append(args, "source_timeout="+seconds(in.SourceTimeout))
	}
	p.words("input", args)
	p.WriteString(";\n")
}

func (p *printer) source(s Source, f *File) {
	name := s.Name
	if s.Plain && !p.mask {
		name = s.URL
	}
	p.open("source", name)
	if s.OnlyGiven {
		p.line("only", s.Only...)
	}
	if len(s.Except) > 0 {
		p.line("except", s.Except...)
	}
	if s.Prefix != "" {
		p.line("prefix", s.Prefix)
	}
	if !s.Plain && s.ClusterKey != f.ClusterKey {
		p.line("cluster_key", p.secret(s.ClusterKey))
	}
	if d := s.Stream.Inputs[0].SourceTimeout; d != DefaultSourceTimeout {
		p.line("source_timeout", seconds(d))
	}
	st := s.Stream
	st.Inputs = nil
	p.inside(st, f)
	p.close()
}

// delivery writes what differs from the surroundings.
func (p *printer) delivery(d, around Delivery) {
	if d.HLS != around.HLS {
		p.line("hls", string(d.HLS))
	}
	if len(d.Redirect) > 0 && !slices.Equal(d.Redirect, around.Redirect) {
		p.line("redirect", d.Redirect...)
	}
	if len(d.Relay) > 0 && !slices.Equal(d.Relay, around.Relay) {
		p.line("relay", d.Relay...)
	}
	if d.Latency != around.Latency {
		p.line("latency", millis(d.Latency))
	}
}

func millis(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`)

// quoted quotes the words that the grammar would not give back as they are.
func quoted(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n\r;{}\"'=\\") || strings.HasPrefix(w, "#") || strings.HasPrefix(w, "\ufeff") {
			w = `"` + escapes.Replace(w) + `"`
		}
		out[i] = w
	}
	return out
}

// Hash identifies what nodes must agree on to place streams alike: the streams, without titles and viewers' matters,
// and the return hold-down. It is the same for files that differ in order, comments, spelling or local addresses.
//
// Two things are the caller's to add, in an order that all nodes share: the announced names of the group, because a list
// of peers may leave the node itself out and so differs between nodes that agree, and an identifier of the cluster key
// that was derived slowly, because whoever sees a plain hash could guess the key with it.
func (f *File) Hash(more ...string) string {
	h := sha256.New()
	put(h, "weir configuration 1")
	put(h, millis(f.ReturnHolddown))
	list := slices.SortedFunc(slices.Values(f.Streams), func(a, b Stream) int { return strings.Compare(a.Name, b.Name) })
	put(h, fmt.Sprint(len(list)))
	for _, s := range list {
		put(h, s.Name)
		put(h, fmt.Sprint(len(s.Inputs), s.Disabled, s.Static, s.Ingest != nil))
		for i, in := range s.Inputs {
			put(h, in.URL)
			if in.Priority != i+1 {
				put(h, fmt.Sprint("priority ", in.Priority))
			}
		}
		if in := s.Ingest; in != nil {
			put(h, in.CaptureAt)
			put(h, string(in.Handover))
			put(h, string(in.Partition))
		}
	}
	f.hashDerived(h)
	for _, m := range more {
		put(h, m)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// put writes a string so that no two lists of strings give the same bytes.
func put(w io.Writer, s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	_, _ = w.Write(n[:]) // a hash never fails
	_, _ = io.WriteString(w, s)
}
