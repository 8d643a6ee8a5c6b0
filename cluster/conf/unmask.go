package conf

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/protocols"
)

// What is wrong with a word in which a secret is masked.
const (
	noSuchMask     = "found %s, expected the secret itself: the file has none that is shown like this"
	severalOfAMask = "found %s, expected the secret itself: the file has several that are shown like this"
)

// hides says whether something of the directive's words is masked where they are shown.
func (d *directive) hides() bool { return d.secret || d.hide != nil }

// meant is the entry of a kind that an identifier means, nil if there is none. It is an error if the identifier is masked and
// fits several.
func (t *Text) meant(k Kind, id string) (*entry, error) {
	e, count := t.entry(k, id), 0
	if e == nil || e.words[0].text == id || !strings.Contains(id, protocols.Mask) {
		return e, nil
	}
	for _, obj := range t.All(k, false) {
		if name, _ := obj[k.row().titleMember()].(string); k.Same(id, name) {
			count++
		}
	}
	if count > 1 {
		return nil, Wrongs{{k.row().titleMember(), fmt.Sprintf(severalOfAMask, quote(id))}}
	}
	return e, nil
}

// unmasked gives a value of an edit with the secrets of the file in the place of masked ones. was is the value in the file, and
// shown the same with secrets hidden.
func (p *patcher) unmasked(d *directive, v, was, shown any, path string) any {
	list, isList := v.([]any)
	switch obj, isObject := v.(map[string]any); {
	case d == nil, d.block == 0 && !d.hides(), d.block != 0 && d.many && !isList:
		return v
	case d.block != 0 && !d.many:
		if isObject {
			return p.inner(d, obj, was, shown, path)
		}
		return v
	case isList:
		return p.items(d, list, listed(was), listed(shown), inList(path))
	}
	return p.items(d, []any{v}, listed(was), listed(shown), func(int) string { return path })[0]
}

// inner is unmasked for the settings in a block, but for its title.
func (p *patcher) inner(d *directive, obj map[string]any, was, shown any, path string) map[string]any {
	wasObject, _ := was.(map[string]any)
	shownObject, _ := shown.(map[string]any)
	next := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(obj)) {
		next[name] = p.unmasked(memberRow(name, d.block), obj[name], wasObject[name], shownObject[name], join(path, name))
	}
	return next
}

// items is unmasked for the items of a list. path gives the place of an item.
func (p *patcher) items(d *directive, list, was, shown []any, path func(i int) string) []any {
	out := make([]any, len(list))
	for i, from := range d.pairs(list, was, shown) {
		obj, isObject := list[i].(map[string]any)
		at, title := path(i), path(i)
		if isObject {
			title = join(at, d.titleMember())
		}
		var before, masked any
		if from >= 0 {
			before, masked = was[from], shown[from]
		}
		if out[i] = list[i]; isObject {
			obj = p.inner(d, obj, before, masked, at)
			out[i] = obj
		}
		text, isText := d.title(list[i])
		if !isText || !d.hides() {
			continue
		}
		switch real, found := d.title(before); {
		case found && isObject:
			obj[d.titleMember()] = real
		case found:
			out[i] = real
		case !strings.Contains(text, protocols.Mask):
		case from == severalFit:
			p.errorf(title, severalOfAMask, quote(text))
		default:
			p.errorf(title, noSuchMask, quote(text))
		}
	}
	return out
}

// What pairs says of an item that stands for none of the file.
const (
	noneFits   = -1
	severalFit = -2
)

// pairs says which item of the file each item of a list stands for: first those that are the same in all, then those with the same title. The
// n-th of those that are alike stands for the n-th in the file. If the file has more of them, and secrets tell them apart, none is meant.
func (d *directive) pairs(list, was, shown []any) []int {
	from, used := slices.Repeat([]int{noneFits}, len(list)), make([]bool, len(was))
	for _, key := range []func(any) string{jsonText, func(v any) string { text, _ := d.title(v); return text }} {
		places := map[string][]int{}
		for k := range was {
			if used[k] {
				continue
			}
			places[key(shown[k])] = append(places[key(shown[k])], k)
			if key(was[k]) != key(shown[k]) {
				places[key(was[k])] = append(places[key(was[k])], k)
			}
		}
		var found []int
		for i, item := range list {
			if free := places[key(item)]; from[i] == noneFits && key(item) != "" && len(free) > 0 {
				from[i], used[free[0]] = free[0], true
				places[key(item)] = free[1:]
				found = append(found, i)
			}
		}
		for _, i := range found {
			others := slices.ContainsFunc(places[key(list[i])], func(k int) bool { return !used[k] && jsonText(was[k]) != jsonText(was[from[i]]) })
			if others && strings.Contains(jsonText(list[i]), protocols.Mask) {
				from[i] = severalFit
			}
		}
	}
	return from
}

// jsonText is a value as JSON.
func jsonText(v any) string {
	text, _ := json.Marshal(v) // what was read as JSON, or from a file
	return string(text)
}

// listed is a value as a list, of one item if it is none.
func listed(v any) []any {
	list, isList := v.([]any)
	if !isList && v != nil {
		return []any{v}
	}
	return list
}

// objects are objects as values.
func objects(list []map[string]any) []any {
	out := make([]any, len(list))
	for i, obj := range list {
		out[i] = obj
	}
	return out
}

// inList gives the path of an item of a list.
func inList(path string) func(i int) string {
	return func(i int) string { return fmt.Sprintf("%s[%d]", path, i) }
}
