package node

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"weir/actors/act"
	"weir/cluster/control"
	"weir/cluster/events"
	"weir/cluster/follower"
	"weir/cluster/load"
	"weir/cluster/status"
	"weir/protocols/api"
)

// A reporter logs and counts the events of actors and the notes of the control plane.
type reporter struct {
	log     *slog.Logger
	metrics *api.Metrics
	status  *status.Status // nil in a simulated node
	events  *events.Log    // nil in a simulated node
	outages load.Outages   // used by the control actor only

	overlaps load.Overlaps // likewise
	retries  retries       // likewise

	mu       sync.Mutex
	answered map[string]time.Duration // when each peer has answered last
}

// newReporter makes a reporter. Node gives the name of this node.
func newReporter(cfg Config, node func() string) *reporter {
	r := &reporter{log: cfg.Log, answered: map[string]time.Duration{}}
	if cfg.Network == nil {
		r.events = events.New(node, cfg.Machine.Wall)
	}
	r.metrics = api.NewMetrics(cfg.Build, func() api.Totals { return r.status.Totals() })
	return r
}

// event logs an event of an actor. Those of which an operator should hear are kept for the API.
func (r *reporter) event(e act.Event) {
	if e.Level >= slog.LevelWarn {
		r.events.Add(eventOf(e))
	}
	r.log.LogAttrs(context.Background(), e.Level, e.Text, e.Attrs...)
}

// eventOf shows an event of an actor.
func eventOf(e act.Event) api.Event {
	out := api.Event{Kind: strings.ReplaceAll(e.Kind, "_", " "), Level: "warning", Text: e.Text}
	for _, a := range e.Attrs {
		switch a.Key {
		case "stream":
			out.Stream = a.Value.String()
		case "peer":
			out.Peer = a.Value.String()
		case "err", "reason":
			out.Reason = a.Value.String()
		}
	}
	return out
}

// note logs a note of the control plane.
func (r *reporter) note(o control.Note) {
	r.outages.Noted(o)
	r.events.Note(o)
	if o.Kind == control.NoteClaimed || o.Kind == control.NoteYielded {
		r.metrics.Moved(o.Detail)
	}
	var attrs []slog.Attr
	switch {
	case o.Node == "":
	case o.Kind == control.NoteNamed:
		attrs = append(attrs, slog.String("node", o.Node))
	default:
		attrs = append(attrs, slog.String("peer", o.Node))
	}
	if o.Stream != "" {
		attrs = append(attrs, slog.String("stream", o.Stream))
	}
	if o.Detail != "" {
		attrs = append(attrs, slog.String("reason", o.Detail))
	}
	if o.Age != 0 {
		attrs = append(attrs, slog.Duration("age", time.Duration(o.Age).Round(time.Millisecond)))
	}
	level := slog.Level(o.Kind.Level())
	if r.retries.repeats(o) {
		level = slog.LevelDebug
	}
	r.log.LogAttrs(context.Background(), level, o.Kind.Text(), attrs...)
}

// changed updates the outages of streams by a new view. Views that differ only in the load of nodes are not passed to it.
func (r *reporter) changed(v *control.View, now time.Duration) {
	r.outages.Changed(v, now, r.metrics.Gap)
	r.overlaps.Changed(v, now, r.metrics.Overlapped, r.metrics.Lived)
	r.retries.changed(v)
	r.events.Changed(v, now)
}

// fetched counts fetches of another node's state that have failed.
func (r *reporter) fetched(entry string, _ time.Duration, err error) {
	if err != nil {
		r.metrics.FetchFailed(entry, string(follower.Reason(err)))
	}
}

// asked counts a fetch of a peer's state, and how near the time since its answer before came to the time after which the peer is taken
// for dead. Any goroutine may call it.
func (r *reporter) asked(peer string, rtt time.Duration, err error, now, stale time.Duration) {
	r.fetched(peer, rtt, err)
	if err != nil {
		return
	}
	r.mu.Lock()
	before, ok := r.answered[peer]
	r.answered[peer] = now
	r.mu.Unlock()
	if ok && stale > 0 {
		r.metrics.Silent(peer, float64(now-before)/float64(stale))
	}
}
