package pull

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/codecs/reception"
)

// How many bytes may pass before there is a packet, and before the tracks are known.
const (
	maxHead  = 64 << 10
	maxProbe = 8 << 20
)

// The reasons for which a pulled input ends by itself; others are those of the connection and of the writer.
var (
	// ErrEnded says that the server has ended the stream.
	ErrEnded = errors.New("the server has ended the stream")

	// ErrNotTS says that what the server sends is no transport stream.
	ErrNotTS = errors.New("no MPEG transport stream")

	// ErrCutOff says that the connection broke in the middle.
	ErrCutOff = errors.New("the stream was cut off")
)

// TS reads the transport stream at an http or https URL and writes it until it ends, and says why it did; the error is
// never nil. Timestamps are those of the stream, without jumps and wraps.
func TS(ctx context.Context, rawURL string, o Options, out codecs.Writer) error {
	o = o.complete()
	return o.body(ctx, rawURL, func(r io.Reader) error { return ReadTS(r, o.Program, o.Report, out) })
}

// FLV reads the FLV stream at an http or https URL, as [TS] does a transport stream. Timestamps count from zero.
func FLV(ctx context.Context, rawURL string, o Options, out codecs.Writer) error {
	o = o.complete()
	return o.body(ctx, rawURL, func(r io.Reader) error { return ReadFLV(r, o.Report, out) })
}

// ReadFLV reads an FLV stream, as [ReadTS] does a transport stream.
func ReadFLV(r io.Reader, report reception.Report, out codecs.Writer) error {
	reader := flv.NewReader(bufio.NewReaderSize(r, 64<<10))
	return flv.Copy(func() (flv.Tag, error) {
		tag, err := reader.Next()
		if err != nil {
			err = ended(err)
		}
		return tag, err
	}, report, out)
}

// body asks for a URL and has the body of the answer read.
func (o Options) body(ctx context.Context, rawURL string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return redacted(err)
	}
	client, end := o.client(o.Connect, req.URL)
	defer end()
	res, err := client.Do(req)
	if err != nil {
		return redacted(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return &StatusError{res.StatusCode}
	}
	err = read(res.Body)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// ReadTS reads a transport stream from a connection and writes it until it ends, and says why it did; the error is never nil.
// Program is the number of the program that is read; 0 stands for the first that can be played.
func ReadTS(r io.Reader, program int, report reception.Report, out codecs.Writer) error {
	t := newTransport(out, report, program)
	buf := make([]byte, 64<<10)
	var head []byte
	for read := 0; ; {
		n, err := r.Read(buf)
		if read == 0 {
			head = bytes.Clone(buf[:min(n, 16)])
		}
		read += n
		if _, err := t.Write(buf[:n]); err != nil {
			return err
		}
		if err != nil {
			if err := t.Flush(); err != nil {
				return err
			}
		}
		packets := t.demuxer.Counters().Packets
		switch {
		case packets == 0 && (read > maxHead || err != nil && read > 0 && head[0] != tsSync):
			return fmt.Errorf("%w: it begins with %q", ErrNotTS, head)
		case err != nil && !t.started:
			return fmt.Errorf("before its tracks were known: %w%s", ended(err), t.programs())
		case err != nil:
			return ended(err)
		case !t.started && (read > maxProbe || read > maxProbe/8 && t.absent()):
			return fmt.Errorf("%w in the first %d bytes%s", ErrNoTracks, read, t.programs())
		}
	}
}

// ended says in words how a connection ended.
func ended(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrCutOff
	case errors.Is(err, io.EOF):
		return ErrEnded
	}
	return redacted(err)
}
