package linear

import (
	"fmt"
	"sort"

	"weir/codecs"
)

// In ticks: usual is the length that segments are cut to, and Shortest the length that none falls below.
const (
	usual    = 4 * clockRate
	Shortest = clockRate
)

// maxSegment bounds the payload of a segment in bytes, because a segment is held in memory whole.
const maxSegment = 256 << 20

// A Program is a clip looped on the timeline of the Unix epoch: loop n starts at n times the clip's length. It is a
// [Timeline] and immutable.
//
// The video of each loop is the clip's, moved. The audio lies on one [Grid] that counts from the epoch and does not
// start anew at the seam: loop n takes the positions from n times the length on, and plays the clip's audio access
// units there in their order. So audio timestamps are uniform for ever, and sound and picture are never more than an
// audio access unit apart.
//
// Segments begin at random access points of the clip, and anew with each loop, or with every so many loops of a clip
// that is shorter than a segment may be.
type Program struct {
	clip *Clip
	cuts []cut // of one loop, ascending; never empty

	// span is the number of loops in a segment. It is 1 whenever there is more than one cut.
	span int64

	// hold is how many units at the end of a loop repeat the clip's last one.
	hold int64
}

var _ Timeline = (*Program)(nil)

// A cut is where a segment starts within a loop.
type cut struct {
	sample int   // index in Clip.video
	dts    int64 // from the start of the loop; for audio alone, the first grid position from there on starts the segment
}

// NewProgram loops a clip and cuts it into segments of about 4 s.
func NewProgram(c *Clip) (*Program, error) {
	p := &Program{clip: c, span: 1}
	target, shortest := int64(usual), int64(Shortest)
	if len(c.video) == 0 {
		shortest += c.grid.At(2) // segments of audio start and end at the grid position after their cuts
		target = max(target, shortest)
	}
	if c.length < shortest {
		p.span = (target + c.length - 1) / c.length
	}
	if len(c.video) > 0 {
		p.cuts = videoCuts(c.video, c.length, target)
	} else {
		p.cuts = evenCuts(c.length, target, shortest)
	}
	if err := p.checkSizes(); err != nil {
		return nil, err
	}
	// What an encoder left out at both ends is filled with the last unit; a real silence is left silent.
	const rounding = 2
	if c.slots > 0 && c.grid.Last(c.length-1)+1-c.slots <= rounding {
		p.hold = rounding
	}
	return p, nil
}

// videoCuts cuts at the random access points that come nearest to the target, each counted from the one before.
func videoCuts(video []Sample, length, target int64) []cut {
	cuts := []cut{{0, video[0].DTS}}
	end := video[0].DTS + length
	best, distance := -1, int64(0)
	for i := 1; i < len(video); i++ {
		start := cuts[len(cuts)-1].dts
		if d := video[i].DTS - start; best >= 0 && d-target >= distance {
			// Everything from here on is further from the target than the best.
			cuts = append(cuts, cut{best, video[best].DTS})
			i, best = best, -1
			continue
		} else if !video[i].RandomAccess || d < Shortest {
			continue
		} else if far := max(d-target, target-d); best < 0 || far < distance {
			best, distance = i, far
		}
	}
	// The rest of the loop is a candidate like the others: it ends at a random access point.
	if best >= 0 {
		start := cuts[len(cuts)-1].dts
		if far := max(end-start-target, target-(end-start)); distance < far {
			cuts = append(cuts, cut{best, video[best].DTS})
		}
	}
	if n := len(cuts); n > 1 && end-cuts[n-1].dts < Shortest {
		cuts = cuts[:n-1]
	}
	return cuts
}

// evenCuts cuts where no video says where.
func evenCuts(length, target, shortest int64) []cut {
	var cuts []cut
	for at := int64(0); at == 0 || at+shortest <= length; at += target {
		cuts = append(cuts, cut{dts: at})
	}
	return cuts
}

// Longest implements [Timeline]. Segments of audio alone start and end at the grid position after their cuts.
func (p *Program) Longest() (longest int64) {
	for j, c := range p.cuts {
		end := p.cuts[0].dts + p.span*p.clip.length
		if j+1 < len(p.cuts) {
			end = p.cuts[j+1].dts
		}
		longest = max(longest, end-c.dts)
	}
	if len(p.clip.video) == 0 {
		longest += p.clip.grid.At(1)
	}
	return longest
}

// checkSizes refuses clips whose random access points are so far apart that a segment would not fit into memory.
func (p *Program) checkSizes() error {
	for j, c := range p.cuts {
		end := len(p.clip.video)
		if j+1 < len(p.cuts) {
			end = p.cuts[j+1].sample
		}
		size := int64(0)
		for _, s := range p.clip.video[c.sample:end] {
			size += int64(s.Size)
		}
		if size *= p.span; size > maxSegment {
			return fmt.Errorf("the video from %d ms to the next usable random access point has %d bytes; a segment may have %d",
				c.dts*1000/clockRate, size, maxSegment)
		}
	}
	return nil
}

// most returns the highest media sequence number whose segment lies within [MaxTicks].
func (p *Program) most() int64 { return MaxTicks / p.clip.length / p.span }

