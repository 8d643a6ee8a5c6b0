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
// counts as one that stood still for that time, as if it had been paused. So it does for each second of which one of its threads
// had no processor for more than half: it then does at less than half its speed what the bounds give it time for.
//
// Of this process its own timers say it. It carries what passes between nodes, and is all sources and viewers, so that all nodes
// stand still with it. Of a node the kernel counts how long each thread was ready and had no processor, and how often it
// got one (Documentation/scheduler/sched-stats in its source). A node that does nothing although it could run is not
// late by that, whatever it waits for.
type late struct {
	g       *group
	mu      sync.Mutex
	waits   map[string][]waited // by node, and of this process under the empty name; longer than noticeable
	starved map[string][]span   // likewise: the seconds in which a thread had a processor for less than half of the time that it needed one
	threads map[string]runs     // of each thread until the last look, by its file
	seconds map[string]runs     // until the last look that a second has passed before
	looked  time.Duration       // when that was
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
	starvation = time.Second            // the time of which a thread may wait for half
)

// measureLate measures until the context ends.
func (g *group) measureLate(ctx context.Context) *late {
	l := &late{g: g, waits: map[string][]waited{}, starved: map[string][]span{}, threads: map[string]runs{}}
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
// counts when it is over. Once a second it notes which nodes were starved.
func (l *late) look() {
	seen := make(map[string]runs, len(l.threads))
	now := l.g.since()
	passed := now-l.looked >= starvation
	for _, n := range append([]*node{nil}, l.g.nodes...) {
		name, pid := "", os.Getpid()
		if n != nil {
			n.mu.Lock()
			p := n.process
			n.mu.Unlock()
			if p == nil {
				continue
			}
			name, pid = n.name, p.PID()
		}
		longest, most := time.Duration(0), time.Duration(0)
		files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/schedstat") // the pattern is well formed
		for _, file := range files {
			is, ok := runsIn(file)
			if !ok {
				continue // the thread has ended
			}
			seen[file] = is
			if was, known := l.threads[file]; known && is.times > was.times {
				longest = max(longest, (is.waited-was.waited)/time.Duration(is.times-was.times))
			}
			if was, known := l.seconds[file]; known {
				most = max(most, is.waited-was.waited)
			}
		}
		if n != nil {
			l.note(name, longest)
		}
		if passed && most > (now-l.looked)/2 {
			l.mu.Lock()
			l.starved[name] = append(l.starved[name], span{l.looked, now})
			l.mu.Unlock()
		}
	}
	l.threads = seen
	if passed {
		l.seconds, l.looked = seen, now
	}
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

// still is the time in which a node stood still, because it or this process waited longer than a limit, or was starved.
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
		list = append(list, l.starved[name]...)
	}
	return joined(list)
}
