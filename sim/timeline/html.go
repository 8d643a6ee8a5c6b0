package timeline

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"time"

	"weir/sim"
)

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// HTMLOptions say what stands in the page besides the run itself.
type HTMLOptions struct {
	// Source is the scenario as it was written; empty leaves it out. Lines of expectations that failed are marked.
	Source string
}

// Measures of the drawing, in pixels.
const (
	chartWidth  = 1180 // of the lanes, before anybody zooms
	labelWidth  = 150
	rightMargin = 10 // so that a pin at the end of the run is seen
	axisHeight  = 26
	laneHeight  = 20
	barHeight   = 14
	beliefLane  = 13
	faultHeight = 20
	gapHeight   = 14 // between groups of lanes
	letterWidth = 6.2
)

// HTML draws a run as one page that loads nothing: an SVG with the lanes, a slider that shows what each node knew at an
// instant, the violations with the lines of the trace that led to them, and the bounds beside what was measured.
func HTML(w io.Writer, s *sim.Scenario, r *sim.Result, o HTMLOptions) error {
	p := &page{chart: newChart(s, r)}
	p.open()
	p.draw()
	p.panel()
	p.violations()
	p.tables()
	p.sourceText(o.Source)
	p.trace()
	p.f("<script>%s</script>\n</body></html>\n", strings.ReplaceAll(pageJS, "</script", `<\/script`))
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("writing the timeline: %w", err)
	}
	return nil
}

// A page is HTML that is being written.
type page struct {
	*chart
	b      strings.Builder
	labels strings.Builder // the names before the lanes, which do not move when the lanes are scrolled
	svg    strings.Builder
	y      int
}

func (p *page) f(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }
func (p *page) s(format string, args ...any) { fmt.Fprintf(&p.svg, format, args...) }

var esc = html.EscapeString

func (p *page) open() {
	name := p.scenario.Name
	if name == "" {
		name = "scenario"
	}
	v := verdict(p.result)
	p.f("<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>%s — %s</title>\n", esc(name), v)
	p.f("<meta name=viewport content=\"width=device-width\"><style>%s", pageCSS)
	for i := range p.nodes {
		p.f(".n%d{fill:%s;--c:%s}", i, colour(i), colour(i))
	}
	p.f("</style></head>\n<body>\n<header><h1>%s <span class=\"verdict %s\">%s</span></h1>\n", esc(strings.ReplaceAll(name, "_", " ")), strings.ToLower(v), v)
	if p.scenario.Comment != "" {
		p.f("<p class=comment>%s</p>\n", esc(strings.Join(strings.Fields(p.scenario.Comment), " ")))
	}
	p.f("<p class=facts>seed %d · %d nodes · %d streams · %s simulated · %d events · trace <code>%.12s</code></p>\n",
		p.scenario.Seed, len(p.nodes), len(p.streams)+p.hidden, seconds(p.result.Simulated), p.result.Events, p.result.Hash)
	if p.result.Unknown {
		p.f("<p class=why>Nobody can tell: %s</p>\n", esc(p.result.Why))
	}
	p.f("</header>\n<div class=legend>")
	for i, n := range p.nodes {
		p.f("<span><i style=\"background:%s\"></i>%s</span>", colour(i), esc(n))
	}
	p.f(`<span><i class=both></i>several nodes at once</span><span><i class=none></i>nobody</span><span><i class=cold></i>not yet</span>` +
		`<span><i class=starting></i>starting</span><span><i class=down></i>down</span><span><i class=frozen></i>frozen</span><span><i class=what></i>something is done to the group</span>`)
	if len(p.pins) > 0 {
		p.f("<span><i class=broken>1</i>something was broken: click for what led to it</span>")
	}
	p.f("</div>\n")
}

// colour is the colour of a node. None is red, which means that nobody has a stream.
func colour(i int) string {
	known := []string{"#3b7dd8", "#d99a1c", "#2f9e78", "#8e5bd0", "#27b3d1", "#a3a33a", "#c76fb0", "#7a6a53", "#6d7b8d", "#3f4fbf"}
	if i < 0 {
		return "#888888"
	}
	if i < len(known) {
		return known[i]
	}
	return fmt.Sprintf("hsl(%d,45%%,%d%%)", 30+(i*137)%300, 45+i%3*8)
}

// x is where an instant is drawn while nobody has zoomed.
func (p *page) x(at time.Duration) float64 {
	return float64(at) / float64(p.until) * chartWidth
}

// span are the attributes of something that lasts: where it is drawn, and its times, from which the script draws it
// again when somebody zooms.
func (p *page) span(from, to time.Duration) string {
	return fmt.Sprintf(`x="%.1f" width="%.1f" data-a="%d" data-b="%d"`, p.x(from), max(p.x(to)-p.x(from), 1), from.Microseconds(), to.Microseconds())
}

