package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	pion "github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/elementary"
	"weir/codecs/reception"
	"weir/codecs/rtp"
)

// A PullConfig says how [Pull] connects. All fields must be set.
type PullConfig struct {
	// Timeout is the patience with the server: for the connection, for each reply, and for silence while playing.
	Timeout time.Duration

	Agent  string           // is told to the server
	Report reception.Report // is told what of the input does not become media
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
	report reception.Report
	j      *elementary.Joiner
	failed chan error // the first error that is not the library's
}

func newPull(u *base.URL, cfg PullConfig, out codecs.Writer) *pulling {
	p := &pulling{report: cfg.Report, j: elementary.New(out, cfg.Report, 0), failed: make(chan error, 1)}
	tcp := gortsplib.ProtocolTCP
	dialled := 0 // by the library's goroutine, for each server that it is sent to
	p.client = &gortsplib.Client{
		Scheme: u.Scheme, Host: u.Host,
		ReadTimeout: cfg.Timeout, WriteTimeout: cfg.Timeout, UserAgent: cfg.Agent, Protocol: &tcp,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if dialled++; dialled > maxRedirects+1 {
				return nil, errRedirects
			}
			return (&net.Dialer{Timeout: cfg.Timeout}).DialContext(ctx, network, address)
		},
		OnPacketsLost: func(n uint64) { p.report.Count(reception.ContinuityErrors, int(n), nil) },
		OnDecodeError: func(err error) { p.report.Count(reception.Damaged, 1, err) },
	}
	return p
}

// begin asks for the stream and sets up what of it can be carried.
func (p *pulling) begin(u *base.URL) error {
	desc, _, err := p.client.Describe(u)
	if err != nil {
		return err
	}
	var offers []elementary.Offer
	for i, m := range desc.Medias {
		if m.IsBackChannel || m.Type != description.MediaTypeVideo && m.Type != description.MediaTypeAudio {
			continue
		}
		o := p.offer(desc.BaseURL, m)
		o.Track = fmt.Sprintf("medium %d", i+1)
		offers = append(offers, o)
	}
	if err := p.j.Choose(offers); err != nil {
		if len(offers) == 0 {
			return errNoTracks
		}
		return err
	}
	_, err = p.client.Play(nil)
	return err
}

// offer is what a medium has: its first format that can be carried.
func (p *pulling) offer(baseURL *base.URL, m *description.Media) elementary.Offer {
	o := elementary.Offer{Video: m.Type == description.MediaTypeVideo}
	for _, f := range m.Formats {
		if o.Name == "" {
			o.Name = f.RTPMap()
		}
		in, err := rtp.Unpack(f, o.Video)
		if err != nil {
			if o.Refused == nil {
				o.Refused = err
			}
			continue
		}
		o.Refused, o.Name, o.Codec, o.Config, o.Sets = nil, in.Codec.String(), in.Codec, in.Config, in.Sets
		o.Take = func(s *elementary.Stream) error {
			if _, err := p.client.Setup(baseURL, m, 0, 0); err != nil {
				return err
			}
			r, clock := rtp.NewReceiver(in, s), int64(f.ClockRate())
			p.client.OnPacketRTP(m, f, func(pkt *pion.Packet) {
				pts, ok := p.client.PacketPTS(m, pkt)
				if !ok {
					return // nothing says yet where the packet lies
				}
				if err := r.Take(codecs.Ticks(pts, clock), pkt); err != nil {
					p.fail(err)
				}
			})
			return nil
		}
		return o
	}
	return o
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
