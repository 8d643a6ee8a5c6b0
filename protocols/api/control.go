package api

import (
	"context"
	"time"
)

// A Control is what the API can make a node do. Its methods may be called by any goroutine but an actor's.
type Control interface {
	// Drain makes the node hand its streams over, wait for its viewers for at most limit (zero: the default), and end.
	// It returns when that is through or ctx ends, which does not end the drain; report is called with each new state,
	// the last one included. A node that drains already goes on with the limit that it was given first.
	Drain(ctx context.Context, limit time.Duration, report func(Drain))

	// Reload reads the file again and puts it into effect. It returns the names of the directives that need a restart;
	// an error means that nothing was changed.
	Reload(ctx context.Context) (restart []string, err error)

	// Explain says why a stream is where it is, and Plan what would move without some nodes, both as the control plane
	// of this node sees it. What they return is shown as JSON. The error of Explain is [ErrNotFound] if there is no such
	// stream.
	Explain(ctx context.Context, stream string) (any, error)
	Plan(ctx context.Context, without []string) (any, error)

	// Restart begins the inputs of a stream anew at the node that captures it, and ends its publisher. The error is [ErrNotFound] if
	// no node captures it.
	Restart(ctx context.Context, stream string) error

	// Kick ends a session of this node. The error is [ErrNotFound] if there is none of that id.
	Kick(ctx context.Context, session string) error

	// Alarms returns what an operator should mend.
	Alarms() []Alarm
}

// An Alarm is something that an operator should mend.
type Alarm struct {
	Kind  string `json:"kind" jsonschema:"a word or two: configuration drift, all full, configuration file and others"`
	Node  string `json:"node,omitempty"`
	Since int64  `json:"since" jsonschema:"for how many seconds"`
	Text  string `json:"text"`
}

// Drain is how far a drain has come.
type Drain struct {
	State   string `json:"state" jsonschema:"handing over, waiting, done"`
	Streams int    `json:"streams" jsonschema:"captured here still"`
	Left    int    `json:"left" jsonschema:"that no live node can take"`
	Alone   bool   `json:"alone,omitempty" jsonschema:"there is no live node to hand anything to"`
	Expired bool   `json:"expired,omitempty" jsonschema:"the limit was reached"`
	Viewers int    `json:"viewers" jsonschema:"that this node serves itself"`
	Relays  int    `json:"relays" jsonschema:"other nodes that take streams from here"`
	Moved   int    `json:"moved" jsonschema:"viewers that were told in their protocol where to go"`
	Closed  int    `json:"closed" jsonschema:"viewers that are cut off"`
}

// DrainDone is the state of a drain that is through.
const DrainDone = "done"
