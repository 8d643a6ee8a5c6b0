package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A call is a directive that is being read.
type call struct {
	*entry
	args []word // the words that are no options
}

// A block is the content of a pair of braces, or the whole file. Blocks exist while a file is read and while a model is printed.
type block struct {
	*call               // the directive in front of the braces; nil for the file, and while a model is printed
	row      *directive // of the directive in front of the braces
	scope    scope
	outer    *block   // nil for the file
	models   []any    // pointers to the parts of the model in which the block's directives are stored; see [part]
	title    []string // the words behind the directive's name
	spelling string   // the name under which the block is printed; empty for its row's

	namesOnly bool // only the names of the directives in the block are checked; nothing is stored
	refused   bool // the directives in the block are read, for their errors, and then the block is dropped

	id     string               // identifies the block among those of one directive; empty if two may be the same
	said   map[string]*call     // the directives that stand in the block, by canonical name; of several the first
	kids   []*block             // the blocks that stand in the block, in the order of the text
	counts map[string]int       // the number of kids, by canonical name
	byID   map[[2]string]*block // the kids, by canonical name and id
	at     int                  // only while printing: the index among the blocks of one directive
}

// part gives the part of the model, of type M, in which the directives of a block are stored. It panics if there is none.
func part[M any](b *block) M {
	m, ok := optional[M](b)
	if !ok {
		panic(fmt.Sprintf("conf: a block in %v holds no %T", b.scope.words(), m))
	}
	return m
}

// optional is part for a block that may have no part of type M; ok is false then.
func optional[M any](b *block) (m M, ok bool) {
	for _, model := range b.models {
		if m, ok = model.(M); ok {
			return m, true
		}
	}
	return m, false
}

// all gives the blocks of one directive that stand in the block b.
func (b *block) all(name string) []*block {
	return slices.DeleteFunc(slices.Clone(b.kids), func(k *block) bool { return k.row.canonical() != name })
}

// word gives the first word behind a directive that stands in the block b; the zero word if there is none.
func (b *block) word(name string) word {
	if c := b.said[name]; c != nil && len(c.args) > 0 {
		return c.args[0]
	}
	return word{}
}

// where gives the place of a directive that stands in the block b; the zero Pos if there is none.
func (b *block) where(name string) Pos {
	if c := b.said[name]; c != nil {
		return c.pos
	}
	return Pos{}
}

// A reader turns entries into a [File].
type reader struct {
	report
	file    *File
	top     *block
	self    []string         // the names by which capture_at may mean this node
	keyless map[string][]Pos // the directives that need a cluster key and have none of their own
}

// maxEntries is how many peers, directories, balancers, or listeners of one protocol a file may have. Each entry is compared with
// each other one. The largest cluster that weir is made for has 20 nodes; the largest simulated one has some hundreds.
const maxEntries = 1000

// walk reads one directive that stands in the block b, and everything in its own block.
func (r *reader) walk(b *block, e *entry) {
	defer r.checkClosed(e)
	if b.scope == anywhere {
		return
	}
	d := find(e.name, b.scope)
	if d == nil {
		r.misplaced(b, e)
		return
	}
	c := &call{entry: e}
	kids, ok := r.sortWords(d, c)
	if e.hasBlock && d.block == 0 {
		r.errorf(e.pos, "found a block behind `%s`, expected `;`", e.name)
		return
	}
	inner := &block{namesOnly: true}
	if !b.namesOnly {
		before := b.said[d.canonical()]
		if before != nil && !d.many {
			r.errorf(e.pos, "found `%s` a second time, expected it once; the first is at %s", e.name, before.pos.place())
			return
		}
		if before == nil {
			b.said[d.canonical()] = c
		}
		if d.unsupported && d.open == nil {
			r.add(Unsupported, e.pos, "`%s`", e.name)
		}
		if ok && d.read != nil {
			d.read(r, b, c)
		}
		if ok && d.open != nil {
			inner = r.open(d, b, c)
		}
	}
	inner.call, inner.row, inner.scope, inner.outer = c, d, d.block, b
	for _, k := range kids {
		r.walk(inner, k)
	}
}

// open begins the block of a directive. If the block is refused, it does not become a kid of b.
func (r *reader) open(d *directive, b *block, c *call) *block {
	name := d.canonical()
	if !d.unbounded && b.counts[name] >= maxEntries {
		r.errorf(c.pos, "found more than %d of `%s`, expected fewer", maxEntries, c.name)
		return &block{namesOnly: true}
	}
	inner := d.open(r, b, c)
	inner.said, inner.counts, inner.byID = map[string]*call{}, map[string]int{}, map[[2]string]*block{}
	for _, row := range rows[d.block] {
		if row.setDefault != nil {
			row.setDefault(inner)
		}
	}
	if inner.refused {
		return inner
	}
	key := [2]string{name, inner.id}
	if before := b.byID[key]; before != nil && inner.id != "" && !d.mayRepeat {
		where := ""
		if b.outer != nil {
			where = fmt.Sprintf(" in `%s`", b.head())
		}
		r.errorf(c.args[0].pos, "found `%s %s` a second time%s, expected it once; the first is at %s",
			c.name, short(inner.title[0]), where, before.pos.place())
		return inner
	}
	b.byID[key] = inner
	b.counts[name]++
	b.kids = append(b.kids, inner)
	return inner
}

