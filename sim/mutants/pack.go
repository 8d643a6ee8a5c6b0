package mutants

import (
	"cmp"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weir/sim"
	"weir/sim/scenario"
)

// texts are small groups in which one thing goes wrong.
//
//go:embed scenarios
var texts embed.FS

// small are the scenarios of the package, by name.
func small() []*sim.Scenario {
	files, err := texts.ReadDir("scenarios")
	if err != nil {
		panic(fmt.Sprintf("mutants: the scenarios that are part of the program cannot be listed: %v", err))
	}
	var list []*sim.Scenario
	for _, f := range files {
		text, err := texts.ReadFile("scenarios/" + f.Name())
		if err != nil {
			panic(fmt.Sprintf("mutants: a scenario that is part of the program cannot be read: %v", err))
		}
		d, problems := scenario.Parse(f.Name(), text)
		if d == nil {
			panic(fmt.Sprintf("mutants: a scenario is wrong: %v", problems)) // a bug of the file
		}
		list = append(list, d.Scenario)
	}
	return list
}

// Pack runs the standard pack: a swarm of so many seeds, and the small scenarios. Together they have to reach every one of
// [sim.SometimesStates] and exercise every invariant that applies.
func Pack(o sim.SweepOptions) *sim.SweepResult {
	list := small()
	swarm := o.Seeds
	o.Seeds += uint64(len(list))
	return sim.Sweep(o, func(seed uint64) *sim.Scenario {
		if i := seed - o.From; i >= swarm {
			return list[i-swarm]
		}
		return Drawn(seed)
	})
}

// Drawn is a run of the swarm that has to judge every invariant: of every sixth group all actors run, since some rules are about these.
func Drawn(seed uint64) *sim.Scenario {
	o := sim.SwarmOptions{Fidelity: sim.Core}
	if seed%6 == 0 {
		o.Fidelity = sim.Actors
	}
	return sim.Draw(seed, o)
}

// A Suite is what the simulator has to show: scenarios, and groups and faults drawn at random.
type Suite struct {
	Scenarios []*sim.Scenario
	Small     uint64 // seeds of the swarm that draw small groups, with the control plane alone
	Seeds     uint64 // seeds of the swarm, each with the control plane alone and with actors
}

// smallSeeds is with how many seeds each small scenario is run.
const smallSeeds = 3

// NewSuite makes a suite of the small scenarios, and of those in the folder library, each with the control plane alone and with
// actors; with actors alone if it asks for them. No library is one too.
func NewSuite(library string, seeds uint64) (*Suite, error) {
	s := &Suite{Seeds: seeds}
	add := func(of *sim.Scenario, f sim.Fidelity) {
		run := *of
		run.Fidelity = f
		s.Scenarios = append(s.Scenarios, &run)
	}
	for _, of := range small() {
		for seed := range uint64(smallSeeds) {
			run := *of
			run.Seed = seed + 1
			s.Scenarios = append(s.Scenarios, &run)
		}
	}
	var both []*sim.Scenario
	if library != "" {
		var err error
		if both, err = Library(library); err != nil {
			return nil, err
		}
	}
	for _, of := range both {
		if of.Fidelity != sim.Actors { // else it is about what only actors do
			add(of, sim.Core)
		}
	}
	for _, of := range slices.Concat(small(), both) {
		add(of, sim.Actors)
	}
	slices.SortStableFunc(s.Scenarios, func(a, b *sim.Scenario) int { return cmp.Compare(effort(a), effort(b)) })
	return s, nil
}

// Library reads the scenarios of a folder. There have to be some.
func Library(dir string) (list []*sim.Scenario, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, fmt.Errorf("listing the scenarios in %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there are no scenarios in %s", dir)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading a scenario: %w", err)
		}
		d, problems := scenario.Parse(file, text)
		if d == nil {
			return nil, fmt.Errorf("%s: %v", file, problems)
		}
		d.Scenario.Name = strings.TrimSuffix(filepath.Base(file), ".txtar")
		list = append(list, d.Scenario)
	}
	return list, nil
}

// effort is about how long a scenario takes, against others: most scenarios take a few milliseconds, and a few take as long as all the rest.
func effort(s *sim.Scenario) int64 {
	nodes, streams, actors := int64(len(s.Nodes)), int64(len(s.Files[""].Streams)), int64(1)
	if s.Fidelity == sim.Actors {
		actors = 4
	}
	return actors * nodes * (nodes + streams) * int64(s.Until/time.Second)
}

// A Found is a run of a suite that violated something.
type Found struct {
	Swarm     bool   // drawn at random; else a scenario
	Run       int    // counted from 1, among the scenarios or among the groups that were drawn
	Name      string // of the scenario
	Violation sim.Violation
}

// Run runs the scenarios, the quick ones first, then the swarm, until something is violated, or with all to the end. Runs of these names are left out.
//
// The run that first names is the first one.
func (s *Suite) Run(workers int, all bool, first string, except []string) (found []Found) {
	for _, part := range []struct {
		swarm bool
		runs  uint64
		of    func(i uint64) *sim.Scenario
	}{
		{false, uint64(len(s.Scenarios)), func(i uint64) *sim.Scenario { return s.Scenarios[i] }},
		{true, s.Small + 2*s.Seeds, s.drawn},
	} {
		var list []*sim.Scenario
		for i := range part.runs {
			of := part.of(i)
			if of.Name += fmt.Sprintf(", seed %d", of.Seed); of.Fidelity == sim.Actors {
				of.Name += ", actors"
			}
			if !slices.Contains(except, of.Name) {
				list = append(list, of)
			}
			if n := len(list); n > 0 && list[n-1] == of && of.Name == first {
				list = slices.Insert(list[:n-1], 0, of)
			}
		}
		runs := 0
		r := sim.Sweep(sim.SweepOptions{Seeds: uint64(len(list)), Workers: workers, Progress: func(r *sim.SweepResult) bool {
			runs = r.Runs
			return all || r.Failed == 0
		}}, func(i uint64) *sim.Scenario { return list[i] })
		for _, f := range r.Failures {
			found = append(found, Found{part.swarm, runs, f.Scenario.Name, f.Violation})
		}
		if len(found) > 0 && !all {
			return found
		}
	}
	return found
}

// drawn is a scenario of the swarm: the small groups, of which twenty cost as much as a large one, then each seed with the control
// plane alone, then each with actors.
func (s *Suite) drawn(i uint64) *sim.Scenario {
	o, name := sim.SwarmOptions{Fidelity: sim.Core}, "swarm"
	if i < s.Small {
		o.Nodes, o.Streams, o.Disturbed = [2]int{2, 5}, [2]int{4, 6}, time.Minute
		name = "swarm of small groups"
	} else if i -= s.Small; i >= s.Seeds {
		i, o.Fidelity = i-s.Seeds, sim.Actors
	}
	of := sim.Draw(i+1, o)
	of.Name = name
	return of
}
