package node

import (
	"fmt"
	"net/netip"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/geo"
)

// measure measures what this node carries, for the control actor.
func (n *Node) measure() control.Load {
	now := n.env.Now()
	if n.srsAPI != nil {
		n.srsAPI.Measure(now)
	}
	return n.load.Measure(now)
}

// playlists counts the bytes that viewers by playlist were sent.
func (n *Node) playlists() uint64 {
	if n.servers == nil {
		return 0
	}
	return n.servers.hls.Stats().Bytes
}

// chosen is how many clients per second were sent to other servers.
func (n *Node) chosen(now time.Duration) int {
	if n.balancers == nil {
		return 0
	}
	return n.balancers.PerSecond(now)
}

// trusted says whether the proxy at an address is believed what it says about its clients.
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

// useCountries puts the database of countries that a file wants into use. One that is missing is an error only if countries
// are used.
func (n *Node) useCountries(f *conf.File) error {
	at, used := f.UsesCountries()
	if !used {
		n.geo.Drop()
		return nil
	}
	if err := n.geo.Use(f.GeoIP); err != nil {
		return fmt.Errorf("%s: countries are used: %w", at, err)
	}
	return nil
}
