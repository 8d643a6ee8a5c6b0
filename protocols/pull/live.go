package pull

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	tscodecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/flv"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// maxProbe is how many bytes of a transport stream may pass before its tracks are known.
const maxProbe = 8 << 20

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
	return o.body(ctx, rawURL, func(r io.Reader) error { return ReadTS(r, o.Report, out) })
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
	client, end := o.client(o.Connect)
	defer end()
	res, err := client.Do(req)
	if err != nil {
		return redacted(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", res.Status)
	}
	err = read(res.Body)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// ReadTS reads a transport stream from a connection and writes it until it ends, and says why it did; the error is
// never nil.
func ReadTS(r io.Reader, report reception.Report, out codecs.Writer) error {
	limited := &probe{r: bufio.NewReaderSize(r, 64<<10), left: maxProbe}
	reader := &mpegts.Reader{R: limited}
	if err := reader.Initialize(); err != nil {
		return fmt.Errorf("before its tracks were known: %w", ended(err))
	}
	limited.left = -1
	j := elementary.New(out, report, wrapTS)
	if err := j.Choose(offersOf(reader)); err != nil {
		return err
	}
	reader.OnDecodeError(func(err error) { report.Count(reception.Damaged, 1, err) })
	for {
		if err := reader.Read(); err != nil {
			return ended(err)
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

// A probe bounds the bytes that are read before the tracks are known. It refuses bytes that cannot be a transport stream
// at once, and does not search them for one.
type probe struct {
	r     *bufio.Reader
	left  int // negative: no longer
	begun bool
}

// synchronised says whether a stream may begin so: with a packet, or in the middle of one with others behind it.
func synchronised(head []byte) bool {
	if len(head) > 0 && head[0] == tsSync {
		return true
	}
	for i := 0; i+tsPacket < len(head); i++ {
		if head[i] == tsSync && head[i+tsPacket] == tsSync {
			return true
		}
	}
	return false
}

func (p *probe) Read(b []byte) (int, error) {
	if !p.begun {
		p.begun = true
		if head, _ := p.r.Peek(2 * tsPacket); !synchronised(head) {
			if len(head) == 0 {
				return 0, io.EOF
			}
			return 0, fmt.Errorf("%w: it begins with %q", ErrNotTS, head[:min(len(head), 16)])
		}
	}
	if p.left == 0 {
		return 0, fmt.Errorf("%w: no tracks within %d bytes", ErrNotTS, maxProbe)
	}
	n, err := p.r.Read(b)
	if p.left > 0 {
		p.left = max(0, p.left-n)
	}
	return n, err
}

// errNeither is why a track is left out that is neither sound nor pictures, or whose kind is unknown.
var errNeither = errors.New("it is neither sound nor pictures")

// offersOf lists the tracks of a transport stream.
func offersOf(reader *mpegts.Reader) (offers []elementary.Offer) {
	for _, t := range reader.Tracks() {
		o, known := offerOf(reader, t)
		o.Track = fmt.Sprintf("PID %d", t.PID)
		switch {
		case !known:
			o.Refused = errNeither
		case o.Codec == 0:
			o.Refused = &codecs.UnsupportedError{Video: o.Video, Name: o.Name}
		}
		offers = append(offers, o)
	}
	return offers
}

// offerOf describes a track; one without a codec cannot be carried. known is false for a track that is neither sound nor
// pictures, or whose kind is unknown.
func offerOf(reader *mpegts.Reader, t *mpegts.Track) (o elementary.Offer, known bool) {
	var s *elementary.Stream
	pictures := func(pts, dts int64, units [][]byte) error { return s.Add(timeline.At(dts, pts), units...) }
	frames := func(pts int64, frames [][]byte) error { return s.Add(timeline.Presented(pts), frames...) }
	var subscribe func()
	switch c := t.Codec.(type) {
	case *tscodecs.H264:
		o = elementary.Offer{Codec: codecs.H264, Name: "H.264", Video: true}
		subscribe = func() { reader.OnDataH264(t, pictures) }
	case *tscodecs.H265:
		o = elementary.Offer{Codec: codecs.H265, Name: "H.265", Video: true}
		subscribe = func() { reader.OnDataH265(t, pictures) }
	case *tscodecs.MPEG4Audio:
		o = elementary.Offer{Codec: codecs.AAC, Name: "AAC"}
		o.Config, o.Refused = c.Marshal()
		subscribe = func() { reader.OnDataMPEG4Audio(t, frames) }
	case *tscodecs.MPEG1Audio:
		o = elementary.Offer{Codec: codecs.MP3, Name: "MPEG-1 audio"}
		subscribe = func() { reader.OnDataMPEG1Audio(t, frames) }
	case *tscodecs.AC3:
		o = elementary.Offer{Codec: codecs.AC3, Name: "AC-3"}
		subscribe = func() {
			reader.OnDataAC3(t, func(pts int64, frame []byte) error { return s.Add(timeline.Presented(pts), frame) })
		}
	case *tscodecs.Opus:
		o = elementary.Offer{Codec: codecs.Opus, Name: "Opus"}
		channels := 0
		if c.Desc != nil {
			channels = int(c.Desc.ChannelConfigCode)
		}
		o.Config, o.Refused = carriage.OpusConfig(channels)
		subscribe = func() { reader.OnDataOpus(t, frames) }
	case *tscodecs.MPEG4Video:
		o = elementary.Offer{Name: "MPEG-4 Part 2", Video: true}
	case *tscodecs.MPEG1Video:
		o = elementary.Offer{Name: "MPEG-1 or MPEG-2 video", Video: true}
	case *tscodecs.MPEG4AudioLATM:
		o = elementary.Offer{Name: "AAC in LATM"}
	case *tscodecs.EAC3:
		o = elementary.Offer{Name: "E-AC-3"}
	case *tscodecs.KLV:
		return elementary.Offer{Name: "KLV metadata"}, false
	case *tscodecs.DVBSubtitle:
		return elementary.Offer{Name: "DVB subtitles"}, false
	default:
		return elementary.Offer{Name: "something unknown"}, false
	}
	o.Take = func(stream *elementary.Stream) error {
		s = stream
		subscribe()
		return nil
	}
	return o, true
}
