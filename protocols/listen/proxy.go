package listen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// headerDeadline is how long a trusted proxy may take to send the header of a connection.
const headerDeadline = 5 * time.Second

// maxProxyHeader bounds the header of the PROXY protocol, in bytes. Version 1 has at most 107.
const maxProxyHeader = 4 << 10

// BehindProxies wraps l so that connections from trusted addresses may begin with a header of the PROXY protocol,
// version 1 or 2: the address in it is then the connection's. A connection without a header keeps its own, so that a
// proxy may also pass requests on. trusted is asked for each connection.
//
// At most so many connections wait for their header at a time, since no limit counts them yet. One more takes the place of the oldest,
// which is then one without header.
//
// Closing the listener ends its goroutine.
func BehindProxies(l net.Listener, trusted func(netip.Addr) bool, most int, log *slog.Logger) net.Listener {
	return &proxiedListener{
		Listener: l, trusted: trusted, log: log, places: make(chan struct{}, most), ready: make(chan net.Conn), closed: make(chan struct{}),
	}
}

type proxiedListener struct {
	net.Listener
	trusted func(netip.Addr) bool
	log     *slog.Logger

	places chan struct{} // taken by connections that were accepted and not returned yet

	mu      sync.Mutex
	waiting []net.Conn // whose header is awaited, the oldest first

	start  sync.Once
	ready  chan net.Conn
	failed chan error // made by start; gets the error of the inner listener once
	close  sync.Once
	closed chan struct{}
}

// Accept implements [net.Listener].
func (b *proxiedListener) Accept() (net.Conn, error) {
	b.start.Do(func() {
		b.failed = make(chan error, 1)
		go b.accept()
	})
	select {
	case c := <-b.ready:
		return c, nil
	case err := <-b.failed:
		if passes(err) {
			go b.accept()
		} else {
			b.failed <- err // for the next Accept
		}
		return nil, err
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

func (b *proxiedListener) accept() {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			b.failed <- err
			return
		}
		if !b.trusted(RemoteAddr(c).Addr()) {
			b.deliver(c)
			continue
		}
		if !b.await(c) {
			_ = c.Close()
			return
		}
		go func() {
			defer func() { <-b.places }()
			p, err := readProxyHeader(c)
			b.read(c)
			if err != nil {
				if !errors.Is(err, io.EOF) { // a health check opens and closes
					b.log.Warn("a proxy's header cannot be read", slog.String("client", c.RemoteAddr().String()), slog.Any("err", err))
				}
				_ = c.Close()
				return
			}
			b.deliver(p)
		}()
	}
}

// await gives a place to a connection whose header is awaited, and says whether the listener is still open.
func (b *proxiedListener) await(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(headerDeadline))
	select {
	case b.places <- struct{}{}:
	default:
		b.hurry()
		select {
		case b.places <- struct{}{}:
		case <-b.closed:
			return false
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, c)
	return true
}

// hurry ends the wait for the header of the oldest connection.
func (b *proxiedListener) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 {
		_ = b.waiting[0].SetReadDeadline(time.Unix(1, 0))
		b.waiting = b.waiting[1:]
	}
}

// read notes that the header of a connection is awaited no more.
func (b *proxiedListener) read(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, c); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
	_ = c.SetReadDeadline(time.Time{})
}

func (b *proxiedListener) deliver(c net.Conn) {
	select {
	case b.ready <- c:
	case <-b.closed:
		_ = c.Close()
	}
}

