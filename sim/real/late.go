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

// Late is how late the machine lets things happen: how long what was ready to run waited for a processor. The bounds of the judge
// allow for it, as the rules allow for the pause of a scheduler (σ). Where it is more than a bound can allow for, the node
// counts as one that stood still for that time, as if it had been paused.
//
// Of this process its own timers say it. It carries what passes between nodes, and is all sources and viewers, so that all nodes
// stand still with it. Of a node the kernel counts how long each thread was ready and had no processor, and how often it
// got one (Documentation/scheduler/sched-stats in its source). A node that does nothing although it could run is not
// late by that, whatever it waits for.
type late struct {
	g       *group
	mu      sync.Mutex
	waits   map[string][]waited // by node, and of this process under the empty name; longer than noticeable
	threads map[string]runs     // of each thread until now, by its file
}

// A waited time is one after which something ran that was ready before.
type waited struct {
	until time.Duration // of the run
	long  time.Duration
}

// Runs are how long a thread has waited for a processor, and how often it got one.
type runs struct {
	waited time.Duration
	times  int64
}

const (
	noticeable = 5 * time.Millisecond
	selfEvery  = 10 * time.Millisecond  // how often the timers of this process are looked at
	nodesEvery = 100 * time.Millisecond // how often the threads of nodes are
)

// measureLate measures until the context ends.
func (g *group) measureLate(ctx context.Context) *late {
	l := &late{g: g, waits: map[string][]waited{}, threads: map[string]runs{}}
	go func() {
		for {
			began := time.Now()
			if !wait(ctx, selfEvery) {
				return
			}
			l.note("", time.Since(began)-selfEvery)
		}
	}()
	g.running.Go(func() {
		for wait(ctx, nodesEvery) {
			l.look()
		}
	})
	return l
}

func (l *late) note(node string, long time.Duration) {
	if long < noticeable {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waits[node] = append(l.waits[node], waited{l.g.since(), long})
}

// look notes how long the threads of all nodes have waited since the look before, each time: the longest of a node. A wait
// counts when it is over.
func (l *late) look() {
	seen := make(map[string]runs, len(l.threads))
	for _, n := range l.g.nodes {
		n.mu.Lock()
		p := n.process
		n.mu.Unlock()
		if p == nil {
			continue
		}
		longest := time.Duration(0)
		files, _ := filepath.Glob("/proc/" + strconv.Itoa(p.PID()) + "/task/*/schedstat") // the pattern is well formed
		for _, name := range files {
			now, ok := runsIn(name)
			if !ok {
				continue // the thread has ended
			}
			seen[name] = now
			if was, known := l.threads[name]; known && now.times > was.times {
				longest = max(longest, (now.waited-was.waited)/time.Duration(now.times-was.times))
			}
		}
		l.note(n.name, longest)
	}
	l.threads = seen
}

// runsIn reads the second and the third of the three numbers of a thread; the second is in nanoseconds.
func runsIn(name string) (r runs, ok bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		return r, false
	}
	var ran int64
	n, err := fmt.Sscan(string(text), &ran, (*int64)(&r.waited), &r.times)
	return r, n == 3 && err == nil
}

// of is by how much a node was late at most, this process included.
func (l *late) of(node string) time.Duration { return l.in(node, span{0, forever}) }

// in is by how much a node was late at most in a time, this process included.
func (l *late) in(node string, in span) (d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range []string{"", node} {
		for _, w := range l.waits[name] {
			if w.until >= in.from && w.until-w.long <= in.to {
				d = max(d, w.long)
			}
		}
	}
	return d
}

// still is the time in which a node stood still, because it or this process waited longer than a limit.
func (l *late) still(node string, limit time.Duration) spans {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []span
	for _, name := range []string{"", node} {
		for _, w := range l.waits[name] {
			if w.long > limit {
				list = append(list, span{max(0, w.until-w.long), w.until})
			}
		}
	}
	return joined(list)
}
