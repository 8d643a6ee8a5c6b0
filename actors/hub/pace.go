package hub

import (
	"math"

	"weir/codecs"
)

// The number of pictures, and of ticks, from which a measured rate counts, and of pictures after which the measuring begins anew.
const (
	fewestPictures = 20
	leastMeasured  = codecs.ClockRate * 9 / 10
	mostPictures   = 1000
)

// usualRates are the frame rates that cameras and encoders have. A measured one that is within half a percent of some is taken for the
// nearest.
var usualRates = []float64{5, 6, 7.5, 8, 10, 12, 12.5, 15, 20, 24000. / 1001, 24, 25, 30000. / 1001, 30, 48, 50, 60000. / 1001, 60, 100, 120}

// A pace measures how many pictures come in a second. The zero pace has measured nothing.
type pace struct {
	first, last int64 // DTS
	pictures    int
	measured    float64 // before the measuring began anew
}

// add counts a picture.
func (p *pace) add(au *codecs.AccessUnit) {
	if p.pictures > 0 && (au.Discontinuity || au.DTS <= p.last || p.pictures >= mostPictures) {
		*p = pace{measured: p.rate()}
	}
	if p.pictures == 0 {
		p.first = au.DTS
	}
	p.last = au.DTS
	p.pictures++
}

// rate is in pictures per second; zero before there were enough.
func (p *pace) rate() float64 {
	span := p.last - p.first
	if p.pictures < fewestPictures || span < leastMeasured {
		return p.measured
	}
	rate := float64(p.pictures-1) * codecs.ClockRate / float64(span)
	usual := rate
	for _, u := range usualRates {
		if off := math.Abs(u - rate); off <= rate/200 && (usual == rate || off < math.Abs(usual-rate)) {
			usual = u
		}
	}
	return codecs.PlausibleRate(math.Round(usual*1000) / 1000)
}
