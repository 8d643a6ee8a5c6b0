// Package fake holds a test pattern that needs no file: H.264 with colour bars, a burnt-in UTC clock and a moving
// square, and AAC with a beep in each second, written in pure Go. It is a function of time alone: every node makes
// identical bytes for the same instant.
//
// It knows no clock, node or stream: the instant comes as ticks.
package fake

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"weir/codecs"
	"weir/codecs/linear"
)

// Audio says what a test pattern sounds like.
type Audio uint8

// The sounds of a test pattern.
const (
	Beep    Audio = iota // 0.1 s at each full second
	Silence              // an audio track without a sound
	None                 // no audio track
)

// A Config describes a test pattern. The zero Config is 640x360 at 25 pictures per second with a beep at 48 kHz.
type Config struct {
	Width, Height int // even; from 256x144 to 1920x1088
	Rate          int // access units of video per second, 1 to 60
	Audio         Audio
	SampleRate    int // 48000 or 44100

	// GOP is the number of pictures from one random access point to the next; it divides those of four seconds. Zero means
	// as many as two seconds have.
	GOP int
}

// Parse reads a Config from the query of a fake:// URL, such as "size=1280x720&fps=50&audio=none". The parameters are
// size, fps, audio (beep, silence or none) and rate (48000 or 44100); an unknown one is an error.
func Parse(query string) (Config, error) {
	var c Config
	for parameter := range strings.SplitSeq(query, "&") {
		if parameter == "" {
			continue
		}
		key, value, _ := strings.Cut(parameter, "=")
		ok := true
		switch key {
		case "size":
			w, h, _ := strings.Cut(value, "x")
			c.Width, ok = positive(w)
			if ok {
				c.Height, ok = positive(h)
			}
		case "fps":
			c.Rate, ok = positive(value)
		case "rate":
			c.SampleRate, ok = positive(value)
		case "audio":
			switch value {
			case "beep":
				c.Audio = Beep
			case "silence":
				c.Audio = Silence
			case "none":
				c.Audio = None
			default:
				return Config{}, fmt.Errorf("audio=%q: must be beep, silence or none", value)
			}
		default:
			return Config{}, fmt.Errorf("unknown parameter %q: there are size, fps, audio and rate", key)
		}
		if !ok {
			return Config{}, fmt.Errorf("%s=%q: must be like size=640x360, fps=25, rate=48000", key, value)
		}
	}
	return c.complete()
}

// positive reads a number of at most five digits.
func positive(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0 && len(s) <= 5 && s[0] != '+'
}

// complete sets the defaults and checks the limits.
func (c Config) complete() (Config, error) {
	if c.Width == 0 && c.Height == 0 {
		c.Width, c.Height = 640, 360
	}
	if c.Rate == 0 {
		c.Rate = 25
	}
	if c.SampleRate == 0 {
		c.SampleRate = 48000
	}
	switch {
	case c.GOP < 0 || c.GOP > 0 && segmentSeconds*c.Rate%c.GOP != 0:
		return Config{}, fmt.Errorf("%d pictures from one random access point to the next: must divide those of %d s", c.GOP, segmentSeconds)
	case c.Width < 256 || c.Width > 1920 || c.Height < 144 || c.Height > 1088 || c.Width%2+c.Height%2 > 0:
		return Config{}, fmt.Errorf("size=%dx%d: must be even and from 256x144 to 1920x1088", c.Width, c.Height)
	case c.Rate < 1 || c.Rate > 60:
		return Config{}, fmt.Errorf("fps=%d: must be 1 to 60", c.Rate)
	case c.SampleRate != 48000 && c.SampleRate != 44100:
		return Config{}, fmt.Errorf("rate=%d: must be 48000 or 44100", c.SampleRate)
	case c.Audio > None:
		return Config{}, fmt.Errorf("audio: %d is none that there is", c.Audio)
	}
	return c, nil
}

// A Pattern is a test pattern on the timeline of the Unix epoch. It is a [linear.Timeline] and immutable. Its
// segments have 4 s and two GOPs; segment n starts 4n seconds after the epoch.
type Pattern struct {
	config Config
	tracks codecs.Tracks
	layout *layout
	grid   linear.Grid
	gop    int64 // pictures from one random access point to the next
}

