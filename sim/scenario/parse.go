package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/cluster/conf"
	"weir/sim"
)

// Limits of a scenario. The longest written by hand has some fifty lines; a shrunk one has fewer.
const (
	maxText     = 8 << 20 // in bytes, of the archive
	maxSteps    = 20_000
	maxProblems = 50 // then nobody reads on
)

// A parser reads the scenario section line by line. After the first fault of a line the rest of the line is not read,
// and everything that its methods return counts for nothing.
type parser struct {
	file     string
	problems conf.Problems
	s        *sim.Scenario

	nodes   *names                // that may be named
	streams *names                // the same
	files   map[string]*conf.File // that an edit may name

	line   int
	width  int // of the line, in characters
	toks   []token
	next   int
	failed bool // this line has a fault
	full   bool // there are more faults than anybody reads

	// The time of the last at or from, to which an expectation refers.
	anchored bool
	from, to time.Duration // to is 0 if it has no end
}

// section reads a whole section; first is the line of the file where it begins.
func (p *parser) section(text string, first int) {
	p.line = first - 1
	for line := range strings.Lines(text) {
		p.line++
		if p.full {
			return
		}
		p.readLine(strings.TrimRight(line, "\r\n"))
	}
}

func (p *parser) readLine(line string) {
	toks, fault := tokenize(line)
	p.toks, p.next, p.failed, p.width = toks, 0, false, len([]rune(line))
	if fault != nil {
		p.failAt(fault.col, "%s", fault.text)
		return
	}
	if len(toks) > 0 {
		p.statement()
	}
}

// failAt reports the fault of this line; only the first counts.
func (p *parser) failAt(col int, format string, args ...any) {
	if p.failed || p.full {
		return
	}
	p.failed = true
	p.next = len(p.toks)
	p.problems = append(p.problems, conf.Problem{
		Pos: conf.Pos{File: p.file, Line: p.line, Col: col}, Severity: conf.Error, Text: fmt.Sprintf(format, args...),
	})
	p.full = len(p.problems) >= maxProblems
}

// fail reports a fault at a token.
func (p *parser) fail(t token, format string, args ...any) { p.failAt(t.col, format, args...) }

// unknown reports a word that is none of those known.
func (p *parser) unknown(t token, want string, known []string) {
	more := ""
	if near := conf.Nearest(t.text, known); near != "" && !t.quoted {
		more = fmt.Sprintf("; did you mean %q?", near)
	}
	p.fail(t, "found %s, expected %s%s", shown(t), want, more)
}

// shown is how messages show a token.
func shown(t token) string {
	const limit = 60
	if t.text == "" && !t.quoted {
		return "the end of the line"
	}
	if r := []rune(t.text); len(r) > limit {
		return strconv.Quote(string(r[:limit]) + "…")
	}
	return strconv.Quote(t.text)
}

// end is the token that stands for the end of the line.
func (p *parser) end() token { return token{col: p.width + 1} }

// peek gives the next token without taking it.
func (p *parser) peek() token {
	if p.next >= len(p.toks) {
		return p.end()
	}
	return p.toks[p.next]
}

func (p *parser) take() token {
	t := p.peek()
	if p.next < len(p.toks) {
		p.next++
	}
	return t
}

func (p *parser) more() bool { return p.next < len(p.toks) }

// word reports whether the next token is this unquoted word, and takes it then.
func (p *parser) word(words ...string) bool {
	for i, w := range words {
		if p.next+i >= len(p.toks) || p.toks[p.next+i].quoted || p.toks[p.next+i].text != w {
			return false
		}
	}
	p.next += len(words)
	return true
}

// expect takes a word that has to stand here.
func (p *parser) expect(w string) {
	if t := p.peek(); !p.word(w) {
		p.unknown(t, strconv.Quote(w), []string{w})
	}
}

// duration takes a time.
func (p *parser) duration() time.Duration {
	t := p.take()
	d, err := parseDuration(t.text)
	switch {
	case t.text == "":
		p.fail(t, "found the end of the line, expected a time, such as 3.6s")
	case err != nil:
		p.fail(t, "%v", err)
	case d < 0:
		p.fail(t, "found %s, expected a time that is not negative", shown(t))
	}
	return d
}

// isDuration says whether the next token is a time.
func (p *parser) isDuration() bool {
	t := p.peek()
	_, err := parseDuration(t.text)
	return err == nil && !t.quoted && !t.op && t.text != ""
}

