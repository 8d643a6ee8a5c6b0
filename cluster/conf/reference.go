package conf

import "slices"

// A Directive is what a reference says of one row of the table.
type Directive struct {
	Name    string
	Also    string   // another spelling; empty for none
	Where   []string // the blocks in which it stands, in the order of the table of blocks
	Args    string   // what stands behind the name; empty for nothing
	Unit    string   // of a number; empty for none
	Default string   // in words of the file, or of people; empty where there can be none
	Flag    string   // of `weir node`, with dashes; empty for none
	Many    bool     // may stand several times in one block
	Block   bool     // has a block in which something is obeyed
	Obeyed  bool     // otherwise the directive is only understood, and nothing below is filled in

	Doc     string // a sentence
	Reload  Reload
	Example string // a whole directive
}

// Directives gives the rows of the table in its order.
func Directives() []Directive {
	var list []Directive
	for _, d := range table {
		if d.same != "" {
			continue
		}
		is := Directive{
			Name: d.name, Also: d.also, Where: d.in.words(), Args: d.args, Unit: d.unit, Default: d.defaults(),
			Many: d.many, Block: slices.ContainsFunc(rows[d.block], func(in *directive) bool { return !in.later }), Obeyed: !d.later, Doc: d.doc, Reload: d.reload,
		}
		if d.flag != nil {
			is.Flag = "--" + d.flagName()
		}
		if d.example != "" {
			is.Example = d.name + " " + d.example
			if is.Example[len(is.Example)-1] != '}' {
				is.Example += ";"
			}
		}
		list = append(list, is)
	}
	return list
}

// defaults says what holds where a directive is left out; empty for one that has no default.
func (d *directive) defaults() string {
	if d.usual != "" {
		return d.usual
	}
	return d.preset
}
