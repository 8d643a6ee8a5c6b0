// Package events keeps what happened to a node and its group lately, for people who look at it through the API: moves and
// failures of streams, peers that came and went, failures of actors, edits.
//
// It decides nothing, and writes no log: it is told the same that the log is told, and compares the views that the control plane
// publishes.
package events

import (
	"slices"
	"sync"
	"time"

	"weir/cluster/control"
	"weir/protocols/api"
)

// kept is how many events are kept. With 10,000 streams on 20 nodes, the death of a node moves 500.
const kept = 2000

// A Log keeps the newest events. Any goroutine may use it. A nil one keeps nothing.
type Log struct {
	node func() string
	wall func() time.Time

	mu     sync.Mutex
	last   uint64
	list   []api.Event   // the oldest first
	more   chan struct{} // closed at the next event
	states map[string]state
	seen   []control.StreamView // of the last view
}

// A state is how a stream has been since an instant.
type state struct {
	owner string
	state control.StreamState
	since time.Duration // of the state

	moves   uint64        // how often another node came to have it
	gap     time.Duration // for how long no node ran it, since a node did first
	stopped time.Duration // since when no node runs it; 0 while one does, and before
}

// New returns a log without events. Node gives the name of this node.
func New(node func() string, wall func() time.Time) *Log {
	return &Log{node: node, wall: wall, more: make(chan struct{}), states: map[string]state{}}
}

// Add adds an event, which needs no number, time and node.
func (l *Log) Add(e api.Event) {
	if l == nil {
		return
	}
	e.Time, e.Node = l.wall().UTC().Truncate(time.Millisecond), l.node()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(e)
}

// add adds an event. The caller holds mu.
func (l *Log) add(e api.Event) {
	l.last++
	e.ID = l.last
	l.list = append(l.list, e)
	if over := len(l.list) - kept; over > 0 {
		l.list = slices.Delete(l.list, 0, over)
	}
	close(l.more)
	l.more = make(chan struct{})
}

// After returns the events behind the one of a number, the oldest first, and a channel that is closed when there is more.
func (l *Log) After(id uint64) ([]api.Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, _ := slices.BinarySearchFunc(l.list, id+1, func(e api.Event, id uint64) int {
		return int(int64(e.ID - id))
	})
	return slices.Clone(l.list[at:]), l.more
}

// Since is the instant since which a stream is in its state, as far as this node has seen.
func (l *Log) Since(stream string) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.states[stream]
	return s.since, ok
}

// measure takes over what was measured of the stream, and goes on.
func (s *state) measure(was state, now time.Duration) {
	s.moves, s.gap, s.stopped = was.moves, was.gap, was.stopped
	if s.owner != was.owner && was.owner != "" {
		s.moves++
	}
	missing := s.state == control.StreamFailed || s.state == control.StreamStarting
	switch {
	case !missing && s.stopped > 0:
		s.gap, s.stopped = s.gap+now-s.stopped, 0
	case missing && (was.state == control.StreamRunning || was.state == control.StreamMoving):
		s.stopped = now
	}
}

// History is how often another node came to have a stream, and for how long no node has run it that a node had run before, as far as
// this node has seen. A stream that nobody publishes or wants is not missing.
func (l *Log) History(stream string, now time.Duration) (moves uint64, gap time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.states[stream]
	if s.stopped > 0 {
		s.gap += now - s.stopped
	}
	return s.moves, s.gap
}

// Note adds a note of the control plane. Notes about streams are left out: the views tell of all streams, whichever node has them.
func (l *Log) Note(n control.Note) {
	if l == nil || n.Stream != "" || n.Kind.Level() < 0 {
		return
	}
	level := "info"
	if n.Kind.Level() > 0 {
		level = "warning"
	}
	l.Add(api.Event{Kind: n.Kind.String(), Level: level, Peer: n.Node, Reason: n.Detail, Text: n.Kind.Text()})
}

// Changed compares a view with the one before it. The first warm view only tells how things are.
func (l *Log) Changed(v *control.View, now time.Duration) {
	if l == nil {
		return
	}
	wall, node := l.wall().UTC().Truncate(time.Millisecond), l.node()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !v.Warm || len(l.seen) > 0 && len(v.Streams) == len(l.seen) && &l.seen[0] == &v.Streams[0] {
		return
	}
	first := l.seen == nil
	l.seen = v.Streams
	next := make(map[string]state, len(v.Streams))
	for i := range v.Streams {
		s := &v.Streams[i]
		was, had := l.states[s.Name]
		is := state{owner: s.Owner, state: s.State, since: now}
		if had && was.state == is.state {
			is.since = was.since
		}
		if is.owner == "" && had {
			is.owner = was.owner // so that the next owner is known to follow it
		}
		is.measure(was, now)
		next[s.Name] = is
		if first {
			continue
		}
		e := api.Event{Time: wall, Node: node, Stream: s.Name, Level: "info", From: was.owner, To: is.owner, Reason: string(s.Reason)}
		switch {
		case is.owner != was.owner && was.owner == "":
			e.Kind, e.Text, e.From = "started", "the stream has an owner", ""
		case is.owner != was.owner:
			e.Kind, e.Text = "moved", "another node has the stream"
		case had && is.state != was.state && is.state == control.StreamFailed:
			e.Kind, e.Text, e.Level, e.Reason, e.From, e.To = "failed", "the stream has failed", "warning", s.Detail, "", ""
		case had && was.state == control.StreamFailed && is.state == control.StreamRunning:
			e.Kind, e.Text, e.From, e.To = "recovered", "the stream runs again", "", ""
		default:
			continue
		}
		l.add(e)
	}
	l.states = next
}
