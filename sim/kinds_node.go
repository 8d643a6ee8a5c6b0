package sim

import (
	"fmt"
	"time"

	"weir/cluster/drain"
)

// Actions on processes and clocks.
type (
	// Crash ends processes at once. With To they boot again then.
	Crash struct{ Nodes []string }

	// PowerOff ends machines at once: their processes, and the kernels that would say so. With To they boot again then.
	PowerOff struct{ Nodes []string }

	// Restart boots processes, ending them first if they run. Remembered keeps the boot counter; otherwise the process
	// knows nothing of its earlier lives.
	Restart struct {
		Nodes      []string
		Remembered bool
		Moved      bool // under another address of its remote
	}

	// CrashLoop crashes and boots processes again and again, with Up between.
	CrashLoop struct {
		Nodes    []string
		Up, Down time.Duration
	}

	// Pause freezes processes (SIGSTOP): nothing runs, the clock goes on.
	Pause struct{ Nodes []string }

	// Suspend freezes the machines: nothing runs, and the monotonic clock stands still.
	Suspend struct{ Nodes []string }

	// Resume lets paused and suspended processes go on.
	Resume struct{ Nodes []string }

	// Throttle takes processor time: everything that a node does comes up to By late.
	Throttle struct {
		Nodes []string
		By    time.Duration
	}

	// Exhaust takes the descriptors: a node can neither ask nor be asked.
	Exhaust struct{ Nodes []string }

	// Drain makes nodes hand over their streams.
	Drain struct{ Nodes []string }

	// KillActor makes one actor of a node panic. With [Core] only control and peers/ENTRY mean anything.
	KillActor struct {
		Node string
		ID   string // below the root, such as control or streams/cam1
	}

	// FailActor makes one actor of a node panic while it deals with the next message of a type, which is lost. Needs [Actors].
	FailActor struct {
		ID      string
		Node    string
		Message string // such as release
	}

	// BlockActor keeps one actor of a node from dealing with messages, as when the processor is given to others. Needs [Actors].
	BlockActor struct {
		ID   string
		Node string
	}

	// WrongKey gives nodes a cluster key that the others do not have.
	WrongKey struct{ Nodes []string }

	// NewerProtocol makes nodes speak a version of the protocol that is one newer, with fields that nobody knows.
	NewerProtocol struct{ Nodes []string }

	// ClockRate makes the monotonic clocks of nodes run faster (or, below zero, slower) by parts per million.
	ClockRate struct {
		Nodes []string
		PPM   int
	}

	// ClockJump sets the wall clocks of nodes. It must change nothing.
	ClockJump struct {
		Nodes []string
		By    time.Duration
	}
)

