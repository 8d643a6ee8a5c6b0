package listen

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// Guesses slows wrong secrets down, for each address on its own: after Burst of them, those that follow wait for their turn, one
// in each Every. A right secret costs nothing, but waits its turn too where the address has sent many wrong ones: whoever
// guesses must not learn sooner that a secret is right. The addresses of one IPv6 /64 count as one. Any goroutine may use it;
// a nil Guesses slows nothing down.
type Guesses struct {
	Every time.Duration
	Burst int

	mu    sync.Mutex
	turns map[netip.Addr]time.Time // when the next guess would be free if no burst were allowed
}

const (
	// maxGuessers bounds the addresses that are kept, each with about 100 bytes. What more addresses send counts as sent by one.
	maxGuessers = 10_000

	// guessPatience is how long a secret waits for its turn; one whose turn is later is not looked at.
	guessPatience = 2 * time.Second
)

// Begin waits for the turn of a secret from an address. Done is told whether the secret was right; it must be called. It is nil
// if the secret must not be looked at, because its turn is after retry, or ctx has ended.
func (g *Guesses) Begin(ctx context.Context, from netip.Addr) (done func(right bool), retry time.Duration) {
	if g == nil {
		return func(bool) {}, 0
	}
	at, wait := g.take(guesser(from), time.Now())
	if wait > guessPatience {
		return nil, wait
	}
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, wait
		}
	}
	return func(right bool) {
		if right {
			g.give(at)
		}
	}, 0
}

// take counts a guess, unless its turn is too late for it to wait.
func (g *Guesses) take(from netip.Addr, now time.Time) (at netip.Addr, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.turns[from]; !known && len(g.turns) >= maxGuessers {
		for a, turn := range g.turns {
			if turn.Before(now) {
				delete(g.turns, a)
			}
		}
		if len(g.turns) >= maxGuessers {
			from = netip.Addr{}
		}
	}
	if g.turns == nil {
		g.turns = map[netip.Addr]time.Time{}
	}
	turn := g.turns[from]
	if turn.Before(now) {
		turn = now
	}
	wait = turn.Sub(now) - time.Duration(g.Burst-1)*g.Every
	if wait <= guessPatience {
		g.turns[from] = turn.Add(g.Every)
	}
	return from, max(0, wait)
}

// give takes back a guess that was none.
func (g *Guesses) give(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if turn, ok := g.turns[from]; ok {
		g.turns[from] = turn.Add(-g.Every)
	}
}

// guesser is what stands for an address.
func guesser(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
