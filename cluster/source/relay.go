package source

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"weir/actors/hub"
	"weir/actors/input"
	"weir/cluster/directory"
	"weir/codecs"
	"weir/protocols/listen"
	"weir/protocols/relay"
)

const (
	// RelaySilence is how long a relay may be silent before the stream is requested again. Nodes send a keep-alive each second.
	RelaySilence = 2500 * time.Millisecond

	// RelayPause is the pause after a relay has ended, as long as by the directory its node still has the stream.
	RelayPause = 200 * time.Millisecond
)

// External pulls streams from servers outside the cluster. No node of the cluster owns such a stream.
type External interface {
	// Expecting gives a channel that is closed when Expected becomes true for a further stream.
	Expecting() <-chan struct{}

	// Expected says whether Pull can pull a stream now.
	Expected(stream string) bool

	// Pull pulls a stream until ctx ends or no server has the stream. Its error is never nil.
	Pull(ctx context.Context, stream string, w input.Writer) error
}

// Relays makes the sources of streams that this node does not capture.
type Relays struct {
	Directory *directory.Directory
	External  External

	// Transport gives the transport that proves the key of the link to a node.
	Transport func(node string) http.RoundTripper

	// Hold is how long a node may hold a request for a stream that is being taken over.
	Hold func() time.Duration

	Wait func(ctx context.Context, d time.Duration) error // returns after d, or with an error when ctx ends
	Log  *slog.Logger

	failing sync.Map // by stream: why the node that has it has no media; see Failing
}

// Failing is why the node that has a stream has no media of it, as it answered last to the relay that is asked for here; ok is false
// if it did not say so, or no relay is asked for.
func (r *Relays) Failing(stream string) (reason string, ok bool) {
	v, ok := r.failing.Load(stream)
	if !ok {
		return "", false
	}
	return v.(string), true
}

// note keeps what the attempt to relay a stream says about its inputs.
func (r *Relays) note(stream string, err error) {
	if e, ok := errors.AsType[*listen.FailingError](err); ok {
		r.failing.Store(stream, e.Reason)
	} else {
		r.failing.Delete(stream)
	}
}

// Follow makes the source of a stream that another node captures. It relays the stream from the node that the directory names, and
// changes to another node when the directory changes.
func (r *Relays) Follow(stream string) input.Source {
	return input.Run(func(ctx context.Context, w input.Writer) error {
		defer r.failing.Delete(stream)
		level := slog.LevelInfo // of the next failure; a failure right after another one is logged as debug
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
			wrote, moved, err := r.pull(ctx, stream, node, private, w)
			r.note(stream, err)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case replaced(err):
				return err
			case moved:
				continue
			}
			if wrote {
				level = slog.LevelInfo
			}
			r.Log.Log(ctx, level, "relay ended", slog.String("stream", stream), slog.String("peer", node), slog.Any("err", err))
			level = slog.LevelDebug
			if err := r.pause(ctx, stream, node, private); err != nil {
				return err
			}
		}
	})
}

// await waits until a node captures the stream, and returns the node's name and private URL. Both are empty if External can pull the
// stream. The error is that of ctx.
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

// fetch pulls a stream with External, until a node of the group captures it; done is false then.
func (r *Relays) fetch(ctx context.Context, stream string, w input.Writer) (done bool, err error) {
	while, cancel := r.Directory.While(ctx, stream, "", "")
	defer cancel()
	err = r.External.Pull(while, stream, w)
	return while.Err() == nil || ctx.Err() != nil, err
}

// pull relays the stream from a node, as long as the directory names that node; moved says that it does not any more. Wrote says that
// the node has sent media.
func (r *Relays) pull(ctx context.Context, stream, node, private string, w input.Writer) (wrote, moved bool, err error) {
	while, cancel := r.Directory.While(ctx, stream, node, private)
	defer cancel()
	url := relay.URL(private, stream, 1)
	if newest, ok := w.Rejoin(); ok { // the media before may have come from another node
		url = relay.After(url, newest)
	}
	out := &watched{Writer: w, begun: func() { r.failing.Delete(stream) }}
	err = relay.Pull(while, r.Transport(node), url, out, relay.Options{Silence: RelaySilence, Answer: r.Hold() + RelaySilence})
	return out.wrote, while.Err() != nil, err
}

// pause returns after [RelayPause], or as soon as the directory does not name the node any more: the connection of a relay says
// that its node has died before the directory does. The error is that of ctx.
func (r *Relays) pause(ctx context.Context, stream, node, private string) error {
	while, cancel := r.Directory.While(ctx, stream, node, private)
	defer cancel()
	_ = r.Wait(while, RelayPause) // its error says that one of the two contexts has ended
	return ctx.Err()
}

// replaced says whether a source has ended because another source writes to its hub, or because the hub is closed.
func replaced(err error) bool {
	return errors.Is(err, hub.ErrReplaced) || errors.Is(err, hub.ErrClosed)
}

// A watched writer remembers whether anything was written.
type watched struct {
	input.Writer
	wrote bool
	begun func() // called once; may be nil
}

func (w *watched) Write(au *codecs.AccessUnit) error {
	if !w.wrote {
		w.wrote = true
		if w.begun != nil {
			w.begun()
		}
	}
	return w.Writer.Write(au)
}
