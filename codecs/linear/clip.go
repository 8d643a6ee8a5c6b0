package linear

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"weir/codecs"
)

// A Sample is one access unit in the index of a clip.
type Sample struct {
	DTS, PTS     int64 // ticks from any zero that the tracks of the clip share
	Size         int   // bytes, at least those of the payload; for limits only
	RandomAccess bool  // not looked at for audio
}

// A Track is the index of one track of a clip.
type Track struct {
	codecs.Track

	// Samples are in decoding order.
	Samples []Sample

	// End is the DTS at which the last sample ends.
	End int64

	// Unit and Rate give the length of an audio access unit: Unit audio samples at Rate per second. Both are zero for
	// video.
	Unit, Rate int
}

// Payloads reads the media of a clip. Any number of goroutines may ask at once.
type Payloads interface {
	// Payload returns one access unit in the form of [codecs.AccessUnit]; both indices count as in the tracks given to
	// [NewClip]. It must be the same bytes at every call, and they are never changed afterwards. An empty one is left
	// out of the programme.
	Payload(track, sample int) ([]byte, error)
}

// The errors of [NewClip], wrapped with what is wrong where that can be said.
var (
	ErrEmpty        = errors.New("no media in it")
	ErrRandomAccess = errors.New("no random access point in its video")
)

// A Clip is the index of a piece of media that can be looped. Its earliest presentation is at 0; the DTS of its first
// video access unit may lie before that, so that PTS >= DTS holds for all.
type Clip struct {
	tracks   codecs.Tracks
	length   int64
	payloads Payloads

	// Video: samples[i] is sample first+i of the track videoIndex given to NewClip. None for a clip of audio alone.
	video      []Sample
	videoIndex int
	first      int

	// Audio: its units lie in slots, counted from the start of the clip, in stretches without a hole.
	stretches  []stretch
	slots      int64 // one after the last that has a unit
	audioIndex int
	grid       Grid
}

// A stretch is count audio access units that follow one another, in slots and as samples.
type stretch struct {
	slot          int64
	sample, count int
}

// audioAt returns the sample that sounds in a slot.
func (c *Clip) audioAt(slot int64) (sample int, ok bool) {
	i := sort.Search(len(c.stretches), func(i int) bool { return c.stretches[i].slot > slot }) - 1
	if i < 0 {
		return 0, false
	}
	s := c.stretches[i]
	return s.sample + int(slot-s.slot), slot-s.slot < int64(s.count)
}

// place puts a sample into a slot behind all others.
func (c *Clip) place(slot int64, sample int) {
	c.slots = slot + 1
	if n := len(c.stretches); n > 0 {
		if s := &c.stretches[n-1]; s.slot+int64(s.count) == slot && s.sample+s.count == sample {
			s.count++
			return
		}
	}
	c.stretches = append(c.stretches, stretch{slot: slot, sample: sample, count: 1})
}

// Tracks returns the tracks of the clip, the video track first.
func (c *Clip) Tracks() codecs.Tracks { return c.tracks }

// Length returns how long the clip lasts, in ticks.
func (c *Clip) Length() int64 { return c.length }

// overhang is how much longer than its video the audio of a clip may be without the clip lasting longer: encoders
// leave a few units over, and a picture that stands still at every seam would be seen.
const overhang = clockRate

// NewClip makes a clip of at most one video and one audio track, and takes over the samples. Video before the first
// random access point is dropped, and audio before the video. Timestamps that do not rise are raised.
func NewClip(tracks []Track, p Payloads) (*Clip, error) {
	c := &Clip{payloads: p, videoIndex: -1, audioIndex: -1}
	for i := range tracks {
		t := &tracks[i]
		if len(t.Samples) == 0 {
			continue
		}
		index := &c.audioIndex
		if t.Codec.Video() {
			index = &c.videoIndex
		}
		if *index >= 0 {
			return nil, fmt.Errorf("%s track: only one video and one audio track can be played", t.Codec)
		}
		*index = i
	}
	if c.videoIndex < 0 && c.audioIndex < 0 {
		return nil, ErrEmpty
	}
	if err := checkTimes(tracks); err != nil {
		return nil, err
	}
	var origin int64
	if c.videoIndex >= 0 {
		var err error
		if origin, err = c.setVideo(&tracks[c.videoIndex]); err != nil {
			return nil, err
		}
	}
	if c.audioIndex >= 0 {
		if err := c.setAudio(&tracks[c.audioIndex], origin); err != nil {
			return nil, err
		}
	}
	if c.length <= 0 {
		return nil, ErrEmpty
	}
	return c, nil
}