// sortWords divides the words of a directive into arguments and options, and checks the number of arguments. It returns the
// directives of the block, with the options as directives in front of them, and false if the number is wrong.
func (r *reader) sortWords(d *directive, c *call) ([]*entry, bool) {
	e := c.entry
	var options []*entry
	for _, w := range e.words {
		if w.text == "=" {
			r.errorf(w.pos, "found spaces around `=`, expected `NAME=VALUE` as one word, or `NAME VALUE;` in a block")
			return e.kids, false
		}
		if !w.option || d.block == 0 {
			c.args = append(c.args, w)
			continue
		}
		key, value, _ := strings.Cut(w.text, "=")
		options = append(options, &entry{name: key, pos: w.pos, words: []word{{text: value, pos: w.pos}}})
	}
	kids := e.kids
	if options != nil {
		kids = slices.Concat(options, kids)
	}
	switch n := len(c.args); {
	case n < d.min:
		found := "too few words"
		if n == 0 {
			found = "nothing behind it"
		}
		r.errorf(e.pos, "found `%s` with %s, expected `%s %s`", e.name, found, e.name, d.args)
		return kids, false
	case d.max >= 0 && n > d.max:
		r.surplus(d, c)
		return kids, false
	}
	return kids, true
}

// surplus reports a word too many. If the word stands on a later line, a semicolon was probably forgotten.
func (r *reader) surplus(d *directive, c *call) {
	w, last := c.args[d.max], c.pos
	if d.max > 0 {
		last = c.args[d.max-1].pos
	}
	shown := quote(w.text)
	if d.secret {
		shown = "a further word"
	}
	if w.pos.Line > last.Line {
		r.errorf(w.pos, "found %s, expected `;` to end the `%s` of line %d", shown, c.name, last.Line)
		return
	}
	r.errorf(w.pos, "found %s, expected nothing more than `%s`", shown, strings.TrimSuffix(c.name+" "+d.args, " "))
}

// misplaced reports a directive that may not stand in the block b. If it may stand in a block around b, then b was probably not
// closed: the message names the place where b was opened, and reading goes on as if b had been closed.
func (r *reader) misplaced(b *block, e *entry) {
	for outer := b.outer; outer != nil; outer = outer.outer {
		if find(e.name, outer.scope) == nil {
			continue
		}
		open := b
		for ; open.outer != outer; open = open.outer {
			open.blamed = true
		}
		open.blamed = true
		r.errorf(e.pos, "found `%s` inside `%s {`, which was opened at %s and probably not closed; expected `}` before it",
			e.head(), open.head(), open.pos.place())
		r.walk(outer, e)
		return
	}
	if r.full() {
		r.errorf(e.pos, "")
		return
	}
	where := "here"
	if len(b.scope.words()) > 0 && b.outer != nil {
		where = "in `" + b.name + "`"
	}
	near := Nearest(e.name, namesIn(b.scope))
	switch scopes := scopesOf(e.name); {
	case scopes != 0:
		r.errorf(e.pos, "found `%s`, which cannot stand %s; expected it in %s", e.name, where, oneOf(scopes.words()))
	case near != "":
		r.errorf(e.pos, "found %s, which is no directive %s; did you mean `%s`?", quote(e.name), where, near)
	default:
		elsewhere := ""
		if n := Nearest(e.name, namesIn(^scope(0))); n != "" {
			elsewhere = "; `" + n + "` is known in " + oneOf(scopesOf(n).words())
		}
		r.errorf(e.pos, "found %s, expected a directive that is known %s%s", quote(e.name), where, elsewhere)
	}
}

// checkClosed reports a block that is not closed before the end of the file. It reports nothing if misplaced has already named
// the place where the brace is probably missing.
func (r *reader) checkClosed(e *entry) {
	if e.unclosed && !e.blamed {
		e.blamed = true
		r.errorf(e.end, "found %s inside `%s {`, which was opened at %s; expected `}`", theEnd(e.end), e.head(), e.pos.place())
	}
}

// refuse reports err, the reason why a word of the directive called name is wrong or not supported.
func (r *reader) refuse(at Pos, name string, err error) {
	if errors.Is(err, errUnsupported) {
		r.add(Unsupported, at, "%s", strings.TrimPrefix(err.Error(), errUnsupported.Error()+": "))
		return
	}
	r.errorf(at, "`%s`: %v", name, err)
}

// takeOver gives the block b the settings of another block, from, for directives that stand in `from` and not in b. From is a
// template or the top of the file. Only directives whose row is selected are taken.
func (r *reader) takeOver(b, from *block, selected func(*directive) bool) {
	for _, d := range rows[b.scope] {
		if d.aliasOf != "" || !selected(d) {
			continue
		}
		if d.merge != nil {
			d.merge(b, from)
			continue
		}
		name := d.name
		if b.said[name] != nil || from.said[name] == nil {
			continue
		}
		b.said[name] = from.said[name]
		switch {
		case d.block != 0:
			b.kids = append(b.kids, from.all(name)...)
		case d.take != nil:
			d.take(b, from)
		}
	}
}
