package rtsp

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"weir/codecs/rtp"
)

var errNoDatagrams = errors.New("no free pair of UDP ports")

// A mediumSockets is the two UDP sockets of a medium.
type mediumSockets struct {
	pair   [2]*net.UDPConn
	to     [2]*net.UDPAddr // of the server; nil where it has not said
	closed sync.WaitGroup
}

func (s *mediumSockets) close() {
	if s == nil {
		return
	}
	for _, c := range s.pair {
		_ = c.Close()
	}
	s.closed.Wait()
}

func (s *mediumSockets) report(b []byte) {
	if s.to[1] != nil {
		_, _ = s.pair[1].WriteToUDP(b, s.to[1])
	}
}

// setUpUDP asks for a medium over UDP.
func (p *pulling) setUpUDP(to *pulledMedium) error {
	pair, err := bindUDP("")
	if err != nil {
		return fmt.Errorf("%w: %w", errNoDatagrams, err)
	}
	s := &mediumSockets{pair: pair}
	port := pair[0].LocalAddr().(*net.UDPAddr).Port
	m, err := p.wanted("SETUP", to.uri, fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d", port, port+1))
	if err != nil {
		s.close()
		return err
	}
	t := agreed(m.header.first("transport"))
	server := p.nc.RemoteAddr().(*net.TCPAddr).IP
	if ip := net.ParseIP(t.source); ip != nil {
		server = ip
	}
	for i := range s.pair {
		_ = s.pair[i].SetReadBuffer(udpBuffer)
		if t.ports[i] != 0 {
			s.to[i] = &net.UDPAddr{IP: server, Port: t.ports[i]}
			_, _ = s.pair[i].WriteToUDP([]byte{0x80, 0xc9, 0, 1, 0, 0, 0, 0}, s.to[i]) // opens a way through firewalls
		}
	}
	p.udp, to.sockets = true, s
	for i := range s.pair {
		s.closed.Go(func() { p.datagrams(to, i == 1, server) })
	}
	return nil
}

// datagrams takes the packets of one socket until it is closed.
func (p *pulling) datagrams(m *pulledMedium, control bool, server net.IP) {
	conn := m.sockets.pair[0]
	if control {
		conn = m.sockets.pair[1]
	}
	var order rtp.Reorderer
	buf := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFromUDP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || !from.IP.Equal(server) {
			continue
		}
		due := [][]byte{append([]byte(nil), buf[:n]...)}
		if !control {
			due = order.Push(due[0])
		}
		p.mu.Lock()
		for _, b := range due {
			if err := p.takeLocked(m, control, b); err != nil {
				_ = p.nc.Close()
			}
		}
		p.mu.Unlock()
	}
}
