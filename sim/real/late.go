package real

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Late is how late the machine lets things happen: the longest that anything waited which was ready to run. Every bound of
// the judge allows for it, as the rules allow for the pause of a scheduler (σ).
//
// The kernel counts it of the nodes: how long each of their threads was ready and had no processor (Documentation/scheduler/
// sched-stats in its source). A node that does nothing although it could run is not late by that, whatever it waits for.
type late struct {
	mu      sync.Mutex
	self    time.Duration            // of this process, by its own timers
	nodes   map[string]time.Duration // by node
	threads map[string]time.Duration // what each thread has waited until now, by its file
}

// The intervals of looking: at this process, and at the nodes.
const (
	selfEvery  = 10 * time.Millisecond
	nodesEvery = 100 * time.Millisecond
)

// measureLate measures until the context ends.
func (g *group) measureLate(ctx context.Context) *late {
	l := &late{nodes: map[string]time.Duration{}, threads: map[string]time.Duration{}}
	go func() {
		for {
			began := time.Now()
			if !wait(ctx, selfEvery) {
				return
			}
			l.note(func() { l.self = max(l.self, time.Since(began)-selfEvery) })
		}
	}()
	g.running.Go(func() {
		for wait(ctx, nodesEvery) {
			l.look(g)
		}
	})
	return l
}

func (l *late) note(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

// look takes in how long the threads of all nodes have waited since the look before. A thread counts its wait when that is over.
func (l *late) look(g *group) {
	seen := make(map[string]time.Duration, len(l.threads))
	for _, n := range g.nodes {
		n.mu.Lock()
		p := n.process
		n.mu.Unlock()
		if p == nil {
			continue
		}
		files, _ := filepath.Glob("/proc/" + strconv.Itoa(p.PID()) + "/task/*/schedstat") // the pattern is well formed
		for _, name := range files {
			waited, ok := waitedIn(name)
			if !ok {
				continue // the thread has ended
			}
			seen[name] = waited
			if before, known := l.threads[name]; known {
				l.note(func() { l.nodes[n.name] = max(l.nodes[n.name], waited-before) })
			}
		}
	}
	l.threads = seen
}

// waitedIn reads how long a thread has waited for a processor: the second of three numbers, in nanoseconds.
func waitedIn(name string) (time.Duration, bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, false
	}
	f := bytes.Fields(text)
	if len(f) < 2 {
		return 0, false
	}
	ns, err := strconv.ParseInt(string(f[1]), 10, 64)
	return time.Duration(ns), err == nil
}

// of is by how much a node was late at most; this process carries what passes between nodes, so that it counts too.
func (l *late) of(node string) (d time.Duration) {
	l.note(func() { d = max(l.self, l.nodes[node]) })
	return d
}

// most is the largest of all.
func (l *late) most() (d time.Duration) {
	l.note(func() {
		d = l.self
		for _, x := range l.nodes {
			d = max(d, x)
		}
	})
	return d
}
