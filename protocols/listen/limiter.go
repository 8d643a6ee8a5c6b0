package listen

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/protocols"
)

// Limits bound what clients may hold of a node. In the zero Limits nothing is bounded but the time of bodies.
type Limits struct {
	// Connections is the most connections of all protocols together, those of other nodes included. Protocols are the most of
	// each listener's protocol; one that is missing has no limit of its own.
	Connections int
	Protocols   map[protocols.Protocol]int

	// PerAddress is the most connections of each remote address, whatever their protocols; the addresses of one IPv6 /64
	// network, which one host may all use, count as one. Connections of this machine and of trusted proxies, which bring the
	// clients of many addresses, are not counted.
	PerAddress int

	// Reserve is how many connections over HTTP and of [protocols.Cluster] are accepted above Connections and above the limit of
	// the protocol. They are for other nodes and the API alone.
	Reserve int

	// Body is the time for the whole body of a request, from the end of its head; zero means a minute.
	Body time.Duration
}

// A Limit names what a client has come up against. The names are labels of metrics.
type Limit string

// The limits.
const (
	LimitConnections      Limit = "connections"
	LimitProtocol         Limit = "protocol"
	LimitAddress          Limit = "address"
	LimitReserve          Limit = "reserve"
	LimitBody             Limit = "body"
	LimitNames            Limit = "names"
	LimitNamesOfAddress   Limit = "names_of_address"
	LimitViewersOfAddress Limit = "viewers_of_address"
)

// limitTexts say in the log what became of the clients.
var limitTexts = map[Limit]string{
	LimitConnections:      "connections are refused: as many are open as connection_limit or the limit of open files permits",
	LimitProtocol:         "connections are refused: as many of this protocol are open as may be",
	LimitAddress:          "connections are refused: as many of one address are open as connection_limit_per_address permits",
	LimitReserve:          "connections are closed that take the room of other nodes and of the API",
	LimitBody:             "connections are closed: the body of a request did not come within request_body_timeout",
	LimitNames:            "publishers are refused: they have made as many streams as name_limit permits",
	LimitNamesOfAddress:   "publishers are refused: one address has made as many streams as name_limit_per_address permits",
	LimitViewersOfAddress: "viewers are served without being counted: one address has as many as hls_viewer_limit_per_address permits",
}

// logEvery is how often the log tells of each limit at most.
const logEvery = time.Minute

// A Limiter bounds what clients hold of a node, over all its listeners, and counts what it refuses. The log tells of each limit
// at most once a minute, with the number of cases since. Any goroutine may use it; a nil Limiter bounds and counts nothing.
type Limiter struct {
	log    *slog.Logger
	exempt func(netip.Addr) bool

	mu         sync.Mutex
	limits     Limits
	open       int // all but those of the reserve
	byProtocol map[protocols.Protocol]int
	byAddress  map[netip.Prefix]int // no zero entries
	reserve    []*Conn              // those above the limits, the oldest first
	refused    map[Refusal]uint64
	told       map[Limit]*told
}

// A Refusal is a limit, and the protocol whose clients came up against it.
type Refusal struct {
	Limit    Limit
	Protocol protocols.Protocol
}

// told is what the log was told of a limit.
type told struct {
	since    uint64      // cases that it was not told of
	protocol string      // of the last case
	client   string      // of the last case
	timer    *time.Timer // ends the minute; nil when the next case is told at once
}

// NewLimiter returns a limiter. exempt says which addresses have no limit of their own, beside those of this machine; it may
// be nil.
func NewLimiter(l Limits, exempt func(netip.Addr) bool, log *slog.Logger) *Limiter {
	return &Limiter{
		log: log, exempt: exempt, limits: l,
		byProtocol: map[protocols.Protocol]int{}, byAddress: map[netip.Prefix]int{}, refused: map[Refusal]uint64{}, told: map[Limit]*told{},
	}
}

// Set changes the limits for the connections that come from now on.
func (l *Limiter) Set(to Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = to
}

