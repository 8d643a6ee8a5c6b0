package stream

import (
	"context"
	"sync"

	"weir/protocols/listen"
)

// Published answers [Publish].
type Published struct {
	Publication listen.Publication
	Err         error
}

// An Offer is where the answer to a [Publish] goes. Whoever asked may give up waiting, and then no publication is left
// open that nobody knows of.
type Offer struct {
	answer chan Published

	mu        sync.Mutex
	abandoned bool
}

// NewOffer returns an offer for one question.
func NewOffer() *Offer { return &Offer{answer: make(chan Published, 1)} }

// Wait returns the answer, or the context's error when that ends before there is one.
func (o *Offer) Wait(ctx context.Context) (Published, error) {
	select {
	case p := <-o.answer:
		return p, nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case p := <-o.answer: // it came at the last moment
		return p, nil
	default:
		o.abandoned = true
		return Published{}, ctx.Err()
	}
}

// give answers, and closes the publication again if nobody waits for it. It does not block.
func (o *Offer) give(p Published) {
	o.mu.Lock()
	abandoned := o.abandoned
	if !abandoned {
		o.answer <- p
	}
	o.mu.Unlock()
	if abandoned && p.Publication != nil {
		p.Publication.Close()
	}
}
