package control

import (
	"fmt"
	"slices"
)

// An Explanation says why a stream is where it is, as one node sees it.
type Explanation struct {
	Stream string      `json:"stream"`
	Asked  string      `json:"asked"` // the node that explains
	State  StreamState `json:"state"`
	Owner  string      `json:"owner,omitempty"`
	Reason Reason      `json:"reason,omitempty"`
	Pin    string      `json:"pin,omitempty"`
	Home   string      `json:"home,omitempty"`
	Place  string      `json:"place,omitempty"` // where it belongs while those live that do
	Epoch  uint64      `json:"epoch"`
	Media  *Media      `json:"media,omitempty"` // the last numbering known
	Order  []Candidate `json:"order"`           // of all nodes, first choice first
	Why    []string    `json:"why"`             // sentences
}

// A Candidate is a node in the static order of a stream.
type Candidate struct {
	Node   string     `json:"node"`
	Status Status     `json:"status"`
	Alive  bool       `json:"alive"`
	Direct bool       `json:"direct"` // it answers the node that explains itself
	Age    int64      `json:"age_ms"` // of the newest evidence
	Drains bool       `json:"draining,omitempty"`
	Full   bool       `json:"full,omitempty"`
	Lists  bool       `json:"lists"` // its file has the stream
	Claim  ClaimState `json:"claim,omitempty"`
	Since  int64      `json:"claim_age_ms,omitempty"`
	Detail string     `json:"detail,omitempty"` // its last failure
}

// Explain says why a stream is where it is; nil if it is unknown. It changes nothing.
func (n *Node) Explain(stream string, now Instant) *Explanation {
	s := n.byName[stream]
	if s == nil || !s.listed && s.cfg == nil && s.State == Idle && len(s.claimants) == 0 {
		return nil
	}
	v := n.viewStream(s)
	x := &Explanation{
		Stream: stream, Asked: n.self, State: v.State, Owner: v.Owner, Reason: v.Reason, Pin: v.Pin, Home: v.Home,
		Place: v.Place, Epoch: v.Epoch,
	}
	if s.Media != (Media{}) {
		m := s.anchor(now)
		x.Media = &m
	}
	for i, name := range n.nodes {
		c := Candidate{Node: name, Lists: s.listed && s.has.Has(i)}
		if name == n.self {
			c.Alive, c.Direct, c.Drains, c.Full = true, true, n.draining, n.full()
			c.Status = n.ownStatus()
		} else if p := n.peer(name); p != nil {
			c.Alive, c.Direct, c.Drains, c.Full = p.Alive, p.Direct, p.Leaving, n.fullPeer(p)
			c.Status = p.Status
			if p.Ever {
				c.Age = ageMS(now, p.EvidenceAt)
			}
		}
		for _, cl := range v.Claimants {
			if cl.Node == name {
				c.Claim, c.Since = cl.State, ageMS(now, cl.Since)
			}
		}
		if name == n.self {
			c.Detail = s.Detail
		}
		for _, cl := range s.claimants {
			if cl.p.Name == name {
				c.Detail = cl.c.Detail
			}
		}
		x.Order = append(x.Order, c)
	}
	slices.SortFunc(x.Order, func(a, b Candidate) int {
		switch {
		case n.before(s, a.Node, b.Node):
			return -1
		case n.before(s, b.Node, a.Node):
			return 1
		}
		return 0
	})
	x.Why = n.sentences(s, &v, now)
	return x
}

// ownStatus is the status of this node.
func (n *Node) ownStatus() Status {
	switch {
	case n.draining:
		return Draining
	case !n.warm:
		return Booting
	case n.leftOut:
		return LeftOut
	}
	return Alive
}

// sentences say in words what the figures of an explanation mean.
func (n *Node) sentences(s *stream, v *StreamView, now Instant) (out []string) {
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if v.Owner == "" {
		say("no node has it now: %s", n.nobody(s, v))
	} else {
		say("%s has it (%s)", v.Owner, v.OwnerState)
	}
	switch v.Reason {
	case Pinned:
		say("capture_at names %s, which lives", v.Owner)
	case Home:
		say("%s is its home: streams are dealt out evenly over all nodes of the files, pinned ones counted, by a hash of the names", v.Owner)
	case Spill:
		if v.Of != s.Pin { // of which more below
			_, text := n.absent(s, v.Of, now)
			say("its home %s %s", v.Of, text)
		}
		say("%s came next below the even share when it was taken over", v.Owner)
	case FullElsewhere:
		if cause, text := n.absent(s, v.Of, now); cause == "lives" || cause == "here" {
			say("its home %s was full when %s took it", v.Of, v.Owner)
		} else {
			say("its home %s %s", v.Of, text)
		}
	case Fallback:
		say("nobody served it for so long that %s, which was not chosen, tried", v.Owner)
	case PublishedHere:
		say("its publisher is at %s", v.Owner)
		if i := slices.IndexFunc(v.Claimants, func(c ClaimView) bool { return c.Node == v.Owner }); v.Claimants[i].Silent {
			say("it has sent nothing for %s", seconds(now-v.Claimants[i].Since))
		}
	case OnDemand:
		if d := s.clientsTimeout(); d == never {
			say("clients have asked for it; it does not end with the last of them")
		} else {
			say("clients have asked for it; it ends when the last has been gone for %s", seconds(d))
		}
	case NotClustered:
		say("it has no cluster_ingest, so every node whose file has it captures it for itself")
	}
	if s.clustered && !s.published {
		n.sayPin(s, v, now, say)
		n.sayMoves(s, v, now, say)
	}
	return out
}

