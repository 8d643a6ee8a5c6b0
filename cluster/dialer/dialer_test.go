package dialer

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"weir/protocols/listen/listentest"
)

// A peer is a listener, the connections that it has accepted, and what a Dialer says of them.
type peer struct {
	t        *testing.T
	addr     string // as it is dialled
	l        net.Listener
	accepted chan net.Conn
	dialer   *Dialer
	broken   chan string
}

func newPeer(t *testing.T, host string) *peer {
	p := &peer{t: t, accepted: make(chan net.Conn, 4), broken: make(chan string, 4)}
	p.addr = net.JoinHostPort(host, strconv.Itoa(listentest.Ports(t, 1)[0]))
	p.dialer = &Dialer{Broken: func(addr string) { p.broken <- addr }}
	p.listen()
	return p
}

func (p *peer) listen() {
	p.t.Helper()
	_, port, _ := net.SplitHostPort(p.addr)
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		p.t.Fatal(err)
	}
	p.l = l
	p.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.accepted <- c
		}
	}()
}

// connect opens a connection, whose ends the other side sees as seen says.
func (p *peer) connect(seen func(local, remote netip.AddrPort) (netip.AddrPort, netip.AddrPort)) (here *Conn, there net.Conn) {
	p.t.Helper()
	c, err := p.dialer.DialContext(p.t.Context(), "tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	there = <-p.accepted
	here = c.(*Conn)
	here.Ends(seen(addrPort(there.LocalAddr()), addrPort(there.RemoteAddr())))
	p.t.Cleanup(func() { _ = here.Close() })
	return here, there
}

// read waits for the end of a connection, as net/http does while it is idle.
func (p *peer) read(c net.Conn) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = c.Read(make([]byte, 1))
	}()
	return over
}

func straight(local, remote netip.AddrPort) (netip.AddrPort, netip.AddrPort) { return local, remote }

func TestEndOfTheOtherSideIsNoticedAndItsRefusalBelieved(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "localhost"} {
		p := newPeer(t, host)
		here, there := p.connect(straight)
		over := p.read(here)
		_ = p.l.Close()
		_ = there.Close()
		<-over
		if got := <-p.broken; got != p.addr {
			t.Errorf("the connection to %s is said to be broken, want %s", got, p.addr)
		}
		if _, err := p.dialer.DialContext(t.Context(), "tcp", p.addr); !errors.Is(err, ErrRefused) {
			t.Errorf("dialling %s: %v, want %v", p.addr, err, ErrRefused)
		}
		p.listen()
		if c, err := p.dialer.DialContext(t.Context(), "tcp", p.addr); err != nil {
			t.Errorf("dialling %s once it listens again: %v", p.addr, err)
		} else {
			_ = c.Close()
		}
	}
}

func TestResetIsABreak(t *testing.T) {
	p := newPeer(t, "127.0.0.1")
	here, there := p.connect(straight)
	over := p.read(here)
	_ = there.(*net.TCPConn).SetLinger(0)
	_ = there.Close()
	<-over
	<-p.broken
}

// What stands in between has other addresses at its two sides.
func TestConnectionsThroughOthersSayNothing(t *testing.T) {
	other := netip.MustParseAddrPort("10.0.0.9:80")
	for name, seen := range map[string]func(l, r netip.AddrPort) (netip.AddrPort, netip.AddrPort){
		"a proxy":                      func(netip.AddrPort, netip.AddrPort) (netip.AddrPort, netip.AddrPort) { return other, other },
		"the node is elsewhere":        func(_, r netip.AddrPort) (netip.AddrPort, netip.AddrPort) { return other, r },
		"this node is seen as another": func(l, _ netip.AddrPort) (netip.AddrPort, netip.AddrPort) { return l, other },
	} {
		p := newPeer(t, "127.0.0.1")
		here, there := p.connect(seen)
		over := p.read(here)
		_ = p.l.Close()
		_ = there.Close()
		<-over
		if _, err := p.dialer.DialContext(t.Context(), "tcp", p.addr); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%s: dialling: %v, want an error of no meaning", name, err)
		}
		if len(p.broken) > 0 {
			t.Errorf("%s: %d breaks, want none", name, len(p.broken))
		}
	}
}

func TestAddressThatRefusedFromTheStartSaysNothing(t *testing.T) {
	p := newPeer(t, "127.0.0.1")
	_ = p.l.Close()
	if _, err := p.dialer.DialContext(t.Context(), "tcp", p.addr); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("dialling: %v, want an error of no meaning", err)
	}
	_, port, _ := net.SplitHostPort(p.addr)
	p.dialer.straight = map[string]netip.AddrPort{p.addr: netip.MustParseAddrPort("127.0.0.9:" + port)}
	if _, err := p.dialer.DialContext(t.Context(), "tcp", p.addr); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("dialling a name that led elsewhere before: %v, want an error of no meaning", err)
	}
}

func TestSilenceAndTheEndByThisSideAreNoBreaks(t *testing.T) {
	p := newPeer(t, "127.0.0.1")
	here, _ := p.connect(straight)
	_ = here.SetReadDeadline(time.Unix(1, 0))
	if _, err := here.Read(make([]byte, 1)); err == nil {
		t.Error("Read returns nothing behind its deadline")
	}
	_ = here.SetReadDeadline(time.Time{})
	over := p.read(here)
	_ = here.Close()
	<-over
	if len(p.broken) > 0 {
		t.Errorf("%d breaks, want none", len(p.broken))
	}
}
