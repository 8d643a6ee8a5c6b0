package conf

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Balancer shares clients out among servers.
type Balancer struct {
	Name    string // the first component of the URLs that it answers
	Mode    Mode
	Servers []Server // at least one, in the order of the file; no two are the same

	// InFlight says that choices made since a server's last statistics count. Without it a burst goes to one server; it
	// is there to show that.
	InFlight bool

	Pos Pos
}

// Mode says which server of a balancer gets a client.
type Mode string

// The modes.
const (
	Clients Mode = "clients" // that with the fewest clients
	Bitrate Mode = "bitrate" // that which sends the least
	Usage   Mode = "usage"   // that which sends the least for its MaxBitrate
	Streams Mode = "streams" // that which captures the fewest streams, published ones included
)

var modes = []string{string(Clients), string(Bitrate), string(Usage), string(Streams)}

// A Server is one entry of a balancer.
type Server struct {
	Host string // as in [Peer]
	Port int    // 0 means not given

	// Peer is the [Peer.Name] of the entry that this is. Empty for a server that is no peer: it has a link of its own, to
	// port 80 unless Port is given, and captures nothing on behalf of the group.
	Peer string

	MaxBitrate int64 // bits per second that it may send; 0 means that there is no cap

	// Countries are ISO 3166-1 codes of those whose clients it gets first, sorted. Default says that it gets the clients
	// of countries for which no server that could take them is listed. A server with neither gets those too.
	Countries []string
	Default   bool

	Pos Pos
}

// Name is the entry's identity: HOST, or HOST:PORT if the port was given.
func (s Server) Name() string { return Peer{Host: s.Host, Port: s.Port}.Name() }

// URL is where a server that is no peer is reached, by nodes and clients.
func (s Server) URL() string { return baseURL("http", s.Host, s.Port) }

// BalancerNames are the names that are reserved as the first component of stream names.
func (f *File) BalancerNames() []string {
	names := make([]string, 0, len(f.Balancers))
	for _, b := range f.Balancers {
		names = append(names, b.Name)
	}
	return names
}

// Balancer gives the balancer of that name, or nil. The pointer is into f.
func (f *File) Balancer(name string) *Balancer {
	for i := range f.Balancers {
		if f.Balancers[i].Name == name {
			return &f.Balancers[i]
		}
	}
	return nil
}

// UsesCountries is the first place at which a balancer names countries; ok is false if none does.
func (f *File) UsesCountries() (at Pos, ok bool) {
	for _, b := range f.Balancers {
		for _, s := range b.Servers {
			if len(s.Countries) > 0 {
				return s.Pos, true
			}
		}
	}
	return Pos{}, false
}

// A balancerDraft is a balancer whose block is being read.
type balancerDraft struct {
	Balancer
	mode    Pos // of the mode's directive; zero if there is none
	servers []*serverDraft
}

// A serverDraft is a server whose block is being read.
type serverDraft struct{ Server }

func balancerDirectives() []spec {
	return []spec{
		obeyed("balancer", inFile, "NAME", 1, 1, applyBalancer).repeated().withBlock(inBalancer),
		obeyed("mode", inBalancer, "clients, bitrate, usage or streams", 1, 1, applyMode),
		obeyed("in_flight", inBalancer, "true or false", 1, 1, applyInFlight),
		obeyed("server", inBalancer, "HOST[:PORT]", 1, 1, applyServer).repeated().withBlock(inServer),
		obeyed("peer", inBalancer, "HOST[:PORT]", 1, 1, applyServer).repeated().withBlock(inServer).alias("server"),
		obeyed("max_bitrate", inServer|inPeer, "BITS", 1, 1, applyMaxBitrate),
		obeyed("countries", inServer, "COUNTRY,…", 1, -1, applyCountries),
		obeyed("countries_default", inServer, "[true or false]", 0, 1, applyCountriesDefault),
		obeyed("geoip", inFile, "FILE", 1, 1, applyDirectory),
		obeyed("trusted_proxies", inFile, "ADDRESS[/BITS] …", 1, -1, applyTrustedProxies).repeated(),
	}
}

