package conf

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"weir/protocols"
)

// A Wrong is a member of an edit that cannot be put into a file.
type Wrong struct {
	Path string // such as inputs[0].url
	Text string // what was found and what was expected
}

// Wrongs are all that is wrong with an edit.
type Wrongs []Wrong

// Error implements error.
func (w Wrongs) Error() string {
	texts := make([]string, len(w))
	for i, one := range w {
		texts[i] = strings.TrimPrefix(one.Path+": "+one.Text, ": ")
	}
	return strings.Join(texts, "; ")
}

// resetMember of an edit says that members which it does not give are removed.
const resetMember = "$reset"

// Put changes an entry, or adds it. Members that patch leaves out stay as they are unless its member $reset is true, and those that
// are null are removed. A list replaces the former one. A word that was read masked stands for the one that is in the file; where
// several are shown alike, they are taken in their order, and some without the others are refused. The error is of the type [Wrongs].
func (t *Text) Put(k Kind, id string, patch map[string]any) (*Text, error) {
	now, next, lines, err := t.change(k, id, patch)
	if err != nil {
		return nil, err
	}
	e := t.entry(k, id)
	var edits []splice
	switch {
	case e == nil:
		gap := "\n"
		if t.src != "" && !strings.HasSuffix(t.src, "\n") {
			gap = "\n\n"
		}
		edits = []splice{{len(t.src), len(t.src), gap + strings.Join(lines, "\n") + "\n"}}
	case !e.spliceable():
		edits = []splice{{e.from, e.to, strings.Join(indented(lines, t.indent(e.from)), "\n")}}
	default:
		edits = t.members(e, k.row(), now, next)
		if head := e.headFor(next); k == KindStream && head != e.name {
			edits = append(edits, splice{e.from, e.from + len(e.name), head})
		}
	}
	return t.with(edits)
}

// change gives the settings of an entry now and after an edit, and the lines of an entry that says the latter.
func (t *Text) change(k Kind, id string, patch map[string]any) (now, next map[string]any, lines []string, err error) {
	d := k.row()
	patch = maps.Clone(patch)
	reset, _ := patch[resetMember].(bool)
	delete(patch, resetMember)
	if given, ok := patch[d.titleMember()].(string); ok && !k.Same(given, id) {
		return nil, nil, nil, Wrongs{{d.titleMember(), fmt.Sprintf("found %s, expected %s: an entry keeps its name", quote(given), quote(id))}}
	}
	if _, _, err := parsePeerName(id); err != nil && k == KindPeer {
		return nil, nil, nil, Wrongs{{d.titleMember(), err.Error()}}
	}
	e, err := t.meant(k, id)
	if err != nil {
		return nil, nil, nil, err
	}
	now, shown := map[string]any{}, map[string]any{}
	if e != nil {
		row := find(e.name, inFile)
		now, shown = row.object(e, false), row.object(e, true)
	}
	p := &patcher{}
	if e == nil && d.hides() && strings.Contains(id, protocols.Mask) {
		p.errorf(d.titleMember(), noSuchMask, quote(id))
	}
	next = p.merge(d.block, now, shown, patch, reset, "")
	next[d.titleMember()] = id
	if e != nil {
		next[d.titleMember()] = e.words[0].text
	}
	if lines = p.block(d, next, "", ""); len(p.wrong) > 0 {
		return nil, nil, nil, p.wrong
	}
	return now, next, lines, nil
}

// Delete removes an entry; found is false if there is none.
func (t *Text) Delete(k Kind, id string) (next *Text, found bool, err error) {
	e, err := t.meant(k, id)
	if e == nil {
		return t, false, err
	}
	next, err = t.with([]splice{t.removal(e)})
	return next, true, err
}

// PutWhole changes the top of the file. A list replaces the former one, entry by entry, so that entries that are the same
// stay as they are written. Sources are put in the order of the list.
func (t *Text) PutWhole(patch map[string]any) (*Text, error) {
	patch = maps.Clone(patch)
	var wrong Wrongs
	for _, k := range Kinds {
		given, ok := patch[k.row().member()]
		if !ok {
			continue
		}
		delete(patch, k.row().member())
		next, err := t.putList(k, given)
		if err != nil {
			wrong = append(wrong, err...)
			continue
		}
		t = next
	}
	p := &patcher{}
	now := settingsOf(t.list, inFile, false)
	next := p.merge(inFile, now, settingsOf(t.list, inFile, true), patch, false, "")
	p.inside(inFile, next, "", "")
	if wrong = append(wrong, p.wrong...); len(wrong) > 0 {
		return nil, wrong
	}
	return t.with(t.members(&entry{kids: t.list, from: -1, close: len(t.src)}, nil, now, next))
}

