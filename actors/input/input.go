// Package input holds the actor that runs one input of one stream: a file, a camera, another node.
//
// When the input fails it restarts alone, with back-off; its stream and the viewers wait for it. It does not know the
// other inputs of the stream. Which of them is active is decided by their [hub.Writer]s and by the stream's core.
package input

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/codecs"
	"weir/codecs/reception"
)

// A Source is where an input's media comes from. It is injected, so that the actor itself opens nothing.
type Source interface {
	// Start begins to write media to w and returns at once. How it ended reaches owner as [act.Ended].
	Start(env act.Env, owner *actor.PID, w Writer) *act.Task
}

// A Writer takes the media of a source. An error of Write ends the source.
type Writer interface {
	codecs.Writer
	reception.Report

	// Rejoin says that what follows comes from elsewhere than what was written before. newest is the DTS of the last
	// access unit that viewers have, so that it can follow from there; ok is false if they have none.
	Rejoin() (newest int64, ok bool)
}

// Linear is a source whose media is a function of time: every node makes the same access units, and segments of the past can
// be made again. Any goroutine may call it.
type Linear interface {
	// Backfill returns the access units of the segment with that media sequence number; an error until the source has
	// been opened.
	Backfill(msn int64) ([]*codecs.AccessUnit, error)

	// SegmentAt returns the number of the segment on air at an instant in ticks; zero until the source has been opened.
	SegmentAt(ticks int64) int64

	// Longest is the length in ticks that no segment exceeds; zero until the source has been opened.
	Longest() int64
}

// Run is a source that blocks while it runs.
type Run func(ctx context.Context, w Writer) error

// Start implements [Source].
func (r Run) Start(env act.Env, owner *actor.PID, w Writer) *act.Task {
	return env.Go(owner, func(ctx context.Context) error { return r(ctx, w) })
}

// Config says what an input runs.
type Config struct {
	Index  int    // its place in the stream; given back in the messages to the parent
	URL    string // for errors
	Hub    *hub.Hub
	Source Source

	// Silence is how long no video may come, or no audio where there is no video, before the source counts as failed. Zero
	// means for ever.
	Silence time.Duration

	// Monitor watches the input; nil for none.
	Monitor *Monitor

	// Rank is as in [hub.WriterConfig].
	Rank int

	// Wall, if not nil, says that the source's timestamps have no fixed origin. They are shifted to the wall clock, which
	// Wall reads in ticks since the Unix epoch.
	Wall func() int64
}

// Messages of an input to its parent.
type (
	// Up says that viewers get the media of this input from now on.
	Up struct{ Index int }

	// Down says that the input has failed. It tries again by itself.
	Down struct {
		Index int
		Err   error
	}
)

// A Failure is why an input's source brings nothing more.
type Failure struct {
	URL string
	Err error // a [act.PanicError] if the source itself panicked
}

func (f *Failure) Error() string { return "input " + f.URL + ": " + f.Err.Error() }

// Unwrap gives the error behind it.
func (f *Failure) Unwrap() error { return f.Err }

// Expected implements [act.Expected]: all failures of sources are but panics.
func (f *Failure) Expected() bool { return !act.Panicked(f.Err) }

// ErrSilent is the failure of an input whose source is connected and brings no media.
var ErrSilent = errors.New("no media")

var errEnded = errors.New("the source has ended")

// looks is how often the source is looked at within the time in which it may be silent.
const looks = 8

// taken says that the writer of that incarnation has taken over.
type taken struct{ w *hub.Writer }

// check is the watch for silence of the incarnation that owns the writer.
type check struct{ w *hub.Writer }

// Props describes the input. When its source ends without having been stopped, the input has failed, and its parent
// restarts it.
func Props(env act.Env, c Config) *actor.Props {
	return act.Props(env, "input", func() actor.Actor { return &input{env: env, cfg: c} })
}

type input struct {
	env    act.Env
	cfg    Config
	writer *hub.Writer
	count  *counted
	task   *act.Task
	seen   uint64
	silent int // looks in a row that saw nothing new
}

// Receive implements [actor.Actor].
func (i *input) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		i.start(ctx)
	case taken:
		if m.w == i.writer {
			i.env.Tree().Note(ctx.Self().Id, "running "+i.cfg.URL)
			ctx.Send(ctx.Parent(), Up{i.cfg.Index})
		}
	case check:
		if m.w == i.writer {
			i.watch(ctx)
		}
	case act.Ended:
		if m.Task == i.task {
			i.fail(ctx, m.Err)
		}
	case *actor.Stopping, *actor.Restarting:
		i.release()
	}
}

func (i *input) start(ctx actor.Context) {
	i.env.Tree().Note(ctx.Self().Id, "starting "+i.cfg.URL)
	root, self := ctx.ActorSystem().Root, ctx.Self()
	var w *hub.Writer
	w = i.cfg.Hub.NewWriter(hub.WriterConfig{Rank: i.cfg.Rank, Loose: i.cfg.Wall != nil, Taken: func() { root.Send(self, taken{w}) }})
	i.writer = w
	i.count = &counted{Monitor: i.cfg.Monitor, writer: w}
	if i.count.Monitor == nil {
		i.count.Monitor = NewMonitor(i.env.Now, func(Change) {})
	}
	i.count.Begin()
	if i.cfg.Wall != nil {
		i.count.anchor = &anchor{wall: i.cfg.Wall}
	}
	i.task = i.cfg.Source.Start(i.env, self, i.count)
	i.rewatch(ctx)
}

func (i *input) rewatch(ctx actor.Context) {
	if i.cfg.Silence > 0 {
		i.seen = i.count.n.Load()
		i.env.After(i.cfg.Silence/looks, ctx.Self(), check{i.writer})
	}
}

// watch counts how often in a row nothing has come from which viewers can see something: pictures of which none is one to start from
// count as nothing.
func (i *input) watch(ctx actor.Context) {
	c, reason := i.count.Look()
	if i.count.n.Load() != i.seen && c != reception.NoKeyPicture {
		i.silent = 0
	} else if i.silent++; i.silent >= looks {
		err := fmt.Errorf("%w for %s", ErrSilent, i.cfg.Silence)
		if c != 0 && c != reception.NoMedia {
			err = fmt.Errorf("%w: %s", err, reason)
		}
		i.fail(ctx, err)
	}
	i.rewatch(ctx)
}

// fail tells the parent and panics, so that supervision restarts the input. An input whose source ended because another
// input took over has not failed: it waits to be stopped.
func (i *input) fail(ctx actor.Context, err error) {
	if errors.Is(err, hub.ErrReplaced) || errors.Is(err, hub.ErrClosed) {
		i.env.Tree().Note(ctx.Self().Id, "replaced")
		return
	}
	if err == nil {
		err = errEnded
	}
	err = &Failure{i.cfg.URL, err}
	ctx.Send(ctx.Parent(), Down{i.cfg.Index, err})
	i.release() // others need not wait for this one to be restarted
	panic(err)
}

func (i *input) release() {
	if i.task != nil {
		i.task.Stop()
	}
	if i.writer != nil {
		i.writer.Close()
	}
}
