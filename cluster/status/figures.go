package status

import (
	"context"
	"maps"
	"sync"
	"time"

	"weir/actors/stream"
	"weir/cluster/control"
	"weir/cluster/owner"
	"weir/protocols/api"
)

// Figures are what a node knows of a stream that it captures, or that it has clients of.
type Figures struct {
	Captured  bool   `json:"captured,omitempty"` // the rest but Clients and BytesOut is zero otherwise
	Clients   int    `json:"clients,omitempty"`
	BytesOut  uint64 `json:"bytes_out,omitempty"`
	Uptime    int64  `json:"uptime,omitempty"` // seconds
	Bytes     uint64 `json:"bytes,omitempty"`
	BytesIn   uint64 `json:"bytes_in,omitempty"`
	InputKbit int64  `json:"input_kbit,omitempty"`
	Restarts  uint64 `json:"restarts,omitempty"`
	Dropped   uint64 `json:"dropped,omitempty"`
	Publisher string `json:"publisher,omitempty"`
}

// Figures are those of the streams that this node captures, or tries to, or has clients of.
func (s *Status) Figures() map[string]Figures {
	out := map[string]Figures{}
	for _, is := range s.cfg.Sessions.List() {
		if is.Stream == "" || is.Publisher {
			continue
		}
		f := out[is.Stream]
		if is.Watches() {
			f.Clients++
		}
		f.BytesOut += is.BytesOut
		out[is.Stream] = f
	}
	v := s.cfg.View()
	for _, name := range s.cfg.Streams.Names() {
		live, is, ok := s.cfg.Streams.Get(name)
		if !ok || is.Role != stream.Capturing && is.Publisher == "" {
			continue
		}
		f := out[name]
		f.Captured, f.Bytes, f.Dropped, f.Publisher = true, live.Hub.Volume(), live.Hub.Dropped(), is.Publisher
		f.InputKbit = s.cfg.Rate(name) / 1000
		for _, in := range is.All() {
			d := owner.DescribeInput(in)
			f.BytesIn += d.Bytes
			f.Restarts += uint64(d.Restarts)
		}
		if sv := v.Stream(name); sv != nil && runs(sv.State) {
			f.Uptime, _ = s.since(name)
		}
		out[name] = f
	}
	return out
}

// runs says whether media of a stream flows in a state.
func runs(s control.StreamState) bool { return s == control.StreamRunning || s == control.StreamMoving }

// since is for how many seconds a stream has been in its state.
func (s *Status) since(name string) (seconds int64, known bool) {
	at, ok := s.cfg.Since(name)
	if !ok {
		return 0, false
	}
	return int64((s.cfg.Now() - at) / time.Second), true
}

// The others are asked for their figures again once those that are known are older than fresh. A list waits for them at most for
// patience, and shows those that are known otherwise: a node that hangs must not keep anybody from seeing the rest.
const (
	fresh    = 2 * time.Second
	patience = 300 * time.Millisecond
	asking   = 2 * time.Second
)

// others keeps what the other nodes have last said.
type others struct {
	mu   sync.Mutex
	at   time.Duration                 // when they were asked last
	once bool                          // they were asked
	said map[string]map[string]Figures // by node
	done chan struct{}                 // closed when the answers are there; nil if nobody asks
}

// figures are those of the whole group: what the nodes count is added up, and the rest is the owner's.
func (s *Status) figures(ctx context.Context) map[string]Figures {
	out := s.Figures()
	for _, said := range s.others(ctx) {
		for name, f := range said {
			out[name] = out[name].with(f)
		}
	}
	return out
}

func (f Figures) with(g Figures) Figures {
	clients, bytes := f.Clients+g.Clients, f.BytesOut+g.BytesOut
	if g.Captured && !f.Captured {
		f = g
	}
	f.Clients, f.BytesOut = clients, bytes
	return f
}

// others are the figures of the other nodes, by node.
func (s *Status) others(ctx context.Context) map[string]map[string]Figures {
	if s.cfg.Others == nil {
		return nil
	}
	o := &s.known
	o.mu.Lock()
	if o.done == nil && (!o.once || s.cfg.Now()-o.at >= fresh) {
		o.once, o.at, o.done = true, s.cfg.Now(), make(chan struct{})
		done := o.done
		s.cfg.Go(func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, asking)
			defer cancel()
			said := s.cfg.Others(ctx)
			o.mu.Lock()
			defer o.mu.Unlock()
			o.said, o.done = said, nil
			close(done)
			return nil
		})
	}
	done := o.done
	o.mu.Unlock()
	if done != nil {
		wait, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		select {
		case <-done:
		case <-wait.Done():
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said
}

// fill shows the figures of a stream.
func (f Figures) fill(st *api.Stream) {
	st.Clients, st.Restarts = f.Clients, f.Restarts
	st.Stats.Bytes, st.Stats.BytesIn, st.Stats.BytesOut, st.Stats.InputKbit = f.Bytes, f.BytesIn, f.BytesOut, f.InputKbit
	st.Stats.Uptime, st.Stats.Dropped = f.Uptime, f.Dropped
	if f.Publisher != "" {
		st.Stats.Publisher = f.Publisher
	}
}

// inputKbit sums up what the streams of this node bring, in kbit/s.
func inputKbit(f map[string]Figures) (sum int64) {
	for g := range maps.Values(f) {
		sum += g.InputKbit
	}
	return sum
}
