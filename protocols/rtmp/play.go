package rtmp

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"weir/codecs/flv/amf"
	"weir/protocols"
	"weir/protocols/listen"
)

// A playState is what outlives the session of a viewer.
type playState struct {
	source listen.Source // nil until the router has answered
	feed   listen.Feed   // of the session before; nil for the first
	told   bool          // the client knows that it plays
	left   atomic.Bool   // the client has gone, or has asked to
}

// playing serves a viewer until it leaves, the stream ends or ctx does.
func (c *conn) playing(ctx context.Context, d listen.Router) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan any, 1)
	c.until(ctx, time.Time{}) // players may be silent
	go func() {
		defer func() { done <- recover() }()
		defer stop()
		c.drain(watching)
	}()
	defer func() {
		stop()
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		if failure := <-done; failure != nil {
			panic(failure) // here it is supervised
		}
	}()

	if c.play.source == nil {
		a := d.Play(watching, c.want)
		if watching.Err() != nil {
			return nil // Serve says so when it was ctx
		}
		if a.Verdict != listen.Serve {
			return c.refuse(watching, a)
		}
		if err := carries(a.Source); err != nil {
			return c.endPlay(watching, status(nil, "error", "NetStream.Play.NoSupportedTrackFound", err.Error()),
				fmt.Errorf("playing %s: %w", a.Source.Name(), err))
		}
		c.play.source = a.Source
		name := a.Source.Name()
		c.stream.Store(&name)
	}
	if !c.play.told {
		if err := c.write(playPrologue(c.play.source.Name())); err != nil {
			return err
		}
		c.play.told = true
	}
	return c.carry(watching)
}

// carry sends the media. A viewer whose session was restarted comes here again and joins at the next random access
// point; the timestamps go on, because they count from the hub's base.
func (c *conn) carry(watching context.Context) error {
	feed := listen.JoinAgain(c.play.source, form, NewEncoder, c.play.feed)
	c.play.feed = feed
	limited := listen.UntilSilent(feed)
	defer limited.Close()
	err := listen.Carry(watching, c.conn, listen.Counted(limited, &c.dropped), &c.sent)
	switch {
	case err == nil:
		b := event(nil, eventStreamEOF, mediaStream)
		return c.endPlay(watching, status(b, "status", "NetStream.Play.Stop", "The stream has ended."), nil)
	case c.play.left.Load(), gone(err):
		return nil
	}
	return fmt.Errorf("playing: %w", err)
}

// drain reads what a viewer sends, mostly acknowledgements, until the viewer leaves or watching ends. Nothing is
// answered, because another goroutine writes.
func (c *conn) drain(watching context.Context) {
	for {
		p, err := c.chunks.next()
		if err == nil && !leaving(p) {
			continue
		}
		if watching.Err() == nil {
			c.play.left.Store(true)
			if err != nil && !gone(err) {
				c.log.Debug("a viewer broke the protocol", "proto", protocols.RTMP, "err", err)
			}
		}
		return
	}
}

// playPrologue are the messages that a player gets before the media.
func playPrologue(name string) []byte {
	b := appendControl(nil, message.TypeIDSetChunkSize, chunkSize)
	b = event(b, eventStreamBegin, mediaStream)
	b = status(b, "status", "NetStream.Play.Reset", "Playing and resetting "+name+".")
	b = status(b, "status", "NetStream.Play.Start", "Started playing "+name+".")
	return appendMessage(b, chunkSize, csData, uint8(message.TypeIDDataMessageAMF0), mediaStream, 0,
		amf.Append(nil, "|RtmpSampleAccess", true, true), nil)
}

// refuse tells a client why it does not play.
func (c *conn) refuse(watching context.Context, a listen.Answer) error {
	name := c.want.Streams[0]
	code := "NetStream.Play.Failed"
	switch a.Verdict {
	case listen.Redirect:
		return c.endPlay(watching, c.connect.redirect(playPrologue(name), a.Location), nil)
	case listen.NotFound:
		code = "NetStream.Play.StreamNotFound"
	}
	return c.endPlay(watching, status(nil, "error", code, a.Sentence()), fmt.Errorf("playing %s: %s", name, a.Sentence()))
}

// redirect appends the answer that SRS edges and weir's own client follow, in SRS's form: an error on message stream 0
// after the play was accepted.
func (g connect) redirect(dst []byte, location string) []byte {
	dir, whole := g.redirection(location)
	return say(dst, csData, 0, "onStatus", 0, nil, amf.Object{
		{Key: "level", Value: "error"},
		{Key: "code", Value: "NetConnection.Connect.Rejected"},
		{Key: "description", Value: "RTMP 302 Redirect"},
		{Key: "ex", Value: amf.Object{
			{Key: "code", Value: 302},
			{Key: "redirect", Value: dir},
			{Key: "redirect2", Value: whole},
		}},
	})
}

// endPlay sends a viewer the last message and waits a while until it has gone.
func (c *conn) endPlay(watching context.Context, last []byte, err error) error {
	if werr := c.write(last); werr != nil && !gone(werr) {
		return errors.Join(err, werr)
	}
	t := time.NewTimer(lingerTimeout)
	defer t.Stop()
	select {
	case <-watching.Done():
	case <-t.C:
	}
	return err
}
