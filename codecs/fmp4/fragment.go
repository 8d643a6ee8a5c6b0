package fmp4

import (
	"encoding/binary"
	"math"

	"weir/codecs"
)

// Sample flags (ISO/IEC 14496-12, 8.8.3.1).
const (
	syncSample    = 0x02000000 // depends on no other
	nonSyncSample = 0x01010000 // depends on others, and is no sync sample
)

// Sizes of boxes, headers included.
const (
	stypSize = 8 + 8 + 2*4
	mfhdSize = 8 + 4 + 4
	tfhdSize = 8 + 4 + 4 + 4
	tfdtSize = 8 + 4 + 8
	trunSize = 8 + 4 + 4 + 4 // and what each sample needs

	videoSample = 4 * 4 // duration, size, flags, composition time offset
	audioSample = 2 * 4 // duration, size
)

// Fragment makes a CMAF chunk: styp, moof and mdat, one run per track that has access units in it. It is a function of
// its arguments, so that nodes which cut alike make identical bytes. units are in the order of each track's DTS,
// however interleaved; those that name no track are left out.
//
// next[i] is the DTS of the access unit of track i that follows the fragment; zero, or a next shorter than tracks, when
// that is unknown: the last access unit then lasts as long as its Duration, or else as long as the one before. Where the DTS of a
// track go back, which only a broken input does, a duration is zero.
//
// mdat has a size of 32 bits, so units are together smaller than 4 GiB.
func Fragment(tracks codecs.Tracks, sequence uint32, units []*codecs.AccessUnit, next []int64) []byte {
	runs := make([]run, len(tracks))
	payload := 0
	for _, au := range units {
		if au.Track < 0 || au.Track >= len(tracks) {
			continue
		}
		r := &runs[au.Track]
		if r.count == 0 {
			r.first = au
		}
		r.count++
		r.bytes += len(au.Payload)
		payload += len(au.Payload)
	}
	moof := 8 + mfhdSize
	for i := range runs {
		if r := &runs[i]; r.count > 0 {
			r.video = tracks[i].Codec.Video()
			moof += r.size()
		}
	}

	w := writer{b: make([]byte, 0, stypSize+moof+8+payload)}
	w.box(stypSize, "styp")
	w.str("cmfs")
	w.u32(0)
	w.str("cmfs")
	w.str("iso6")

	w.box(moof, "moof")
	w.box(mfhdSize, "mfhd")
	w.u32(0)
	w.u32(sequence)
	offset := moof + 8
	for i := range runs {
		if runs[i].count == 0 {
			continue
		}
		var after int64
		if i < len(next) {
			after = next[i]
		}
		w.traf(i, Timescale(tracks[i]), &runs[i], units, after, offset)
		offset += runs[i].bytes
	}

	w.box(8+payload, "mdat")
	for i := range runs {
		if runs[i].count == 0 {
			continue
		}
		for _, au := range units {
			if au.Track == i {
				w.b = append(w.b, au.Payload...)
			}
		}
	}
	return w.b
}

// A run is what one track has in a fragment.
type run struct {
	first        *codecs.AccessUnit
	count, bytes int
	video        bool
}

// size is that of the run's traf.
func (r *run) size() int {
	if r.video {
		return 8 + tfhdSize + tfdtSize + trunSize + r.count*videoSample
	}
	return 8 + tfhdSize + tfdtSize + trunSize + r.count*audioSample
}

// A writer appends to a slice that has room for everything.
type writer struct{ b []byte }

func (w *writer) u32(x uint32) { w.b = binary.BigEndian.AppendUint32(w.b, x) }
func (w *writer) str(s string) { w.b = append(w.b, s...) }

func (w *writer) box(size int, name string) {
	w.u32(uint32(size))
	w.str(name)
}

// traf writes the track fragment of the track with this index, whose data starts offset bytes behind the start of
// moof. after is the DTS that follows, or zero.
func (w *writer) traf(index int, scale uint32, r *run, units []*codecs.AccessUnit, after int64, offset int) {
	w.box(r.size(), "traf")

	w.box(tfhdSize, "tfhd")
	w.u32(0x020020) // default-base-is-moof, default-sample-flags-present
	w.u32(uint32(index + 1))
	w.u32(syncSample) // video samples have flags of their own

	// Tracks of one presentation keep the timeline of the stream: the decode time is the time since the Unix epoch.
	w.box(tfdtSize, "tfdt")
	w.u32(1 << 24)
	w.b = binary.BigEndian.AppendUint64(w.b, uint64(max(0, scaled(r.first.DTS, scale))))

	per, flags := audioSample, uint32(1<<24|0x000301) // data offset; sample duration, size
	if r.video {
		per, flags = videoSample, flags|0x000c00 // sample flags, composition time offset, signed in version 1
	}
	w.box(trunSize+r.count*per, "trun")
	w.u32(flags)
	w.u32(uint32(r.count))
	w.u32(uint32(offset))

	au, last := r.first, uint32(0)
	for _, following := range units {
		if following.Track != index || following == r.first {
			continue
		}
		last = duration(au.DTS, following.DTS, scale)
		w.sample(au, last, scale, r.video)
		au = following
	}
	switch {
	case after > au.DTS:
		last = duration(au.DTS, after, scale)
	case au.Duration > 0:
		last = duration(au.DTS, au.DTS+au.Duration, scale)
	}
	w.sample(au, last, scale, r.video)
}

func (w *writer) sample(au *codecs.AccessUnit, duration, scale uint32, video bool) {
	w.u32(duration)
	w.u32(uint32(len(au.Payload)))
	if !video {
		return
	}
	if au.RandomAccess {
		w.u32(syncSample)
	} else {
		w.u32(nonSyncSample)
	}
	offset := scaled(au.PTS, scale) - scaled(au.DTS, scale)
	w.u32(uint32(int32(min(max(offset, math.MinInt32), math.MaxInt32))))
}

// duration is the time from one DTS to the next. Both are rounded onto the grid of the timescale first, so that
// durations add up to the decode time of the next fragment exactly.
func duration(from, to int64, scale uint32) uint32 {
	return uint32(min(max(scaled(to, scale)-scaled(from, scale), 0), math.MaxUint32))
}

// scaled converts ticks into units of scale. A unit of a scale up to [codecs.ClockRate] is at least as long as a tick, so a
// grid that was rounded to ticks is recovered exactly.
func scaled(ticks int64, scale uint32) int64 {
	return codecs.Rescale(ticks, codecs.ClockRate, int64(scale))
}
