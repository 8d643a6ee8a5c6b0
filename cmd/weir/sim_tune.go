package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"weir/cluster/conf"
	"weir/sim"
	"weir/sim/scenario"
)

// SimTuneCmd is `weir sim tune`.
type SimTuneCmd struct {
	Config string `short:"c" placeholder:"FILE" help:"Your configuration, whose peers and streams are used with other timeouts. Default: five nodes with twenty streams."`
	OwnNames
	Times  []string `default:"1s/3s,1s/5s,2s/6s,2s/10s,5s/15s,5s/30s" placeholder:"F/S" help:"fetch_timeout and stale_timeout to compare. Default ${default}."`
	Loss   []string `default:"0%,0.1%,1%,5%" placeholder:"P%" help:"Share of messages that are lost, in each direction. Default ${default}."`
	Hours  int      `default:"10" placeholder:"N" help:"Simulated hours in which false take-overs are counted, for each row, with and without relayed evidence. Default ${default}."`
	Deaths int      `default:"50" placeholder:"N" help:"Number of deaths of nodes after which gaps are measured. Default ${default}."`
	Jobs   int      `short:"j" placeholder:"N" help:"How many runs at once; as many as there are processors."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimTuneCmd) Help() string {
	return `Examples:
  weir sim tune
  weir sim tune --config weir.conf --times 1s/3s,2s/10s --loss 0.5% --hours 100

With short timeouts the gaps are short, and live nodes are more often taken for dead. The table has a row for each pair of
fetch_timeout and stale_timeout and each loss. It shows how long no node captures a stream whose node has died: the median, the
99th percentile, the longest time, and the longest that the rules allow. It also shows how often per day a live node is taken
for dead: with relayed evidence, that is, nodes tell each other which nodes they still hear (this is always on in a real
cluster), and without.

Exit codes: 0 done; 1 a gap was longer than its bound; 2 the configuration cannot be read.`
}

// A pace is a pair of timeouts.
type pace struct{ fetch, stale time.Duration }

func (p pace) String() string {
	return strings.TrimSuffix(p.fetch.String(), "m0s") + " / " + strings.TrimSuffix(p.stale.String(), "m0s")
}

// The network and the sources in the runs.
const (
	tuneDelay   = 50 * time.Millisecond  // the longest delay in one direction
	tuneStartUp = 500 * time.Millisecond // how long a source takes to start
)

// A tuning is a row of the table.
type tuning struct {
	pace  pace
	loss  string
	gaps  []time.Duration // sorted
	bound time.Duration
	over  int // the number of gaps longer than bound

	// False take-overs per day in the group, with relayed evidence and without.
	with, without float64
}

// Run prints the table.
func (c *SimTuneCmd) Run(ctx context.Context, std stdio) error {
	rows, err := c.rows()
	if err != nil {
		return &exitError{exitUnknown, err}
	}
	own := scenario.Source{Name: "five nodes", Text: []byte("cluster_key abcd;\npeer n[1..5]:8080;\nstream cam[01..20] { input fake://fake; cluster_ingest; }\n")}
	if c.Config != "" {
		if own, err = c.read(c.Config, std); err != nil {
			return err
		}
	}
	group, problems := scenario.Configured(own)
	if group == nil {
		printProblems(std, problems)
		return &exitError{code: exitUnknown}
	}
	// Each row is measured in three runs, which may run at the same time.
	type job struct {
		row  *tuning
		part int
	}
	var list []job
	for i := range rows {
		for part := range 3 {
			list = append(list, job{&rows[i], part})
		}
	}
	bar := newBar(std, "runs", len(list))
	defer bar.end()
	results := make([]*sim.Result, len(list))
	done := 0
	inParallel(ctx, workers(c.Jobs), len(list), func(i int) {
		results[i] = c.measure(group, list[i].row, list[i].part)
	}, func(int) {
		done++
		bar.step(done, "")
	})
	if interrupted(ctx) {
		return &exitError{exitFailure, errInterrupted}
	}
	for i, j := range list {
		j.row.take(results[i], j.part)
	}
	bar.end()
	return c.print(rows, std)
}

// rows makes a row for each pair of timeouts and each loss.
func (c *SimTuneCmd) rows() ([]tuning, error) {
	var rows []tuning
	for _, t := range c.Times {
		f, s, ok := strings.Cut(t, "/")
		fetch, errF := time.ParseDuration(strings.TrimSpace(f))
		stale, errS := time.ParseDuration(strings.TrimSpace(s))
		if !ok || errF != nil || errS != nil || fetch <= 0 || stale <= fetch {
			return nil, fmt.Errorf("--times: found %q, expected fetch_timeout/stale_timeout, the second longer, such as 2s/10s", t)
		}
		for _, l := range c.Loss {
			if !strings.HasSuffix(l, "%") {
				return nil, fmt.Errorf("--loss: found %q, expected a percentage such as 0.5%%", l)
			}
			rows = append(rows, tuning{pace: pace{fetch, stale}, loss: l})
		}
	}
	return rows, nil
}

// paced is the group with the timeouts of a row, and with a short hold-down, which keeps the runs short.
func paced(group *sim.Scenario, row *tuning) (*sim.Scenario, error) {
	s := *group
	s.Files = map[string]*conf.File{}
	for name, f := range group.Files {
		g := *f
		g.ReturnHolddown = row.pace.stale
		g.Peers = slices.Clone(f.Peers)
		for i := range g.Peers {
			g.Peers[i].FetchTimeout, g.Peers[i].StaleTimeout = row.pace.fetch, row.pace.stale
		}
		s.Files[name] = &g
	}
	s.Net.Delay = sim.Range{Min: time.Millisecond, Max: tuneDelay}
	s.Capture.Up = sim.Range{Min: tuneStartUp, Max: tuneStartUp}
	loss, err := scenario.ParsePPM(row.loss)
	s.Net.Loss = loss
	return &s, err
}

// measure makes one of the three runs of a row: one with deaths, one without any fault, and that without relayed evidence.
func (c *SimTuneCmd) measure(group *sim.Scenario, row *tuning, part int) *sim.Result {
	s, err := paced(group, row)
	if err != nil {
		return &sim.Result{Unknown: true, Why: err.Error()}
	}
	s.Seed = uint64(part + 1)
	if part > 0 {
		s.Until = time.Duration(c.Hours) * time.Hour
		return sim.Run(s, sim.Options{NoRelay: part == 2})
	}
	// One node after the other dies and comes back, each at another moment between two fetches.
	life := 8*row.pace.stale + 20*time.Second
	for i := range c.Deaths {
		at := time.Duration(i+1)*life + time.Duration(i)*row.pace.fetch*37/100
		s.Steps = append(s.Steps, sim.Step{At: at, To: at + 3*row.pace.stale, Action: sim.Crash{Nodes: []string{s.Nodes[i%len(s.Nodes)]}}})
		s.Until = at + life
	}
	return sim.Run(s, sim.Options{})
}

// take takes the figures of a run into the row.
func (t *tuning) take(r *sim.Result, part int) {
	days := r.Simulated.Hours() / 24
	switch part {
	case 0:
		for _, g := range r.Gaps {
			if g.Cause == sim.GapCrash && g.To >= 0 {
				t.gaps = append(t.gaps, g.To-g.From)
			}
		}
		slices.Sort(t.gaps)
		t.bound = sim.TakeOverBound(t.pace.stale, tuneDelay, tuneStartUp)
		for _, g := range t.gaps {
			if g > t.bound {
				t.over++
			}
		}
	case 1:
		t.with = float64(r.TakeOvers) / days
	case 2:
		t.without = float64(r.TakeOvers) / days
	}
}

func (c *SimTuneCmd) print(rows []tuning, std stdio) error {
	over := 0
	p := painter{colour: isTerminal(std.out)}
	cells := [][]string{{"fetch / stale", "loss", "gap p50", "p99", "max", "bound", "gaps", "false/day", "without relay"}}
	type row struct {
		Fetch   float64 `json:"fetch_seconds"`
		Stale   float64 `json:"stale_seconds"`
		Loss    string  `json:"loss"`
		P50     float64 `json:"gap_p50_seconds"`
		P99     float64 `json:"gap_p99_seconds"`
		Max     float64 `json:"gap_max_seconds"`
		Bound   float64 `json:"bound_seconds"`
		Gaps    int     `json:"gaps"`
		With    float64 `json:"false_takeovers_per_day"`
		Without float64 `json:"false_takeovers_per_day_without_relay"`
	}
	var out []row
	for _, t := range rows {
		over += t.over
		longest := hundredths(quantile(t.gaps, 1))
		if t.over > 0 {
			longest = p.red(longest)
		}
		cells = append(cells, []string{
			t.pace.String(),
			t.loss,
			hundredths(quantile(t.gaps, 0.5)),
			hundredths(quantile(t.gaps, 0.99)),
			longest,
			hundredths(t.bound),
			fmt.Sprint(len(t.gaps)),
			perDay(t.with),
			perDay(t.without),
		})
		out = append(out, row{
			t.pace.fetch.Seconds(), t.pace.stale.Seconds(), t.loss, quantile(t.gaps, 0.5).Seconds(), quantile(t.gaps, 0.99).Seconds(),
			quantile(t.gaps, 1).Seconds(), t.bound.Seconds(), len(t.gaps), t.with, t.without,
		})
	}
	var err error
	if c.JSON {
		err = writeJSON(std.out, out)
	} else {
		_, err = io.WriteString(std.out, table(cells)+fmt.Sprintf("\n  False take-overs of %d simulated hours each. A gap is the time without media after a node has died.\n", c.Hours))
	}
	if err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	if over > 0 {
		return &exitError{code: exitViolation}
	}
	return nil
}

// perDay shows a number of events per day.
func perDay(n float64) string {
	if n == 0 {
		return "0"
	}
	if n >= 100 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.3g", n)
}

// hundredths shows a time in hundredths of a second, so that a column of times is easy to compare.
func hundredths(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }
