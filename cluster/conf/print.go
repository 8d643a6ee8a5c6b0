package conf

import (
	"slices"
	"strings"
)

// masked stands where a secret was.
const masked = "****"

// Masked gives the configuration as text with everything filled in that holds by default, every key and password hidden.
func (f *File) Masked() string { return f.render(true) }

// render gives the configuration as text. Unmasked, it parses to the same File.
func (f *File) render(mask bool) string {
	p := &printer{mask: mask, top: f.block()}
	p.inside(p.top)
	return p.String()
}

// A printer writes directives.
type printer struct {
	strings.Builder
	mask  bool
	top   *block
	depth int
}

// blocks gives the blocks of a directive that the model of a block holds.
func (d *directive) blocks(b *block) []*block {
	if d.each == nil || d.same != "" {
		return nil
	}
	list := d.each(b)
	for i, k := range list {
		k.row, k.scope, k.outer, k.at = d, d.block, b, i
	}
	return list
}

// shown gives the lines of a directive that say what would not hold without them.
func (p *printer) shown(d *directive, b *block) [][]string {
	if d.lines == nil || d.same != "" {
		return nil
	}
	if d.implied != nil && d.implied(b) {
		return nil
	}
	lines := d.lines(b)
	if d.inherits && b != p.top && slices.EqualFunc(lines, find(d.name, inFile).lines(p.top), slices.Equal) {
		return nil
	}
	if d.brief && len(lines) == 1 && slices.Equal(lines[0], []string{d.preset}) {
		return nil
	}
	for i, words := range lines {
		lines[i] = p.words(d, words)
	}
	return lines
}

// words are the words of a directive as they are written: secrets hidden, and quoted where they must be.
func (p *printer) words(d *directive, words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		switch {
		case !p.mask:
		case d.secret && i == len(words)-1:
			w = masked
		case d.hide != nil:
			w = d.hide(w)
		}
		out[i] = quoted(w)
	}
	return out
}

// inside writes what stands in a block.
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

// quoted quotes a word that the parser would not give back as it is.
func quoted(w string) string {
	if w == "" || strings.ContainsAny(w, " \t\n\r;{}\"'=\\") || strings.HasPrefix(w, "#") || strings.HasPrefix(w, "\ufeff") {
		return `"` + escapes.Replace(w) + `"`
	}
	return w
}
