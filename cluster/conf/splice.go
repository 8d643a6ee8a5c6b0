package conf

import (
	"fmt"
	"slices"
	"strings"
)

// A splice puts a text in the place of the bytes [from, to) of a file.
type splice struct {
	from, to int
	text     string
}

// with gives the text after some splices, which do not overlap.
func (t *Text) with(edits []splice) (*Text, error) {
	slices.SortStableFunc(edits, func(a, b splice) int { return b.from - a.from })
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
		if row.aliasOf != "" || row.name == "ondemand" || name == "static" && in == inStream && headStatic(e, next) {
			continue
		}
		var kids []*entry
		for _, k := range e.kids {
			if row := find(k.name, in); row != nil && row.member() == name {
				kids = append(kids, k)
			}
		}
		was, is := items(row, now, name), items(row, next, name)
		if len(was) == len(kids) { // those that are the same at the begin and at the end of a list stay
			n := 0
			for n < min(len(was), len(is)) && slices.Equal(was[n], is[n]) {
				n++
			}
			kids, was, is = kids[n:], was[n:], is[n:]
			for len(was) > 0 && len(is) > 0 && slices.Equal(was[len(was)-1], is[len(is)-1]) {
				kids, was, is = kids[:len(kids)-1], was[:len(was)-1], is[:len(is)-1]
			}
		} else if slices.EqualFunc(was, is, slices.Equal) {
			continue
		}
		lines := slices.Concat(is...)
		switch {
		case len(kids) > 0 && len(is) == len(kids):
			for i, k := range kids {
				edits = append(edits, splice{k.from, k.to, strings.Join(indented(is[i], t.indent(k.from)), "\n")})
			}
		case len(kids) > 0:
			for i, k := range kids {
				if i == 0 && len(is) > 0 {
					edits = append(edits, splice{k.from, k.to, strings.Join(indented(lines, t.indent(k.from)), "\n")})
				} else {
					edits = append(edits, t.removal(k))
				}
			}
		default:
			added = append(added, lines...)
		}
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

// items gives the lines of a member of a block, for each item of a list by itself.
func items(d *directive, obj map[string]any, name string) (out [][]string) {
	p := &patcher{} // what is wrong was found before
	v, ok := obj[name]
	if !ok {
		return nil
	}
	list, isList := v.([]any)
	if !d.many || !isList {
		return [][]string{p.lines(d, v, "", "")}
	}
	for _, item := range list {
		out = append(out, p.lines(d, []any{item}, "", ""))
	}
	return out
}

// headStatic says whether the name of a stream's block says already whether the stream is static.
func headStatic(e *entry, next map[string]any) bool {
	static, given := next["static"].(bool)
	said := slices.ContainsFunc(e.kids, func(k *entry) bool { return k.name == "static" })
	return !said && (!given || static == (e.name == "stream"))
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