var nodeKinds = []*Kind{
	kind(Kind{Word: "crash", Args: "NODES", Help: "the process ends at once (kill -9)"},
		draws(ProfileProcess, 4, 200*time.Millisecond, func(g *generator) Crash { return Crash{g.some()} }),
		func(w *world, f *fault, a Crash) {
			var boot func(m *machine)
			if f.lasts() {
				boot = (*machine).bootAgain
			}
			w.each(f, a.Nodes, (*machine).crashOrStayOff, boot)
			if len(w.pick(a.Nodes)) > 1 {
				w.result.Sometimes["two nodes crash at once"]++
			}
		}),
	kind(Kind{Word: "power-off", Args: "NODES", Help: "the machine ends at once, and is silent"},
		draws(ProfileProcess, 2, 200*time.Millisecond, func(g *generator) PowerOff { return PowerOff{g.one()} }).further(),
		func(w *world, f *fault, a PowerOff) {
			var boot func(m *machine)
			if f.lasts() {
				boot = (*machine).bootAgain
			}
			w.each(f, a.Nodes, func(m *machine) {
				m.dark = true
				m.crashOrStayOff()
			}, boot)
		}),
	kind(Kind{Word: "restart", Args: "NODES [remembered] [moved]", Help: "it boots again; with its boot counter; at another address", Instant: true},
		draws(ProfileProcess, 2, 0, func(g *generator) Restart {
			return Restart{Nodes: g.one(), Remembered: g.flip(), Moved: g.flip()}
		}),
		func(w *world, f *fault, a Restart) { w.each(f, a.Nodes, func(m *machine) { m.restart(a) }, nil) }),
	kind(Kind{Word: "crash-loop", Args: "NODES up TIME down TIME", Help: "it crashes and boots again and again"},
		draws(ProfileProcess, 1, 5*time.Second, func(g *generator) CrashLoop {
			return CrashLoop{g.one(), g.time(100*time.Millisecond, 2*g.stale), g.time(50*time.Millisecond, 2*time.Second)}
		}),
		func(w *world, f *fault, a CrashLoop) {
			w.each(f, a.Nodes, func(m *machine) { w.crashLoop(f, m, a) }, (*machine).bootAgain)
		}),
	kind(Kind{Word: "pause", Args: "NODES [TIME]", Help: "the process stands still (SIGSTOP)"},
		draws(ProfileProcess, 3, 50*time.Millisecond, func(g *generator) Pause { return Pause{g.one()} }),
		func(w *world, f *fault, a Pause) { w.freeze(f, a.Nodes, false) }),
	kind(Kind{Word: "suspend", Args: "NODES [TIME]", Help: "the machine stands still, its clock too"},
		draws(ProfileProcess, 1, 50*time.Millisecond, func(g *generator) Suspend { return Suspend{g.one()} }),
		func(w *world, f *fault, a Suspend) { w.freeze(f, a.Nodes, true) }),
	kind(Kind{Word: "resume", Args: "NODES", Help: "what was paused or suspended goes on", Instant: true},
		nil,
		func(w *world, f *fault, a Resume) { w.each(f, a.Nodes, (*machine).thawFully, nil) }),
	kind(Kind{Word: "throttle", Args: "NODES by TIME", Help: "everything that it does comes up to TIME late"},
		draws(ProfileProcess, 1, time.Second, func(g *generator) Throttle {
			return Throttle{g.one(), g.time(time.Millisecond, g.stale/4)}
		}),
		func(w *world, f *fault, a Throttle) {
			w.each(f, a.Nodes, func(m *machine) { m.lag += a.By }, func(m *machine) { m.lag -= a.By })
		}),
	kind(Kind{Word: "exhaust", Args: "NODES", Help: "no descriptors are left: it neither asks nor answers"},
		draws(ProfileProcess, 1, time.Second, func(g *generator) Exhaust { return Exhaust{g.one()} }),
		func(w *world, f *fault, a Exhaust) {
			w.each(f, a.Nodes, func(m *machine) { m.exhausted++ }, func(m *machine) { m.exhausted-- })
		}),
	kind(Kind{Word: "drain", Args: "NODES", Help: "it hands its streams over", Instant: true},
		draws(ProfileProcess, 1, 0, func(g *generator) Drain { return Drain{g.one()} }),
		func(w *world, f *fault, a Drain) { w.each(f, a.Nodes, (*machine).startDrain, nil) }),
	kind(Kind{Word: "kill", Args: "ACTOR on NODE", Help: "one actor panics, such as control or streams/cam01", Instant: true, name: "killactor"},
		draws(ProfileProcess, 1, 0, func(g *generator) KillActor { return KillActor{g.one()[0], g.actor()} }),
		func(w *world, f *fault, a KillActor) {
			w.each(f, []string{a.Node}, func(m *machine) { m.kill(a.ID, f.step.Line) }, nil)
		}),
	kind(Kind{Word: "fail", Args: "ACTOR on NODE with MESSAGE", Help: "one actor panics while it deals with the next message of that type", Instant: true},
		nil,
		func(w *world, f *fault, a FailActor) {
			w.each(f, []string{a.Node}, func(m *machine) {
				if p, ok := m.process.(*actorProcess); ok {
					p.fails["node/"+a.ID] = a.Message
				}
			}, nil)
		}),
	kind(Kind{Word: "block", Args: "ACTOR on NODE [TIME]", Help: "one actor deals with no message"},
		nil,
		func(w *world, f *fault, a BlockActor) {
			w.each(f, []string{a.Node}, func(m *machine) {
				if p, ok := m.process.(*actorProcess); ok {
					p.block("node/"+a.ID, true)
				}
			}, func(m *machine) {
				if p, ok := m.process.(*actorProcess); ok {
					p.block("node/"+a.ID, false)
				}
			})
		}),
	kind(Kind{Word: "wrong-key", Args: "NODES", Help: "its cluster key is not that of the others"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) WrongKey { return WrongKey{g.one()} }),
		func(w *world, f *fault, a WrongKey) {
			w.each(f, a.Nodes, func(m *machine) { m.wrongKey++; w.checks.keyChanged(m) },
				func(m *machine) { m.wrongKey--; w.checks.keyChanged(m) })
		}),
	kind(Kind{Word: "foreign", Args: "NODES", Help: "it speaks a newer version of the protocol"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) NewerProtocol { return NewerProtocol{g.one()} }),
		func(w *world, f *fault, a NewerProtocol) {
			w.each(f, a.Nodes, func(m *machine) { m.newer++ }, func(m *machine) { m.newer-- })
		}),
	kind(Kind{Subject: Clocks, Word: "clock", Args: "NODES rate ±Nppm", Help: "its clock runs fast or slow", name: "clockrate"},
		draws(ProfileProcess, 1, 10*time.Second, func(g *generator) ClockRate { return ClockRate{g.one(), g.rng.IntN(1001) - 500} }),
		func(w *world, f *fault, a ClockRate) {
			speed := func(ppm int) func(m *machine) {
				return func(m *machine) { m.clock.set(w.now, m.clock.ppm+int64(ppm), m.clock.still) }
			}
			w.each(f, a.Nodes, speed(a.PPM), speed(-a.PPM))
		}),
	kind(Kind{Subject: Clocks, Word: "clock", Args: "NODES jump ±TIME", Help: "its wall clock is set", name: "clockjump"},
		draws(ProfileProcess, 1, 0, func(g *generator) ClockJump {
			return ClockJump{g.one(), time.Duration(g.rng.Int64N(int64(48*time.Hour))) - 24*time.Hour}
		}),
		func(w *world, f *fault, a ClockJump) {
			w.result.Sometimes["wall clock jump"]++
			w.each(f, a.Nodes, func(m *machine) { m.clock.wall += a.By }, nil)
		}),
}

