package node

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"weir/actors"
	"weir/actors/stream"
	"weir/cluster/exchange"
	"weir/cluster/status"
)

// asksFigures is the kind of the question for the figures of streams.
const asksFigures = "figures"

// asksRestart is the kind of the question for a stream to begin anew.
const asksRestart = "restart"

// answers are the questions of other nodes that this node answers over HTTP.
func (n *Node) answers() http.Handler {
	answers := exchange.Answers{
		asksFigures: exchange.Answering(func(context.Context, struct{}) (map[string]status.Figures, error) {
			return n.reporter.status.Figures(), nil
		}),
		asksRestart: exchange.Answering(func(_ context.Context, name string) (bool, error) {
			if _, is, ok := n.streams.Get(name); !ok || is.Role != stream.Capturing && is.Publisher == "" {
				return false, fmt.Errorf("this node does not capture %s", name)
			}
			n.restart(name)
			return true, nil
		}),
	}
	if n.settings != nil {
		maps.Copy(answers, n.settings.Answers())
	}
	return answers.Handler(n.group.keys.Accepted)
}

// restart begins the inputs of a stream of this node anew.
func (n *Node) restart(name string) { n.tree.send(actors.Streams, stream.Restart{Stream: name}) }

// restartAt asks another node to begin the inputs of a stream anew.
func (n *Node) restartAt(ctx context.Context, node, name string) error {
	a := n.exchanges()
	for _, p := range a.Peers() {
		if p.Name == node {
			_, err := exchange.Ask[bool](ctx, a, p, asksRestart, name)
			return err
		}
	}
	return fmt.Errorf("%s is no peer of this node", node)
}

// exchanges makes the asker, which asks other nodes over HTTP.
func (n *Node) exchanges() *exchange.Asker {
	return &exchange.Asker{Peers: n.otherNodes, Client: n.group.keys.Client, Keys: n.group.keys.Prove}
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
