package act

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Real is the [Env] of a node: the machine's clock, goroutines and randomness.
type Real struct {
	sys   *actor.ActorSystem
	boot  time.Time
	tree  *Tree
	event func(Event)
}

// NewReal makes the environment of the actors in sys. event may be nil.
func NewReal(sys *actor.ActorSystem, event func(Event)) *Real {
	if event == nil {
		event = func(Event) {}
	}
	return &Real{sys: sys, boot: time.Now(), tree: NewTree(), event: event}
}

// NewSystem makes an actor system that keeps protoactor's own log lines to warnings and worse.
func NewSystem(log *slog.Logger) *actor.ActorSystem {
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(atLeastWarn{log.Handler()}) }),
		actor.WithDeadLetterRequestLogging(false),
	)
}

type atLeastWarn struct{ slog.Handler }

func (h atLeastWarn) Enabled(c context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(c, l)
}

func (h atLeastWarn) WithAttrs(as []slog.Attr) slog.Handler {
	return atLeastWarn{h.Handler.WithAttrs(as)}
}

func (h atLeastWarn) WithGroup(name string) slog.Handler {
	return atLeastWarn{h.Handler.WithGroup(name)}
}

// Now implements [Env].
func (r *Real) Now() time.Duration { return time.Since(r.boot) }

// After implements [Env].
func (r *Real) After(d time.Duration, to *actor.PID, msg any) func() {
	t := time.AfterFunc(d, func() { r.sys.Root.Send(to, msg) })
	return func() { t.Stop() }
}

// Rand implements [Env].
func (r *Real) Rand() uint64 { return rand.Uint64() }

// Mailbox implements [Env].
func (r *Real) Mailbox() actor.MailboxProducer { return nil }

// Go implements [Env].
func (r *Real) Go(owner *actor.PID, run func(context.Context) error) *Task {
	return start(func(to *actor.PID, m any) { r.sys.Root.Send(to, m) }, owner, run)
}

// Event implements [Env].
func (r *Real) Event(e Event) { r.event(e) }

// Tree implements [Env].
func (r *Real) Tree() *Tree { return r.tree }
