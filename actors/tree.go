// Package actors assembles the supervision tree of a node. An actor that fails is restarted alone, after a back-off, and the
// failure goes no further:
//
//	node                     the root; if it fails, the process exits non-zero
//	├── control              owns the control plane's state machine; restarted, it is told of the captures here
//	├── peers                restarts each follower
//	│   └── <entry>          one follower per peer, and per source: asks for its state; starts afresh
//	├── servers              restarts each follower
//	│   └── <entry>          one follower per server of a balancer that is no peer: asks for its state; starts afresh
//	├── streams              restarts each stream
//	│   └── <name>           holder of one live stream: its hub; parents the rest; nothing in it can fail
//	│       ├── core         the stream's rules; restarted, it asks the holder for inputs and publisher
//	│       ├── inputs/<n>   one input; restarts alone, and the core starts the next beside it
//	│       └── packager     segments for HLS and DASH; starts afresh and keeps the segments
//	├── sessions             keeps each session's connection
//	│   └── <id>             one viewer or publisher; goes on with the same connection
//	└── listeners            restarts each listener
//	    └── <address>        one address; starts afresh
//
// The package knows the place of each actor, and nothing of its work.
package actors

import (
	"fmt"
	"net/url"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
)

// Names of the root's children, which are the first part of the ids of all others.
const (
	Control   = "control"
	Peers     = "peers"
	Servers   = "servers"
	Streams   = "streams"
	Sessions  = "sessions"
	Listeners = "listeners"
)

// RootName is the id of the root.
const RootName = "node"

// A Child is an actor by the name that it has under its parent. The name is escaped where it becomes part of an id.
type Child struct {
	Name  string
	Props *actor.Props
}

// Spawn starts the tree in sys. The children are started in the order given. fatal is called when the root itself
// fails.
func Spawn(sys *actor.ActorSystem, env act.Env, children []Child, fatal func(reason any)) (*actor.PID, error) {
	p := act.Props(env, "node", func() actor.Actor { return newGroup(env, children) }, actor.WithGuardian(&guardian{fatal}))
	pid, err := sys.Root.SpawnNamed(p, RootName)
	if err != nil {
		return nil, fmt.Errorf("starting the actor tree: %w", err)
	}
	return pid, nil
}

// guardian is the supervisor of the root.
type guardian struct{ fatal func(reason any) }

// HandleFailure implements [actor.SupervisorStrategy].
func (g *guardian) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID,
	_ *actor.RestartStatistics, reason, _ any,
) {
	sup.StopChildren(child)
	g.fatal(reason)
}

func escape(name string) string { return url.PathEscape(name) }

// Group describes an actor that does nothing but restart its children.
func Group(env act.Env, kind string, children []Child) *actor.Props {
	return act.Props(env, kind, func() actor.Actor { return newGroup(env, children) })
}

func newGroup(env act.Env, children []Child) *group {
	return &group{children: children, Backoff: act.Backoff{
		Env: env, Min: 250 * time.Millisecond, Max: 10 * time.Second, Quiet: time.Minute,
	}}
}

type group struct {
	act.Backoff
	children []Child
}

// Set replaces the children of a [Group]: those that are gone are stopped, new ones started, and those of a name that
// stays are not touched.
type Set struct{ Children []Child }

// Forward is handed on to the child of a [Group] that it names; without such a child it is dropped. It may be sent before
// the children have been started.
type Forward struct {
	Child string
	Msg   any
}

// Receive implements [actor.Actor].
func (g *group) Receive(ctx actor.Context) {
	if g.Handle(ctx) {
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		for _, c := range g.children {
			g.spawn(ctx, c)
		}
	case Set:
		if g.Closing() {
			return
		}
		g.set(ctx, m.Children)
	case Forward:
		id := ctx.Self().Id + "/" + escape(m.Child)
		for _, pid := range ctx.Children() {
			if pid.Id == id {
				ctx.Send(pid, m.Msg)
			}
		}
	}
}

func (g *group) spawn(ctx actor.Context, c Child) {
	if _, err := ctx.SpawnNamed(c.Props, escape(c.Name)); err != nil {
		panic(fmt.Errorf("starting %s: %w", c.Name, err))
	}
}

func (g *group) set(ctx actor.Context, children []Child) {
	keep, have := map[string]bool{}, map[string]bool{}
	for _, c := range children {
		keep[ctx.Self().Id+"/"+escape(c.Name)] = true
	}
	for _, pid := range ctx.Children() {
		have[pid.Id] = true
		if !keep[pid.Id] {
			g.Stop(ctx, pid)
		}
	}
	for _, c := range children {
		if !have[ctx.Self().Id+"/"+escape(c.Name)] {
			g.spawn(ctx, c)
		}
	}
	g.children = children
}
