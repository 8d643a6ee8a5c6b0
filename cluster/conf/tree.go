package conf

// A Statement is a directive of any file that has the form of this one's, as nginx's have: `Name Args … ;` or `Name Args … { Block }`.
type Statement struct {
	Name  string
	Args  []string
	Block []Statement
	Pos   Pos
}

// Tree reads the directives of a file, whatever their names are. Filename is for messages only.
func Tree(filename string, src []byte) ([]Statement, error) {
	list, err := parse(src, Pos{File: filename, Line: 1, Col: 1})
	if err != nil {
		return nil, treeError{err}
	}
	return statements(list), nil
}

// A treeError is a problem as an error.
type treeError struct{ *Problem }

func (e treeError) Error() string { return e.Pos.String() + ": " + e.Text }

func statements(list []*entry) []Statement {
	out := make([]Statement, len(list))
	for i, e := range list {
		out[i] = Statement{Name: e.name, Block: statements(e.kids), Pos: e.pos}
		for _, w := range e.words {
			out[i].Args = append(out[i].Args, w.text)
		}
	}
	return out
}
