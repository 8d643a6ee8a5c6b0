// Package balance says which server of a balancer gets a client.
//
// The choice is a function of the figures of the servers, of the choices before, and of the instant. The package knows no
// clock, network, actor or lock. The statistics of a server are always old when a client comes, so that a choice counts from
// the moment in which it is made until they hold it; otherwise all clients of some seconds would get the server that was the
// best one before them.
package balance

import (
	"math"
	"math/bits"
	"slices"

	"weir/cluster/place"
)

// An Instant is a reading of one monotonic clock in nanoseconds. Its origin means nothing.
type Instant int64

// Units of differences between instants.
const (
	Millisecond Instant = 1_000_000
	Second              = 1000 * Millisecond
)

// Mode says which figure of the servers is kept even.
type Mode string

// The modes.
const (
	Clients Mode = "clients" // connected clients
	Bitrate Mode = "bitrate" // output, in bits per second
	Usage   Mode = "usage"   // output for the largest output allowed
	Streams Mode = "streams" // captured streams, published ones included
)

// A Config is one balancer. The order of the servers means nothing.
type Config struct {
	Mode    Mode
	Servers []Entry

	// Blind turns off that choices count until the statistics hold them.
	Blind bool
}

// An Entry is what the file says of a server.
type Entry struct {
	Name       string   // unique within the balancer
	MaxBitrate int64    // bits per second; 0 means no cap
	Countries  []string // whose clients it gets first
	Default    bool     // it gets clients of countries that no usable server lists
}

// State says whether a server can be given clients.
type State uint8

// The states.
const (
	Down         State = iota // dead, or it has never answered
	Ready                     // it takes clients
	Booting                   // it answers, and does not know its surroundings yet: it is chosen when no other is left
	Draining                  // it is about to leave
	Unauthorised              // it has another cluster key
	Failing                   // it did not answer a client's request, and has not answered this node since
	Unfit                     // this client cannot be sent there: it would leave https
	Lacking                   // its file does not have the stream, and it gets no streams from others
)

// A Server is the state of a server when a client comes, in the order of [Config.Servers].
type Server struct {
	State State

	// Clients, Bits and Streams are what it said last: connected clients, output in bits per second, captured streams.
	Clients, Streams int
	Bits             int64

	// Measured is when it measured them. It means nothing for a server that has never answered, whose figures are zero.
	Measured Instant

	// Has says that the wanted stream runs there.
	Has bool

	// Full says that it takes no further streams, which counts for publishers only.
	Full bool
}

// A Request is a client.
type Request struct {
	Country string // ISO 3166-1; empty means unknown
	Session uint64 // a hash of what tells the client from others, for servers that are equal
	Publish bool

	// Bits is what the client will make the server send, in bits per second. Zero means unknown: then it counts as
	// the average of the servers' clients.
	Bits int64

	// Weight is how many clients this one stands for, in thousandths; zero means one. It is more where other nodes choose too,
	// whose choices this node does not see.
	Weight int
}

const (
	// settle is how long a client may take from the choice until the server counts it: a player opens connections, and a
	// stream may have to be started. It ends at once for as many clients as the server's own figure has grown by.
	settle = 5 * Second

	// window is the time over which a server averages its output. A new client gets into the average gradually.
	window = OutputWindow

	// horizon is how long a choice counts at most: a client that has not come by then does not come.
	horizon = 30 * Second

	// grain is the time in which choices are counted together.
	grain = 250 * Millisecond

	// usual is the bit rate of a client whose rate is unknown, when there are no other clients to compare with.
	usual = 2_000_000
)

// OutputWindow is the time over which servers average their output.
const OutputWindow = 10 * Second

// A Balancer remembers the choices of one balancer. It belongs to one goroutine at a time.
type Balancer struct {
	cfg     Config
	pending [][]slot   // by server: choices of the last horizon, oldest first
	last    []reported // by server: the newest report
	chosen  []uint64
	refused uint64
}

