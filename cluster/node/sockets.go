package node

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"weir/cluster/conf"
	"weir/protocols"
	"weir/protocols/listen"
)

// A socket is one address at which the node listens.
type socket struct {
	of   protocols.Descriptor // the protocol that is spoken there
	addr string
	l    net.Listener
	wrap func(net.Listener) net.Listener // what connections pass before the server of the protocol gets them

	once sync.Once
}

// sockets are the sockets of a node, in the order of the table of protocols. They are opened before the actors start, so that a
// port in use makes the start fail.
type sockets struct{ list []*socket }

// Of each, so many connections may wait for the header of a proxy.
func openSockets(f *conf.File, c *certificates, trusted func(netip.Addr) bool, awaiting int, log *slog.Logger) (_ *sockets, err error) {
	s := &sockets{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, d := range protocols.Listeners() {
		wrap := func(l net.Listener) net.Listener {
			l = listen.BehindProxies(l, trusted, awaiting, log)
			if config := c.config(d); config != nil {
				l = listen.OverTLS(l, config)
			}
			return l
		}
		for _, at := range f.Listeners[d.Protocol] {
			l, err := listen.Bind(at.Addr())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.Directive(), err)
			}
			s.list = append(s.list, &socket{of: d, addr: l.Addr().String(), l: wrap(l), wrap: wrap})
		}
	}
	return s, nil
}

func (s *sockets) close() {
	for _, k := range s.list {
		_ = k.l.Close()
	}
}

// ports are the ports of the first socket of each protocol.
func (s *sockets) ports() (ports protocols.Ports) {
	for _, k := range s.list {
		if p := ports.At(k.of.Protocol); *p == 0 {
			*p = portOf(k.l)
		}
	}
	return ports
}

// host is the host of a protocol's first socket; empty if the protocol has none.
func (s *sockets) host(p protocols.Protocol) string {
	for _, k := range s.list {
		if k.of.Protocol == p {
			host, _, _ := net.SplitHostPort(k.addr)
			return host
		}
	}
	return ""
}

// open returns, when it is called first, the listener that was opened at the start. Each later call opens a new listener at the
// same address, for a listener actor that was restarted.
func (k *socket) open() (l net.Listener, err error) {
	k.once.Do(func() { l = k.l })
	if l != nil {
		return l, nil
	}
	if l, err = listen.Bind(k.addr); err != nil {
		return nil, err
	}
	return k.wrap(l), nil
}

func portOf(l net.Listener) int {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0
	}
	p, _ := strconv.Atoi(port)
	return p
}
