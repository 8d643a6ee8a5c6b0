package act

import (
	"fmt"
	"sort"
	"sync"
	"time"
)

// A Tree lists the actors that live now, and how often each was restarted. [Props] enters and removes them; any goroutine
// may read it.
type Tree struct {
	mu       sync.Mutex
	leaves   map[string]*Leaf
	restarts map[string]uint64 // by kind, of all actors of this process
}

// A Leaf is one living actor.
type Leaf struct {
	ID       string        `json:"id"`
	Kind     string        `json:"kind"`
	Restarts uint64        `json:"restarts"`
	Failure  string        `json:"failure,omitempty"` // the reason of the last restart
	Note     string        `json:"note,omitempty"`    // what it is doing
	Started  time.Duration `json:"started_ms"`        // since boot; of this incarnation
}

// NewTree returns an empty tree.
func NewTree() *Tree {
	return &Tree{leaves: map[string]*Leaf{}, restarts: map[string]uint64{}}
}

func (t *Tree) started(id, kind string, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.leaves[id]
	if l == nil {
		t.leaves[id] = &Leaf{ID: id, Kind: kind, Started: now}
		return
	}
	l.Restarts++
	l.Started = now
	t.restarts[kind]++
}

func (t *Tree) stopped(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.leaves, id)
}

func (t *Tree) failed(id string, reason any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.leaves[id]; l != nil {
		l.Failure = fmt.Sprint(reason)
	}
}

// Note sets the text that the tree shows of an actor. An id without an actor is ignored.
func (t *Tree) Note(id, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.leaves[id]; l != nil {
		l.Note = text
	}
}

// Leaves returns a copy of all living actors, sorted by id, so that a parent precedes its children.
func (t *Tree) Leaves() []Leaf {
	t.mu.Lock()
	ls := make([]Leaf, 0, len(t.leaves))
	for _, l := range t.leaves {
		ls = append(ls, *l)
	}
	t.mu.Unlock()
	sort.Slice(ls, func(i, j int) bool { return ls[i].ID < ls[j].ID })
	return ls
}

// Restarts returns the number of restarts so far by kind of actor, those of stopped actors included.
func (t *Tree) Restarts() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := make(map[string]uint64, len(t.restarts))
	for k, n := range t.restarts {
		m[k] = n
	}
	return m
}
