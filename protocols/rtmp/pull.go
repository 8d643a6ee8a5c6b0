package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"

	"weir/codecs"
	"weir/codecs/flv"
)

var (
	errEnded   = errors.New("the server has ended the stream")
	errDropped = errors.New("the server has closed the connection in the middle of a message")
)

// Pull plays the stream at an rtmp or rtmps URL into out until it ends, and says why it did; the error is never nil. It
// follows redirects as [Play] does. Timestamps count from zero. Note, if not nil, is told of what is left out.
func Pull(ctx context.Context, rawURL string, cfg ClientConfig, note func(string), out codecs.Writer) error {
	c, err := Play(ctx, rawURL, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	err = c.pull(note, out)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (c *Client) pull(note func(string), out codecs.Writer) error {
	c.patience = c.silence
	var demuxer flv.Demuxer
	noted := false
	for {
		tag, err := c.ReadTag()
		switch {
		case errors.Is(err, io.EOF):
			return errEnded
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errDropped
		case err != nil:
			return err
		}
		err = demuxer.Tag(tag, out)
		unsupported := (*flv.UnsupportedError)(nil)
		switch {
		case err == nil:
		case errors.Is(err, flv.ErrNoTracks):
			return fmt.Errorf("playing from %s: %w", c.url.Host, err)
		case errors.As(err, &unsupported), errors.Is(err, flv.ErrMalformed):
			if note != nil && !noted {
				noted = true
				note(fmt.Sprintf("a part is left out: %v", err))
			}
		default:
			return err // the writer's own
		}
	}
}
