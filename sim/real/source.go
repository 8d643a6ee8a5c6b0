package real

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/linear"
	"weir/codecs/mpegts"
	"weir/sim"
)

// What the sources show: pictures that carry their index, 25 in a second, with a random access point every 200 ms, so that a
// capture begins soon after it was asked for and repeats nothing.
var patternConfig = fake.Config{Width: 256, Height: 144, Rate: 25, Audio: fake.None, GOP: 5}

// joining is the longest wait for a random access point.
const joining = 200 * time.Millisecond

// A pattern is the picture of all sources and publishers, of which each segment is made once.
type pattern struct {
	linear.Timeline
	mu   sync.Mutex
	made map[int64][]*codecs.AccessUnit
}

func newPattern() (*pattern, error) {
	p, err := fake.New(patternConfig)
	if err != nil {
		return nil, fmt.Errorf("making the test picture: %w", err)
	}
	return &pattern{Timeline: p, made: map[int64][]*codecs.AccessUnit{}}, nil
}

// Segment implements [linear.Timeline].
func (p *pattern) Segment(msn int64) ([]*codecs.AccessUnit, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if units, ok := p.made[msn]; ok {
		return units, nil
	}
	units, err := p.Timeline.Segment(msn)
	if err != nil {
		return nil, err
	}
	delete(p.made, msn-3)
	p.made[msn] = units
	return units, nil
}

// ticks is an instant on the timeline of the pattern.
func ticks(at time.Time) int64 {
	return at.Unix()*codecs.ClockRate + int64(at.Nanosecond())*9/100000
}

// live writes what is on air from the next random access point on, each access unit when it is due, until the context ends
// or write fails.
func (p *pattern) live(ctx context.Context, write func(*codecs.AccessUnit) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	begin := time.Now()
	anchor := ticks(begin)
	begun := false
	for msn := p.SegmentAt(anchor); ; msn++ {
		units, err := p.Segment(msn)
		if err != nil {
			return err
		}
		for _, au := range units {
			if !begun && (au.DTS < anchor || !au.RandomAccess) {
				continue
			}
			begun = true
			due := begin.Add(time.Duration((au.DTS - anchor) * 100000 / 9))
			if d := time.Until(due); d > 0 {
				timer.Reset(d)
				select {
				case <-timer.C:
				case <-ctx.Done():
					return ctx.Err()
				}
			} else if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := write(au); err != nil {
				return err
			}
		}
	}
}

// A hold is a connection of a node to a source, or a publisher of a node: a capture as the source sees it.
type hold struct {
	Stream, Node string
	publisher    *publisher // nil of a connection to a source
	From, Up, To time.Time  // Up and To are zero until media has flown and the connection has ended
}

// A sourceState is how a source answers, as seen from one node or, under the empty name, from all.
type sourceState struct {
	down, silent bool
	slow         sim.Range
}

// sources are the cameras: an HTTP server with a transport stream for each name. It counts who captures.
type sources struct {
	pattern *pattern
	up      sim.Range // from connection to first media
	server  *http.Server
	addr    string
	who     func(from, to net.Addr) string // the node that has opened a connection; empty if none has

	mu      sync.Mutex
	rng     *rand.Rand
	states  map[string]map[string]*sourceState // by stream and node
	single  map[string]bool                    // streams of cameras that take one connection
	holds   []*hold
	changed chan struct{} // closed when a state has changed
}

func newSources(addr string, up sim.Range, seed uint64, p *pattern, who func(from, to net.Addr) string) (*sources, error) {
	s := &sources{
		pattern: p, up: up, addr: addr, who: who, rng: rand.New(rand.NewPCG(seed, 1)), states: map[string]map[string]*sourceState{},
		single: map[string]bool{}, changed: make(chan struct{}),
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for captures: %w", err)
	}
	s.server = &http.Server{Handler: s, ConnContext: func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, askerKey{}, s.who(c.RemoteAddr(), c.LocalAddr()))
	}}
	go func() { _ = s.server.Serve(l) }() // it ends when the server is closed
	return s, nil
}

type askerKey struct{}

// url is where the source of a stream is.
func (s *sources) url(stream string) string { return "tshttp://" + s.addr + "/" + stream }

func (s *sources) close() { _ = s.server.Close() }

// alter changes how the sources of streams answer to nodes; none stands for all.
func (s *sources) alter(streams, nodes []string, do func(*sourceState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if nodes == nil {
		nodes = []string{""}
	}
	for _, stream := range streams {
		for _, n := range nodes {
			if s.states[stream] == nil {
				s.states[stream] = map[string]*sourceState{}
			}
			if s.states[stream][n] == nil {
				s.states[stream][n] = &sourceState{}
			}
			do(s.states[stream][n])
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// state is how the source of a stream answers to a node now, and a channel that is closed when that may have changed.
func (s *sources) state(stream, node string) (st sourceState, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range []string{"", node} {
		if x := s.states[stream][n]; x != nil {
			st.down, st.silent = st.down || x.down, st.silent || x.silent
			if x.slow != (sim.Range{}) {
				st.slow = x.slow
			}
		}
	}
	return st, s.changed
}

// open notes that a node has connected; false if the camera takes no further connection.
func (s *sources) open(stream, node string) (*hold, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.single[stream] && slices.ContainsFunc(s.holds, func(h *hold) bool { return h.Stream == stream && h.To.IsZero() }) {
		return nil, false
	}
	h := &hold{Stream: stream, Node: node, From: time.Now()}
	s.holds = append(s.holds, h)
	return h, true
}

// note changes a hold.
func (s *sources) note(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// all are copies of all holds so far.
func (s *sources) all() (list []hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.holds {
		list = append(list, *h)
	}
	return list
}

var errGone = errors.New("the source has gone")

// ServeHTTP implements [http.Handler]: it is the camera.
func (s *sources) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream := strings.TrimPrefix(r.URL.Path, "/")
	node, _ := r.Context().Value(askerKey{}).(string)
	st, _ := s.state(stream, node)
	if st.down {
		panic(http.ErrAbortHandler) // breaks the connection without a word
	}
	h, ok := s.open(stream, node)
	if !ok {
		http.Error(w, "another client is connected", http.StatusForbidden)
		return
	}
	defer s.note(func() { h.To = time.Now() })
	s.mu.Lock()
	up := s.up
	if st.slow != (sim.Range{}) {
		up = st.slow
	}
	wait := up.Min + time.Duration(s.rng.Int64N(int64(max(0, up.Max-up.Min))+1))
	s.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "video/mp2t")
	if err := s.send(w, r, h); errors.Is(err, errGone) {
		panic(http.ErrAbortHandler)
	}
}

// send sends the stream until its viewer is gone, or the source is.
func (s *sources) send(w http.ResponseWriter, r *http.Request, h *hold) error {
	enc := mpegts.NewEncoder(0)
	out := http.NewResponseController(w)
	if _, err := w.Write(enc.Prologue(s.pattern.Tracks())); err != nil {
		return err
	}
	return s.pattern.live(r.Context(), func(au *codecs.AccessUnit) error {
		st, _ := s.state(h.Stream, h.Node)
		if st.down {
			return errGone
		}
		if st.silent {
			return nil
		}
		if _, err := w.Write(enc.Encode(au)); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if h.Up.IsZero() {
			s.note(func() { h.Up = time.Now() })
		}
		return nil
	})
}