// A slot holds the choices of one grain of time.
type slot struct {
	at      Instant
	weights int64 // thousandths of clients
	open    int64 // of these, the ones that the server's figure does not hold yet
	bits    int64 // of all of them
	sure    int64 // of these, those of streams with a measured rate
}

// A reported is the figure that a server has reported, which shows that clients have come.
type reported struct {
	any    bool // there was a report
	at     Instant
	figure int
}

// New makes a balancer.
func New(cfg Config) *Balancer {
	return &Balancer{cfg: cfg, pending: make([][]slot, len(cfg.Servers)), last: make([]reported, len(cfg.Servers)), chosen: make([]uint64, len(cfg.Servers))}
}

// Adopt takes over what another balancer remembers of servers of the same names, so that after a reload the clients of the
// last seconds still count.
func (b *Balancer) Adopt(old *Balancer) {
	for i, e := range b.cfg.Servers {
		j := slices.IndexFunc(old.cfg.Servers, func(o Entry) bool { return o.Name == e.Name })
		if j >= 0 {
			b.pending[i], b.chosen[i] = slices.Clone(old.pending[j]), old.chosen[j]
			if b.cfg.Mode == old.cfg.Mode {
				b.last[i] = old.last[j]
			}
		}
	}
	b.refused = old.refused
}

// Choose gives the index of the server for a client, and remembers the choice; -1 means that no server is left. The
// servers are those of the configuration, in its order.
func (b *Balancer) Choose(now Instant, servers []Server, r Request) int {
	b.update(servers)
	best := b.pick(now, servers, r)
	if best < 0 {
		b.refused++
		return -1
	}
	b.chosen[best]++
	b.remember(now, best, r, bitsOf(servers, r))
	return best
}

// update takes in new statistics: as many clients of the oldest choices have come as the server has more clients now.
func (b *Balancer) update(servers []Server) {
	for i := range b.last {
		s, t := &servers[i], &b.last[i]
		if t.any && s.Measured <= t.at {
			continue
		}
		figure := s.Clients
		if b.cfg.Mode == Streams {
			figure = s.Streams
		}
		grown := int64(figure-t.figure) * 1000
		for j := range b.pending[i] {
			p := &b.pending[i][j]
			if !t.any || grown <= 0 || p.at > s.Measured {
				break
			}
			came := min(p.open, grown)
			p.open -= came
			grown -= came
		}
		*t = reported{true, s.Measured, figure}
	}
}

// pick finds the best server of the first tier that has one. Servers of the client's country come before servers for all
// countries, and within a tier servers that are ready before servers that boot.
func (b *Balancer) pick(now Instant, servers []Server, r Request) int {
	add, since := bitsOf(servers, r), oldest(servers)
	for tier := range tiers {
		for _, state := range []State{Ready, Booting} {
			best, score := -1, score{}
			for i := range b.cfg.Servers {
				if servers[i].State != state || b.tier(i, r.Country) != tier {
					continue
				}
				l := b.load(now, since, i, servers[i])
				if b.full(i, servers[i], l, r, add) {
					continue
				}
				if s := b.score(i, servers[i], l, r, add); best < 0 || s.better(score) {
					best, score = i, s
				}
			}
			if best >= 0 {
				return best
			}
		}
	}
	return -1
}

// tiers is the number of tiers; a server of a later one is never given the client.
const tiers = 2

// tier is 0 for a server that lists the client's country, and 1 for one that is for the clients of all other countries.
func (b *Balancer) tier(i int, country string) int {
	e := &b.cfg.Servers[i]
	switch {
	case country != "" && slices.Contains(e.Countries, country):
		return 0
	case e.Default || len(e.Countries) == 0:
		return 1
	}
	return tiers
}

// A Load is what a server carries with the choices counted in that its statistics do not hold yet.
type Load struct {
	Clients, Streams int64 // in thousandths
	Bits             int64
	Sure             int64 // Bits without the guesses about new clients
}

