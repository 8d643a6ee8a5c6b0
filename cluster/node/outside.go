package node

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"weir/actors/act"
	"weir/cluster/load"
	"weir/protocols/pull"
)

// Outside is what a node takes from the machine that it runs on, besides its actors' environment. The zero value is
// that machine.
type Outside struct {
	// Wall reads the wall clock. It is asked when something begins, never to measure.
	Wall func() time.Time

	// Clock paces what is read from files and made by formula.
	Clock pull.Clock

	// Instance names this run of the process, so that a restart is known from an old answer.
	Instance func() string

	// Suspended is for how long the machine has been suspended since it was booted, as far as the system tells.
	Suspended func() time.Duration

	// Env, if not nil, is given the environment of the node's actors and returns the one that they get.
	Env func(act.Env) act.Env

	// World, if not nil, takes the place of the network.
	World *World

	// Burden measures what the machine carries. It is asked every two seconds, by one goroutine at a time.
	Burden func() load.Burden
}

func (o Outside) complete() Outside {
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Clock == nil {
		o.Clock = pull.SystemClock()
	}
	if o.Instance == nil {
		o.Instance = func() string {
			b := make([]byte, 8)
			_, _ = rand.Read(b) // never fails
			return hex.EncodeToString(b)
		}
	}
	if o.Suspended == nil {
		o.Suspended = load.Suspended
	}
	if o.Env == nil {
		o.Env = func(e act.Env) act.Env { return e }
	}
	if o.Burden == nil {
		m := load.NewMachine()
		o.Burden = func() load.Burden { return m.Measure(time.Now()) }
	}
	return o
}