// words writes text that begins at an instant. Between two instants that are not the same it has to have room, and is
// hidden without.
func (p *page) words(class string, y int, from, to time.Duration, text string) {
	p.either(class, y, from, to, text, "")
}

// either is words with another text, shorter or empty, for as long as the first has no room.
func (p *page) either(class string, y int, from, to time.Duration, text, brief string) {
	need := func(t string) float64 { return float64(len([]rune(t)))*letterWidth + 6 }
	shown, more := text, ""
	if room := p.x(to) - p.x(from); to > from && room < need(text) {
		if shown = brief; room < need(brief) {
			shown = ""
		}
	}
	if to > from {
		more = fmt.Sprintf(` data-w="%.0f" data-t="%s" data-s="%s" data-v="%.0f"`, need(text), esc(text), esc(brief), need(brief))
	}
	p.s(`<text class="%s" x="%.1f" y="%d" data-a="%d" data-b="%d"%s>%s</text>`, class, p.x(from)+3, y, from.Microseconds(), to.Microseconds(),
		more, esc(shown))
}

// atEdge writes text behind an instant, or before it where the page ends.
func (p *page) atEdge(class string, y int, at time.Duration, text string) {
	x, anchor := p.x(at)+3, ""
	need := float64(len([]rune(text)))*letterWidth + 6
	if p.x(at)+need > chartWidth {
		x, anchor = p.x(at)-3, ` text-anchor="end"`
	}
	p.s(`<text class="%s" x="%.1f" y="%d" data-a="%d" data-e="%.0f"%s>%s</text>`, class, x, y, at.Microseconds(), need, anchor, esc(text))
}

func (p *page) label(text, class string) {
	fmt.Fprintf(&p.labels, `<text class="%s" x="%d" y="%d">%s</text>`, class, labelWidth-11, p.y+11, esc(short(text, 22)))
}

