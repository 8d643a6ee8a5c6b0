package node

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/actors/act"
	"weir/actors/session"
	"weir/cluster/ledger"
	"weir/protocols"
	"weir/protocols/api"
)

// records are what a node writes down about its clients and itself, where its file says so.
type records struct {
	sessions *ledger.Ledger // nil: sessions are not written down
	pulse    *ledger.Ledger // nil: minutes are not

	mu      sync.Mutex
	minutes []api.Minute // the last ones, oldest first
}

// pulseKept is how many minutes are remembered for whoever asks: a day.
const pulseKept = 24 * 60

// openRecords opens the files of session_log and pulsedb, which may be in one directory.
func (n *Node) openRecords() (err error) {
	f := n.file()
	if f.SessionLog != "" {
		if n.records.sessions, err = ledger.Open(f.SessionLog, "sessions", n.log); err != nil {
			return err
		}
	}
	if f.Pulsedb == "" {
		return nil
	}
	if n.records.pulse, err = ledger.Open(f.Pulsedb, "pulse", n.log); err != nil {
		return err
	}
	lines, err := n.records.pulse.Tail(pulseKept)
	if err != nil {
		return err
	}
	for _, l := range lines {
		m := api.Minute{}
		if json.Unmarshal(l, &m) == nil && !m.Time.IsZero() { // not the count of lost lines
			m.Streams = nil
			n.records.minutes = append(n.records.minutes, m)
		}
	}
	return nil
}

// keepRecords starts what writes them.
func (n *Node) keepRecords(owner func(run func(context.Context) error) *act.Task) {
	for _, l := range []*ledger.Ledger{n.records.sessions, n.records.pulse} {
		if l != nil {
			n.tasks = append(n.tasks, owner(l.Run))
		}
	}
	if n.records.pulse != nil {
		n.tasks = append([]*act.Task{owner(n.countMinutes)}, n.tasks...) // it ends before what it writes to
	}
}

// An endedSession is a line of the session log.
type endedSession struct {
	Ended     time.Time          `json:"ended"`
	Seconds   float64            `json:"seconds"` // how long it was
	Node      string             `json:"node"`
	Session   string             `json:"session"`
	Protocol  protocols.Protocol `json:"proto"`
	Stream    string             `json:"stream,omitempty"`
	Remote    netip.AddrPort     `json:"remote"`
	Country   string             `json:"country,omitempty"`
	Publisher bool               `json:"publisher,omitempty"`
	BytesIn   uint64             `json:"bytes_in"`
	BytesOut  uint64             `json:"bytes_out"`
	Dropped   uint64             `json:"dropped,omitempty"` // access units skipped because the viewer was too slow
}

// ended writes a session down. It runs in the mailbox of the sessions' supervisor.
func (n *Node) ended(s session.Info, lasted time.Duration) {
	if n.records.sessions == nil {
		return
	}
	n.records.sessions.Put(endedSession{
		Ended: n.cfg.Outside.Wall().UTC().Truncate(time.Millisecond), Seconds: lasted.Round(time.Millisecond).Seconds(),
		Node: n.name(), Session: s.ID, Protocol: s.Protocol, Stream: s.Stream, Remote: s.Remote,
		Country: n.geo.of(s.Remote.Addr()), Publisher: s.Publisher,
		BytesIn: s.BytesIn, BytesOut: s.BytesOut, Dropped: s.Dropped,
	})
}

// countMinutes writes down what each minute was like, until ctx ends.
func (n *Node) countMinutes(ctx context.Context) error {
	before := n.sent()
	for n.cfg.Outside.Clock.Wait(ctx, time.Minute) == nil {
		now := n.sent()
		m := n.minute(now - min(before, now))
		before = now
		n.records.pulse.Put(m)
		n.records.add(m)
	}
	return nil
}

// minute describes the minute that ends now, in which so much was sent.
func (n *Node) minute(sent uint64) api.Minute {
	load, _ := n.measured()
	m := api.Minute{
		Time: n.cfg.Outside.Wall().UTC().Truncate(time.Second), Node: n.name(), Clients: load.Clients, Captures: load.Captures,
		OutputBits: int64(sent) * 8 / 60, CPUUsage: float64(load.CPU) / 10, MemoryUsage: float64(load.Memory) / 10,
		BandwidthUsage: float64(load.Interface) / 10,
	}
	watched := map[string]int{}
	for _, s := range n.sessions.List() {
		if !s.Publisher && s.Protocol != protocols.Relay && s.Stream != "" {
			watched[s.Stream]++
		}
	}
	for _, name := range n.streams.Names() {
		watched[name] += 0
	}
	for name, clients := range watched {
		m.Streams = append(m.Streams, api.StreamMinute{Name: name, Clients: clients, InputBits: n.rateOf(name)})
	}
	slices.SortFunc(m.Streams, func(a, b api.StreamMinute) int { return strings.Compare(a.Name, b.Name) })
	return m
}

func (r *records) add(m api.Minute) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.Streams = nil // those are in the file only
	r.minutes = append(r.minutes, m)
	if over := len(r.minutes) - pulseKept; over > 0 {
		r.minutes = slices.Delete(r.minutes, 0, over)
	}
}

// Pulse implements [api.Node].
func (s shown) Pulse(minutes int) []api.Minute {
	r := &s.n.records
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.minutes[max(0, len(r.minutes)-minutes):])
}
