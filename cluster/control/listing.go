package control

import (
	"fmt"
	"slices"
)

// Rule R12. A node that a peer's file does not list is not seen by that peer: the peer starts the streams of the node, and
// can never yield to it. So the node, which still sees the peer, yields whatever the static order says, once the peer runs the
// stream. A node that no live peer lists is left out: it takes no stream that a peer can take.

const (
	// maxAskers bounds the nodes that are remembered because they ask and are in no peer entry.
	maxAskers = 64

	// leastAsked is how long a question of such a node keeps its alarm, at least. Nodes ask once per fetch_timeout.
	leastAsked = 30 * Second
)

// An asker is a node that asks for this node's state and is in no peer entry of its file.
type asker struct {
	Name        string
	First, Last Instant // of its questions
	Over        bool    // it has not asked for a while
}

// relist finds out which peers list this node: all after a name has changed, those whose names have changed otherwise.
func (n *Node) relist() {
	peers := n.renamed
	if n.listing {
		peers = n.peers
	}
	n.listing, n.renamed = false, n.renamed[:0]
	self := slices.ContainsFunc(n.links, func(l *link) bool { return l.Self })
	for _, p := range peers {
		unaware := p.Met && len(p.Names) > 0 && !slices.ContainsFunc(p.Names, func(k EntryName) bool {
			return n.mayMean(k, n.entries[k.Entry], self)
		})
		if unaware != p.Unaware {
			p.Unaware, p.UnawareAt = unaware, n.now
			n.dirty = true
		}
	}
}

// mayMean says whether an entry of a peer's file leads to this node, or may. l is the entry in this node's own file, if it is
// there; self says that this node has found itself behind an entry.
func (n *Node) mayMean(k EntryName, l *link, self bool) bool {
	switch {
	case k.Node == n.self:
		return true
	case l != nil && l.Self:
		return true // the peer has met an earlier process there, of another name
	case k.Node != "":
		return false
	case l != nil && (self || l.Instance != ""):
		return false // in this node's file the entry stands for another node
	}
	return true // the peer has not met the node yet
}

// unseen says whether a peer has not listed this node for as long as every node needs to ask every other. Before that a name may be
// new, or the peer may be about to meet this node.
func (n *Node) unseen(p *peer) bool {
	if !p.Unaware {
		return false
	}
	n.due(p.UnawareAt + n.stale)
	return n.now-p.UnawareAt >= n.stale
}

// judgeListing finds out whether any live peer lists this node.
func (n *Node) judgeListing() {
	if aside := n.standsAside(); aside != n.aside {
		n.aside, n.peersDirty, n.streamsDirty = aside, true, true
		if aside {
			n.dismissPublishers()
		}
	}
	n.relist()
	unlisted, out := false, true
	for _, p := range n.peers {
		if p.Alive && p.Met {
			unlisted = unlisted || p.Unaware
			out = out && n.unseen(p)
			if !p.Unaware {
				unlisted, out = false, false
				break
			}
		}
	}
	n.unlisted, out = unlisted, unlisted && out
	if out == n.leftOut {
		return
	}
	n.leftOut, n.leftOutSince, n.peersDirty, n.streamsDirty = out, n.now, true, true
	if out {
		n.do(Note{Kind: NoteLeftOut, Node: n.self})
		return
	}
	n.do(Note{Kind: NoteListed, Node: n.self})
	n.relisted.add(n.now)
	for _, s := range n.streams { // it has returned: R7
		s.HoldUntil = max(s.HoldUntil, n.now+damped(n.cfg.ReturnHolddown, n.relisted.count(n.now)-1))
	}
}

// keepsAlone says whether a node that is left out starts a stream all the same: no peer can take it, or clients of this node want it, of
// whom no peer learns.
func (n *Node) keepsAlone(s *stream) bool {
	return n.unlisted && (!n.takeable(s) || s.wantedHere(n.now))
}

// askedBy takes in the name of a node that asks for the state. Unlisted says that the asker has found itself in no peer entry
// of this node's file.
func (n *Node) askedBy(name string, unlisted bool) {
	i := slices.IndexFunc(n.askers, func(a asker) bool { return a.Name == name })
	switch {
	case !unlisted || name == "" || name == n.self || len(name) > maxName || !proper(name) || n.peer(name) != nil:
		return
	case i >= 0:
		a := &n.askers[i]
		a.Last = n.now
		if a.Over {
			a.Over, a.First, n.peersDirty = false, n.now, true
		}
		return
	case len(n.askers) == maxAskers:
		n.askers = slices.Delete(n.askers, 0, 1)
	}
	n.askers = append(n.askers, asker{Name: name, First: n.now, Last: n.now})
	n.peersDirty = true
	n.do(Note{Kind: NoteUnlisted, Node: name})
}

// expireAskers ends the alarms about nodes that do not ask any more. Their names are kept, so that the log has each once.
func (n *Node) expireAskers() {
	if len(n.askers) == 0 {
		return
	}
	n.askers = slices.DeleteFunc(n.askers, func(a asker) bool {
		listed := n.peer(a.Name) != nil
		n.peersDirty = n.peersDirty || listed
		return listed
	})
	for i := range n.askers {
		if a := &n.askers[i]; !a.Over && n.now >= n.askerUntil(a) {
			a.Over, n.peersDirty = true, true
		}
	}
}

func (n *Node) askerUntil(a *asker) Instant { return a.Last + max(leastAsked, 3*n.stale) }

// listingAlarms are the alarms of rule R12.
func (n *Node) listingAlarms() (out []Alarm) {
	if n.leftOut {
		out = append(out, Alarm{
			Kind: AlarmLeftOut, Node: n.self, Since: n.leftOutSince,
			Text: fmt.Sprintf("no live peer has %s in its file: it hands its streams over and takes none; clients of other nodes are not led to it", n.self),
		})
	}
	for _, a := range n.askers {
		if !a.Over {
			out = append(out, Alarm{
				Kind: AlarmUnlisted, Node: a.Name, Since: a.First,
				Text: fmt.Sprintf("%s proves the cluster key and asks for the state of this node, whose file has no peer entry for it", a.Name),
			})
		}
	}
	return out
}
