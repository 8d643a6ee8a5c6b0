package oracle

import (
	"fmt"
	"time"
)

// A Publisher is what a publisher itself can tell, and what the nodes of the group answer about its stream. It judges that
// publisher alone.
type Publisher struct {
	began time.Duration // when the publisher was told that it publishes; negative: it does not publish
	nodes []audience    // by node of the group
}

// An audience is one node whose viewers have to get the media of a publisher.
type audience struct {
	from       time.Duration // since when the publisher has not been heard there; negative: it is heard, or excused
	heard      bool          // it is heard
	told, lost bool          // what was said since from: that it is unheard, that the stream has no owner there
}

// NewPublisher makes the judgment of a publisher of a group of so many nodes.
func NewPublisher(nodes int) *Publisher {
	p := &Publisher{nodes: make([]audience, nodes)}
	p.Ended()
	return p
}

// Begins notes that the publisher is told that it publishes.
func (p *Publisher) Begins(at time.Duration) {
	p.Ended()
	p.began = at
}

// Ended notes that the publisher does not publish any more.
func (p *Publisher) Ended() {
	p.began = -1
	for i := range p.nodes {
		p.Excuse(i)
	}
}

// Refused judges that a publisher is told that another one has the name. Rival is when another one had it last, or the
// publisher itself by an earlier connection. It returns what is wrong, or nothing.
func (p *Publisher) Refused(at, rival, bound time.Duration) string {
	if at-rival > bound {
		return fmt.Sprintf("it is refused for another publisher, and the last one was there %v ago", at-rival)
	}
	return ""
}

// SentAway judges that a publisher has to go because another one has the name, in the same way as Refused.
func (p *Publisher) SentAway(at, rival, bound time.Duration) string {
	if p.began >= 0 && rival < p.began-bound {
		return fmt.Sprintf("it is sent away for another publisher, and the last one was there %v before it began", p.began-rival)
	}
	return ""
}

// Outranked judges that a publisher which sends has to go because another one has the name. Sender is when another one was last taken
// for one that sends (R9c), and known the longest until a node hears that it is not.
func (p *Publisher) Outranked(at, sender, known time.Duration) string {
	if at-sender > known {
		return fmt.Sprintf("it sends, and is sent away for another publisher, of which none has sent anything for %v", at-sender)
	}
	return ""
}

// Excuse notes that a node cannot be expected to hear the publisher now: what it knows begins anew afterwards.
func (p *Publisher) Excuse(node int) { p.nodes[node] = audience{from: -1} }

// Heard judges a node at an instant at which the publisher sends: I29 and I32. Owner says that the node leads its viewers to
// some node for the stream, and heard that it is the publisher's. It returns for how long the publisher had been unheard if it is
// heard from now on, or 0, and what is wrong.
func (p *Publisher) Heard(at time.Duration, node int, owner, heard bool, bound, known time.Duration) (waited time.Duration, unheard, ownerless string) {
	a := &p.nodes[node]
	if a.from < 0 && (!heard || !a.heard) {
		a.from = at
	}
	switch waits := at - a.from; {
	case heard:
		if a.from >= 0 {
			waited = waits
		}
		*a = audience{from: -1, heard: true}
		return waited, "", ""
	case waits > bound && !a.told:
		a.told = true
		unheard = fmt.Sprintf("it has been sending unheard for %v, want at most %v", waits, bound)
	}
	if !owner && !a.lost && at-a.from > known {
		a.lost = true
		ownerless = fmt.Sprintf("nobody has the stream, they say there, and it has been sending for %v", at-p.began)
	}
	return 0, unheard, ownerless
}

// HeardBound is the bound of I29: a node learns of a publisher by its next answer, and what it knew before of a node that is
// gone expires. Settle is the time for which two nodes wait that differ in their files, and look that between two looks at them.
func HeardBound(stale, poll, delay, late, startUp, settle, look time.Duration) time.Duration {
	return stale + poll + 4*delay + 2*late + startUp + settle + 2*look
}
