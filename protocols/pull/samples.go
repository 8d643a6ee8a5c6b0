package pull

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/Eyevinn/mp4ff/mp4"

	"weir/codecs"
	"weir/codecs/linear"
	"weir/codecs/nal"
)

// rescale converts units of a timescale to ticks, to the nearest.
func rescale(t int64, scale uint32) (int64, error) {
	const most = math.MaxInt64 / codecs.ClockRate / 16 // seconds
	if s := t / int64(scale); s > most || s < -most {
		return 0, fmt.Errorf("timestamp %d out of range", t)
	}
	return codecs.Rescale(t, int64(scale), codecs.ClockRate), nil
}

// add appends a sample, whose decode time is the track's. Empty ones are left out. All must lie within the file, and
// together have no more bytes than it, which bounds the index by the file.
func (t *movieTrack) add(s mediaSample, duration uint32, composition int32, size int64) error {
	n := len(t.samples)
	t.bytes += int64(s.size)
	switch {
	case n >= maxSamples:
		return fmt.Errorf("more than %d samples: %w", maxSamples, ErrTooLarge)
	case s.size > maxUnit:
		return fmt.Errorf("sample %d of %d bytes: %w", n, s.size, ErrTooLarge)
	case s.offset < 0 || s.offset > size || int64(s.size) > size-s.offset:
		return fmt.Errorf("%w: sample %d has %d bytes at %d, the file %d", ErrTruncated, n, s.size, s.offset, size)
	case t.bytes > size:
		return fmt.Errorf("%d samples have more bytes than the file", n+1)
	}
	s.dts = t.decodeTime
	s.pts = s.dts + int64(composition)
	t.decodeTime += int64(duration)
	if s.size > 0 {
		t.samples = append(t.samples, s)
	}
	return nil
}

// A run steps through a table of runs: so many samples with the same value.
type run struct {
	counts []uint32
	index  int
	used   uint32
}

// next returns the index of the value for the next sample; the last one counts on when the table ends early.
func (r *run) next() int {
	for r.index < len(r.counts) && r.used >= r.counts[r.index] {
		r.index, r.used = r.index+1, 0
	}
	r.used++
	return min(r.index, len(r.counts)-1)
}

// A sampleTable is what the sample table boxes of a track say (ISO/IEC 14496-12, 8.6 and 8.7).
type sampleTable struct {
	sizes        *mp4.StszBox
	offsets      []uint64
	chunks       *mp4.StscBox
	durations    *mp4.SttsBox
	compositions *mp4.CttsBox // nil without one
	syncs        *mp4.StssBox // nil without one: all samples are sync samples
}

func readTable(f *finder, list []box) (t sampleTable, err error) {
	t.sizes = want[*mp4.StszBox](f, list, "stsz")
	switch {
	case f.err != nil:
		return t, f.err
	case t.sizes == nil:
		return t, errors.New("no sample sizes (stsz)")
	case t.sizes.SampleNumber == 0:
		return t, nil
	}
	if t.offsets, err = chunkOffsets(f, list); err != nil {
		return t, err
	}
	t.chunks, t.durations = want[*mp4.StscBox](f, list, "stsc"), want[*mp4.SttsBox](f, list, "stts")
	t.compositions, t.syncs = want[*mp4.CttsBox](f, list, "ctts"), want[*mp4.StssBox](f, list, "stss")
	switch {
	case f.err != nil:
		return t, f.err
	case t.chunks == nil || len(t.chunks.Entries) == 0 || t.durations == nil || len(t.durations.SampleCount) == 0:
		return t, errors.New("samples without chunks (stsc) or times (stts)")
	}
	return t, nil
}

