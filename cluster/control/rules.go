package control

import (
	"slices"
	"strings"

	"weir/cluster/place"
)

// evaluate takes all decisions that are due. Only whether a publisher may have a stream is decided elsewhere.
func (n *Node) evaluate() {
	n.catchUp()
	if n.replan {
		n.rebuild(true)
	}
	n.sortStreams()
	n.dirty, n.evalAt = false, never
	n.judgeListing()
	n.dirty = false
	n.gather()
	n.endNumberings()
	n.wants()
	n.spill()
	for _, s := range n.streams {
		n.decide(s)
	}
	n.rebalance()
	if n.draining {
		n.drainedYet()
	}
}

// gather lists, for each stream, the live peers that claim it. A claim that another publisher has superseded is left out.
func (n *Node) gather() {
	for _, s := range n.streams {
		s.claimants = s.claimants[:0]
		if len(s.Superseded) > 0 {
			n.forgetSuperseded(s)
		}
	}
	for _, p := range n.peers {
		if !p.Alive {
			continue
		}
		claims, direct := p.current()
		for i := range claims {
			c := &claims[i]
			c.s.numbersElsewhere(c)
			if len(c.s.Superseded) > 0 && c.Why == PublishedHere && n.superseded(c.s, p) {
				p.Awaited = true
				continue
			}
			c.s.claimants = append(c.s.claimants, claimant{p, c, direct})
		}
	}
}

// spill computes where each stream belongs while only the live nodes can have any.
func (n *Node) spill() {
	takes := func(node int, yes bool) {
		if n.live[node] != yes {
			n.live[node] = yes
			n.ranking++
		}
	}
	for _, p := range n.peers {
		takes(p.index, p.Alive && !p.Leaving)
	}
	takes(n.me, !n.draining && !n.unlisted && !n.aside) // a node that is left out takes nothing that a peer can take
	for i, s := range n.planned {
		n.claimed[i] = n.holder(s)
		if n.claimed[i] < 0 && s.idle() {
			n.claimed[i] = place.Nowhere
		}
	}
	rooms := n.rooms()
	n.placed = n.plan.Within(n.live, n.claimed, rooms, n.placed[:0])
	n.overflow(rooms != nil && n.overfullNow())
}

// first names, of the claimants but some, the one that comes first in the order; empty if there is none.
func (n *Node) first(s *stream, but []string) (name string) {
	for _, c := range s.claimants {
		if c.serves() && !c.c.Solo && !slices.Contains(but, c.p.Name) && (name == "" || n.before(s, c.p.Name, name)) {
			name = c.p.Name
		}
	}
	return name
}

// holder returns the index of the node that has a stream now, or -1: of several claimants the first in the order.
func (n *Node) holder(s *stream) int {
	at, name := -1, ""
	if s.active() && s.Fails == 0 || s.State == Running {
		at, name = n.me, n.self
	}
	for _, c := range s.claimants {
		if c.blocks() && !c.c.Solo && (at < 0 || n.before(s, c.p.Name, name)) {
			at, name = c.p.index, c.p.Name
		}
	}
	return at
}

// before is the static total order of a stream as this node sees it.
func (n *Node) before(s *stream, a, b string) bool { return place.Before(s.Name, s.Pin, s.Home, a, b) }

func (n *Node) outscores(stream, a, b string) bool { return place.Before(stream, "", "", a, b) }

// above says whether a claimant comes strictly before this node, by the static order, or by score alone.
func (n *Node) above(s *stream, c claimant, byScore bool) bool {
	if byScore {
		return n.outscores(s.Name, c.p.Name, n.self)
	}
	return n.before(s, c.p.Name, n.self)
}

// agrees says whether a claimant takes the same nodes for the first of the order as this one.
func (s *stream) agrees(c claimant) bool { return c.c.Pin == s.Pin && c.c.Home == s.Home }

// decide takes the decisions on one stream.
func (n *Node) decide(s *stream) {
	if s.AskedOf != "" && (!s.single() || n.draining || !n.warm) {
		n.unask(s)
	}
	switch c := s.cfg; {
	case c == nil || c.Disabled || s.active() && (c.Kind == Published) != (s.Why == PublishedHere):
		if s.active() {
			n.stop(s, "", Removed)
		} else if s.State == Failed {
			s.State, s.Since, s.Fails, s.Detail = Idle, n.now, 0, ""
			n.changed()
		}
	case n.unwanted(s) && !n.draining:
		n.stop(s, "", Unwanted)
	case c.Kind == Published:
		if n.settle(s); s.active() {
			n.yield(s, Outranked)
		}
	case !c.Clustered:
		if s.active() && s.Why != NotClustered { // since an edit
			s.Why, s.Of = NotClustered, ""
			n.changed()
		} else if !n.draining && (!c.OnDemand || s.wantedHere(n.now)) && n.startable(s) {
			n.start(s, NotClustered, "")
		}
	case s.active() && n.draining:
		n.handOn(s)
	case s.active():
		if s.Why == NotClustered { // until an edit
			s.Why, s.Of = n.reason(s), n.spillOf(s)
			n.changed()
		}
		if n.settle(s); s.active() {
			n.yield(s, Yielded)
		}
	case s.State != Stopping && n.warm && !n.draining && s.index >= 0:
		n.claim(s)
	}
}

