package node

import (
	"context"
	"maps"
	"net/http"

	"weir/cluster/exchange"
	"weir/cluster/status"
)

// asksFigures is the kind of the question for the figures of streams.
const asksFigures = "figures"

// answers are the questions of other nodes that this node answers over HTTP.
func (n *Node) answers() http.Handler {
	answers := exchange.Answers{
		asksFigures: exchange.Answering(func(context.Context, struct{}) (map[string]status.Figures, error) {
			return n.reporter.status.Figures(), nil
		}),
	}
	if n.settings != nil {
		maps.Copy(answers, n.settings.Answers())
	}
	return answers
}

// exchanges makes the asker, which asks other nodes over HTTP.
func (n *Node) exchanges() *exchange.Asker {
	return &exchange.Asker{Peers: n.otherNodes, Client: n.group.keys.Client}
}

// otherNodes are the other nodes of the group, as the control plane sees them.
func (n *Node) otherNodes() (peers []exchange.Peer) {
	v := n.View()
	if v == nil {
		return nil
	}
	for i := range v.Peers {
		p := &v.Peers[i]
		if p.Entry == "" || p.Name == v.Self {
			continue
		}
		peers = append(peers, exchange.Peer{Name: p.Name, Entry: p.Entry, URL: n.stateURL(p.Entry), Alive: p.Alive})
	}
	return peers
}

// otherFigures asks the live nodes for the figures of their streams.
func (n *Node) otherFigures(ctx context.Context) map[string]map[string]status.Figures {
	a := n.exchanges()
	var live []exchange.Peer
	for _, p := range a.Peers() {
		if p.Alive {
			live = append(live, p)
		}
	}
	out := map[string]map[string]status.Figures{}
	for _, said := range exchange.All[map[string]status.Figures](ctx, a, live, asksFigures, struct{}{}) {
		if said.Err == nil {
			out[said.Peer.Name] = said.Value
		}
	}
	return out
}
