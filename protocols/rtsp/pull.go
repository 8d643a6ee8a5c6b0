package rtsp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"weir/codecs"
	"weir/codecs/elementary"
	"weir/codecs/reception"
	"weir/codecs/rtp"
	"weir/codecs/sdp"
)

// A PullConfig says how [Pull] connects. Timeout and Agent must be set.
type PullConfig struct {
	// Timeout is the patience with the server: for the connection and for each reply.
	Timeout time.Duration

	// Silence is how long the server may send nothing at all while it plays. Zero stands for Timeout.
	Silence time.Duration

	Roots  *x509.CertPool   // prove the server of an rtsps URL; nil stands for the machine's
	Agent  string           // is told to the server
	Report reception.Report // is told what of the input does not become media; may be nil
}

// maxRedirects is how often one pull is sent elsewhere before it plays.
const maxRedirects = 3

var (
	errRedirects = fmt.Errorf("more than %d redirects", maxRedirects)
	errNoTracks  = errors.New("the server describes neither video nor audio")
	errDowngrade = errors.New("the server sends its clients from rtsps to rtsp")
)

// Pull plays the stream at an rtsp or rtsps URL into out until it ends, and says why it did; the error is never nil. It plays over
// TCP and, where the server refuses that, over UDP. Timestamps count from anywhere. A user and password in the URL are proved as the
// server asks, by Digest or Basic.
//
// One bad medium, one bad line, one unexpected message costs no more than itself: a medium that cannot be carried or set up is left
// out, requests of the server are answered, and what cannot be read is passed over and counted.
func Pull(ctx context.Context, rawURL string, cfg PullConfig, out codecs.Writer) error {
	parsed, err := base.ParseURL(rawURL)
	if err != nil {
		return errors.New("not an RTSP URL") // the error shows the URL, which may hold a password
	}
	u := (*url.URL)(parsed)
	if cfg.Silence == 0 {
		cfg.Silence = cfg.Timeout
	}
	if cfg.Report == nil {
		cfg.Report = reception.Discard
	}
	joiner, anew := elementary.New(out, cfg.Report, 0), false
	for redirects := 0; ; redirects++ {
		played, err := pullOnce(ctx, u, cfg, joiner, anew)
		if played { // the server has sent it elsewhere in the middle
			redirects, anew = 0, true
		}
		var moved *movedError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &moved):
			return worded(err)
		case redirects == maxRedirects:
			return errRedirects
		}
		if u, err = moved.from(u); err != nil {
			return err
		}
	}
}

// from is where a server at u sends a client, who keeps user and password.
func (m *movedError) from(u *url.URL) (*url.URL, error) {
	to, err := u.Parse(firstURL(m.to))
	switch {
	case err != nil || to.Host == "" || to.Scheme != "rtsp" && to.Scheme != "rtsps":
		return nil, errors.New("the server sends its clients to what is no RTSP URL")
	case u.Scheme == "rtsps" && to.Scheme != "rtsps":
		return nil, errDowngrade
	}
	if to.User == nil {
		to.User = u.User
	}
	return to, nil
}