// table adds the samples of a sample table. It is empty in a fragmented file.
func (t *movieTrack) table(f *finder, list []box, size int64) error {
	s, err := readTable(f, list)
	if err != nil || s.sizes.SampleNumber == 0 {
		return err
	}
	durationRun, compositionRun := run{counts: s.durations.SampleCount}, run{}
	if s.compositions != nil {
		for i := range s.compositions.SampleOffset {
			compositionRun.counts = append(compositionRun.counts, s.compositions.SampleCount(i))
		}
	}
	var marked []uint32 // of stss, ascending
	if s.syncs != nil {
		marked = s.syncs.SampleNumber
		slices.Sort(marked)
	}
	entry, number := 0, uint32(0)
	for i, offset := range s.offsets {
		for entry+1 < len(s.chunks.Entries) && uint32(i+1) >= s.chunks.Entries[entry+1].FirstChunk {
			entry++
		}
		// The library takes the number of a chunk but looks it up among the entries.
		if s.chunks.GetSampleDescriptionID(entry+1) > 1 {
			return errors.New("its coding parameters change midway, which cannot be played")
		}
		at := offset
		for range s.chunks.Entries[entry].SamplesPerChunk {
			if number == s.sizes.SampleNumber {
				break
			}
			for len(marked) > 0 && marked[0] <= number {
				marked = marked[1:]
			}
			sample := mediaSample{
				offset: int64(min(at, math.MaxInt64)), size: s.sizes.SampleUniformSize,
				sync: s.syncs == nil || (len(marked) > 0 && marked[0] == number+1),
			}
			if sample.size == 0 {
				sample.size = s.sizes.SampleSize[number]
			}
			composition := int32(0)
			if len(compositionRun.counts) > 0 {
				composition = s.compositions.SampleOffset[compositionRun.next()]
			}
			if err := t.add(sample, s.durations.SampleTimeDelta[durationRun.next()], composition, size); err != nil {
				return err
			}
			at += uint64(sample.size)
			number++
		}
	}
	if number < s.sizes.SampleNumber {
		return fmt.Errorf("its chunks hold %d samples of %d", number, s.sizes.SampleNumber)
	}
	return nil
}

func chunkOffsets(f *finder, list []box) ([]uint64, error) {
	if long := want[*mp4.Co64Box](f, list, "co64"); long != nil {
		return long.ChunkOffset, f.err
	}
	short := want[*mp4.StcoBox](f, list, "stco")
	switch {
	case f.err != nil:
		return nil, f.err
	case short == nil:
		return nil, errors.New("samples without chunk offsets (stco)")
	}
	offsets := make([]uint64, len(short.ChunkOffset))
	for i, o := range short.ChunkOffset {
		offsets[i] = uint64(o)
	}
	return offsets, nil
}

// moof reads the samples of a fragment (8.8.4) that starts at a byte of the file.
func (m *movie) moof(body []byte, start int64) error {
	var f finder
	end := start // of the data of the track fragment before
	for _, b := range f.boxes("moof", body) {
		if b.kind != "traf" {
			continue
		}
		var err error
		if end, err = m.traf(&f, b.body, start, end); err != nil {
			return err
		}
	}
	return f.err
}

func (m *movie) traf(f *finder, body []byte, start, end int64) (int64, error) {
	list := f.boxes("traf", body)
	header, time := want[*mp4.TfhdBox](f, list, "tfhd"), want[*mp4.TfdtBox](f, list, "tfdt")
	switch {
	case f.err != nil:
		return 0, f.err
	case header == nil:
		return 0, errors.New("track fragment without tfhd box")
	}
	base := end
	switch {
	case header.HasBaseDataOffset():
		base = int64(min(header.BaseDataOffset, math.MaxInt64/2))
	case header.DefaultBaseIfMoof():
		base = start
	}
	var t *movieTrack
	for _, u := range m.tracks {
		if u.id == header.TrackID {
			t = u
		}
	}
	if t == nil {
		t = &movieTrack{} // of a track that is left out: only its extent is needed
	}
	if time != nil {
		const most = 1 << 60
		if time.BaseMediaDecodeTime() > most {
			return 0, fmt.Errorf("decode time %d out of range", time.BaseMediaDecodeTime())
		}
		t.decodeTime = int64(time.BaseMediaDecodeTime())
	}
	at := base
	for _, b := range list {
		if b.kind != "trun" {
			continue
		}
		trun := decode[*mp4.TrunBox](f, &b)
		if f.err != nil {
			return 0, f.err
		}
		trun.AddSampleDefaultValues(header, m.extends[header.TrackID])
		if trun.HasDataOffset() {
			at = base + int64(trun.DataOffset)
		}
		for _, s := range trun.Samples {
			const notSync = mp4.NonSyncSampleFlags
			sample := mediaSample{offset: at, size: s.Size, sync: s.Flags&notSync == 0}
			if err := t.add(sample, s.Dur, s.CompositionTimeOffset, m.size); err != nil {
				return 0, err
			}
			at += int64(s.Size)
		}
	}
	return at, nil
}

