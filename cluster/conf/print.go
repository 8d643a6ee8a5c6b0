package conf

import (
	"slices"
	"strings"

	"weir/protocols"
)

// Masked gives the configuration as text, with defaults filled in, and with keys and passwords hidden.
func (f *File) Masked() string { return f.render(true) }

// Text gives the configuration as text of which [Parse] makes the same File. It holds keys and passwords.
func (f *File) Text() string { return f.render(false) }

// render gives the configuration as text. If mask is not set, [Parse] makes the same File of it.
func (f *File) render(mask bool) string {
	p := &printer{mask: mask, top: f.block()}
	p.inside(p.top)
	return p.String()
}

// A printer writes a model as directives.
type printer struct {
	strings.Builder
	mask  bool
	top   *block
	depth int
}

// blocks makes a block for each entry of the directive that the model of b holds.
func (d *directive) blocks(b *block) []*block {
	if d.each == nil || d.aliasOf != "" {
		return nil
	}
	list := d.each(b)
	for i, k := range list {
		k.row, k.scope, k.outer, k.at = d, d.block, b, i
	}
	return list
}

// shown gives the lines that are printed for a directive in b. A line that says only what holds anyway is left out.
func (p *printer) shown(d *directive, b *block) [][]string {
	if d.lines == nil || d.aliasOf != "" {
		return nil
	}
	if d.isDefault != nil && d.isDefault(b) {
		return nil
	}
	lines := d.lines(b)
	if d.inherits && b != p.top && slices.EqualFunc(lines, find(d.name, inFile).lines(p.top), slices.Equal) {
		return nil
	}
	if d.omitDefault && len(lines) == 1 && slices.Equal(lines[0], []string{d.defaultText}) {
		return nil
	}
	for i, words := range lines {
		lines[i] = p.words(d, words)
	}
	return lines
}

// words are the words of a directive as they are printed: quoted where necessary, and with secrets hidden if mask is set.
func (p *printer) words(d *directive, words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		switch {
		case !p.mask:
		case d.secret && (d.allSecret || i == len(words)-1):
			w = protocols.Mask
		case d.hide != nil:
			w = d.hide(w)
		}
		out[i] = Quoted(w)
	}
	return out
}

// inside writes the directives in a block.
func (p *printer) inside(b *block) {
	for _, d := range rows[b.scope] {
		for _, words := range p.shown(d, b) {
			p.line(d.name, words, ";")
		}
		for _, k := range d.blocks(b) {
			p.block(k)
		}
	}
}

func (p *printer) block(b *block) {
	name, title := b.row.name, p.words(b.row, b.title)
	if b.spelling != "" {
		name = b.spelling
	}
	if b.row.inline {
		for _, d := range rows[b.scope] {
			for _, words := range p.shown(d, b) {
				if len(words) == 0 {
					words = []string{"true"}
				}
				title = append(title, d.name+"="+words[0])
			}
		}
		p.line(name, title, ";")
		return
	}
	if p.depth == 0 {
		p.WriteByte('\n')
	}
	p.line(name, title, " {")
	p.depth++
	p.inside(b)
	p.depth--
	p.line("}", nil, "")
}

func (p *printer) line(name string, words []string, end string) {
	p.WriteString(strings.Repeat("    ", p.depth) + strings.Join(append([]string{name}, words...), " ") + end + "\n")
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`)

// Quoted quotes a word that could not be read back without quotes.
func Quoted(w string) string {
	if w == "" || strings.ContainsAny(w, " \t\n\r;{}\"'=\\") || strings.HasPrefix(w, "#") || strings.HasPrefix(w, "\ufeff") {
		return `"` + escapes.Replace(w) + `"`
	}
	return w
}
