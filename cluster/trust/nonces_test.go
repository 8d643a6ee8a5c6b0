package trust

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestNonceIsGoodOnce(t *testing.T) {
	n := newNonces()
	a := n.issue()
	if !n.fresh(a) || !n.take(a) {
		t.Fatal("a new nonce is not fresh")
	}
	if n.fresh(a) || n.take(a) {
		t.Error("a used nonce is fresh")
	}
	if newNonces().take(n.issue()) {
		t.Error("a nonce of another process is fresh")
	}
	b := n.issue()
	b[3] ^= 1
	if n.take(b) {
		t.Error("a changed nonce is fresh")
	}
}

func TestNonceStoreIsBoundedAndForgetsTheOldestOnly(t *testing.T) {
	n := newNonces()
	first, second := n.issue(), n.issue()
	for range window - 2 {
		n.mu.Lock() // what issue does, without the tag
		n.used[n.next%window/64] &^= 1 << (n.next % 64)
		n.next++
		n.mu.Unlock()
	}
	if !n.fresh(first) {
		t.Errorf("a nonce is stale before %d others were issued", window)
	}
	n.issue()
	if n.fresh(first) {
		t.Errorf("a nonce is fresh after %d others were issued", window)
	}
	if !n.take(second) {
		t.Error("the second nonce was forgotten with the first")
	}
	if got := len(n.used) * 8; got != window/8 {
		t.Errorf("the store takes %d bytes, want %d", got, window/8)
	}
	// The bit of the first nonce's slot belongs to a later one now, used or not.
	third := n.issue()
	if !n.take(third) || n.take(third) {
		t.Error("a nonce in a slot that was used before is not good once")
	}
}

func TestNonceDiesOfAge(t *testing.T) {
	n := newNonces()
	now := time.Duration(0)
	n.since = func(time.Time) time.Duration { return now }
	a, b := n.issue(), n.issue()
	now = lifetime
	if !n.take(a) {
		t.Errorf("a nonce is stale after %v", now)
	}
	now++
	if n.take(b) {
		t.Errorf("a nonce is fresh after %v", now)
	}
}

func TestOneOfManyTakersGetsTheNonce(t *testing.T) {
	n := newNonces()
	a := n.issue()
	var got atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if n.take(a) {
				got.Add(1)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d of 8 takers got the nonce, want 1", got.Load())
	}
}
