package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A splice puts a text in the place of the bytes [from, to) of a file.
type splice struct {
	from, to int
	text     string
}

// with gives the text after some splices, which do not overlap. What is put in front of a part that is replaced too stands in front of it.
func (t *Text) with(edits []splice) (*Text, error) {
	slices.SortStableFunc(edits, func(a, b splice) int { return cmp.Or(b.from-a.from, b.to-a.to) })
	src := t.src
	for _, e := range edits {
		src = src[:e.from] + e.text + src[e.to:]
	}
	return ReadText(t.name, []byte(t.bom+src))
}

// indent is the white space in front of what begins at an offset, if nothing else stands on its line.
func (t *Text) indent(at int) string {
	before := t.src[strings.LastIndexByte(t.src[:at], '\n')+1 : at]
	if strings.TrimLeft(before, " \t") != "" {
		return ""
	}
	return before
}

// alone says whether nothing stands in front of an offset on its line.
func (t *Text) alone(at int) bool {
	return strings.TrimLeft(t.src[strings.LastIndexByte(t.src[:at], '\n')+1:at], " \t") == ""
}

// removal removes an entry, with its line if nothing else is on it.
func (t *Text) removal(e *entry) splice {
	rest := t.src[e.to:]
	line, _, more := strings.Cut(rest, "\n")
	if strings.Trim(line, " \t\r") != "" || !t.alone(e.from) {
		return splice{e.from, e.to + len(rest) - len(strings.TrimLeft(rest, " \t")), ""}
	}
	to := e.to + len(line)
	if more {
		to++
	}
	return splice{e.from - len(t.indent(e.from)), to, ""}
}

// indented puts white space in front of all lines but the first.
func indented(lines []string, indent string) []string {
	out := slices.Clone(lines)
	for i := range out[1:] {
		out[i+1] = indent + out[i+1]
	}
	return out
}

// spliceable says whether the settings of an entry stand in its block alone, so that each can be changed by itself.
func (e *entry) spliceable() bool {
	return e.hasBlock && !slices.ContainsFunc(e.words, func(w word) bool { return w.option })
}

// saysStatic says whether the block of a stream has a line by which the stream is static or is not.
func (e *entry) saysStatic() bool {
	return slices.ContainsFunc(e.kids, func(k *entry) bool { return k.name == "static" })
}

// headFor is the name of the directive with which the entry of a stream has to begin. Only without a line of its own, or with a line that is
// taken out, does the name say whether the stream is static.
func (e *entry) headFor(next map[string]any) string {
	static, plain := next["static"].(bool)
	switch {
	case next["static"] != nil && e.saysStatic():
		return e.name
	case plain && !static:
		return "ondemand"
	}
	return "stream"
}

// members changes those members of a block that differ between now and next, and leaves the rest of its text as it is. d is the row
// of the block; nil is the top of the file.
func (t *Text) members(e *entry, d *directive, now, next map[string]any) (edits []splice) {
	in, indent := inFile, ""
	if d != nil {
		in = d.block
		indent = t.indent(e.from) + "    "
		for _, k := range e.kids {
			if t.alone(k.from) {
				indent = t.indent(k.from)
			}
		}
	}
	var added []string
	for _, row := range rows[in] {
		name := row.member()
		if row.aliasOf != "" || row.name == "ondemand" {
			continue
		}
		if _, plain := next[name].(bool); name == "static" && in == inStream && !e.saysStatic() && (plain || next[name] == nil) {
			continue // the name of the block says it
		}
		var kids []*entry
		for _, k := range e.kids {
			if row := find(k.name, in); row != nil && row.member() == name {
				kids = append(kids, k)
			}
		}
		changed, behind := t.align(kids, row, valuesOf(row, now, name), valuesOf(row, next, name))
		edits = append(edits, changed...)
		added = append(added, behind...)
	}
	if len(added) == 0 {
		return edits
	}
	if d == nil {
		gap := ""
		if t.src != "" && !strings.HasSuffix(t.src, "\n") {
			gap = "\n"
		}
		return append(edits, splice{len(t.src), len(t.src), gap + strings.Join(added, "\n") + "\n"})
	}
	if t.alone(e.close) {
		at := e.close - len(t.indent(e.close))
		return append(edits, splice{at, at, indent + strings.Join(indented(added, indent), "\n") + "\n"})
	}
	gap := " "
	if strings.HasSuffix(t.src[:e.close], " ") {
		gap = ""
	}
	return append(edits, splice{e.close, e.close, gap + strings.Join(indented(added, indent), "\n") + " "})
}

// align makes the entries of one member say its values. Entries that stay keep their text, comments included. Lines that stand behind
// all of them are returned, since the caller knows where the block ends.
func (t *Text) align(kids []*entry, row *directive, was, is []any) (edits []splice, behind []string) {
	lines := func(list []any) (out []string) {
		for _, v := range list {
			out = append(out, linesOf(row, v)...)
		}
		return out
	}
	if len(was) != len(kids) { // one entry has several values, or several have one
		switch {
		case slices.Equal(lines(was), lines(is)):
			return nil, nil
		case len(kids) == 0:
			return nil, lines(is)
		}
		return t.fill(kids, [][]string{lines(is)}), nil
	}
	for {
		i, j := nextPair(row, was, is) // what stands in front of the two is exchanged
		switch {
		case i > 0:
			texts := make([][]string, i)
			for n, v := range is[:j] { // those that are left over stand behind the last one
				texts[min(n, i-1)] = append(texts[min(n, i-1)], linesOf(row, v)...)
			}
			edits = append(edits, t.fill(kids[:i], texts)...)
		case i == len(kids):
			return edits, lines(is)
		case j > 0:
			at, gap := kids[0].from, " "
			if t.alone(at) {
				gap = "\n" + t.indent(at)
			}
			edits = append(edits, splice{at, at, strings.Join(indented(lines(is[:j]), t.indent(at)), "\n") + gap})
		}
		if i == len(kids) {
			return edits, nil
		}
		edits = append(edits, t.one(kids[i], row, was[i], is[j])...)
		kids, was, is = kids[i+1:], was[i+1:], is[j+1:]
	}
}

