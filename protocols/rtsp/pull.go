package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	dts264 "github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	dts265 "github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/elementary"
)

// A PullConfig says how [Pull] connects. Zero fields take the defaults.
type PullConfig struct {
	// Timeout is the patience with the server: for the connection, for each reply, and for silence while playing.
	// Default 10 s.
	Timeout time.Duration

	// TLS is used for rtsps URLs; nil means the system's authorities.
	TLS *tls.Config

	// Agent is told to the server; empty means "weir".
	Agent string

	// Note, if not nil, is told of a part that is left out, such as a track.
	Note func(string)
}

// maxRedirects is how often one DESCRIBE follows.
const maxRedirects = 3

var (
	errRedirects = fmt.Errorf("more than %d redirects", maxRedirects)
	errNoTracks  = errors.New("the server describes neither video nor audio")
)

// Pull plays the stream at an rtsp or rtsps URL over TCP into out until it ends, and says why it did; the error is
// never nil. Timestamps count from anywhere. A user and password in the URL are proved as the server asks, by Digest or
// Basic.
func Pull(ctx context.Context, rawURL string, cfg PullConfig, out codecs.Writer) error {
	u, err := base.ParseURL(rawURL)
	if err != nil {
		return errors.New("not an RTSP URL") // the library's error shows the URL, which may hold a password
	}
	p := newPull(u, cfg, out)
	if err := p.client.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, p.client.Close)
	defer func() {
		stop()
		p.client.Close()
	}()
	if err = p.begin(u); err == nil {
		err = p.await(ctx)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return worded(err)
}

// worded turns the library's errors into sentences for an operator.
func worded(err error) error {
	var status liberrors.ErrClientBadStatusCode
	if errors.As(err, &status) {
		if status.Code == base.StatusUnauthorized {
			return fmt.Errorf("the server answers 401 %s; give a user and password in the URL, or other ones", status.Message)
		}
		return fmt.Errorf("the server answers %d %s", status.Code, status.Message)
	}
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// A pulling is one connection to a server whose stream is played.
type pulling struct {
	client *gortsplib.Client
	note   func(string)
	j      *elementary.Joiner
	failed chan error // the first error that is not the library's
	once   sync.Once
}

func newPull(u *base.URL, cfg PullConfig, out codecs.Writer) *pulling {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Agent == "" {
		cfg.Agent = "weir"
	}
	if cfg.Note == nil {
		cfg.Note = func(string) {}
	}
	p := &pulling{note: cfg.Note, j: elementary.New(out, 0), failed: make(chan error, 1)}
	tcp := gortsplib.ProtocolTCP
	dialled := 0 // by the library's goroutine, for each server that it is sent to
	p.client = &gortsplib.Client{
		Scheme: u.Scheme, Host: u.Host,
		ReadTimeout: cfg.Timeout, WriteTimeout: cfg.Timeout, TLSConfig: cfg.TLS, UserAgent: cfg.Agent, Protocol: &tcp,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if dialled++; dialled > maxRedirects+1 {
				return nil, errRedirects
			}
			return (&net.Dialer{Timeout: cfg.Timeout}).DialContext(ctx, network, address)
		},
		OnPacketsLost: func(uint64) {},
		OnDecodeError: func(err error) { p.damaged(err) },
	}
	return p
}

func (p *pulling) damaged(err error) {
	p.once.Do(func() { p.note(fmt.Sprintf("damaged packets are skipped, the first: %v", err)) })
}

// begin asks for the stream and sets up what of it can be carried.
func (p *pulling) begin(u *base.URL) error {
	desc, _, err := p.client.Describe(u)
	if err != nil {
		return err
	}
	var refused []*refusedTrack
	for _, m := range desc.Medias {
		if m.IsBackChannel || m.Type != description.MediaTypeVideo && m.Type != description.MediaTypeAudio {
			continue
		}
		r, err := p.media(desc.BaseURL, m)
		if err != nil {
			return err
		}
		if r != nil {
			refused = append(refused, r)
		}
	}
	for _, r := range refused {
		if r.video && !p.j.HasVideo() || !r.video && !p.j.HasAudio() {
			return &elementary.UnsupportedError{Codec: r.codec}
		}
		p.note(fmt.Sprintf("a track of %s is left out", r.codec))
	}
	if !p.j.Streams() {
		return errNoTracks
	}
	_, err = p.client.Play(nil)
	return err
}

// A refusedTrack is one whose codec cannot be carried.
type refusedTrack struct {
	codec string
	video bool
}

