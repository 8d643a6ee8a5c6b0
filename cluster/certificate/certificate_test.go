package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/cluster/certificate/certificatetest"
)

// shown is the common name of the certificate that a client gets which asks for a name; empty if it gets none.
func shown(s *Store, name string) string {
	client, server := net.Pipe()
	go func() { _ = tls.Server(server, s.Config()).Handshake() }()
	c := tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	defer client.Close()
	if c.Handshake() != nil {
		return ""
	}
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestClientGetsTheCertificateOfTheNameThatItAsksFor(t *testing.T) {
	a := certificatetest.New(t)
	files := func(base string, names ...string) Files {
		c, k := a.Issue(t, base, time.Hour, names...)
		return Files{c, k}
	}
	s := New(nil, slog.New(slog.DiscardHandler))
	if got := shown(s, "a.example.com"); got != "" {
		t.Errorf("without any, %s is shown", got)
	}
	if err := s.Use([]Files{files("a", "a.example.com", "10.0.0.1"), files("b", "b.example.com"), files("w", "*.tv.example.com")}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a.example.com": "a.example.com", "B.example.com": "b.example.com", "x.tv.example.com": "*.tv.example.com",
		"other.example.com": "a.example.com", "10.0.0.1": "a.example.com", "": "a.example.com",
	} {
		if got := shown(s, name); got != want {
			t.Errorf("who asks for %q gets %q, want %q", name, got, want)
		}
	}
	if err := s.Use([]Files{files("b", "b.example.com"), {"/nowhere", "/nowhere"}}); err == nil || shown(s, "a.example.com") != "a.example.com" {
		t.Errorf("Use of a file that is not there: error %v, want one and the certificates as before", err)
	}
	if err := s.Use([]Files{files("w", "*.tv.example.com")}); err != nil || shown(s, "a.example.com") != "*.tv.example.com" {
		t.Errorf("Use of fewer: error %v", err)
	}
}

// reloadTests change the files of a certificate, and say what a client gets two looks later, and what is to be mended.
var reloadTests = []struct {
	name    string
	change  func(t *testing.T, a *certificatetest.Authority, f Files)
	shown   string
	problem string // a part of it; empty for none
	lines   int    // of the log
}{
	{"nothing", func(*testing.T, *certificatetest.Authority, Files) {}, "old", "", 0},
	{"another certificate", func(t *testing.T, a *certificatetest.Authority, _ Files) { a.Issue(t, "c", 1000*time.Hour, "new") }, "new", "", 1},
	{"garbage", func(t *testing.T, _ *certificatetest.Authority, f Files) { write(t, f.Certificate, "garbage") }, "old", "failed to find any PEM data", 1},
	{"an empty key", func(t *testing.T, _ *certificatetest.Authority, f Files) { write(t, f.Key, "") }, "old", "failed to find any PEM data in key", 1},
	{"the key of another", func(t *testing.T, a *certificatetest.Authority, f Files) {
		_, key := a.Issue(t, "other", time.Hour, "other")
		text, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, f.Key, string(text))
	}, "old", "private key does not match", 1},
	{"it is gone", func(t *testing.T, _ *certificatetest.Authority, f Files) {
		if err := os.Remove(f.Certificate); err != nil {
			t.Fatal(err)
		}
	}, "old", "no such file", 1},
	{"one that expires soon", func(t *testing.T, a *certificatetest.Authority, _ Files) { a.Issue(t, "c", 30*time.Hour, "new") }, "new", "expires in 29 hours", 2},
	{"one that has expired", func(t *testing.T, a *certificatetest.Authority, _ Files) { a.Issue(t, "c", -time.Minute, "new") }, "new", "has expired", 2},
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A logText is what was logged, by any goroutine.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestFilesThatChangeAreReadAgain(t *testing.T) {
	for _, tt := range reloadTests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := certificatetest.New(t)
				c, k := a.Issue(t, "c", 1000*time.Hour, "old")
				var log logText
				s := New(nil, slog.New(slog.NewTextHandler(&log, nil)))
				if err := s.Use([]Files{{c, k}}); err != nil {
					t.Fatal(err)
				}
				go func() { _ = s.Watch(t.Context()) }()
				time.Sleep(look / 2)
				tt.change(t, a, Files{c, k})
				time.Sleep(look)
				synctest.Wait()
				if strings.Contains(log.String(), "cannot be read") {
					t.Errorf("files that may still be written are told of:\n%s", &log)
				}
				time.Sleep(10 * look)
				synctest.Wait()
				if got := shown(s, "x"); got != tt.shown {
					t.Errorf("clients get the certificate %q, want %q", got, tt.shown)
				}
				problems := s.Problems(time.Now())
				if (len(problems) > 0) != (tt.problem != "") || len(problems) > 0 && !strings.Contains(problems[0].Text, tt.problem) {
					t.Errorf("problems are %v, want %q", problems, tt.problem)
				}
				if n := strings.Count(log.String(), "\n"); n != tt.lines {
					t.Errorf("the log says\n%swant %d lines", &log, tt.lines)
				}
				if strings.Contains(log.String(), "PRIVATE") {
					t.Error("a key is in the log")
				}

				a.Issue(t, "c", 2000*time.Hour, "mended")
				time.Sleep(2 * look)
				synctest.Wait()
				if got := shown(s, "x"); got != "mended" || len(s.Problems(time.Now())) > 0 {
					t.Errorf("once it is mended, clients get %q with the problems %v", got, s.Problems(time.Now()))
				}
			})
		})
	}
}

func TestAuthoritiesOfFilesAreTrustedBesidesThoseOfTheMachine(t *testing.T) {
	if pool, err := Authorities(); pool != nil || err != nil {
		t.Errorf("Authorities() = %v, %v, want nil", pool, err)
	}
	a := certificatetest.New(t)
	pool, err := Authorities(a.File)
	if err != nil {
		t.Fatal(err)
	}
	c, k := a.Issue(t, "c", time.Hour, "a.example.com")
	pair, err := tls.LoadX509KeyPair(c, k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "a.example.com"}); err != nil {
		t.Errorf("a certificate of the authority is not trusted: %v", err)
	}
	garbage := a.File + ".garbage"
	write(t, garbage, "garbage")
	for _, bad := range []string{garbage, "/nowhere"} {
		if _, err := Authorities(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("Authorities(%s): error = %v, want one that names it", bad, err)
		}
	}
}
