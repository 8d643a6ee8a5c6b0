package flv

import "weir/codecs"

// A grid gives audio frames the exact times that their sample count implies; the wire's milliseconds only say where
// the grid lies. The zero grid has no place yet.
type grid struct {
	placed  bool
	anchor  int64 // ticks
	samples int64 // since anchor
}

// gridSlack is how far, in ticks, the wire may be off the grid: a millisecond of rounding, and as much again for
// senders that round twice.
const gridSlack = 180

// place returns the DTS, in ticks, of a frame of n samples that the wire puts at dts.
func (g *grid) place(dts, n, rate int64) int64 {
	on := g.anchor + g.samples*codecs.ClockRate/rate
	if !g.placed || dts < on-gridSlack || dts > on+gridSlack {
		g.placed, g.anchor, g.samples, on = true, dts, 0, dts
	}
	g.samples += n
	return on
}
