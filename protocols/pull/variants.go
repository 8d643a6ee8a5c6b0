package pull

import (
	"errors"
	"slices"
	"strings"
	"time"

	"weir/protocols/pull/m3u8"
)

// A choice is which variant of a presentation is played: the best of those that can be carried, that the server has, and that the link
// bears.
type choice struct {
	failed map[string]time.Time // variants, by URI, and when they failed last

	// The bandwidths of the variant that is played, and of those that would be taken above and below it; 0 where there is none.
	bandwidth, above, below int64

	limit int64         // the bandwidth that is not exceeded; 0: any
	retry time.Time     // when a better variant may be tried
	pause time.Duration // from the last step down until then
	rose  time.Time     // when a better variant was tried last

	took []share // what the newest segments have taken, the newest last
}

// A share is how long a segment took to come, and how long it lasts.
type share struct{ took, lasts time.Duration }

const (
	// avoided is for how long a variant that failed is not taken while another one can be.
	avoided = time.Minute

	// A variant that the link turned out not to bear is tried again after firstPause, and after twice as long each time that it
	// was in vain, up to lastPause. It was in vain where a step down follows within probation.
	firstPause = 30 * time.Second
	lastPause  = 8 * time.Minute
	probation  = time.Minute

	// measured is how many segments say how fast the link is, and spare how much of their length those of a better variant may be
	// expected to take, in hundredths.
	measured = 4
	spare    = 70
)

// errChange says that another variant is to be played.
var errChange = errors.New("another variant fits the link better")

// order lists the variants, the best first: those that can be carried before those whose codecs say otherwise, those that have not
// failed lately before the others, those with pictures before sound alone, those that the link bears, and then by bandwidth.
func (c *choice) order(p *m3u8.Playlist, now time.Time) []m3u8.Variant {
	slow := func(v m3u8.Variant) bool { return c.limit > 0 && v.Bandwidth > c.limit }
	rank := func(v m3u8.Variant) (n int) {
		carried, pictures := carries(v.Codecs)
		if !carried {
			n += 8
		}
		if at, ok := c.failed[v.URI]; ok && now.Sub(at) < avoided {
			n += 4
		}
		if !pictures {
			n += 2
		}
		if slow(v) {
			n++
		}
		return n
	}
	out := slices.Clone(p.Variants)
	slices.SortStableFunc(out, func(a, b m3u8.Variant) int {
		if r := rank(a) - rank(b); r != 0 {
			return r
		}
		d := int(max(-1, min(1, b.Bandwidth-a.Bandwidth)))
		if slow(a) {
			return -d
		}
		return d
	})
	return out
}

// begin says that a variant is played, of those that there are.
func (c *choice) begin(v m3u8.Variant, list []m3u8.Variant, now time.Time) {
	c.bandwidth, c.above, c.below, c.took = v.Bandwidth, 0, 0, nil
	_, pictures := carries(v.Codecs)
	for _, o := range list {
		carried, also := carries(o.Codecs)
		at, failed := c.failed[o.URI]
		switch {
		case !carried, also != pictures, failed && now.Sub(at) < avoided:
		case o.Bandwidth > v.Bandwidth && (c.above == 0 || o.Bandwidth < c.above):
			c.above = o.Bandwidth
		case o.Bandwidth < v.Bandwidth && o.Bandwidth > c.below:
			c.below = o.Bandwidth
		}
	}
}

// segment takes in how long a segment took to come, or to fail, and how much media is ready behind it. It says whether another variant
// is to be played.
func (c *choice) segment(s share, ready time.Duration, now time.Time) bool {
	if c.took = append(c.took, s); len(c.took) > measured {
		c.took = c.took[1:]
	}
	before := share{}
	if n := len(c.took); n > 1 {
		before = c.took[n-2]
	}
	switch {
	case s.took > s.lasts && c.below > 0 && (before.took > before.lasts || ready < s.lasts):
		if c.pause = min(2*c.pause, lastPause); c.pause == 0 || now.Sub(c.rose) > probation {
			c.pause = firstPause
		}
		c.limit, c.retry = c.below, now.Add(c.pause)
		return true
	case c.above > 0 && c.limit > 0 && c.above > c.limit && now.After(c.retry) && c.fast():
		c.limit, c.rose, c.retry = c.above, now, now.Add(probation)
		return true
	}
	return false
}

// fast says whether the link would bear the better variant.
func (c *choice) fast() bool {
	var sum share
	for _, s := range c.took {
		sum.took, sum.lasts = sum.took+s.took, sum.lasts+s.lasts
	}
	return len(c.took) == measured && float64(sum.took)*float64(c.above)*100 < float64(sum.lasts)*float64(c.bandwidth)*spare
}

// carriedNames are how codecs begin, as RFC 6381 names them, that segments may hold here.
var carriedNames = map[string]bool{ // whether it is video
	"avc1": true, "avc3": true, "hvc1": true, "hev1": true, "mp4a": false, "opus": false, "ac-3": false, "mp3": false,
}

// carries says whether anything of a variant with such codecs can be carried, and whether there are pictures in it. No codecs mean that
// the playlist does not say.
func carries(names []string) (carried, pictures bool) {
	if len(names) == 0 {
		return true, true
	}
	other := false
	for _, name := range names {
		kind, _, _ := strings.Cut(strings.ToLower(name), ".")
		video, ok := carriedNames[kind]
		switch {
		case ok && video:
			pictures = true
		case !ok && kind != "stpp" && kind != "wvtt" && kind != "ec-3" && kind != "ac-4" && kind != "flac":
			other = true // pictures, most likely
		}
		carried = carried || ok
	}
	return carried && (pictures || !other), pictures
}
