package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// A Link is a link to another node that may have a key of its own.
type Link struct {
	Name string
	Key  string // the cluster key; empty for the common one

	// Accepted says that the other node may prove its key here, as a peer does.
	Accepted bool
}

// A Keyring has the keys of the links of a node, and HTTP clients that prove them. It is immutable.
type Keyring struct {
	own      Keys
	byLink   map[string]Keys // where it is not the common one
	accepted []Keys
	base     *http.Transport
	clients  map[Keys]*http.Client
}

// handshake is how long a node that is asked over https may take until TLS is set up.
const handshake = 10 * time.Second

// Dial opens the connections to other nodes, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// NewKeyring derives the keys, which takes a moment each. Without a common key the first key of a link that is accepted
// guards what belongs to no link. If dial is nil, a [net.Dialer] opens the connections; if roots is nil, the machine's authorities
// prove nodes that are asked over https. They are asked over HTTP/1, where each answer without end has a connection of its own.
func NewKeyring(common string, links []Link, dial Dial, roots *x509.CertPool) *Keyring {
	k := &Keyring{
		own: Derive(common), byLink: map[string]Keys{}, clients: map[Keys]*http.Client{},
		base: &http.Transport{
			DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}, TLSHandshakeTimeout: handshake,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
	}
	for _, l := range links {
		if l.Key == "" || l.Key == common {
			continue
		}
		keys := Derive(l.Key)
		k.byLink[l.Name] = keys
		if l.Accepted {
			k.accepted = append(k.accepted, keys)
		}
		k.add(keys)
	}
	if k.own.Zero() && len(k.accepted) > 0 {
		k.own = k.accepted[0]
	}
	k.add(k.own)
	return k
}

func (k *Keyring) add(keys Keys) {
	if k.clients[keys] == nil {
		k.clients[keys] = &http.Client{Transport: keys.Transport(k.base), CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a node does not send its peers elsewhere
		}}
	}
}

// Own is the key that this node proves where no link has another; the zero Keys if there is none.
func (k *Keyring) Own() Keys { return k.own }

// Of is the key of a link; the common one for a name that has no other.
func (k *Keyring) Of(link string) Keys {
	if keys, ok := k.byLink[link]; ok {
		return keys
	}
	return k.own
}

// Accepted are the keys, besides the common one, that other nodes may prove here.
func (k *Keyring) Accepted() []Keys { return k.accepted }

// Transport proves the key of a link.
func (k *Keyring) Transport(link string) http.RoundTripper { return k.Client(link).Transport }

// Client proves the key of a link, and follows no redirect.
func (k *Keyring) Client(link string) *http.Client { return k.clients[k.Of(link)] }

// Base is what carries the requests, and proves nothing.
func (k *Keyring) Base() http.RoundTripper { return k.base }
