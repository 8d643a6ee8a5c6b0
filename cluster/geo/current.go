package geo

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"
)

// A Current holds the database that is in use, if any. Any goroutine may use it.
type Current struct{ db atomic.Pointer[Database] }

// Database is the one in use; nil for none.
func (c *Current) Database() *Database { return c.db.Load() }

// Country is [Database.Country] of the database in use.
func (c *Current) Country(a netip.Addr) string { return c.db.Load().Country(a) }

// Drop uses no database any more.
func (c *Current) Drop() { c.db.Store(nil) }

// Use puts the database at a path into use, or one of [Places] for an empty path. The one that is in use stays if it comes
// from there, or if its file has gone and none was named: it is watched, and better than none.
func (c *Current) Use(given string) error {
	path, err := Find(given)
	if db := c.db.Load(); db != nil && (err != nil && given == "" || db.Path() == path || db.Path() == given) {
		return nil
	}
	if err != nil {
		return err
	}
	db, err := Open(path)
	if err != nil {
		return err
	}
	c.db.Store(db)
	return nil
}

// look is how often the file is looked at.
const look = 2 * time.Second

// Watch reads the database in use again whenever its file has changed, until ctx ends. A file that cannot be read leaves the
// former database in use.
func (c *Current) Watch(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		db := c.db.Load()
		if db == nil {
			continue
		}
		switch changed, err := db.look(); {
		case err != nil:
			log.Warn("the database of countries cannot be read; the former one stays in use", slog.Any("err", err))
		case changed:
			log.Info("the database of countries was read again", slog.String("file", db.Path()))
		}
	}
}
