package control

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// A link is what a peer entry of the file leads to. Entries that lead to one node share its peer.
type link struct {
	linkState
	cfg      Peer
	peer     *peer     // never nil unless Self
	index    int       // in Node.links and Node.next
	question *Question // that was asked last; nil: none
}

// A linkState is the part of a [link] that does not follow from anything else.
type linkState struct {
	Self     bool   // it leads to this node
	Instance string // that answered last

	Tried    bool // a fetch has ended since boot
	Answered bool // since boot, or since this node overslept
	Why      FailReason
	Detail   string

	// Of a link whose process announces a name that another has: since when, when it did last if the name is this node's, and whether
	// this node stands aside for it.
	TakenSince, TakenAt Instant
	Aside               bool

	Last    Instant  // poll
	Flights []flight // under way, oldest first
	Refusal refusal
	News    bool // the next question says that this node has news
}

// A flight is a fetch that is under way.
type flight struct {
	ID uint64
	At Instant
}

// maxFlights is how many fetches of one peer may be under way, however soon they came one after the other. A fetch that hangs in a lost
// packet must not silence a link for the rest of S, so polls go on beside it. They go on beside that many as well, because a short
// outage takes all questions that were brought forward while it lasted; but only so often that at most as many again are added.
const maxFlights = 8

// room is when a further fetch may begin.
func (l *link) room() Instant {
	if len(l.Flights) < maxFlights {
		return math.MinInt64
	}
	return l.Last + l.cfg.Stale/maxFlights
}

// end takes a fetch off those that are under way.
func (l *link) end(id uint64) (flight, bool) {
	for i, f := range l.Flights {
		if f.ID == id {
			l.Flights = slices.Delete(l.Flights, i, i+1)
			return f, true
		}
	}
	return flight{}, false
}

// poll sends the fetches that are due, and finds out when the next one is.
func (n *Node) poll() {
	if n.now < n.pollAt {
		return
	}
	n.pollAt = never
	var question Question
	made := false
	for i, at := range n.next {
		if n.now < at {
			n.pollAt = min(n.pollAt, at)
			continue
		}
		l := n.links[i]
		for len(l.Flights) > 0 && n.now-l.Flights[0].At >= l.cfg.Stale {
			l.Flights = slices.Delete(l.Flights, 0, 1)
			l.Tried = true
		}
		if n.now < l.room() {
			n.next[i] = l.room()
			n.pollAt = min(n.pollAt, n.next[i])
			continue
		}
		if !made {
			question, made = Question{Want: n.indirect(), Late: n.late(), Doubt: n.doubts()}, true
		}
		question.Seen, question.Unlisted, question.News = l.peer.Seen, n.unseen(l.peer), l.News
		if question.Seen.List == "" {
			question.Seen.List = n.ownHash // most nodes of a group have one file
		}
		if l.question == nil || !l.question.equal(&question) {
			q := question
			l.question = &q
		}
		l.News = false
		n.fetchID++
		l.Flights = append(l.Flights, flight{n.fetchID, n.now})
		l.Last = n.now
		n.next[i] = n.now + max(1, l.cfg.Fetch*9/10+n.random.below(l.cfg.Fetch/5+1))
		n.pollAt = min(n.pollAt, n.next[i])
		n.do(Fetch{Peer: l.cfg.Entry, Place: i, ID: n.fetchID, Question: l.question, Timeout: l.cfg.Stale})
	}
}

// indirect returns the nodes whose claims an answer should tell too: those of which this node has only relayed evidence, and
// this node itself, as it was before its boot.
func (n *Node) indirect() []string {
	if !n.settled {
		return append(slices.Clone(n.unheard), n.self) // of which peers remember an earlier instance
	}
	return n.unheard
}

// none is a list of no names, which is not nil.
var none = []string{}

// late returns the nodes of which this node would like to know when others have heard them: a poll of them has brought nothing
// in time.
func (n *Node) late() []string {
	if n.silent == nil {
		n.silent = slices.Clone(n.peers)
		slices.SortFunc(n.silent, func(a, b *peer) int { return cmp.Compare(a.spoke(), b.spoke()) })
	}
	out := none
	for _, p := range n.silent {
		silent := n.now - p.DirectAt
		if p.Met && silent <= n.shortest {
			break
		}
		if !p.Met || silent > p.lateAfter() {
			out = append(out, p.Name)
		}
	}
	slices.Sort(out)
	return out
}

