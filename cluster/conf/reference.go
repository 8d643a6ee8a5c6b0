package conf

import "slices"

// A Directive is the description of one row of the table, for reference pages.
type Directive struct {
	Name    string
	Also    string   // another spelling; empty for none
	Where   []string // the blocks in which the directive may stand
	Args    string   // the words behind the name; empty for none
	Unit    string   // of a number; empty for none
	Default string   // as the file would give it, or described in words; empty for none
	Flag    string   // of `weir node`, with dashes; empty for none
	Many    bool     // may stand several times in one block
	Block   bool     // has a block with at least one supported directive
	Obeyed  bool     // false for a directive that is reported as [Unsupported]; the fields below may be empty then

	Doc     string // a sentence
	Reload  Reload
	Example string // a whole directive
}

// Directives gives the rows of the table in its order.
func Directives() []Directive {
	var list []Directive
	for _, d := range table {
		if d.aliasOf != "" {
			continue
		}
		is := Directive{
			Name: d.name, Also: d.also, Where: d.in.words(), Args: d.args, Unit: d.unit, Default: d.defaults(),
			Many: d.many, Block: slices.ContainsFunc(rows[d.block], func(in *directive) bool { return !in.unsupported }), Obeyed: !d.unsupported, Doc: d.doc, Reload: d.reload,
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

// defaults describes the setting that holds if the directive is left out; empty if there is none.
func (d *directive) defaults() string {
	if d.defaultWords != "" {
		return d.defaultWords
	}
	return d.defaultText
}
