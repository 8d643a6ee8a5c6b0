package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A rule is what a kind of package must not use, because the simulator has to own it.
type rule struct {
	name     string
	packages []string // folders, with what is below them
	except   []string // folders below those to which it does not apply
	why      string

	uses    map[string][]string // import path to names; "*" means every one but those in allowed
	allowed map[string][]string
	methods []string // names that are called on values, whatever these are
	no      []string // statements: go, chan, select, range over a map
}

var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep"}

var rules = []rule{
	{
		name: "actors that the simulator runs",
		packages: []string{
			"actors", "cluster/follower", "cluster/identity", "cluster/node", "cluster/controller", "cluster/load", "cluster/history",
			"cluster/journal", "cluster/logfile", "cluster/handover", "cluster/drain", "cluster/source",
		},
		except: []string{
			"actors/act", // the door itself
			"actors/hub", // carries media beside the mailboxes; the simulator has no media
		},
		why: "time, randomness, goroutines and props come from actors/act, so that the simulator can own them",
		uses: map[string][]string{
			"time":         clock,
			"math/rand":    {"*"},
			"math/rand/v2": {"*"},
			"crypto/rand":  {"*"},
			protoactor + "/actor": {
				"PropsFromProducer", "PropsFromProducerWithActorSystem", "PropsFromFunc", "NewExponentialBackoffStrategy",
			},
		},
		methods: []string{"ReenterAfter", "SetReceiveTimeout"},
		no:      []string{"go"},
	},
	{
		name:     "the pure packages of cluster",
		packages: []string{"cluster/control", "cluster/place", "cluster/balance", "cluster/conf"},
		why:      "they are functions of their arguments: the same inputs give the same bytes, on every run",
		uses: map[string][]string{
			"time":         clock,
			"math/rand":    {"*"},
			"math/rand/v2": {"*"},
		},
		allowed: map[string][]string{"math/rand/v2": {"New", "NewPCG", "NewChaCha8", "Rand", "PCG", "ChaCha8", "Source"}},
		no:      []string{"go", "chan", "select", "range over a map"},
	},
	{
		name:     "codecs",
		packages: []string{"codecs"},
		why:      "codecs are values and pure functions",
		no:       []string{"go", "chan", "select"},
	},
}

// exceptions are the places that break a rule with good reason. One that is no longer needed fails the test.
var exceptions = []struct {
	file string // from the root
	what string // as the test reports it
	why  string
}{
	{"cluster/identity/ask.go", "go", "Ask blocks and is for goroutines outside the actors; a future cannot be waited for together with a context"},
	{"cluster/identity/ask.go", "time.NewTimer", "the same"},
	{"cluster/node/outside.go", "time.Now", "what the simulator replaces"},
	{"cluster/node/outside.go", "rand.Read", "what the simulator replaces"},
}

// A breach is one use of something forbidden.
type breach struct {
	file, what string
	line       int
}

func TestForbiddenThingsStayOutside(t *testing.T) {
	used := make([]bool, len(exceptions))
	for _, r := range rules {
		for _, p := range r.folders(t) {
			for _, b := range r.breaches(t, p) {
				i := slices.IndexFunc(exceptions, func(e struct{ file, what, why string }) bool {
					return e.file == b.file && e.what == b.what
				})
				if i < 0 {
					t.Errorf("%s:%d: %s in %s: %s", b.file, b.line, b.what, r.name, r.why)
					continue
				}
				used[i] = true
			}
		}
	}
	for i, e := range exceptions {
		if !used[i] {
			t.Errorf("the exception for %s in %s is not needed any more", e.what, e.file)
		}
	}
}

// folders gives the packages to which a rule applies.
func (r rule) folders(t *testing.T) []listed {
	t.Helper()
	var args []string
	for _, p := range r.packages {
		if _, err := os.Stat(filepath.Join(root, p)); err == nil {
			args = append(args, "./"+p+"/...")
		}
	}
	if len(args) == 0 {
		return nil
	}
	return slices.DeleteFunc(goList(t, args...), func(p listed) bool {
		from := strings.TrimPrefix(p.ImportPath, module+"/")
		return slices.ContainsFunc(r.except, func(e string) bool { return below(from, e) })
	})
}

// breaches reads the files of a package, without its tests.
func (r rule) breaches(t *testing.T, p listed) []breach {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	var info *types.Info
	if slices.Contains(r.no, "range over a map") {
		info = typesOf(t, fset, p, files)
	}
	var found []breach
	for _, f := range files {
		add := func(at token.Pos, format string, args ...any) {
			pos := fset.Position(at)
			file := path.Join(strings.TrimPrefix(p.ImportPath, module+"/"), filepath.Base(pos.Filename))
			found = append(found, breach{file, fmt.Sprintf(format, args...), pos.Line})
		}
		r.inspect(f, info, add)
	}
	return found
}

