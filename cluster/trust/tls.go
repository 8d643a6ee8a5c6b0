package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ServerTLS configures the accepting side of protoactor's remote: TLS 1.3, and a client whose certificate has exactly the public key
// that follows from one of the keys that count now. A client says which key it means by the server name; to one that means none of
// them the first is shown. keys is called for each connection, by any goroutine; while it gives none, every handshake fails. Names
// and dates in certificates mean nothing; there are no files and no authority.
func ServerTLS(keys func() []Keys) (*tls.Config, error) {
	c, err := first(keys()).serverTLS()
	if err != nil {
		return nil, err
	}
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		now := keys()
		for _, k := range now {
			if !k.Zero() && k.serverName() == hello.ServerName {
				return k.serverTLS()
			}
		}
		return first(now).serverTLS()
	}
	return c, nil
}

// first is the first of some keys, and the zero Keys if there are none, as after a reload of a file without keys.
func first(keys []Keys) Keys {
	if len(keys) == 0 {
		return Keys{}
	}
	return keys[0]
}

func (k Keys) serverTLS() (*tls.Config, error) {
	c, err := k.tls()
	if err != nil {
		return nil, err
	}
	c.ClientAuth = tls.RequireAnyClientCert // the signature is checked by TLS, whose key it is by verify
	return c, nil
}

// ClientTLS configures the dialling side; see [ServerTLS].
func (k Keys) ClientTLS() (*tls.Config, error) {
	c, err := k.tls()
	if err != nil {
		return nil, err
	}
	c.ServerName = k.serverName()
	c.InsecureSkipVerify = true // of names, chains and dates; verify demands the one public key instead
	return c, nil
}

// serverName tells a server that has several keys which one to show.
func (k Keys) serverName() string { return "weir-" + k.ID() }

func (k Keys) tls() (*tls.Config, error) {
	if k.Zero() {
		return nil, errors.New("TLS between nodes: no cluster key is set")
	}
	cert, err := k.certificate()
	if err != nil {
		return nil, err
	}
	public := cert.PrivateKey.(ed25519.PrivateKey).Public().(ed25519.PublicKey)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		// Unlike VerifyPeerCertificate it is called for resumed sessions too.
		VerifyConnection:       func(s tls.ConnectionState) error { return verify(s, public) },
		SessionTicketsDisabled: true, // a rotated key must count from the next connection on
	}, nil
}

func verify(s tls.ConnectionState, public ed25519.PublicKey) error {
	if len(s.PeerCertificates) != 1 {
		return fmt.Errorf("a node shows one certificate, not %d", len(s.PeerCertificates))
	}
	key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || !key.Equal(public) {
		return ErrWrongKey
	}
	return nil
}

// certificate signs itself. Everything in it is constant, so all nodes of a cluster show the same bytes.
func (k Keys) certificate() (tls.Certificate, error) {
	private := ed25519.NewKeyFromSeed(k.seed[:])
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "weir"},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, 4.1.2.5: no expiration date
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"weir"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the certificate of the cluster key: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
