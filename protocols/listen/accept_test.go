package listen

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

func TestBindNamesThePortThatIsInUse(t *testing.T) {
	l, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_, err = Bind(l.Addr().String())
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("second Bind = %v, want EADDRINUSE", err)
	}
	for _, want := range []string{"port " + port, "choose another port"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not contain %q", err, want)
		}
	}
	if _, err := Bind("1935"); err == nil || !strings.Contains(err.Error(), "HOST:PORT") {
		t.Errorf("Bind(\"1935\") = %v, want an error that names the form", err)
	}
}

func TestConnectionsAboveALimitAreClosedUntilOneLeaves(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
	}{
		{"in total", Limits{Total: 2}},
		{"per address", Limits{PerAddress: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner, err := Bind("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l := Guard(inner, c.limits, quiet)
			defer l.Close()
			served := make(chan net.Conn)
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					served <- conn
				}
			}()
			dial := func() net.Conn {
				conn, err := net.Dial("tcp", inner.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				return conn
			}
			dial()
			first := <-served
			dial()
			<-served
			if _, err := dial().Read(make([]byte, 1)); err == nil {
				t.Fatal("a third connection was kept")
			}
			if got := Rejected(l); got != 1 {
				t.Errorf("Rejected = %d, want 1", got)
			}
			first.Close()
			first.Close() // gives its place back once
			dial()
			<-served
			if _, err := dial().Read(make([]byte, 1)); err == nil {
				t.Error("a connection closed twice made room for two")
			}
		})
	}
}

// failing is a listener whose Accept fails some times before it gives a connection.
type failing struct {
	net.Listener
	errs  []error
	tries int
}

func (f *failing) Accept() (net.Conn, error) {
	f.tries++
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	a, b := net.Pipe()
	b.Close()
	return a, nil
}

func (f *failing) Close() error   { return nil }
func (f *failing) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptPausesLongerAndLongerWhileDescriptorsLack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failing{}
		for range 12 {
			f.errs = append(f.errs, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)})
		}
		start := time.Now()
		conn, err := Guard(f, Limits{}, quiet).Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		// 5 + 10 + … + 640 ms, then a second four times.
		if took, want := time.Since(start), 1275*time.Millisecond+4*time.Second; took != want {
			t.Errorf("waited %v over 12 failures, want %v", took, want)
		}
	})
}

func TestAcceptGivesUpOnAnErrorThatWillNotPass(t *testing.T) {
	f := &failing{errs: []error{syscall.EBADF}}
	err := Accept(t.Context(), f, Limits{}, quiet, func(net.Conn) { t.Error("served") })
	if !errors.Is(err, syscall.EBADF) || f.tries != 1 {
		t.Errorf("Accept = %v after %d tries, want EBADF after 1", err, f.tries)
	}
}

func TestAcceptReturnsNilWhenItsContextEnds(t *testing.T) {
	l, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan net.Conn, 1)
	ended := make(chan error)
	go func() { ended <- Accept(ctx, l, Limits{}, quiet, func(c net.Conn) { served <- c }) }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn := <-served
	defer conn.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Accept = %v, want nil", err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Errorf("a connection ended with its listener: %v", err)
	}
	if got, want := RemoteAddr(conn).String(), client.LocalAddr().String(); got != want {
		t.Errorf("RemoteAddr = %v, want %v", got, want)
	}
}

// writePair writes a new self-signed certificate with the given serial number and its key.
func writePair(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Unix(1<<33, 0), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func serverConfig(t *testing.T) *tls.Config {
	t.Helper()
	certFile, keyFile := writePair(t, t.TempDir(), 1)
	c, err := LoadCertificate(certFile, keyFile, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return c.Config()
}

func TestHandshakeAfterAChangeOfTheFilesShowsTheNewCertificate(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := writePair(t, dir, 1)
	cert, err := LoadCertificate(certFile, keyFile, quiet)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- Accept(ctx, Secure(l, cert.Config()), Limits{Total: 1}, quiet, func(c net.Conn) {
			if _, ok := c.(*tls.Conn); !ok {
				t.Errorf("served a %T, want a TLS connection", c)
			}
			_, _ = io.Copy(c, c)
			c.Close()
		})
	}()
	serial := func() int64 {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	// expire lets the next handshake look at the files.
	expire := func() {
		cert.mu.Lock()
		defer cert.mu.Unlock()
		cert.checked = time.Time{}
	}
	if got := serial(); got != 1 {
		t.Errorf("serial = %d, want 1", got)
	}
	if err := os.WriteFile(keyFile, []byte("half a renewal"), 0o600); err != nil {
		t.Fatal(err)
	}
	expire()
	if got := serial(); got != 1 {
		t.Errorf("serial while the files do not match = %d, want 1", got)
	}
	writePair(t, dir, 22222)
	expire()
	if got := serial(); got != 22222 {
		t.Errorf("serial after the renewal = %d, want 22222", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
