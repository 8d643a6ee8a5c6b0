// Package timeline draws what a simulated run showed: the faults, who captured which stream, who took whom for dead,
// and where a rule was broken; as one HTML file that needs nothing else, and as text for a terminal.
//
// It runs nothing and does not know the rules: what it draws is in [sim.Result], which
// has to have been made with snapshots for the states of the nodes, and with its trace for the lines behind a fault.
package timeline

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/cluster/conf"
	"weir/sim"
	"weir/sim/scenario"
)

// A chart is a run in the form in which both drawings need it: lanes over time.
type chart struct {
	scenario *sim.Scenario
	result   *sim.Result
	until    time.Duration

	nodes   []string
	streams []streamLane
	hidden  int // lanes of streams left out, in which nothing happened
	states  []nodeLane
	faults  [][]shownFault // rows in which no two overlap
	dense   bool           // there are so many faults that their words have room only where nothing follows
	pins    []pin
}

// A streamLane is a stream's time, cut where its owners change.
type streamLane struct {
	name    string
	pieces  []piece
	starts  []start
	waiting bool // a stream that nobody need capture: without a publisher it has no owner
}

// A piece is a time in which the same nodes capture a stream.
type piece struct {
	from, to time.Duration
	owners   []int  // indexes of nodes; none for a silence
	cold     bool   // a silence before anybody ever had it
	why      string // what the rules or the silence's cause say
}

// A start is a time in which a node tries to capture: ordered, and no media yet.
type start struct {
	from, to time.Duration
	node     int
	failed   bool
}

// A nodeLane is a node's time: what it was, and whom it took for dead.
type nodeLane struct {
	name    string
	states  []state
	beliefs [][]belief // rows in which no two overlap
}

type state struct {
	from, to time.Duration
	is       string // up, down, frozen
}

type belief struct {
	from, to time.Duration
	peer     int
}

// A pin is a violation on the axis.
type pin struct {
	sim.Violation
	number int
}

// maxLanes is how many streams are drawn; beyond, those in which nothing happens are left out first.
const maxLanes = 120

func newChart(s *sim.Scenario, r *sim.Result) *chart {
	c := &chart{scenario: s, result: r, until: r.Simulated, nodes: s.Nodes}
	for _, h := range r.Holds {
		c.until = max(c.until, h.From, h.To)
	}
	for _, v := range r.Violations {
		c.until = max(c.until, v.At)
	}
	if c.until <= 0 {
		c.until = time.Second
	}
	c.layStreams()
	c.layNodes()
	c.layFaults()
	for i, v := range r.Violations {
		c.pins = append(c.pins, pin{v, i + 1})
	}
	return c
}

// node is the index of a node, or -1.
func (c *chart) node(name string) int { return slices.Index(c.nodes, name) }

// end is an instant of a run, -1 being its end.
func (c *chart) end(t time.Duration) time.Duration {
	if t < 0 || t > c.until {
		return c.until
	}
	return t
}

// layStreams makes a lane for every stream that is configured or was captured.
func (c *chart) layStreams() {
	holds := map[string][]sim.Hold{}
	for _, h := range c.result.Holds {
		holds[h.Stream] = append(holds[h.Stream], h)
	}
	waiting := map[string]bool{}
	var names []string
	add := func(name string) {
		if _, known := waiting[name]; !known {
			waiting[name] = false
			names = append(names, name)
		}
	}
	for _, n := range append([]string{""}, c.nodes...) {
		if f := c.scenario.Files[n]; f != nil {
			for _, st := range f.Streams {
				add(st.Name)
				published := slices.ContainsFunc(st.Inputs, func(in conf.Input) bool { return in.Scheme == "publish" })
				waiting[st.Name] = waiting[st.Name] || st.Disabled || published
			}
		}
	}
	for name := range holds {
		add(name)
	}
	slices.SortFunc(names, natural)
	for _, name := range names {
		l := streamLane{name: name, waiting: waiting[name]}
		l.pieces = c.cutPieces(holds[name], c.gaps(name))
		for _, h := range holds[name] {
			to := h.Up
			if h.Up < 0 {
				to = c.end(h.To)
			}
			if to > h.From {
				l.starts = append(l.starts, start{h.From, to, c.node(h.Node), h.Up < 0})
			}
		}
		c.streams = append(c.streams, l)
	}
	c.thin()
}

// thin leaves out lanes in which nothing happened, if there are too many.
func (c *chart) thin() {
	if len(c.streams) <= maxLanes {
		return
	}
	order := make([]int, len(c.streams))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(c.streams[b].pieces), len(c.streams[a].pieces)) })
	keep := order[:maxLanes]
	slices.Sort(keep)
	lanes := make([]streamLane, 0, maxLanes)
	for _, i := range keep {
		lanes = append(lanes, c.streams[i])
	}
	c.hidden = len(c.streams) - maxLanes
	c.streams = lanes
}

func (c *chart) gaps(stream string) []sim.Gap {
	var list []sim.Gap
	for _, g := range c.result.Gaps {
		if g.Stream == stream {
			list = append(list, g)
		}
	}
	return list
}

