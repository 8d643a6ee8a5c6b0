package listen

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/protocols"
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
		conn, err := Guard(f, protocols.RTMP, Deps{Log: quiet}).Accept()
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
	err := Accept(t.Context(), f, protocols.RTMP, Deps{Log: quiet}, func(*Conn) { t.Error("served") })
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
	go func() { ended <- Accept(ctx, l, protocols.RTMP, Deps{Log: quiet}, func(c *Conn) { served <- c }) }()
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

// serverConfig presents a new self-signed certificate.
func serverConfig(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<33, 0), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, DynamicRecordSizingDisabled: true,
	}
}