const (
	segmentSeconds = 4
	gopSeconds     = 2
	segmentTicks   = segmentSeconds * codecs.ClockRate
)

// New makes a test pattern. Zero fields of the Config take their defaults.
func New(c Config) (*Pattern, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	p := &Pattern{
		config: c, layout: newLayout(c), grid: linear.NewGrid(unit, c.SampleRate), gop: int64(cmp.Or(c.GOP, gopSeconds*c.Rate)),
	}
	video, err := videoTrack(c)
	if err != nil {
		return nil, err
	}
	p.tracks = codecs.Tracks{video}
	if c.Audio != None {
		audio, err := audioTrack(c.SampleRate)
		if err != nil {
			return nil, err
		}
		p.tracks = append(p.tracks, audio)
	}
	return p, nil
}

// Tracks implements [linear.Timeline].
func (p *Pattern) Tracks() codecs.Tracks { return p.tracks }

// SegmentAt implements [linear.Timeline].
func (p *Pattern) SegmentAt(ticks int64) int64 {
	msn := ticks / segmentTicks
	if ticks%segmentTicks < 0 {
		msn--
	}
	return msn
}

// lastSegment is the first that the clock cannot show.
const lastSegment = maxMillis / 1000 / segmentSeconds

// Bounds implements [linear.Timeline]. Numbers for which there is no segment are taken as the nearest that is one.
func (p *Pattern) Bounds(msn int64) (start, end int64) {
	const most = linear.MaxTicks / segmentTicks
	msn = min(max(msn, -most), most)
	return msn * segmentTicks, (msn + 1) * segmentTicks
}

// Longest implements [linear.Timeline].
func (p *Pattern) Longest() int64 { return segmentTicks }

// Segment implements [linear.Timeline]. There are segments from the epoch to the end of the year 9999.
func (p *Pattern) Segment(msn int64) ([]*codecs.AccessUnit, error) {
	if msn < 0 || msn >= lastSegment {
		return nil, fmt.Errorf("segment %d: out of range", msn)
	}
	units := linear.Interleave(p.video(msn), p.audio(msn))
	units[0].Cut = msn
	return units, nil
}

func (p *Pattern) video(msn int64) []*codecs.AccessUnit {
	rate := int64(p.config.Rate)
	count := segmentSeconds * rate
	units := make([]*codecs.AccessUnit, 0, count)
	at := func(index int64) int64 { return index * codecs.ClockRate / rate }
	w := &writer{}
	var before state
	for index := msn * count; index < (msn+1)*count; index++ {
		n := int(index % p.gop)
		now := p.layout.state(index, p.config.Rate)
		header := byte(nalSlice)
		*w = writer{b: w.b[:0]}
		if n == 0 {
			header = nalIDR
			p.layout.intra(w, &now, uint32(index/p.gop&1))
		} else {
			p.layout.inter(w, &before, &now, n)
		}
		before = now
		const sei = 64 // room for the message, lengths and prevention bytes
		payload := make([]byte, 0, len(w.b)+sei)
		payload = appendNAL(payload, nalSEI, seiPayload(index))
		payload = appendNAL(payload, header, w.b)
		dts := at(index)
		units = append(units, &codecs.AccessUnit{
			DTS: dts, PTS: dts, Duration: at(index+1) - dts, RandomAccess: n == 0, Payload: payload,
		})
	}
	return units
}

func (p *Pattern) audio(msn int64) []*codecs.AccessUnit {
	if p.config.Audio == None {
		return nil
	}
	start, end := p.Bounds(msn)
	from, to := p.grid.First(start), p.grid.First(end)
	units := make([]*codecs.AccessUnit, 0, to-from)
	for u := from; u < to; u++ {
		at := p.grid.At(u)
		units = append(units, &codecs.AccessUnit{
			Track: 1, DTS: at, PTS: at, Duration: p.grid.At(u+1) - at, Payload: p.sound(u),
		})
	}
	return units
}