func (r rule) inspect(f *ast.File, info *types.Info, add func(token.Pos, string, ...any)) {
	imports := map[string]string{} // name in this file to path
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(p)
		if name == "v2" {
			name = path.Base(path.Dir(p))
		}
		if i.Name != nil {
			name = i.Name.Name
		}
		if _, banned := r.uses[p]; banned && name == "." {
			add(i.Pos(), "dot import of %s", p)
		}
		imports[name] = p
	}
	ast.Inspect(f, func(n ast.Node) bool {
		statement := ""
		switch n := n.(type) {
		case *ast.GoStmt:
			statement = "go"
		case *ast.SelectStmt:
			statement = "select"
		case *ast.ChanType:
			statement = "chan"
		case *ast.RangeStmt:
			if info != nil && info.TypeOf(n.X) != nil {
				if _, isMap := info.TypeOf(n.X).Underlying().(*types.Map); isMap {
					statement = "range over a map"
				}
			}
		case *ast.SelectorExpr:
			r.selector(n, imports, add)
		}
		if statement != "" && slices.Contains(r.no, statement) {
			add(n.Pos(), "%s", statement)
		}
		return true
	})
}

func (r rule) selector(n *ast.SelectorExpr, imports map[string]string, add func(token.Pos, string, ...any)) {
	if slices.Contains(r.methods, n.Sel.Name) {
		add(n.Pos(), "%s", n.Sel.Name)
	}
	x, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	p := imports[x.Name]
	names := r.uses[p]
	switch {
	case slices.Contains(r.allowed[p], n.Sel.Name):
	case slices.Contains(names, "*"), slices.Contains(names, n.Sel.Name):
		add(n.Pos(), "%s.%s", path.Base(p), n.Sel.Name)
	}
}

// typesOf checks the types of a package against the compiler's export data of what it imports.
func typesOf(t *testing.T, fset *token.FileSet, p listed, files []*ast.File) *types.Info {
	t.Helper()
	exports := map[string]string{}
	for _, dep := range goList(t, "-export", "-deps", p.ImportPath) {
		exports[dep.ImportPath] = dep.Export
	}
	lookup := func(imported string) (io.ReadCloser, error) { return os.Open(exports[imported]) }
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup)}
	if _, err := config.Check(p.ImportPath, fset, files, info); err != nil {
		t.Fatalf("checking the types of %s: %v", p.ImportPath, err)
	}
	return info
}

func TestPlantedBreachesAreReported(t *testing.T) {
	for _, tt := range []struct {
		rule int
		body string
		want string
	}{
		{0, `func f() { go f() }`, "go"},
		{0, `func f() { time.Now() }`, "time.Now"},
		{0, `var d = time.Second`, ""},
		{0, `func f() { time.AfterFunc(0, nil) }`, "time.AfterFunc"},
		{0, `func f() { rand.IntN(3) }`, "v2.IntN"},
		{0, `var p = actor.PropsFromProducer(nil)`, "actor.PropsFromProducer"},
		{0, `func f(c actor.Context) { c.ReenterAfter(nil, nil) }`, "ReenterAfter"},
		{1, `func f() { rand.New(rand.NewPCG(1, 2)) }`, ""},
		{1, `func f() { rand.Perm(3) }`, "v2.Perm"},
		{1, `func f() { for range map[int]int{} { } }`, "range over a map"},
		{1, `func f() { for range []int{} { } }`, ""},
		{1, `var c chan int`, "chan"},
		{1, `func f() { select {} }`, "select"},
		{2, `func f() { go f() }`, "go"},
	} {
		src := "package p\nimport (\"time\"; \"math/rand/v2\"; \"" + protoactor + "/actor\")\n" + tt.body
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "p.go", src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
		config := types.Config{Error: func(error) {}, Importer: importer.Default()} // imports do not matter here
		_, _ = config.Check("p", fset, []*ast.File{f}, info)
		var got []string
		rules[tt.rule].inspect(f, info, func(_ token.Pos, format string, args ...any) {
			got = append(got, fmt.Sprintf(format, args...))
		})
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s: %q breaks %q, want %q", rules[tt.rule].name, tt.body, s, tt.want)
		}
	}
}

// foreign are words that belong to some developer's machine and not into the project. They are put together here so
// that this file does not contain them.
var foreign = []string{"/wo" + "rk/", "/tm" + "p/", "/ro" + "ot/", "/ho" + "me/"}

func TestNoFileSpeaksOfTheMachineItWasMadeOn(t *testing.T) {
	walk(t, func(name string, src []byte) {
		for _, w := range foreign {
			if i := strings.Index(string(src), w); i >= 0 {
				t.Errorf("%s:%d: mentions %s", name, 1+strings.Count(string(src[:i]), "\n"), w)
			}
		}
	})
}

func TestTestsDoNotSleepOutsideABubble(t *testing.T) {
	walk(t, func(name string, src []byte) {
		if !strings.HasSuffix(name, "_test.go") || name == "cmd/weir/purity_test.go" {
			return
		}
		if s := string(src); strings.Contains(s, "time.Sleep(") && !strings.Contains(s, `"testing/synctest"`) {
			t.Errorf("%s: sleeps in real time; wait for what is meant, or use testing/synctest", name)
		}
	})
}

// walk calls fn with every text file of the project, named from the root.
func walk(t *testing.T, fn func(name string, src []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			if name == ".git" || name == "bin" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || name == ".git" { // a file in a worktree
			return nil
		}
		src, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another test's, gone meanwhile
		} else if err != nil {
			return err
		}
		if slices.Contains(src[:min(len(src), 8000)], 0) {
			return nil // not text
		}
		fn(name, src)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
