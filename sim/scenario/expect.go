package scenario

import (
	"slices"
	"strings"
	"time"

	"weir/cluster/control"
	"weir/sim"
)

// A Phrase is a form of expectation, for the help.
type Phrase struct{ Form, Help string }

// Phrases are all that can be expected. Behind each may stand `within TIME` or `for TIME`, counted from the at before
// it, `by TIME` or `until TIME`, and `after heal`, which counts from the end of what is from one time to another.
var Phrases = []Phrase{
	{"STREAMS on exactly 1 node", "each is captured by one live node"},
	{"STREAMS on NODE", "they are captured there and nowhere else; on nobody: nowhere"},
	{"STREAMS at home", "each is captured by its pin or home node, and only there"},
	{"STREAMS on each side", "each is captured once in every part of the group"},
	{"STREAM at NODE refused", "the publisher that came last there was not admitted"},
	{"agreement", "all nodes name the same owners"},
	{"moved == N, or <= N", "so many streams changed their owner; also owned(NODE), what it had before"},
	{"no duplicates [of STREAMS]", "never two nodes capture one stream; with by TIME: none do any more then"},
	{"no take-over [of STREAMS]", "no stream starts anywhere"},
	{"gap <= TIME [of STREAMS]", "no stream is without media for longer"},
	{"viewers gap <= TIME [of STREAMS]", "the picture of no viewer stands still for longer"},
	{"liveness", "every promise that is open has been kept"},
	{"note KIND [at NODE]", "a node reports this, such as peer-stale or unknown-pin"},
}

// kindWord is a kind of note as scenarios spell it.
func kindWord(k control.NoteKind) string { return strings.ReplaceAll(k.String(), " ", "-") }

// expectation reads what stands behind expect.
func (p *parser) expectation() {
	e := p.expected()
	at, to := p.from, p.to
	by := false
	for !p.failed && p.more() && p.peek().text != ";" {
		t := p.peek()
		switch {
		case p.word("within"), p.word("for"):
			to = at + p.duration()
			if p.isRelative() {
				at, to = p.to, p.to+(to-at)
			}
		case p.peek().text == "by", p.peek().text == "until":
			by = p.take().text == "by"
			rest, relative := strings.CutPrefix(p.peek().text, "+")
			if !relative {
				to = p.duration()
				break
			}
			after, err := parseDuration(rest)
			if err != nil {
				p.fail(p.peek(), "%v", err)
				return
			}
			p.take()
			if to = at + after; p.isRelative() {
				at, to = p.to, p.to+after
			}
		case p.isRelative():
			at, to = p.to, 0
		default:
			// `check liveness 30s` needs no word before its time.
			if _, ok := e.(sim.Liveness); ok && p.isDuration() {
				to = at + p.duration()
				break
			}
			p.unknown(t, "within, by, for, until, after or the end of the line", []string{"within", "by", "for", "until", "after"})
			return
		}
		if !p.failed && to != 0 && to < at {
			p.fail(t, "found an end at %s, expected one that is not before %s", formatDuration(to), formatDuration(at))
		}
	}
	if _, ok := e.(sim.NoDuplicates); ok && by { // by then there are none any more
		at, to = to, to+time.Millisecond
	}
	p.add(sim.Step{At: at, To: later(to, at), Expect: e})
}

// later gives an end only if there is one.
func later(to, at time.Duration) time.Duration {
	if to <= at {
		return 0
	}
	return to
}

// isRelative takes `after heal`, which counts from the end of what the line before says.
func (p *parser) isRelative() bool {
	t := p.peek()
	if !p.word("after") {
		return false
	}
	p.word("the")
	if w := p.peek(); !p.word("heal") && !p.word("end") {
		p.unknown(w, "heal or end", []string{"heal", "end"})
	} else if p.to == 0 {
		p.fail(t, "found `after %s`, but what stands before has no end; write from TIME to TIME", w.text)
	}
	return !p.failed
}

