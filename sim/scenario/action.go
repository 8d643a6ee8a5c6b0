package scenario

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/sim"
)

// A Verb is a word of the language that does something to the group.
type Verb struct {
	Word  string
	Args  string // what follows it, as messages and the help show it
	Help  string // what it does, in a few words
	Group string // of the catalogue of faults

	parse func(*parser) sim.Action
}

// Verbs are all that can happen in a scenario, in the order of the catalogue of faults. NODES and STREAMS are lists
// such as n1,n2 or cam[01..30], or all. LINK is A -> B, A | B for both directions, A for all links of A, or all.
var Verbs = slices.Concat(processVerbs(), clockVerbs(), topologyVerbs(), linkVerbs(), answerVerbs(), sourceVerbs(), runVerbs())

func verb(group, word, args, help string, parse func(*parser) sim.Action) Verb {
	return Verb{Word: word, Args: args, Help: help, Group: group, parse: parse}
}

func processVerbs() []Verb {
	const g = "process"
	return []Verb{
		verb(g, "crash", "NODES", "the process ends at once (kill -9)", func(p *parser) sim.Action { return sim.Crash{Nodes: p.nodeNames()} }),
		verb(g, "restart", "NODES [remembered] [moved]", "it boots again; with its boot counter; at another address", parseRestart),
		verb(g, "crash-loop", "NODES up TIME down TIME", "it crashes and boots again and again", func(p *parser) sim.Action {
			a := sim.CrashLoop{Nodes: p.nodeNames()}
			p.expect("up")
			a.Up = p.above()
			p.expect("down")
			a.Down = p.above()
			return a
		}),
		verb(g, "pause", "NODES [TIME]", "the process stands still (SIGSTOP)", func(p *parser) sim.Action { return sim.Pause{Nodes: p.nodeNames()} }),
		verb(g, "suspend", "NODES [TIME]", "the machine stands still, its clock too", func(p *parser) sim.Action { return sim.Suspend{Nodes: p.nodeNames()} }),
		verb(g, "resume", "NODES", "what was paused or suspended goes on", func(p *parser) sim.Action { return sim.Resume{Nodes: p.nodeNames()} }),
		verb(g, "throttle", "NODES by TIME", "everything that it does comes up to TIME late", func(p *parser) sim.Action {
			a := sim.Throttle{Nodes: p.nodeNames()}
			p.expect("by")
			a.By = p.above()
			return a
		}),
		verb(g, "exhaust", "NODES", "no descriptors are left: it neither asks nor answers", func(p *parser) sim.Action { return sim.Exhaust{Nodes: p.nodeNames()} }),
		verb(g, "load", "NODES N%", "so much of its processor is in use", func(p *parser) sim.Action {
			return sim.Load{Nodes: p.nodeNames(), CPU: int(p.probability()) / 1000}
		}),
		verb(g, "drain", "NODES", "it hands its streams over", func(p *parser) sim.Action { return sim.Drain{Nodes: p.nodeNames()} }),
		verb(g, "edit", "NODES FILE.conf", "another configuration, a section of the scenario, takes effect", parseEdit),
		verb(g, "wrong-key", "NODES", "its cluster key is not that of the others", func(p *parser) sim.Action { return sim.WrongKey{Nodes: p.nodeNames()} }),
		verb(g, "foreign", "NODES", "it speaks a newer version of the protocol", func(p *parser) sim.Action { return sim.Foreign{Nodes: p.nodeNames()} }),
		verb(g, "kill", "ACTOR on NODE", "one actor panics, such as control or streams/cam01", func(p *parser) sim.Action {
			t := p.take()
			if t.op || t.text == "" {
				p.fail(t, "found %s, expected an actor, such as control or streams/cam01", shown(t))
			}
			p.expect("on")
			return sim.KillActor{ID: t.text, Node: p.oneName(p.nodes)}
		}),
	}
}

func clockVerbs() []Verb {
	return []Verb{verb("clock", "clock", "NODES rate ±Nppm, or jump ±TIME", "it runs fast or slow; the wall clock is set", parseClock)}
}

