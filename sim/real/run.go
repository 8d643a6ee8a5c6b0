package real

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weir/cluster/journal"
	"weir/sim"
)

// Options say how a scenario is run with real processes.
type Options struct {
	// Program is the program whose command `node` runs a node.
	Program string

	// Dir is where configurations, journals and logs of the nodes are written.
	Dir string

	// Seeds is how many runs of the simulator make the prediction. Zero means 100.
	Seeds uint64

	// Tell, if not nil, is told in a sentence what is being done.
	Tell func(string)
}

// tail is how long a run goes on behind its last step.
const tail = 3 * time.Second

// settling is how long a group takes to begin besides the stale timeout.
const settling = time.Second

// A due function is one that the goroutine of the steps calls at an instant.
type due struct {
	at time.Time
	do func()
}

// later calls a function on the goroutine of the steps.
func (g *group) later(d time.Duration, do func()) {
	g.queue = append(g.queue, due{time.Now().Add(d), do})
}

// offset is the time from the beginning of the run to that of the scenario, when all nodes listen.
func (g *group) offset() time.Duration { return g.ready.Sub(g.zero) }

// run starts the nodes, does the steps when they are due, and returns when the scenario is over. The nodes still run then.
func (g *group) run(ctx context.Context, steps []sim.Step, until time.Duration, begun func()) error {
	g.zero = time.Now()
	g.ready = g.zero
	for _, n := range g.nodes {
		off := slices.ContainsFunc(steps, func(st sim.Step) bool {
			c, ok := st.Action.(sim.Crash)
			return ok && st.At == 0 && (c.Nodes == nil || slices.Contains(c.Nodes, n.name))
		})
		if !off {
			g.running.Go(func() { g.boot(ctx, n) })
		}
	}
	if err := g.await(ctx, steps); err != nil {
		return err
	}
	g.ready = time.Now()
	if begun != nil {
		begun()
	}
	for _, st := range steps {
		if st.Action == nil {
			continue
		}
		g.queue = append(g.queue, due{g.zeroStep(st.At), func() {
			f, err := g.begin(ctx, st)
			if err != nil {
				g.failed(fmt.Errorf("line %d: %w", st.Line, err))
				return
			}
			if st.To > st.At && (f.alter != nil || f.undo != nil) {
				g.queue = append(g.queue, due{g.zeroStep(st.To), func() { g.endFault(f) }})
			}
		}})
	}
	g.queue = append(g.queue, due{g.zeroStep(until), func() {}})
	for len(g.queue) > 0 {
		slices.SortStableFunc(g.queue, func(a, b due) int { return a.at.Compare(b.at) })
		next := g.queue[0]
		g.queue = g.queue[1:]
		if !wait(ctx, time.Until(next.at)) {
			return ctx.Err()
		}
		if next.at.After(g.zeroStep(until)) {
			break // what a link that flaps would do next
		}
		next.do()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(g.errs...)
}

// await waits until all nodes that were started listen.
func (g *group) await(ctx context.Context, steps []sim.Step) error {
	want := 0
	for _, n := range g.nodes {
		if !slices.ContainsFunc(steps, func(st sim.Step) bool {
			c, ok := st.Action.(sim.Crash)
			return ok && st.At == 0 && (c.Nodes == nil || slices.Contains(c.Nodes, n.name))
		}) {
			want++
		}
	}
	for limit := time.Now().Add(bootLimit); ; {
		g.mu.Lock()
		got, err := len(g.boots), errors.Join(g.errs...)
		g.mu.Unlock()
		switch {
		case err != nil:
			return err
		case got >= want:
			return nil
		case time.Now().After(limit):
			return fmt.Errorf("%d of %d nodes listen after %v; their logs are in %s", got, want, bootLimit, g.dir)
		}
		if !wait(ctx, 5*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// Run runs a scenario with real processes and compares it with the simulator's prediction. It returns when all processes have
// ended, also when the context ends or something panics.
func Run(ctx context.Context, s *sim.Scenario, o Options) (*Report, error) {
	tell := o.Tell
	if tell == nil {
		tell = func(string) {}
	}
	steps := slices.Concat(s.Steps, sim.Expand(s))
	slices.SortStableFunc(steps, func(a, b sim.Step) int { return cmp.Compare(a.At, b.At) })
	until := s.Until
	if until == 0 {
		for _, st := range steps {
			until = max(until, st.At, st.To)
		}
		until += tail
	}
	for _, st := range steps {
		if st.Action != nil && !Possible(st.Action) {
			if _, drawn := st.Action.(sim.Random); !drawn {
				return nil, fmt.Errorf("line %d: %s: %w", st.Line, sim.KindOf(st.Action).Word, ErrImpossible)
			}
		}
	}
	steps = slices.DeleteFunc(steps, func(st sim.Step) bool { return st.Action == nil || !Possible(st.Action) })
	g, err := newGroup(s, steps, o.Program, o.Dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer g.end()
	defer cancel() // before the end: what runs for the viewers and publishers waits for it
	g.late = g.measureLate(ctx)
	tell(fmt.Sprintf("%s: %d processes, %v", s.Name, len(g.nodes), until))
	if err := g.run(ctx, steps, until, func() { g.watchSome(ctx) }); err != nil {
		return nil, err
	}
	end := time.Now()
	cancel()
	r := &Report{Scenario: s.Name, Viewers: g.viewerReports(end), End: g.since()}
	r.Settled = g.offset() + settling + g.stale()
	real := g.truth(end)
	g.end()
	for _, n := range g.nodes {
		r.Late = max(r.Late, g.late.of(n.name))
		r.Stood = max(r.Stood, g.late.still(n.name, g.stale()/lateLimit).sum())
	}
	tell(fmt.Sprintf("%s: predicting", s.Name))
	r.compare(g, real, cmp.Or(o.Seeds, 100))
	r.Journals, err = g.replay()
	if err != nil {
		return nil, err
	}
	return r, nil
}

// watchSome lets viewers come: of each protocol one to the first two streams and to each that is published, at different
// nodes.
func (g *group) watchSome(ctx context.Context) {
	f := g.fileOf(g.nodes[0])
	names := streams(f, func(published bool) bool { return !published })
	names = append(names[:min(2, len(names))], streams(f, func(published bool) bool { return published })...)
	n := 0
	for _, name := range names {
		for _, p := range watched {
			g.watch(ctx, p, name, g.nodes[n%len(g.nodes)])
			n++
		}
	}
}

// replay replays the journals of all nodes, and gives the number of their events; an error if one does not replay.
func (g *group) replay() (events int, err error) {
	for _, n := range g.nodes {
		files, err := filepath.Glob(n.journal + "*")
		if err != nil {
			return events, fmt.Errorf("looking for the journal of %s: %w", n.name, err)
		}
		for _, name := range files {
			f, err := os.Open(name)
			if err != nil {
				return events, fmt.Errorf("opening the journal of %s: %w", n.name, err)
			}
			first, count, err := journal.Replay(f)
			_ = f.Close() // nothing was written
			events += count
			if err != nil {
				return events, fmt.Errorf("replaying the journal of %s: %w", n.name, err)
			}
			if first != nil {
				return events, fmt.Errorf("the journal of %s does not replay: %s", n.name, first)
			}
		}
	}
	return events, nil
}