func (p *parser) expected() sim.Expectation {
	switch {
	case p.word("agreement"):
		return sim.Agreement{}
	case p.word("liveness"):
		return sim.Liveness{}
	case p.word("moved"):
		return p.moved()
	case p.word("no", "duplicates"), p.word("duplicates", "==", "0"):
		return sim.NoDuplicates{Streams: p.ofStreams()}
	case p.word("no", "take-over"), p.word("no", "takeover"):
		return sim.NoTakeOver{Streams: p.ofStreams()}
	case p.word("gap", "<="):
		limit := p.duration()
		return sim.GapWithin{Limit: limit, Streams: p.ofStreams()}
	case p.word("viewers", "gap", "<="):
		limit := p.duration()
		return sim.ViewersWithin{Limit: limit, Streams: p.ofStreams()}
	case p.word("note"):
		return p.noted()
	case p.peek().text == "no":
		p.take()
		p.unknown(p.peek(), "duplicates or take-over", []string{"duplicates", "take-over"})
		return nil
	}
	return p.placed()
}

func (p *parser) ofStreams() []string {
	if !p.word("of") {
		return nil
	}
	return p.streamNames()
}

func (p *parser) moved() sim.Expectation {
	m := sim.Moved{AtMost: p.word("<=")}
	if t := p.peek(); !m.AtMost && !p.word("==") {
		p.unknown(t, "== or <=", nil)
	}
	t := p.peek()
	inner, ok := strings.CutPrefix(t.text, "owned(")
	if !ok || t.quoted {
		m.Count = p.number(0, 1_000_000)
		return m
	}
	p.take()
	name, ok := strings.CutSuffix(inner, ")")
	if !ok || inner == "" && !p.more() {
		p.fail(t, "found %s, expected owned(NODE)", shown(t))
		return m
	}
	if m.OwnedBefore, ok = p.nodes.find(name); !ok {
		p.unknownName(token{text: name, col: t.col + len("owned(")}, name, p.nodes)
	}
	return m
}

func (p *parser) noted() sim.Expectation {
	t := p.take()
	kinds := control.NoteKinds()
	words := make([]string, 0, len(kinds))
	for _, k := range kinds {
		words = append(words, kindWord(k))
	}
	i := slices.Index(words, strings.ReplaceAll(t.text, " ", "-"))
	if i < 0 {
		p.unknown(t, "a kind of note, one of "+strings.Join(words, ", "), words)
		return nil
	}
	e := sim.Noted{Kind: kinds[i]}
	if p.word("at") {
		e.Node = p.oneName(p.nodes)
	}
	return e
}

// placed reads expectations that begin with streams.
func (p *parser) placed() sim.Expectation {
	t := p.peek()
	var streams []string
	switch {
	case p.word("each", "stream"), p.word("every", "stream"), p.word("all", "streams"):
	case t.text == "" || t.op:
		p.unknown(t, "what has to hold, such as each stream on exactly 1 node", nil)
		return nil
	default:
		streams = p.streamNames()
	}
	p.word("captured")
	p.word("once")
	switch {
	case p.word("on", "exactly", "1", "node"), p.word("on", "exactly", "one", "node"):
		return sim.OneEach{Streams: streams}
	case p.word("on", "each", "side"), p.word("in", "each", "side"), p.word("on", "every", "side"):
		return sim.EachSide{Streams: streams}
	case p.word("at", "home"):
		return sim.AtHome{Streams: streams}
	case p.word("on", "nobody"):
		return sim.OwnedBy{Streams: streams}
	case p.word("on"):
		return sim.OwnedBy{Streams: streams, Node: p.oneName(p.nodes)}
	case p.word("at"):
		node := p.oneName(p.nodes)
		p.expect("refused")
		if len(streams) != 1 {
			p.fail(t, "found several streams, expected one whose publisher is refused")
			return nil
		}
		return sim.Refused{Stream: streams[0], Node: node}
	}
	p.unknown(p.peek(), "on NODE, on exactly 1 node, on each side or at home", []string{"on", "at"})
	return nil
}