// fill puts lines in the places of entries, and removes the entries for which there are none.
func (t *Text) fill(kids []*entry, lines [][]string) (edits []splice) {
	for n, k := range kids {
		if n < len(lines) && len(lines[n]) > 0 {
			edits = append(edits, splice{k.from, k.to, strings.Join(indented(lines[n], t.indent(k.from)), "\n")})
		} else {
			edits = append(edits, t.removal(k))
		}
	}
	return edits
}

// one makes an entry say another value with the same title.
func (t *Text) one(k *entry, row *directive, was, is any) []splice {
	lines := linesOf(row, is)
	if slices.Equal(linesOf(row, was), lines) {
		return nil
	}
	now, isBlock := was.(map[string]any)
	next, isObject := is.(map[string]any)
	if isBlock && isObject && k.spliceable() {
		return t.members(k, row, now, next)
	}
	return t.fill([]*entry{k}, [][]string{lines})
}

// nextPair gives the places of the next two values that belong together: those with the same title, or the values of a member that
// has one. Without such two, the places are the ends of the lists.
func nextPair(row *directive, was, is []any) (i, j int) {
	if !row.many && len(was) > 0 && len(is) > 0 {
		return 0, 0
	}
	for j := range is {
		title, ok := row.title(is[j])
		if !ok {
			continue
		}
		for i := range was {
			if before, _ := row.title(was[i]); before == title {
				return i, j
			}
		}
	}
	return len(was), len(is)
}

// title is what tells an item of a list from the others; ok is false if there is no such text.
func (d *directive) title(v any) (text string, ok bool) {
	if obj, isObject := v.(map[string]any); isObject {
		v = obj[d.titleMember()]
	}
	text, ok = v.(string)
	return text, ok
}

// valuesOf are those of a member of a block: the items of a list, or the one value.
func valuesOf(d *directive, obj map[string]any, name string) []any {
	v, ok := obj[name]
	if !ok || v == nil {
		return nil
	}
	if list, isList := v.([]any); isList && d.many {
		return list
	}
	return []any{v}
}

// linesOf are the lines of one value of a member.
func linesOf(d *directive, v any) []string {
	p := &patcher{} // what is wrong was found before
	if d.many {
		v = []any{v}
	}
	return p.lines(d, v, "", "")
}

// PathOf is the member of an entry's settings in which a position lies, such as inputs[0].url; empty if it lies outside.
func (t *Text) PathOf(k Kind, id string, at Pos) string {
	e := t.entry(k, id)
	if e == nil || at.Line == 0 || at.File != t.name {
		return ""
	}
	return strings.TrimPrefix(pathIn(e, k.row(), at, t.offset(at)), ".")
}

// PathOfWhole is the member of the whole file in which a position lies.
func (t *Text) PathOfWhole(at Pos) string {
	if at.Line == 0 || at.File != t.name {
		return ""
	}
	return strings.TrimPrefix(pathAmong(t.list, inFile, at, t.offset(at)), ".")
}

// offset is the byte offset of a position.
func (t *Text) offset(at Pos) int {
	off := 0
	for range at.Line - 1 {
		i := strings.IndexByte(t.src[off:], '\n')
		if i < 0 {
			return len(t.src)
		}
		off += i + 1
	}
	for range at.Col - 1 {
		if off >= len(t.src) || t.src[off] == '\n' {
			break
		}
		off++
		for off < len(t.src) && t.src[off]&0xc0 == 0x80 {
			off++
		}
	}
	return off
}

// pathIn is the path of a position inside of an entry, with a dot in front.
func pathIn(e *entry, d *directive, at Pos, off int) string {
	for _, w := range e.words {
		if w.pos != at || d.block == 0 {
			continue
		}
		if key, _, _ := strings.Cut(w.text, "="); w.option {
			if row := find(key, d.block); row != nil {
				return "." + row.member()
			}
			return "." + key
		}
		if key := d.titleMember(); key != "" {
			return "." + key
		}
	}
	return pathAmong(e.kids, d.block, at, off)
}

func pathAmong(list []*entry, in scope, at Pos, off int) string {
	count := map[string]int{}
	for _, e := range list {
		d := find(e.name, in)
		if d == nil {
			if off >= e.from && off < e.to {
				return "." + e.name
			}
			continue
		}
		name := d.member()
		i := count[name]
		count[name]++
		if off < e.from || off >= e.to {
			continue
		}
		path := "." + name
		if d.many {
			path += fmt.Sprintf("[%d]", i)
		}
		return path + pathIn(e, d, at, off)
	}
	return ""
}
