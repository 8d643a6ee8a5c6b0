package srstest

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"weir/codecs/flv"
	"weir/codecs/flv/amf"
)

// An Edge is a stand-in for an SRS edge: a player of, or a publisher to, the first origins that it is given, in turn.
type Edge struct {
	Origins []string
	Vhost   string // empty: the default one

	// Pause is what it waits after a failure; SRS waits 3 s. After a redirect it never waits.
	Pause time.Duration

	// Visits are the addresses that it has been at, in their order, and Failures why it left them.
	Visits   []string
	Failures []string
}

// ErrNothing says that a server has closed the connection without a word after it had accepted the play.
var ErrNothing = errors.New("closed without a word")

// connect says what an SRS server says to another, in its order, up to createStream.
func connect(ctx context.Context, addr, vhost, app string, budget time.Duration) (*wire, error) {
	conn, err := (&net.Dialer{Timeout: budget}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	w, err := clientShake(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	host := addr
	if vhost != "" {
		_, port, _ := net.SplitHostPort(addr)
		host = net.JoinHostPort(vhost, port)
	}
	_ = w.say(3, 0, "connect", 1, amf.Object{
		{Key: "app", Value: app},
		{Key: "flashVer", Value: "WIN 15,0,0,239"},
		{Key: "swfUrl", Value: ""},
		{Key: "tcUrl", Value: "rtmp://" + host + "/" + app},
		{Key: "fpad", Value: false},
		{Key: "capabilities", Value: 239},
		{Key: "audioCodecs", Value: 3575},
		{Key: "videoCodecs", Value: 252},
		{Key: "videoFunction", Value: 1},
		{Key: "pageUrl", Value: ""},
		{Key: "objectEncoding", Value: 0},
	}, amf.Object{
		{Key: "srs_sig", Value: "SRS"},
		{Key: "srs_server", Value: "SRS/7.0.18(Hang)"},
		{Key: "srs_license", Value: "x"},
		{Key: "srs_url", Value: "x"},
		{Key: "srs_version", Value: "7.0.18"},
		{Key: "srs_pid", Value: "1"},
		{Key: "srs_id", Value: "x"},
		{Key: "srs_server_ip", Value: "127.0.0.1"},
	})
	_ = w.number(typeWindow, 2500000)
	if _, err := w.await("_result", 1); err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = w.say(3, 0, "createStream", 2, nil)
	if _, err := w.await("_result", 2); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return w, nil
}

func (w *wire) await(name string, id float64) (command, error) {
	for {
		m, err := w.next()
		if err != nil {
			return command{}, err
		}
		if c, ok := m.command(); ok && c.name == name && (id == 0 || c.id == id) {
			return c, nil
		} else if ok && c.name == "_error" {
			return c, errors.New("_error: " + c.object(1).String("description"))
		}
	}
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
		tags, to, err := e.visit(ctx, addr, app, stream)
		if err == nil && to == "" {
			return tags, nil
		}
		if redirect = to; to != "" && ctx.Err() == nil {
			continue
		}
		e.Failures = append(e.Failures, err.Error())
		select {
		case <-time.After(e.Pause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

func (e *Edge) visit(ctx context.Context, addr, app, stream string) (tags []flv.Tag, redirect string, err error) {
	w, err := connect(ctx, addr, e.Vhost, app, 5*time.Second)
	if err != nil {
		return nil, "", err
	}
	defer w.conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = w.conn.Close() })
	defer stop()
	_ = w.send(message{cs: 5, typ: typeCommand, stream: 1, body: amf.Append(nil, "play", 0, nil, stream)})
	_ = w.send(message{cs: 2, typ: typeUser, body: []byte{0, 3, 0, 0, 0, 1, 0, 0, 3, 0xe8}})
	_ = w.number(typeChunkSize, 60000)
	started := false
	for {
		_ = w.conn.SetDeadline(time.Now().Add(5 * time.Second))
		m, err := w.next()
		if err != nil {
			if started && errors.Is(err, io.EOF) {
				err = ErrNothing
			}
			return nil, "", err
		}
		if c, ok := m.command(); ok {
			for i := range c.args {
				o := c.object(i)
				started = started || o.String("code") == "NetStream.Play.Start"
				if o.String("level") != "error" {
					continue
				}
				if ex, ok := amf.AsObject(o.Get("ex")); ok {
					return nil, place(ex), nil
				}
				return nil, "", errors.New(o.String("code"))
			}
		}
		if m.media() {
			tags = append(tags, flv.Tag{Type: m.typ, Timestamp: m.ts, Body: m.body})
		}
		if m.typ == typeVideo && len(m.body) > 1 && m.body[1] == 1 {
			return tags, "", nil
		}
	}
}

// place is the host and port of a redirect; an SRS edge keeps the rest of what it asked for.
func place(ex amf.Object) string {
	to := ex.String("redirect2")
	if to == "" {
		to = ex.String("redirect")
	}
	_, rest, _ := strings.Cut(to, "://")
	addr, _, _ := strings.Cut(rest, "/")
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(addr, strconv.Itoa(1935))
	}
	return addr
}

// Publish publishes tags, over and over until ctx ends, at the first of the origins alone: SRS does not try another one.
// It returns when the server has accepted; done gives the end.
func (e *Edge) Publish(ctx context.Context, app, stream string, tags []flv.Tag) (done <-chan error, err error) {
	w, err := connect(ctx, e.Origins[0], e.Vhost, app, 150*time.Millisecond)
	if err != nil {
		return nil, err
	}
	_ = w.send(message{cs: 5, typ: typeCommand, stream: 1, body: amf.Append(nil, "publish", 0, nil, stream, "live")})
	_ = w.number(typeChunkSize, 60000)
	c, err := w.await("onStatus", 0)
	if err == nil && c.object(1).String("level") == "error" {
		err = errors.New(c.object(1).String("code"))
	}
	if err != nil {
		_ = w.conn.Close()
		return nil, err
	}
	_ = w.conn.SetDeadline(time.Time{})
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := w.next(); err != nil {
				_ = w.conn.Close()
				return
			}
		}
	}()
	go func() { ended <- w.loop(ctx, tags) }()
	return ended, nil
}

// loop sends the media at its own pace, its time going on from round to round.
func (w *wire) loop(ctx context.Context, tags []flv.Tag) error {
	defer w.conn.Close()
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
			ts := t.Timestamp + round*(last+40)
			select {
			case <-time.After(time.Until(begin.Add(time.Duration(ts) * time.Millisecond))):
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := w.send(message{cs: 6, typ: t.Type, stream: 1, ts: ts, body: t.Body}); err != nil {
				return err
			}
		}
	}
}
