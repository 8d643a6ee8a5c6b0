package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"weir/protocols"
)

// operations are all that a client can ask, in the order of the document. It is filled once, at the start of the program, because
// the operation that shows the document reads it.
var operations []operation

func init() {
	operations = slices.Concat(streamOperations, entries("template", "templates", "/templates"), sessionOperations, clusterOperations,
		entries("source", "sources", "/cluster/sources"), nodeOperations, configOperations, settingsOperations, documentOperations)
}

var streamOperations = []operation{
	lists("listStreams", base+"/streams", "streams", "Every stream of the cluster: configured, running or published at any node.", streamFields,
		func(a *api, c *call) ([]Stream, error) { return a.node.Streams(c), nil }),
	shows("getStream", base+"/streams/{name}", see, "One stream, with what its owner says about it.", (*api).stream),
	puts("putStream", base+"/streams/{name}", "stream", "Changes a stream of the file, or adds one."),
	deletes("deleteStream", base+"/streams/{name}", "stream", "Removes a stream from the file."),
	existing(edits("stopStream", http.MethodPost, base+"/streams/{name}/stop", "stream",
		"Disables a stream in the file: it is neither captured nor played until \"disabled\" is removed.", func(_ *call, e *Edit) error {
			e.Patch = map[string]any{"disabled": true}
			return nil
		})),
	does("restartStream", http.MethodPost, base+"/streams/{name}/restart", change,
		"Begins the inputs of a stream anew at the node that captures it, and ends its publisher. Viewers stay.", func(a *api, c *call) (Done, error) {
			if a.control == nil {
				return Done{}, errUnchangeable
			}
			return Done{true}, a.control.Restart(c, c.name)
		}),
	existing(edits("moveStream", http.MethodPost, base+"/streams/{name}/move", "stream",
		"Pins a stream to a node in the file, so that it moves there without a gap; without to, the nodes share it again.", func(c *call, e *Edit) error {
			e.Patch = map[string]any{"cluster_ingest": map[string]any{"capture_at": nil}}
			if to := c.only("to"); to != "" {
				e.Patch = map[string]any{"cluster_ingest": map[string]any{"capture_at": to}}
			}
			return nil
		}).with(word("to", "the node, by its entry in the file or by its name"))),
}

var sessionOperations = []operation{
	lists("listSessions", base+"/sessions", "sessions", "The clients that this node serves.", sessionFields,
		func(a *api, _ *call) ([]Session, error) { return a.node.Sessions(), nil }),
	shows("getSession", base+"/sessions/{id}", see, "One client of this node.", func(a *api, c *call) (Session, error) {
		return named("session", c.name, a.node.Sessions(), func(s *Session) string { return s.ID })
	}),
	does("kickSession", http.MethodDelete, base+"/sessions/{id}", change, "Ends a session of this node. Its client may come again.",
		func(a *api, c *call) (Done, error) {
			if a.control == nil {
				return Done{}, errUnchangeable
			}
			return Done{true}, a.control.Kick(c, c.name)
		}),
}

var clusterOperations = []operation{
	lists("listPeers", base+"/cluster/peers", "peers", "The nodes of the group, this one included, as this node sees them.", peerFields,
		func(a *api, c *call) ([]Peer, error) { return a.node.Peers(c), nil }),
	shows("getPeer", base+"/cluster/peers/{hostname}", see, "One node of the group.", func(a *api, c *call) (Peer, error) {
		// The entry in the file is unique; a name announced twice is not.
		p, err := named("peer", c.name, a.node.Peers(c), func(p *Peer) string { return p.Hostname }, func(p *Peer) string { return string(p.Name) })
		if err == nil {
			p.Config = a.entry("peer", p.Hostname)
		}
		return p, err
	}),
	puts("putPeer", base+"/cluster/peers/{hostname}", "peer", "Changes a peer of the file, or adds one."),
	deletes("deletePeer", base+"/cluster/peers/{hostname}", "peer", "Removes a peer from the file."),
	lists("listBalancers", base+"/cluster/balancers", "balancers", "The balancers of the file, and how this node divides clients among their servers.", balancerFields,
		func(a *api, _ *call) ([]Balancer, error) { return a.node.Balancers(), nil }),
	shows("getBalancer", base+"/cluster/balancers/{name}", see, "One balancer.", func(a *api, c *call) (Balancer, error) {
		b, err := named("balancer", c.name, a.node.Balancers(), func(b *Balancer) string { return b.Name })
		if err == nil {
			b.Config = a.entry("balancer", b.Name)
		}
		return b, err
	}),
	puts("putBalancer", base+"/cluster/balancers/{name}", "balancer", "Changes a balancer of the file, or adds one."),
	deletes("deleteBalancer", base+"/cluster/balancers/{name}", "balancer", "Removes a balancer from the file."),
	shows("listAlarms", base+"/cluster/alarms", see, "What an operator should mend.", func(a *api, _ *call) (Alarms, error) {
		if a.control == nil {
			return Alarms{[]Alarm{}}, nil
		}
		return Alarms{append([]Alarm{}, a.control.Alarms()...)}, nil
	}),
	shows("explainStream", base+"/cluster/explain", see, "Why a stream is where it is, as this node's control plane sees it.", func(a *api, c *call) (any, error) {
		if a.control == nil {
			return nil, errNoResource
		}
		return a.control.Explain(c, c.only("stream"))
	}).with(word("stream", "the name of the stream").required()),
	shows("planWithout", base+"/cluster/plan", see, "What would move if some nodes died.", func(a *api, c *call) (any, error) {
		if a.control == nil {
			return nil, errNoResource
		}
		if n := len(c.query["without"]); n > maxWithout {
			return nil, badAt("without", "found %d nodes, expected at most %d", n, maxWithout)
		}
		return a.control.Plan(c, c.query["without"])
	}).with(several(word("without", "the name of a node"))),
}

