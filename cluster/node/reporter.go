package node

import (
	"context"
	"log/slog"
	"time"

	"weir/actors/act"
	"weir/cluster/control"
	"weir/cluster/follower"
	"weir/cluster/load"
	"weir/cluster/status"
	"weir/protocols/api"
)

// A reporter logs what happens to actors and what the control plane has to say, and counts it.
type reporter struct {
	log     *slog.Logger
	metrics *api.Metrics
	status  *status.Status // of a node with clients
	outages load.Outages   // belongs to the control actor
}

func newReporter(cfg Config) *reporter {
	r := &reporter{log: cfg.Log}
	r.metrics = api.NewMetrics(cfg.Build, func() api.Totals { return r.status.Totals() })
	return r
}

// event logs what happens to an actor.
func (r *reporter) event(e act.Event) {
	r.log.LogAttrs(context.Background(), e.Level, e.Text, e.Attrs...)
}

// note logs what the control plane has to say.
func (r *reporter) note(o control.Note) {
	r.outages.Noted(o)
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
	r.log.LogAttrs(context.Background(), slog.Level(o.Kind.Level()), o.Kind.Text(), attrs...)
}

// changed takes in a view in which more is new than what the nodes carry.
func (r *reporter) changed(v *control.View, now time.Duration) {
	r.outages.Changed(v, now, r.metrics.Gap)
}

// fetched counts what became of a question to another node.
func (r *reporter) fetched(entry string, _ time.Duration, err error) {
	if err != nil {
		r.metrics.FetchFailed(entry, string(follower.Reason(err)))
	}
}
