package trust

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Link is a link to another node that may have keys of its own.
type Link struct {
	Name string
	Keys []string // its cluster keys, the newest first; none for the common ones

	// Accepted says that the other node may prove its keys here, as a peer does.
	Accepted bool
}

// A Keyring has the keys of the links of a node, and HTTP clients that prove them. A link may have several keys, so that they can be
// changed at one node after the other: each of them is accepted, and to the other node the one is proved that it took last, or
// else the newest that it takes. Any goroutine may use it.
type Keyring struct {
	base *http.Transport

	mu         sync.Mutex
	now        ring
	transports map[Keys]http.RoundTripper
	clients    map[string]*http.Client // by link
	taken      map[string]Keys         // by link: what the other node took last
}

// A ring is the keys at one time.
type ring struct {
	own      []Keys            // the common ones
	byLink   map[string][]Keys // where they are not the common ones
	accepted []Keys            // all that other nodes may prove here, the common ones first
}

// handshake is how long a node that is asked over https may take until TLS is set up.
const handshake = 10 * time.Second

// Dial opens the connections to other nodes, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// NewKeyring derives keys as [Keyring.Set] does. If dial is nil, a [net.Dialer] opens the connections; if roots is nil, the machine's
// authorities prove nodes that are asked over https. They are asked over HTTP/1, where each answer without end has a connection
// of its own.
func NewKeyring(common []string, links []Link, dial Dial, roots *x509.CertPool) *Keyring {
	k := &Keyring{
		transports: map[Keys]http.RoundTripper{}, clients: map[string]*http.Client{}, taken: map[string]Keys{},
		base: &http.Transport{
			DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}, TLSHandshakeTimeout: handshake,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
	}
	k.Set(common, links)
	return k
}

// Set puts other keys in the place of the former ones. They are derived, which takes a moment each. The newest key comes first.
// Without a common key the first key of a link that is accepted guards what belongs to no link.
func (k *Keyring) Set(common []string, links []Link) {
	next := ring{own: deriveAll(common), byLink: map[string][]Keys{}}
	var particular []Keys
	for _, l := range links {
		if len(l.Keys) == 0 || slices.Equal(l.Keys, common) {
			continue
		}
		keys := deriveAll(l.Keys)
		next.byLink[l.Name] = keys
		if l.Accepted {
			particular = append(particular, keys...)
		}
	}
	if len(next.own) == 0 && len(particular) > 0 {
		next.own = particular[:1]
	}
	for _, keys := range slices.Concat(next.own, particular) {
		if !slices.Contains(next.accepted, keys) {
			next.accepted = append(next.accepted, keys)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = next
}

func deriveAll(clusterKeys []string) (out []Keys) {
	for _, c := range clusterKeys {
		if keys := Derive(c); !keys.Zero() && !slices.Contains(out, keys) {
			out = append(out, keys)
		}
	}
	return out
}

// Own is the newest key that this node proves where no link has another; the zero Keys if there is none.
func (k *Keyring) Own() Keys {
	k.mu.Lock()
	defer k.mu.Unlock()
	return first(k.now.own)
}

// Of are the keys of a link, the newest first; the common ones for a name that has no others.
func (k *Keyring) Of(link string) []Keys {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.of(link)
}

func (k *Keyring) of(link string) []Keys {
	if keys, ok := k.now.byLink[link]; ok {
		return keys
	}
	return k.now.own
}

// Accepted are all keys that other nodes may prove here, the newest common one first. It must not be changed.
func (k *Keyring) Accepted() []Keys {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now.accepted
}

// Prove gives the keys to prove to the other node of a link, in the order in which they are tried. There is always one; it is zero
// if there are no keys.
func (k *Keyring) Prove(link string) []Keys {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys := slices.Clone(k.of(link))
	if at := slices.Index(keys, k.taken[link]); at > 0 {
		keys = slices.Insert(slices.Delete(keys, at, at+1), 0, k.taken[link])
	}
	if len(keys) == 0 {
		return []Keys{{}}
	}
	return keys
}

// took notes which key the other node of a link has taken.
func (k *Keyring) took(link string, keys Keys) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.taken[link] = keys
}

// Handler admits to next only requests that prove an accepted key, and proves every reply. Everybody else gets 401. [Proven] tells next
// which key it was. Requests and replies are held in memory to be hashed, 16 MB of each at most.
func (k *Keyring) Handler(next http.Handler, o Options) http.Handler {
	return newGate(k.Accepted, next, o)
}

// Transport proves the keys of a link.
func (k *Keyring) Transport(link string) http.RoundTripper { return k.Client(link).Transport }

// Client proves the keys of a link, and follows no redirect.
func (k *Keyring) Client(link string) *http.Client {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.clients[link] == nil {
		k.clients[link] = &http.Client{Transport: &linkTransport{k, link}, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a node does not send its peers elsewhere
		}}
	}
	return k.clients[link]
}

// transport proves one key.
func (k *Keyring) transport(keys Keys) http.RoundTripper {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.transports[keys] == nil {
		k.transports[keys] = keys.Transport(k.base)
	}
	return k.transports[keys]
}

// Base is what carries the requests, and proves nothing.
func (k *Keyring) Base() http.RoundTripper { return k.base }

// A linkTransport proves the keys of a link, one after the other until the other node takes one.
type linkTransport struct {
	ring *Keyring
	link string
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] through.
func (t *linkTransport) CloseIdleConnections() { t.ring.base.CloseIdleConnections() }

// RoundTrip implements [http.RoundTripper].
func (t *linkTransport) RoundTrip(r *http.Request) (res *http.Response, err error) {
	body, err := requestBody(r)
	if err != nil {
		return nil, err
	}
	for _, keys := range t.ring.Prove(t.link) {
		q := r.Clone(r.Context())
		if q.Body, q.ContentLength = http.NoBody, int64(len(body)); len(body) > 0 {
			q.Body = io.NopCloser(bytes.NewReader(body))
		}
		res, err = t.ring.transport(keys).RoundTrip(q)
		if err == nil {
			t.ring.took(t.link, keys)
		}
		if !errors.Is(err, ErrWrongKey) {
			return res, err
		}
	}
	return nil, err
}
