// Package cmaf cuts a stream into segments and holds the newest of them in memory, for the protocols that serve media
// in segments.
//
// It knows no playlist, manifest, URL or client; those are made by the protocols above it from an immutable [Window].
package cmaf

import (
	"cmp"
	"time"

	"weir/codecs"
)

// A Config says how streams are cut and how much of them is held. The zero value of each field means its default.
type Config struct {
	// Target is the duration that a segment should have; it is cut at the first random access point at or after it.
	// Default 4 s.
	Target time.Duration

	// Window is the number of segments in a playlist. There are more while they last less than three target durations
	// together (RFC 8216, 6.2.2). Default 6.
	Window int
}

// Shortest is how long segments last at least on average, whatever breaks the stream has. Because of it [FreshNumber] is
// larger than every number used before.
const Shortest = time.Second

const (
	// maxPayload bounds the payload of one segment in bytes: it is cut there, random access point or not.
	maxPayload = 64 << 20

	// maxUnmarked bounds a segment of a stream that carries no marks, in ticks.
	maxUnmarked = 30 * codecs.ClockRate

	// maxMarked bounds a segment between two marks, in ticks. Inputs set marks far apart only for media that has no random
	// access points in between.
	maxMarked = 300 * codecs.ClockRate
)

func (c Config) withDefaults() Config {
	c.Target = cmp.Or(c.Target, 4*time.Second)
	c.Window = cmp.Or(c.Window, 6)
	return c
}

// keep is the number of segments that stay available after they have left the playlist. RFC 8216, 6.2.2 asks for the
// duration of the segment and of the longest playlist that named it.
func (c Config) keep() int { return c.Window + 1 }

func ticks(d time.Duration) int64 {
	return int64(d/time.Second)*codecs.ClockRate + int64(d%time.Second)*codecs.ClockRate/int64(time.Second)
}

// seconds rounds ticks up to whole seconds.
func seconds(t int64) int { return int((t + codecs.ClockRate - 1) / codecs.ClockRate) }

// FreshNumber is the number for the first segment of a stream whose earlier numbers are not known. No node cuts more often
// than once in [Shortest]. The number is therefore larger than every number that any node has used for the stream, as far as
// the clocks of the nodes agree.
func FreshNumber(now time.Time) int64 { return now.UnixMicro() / Shortest.Microseconds() }
