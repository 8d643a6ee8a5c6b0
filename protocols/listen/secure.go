package listen

import (
	"crypto/tls"
	"net"
)

// Secure puts TLS over every connection that l accepts. The handshake happens with the first read or write, under the
// deadline that the protocol sets for it.
func Secure(l net.Listener, config *tls.Config) net.Listener {
	return &secured{Listener: l, config: config}
}

type secured struct {
	net.Listener
	config *tls.Config
}

// Accept implements [net.Listener].
func (s *secured) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(conn, s.config), nil
}
