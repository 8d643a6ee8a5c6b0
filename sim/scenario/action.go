package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/cluster/conf"
	"weir/protocols"
	"weir/sim"
)

// Usage is how an action of a kind is written. NODES and STREAMS are lists such as n1,n2 or cam[01..30], or all. LINK is
// A -> B, A | B for both directions, A for all links of A, or all.
func Usage(k *sim.Kind) string { return strings.TrimSpace(k.Word + " " + k.Args) }

// A placeholder stands in the arguments of an action for one of its values.
type placeholder struct {
	field string // of the action; empty: the next one of the type
	of    reflect.Type
	parse func(p *parser) reflect.Value
	print func(f *formatter, v reflect.Value) string
}

func stands[T any](field string, parse func(p *parser) T, print func(v T) string) placeholder {
	return placeholder{
		field: field, of: reflect.TypeFor[T](),
		parse: func(p *parser) reflect.Value { return reflect.ValueOf(parse(p)) },
		print: func(_ *formatter, v reflect.Value) string { return print(v.Interface().(T)) },
	}
}

// placeholders are all that stand in [sim.Kind.Args].
var placeholders = map[string]placeholder{
	"NODES":            stands("Nodes", (*parser).nodeNames, list),
	"[NODES]":          stands("Nodes", (*parser).optionalNodes, behind("")),
	"[on NODES]":       stands("Nodes", (*parser).onNodes, behind("on ")),
	"STREAMS":          stands("Streams", (*parser).streamNames, list),
	"NODE":             stands("Node", func(p *parser) string { return p.oneName(p.nodes) }, word),
	"STREAM":           stands("Stream", func(p *parser) string { return p.oneName(p.streams) }, word),
	"HOST":             stands("Coworker", (*parser).host, word),
	"ACTOR":            stands("ID", (*parser).actor, word),
	"MESSAGE":          stands("Message", (*parser).message, word),
	"NODES | NODES …":  stands("", (*parser).parts, partsText),
	"LINK":             stands("", (*parser).link, linkText),
	"TIME":             stands("", (*parser).above, formatDuration),
	"±TIME":            stands("", (*parser).shift, signed),
	"TIME..TIME":       stands("", (*parser).span, formatSpan),
	"P%":               stands("", (*parser).probability, formatPPM),
	"±Nppm":            stands("", (*parser).rate, func(n int) string { return fmt.Sprintf("%+dppm", n) }),
	"N%":               stands("", func(p *parser) int { return int(p.probability()) / 1000 }, func(n int) string { return formatPPM(sim.PPM(n * 1000)) }),
	"COUNT":            stands("Count", func(p *parser) int { return p.number(1, maxViewers) }, strconv.Itoa),
	"PROTOCOL":         stands("Protocol", (*parser).protocol, func(p protocols.Protocol) string { return string(p) }),
	"BYTES":            stands("", func(p *parser) int { return p.number(1, math.MaxInt32) }, strconv.Itoa),
	"FILE.conf":        {of: reflect.TypeFor[*conf.File](), parse: (*parser).confFile, print: (*formatter).confName},
	"cut|garbled|huge": stands("", func(p *parser) sim.Breakage { return oneOf(p, p.take(), sim.Breakages()) }, sim.Breakage.String),
	"PROFILE":          stands("", (*parser).profile, sim.Profile.String),
}

// A form is a way of writing an action of a kind: its arguments are placeholders, words in brackets that may stand there in
// any order, and words that have to.
type form struct {
	kind *sim.Kind
	args []string
}

var argument = regexp.MustCompile(`\[[^]]*\]|\S+`)

func formsOf(k *sim.Kind) []form {
	var list []form
	for text := range strings.SplitSeq(k.Args, ", or ") {
		args := argument.FindAllString(text, -1)
		if _, whole := placeholders[text]; whole {
			args = []string{text}
		}
		list = append(list, form{k, args})
	}
	return list
}

// lasts stands behind an action that may be followed by how long it lasts, without the word for.
const lasts = "[TIME]"

// flagOf gives the word in brackets.
func flagOf(arg string) (word string, ok bool) {
	return strings.Trim(arg, "[]"), strings.HasPrefix(arg, "[")
}

// fields are the fields of an action for which the arguments stand; none for a word.
func (f form) fields(action reflect.Value) []reflect.Value {
	list := make([]reflect.Value, len(f.args))
	next := 0
	for i, arg := range f.args {
		switch ph, ok := placeholders[arg]; {
		case ok && ph.field != "":
			list[i] = action.FieldByName(ph.field)
		case ok:
			for action.Field(next).Type() != ph.of {
				next++
			}
			list[i] = action.Field(next)
			next++
		default:
			if flag, ok := flagOf(arg); ok && arg != lasts {
				list[i] = action.FieldByName(strings.ToUpper(flag[:1]) + flag[1:])
			}
		}
	}
	return list
}

// action reads one action and what may stand behind it.
func (p *parser) action() {
	t := p.peek()
	var forms []form
	var words []string
	for _, k := range sim.Kinds() {
		words = append(words, k.Word)
		if k.Word == t.text && !t.quoted {
			forms = append(forms, formsOf(k)...)
		}
	}
	switch {
	case len(forms) > 0:
	case t.text == "oneway": // as the link's arrow says already
		p.take()
		l := p.link()
		l.OneWay = true
		p.add(sim.Step{At: p.from, To: p.to, Action: sim.Cut{Links: l}})
		return
	default:
		p.unknown(t, "an action, such as crash, partition or expect", append(words, "expect"))
		return
	}
	p.take()
	f := p.which(forms)
	s := sim.Step{At: p.from, To: p.to}
	v := reflect.New(f.kind.Type).Elem()
	fields := f.fields(v)
	for i, arg := range f.args {
		switch ph, ok := placeholders[arg]; {
		case ok:
			fields[i].Set(ph.parse(p))
		case arg == lasts:
			if p.isDuration() {
				s.To = s.At + p.above()
			}
		case strings.HasPrefix(arg, "["):
			p.flag(f, fields)
		default:
			p.expect(arg)
		}
	}
	if p.failed {
		if last := &p.problems[len(p.problems)-1]; last.Pos.Line == p.line && !p.full {
			last.Text += fmt.Sprintf(" (%s)", Usage(f.kind))
		}
		return
	}
	at := p.peek()
	if p.word("for") {
		s.To = s.At + p.above()
	}
	if s.To != 0 && p.to != 0 && s.To != p.to {
		p.fail(at, "found %s, but the line says already when it ends", shown(at))
	}
	s.Action = v.Interface()
	p.add(s)
}

// which is the one of several forms that is meant: behind the first argument, which they have in common, stands a word
// that says so.
func (p *parser) which(forms []form) form {
	if len(forms) == 1 {
		return forms[0]
	}
	begin := p.next
	p.nodeNames()
	t := p.peek()
	var words []string
	for _, f := range forms {
		if words = append(words, f.args[1]); f.args[1] == t.text {
			p.next = begin
			return f
		}
	}
	p.unknown(t, strings.Join(words, " or "), words)
	return forms[0]
}

// flag takes one of the words in brackets, if one stands there that has not yet.
func (p *parser) flag(f form, fields []reflect.Value) {
	for i, arg := range f.args {
		if flag, ok := flagOf(arg); ok && fields[i].Kind() == reflect.Bool && !fields[i].Bool() && p.word(flag) {
			fields[i].SetBool(true)
			return
		}
	}
}

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

func (p *parser) onNodes() []string {
	if !p.word("on") {
		return nil
	}
	return p.nodeNames()
}

func (p *parser) optionalNodes() []string {
	if t := p.peek(); !p.more() || t.op || t.text == "for" {
		return nil
	}
	return p.nodeNames()
}

// parts takes groups of nodes, at least two.
func (p *parser) parts() [][]string {
	first := p.peek()
	groups := [][]string{p.group()}
	for p.word("|") {
		groups = append(groups, p.group())
	}
	if len(groups) < 2 {
		p.fail(first, "found one group, expected at least two, such as n1 | n2,n3")
	}
	return groups
}

// host takes the name of a server that is no node.
func (p *parser) host() string {
	t := p.take()
	if t.op || t.text == "" {
		p.fail(t, "found %s, expected the host of an SRS server", shown(t))
	}
	return t.text
}

func (p *parser) actor() string {
	t := p.take()
	if t.op || t.text == "" {
		p.fail(t, "found %s, expected an actor, such as control or streams/cam01", shown(t))
	}
	return t.text
}

// message takes the type of a message.
func (p *parser) message() string {
	t := p.take()
	if t.op || t.text == "" {
		p.fail(t, "found %s, expected the type of a message, such as release", shown(t))
	}
	return t.text
}

// confFile takes the name of a section with a configuration.
func (p *parser) confFile() reflect.Value {
	p.word("with")
	t := p.take()
	names := slices.Sorted(maps.Keys(p.files))
	f := p.files[t.text]
	if f == nil {
		want := "the name of a section such as after.conf, which this scenario does not have"
		if len(names) > 0 {
			want = "one of the sections " + strings.Join(names, ", ")
		}
		p.unknown(t, want, names)
	}
	return reflect.ValueOf(f)
}

// confName is the name of the section in which the formatter writes a configuration.
func (f *formatter) confName(v reflect.Value) string {
	return word(cmp.Or(f.files[v.Interface().(*conf.File)], "FILE.conf"))
}

// maxRate is the fastest clock, in parts per million: ten per cent, far beyond any crystal.
const maxRate = 100_000

func (p *parser) rate() int {
	t := p.take()
	digits, ok := strings.CutSuffix(t.text, "ppm")
	rate, err := strconv.Atoi(digits)
	if !ok || err != nil || rate < -maxRate || rate > maxRate {
		p.fail(t, "found %s, expected a rate such as +300ppm, at most ±%dppm", shown(t), maxRate)
	}
	return rate
}

func (p *parser) shift() time.Duration {
	t := p.take()
	by, err := parseDuration(strings.TrimPrefix(t.text, "+"))
	if err != nil || by == 0 {
		p.fail(t, "found %s, expected a time such as -1h or +30s", shown(t))
	}
	return by
}

func (p *parser) profile() sim.Profile {
	p.word("faults")
	t := p.take()
	t.text = strings.TrimPrefix(t.text, "profile=")
	return oneOf(p, t, sim.Profiles())
}

// maxViewers bounds the viewers of one action.
const maxViewers = 1000

// protocol takes the protocol of a viewer.
func (p *parser) protocol() protocols.Protocol {
	t := p.take()
	var words []string
	for _, one := range sim.ViewerProtocols() {
		if string(one) == t.text {
			return one
		}
		words = append(words, string(one))
	}
	p.unknown(token{text: t.text, col: t.col}, "one of "+strings.Join(words, ", "), words)
	return ""
}

// oneOf is the value whose word a token is.
func oneOf[T fmt.Stringer](p *parser, t token, all []T) (one T) {
	var words []string
	for _, v := range all {
		words = append(words, v.String())
	}
	i := slices.Index(words, t.text)
	if i < 0 {
		p.unknown(token{text: t.text, col: t.col}, "one of "+strings.Join(words, ", "), words)
		return one
	}
	return all[i]
}

// ActionText writes an action as the language has it.
func ActionText(a sim.Action) string { return (&formatter{}).action(a) }

func (f *formatter) action(a sim.Action) string {
	k, v := sim.KindOf(a), reflect.ValueOf(a)
	forms := formsOf(k)
	best := forms[0]
	for _, other := range forms[1:] { // of several forms, the one for which the action has a value
		if fields := other.fields(v); !fields[len(fields)-1].IsZero() {
			best = other
		}
	}
	words := []string{k.Word}
	for i, field := range best.fields(v) {
		text := best.args[i]
		if ph, ok := placeholders[text]; ok {
			text = ph.print(f, field)
		} else if flag, ok := flagOf(text); ok {
			text = ""
			if field.IsValid() && field.Bool() {
				text = flag
			}
		}
		if text != "" {
			words = append(words, text)
		}
	}
	return strings.Join(words, " ")
}

// list writes names; nil is all.
func list(names []string) string {
	if names == nil {
		return "all"
	}
	return strings.Join(foldNames(names), ",")
}

// behind writes names behind a word; nothing for all.
func behind(word string) func(names []string) string {
	return func(names []string) string {
		if names == nil {
			return ""
		}
		return word + list(names)
	}
}

func linkText(l sim.Links) string {
	switch {
	case l.OneWay:
		return list(l.From) + " -> " + list(l.To)
	case l.To == nil:
		return list(l.From)
	}
	return list(l.From) + " | " + list(l.To)
}

func partsText(groups [][]string) string {
	var parts []string
	for _, g := range groups {
		parts = append(parts, list(g))
	}
	return strings.Join(parts, " | ")
}

func signed(d time.Duration) string {
	if d < 0 {
		return formatDuration(d)
	}
	return "+" + formatDuration(d)
}
