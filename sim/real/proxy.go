package real

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"weir/sim"
)

// A behaviour is what a link does with connections, as the faults that are on make it. What a packet network loses, TCP sends
// again: bytes on a link that is cut wait until it is whole.
type behaviour struct {
	cut, refuse, reject, clog, halfOpen int // faults of these kinds that are on
	delay                               sim.Range
	loss, reset, spike                  sim.PPM
	spikeBy                             sim.Range
	bandwidth                           int
}

// retransmit is how long TCP waits at first before it sends lost bytes again (RFC 6298, 2.4, as Linux has it).
const retransmit = 200 * time.Millisecond

// A link is the way from one node to another: a proxy for the connections that from opens to the HTTP of to. The
// connections to the actors of to pass the same link, but are accepted by another listener.
type link struct {
	from, to     *node
	back         *link  // from to to from
	at, upstream string // addresses of the proxy and of the node

	mu       sync.Mutex
	rng      *rand.Rand
	now      behaviour
	changed  chan struct{} // closed when now has changed
	up       bool          // the process of to runs
	dark     bool          // one of the two machines has no power
	listener net.Listener  // nil while connections are refused
	conns    map[*relayed]struct{}
	narrow   time.Time // when the last chunk of the link with a limited bandwidth has passed
}

// A relayed connection is one that passes a link.
type relayed struct {
	asker, asked net.Conn
	once         sync.Once
}

// end closes both sides, with a reset if broken is set.
func (c *relayed) end(broken bool) {
	c.once.Do(func() {
		for _, s := range []net.Conn{c.asker, c.asked} {
			if t, ok := s.(*net.TCPConn); ok && broken {
				_ = t.SetLinger(0)
			}
			_ = s.Close()
		}
	})
}

// set gives the link another behaviour, and opens or closes its listener.
func (l *link) set(b behaviour) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rejected := b.reject > 0 && l.now.reject == 0
	if l.now = b; b.bandwidth == 0 {
		l.narrow = time.Time{}
	}
	close(l.changed)
	l.changed = make(chan struct{})
	l.listen()
	if rejected {
		l.breakAll()
	}
}

// setUp says whether the process behind the link runs. The kernel of one that does not refuses connections.
func (l *link) setUp(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = up
	l.listen()
}

// listen opens or closes the listener as the link is now. The caller holds the lock.
func (l *link) listen() {
	open := l.up && l.now.refuse == 0
	switch {
	case open && l.listener == nil:
		ln, err := net.Listen("tcp", l.at)
		if err != nil {
			return // the port was free a moment ago; the peer is not reached, which the report shows
		}
		l.listener = ln
		go l.accept(ln)
	case !open && l.listener != nil:
		_ = l.listener.Close()
		l.listener = nil
	}
}

// breakAll resets all connections. The caller holds the lock.
func (l *link) breakAll() {
	for c := range l.conns {
		go c.end(true)
	}
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = false
	l.listen()
	l.breakAll()
}

func (l *link) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go l.serve(c, l.upstream)
	}
}

// serve carries a connection to an address of the asked node.
func (l *link) serve(asker net.Conn, upstream string) {
	if !l.pass(false) { // the handshake is lost as long as the link is cut
		_ = asker.Close()
		return
	}
	asked, err := net.DialTimeout("tcp", upstream, 5*time.Second)
	if err != nil {
		if t, ok := asker.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		_ = asker.Close()
		return
	}
	c := &relayed{asker: asker, asked: asked}
	l.mu.Lock()
	refused := l.now.refuse > 0
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	if refused {
		c.end(true)
	}
	var both sync.WaitGroup
	both.Go(func() { l.carry(c, asker, asked, false) })
	both.Go(func() { l.back.carry(c, asked, asker, true) })
	both.Wait()
	c.end(false)
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
}

// pass waits until the link lets bytes pass; false after a long time. Answer says that they answer a connection of the other
// direction.
func (l *link) pass(answer bool) bool {
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		b, dark, changed := l.state()
		var asked <-chan struct{}
		blocked := dark || b.cut+b.clog > 0
		if answer { // the link of the asker says whether answers come
			var a behaviour
			a, _, asked = l.back.state()
			blocked = blocked || a.halfOpen > 0
		}
		if !blocked {
			return true
		}
		select {
		case <-changed:
		case <-asked:
		case <-late.C:
			return false
		}
	}
}

// state gives the behaviour, whether one of the machines has no power, and a channel that is closed when that has changed.
func (l *link) state() (b behaviour, dark bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now, l.dark, l.changed
}

// power says whether both machines have power. Nothing passes otherwise, not even the end of a connection.
func (l *link) power(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dark = !on
	close(l.changed)
	l.changed = make(chan struct{})
}

// A fate is when bytes arrive: at due, or at wide if the bandwidth of their link is limited no longer. With broken set the connection breaks.
type fate struct {
	due, wide time.Time
	broken    bool
}

// A chunk is what was read at once, and what becomes of it.
type chunk struct {
	fate
	bytes []byte
	err   error // how the connection ended behind it
}

// carry carries the bytes of one direction.
func (l *link) carry(c *relayed, from, to net.Conn, answer bool) {
	chunks := make(chan chunk, 64)
	go func() {
		defer close(chunks)
		var last time.Time
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			f := l.fate(n)
			if f.broken {
				c.end(true)
				return
			}
			if f.due.Before(last) {
				f.due = last
			}
			last = f.due
			chunks <- chunk{f, buf[:n], err}
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		for range chunks { // lets the reader end
		}
	}()
	for ch := range chunks {
		l.wait(ch.fate)
		if !l.pass(answer) {
			c.end(false)
			return
		}
		if len(ch.bytes) > 0 {
			if _, err := to.Write(ch.bytes); err != nil {
				c.end(true)
				return
			}
		}
		switch {
		case ch.err == nil:
		case errors.Is(ch.err, io.EOF):
			if t, ok := to.(*net.TCPConn); ok {
				_ = t.CloseWrite()
			}
		default:
			c.end(true)
		}
	}
}

// wait waits until bytes arrive. Those that are queued for a limited bandwidth arrive at once when it is limited no longer.
func (l *link) wait(f fate) {
	for {
		b, _, changed := l.state()
		due := f.due
		if b.bandwidth == 0 {
			due = f.wide
		}
		d := time.Until(due)
		if d <= 0 {
			return
		}
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-changed:
		}
		timer.Stop()
	}
}

// fate draws what becomes of a chunk of so many bytes.
func (l *link) fate(bytes int) fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, now := l.now, time.Now()
	if bytes == 0 {
		return fate{due: now, wide: now}
	}
	hits := func(p sim.PPM) bool { return p > 0 && l.rng.IntN(1_000_000) < int(p) }
	draw := func(r sim.Range) time.Duration {
		return r.Min + time.Duration(l.rng.Int64N(int64(max(0, r.Max-r.Min))+1))
	}
	if hits(b.reset) {
		return fate{broken: true}
	}
	due := now.Add(draw(b.delay))
	if hits(b.spike) {
		due = due.Add(draw(b.spikeBy))
	}
	for again := retransmit; hits(b.loss) && again < time.Minute; again *= 2 {
		due = due.Add(again)
	}
	f := fate{due: due, wide: due}
	if b.bandwidth > 0 {
		if l.narrow.Before(now) {
			l.narrow = now
		}
		l.narrow = l.narrow.Add(time.Duration(bytes) * time.Second / time.Duration(b.bandwidth))
		f.due = due.Add(l.narrow.Sub(now))
	}
	return f
}
