package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
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