// oldest is when the oldest load of all servers was measured. Clients that have not come are given up on all servers at once:
// else the server with the newest figures would seem to have the fewest clients.
func oldest(servers []Server) Instant {
	at := Instant(math.MaxInt64)
	for i := range servers {
		if s := &servers[i]; s.State == Ready || s.State == Booting {
			at = min(at, s.Measured)
		}
	}
	return at
}

// load is what a server carries now; since is when the oldest load of all servers was measured.
func (b *Balancer) load(now, since Instant, i int, s Server) Load {
	l := Load{Clients: int64(s.Clients) * 1000, Streams: int64(s.Streams) * 1000, Bits: s.Bits, Sure: s.Bits}
	if b.cfg.Blind {
		return l
	}
	for _, p := range b.pending[i] {
		if now-p.at >= horizon {
			continue
		}
		open := int64(0) // clients that may still come
		if since-p.at < settle {
			open = p.open
			l.Clients += open
			if b.cfg.Mode == Streams { // where streams are counted, a viewer may start one
				l.Streams += open
			}
		}
		counted := s.Measured - p.at
		if open == 0 && (counted >= window || p.open == p.weights) {
			continue
		}
		came := p.weights - p.open
		l.Bits += part(p.bits, open, p.weights) + fading(part(p.bits, came, p.weights), counted)
		l.Sure += part(p.sure, open, p.weights) + fading(part(p.sure, came, p.weights), counted)
	}
	return l
}

// part is the part of x that corresponds to some of all.
func part(x, some, all int64) int64 {
	switch some {
	case 0:
		return 0
	case all:
		return x
	}
	return scale(x, some, all)
}

// fading is how much of the output to clients that have been there for a time is not in the server's average yet.
func fading(bits int64, since Instant) int64 {
	switch {
	case since <= 0 || bits == 0:
		return bits
	case since >= window:
		return 0
	}
	return scale(bits, int64(window-since), int64(window))
}

// bitsOf is the bit rate to expect of a client.
func bitsOf(servers []Server, r Request) int64 {
	if r.Bits > 0 {
		return r.Bits
	}
	clients, sum := int64(0), int64(0)
	for _, s := range servers {
		if s.State == Ready || s.State == Booting {
			clients += int64(s.Clients)
			sum += s.Bits
		}
	}
	// A server whose clients have just come sends nothing to most of them yet.
	if clients == 0 || sum/clients < usual/100 {
		return usual
	}
	return sum / clients
}

// full says whether a server must not get the client, because it would send more than it may, or takes no streams.
func (b *Balancer) full(i int, s Server, l Load, r Request, add int64) bool {
	if r.Publish {
		return s.Full || b.capped(i, l, 0)
	}
	if r.Bits == 0 {
		add = 0 // no client is kept out because of a guess
	}
	return b.capped(i, l, add)
}

func (b *Balancer) capped(i int, l Load, more int64) bool {
	most := b.cfg.Servers[i].MaxBitrate
	return most > 0 && (l.Sure >= most || l.Sure+more > most)
}

// A score orders servers: the lower figure comes first, then the server that has the stream, then the higher hash.
type score struct {
	figure int64
	has    bool
	hash   uint64
}

func (s score) better(than score) bool {
	switch {
	case s.figure != than.figure:
		return s.figure < than.figure
	case s.has != than.has:
		return s.has
	}
	return s.hash > than.hash
}

// score is that of a server for a client. Differences that are smaller than what one client makes do not count. Of servers
// that are equal then, one that has the stream is chosen, and else always the same one for the same client.
func (b *Balancer) score(i int, s Server, l Load, r Request, add int64) score {
	sc := score{has: s.Has && !r.Publish, hash: place.Mix(r.Session ^ hash(b.cfg.Servers[i].Name))}
	switch b.cfg.Mode {
	case Bitrate:
		sc.figure = l.Bits / max(add, 1)
	case Usage:
		// In steps of what the client adds, or of a hundred-thousandth where that is more.
		most := max(b.cfg.Servers[i].MaxBitrate, 1)
		step := max(add, 1)
		sc.figure = scale(l.Bits/step*step, 100_000, most)
	case Streams:
		sc.figure = l.Streams / 1000
	default:
		sc.figure = l.Clients / 1000
	}
	return sc
}

