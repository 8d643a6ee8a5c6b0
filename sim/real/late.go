package real

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Late is how late the machine lets things happen: the longest that anything waited which was ready to run. Every bound of
// the judge allows for it, as the rules allow for the pause of a scheduler (σ).
//
// The kernel counts it of the nodes: how long each of their threads was ready and had no processor, and how often it got one
// (Documentation/scheduler/sched-stats in its source). A node that does nothing although it could run is not late by that, whatever it waits for.
type late struct {
	mu      sync.Mutex
	self    time.Duration            // of this process, by its own timers
	nodes   map[string]time.Duration // by node
	threads map[string]waits         // of each thread until now, by its file
}

// The intervals of looking: at this process, and at the nodes.
const (
	selfEvery  = 10 * time.Millisecond
	nodesEvery = 100 * time.Millisecond
)

// measureLate measures until the context ends.
func (g *group) measureLate(ctx context.Context) *late {
	l := &late{nodes: map[string]time.Duration{}, threads: map[string]waits{}}
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

// Waits are how long a thread has waited for a processor, and how often it got one.
type waits struct {
	long  time.Duration
	times int64
}

// look takes in how long the threads of all nodes have waited since the look before, each time. A wait counts when it is over.
func (l *late) look(g *group) {
	seen := make(map[string]waits, len(l.threads))
	for _, n := range g.nodes {
		n.mu.Lock()
		p := n.process
		n.mu.Unlock()
		if p == nil {
			continue
		}
		files, _ := filepath.Glob("/proc/" + strconv.Itoa(p.PID()) + "/task/*/schedstat") // the pattern is well formed
		for _, name := range files {
			now, ok := waitsIn(name)
			if !ok {
				continue // the thread has ended
			}
			seen[name] = now
			if was, known := l.threads[name]; known && now.times > was.times {
				each := (now.long - was.long) / time.Duration(now.times-was.times)
				l.note(func() { l.nodes[n.name] = max(l.nodes[n.name], each) })
			}
		}
	}
	l.threads = seen
}

// waitsIn reads the waits of a thread: the second of three numbers, in nanoseconds, and the third.
func waitsIn(name string) (w waits, ok bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		return w, false
	}
	var ran time.Duration
	n, err := fmt.Sscan(string(text), &ran, &w.long, &w.times)
	return w, n == 3 && err == nil
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
