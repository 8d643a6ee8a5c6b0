package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

const (
	// ChallengePath begins the paths of the requests by which an authority checks over HTTP that a name leads to this node
	// (RFC 8555, 8.3).
	ChallengePath = "/.well-known/acme-challenge/"

	// ChallengeProtocol is the protocol within TLS by which it checks the same over TLS (RFC 8737).
	ChallengeProtocol = acme.ALPNProto

	// DefaultDirectory is the URL of the authority Let's Encrypt.
	DefaultDirectory = autocert.DefaultACMEDirectory
)

// ACMEConfig says how certificates are had from an authority.
type ACMEConfig struct {
	Directory string         // the URL of the authority; empty for [DefaultDirectory]
	Email     string         // to which the authority writes; empty for none
	Store     string         // the directory in which keys and certificates are kept
	Roots     *x509.CertPool // proves the authority; nil for the system's
	Log       *slog.Logger
}

// ACME has the certificates that an authority has issued for names that lead to this node. They are asked for in [ACME.Run], never while
// a client shakes hands. A nil ACME has none. Its methods may be called by any goroutine.
type ACME struct {
	log     *slog.Logger
	manager *autocert.Manager

	mu     sync.Mutex
	names  map[string]*issued // those to be had, in lower case
	change chan struct{}      // gets a value when names has changed; holds one
}

// issued is what has become of one name. ACME.mu guards it.
type issued struct {
	certificate *tls.Certificate // nil as long as there is none
	failing     string           // why the last request failed; empty if it did not
	since       time.Time        // when the requests began to fail
	failures    int              // since the last success
	next        time.Time        // when to ask next
}

// NewACME returns an ACME without names.
func NewACME(c ACMEConfig) *ACME {
	a := &ACME{log: c.Log, names: map[string]*issued{}, change: make(chan struct{}, 1)}
	if c.Directory == "" {
		c.Directory = DefaultDirectory
	}
	a.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(c.Store), Email: c.Email,
		HostPolicy: func(_ context.Context, name string) error {
			if !a.has(name) {
				return fmt.Errorf("no certificate is to be had for %q", name)
			}
			return nil
		},
		Client: &acme.Client{DirectoryURL: c.Directory, HTTPClient: &http.Client{
			Timeout: time.Minute, Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: c.Roots},
				DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
			},
		}},
	}
	return a
}

// Use sets the names for which certificates are to be had.
func (a *ACME) Use(names []string) {
	a.mu.Lock()
	next := make(map[string]*issued, len(names))
	for _, n := range names {
		if next[n] = a.names[n]; next[n] == nil {
			next[n] = &issued{}
		}
	}
	a.names = next
	a.mu.Unlock()
	select {
	case a.change <- struct{}{}:
	default:
	}
}

// has says whether a certificate is to be had for a name, behind which the port may stand at which the node was asked.
func (a *ACME) has(name string) bool {
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.names[strings.ToLower(name)] != nil
}

// certificate is the one for a client, or for an authority that checks the name; nil if there is none.
func (a *ACME) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if a == nil {
		return nil, nil
	}
	name := strings.ToLower(hello.ServerName)
	a.mu.Lock()
	is := a.names[name]
	var have *tls.Certificate
	if is != nil {
		have = is.certificate
	}
	a.mu.Unlock()
	if is != nil && slices.Equal(hello.SupportedProtos, []string{ChallengeProtocol}) {
		return a.manager.GetCertificate(hello)
	}
	return have, nil
}

// Challenges answers the requests below [ChallengePath].
func (a *ACME) Challenges() http.Handler {
	return a.manager.HTTPHandler(http.NotFoundHandler())
}

const (
	// renewal is how often a certificate is asked for again; the manager renews it in time by itself.
	renewal = time.Minute

	// After a failure the next request waits, twice as long after each. Let's Encrypt permits five failures an hour.
	firstWait, longestWait = time.Minute, time.Hour
)

// Run asks for the certificates until ctx ends.
func (a *ACME) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for _, name := range a.due(time.Now()) {
			// A request that is under way when ctx ends has no one to wait for it.
			answer := make(chan error, 1)
			go func() { answer <- a.ask(name) }()
			select {
			case err := <-answer:
				a.asked(name, err, time.Now())
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.change:
		case <-tick.C:
		}
	}
}

// due lists the names for which it is time to ask.
func (a *ACME) due(now time.Time) (names []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, is := range a.names {
		if !is.next.After(now) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ask has the manager give the certificate of a name, from its memory, from its directory, or from the authority.
func (a *ACME) ask(name string) error {
	c, err := a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName: name, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256},
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if is := a.names[name]; is != nil {
		if is.certificate == nil {
			a.log.Info("an authority has issued a certificate for a name of this node")
		}
		is.certificate = c
	}
	return nil
}

// asked notes what has become of a request.
func (a *ACME) asked(name string, err error, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	is := a.names[name]
	switch {
	case is == nil:
	case err == nil:
		is.failing, is.failures, is.next = "", 0, now.Add(renewal)
	default:
		if is.failures == 0 {
			is.since = now
			a.log.Error("an authority issues no certificate", slog.Any("err", fmt.Errorf("%s: %w", name, err)))
		}
		is.failing, is.next = err.Error(), now.Add(min(firstWait<<min(is.failures, 10), longestWait))
		is.failures++
	}
}

// problems are what an operator should mend.
func (a *ACME) problems(now time.Time) (list []Problem) {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, is := range a.names {
		if is.failing != "" {
			list = append(list, Problem{"no certificate is issued for " + name + ": " + is.failing, now.Sub(is.since)})
		}
	}
	slices.SortFunc(list, func(p, q Problem) int { return strings.Compare(p.Text, q.Text) })
	return list
}