// finish makes the index that the clip wants of the samples, and completes the description of the track.
func (t *movieTrack) finish(m *movie) error {
	if t.nal != nil {
		if _, err := t.nal.Ordered(t.sets.Sets); err != nil {
			if err := t.findSets(m); err != nil {
				return err
			}
		}
		track, err := t.nal.Track(t.sets.Sets)
		if err != nil {
			return fmt.Errorf("track %d: %w", t.id, err)
		}
		t.track.Track = track
	}
	for _, s := range t.samples {
		dts, err := rescale(s.dts-t.mediaTime, t.scale)
		if err != nil {
			return fmt.Errorf("track %d: %w", t.id, err)
		}
		pts, err := rescale(s.pts-t.mediaTime, t.scale)
		if err != nil {
			return fmt.Errorf("track %d: %w", t.id, err)
		}
		if t.track.Rate > 0 && pts < 0 && pts+int64(t.track.Unit)*codecs.ClockRate/int64(t.track.Rate) <= 1 {
			continue // what an edit list leaves out: priming of an audio decoder
		}
		t.places = append(t.places, place{s.offset, s.size})
		t.track.Samples = append(t.track.Samples, linear.Sample{
			DTS: dts + t.empty, PTS: pts + t.empty, Size: int(s.size), RandomAccess: s.sync,
		})
	}
	t.samples = nil
	end, err := rescale(t.decodeTime-t.mediaTime, t.scale)
	if err != nil {
		return fmt.Errorf("track %d: %w", t.id, err)
	}
	t.track.End = end + t.empty
	return nil
}

// findSets takes the parameter sets from the first random access point, where avc3 may keep them.
func (t *movieTrack) findSets(m *movie) error {
	for _, s := range t.samples {
		if !s.sync {
			continue
		}
		b, err := m.sample(place{s.offset, s.size})
		if err != nil {
			return err
		}
		units, err := nal.Split(b, t.sets.LengthSize)
		if err != nil {
			return err
		}
		for _, u := range units {
			if t.nal.IsSet(u) {
				t.sets.Sets = append(t.sets.Sets, u)
			}
		}
		break
	}
	return nil
}

// Payload implements [linear.Payloads].
func (m *movie) Payload(track, sample int) ([]byte, error) {
	t := m.tracks[track]
	b, err := m.sample(t.places[sample])
	if err != nil || t.nal == nil {
		return b, err
	}
	units, err := nal.Split(b, t.sets.LengthSize)
	if err != nil {
		return nil, err
	}
	kept := units[:0]
	whole := t.sets.LengthSize == 4
	for _, u := range units {
		if t.nal.Keep(u, t.sets.Sets) {
			kept = append(kept, u)
		} else {
			whole = false
		}
	}
	if whole {
		return b, nil
	}
	return nal.Join(kept...), nil
}

func (m *movie) sample(s place) ([]byte, error) {
	b := make([]byte, s.size)
	if _, err := m.r.ReadAt(b, s.offset); err != nil {
		return nil, fmt.Errorf("%d bytes at byte %d: %w", s.size, s.offset, err)
	}
	return b, nil
}
