package trust

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// ErrSealed is the error of a text that none of the keys has sealed.
var ErrSealed = errors.New("the text was not sealed with a cluster key of this node")

// Seal makes a text unreadable for whoever does not have the key. A sealed text can be sent again; the proof of the request that has it
// keeps others from doing so.
func (k Keys) Seal(text []byte) []byte {
	a := k.aead()
	nonce := make([]byte, a.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return a.Seal(nonce, nonce, text, nil)
}

// Open reads a text that was sealed with one of some keys, and returns that key too.
func Open(keys []Keys, sealed []byte) ([]byte, Keys, error) {
	for _, k := range keys {
		a := k.aead()
		if k.Zero() || len(sealed) < a.NonceSize() {
			continue
		}
		if text, err := a.Open(nil, sealed[:a.NonceSize()], sealed[a.NonceSize():], nil); err == nil {
			return text, k, nil
		}
	}
	return nil, Keys{}, ErrSealed
}

// aead is AES-256-GCM (NIST SP 800-38D) with a key of its own. With random nonces of 96 bits, a key may seal 2³² texts.
func (k Keys) aead() cipher.AEAD {
	key := expand(k.mac[:], "weir sealed texts v1")
	b, err := aes.NewCipher(key[:])
	if err != nil {
		panic(fmt.Errorf("trust: %w", err)) // the key has the right length
	}
	a, err := cipher.NewGCM(b)
	if err != nil {
		panic(fmt.Errorf("trust: %w", err)) // the block has the right length
	}
	return a
}
