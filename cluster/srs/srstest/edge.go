package srstest

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"weir/codecs/flv"
	"weir/protocols/rtmp"
)

// An Edge is a stand-in for an SRS edge: a player of, or a publisher to, the first origins that it is given, in turn. Its
// RTMP is weir's; the messages that SRS itself sends are tested with weir's RTMP server.
type Edge struct {
	Origins []string
	Vhost   string // empty: the default one

	// Pause is what it waits after a failure; SRS waits 3 s. After a redirect it never waits.
	Pause time.Duration

	// Visits are the addresses that it has been at, in their order, and Failures why it left them.
	Visits   []string
	Failures []string
}

// connect asks a server for app/stream. As with SRS the host of the URL is the virtual host.
func (e *Edge) connect(ctx context.Context, addr, app, stream string) (*rtmp.Client, error) {
	host := addr
	if e.Vhost != "" {
		_, port, _ := net.SplitHostPort(addr)
		host = net.JoinHostPort(e.Vhost, port)
	}
	return rtmp.Dial(ctx, "rtmp://"+host+"/"+app+"/"+stream, rtmp.ClientConfig{
		Timeout: 5 * time.Second,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	})
}

// Play plays app/stream until a video message has come, and gives the tags up to it. It goes on until ctx ends, as SRS
// does: to the next origin after a failure, and to wherever a redirect says, however often.
func (e *Edge) Play(ctx context.Context, app, stream string) ([]flv.Tag, error) {
	if e.Pause == 0 {
		e.Pause = 3 * time.Second
	}
	redirect := ""
	for turn := 0; ; {
		addr := redirect
		if addr == "" {
			addr = e.Origins[turn%len(e.Origins)]
			turn++
		}
		e.Visits = append(e.Visits, addr)
		tags, err := e.visit(ctx, addr, app, stream)
		if err == nil {
			return tags, nil
		}
		if redirect = place(err); redirect != "" && ctx.Err() == nil {
			continue
		}
		if status := (*rtmp.StatusError)(nil); errors.As(err, &status) {
			err = errors.New(status.Code)
		}
		e.Failures = append(e.Failures, err.Error())
		select {
		case <-time.After(e.Pause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

func (e *Edge) visit(ctx context.Context, addr, app, stream string) (tags []flv.Tag, err error) {
	c, err := e.connect(ctx, addr, app, stream)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	for err = c.Play(); err == nil; {
		var t flv.Tag
		if t, err = c.ReadTag(); err == nil {
			tags = append(tags, t)
		}
		if t.Type == flv.TypeVideo && len(t.Body) > 1 && t.Body[1] == 1 {
			return tags, nil
		}
	}
	return nil, err
}

// place is the host and port of a redirect, empty for another error; an SRS edge keeps the rest of what it asked for.
func place(err error) string {
	var to *rtmp.RedirectError
	if !errors.As(err, &to) {
		return ""
	}
	_, rest, _ := strings.Cut(to.Location, "://")
	addr, _, _ := strings.Cut(rest, "/")
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(addr, "1935")
	}
	return addr
}

// Publish publishes tags, over and over until ctx ends, at the first of the origins alone: SRS does not try another one.
// It returns when the server has accepted; done gives the end.
func (e *Edge) Publish(ctx context.Context, app, stream string, tags []flv.Tag) (done <-chan error, err error) {
	c, err := e.connect(ctx, e.Origins[0], app, stream)
	if err != nil {
		return nil, err
	}
	if err := c.Publish(); err != nil {
		_ = c.Close()
		return nil, err
	}
	go func() {
		_ = c.Drain()
		_ = c.Close()
	}()
	ended := make(chan error, 1)
	go func() {
		defer c.Close()
		ended <- loop(ctx, c, tags)
	}()
	return ended, nil
}

// loop sends the media at its own pace, its time going on from round to round.
func loop(ctx context.Context, c *rtmp.Client, tags []flv.Tag) error {
	last := uint32(0)
	for _, t := range tags {
		last = max(last, t.Timestamp)
	}
	begin := time.Now()
	for round := uint32(0); ; round++ {
		for _, t := range tags {
			if round > 0 && (t.Type == flv.TypeScript || len(t.Body) > 1 && t.Body[1] == 0) {
				continue // headers are said once
			}
			t.Timestamp += round * (last + 40)
			select {
			case <-time.After(time.Until(begin.Add(time.Duration(t.Timestamp) * time.Millisecond))):
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := c.WriteTag(t); err != nil {
				return err
			}
		}
	}
}
