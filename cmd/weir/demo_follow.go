package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"weir/protocols/api"
)

// A sight is what one node says of the cluster, as its API has it.
type sight struct {
	from    string
	Streams []api.Stream
	Peers   []api.Peer
}

// stream gives the stream of that name, or nil.
func (s sight) stream(name string) *api.Stream {
	i := slices.IndexFunc(s.Streams, func(st api.Stream) bool { return st.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Streams[i]
}

// lookTimeout limits one question to a node. A paused node accepts connections and answers nothing.
const lookTimeout = time.Second

// look asks one node.
func look(ctx context.Context, n demoNode) (sight, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	at := NodeAddr{Node: n.url()}
	s := sight{from: n.name}
	if _, err := at.fetch(ctx, stdio{}, "/streams", url.Values{"limit": {"1000"}}, &s); err != nil {
		return sight{}, err
	}
	_, err := at.fetch(ctx, stdio{}, "/cluster/peers", nil, &s)
	return s, err
}

// lookAny asks the nodes one after the other, beginning with the one called first, until one answers.
func lookAny(ctx context.Context, nodes []demoNode, first string) (sight, bool) {
	begin := max(0, slices.IndexFunc(nodes, func(n demoNode) bool { return n.name == first }))
	for i := range nodes {
		if s, err := look(ctx, nodes[(begin+i)%len(nodes)]); err == nil {
			return s, true
		}
	}
	return sight{}, false
}

// incomplete says what still keeps all streams from running where all nodes say they do; empty means nothing. There
// is one sight for each node.
func incomplete(sights []sight, streams []demoStream) string {
	for _, want := range streams {
		for _, s := range sights {
			st := s.stream(want.name)
			switch {
			case st == nil:
				return fmt.Sprintf("%s does not know the stream %s", s.from, want.name)
			case st.Error != "":
				return fmt.Sprintf("%s is %s: %s", want.name, st.State, st.Error)
			case want.published():
			case st.Owner == "" || st.State != "running":
				return fmt.Sprintf("%s is %s, as %s sees it", want.name, st.State, s.from)
			case st.Owner != sights[0].stream(want.name).Owner:
				return fmt.Sprintf("%s and %s do not agree who captures %s", sights[0].from, s.from, want.name)
			}
		}
	}
	return ""
}

// settling is how long a stream may be without owner before that is worth a line: usually the next node has taken it
// by then.
const settling = 2 * time.Second

// A follower turns what nodes say, one sight after the other, into lines about what has changed. It is a pure state
// machine.
type follower struct {
	paint   func(node string) string
	streams map[string]*followed
	peers   map[string]followedPeer
	deaf    bool // nobody answered last time
}

// A followed is what was last said about a stream.
type followed struct {
	owner    string // in the last line, or at the start
	failure  string
	orphaned time.Time // since when it has had no owner; zero if it has one, or if that was told
}

// A followedPeer is what was last said about a node.
type followedPeer struct {
	living   bool
	status   string
	instance string // of the process; empty until the node has said it
}

// newFollower begins with a sight that needs no lines. Paint colours the name of a node.
func newFollower(first sight, now time.Time, paint func(string) string) *follower {
	f := &follower{paint: paint, streams: map[string]*followed{}, peers: map[string]followedPeer{}}
	f.see(first, now)
	return f
}

// blind gives the lines for an instant at which no node answered.
func (f *follower) blind() []string {
	if f.deaf {
		return nil
	}
	f.deaf = true
	return []string{"no node answers"}
}

// see gives the lines for what a node says now.
func (f *follower) see(s sight, now time.Time) []string {
	var lines []string
	if f.deaf {
		lines = append(lines, f.paint(s.from)+" answers")
		f.deaf = false
	}
	for _, p := range s.Peers {
		if p.Name != "" {
			lines = append(lines, f.seePeer(p)...)
		}
	}
	for _, st := range s.Streams {
		lines = append(lines, f.seeStream(st, now)...)
	}
	return lines
}

// living are the states of a node that takes part; see [api.Peer].
var living = []string{"alive", "starting", "draining", "drifted"}

func (f *follower) seePeer(p api.Peer) []string {
	name := f.paint(string(p.Name))
	is := followedPeer{slices.Contains(living, p.Status), p.Status, p.Stats.ID}
	was, seen := f.peers[string(p.Name)]
	is.instance = cmp.Or(is.instance, was.instance)
	f.peers[string(p.Name)] = is
	switch {
	case !seen:
	case was.living && !is.living && is.status == "unauthorised":
		return []string{name + " is refused: it has another cluster key"}
	case was.living && !is.living:
		return []string{name + " silent"}
	case !was.living && is.living:
		return []string{name + " back"}
	case was.instance != is.instance && was.instance != "":
		return []string{name + " restarted"}
	case was.status != is.status && (is.status == "draining" || is.status == "drifted"):
		return []string{name + " " + is.status}
	}
	return nil
}

func (f *follower) seeStream(st api.Stream, now time.Time) []string {
	was, seen := f.streams[st.Name]
	if !seen {
		f.streams[st.Name] = &followed{owner: string(st.Owner), failure: st.Error}
		return nil
	}
	var lines []string
	switch owner := string(st.Owner); {
	case owner == "" && was.owner != "" && st.State == "waiting":
		lines = append(lines, fmt.Sprintf("%s: %s → nobody (waiting for a publisher)", st.Name, f.paint(was.owner)))
		*was = followed{failure: was.failure}
	case owner == "" && was.owner != "" && was.orphaned.IsZero():
		was.orphaned = now
	case owner == "" && was.owner != "" && now.Sub(was.orphaned) >= settling:
		lines = append(lines, fmt.Sprintf("%s: %s → nobody yet", st.Name, f.paint(was.owner)))
		*was = followed{failure: was.failure}
	case owner != "" && owner != was.owner:
		from := "nobody"
		if was.owner != "" {
			from = f.paint(was.owner)
		}
		lines = append(lines, fmt.Sprintf("%s: %s → %s (%s)", st.Name, from, f.paint(owner), f.why(st)))
		*was = followed{owner: owner, failure: was.failure}
	case owner != "":
		was.orphaned = time.Time{}
	}
	if st.Error != was.failure {
		if st.Error != "" {
			lines = append(lines, fmt.Sprintf("%s: %s: %s", st.Name, st.State, st.Error))
		}
		was.failure = st.Error
	}
	return lines
}

// why says for which reason a stream is where it is.
func (f *follower) why(st api.Stream) string {
	switch {
	case st.SpillOf != "":
		return fmt.Sprintf("%s of %s", st.Reason, f.paint(st.SpillOf))
	case st.Reason == "":
		return st.State
	}
	return string(st.Reason)
}
