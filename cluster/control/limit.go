package control

import (
	"math"
	"strings"
)

// busy says whether a node with that load takes no new captures, and was whether it took none before. The load has to fall
// a tenth below the limit for the node to take some again, so that one capture more or less does not decide it each time.
func (l Limits) busy(cpu int, was bool) bool {
	if was {
		return l.CPU > 0 && cpu >= l.CPU*9/10
	}
	return l.CPU > 0 && cpu >= l.CPU
}

// least is the lower of two limits, of which zero is none.
func least(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// limits are this node's own: of its file, and of the peer entry that leads to it.
func (n *Node) limits() Limits {
	own := n.cfg.Limits
	for _, l := range n.links {
		if l.Self {
			own.Channels, own.CPU = least(own.Channels, l.cfg.Limits.Channels), least(own.CPU, l.cfg.Limits.CPU)
		}
	}
	return own
}

func (n *Node) measured(e Measured) {
	n.load = e.Load
	if busy := n.limits().busy(e.Load.CPU, n.busy); busy != n.busy {
		n.busy = busy
		n.dirty, n.peersDirty = true, true
	}
}

// captures counts the streams, publishers included, that this node has.
func (n *Node) captures() (count int) {
	for _, s := range n.streams {
		if s.active() {
			count++
		}
	}
	return count
}

// full says whether this node should start nothing while another can.
func (n *Node) full() bool {
	most := n.limits().Channels
	return n.busy || most > 0 && n.captures() >= most
}

func (n *Node) fullPeer(p *peer) bool {
	most := least(p.Channel, p.Limits.Channels)
	return p.Busy || most > 0 && p.captures() >= most
}

// captures counts the streams that a peer has, as far as this node knows.
func (p *peer) captures() (count int) {
	claims, _ := p.current()
	for i := range claims {
		if claims[i].has() {
			count++
		}
	}
	return count
}

// overfullNow says whether every live node is full and one has more than it should, or will get it.
func (n *Node) overfullNow() bool {
	beyond := n.plan.Over() > 0
	if !n.draining {
		most := n.limits().Channels
		if !n.full() {
			return false
		}
		beyond = beyond || n.busy || n.captures() > most
	}
	for _, p := range n.peers {
		if !p.staying() {
			continue
		}
		if !n.fullPeer(p) {
			return false
		}
		beyond = beyond || p.Busy || p.captures() > least(p.Channel, p.Limits.Channels)
	}
	return beyond
}

// has says whether the claimant captures the stream, or tries to.
func (c *claim) has() bool { return c.State != ClaimFailed }

// roomFor says whether another live node may have a stream and is not full.
func (n *Node) roomFor(s *stream) bool {
	for _, p := range n.peers {
		if p.staying() && n.plan.May(s.index, p.index) && !n.fullPeer(p) {
			return true
		}
	}
	return false
}

// rooms says how many streams of the plan each node may have; nil if none has limits.
func (n *Node) rooms() []int {
	own := n.limits()
	limited := own.Channels > 0 || n.busy
	for _, p := range n.peers {
		limited = limited || p.Busy || p.Channel > 0 || p.Limits.Channels > 0
	}
	if !limited {
		return nil
	}
	if cap(n.room) < len(n.nodes) {
		n.room = make([]int, len(n.nodes))
	}
	n.room = n.room[:len(n.nodes)]
	for i := range n.room {
		n.room[i] = math.MaxInt
	}
	// Captures that are not placed, or of which another node counts as the owner; not attempts to start again what no node has, which
	// is still to be placed.
	others := 0
	for _, s := range n.streams {
		if s.active() && (s.index < 0 || n.claimed[s.index] != n.me && (s.State == Running || s.Fails == 0 || n.claimed[s.index] >= 0)) {
			others++
		}
	}
	n.room[n.me] = room(own.Channels, others, n.busy)
	for _, p := range n.peers {
		others = 0
		claims, _ := p.current()
		for i := range claims {
			c := &claims[i]
			if c.has() && (c.Solo || c.s.index < 0 || n.claimed[c.s.index] != p.index && (!c.Retry || n.claimed[c.s.index] >= 0)) {
				others++
			}
		}
		n.room[p.index] = room(least(p.Channel, p.Limits.Channels), others, p.Busy)
	}
	return n.room
}

func room(most, others int, busy bool) int {
	switch {
	case busy:
		return 0
	case most == 0:
		return math.MaxInt
	}
	return max(0, most-others)
}

// overflow raises or ends the alarm that every node is full.
func (n *Node) overflow(over bool) {
	if over == n.overful {
		return
	}
	n.overful, n.overfulSince, n.peersDirty = over, n.now, true
	kind := NoteRoom
	if n.overful {
		kind = NoteOverfull
	}
	n.do(Note{Kind: kind})
}

// atLimits says of each live node at which limit it is.
func (n *Node) atLimits() (out []string) {
	say := func(name string, busy bool) {
		if busy {
			out = append(out, name+" at its cpu_limit")
		} else {
			out = append(out, name+" at its channel_limit")
		}
	}
	if !n.draining {
		say(n.self, n.busy)
	}
	for _, p := range n.peers {
		if p.staying() {
			say(p.Name, p.Busy)
		}
	}
	return out
}

// alarms are what an operator should mend, as far as this node knows.
func (n *Node) alarms() []Alarm {
	var out []Alarm
	if n.overful {
		out = append(out, Alarm{
			Kind: AlarmOverfull, Since: n.overfulSince,
			Text: "every live node is at its limit, and the least loaded ones have taken more: " + strings.Join(n.atLimits(), ", "),
		})
	}
	out = append(out, n.listingAlarms()...)
	out = append(out, n.namesakeAlarms()...)
	for _, p := range n.peers {
		if p.Alive && p.Met && n.drifts(p) {
			out = append(out, Alarm{
				Kind: AlarmDrift, Node: p.Name, Since: p.DriftedAt,
				Text: "the file of " + p.Name + " differs in what all nodes have to share; the API has the lines at /streamer/api/v3/cluster/drift",
			})
		}
	}
	return out
}
