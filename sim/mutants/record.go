package mutants

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// A Record keeps the results of runs in a folder, so that a run of all faults can be made in parts.
type Record struct {
	file string
	mu   sync.Mutex
	have map[string]recorded
}

// recorded is a [Result] in the file.
type recorded struct {
	Tried            []Stage
	Tests, Simulator *Catch `json:",omitempty"`
}

// OpenRecord reads what earlier runs have put into the folder.
func OpenRecord(dir string) (*Record, error) {
	r := &Record{file: filepath.Join(dir, "results.json"), have: map[string]recorded{}}
	raw, err := os.ReadFile(r.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, nil
	case err != nil:
		return nil, fmt.Errorf("reading the results of earlier runs: %w", err)
	}
	if err := json.Unmarshal(raw, &r.have); err != nil {
		return nil, fmt.Errorf("reading the results of earlier runs in %s: %w", r.file, err)
	}
	return r, nil
}

// Add keeps a result in the place of an earlier one of the same fault.
func (r *Record) Add(of Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	is, was := recorded{of.Tried, of.Tests, of.Simulator}, r.have[of.Name]
	kept := func(tests bool) (kept bool) { // what this run did not ask stays as it was
		asked := func(s Stage) bool { return (s == Unit || s == Importers) == tests }
		if slices.ContainsFunc(of.Tried, asked) {
			return false
		}
		for _, stage := range was.Tried {
			if asked(stage) {
				is.Tried = append(is.Tried, stage)
			}
		}
		return true
	}
	if kept(true) {
		is.Tests = was.Tests
	}
	if kept(false) {
		is.Simulator = was.Simulator
	}
	r.have[of.Name] = is
	raw, err := json.MarshalIndent(r.have, "", " ")
	if err == nil {
		err = os.WriteFile(r.file, append(raw, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("keeping the result of %s: %w", of.Name, err)
	}
	return nil
}

// First are the runs of the simulator that have noticed faults, by the fault.
func (r *Record) First() map[string]string {
	list := map[string]string{}
	for name, x := range r.have {
		if x.Simulator != nil && x.Simulator.Runs > 0 {
			_, list[name], _ = strings.Cut(x.Simulator.By, " in ")
		}
	}
	return list
}

// Results are all that are known of the faults of the table, in its order, and how many faults have none.
func (r *Record) Results() (list []Result, missing int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range All {
		x, ok := r.have[m.Name]
		if !ok {
			missing++
			continue
		}
		list = append(list, Result{Mutant: m, Tried: x.Tried, Tests: x.Tests, Simulator: x.Simulator})
	}
	return list, missing
}
