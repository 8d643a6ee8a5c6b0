package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
)

// shake runs a handshake and says how it ended on both sides.
func shake(t *testing.T, client, server *tls.Config) (clientErr, serverErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		s := tls.Server(c, server)
		if err = s.Handshake(); err == nil {
			_, err = s.Write([]byte("x"))
		}
		done <- err
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := tls.Client(c, client)
	if err = s.Handshake(); err == nil {
		// In TLS 1.3 a client learns only afterwards that its certificate was refused.
		_, err = s.Read(make([]byte, 1))
	}
	c.Close()
	return err, <-done
}

func configs(t *testing.T, client, server Keys, others ...Keys) (c, s *tls.Config) {
	t.Helper()
	c, err := client.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	s, err = ServerTLS(func() []Keys { return append([]Keys{server}, others...) })
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func TestTLSTrustsTheClusterKeyAndNothingElse(t *testing.T) {
	key, wrong := Derive("abcd"), Derive("wrong")

	c, s := configs(t, key, key)
	if ce, se := shake(t, c, s); ce != nil || se != nil {
		t.Errorf("same key: client %v, server %v", ce, se)
	}
	c, s = configs(t, wrong, key)
	if ce, _ := shake(t, c, s); !errors.Is(ce, ErrWrongKey) {
		t.Errorf("wrong key: client error = %v, want %v", ce, ErrWrongKey)
	}
	careless := c.Clone() // takes any server
	careless.VerifyConnection = nil
	if ce, se := shake(t, careless, s); ce == nil || !errors.Is(se, ErrWrongKey) {
		t.Errorf("client that does not look, wrong key: client %v, server %v, want %v", ce, se, ErrWrongKey)
	}
	careless.Certificates = nil
	if ce, se := shake(t, careless, s); ce == nil || se == nil {
		t.Errorf("client without certificate: client %v, server %v, want errors", ce, se)
	}
	c, s = configs(t, key, key)
	c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if ce, se := shake(t, c, s); ce == nil || se == nil {
		t.Errorf("TLS 1.2: client %v, server %v, want errors", ce, se)
	}
}

func TestTLSRefusesTheRightPublicKeyWithoutItsPrivateKey(t *testing.T) {
	key := Derive("abcd")
	c, s := configs(t, key, key)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Certificates = []tls.Certificate{{Certificate: s.Certificates[0].Certificate, PrivateKey: private}}
	if ce, se := shake(t, c, s); ce == nil || se == nil {
		t.Errorf("stolen certificate: client %v, server %v, want errors", ce, se)
	}
	// A chain whose second certificate is right proves nothing either.
	template := &x509.Certificate{SerialNumber: big.NewInt(2)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	c.Certificates = []tls.Certificate{{Certificate: [][]byte{der, s.Certificates[0].Certificate[0]}, PrivateKey: private}}
	if ce, se := shake(t, c, s); ce == nil || se == nil {
		t.Errorf("right certificate behind another: client %v, server %v, want errors", ce, se)
	}
}

func TestPeerWithAKeyOfItsOwnIsMetByName(t *testing.T) {
	key, theirs := Derive("abcd"), Derive("theirs")
	c, s := configs(t, theirs, key, theirs)
	if ce, se := shake(t, c, s); ce != nil || se != nil {
		t.Errorf("the peer's own key: client %v, server %v", ce, se)
	}
	c, s = configs(t, key, key, theirs)
	if ce, se := shake(t, c, s); ce != nil || se != nil {
		t.Errorf("the common key: client %v, server %v", ce, se)
	}
}

func TestNoKeyGivesNoTLS(t *testing.T) {
	for _, keys := range [][]Keys{nil, {{}}} {
		if _, err := ServerTLS(func() []Keys { return keys }); err == nil {
			t.Errorf("ServerTLS with %d keys, none of them set: no error", len(keys))
		}
	}
	if _, err := (Keys{}).ClientTLS(); err == nil {
		t.Error("ClientTLS without a key: no error")
	}
}

// TestServerThatHasLostItsLastKeyRefusesHandshakes is a node whose reload has taken its last key away.
func TestServerThatHasLostItsLastKeyRefusesHandshakes(t *testing.T) {
	now := []Keys{Derive("abcd")}
	client, err := now[0].ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	server, err := ServerTLS(func() []Keys { return now })
	if err != nil {
		t.Fatal(err)
	}
	now = nil
	if ce, se := shake(t, client, server); ce == nil || se == nil || !strings.Contains(se.Error(), "no cluster key is set") {
		t.Errorf("no key is left: client %v, server %v, want errors", ce, se)
	}
}
