package follower

import (
	"maps"
	"time"

	"weir/cluster/control"
)

// A State is the state of a node outside the group, by its answers. It is immutable.
type State struct {
	Entry string
	Stale time.Duration // the silence after which the node counts as dead

	Name     string // the name that the node announces
	Instance string
	Met      bool          // the node has answered at least once
	Answered time.Duration // when the node answered last, by this node's monotonic clock
	Warm     bool
	Draining bool
	Busy     bool
	Load     control.Load
	LoadAt   time.Duration // when Load was measured, or a little before

	// Why and Detail say why the last fetch failed; empty after an answer.
	Why    control.FailReason
	Detail string

	Claims map[string]control.ClaimState // the streams that the node captures
	Listed map[string]control.Listed     // the streams of the node's file; nil if they are not known
}

// Alive says whether the node counts as alive at an instant.
func (s State) Alive(now time.Duration) bool { return s.Met && now-s.Answered < s.Stale }

// Runs says whether the node captures a stream and gets media of it.
func (s State) Runs(stream string) bool { return s.Claims[stream] == control.ClaimRunning }

// Lacks says whether the node's file is known and does not have the stream.
func (s State) Lacks(stream string) bool {
	_, listed := s.Listed[stream]
	return s.Listed != nil && !listed
}

// A replica is a copy of a node's state, which is updated by the node's answers.
type replica struct {
	state State
	have  control.Seen // the version of the streams in state, which the next fetch names
	inc   uint64       // of the newest answer
	seq   uint64       // of the newest answer
}

// forget drops the streams, so that the next answer contains all of them.
func (r *replica) forget() {
	r.state.Claims, r.state.Listed, r.have = nil, nil, control.Seen{}
}

// take updates the replica by an answer to a fetch that was sent at `asked`. It reports false for an answer that is older than the
// newest one.
func (r *replica) take(st *control.State, asked, now time.Duration) bool {
	if st.Instance == r.state.Instance && (st.Inc < r.inc || st.Inc == r.inc && st.Seq <= r.seq) {
		return false
	}
	if st.Instance != r.state.Instance {
		r.forget()
	}
	r.inc, r.seq = st.Inc, st.Seq
	s := &r.state
	s.Name, s.Instance, s.Met, s.Answered = st.Node, st.Instance, true, now
	s.Warm, s.Draining, s.Busy = st.Warm, st.Draining, st.Busy
	s.Load, s.LoadAt = st.Load, asked-time.Duration(st.Load.Age)*time.Millisecond
	s.Why, s.Detail = "", ""
	r.streams(st)
	return true
}

// streams updates the claims and the list. An answer contains only the parts that have changed.
func (r *replica) streams(st *control.State) {
	same := r.have.Instance == st.Instance && r.have.Inc == st.Inc
	switch {
	case st.Same && same && r.have.Version == st.Version:
		return
	case st.Same, st.Base != 0 && (!same || r.have.Version < st.Base):
		r.have = control.Seen{} // the answer does not fit: the next one must contain everything
		return
	}
	claims := map[string]control.ClaimState{}
	if st.Base != 0 {
		claims = maps.Clone(r.state.Claims)
	}
	for _, name := range st.Gone {
		delete(claims, name)
	}
	for _, c := range st.Claims {
		claims[c.Stream] = c.State
	}
	r.state.Claims = claims
	if st.ListHash != r.have.List || r.state.Listed == nil {
		listed := make(map[string]control.Listed, len(st.List))
		for _, l := range st.List {
			listed[l.Name] = l
		}
		r.state.Listed = listed
	}
	r.have = control.Seen{Instance: st.Instance, Inc: st.Inc, Version: st.Version, List: st.ListHash}
}