// scale is x·by/of for numbers that are not negative, without overflow in between; by and of are above 0. What would not
// fit is the largest number.
func scale(x, by, of int64) int64 {
	hi, lo := bits.Mul64(uint64(max(x, 0)), uint64(by))
	if hi >= uint64(of) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(of))
	return int64(min(q, math.MaxInt64))
}

// remember counts a choice until the statistics hold it.
func (b *Balancer) remember(now Instant, i int, r Request, add int64) {
	weight := int64(r.Weight)
	if weight <= 0 {
		weight = 1000
	}
	bits, sure := add*weight/1000, int64(0)
	if r.Bits > 0 {
		sure = bits
	}
	p := b.pending[i]
	if n := len(p); n > 0 && now-p[n-1].at < grain {
		last := &p[n-1]
		last.weights += weight
		last.open += weight
		last.bits += bits
		last.sure += sure
		return
	}
	old := 0
	for old < len(p) && now-p[old].at >= horizon {
		old++
	}
	p = append(p[:0], p[old:]...)
	b.pending[i] = append(p, slot{at: now, weights: weight, open: weight, bits: bits, sure: sure})
}

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// Session is the hash of what tells a client from others.
func Session(parts ...string) uint64 {
	h := uint64(0)
	for _, p := range parts {
		h = place.Mix(h ^ hash(p))
	}
	return h
}

// A Report is what people are shown of a server: what it carries, and why it is not chosen.
type Report struct {
	Name     string
	Clients  int // with choices that its statistics do not hold yet
	Streams  int
	Bits     int64
	InFlight int // such choices
	Share    int // of all servers' figure of the mode, in thousandths
	Usage    int // of MaxBitrate, in thousandths; 0 without
	Chosen   uint64
	Excluded string // why it is not chosen; empty if it can be
}

// Report describes all servers, for clients of any country, and how many clients got none.
func (b *Balancer) Report(now Instant, servers []Server) (out []Report, refused uint64) {
	b.update(servers)
	since := oldest(servers)
	sum, figures := int64(0), make([]int64, len(servers))
	for i, e := range b.cfg.Servers {
		s := servers[i]
		l := b.load(now, since, i, s)
		r := Report{
			Name: e.Name, Clients: int(l.Clients / 1000), Streams: int(l.Streams / 1000), Bits: l.Bits,
			InFlight: int(l.Clients/1000) - s.Clients, Chosen: b.chosen[i], Excluded: whys[s.State],
		}
		if e.MaxBitrate > 0 {
			r.Usage = int(scale(l.Bits, 1000, e.MaxBitrate))
		}
		if r.Excluded == "" && b.capped(i, l, 0) {
			r.Excluded = "full"
		}
		switch b.cfg.Mode {
		case Bitrate:
			figures[i] = l.Bits
		case Usage:
			figures[i] = int64(r.Usage)
		case Streams:
			figures[i] = l.Streams
		default:
			figures[i] = l.Clients
		}
		sum += figures[i]
		out = append(out, r)
	}
	for i := range out {
		if sum > 0 {
			out[i].Share = int(scale(figures[i], 1000, sum))
		}
	}
	return out, b.refused
}

// whys are the reasons for which servers in a state are not chosen. One that boots is chosen when no other is left.
var whys = [...]string{
	Down: "dead", Ready: "", Booting: "starting", Draining: "draining", Unauthorised: "unauthorised", Failing: "failing",
	Unfit: "no https", Lacking: "no such stream",
}