// cutPieces divides the run where the set of nodes that deliver a stream changes.
func (c *chart) cutPieces(holds []sim.Hold, gaps []sim.Gap) []piece {
	cuts := []time.Duration{0, c.until}
	for _, h := range holds {
		if h.Up >= 0 {
			cuts = append(cuts, min(h.Up, c.until), c.end(h.To))
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var list []piece
	ever := false
	for i := range cuts[:len(cuts)-1] {
		p := piece{from: cuts[i], to: cuts[i+1]}
		for _, h := range holds {
			if n := c.node(h.Node); h.Up >= 0 && h.Up <= p.from && p.to <= c.end(h.To) && n >= 0 && !slices.Contains(p.owners, n) {
				p.owners = append(p.owners, n)
			}
		}
		slices.Sort(p.owners)
		p.cold = len(p.owners) == 0 && !ever
		ever = ever || len(p.owners) > 0
		for _, g := range gaps {
			if len(p.owners) == 0 && g.From <= p.from && p.to <= c.end(g.To) {
				p.why = g.Cause.String()
			}
		}
		if n := len(list); n > 0 && slices.Equal(list[n-1].owners, p.owners) && list[n-1].cold == p.cold {
			list[n-1].to = p.to
			continue
		}
		list = append(list, p)
	}
	return list
}

func (c *chart) layNodes() {
	for i, name := range c.nodes {
		l := nodeLane{name: name, states: c.statesOf(name)}
		for _, b := range c.result.Beliefs {
			peer := c.node(b.Peer)
			if b.Node != name || peer < 0 || peer == i {
				continue
			}
			l.add(belief{b.From, l.untilDown(b.From, c.end(b.To)), peer})
		}
		c.states = append(c.states, l)
	}
}

// untilDown cuts a time where the node ends: the dead believe nothing.
func (l *nodeLane) untilDown(from, to time.Duration) time.Duration {
	for _, s := range l.states {
		if s.is == "down" && s.from > from && s.from < to {
			return s.from
		}
	}
	return to
}

// add puts a belief into the first row that has room.
func (l *nodeLane) add(b belief) {
	for i, row := range l.beliefs {
		if row[len(row)-1].to <= b.from {
			l.beliefs[i] = append(row, b)
			return
		}
	}
	l.beliefs = append(l.beliefs, []belief{b})
}

// statesOf reads from the snapshots what a node was.
func (c *chart) statesOf(name string) []state {
	var list []state
	for _, snap := range c.result.Snapshots {
		i := slices.IndexFunc(snap.Nodes, func(n sim.NodeState) bool { return n.Name == name })
		if i < 0 {
			continue
		}
		is := "up"
		switch n := snap.Nodes[i]; {
		case !n.Up:
			is = "down"
		case n.Frozen:
			is = "frozen"
		}
		if n := len(list); n > 0 && list[n-1].is == is {
			list[n-1].to = snap.At
			continue
		} else if n > 0 {
			list[n-1].to = snap.At
		}
		list = append(list, state{snap.At, snap.At, is})
	}
	if n := len(list); n > 0 {
		list[0].from, list[n-1].to = 0, c.until
	}
	return list
}

// maxFaultRows is how high the strip of faults may get for the sake of their words.
const maxFaultRows = 12

// A shownFault is a fault with the words of the scenario for it.
type shownFault struct {
	sim.Span
	text string
}

// layFaults puts faults into rows so that none covers another, nor its words unless that takes too many rows.
func (c *chart) layFaults() {
	faults := make([]shownFault, 0, len(c.result.Faults))
	for _, s := range c.result.Faults {
		text := longDecimals.ReplaceAllString(scenario.ActionText(s.Action), "$1")
		if s.To < 0 || s.To > c.until {
			s.To = c.until
		}
		faults = append(faults, shownFault{s, strings.TrimSuffix(text, " FILE.conf")})
	}
	slices.SortStableFunc(faults, func(a, b shownFault) int { return cmp.Compare(a.From, b.From) })
	if c.faults = rowsOf(faults, c.faultEnd); len(c.faults) > maxFaultRows {
		c.dense = true
		c.faults = rowsOf(faults, func(s shownFault) time.Duration { return max(s.To, s.From+c.until/300) })
	}
}

// rowsOf puts faults, in the order of their beginnings, each into the first row that has room.
func rowsOf(faults []shownFault, end func(shownFault) time.Duration) (rows [][]shownFault) {
	for _, s := range faults {
		i := slices.IndexFunc(rows, func(row []shownFault) bool { return end(row[len(row)-1]) <= s.From })
		if i < 0 {
			rows = append(rows, nil)
			i = len(rows) - 1
		}
		rows[i] = append(rows[i], s)
	}
	return rows
}

// longDecimals are digits of drawn numbers that nobody reads.
var longDecimals = regexp.MustCompile(`(\.\d\d)\d+`)

// faultEnd is where the next fault of the row may begin: behind this one and behind its words.
func (c *chart) faultEnd(s shownFault) time.Duration {
	words := time.Duration(float64(c.until) * float64(len([]rune(s.text))+3) * 0.006)
	return max(s.To, s.From+words)
}

// natural orders names so that cam2 comes before cam10.
func natural(a, b string) int {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da > 0 && db > 0 {
			x, y := strings.TrimLeft(a[:da], "0"), strings.TrimLeft(b[:db], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[da:], b[db:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// verdict is the outcome in a word.
func verdict(r *sim.Result) string {
	switch {
	case len(r.Violations) > 0:
		return "VIOLATION"
	case r.Unknown:
		return "UNKNOWN"
	}
	return "PASS"
}

// seconds writes an instant: seconds below ten minutes, then the largest units that fit.
func seconds(d time.Duration) string {
	d = d.Round(time.Millisecond)
	if d < 10*time.Minute {
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// tick is a round interval of which between 6 and 16 fill the run.
func tick(until time.Duration) time.Duration {
	for _, t := range []time.Duration{
		100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
		10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
		30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
	} {
		if until <= 16*t {
			return t
		}
	}
	return until / 10
}