// checkTimes bounds all instants to a third of what int64 holds, so that differences and shifts cannot overflow.
func checkTimes(tracks []Track) error {
	const most = math.MaxInt64 / 8
	within := func(t int64) bool { return -most < t && t < most }
	for i := range tracks {
		t := &tracks[i]
		for j, s := range t.Samples {
			if !within(s.DTS) || !within(s.PTS) || !within(t.End) {
				return fmt.Errorf("%s track: timestamp of access unit %d out of range", t.Codec, j)
			}
		}
	}
	return nil
}

// setVideo takes the video track and returns the instant that becomes 0.
func (c *Clip) setVideo(t *Track) (origin int64, err error) {
	for c.first < len(t.Samples) && !t.Samples[c.first].RandomAccess {
		c.first++
	}
	c.video = t.Samples[c.first:]
	if len(c.video) == 0 {
		return 0, fmt.Errorf("%s track: %w", t.Codec, ErrRandomAccess)
	}
	origin, late := int64(math.MaxInt64), int64(0)
	for i := range c.video {
		s := &c.video[i]
		if i > 0 {
			s.DTS = max(s.DTS, c.video[i-1].DTS+1)
		}
		origin = min(origin, s.PTS)
		late = max(late, s.DTS-s.PTS) // negative composition offsets
	}
	last := c.video[len(c.video)-1]
	tail := max(t.End-last.DTS, 1)
	end := int64(0)
	for i := range c.video {
		s := &c.video[i]
		s.DTS -= origin + late
		s.PTS -= origin
		end = max(end, s.PTS+tail)
	}
	c.length = max(end, c.video[len(c.video)-1].DTS+tail-c.video[0].DTS)
	c.tracks = append(c.tracks, t.Track)
	return origin, nil
}

// setAudio takes the audio track and lays its units on the grid. They follow one another whatever the small errors of
// their timestamps say; only one that is more than one and a half unit away from its turn is moved. Without video
// there is nothing to be in time with, and they simply follow one another.
func (c *Clip) setAudio(t *Track, origin int64) error {
	if t.Unit <= 0 || t.Rate <= 0 || t.Unit > 1<<16 || t.Rate > 1<<20 {
		return fmt.Errorf("%s track: %d samples at %d Hz is no access unit", t.Codec, t.Unit, t.Rate)
	}
	c.grid = NewGrid(t.Unit, t.Rate)
	if c.videoIndex < 0 {
		origin = t.Samples[0].PTS
	}
	const jitter = clockRate / 1000 // of containers that count milliseconds
	slotOf := func(pts int64) int64 { return c.grid.Last(pts - origin + jitter) }

	unit := c.grid.At(1)
	next := slotOf(t.Samples[0].PTS)
	offset := t.Samples[0].PTS - c.grid.At(next) // of the units from the slots that they are in
	for i, s := range t.Samples {
		if c.videoIndex < 0 {
			c.place(int64(i), i)
			continue
		}
		if d := s.PTS - offset - c.grid.At(next); d > unit*3/2 || d < -unit*3/2 {
			slot := slotOf(s.PTS)
			if slot < next {
				continue // too early: there are more units than time
			}
			next = slot
			offset = s.PTS - c.grid.At(next)
		}
		if next >= 0 {
			c.place(next, i)
		}
		next++
	}
	if c.slots == 0 {
		return fmt.Errorf("%s track: ends before the video begins", t.Codec)
	}
	end := c.grid.At(c.slots)
	if c.videoIndex < 0 || end > c.length+overhang {
		c.length = end
	}
	c.tracks = append(c.tracks, t.Track)
	return nil
}
