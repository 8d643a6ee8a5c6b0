package source

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"weir/actors/hub"
	"weir/actors/input"
	"weir/cluster/directory"
	"weir/codecs"
	"weir/protocols/relay"
)

const (
	// relaySilence is how long a relay may bring nothing before its node is asked anew; nodes send a keep-alive each
	// second.
	relaySilence = 2500 * time.Millisecond

	// relayPause is the pause after a relay has ended whose node is still said to have the stream.
	relayPause = 200 * time.Millisecond
)

// External streams are those that servers outside the cluster have, and that are fetched without an owner in the cluster.
type External interface {
	// Expecting is closed when a stream is expected that was not before.
	Expecting() <-chan struct{}

	// Expected says whether Pull would bring a stream.
	Expected(stream string) bool

	// Pull brings a stream until ctx ends or no server has it; the error is never nil.
	Pull(ctx context.Context, stream string, w input.Writer) error
}

// Relays follow streams that other nodes of the group capture.
type Relays struct {
	Directory *directory.Directory
	External  External

	// Transport proves the key of the link to the node of a name.
	Transport func(node string) http.RoundTripper

	// Hold is how long a node may hold a request for a stream that is being taken over.
	Hold func() time.Duration

	Wait func(ctx context.Context, d time.Duration) error // returns after d, or with an error when ctx ends
	Log  *slog.Logger
}

// Follow is the source of a stream that another node captures. It relays the stream from the node that has it by the
// directory, and from the next one when that changes.
func (r *Relays) Follow(stream string) input.Source {
	return input.Run(func(ctx context.Context, w input.Writer) error {
		level := slog.LevelInfo // of the log line of a failure: the first of several in a row
		for {
			node, private, err := r.await(ctx, stream)
			if err != nil {
				return err
			}
			if node == "" {
				if done, err := r.fetch(ctx, stream, w); done {
					return err
				}
				continue
			}
			brought, moved, err := r.pull(ctx, stream, node, private, w)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case replaced(err):
				return err
			case moved:
				continue
			}
			if brought {
				level = slog.LevelInfo
			}
			r.Log.Log(ctx, level, "relay ended", slog.String("stream", stream), slog.String("peer", node), slog.Any("err", err))
			level = slog.LevelDebug
			if err := r.Wait(ctx, relayPause); err != nil {
				return err
			}
		}
	})
}

// await waits until a node captures the stream, and returns its name and private URL; no name if the stream is to be fetched
// from outside. The error is the context's.
func (r *Relays) await(ctx context.Context, stream string) (node, private string, err error) {
	for {
		view, changed := r.Directory.View()
		expecting := r.External.Expecting()
		if node, private = view.Upstream(stream); node != "" {
			return node, private, nil
		}
		if r.External.Expected(stream) {
			return "", "", nil
		}
		select {
		case <-changed:
		case <-expecting:
		case <-ctx.Done():
			return "", "", ctx.Err()
		}
	}
}

// fetch brings a stream from outside. It is done unless a node of the group has the stream by now.
func (r *Relays) fetch(ctx context.Context, stream string, w input.Writer) (done bool, err error) {
	while, cancel := r.Directory.While(ctx, stream, "", "")
	defer cancel()
	err = r.External.Pull(while, stream, w)
	return while.Err() == nil || ctx.Err() != nil, err
}

// pull relays the stream from a node, as long as the directory says that it is there.
func (r *Relays) pull(ctx context.Context, stream, node, private string, w input.Writer) (brought, moved bool, err error) {
	while, cancel := r.Directory.While(ctx, stream, node, private)
	defer cancel()
	url := relay.URL(private, stream, 1)
	if newest, ok := w.Rejoin(); ok { // the node that had the stream last may have been another
		url = relay.After(url, newest)
	}
	out := &watched{Writer: w}
	err = relay.Pull(while, r.Transport(node), url, out, relay.Options{Silence: relaySilence, Answer: r.Hold() + relaySilence})
	return out.wrote, while.Err() != nil, err
}

// replaced says whether a source has ended because another one writes to its hub, or nobody reads it any more.
func replaced(err error) bool {
	return errors.Is(err, hub.ErrReplaced) || errors.Is(err, hub.ErrClosed)
}

// watched is a writer that knows whether anything was written.
type watched struct {
	input.Writer
	wrote bool
}

func (w *watched) Write(au *codecs.AccessUnit) error {
	w.wrote = true
	return w.Writer.Write(au)
}
