package node

import (
	"net/http"
	"sync/atomic"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/trust"
)

// A keyring is the keys of the links to peers, and the connections that prove them. It is immutable.
type keyring struct {
	own     trust.Keys
	byEntry map[string]trust.Keys // of peers that have a key of their own
	extra   []trust.Keys
	base    *http.Transport
	rounds  map[trust.Keys]http.RoundTripper
	clients map[trust.Keys]*http.Client
}

// newKeyring derives the keys, which takes a moment each.
func newKeyring(f *conf.File) *keyring {
	k := &keyring{
		byEntry: map[string]trust.Keys{}, rounds: map[trust.Keys]http.RoundTripper{}, clients: map[trust.Keys]*http.Client{},
		base: &http.Transport{
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 0, DisableCompression: true,
		},
	}
	if f.ClusterKey != "" {
		k.own = trust.Derive(f.ClusterKey)
	}
	for _, p := range f.Peers {
		if p.ClusterKey != "" && p.ClusterKey != f.ClusterKey {
			keys := trust.Derive(p.ClusterKey)
			k.byEntry[entry(p)] = keys
			k.extra = append(k.extra, keys)
			k.add(keys)
		}
	}
	for _, s := range f.Sources {
		if s.ClusterKey != "" && s.ClusterKey != f.ClusterKey {
			keys := trust.Derive(s.ClusterKey)
			k.byEntry[sourceKey(s.Name)] = keys
			k.add(keys)
		}
	}
	if k.own.Zero() && len(k.extra) > 0 {
		// Every link has a key of its own; this one guards what belongs to none.
		k.own = k.extra[0]
	}
	k.add(k.own)
	return k
}

// sourceKey is what the key of the link to a source is kept under.
func sourceKey(name string) string { return "source " + name }

func (k *keyring) add(keys trust.Keys) {
	if k.rounds[keys] == nil {
		k.rounds[keys] = keys.Transport(k.base)
		k.clients[keys] = &http.Client{Transport: k.rounds[keys], CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a node does not send its peers elsewhere
		}}
	}
}

// of is the key of the link to the peer behind an entry.
func (k *keyring) of(entry string) trust.Keys {
	if keys, ok := k.byEntry[entry]; ok {
		return keys
	}
	return k.own
}

func (k *keyring) others() []trust.Keys { return k.extra }

func (k *keyring) transport(entry string) http.RoundTripper { return k.rounds[k.of(entry)] }

func (k *keyring) client(entry string) *http.Client { return k.clients[k.of(entry)] }

// viewHolder gives the control plane's newest view to goroutines beside the actors.
type viewHolder struct{ p atomic.Pointer[control.View] }

func (h *viewHolder) set(v *control.View) { h.p.Store(v) }
func (h *viewHolder) get() *control.View  { return h.p.Load() }
