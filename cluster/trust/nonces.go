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
func (n *nonces) fresh(in nonce) bool {
	if !n.issued(in) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.unused(in)
}

// take uses a nonce up. It returns false if it is not fresh; of two who take the same one, one gets it.
func (n *nonces) take(in nonce) bool {
	if !n.issued(in) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.unused(in) {
		return false
	}
	serial := binary.BigEndian.Uint64(in[:8])
	n.used[serial%window/64] |= 1 << (serial % 64)
	return true
}

// issued checks the tag and the age, which no lock protects.
func (n *nonces) issued(in nonce) bool {
	want := in
	n.tag(&want)
	age := n.since(n.start) - time.Duration(binary.BigEndian.Uint64(in[8:16]))
	return hmac.Equal(want[:], in[:]) && age <= lifetime
}

// unused looks the bit up; n.mu is held and the tag is good, so the serial number is below n.next.
func (n *nonces) unused(in nonce) bool {
	serial := binary.BigEndian.Uint64(in[:8])
	return n.next-serial <= window && n.used[serial%window/64]&(1<<(serial%64)) == 0
}