// maxWithout bounds the nodes that a plan can be without.
const maxWithout = 1000

func several(p parameter) parameter { p.many = true; return p }

// Limits of a request for minutes.
const (
	defaultMinutes = 60
	maxMinutes     = 24 * 60
)

var nodeOperations = []operation{
	lists("listEvents", base+"/events", "events", "What happened lately, as this node has seen it; the newest first.", eventFields,
		func(a *api, _ *call) ([]Event, error) {
			events, _ := a.node.Events(0)
			return events, nil
		}).sorted("-id"),
	{
		id: "followEvents", method: http.MethodGet, path: base + "/events/stream", needs: see, endless: true,
		summary: "Server-sent events: each event of the node as it happens. A client that sends Last-Event-ID first gets what it has missed.",
		answer:  content{media: "text/event-stream"}, serve: (*api).followEvents,
	},
	shows("listMinutes", base+"/pulse", see, "The last minutes of this node, the oldest first; none if pulsedb is not set.", func(a *api, c *call) (Minutes, error) {
		minutes, err := strconv.Atoi(c.only("minutes"))
		if err != nil {
			minutes = defaultMinutes
		}
		return Minutes{append([]Minute{}, a.node.Pulse(minutes)...)}, nil
	}).with(whole("minutes", "how many; 60 if it is not given", 1, maxMinutes)),
	shows("liveness", base+"/monitoring/liveness", free, "Whether the node can do its work; with 503 it should be restarted.", func(a *api, c *call) (Health, error) {
		return healthy(a.node.Live(c))
	}),
	shows("readiness", base+"/monitoring/readiness", free, "Whether the node takes clients.", func(a *api, _ *call) (Health, error) {
		return healthy(a.node.Ready())
	}),
	{
		id: "drain", method: http.MethodPost, path: base + "/drain", needs: change, endless: true,
		summary: "Hands the node's streams over, waits for its viewers, and ends it. A line of JSON for each state, until it is through.",
		params:  []parameter{duration("deadline", "for how long to wait for viewers", maxDrain)},
		answer:  content{media: "application/x-ndjson", of: reflect.TypeFor[Drain]()}, serve: (*api).drain,
	},
	shows("listActors", "/api/tree", see, "The living actors; with format=text as a drawing.", func(a *api, c *call) (any, error) {
		return a.tree(c.only("format")), nil
	}).with(oneOf("format", "json or text", "json", "text")).answers(content{of: reflect.TypeFor[Actors](), words: []string{"text/plain"}}),
	{
		id: "metrics", method: http.MethodGet, path: "/metrics", needs: see, summary: "Figures for Prometheus.",
		answer: content{media: "text/plain"}, endless: true,
		serve: func(a *api, w http.ResponseWriter, c *call) error {
			if a.metrics == nil {
				return errNoResource
			}
			a.metrics.ServeHTTP(w, c.Request)
			return nil
		},
	},
}

var configOperations = []operation{
	does("reloadConfig", http.MethodPost, base+"/config/reload", change, "Reads the file again and puts what has changed into effect.", func(a *api, c *call) (Reloaded, error) {
		if a.control == nil {
			return Reloaded{}, errUnchangeable
		}
		restart, err := a.control.Reload(c)
		if err != nil {
			return Reloaded{}, &problem{status: http.StatusConflict, text: err.Error()}
		}
		return Reloaded{append([]string{}, restart...)}, nil
	}),
	shows("getStats", base+"/config/stats", see, "What this node says about itself.", func(a *api, c *call) (PeerStats, error) {
		p, err := named("node", "this", a.node.Peers(c), func(p *Peer) string { return map[bool]string{true: "this"}[p.Self] })
		return p.Stats, err
	}),
}

