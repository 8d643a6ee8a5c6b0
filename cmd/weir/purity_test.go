package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
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
		name:     "actors that the simulator runs",
		packages: []string{"actors", "cluster"},
		except: []string{
			"actors/act",                                                         // the door itself
			"actors/hub",                                                         // carries media beside the mailboxes; the simulator has no media
			"cluster/certificate", "cluster/geo", "cluster/srs", "cluster/trust", // files, servers of another kind and proofs, of which the simulator has none
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
	{"cluster/identity/ask.go", "time.After", "the same"},
	{"cluster/directory/directory.go", "go", "While is called on goroutines that carry media"},
	{"cluster/node/machine.go", "time.Now", "what the simulator replaces"},
	{"cluster/node/machine.go", "rand.Read", "what the simulator replaces"},
}

// A breach is one use of something forbidden.
type breach struct {
	file, what string
	line       int
}

func TestForbiddenThingsStayOutside(t *testing.T) {
	used := make([]bool, len(exceptions))
	program := wholeProgram(t)
	for _, r := range rules {
		for _, b := range r.breaches(program) {
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
	for i, e := range exceptions {
		if !used[i] {
			t.Errorf("the exception for %s in %s is not needed any more", e.what, e.file)
		}
	}
}

// breaches reads the files of the packages to which a rule applies.
func (r rule) breaches(program *program) (found []breach) {
	for _, p := range program.packages {
		within := func(folder string) bool { return below(strings.TrimPrefix(p.Path(), module+"/"), folder) }
		if !slices.ContainsFunc(r.packages, within) || slices.ContainsFunc(r.except, within) {
			continue
		}
		for _, f := range program.files[p] {
			r.inspect(f, program.info, func(at token.Pos, format string, args ...any) {
				file, line := program.at(at)
				found = append(found, breach{file, fmt.Sprintf(format, args...), line})
			})
		}
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
			if info.TypeOf(n.X) != nil {
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

// machineWords are words that belong to some developer's machine and not into the project. They are put together here so
// that this file does not contain them.
var machineWords = []string{"/wo" + "rk/", "/tm" + "p/", "/ro" + "ot/", "/ho" + "me/"}

func TestNoFileSpeaksOfTheMachineItWasMadeOn(t *testing.T) {
	walk(t, func(name string, src []byte) {
		for _, w := range machineWords {
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
