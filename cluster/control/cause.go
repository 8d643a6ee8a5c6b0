package control

import "fmt"

// An absence is a node that does not have a stream, as one node sees it at an instant.
type absence struct {
	n    *Node
	s    *stream
	name string
	p    *peer // nil for this node itself, and for one that is no node of the files
	now  Instant
}

// absences are all reasons why a node does not have a stream, the first that applies being the one that counts. An explanation names
// this one cause, never a choice of two.
var absences = []struct {
	cause string
	is    func(a *absence) bool
	says  func(a *absence) string // behind the name of the node
}{
	{"removed", func(a *absence) bool { return a.p == nil && a.name != a.n.self }, always("is no node of the files any more")},

	{"drains here", func(a *absence) bool { return a.p == nil && a.n.draining }, always("drains")},
	{"left out", func(a *absence) bool { return a.p == nil && a.n.unlisted }, always("is in no live peer's file")},
	{"warming up", func(a *absence) bool { return a.p == nil && !a.n.warm }, always("has just started and claims nothing yet")},
	{"source fails here", func(a *absence) bool { return a.p == nil && a.s.State == Failed }, func(a *absence) string {
		return "cannot get its source: " + a.s.Detail
	}},
	{"busy here", func(a *absence) bool { return a.p == nil && a.n.busy }, always("is at its cpu_limit")},
	{"full here", func(a *absence) bool { return a.p == nil && a.n.full() }, always("is at its channel_limit")},
	{"held down here", func(a *absence) bool { return a.p == nil && a.n.returnsAt(a.s) > a.now }, func(a *absence) string {
		return fmt.Sprintf("takes it back in %s (return_holddown)", seconds(a.n.returnsAt(a.s)-a.now))
	}},
	{"here", func(a *absence) bool { return a.p == nil }, always("lives")},

	{"unauthorised", func(a *absence) bool { return a.p.Status == Refused }, func(a *absence) string {
		return "is unauthorised: the proof of the cluster key fails between it and " + a.n.self
	}},
	{"name taken", func(a *absence) bool { return a.why() == NameTaken }, always("announces the name of another live node")},
	{"malformed", func(a *absence) bool { return a.why() == Malformed }, always("answers with what is no state of a node")},
	{"incompatible", func(a *absence) bool { return a.why() == Incompatible }, always("speaks a version of the protocol that is too old")},
	{"never seen", func(a *absence) bool { return !a.p.Ever }, func(a *absence) string {
		return fmt.Sprintf("has not answered since %s started", a.n.self)
	}},
	{"down", func(a *absence) bool { return !a.p.Alive && a.p.Down }, always("is down: its machine refuses connections")},
	{"stale", func(a *absence) bool { return !a.p.Alive }, func(a *absence) string {
		return fmt.Sprintf("is dead: no node has heard it for %s", seconds(a.now-a.p.EvidenceAt))
	}},
	{"drains", func(a *absence) bool { return a.p.Leaving }, always("drains")},
	{"starting", func(a *absence) bool { return a.p.Met && !a.p.Warm }, always("has just started and claims nothing yet")},
	{"not in its file", func(a *absence) bool {
		return a.s.index >= 0 && a.p.list != nil && !a.n.plan.May(a.s.index, a.p.index)
	}, always("does not have it in its file")},
	{"source fails", func(a *absence) bool { return a.failed() != "" }, func(a *absence) string {
		return "cannot get its source: " + a.failed()
	}},
	{"busy", func(a *absence) bool { return a.p.Busy }, always("is at its cpu_limit")},
	{"full", func(a *absence) bool { return a.n.fullPeer(a.p) }, always("is at its channel_limit")},
	{"lives", func(a *absence) bool { return true }, always("lives")},
}

func always(text string) func(*absence) string { return func(*absence) string { return text } }

// why is the reason of the last fetch that failed, if no answer of the peer ever came.
func (a *absence) why() FailReason {
	if a.p.Ever {
		return ""
	}
	for _, l := range a.n.links {
		if l.peer == a.p && l.Why != Unreachable {
			return l.Why
		}
	}
	return ""
}

// failed is the detail of the peer's claim, if its last attempt failed.
func (a *absence) failed() string {
	for _, c := range a.s.claimants {
		if c.p == a.p && c.c.State == ClaimFailed {
			return c.c.Detail
		}
	}
	return ""
}

// absent says in a few words, to stand behind its name, why a node does not have a stream.
func (n *Node) absent(s *stream, name string, now Instant) (cause, text string) {
	a := &absence{n: n, s: s, name: name, now: now}
	if name != n.self {
		a.p = n.peer(name)
	}
	for _, row := range absences {
		if row.is(a) {
			return row.cause, row.says(a)
		}
	}
	return "", ""
}

// returnsAt is from when on this node may take a stream back.
func (n *Node) returnsAt(s *stream) Instant { return max(n.boot+n.holddown(), s.HoldUntil) }

// sayPin says why a stream that is pinned is not at its pin.
func (n *Node) sayPin(s *stream, v *StreamView, now Instant, say func(string, ...any)) {
	pin := ""
	if s.cfg != nil {
		pin = s.cfg.Pin
	}
	switch {
	case s.Pin != "" && s.Pin != v.Owner:
		_, text := n.absent(s, s.Pin, now)
		say("capture_at names %s, which %s", s.Pin, text)
	case s.Pin != "" || pin == "":
	case n.sharedHost(pin):
		say("capture_at names the host %s, which several peer entries have: it is placed as if it were not pinned", pin)
	default:
		near := ""
		if word := n.nearest(pin); word != "" {
			near = " (nearest: " + word + ")"
		}
		say("capture_at names %s, and no node is called so%s: it is placed as if it were not pinned", pin, near)
	}
}

// sharedHost says whether several peer entries have a host.
func (n *Node) sharedHost(host string) bool {
	count := 0
	for _, l := range n.links {
		if l.cfg.Host == host {
			count++
		}
	}
	return count > 1
}

// nobody says why no node has a stream.
func (n *Node) nobody(s *stream, v *StreamView) string {
	switch {
	case v.State == StreamDisabled:
		return "it is disabled"
	case v.State == StreamWaiting && v.Kind == Published:
		return "nobody publishes it"
	case v.State == StreamWaiting:
		return "no client wants it"
	case v.Detail != "":
		return v.Detail
	case !n.warm:
		return fmt.Sprintf("%s has just started and is still asking its peers", n.self)
	case v.Place == "":
		return "no live node may have it"
	}
	return "it is about to start on " + v.Place
}
