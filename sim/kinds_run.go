package sim

import (
	"time"

	"weir/cluster/conf"
)

// Actions on what nodes carry and obey, and on the run.
type (
	// Load gives nodes that much to carry.
	Load struct {
		Nodes []string
		CPU   int // permille
	}

	// Edit puts another configuration into effect, as a reload does. With To the one before it comes back then.
	Edit struct {
		Nodes []string
		File  *conf.File
	}

	// Random draws faults of a profile from At to To.
	Random struct{ Profile Profile }

	// Quiet ends all faults, boots what is down and lets the group settle. Steps after it may disturb it again.
	Quiet struct{}
)

var runKinds = []*Kind{
	kind(Kind{Word: "load", Args: "NODES N%", Help: "so much of its processor is in use"},
		draws(ProfileProcess, 1, time.Second, func(g *generator) Load { return Load{g.one(), g.rng.IntN(1001)} }),
		func(w *world, f *fault, a Load) {
			w.each(f, a.Nodes, func(m *machine) { m.setLoad(a.CPU) }, func(m *machine) { m.setLoad(0) })
		}),
	kind(Kind{Word: "edit", Args: "NODES FILE.conf", Help: "another configuration, a section of the scenario, takes effect"},
		&drawn{profiles: ProfileEdit, weight: 1, steps: (*generator).rollingEdit},
		(*world).edit),
	kind(Kind{Subject: WholeRun, Word: "random", Args: "PROFILE", Help: "faults are drawn: " + profileList()},
		nil,
		func(*world, *fault, Random) {}), // its steps have been drawn when the run begins
	kind(Kind{Subject: WholeRun, Word: "quiet", Help: "all faults end, and what is down boots", Instant: true},
		nil,
		func(w *world, _ *fault, _ Quiet) { w.quiet() }),
}

func (m *machine) setLoad(cpu int) {
	m.load = cpu
	if m.runs() {
		m.process.measure(cpu)
	}
}

// edit puts a file into effect, for as long as the fault is on if it ends. Then the file before it is back, unless another
// came meanwhile.
func (w *world) edit(f *fault, a Edit) {
	if !f.lasts() {
		w.each(f, a.Nodes, func(m *machine) { m.edit(a.File) }, nil)
		return
	}
	f.files = map[*machine]edited{}
	w.each(f, a.Nodes, func(m *machine) {
		f.files[m] = edited{a.File, m.disk}
		m.edit(a.File)
	}, func(m *machine) {
		e := f.files[m]
		if m.disk == e.file {
			m.edit(e.before)
			return
		}
		for _, g := range w.active { // a later one comes back to this one
			if h, ok := g.files[m]; ok && h.before == e.file {
				g.files[m] = edited{h.file, e.before}
			}
		}
	})
}

// edit changes the file on the machine's disk; its process takes that in at once, or when it runs again.
func (m *machine) edit(f *conf.File) {
	m.disk = f
	if m.frozen > 0 && m.up {
		m.later(0, m.reload)
		return
	}
	m.reload()
}

// reload takes in the file on the disk.
func (m *machine) reload() {
	m.file = m.disk
	m.w.checks.edited(m)
	if m.up {
		m.process.edit(m.file)
	}
}

// quiet ends everything that disturbs.
func (w *world) quiet() {
	w.endFaults(func(*fault) bool { return true })
	for _, s := range w.streams {
		clear(s.unreachable)
		clear(s.slow)
		s.single = false
		if len(s.silent) > 0 {
			clear(s.silent)
			w.silenceChanged(s)
		}
	}
	w.checks.observeSources()
	for _, m := range w.machines {
		m.thawFully()
		if m.draining && m.up {
			m.crash("drained")
		}
		m.bootAgain()
	}
}