// instant takes an instant: since the start, or, behind a plus, since the beginning of the last one.
func (p *parser) instant() time.Duration {
	t := p.peek()
	rest, relative := strings.CutPrefix(t.text, "+")
	if !relative || t.quoted {
		return p.duration()
	}
	p.take()
	d, err := parseDuration(rest)
	switch {
	case err != nil || d < 0:
		p.fail(t, "found %s, expected a time behind the plus, such as +3.6s", shown(t))
	case !p.anchored:
		p.fail(t, "found %s, but nothing stands before from which to count", shown(t))
	}
	return p.from + d
}

func (p *parser) span() sim.Range {
	t := p.take()
	r, err := parseSpan(t.text)
	switch {
	case t.text == "":
		p.fail(t, "found the end of the line, expected a time or a range of times, such as 1ms..50ms")
	case err != nil:
		p.fail(t, "%v", err)
	}
	return r
}

func (p *parser) probability() sim.PPM {
	t := p.take()
	n, err := parsePPM(t.text)
	switch {
	case t.text == "":
		p.fail(t, "found the end of the line, expected a probability, such as 0.5%%")
	case err != nil:
		p.fail(t, "%v", err)
	}
	return n
}

// number takes a whole number within bounds.
func (p *parser) number(least, most int) int {
	t := p.take()
	n, err := strconv.Atoi(t.text)
	if err != nil || n < least || n > most {
		p.fail(t, "found %s, expected a whole number from %d to %d", shown(t), least, most)
	}
	return n
}

// A names value is those that may be said of one kind of thing.
type names struct {
	what  string // the kind, for messages
	list  []string
	set   map[string]bool
	other map[string]string // what else they are called
}

func newNames(what string, list []string) *names {
	n := &names{what: what, list: list, set: make(map[string]bool, len(list)), other: map[string]string{}}
	for _, name := range list {
		n.set[name] = true
	}
	return n
}

// also lets a name be said in another way, unless that is a name itself.
func (n *names) also(other, name string) {
	if !n.set[other] {
		n.other[other] = name
	}
}

// find returns the name that is meant.
func (n *names) find(said string) (name string, ok bool) {
	if of := n.other[said]; of != "" && n.set[of] {
		return of, true
	}
	return said, n.set[said]
}

// names takes a list of names that have to be known; all of them is nil.
func (p *parser) names(known *names) []string {
	if p.word("all") {
		return nil
	}
	var list []string
	said := map[string]bool{}
	for {
		t := p.take()
		if t.op || t.text == "" && !t.quoted {
			p.fail(t, "found %s, expected the name of a %s, or all", shown(t), known.what)
			return nil
		}
		some := []string{t.text}
		if !t.quoted {
			var err error
			if some, err = expandName(t.text); err != nil {
				p.fail(t, "%v", err)
				return nil
			}
		}
		for _, word := range some {
			name, ok := known.find(word)
			if !ok {
				p.unknownName(t, word, known)
				return nil
			}
			if !said[name] {
				said[name] = true
				list = append(list, name)
			}
		}
		if !p.word(",") {
			return list
		}
	}
}

// unknownName reports a name that is not known.
func (p *parser) unknownName(t token, name string, known *names) {
	more := ""
	if near := conf.Nearest(name, known.list); near != "" {
		more = fmt.Sprintf("; did you mean %q?", near)
	} else if folded := foldNames(known.list); len(folded) > 0 && len(folded) <= 8 {
		more = ": " + strings.Join(folded, ", ")
	}
	p.fail(t, "found %q, expected the name of a %s%s", name, known.what, more)
}

func (p *parser) nodeNames() []string   { return p.names(p.nodes) }
func (p *parser) streamNames() []string { return p.names(p.streams) }

// oneName takes one name.
func (p *parser) oneName(known *names) string {
	t := p.take()
	if t.op || t.text == "" && !t.quoted {
		p.fail(t, "found %s, expected the name of a %s", shown(t), known.what)
		return ""
	}
	name, ok := known.find(t.text)
	if !ok {
		p.unknownName(t, t.text, known)
	}
	return name
}

// link takes links: A -> B in that direction, A <-> B or A | B in both, A alone for all links of A, all for every one.
func (p *parser) link() sim.Links {
	l := sim.Links{From: p.nodeNames()}
	switch {
	case p.word("->"):
		l.OneWay = true
	case p.word("<->"), p.word("|"):
	default:
		return l
	}
	l.To = p.nodeNames()
	return l
}