// Close implements [net.Listener].
func (b *proxiedListener) Close() error {
	b.close.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// signature begins a header of version 2 of the PROXY protocol.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// readProxyHeader takes the header off a connection if there is one, until its deadline.
func readProxyHeader(c net.Conn) (net.Conn, error) {
	r := bufio.NewReaderSize(c, maxProxyHeader)
	head, err := parseProxyHeader(r)
	if errors.Is(err, errSilentClient) {
		err = nil // its client has nothing to say yet
	}
	if err != nil {
		return nil, err
	}
	p := &Conn{Conn: c, secure: head.secure}
	if head.remote.IsValid() {
		p.remote = net.TCPAddrFromAddrPort(head.remote)
	}
	if n := r.Buffered(); n > 0 {
		early, _ := r.Peek(n) // it is there
		p.early = bytes.Clone(early)
	}
	return p, nil
}

var errSilentClient = errors.New("nothing was sent")

// A proxyHeader is what a proxy says of its client.
type proxyHeader struct {
	remote netip.AddrPort // the zero one if the header has no address
	secure bool           // the client uses TLS
}

// parseProxyHeader reads a header; nothing is said where there is none.
func parseProxyHeader(r *bufio.Reader) (proxyHeader, error) {
	for n := 1; n <= len(signature); n++ {
		head, err := r.Peek(n)
		if len(head) < n {
			var silence net.Error
			if errors.As(err, &silence) && silence.Timeout() {
				return proxyHeader{}, errSilentClient
			}
			if errors.Is(err, io.EOF) && n > 1 {
				return proxyHeader{}, nil // too short for a header; the protocol judges it
			}
			return proxyHeader{}, err
		}
		switch {
		case strings.HasPrefix("PROXY ", string(head)):
			if n == len("PROXY ") {
				return parseProxyLine(r)
			}
		case !strings.HasPrefix(signature, string(head)):
			return proxyHeader{}, nil
		}
	}
	return parseProxyBinary(r)
}

// parseProxyLine reads version 1: `PROXY TCP4 SOURCE DESTINATION PORT PORT`, or `PROXY UNKNOWN …`.
func parseProxyLine(r *bufio.Reader) (proxyHeader, error) {
	const longest = 107
	var line []byte
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) >= longest {
			return proxyHeader{}, fmt.Errorf("a header of more than %d bytes", longest)
		}
		c, err := r.ReadByte()
		if err != nil {
			return proxyHeader{}, fmt.Errorf("reading the header: %w", err)
		}
		line = append(line, c)
	}
	fields := strings.Split(strings.TrimSuffix(string(line), "\r\n"), " ")
	if len(fields) >= 2 && fields[1] == "UNKNOWN" {
		return proxyHeader{}, nil
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return proxyHeader{}, fmt.Errorf("the header %q", line)
	}
	a, err := netip.ParseAddr(fields[2])
	if err != nil || a.Zone() != "" || (fields[1] == "TCP4") != a.Is4() {
		return proxyHeader{}, fmt.Errorf("the address in the header %q", line)
	}
	ap, err := netip.ParseAddrPort(net.JoinHostPort(fields[2], fields[4]))
	if err != nil {
		return proxyHeader{}, fmt.Errorf("the port in the header %q", line)
	}
	return proxyHeader{remote: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}, nil
}

// parseProxyBinary reads version 2.
func parseProxyBinary(r *bufio.Reader) (proxyHeader, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return proxyHeader{}, fmt.Errorf("reading the header: %w", err)
	}
	size := int(binary.BigEndian.Uint16(head[14:]))
	if head[12]>>4 != 2 || head[12]&15 > 1 || size > maxProxyHeader-len(head) {
		return proxyHeader{}, fmt.Errorf("a header of version %d, command %d, %d bytes", head[12]>>4, head[12]&15, size)
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return proxyHeader{}, fmt.Errorf("reading the header: %w", err)
	}
	if head[12]&15 == 0 { // LOCAL: the proxy itself, such as its health check
		return proxyHeader{}, nil
	}
	bits, port := 0, 0
	switch head[13] >> 4 {
	case 1: // AF_INET
		bits, port = 4, 8
	case 2: // AF_INET6
		bits, port = 16, 32
	default:
		return proxyHeader{}, nil
	}
	if size < port+4 {
		return proxyHeader{}, errors.New("the header is too short for its addresses")
	}
	a, _ := netip.AddrFromSlice(rest[:bits]) // of the right length
	return proxyHeader{remote: netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(rest[port:])), secure: overTLS(rest[port+4:])}, nil
}

// overTLS finds the field of a header of version 2 which says that the client has connected to the proxy over TLS
// (PP2_TYPE_SSL with PP2_CLIENT_SSL), among the fields behind the addresses.
func overTLS(fields []byte) bool {
	const typeSSL, clientSSL = 0x20, 0x01
	for len(fields) >= 3 {
		size := int(binary.BigEndian.Uint16(fields[1:]))
		if size > len(fields)-3 {
			return false
		}
		if fields[0] == typeSSL {
			return size > 0 && fields[3]&clientSSL != 0
		}
		fields = fields[3+size:]
	}
	return false
}
