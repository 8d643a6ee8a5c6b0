package control

import (
	"slices"
	"strings"
)

// maxSuperseded bounds the claims that one claim supersedes on the wire.
const maxSuperseded = 64

// A Supersession says that a claim of a published stream is over, however fresh the evidence of its node is (rule R9b): its
// node was asked for the name on behalf of another publisher, and could not be reached or had no publisher, and then the
// other publisher was granted the name.
type Supersession struct {
	Node string // whose claim is over

	// Said is the newest evidence of Node that the granting node had.
	Said evidence

	// At is the instant of the grant. Where another node has granted the name it is a little later, by the time that its
	// answer took; never earlier, so that an answer which was asked for after At was given after the grant.
	At Instant
}

// supersede notes that a claim is over.
func (n *Node) supersede(s *stream, v Supersession) {
	if v.Node == n.self {
		return // this node knows best whether it has a publisher
	}
	i, ok := slices.BinarySearchFunc(s.Superseded, v.Node, func(v Supersession, node string) int { return strings.Compare(v.Node, node) })
	switch {
	case !ok:
		s.Superseded = slices.Insert(slices.Clone(s.Superseded), i, v)
	case s.Superseded[i].Said == v.Said:
		if s.Superseded[i].At <= v.At {
			return
		}
		s.Superseded = slices.Clone(s.Superseded) // views share it
		s.Superseded[i].At = v.At                 // its answer took less time
		return
	case s.Superseded[i].At < v.At:
		s.Superseded = slices.Clone(s.Superseded)
		s.Superseded[i] = v
	default:
		return
	}
	s.Supersessions++
	n.dirty, n.streamsDirty = true, true
}

// supersedeAsked notes, as a publisher is granted a stream, that the claims of the nodes that were asked are over.
func (n *Node) supersedeAsked(s *stream, asked []string) {
	for _, name := range asked {
		if p := n.peer(name); p != nil && p.Ever {
			said := p.Said
			if said.older(p.Relayed) {
				said = p.Relayed
			}
			n.supersede(s, Supersession{Node: name, Said: said, At: n.now})
		}
	}
}

// superseded says whether the claim of a peer to a published stream is over, by the evidence that the claim comes from. It
// counts again with the first answer that the peer has given after the grant. Where this node's own publisher has the
// stream, that has to be an answer to this node itself: only then can the static order settle the two.
func (n *Node) superseded(s *stream, p *peer) bool {
	i, ok := slices.BinarySearchFunc(s.Superseded, p.Name, func(v Supersession, node string) int { return strings.Compare(v.Node, node) })
	if !ok {
		return false
	}
	v, said, asked, direct := &s.Superseded[i], p.Said, p.Asked, p.Direct
	if relayed := p.restarted() || !p.Direct && p.RelayedFull; relayed {
		said, direct = p.Relayed, false
		asked = p.RelayedAt - n.stale // no answer is waited for longer
	}
	if !direct && s.active() {
		return true
	}
	return asked <= v.At || said.Instance == v.Said.Instance && !v.Said.older(said)
}

// forgetSuperseded drops the supersessions that have no more effect: the evidence from before the grant has expired
// everywhere, and the node is dead, or has answered since. A node that has the stream tells the others what it supersedes
// for as long as it has it.
func (n *Node) forgetSuperseded(s *stream) {
	if s.active() {
		return
	}
	s.Superseded = slices.DeleteFunc(slices.Clone(s.Superseded), func(v Supersession) bool {
		p := n.peer(v.Node)
		return n.now-v.At > 2*n.stale && (p == nil || !p.Alive || !n.superseded(s, p))
	})
}

// supersedes returns what the claim of a stream supersedes, for the wire; nil if nothing.
func (n *Node) supersedes(list []Supersession) *[]Superseded {
	if len(list) == 0 {
		return nil
	}
	out := make([]Superseded, 0, len(list))
	for _, v := range list[:min(len(list), maxSuperseded)] {
		out = append(out, Superseded{
			Node: v.Node, Instance: v.Said.Instance, Inc: v.Said.Inc, Seq: v.Said.Seq, Age: ageMS(n.now, v.At),
		})
	}
	return &out
}

// supersessions are those of a claim of a peer, by this node's clock.
func (c *claim) supersessions() (out []Supersession) {
	if c.Supersedes == nil {
		return nil
	}
	taken := c.since + Instant(c.Since)*Millisecond // when the claim was taken in
	for _, v := range *c.Supersedes {
		out = append(out, Supersession{
			Node: v.Node, Said: evidence{v.Instance, v.Inc, v.Seq}, At: taken - Instant(v.Age)*Millisecond,
		})
	}
	return out
}
