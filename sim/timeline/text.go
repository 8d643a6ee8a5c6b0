package timeline

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"weir/sim"
)

// TextOptions say how a run is drawn in a terminal.
type TextOptions struct {
	// Width is the room in characters. Zero means 100; less than 60 counts as 60.
	Width int

	// Colour uses the terminal's colours. Without it every sign can still be told from every other.
	Colour bool
}

// The signs of the text. A node's sign is its number in the list, then letters.
const (
	signNone    = '!' // nobody captures the stream
	signSeveral = '=' // more than one node does
	signCold    = '.' // nobody has yet, or need to
	signDown    = 'x'
	signFrozen  = '~'
	signUp      = '-'
	nodeSigns   = "123456789abcdefghijklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// nodeColours tell nodes apart in a terminal, by the codes of ANSI colours.
var nodeColours = []string{"36", "35", "32", "33", "34", "96", "95", "92", "93", "94"}

// Text draws a run as text: an axis, a lane for each stream with the sign of its owner, a lane for each node with the
// signs of those whom it takes for dead, and what was broken.
func Text(w io.Writer, s *sim.Scenario, r *sim.Result, o TextOptions) error {
	t := newText(newChart(s, r), o)
	t.drawHead()
	t.drawAxis()
	t.drawFaults()
	t.drawStreams()
	t.drawNodes()
	t.drawKey()
	t.drawViolations()
	if _, err := io.WriteString(w, t.b.String()); err != nil {
		return fmt.Errorf("writing the timeline: %w", err)
	}
	return nil
}

// A text draws a chart in cells.
type text struct {
	*chart
	b      strings.Builder
	colour bool
	label  int // width of the names before the lanes
	cells  int // width of the lanes
}

func newText(c *chart, o TextOptions) *text {
	width := o.Width
	if width == 0 {
		width = 100
	}
	width = max(width, 60)
	t := &text{chart: c, colour: o.Colour, label: len("violations")}
	for _, l := range c.streams {
		t.label = max(t.label, utf8.RuneCountInString(l.name)+3)
	}
	for _, n := range c.nodes {
		t.label = max(t.label, utf8.RuneCountInString(n)+2)
	}
	t.label = min(t.label, width/3) + 1
	t.cells = width - t.label
	return t
}

func (t *text) paint(code, s string) string {
	if !t.colour || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *text) line(label, rest string) {
	if r := []rune(label); len(r) >= t.label {
		label = string(r[:t.label-2]) + "…"
	}
	t.b.WriteString(strings.TrimRight(fmt.Sprintf("%-*s%s", t.label, label, rest), " ") + "\n")
}

// cell is the time that a cell stands for.
func (t *text) cell(i int) (from, to time.Duration) {
	at := func(i int) time.Duration { return time.Duration(float64(t.until) * float64(i) / float64(t.cells)) }
	return at(i), at(i + 1)
}

// column is the cell of an instant.
func (t *text) column(at time.Duration) int {
	return min(max(int(float64(at)/float64(t.until)*float64(t.cells)), 0), t.cells-1)
}

func (t *text) drawHead() {
	r := t.result
	code := "32"
	if verdict(r) != "PASS" {
		code = "31"
	}
	name := t.scenario.Name
	if name == "" {
		name = "scenario"
	}
	fmt.Fprintf(&t.b, "%s  %s  seed %d  %d nodes, %d streams, %s simulated", name, t.paint("1;"+code, verdict(r)), t.scenario.Seed,
		len(t.nodes), len(t.streams)+t.hidden, seconds(r.Simulated))
	if len(r.Hash) >= 12 {
		fmt.Fprintf(&t.b, ", trace %s", r.Hash[:12])
	}
	t.b.WriteByte('\n')
	if r.Unknown && r.Why != "" {
		t.b.WriteString("unknown: " + r.Why + "\n")
	}
}

// drawAxis writes the times, and below them where something was broken.
func (t *text) drawAxis() {
	row := []rune(strings.Repeat(" ", t.cells))
	free := 0
	for at := time.Duration(0); at <= t.until; at += tick(t.until) {
		words := []rune(seconds(at))
		if c := t.column(at); c >= free && c+len(words) <= t.cells {
			copy(row[c:], words)
			free = c + len(words) + 1
		}
	}
	t.line("time", string(row))
	if len(t.pins) == 0 {
		return
	}
	marks := []rune(strings.Repeat(" ", t.cells))
	for _, p := range t.pins {
		marks[t.column(p.At)] = '^'
	}
	t.line("violations", t.paint("31", string(marks)))
}

func (t *text) drawFaults() {
	rows, left := t.packFaults()
	for _, row := range rows {
		t.line("faults", row)
	}
	if left > 0 {
		t.line("", fmt.Sprintf("and %d more faults, for which here is no room", left))
	}
}

// packFaults writes each fault where it begins, a line under its time; those that would cover each other get a row
// more. It says how many are left out because there are too many rows.
func (t *text) packFaults() (out []string, left int) {
	var rows [][]rune
	var free []int
	for _, s := range flatten(t.faults) {
		from, to := t.column(s.From), t.column(s.To)
		words := []rune(s.text)
		if s.To > s.From {
			words = append([]rune{'['}, words...)
			for len(words) < to-from {
				words = append(words, '-')
			}
			words = append(words, ']')
		} else {
			words = append([]rune{'|'}, words...)
		}
		if from+len(words) > t.cells {
			from = max(0, t.cells-len(words))
		}
		words = words[:min(len(words), t.cells)]
		row := slices.IndexFunc(free, func(n int) bool { return n <= from })
		if row < 0 && len(rows) == maxFaultRows {
			left++
			continue
		}
		if row < 0 {
			row = len(rows)
			rows, free = append(rows, []rune(strings.Repeat(" ", t.cells))), append(free, 0)
		}
		copy(rows[row][from:], words)
		free[row] = from + len(words) + 1
	}
	for _, r := range rows {
		out = append(out, string(r))
	}
	return out, left
}

func flatten(rows [][]shownFault) []shownFault {
	list := slices.Concat(rows...)
	slices.SortStableFunc(list, func(a, b shownFault) int {
		if a.From != b.From {
			return int(min(max(a.From-b.From, -1), 1))
		}
		return strings.Compare(a.text, b.text)
	})
	return list
}

func (t *text) sign(node int) rune {
	if node < 0 || node >= len(nodeSigns) {
		return '?'
	}
	return rune(nodeSigns[node])
}

func (t *text) nodeColour(node int) string { return nodeColours[max(node, 0)%len(nodeColours)] }

// cellsOf writes the cells of a lane, those of one colour together.
func (t *text) cellsOf(sign func(i int) (rune, string)) string {
	var b strings.Builder
	var run []rune
	last := ""
	flush := func() {
		if len(run) > 0 {
			b.WriteString(t.paint(last, string(run)))
		}
		run = run[:0]
	}
	for i := range t.cells {
		r, code := sign(i)
		if code != last {
			flush()
			last = code
		}
		run = append(run, r)
	}
	flush()
	return b.String()
}

// drawStreams writes the lanes of the streams, those that look alike once.
func (t *text) drawStreams() {
	var rows []string
	alike := map[string][]string{}
	for _, l := range t.streams {
		row := t.cellsOf(func(i int) (rune, string) { return t.streamCell(l, i) })
		if len(alike[row]) == 0 {
			rows = append(rows, row)
		}
		alike[row] = append(alike[row], l.name)
	}
	for _, row := range rows {
		label := alike[row][0]
		if more := len(alike[row]) - 1; more > 0 {
			label = fmt.Sprintf("%s +%d", label, more)
		}
		t.line(label, row)
	}
	if t.hidden > 0 {
		t.line("", fmt.Sprintf("and %d more streams in which less happened", t.hidden))
	}
}

// streamCell is the sign of a cell: what went wrong within it comes before what went well, however short it was.
func (t *text) streamCell(l streamLane, i int) (rune, string) {
	from, to := t.cell(i)
	sign, code := signCold, "2"
	for _, p := range l.pieces {
		if p.to <= from || p.from >= to {
			continue
		}
		switch {
		case len(p.owners) == 0 && (p.cold || l.waiting):
		case len(p.owners) == 0:
			return signNone, "1;31"
		case len(p.owners) > 1:
			sign, code = signSeveral, "1;33"
		case sign != signSeveral:
			sign, code = t.sign(p.owners[0]), t.nodeColour(p.owners[0])
		}
	}
	return sign, code
}

func (t *text) drawNodes() {
	for n, l := range t.states {
		label := fmt.Sprintf("%c %s", t.sign(n), l.name)
		t.line(label, t.cellsOf(func(i int) (rune, string) { return t.nodeCell(l, i) }))
		for _, row := range l.beliefs {
			t.line("  dead:", t.cellsOf(func(i int) (rune, string) {
				from, to := t.cell(i)
				for _, b := range row {
					if b.from < to && b.to > from {
						return t.sign(b.peer), t.nodeColour(b.peer)
					}
				}
				return ' ', ""
			}))
		}
	}
}

func (t *text) nodeCell(l nodeLane, i int) (rune, string) {
	from, to := t.cell(i)
	sign, code := ' ', ""
	for _, s := range l.states {
		if s.to <= from || s.from >= to {
			continue
		}
		switch s.is {
		case "down":
			return signDown, "31"
		case "frozen":
			sign, code = signFrozen, "33"
		default:
			if sign == ' ' {
				sign, code = signUp, "2"
			}
		}
	}
	return sign, code
}

// drawKey says what the signs mean, of those that occur.
func (t *text) drawKey() {
	parts := make([]string, 0, len(t.nodes)+4)
	for n, name := range t.nodes {
		parts = append(parts, fmt.Sprintf("%s %s", t.paint(t.nodeColour(n), string(t.sign(n))), name))
	}
	drawn := t.b.String()
	for _, k := range []struct {
		sign rune
		code string
		says string
	}{
		{signNone, "1;31", "nobody"},
		{signSeveral, "1;33", "several at once"},
		{signCold, "2", "not yet"},
		{signDown, "31", "down"},
		{signFrozen, "33", "frozen"},
	} {
		if strings.ContainsRune(drawn, k.sign) {
			parts = append(parts, fmt.Sprintf("%s %s", t.paint(k.code, string(k.sign)), k.says))
		}
	}
	t.line("key", strings.Join(parts, "  "))
}

func (t *text) drawViolations() {
	for _, p := range t.pins {
		fmt.Fprintf(&t.b, "\n%s at %s: %s\n", t.paint("1;31", p.Invariant.String()), seconds(p.At), p.Text)
		if p.Step > 0 {
			fmt.Fprintf(&t.b, "  expected in line %d of the scenario\n", p.Step)
		}
		for _, l := range t.result.Causes(p.Line, 8) {
			fmt.Fprintf(&t.b, "  %s\n", l.Text)
		}
	}
}
