package pull

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gohlslib/v2"
	hlscodecs "github.com/bluenviron/gohlslib/v2/pkg/codecs"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

// heldReload is how long a server may hold a request for a playlist that is to come: three target durations
// (RFC 8216bis, 6.2.5.2) of a usual length.
const heldReload = 20 * time.Second

// HLS reads the playlist at an http or https URL, multivariant or not, and writes what it lists until it ends, and says
// why it did; the error is never nil. Of several variants it takes the one with the greatest bandwidth that it can
// carry. Timestamps are those of the media, without jumps and wraps.
func HLS(ctx context.Context, rawURL string, o Options, out codecs.Writer) error {
	o = o.complete()
	client, end := o.client(heldReload + o.Connect)
	defer end()
	p := &playlistPull{out: out, report: o.Report, failed: make(chan error, 1)}
	c := &gohlslib.Client{
		URI: rawURL, HTTPClient: client,
		OnDownloadPrimaryPlaylist: func(string) {},
		OnDownloadStreamPlaylist:  func(string) {},
		OnDownloadSegment:         func(string) {},
		OnDownloadPart:            func(string) {},
		OnDecodeError:             p.damaged,
	}
	c.OnTracks = func(tracks []*gohlslib.Track) error { return p.join(c, tracks) }
	if err := c.Start(); err != nil {
		return redacted(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait2() }()
	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-p.failed:
	case err = <-ended:
		return playlistEnd(p, err)
	}
	c.Close()
	<-ended
	return err
}

// playlistEnd says in words how reading a playlist ended.
func playlistEnd(p *playlistPull, err error) error {
	select {
	case own := <-p.failed:
		return own
	default:
	}
	switch {
	case errors.Is(err, gohlslib.ErrClientEOS):
		return ErrEnded
	case err != nil && strings.Contains(err.Error(), "no supported tracks found"):
		return fmt.Errorf("%w; of HLS weir takes H.264 and AAC in transport streams, and H.264, H.265, AAC and Opus in fragmented MP4", err)
	}
	return redacted(err)
}

// A playlistPull hands the media of a playlist on. The library calls it from a goroutine for each track.
type playlistPull struct {
	out    codecs.Writer
	report reception.Report
	failed chan error // the first error that is not the library's own

	mu sync.Mutex // held while the media is written and the report is told
	j  *elementary.Joiner
}

func (p *playlistPull) damaged(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.Count(reception.Damaged, 1, err)
}

// fail ends the reading, because of err.
func (p *playlistPull) fail(err error) {
	if err == nil {
		return
	}
	select {
	case p.failed <- err:
	default:
	}
}

// join adds the tracks that can be carried.
func (p *playlistPull) join(c *gohlslib.Client, tracks []*gohlslib.Track) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.j = elementary.New(p.out, p.report, 0)
	p.j.Patience = 10 * codecs.ClockRate // each track comes by itself, a segment at a time
	offers := make([]elementary.Offer, len(tracks))
	for i, t := range tracks {
		offers[i] = p.offer(c, t)
		offers[i].Track = fmt.Sprintf("track %d", i+1)
	}
	return p.j.Choose(offers)
}

// offer describes a track; one that is refused cannot be carried.
func (p *playlistPull) offer(c *gohlslib.Client, t *gohlslib.Track) (o elementary.Offer) {
	rate := int64(t.ClockRate)
	if rate <= 0 {
		rate = codecs.ClockRate
	}
	var s *elementary.Stream
	add := func(pts, dts int64, units [][]byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fail(s.Add(timeline.At(codecs.Ticks(dts, rate), codecs.Ticks(pts, rate)), units...))
	}
	sound := func(pts int64, frames [][]byte) { add(pts, pts, frames) }
	var subscribe func()
	switch k := t.Codec.(type) {
	case *hlscodecs.H264:
		o = elementary.Offer{Codec: codecs.H264, Name: "H.264", Sets: [][]byte{k.SPS, k.PPS}}
		subscribe = func() { c.OnDataH26x(t, add) }
	case *hlscodecs.H265:
		o = elementary.Offer{Codec: codecs.H265, Name: "H.265", Sets: [][]byte{k.VPS, k.SPS, k.PPS}}
		subscribe = func() { c.OnDataH26x(t, add) }
	case *hlscodecs.MPEG4Audio:
		o = elementary.Offer{Codec: codecs.AAC, Name: "AAC"}
		o.Config, o.Refused = k.Config.Marshal()
		subscribe = func() { c.OnDataMPEG4Audio(t, sound) }
	case *hlscodecs.Opus:
		o = elementary.Offer{Codec: codecs.Opus, Name: "Opus"}
		o.Config, o.Refused = carriage.OpusConfig(k.ChannelCount)
		subscribe = func() { c.OnDataOpus(t, sound) }
	default:
		o.Name = strings.TrimPrefix(fmt.Sprintf("%T", k), "*codecs.")
		o.Refused = &codecs.UnsupportedError{Video: k.IsVideo(), Name: o.Name}
	}
	o.Video = t.Codec.IsVideo()
	o.Take = func(stream *elementary.Stream) error {
		s = stream
		subscribe()
		return nil
	}
	return o
}