func topologyVerbs() []Verb {
	const g = "topology"
	return []Verb{
		verb(g, "partition", "NODES | NODES …", "nothing passes between the groups", func(p *parser) sim.Action {
			first := p.peek()
			a := sim.Partition{Groups: [][]string{p.group()}}
			for p.word("|") {
				a.Groups = append(a.Groups, p.group())
			}
			if len(a.Groups) < 2 {
				p.fail(first, "found one group, expected at least two, such as n1 | n2,n3")
			}
			return a
		}),
		verb(g, "cut", "LINK", "nothing passes", func(p *parser) sim.Action { l := p.link(); return sim.Cut{From: l.from, To: l.to, OneWay: l.oneWay} }),
		verb(g, "isolate", "NODES [in|out]", "nothing reaches it, or leaves it, or both", func(p *parser) sim.Action {
			a := sim.Isolate{Nodes: p.nodeNames()}
			a.In = p.word("in")
			a.Out = !a.In && p.word("out")
			return a
		}),
		verb(g, "ring", "[NODES]", "each reaches only its two neighbours", func(p *parser) sim.Action { return sim.Ring{Nodes: p.optionalNodes()} }),
		verb(g, "swizzle", "[NODES]", "links clog and clear one after the other, at random", func(p *parser) sim.Action { return sim.Swizzle{Nodes: p.optionalNodes()} }),
		verb(g, "flap", "LINK down TIME up TIME", "the link is cut and heals again and again", func(p *parser) sim.Action {
			l := p.link()
			a := sim.FlapLink{From: l.from, To: l.to, OneWay: l.oneWay}
			p.expect("down")
			a.Down = p.above()
			p.expect("up")
			a.Up = p.above()
			return a
		}),
		verb(g, "heal", "", "all links are whole again", func(*parser) sim.Action { return sim.Heal{} }),
	}
}

func linkVerbs() []Verb {
	const g = "link"
	return []Verb{
		verb(g, "loss", "LINK P%", "so many messages are lost", func(p *parser) sim.Action {
			l := p.link()
			return sim.Loss{From: l.from, To: l.to, OneWay: l.oneWay, Probability: p.probability()}
		}),
		verb(g, "burst", "LINK begin P% end P%", "messages are lost in bursts", func(p *parser) sim.Action {
			l := p.link()
			a := sim.Burst{From: l.from, To: l.to, OneWay: l.oneWay}
			p.expect("begin")
			a.Begin = p.probability()
			p.expect("end")
			a.End = p.probability()
			return a
		}),
		verb(g, "delay", "LINK TIME..TIME", "messages take so long", func(p *parser) sim.Action {
			l := p.link()
			return sim.Delay{From: l.from, To: l.to, OneWay: l.oneWay, By: p.span()}
		}),
		verb(g, "spike", "LINK P% by TIME..TIME", "single messages take so much longer", func(p *parser) sim.Action {
			l := p.link()
			a := sim.Spike{From: l.from, To: l.to, OneWay: l.oneWay, Probability: p.probability()}
			p.expect("by")
			a.By = p.span()
			return a
		}),
		verb(g, "reorder", "LINK P% by TIME", "messages overtake each other", func(p *parser) sim.Action {
			l := p.link()
			a := sim.Reorder{From: l.from, To: l.to, OneWay: l.oneWay, Probability: p.probability()}
			p.expect("by")
			a.By = p.above()
			return a
		}),
		verb(g, "duplicate", "LINK P%", "messages come twice", func(p *parser) sim.Action {
			l := p.link()
			return sim.Duplicate{From: l.from, To: l.to, OneWay: l.oneWay, Probability: p.probability()}
		}),
		verb(g, "clog", "LINK", "messages wait and come when it ends", func(p *parser) sim.Action {
			l := p.link()
			return sim.Clog{From: l.from, To: l.to, OneWay: l.oneWay}
		}),
		verb(g, "bandwidth", "LINK BYTES", "so many bytes pass in a second", func(p *parser) sim.Action {
			l := p.link()
			return sim.Bandwidth{From: l.from, To: l.to, OneWay: l.oneWay, Bytes: p.number(1, math.MaxInt32)}
		}),
		verb(g, "refuse", "LINK", "connections fail at once, as without DNS", func(p *parser) sim.Action {
			l := p.link()
			return sim.Refuse{From: l.from, To: l.to, OneWay: l.oneWay}
		}),
		verb(g, "half-open", "LINK", "questions arrive, their answers do not", func(p *parser) sim.Action {
			l := p.link()
			return sim.HalfOpen{From: l.from, To: l.to, OneWay: l.oneWay}
		}),
		verb(g, "reset", "LINK P%", "so many connections break", func(p *parser) sim.Action {
			l := p.link()
			return sim.Reset{From: l.from, To: l.to, OneWay: l.oneWay, Probability: p.probability()}
		}),
	}
}