// hasten polls a link that has not answered yet again after a quarter of the interval, while the node is not warm: its peers
// are probably booting too.
func (n *Node) hasten(l *link) {
	if !n.warm && !l.Answered {
		n.hurry(l, n.now+l.cfg.Fetch/4)
	}
}

// linkAt returns the link of an entry, which is most likely at that place; nil if there is none.
func (n *Node) linkAt(entry string, place int) *link {
	if place < len(n.links) && n.links[place].cfg.Entry == entry {
		return n.links[place]
	}
	return n.entries[entry]
}

func (n *Node) fetched(e Fetched) {
	l := n.linkAt(e.Peer, e.Place)
	if l == nil {
		return // the entry was removed meanwhile
	}
	f, ok := l.end(e.ID)
	if !ok || n.now-f.At >= l.cfg.Stale {
		n.do(Note{Kind: NoteLate, Node: l.cfg.Entry})
		return
	}
	l.Tried = true
	if err := e.State.Check(); err != nil {
		why := Malformed
		if e.State != nil && e.State.V < minProtocol {
			why = Incompatible
		}
		l.Refusal.failed(f.At, why)
		n.refused(l, why, err.Error())
		return
	}
	st := e.State
	if st.Instance == n.cfg.Instance {
		n.foundSelf(l)
		return
	}
	p := n.identify(l, st)
	if p == nil {
		n.refuseName(l, st.Node)
		return
	}
	if l.Why != "" {
		l.Why, l.Detail = "", ""
		n.peersDirty, n.rejudge = true, true
	}
	if n.accept(p, st, f.At) {
		l.Instance = st.Instance // not that of an old answer, or its successor would look like a second node of its name
		p.RTT = n.now - f.At
		if f.At >= l.Refusal.BrokenAt {
			l.Refusal = refusal{}
		}
		n.testify(p, st, f.ID)
		n.ages(p, st)
	}
	l.Answered = l.Answered || !st.Naming
	n.hasten(l)
}

func (n *Node) fetchFailed(e FetchFailed) {
	l := n.entries[e.Peer]
	if l == nil {
		return
	}
	f, ok := l.end(e.ID)
	if !ok {
		return
	}
	l.Tried = true
	l.Refusal.failed(f.At, e.Why)
	n.refused(l, e.Why, e.Detail)
}

// refused keeps why a fetch brought nothing. It changes nothing else, so that a peer with a wrong key has no influence on what
// this node decides.
func (n *Node) refused(l *link, why FailReason, detail string) {
	if len(detail) > maxText {
		detail = detail[:maxText]
	}
	if l.Why != why {
		l.Why, n.rejudge = why, true
		if why == NameTaken {
			l.TakenSince = n.now
			n.do(Note{Kind: NoteNameTaken, Node: l.cfg.Entry, Detail: detail})
		}
		if why != Unreachable && why != ConnectionRefused {
			n.do(Note{Kind: NoteRefused, Node: l.cfg.Entry, Detail: string(why) + ": " + detail})
		}
		n.peersDirty = true
	}
	l.Detail = detail
	n.hasten(l)
}