// startable says whether a stream can be started now; if it is only waiting for its next attempt, that is noted.
func (n *Node) startable(s *stream) bool {
	if s.State != Idle && s.State != Failed {
		return false
	}
	if s.State == Failed && n.now < s.RetryAt {
		n.due(s.RetryAt)
		return false
	}
	return true
}

// yield is rule R3: this node yields only to a node that comes strictly before it, that claims the stream itself, and whose
// frames flow.
//
// Two nodes that do not agree about pin and home go by score alone (R8), so that they cannot both refuse. While an edit is
// on its way, one of them may go by score where the other no longer does, and each would take the other for the first. So
// they wait until they have differed for S, in which every node has asked every other.
//
// To a node that does not see this one it yields in any case (R12).
//
// Of two publishers one that sends stays, wherever the other one is that is silent (R9c). The node of the silent one waits for S
// before it yields to a node that comes after it. By then each node that it hears has asked it since, and does not yield to it.
func (n *Node) yield(s *stream, why StopReason) {
	to, unseen, differ := "", "", false
	for _, c := range s.claimants {
		if c.c.Solo || !c.direct || c.c.State != ClaimRunning || c.c.Silent && !s.Silent {
			continue
		}
		if s.Why == PublishedHere && c.p.Asked <= s.Granted { // its publisher may have gone before this node's came
			c.p.Awaited = true
			continue
		}
		if (n.unseen(c.p) || n.aside) && (unseen == "" || n.before(s, c.p.Name, unseen)) {
			unseen = c.p.Name
		}
		agree := s.agrees(c)
		if !agree {
			differ = true
			if s.Differs < 0 {
				s.Differs = n.now
			}
			if n.now-s.Differs < n.stale {
				n.due(s.Differs + n.stale)
				continue
			}
		}
		first := n.above(s, c, !agree)
		if !first && (!s.Silent || c.c.Silent) || to != "" && !n.before(s, c.p.Name, to) {
			continue
		}
		at := n.now
		switch {
		case why == Yielded:
			at = n.yieldAt(s, c.p)
		case !first:
			at = s.Since + n.stale
		}
		if n.now < at {
			n.due(at)
			continue
		}
		to = c.p.Name
	}
	if !differ {
		s.Differs = -1
	}
	switch {
	case unseen != "":
		n.stop(s, unseen, Unlisted)
	case to != "" && s.Silent:
		n.stop(s, to, Silenced)
	case to != "":
		n.stop(s, to, why)
	case n.leftOut && s.single() && n.takeable(s): // its source lets no peer in before that
		n.stop(s, "", Unlisted)
	}
}

// handOn is rule R6: a draining node lets go of a stream when another runs it, whichever comes first in the order. Where the
// source allows one connection it lets go at once, if a node can take the stream.
func (n *Node) handOn(s *stream) {
	if s.single() {
		if n.takeable(s) {
			n.stop(s, "", HandedOn)
		}
		return
	}
	for _, c := range s.claimants {
		if c.direct && c.c.State == ClaimRunning && !c.c.Solo {
			n.stop(s, c.p.Name, HandedOn)
			return
		}
	}
	if s.State == Starting {
		n.stop(s, "", HandedOn) // it has no viewer yet
	}
}

// claim decides whether to start a clustered stream that this node does not have: rules R1, R2 and R4.
func (n *Node) claim(s *stream) {
	blocked, served := false, false
	for _, c := range s.claimants {
		if !c.c.Solo {
			blocked = blocked || c.blocks() && !(s.Released && c.p.Name == s.AskedOf)
			served = served || c.serves()
		}
	}
	switch {
	case served || s.idle():
		s.Unserved = -1
	case s.Unserved < 0:
		s.Unserved = n.now
	}
	chosen := n.placed[s.index] == n.me || n.keepsAlone(s)
	switch {
	case n.aside || s.idle() || !n.startable(s) || !n.plan.May(s.index, n.me):
	case blocked:
		s.Added = 0
		n.takeBack(s)
	case s.Added > 0 && n.waitsForOthers(s):
	case chosen:
		n.start(s, n.reason(s), n.spillOf(s))
	case !served:
		n.fallBack(s)
	}
}