func answerVerbs() []Verb {
	const g = "answers"
	return []Verb{
		verb(g, "slow-replies", "NODES by TIME..TIME, or after TIME", "it answers late; exactly so long after it was asked", func(p *parser) sim.Action {
			a := sim.SlowReplies{Nodes: p.nodeNames()}
			if p.word("after") {
				a.After = p.above()
				return a
			}
			p.expect("by")
			a.By = p.span()
			return a
		}),
		verb(g, "broken-replies", "NODES P% cut|garbled|huge", "its answers cannot be read", func(p *parser) sim.Action {
			a := sim.BrokenReplies{Nodes: p.nodeNames(), Probability: p.probability()}
			t := p.take()
			ways := []string{string(sim.CutShort), string(sim.Garbled), string(sim.Huge)}
			if a.How = sim.Breakage(t.text); !slices.Contains(ways, t.text) {
				p.unknown(t, "cut, garbled or huge", ways)
			}
			return a
		}),
	}
}

func sourceVerbs() []Verb {
	const g = "sources and clients"
	return []Verb{
		verb(g, "source-down", "STREAMS [on NODES]", "the source cannot be reached from there", func(p *parser) sim.Action {
			return sim.SourceDown{Streams: p.streamNames(), Nodes: p.onNodes()}
		}),
		verb(g, "source-up", "STREAMS [on NODES]", "it can be reached again", func(p *parser) sim.Action {
			return sim.SourceUp{Streams: p.streamNames(), Nodes: p.onNodes()}
		}),
		verb(g, "stall", "STREAMS [on NODES]", "the source falls silent without closing", func(p *parser) sim.Action {
			return sim.Stall{Streams: p.streamNames(), Nodes: p.onNodes()}
		}),
		verb(g, "slow-source", "STREAMS [on NODES] by TIME..TIME", "the source takes so long to begin", func(p *parser) sim.Action {
			a := sim.SlowSource{Streams: p.streamNames(), Nodes: p.onNodes()}
			p.expect("by")
			a.Up = p.span()
			return a
		}),
		verb(g, "single-login", "STREAMS", "the camera refuses a second connection", func(p *parser) sim.Action { return sim.SingleLogin{Streams: p.streamNames()} }),
		verb(g, "publish", "STREAM at NODE", "a publisher comes", func(p *parser) sim.Action {
			s, n := p.streamAt()
			return sim.Publish{Stream: s, Node: n}
		}),
		verb(g, "unpublish", "STREAM at NODE", "it leaves", func(p *parser) sim.Action {
			s, n := p.streamAt()
			return sim.Unpublish{Stream: s, Node: n}
		}),
		verb(g, "demand", "STREAMS at NODES", "viewers ask each of these nodes for each stream", func(p *parser) sim.Action {
			a := sim.Demand{Streams: p.streamNames()}
			p.expect("at")
			a.Nodes = p.nodeNames()
			return a
		}),
	}
}

func runVerbs() []Verb {
	const g = "the run"
	return []Verb{
		verb(g, "random", "PROFILE", "faults are drawn: "+strings.Join(sim.Profiles(), ", "), func(p *parser) sim.Action {
			p.word("faults")
			t := p.take()
			name := strings.TrimPrefix(t.text, "profile=")
			if !slices.Contains(sim.Profiles(), name) {
				p.unknown(token{text: name, col: t.col}, "one of the profiles "+strings.Join(sim.Profiles(), ", "), sim.Profiles())
			}
			return sim.Random{Profile: name}
		}),
		verb(g, "quiet", "", "all faults end, and what is down boots", func(*parser) sim.Action { return sim.Quiet{} }),
	}
}

