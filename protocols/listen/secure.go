package listen

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// certificateCheck is how often, at most, a handshake looks whether the files of a [Certificate] have changed.
const certificateCheck = time.Second

// A Certificate is a pair of PEM files that is read again when it changes.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	checked time.Time
	stamp   [2]fileStamp
	current *tls.Certificate // never nil
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// LoadCertificate reads a certificate chain and its private key.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	stamp, err := c.look()
	if err != nil {
		return nil, fmt.Errorf("reading TLS certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading TLS certificate %s with key %s: %w", certFile, keyFile, err)
	}
	c.current, c.stamp, c.checked = &pair, stamp, time.Now()
	return c, nil
}

// Config is a server's TLS configuration that presents the certificate as it is at each handshake. A changed pair that
// cannot be read, as in the moment between the renewal of the one file and the other, leaves the one before in force.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.fresh(), nil },
		// Small first records help pages; they would multiply the writes of a stream's first megabyte.
		DynamicRecordSizingDisabled: true,
	}
}

func (c *Certificate) fresh() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.checked) < certificateCheck {
		return c.current
	}
	c.checked = now
	stamp, err := c.look()
	if err == nil && stamp == c.stamp {
		return c.current
	}
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile); err == nil {
			c.current, c.stamp = &pair, stamp
			c.log.Info("TLS certificate changed, read again")
			return c.current
		}
	}
	c.log.Warn("TLS certificate cannot be read again, keeping the one before", slog.Any("err", err))
	return c.current
}

func (c *Certificate) look() (stamps [2]fileStamp, err error) {
	for i, file := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return stamps, err
		}
		stamps[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamps, nil
}

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
