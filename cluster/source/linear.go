package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/input"
	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/linear"
	"weir/codecs/reception"
	"weir/protocols/pull"
)

func openPattern(o *Opener, in Input) (input.Source, error) {
	c, err := fake.Parse(in.Query)
	if err != nil {
		return nil, err
	}
	return &channel{clock: o.Clock, open: func(reception.Report) (linear.Timeline, io.Closer, error) {
		p, err := fake.New(c)
		return p, nil, err
	}}, nil
}

func openFile(o *Opener, in Input) (input.Source, error) {
	return &channel{clock: o.Clock, open: func(report reception.Report) (linear.Timeline, io.Closer, error) {
		f, err := pull.OpenFile(in.Root, in.File, in.Program)
		if err != nil {
			return nil, nil, err
		}
		f.Report.Tell(report)
		p, err := linear.NewProgram(f.Clip)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("playing %s: %w", in.File, err), f.Close())
		}
		return p, f, nil
	}}, nil
}

var errNotOpen = errors.New("the input is not open")

// A channel is the source of a linear channel, that is a file or the test pattern.
type channel struct {
	open  func(reception.Report) (linear.Timeline, io.Closer, error)
	clock pull.Clock

	mu       sync.RWMutex
	timeline linear.Timeline
	closer   io.Closer
}

var (
	_ input.Source = (*channel)(nil)
	_ input.Linear = (*channel)(nil)
)

// Start implements [input.Source].
func (c *channel) Start(env act.Env, owner *actor.PID, w input.Writer) *act.Task {
	return env.Go(owner, func(ctx context.Context) error {
		t, closer, err := c.open(w)
		if err != nil {
			return err
		}
		c.set(t, closer)
		return pull.Play(ctx, t, 0, c.clock, w)
	})
}

// set makes segments come from a newly opened timeline. The file of a timeline stays open after the input has ended, because its
// segments may still be requested. It is closed when the input is opened again.
func (c *channel) set(t linear.Timeline, closer io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closer != nil {
		_ = c.closer.Close() // the file was only read
	}
	c.timeline, c.closer = t, closer
}

// Backfill implements [input.Linear].
func (c *channel) Backfill(msn int64) ([]*codecs.AccessUnit, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.timeline == nil {
		return nil, errNotOpen
	}
	return c.timeline.Segment(msn)
}

// SegmentAt implements [input.Linear].
func (c *channel) SegmentAt(ticks int64) int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.timeline == nil {
		return 0
	}
	return c.timeline.SegmentAt(ticks)
}

// Longest implements [input.Linear].
func (c *channel) Longest() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.timeline == nil {
		return 0
	}
	return c.timeline.Longest()
}