// waitsForOthers says whether a stream that an edit has added is not started yet: each node that has it in its file takes itself for the
// only one until it has heard the others, and an edit reaches all of them at nearly the same time. They are asked at once. A node that
// does not answer is waited for as long as it may take to be asked twice.
func (n *Node) waitsForOthers(s *stream) bool {
	if at := s.Added + 2*n.fetch; n.now < at {
		waits := false
		for _, p := range n.peers {
			if p.Alive && p.Direct && p.Asked < s.Added {
				p.Awaited, waits = true, true
			}
		}
		if waits {
			n.due(at)
			return true
		}
	}
	s.Added = 0
	return false
}

// askAll brings the questions to all peers forward.
func (n *Node) askAll() {
	for i, l := range n.links {
		if !l.Self {
			n.next[i] = n.now
		}
	}
	n.pollAt = n.now
}

// reason says why a stream that is placed here is.
func (n *Node) reason(s *stream) Reason {
	switch {
	case s.demandable():
		return OnDemand
	case n.self == s.Pin:
		return Pinned
	case n.self == s.Home:
		return Home
	}
	if p := n.peer(s.Home); p != nil && p.staying() {
		return FullElsewhere
	}
	return Spill
}

// spillOf names the home of a stream that this node has, if that is another node.
func (n *Node) spillOf(s *stream) string {
	switch n.reason(s) {
	case Spill, FullElsewhere:
		return s.Home
	}
	return ""
}

// takeBack is rule R2: the pin, or the home after its own return, starts a stream that a node runs which comes later in the
// order. That node sees the stream running here and stops. So its evidence has to be direct and its file has to list this
// node: otherwise both nodes would run the stream for as long as they have only relayed evidence of each other, or none.
func (n *Node) takeBack(s *stream) {
	if s.Pin != n.self && (s.Home != n.self || !s.MayReturn) {
		return
	}
	for _, c := range s.claimants {
		if c.blocks() && !c.c.Solo && (!c.direct || c.p.Unaware || n.above(s, c, !s.agrees(c))) {
			n.unask(s)
			return
		}
	}
	at := n.returnsAt(s)
	switch {
	case n.now < at:
		n.due(at)
	case n.full() || n.placed[s.index] != n.me: // streams that no node has need the room
	case s.single():
		n.ask(s)
	case n.returning < MaxReturning:
		n.returning++
		s.Returning = true
		n.start(s, n.reason(s), "")
	}
}

// fallBack is rule R4: a stream that no node serves is started by nodes that were not chosen too, one after the other, each
// G after the one before it in the order. That mends views that differ, and nodes that cannot reach the source.
func (n *Node) fallBack(s *stream) {
	rank := n.rank(s)
	at := max(s.Unserved, s.Tried) + rank*n.grace()
	switch {
	case n.now < at:
		n.due(at)
	case n.full() && n.roomFor(s):
	default:
		n.start(s, Fallback, s.Home)
	}
}

// rank is how many nodes come before this one in the fallback for a stream that is placed elsewhere.
func (n *Node) rank(s *stream) Instant {
	if r := (ranked{n.ranking, n.placed[s.index], s.ranked.rank}); r != s.ranked {
		r.rank = Instant(n.plan.Rank(s.index, n.me, r.placed, n.live))
		s.ranked = r
	}
	return s.ranked.rank
}

// drainedYet says once that nothing is left to hand over, or that no node could take the streams that are left.
func (n *Node) drainedYet() {
	if n.drained {
		return
	}
	left := 0
	for _, s := range n.streams {
		switch {
		case !s.movable():
		case s.State == Stopping, s.active() && n.takeable(s):
			return
		case s.active():
			left++
		}
	}
	n.drained = true
	n.do(Drained{Left: left, Alone: !slices.ContainsFunc(n.peers, (*peer).staying)})
}

// takeable says whether a live node that stays may have a stream.
func (n *Node) takeable(s *stream) bool {
	return slices.ContainsFunc(n.peers, func(p *peer) bool {
		return p.staying() && (s.index < 0 || n.plan.May(s.index, p.index))
	})
}

