package timeline

import "weir/codecs"

// A grid gives sound the exact times that the numbers of its samples imply; rounded timestamps only say where the grid lies. The zero
// grid has no place yet.
type grid struct {
	placed  bool
	anchor  int64
	samples int64 // since anchor
}

// next is where the next unit lies.
func (g *grid) next(rate int64) int64 { return g.anchor + g.samples*codecs.ClockRate/rate }

// place returns the DTS of a unit whose timestamp puts it at dts. Slack is how far the timestamp may be off the grid.
func (g *grid) place(dts int64, s sound, slack int64) int64 {
	on := g.next(s.rate)
	if !g.placed || dts < on-slack || dts > on+slack {
		*g, on = grid{placed: true, anchor: dts}, dts
	}
	g.samples += s.samples
	return on
}
