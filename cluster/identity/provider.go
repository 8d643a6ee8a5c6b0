package identity

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
)

// A Provider tells protoactor's cluster who its members are. It implements cluster.ClusterProvider, though it is fed
// by [Provider.Publish] and watches nothing by itself.
type Provider struct {
	c    *cluster.Cluster
	now  atomic.Pointer[View] // nil before the first Publish
	last string               // the members that protoactor was told last; touched by Publish only
}

// NewProvider makes a Provider for a cluster that is not booted by [Start]: the simulator's, whose network is not
// protoactor's remote. Bind must be called before the first Publish.
func NewProvider() *Provider { return &Provider{} }

// Bind sets the cluster that Publish feeds.
func (p *Provider) Bind(c *cluster.Cluster) { p.c = c }

// StartMember implements cluster.ClusterProvider.
func (p *Provider) StartMember(c *cluster.Cluster) error {
	p.Bind(c)
	return nil
}

// StartClient implements cluster.ClusterProvider; every node is a member.
func (p *Provider) StartClient(*cluster.Cluster) error {
	return errors.New("identity: a node is always a member")
}

// Shutdown implements cluster.ClusterProvider.
func (p *Provider) Shutdown(bool) error { return nil }

// Publish makes v what look-ups are answered from and tells protoactor of members that came and went, which closes the
// links to the latter. Only the control actor calls it, after each step that changed something; v and what it holds
// must not be changed afterwards. The handlers of protoactor's ClusterTopology event run within, and must not call the
// member list.
func (p *Provider) Publish(v *View) {
	old := p.now.Swap(v)
	if members, key := describe(v); key != p.last {
		p.last = key
		p.c.MemberList.UpdateClusterTopology(members)
	}
	if old == nil {
		return
	}
	for stream, owner := range old.Owner {
		if v.Owner[stream] != owner {
			p.c.PidCache.Remove(stream, Kind)
		}
	}
}

// describe lists the members in protoactor's terms, and as one string for comparison. A peer's id carries its
// generation, since protoactor blocks the ids of those who left for ever; this node never leaves and keeps its own.
func describe(v *View) (cluster.Members, string) {
	var ms cluster.Members
	var key strings.Builder
	for _, m := range v.Members {
		host, port, ok := splitAddr(m.Addr)
		if !ok {
			continue
		}
		id := m.SysID
		if m.Name != v.Self {
			id += "#" + strconv.Itoa(m.Gen)
		}
		ms = append(ms, &cluster.Member{Id: id, Host: host, Port: int32(port), Kinds: []string{Kind}})
		key.WriteString(id + "@" + m.Addr + " ")
	}
	return ms, key.String()
}

// advertised says whether an address is one that a live member advertises.
func (p *Provider) advertised(addr string) bool {
	v := p.now.Load()
	return v != nil && slices.ContainsFunc(v.Members, func(m Member) bool { return m.Addr == addr && m.asked() })
}

// A Lookup answers which actor a stream is, from the Provider's last View and without waiting. It implements
// cluster.IdentityLookup.
type Lookup struct{ P *Provider }

// Get implements cluster.IdentityLookup. Nil means that nobody owns the stream, or nobody who can be asked: wait for
// control, do not spin.
func (l Lookup) Get(ci *cluster.ClusterIdentity) *actor.PID {
	if ci.Kind != Kind {
		return nil
	}
	return l.P.now.Load().find(ci.Identity)
}

// RemovePid implements cluster.IdentityLookup; the View alone says where a stream is.
func (Lookup) RemovePid(*cluster.ClusterIdentity, *actor.PID) {}

// Setup implements cluster.IdentityLookup.
func (Lookup) Setup(*cluster.Cluster, []string, bool) {}

// Shutdown implements cluster.IdentityLookup.
func (Lookup) Shutdown() {}
