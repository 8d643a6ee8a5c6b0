// Package history writes two files with a line of JSON for each record: the sessions that have ended, and the statistics of each
// minute. It also keeps the statistics of the last day in memory.
//
// It measures nothing itself, and does not know what the files are used for.
package history

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/load"
	"weir/cluster/logfile"
	"weir/protocols"
	"weir/protocols/api"
)

const (
	// kept is how many older files of each kind are kept.
	kept = 9

	// remembered is how many minutes are kept in memory: a day.
	remembered = 24 * 60
)

// Config says which files are written, and where the figures come from.
type Config struct {
	SessionLog string // the directory of sessions.jsonl; empty means that sessions are not written
	Pulse      string // the directory of pulse.jsonl; empty means that there are no statistics of minutes

	Wall    func() time.Time
	Wait    func(ctx context.Context, d time.Duration) error // returns after d, or when ctx ends
	Node    func() string                                    // the announced name of this node
	Country func(netip.Addr) string

	Load     *load.Meter
	Sessions *session.Registry
	Streams  *stream.Registry
	Log      *slog.Logger
}

// A History writes the history of a node. Any goroutine may use it.
type History struct {
	cfg      Config
	sessions *logfile.Writer // nil if sessions are not written
	pulse    *logfile.Writer // nil if there are no statistics of minutes

	mu      sync.Mutex
	minutes []api.Minute // the last day, oldest first
}

// Open opens the files, and reads the last minutes from the file.
func Open(c Config) (h *History, err error) {
	h = &History{cfg: c}
	if h.sessions, err = open(c.SessionLog, "sessions", c.Log); err != nil {
		return nil, err
	}
	if h.pulse, err = open(c.Pulse, "pulse", c.Log); err != nil || h.pulse == nil {
		return h, err
	}
	lines, err := h.pulse.Tail(remembered)
	for _, l := range lines {
		m := api.Minute{}
		if json.Unmarshal(l, &m) == nil && !m.Time.IsZero() { // a line that counts lost lines has no time
			h.add(m)
		}
	}
	return h, err
}

// open opens the file NAME.jsonl in a directory; nil if dir is empty. Only the owner and the group can read the file, because it
// contains addresses of people.
func open(dir, name string, log *slog.Logger) (*logfile.Writer, error) {
	if dir == "" {
		return nil, nil
	}
	return logfile.Open(logfile.Config{
		Path: filepath.Join(dir, name+".jsonl"), Mode: 0o640, Kept: kept, Size: logfile.Size, Log: log,
	})
}

// Tasks are the functions that make and write the records. The caller runs each in its own goroutine, and ends them in this order by
// their contexts.
func (h *History) Tasks() (tasks []func(context.Context) error) {
	if h.pulse != nil {
		tasks = append(tasks, h.count, h.pulse.Run)
	}
	if h.sessions != nil {
		tasks = append(tasks, h.sessions.Run)
	}
	return tasks
}

// An endedSession is a line of the session log.
type endedSession struct {
	Ended     time.Time          `json:"ended"`
	Seconds   float64            `json:"seconds"` // how long the session lasted
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

// Ended writes a line for a session that has ended. It does not block.
func (h *History) Ended(s session.Info, lasted time.Duration) {
	if h.sessions == nil {
		return
	}
	put(h.sessions, endedSession{
		Ended: h.cfg.Wall().UTC().Truncate(time.Millisecond), Seconds: lasted.Round(time.Millisecond).Seconds(),
		Node: h.cfg.Node(), Session: s.ID, Protocol: s.Protocol, Stream: s.Stream, Remote: s.Remote,
		Country: h.cfg.Country(s.Remote.Addr()), Publisher: s.Publisher,
		BytesIn: s.BytesIn, BytesOut: s.BytesOut, Dropped: s.Dropped,
	})
}

func put(w *logfile.Writer, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		w.Lose(1, err)
		return
	}
	w.Put(append(text, '\n'), logfile.Anywhere)
}

// count writes the statistics of each minute, until ctx ends.
func (h *History) count(ctx context.Context) error {
	before := h.cfg.Load.Sent()
	for h.cfg.Wait(ctx, time.Minute) == nil {
		now := h.cfg.Load.Sent()
		m := h.minute(now - min(before, now))
		before = now
		put(h.pulse, m)
		h.add(m)
	}
	return nil
}

// minute makes the statistics of the minute that ends now. Sent is the number of bytes that were sent in it.
func (h *History) minute(sent uint64) api.Minute {
	l, _ := h.cfg.Load.Load()
	m := api.Minute{
		Time: h.cfg.Wall().UTC().Truncate(time.Second), Node: h.cfg.Node(), Clients: l.Clients, Captures: l.Captures,
		OutputBits: int64(sent) * 8 / 60, CPUUsage: float64(l.CPU) / 10, MemoryUsage: float64(l.Memory) / 10,
		InterfaceLoad: float64(l.Interface) / 10,
	}
	clients := map[string]int{}
	for _, s := range h.cfg.Sessions.List() {
		if !s.Publisher && s.Protocol != protocols.Relay && s.Stream != "" {
			clients[s.Stream]++
		}
	}
	for _, name := range h.cfg.Streams.Names() {
		clients[name] += 0
	}
	for name, n := range clients {
		m.Streams = append(m.Streams, api.StreamMinute{Name: name, Clients: n, InputBits: h.cfg.Load.Rate(name)})
	}
	slices.SortFunc(m.Streams, func(a, b api.StreamMinute) int { return strings.Compare(a.Name, b.Name) })
	return m
}

// add keeps a minute in memory. The statistics of single streams are not kept; they are in the file only.
func (h *History) add(m api.Minute) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.Streams = nil
	h.minutes = append(h.minutes, m)
	if over := len(h.minutes) - remembered; over > 0 {
		h.minutes = slices.Delete(h.minutes, 0, over)
	}
}

// Minutes are the statistics of the last minutes, the oldest first. It gives at most `most` of them.
func (h *History) Minutes(most int) []api.Minute {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.minutes[max(0, len(h.minutes)-most):])
}
