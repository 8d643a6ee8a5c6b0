package settings

import (
	"context"
	"errors"
	"sync"
)

// A turn is had by one edit at a time. Any goroutine may use it.
type turn struct {
	mu      sync.Mutex
	taken   bool
	writes  bool          // the edit that has the turn has begun to change files
	changed chan struct{} // closed when one of the two changes
}

func newTurn() *turn { return &turn{changed: make(chan struct{})} }

var errTaken = errors.New("another edit is under way")

// always waits for another edit, whatever it does.
func always(bool) bool { return true }

// take takes the turn. While another edit has it, wait says whether to wait for that one, by whether it has begun to change files.
func (t *turn) take(ctx context.Context, wait func(writes bool) bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		t.mu.Lock()
		free, patient, changed := !t.taken, wait(t.writes), t.changed
		if free {
			t.taken = true
		}
		t.mu.Unlock()
		switch {
		case free:
			return nil
		case !patient:
			return errTaken
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// write tells that the edit that has the turn begins to change files.
func (t *turn) write() { t.set(true, true) }

// end gives the turn back.
func (t *turn) end() { t.set(false, false) }

func (t *turn) set(taken, writes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken, t.writes = taken, writes
	close(t.changed)
	t.changed = make(chan struct{})
}
