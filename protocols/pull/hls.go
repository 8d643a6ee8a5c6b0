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
	"weir/codecs/elementary"
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
	p := &playlistPull{out: out, note: o.Note, failed: make(chan error, 1)}
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
	note   func(string)
	failed chan error // the first error that is not the library's own

	mu   sync.Mutex
	j    *elementary.Joiner
	once sync.Once
}

func (p *playlistPull) damaged(err error) {
	p.once.Do(func() { p.note(fmt.Sprintf("damaged places are skipped, the first: %v", err)) })
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
	p.j = elementary.New(p.out, 0)
	var refused []refusal
	for _, t := range tracks {
		name, video := playlistCodec(t.Codec)
		switch taken := video && p.j.HasVideo() || !video && p.j.HasAudio(); {
		case name != "":
			refused = append(refused, refusal{name, video})
			continue
		case taken:
			p.note(fmt.Sprintf("a track of %T is left out: it is not the first of its kind", t.Codec))
			continue
		}
		if err := p.track(c, t); err != nil {
			return err
		}
	}
	return missing(p.j, refused, p.note)
}

// playlistCodec names a codec that cannot be carried; the name is empty for one that can.
func playlistCodec(c hlscodecs.Codec) (name string, video bool) {
	switch c.(type) {
	case *hlscodecs.H264, *hlscodecs.H265:
		return "", true
	case *hlscodecs.MPEG4Audio, *hlscodecs.Opus:
		return "", false
	case *hlscodecs.AV1:
		return "AV1", true
	case *hlscodecs.VP9:
		return "VP9", true
	case *hlscodecs.FLAC:
		return "FLAC", false
	}
	return fmt.Sprintf("%T", c), false
}

func (p *playlistPull) track(c *gohlslib.Client, t *gohlslib.Track) error {
	rate := int64(t.ClockRate)
	if rate <= 0 {
		rate = codecs.ClockRate
	}
	ticks := func(at int64) int64 { return toTicks(at, rate) }
	var v *elementary.Video
	var a *elementary.Audio
	var err error
	pictures := func(pts, dts int64, units [][]byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fail(v.Add(ticks(dts), ticks(pts), units))
	}
	sound := func(pts int64, frames [][]byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fail(a.Add(ticks(pts), frames...))
	}
	switch k := t.Codec.(type) {
	case *hlscodecs.H264:
		v, err = p.j.Video(codecs.H264, k.SPS, k.PPS)
		c.OnDataH26x(t, pictures)
	case *hlscodecs.H265:
		v, err = p.j.Video(codecs.H265, k.VPS, k.SPS, k.PPS)
		c.OnDataH26x(t, pictures)
	case *hlscodecs.MPEG4Audio:
		config, merr := k.Config.Marshal()
		if merr != nil {
			return merr
		}
		a, err = p.j.AAC(config)
		c.OnDataMPEG4Audio(t, sound)
	case *hlscodecs.Opus:
		a, err = p.j.Opus(k.ChannelCount)
		c.OnDataOpus(t, sound)
	}
	return err
}

// toTicks turns units of which there are rate in a second into ticks, rounded down.
func toTicks(at, rate int64) int64 {
	seconds, rest := at/rate, at%rate
	if rest < 0 {
		seconds, rest = seconds-1, rest+rate
	}
	return seconds*codecs.ClockRate + rest*codecs.ClockRate/rate
}