func applyBalancer(b *builder, _ *scope, c *call) *scope {
	w := c.arg(0)
	d := &balancerDraft{Balancer: Balancer{Name: w.text, Mode: Clients, InFlight: true, Pos: c.pos}}
	if !b.room(c, len(b.balancers)) {
		return &scope{balancer: d}
	}
	err := CheckName(w.text, nil)
	if err == nil && strings.Contains(w.text, "/") {
		err = fmt.Errorf("found %s, expected a name without a slash: it is one component of URLs", quote(w.text))
	}
	if err != nil {
		b.refuse(w.pos, c.name, err)
	}
	for _, known := range b.balancers {
		if known.Name == d.Name {
			b.errorf(w.pos, "found `balancer %s` a second time, expected every balancer to have a name of its own; the first is at %s",
				short(w.text), known.Pos.place())
			return &scope{balancer: d}
		}
	}
	b.balancers = append(b.balancers, d)
	b.keyless = append(b.keyless, keyless{"balancer", c.pos})
	return &scope{balancer: d}
}

func applyMode(b *builder, sc *scope, c *call) *scope {
	sc.balancer.mode = c.pos
	b.oneOf(c, modes, func(w string) { sc.balancer.Mode = Mode(w) })
	return nil
}

func applyInFlight(b *builder, sc *scope, c *call) *scope {
	b.flag(c, &sc.balancer.InFlight)
	return nil
}

func applyServer(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	s := &serverDraft{Server{Pos: c.pos}}
	host, port, err := parsePeerName(w.text)
	if err != nil {
		b.refuse(w.pos, c.name, err)
		return &scope{server: s} // not kept, but its block is worth checking
	}
	s.Host, s.Port = host, port
	if !b.room(c, len(sc.balancer.servers)) {
		return &scope{server: s}
	}
	for _, known := range sc.balancer.servers {
		if known.Host == s.Host && effectivePort(Peer{Port: known.Port}) == effectivePort(Peer{Port: s.Port}) {
			b.errorf(w.pos, "found `%s %s` a second time in `balancer %s`, expected it once; the first is at %s",
				c.name, s.Name(), short(sc.balancer.Name), known.Pos.place())
			return &scope{server: s}
		}
	}
	sc.balancer.servers = append(sc.balancer.servers, s)
	return &scope{server: s}
}

func applyMaxBitrate(b *builder, sc *scope, c *call) *scope {
	w := c.arg(0)
	bits, err := parseBits(w.text)
	switch {
	case err != nil:
		b.refuse(w.pos, c.name, err)
	case sc.server != nil:
		sc.server.MaxBitrate = bits
	default:
		sc.peer.MaxBitrate = bits
	}
	return nil
}

// maxBits bounds a bit rate: a petabit per second, so that no sum of some overflows.
const maxBits = 1e15