// crashOrStayOff ends the process; a machine that has never booted stays off.
func (m *machine) crashOrStayOff() {
	if m.boots == 0 {
		m.boots++
	}
	m.crash("crash")
}

// bootFirst is the boot with which the run begins, unless the machine has been kept off.
func (m *machine) bootFirst() {
	if m.boots == 0 {
		m.boot()
	}
}

// bootAgain boots a machine that is off.
func (m *machine) bootAgain() {
	if !m.up {
		m.boot()
	}
}

func (m *machine) restart(a Restart) {
	m.crash("restart")
	if a.Remembered {
		m.inc++
	} else {
		m.inc = 0
	}
	if a.Moved {
		m.moved++
	}
	m.boot()
}

func (w *world) crashLoop(f *fault, m *machine, a CrashLoop) {
	var toggle func()
	toggle = func() {
		if f.ended {
			return
		}
		d := a.Down
		if m.up {
			m.crash("loop")
		} else {
			m.boot()
			d = a.Up
		}
		w.queue.push(item{at: w.now + max(d, time.Millisecond), do: toggle})
	}
	toggle()
}

// freeze stops processes that run, until the fault ends or they do.
func (w *world) freeze(f *fault, names []string, still bool) {
	boots := map[*machine]int{}
	w.each(f, names, func(m *machine) {
		if m.up {
			boots[m] = m.boots
			m.freeze(still)
		}
	}, func(m *machine) {
		if boots[m] == m.boots && m.up {
			m.thaw()
		}
	})
}

// thawFully ends all that keeps a process from running.
func (m *machine) thawFully() {
	for m.frozen > 0 {
		m.thaw()
	}
}

func (m *machine) startDrain() {
	if !m.runs() || m.draining {
		return
	}
	m.draining = true
	m.w.result.Sometimes["drain during a partition"] += b2i(m.w.parted())
	m.later(drain.Limit, func() { m.crash("drained late") })
	m.process.drain()
}

// kill makes an actor panic. A line of a scenario that names an actor which does not run then proves nothing, so the
// verdict of the run is unknown.
func (m *machine) kill(id string, line int) {
	if !m.runs() {
		return
	}
	if p, ok := m.process.(*actorProcess); ok && p.boxes["node/"+id] == nil {
		m.line("no-such-actor").text("actor", id).end()
		if r := m.w.result; line > 0 && !r.Unknown {
			r.Unknown, r.Why = true, fmt.Sprintf("line %d kills %s on %s, where there is no such actor then", line, id, m.name)
		}
	}
	m.kills++
	m.process.kill(id)
}
