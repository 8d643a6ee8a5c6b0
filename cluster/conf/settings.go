package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"weir/protocols"
)

// A Text is a configuration file as its author wrote it. It can be read and changed as JSON, entry by entry; comments, order
// and white space of everything else stay as they are. A Text is immutable.
type Text struct {
	name string
	bom  string
	src  string
	list []*entry
}

// ReadText reads a file. The error is a [Problem] as an error.
func ReadText(filename string, src []byte) (*Text, error) {
	t := &Text{name: filename, src: string(src)}
	if rest, ok := strings.CutPrefix(t.src, "\ufeff"); ok {
		t.bom, t.src = "\ufeff", rest
	}
	list, err := parse([]byte(t.src), Pos{File: filename, Line: 1, Col: 1})
	if err != nil {
		return nil, fmt.Errorf("%v", err)
	}
	for _, e := range list {
		if e.unclosed { // as each block is around one that is not closed
			return nil, fmt.Errorf("%v", errorAt(e.end, "found the end of the file inside `%s {`, which was opened at %s; expected `}`", e.head(), e.pos.place()))
		}
	}
	t.list = list
	return t, nil
}

// Bytes is the text.
func (t *Text) Bytes() []byte { return []byte(t.bom + t.src) }

// A Kind is a kind of entry at the top of the file of which there are several, and which can be changed one at a time.
type Kind string

// The kinds.
const (
	KindStream   Kind = "stream" // of stream and ondemand
	KindTemplate Kind = "template"
	KindPeer     Kind = "peer"
	KindSource   Kind = "source"
	KindBalancer Kind = "balancer"
)

// Kinds are all kinds.
var Kinds = []Kind{KindStream, KindTemplate, KindPeer, KindSource, KindBalancer}

func (k Kind) row() *directive { return find(string(k), inFile) }

// Same says whether two identifiers of this kind mean the same entry.
func (k Kind) Same(a, b string) bool {
	switch k {
	case KindPeer:
		ah, ap, aerr := parsePeerName(a)
		bh, bp, berr := parsePeerName(b)
		return a == b || aerr == nil && berr == nil && ah == bh && effectivePort(Peer{Port: ap}) == effectivePort(Peer{Port: bp})
	case KindSource:
		return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") || protocols.MaskURLs(strings.TrimSuffix(b, "/")) == strings.TrimSuffix(a, "/")
	}
	return a == b
}

// entry finds an entry of a kind; if several fit the identifier, that with the very same one, or else the first.
func (t *Text) entry(k Kind, id string) (found *entry) {
	member := k.row().member()
	for _, e := range t.list {
		if d := find(e.name, inFile); d == nil || d.member() != member || len(e.words) == 0 {
			continue
		}
		if e.words[0].text == id {
			return e
		}
		if found == nil && k.Same(id, e.words[0].text) {
			found = e
		}
	}
	return found
}

// Settings gives an entry as JSON values; nil if there is none. With masked, secrets are hidden.
func (t *Text) Settings(k Kind, id string, masked bool) map[string]any {
	e := t.entry(k, id)
	if e == nil {
		return nil
	}
	return find(e.name, inFile).object(e, masked)
}

// Shared says whether the nodes have to share an entry: a peer, a balancer, and whatever has cluster_ingest, by itself or by its
// template. A stream that the file does not name has it if publishers make it by such a template.
func (t *Text) Shared(k Kind, id string) bool {
	s := t.Settings(k, id, true)
	if s != nil && (k == KindPeer || k == KindBalancer || s["cluster_ingest"] != nil) {
		return true
	}
	if k != KindStream {
		return false
	}
	f, _ := Parse(t.name, t.Bytes()) // a file that is wrong elsewhere still says this
	if one := f.Stream(id); one != nil {
		return one.Ingest != nil
	}
	one, _ := f.Open(id, true)
	return one.Ingest != nil
}

// SharedMembers says whether the nodes have to share all settings at the top of a file that an edit changes.
func SharedMembers(patch map[string]any) bool {
	for _, name := range slices.Sorted(maps.Keys(patch)) {
		if d := memberRow(name, inFile); d == nil || !d.shared {
			return false
		}
	}
	return len(patch) > 0
}

// All gives the entries of a kind in the order of the file.
func (t *Text) All(k Kind, masked bool) []map[string]any {
	list, _ := settingsOf(t.list, inFile, masked)[k.row().member()].([]any)
	out := make([]map[string]any, len(list))
	for i, v := range list {
		out[i], _ = v.(map[string]any)
	}
	return out
}

// Whole gives the whole file.
func (t *Text) Whole(masked bool) map[string]any { return settingsOf(t.list, inFile, masked) }

// member is the name of the directive in JSON.
func (d *directive) member() string {
	if d.aliasOf != "" {
		d = find(d.aliasOf, d.in)
	}
	if d.plural != "" {
		return d.plural
	}
	return d.name
}

// titleMember is the member that has the word behind the name of the block; empty if there is no such word.
func (d *directive) titleMember() string {
	switch {
	case d.block == 0 || d.max == 0:
		return ""
	case d.aliasOf != "":
		return find(d.aliasOf, d.in).titleMember()
	case d.key == "":
		return "name"
	}
	return d.key
}

