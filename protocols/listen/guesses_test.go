package listen

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestWrongSecretsAreSlowedDownPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Guesses{Every: time.Second, Burst: 5}
		guess := func(from string, right bool) (looked bool) {
			done, _ := g.Begin(t.Context(), netip.MustParseAddr(from))
			if done == nil {
				return false
			}
			done(right)
			return true
		}
		began := time.Now()
		for range 1000 {
			if !guess("192.0.2.1", true) {
				t.Fatal("a right secret is slowed down")
			}
		}
		for range 5 {
			guess("192.0.2.1", false)
		}
		if passed := time.Since(began); passed != 0 {
			t.Errorf("the first wrong secrets took %v", passed)
		}
		for range 10 {
			guess("192.0.2.1", false)
		}
		if passed := time.Since(began); passed != 10*time.Second {
			t.Errorf("ten more took %v, want a second each", passed)
		}
		began = time.Now()
		if !guess("192.0.2.2", false) || !guess("2001:db8::1", false) || time.Since(began) != 0 {
			t.Error("another address is slowed down")
		}
		for i := range 5 {
			guess(fmt.Sprintf("2001:db8::%d:1", i), false)
		}
		if time.Since(began) != time.Second {
			t.Errorf("addresses of one network took %v, want that they count as one", time.Since(began))
		}
		if !guess("192.0.2.1", true) || !guess("::ffff:192.0.2.1", false) {
			t.Error("an address that waits is not looked at")
		}
	})
}

func TestManyGuessesAtOnceAreNotLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Guesses{Every: time.Second, Burst: 5}
		looked := make(chan bool, 1000)
		for range cap(looked) {
			go func() {
				done, retry := g.Begin(t.Context(), netip.MustParseAddr("192.0.2.1"))
				if done != nil {
					done(false)
				} else if retry <= 0 {
					t.Error("no time is given after which to try again")
				}
				looked <- done != nil
			}()
		}
		n := 0
		for range cap(looked) {
			if <-looked {
				n++
			}
		}
		if n < 5 || n > 8 {
			t.Errorf("%d of %d secrets that came at once were looked at, want the burst and two seconds more", n, cap(looked))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if done, _ := g.Begin(ctx, netip.MustParseAddr("192.0.2.1")); done != nil {
			t.Error("a secret waits longer than its client")
		}
	})
}

func TestAddressesThatGuessAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Guesses{Every: time.Second, Burst: 2}
		a := netip.MustParseAddr("10.0.0.0")
		for range maxGuessers + 1000 {
			if done, _ := g.Begin(t.Context(), a); done != nil {
				done(false)
			}
			a = a.Next()
		}
		if n := len(g.turns); n > maxGuessers+1 {
			t.Errorf("%d addresses are kept, want %d at most", n, maxGuessers+1)
		}
	})
}
