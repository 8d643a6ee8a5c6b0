package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/geo"
	"weir/protocols"
)

// weighed is what was last measured of this node.
type weighed struct {
	mu    sync.Mutex
	load  control.Load
	at    time.Duration
	rates map[string]int64 // bits per second of the streams that are here

	// These belong to the goroutine that measures.
	output  meter
	streams map[string]*meter
}

// load measures what this node carries. It is called every two seconds, in the mailbox of the control actor.
func (n *Node) load() control.Load {
	now := n.env.Now()
	b := n.cfg.Outside.Burden()
	l := control.Load{Uptime: int64(now.Seconds()), CPU: b.CPU, Memory: b.Memory, Interface: b.Interface}
	for _, s := range n.sessions.List() {
		if s.Watches() {
			l.Clients++
		}
	}
	l.Captures = len(n.captures())
	w := &n.weighed
	l.OutBits = 8 * w.output.ramp(now, n.sent())
	rates, meters := map[string]int64{}, map[string]*meter{}
	for _, name := range n.streams.Names() {
		live, _, ok := n.streams.Get(name)
		if !ok {
			continue
		}
		m := w.streams[name]
		if m == nil {
			m = &meter{}
		}
		meters[name] = m
		rates[name] = 8 * m.rate(now, live.Hub.Volume())
	}
	w.streams = meters
	if n.balance != nil {
		l.Chosen = n.balance.perSecond(now)
	}
	if n.abroad != nil {
		srsShown{n}.measure(now)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.load, w.at, w.rates = l, now, rates
	return l
}

// sent counts what was sent to clients and other nodes. A viewer by playlist has no connection of his own: what he gets
// the HLS server counts.
func (n *Node) sent() (bytes uint64) {
	for proto, t := range n.sessions.Totals() {
		if proto != protocols.HLS {
			bytes += t.BytesOut
		}
	}
	if n.front != nil {
		bytes += n.front.hls.Stats().Bytes
	}
	return bytes
}

// measured is the newest load, and when it was measured.
func (n *Node) measured() (control.Load, time.Duration) {
	n.weighed.mu.Lock()
	defer n.weighed.mu.Unlock()
	return n.weighed.load, n.weighed.at
}

// rateOf is the bit rate of a stream that is here; zero if it is not, or not for long enough to tell.
func (n *Node) rateOf(stream string) int64 {
	n.weighed.mu.Lock()
	defer n.weighed.mu.Unlock()
	return n.weighed.rates[stream]
}

// trusted says whether a proxy at an address is believed whom it speaks for.
func (n *Node) trusted(a netip.Addr) bool {
	for _, p := range n.file().TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Missing says what a file needs of this machine and does not find: a database of countries.
func Missing(f *conf.File) (problems conf.Problems) {
	at, used := f.UsesCountries()
	if !used {
		return nil
	}
	path, err := geo.Find(f.GeoIP)
	if err == nil {
		_, err = geo.Open(path)
	}
	if err != nil {
		problems = append(problems, conf.Problem{Pos: at, Severity: conf.Error, Text: fmt.Sprintf("found `countries`, but %v", err)})
	}
	return problems
}

// openGeo opens the database of countries that a file wants, unless it is in use. Without one that is there it is an error
// only if countries are used.
func (n *Node) openGeo(f *conf.File) error {
	at, used := f.UsesCountries()
	if !used {
		n.geo.set(nil)
		return nil
	}
	path, err := geo.Find(f.GeoIP)
	if db := n.geo.get(); db != nil && (err != nil && f.GeoIP == "" || db.Path() == path || db.Path() == f.GeoIP) {
		return nil // the one in use is watched, and better than none
	}
	if err == nil {
		var db *geo.Database
		if db, err = geo.Open(path); err == nil {
			n.geo.set(db)
			return nil
		}
	}
	return fmt.Errorf("%s: countries are used: %w", at, err)
}

// geoPause is how often it is looked whether another database is in use.
const geoPause = time.Second

// watchGeo reads the database of countries again when its file changes.
func (n *Node) watchGeo(ctx context.Context) error {
	for ctx.Err() == nil {
		db := n.geo.get()
		if db == nil {
			if n.cfg.Outside.Clock.Wait(ctx, geoPause) != nil {
				return nil
			}
			continue
		}
		db.Watch(ctx, func() bool { return n.geo.get() != db }, func(err error) {
			if err != nil {
				n.log.Warn("the database of countries; the former one stays in use", slog.Any("err", err))
				return
			}
			n.log.Info("the database of countries was read again", slog.String("file", db.Path()))
		})
	}
	return nil
}