func short(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// draw writes the lanes.
func (p *page) draw() {
	p.y = axisHeight
	p.drawPins()
	p.drawFaults()
	p.heading("streams: who captures them")
	for _, l := range p.streams {
		p.drawStream(l)
	}
	if p.hidden > 0 {
		p.label(fmt.Sprintf("and %d calmer ones", p.hidden), "label faint")
		p.y += laneHeight
	}
	p.heading("nodes: what they are, and below whom they take for dead")
	for i, l := range p.states {
		p.drawNode(i, l)
	}
	height := p.y + 6
	p.f("<div class=chart><svg class=labels width=%d height=%d>%s</svg>", labelWidth, height, p.labels.String())
	p.f("<div class=scroll><svg id=lanes width=%d height=%d data-margin=%d data-until=%d data-width=%d>\n<defs>%s</defs>\n", chartWidth+rightMargin, height, rightMargin,
		p.until.Microseconds(), chartWidth, p.patterns())
	for at := time.Duration(0); at < p.until; at += tick(p.until) {
		p.f(`<line class=grid x1="%.1f" x2="%.1f" y1=%d y2=%d data-a=%d /><text class=tick x="%.1f" y=14 data-a=%d>%s</text>`,
			p.x(at), p.x(at), axisHeight-6, height, at.Microseconds(), p.x(at)+3, at.Microseconds(), seconds(at))
	}
	p.f("%s", p.svg.String())
	for _, pin := range p.pins {
		p.f(`<line class=pinline x1="%.1f" x2="%.1f" y1=%d y2=%d data-a=%d />`, p.x(pin.At), p.x(pin.At), axisHeight+6, height, pin.At.Microseconds())
	}
	p.f("\n<line id=cursor x1=0 x2=0 y1=0 y2=%d /></svg></div></div>\n", height)
}

// heading names the lanes below it.
func (p *page) heading(text string) {
	p.y += gapHeight
	p.words("heading", p.y-2, 0, 0, text)
	p.y += 4
}

func (p *page) drawPins() {
	if len(p.pins) == 0 {
		return
	}
	p.label("violations", "label red")
	for _, v := range p.pins {
		p.s(`<a href="#v%d"><g class=pin data-a="%d" transform="translate(%.1f,%d)"><path d="M0 12 L-6 2 A7 7 0 1 1 6 2 Z"/><text y="1">%d</text><title>%s at %s: %s</title></g></a>`,
			v.number, v.At.Microseconds(), p.x(v.At), p.y+3, v.number, v.Invariant, seconds(v.At), esc(v.Text))
	}
	p.y += laneHeight
}

func (p *page) drawFaults() {
	for i, row := range p.faults {
		if i == 0 {
			p.label("what happens", "label")
		}
		for k, s := range row {
			class := "fault"
			if s.To <= s.From {
				class = "fault instant"
			}
			p.s(`<rect class="%s" y="%d" height="%d" %s><title>%s, %s</title></rect>`, class, p.y, faultHeight-4, p.span(s.From, s.To),
				esc(s.text), times(s.From, s.To))
			if !p.dense {
				p.atEdge("faulttext", p.y+12, s.From, s.text)
				continue
			}
			next := p.until
			if k+1 < len(row) {
				next = row[k+1].From
			}
			p.words("faulttext", p.y+12, s.From, next, s.text)
		}
		p.y += faultHeight
	}
}

func times(from, to time.Duration) string {
	if to <= from {
		return "at " + seconds(from)
	}
	return fmt.Sprintf("%s to %s (%s)", seconds(from), seconds(to), seconds(to-from))
}

func (p *page) drawStream(l streamLane) {
	p.label(l.name, "label")
	for _, c := range l.pieces {
		class, fill, says := "piece", "", ""
		switch n := len(c.owners); {
		case n == 0 && (c.cold || l.waiting):
			class, says = "piece cold", "nobody yet"
		case n == 0:
			class, says = "piece none", "nobody captures it"
			if c.why != "" {
				says += " (" + c.why + ")"
			}
		case n == 1:
			class, says = fmt.Sprintf("piece n%d", c.owners[0]), p.nodes[c.owners[0]]+" captures it"
		default:
			fill, says = fmt.Sprintf(` fill="url(#%s)"`, patternID(c.owners)), strings.Join(p.named(c.owners), " and ")+" capture it at once"
			class = "piece both"
		}
		p.s(`<rect class="%s"%s y="%d" height="%d" %s><title>%s: %s, %s</title></rect>`, class, fill, p.y, barHeight, p.span(c.from, c.to),
			esc(l.name), esc(says), times(c.from, c.to))
		if len(c.owners) == 1 {
			p.words("owner", p.y+11, c.from, c.to, p.nodes[c.owners[0]])
		}
	}
	for _, s := range l.starts {
		class := fmt.Sprintf("start n%d", s.node)
		if s.failed {
			class += " failed"
		}
		p.s(`<rect class="%s" y="%d" height="4" %s><title>%s: %s starts it, %s</title></rect>`, class, p.y+barHeight-1, p.span(s.from, s.to),
			esc(l.name), esc(p.name(s.node)), times(s.from, s.to))
	}
	p.y += laneHeight
}

func (p *page) name(node int) string {
	if node < 0 {
		return "a node that is not in the list"
	}
	return p.nodes[node]
}

func (p *page) named(nodes []int) []string {
	var list []string
	for _, n := range nodes {
		list = append(list, p.name(n))
	}
	return list
}

func (p *page) drawNode(i int, l nodeLane) {
	fmt.Fprintf(&p.labels, `<rect class="n%d" x="%d" y="%d" width="6" height="%d"/>`, i, labelWidth-6, p.y, barHeight)
	p.label(l.name, "label")
	for _, s := range l.states {
		p.s(`<rect class="state %s" y="%d" height="%d" %s><title>%s is %s, %s</title></rect>`, s.is, p.y, barHeight, p.span(s.from, s.to),
			esc(l.name), s.is, times(s.from, s.to))
		if s.is != "up" {
			p.words("statetext", p.y+11, s.from, s.to, s.is)
		}
	}
	p.y += barHeight + 2
	for _, row := range l.beliefs {
		for _, b := range row {
			p.s(`<rect class="belief n%d" y="%d" height="%d" %s><title>%s takes %s for dead, %s</title></rect>`, b.peer, p.y, beliefLane-2,
				p.span(b.from, b.to), esc(l.name), esc(p.name(b.peer)), times(b.from, b.to))
			p.either("belieftext", p.y+9, b.from, b.to, p.name(b.peer)+" is dead", p.name(b.peer))
		}
		p.y += beliefLane
	}
	p.y += 4
}

func patternID(owners []int) string {
	var b strings.Builder
	b.WriteString("h")
	for _, o := range owners {
		fmt.Fprintf(&b, "-%d", o)
	}
	return b.String()
}

// patterns are the hatchings of the pairs of owners that occur.
func (p *page) patterns() string {
	var b strings.Builder
	done := map[string]bool{}
	for _, l := range p.streams {
		for _, c := range l.pieces {
			id := patternID(c.owners)
			if len(c.owners) < 2 || done[id] {
				continue
			}
			done[id] = true
			w := 5 * len(c.owners)
			fmt.Fprintf(&b, `<pattern id="%s" width="%d" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">`, id, w)
			for i, o := range c.owners {
				fmt.Fprintf(&b, `<rect x="%d" width="5" height="8" fill="%s"/>`, 5*i, colour(o))
			}
			b.WriteString("</pattern>")
		}
	}
	return b.String()
}

func (p *page) violations() {
	if len(p.pins) == 0 {
		return
	}
	p.f("<section><h2>What was broken</h2>\n")
	for _, v := range p.pins {
		p.f(`<article id=v%d class=violation><h3><b>%d</b> %s <span>at %s</span> <button type=button data-go="%d">show</button></h3><p>%s</p>`,
			v.number, v.number, v.Invariant, seconds(v.At), v.At.Microseconds(), esc(v.Text))
		if v.Step > 0 {
			p.f(`<p>Expected in <a href="#s%d">line %d</a> of the scenario.</p>`, v.Step, v.Step)
		}
		if chain := p.result.Causes(v.Line, 12); len(chain) > 0 {
			p.f("<p>What led to it, the cause first:</p><pre>")
			for _, l := range chain {
				p.f(`<a href="#L%d">%s</a>`+"\n", l.Number, esc(l.Text))
			}
			p.f("</pre>")
		}
		p.f("</article>\n")
	}
	p.f("</section>\n")
}

func (p *page) tables() {
	if len(p.result.Measures) > 0 {
		names := make([]string, 0, len(p.result.Measures))
		for n := range p.result.Measures {
			names = append(names, n)
		}
		slices.SortFunc(names, natural)
		p.f("<section><h2>Bounds and what was measured</h2><table><tr><th>bound<th>formula<th>its value<th>worst<th>times</tr>\n")
		for _, n := range names {
			m := p.result.Measures[n]
			class := ""
			if m.Bound > 0 && m.Worst > m.Bound {
				class = " class=bad"
			}
			p.f("<tr%s><td>%s<td><code>%s</code><td>%s<td>%s<td>%d</tr>\n", class, esc(n), esc(m.Formula), seconds(m.Bound), seconds(m.Worst), m.Count)
		}
		p.f("</table></section>\n")
	}
	if len(p.result.Verdicts) > 0 {
		p.f("<section><h2>Invariants</h2><ul class=verdicts>")
		for _, v := range p.result.Verdicts {
			p.f(`<li class="%s"><b>%s</b> %s<em>%s</em>`, strings.ReplaceAll(v.Outcome.String(), " ", "-"), v.Invariant, esc(v.Invariant.Rule()), v.Outcome)
		}
		p.f("</ul></section>\n")
	}
}

func (p *page) sourceText(source string) {
	if source == "" {
		return
	}
	bad := map[int]bool{}
	for _, v := range p.pins {
		bad[v.Step] = true
	}
	p.f("<section><h2>The scenario</h2><pre class=source>")
	n := 0
	for line := range strings.Lines(source) {
		n++
		class := ""
		if bad[n] {
			class = " class=bad"
		}
		p.f(`<span id=s%d%s>%s</span>`+"\n", n, class, esc(strings.TrimRight(line, "\n")))
	}
	p.f("</pre></section>\n")
}

// How much of the trace a page has: all of a short one, otherwise the lines before each violation and the first ones.
const (
	wholeTrace  = 6000
	beforeFault = 400
	afterFault  = 100
)

func (p *page) trace() {
	lines := p.result.Trace
	if len(lines) == 0 {
		return
	}
	keep := func(l sim.Line) bool { return true }
	if len(lines) > wholeTrace {
		near := map[uint64]bool{}
		for _, v := range p.pins {
			for _, l := range p.result.Causes(v.Line, 12) {
				near[l.Number] = true
			}
		}
		keep = func(l sim.Line) bool {
			if l.Number < wholeTrace/4 || near[l.Number] {
				return true
			}
			return slices.ContainsFunc(p.pins, func(v pin) bool { return l.Number+beforeFault >= v.Line && l.Number <= v.Line+afterFault })
		}
	}
	p.f("<details id=trace><summary>Trace, %d lines</summary><pre>", len(lines))
	written, left := 0, 0
	for _, l := range lines {
		if !keep(l) || written > 2*wholeTrace {
			left++
			continue
		}
		if left > 0 {
			p.f("<i>… %d lines left out</i>\n", left)
			left = 0
		}
		p.f(`<span id=L%d>%s</span>`+"\n", l.Number, esc(l.Text))
		written++
	}
	if left > 0 {
		p.f("<i>… %d lines left out</i>\n", left)
	}
	p.f("</pre></details>\n")
}