// statement reads a line that is not empty.
func (p *parser) statement() {
	switch t := p.peek(); {
	case p.word("at"):
		p.from, p.to = p.instant(), 0
		p.anchored = true
		p.actions()
	case p.word("from"):
		from := p.instant()
		p.expect("to")
		at := p.peek()
		p.from, p.anchored = from, true
		p.to = p.instant()
		if p.to <= from {
			p.fail(at, "found %s, expected the end to be later than the beginning, %s", shown(at), formatDuration(from))
		}
		p.actions()
	case p.word("expect"), p.word("check"):
		if !p.anchored {
			p.fail(t, "found %s before any `at`, expected `at TIME expect …`", shown(t))
		}
		p.expectation()
		for p.word(";") {
			if !p.word("expect") {
				p.word("check")
			}
			p.expectation()
		}
	default:
		p.settings()
	}
	if p.more() {
		p.fail(p.peek(), "found %s, expected the end of the line or `;`", shown(p.peek()))
	}
}

// settingWords begin what is said of the run as a whole.
var settingWords = []string{"seed", "net", "capture", "until", "fidelity", "nodes"}

// settings reads what holds for the whole run; several may stand on a line.
func (p *parser) settings() {
	for p.more() && !p.failed {
		t := p.take()
		if t.quoted || !slices.Contains(settingWords, t.text) {
			p.unknown(t, "at, from, expect, seed, net, capture, until, fidelity or nodes", append([]string{"at", "from", "expect"}, settingWords...))
			return
		}
		switch t.text {
		case "seed":
			n := p.take()
			seed, err := strconv.ParseUint(n.text, 10, 64)
			if err != nil {
				p.fail(n, "found %s, expected a number", shown(n))
			}
			p.s.Seed = seed
		case "net":
			p.options(t, map[string]func(){
				"delay": func() { p.s.Net.Delay = p.span() },
				"loss":  func() { p.s.Net.Loss = p.probability() },
			})
		case "capture":
			p.options(t, map[string]func(){
				"up":      func() { p.s.Capture.Up = p.span() },
				"down":    func() { p.s.Capture.Down = p.span() },
				"timeout": func() { p.s.Capture.Timeout = p.duration() },
				"segment": func() { p.s.Capture.Segment = p.duration() },
			})
		case "until":
			p.s.Until = p.duration()
		case "nodes":
			if len(p.s.Steps) > 0 {
				p.fail(t, "found nodes behind the first step, expected it before")
			}
			if list := p.group(); !p.failed {
				other := p.nodes.other
				p.nodes = newNames("node", list)
				p.nodes.other = other
				p.s.Nodes = list
			}
		case "fidelity":
			switch f := p.take(); f.text {
			case "core":
				p.s.Fidelity = sim.Core
			case "actors":
				p.s.Fidelity = sim.Actors
			default:
				p.unknown(f, "core or actors", []string{"core", "actors"})
			}
		}
	}
}

// options reads NAME VALUE … behind a setting, until a word that begins another setting.
func (p *parser) options(of token, known map[string]func()) {
	words := make([]string, 0, len(known))
	for w := range known {
		words = append(words, w)
	}
	slices.Sort(words)
	for some := false; ; some = true {
		t := p.peek()
		if some && (!p.more() || slices.Contains(settingWords, t.text)) {
			return
		}
		read := known[t.text]
		if read == nil || t.quoted {
			p.unknown(t, fmt.Sprintf("behind %s one of %s", of.text, strings.Join(words, ", ")), append(words, settingWords...))
			return
		}
		p.take()
		read()
		if p.failed {
			return
		}
	}
}

// actions reads what happens at one time.
func (p *parser) actions() {
	for {
		if p.word("expect") || !p.failed && p.peek().text == "check" && p.word("check") {
			p.expectation()
		} else {
			p.action()
		}
		if p.failed || !p.word(";") {
			return
		}
	}
}

// add keeps a step unless its line has a fault.
func (p *parser) add(s sim.Step) {
	if p.failed {
		return
	}
	if len(p.s.Steps) >= maxSteps {
		p.failAt(1, "found more than %d steps, expected a shorter scenario", maxSteps)
		return
	}
	s.Line = p.line
	p.s.Steps = append(p.s.Steps, s)
}
