// Package certificate holds the certificates with which a node proves who it is to clients that speak TLS: those of files, which it
// reads again when they change, and those that an authority with the ACME protocol (RFC 8555), such as Let's Encrypt, issues. It
// also reads the authorities that a node trusts.
//
// It knows no listener and no protocol within TLS.
package certificate

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxFile bounds a file of certificates or of a key, in bytes.
const maxFile = 1 << 20

// Files are a certificate, with those that lead from it to the authority behind it, and its key, in the form PEM. Both may be
// one file.
type Files struct{ Certificate, Key string }

// read reads the certificate and its key. sum tells whether they have changed.
func (f Files) read() (c *tls.Certificate, sum [sha256.Size]byte, err error) {
	chain, err := readFile(f.Certificate)
	if err != nil {
		return nil, sum, err
	}
	key, err := readFile(f.Key)
	if err != nil {
		return nil, sum, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, sum, fmt.Errorf("%s with the key %s: %w", f.Certificate, f.Key, err)
	}
	return &pair, sha256.Sum256(slices.Concat(chain, key)), nil
}

func readFile(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case fi.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes, expected at most %d", path, fi.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// Check says whether these files can be used.
func Check(f Files) error {
	_, _, err := f.read()
	return err
}

// A Store has the certificates of a node. Its methods may be called by any goroutine.
type Store struct {
	acme *ACME
	log  *slog.Logger

	now     atomic.Pointer[[]*entry] // in the order of the configuration; never changed, but replaced
	reading sync.Mutex               // held while files are read
}

// An entry is a certificate in use, and what is wrong with its files. It is immutable.
type entry struct {
	files       Files
	certificate *tls.Certificate
	sum         [sha256.Size]byte // of the files from which it came

	failing string    // why the files, as they were at the last look, are of no use; empty if they are in use
	since   time.Time // when that began
	told    bool      // the log was told
	aged    bool      // the log was told that the certificate in use expires soon
}

// New returns a store without certificates of files. acme may be nil.
func New(acme *ACME, log *slog.Logger) *Store { return &Store{acme: acme, log: log} }

// Use puts the certificates of these files into use, in place of those before; of several that fit a client, the first is shown.
// If one of the files that were not in use before cannot be read, Use changes nothing.
func (s *Store) Use(list []Files) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	before := s.entries()
	next := make([]*entry, 0, len(list))
	for _, f := range list {
		if i := slices.IndexFunc(before, func(e *entry) bool { return e.files == f }); i >= 0 {
			next = append(next, before[i])
			continue
		}
		c, sum, err := f.read()
		if err != nil {
			return fmt.Errorf("reading a certificate: %w", err)
		}
		next = append(next, &entry{files: f, certificate: c, sum: sum})
	}
	s.now.Store(&next)
	return nil
}

func (s *Store) entries() []*entry {
	if list := s.now.Load(); list != nil {
		return *list
	}
	return nil
}

// errNone says that there is no certificate for a client.
var errNone = errors.New("there is no certificate for the name that the client asks for")

// Config is for listeners that speak TLS. It need not be changed when the certificates change. protos are the names of the
// protocols within TLS, the best first (RFC 7301); none for a protocol that has no name.
func (s *Store) Config(protos ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protos, GetCertificate: s.certificate,
		DynamicRecordSizingDisabled: true, // media comes in large pieces
	}
}

// certificate is the one for a client: the first whose names have the one that it asks for, else the first of all, for clients that
// ask for an address or know the certificate.
func (s *Store) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	list := s.entries()
	if hello.ServerName != "" {
		for _, e := range list {
			if hello.SupportsCertificate(e.certificate) == nil {
				return e.certificate, nil
			}
		}
		if c, err := s.acme.certificate(hello); c != nil || err != nil {
			return c, err
		}
	}
	if len(list) == 0 {
		return nil, errNone
	}
	return list[0].certificate, nil
}

const (
	// look is how often files are read, to see whether they have changed.
	look = 2 * time.Second

	// soon is how long before its end a certificate of a file is told of.
	soon = 14 * 24 * time.Hour
)

// Watch puts files that have changed into use, until ctx ends. Files that are of no use leave the former certificate in use. The log
// is told of them at the second look, because a certificate and its key are not written at the same moment.
func (s *Store) Watch(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		s.again(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// again reads the files again.
func (s *Store) again(now time.Time) {
	s.reading.Lock()
	defer s.reading.Unlock()
	next := make([]*entry, 0, len(s.entries()))
	for _, e := range s.entries() {
		next = append(next, e.again(now, s.log))
	}
	s.now.Store(&next)
}

// again gives the entry after another look at its files.
func (e *entry) again(now time.Time, log *slog.Logger) *entry {
	is := *e
	c, sum, err := e.files.read()
	switch {
	case err == nil && sum == e.sum:
		is.failing, is.told = "", false
	case err == nil:
		is = entry{files: e.files, certificate: c, sum: sum}
		log.Info("a certificate has changed and is in use")
	case e.failing != err.Error():
		if e.failing == "" {
			is.since = now
		}
		is.failing, is.told = err.Error(), false
	case !e.told:
		is.told = true
		log.Error("a certificate cannot be read again; the former one stays in use", slog.Any("err", err))
	}
	if expires := is.certificate.Leaf.NotAfter; !is.aged && expires.Sub(now) < soon {
		is.aged = true
		log.Warn("a certificate expires soon", slog.Any("err", fmt.Errorf("%s: %s", e.files.Certificate, until(expires, now))))
	}
	return &is
}

// until says when a certificate expires.
func until(expires, now time.Time) string {
	if left := expires.Sub(now); left > 0 {
		return fmt.Sprintf("it expires in %d hours, at %s", int(left.Hours()), expires.UTC().Format(time.RFC3339))
	}
	return "it has expired at " + expires.UTC().Format(time.RFC3339)
}

// A Problem is something about certificates that an operator should mend.
type Problem struct {
	Text string
	For  time.Duration // how long it has lasted; zero if that is not known
}

// Problems are those of now.
func (s *Store) Problems(now time.Time) (list []Problem) {
	for _, e := range s.entries() {
		if e.told {
			list = append(list, Problem{"the certificate cannot be read again, the former one is in use: " + e.failing, now.Sub(e.since)})
		}
		if expires := e.certificate.Leaf.NotAfter; expires.Sub(now) < soon {
			list = append(list, Problem{"the certificate " + e.files.Certificate + ": " + until(expires, now), 0})
		}
	}
	return append(list, s.acme.problems(now)...)
}

// Authorities are those that this machine trusts and those in files, in the form PEM. Without files they are nil, which stands for the
// machine's.
func Authorities(files ...string) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the authorities of the system: %w", err)
	}
	for _, f := range files {
		text, err := readFile(f)
		if err != nil {
			return nil, fmt.Errorf("reading an authority: %w", err)
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("reading an authority: no certificate is in %s", f)
		}
	}
	return pool, nil
}