// worded turns errors into sentences for an operator, without the URL.
func worded(err error) error {
	var status *statusError
	if errors.As(err, &status) && status.status == 401 {
		return fmt.Errorf("%w; give a user and password in the URL, or other ones", err)
	}
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// A pulling is one connection to a server whose stream is played.
type pulling struct {
	*client
	cfg   PullConfig
	url   *url.URL
	base  string // of control URLs
	whole string // the URL of the whole presentation
	first time.Time
	anew  bool // the timeline is another one than before

	getParameter bool // the server has it
	udp          bool // TCP was refused
	playing      bool // nothing can be set up any more; guarded by mu from then on

	mu      sync.Mutex // guards what follows: over UDP each medium has goroutines of its own
	joiner  *elementary.Joiner
	session rtp.Session
	media   []*pulledMedium
	chosen  bool      // which media are set up; what comes before counts for nothing
	newest  time.Time // when the newest packet came
	failed  error     // why out takes no more
}

// A pulledMedium is a medium that has been set up.
type pulledMedium struct {
	*rtp.Receiver
	uri     string
	channel int            // of RTP; that of RTCP is the next one
	sockets *mediumSockets // over UDP
}

// pullOnce plays from one server. anew says that another one has played before; played, that this one has begun to.
func pullOnce(ctx context.Context, u *url.URL, cfg PullConfig, joiner *elementary.Joiner, anew bool) (played bool, err error) {
	c, err := dialServer(ctx, u, cfg)
	if err != nil {
		return false, err
	}
	p := &pulling{client: c, cfg: cfg, url: u, base: withoutUser(u), first: time.Now(), anew: anew, joiner: joiner}
	p.whole = p.base
	c.media = p.interleaved
	var leave sync.Once
	end := func() { leave.Do(func() { c.leave(p.whole) }) }
	stop := context.AfterFunc(ctx, end)
	defer func() {
		stop()
		end()
		for _, m := range p.media {
			m.sockets.close()
		}
	}()
	if err := p.begin(); err != nil {
		return false, err
	}
	return true, p.play(ctx)
}

// begin asks for the stream, sets up what of it can be carried, and asks for it to be played.
func (p *pulling) begin() error {
	if m, err := p.ask("OPTIONS", p.base); err != nil {
		return err
	} else if m.status == 200 { // servers that do not know it, or want a user here, may answer the rest
		p.getParameter = strings.Contains(strings.ToUpper(m.header.first("public")), "GET_PARAMETER")
	}
	m, err := p.wanted("DESCRIBE", p.base, "Accept: application/sdp")
	if err != nil {
		return err
	}
	description := sdp.Parse(m.body)
	p.base = baseOf(p.url, m.header)
	p.whole = controls(p.base, description.Control)[0]
	var offers []elementary.Offer
	for i := range description.Media {
		if !description.Media[i].Back {
			offers = append(offers, p.offer(i, &description.Media[i]))
		}
	}
	if err := p.joiner.Choose(offers); err != nil {
		var status *statusError
		if len(offers) == 0 {
			return errNoTracks
		} else if errors.As(err, &status) {
			return status
		}
		return err
	}
	p.mu.Lock()
	p.chosen = true
	p.mu.Unlock()
	return p.askToPlay()
}

// wanted makes a request that must succeed. It fails with a [movedError] if the server has moved the resource.
func (p *pulling) wanted(method, uri string, lines ...string) (*message, error) {
	m, err := p.ask(method, uri, lines...)
	if err != nil {
		return nil, err
	}
	if to := m.header.first("location"); m.status >= 300 && m.status < 400 && to != "" {
		return nil, &movedError{to}
	}
	if m.status < 200 || m.status > 299 {
		return nil, &statusError{m.status, m.reason}
	}
	return m, nil
}

// askToPlay asks for the whole presentation or, of a server that does not have it as one, for each medium.
func (p *pulling) askToPlay() error {
	_, err := p.wanted("PLAY", p.whole, "Range: npt=0.000-")
	var status *statusError
	if errors.As(err, &status) && status.status == 457 { // a live stream, for some
		_, err = p.wanted("PLAY", p.whole)
	}
	if errors.As(err, &status) && status.status == 459 { // aggregate operation not allowed
		for _, m := range p.media {
			if _, err = p.wanted("PLAY", m.uri); err != nil {
				break
			}
		}
	}
	return err
}

// offer is what a medium has: its first format that can be carried.
func (p *pulling) offer(index int, m *sdp.Medium) elementary.Offer {
	o := elementary.Offer{Track: fmt.Sprintf("medium %d", index+1), Video: m.Kind == "video"}
	if m.Kind != "video" && m.Kind != "audio" {
		o.Refused = fmt.Errorf("it is neither video nor audio, but %q", m.Kind)
	}
	if len(m.Formats) == 0 && o.Refused == nil {
		o.Refused = errors.New("it has no format that can be read")
	}
	for i := range m.Formats {
		f := &m.Formats[i]
		if o.Name == "" {
			o.Name = f.Encoding
		}
		if o.Refused != nil && o.Codec == 0 && i == 0 {
			continue
		}
		in, err := rtp.Unpack(f)
		if err != nil {
			if o.Refused == nil {
				o.Refused = err
			}
			continue
		}
		o.Refused, o.Name, o.Codec, o.Config, o.Sets = nil, in.Codec.String(), in.Codec, in.Config, in.Sets
		o.Take = func(s *elementary.Stream) error {
			if p.playing {
				return errors.New("it was not set up before the playing began")
			}
			if p.anew {
				s.Break()
			}
			if o.Video {
				s.FrameRate(m.FrameRate)
			}
			r := p.session.Receive(in, s, p.cfg.Report)
			r.PayloadType = f.PayloadType
			for _, other := range m.Formats {
				if other.PayloadType != f.PayloadType {
					r.Others = append(r.Others, other.PayloadType)
				}
			}
			return p.setUp(m, &pulledMedium{Receiver: r})
		}
		return o
	}
	return o
}

// setUp asks for a medium, by each URL that its control attribute may stand for, over TCP, and over UDP where that is refused.
func (p *pulling) setUp(m *sdp.Medium, to *pulledMedium) error {
	to.channel = 2 * len(p.media)
	var err error
	for _, to.uri = range controls(p.base, m.Control) {
		if err = p.setUpOne(to); err == nil {
			p.mu.Lock()
			p.media = append(p.media, to)
			p.mu.Unlock()
			return nil
		}
		var status *statusError
		if !errors.As(err, &status) || status.status < 400 || status.status == 401 || status.status == 403 {
			break
		}
	}
	return fmt.Errorf("setting it up: %w", err)
}

// unsupportedTransport is the status of a transport that the server does not have (RFC 2326, 11.3.14).
const unsupportedTransport = 461

func (p *pulling) setUpOne(to *pulledMedium) error {
	if !p.udp {
		m, err := p.wanted("SETUP", to.uri, fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d", to.channel, to.channel+1))
		var status *statusError
		switch {
		case err == nil:
			t := agreed(m.header.first("transport"))
			if t.tcp || t.ports[0] == 0 {
				if t.interleaved {
					to.channel = t.channels[0]
				}
				return nil
			}
		case !errors.As(err, &status) || status.status != unsupportedTransport || len(p.media) > 0:
			return err
		}
	}
	return p.setUpUDP(to)
}

// interleaved takes a packet over TCP. Channels that nobody set up are passed over.
func (p *pulling) interleaved(channel int, b []byte) error {
	var to *pulledMedium
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.media {
		if m.channel == channel&^1 && (to == nil || len(b) > 1 && b[1]&0x7f == m.PayloadType) { // two media on one channel
			to = m
		}
	}
	if to == nil {
		return nil
	}
	return p.takeLocked(to, channel%2 == 1, b)
}

// takeLocked takes a packet of a medium. Some senders mix RTP and RTCP up, which the payload types tell apart (RFC 5761, 4).
func (p *pulling) takeLocked(m *pulledMedium, control bool, b []byte) error {
	if p.failed != nil {
		return p.failed
	}
	if !p.chosen { // a server may send before it is asked to, or what was meant for the port's last owner
		return nil
	}
	p.newest = time.Now()
	now := int64(p.newest.Sub(p.first)) * (codecs.ClockRate / 1000) / int64(time.Millisecond)
	if len(b) > 1 {
		control = b[1] >= 200 && b[1] <= 204
	}
	if control {
		m.Control(b, now)
		return nil
	}
	p.failed = m.Take(b, now)
	return p.failed
}

// play reads until the playing ends.
func (p *pulling) play(ctx context.Context) error {
	p.mu.Lock()
	p.newest, p.playing = time.Now(), true
	p.mu.Unlock()
	p.client.silence = p.cfg.Silence
	if p.udp {
		p.client.silence = 0
	}
	ctx, cancel := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	others.Go(func() { p.keepAlive(ctx) })
	for {
		m, err := p.read()
		if err != nil {
			if p.udp && errors.Is(err, io.EOF) {
				p.drain(ctx)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.failed != nil {
				return p.failed
			}
			return err
		}
		p.answered(m)
	}
}

// drained is how long no packet has come over UDP when the connection that asked for them is gone, and the media with it.
const drained = time.Second

// drain waits until no more packets come. Some servers close the connection while they send on over UDP.
func (p *pulling) drain(ctx context.Context) {
	tick := time.NewTicker(drained / 10)
	defer tick.Stop()
	for {
		p.mu.Lock()
		over := p.failed != nil || time.Since(p.newest) > drained
		p.mu.Unlock()
		if over {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// answered takes the answer to a request that keeps the session alive. A server that does not know the method is asked by the
// other one from now on; what else it answers changes nothing, since the media tells whether it plays.
func (p *pulling) answered(m *message) {
	switch {
	case m.status == 401:
		p.challenged(m)
	case m.status >= 400:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.getParameter = !p.getParameter
	}
}

// reports is how often receiver reports are sent: the least that RFC 3550 (6.2) advises.
const reports = 5 * time.Second

// keepAlive says again and again that somebody is there, by reports and requests. Over UDP it ends the connection when no packets
// come.
func (p *pulling) keepAlive(ctx context.Context) {
	every := 30 * time.Second
	p.client.mu.Lock()
	if e := p.client.expires / 2; e > 0 {
		every = min(every, max(e, time.Second))
	}
	p.client.mu.Unlock()
	tick := time.NewTicker(min(every, reports))
	defer tick.Stop()
	for asked := time.Now(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		method := "OPTIONS"
		if p.getParameter {
			method = "GET_PARAMETER"
		}
		if p.udp && p.failed == nil && time.Since(p.newest) > p.cfg.Silence {
			p.failed = errors.New("the server sends no packets")
			_ = p.nc.Close()
		}
		p.mu.Unlock()
		p.reportAll()
		if time.Since(asked) >= every-100*time.Millisecond {
			asked = time.Now()
			if _, _, err := p.write(method, p.whole, nil); err != nil {
				return // whoever reads finds out
			}
		}
	}
}

// reportAll sends the receiver's reports of all media.
func (p *pulling) reportAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := int64(time.Since(p.first)) * (codecs.ClockRate / 1000) / int64(time.Millisecond)
	for _, m := range p.media {
		b := m.Report(now)
		switch {
		case b == nil:
		case m.sockets != nil:
			m.sockets.report(b)
		default:
			_ = p.send(append(appendHead(nil, byte(m.channel+1), len(b)), b...))
		}
	}
}