// action reads one action and what may stand behind it.
func (p *parser) action() {
	t := p.peek()
	words := make([]string, 0, len(Verbs))
	for _, v := range Verbs {
		words = append(words, v.Word)
	}
	i := slices.Index(words, t.text)
	if i < 0 || t.quoted {
		switch t.text {
		case "oneway": // as the link's arrow says already
			p.take()
			l := p.link()
			p.add(p.step(sim.Cut{From: l.from, To: l.to, OneWay: true}))
			return
		}
		p.unknown(t, "an action, such as crash, partition or expect", append(words, "expect"))
		return
	}
	p.take()
	a := Verbs[i].parse(p)
	if p.failed {
		if last := &p.problems[len(p.problems)-1]; last.Pos.Line == p.line && !p.full {
			last.Text += fmt.Sprintf(" (%s)", strings.TrimSpace(t.text+" "+Verbs[i].Args))
		}
		return
	}
	s := p.step(a)
	at := p.peek()
	if _, still := a.(sim.Pause); p.word("for") || still && p.isDuration() {
		s.To = s.At + p.above()
	} else if _, still := a.(sim.Suspend); still && p.isDuration() {
		s.To = s.At + p.above()
	}
	if s.To != 0 && p.to != 0 && s.To != p.to {
		p.fail(at, "found %s, but the line says already when it ends", shown(at))
	}
	p.add(s)
}

func (p *parser) step(a sim.Action) sim.Step { return sim.Step{At: p.from, To: p.to, Action: a} }

// above takes a time that is not zero.
func (p *parser) above() time.Duration {
	t := p.peek()
	d := p.duration()
	if d <= 0 {
		p.fail(t, "found %s, expected a time above zero", shown(t))
	}
	return d
}

// group takes a list of nodes of which at least one is named.
func (p *parser) group() []string {
	t := p.peek()
	list := p.nodeNames()
	if list == nil {
		p.fail(t, "found %s, expected the names of some nodes", shown(t))
	}
	return list
}

func (p *parser) optionalNodes() []string {
	if t := p.peek(); !p.more() || t.op || t.text == "for" {
		return nil
	}
	return p.nodeNames()
}

// onNodes takes `on NODES`, or nothing, which is all.
func (p *parser) onNodes() []string {
	if !p.word("on") {
		return nil
	}
	return p.nodeNames()
}

func (p *parser) streamAt() (stream, node string) {
	stream = p.oneName(p.streams)
	p.expect("at")
	return stream, p.oneName(p.nodes)
}

func parseRestart(p *parser) sim.Action {
	a := sim.Restart{Nodes: p.nodeNames()}
	for {
		switch {
		case !a.Remembered && p.word("remembered"):
			a.Remembered = true
		case !a.Moved && p.word("moved"):
			a.Moved = true
		default:
			return a
		}
	}
}

func parseEdit(p *parser) sim.Action {
	a := sim.Edit{Nodes: p.nodeNames()}
	p.word("with")
	t := p.take()
	names := make([]string, 0, len(p.files))
	for n := range p.files {
		names = append(names, n)
	}
	slices.Sort(names)
	if a.File = p.files[t.text]; a.File == nil {
		want := "the name of a section such as after.conf, which this scenario does not have"
		if len(names) > 0 {
			want = "one of the sections " + strings.Join(names, ", ")
		}
		p.unknown(t, want, names)
	}
	return a
}

// maxRate is the fastest clock, in parts per million: ten per cent, far beyond any crystal.
const maxRate = 100_000

func parseClock(p *parser) sim.Action {
	nodes := p.nodeNames()
	t := p.take()
	switch t.text {
	case "rate":
		n := p.take()
		digits, ok := strings.CutSuffix(n.text, "ppm")
		rate, err := strconv.Atoi(digits)
		if !ok || err != nil || rate < -maxRate || rate > maxRate {
			p.fail(n, "found %s, expected a rate such as +300ppm, at most ±%dppm", shown(n), maxRate)
		}
		return sim.ClockRate{Nodes: nodes, PPM: rate}
	case "jump":
		n := p.take()
		by, err := parseDuration(strings.TrimPrefix(n.text, "+"))
		if err != nil || by == 0 {
			p.fail(n, "found %s, expected a time such as -1h or +30s", shown(n))
		}
		return sim.ClockJump{Nodes: nodes, By: by}
	}
	p.unknown(t, "rate or jump", []string{"rate", "jump"})
	return nil
}