// rebuild computes the homes anew: after a change of the group, of a name or of a file. Liveness never leads here.
// With forget, streams that are over are dropped.
func (n *Node) rebuild(forget bool) {
	n.replan, n.demand = false, true
	n.listOwn()
	n.streamsDirty, n.peersDirty = true, true
	nodes := append(make([]string, 0, 1+len(n.peers)), n.self) // the plan and views keep the former list
	for _, p := range n.peers {
		nodes = append(nodes, p.Name)
	}
	slices.Sort(nodes)
	n.nodes = slices.Compact(nodes)
	for _, p := range n.peers {
		p.index, _ = slices.BinarySearch(n.nodes, p.Name)
	}
	n.me, _ = slices.BinarySearch(n.nodes, n.self)

	n.readLists()
	if forget {
		n.forget()
	}
	list := make([]place.Stream, 0, len(n.streams))
	n.planned = n.planned[:0]
	for _, s := range n.streams {
		s.index = -1
		if s.clustered {
			s.index = len(list)
			list = append(list, place.Stream{Name: s.Name, Pin: s.Pin, On: s.on})
			n.planned = append(n.planned, s)
		}
	}
	n.plan = place.NewPlan(list, n.nodes)
	n.live = make([]bool, len(n.nodes))
	n.ranking++
	n.claimed = slices.Grow(n.claimed[:0], len(list))[:len(list)]
	moved := false
	for _, s := range n.streams {
		home := ""
		if s.index >= 0 && n.plan.Home(s.index) >= 0 {
			home = n.nodes[n.plan.Home(s.index)]
		}
		if home == s.Home {
			continue
		}
		moved = true
		if home == n.self && n.settled && !s.active() {
			s.MayReturn = false // an edit made this node its home: the node that runs it keeps it
		}
		s.Home = home
	}
	if moved {
		n.changed() // claims carry the home
	}
	if n.settled {
		n.reportUnknownPins()
	}
}

// readLists finds out from all files which streams there are, which nodes may have them, and their pins. A node whose file is
// not known is taken to have this node's.
func (n *Node) readLists() {
	alike := true
	for _, p := range n.peers {
		key := p.ListKey
		if p.list == nil {
			key = p.ListHint
		}
		alike = alike && (key == "" || key == n.ownHash)
	}
	for _, s := range n.streams {
		s.listed, s.published, s.clustered, s.on, s.has = false, false, false, nil, nil
		s.onDemand = false
	}
	for at, name := range n.nodes {
		for _, item := range n.listAt(name) {
			n.readItem(at, item, alike)
		}
	}
	n.sortStreams()
}

// forget drops the streams that are in no file and that no node claims.
func (n *Node) forget() {
	claimed := map[*stream]bool{}
	for _, p := range n.peers {
		for i := range p.claims {
			claimed[p.claims[i].s] = true
		}
		for i := range p.relayedClaims {
			claimed[p.relayedClaims[i].s] = true
		}
	}
	n.streams = slices.DeleteFunc(n.streams, func(s *stream) bool {
		if s.listed || s.cfg != nil || s.State != Idle || claimed[s] {
			return false
		}
		n.untell(s)
		delete(n.byName, s.Name)
		return true
	})
	n.added = 0
	n.sortStreams()
}

// readItem takes in that a node's file has a stream. Where files differ, the first node by name that captures it for
// the group gives its pin.
func (n *Node) readItem(at int, item Listed, alike bool) {
	s := n.stream(item.Name)
	if !s.listed {
		s.listed, s.published, s.onDemand = true, item.Published, item.OnDemand
		if !alike {
			s.has = place.NewSet(len(n.nodes))
		}
		n.setPin(s, item.Pin)
	}
	if s.has != nil {
		s.has.Add(at)
	}
	if !item.Clustered || item.Published {
		return
	}
	if !s.clustered {
		s.clustered = true
		if !alike {
			s.on = place.NewSet(len(n.nodes))
		}
		n.setPin(s, item.Pin)
	}
	if s.on != nil {
		s.on.Add(at)
	}
}

// listAt returns the list of a node, this one's own if it is not known.
func (n *Node) listAt(name string) []Listed {
	p := n.peer(name)
	switch {
	case name == n.self || p == nil:
		return n.own
	case p.list != nil:
		return p.list
	}
	if list := n.listOf(p.ListHint); list != nil {
		return list
	}
	return n.own
}

func (n *Node) setPin(s *stream, pin string) {
	node := ""
	if pin != "" {
		node, _ = n.resolvePin(pin)
	}
	if s.Pin != node {
		s.Pin = node
		n.changed() // claims carry the pin
	}
}

// reportUnknownPins says once of each pin of this node's file that it names no node.
func (n *Node) reportUnknownPins() {
	for _, s := range n.streams {
		if s.cfg == nil || s.cfg.Pin == "" || s.cfg.Pin == s.BadPin {
			continue
		}
		if _, ok := n.resolvePin(s.cfg.Pin); ok {
			continue
		}
		s.BadPin = s.cfg.Pin
		detail := s.cfg.Pin
		if near := n.nearest(s.cfg.Pin); near != "" {
			detail += ", nearest known: " + near
		}
		n.do(Note{Kind: NoteUnknownPin, Stream: s.Name, Detail: detail})
	}
}

// lists says whether a list has a published stream.
func lists(list []Listed, name string) bool {
	i, ok := slices.BinarySearchFunc(list, name, func(l Listed, name string) int { return strings.Compare(l.Name, name) })
	return ok && list[i].Published
}
