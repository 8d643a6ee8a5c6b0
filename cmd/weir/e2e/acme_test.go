//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"weir/cluster/certificate/certificatetest"
	"weir/protocols/listen/listentest"
)

// pebbleVersion is that of the authority for tests that Let's Encrypt makes.
const pebbleVersion = "v2.10.3"

// An acmeServer is an authority with ACME, which looks names up in a DNS of its own: all are this machine.
type acmeServer struct {
	t                   *testing.T
	directory, managing string
	roots               *x509.CertPool // prove the certificates that it issues
	cmd                 *exec.Cmd
	log                 *logFile
}

// startACME starts the authority, which checks names at these ports of HTTP and TLS.
func startACME(t *testing.T, a *certificatetest.Authority, httpPort, tlsPort int) *acmeServer {
	t.Helper()
	dir := t.TempDir()
	install := exec.Command("go", "install", "github.com/letsencrypt/pebble/v2/cmd/pebble@"+pebbleVersion)
	install.Env, install.Dir = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod"), dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("installing pebble: %v\n%s", err, out)
	}
	certificate, key := a.Issue(t, "acme", time.Hour, "127.0.0.1")
	ports := listentest.Ports(t, 2)
	s := &acmeServer{
		t: t, directory: fmt.Sprintf("https://127.0.0.1:%d/dir", ports[0]), managing: fmt.Sprintf("https://127.0.0.1:%d", ports[1]), log: &logFile{},
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", ports[0]), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", ports[1]),
		"certificate": certificate, "privateKey": key, "httpPort": httpPort, "tlsPort": tlsPort,
		"profiles": map[string]any{"default": map[string]any{"description": "the only one", "validityPeriod": 90 * 24 * 3600}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(filepath.Join(dir, "pebble"), "-config", file, "-dnsserver", startDNS(t))
	s.cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.end()
		if t.Failed() {
			t.Logf("the authority said:\n%s", s.log)
		}
	})
	s.roots = s.askRoots(a)
	return s
}

func (s *acmeServer) end() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// askRoots waits until the authority answers.
func (s *acmeServer) askRoots(a *certificatetest.Authority) (pool *x509.CertPool) {
	s.t.Helper()
	asking := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Pool}}}
	eventually(s.t, 20*time.Second, "the authority tells its root", func() error {
		res, err := asking.Get(s.managing + "/roots/0")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if pool = x509.NewCertPool(); err == nil && !pool.AppendCertsFromPEM(text) {
			err = fmt.Errorf("it answers %s: %.100q", res.Status, text)
		}
		return err
	})
	return pool
}

// startDNS starts a server of names, which is asked over TCP and answers for each name that its address is 127.0.0.1 (RFC 1035, 4).
func startDNS(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for answerDNS(c) == nil {
				}
			}()
		}
	}()
	return l.Addr().String()
}

// answerDNS answers one question.
func answerDNS(c net.Conn) error {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	b := make([]byte, int(size[0])<<8|int(size[1]))
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	end := 12 // of the question
	for end < len(b) && b[end] != 0 {
		end += 1 + int(b[end])
	}
	if end += 5; end > len(b) {
		return io.ErrUnexpectedEOF
	}
	reply := append([]byte{0, 0, b[0], b[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, b[12:end]...)
	if b[end-3] == 1 { // its type is A
		reply[9] = 1
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1)
	}
	reply[0], reply[1] = byte((len(reply)-2)>>8), byte(len(reply)-2)
	_, err := c.Write(reply)
	return err
}

// An authority issues a certificate for a public name of a node, which it checks over HTTP or TLS, and the node keeps it.
func TestAuthorityIssuesTheCertificateOfAPublicName(t *testing.T) {
	for _, tt := range []struct{ name, listener string }{
		{"checked over TLS", "https"},
		{"checked over HTTP", "rtmps"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := certificatetest.New(t)
			port := listentest.Ports(t, 1)[0]
			dir := t.TempDir()
			var s *acmeServer
			c := start(t, 1, func(_ int, ports []int) string {
				checked := port
				if tt.listener != "https" {
					checked = 9 // nobody is there
				}
				s = startACME(t, a, ports[0], checked)
				return fmt.Sprintf("letsencrypt tv.example.com; letsencrypt_directory %s; letsencrypt_store %s; trusted_ca %s; %s 127.0.0.1:%d;\n",
					s.directory, dir, a.File, tt.listener, port)
			})
			shown := func() error {
				conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{ServerName: "tv.example.com", RootCAs: s.roots})
				if err != nil {
					return err
				}
				return conn.Close()
			}
			eventually(t, 90*time.Second, "the node shows a certificate of the authority", shown)
			if _, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{ServerName: "other.example.com", InsecureSkipVerify: true}); err == nil {
				t.Error("a certificate is shown for a name that is not in the file")
			}

			s.end()
			n := c.nodes[0]
			n.end()
			n.run(t)
			eventually(t, 20*time.Second, "it is kept: a node that is started again has it without the authority", shown)
		})
	}
}