// media sets up the first format of a medium that can be carried, if there is room for its kind.
func (p *pulling) media(baseURL *base.URL, m *description.Media) (*refusedTrack, error) {
	video := m.Type == description.MediaTypeVideo
	if video && p.j.HasVideo() || !video && p.j.HasAudio() {
		p.note(fmt.Sprintf("a %s track is left out: it is not the first of its kind", m.Type))
		return nil, nil
	}
	var refused *refusedTrack
	for _, f := range m.Formats {
		take, err := p.format(m, f)
		if unsupported := (*elementary.UnsupportedError)(nil); errors.As(err, &unsupported) {
			if refused == nil {
				refused = &refusedTrack{codec: unsupported.Codec, video: video}
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.RTPMap(), err)
		}
		if _, err := p.client.Setup(baseURL, m, 0, 0); err != nil {
			return nil, err
		}
		clock := int64(f.ClockRate())
		p.client.OnPacketRTP(m, f, func(pkt *rtp.Packet) {
			pts, ok := p.client.PacketPTS(m, pkt)
			if !ok {
				return // nothing says yet where the packet lies
			}
			if err := take(ticksOf(pts, clock), pkt); err != nil {
				p.fail(err)
			}
		})
		return nil, nil
	}
	return refused, nil
}

// A taker takes one packet, whose PTS is in ticks. An error is the writer's, or ends the pulling otherwise.
type taker func(pts int64, pkt *rtp.Packet) error

// format adds a stream for a format. The error is an [elementary.UnsupportedError] for one that cannot be carried.
func (p *pulling) format(m *description.Media, f format.Format) (taker, error) {
	switch f := f.(type) {
	case *format.H264:
		d, err := f.CreateDecoder()
		if err != nil {
			return nil, err
		}
		order := dts264.DTSExtractor{}
		order.Initialize()
		return p.video(codecs.H264, d.Decode, order.Extract, f.SPS, f.PPS)
	case *format.H265:
		d, err := f.CreateDecoder()
		if err != nil {
			return nil, err
		}
		order := dts265.DTSExtractor{}
		order.Initialize()
		return p.video(codecs.H265, d.Decode, order.Extract, f.VPS, f.SPS, f.PPS)
	case *format.MPEG4Audio:
		config, err := f.Config.Marshal()
		if err != nil {
			return nil, err
		}
		d, err := f.CreateDecoder()
		if err != nil {
			return nil, err
		}
		a, err := p.j.AAC(config)
		return p.audio(a, d.Decode), err
	case *format.Opus:
		d, err := f.CreateDecoder()
		if err != nil {
			return nil, err
		}
		a, err := p.j.Opus(f.ChannelCount)
		return p.audio(a, func(pkt *rtp.Packet) ([][]byte, error) {
			frame, err := d.Decode(pkt)
			return [][]byte{frame}, err
		}), err
	case *format.MPEG1Audio:
		d, err := f.CreateDecoder()
		if err != nil {
			return nil, err
		}
		a, err := p.j.Frames(codecs.MP3)
		return p.audio(a, d.Decode), err
	case *format.AC3:
		d, err := f.CreateDecoder()
		if err != nil {
			return nil, err
		}
		a, err := p.j.Frames(codecs.AC3)
		return p.audio(a, d.Decode), err
	}
	return nil, &elementary.UnsupportedError{Codec: nameOf(m, f)}
}

func nameOf(m *description.Media, f format.Format) string {
	if name := f.RTPMap(); name != "" {
		return name
	}
	return fmt.Sprintf("of %s with RTP payload type %d", m.Type, f.PayloadType())
}

// video takes access units whose DTS is found from their order, since RTP carries only the PTS. What is no whole access
// unit, and what comes before the first picture that can be decoded, is passed over.
func (p *pulling) video(codec codecs.Codec, decode func(*rtp.Packet) ([][]byte, error),
	dts func([][]byte, int64) (int64, error), sets ...[]byte,
) (taker, error) {
	v, err := p.j.Video(codec, sets...)
	if err != nil {
		return nil, err
	}
	begun := false
	return func(pts int64, pkt *rtp.Packet) error {
		units, err := decode(pkt)
		if err != nil || len(units) == 0 {
			return nil // more packets are needed, or one was lost, which the library counts
		}
		ordered := units
		if !begun {
			ordered = withSets(units, sets)
		}
		at, err := dts(ordered, pts)
		if err != nil {
			return nil
		}
		begun = true
		return v.Add(at, pts, units)
	}, nil
}

// withSets puts the parameter sets of the description before the first picture, since the order of the pictures is read
// from the media only.
func withSets(units, sets [][]byte) [][]byte {
	out := make([][]byte, 0, len(units)+len(sets))
	for _, s := range sets {
		if len(s) > 0 {
			out = append(out, s)
		}
	}
	return append(out, units...)
}

func (p *pulling) audio(a *elementary.Audio, decode func(*rtp.Packet) ([][]byte, error)) taker {
	return func(pts int64, pkt *rtp.Packet) error {
		frames, err := decode(pkt)
		if err != nil {
			return nil // as for video
		}
		return a.Add(pts, frames...)
	}
}

func (p *pulling) fail(err error) {
	select {
	case p.failed <- err:
	default:
	}
}

// await waits until the playing ends.
func (p *pulling) await(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- p.client.Wait() }()
	select {
	case err := <-p.failed:
		return err
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ticksOf turns units of which there are rate in a second into ticks, rounded down.
func ticksOf(at, rate int64) int64 {
	seconds, rest := at/rate, at%rate
	if rest < 0 {
		seconds, rest = seconds-1, rest+rate
	}
	return seconds*codecs.ClockRate + rest*codecs.ClockRate/rate
}
