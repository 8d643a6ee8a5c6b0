package main

import (
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
