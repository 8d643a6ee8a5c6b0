package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/protocols"
	"weir/protocols/listen"
)

// A publishState is what outlives the session of a publisher, beside its publication.
type publishState struct {
	demuxer flv.Demuxer
	out     publication
	told    bool // the client knows that it publishes

	bad     int // malformed tags in a row
	skipped int // and in all
}

// publishing serves a publisher until it leaves, is sent away or ctx ends.
func (c *conn) publishing(ctx context.Context, d listen.Router) error {
	p, err := c.publish(ctx, d)
	if err != nil {
		return err
	}
	if !c.media.told {
		b := event(nil, eventStreamBegin, mediaStream)
		if err := c.write(status(b, "status", "NetStream.Publish.Start", "Publishing "+*c.stream.Load()+".")); err != nil {
			return err
		}
		c.media.told = true
		c.chunks.allowMedia()
	}
	defer func() {
		if c.media.skipped > 0 || c.ignored > 0 || c.chunks.abandoned > 0 {
			c.log.Debug("publisher sent what was not used", "proto", protocols.RTMP, "stream", *c.stream.Load(),
				"dropped", c.media.skipped+c.ignored+c.chunks.abandoned)
		}
	}()
	for {
		c.patience(ctx, readTimeout)
		m, err := c.chunks.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			return fmt.Errorf("publisher was silent for %v", readTimeout)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading from publisher: %w", err)
		}
		end, err := c.receive(m, p)
		if end || err != nil {
			return err
		}
	}
}

// publish returns the publication: the one from before the session was restarted, or a new one from the router.
func (c *conn) publish(ctx context.Context, d listen.Router) (listen.Publication, error) {
	c.mu.Lock()
	p := c.publication
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := d.Publish(ctx, c.want)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		err = fmt.Errorf("publishing %s: %w", c.want.Streams[0], err)
		return nil, c.reject(status(nil, "error", "NetStream.Publish.BadName", err.Error()), err)
	}
	name := c.want.Streams[0]
	if n, ok := p.(interface{ Name() string }); ok {
		name = n.Name()
	}
	c.stream.Store(&name)
	c.publisher.Store(true)
	c.mu.Lock()
	c.publication = p
	c.mu.Unlock()
	return p, nil
}

// receive takes one message of a publisher; end says that it has left.
func (c *conn) receive(m packet, p listen.Publication) (end bool, err error) {
	if done, err := c.obey(m, c.write); done || err != nil {
		return false, err
	}
	if isCommand(m) {
		cmd, err := parseCommand(m)
		if err != nil {
			return false, err
		}
		switch cmd.name {
		case "deleteStream", "closeStream":
			return true, nil
		case "FCUnpublish":
			// The name is free from now on; deleteStream follows, if the client has the patience.
			p.Close()
			_ = c.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
			_, _ = io.CopyN(io.Discard, c.chunks.r, maxPartial)
			return true, nil
		}
		return false, c.reply(cmd)
	}
	if tagOf(m.typ) {
		err := c.tag(flv.Tag{Type: m.typ, Timestamp: m.timestamp, Body: m.body}, p)
		return err != nil, err
	}
	tags, media, err := splitTags(m)
	if !media {
		c.ignored++
		return false, nil
	}
	for _, t := range tags {
		if terr := c.tag(t, p); terr != nil {
			return true, terr
		}
	}
	if err != nil {
		return false, c.malformed(err)
	}
	return false, nil
}

// tag takes one tag. Its error ends the connection.
func (c *conn) tag(t flv.Tag, p listen.Publication) error {
	out := &c.media.out
	out.Publication, out.err = p, nil
	c.media.demuxer.Report = p
	err := c.media.demuxer.Tag(t, out)
	var unsupported *codecs.UnsupportedError
	switch {
	case err == nil:
		c.media.bad = 0
		return nil
	case out.err != nil:
		return c.endPublish(fmt.Errorf("publishing %s: %w", *c.stream.Load(), out.err))
	case errors.Is(err, flv.ErrNoTracks):
		return c.endPublish(fmt.Errorf("publishing %s: %w", *c.stream.Load(), err))
	case errors.As(err, &unsupported):
		c.media.skipped++
		return nil
	default:
		return c.malformed(err)
	}
}

// malformed counts a tag that makes no sense; too many in a row are an error.
func (c *conn) malformed(err error) error {
	if c.media.bad == 0 {
		c.log.Debug("a publisher's media is skipped", "proto", protocols.RTMP, "stream", *c.stream.Load(), "err", err)
	}
	c.media.skipped++
	if c.media.bad++; c.media.bad > maxBadTags {
		return c.endPublish(fmt.Errorf("publishing %s: %d malformed messages in a row: %w", *c.stream.Load(), c.media.bad, err))
	}
	return nil
}

// endPublish ends a publisher that has been publishing, and tells it why.
func (c *conn) endPublish(err error) error {
	code := "NetStream.Publish.Failed"
	if errors.Is(err, listen.ErrBusy) { // another publisher of the name has come first after all
		code = "NetStream.Publish.BadName"
	}
	return c.reject(status(nil, "error", code, err.Error()), err)
}

// A publication keeps the error of the one within it, to tell it from the demuxer's.
type publication struct {
	listen.Publication
	err error
}

// Write implements [codecs.Writer].
func (p *publication) Write(au *codecs.AccessUnit) error {
	p.err = p.Publication.Write(au)
	return p.err
}