// Tracks implements [Timeline].
func (p *Program) Tracks() codecs.Tracks { return p.clip.tracks }

// Length returns the ticks after which the programme repeats itself.
func (p *Program) Length() int64 { return p.clip.length }

// locate returns the first loop of a segment and the index of its cut.
func (p *Program) locate(msn int64) (loop int64, j int) {
	n := int64(len(p.cuts))
	return floorDiv(msn, n) * p.span, int(floorMod(msn, n))
}

// start returns the DTS at which a segment starts.
func (p *Program) start(msn int64) int64 {
	loop, j := p.locate(msn)
	start := loop*p.clip.length + p.cuts[j].dts
	if len(p.clip.video) == 0 {
		start = p.clip.grid.At(p.clip.grid.First(start))
	}
	return start
}

// Bounds implements [Timeline].
func (p *Program) Bounds(msn int64) (start, end int64) {
	msn = min(max(msn, -p.most()), p.most())
	return p.start(msn), p.start(msn + 1)
}

// SegmentAt implements [Timeline].
func (p *Program) SegmentAt(ticks int64) int64 {
	first := p.cuts[0].dts
	ticks = min(max(ticks, -MaxTicks), MaxTicks)
	period := p.clip.length * p.span
	loops := floorDiv(ticks-first, period)
	in := ticks - loops*period
	j := sort.Search(len(p.cuts), func(j int) bool { return p.cuts[j].dts > in }) - 1
	msn := loops*int64(len(p.cuts)) + int64(j)
	if p.start(msn) > ticks { // a segment of audio starts at the grid position after its cut
		msn--
	}
	return msn
}

// Segment implements [Timeline].
func (p *Program) Segment(msn int64) ([]*codecs.AccessUnit, error) {
	if most := p.most(); msn <= -most || msn >= most {
		return nil, fmt.Errorf("segment %d: out of range", msn)
	}
	var video, audio []*codecs.AccessUnit
	var err error
	if len(p.clip.video) > 0 {
		if video, err = p.videoUnits(msn); err != nil {
			return nil, fmt.Errorf("segment %d: %w", msn, err)
		}
	}
	if p.clip.slots > 0 {
		if audio, err = p.audioUnits(msn); err != nil {
			return nil, fmt.Errorf("segment %d: %w", msn, err)
		}
	}
	units := Interleave(video, audio)
	if start, _ := p.Bounds(msn); len(units) == 0 || units[0].DTS != start {
		return nil, fmt.Errorf("segment %d: its first access unit is empty", msn)
	}
	units[0].Cut = msn
	return units, nil
}

func (p *Program) videoUnits(msn int64) ([]*codecs.AccessUnit, error) {
	c := p.clip
	loop, j := p.locate(msn)
	from, to := p.cuts[j].sample, len(c.video)
	if j+1 < len(p.cuts) {
		to = p.cuts[j+1].sample
	}
	track := c.tracks.Video()
	units := make([]*codecs.AccessUnit, 0, int64(to-from)*p.span)
	for n := range p.span {
		shift := (loop + n) * c.length
		for i := from; i < to; i++ {
			s := c.video[i]
			payload, err := c.payloads.Payload(c.videoIndex, c.first+i)
			if err != nil {
				return nil, fmt.Errorf("video access unit %d of the clip: %w", c.first+i, err)
			}
			if len(payload) == 0 {
				continue
			}
			next := c.video[0].DTS + c.length
			if i+1 < len(c.video) {
				next = c.video[i+1].DTS
			}
			units = append(units, &codecs.AccessUnit{
				Track: track, DTS: s.DTS + shift, PTS: s.PTS + shift, Duration: next - s.DTS,
				RandomAccess: s.RandomAccess, Payload: payload,
			})
		}
	}
	return units, nil
}

func (p *Program) audioUnits(msn int64) ([]*codecs.AccessUnit, error) {
	c := p.clip
	start, end := p.Bounds(msn)
	from, to := c.grid.First(start), c.grid.First(end)
	if start < end && to-from > 1<<24 {
		return nil, fmt.Errorf("%d audio access units are too many", to-from)
	}
	track := c.tracks.Audio()
	units := make([]*codecs.AccessUnit, 0, max(to-from, 0))
	for g := from; g < to; g++ {
		at := c.grid.At(g)
		loop := floorDiv(at, c.length)
		slot := g - c.grid.First(loop*c.length)
		if slot >= c.slots && slot < c.slots+p.hold {
			slot = c.slots - 1
		}
		sample, ok := c.audioAt(slot)
		if !ok {
			continue
		}
		payload, err := c.payloads.Payload(c.audioIndex, sample)
		if err != nil {
			return nil, fmt.Errorf("audio access unit %d of the clip: %w", sample, err)
		}
		if len(payload) == 0 {
			continue
		}
		units = append(units, &codecs.AccessUnit{
			Track: track, DTS: at, PTS: at, Duration: c.grid.At(g+1) - at,
			RandomAccess: len(c.video) == 0, Payload: payload,
		})
	}
	return units, nil
}
