package trust

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

const (
	// window is how many nonces may be issued after one before it is stale, and the number of bits kept of them.
	// An asker without the key pushes a peer's nonce out of the window only by asking a million times between two of the
	// peer's polls, and the peer then repeats its request with a fresh nonce.
	window = 1 << 20

	// lifetime bounds for how long a request can be held back on its way and still be taken. It is longer than any poll
	// interval, and is measured by the answering node's monotonic clock alone.
	lifetime = 10 * time.Minute
)

// nonces issues numbers that are used once. A nonce carries its serial number, its age and a tag that only this
// process can make, so issuing one costs no memory. One bit is kept for each of the last window nonces, 128 KiB in all,
// allocated in full at the first use.
type nonces struct {
	secret [32]byte
	start  time.Time
	since  func(time.Time) time.Duration // time.Since, or a test's

	mu   sync.Mutex
	next uint64   // the serial number of the next nonce
	used []uint64 // ring of bits by serial number
}

func newNonces() *nonces {
	n := &nonces{start: time.Now(), since: time.Since}
	_, _ = rand.Read(n.secret[:]) // never fails
	return n
}

// issue makes a nonce.
func (n *nonces) issue() (out nonce) {
	n.mu.Lock()
	serial := n.next
	n.next++
	if n.used == nil {
		n.used = make([]uint64, window/64)
	}
	n.used[serial%window/64] &^= 1 << (serial % 64)
	n.mu.Unlock()

	binary.BigEndian.PutUint64(out[:8], serial)
	binary.BigEndian.PutUint64(out[8:16], uint64(n.since(n.start)))
	n.tag(&out)
	return out
}

// tag fills the second half of a nonce from the first.
func (n *nonces) tag(out *nonce) {
	t := digest(Keys{mac: n.secret}, "weir nonce v1", out[:16])
	copy(out[16:], t[:])
}

// fresh says whether in was issued by this process, lately enough, and has not been used.
func (n *nonces) fresh(in nonce) bool { return n.check(in, false) }

// take uses a nonce up. It returns false if it is not fresh; of two who take the same one, one gets it.
func (n *nonces) take(in nonce) bool { return n.check(in, true) }

// check says whether a nonce is fresh, and uses it up if it is and take says so.
func (n *nonces) check(in nonce, take bool) bool {
	want := in
	n.tag(&want)
	age := n.since(n.start) - time.Duration(binary.BigEndian.Uint64(in[8:16]))
	if !hmac.Equal(want[:], in[:]) || age > lifetime {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	serial := binary.BigEndian.Uint64(in[:8]) // below n.next, since the tag is good
	word, bit := &n.used[serial%window/64], uint64(1)<<(serial%64)
	if n.next-serial > window || *word&bit != 0 {
		return false
	}
	if take {
		*word |= bit
	}
	return true
}
