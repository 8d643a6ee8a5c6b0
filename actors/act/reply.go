package act

import (
	"context"
	"sync"
)

// A Reply carries an actor's answer to a question from a goroutine beside the actors. The goroutine may stop waiting; the
// actor is then told that its answer was not taken.
type Reply[T any] struct {
	answer chan T
	take   func(T) // instead of answer

	mu        sync.Mutex
	abandoned bool
}

// NewReply returns the reply to one question.
func NewReply[T any]() *Reply[T] { return &Reply[T]{answer: make(chan T, 1)} }

// ReplyFunc returns the reply to a question of a caller that cannot wait: take is called with the answer, by the actor that
// gives it.
func ReplyFunc[T any](take func(T)) *Reply[T] { return &Reply[T]{take: take} }

// Wait returns the answer, or the context's error when that ends before there is one.
func (r *Reply[T]) Wait(ctx context.Context) (T, error) {
	select {
	case a := <-r.answer:
		return a, nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case a := <-r.answer: // it came at the last moment
		return a, nil
	default:
		r.abandoned = true
		var none T
		return none, ctx.Err()
	}
}

// Give answers. It does not block. It returns false if the answer is not waited for any more: the actor then has to undo
// what it gave. It is called once.
func (r *Reply[T]) Give(a T) (taken bool) {
	if r.take != nil {
		r.take(a)
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.abandoned {
		return false
	}
	r.answer <- a
	return true
}
