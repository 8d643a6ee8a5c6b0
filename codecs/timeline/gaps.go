package timeline

import (
	"weir/codecs"
	"weir/codecs/order"
)

// maxWaiting is how many pictures wait for a timestamp: more than in the 0.7 s in which H.222.0 (2.7.4) demands one, at 50 pictures in
// a second.
const maxWaiting = 36

// Gaps fills in the times of pictures without a timestamp.
type gaps struct {
	waiting []unit

	stamped     bool
	anchor      unit  // the last picture with a timestamp, or with a predicted one
	interval    int64 // of pictures, learnt from timestamps; 0 until then
	composition int64 // of the last random access point with a timestamp
	slope       int64 // of the PTS, in ticks for 16 picture order counts; 0 until it is known
	odd         int   // distances in a row that were much longer than the interval
	since       int64 // pictures since the last one with a timestamp
	lastStamp   int64 // its DTS
}

// without takes a picture that has no timestamp.
func (g *gaps) without(t *Track, u unit) []*codecs.AccessUnit {
	t.l.repaired()
	g.since++
	if g.stamped && g.interval > 0 && len(g.waiting) == 0 {
		u.dts = g.anchor.dts + g.interval
		u.pts = g.shown(u)
		g.anchor = u
		return []*codecs.AccessUnit{t.place(u)}
	}
	if g.waiting = append(g.waiting, u); len(g.waiting) < maxWaiting {
		return nil
	}
	return g.flush(t)
}

// with takes a picture with a timestamp, and places those that wait.
func (g *gaps) with(t *Track, u unit) []*codecs.AccessUnit {
	n := int64(len(g.waiting))
	step := g.guess(u.picture)
	if g.stamped {
		if s := (u.dts - g.lastStamp) / (g.since + 1); s > 0 && s <= maxInterval {
			if step = s; g.since > 0 {
				g.pace(s)
			}
			g.learn(u, s)
		}
	}
	out := make([]*codecs.AccessUnit, 0, n+1)
	for i, w := range g.waiting {
		w.dts = u.dts - (n-int64(i))*step
		w.pts = g.shown(w)
		if w.picture.Counted {
			g.anchor = w
		}
		out = append(out, t.place(w))
	}
	g.waiting = nil
	if u.au.RandomAccess {
		g.composition = u.pts - u.dts
	}
	g.stamped, g.anchor, g.since, g.lastStamp = true, u, 0, u.dts
	return append(out, t.place(u))
}

// flush places the pictures that wait, although no timestamp has come behind them. Without any timestamp before them they have no
// place, and wait on.
func (g *gaps) flush(t *Track) (out []*codecs.AccessUnit) {
	if !g.stamped {
		if len(g.waiting) >= maxWaiting {
			g.waiting = g.waiting[1:]
		}
		return nil
	}
	if len(g.waiting) == 0 {
		return nil
	}
	g.interval = g.guess(g.waiting[0].picture)
	if g.slope == 0 {
		g.slope = g.slopeOf(g.interval)
	}
	waiting := g.waiting
	g.waiting = nil
	for _, w := range waiting {
		w.dts = g.anchor.dts + g.interval
		w.pts = g.shown(w)
		g.anchor = w
		out = append(out, t.place(w))
	}
	return out
}

// pace takes the distance of pictures between two timestamps. A pause is no distance, unless it comes again and again.
func (g *gaps) pace(distance int64) {
	if g.odd++; g.interval == 0 || distance < g.interval*3/2 || g.odd > 3 {
		g.interval, g.odd = distance, 0
	}
}

// guess is the distance of pictures as long as no two timestamps tell it.
func (g *gaps) guess(p order.Picture) int64 {
	switch {
	case g.interval > 0:
		return g.interval
	case p.Interval > 0:
		return p.Interval
	}
	return usual
}

// learn finds how the PTS rises with the picture order count: from two pictures with both or, where only random access points have a
// timestamp, from the distance of pictures and the smallest step of their counts.
func (g *gaps) learn(u unit, interval int64) {
	a, b := g.anchor.picture, u.picture
	if a.Counted && b.Counted && !b.Reset && b.Count != a.Count && g.since == int64(len(g.waiting)) {
		if s := (u.pts - g.anchor.pts) * 16 / int64(b.Count-a.Count); s > 0 {
			g.slope = s
		}
	} else if g.slope == 0 && len(g.waiting) > 0 {
		g.slope = g.slopeOf(interval)
	}
}

// slopeOf is the slope at a distance of pictures, by the smallest step between the counts of those that wait.
func (g *gaps) slopeOf(interval int64) int64 {
	least := 0
	counts := []int{}
	if g.anchor.picture.Counted {
		counts = append(counts, g.anchor.picture.Count)
	}
	for _, w := range g.waiting {
		if !w.picture.Counted || w.picture.Reset {
			break
		}
		for _, c := range counts {
			if d := max(w.picture.Count-c, c-w.picture.Count); d > 0 && (least == 0 || d < least) {
				least = d
			}
		}
		counts = append(counts, w.picture.Count)
	}
	if least == 0 {
		return 0
	}
	return interval * 16 / int64(least)
}

// shown is the PTS of a picture of which the DTS is known: by its count where that says something, else as long after the DTS as that
// of the last random access point.
func (g *gaps) shown(u unit) int64 {
	p, a := u.picture, g.anchor.picture
	if g.slope > 0 && p.Counted && a.Counted && !p.Reset {
		return g.anchor.pts + int64(p.Count-a.Count)*g.slope/16
	}
	return u.dts + g.composition
}
