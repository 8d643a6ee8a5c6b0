package conf

import (
	"fmt"
	"slices"
	"strings"
)

// A Balancer shares clients out among servers.
type Balancer struct {
	Name    string // the first component of the URLs that the balancer answers
	Mode    Mode
	Servers []Server // at least one, in the order of the file; no two are the same

	// InFlight says that clients which were sent to a server after its last statistics count as its clients. Without that, a
	// burst of clients goes to one server; InFlight can be switched off to show it.
	InFlight bool

	Pos Pos
}

// Mode says which server of a balancer gets a client.
type Mode string

// The modes.
const (
	Clients Mode = "clients" // the server with the fewest clients
	Bitrate Mode = "bitrate" // the server that sends the fewest bits per second
	Usage   Mode = "usage"   // the server that sends the smallest part of its MaxBitrate
	Streams Mode = "streams" // the server that captures the fewest streams, published ones included
)

// A Server is one entry of a balancer.
type Server struct {
	Host string // as in [Peer]
	Port int    // 0 means not given

	// Peer is the [Peer.Name] of the peer that is this server. It is empty for a server that is not a peer: such a server is
	// asked for its load at port 80 unless Port is given, and captures nothing for the group.
	Peer string

	MaxBitrate int64 // the most that the server may send, in bits per second; 0 means no limit

	// Countries are the countries whose clients the server gets first: ISO 3166-1 codes, sorted. Default says that the server
	// also gets clients of countries for which no other server can take them. A server without Countries gets those too.
	Countries []string
	Default   bool

	Pos Pos
}

// Name is the entry's identity: HOST, or HOST:PORT if the port was given.
func (s Server) Name() string { return Address{s.Host, s.Port}.Name() }

// entry is HOST:PORT, with the default port if none was given. Two entries that mean one server have the same.
func (s Server) entry() string { return joinHostPort(s.Host, effectivePort(Peer{Port: s.Port})) }

// URL is where nodes and clients reach the server if it is not a peer.
func (s Server) URL() string { return baseURL("http", s.Host, s.Port) }

// BalancerNames are the names of the balancers. No stream name may begin with one of them as its first component.
func (f *File) BalancerNames() []string {
	names := make([]string, 0, len(f.Balancers))
	for _, b := range f.Balancers {
		names = append(names, b.Name)
	}
	return names
}

// UsesCountries gives the first place in the file at which a balancer names countries; ok is false if none does.
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

var balancerDirectives = []directive{
	{
		name: "balancer", in: inFile, shared: true, many: true, plural: "balancers", block: inBalancer,
		value:  entries("NAME", func(f *File) *[]Balancer { return &f.Balancers }, parseBalancer, func(b *Balancer) *block { return newBlock(b.Name, b.Name, b) }),
		reload: NewClients, example: "global { server n1; server n2; }",
		doc: "Shares clients out among servers: http://ANY-NODE/BALANCER/STREAM/… leads to the server that it chooses.",
	},
	{
		name: "mode", in: inBalancer, reload: NewClients, example: "bitrate",
		value: oneWord(func(b *Balancer) *Mode { return &b.Mode }, Clients, Clients, Bitrate, Usage, Streams),
		doc:   "What the balancer keeps even among the servers: clients, output, output as a part of max_bitrate, or captured streams.",
	},
	{
		name: "in_flight", in: inBalancer, omitDefault: true, value: boolean(func(b *Balancer) *bool { return &b.InFlight }, true), reload: NewClients,
		example: "false", doc: "Whether a client counts for its server from the moment in which the server is chosen; false counts it only in the server's next statistics, to show what a burst of clients would do.",
	},
	{
		name: "server", also: "peer", in: inBalancer, many: true, plural: "servers", key: "hostname", block: inServer, inline: true,
		value:  entries("HOST[:PORT]", func(b *Balancer) *[]Server { return &b.Servers }, parseServer, func(s *Server) *block { return newBlock(s.Name(), s.entry(), s) }),
		reload: NewClients, example: "n1.example.com max_bitrate=1G", doc: "A server of the balancer; it need not be a peer.",
	},
	{
		name: "max_bitrate", in: inServer, value: bits(func(s *Server) *int64 { return &s.MaxBitrate }), reload: NewClients,
		defaultWords: "that of the peer, or no cap", example: "40M", doc: "The output at which the server is no longer chosen.",
	},
	{
		name: "countries", in: inServer, reload: NewClients, defaultWords: "none", example: "RU,CN", value: countryList(),
		doc: "Countries, by the codes of ISO 3166-1, whose clients the server gets first.",
	},
	{
		name: "countries_default", in: inServer, value: optionalBoolean(func(s *Server) *bool { return &s.Default }), reload: NewClients, example: "true",
		doc: "The server also gets clients of countries that no other server can take.",
	},
}

