package conf

import (
	"slices"
	"strings"
)

// Flags are the flags of a command line, as text. Each is read as the directive that it stands for, so a flag refuses whatever
// the file would refuse.
type Flags struct {
	// Values are the values that were given, by [Flag.Name]. Empty values are ignored.
	Values map[string][]string

	// Self are further names by which capture_at may mean this node, such as its host name.
	Self []string
}

// A Flag is a flag of `weir node`. It stands for the directive of its name, with underscores for hyphens.
type Flag struct {
	Name, Placeholder, Help string

	// Many says that the flag may be given several times. In its environment variable the values then stand on lines of their
	// own if PerLine is set, and otherwise with commas between them.
	Many, PerLine bool
}

// NodeFlags are the flags of `weir node`, in the order of the table of directives.
func NodeFlags() []Flag {
	var list []Flag
	for _, d := range table {
		if d.flag != nil {
			list = append(list, Flag{
				Name: d.flagName(), Placeholder: d.flag.placeholder, Help: d.flagHelp(), Many: d.many, PerLine: d.flag.perLine,
			})
		}
	}
	return list
}

// flagName is the flag's name without the dashes.
func (d *directive) flagName() string {
	if d.flag.name != "" {
		return d.flag.name
	}
	return strings.ReplaceAll(d.name, "_", "-")
}

// flagHelp is the help text of the flag: its purpose, unit and default.
func (d *directive) flagHelp() string {
	help := d.flag.help
	if help == "" {
		help = d.doc
	}
	if d.unit != "" {
		help = strings.TrimSuffix(help, ".") + ", in " + d.unit + "."
	}
	if byDefault := d.defaults(); byDefault != "" && d.flag.entry == nil {
		help += " Default " + byDefault + "."
	}
	return help
}

// Parse reads a configuration file. The result is never nil. If [Problems.Failed], it holds only the part that could be read, and
// must not be used. Filename is for messages only.
func Parse(filename string, src []byte) (*File, Problems) {
	return Load(filename, src, Flags{})
}

// Load is [Parse] with flags that override the file. For a node that is configured by flags alone, src is empty.
func Load(filename string, src []byte, flags Flags) (*File, Problems) {
	f := &File{}
	r := &reader{file: f, top: f.block(), self: flags.Self, keyless: map[string][]Pos{}}
	for _, d := range rows[inFile] {
		if d.setDefault != nil {
			d.setDefault(r.top)
		}
	}
	list, err := parse(src, Pos{File: filename, Line: 1, Col: 1})
	if err != nil {
		r.errorf(err.Pos, "%s", err.Text)
		r.tellResemblance(filename, src)
		return f, r.sorted() // half a file would lead to wrong messages
	}
	if len(list) == 0 && filename != "" {
		r.warnf(Pos{File: filename, Line: 1, Col: 1}, "found no directive, expected streams and peers; `weir help directives` lists what a file may say")
	}
	for _, e := range r.overlay(list, flags.Values) {
		r.walk(r.top, e)
	}
	r.finish()
	r.tellResemblance(filename, src)
	return f, r.sorted()
}

// overlay replaces and adds entries of the file by those of flags.
func (r *reader) overlay(list []*entry, values map[string][]string) []*entry {
	for _, d := range table {
		if d.flag == nil {
			continue
		}
		at := Pos{File: "--" + d.flagName()}
		var added []*entry
		for _, v := range values[d.flagName()] {
			if v == "" {
				continue
			}
			e := &entry{name: d.name, pos: at, words: []word{{text: v, pos: at}}}
			if d.flag.entry != nil {
				var err *Problem
				if e, err = d.flag.entry(v, at); err != nil {
					r.errorf(err.Pos, "%s", err.Text)
					continue
				}
			}
			added = append(added, e)
		}
		list = slices.DeleteFunc(list, func(e *entry) bool {
			same := find(e.name, inFile)
			if same == nil || same.canonical() != d.name || len(added) == 0 {
				return false
			}
			return d.flag.entry == nil || slices.ContainsFunc(added, func(a *entry) bool { return sameName(a, e) })
		})
		list = append(list, added...)
	}
	return list
}

// sameName reports whether two entries of one directive name the same thing.
func sameName(a, b *entry) bool {
	if len(a.words) == 0 || len(b.words) == 0 {
		return false
	}
	if a.name != "peer" {
		return a.words[0].text == b.words[0].text
	}
	ah, ap, aerr := parsePeerName(a.words[0].text)
	bh, bp, berr := parsePeerName(b.words[0].text)
	return aerr == nil && berr == nil && ah == bh && ap == bp
}
