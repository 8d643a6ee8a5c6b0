package trust

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

var (
	// ErrWrongKey means that the peer has another key: it refused ours, or its proof is not made with ours.
	ErrWrongKey = errors.New("the peer has another cluster key")

	// ErrStale means that the peer found every nonce stale although it had just issued it. It says nothing about
	// keys.
	ErrStale = errors.New("the peer does not know its own nonces")

	// ErrUnproven means that the answer proves no key: the other side is no weir node or has no cluster key, or its
	// listener refused before the request reached the gate. The error's text has the status.
	ErrUnproven = errors.New("the answer carries no proof")
)

const (
	attempts   = 4 // one without a nonce or with a stale one, one with the fresh one, and that once more
	poolNonces = 8 // requests to one target that can be under way without a further refusal
	poolHosts  = 256
)

// Transport proves every request with k and accepts only replies that prove k too. A request is sent up to four times,
// when the peer restarted or no nonce of its is at hand, so its body is held in memory; 16 MB of body at most, of
// requests and of replies, except for endless replies, whose body is handed on as it comes and whose contents nothing
// vouches for. Headers are not covered by the proof.
//
// base must not decompress replies by itself; unless the request names an Accept-Encoding, "identity" is asked for.
// Nil means http.DefaultTransport. The errors are [ErrWrongKey], [ErrStale], [ErrUnproven] and those of base, wrapped.
func (k Keys) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{keys: k, base: base}
}

type transport struct {
	keys Keys
	base http.RoundTripper
	pool pool
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] through.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := requestBody(r)
	if err != nil {
		return nil, err
	}
	if t.keys.Zero() {
		return nil, fmt.Errorf("asking %s: no cluster key is set", r.URL.Host)
	}
	target := r.URL.Scheme + "://" + r.URL.Host
	n := t.pool.get(target)
	for range attempts {
		res, next, err := t.try(r, body, n)
		if err != nil {
			return nil, fmt.Errorf("asking %s: %w", r.URL.Host, err)
		}
		if res != nil {
			if next != nil {
				t.pool.put(target, *next)
			}
			return res, nil
		}
		if n != nil {
			t.pool.drop(target) // if one is stale, so are those issued before it
		}
		n = next
	}
	return nil, fmt.Errorf("asking %s: %w", r.URL.Host, ErrStale)
}

// try sends the request once, with a nonce of the peer's or nil. It returns the proved reply and the next nonce, or only the nonce with which to repeat
// it.
func (t *transport) try(r *http.Request, body []byte, n *nonce) (*http.Response, *nonce, error) {
	q := r.Clone(r.Context())
	q.Body, q.GetBody, q.ContentLength, q.TransferEncoding = nil, nil, 0, nil
	if q.Header.Get("Accept-Encoding") == "" {
		q.Header.Set("Accept-Encoding", "identity")
	}
	var p requestProof
	if n != nil {
		p = requestProof{nonce: *n, own: newOwn(), body: sha256.Sum256(body)}
		p.mac = p.sign(t.keys, cmp.Or(r.Method, http.MethodGet), r.URL.RequestURI())
		q.Header.Set(HeaderProof, p.String())
		if len(body) > 0 {
			q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
	} else {
		q.Header.Set(HeaderProof, version) // without the body, which the peer would not read
	}
	res, err := t.base.RoundTrip(q)
	if err != nil {
		return nil, nil, err
	}
	res.Request = r
	if res.StatusCode == http.StatusUnauthorized && res.Header.Get(HeaderProof) == "" {
		next, err := refusal(res)
		return nil, next, err
	}
	next, err := t.verify(res, p, n != nil)
	if err != nil {
		_ = res.Body.Close()
		return nil, nil, err
	}
	return res, next, nil
}

// refusal reads a 401 of the gate.
func refusal(res *http.Response) (*nonce, error) {
	_, _ = io.CopyN(io.Discard, res.Body, 4096) // so that the connection can be used again
	_ = res.Body.Close()
	switch why := res.Header.Get(HeaderTrust); why {
	case trustRefused:
		return nil, ErrWrongKey
	case trustNonce, trustStale:
		n, err := parseNonce(res.Header.Get(HeaderNonce))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnproven, err)
		}
		return &n, nil
	default:
		return nil, fmt.Errorf("%w: status %s", ErrUnproven, res.Status)
	}
}

// verify checks the proof of a reply and puts the body that it covers in the place of the one on the wire.
func (t *transport) verify(res *http.Response, p requestProof, issued bool) (*nonce, error) {
	kind, mac, err := parseReply(res.Header.Get(HeaderProof))
	if err != nil || !issued {
		return nil, fmt.Errorf("%w: status %s", ErrUnproven, res.Status)
	}
	hash := emptySum
	if kind == domainReply {
		body, err := readBody(res.Body)
		if err != nil {
			return nil, fmt.Errorf("reading the reply: %w", err)
		}
		_ = res.Body.Close()
		res.Body = io.NopCloser(bytes.NewReader(body))
		hash = sha256.Sum256(body)
	}
	nextText := res.Header.Get(HeaderNonce)
	want := replySum(t.keys, kind, p.mac, res.StatusCode, nextText, hash)
	if !hmac.Equal(want[:], mac[:]) {
		return nil, fmt.Errorf("%w: the proof of its reply is wrong", ErrWrongKey)
	}
	n, err := parseNonce(nextText)
	if err != nil {
		return nil, err
	}
	return &n, nil
}

func requestBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	defer func() { _ = r.Body.Close() }()
	body, err := readBody(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the body for %s: %w", r.URL.Host, err)
	}
	return body, nil
}

// A pool keeps the nonces that targets issued, the newest used first.
type pool struct {
	mu sync.Mutex
	by map[string][]nonce
}

// get takes a nonce of a target; nil if there is none.
func (p *pool) get(target string) *nonce {
	p.mu.Lock()
	defer p.mu.Unlock()
	have := p.by[target]
	if len(have) == 0 {
		return nil
	}
	n := have[len(have)-1]
	p.by[target] = have[:len(have)-1]
	return &n
}

func (p *pool) put(target string, n nonce) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[string][]nonce{}
	}
	have, ok := p.by[target]
	if !ok && len(p.by) >= poolHosts {
		clear(p.by) // each target's next request is refused once and goes on
	}
	if len(have) >= poolNonces {
		have = append(have[:0], have[1:]...)
	}
	p.by[target] = append(have, n)
}

func (p *pool) drop(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, target)
}
