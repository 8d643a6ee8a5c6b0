package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A program is the production code of the module, with what the compiler knows of it.
type program struct {
	fset     *token.FileSet
	packages []*types.Package
	files    map[*types.Package][]*ast.File
	info     *types.Info
}

// loaded is the program once a test has asked for it.
var loaded *program

// wholeProgram reads the packages of which the program consists. Those of other modules come from export data.
func wholeProgram(t *testing.T) *program {
	t.Helper()
	if loaded != nil {
		return loaded
	}
	p := &program{fset: token.NewFileSet(), files: map[*types.Package][]*ast.File{}, info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
	}}
	list := goList(t, "-export", "-deps", module+"/cmd/weir") // each after those that it imports
	exports, ours := map[string]string{}, map[string]*types.Package{}
	for _, l := range list {
		exports[l.ImportPath] = l.Export
	}
	others := importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	config := types.Config{Importer: importing(func(path string) (*types.Package, error) {
		if ours[path] != nil {
			return ours[path], nil
		}
		return others.Import(path)
	})}
	for _, l := range list {
		if !strings.HasPrefix(l.ImportPath, module+"/") {
			continue
		}
		var files []*ast.File
		for _, name := range l.GoFiles {
			f, err := parser.ParseFile(p.fset, filepath.Join(l.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		pkg, err := config.Check(l.ImportPath, p.fset, files, p.info)
		if err != nil {
			t.Fatalf("checking the types of %s: %v", l.ImportPath, err)
		}
		ours[l.ImportPath] = pkg
		p.packages, p.files[pkg] = append(p.packages, pkg), files
	}
	loaded = p
	return p
}

// importing is a function as an importer.
type importing func(path string) (*types.Package, error)

func (f importing) Import(path string) (*types.Package, error) { return f(path) }

// at is a place by its file, from the root of the module, and its line.
func (p *program) at(pos token.Pos) (file string, line int) {
	at := p.fset.Position(pos)
	if dir, err := filepath.Abs(root); err == nil {
		if rel, err := filepath.Rel(dir, at.Filename); err == nil {
			return filepath.ToSlash(rel), at.Line
		}
	}
	return at.Filename, at.Line
}

// promised are the names of all methods of interfaces, in the program and in what it imports, and of those that packages
// call without an interface that has a name.
func (p *program) promised() map[string]bool {
	names, seen := map[string]bool{}, map[*types.Package]bool{}
	for _, name := range []string{"Is", "Unwrap", "Run", "MarshalText", "UnmarshalText"} { // errors, kong, encoding/json
		names[name] = true
	}
	add := func(t types.Type) {
		if i, ok := t.Underlying().(*types.Interface); ok {
			for m := range i.Methods() {
				names[m.Name()] = true
			}
		}
	}
	var visit func(pkg *types.Package)
	visit = func(pkg *types.Package) {
		if seen[pkg] {
			return
		}
		seen[pkg] = true
		for _, name := range pkg.Scope().Names() {
			add(pkg.Scope().Lookup(name).Type())
		}
		for _, imported := range pkg.Imports() {
			visit(imported)
		}
	}
	for _, pkg := range p.packages {
		visit(pkg)
	}
	for _, tv := range p.info.Types {
		if tv.Type != nil {
			add(tv.Type)
		}
	}
	return names
}

// waiting are functions that the program is about to use, and why they are there already. One that it uses fails the test.
var waiting = map[string]string{}

// TestProgramHasNothingForTestsAlone: the program itself uses each of its functions, methods, types and variables. A method
// that some interface has counts as used.
func TestProgramHasNothingForTestsAlone(t *testing.T) {
	p := wholeProgram(t)
	used, promised := map[types.Object]bool{}, p.promised()
	for _, o := range p.info.Uses {
		if f, ok := o.(*types.Func); ok {
			o = f.Origin()
		}
		used[o] = true
	}
	unused := map[string]int{}
	for _, o := range p.info.Defs {
		switch d := o.(type) {
		case *types.Func:
			if d.Name() == "main" || d.Name() == "init" || d.Name() == "_" || d.Signature().Recv() != nil && promised[d.Name()] {
				continue
			}
		case *types.TypeName, *types.Var:
			if d.Parent() == nil || d.Parent() != d.Pkg().Scope() || d.Name() == "_" {
				continue
			}
		default:
			continue
		}
		if file, line := p.at(o.Pos()); !used[o] && !strings.HasSuffix(file, ".pb.go") {
			unused[file+": "+o.Name()] = line
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unused)) {
		if waiting[name] == "" {
			t.Errorf("%s (line %d) is used by no production code", name, unused[name])
		}
	}
	for name := range waiting {
		if unused[name] == 0 {
			t.Errorf("%s is used, and needs no exception", name)
		}
	}
}