// sayMoves says what is about to happen to a stream, or what prevents that.
func (n *Node) sayMoves(s *stream, v *StreamView, now Instant, say func(string, ...any)) {
	if !n.warm {
		say("%s has just started: it claims nothing until all peers have answered, at most for %s", n.self, seconds(n.stale))
	}
	if n.leftOut {
		say("no live peer has %s in its file: it hands the stream over once another node runs it", n.self)
	}
	if v.Owner != "" && v.Place != "" && v.Place != v.Owner {
		say("it belongs to %s", v.Place)
		switch {
		case v.Place == n.self && s.Pin != n.self && !s.MayReturn:
			say("an edit made %s its home, and an edit moves nothing that runs", n.self)
		case v.Place == n.self:
			if at := n.returnsAt(s); at > now {
				say("%s takes it back in %s (return_holddown)", n.self, seconds(at-now))
			}
		default:
			say("whether %s takes it back, and when, is that node's to say: ask it", v.Place)
		}
	}
	if s.AskedOf != "" {
		say("%s has asked %s to let go of it, since its source allows one connection", n.self, s.AskedOf)
	}
	if s.State == Failed && s.RetryAt > now {
		say("%s tries it again in %s, after %d failures", n.self, seconds(s.RetryAt-now), s.Fails)
	}
	if s.Unserved >= 0 && s.index >= 0 && v.Owner == "" {
		rank := Instant(n.plan.Rank(s.index, n.me, n.placed[s.index], n.live))
		if at := max(s.Unserved, s.Tried) + rank*n.grace(); rank > 0 && at > now {
			say("nobody serves it; unless that changes %s tries it in %s", n.self, seconds(at-now))
		}
	}
}

func seconds(d Instant) string {
	return fmt.Sprintf("%d.%d s", d/Second, d%Second/(100*Millisecond))
}

// A Forecast says where streams would be.
type Forecast struct {
	Asked   string     `json:"asked"`
	Without []string   `json:"without,omitempty"` // the announced names
	Unknown []string   `json:"unknown,omitempty"` // of those asked for: no node is called so
	Nodes   []Share    `json:"nodes"`
	Moves   []Transfer `json:"moves"`
	Over    int        `json:"over,omitempty"` // streams that a node gets beyond its limits
}

// A Share is how many streams a node has and would have.
type Share struct {
	Node  string `json:"node"`
	Now   int    `json:"now"`
	Then  int    `json:"then"`
	Limit int    `json:"channel_limit,omitempty"`
}

// A Transfer is a stream that would move. To is empty if no live node may have it.
type Transfer struct {
	Stream string `json:"stream"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
}

// Forecast says where the streams of the group would be without some nodes; with none named, where they belong now. A node may
// be named as in capture_at: by what it announces, by its host, or by a peer entry. Forecast changes nothing.
func (n *Node) Forecast(without []string) *Forecast {
	f := &Forecast{Asked: n.self, Nodes: []Share{}, Moves: []Transfer{}}
	if n.plan == nil || n.placed == nil && len(n.planned) > 0 {
		return f
	}
	live := slices.Clone(n.live)
	for _, name := range without {
		node, known := n.resolvePin(name)
		i, ok := slices.BinarySearch(n.nodes, node)
		if !known || !ok {
			f.Unknown = append(f.Unknown, name)
			continue
		}
		if live[i] = false; !slices.Contains(f.Without, node) {
			f.Without = append(f.Without, node)
		}
	}
	claimed := make([]int, len(n.planned))
	now, then := make([]int, len(n.nodes)), make([]int, len(n.nodes))
	for i, s := range n.planned {
		claimed[i] = n.holder(s)
	}
	to := n.plan.Within(live, claimed, n.rooms(), nil)
	f.Over = n.plan.Over()
	for i, s := range n.planned {
		from := claimed[i]
		if from >= 0 {
			now[from]++
		}
		at := to[i]
		if len(without) > 0 && from >= 0 && live[from] {
			at = from // what runs on a node that stays is left there
		}
		if at >= 0 {
			then[at]++
		}
		if at == from {
			continue
		}
		t := Transfer{Stream: s.Name}
		if from >= 0 {
			t.From = n.nodes[from]
		}
		if at >= 0 {
			t.To = n.nodes[at]
		}
		f.Moves = append(f.Moves, t)
	}
	for i, name := range n.nodes {
		s := Share{Node: name, Now: now[i], Then: then[i]}
		if name == n.self {
			s.Limit = n.limits().Channels
		} else if p := n.peer(name); p != nil {
			s.Limit = least(p.Channel, p.Limits.Channels)
		}
		f.Nodes = append(f.Nodes, s)
	}
	return f
}