// putList makes the entries of a kind those of a list.
func (t *Text) putList(k Kind, given any) (*Text, Wrongs) {
	list, ok := given.([]any)
	if !ok && given != nil {
		return nil, Wrongs{{k.row().member(), "found " + shape(given) + ", expected a list"}}
	}
	p := &patcher{}
	list = p.items(k.row(), list, objects(t.All(k, false)), objects(t.All(k, true)), inList(k.row().member()))
	if len(p.wrong) > 0 {
		return nil, p.wrong
	}
	var wrong Wrongs
	key := k.row().titleMember()
	var kept []string
	for i, v := range list {
		at := fmt.Sprintf("%s[%d]", k.row().member(), i)
		obj, _ := v.(map[string]any)
		id, _ := obj[key].(string)
		if id == "" {
			wrong = append(wrong, Wrong{at + "." + key, "missing"})
			continue
		}
		kept = append(kept, id)
		obj = maps.Clone(obj)
		obj[resetMember] = true
		next, err := t.Put(k, id, obj)
		if err != nil {
			var ws Wrongs
			if !errors.As(err, &ws) {
				ws = Wrongs{{"", err.Error()}}
			}
			for _, w := range ws {
				wrong = append(wrong, Wrong{strings.TrimSuffix(at+"."+w.Path, "."), w.Text})
			}
			continue
		}
		t = next
	}
	for _, obj := range t.All(k, false) {
		id, _ := obj[key].(string)
		if slices.ContainsFunc(kept, func(other string) bool { return k.Same(other, id) }) {
			continue
		}
		next, _, err := t.Delete(k, id)
		if err != nil {
			return nil, append(wrong, Wrong{k.row().member(), err.Error()})
		}
		t = next
	}
	if k == KindSource && len(wrong) == 0 { // of the other kinds, the order means nothing
		next, err := t.ordered(k, kept)
		if err != nil {
			return nil, Wrongs{{k.row().member(), err.Error()}}
		}
		t = next
	}
	return t, wrong
}

// ordered moves entries of a kind, so that they stand in the order of ids.
func (t *Text) ordered(k Kind, ids []string) (*Text, error) {
	for i := len(ids) - 2; i >= 0; i-- {
		e, behind := t.entry(k, ids[i]), t.entry(k, ids[i+1])
		if e == nil || behind == nil || e.from <= behind.from {
			continue
		}
		gap := " "
		if t.alone(behind.from) {
			gap = "\n" + t.indent(behind.from)
		}
		next, err := t.with([]splice{t.removal(e), {behind.from, behind.from, t.src[e.from:e.to] + gap}})
		if err != nil {
			return nil, err
		}
		t = next
	}
	return t, nil
}

// A patcher makes lines of a file of JSON values, and collects what is wrong with them.
type patcher struct{ wrong Wrongs }

func (p *patcher) errorf(path, format string, args ...any) {
	p.wrong = append(p.wrong, Wrong{path, fmt.Sprintf(format, args...)})
}

// merge gives the settings of a block after an edit. shown are those of now with secrets hidden.
func (p *patcher) merge(in scope, now, shown, patch map[string]any, reset bool, path string) map[string]any {
	next := map[string]any{}
	if !reset {
		maps.Copy(next, now)
	}
	for _, name := range slices.Sorted(maps.Keys(patch)) {
		v, row, at := patch[name], memberRow(name, in), join(path, name)
		inner, isObject := v.(map[string]any)
		switch {
		case v == nil:
			delete(next, name)
		case isObject && row != nil && row.block != 0 && !row.many:
			was, _ := now[name].(map[string]any)
			masked, _ := shown[name].(map[string]any)
			innerReset, _ := inner[resetMember].(bool)
			inner = maps.Clone(inner)
			delete(inner, resetMember)
			next[name] = p.merge(row.block, was, masked, inner, innerReset || reset, at)
		default:
			next[name] = p.unmasked(row, v, now[name], shown[name], at)
		}
	}
	return next
}

// block gives the lines of a directive with a block.
func (p *patcher) block(d *directive, obj map[string]any, indent, path string) []string {
	head := d.name
	obj = maps.Clone(obj)
	if static, ok := obj["static"].(bool); ok && d.block == inStream {
		if head = "stream"; !static {
			head = "ondemand"
		}
		delete(obj, "static")
	}
	if key := d.titleMember(); key != "" {
		title, ok := obj[key].(string)
		switch {
		case !ok && obj[key] == nil:
			p.errorf(join(path, key), "missing, expected %s", d.args)
		case !ok:
			p.errorf(join(path, key), "found %s, expected %s", shape(obj[key]), d.args)
		}
		head += " " + Quoted(title)
		delete(obj, key)
	}
	if d.inline {
		if options, ok := p.options(d, obj, path); ok {
			return []string{indent + strings.Join(append([]string{head}, options...), " ") + ";"}
		}
	}
	inner := p.inside(d.block, obj, indent+"    ", path)
	if len(inner) == 0 {
		return []string{indent + head + ";"}
	}
	return slices.Concat([]string{indent + head + " {"}, inner, []string{indent + "}"})
}

