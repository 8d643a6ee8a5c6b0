package mutants

const (
	peerFile     = "cluster/control/peer.go"
	followerFile = "cluster/follower/follower.go"
)

// peerFaults are in the follower of a peer, and in what the control plane makes of a peer's answers.
var peerFaults = []Mutant{
	fault(Peer, "stale-inclusive", "a peer counts as alive at S itself",
		peerFile, "Node.expire", `n.now-p.EvidenceAt-p.Slept < p.Stale`, `n.now-p.EvidenceAt-p.Slept <= p.Stale`),
	fault(Peer, "arrival-order", "evidence counts in the order of its arrival",
		peerFile, "Node.accept", "\tswitch {\n\tcase p.replaced(e.Instance),", "\tswitch {\n\tcase true:\n\tcase p.replaced(e.Instance),").
		and(peerFile, "Node.takeRelayed", `e.Inc <= p.Said.Inc {`, `e.Inc <= p.Said.Inc && false {`).
		and(peerFile, "Node.takeRelayed", `n.now-age <= p.Asked {`, `n.now-age <= p.Asked && false {`).
		and(peerFile, "Node.takeRelayed", `if !full && (!p.Said.older(e) || !p.Relayed.older(e)) {`, `if !full && false {`),
	fault(Peer, "no-inc", "the instances of a node are not told apart",
		peerFile, "evidence.older", `case e.Inc != f.Inc:`, `case e.Inc != f.Inc && false:`).
		and(peerFile, "Node.accept", `case p.replaced(e.Instance),`, `case p.replaced(e.Instance) && false,`).
		and(peerFile, "Node.accept", `&& asked < p.Asked,`, `&& false,`),
	fault(Peer, "relay-chained", "a node passes on what was passed on to it",
		linkFile, "Node.stateAsked", `if tells := p.Direct && e.asks(p.Name)`, `if p.Met && !p.Direct && p.Alive && p.Relayed.Instance != "" {
			st.Ages = append(st.Ages, Age{
				Node: p.Name, Instance: p.Relayed.Instance, Inc: p.Relayed.Inc, Seq: p.Relayed.Seq, Age: ageMS(n.now, p.EvidenceAt),
			})
			continue
		}
		if tells := p.Direct && e.asks(p.Name)`),
	fault(Peer, "one-life-remembered", "of the instances of a peer that are over only the last is remembered",
		peerFile, "Node.accept", `copy(p.Forgotten[1:], p.Forgotten[:])`, ``),
	fault(Peer, "sleep-not-reset", "the time that this node slept counts for answers that came after it",
		peerFile, "Node.accept", `p.EvidenceAt, p.Ever, p.Slept = n.now, true, 0`, `p.EvidenceAt, p.Ever = n.now, true`),
	fault(Peer, "sleep-not-reset-by-relay", "the time that this node slept counts for relayed evidence that came after it",
		peerFile, "Node.takeRelayed", `p.EvidenceAt, p.Ever, p.Slept = at, true, 0`, `p.EvidenceAt, p.Ever = at, true`),
	fault(Peer, "relayed-age-ignored", "relayed evidence counts from its arrival",
		peerFile, "Node.takeRelayed", `if at := n.now - age; `, `if at := n.now; `),
	fault(Peer, "relayed-never", "relayed evidence does not make a peer live on",
		peerFile, "Node.takeRelayed", `!p.Ever || at > p.EvidenceAt {`, `!p.Ever {`),
	fault(Peer, "relayed-claims-kept", "claims that were passed on of an earlier life are kept for the next one",
		peerFile, "Node.takeRelayed", `p.RelayedFull, p.relayedClaims = false, nil`, `p.RelayedFull = p.RelayedFull && p.relayedClaims != nil`),
	fault(Peer, "old-relayed-claims", "claims that were passed on are kept when the peer itself answers again",
		peerFile, "Node.accept", `p.Relayed, p.RelayedFull, p.relayedClaims = evidence{}, false, nil`, `p.RelayedFull = p.RelayedFull || len(p.relayedClaims) > 0`),
	fault(Peer, "inc-not-above", "a node goes on under the number of its earlier life",
		peerFile, "Node.ages", `n.inc = a.Inc + 1`, `n.inc = a.Inc`),
	fault(Peer, "restart-not-counted", "restarts of a peer are not counted as returns",
		peerFile, "Node.accept", `p.Returns.add(n.now)`, ``),
	fault(Peer, "return-not-counted", "a peer that comes back from being taken for dead is not counted as returned",
		peerFile, "Node.expire", `p.Returns.add(n.now)`, ``),
	fault(Peer, "direct-by-relay", "a peer of which others tell counts as one that answers itself",
		peerFile, "Node.expire", `direct := p.Met && !p.Down && n.now-p.DirectAt < p.Stale`, `direct := p.Met && alive`),
	fault(Peer, "epoch-not-learnt", "the epochs of other owners are not learnt",
		peerFile, "Node.takeIn", `s.Epoch = max(s.Epoch, c.Epoch)`, ``),
	fault(Peer, "age-unit", "ages of claims are taken for microseconds",
		peerFile, "Node.takeIn", `Instant(c.Since)*Millisecond`, `Instant(c.Since)*Millisecond/1000`),
	fault(Peer, "drain-not-noticed", "that a peer drains is taken in only when it was not warm before",
		peerFile, "Node.accept", `if p.Warm != st.Warm || p.Leaving != st.Draining {`, `if p.Warm != st.Warm {`),
	fault(Peer, "no-decision-on-death", "the death of a peer leads to no decision before something else changes",
		peerFile, "Node.expire", "p.Alive = alive\n\t\t\tn.dirty, n.streamsDirty = true, true", "p.Alive = alive\n\t\t\tn.dirty, n.streamsDirty = n.dirty || alive, true"),
	fault(Peer, "awaited-answer-unnoticed", "a decision that waits for a peer's next answer is not taken when that comes",
		peerFile, "Node.accept", `n.awaited(p)`, ``),
	fault(Peer, "refused-as-silent", "a refused key is shown as silence",
		followerFile, "peer.Receive", `Why: Reason(m.Err)`, `Why: control.Unreachable`),
	fault(Peer, "error-swallowed", "a fetch that fails is not told to the control plane",
		followerFile, "peer.Receive", `ctx.Send(p.control, control.FetchFailed{Peer: p.cfg.Entry, ID: m.ID, Why: Reason(m.Err), Detail: m.Err.Error()})`, `_ = Reason(m.Err)`),
	fault(Peer, "hanging-fetch-kept", "fetches that hang are not given up, until the link is silent",
		linkFile, "Node.poll", `for len(l.Flights) > 0 &&`, `for len(l.Flights) > maxFlights &&`),
	fault(Peer, "late-answer-believed", "an answer counts however long ago it was asked for",
		linkFile, "Node.fetched", `if !ok || n.now-f.At >= l.cfg.Stale {`, `if !ok {`),
	fault(Peer, "nameless-counts", "a peer that has no name yet counts as having answered",
		linkFile, "Node.fetched", `l.Answered = l.Answered || !st.Naming`, `l.Answered = true`),
	fault(Peer, "failed-fetch-kept", "a fetch that failed counts as under way",
		linkFile, "Node.fetchFailed", "f, ok := l.end(e.ID)\n\tif !ok {\n\t\treturn\n\t}", "f := flight{At: n.now}"),
	fault(Peer, "returns-not-told", "a node is not told how often it was seen to return",
		linkFile, "Node.stateAsked", `a.Returns = p.Returns.count(n.now)`, `a.Returns = 0`),
	fault(Peer, "no-question-back", "a node that is asked by a peer that it does not hear waits for its next poll",
		linkFile, "Node.stateAsked", `l.Next = n.now`, `_ = l`),
	fault(Peer, "same-for-an-earlier-life", "a peer that has seen this version of an earlier life is told that nothing has changed",
		linkFile, "Node.stateAsked", `e.Seen.Instance == n.cfg.Instance && e.Seen.Inc == n.inc && e.Seen.Version`, `e.Seen.Instance == n.cfg.Instance && e.Seen.Version`),
	fault(Peer, "slow-polls", "polls come half as often as the file says",
		linkFile, "Node.poll", `l.cfg.Fetch*9/10`, `l.cfg.Fetch*19/10`),
	fault(Peer, "no-relayed-claims", "the claims of peers that are heard of only through others are not asked for",
		linkFile, "Node.indirect", `if p.Alive && !p.Direct {`, `if p.Alive && !p.Met {`),
	fault(Peer, "wrong-age", "a peer's age is told as the age of what others pass on of it",
		linkFile, "Node.stateAsked", `Age: ageMS(n.now, p.DirectAt)`, `Age: ageMS(n.now, p.EvidenceAt)`),
	fault(Peer, "difference-from-nothing", "a difference from a version that this node does not have is taken in",
		peerFile, "Node.body", `p.Seen.Version < st.Base) {`, `false) {`),
}
