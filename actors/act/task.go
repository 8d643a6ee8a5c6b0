package act

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"
)

// A Task is a goroutine that an actor owns. It ends by posting [Ended] to its owner.
type Task struct {
	// Stop asks the goroutine to end, by its context. It does not wait.
	Stop context.CancelFunc

	// Done is closed once the goroutine has returned and before Ended is posted.
	Done <-chan struct{}
}

// Ended tells an actor that a goroutine that it started has returned. The owner compares Task with the one that it holds,
// because a goroutine of an earlier incarnation posts to the same PID. On an error that it did not cause itself the owner
// panics, so that supervision restarts it.
type Ended struct {
	Task *Task
	Err  error // a [PanicError] if the goroutine panicked
}

// A PanicError is a panic of a goroutine, caught before it could end the process.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap gives the error that was panicked with, if it was one.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Panicked says whether err came from a panic rather than from a function that returned it.
func Panicked(err error) bool {
	var p *PanicError
	return errors.As(err, &p)
}

// start is the [Env.Go] of an environment with real goroutines.
func start(send func(*actor.PID, any), owner *actor.PID, run func(context.Context) error) *Task {
	c, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t := &Task{Stop: cancel, Done: done}
	go func() {
		err := protect(c, run)
		cancel()
		close(done)
		send(owner, Ended{t, err})
	}()
	return t
}

func protect(c context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{r, debug.Stack()}
		}
	}()
	return run(c)
}
