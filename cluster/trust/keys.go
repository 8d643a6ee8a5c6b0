// Package trust lets nodes that share a cluster key prove it to each other: over HTTP by keyed hashes in both
// directions, over protoactor's remote by TLS with certificates derived from the key.
//
// It knows neither peers nor what they say to each other, and reads no configuration. The key itself is never sent in
// any form.
package trust

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/crypto/argon2"
)

// The cost of one derivation, and so of one guess at a key: argon2id with four passes over 32 MiB on one lane takes
// about 60 ms of one core. All nodes of a cluster must agree, so a change of any of these is a change of protocol.
const (
	passes    = 4
	memoryKiB = 32 << 10
	lanes     = 1

	// salt is public and the same everywhere: nodes share nothing but the key. It keeps tables made for other
	// programs from being of use.
	salt = "weir cluster key, version 1"
)

// Keys are what a cluster key becomes: a key for keyed hashes and a seed for signatures. Keys are comparable; the zero
// Keys stand for no key at all, refuse everybody and are refused by everybody. They never print themselves.
type Keys struct {
	mac  [sha256.Size]byte
	seed [ed25519.SeedSize]byte
}

var derived = struct {
	sync.Mutex
	keys map[string]Keys
}{keys: map[string]Keys{}}

// Derive makes the keys of a cluster key. It is slow on purpose, so the result is kept for the life of the process; a
// process sees as many keys as its configuration names, the edits of a running node included. The empty key gives the
// zero Keys. Any goroutine may call it; one derivation runs at a time.
func Derive(clusterKey string) Keys {
	if clusterKey == "" {
		return Keys{}
	}
	derived.Lock()
	defer derived.Unlock()
	k, ok := derived.keys[clusterKey]
	if !ok {
		k = derive(clusterKey)
		derived.keys[clusterKey] = k
	}
	return k
}

func derive(clusterKey string) Keys {
	root := argon2.IDKey([]byte(clusterKey), []byte(salt), passes, memoryKiB, lanes, sha256.Size)
	return Keys{mac: expand(root, "weir http mac"), seed: expand(root, "weir tls ed25519 seed")}
}

// expand gives 32 bytes of root for one purpose. HKDF-Expand (RFC 5869, 2.3) fails only beyond 255 hashes.
func expand(root []byte, purpose string) [32]byte {
	b, err := hkdf.Expand(sha256.New, root, purpose, sha256.Size)
	if err != nil {
		panic(err)
	}
	return [32]byte(b)
}

// Zero says whether k stands for no key.
func (k Keys) Zero() bool { return k == Keys{} }

// ID names the key in logs, pages and the state that nodes show each other, so that they can see whether they mean
// the same one. It gives nobody more than connecting to a node does: a way to check one guess per derivation.
func (k Keys) ID() string {
	if k.Zero() {
		return "none"
	}
	sum := digest(k, "weir key id v1")
	return hex.EncodeToString(sum[:4])
}

// Format keeps every verb of fmt from showing the keys.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("key " + k.ID())) }

// LogValue keeps slog from showing the keys.
func (k Keys) LogValue() slog.Value { return slog.StringValue("key " + k.ID()) }