// shapes are the types of the setting in JSON.
func (d *directive) shapes() []string {
	switch {
	case d.json != nil:
		return d.json
	case d.max == 1:
		return []string{"string"}
	}
	return []string{"array"}
}

// settingsOf gives directives of a block as an object. Those that are not known are left out.
func settingsOf(list []*entry, in scope, masked bool) map[string]any {
	out := map[string]any{}
	for _, e := range list {
		d := find(e.name, in)
		if d == nil {
			continue
		}
		name := d.member()
		switch before, _ := out[name].([]any); {
		case d.block != 0 && d.many:
			out[name] = append(before, d.object(e, masked))
		case d.block != 0:
			out[name] = d.object(e, masked)
		case d.many:
			for _, w := range d.divide(e.words) {
				before = append(before, d.masked(w, masked, true))
			}
			out[name] = before
		default:
			out[name] = d.setting(e.words, masked)
		}
	}
	return out
}

// object gives a directive with a block as an object.
func (d *directive) object(e *entry, masked bool) map[string]any {
	var title string
	kids := slices.Clone(e.kids)
	for _, w := range e.words {
		if key, text, _ := strings.Cut(w.text, "="); w.option {
			kids = append(kids, &entry{name: key, words: []word{{text: text}}})
		} else if title == "" {
			title = w.text
		}
	}
	out := settingsOf(kids, d.block, masked)
	if key := d.titleMember(); key != "" {
		out[key] = d.masked(title, masked, true)
	}
	if _, given := out["static"]; e.name == "ondemand" && !given {
		out["static"] = false
	}
	return out
}

// divide gives the words of a directive, with lists in which commas stand for spaces taken apart.
func (d *directive) divide(words []word) (out []string) {
	for _, w := range words {
		out = append(out, divided(w.text, d.commas)...)
	}
	return out
}

// masked is a word as it is shown.
func (d *directive) masked(w string, masked, last bool) string {
	switch {
	case !masked:
	case d.secret && (d.allSecret || last):
		return protocols.Mask
	case d.hide != nil:
		return d.hide(w)
	}
	return w
}

// setting gives the words of a directive without a block as a JSON value.
func (d *directive) setting(words []word, masked bool) any {
	shapes := d.shapes()
	if slices.Contains(shapes, "array") && !(len(words) == 1 && slices.Contains(shapes, "string")) {
		list := []any{}
		texts := d.divide(words)
		for i, w := range texts {
			list = append(list, d.masked(w, masked, i == len(texts)-1))
		}
		return list
	}
	if len(words) == 0 {
		return true
	}
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = d.masked(w.text, masked, i == len(words)-1)
	}
	text := strings.Join(texts, " ")
	if slices.Contains(shapes, "integer") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		if n, err := parseBits(text); err == nil && d.unit == bitsUnit {
			return n
		}
	}
	if b, err := parseBool(text); err == nil && slices.Contains(shapes, "boolean") {
		return b
	}
	return text
}

// Schema is the JSON schema of the settings of a kind, in the dialect 2020-12: what an edit may contain. Null removes a member.
func (k Kind) Schema() json.RawMessage {
	s := blockSchema(k.row())
	s["description"] = k.row().doc + " Members that an edit leaves out stay as they are; null removes one; with $reset all others are removed."
	s["properties"].(map[string]any)["$reset"] = map[string]any{"type": "boolean", "description": "Whether what is not given is removed."}
	return mustJSON(s)
}

// FileSchema is the schema of the whole file.
func FileSchema() json.RawMessage {
	s := objectSchema(inFile)
	s["description"] = "The configuration file. An edit leaves what it does not name; a list replaces the former one."
	return mustJSON(s)
}

func mustJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // maps of texts
	}
	return b.Bytes()
}

func objectSchema(in scope) map[string]any {
	props := map[string]any{}
	for _, d := range rows[in] {
		if d.aliasOf != "" || d.unsupported || d.name == "ondemand" {
			continue
		}
		props[d.member()] = d.schema()
	}
	return map[string]any{"type": "object", "properties": props, "additionalProperties": false}
}

func blockSchema(d *directive) map[string]any {
	s := objectSchema(d.block)
	if key := d.titleMember(); key != "" {
		s["properties"].(map[string]any)[key] = map[string]any{"type": "string", "description": d.args}
	}
	return s
}

// schema is that of a directive's setting.
func (d *directive) schema() map[string]any {
	var s map[string]any
	switch {
	case d.block != 0 && d.many:
		s = map[string]any{"type": []string{"array", "null"}, "items": blockSchema(d)}
	case d.block != 0:
		s = blockSchema(d)
		s["type"] = []string{"object", "null"}
	case d.many || slices.Equal(d.shapes(), []string{"array"}):
		s = map[string]any{"type": []string{"array", "null"}, "items": map[string]any{"type": "string"}}
	default:
		if s = map[string]any{}; len(d.shapes()) == 1 { // generators of clients know no choice of types; the words say what is permitted
			s["type"] = []string{d.shapes()[0], "null"}
		}
	}
	doc := d.doc
	if s["type"] == nil {
		doc += " " + d.args + "."
	}
	if d.unit != "" {
		doc += " In " + d.unit + "."
	}
	if byDefault := d.defaults(); byDefault != "" {
		doc += " Default: " + byDefault + "."
	}
	s["description"] = doc
	return s
}
