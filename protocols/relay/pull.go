package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir/codecs"
	"weir/protocols/listen"
)

// The reasons for which a relay ends or does not begin. Others are [ErrMalformed], the errors of the connection, of the
// round tripper, of the writer and of the context.
var (
	ErrEnded       = errors.New("the stream has ended")
	ErrMoved       = errors.New("the stream is no longer captured there")
	ErrNotHere     = errors.New("the stream is not captured there")
	ErrNotFound    = errors.New("no such stream is configured there")
	ErrUnavailable = errors.New("the stream cannot be had there now")
	ErrRefused     = errors.New("the relay was refused")
	ErrSilent      = errors.New("the other node has gone silent")
)

// Options of [Pull]. Both must be positive.
type Options struct {
	// Answer is how long the other node may take from being dialled to the head of its answer. It covers the time
	// for which that node holds the request.
	Answer time.Duration

	// Silence is how long nothing may arrive. An idle node sends a keep-alive each second.
	Silence time.Duration
}

// URL is where the stream is relayed by the node with the private URL base. hops counts the nodes that relay it to the
// viewer, the asker included: 1 where the asker's own viewers want it.
func URL(base, stream string, hops int) string {
	return strings.TrimSuffix(base, "/") + Path + url.PathEscape(stream) + "?hops=" + strconv.Itoa(hops)
}

// After makes of a [URL] one whose relay begins early enough to leave nothing out for an asker that has the stream up
// to the instant dts. A node that has dropped that part begins with the newest.
func After(url string, dts int64) string {
	return url + "&" + afterParameter + "=" + strconv.FormatInt(dts, 10)
}

// EdgeURL is as [URL], for a node that is none of the other's group.
func EdgeURL(base, stream string) string { return URL(base, stream, 1) + "&edge=1" }

// Pull asks for the relay at url and hands what it brings to out until it ends, and says why it did; the error is never
// nil. out is called by the calling goroutine only.
func Pull(ctx context.Context, rt http.RoundTripper, url string, out codecs.Writer, o Options) error {
	asked, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(o.Answer, func() { cancel(ErrSilent) })
	defer watchdog.Stop()

	err := pull(asked, rt, url, out, func() { watchdog.Reset(o.Silence) })
	if cause := context.Cause(asked); cause != nil && ctx.Err() == nil {
		err = cause // the error is only what the cancelling did to the connection
	}
	return fmt.Errorf("relay from %s: %w", url, err)
}

// pull calls alive whenever something has arrived.
func pull(ctx context.Context, rt http.RoundTripper, url string, out codecs.Writer, alive func()) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept-Encoding", "identity")
	res, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	alive()
	if res.StatusCode != http.StatusOK {
		return refusal(res)
	}
	r := NewReader(&aliveReader{r: res.Body, alive: alive})
	for {
		if err := r.Next(out); err != nil {
			return err
		}
	}
}

// refusal is the error of an answer that is no relay, with the sentence that the other node gave.
func refusal(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 512))
	reason := ErrRefused
	switch res.StatusCode {
	case http.StatusConflict:
		reason = ErrNotHere
	case http.StatusNotFound:
		reason = ErrNotFound
	case http.StatusServiceUnavailable:
		reason = ErrUnavailable
		if err := listen.FailingIn(res, text); err != nil {
			return fmt.Errorf("%w: %w", reason, err)
		}
	}
	return fmt.Errorf("%w: %s: %q", reason, res.Status, strings.TrimSpace(string(text)))
}

// An aliveReader calls alive for each piece that arrives.
type aliveReader struct {
	r     io.Reader
	alive func()
}

func (l *aliveReader) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if n > 0 {
		l.alive()
	}
	return n, err
}
