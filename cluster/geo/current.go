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

// idle is how often Watch looks whether there is a database by now.
const idle = time.Second

// Watch reads the database in use again whenever its file changes, until ctx ends.
func (c *Current) Watch(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(idle)
	defer tick.Stop()
	for ctx.Err() == nil {
		if db := c.db.Load(); db != nil {
			db.Watch(ctx, func() bool { return c.db.Load() != db }, func(err error) {
				if err != nil {
					log.Warn("the database of countries cannot be read; the former one stays in use", slog.Any("err", err))
					return
				}
				log.Info("the database of countries was read again", slog.String("file", db.Path()))
			})
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}
