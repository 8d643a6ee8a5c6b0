package mutants

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
)

// variable is the environment variable that says which fault of a planted program is on.
const variable = "WEIR_MUTANT"

// plantedName is the file that each package with faults gets.
const plantedName = "planted_faults.go"

// Plant gives the files of the source with all those faults in them, by their names. Read gives a file of the source.
//
// Each function that a fault changes gets a copy with the change, and begins by asking whether that fault is on; then the copy
// does the work. So all faults fit into one program, and a fault may be any change of a function's body.
func Plant(list []Mutant, read func(file string) ([]byte, error)) (map[string]string, error) {
	plans := map[string][]change{}
	for i, m := range list {
		for _, e := range m.edits() {
			plans[e.File] = append(plans[e.File], change{m.Name, i, e})
		}
	}
	out := map[string]string{}
	var problems []error
	for file, changes := range plans {
		raw, err := read(file)
		if err != nil {
			return nil, fmt.Errorf("planting %s: %w", changes[0].mutant, err)
		}
		s, err := parse(file, string(raw))
		if err != nil {
			return nil, fmt.Errorf("planting %s: %w", changes[0].mutant, err)
		}
		text, err := s.plant(changes)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		out[file] = text
		out[path.Join(path.Dir(file), plantedName)] = fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar plantedFault = os.Getenv(%q)\n", s.tree.Name.Name, variable)
	}
	return out, errors.Join(problems...)
}

// A change is an edit of a mutant, which has a number.
type change struct {
	mutant string
	number int
	Edit
}

// A source is a file that was parsed.
type source struct {
	file, text string
	tree       *ast.File
	base       token.Pos
}

func parse(file, text string) (*source, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", file, err)
	}
	return &source{file, text, tree, tree.FileStart}, nil
}

// at is the offset of a position in the text.
func (s *source) at(p token.Pos) int { return int(p - s.base) }

// function finds a function by its name, or a method by Type.Name.
func (s *source) function(name string) *ast.FuncDecl {
	for _, d := range s.tree.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil && nameOf(f) == name {
			return f
		}
	}
	return nil
}

// nameOf is the name by which a table calls a function.
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	switch x := t.(type) {
	case *ast.IndexExpr:
		t = x.X
	case *ast.IndexListExpr:
		t = x.X
	}
	return t.(*ast.Ident).Name + "." + f.Name.Name
}

// A replacement puts a text in the place of another.
type replacement struct {
	from, to int // offsets
	text     string
}

// plant makes all changes of a file.
func (s *source) plant(changes []change) (string, error) {
	var all []replacement
	var copies strings.Builder
	var problems []error
	begun := map[string]int{} // the replacement at the beginning of each function, by its name
	for i := 0; i < len(changes); i++ {
		c := changes[i]
		f := s.function(c.Func)
		if f == nil {
			problems = append(problems, fmt.Errorf("planting %s: found no function %s in %s: the source is not that of this program", c.mutant, c.Func, s.file))
			continue
		}
		body := s.text[s.at(f.Body.Pos()):s.at(f.Body.End())]
		var err error
		if body, err = c.apply(body); err == nil {
			for i+1 < len(changes) && changes[i+1].mutant == c.mutant && changes[i+1].Func == c.Func && err == nil {
				i++
				body, err = changes[i].apply(body)
			}
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if _, ok := begun[c.Func]; !ok {
			all = append(all, s.nameParameters(f)...)
			begun[c.Func] = len(all)
			open := s.at(f.Body.Lbrace) + 1
			all = append(all, replacement{open, open, ""})
		}
		name := fmt.Sprintf("%sFault%d", f.Name.Name, c.number)
		all[begun[c.Func]].text += s.divert(f, c.mutant, name)
		fmt.Fprintf(&copies, "\n//line %s:1\n%s%s\n", c.mutant, s.signature(f, name), body) // so that Go's errors name the fault
	}
	slices.SortStableFunc(all, func(a, b replacement) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for _, r := range all {
		b.WriteString(s.text[at:r.from])
		b.WriteString(r.text)
		at = r.to
	}
	b.WriteString(s.text[at:])
	b.WriteString(copies.String())
	return b.String(), errors.Join(problems...)
}

// apply makes the change in the body of its function.
func (c change) apply(body string) (string, error) {
	if n := strings.Count(body, c.Old); n != 1 || c.Old == "" {
		return "", fmt.Errorf("planting %s: found %q %d times in %s of %s, expected it once: the source is not that of this program", c.mutant, c.Old, n, c.Func, c.File)
	}
	return strings.Replace(body, c.Old, c.New, 1), nil
}

// signature is everything of a function before its body, under another name.
func (s *source) signature(f *ast.FuncDecl, name string) string {
	return s.text[s.at(f.Type.Func):s.at(f.Name.Pos())] + name + s.text[s.at(f.Name.End()):s.at(f.Body.Pos())]
}

// nameParameters gives a name to each parameter that has none, and to the receiver, so that they can be passed on.
func (s *source) nameParameters(f *ast.FuncDecl) (out []replacement) {
	for i, fields := range []*ast.FieldList{f.Recv, f.Type.Params} {
		if fields == nil {
			continue
		}
		at := 0
		for _, field := range fields.List {
			if len(field.Names) == 0 {
				p := s.at(field.Type.Pos())
				out = append(out, replacement{p, p, unnamed(i, at) + " "})
				at++
			}
			for _, n := range field.Names {
				if n.Name == "_" {
					out = append(out, replacement{s.at(n.Pos()), s.at(n.End()), unnamed(i, at)})
				}
				at++
			}
		}
	}
	return out
}

func unnamed(list, at int) string { return fmt.Sprintf("unnamed%d%d", list, at) }

// names are those of the parameters, or of the receiver, after [source.nameParameters].
func names(list int, fields *ast.FieldList) (out []string) {
	for _, field := range fields.List {
		if len(field.Names) == 0 {
			out = append(out, unnamed(list, len(out)))
		}
		for _, n := range field.Names {
			if n.Name == "_" {
				out = append(out, unnamed(list, len(out)))
			} else {
				out = append(out, n.Name)
			}
		}
	}
	return out
}

// divert is the statement that lets the copy do the work while the fault is on.
func (s *source) divert(f *ast.FuncDecl, mutant, copied string) string {
	call := copied
	if f.Recv != nil {
		call = names(0, f.Recv)[0] + "." + copied
	}
	if f.Type.TypeParams != nil {
		call += "[" + strings.Join(names(0, f.Type.TypeParams), ", ") + "]"
	}
	args := names(1, f.Type.Params)
	if n := len(f.Type.Params.List); n > 0 {
		if _, ok := f.Type.Params.List[n-1].Type.(*ast.Ellipsis); ok {
			args[len(args)-1] += "..."
		}
	}
	call += "(" + strings.Join(args, ", ") + ")"
	if f.Type.Results == nil {
		call += "\n\t\treturn"
	} else {
		call = "return " + call
	}
	return fmt.Sprintf("\n\tif plantedFault == %q {\n\t\t%s\n\t}\n", mutant, call)
}