// stateAsked answers a peer. Being asked is no evidence that the asker lives, but a reason to ask it at once.
func (n *Node) stateAsked(e StateAsked) {
	n.seq++
	if e.Question == nil {
		e.Question = new(Question)
	}
	st := e.Into
	if st == nil {
		st = new(State)
	}
	*st = State{
		Ages: st.Ages[:0], V: Protocol, Node: n.self, Instance: n.cfg.Instance, Inc: n.inc, Seq: n.seq,
		Naming: !n.named, Warm: n.warm, Draining: n.draining, Version: n.version, Load: n.load, Busy: n.busy,
		Aside: n.aside,
	}
	asker := n.peer(e.From)
	of := n.concerned(&e, asker)
	st.Ages = slices.Grow(st.Ages, len(of))
	for _, p := range of {
		doubt := slices.IndexFunc(e.Doubt, func(d Doubt) bool { return d.Node == p.Name && d.Node != e.From })
		if tells := p.Direct && e.asks(p.Name) || p.Name == e.From || doubt >= 0; !p.Met || !tells {
			continue
		}
		a := Age{Node: p.Name, Instance: p.Said.Instance, Inc: p.Said.Inc, Seq: p.Said.Seq, Age: ageMS(n.now, p.DirectAt)}
		if p.Name == e.From {
			a.Returns = p.Returns.count(n.now)
			if before := p.Forgotten[0]; before != "" && p.Said.Inc <= p.Highest {
				a.Instance, a.Inc, a.Seq = before, p.Highest, 0 // so that it goes above that, which other nodes remember
			}
		}
		if doubt >= 0 {
			a.Since = n.since(p, Instant(e.Doubt[doubt].Age)*Millisecond)
		}
		switch wanted := slices.Contains(e.Want, p.Name); {
		case wanted && p.Name == e.From:
			a.Claims = n.numberings()
		case wanted && p.Direct:
			a.Full = true
			a.Claims = make([]Claim, len(p.claims))
			for i, c := range p.claims {
				c.Supersedes = n.supersedes(c.supersessions()) // by the age of the claim as it was told
				c.Since = ageMS(n.now, c.since)
				if c.Media != nil {
					m := *c.Media
					m.Age += ageMS(n.now, c.asked)
					c.Media = &m
				}
				a.Claims[i] = c.Claim
			}
		}
		st.Ages = append(st.Ages, a)
	}
	if asker == nil && slices.Contains(e.Want, e.From) {
		st.Numberings = n.numberings()
	}
	st.Same = e.Seen.Instance == n.cfg.Instance && e.Seen.Inc == n.inc && e.Seen.Version == n.version
	if !st.Same {
		n.listOwn()
		n.sortStreams()
		st.Hash, st.Advert, st.ListHash = n.cfg.Hash, n.cfg.Advert, n.ownHash
		st.Channels = n.limits().Channels
		if e.Seen.List != n.ownHash {
			st.List = slices.Clone(n.own)
		}
		names := n.entryNames()
		if st.NamesHash = hashNames(names); e.Seen.Names != st.NamesHash {
			st.Names = names
		}
		st.Wants = n.ownWants()
		n.fillClaims(st, e.Seen)
	}
	n.do(Reply{Token: e.Token, State: st})
	n.askedBy(e.From, e.Unlisted)

	if asker != nil && asker.Direct && !e.News {
		return
	}
	for _, l := range n.links {
		unmet := !l.Self && !l.peer.Met && asker == nil
		if !l.Self && (unmet || l.peer == asker && !asker.Direct) && n.now-l.Last >= l.cfg.Fetch/4 {
			n.hurry(l, n.now)
		}
		if e.News && !l.Self && l.peer == asker {
			n.hurry(l, l.Last+hintPause)
		}
	}
}

// concerned returns the peers of which an answer may tell something, by name: the asker, and those that its question names.
func (n *Node) concerned(e *StateAsked, asker *peer) []*peer {
	if e.Late == nil { // it names none
		return n.peers
	}
	n.subjects = n.subjects[:0]
	add := func(name string) {
		if p := n.peer(name); p != nil {
			n.subjects = append(n.subjects, p)
		}
	}
	if asker != nil {
		n.subjects = append(n.subjects, asker)
	}
	for _, name := range e.Late {
		add(name)
	}
	for _, name := range e.Want {
		add(name)
	}
	for i := range e.Doubt {
		add(e.Doubt[i].Node)
	}
	if len(n.subjects) > 1 {
		slices.SortFunc(n.subjects, func(a, b *peer) int { return strings.Compare(a.Name, b.Name) })
		n.subjects = slices.Compact(n.subjects)
	}
	return n.subjects
}

// asks says whether the answer should tell when its node has heard a peer.
func (q *Question) asks(peer string) bool {
	return q.Late == nil || slices.Contains(q.Late, peer) || slices.Contains(q.Want, peer)
}

// entryNames tells which names the entries of the file lead to, as far as this node has met the nodes itself; of the other
// entries, that its file has them.
func (n *Node) entryNames() []EntryName {
	var out []EntryName
	for _, l := range n.links {
		switch {
		case l.Self:
			out = append(out, EntryName{Entry: l.cfg.Entry, Node: n.self, List: n.ownHash})
		case l.peer.Met && l.Instance != "":
			out = append(out, EntryName{Entry: l.cfg.Entry, Node: l.peer.Name, List: l.peer.ListKey})
		default:
			out = append(out, EntryName{Entry: l.cfg.Entry})
		}
	}
	return out
}
