package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A Program is weir with all faults in it, of which none is on. Remove it when it is no longer needed.
type Program struct{ dir string }

// Build makes the program from weir's source, of which dir is a folder.
func Build(ctx context.Context, dir string) (_ *Program, err error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Dir}}")
	list.Dir = dir
	out, err := output(list)
	if err != nil {
		return nil, fmt.Errorf("looking for weir's source at %s: %w", dir, err)
	}
	module, root, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if module != "weir" {
		return nil, fmt.Errorf("found the module %q at %s, expected weir's source", module, dir)
	}
	p := &Program{}
	if p.dir, err = os.MkdirTemp("", "weir-mutants-"); err != nil {
		return nil, fmt.Errorf("making a folder for the program: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Remove())
		}
	}()
	files, err := planting(func(file string) ([]byte, error) { return os.ReadFile(filepath.Join(root, file)) })
	if err != nil {
		return nil, err
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for name, text := range files {
		at := filepath.Join(p.dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("writing the source with the faults: %w", err)
		}
		overlay.Replace[filepath.Join(root, name)] = at
	}
	raw, err := json.Marshal(overlay)
	if err != nil {
		return nil, fmt.Errorf("writing the overlay: %w", err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "overlay.json"), raw, 0o600); err != nil {
		return nil, fmt.Errorf("writing the overlay: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-overlay", filepath.Join(p.dir, "overlay.json"), "-o", p.path(), "./cmd/weir")
	build.Dir = root
	if _, err := output(build); err != nil {
		return nil, fmt.Errorf("building weir with the faults: %w", err)
	}
	return p, nil
}

func (p *Program) path() string { return filepath.Join(p.dir, "weir.exe") }

// Remove deletes the program.
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

// A Result says what became of a planted fault.
type Result struct {
	Mutant
	Killed   bool
	By       string // the invariant
	Scenario string // that noticed it first
	At       time.Duration
	Text     string // of the violation
	Runs     int
}

// seeds is with how many seeds a fault is looked for in each scenario.
const seeds = 8

// Prove plants a fault and says what noticed it.
func (p *Program) Prove(ctx context.Context, m Mutant) (Result, error) {
	r := Result{Mutant: m}
	for _, name := range m.scenarios {
		for seed := 1; seed <= seeds; seed++ {
			r.Runs++
			found, err := p.run(ctx, m.Name, text(name), seed)
			if err != nil {
				return r, fmt.Errorf("running %s, seed %d, with the fault %s: %w", name, seed, m.Name, err)
			}
			if len(found) > 0 {
				r.Killed, r.By, r.Text, r.Scenario = true, found[0].Invariant, found[0].Text, fmt.Sprintf("%s, seed %d", name, seed)
				r.At = time.Duration(found[0].At * float64(time.Second))
				return r, nil
			}
		}
	}
	return r, nil
}

// A violation is one as `weir sim run --json` prints it.
type violation struct {
	Invariant string  `json:"invariant"`
	At        float64 `json:"at_seconds"`
	Text      string  `json:"text"`
}

// run runs a scenario with a fault on, and gives the violations.
func (p *Program) run(ctx context.Context, mutant string, scenario []byte, seed int) ([]violation, error) {
	c := exec.CommandContext(ctx, p.path(), "sim", "run", "--json", "--seed", fmt.Sprint(seed), "-")
	c.Env = append(os.Environ(), variable+"="+mutant)
	c.Stdin = bytes.NewReader(scenario)
	out, err := output(c)
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || len(out) == 0) {
		return nil, err
	}
	var report struct {
		Violations []violation `json:"violations"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, fmt.Errorf("reading what it prints: %w", err)
	}
	return report.Violations, nil
}
