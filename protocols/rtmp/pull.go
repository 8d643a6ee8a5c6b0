package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/codecs/reception"

	"weir/protocols"
)

// ErrNotFound is the reason of a play whose stream the server does not have. An SRS origin does not say so: it accepts
// the play and closes the connection before any media.
var ErrNotFound = errors.New("the server has no such stream")

var (
	errEnded   = errors.New("the server has ended the stream")
	errDropped = errors.New("the server has closed the connection in the middle of a message")
)

// maxRedirects is how often [Play] follows.
const maxRedirects = 3

// Pull plays the stream at an rtmp or rtmps URL into out until it ends, and says why it did; the error is never nil. It
// follows redirects as [Play] does. Timestamps count from zero. report is told what of the stream does not become media.
func Pull(ctx context.Context, rawURL string, cfg ClientConfig, report reception.Report, out codecs.Writer) error {
	c, err := Play(ctx, rawURL, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	err = c.pull(report, out)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (c *Client) pull(report reception.Report, out codecs.Writer) error {
	err := flv.Copy(func() (flv.Tag, error) {
		tag, err := c.ReadTag()
		switch {
		case errors.Is(err, io.EOF):
			err = errEnded
		case errors.Is(err, io.ErrUnexpectedEOF):
			err = errDropped
		}
		return tag, err
	}, report, out)
	if errors.Is(err, flv.ErrNoTracks) {
		err = fmt.Errorf("playing from %s: %w", c.url.Host, err)
	}
	return err
}

// Play connects to the server of a URL, plays, and follows redirects: at most three, and never back to where it was.
// It waits for the first tag, because a redirect may come after the server has accepted the play. The error is
// [ErrNotFound] when the server has no such stream.
func Play(ctx context.Context, rawURL string, cfg ClientConfig) (*Client, error) {
	been := map[string]bool{}
	for range maxRedirects + 1 {
		c, err := Dial(ctx, rawURL, cfg)
		if c != nil {
			if err = c.start(ctx); err == nil {
				return c, nil
			}
			_ = c.Close()
		}
		var r *RedirectError
		if !errors.As(err, &r) {
			return nil, err
		}
		at, err := place(rawURL)
		if err != nil {
			return nil, err
		}
		been[at] = true
		next := onceVhost(r.Location)
		to, err := place(next)
		if err != nil {
			return nil, fmt.Errorf("playing from %s: redirected to %q: %w", at, protocols.MaskURLs(next), err)
		}
		if been[to] {
			return nil, fmt.Errorf("playing from %s: redirected back to %s", at, to)
		}
		rawURL = next
	}
	return nil, fmt.Errorf("playing %s: more than %d redirects", protocols.MaskURLs(rawURL), maxRedirects)
}

// start begins to play and reads up to the first media.
func (c *Client) start(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	err := c.Play()
	var seen []flv.Tag
	for n := 0; err == nil; n++ {
		var t flv.Tag
		if t, err = c.ReadTag(); err != nil {
			break
		}
		seen = append(seen, t)
		if t.Type != flv.TypeScript {
			break
		}
		if n == maxReplies || tagBytes(seen) > maxPartial {
			err = fmt.Errorf("playing from %s: %w: no media", c.url.Host, errLimit)
		}
	}
	c.waiting, c.patience = append(seen, c.waiting...), c.silence
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.accepted && (errors.Is(err, io.ErrUnexpectedEOF) || err != nil && gone(err)) {
		return fmt.Errorf("playing from %s: %w: it has ended the connection before any media", c.url.Host, ErrNotFound)
	}
	return err
}

func tagBytes(tags []flv.Tag) int {
	n := 0
	for i := range tags {
		n += len(tags[i].Body)
	}
	return n
}

// Play begins to play. The error may be a [*RedirectError] or a [*StatusError].
func (c *Client) Play() error {
	b := say(nil, csData, c.stream, "play", 0, nil, c.name)
	b = event(b, eventBufferLength, c.stream, 1000)
	if err := c.write(b); err != nil {
		return fmt.Errorf("playing from %s: %w", c.url.Host, err)
	}
	for {
		s, err := c.await(0)
		if err != nil {
			return fmt.Errorf("playing from %s: %w", c.url.Host, err)
		}
		if s.object(1).String("code") == "NetStream.Play.Start" {
			c.accepted = true
			return nil
		}
	}
}

// ReadTag returns the next tag of the played stream. It returns io.EOF when the stream has ended, and a
// [*RedirectError] when the server sends the player on.
func (c *Client) ReadTag() (flv.Tag, error) {
	for {
		if len(c.waiting) > 0 {
			t := c.waiting[0]
			c.waiting[0] = flv.Tag{}
			c.waiting = c.waiting[1:]
			return t, nil
		}
		c.waiting = nil
		p, err := c.next()
		if errors.Is(err, io.EOF) {
			return flv.Tag{}, io.EOF
		}
		if err != nil {
			return flv.Tag{}, fmt.Errorf("playing from %s: %w", c.url.Host, err)
		}
		if !isCommand(p) {
			if err := c.keep(p); err != nil {
				return flv.Tag{}, fmt.Errorf("playing from %s: %w", c.url.Host, err)
			}
			continue
		}
		cmd, err := parseCommand(p)
		if err != nil {
			return flv.Tag{}, fmt.Errorf("playing from %s: %w", c.url.Host, err)
		}
		if err := c.refused(cmd); err != nil {
			return flv.Tag{}, fmt.Errorf("playing from %s: %w", c.url.Host, err)
		}
		switch cmd.object(1).String("code") {
		case "NetStream.Play.Stop", "NetStream.Play.Complete", "NetStream.Play.UnpublishNotify":
			return flv.Tag{}, io.EOF
		}
	}
}

// keep keeps the tags of a message for ReadTag.
func (c *Client) keep(p packet) error {
	if tagBytes(c.waiting)+len(p.body) > maxPartial {
		return fmt.Errorf("%w: more than %d bytes of media before an answer", errLimit, maxPartial)
	}
	if tagOf(p.typ) {
		c.waiting = append(c.waiting, flv.Tag{Type: p.typ, Timestamp: p.timestamp, Body: p.body})
		return nil
	}
	tags, _, err := splitTags(p)
	c.waiting = append(c.waiting, tags...)
	return err
}
