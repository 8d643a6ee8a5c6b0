package control

import "fmt"

// Two processes may announce one name: a file was copied to another machine with its name in it. The name belongs to the process whose
// peer entry is called so; if that tells them apart no better, to that of the lower instance. The other one stands aside:
// it takes no stream and no publisher, and gives up each stream of its own once another process runs it. All others go by the rightful
// one, so that nobody would hear a publisher here: those that are connected are sent away.

// namesake takes in that the process behind a link announces this node's own name.
func (n *Node) namesake(l *link, st *State) {
	theirs, mine := l.cfg.Name == n.self, false
	for _, k := range n.links {
		mine = mine || k.cfg.Name == n.self && (k.Self || k != l && k.Instance == "" && k.Why != NameTaken)
	}
	l.TakenAt, l.Aside = n.now, theirs && !mine || theirs == mine && st.Instance < n.cfg.Instance
	n.dirty = true
	if !l.Aside {
		return
	}
	for _, c := range st.Claims {
		if s := n.byName[c.Stream]; s != nil && s.active() && c.State == ClaimRunning && !c.Solo && s.Why != NotClustered {
			n.stop(s, "", Unlisted)
		}
	}
}

// standsAside says whether another process has this node's name by right: one that has answered, or the one behind the entry
// that is called so, where this node has found itself behind another entry.
func (n *Node) standsAside() (aside bool) {
	self, mine, theirs := false, false, false
	for _, l := range n.links {
		if l.Aside && l.Why == NameTaken && n.now-l.TakenAt < l.cfg.Stale {
			aside = true
			n.due(l.TakenAt + l.cfg.Stale)
		}
		self = self || l.Self
		mine = mine || l.Self && l.cfg.Name == n.self
		theirs = theirs || !l.Self && l.cfg.Name == n.self
	}
	return aside || self && !mine && theirs
}

// dismissPublishers sends away the publishers of a node that stands aside.
func (n *Node) dismissPublishers() {
	for _, s := range n.streams {
		if s.active() && s.Why == PublishedHere {
			n.stop(s, "", Unlisted)
		}
	}
}

// displaced says whether the process behind a link gets the name of a peer that another process has announced: it does if its
// entry is called so and that of the other is not, or if the other does not announce it any more.
func (n *Node) displaced(l *link, name string) bool {
	q := n.peer(name)
	for _, h := range n.links {
		if h == l || h.peer != q || h.Instance != q.Said.Instance {
			continue
		}
		if l.cfg.Name != name || h.cfg.Name == name {
			return false
		}
		n.refuseName(h, name)
	}
	return true
}

// refuseName makes a link lead to nobody known: its process announces a name that another has.
func (n *Node) refuseName(l *link, name string) {
	l.Answered, l.Instance = true, "" // it answers, though its claims do not count
	if l.peer.Name != l.cfg.Name && l.cfg.Name != n.self {
		n.bind(l, l.cfg.Name)
	}
	n.refused(l, NameTaken, name)
}

// namesakeAlarms are the alarms about names that two processes announce.
func (n *Node) namesakeAlarms() (out []Alarm) {
	for _, l := range n.links {
		if l.Self || l.Why != NameTaken {
			continue
		}
		text := fmt.Sprintf("the node behind %s announces the name %s, which another node has", l.cfg.Entry, l.Detail)
		if l.Aside && n.aside {
			text += fmt.Sprintf("; it has it by its entry, so that this node, %s, takes no stream", n.cfg.Instance)
		}
		out = append(out, Alarm{Kind: AlarmNameTaken, Node: l.Detail, Since: l.TakenSince, Text: text})
	}
	return out
}
