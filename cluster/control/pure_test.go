package control

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pureFolders are the packages whose decisions have to repeat themselves exactly, and what they may import. Everything
// else is refused: what reads a clock, a file or a socket, what runs beside, what draws at random.
var (
	pureFolders = []string{".", "../place"}
	pureImports = []string{
		"cmp", "errors", "fmt", "math", "slices", "strconv", "strings", "unicode/utf8", "net/netip", "net/url",
		"weir/cluster/place", "weir/protocols",
	}
)

func TestDecisionsAreAFunctionOfEventsAndInstants(t *testing.T) {
	for _, folder := range pureFolders {
		paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no source in %s: %v", folder, err)
		}
		set := token.NewFileSet()
		var files []*ast.File
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parser.ParseFile(set, path, src, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
		check := types.Config{Importer: importer.ForCompiler(set, "source", nil)}
		if _, err := check.Check("weir/cluster/"+filepath.Base(folder), set, files, info); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, found := range impurities(f, info) {
				t.Errorf("%s: %s", set.Position(found.at), found.what)
			}
		}
	}
}

type impurity struct {
	at   token.Pos
	what string
}

// impurities returns what in a file could make two runs differ.
func impurities(f *ast.File, info *types.Info) (out []impurity) {
	add := func(n ast.Node, what string) { out = append(out, impurity{n.Pos(), what}) }
	for _, i := range f.Imports {
		if path, _ := strconv.Unquote(i.Path.Value); !slices.Contains(pureImports, path) {
			add(i, "imports "+path)
		}
	}
	under := func(e ast.Expr) types.Type {
		if t := info.Types[e].Type; t != nil {
			return t.Underlying()
		}
		return nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			add(n, "starts a goroutine")
		case *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			add(n, "uses a channel")
		case *ast.RangeStmt:
			if _, ok := under(n.X).(*types.Map); ok {
				add(n, "ranges over a map, whose order is random")
			}
		case *ast.BasicLit:
			if n.Kind == token.FLOAT || n.Kind == token.STRING && strings.Contains(n.Value, "%p") {
				add(n, "has "+n.Value)
			}
		case ast.Expr:
			if b, ok := under(n).(*types.Basic); ok && b.Info()&types.IsFloat != 0 {
				add(n, "computes with floats")
			}
		}
		return true
	})
	return out
}

func TestPurityCheckFindsWhatItLooksFor(t *testing.T) {
	const source = `package p
import "time"
func f(m map[int]int, c chan int) {
	for range m {
	}
	go f(nil, nil)
	select {}
	_ = float64(len(m)) * 1.5
	_ = time.Now
}`
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	check := types.Config{Importer: importer.ForCompiler(set, "source", nil)}
	if _, err := check.Check("p", set, []*ast.File{f}, info); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range impurities(f, info) {
		got = append(got, strconv.Itoa(set.Position(x.at).Line)+" "+x.what)
	}
	for _, want := range []string{
		"2 imports time", "3 uses a channel", "4 ranges over a map, whose order is random", "6 starts a goroutine",
		"7 uses a channel", "8 computes with floats", "8 has 1.5",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("impurities = %q, want %q among them", got, want)
		}
	}
}