// Limits are those in force.
func (l *Limiter) Limits() Limits {
	if l == nil {
		return Limits{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits
}

// bodyTime is the time for the body of a request.
func (l *Limiter) bodyTime() time.Duration {
	if d := l.Limits().Body; d > 0 {
		return d
	}
	return time.Minute
}

// Counts are the open connections by protocol, those of other nodes left out, and how often each limit was met since the start.
func (l *Limiter) Counts() (open map[protocols.Protocol]int, refused map[Refusal]uint64) {
	open, refused = map[protocols.Protocol]int{}, map[Refusal]uint64{}
	if l == nil {
		return open, refused
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, n := range l.byProtocol {
		open[p] = n
	}
	for r, n := range l.refused {
		refused[r] = n
	}
	return open, refused
}

// Refuse counts a client that has come up against a limit, and tells the log if it is time to.
func (l *Limiter) Refuse(limit Limit, p protocols.Protocol, client string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse(limit, p, client)
}

func (l *Limiter) refuse(limit Limit, p protocols.Protocol, client string) {
	l.refused[Refusal{limit, p}]++
	t := l.told[limit]
	if t == nil {
		t = &told{}
		l.told[limit] = t
	}
	t.since++
	t.protocol, t.client = string(p), client
	if t.timer == nil {
		l.tell(limit, t)
	}
}

// tell writes a line about a limit, and the next one in a minute if it is met again by then. The caller holds l.mu.
func (l *Limiter) tell(limit Limit, t *told) {
	l.log.Warn("clients met a limit", slog.String("err", limitTexts[limit]), slog.Uint64("dropped", t.since),
		slog.String("proto", t.protocol), slog.String("client", t.client))
	t.since = 0
	t.timer = time.AfterFunc(logEvery, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if t.timer = nil; t.since > 0 {
			l.tell(limit, t)
		}
	})
}

// admit says whether a connection gets a place. evicted is a connection of the reserve that must be closed for it.
func (l *Limiter) admit(c *Conn) (taken bool, evicted *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limits, met := &l.limits, Limit("")
	switch of := limits.Protocols[c.protocol]; {
	case limits.PerAddress > 0 && c.counted() && l.byAddress[c.network] >= limits.PerAddress:
		met = LimitAddress
	case of > 0 && l.byProtocol[c.protocol] >= of:
		met = LimitProtocol
	case limits.Connections > 0 && l.open >= limits.Connections:
		met = LimitConnections
	default:
		l.open++
		l.byProtocol[c.protocol]++
		if c.counted() {
			l.byAddress[c.network]++
		}
		c.place = placeOpen
		return true, nil
	}
	if met == LimitAddress || !reservable(c.protocol) || limits.Reserve == 0 {
		l.refuse(met, c.protocol, c.RemoteAddr().String())
		return false, nil
	}
	if evicted = l.admitReserved(c); evicted != nil {
		l.refuse(LimitReserve, c.protocol, evicted.RemoteAddr().String())
	}
	return true, evicted
}

// reservable says whether other nodes may be among the clients of a protocol.
func reservable(p protocols.Protocol) bool {
	return protocols.Of(p).Spoken() == protocols.HTTP || p == protocols.Cluster
}

// admitReserved gives a connection a place of the reserve. If all are taken, the oldest connection has to go: one that is from
// a node is proved within a round trip. An address may have a quarter of the places.
func (l *Limiter) admitReserved(c *Conn) (evicted *Conn) {
	same, oldest := 0, -1
	for i, r := range l.reserve {
		if r.network == c.network && c.counted() {
			if same++; oldest < 0 {
				oldest = i
			}
		}
	}
	switch {
	case same >= max(1, l.limits.Reserve/4):
	case len(l.reserve) >= l.limits.Reserve:
		oldest = 0
	default:
		oldest = -1
	}
	if oldest >= 0 {
		evicted = l.reserve[oldest]
		evicted.place = placeNone
		l.reserve = slices.Delete(l.reserve, oldest, oldest+1)
	}
	l.reserve = append(l.reserve, c)
	c.place = placeReserve
	return evicted
}

// leave gives the place of a connection back.
func (l *Limiter) leave(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(c)
}

// release gives a place back. The caller holds l.mu.
func (l *Limiter) release(c *Conn) {
	switch c.place {
	case placeOpen:
		l.open--
		l.byProtocol[c.protocol]--
		if c.counted() {
			if l.byAddress[c.network]--; l.byAddress[c.network] == 0 {
				delete(l.byAddress, c.network)
			}
		}
	case placeReserve:
		if i := slices.Index(l.reserve, c); i >= 0 {
			l.reserve = slices.Delete(l.reserve, i, i+1)
		}
	case placeProven:
		l.open--
	}
	c.place = placeNone
}

// prove notes that a connection is that of another node, or of somebody who may change this one: it counts for no protocol and no
// address any more, and needs no place of the reserve.
func (l *Limiter) prove(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place == placeOpen || c.place == placeReserve {
		l.release(c)
		l.open++
		c.place = placeProven
	}
}

// reserved says whether a connection has a place of the reserve.
func (l *Limiter) reserved(conn net.Conn) bool {
	c := connOf(conn)
	if c == nil || l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.place == placeReserve
}

// counts says whether connections of an address count for it.
func (l *Limiter) counts(a netip.Addr) bool {
	return a.IsValid() && !a.IsLoopback() && (l.exempt == nil || !l.exempt(a))
}

// A place is what a connection takes up under the limits.
type place uint8

const (
	placeNone    place = iota // it is closed, or nothing is limited
	placeOpen                 // one of its protocol and address
	placeReserve              // one above the limits
	placeProven               // one of another node
)

// Prove notes that the connection of a request is that of another node, or of somebody who may change this one. ctx is that of the
// request.
func Prove(ctx context.Context) {
	c, ok := ctx.Value(httpConnKey{}).(*httpConn)
	if !ok {
		return
	}
	if conn := connOf(c.conn); conn != nil {
		conn.Prove()
	}
}

// network is the part of an address that counts for [Limits.PerAddress].
func network(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // the zero prefix for a connection without address, such as a pipe
	return p
}

// Network is the part of an address that counts for limits per address, as text: the address, or the IPv6 network that one host may
// use as a whole. ok is false for addresses that bring the clients of many others, and for none.
func (l *Limiter) Network(a netip.Addr) (of netip.Prefix, ok bool) {
	a = a.Unmap().WithZone("")
	if l == nil || !l.counts(a) {
		return netip.Prefix{}, false
	}
	return network(a), true
}