func parseBalancer(name string, at Pos) (Balancer, error) {
	err := CheckName(name, nil)
	if err == nil && strings.Contains(name, "/") {
		err = fmt.Errorf("found %s, expected a name without a slash: it is one component of URLs", quote(name))
	}
	return Balancer{Name: name, Pos: at}, err
}

func parseServer(text string, at Pos) (Server, error) {
	host, port, err := parsePeerName(text)
	return Server{Host: host, Port: port, Pos: at}, err
}

// countryList is a list of country codes, which is stored sorted.
func countryList() value {
	field := func(s *Server) *[]string { return &s.Countries }
	v := listOf("COUNTRY,…", 1, field, true, len(countries), func(code string) (string, error) {
		upper := strings.ToUpper(code)
		if !isCountry(upper) {
			return "", fmt.Errorf("found %s, expected codes of countries as in ISO 3166-1, such as RU,CN", quote(code))
		}
		return upper, nil
	}, asIs)
	read := v.read
	v.read = func(r *reader, b *block, c *call) {
		read(r, b, c)
		slices.Sort(*field(part[*Server](b)))
	}
	return v
}

// finishBalancers finds the peer that each server is, and checks that the servers give what the mode needs.
func (r *reader) finishBalancers() {
	for _, b := range r.top.all("balancer") {
		d := part[*Balancer](b)
		r.keyless["balancer"] = append(r.keyless["balancer"], d.Pos)
		listed, fallback := false, false
		for _, k := range b.all("server") {
			s := part[*Server](k)
			r.finishServer(b, s)
			listed = listed || len(s.Countries) > 0
			fallback = fallback || s.Default || len(s.Countries) == 0
			d.Servers = append(d.Servers, *s)
		}
		if len(d.Servers) == 0 {
			r.errorf(d.Pos, "found `balancer %s` without a server, expected `server HOST[:PORT];` in it", short(d.Name))
		}
		if listed && !fallback {
			r.warnf(d.Pos, "`balancer %s` has no server for clients of other countries than those it lists, unknown ones included; "+
				"they get 503: write `countries_default=true` at some server", short(d.Name))
		}
		r.file.Balancers = append(r.file.Balancers, *d)
	}
}

func (r *reader) finishServer(b *block, s *Server) {
	fits, sharing := r.file.fitting(s.Host, s.Port), r.file.fitting(s.Host, 0)
	if len(fits) > 1 {
		fits = slices.DeleteFunc(fits, func(p Peer) bool { return p.Port != 0 })
	}
	if len(fits) != 1 && s.Port == 0 && len(sharing) > 0 {
		r.errorf(s.Pos, "found the server %s, which several peers share; expected the port too: %s", quote(s.Host), addresses(sharing))
		return
	}
	if len(fits) == 1 {
		s.Peer = fits[0].Name()
		if s.MaxBitrate == 0 {
			s.MaxBitrate = fits[0].MaxBitrate
		}
	}
	if part[*Balancer](b).Mode == Usage && s.MaxBitrate == 0 {
		r.errorf(s.Pos, "found `server %s` without max_bitrate, which `mode usage` at %s divides by; expected `max_bitrate=BITS`, such as 40M",
			s.Name(), b.where("mode").place())
	}
}

// isCountry reports whether a code in capitals is assigned in ISO 3166-1, or is XK, which databases use for Kosovo.
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
