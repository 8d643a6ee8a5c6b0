// Package identity makes streams virtual actors of protoactor's cluster: stream/NAME is found, from any node, on the
// node that owns the stream now. It holds the ClusterProvider and the IdentityLookup, which hold nothing but the last
// [View] that the control plane published, and the secured boot of protoactor's remote.
//
// It decides neither who is alive nor who owns what, activates nothing and blocks for nobody; protoactor's gossip,
// pubsub and activator are never started.
package identity

import (
	"net"
	"net/url"
	"slices"
	"strconv"

	"github.com/asynkron/protoactor-go/actor"

	"weir/cluster/control"
)

// Kind is the kind of the virtual actors that streams are.
const Kind = "stream"

// streams is where the actors of streams live, on every node alike.
const streams = "node/streams/"

// StreamID is the id of the actor of a stream, the same on every node.
func StreamID(name string) string { return streams + url.PathEscape(name) }

// A Member is a live node.
type Member struct {
	Name string

	// Addr is where its remote listens, "host:port" exactly as it advertises it; empty while nobody knows. A member
	// without address owns streams but cannot be asked.
	Addr string

	// SysID is its ActorSystem.ID, new with each start of the process.
	SysID string

	// Gen counts, on this node alone, how often the member came back from being taken for dead or under a new SysID.
	// protoactor never again speaks to a member that has left, so a member that returns must be a new one to it.
	Gen int
}

// A View is what the control plane believes at one moment. It is immutable once published.
type View struct {
	Self    string
	Members []Member          // the live nodes, this one included
	Owner   map[string]string // the node that captures a stream
}

// find gives the actor of a stream, or nil if no node that can be asked owns it. No View finds any.
func (v *View) find(stream string) *actor.PID {
	if v == nil {
		return nil
	}
	owner := v.Owner[stream]
	i := slices.IndexFunc(v.Members, func(m Member) bool { return m.Name == owner && m.asked() })
	if i < 0 {
		return nil
	}
	return actor.NewPID(v.Members[i].Addr, StreamID(stream))
}

// asked says whether a member can be asked.
func (m Member) asked() bool {
	_, _, ok := splitAddr(m.Addr)
	return ok
}

func splitAddr(addr string) (host string, port int, ok bool) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return "", 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, int(n), err == nil && n > 0
}

// ViewOf is what the identities need of the control plane's view. Self is this node, but for its name.
func ViewOf(v *control.View, self Member) *View {
	self.Name = v.Self
	i := &View{Self: v.Self, Owner: make(map[string]string, len(v.Streams)), Members: []Member{self}}
	for _, p := range v.Peers {
		if p.Alive {
			i.Members = append(i.Members, Member{Name: p.Name, Addr: p.Advert.Remote, SysID: p.Advert.SysID, Gen: int(p.Generation)})
		}
	}
	for _, s := range v.Streams {
		if s.Owner != "" {
			i.Owner[s.Name] = s.Owner
		}
	}
	return i
}
