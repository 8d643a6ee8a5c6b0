package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/cluster/conf"
	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/linear"
	"weir/protocols/pull"
	"weir/protocols/relay"
	"weir/protocols/rtmp"
	"weir/protocols/rtsp"
)

var errNotOpen = errors.New("the input is not open")

// channel is the source of a linear channel: a file or the test pattern.
type channel struct {
	open  func() (linear.Timeline, io.Closer, error)
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
		t, closer, err := c.open()
		if err != nil {
			return err
		}
		c.set(t, closer)
		return pull.Play(ctx, t, 0, c.clock, w)
	})
}

// set makes a newly opened timeline the one that segments are made of. Where it comes from stays open after the input
// has ended, since segments may still be asked for, until it is opened again.
func (c *channel) set(t linear.Timeline, closer io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closer != nil {
		_ = c.closer.Close() // it was only read
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

// source makes the source of a configured input; nil for publish://, which a session brings.
func (n *Node) source(f *conf.File, name string, in conf.Input) (input.Source, error) {
	clock := n.cfg.Outside.Clock
	switch in.Scheme {
	case "publish":
		return nil, nil
	case "fake":
		_, query, _ := strings.Cut(in.URL, "?")
		c, err := fake.Parse(query)
		if err != nil {
			return nil, fmt.Errorf("%s: input %s: %w", in.Pos, in.URL, err)
		}
		return &channel{clock: clock, open: func() (linear.Timeline, io.Closer, error) {
			p, err := fake.New(c)
			return p, nil, err
		}}, nil
	case "file":
		vod := f.Vod(in.Location)
		if vod == nil {
			return nil, fmt.Errorf("%s: input %s: there is no `vod %s`", in.Pos, in.URL, in.Location)
		}
		return &channel{clock: clock, open: func() (linear.Timeline, io.Closer, error) {
			return openFile(vod.Root, in.File, n.log)
		}}, nil
	}
	if in.Scheme == sourceScheme {
		return n.restream(name), nil
	}
	if in.Address != "" {
		return n.pull(name, in), nil
	}
	return nil, fmt.Errorf("%s: input %s: the scheme is not supported", in.Pos, in.URL)
}

// connecting is how long a server of a pulled input may take for each answer.
const connecting = 10 * time.Second

// pull makes the source of an input that is pulled from a server.
func (n *Node) pull(name string, in conf.Input) input.Source {
	agent := "weir/" + n.cfg.Build
	note := func(what string) {
		n.log.Info("input", slog.String("stream", name), slog.String("input", in.Shown()), slog.String("note", what))
	}
	o := pull.Options{Connect: connecting, Silence: in.SourceTimeout, Agent: agent, Note: note}
	scheme, _, _ := strings.Cut(in.Address, "://")
	return input.Run(func(ctx context.Context, w input.Writer) error {
		switch scheme {
		case "rtmp", "rtmps":
			return rtmp.Pull(ctx, in.Address, rtmp.ClientConfig{Timeout: connecting, Silence: in.SourceTimeout}, note, w)
		case "rtsp", "rtsps":
			return rtsp.Pull(ctx, in.Address, rtsp.PullConfig{Timeout: connecting, Agent: agent, Note: note}, w)
		}
		switch in.Form {
		case conf.HLS:
			return pull.HLS(ctx, in.Address, o, w)
		case conf.FLV:
			return pull.FLV(ctx, in.Address, o, w)
		default:
			return pull.TS(ctx, in.Address, o, w)
		}
	})
}

func openFile(root, name string, log *slog.Logger) (linear.Timeline, io.Closer, error) {
	f, err := pull.OpenFile(root, name)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range f.Notes {
		log.Info("file", slog.String("file", name), slog.String("note", n))
	}
	p, err := linear.NewProgram(f.Clip, 0)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("playing %s: %w", name, err), f.Close())
	}
	return p, f, nil
}

// relaySilence is how long a relay may bring nothing before its peer is asked anew; nodes send a keep-alive each second.
const relaySilence = 2500 * time.Millisecond

// relayPause is the pause after a relay ended whose peer is still said to have the stream.
const relayPause = 200 * time.Millisecond

// follow is the source of a stream that another node captures: it goes wherever the directory says the stream is, and
// on to the next node when that changes.
func (n *Node) follow(stream string) input.Source {
	return input.Run(func(ctx context.Context, w input.Writer) error {
		level := slog.LevelInfo // of what is logged: the first of several failures in a row
		for {
			peer, private, err := n.await(ctx, stream)
			if err != nil {
				return err
			}
			if peer == "" {
				if done, err := n.fetch(ctx, stream, w); done {
					return err
				}
				continue
			}
			while, cancel := n.dir.While(ctx, stream, peer, private)
			url := relay.URL(private, stream, 1)
			if newest, ok := w.Rejoin(); ok { // whoever had the stream last may have been another node
				url = relay.After(url, newest)
			}
			heard := &heard{Writer: w}
			err = relay.Pull(while, n.relayTransport(peer), url, heard,
				relay.Options{Silence: relaySilence, Answer: n.hold() + relaySilence})
			moved := while.Err() != nil
			cancel()
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, hub.ErrReplaced), errors.Is(err, hub.ErrClosed):
				return err
			case moved:
				continue
			}
			if heard.yes {
				level = slog.LevelInfo
			}
			n.log.Log(ctx, level, "relay ended", slog.String("stream", stream), slog.String("peer", peer), slog.Any("err", err))
			level = slog.LevelDebug
			if err := n.cfg.Outside.Clock.Wait(ctx, relayPause); err != nil {
				return err
			}
		}
	})
}

// heard knows whether a relay has brought anything.
type heard struct {
	input.Writer
	yes bool
}

func (h *heard) Write(au *codecs.AccessUnit) error {
	h.yes = true
	return h.Writer.Write(au)
}
