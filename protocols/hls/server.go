package hls

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"weir/protocols/cmaf"
	"weir/protocols/hls/edge"
	"weir/protocols/hls/playlist"
)

const (
	// sweepPeriod is how often streams and viewers without requests are dropped.
	sweepPeriod = 30 * time.Second

	// maxStreams bounds the streams that a server remembers: below a balancer it may be told of any name.
	maxStreams = 20_000
)

// A Server answers the requests below the URLs of all streams. Its methods may be called by any number of goroutines.
type Server struct {
	config    Config
	deps      Deps
	edge      *edge.Client
	viewers   viewers
	positions positions
	hold      atomic.Int64 // [Config.Hold], in nanoseconds

	mu       sync.RWMutex
	streams  map[streamKey]*stream // guarded by mu
	sweeping *time.Timer           // guarded by mu; nil when there is nothing to sweep
	closed   bool                  // guarded by mu

	playlists, segments, bytes atomic.Uint64
}

// Stats counts what a server has done.
type Stats struct {
	Playlists, Segments uint64 // served
	Bytes               uint64 // of both
}

// New returns a server.
func New(c Config, d Deps) *Server {
	c = c.withDefaults()
	s := &Server{
		config: c, deps: d, streams: make(map[streamKey]*stream),
		edge: edge.New(c.silence, d.Transport, d.Log),
		viewers: viewers{
			sessions: d.Sessions, limit: c.Viewers, perAddress: c.PerAddress, limiter: d.Limiter,
			all: make(map[viewerKey]*viewer), byAddress: make(map[netip.Prefix]int), fetched: make(map[fetcher]*fetches),
		},
		positions: positions{limit: c.Viewers, all: make(map[positionKey]*position)},
	}
	s.SetHold(c.Hold)
	return s
}

// SetHold changes [Config.Hold] for the requests that come from now on.
func (s *Server) SetHold(d time.Duration) { s.hold.Store(int64(d)) }

// Close ends requests to other nodes, and drops all state. Viewers' requests are answered as before.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.sweeping != nil {
		s.sweeping.Stop()
		s.sweeping = nil
	}
	clear(s.streams)
	s.mu.Unlock()
	s.edge.Close()
	s.viewers.close()
	return nil
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	return Stats{Playlists: s.playlists.Load(), Segments: s.segments.Load(), Bytes: s.bytes.Load()}
}

// Serves says whether the last component of a URL is one of this package's.
func (*Server) Serves(name string) bool {
	_, ok := playlist.ParseFile(name)
	return ok
}

// Fetch takes a segment that the node at upstream has made, from the cache if it was fetched before. The bytes are shared
// and never changed.
func (s *Server) Fetch(ctx context.Context, upstream, stream string, form cmaf.Form, number int64) ([]byte, error) {
	source := edge.Source{Stream: stream, Path: escape(stream), Node: upstream}
	return s.edge.Segment(ctx, source, playlist.SegmentName(number, form))
}

// find returns the state of a stream, or nil.
func (s *Server) find(key streamKey) *stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.streams[key]
}

// remember returns the state of a stream that the router has found under name, and makes one if there is none.
func (s *Server) remember(key streamKey, name string, now time.Time) *stream {
	st := s.find(key)
	if st == nil {
		s.mu.Lock()
		if st = s.streams[key]; st == nil {
			st = newStream(key, name)
			if !s.closed && len(s.streams) < maxStreams {
				s.streams[st.key] = st
				if s.sweeping == nil {
					s.sweeping = time.AfterFunc(sweepPeriod, s.sweep)
				}
			}
		}
		s.mu.Unlock()
	}
	st.used.Store(now.Unix())
	return st
}

// sweep drops streams and viewers without requests, and the stores of streams that have moved away.
func (s *Server) sweep() {
	now := time.Now()
	s.viewers.sweep(now)
	s.positions.sweep(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, st := range s.streams {
		if now.Sub(time.Unix(st.used.Load(), 0)) > playlist.RepeatFor {
			delete(s.streams, key)
		} else {
			st.dropStore(now.Add(-playlist.RefuseLowerFor))
		}
	}
	switch {
	case s.closed:
	case len(s.streams) > 0:
		s.sweeping.Reset(sweepPeriod)
	default:
		s.sweeping = nil
	}
}
