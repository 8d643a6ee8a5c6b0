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
	"weir/codecs/flv/amf"
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

// publishing serves a publisher until it leaves, is sent away or ctx ends. With again the client has stopped publishing and may
// go on, in the phase in which the connection is then.
func (c *conn) publishing(ctx context.Context, d listen.Router) (again bool, err error) {
	p, err := c.publish(ctx, d)
	if err != nil {
		return false, err
	}
	if !c.media.told {
		if err := c.write(publishStart(*c.stream.Load())); err != nil {
			return false, err
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

	// Reading ends with the publication too: a publisher that sends nothing would not be told otherwise.
	lasting, cancel := context.WithCancel(ctx)
	defer cancel()
	interrupted := make(chan struct{})
	stop := context.AfterFunc(p.Context(), func() {
		defer close(interrupted)
		cancel()
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-interrupted // or it would set its deadline for the next publication
			c.deadline = time.Time{}
		}
	}()
	for {
		c.patience(lasting, readTimeout)
		m, err := c.chunks.next()
		switch {
		case err != nil && p.Context().Err() != nil && ctx.Err() == nil && !gone(err):
			return false, c.endPublish(fmt.Errorf("publishing %s: %w", *c.stream.Load(), context.Cause(p.Context())))
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			return false, fmt.Errorf("publisher was silent for %v", readTimeout)
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("reading from publisher: %w", err)
		}
		if isCommand(m) {
			again, err = c.publisherSays(m)
		} else {
			err = c.receive(m, p)
		}
		if again || err != nil {
			return again, err
		}
	}
}

// publishStart is what a publisher is told that may send.
func publishStart(name string) []byte {
	return status(event(nil, eventStreamBegin, mediaStream), "status", "NetStream.Publish.Start", "Publishing "+name+".")
}

// unpublish ends the publication, so that the name is free.
func (c *conn) unpublish() {
	c.mu.Lock()
	p := c.publication
	c.publication = nil
	c.mu.Unlock()
	if p != nil {
		p.Close()
	}
	c.media = publishState{}
	c.published, c.phase, c.decide = true, phaseCommands, time.Now().Add(republishTimeout)
}

// publisherSays obeys a command of a publisher; again says that it has ended the publication by it.
func (c *conn) publisherSays(m packet) (again bool, err error) {
	cmd, err := parseCommand(m)
	if err != nil {
		return false, err
	}
	var answer []byte
	switch cmd.name {
	case "FCUnpublish": // SRS answers it so; deleteStream follows, or another publish
		answer = say(nil, csCommand, mediaStream, "onFCUnpublish", 0, nil, amf.Object{
			{Key: "code", Value: "NetStream.Unpublish.Success"},
			{Key: "description", Value: "Stop publishing stream."},
		})
		answer = say(answer, csCommand, 0, "_result", cmd.transaction, nil, nil)
	case "deleteStream", "closeStream": // no answer is defined (RTMP 7.2.2.3), but the status
	case "publish":
		want, err := c.connect.request(cmd.arg(1), c.remote)
		switch {
		case err != nil:
			return false, c.reject(status(nil, "error", "NetStream.Publish.BadName", err.Error()), err)
		case want.Path == c.want.Path && want.Query == c.want.Query:
			return false, c.write(publishStart(*c.stream.Load())) // it has asked twice
		}
		c.unpublish()
		c.want, c.phase = want, phasePublish
		return true, nil
	default:
		return false, c.reply(cmd)
	}
	c.unpublish()
	err = c.write(status(answer, "status", "NetStream.Unpublish.Success", "Stream is now unpublished."))
	if gone(err) {
		err = nil // it does not wait for the answer
	}
	return err == nil, err
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

// receive takes one message of a publisher that is no command.
func (c *conn) receive(m packet, p listen.Publication) error {
	if done, err := c.obey(m, c.write); done || err != nil {
		return err
	}
	if tagOf(m.typ) {
		return c.tag(flv.Tag{Type: m.typ, Timestamp: m.timestamp, Body: m.body}, p)
	}
	tags, media, err := splitTags(m)
	if !media {
		c.ignored++
		return nil
	}
	for _, t := range tags {
		if terr := c.tag(t, p); terr != nil {
			return terr
		}
	}
	if err != nil {
		return c.malformed(err)
	}
	return nil
}

// tag takes one tag. Its error ends the connection.
func (c *conn) tag(t flv.Tag, p listen.Publication) error {
	p.Heard()
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
