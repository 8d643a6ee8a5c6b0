package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"weir/sim"
)

// A Program is weir with faults in it, of which none is on, and the test programs of the packages as they are needed. Remove it
// when it is no longer needed.
type Program struct {
	root, dir string
	packages  map[string]*testedPackage // by folder

	mu    sync.Mutex
	tests map[string]func() (testProgram, error) // of a folder: builds its test program once
	weir  func() (string, error)
}

// A testedPackage is a package with tests.
type testedPackage struct {
	folder  string // from the root
	imports []string
}

// Open finds weir's source, of which dir is a folder, and plants the faults into a copy of the files that they change.
func Open(ctx context.Context, dir string, list []Mutant) (_ *Program, err error) {
	find := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Dir}}")
	find.Dir = dir
	out, err := output(find)
	if err != nil {
		return nil, fmt.Errorf("looking for weir's source at %s: %w", dir, err)
	}
	module, root, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if module != "weir" {
		return nil, fmt.Errorf("found the module %q at %s, expected weir's source", module, dir)
	}
	p := &Program{root: root, tests: map[string]func() (testProgram, error){}}
	if p.dir, err = os.MkdirTemp("", "weir-mutants-"); err != nil {
		return nil, fmt.Errorf("making a folder for the programs: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Remove())
		}
	}()
	if err := p.overlay(list); err != nil {
		return nil, err
	}
	if p.packages, err = p.list(ctx); err != nil {
		return nil, err
	}
	p.weir = sync.OnceValues(func() (string, error) {
		at := filepath.Join(p.dir, "weir.exe")
		return at, p.command(ctx, "go", "build", "-overlay", p.overlayFile(), "-o", at, "./cmd/weir")
	})
	return p, nil
}

func (p *Program) overlayFile() string { return filepath.Join(p.dir, "overlay.json") }

// overlay writes the files with the faults, and the file that tells Go of them.
func (p *Program) overlay(list []Mutant) error {
	files, err := Plant(list, func(file string) ([]byte, error) { return os.ReadFile(filepath.Join(p.root, filepath.FromSlash(file))) })
	if err != nil {
		return err
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for name, text := range files {
		at := filepath.Join(p.dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing the source with the faults: %w", err)
		}
		overlay.Replace[filepath.Join(p.root, filepath.FromSlash(name))] = at
	}
	raw, err := json.Marshal(overlay)
	if err != nil {
		return fmt.Errorf("writing the overlay: %w", err)
	}
	if err := os.WriteFile(p.overlayFile(), raw, 0o600); err != nil {
		return fmt.Errorf("writing the overlay: %w", err)
	}
	return nil
}

// list finds the packages that have tests, and what each imports with its tests.
func (p *Program) list(ctx context.Context) (map[string]*testedPackage, error) {
	c := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,TestGoFiles,XTestGoFiles", "./...")
	c.Dir = p.root
	out, err := output(c)
	if err != nil {
		return nil, fmt.Errorf("listing weir's packages: %w", err)
	}
	all := map[string]*testedPackage{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l struct {
			ImportPath                                                    string
			Imports, TestImports, XTestImports, TestGoFiles, XTestGoFiles []string
		}
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the list of weir's packages: %w", err)
		}
		if len(l.TestGoFiles)+len(l.XTestGoFiles) > 0 {
			folder := strings.TrimPrefix(l.ImportPath, "weir/")
			all[folder] = &testedPackage{folder, slices.Concat(l.Imports, l.TestImports, l.XTestImports)}
		}
	}
}

// Library reads the scenarios of the source.
func (p *Program) Library() ([]*sim.Scenario, error) { return Library(p.library()) }

// library is the folder of the source's scenarios.
func (p *Program) library() string { return filepath.Join(p.root, "testdata", "scenarios") }

// command runs a command at the root of the source.
func (p *Program) command(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = p.root
	_, err := output(c)
	return err
}

// testsOf gives the test program of a package, which is built once.
func (p *Program) testsOf(ctx context.Context, folder string) (testProgram, error) {
	p.mu.Lock()
	build := p.tests[folder]
	if build == nil {
		build = sync.OnceValues(func() (testProgram, error) { return p.buildTests(ctx, folder) })
		p.tests[folder] = build
	}
	p.mu.Unlock()
	return build()
}

// Remove deletes the programs.
func (p *Program) Remove() error { return os.RemoveAll(p.dir) }

// output runs a command, and puts what it complains about into the error.
func output(c *exec.Cmd) ([]byte, error) {
	var complaints bytes.Buffer
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, complaints.Bytes())
	}
	return out, nil
}