// options gives the settings of a block as options behind its name; ok is false if one of them needs a line of its own.
func (p *patcher) options(d *directive, obj map[string]any, path string) (options []string, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(obj)) {
		if row := memberRow(name, d.block); row == nil || row.many || row.block != 0 {
			return nil, false
		}
	}
	for _, row := range rows[d.block] {
		v, given := obj[row.member()]
		if !given || row.aliasOf != "" {
			continue
		}
		words := p.words(row, v, join(path, row.member()))
		if len(words) == 0 {
			words = []string{"true"}
		}
		if len(words) > 1 {
			return nil, false
		}
		options = append(options, row.name+"="+Quoted(words[0]))
	}
	return options, true
}

// memberRow is the row of a member of the settings of a block.
func memberRow(name string, in scope) *directive {
	for _, d := range rows[in] {
		if d.aliasOf == "" && d.name != "ondemand" && d.member() == name {
			return d
		}
	}
	return nil
}

// inside gives the lines of the settings in a block.
func (p *patcher) inside(in scope, obj map[string]any, indent, path string) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(obj)) {
		if memberRow(name, in) == nil {
			var known []string
			for _, d := range rows[in] {
				if d.aliasOf == "" {
					known = append(known, d.member())
				}
			}
			p.errorf(join(path, name), "no such member%s", didYouMean(name, known))
		}
	}
	for _, d := range rows[in] {
		if d.aliasOf == "" && d.name != "ondemand" {
			if v, ok := obj[d.member()]; ok {
				lines = append(lines, p.lines(d, v, indent, join(path, d.member()))...)
			}
		}
	}
	return lines
}

// lines gives the lines of one setting.
func (p *patcher) lines(d *directive, v any, indent, path string) (lines []string) {
	switch {
	case d.many:
		list, ok := v.([]any)
		if !ok {
			p.errorf(path, "found %s, expected a list", shape(v))
			return nil
		}
		for i, item := range list {
			at := fmt.Sprintf("%s[%d]", path, i)
			if d.block == 0 {
				lines = append(lines, p.line(d, p.words(d, item, at), indent))
				continue
			}
			if text, isText := item.(string); isText {
				item = map[string]any{d.titleMember(): text}
			}
			obj, isObject := item.(map[string]any)
			if !isObject {
				p.errorf(at, "found %s, expected an object", shape(item))
				continue
			}
			lines = append(lines, p.block(d, obj, indent, at)...)
		}
		return lines
	case d.block != 0:
		obj, ok := v.(map[string]any)
		switch {
		case v == false:
			return nil
		case !ok && v != true:
			p.errorf(path, "found %s, expected an object", shape(v))
			return nil
		}
		return p.block(d, obj, indent, path)
	}
	return []string{p.line(d, p.words(d, v, path), indent)}
}

func (p *patcher) line(d *directive, words []string, indent string) string {
	for i, w := range words {
		words[i] = Quoted(w)
	}
	return indent + strings.Join(append([]string{d.name}, words...), " ") + ";"
}

// words gives a JSON value as words. What they mean is checked when the file is read.
func (p *patcher) words(d *directive, v any, path string) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case bool:
		switch {
		case v && d.min == 0 && slices.Contains(d.shapes(), "boolean"):
			return nil
		case slices.Contains(strings.Fields(d.args), "off"):
			return []string{map[bool]string{true: "on", false: "off"}[v]}
		}
		return []string{strconv.FormatBool(v)}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	case int64:
		return []string{strconv.FormatInt(v, 10)}
	case json.Number:
		return []string{v.String()}
	case []any:
		if !slices.Contains(d.shapes(), "array") {
			break
		}
		var words []string
		for i, item := range v {
			words = append(words, p.words(d, item, fmt.Sprintf("%s[%d]", path, i))...)
		}
		if d.commas && len(words) > 0 {
			words = []string{strings.Join(words, ",")}
		}
		return words
	}
	p.errorf(path, "found %s, expected %s", shape(v), d.args)
	return nil
}

// shape names the type of a JSON value in a message.
func shape(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return quote(v)
	default:
		return fmt.Sprint(v)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
