// Package geo looks up the country of an address in a MaxMind database (GeoLite2 or GeoIP2, Country or City), and reads
// the file again when it changes.
//
// It knows no balancer and no client.
package geo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Places are where a database is looked for when the file names none, in order.
var Places = []string{"/usr/share/GeoIP/GeoLite2-Country.mmdb", "/usr/share/GeoIP/GeoLite2-City.mmdb"}

// ErrNone says that there is no database.
var ErrNone = errors.New("no database of countries")

// Find gives the path of the database: given if it is not empty, else the first of [Places] that is there. The error
// wraps [ErrNone] and says which files were looked for.
func Find(given string) (string, error) {
	if given != "" {
		if _, err := os.Stat(given); err != nil {
			return "", fmt.Errorf("%w: %w", ErrNone, err)
		}
		return given, nil
	}
	for _, p := range Places {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: neither %s is there; write `geoip FILE;` or use --geoip", ErrNone, strings.Join(Places, " nor "))
}

const (
	// maxSize bounds a database. The largest of MaxMind's have some hundred megabytes.
	maxSize = 2 << 30

	// firstLook is how many networks are tried before the first use, for which the start of the node waits. A Country
	// database has no more.
	firstLook = 1_000_000
)

// A Database is a database that is in use, with the file from which it came, or none, as at first. Any goroutine may use it.
type Database struct {
	now atomic.Pointer[maxminddb.Reader] // in memory, so that a file that is cut short does not end the process; nil for none

	reading sync.Mutex // held while a file is read; guards seen and last
	seen    stamp      // of the file when it was last read, whatever came of it
	last    stamp      // of the file when it was last looked at

	mu     sync.Mutex // what follows
	path   string     // empty for none; changed only with reading held too
	broken string     // why the file that is there now is not in use
	since  time.Time  // when that began
}

// A stamp tells whether a file was changed. The zero stamp is that of no file.
type stamp struct {
	size     int64
	modified time.Time
	file     os.FileInfo // one that replaces another of the same age and size is another file
}

func (s stamp) same(t stamp) bool {
	return s.size == t.size && s.modified.Equal(t.modified) &&
		(s.file == nil) == (t.file == nil) && (s.file == nil || os.SameFile(s.file, t.file))
}

func stampOf(path string) stamp {
	fi, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{size: fi.Size(), modified: fi.ModTime(), file: fi}
}

// Use puts the database at a path into use, or one of [Places] for an empty path. The one that is in use stays if it comes
// from there, or if its file has gone and none was named: it is watched, and better than none.
func (d *Database) Use(given string) error {
	path, err := Find(given)
	d.reading.Lock()
	defer d.reading.Unlock()
	if d.path != "" && (err != nil && given == "" || d.path == path || d.path == given) {
		return nil
	}
	if err != nil {
		return err
	}
	seen := stampOf(path)
	r, err := read(path, firstLook)
	if err != nil {
		return fmt.Errorf("reading the database of countries %s: %w", path, err)
	}
	d.put(r, path, seen)
	return nil
}

// Drop uses no database any more.
func (d *Database) Drop() {
	d.reading.Lock()
	defer d.reading.Unlock()
	d.put(nil, "", stamp{})
}

func (d *Database) put(r *maxminddb.Reader, path string, seen stamp) {
	d.now.Store(r)
	d.seen, d.last = seen, seen
	d.mu.Lock()
	defer d.mu.Unlock()
	d.path, d.broken = path, ""
}

// read takes a file in and tries the first networks of it.
func read(path string, most int) (*maxminddb.Reader, error) {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case fi.Size() > maxSize:
		return nil, fmt.Errorf("it has %d bytes, expected at most %d", fi.Size(), int64(maxSize))
	case !fi.Mode().IsRegular():
		return nil, errors.New("it is no file")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := maxminddb.OpenBytes(b)
	if err != nil {
		return nil, err
	}
	return r, walk(r, most)
}

// walk looks up networks, at most so many, to find a broken one before a client does. It fails if none of them has a
// country.
func walk(r *maxminddb.Reader, most int) error {
	some, seen := false, 0
	for network := range r.Networks() {
		code, err := countryOf(network)
		if err != nil {
			return fmt.Errorf("the network %v: %w", network.Prefix(), err)
		}
		some = some || code != ""
		if seen++; seen >= most && some {
			break
		}
	}
	if !some {
		return fmt.Errorf("no network has a country in it; its type is %q", r.Metadata.DatabaseType)
	}
	return nil
}

// countryOf is the country of a network, or that in which it is registered; empty for none.
func countryOf(r maxminddb.Result) (code string, err error) {
	for _, what := range []string{"country", "registered_country"} {
		if err := r.DecodePath(&code, what, "iso_code"); err != nil || code != "" {
			return code, err
		}
	}
	return "", nil
}

// Country gives the ISO 3166-1 code of the country of an address; empty for one that is private or that the database
// does not have.
func (d *Database) Country(a netip.Addr) string {
	a = a.Unmap()
	r := d.now.Load()
	if r == nil || !a.IsValid() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return ""
	}
	code, err := countryOf(r.Lookup(a.WithZone("")))
	if err != nil {
		return "" // such as an IPv6 address in a database without any
	}
	return code
}

// Broken says why the file at path is not in use, although an earlier one is, and for how long; why is empty if all is well.
func (d *Database) Broken() (path, why string, since time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken == "" {
		return d.path, "", 0
	}
	return d.path, d.broken, time.Since(d.since)
}

// look is how often the file is looked at.
const look = 2 * time.Second

// Watch reads the database in use again whenever its file has changed, until ctx ends. A file that cannot be read leaves the
// former database in use.
func (d *Database) Watch(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch changed, err := d.again(); {
		case err != nil:
			log.Warn("the database of countries cannot be read; the former one stays in use", slog.Any("err", err))
		case changed:
			log.Info("the database of countries was read again")
		}
	}
}

// again reads the file again if it has changed and is no longer being written: it is as it was the last time.
func (d *Database) again() (changed bool, err error) {
	d.reading.Lock()
	defer d.reading.Unlock()
	if d.path == "" {
		return false, nil
	}
	now := stampOf(d.path)
	settled := now.same(d.last)
	d.last = now
	if !settled || now.same(d.seen) {
		return false, nil
	}
	r, err := read(d.path, math.MaxInt)
	if err == nil {
		d.put(r, d.path, now)
		return true, nil
	}
	d.seen = now
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken == "" {
		d.since = time.Now()
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("the file is gone")
	}
	d.broken = err.Error()
	return true, fmt.Errorf("reading the database of countries %s again: %w", d.path, err)
}