// parseBits reads bits per second: 40M, 400K, 1G, or a plain number. The letters are decimal.
func parseBits(text string) (int64, error) {
	digits, factor := text, int64(1)
	for _, unit := range []struct {
		letters string
		factor  int64
	}{{"kK", 1e3}, {"mM", 1e6}, {"gG", 1e9}} {
		if n := len(text); n > 0 && strings.ContainsRune(unit.letters, rune(text[n-1])) {
			digits, factor = text[:n-1], unit.factor
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > maxBits/factor {
		return 0, fmt.Errorf("found %s, expected bits per second above 0, such as 40M, 400K or 40000000", quote(text))
	}
	return n * factor, nil
}

func applyCountries(b *builder, sc *scope, c *call) *scope {
	for _, w := range c.args {
		for code := range strings.SplitSeq(w.text, ",") {
			if code == "" {
				continue // behind a comma and before a space
			}
			upper := strings.ToUpper(code)
			switch {
			case !isCountry(upper):
				b.refuse(w.pos, c.name, fmt.Errorf("found %s, expected codes of countries as in ISO 3166-1, such as RU,CN", quote(code)))
			case slices.Contains(sc.server.Countries, upper):
				b.warnf(w.pos, "%s stands twice in `countries`", upper)
			default:
				sc.server.Countries = append(sc.server.Countries, upper)
			}
		}
	}
	slices.Sort(sc.server.Countries)
	return nil
}

func applyCountriesDefault(b *builder, sc *scope, c *call) *scope {
	b.flag(c, &sc.server.Default)
	return nil
}

func applyTrustedProxies(b *builder, _ *scope, c *call) *scope {
	for _, w := range c.args {
		for text := range strings.SplitSeq(w.text, ",") {
			if text == "" {
				continue
			}
			p, err := parsePrefix(text)
			if err != nil {
				b.refuse(w.pos, c.name, err)
				continue
			}
			if !b.room(c, len(b.file.TrustedProxies)) {
				return nil
			}
			b.file.TrustedProxies = append(b.file.TrustedProxies, p)
		}
	}
	return nil
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

// finishBalancers finds the peers that servers are, and checks what a mode needs.
func (b *builder) finishBalancers() {
	for _, d := range b.balancers {
		if len(d.servers) == 0 {
			b.errorf(d.Pos, "found `balancer %s` without a server, expected `server HOST[:PORT];` in it", short(d.Name))
		}
		listed, fallback := false, false
		for _, s := range d.servers {
			b.finishServer(d, s)
			listed = listed || len(s.Countries) > 0
			fallback = fallback || s.Default || len(s.Countries) == 0
			d.Servers = append(d.Servers, s.Server)
		}
		if listed && !fallback {
			b.warnf(d.Pos, "`balancer %s` has no server for clients of other countries than those it lists, unknown ones included; "+
				"they get 503: write `countries_default=true` at some server", short(d.Name))
		}
		b.file.Balancers = append(b.file.Balancers, d.Balancer)
	}
}

func (b *builder) finishServer(d *balancerDraft, s *serverDraft) {
	var fits []Peer
	for _, p := range b.file.Peers {
		if p.Host == s.Host && (s.Port == 0 || effectivePort(p) == s.Port) {
			fits = append(fits, p)
		}
	}
	if len(fits) > 1 && s.Port == 0 {
		fits = slices.DeleteFunc(fits, func(p Peer) bool { return p.Port != 0 })
	}
	if len(fits) != 1 && s.Port == 0 && slices.ContainsFunc(b.file.Peers, func(p Peer) bool { return p.Host == s.Host }) {
		var names []string
		for _, p := range b.file.Peers {
			if p.Host == s.Host {
				names = append(names, joinHostPort(p.Host, effectivePort(p)))
			}
		}
		b.errorf(s.Pos, "found the server %s, which several peers share; expected the port too: %s", quote(s.Host), oneOf(names))
		return
	}
	if len(fits) == 1 {
		s.Peer = fits[0].Name()
		if s.MaxBitrate == 0 {
			s.MaxBitrate = fits[0].MaxBitrate
		}
	}
	if d.Mode == Usage && s.MaxBitrate == 0 {
		b.errorf(s.Pos, "found `server %s` without max_bitrate, which `mode usage` at %s divides by; expected `max_bitrate=BITS`, such as 40M",
			s.Name(), d.mode.place())
	}
}

// balancer writes a balancer.
func (p *printer) balancer(d Balancer) {
	p.open("balancer", d.Name)
	p.line("mode", string(d.Mode))
	if !d.InFlight {
		p.line("in_flight", "false")
	}
	for _, s := range d.Servers {
		args := quoted([]string{s.Name()})
		if s.MaxBitrate != 0 {
			args = append(args, fmt.Sprintf("max_bitrate=%d", s.MaxBitrate))
		}
		if len(s.Countries) > 0 {
			args = append(args, "countries="+strings.Join(s.Countries, ","))
		}
		if s.Default {
			args = append(args, "countries_default=true")
		}
		p.words("server", args)
		p.WriteString(";\n")
	}
	p.close()
}

// isCountry says whether two capitals are an assigned code of ISO 3166-1, or XK, which databases use for Kosovo.
func isCountry(code string) bool {
	return len(code) == 2 && strings.Contains(countries, " "+code+" ")
}

// countries are the codes of ISO 3166-1 alpha-2, each between spaces.
const countries = " AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
	"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
	"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT " +
	"JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP " +
	"MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA " +
	"RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ " +
	"UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW "
