package conf

import (
	"errors"
	"slices"
	"strings"

	"weir/protocols"
)

// A scope is a block being read: where its directives stand, and the part of the model that they describe.
type scope struct {
	context context
	entry   *entry // whose block it is; nil for the file
	outer   *scope
	later   bool // the whole block is not built: what it holds is known by name and not obeyed

	seen map[string]Pos // directives that stand only once

	// What the block describes; nil where it is none of these.
	peer   *peerDraft
	vod    *Vod
	stream *streamDraft
	ingest *Ingest
	input  *inputDraft
	source *sourceDraft
	vhost  *vhostDraft

	balancer *balancerDraft
	server   *serverDraft
}

// A call is a directive with its words sorted.
type call struct {
	*entry
	spec *spec
	args []word
}

func (c *call) arg(i int) word { return c.args[i] }

// A builder turns entries into a [File].
type builder struct {
	report
	file    *File
	peers   []*peerDraft
	streams []*streamDraft

	templates []*streamDraft
	vhosts    []*vhostDraft
	sources   []*sourceDraft
	balancers []*balancerDraft
	off       map[protocols.Protocol]Pos // where a listener is switched off
	keyless   []keyless                  // what needs a cluster key and has none of its own
	global    delivery
}

// keyless is a directive that needs a cluster key.
type keyless struct {
	what string
	pos  Pos
}

// walk understands one directive in a scope.
func (b *builder) walk(sc *scope, e *entry) {
	if sc.context == anywhere {
		b.checkClosed(e)
		return
	}
	s := find(e.name, sc.context)
	if s == nil {
		b.misplaced(sc, e)
		return
	}
	c := &call{entry: e, spec: s}
	kids, ok := b.sortWords(c)
	if e.hasBlock && s.block == 0 {
		b.errorf(e.pos, "found a block behind `%s`, expected `;`", e.name)
		b.checkClosed(e)
		return
	}
	if !s.many && !sc.later {
		if before, twice := sc.seen[s.canonical()]; twice {
			b.errorf(e.pos, "found `%s` a second time, expected it once; the first is at %s", e.name, before.place())
			return
		}
		sc.seen[s.canonical()] = e.pos
	}
	var inner *scope
	if s.later && !sc.later {
		b.add(Unsupported, e.pos, "`%s`", e.name)
	}
	if ok && s.apply != nil && !sc.later {
		inner = s.apply(b, sc, c)
	}
	if inner == nil {
		inner = &scope{later: true}
	}
	inner.context, inner.entry, inner.outer, inner.seen = s.block, e, sc, map[string]Pos{}
	inner.later = inner.later || s.later || sc.later
	for _, k := range kids {
		b.walk(inner, k)
	}
	b.checkClosed(e)
}

// sortWords divides the words of a directive into arguments and options, checks the number of the former, and gives the
// directives of its block with the options in front. It reports false if the directive cannot be obeyed.
func (b *builder) sortWords(c *call) ([]*entry, bool) {
	s, e := c.spec, c.entry
	kids := e.kids
	var options []*entry
	for _, w := range e.words {
		if !w.option || s.block == 0 {
			c.args = append(c.args, w)
			continue
		}
		key, value, _ := strings.Cut(w.text, "=")
		options = append(options, &entry{name: key, pos: w.pos, words: []word{{text: value, pos: w.pos}}})
	}
	if options != nil {
		kids = slices.Concat(options, kids)
	}
	switch n := len(c.args); {
	case n < s.min:
		b.errorf(e.pos, "found `%s` with %s, expected `%s %s`", e.name, count(n), e.name, s.args)
		return kids, false
	case s.max >= 0 && n > s.max:
		b.surplus(c)
		return kids, false
	}
	return kids, true
}

// surplus reports a word too many, which is often the next line after a forgotten semicolon.
func (b *builder) surplus(c *call) {
	s, e := c.spec, c.entry
	w := c.args[s.max]
	last := e.pos
	if s.max > 0 {
		last = c.args[s.max-1].pos
	}
	shown := quote(w.text)
	if s.secret {
		shown = "a further word"
	}
	if w.pos.Line > last.Line {
		b.errorf(w.pos, "found %s, expected `;` to end the `%s` of line %d", shown, e.name, last.Line)
		return
	}
	usage := strings.TrimSuffix(e.name+" "+s.args, " ")
	b.errorf(w.pos, "found %s, expected nothing more than `%s`", shown, usage)
}

func count(n int) string {
	if n == 0 {
		return "nothing behind it"
	}
	return "too few words"
}

// misplaced reports a directive that is unknown, or known elsewhere. In the latter case a block around it was probably
// not closed: it is said where that was opened, and reading goes on as if it had been closed.
func (b *builder) misplaced(sc *scope, e *entry) {
	for outer := sc.outer; outer != nil; outer = outer.outer {
		if find(e.name, outer.context) == nil {
			continue
		}
		open := sc
		for ; open.outer != outer; open = open.outer {
			open.entry.blamed = true
		}
		open.entry.blamed = true
		b.errorf(e.pos, "found `%s` inside `%s {`, which was opened at %s and probably not closed; expected `}` before it",
			e.head(), open.entry.head(), open.entry.pos.place())
		b.walk(outer, e)
		return
	}
	defer b.checkClosed(e)
	if b.full() {
		b.errorf(e.pos, "")
		return
	}
	where := "here"
	if w := sc.context.words(); sc.entry != nil && len(w) > 0 {
		where = "in `" + sc.entry.name + "`"
	}
	near := nearest(e.name, known(sc.context))
	switch places := placesOf(e.name); {
	case places != 0:
		b.errorf(e.pos, "found `%s`, which cannot stand %s; expected it in %s", e.name, where, oneOf(places.words()))
	case near != "":
		b.errorf(e.pos, "found %s, which is no directive %s; did you mean `%s`?", quote(e.name), where, near)
	default:
		b.errorf(e.pos, "found %s, expected a directive that is known %s%s", quote(e.name), where, b.elsewhere(e.name))
	}
}

// elsewhere names a directive of another place that was perhaps meant.
func (b *builder) elsewhere(name string) string {
	n := nearest(name, known(^context(0)))
	if n == "" {
		return ""
	}
	return "; `" + n + "` is known in " + oneOf(placesOf(n).words())
}

// checkClosed reports a block that lasts to the end of the file, unless it has been said where it should have ended.
func (b *builder) checkClosed(e *entry) {
	if e.unclosed && !e.blamed {
		b.errorf(e.end, "found %s inside `%s {`, which was opened at %s; expected `}`", theEnd(e.end), e.head(), e.pos.place())
	}
}

// refuse reports why a word of a directive cannot be obeyed.
func (b *builder) refuse(at Pos, name string, err error) {
	if errors.Is(err, errLater) {
		b.add(Unsupported, at, "%s", strings.TrimPrefix(err.Error(), errLater.Error()+": "))
		return
	}
	b.errorf(at, "`%s`: %v", name, err)
}