var documentOperations = []operation{
	{
		id: "openapi", method: http.MethodGet, path: base + "/openapi.json", needs: see, summary: "This document.", answer: content{of: reflect.TypeFor[any]()},
		serve: func(a *api, w http.ResponseWriter, c *call) error {
			a.write(w, c.Request, http.StatusOK, a.document)
			return nil
		},
	},
}

// The answers that are no resources.
type (
	// Done says that something was done.
	Done struct {
		Done bool `json:"done"`
	}

	// Alarms are all alarms.
	Alarms struct {
		Alarms []Alarm `json:"alarms"`
	}

	// Minutes are minutes, the oldest first.
	Minutes struct {
		Pulse []Minute `json:"pulse"`
	}

	// Actors are the living actors of a node.
	Actors struct {
		Actors []Actor `json:"actors"`
	}

	// Health says that a node is well.
	Health struct {
		Status string `json:"status" jsonschema:"always ok"`
	}

	// Reloaded says that the file is in effect.
	Reloaded struct {
		NeedsRestart []string `json:"needs_restart" jsonschema:"directives whose change takes effect only when the node is restarted"`
	}
)

var errUnchangeable = &problem{status: http.StatusMethodNotAllowed, text: "nothing of this node can be changed"}

func healthy(err error) (Health, error) {
	if err != nil {
		return Health{}, &problem{status: http.StatusServiceUnavailable, text: err.Error()}
	}
	return Health{Status: "ok"}, nil
}

func (a *api) stream(c *call) (Stream, error) {
	s, err := a.node.Stream(c, c.name)
	if err != nil {
		return Stream{}, err
	}
	s.complete()
	s.Config = a.entry("stream", c.name)
	return s, nil
}

// entry is what the file says of something that the node has. A file that cannot be read at the moment says nothing: the node goes on
// with the former one, and an alarm tells why.
func (a *api) entry(kind, name string) map[string]any {
	if a.settings == nil {
		return nil
	}
	e, err := a.settings.Entry(kind, name)
	if err != nil {
		return nil
	}
	return e
}

// maxDrain bounds the limit that a drain can be given.
const maxDrain = 24 * time.Hour

// lines lets an answer go on for as long as the client stays, and returns what sends what was written so far.
func lines(w http.ResponseWriter, media string) (flush func(), err error) {
	out := http.NewResponseController(w)
	if err := out.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, err
	}
	w.Header().Set("Content-Type", media)
	return func() { _ = out.Flush() }, nil // an error means that the client has gone
}

// drain answers with a line of JSON for each state until the drain is through.
func (a *api) drain(w http.ResponseWriter, c *call) error {
	if a.control == nil {
		return errUnchangeable
	}
	limit, _ := time.ParseDuration(c.only("deadline")) // checked already; zero if it is not given
	flush, err := lines(w, c.op.answer.media)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	a.control.Drain(c, limit, func(d Drain) {
		_ = enc.Encode(d) // the drain goes on when the client has gone
		flush()
	})
	return nil
}

// writeEvent writes an event as a stream of server-sent events has it.
func writeEvent(w http.ResponseWriter, e Event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "id: %d\ndata: %s\n\n", e.ID, protocols.MaskURLs(string(text)))
	return err
}

// eventsAlive is how often a client of events gets a comment, so that proxies and both sides notice a broken connection.
const eventsAlive = 15 * time.Second

// followEvents answers with server-sent events until the client leaves.
func (a *api) followEvents(w http.ResponseWriter, c *call) error {
	events, _ := a.node.Events(0)
	after := uint64(0)
	if len(events) > 0 {
		after = events[len(events)-1].ID
	}
	if last, err := strconv.ParseUint(c.Header.Get("Last-Event-ID"), 10, 64); err == nil && last <= after {
		after = last
	}
	flush, err := lines(w, c.op.answer.media)
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	alive := time.NewTicker(eventsAlive)
	defer alive.Stop()
	for {
		events, more := a.node.Events(after)
		if len(events) > 0 {
			after = events[len(events)-1].ID
		}
		for _, e := range events {
			if err := writeEvent(w, e); err != nil {
				return nil // the client has gone
			}
		}
		flush()
		select {
		case <-c.Done():
			return nil
		case <-more:
		case <-alive.C:
			if _, err := w.Write([]byte(":\n\n")); err != nil {
				return nil
			}
		}
	}
}
