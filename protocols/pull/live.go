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
	"weir/codecs/elementary"
	"weir/codecs/flv"
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
	return o.body(ctx, rawURL, func(r io.Reader) error { return ReadTS(r, o.Note, out) })
}

// FLV reads the FLV stream at an http or https URL, as [TS] does a transport stream. Timestamps count from zero.
func FLV(ctx context.Context, rawURL string, o Options, out codecs.Writer) error {
	o = o.complete()
	return o.body(ctx, rawURL, func(r io.Reader) error { return ReadFLV(r, o.Note, out) })
}

// ReadFLV reads an FLV stream, as [ReadTS] does a transport stream.
func ReadFLV(r io.Reader, note func(string), out codecs.Writer) error {
	reader := flv.NewReader(bufio.NewReaderSize(r, 64<<10))
	var demuxer flv.Demuxer
	noted := false
	for {
		tag, err := reader.Next()
		if err != nil {
			return ended(err)
		}
		err = demuxer.Tag(tag, out)
		unsupported := (*flv.UnsupportedError)(nil)
		switch {
		case err == nil:
		case errors.Is(err, flv.ErrNoTracks):
			return err
		case errors.As(err, &unsupported), errors.Is(err, flv.ErrMalformed):
			if !noted {
				noted = true
				note(fmt.Sprintf("a part is left out: %v", err))
			}
		default:
			return err // the writer's own
		}
	}
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
// never nil. Note is told of tracks that are left out.
func ReadTS(r io.Reader, note func(string), out codecs.Writer) error {
	limited := &probe{r: bufio.NewReaderSize(r, 64<<10), left: maxProbe}
	reader := &mpegts.Reader{R: limited}
	if err := reader.Initialize(); err != nil {
		return fmt.Errorf("before its tracks were known: %w", ended(err))
	}
	limited.left = -1
	j := elementary.New(out, 33)
	if err := joinTS(j, reader, note); err != nil {
		return err
	}
	damaged := 0
	reader.OnDecodeError(func(err error) {
		if damaged++; damaged == 1 {
			note(fmt.Sprintf("damaged places are skipped, the first: %v", err))
		}
	})
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

// probe bounds what is read before the tracks are known, and refuses what cannot be a transport stream at once, rather
// than to search it for one.
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

// joinTS adds the first video and the first audio track that can be carried. A kind of which there are only others is
// an error that names the codec.
func joinTS(j *elementary.Joiner, reader *mpegts.Reader, note func(string)) error {
	var refused []refusal
	for _, t := range reader.Tracks() {
		name, video, known := liveCodec(t.Codec)
		taken := video && j.HasVideo() || !video && j.HasAudio()
		switch {
		case !known:
			note(fmt.Sprintf("the track of PID %d is left out: it holds %s", t.PID, name))
			continue
		case name != "":
			refused = append(refused, refusal{name, video})
			continue
		case taken:
			note(fmt.Sprintf("the track of PID %d is left out: it is not the first of its kind", t.PID))
			continue
		}
		if err := joinTrack(j, reader, t); err != nil {
			return fmt.Errorf("track of PID %d: %w", t.PID, err)
		}
	}
	return missing(j, refused, note)
}

// A refusal is a track whose codec cannot be carried.
type refusal struct {
	codec string
	video bool
}

// missing returns an error that names the codec if there is video or sound and none that can be carried.
func missing(j *elementary.Joiner, refused []refusal, note func(string)) error {
	for _, r := range refused {
		if r.video && !j.HasVideo() || !r.video && !j.HasAudio() {
			return &elementary.UnsupportedError{Codec: r.codec}
		}
		note(fmt.Sprintf("a track of %s is left out", r.codec))
	}
	if !j.Streams() {
		return ErrNoTracks
	}
	return nil
}

// liveCodec is as [tsCodec], for what is not kept in a file: more codecs can be carried.
func liveCodec(c tscodecs.Codec) (name string, video, known bool) {
	switch c.(type) {
	case *tscodecs.H264, *tscodecs.H265:
		return "", true, true
	case *tscodecs.MPEG4Audio, *tscodecs.MPEG1Audio, *tscodecs.AC3, *tscodecs.Opus:
		return "", false, true
	}
	return tsCodec(c)
}

func joinTrack(j *elementary.Joiner, reader *mpegts.Reader, t *mpegts.Track) error {
	var audio *elementary.Audio
	var err error
	add := func(pts int64, frames [][]byte) error { return audio.Add(pts, frames...) }
	switch c := t.Codec.(type) {
	case *tscodecs.H264, *tscodecs.H265:
		codec := codecs.H264
		if _, is := c.(*tscodecs.H265); is {
			codec = codecs.H265
		}
		v, err := j.Video(codec)
		if err != nil {
			return err
		}
		take := func(pts, dts int64, units [][]byte) error { return v.Add(dts, pts, units) }
		if codec == codecs.H265 {
			reader.OnDataH265(t, take)
		} else {
			reader.OnDataH264(t, take)
		}
	case *tscodecs.MPEG4Audio:
		config, merr := c.Marshal()
		if merr != nil {
			return merr
		}
		audio, err = j.AAC(config)
		reader.OnDataMPEG4Audio(t, add)
	case *tscodecs.MPEG1Audio:
		audio, err = j.Frames(codecs.MP3)
		reader.OnDataMPEG1Audio(t, add)
	case *tscodecs.AC3:
		audio, err = j.Frames(codecs.AC3)
		reader.OnDataAC3(t, func(pts int64, frame []byte) error { return audio.Add(pts, frame) })
	case *tscodecs.Opus:
		channels := 0
		if c.Desc != nil {
			channels = int(c.Desc.ChannelConfigCode)
		}
		audio, err = j.Opus(channels)
		reader.OnDataOpus(t, add)
	}
	return err
}
