package pull

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/linear"
	"weir/codecs/nal"
	"weir/codecs/reception"
)

const (
	tsPacket = 188
	tsSync   = 0x47
)

// maxTS bounds a transport stream in bytes, because its payloads are kept in memory.
const maxTS = 512 << 20

// A recording is a transport stream that has been read whole. It is the [codecs.Writer] of the joiner that reads it.
type recording struct {
	now    codecs.Tracks // those of the access units that are being read
	tracks []*recordedTrack
	report reception.Record
}

// A recordedTrack is one track of a recording.
type recordedTrack struct {
	track    linear.Track // as it was at first
	payloads [][]byte
	jumps    int

	// sets are parameter sets that stand before random access points in the payloads, since the track of a clip never
	// changes: none until those in force are no longer the first.
	sets [][]byte
}

func parseTS(r io.ReaderAt, size int64, program int) (*media, error) {
	if size > maxTS {
		return nil, fmt.Errorf("a transport stream of %d bytes is held in memory and may have %d: %w; an MP4 file may have more",
			size, maxTS, ErrTooLarge)
	}
	rec := &recording{}
	t := newTransport(rec, &rec.report, program)
	t.joiner.KeepWaiting = true
	t.refuse = func(codec codecs.Codec, name string) error {
		if inFiles(codec) {
			return nil
		}
		return &codecError{name: name, video: codec.Video()}
	}
	if _, err := io.CopyBuffer(t, struct{ io.Reader }{io.NewSectionReader(r, 0, size)}, make([]byte, 256<<10)); err != nil {
		return nil, fmt.Errorf("transport stream: %w", err)
	}
	if err := t.Flush(); err != nil {
		return nil, fmt.Errorf("transport stream: %w", err)
	}
	if !t.started {
		return nil, fmt.Errorf("%w: the transport stream describes no program", ErrNoTracks)
	}
	return rec.finish()
}

// SetTracks implements [codecs.Writer].
func (rec *recording) SetTracks(tracks codecs.Tracks) {
	rec.now = tracks
	for _, track := range tracks {
		t := rec.of(track.Codec)
		if t == nil {
			if slices.ContainsFunc(rec.tracks, func(o *recordedTrack) bool { return o.track.Codec.Video() == track.Codec.Video() }) {
				continue // a clip has one track of each kind
			}
			t = &recordedTrack{}
			rec.tracks = append(rec.tracks, t)
		}
		if len(t.payloads) == 0 {
			t.track.Track = track
			continue
		}
		if syntax := carriage.Of(track.Codec).NAL; syntax != nil && (t.sets != nil || !t.track.Track.Equal(track)) {
			t.sets, _ = syntax.Carried(track.Config) // of our own making
		}
	}
}

// of returns the track of a codec; nil if there is none.
func (rec *recording) of(codec codecs.Codec) *recordedTrack {
	i := slices.IndexFunc(rec.tracks, func(t *recordedTrack) bool { return t.track.Codec == codec })
	if i < 0 {
		return nil
	}
	return rec.tracks[i]
}

// Write implements [codecs.Writer].
func (rec *recording) Write(au *codecs.AccessUnit) error {
	t := rec.of(rec.now[au.Track].Codec)
	if t == nil {
		rec.report.Count(reception.SkippedUnits, 1, errors.New("the codec changes midway"))
		return nil
	}
	if len(t.payloads) >= maxSamples {
		return fmt.Errorf("more than %d access units: %w", maxSamples, ErrTooLarge)
	}
	payload := au.Payload
	if au.RandomAccess && t.sets != nil {
		payload = append(nal.Join(t.sets...), payload...)
	}
	if au.Discontinuity {
		t.jumps++
	}
	t.payloads = append(t.payloads, payload)
	t.track.Samples = append(t.track.Samples, linear.Sample{
		DTS: au.DTS, PTS: au.PTS, Size: len(payload), RandomAccess: au.RandomAccess,
	})
	return nil
}

func (rec *recording) finish() (*media, error) {
	m := &media{payloads: rec, report: rec.report}
	jumps := 0 // each track jumps, one after the other
	rec.tracks = slices.DeleteFunc(rec.tracks, func(t *recordedTrack) bool {
		if len(t.payloads) == 0 {
			m.report.LeftOut = append(m.report.LeftOut, reception.LeftOut{Codec: t.track.Codec.String(), Reason: "it is empty"})
		}
		return len(t.payloads) == 0
	})
	for _, t := range rec.tracks {
		n := len(t.track.Samples)
		jumps = max(jumps, t.jumps)
		if err := measure(&t.track); err != nil {
			return nil, err
		}
		// The last one lasts as long as they do on average.
		first, last := t.track.Samples[0].DTS, t.track.Samples[n-1].DTS
		t.track.End = last + codecs.ClockRate/25
		if n > 1 && last > first {
			t.track.End = last + (last-first)/int64(n-1)
		}
		m.tracks = append(m.tracks, t.track)
	}
	if jumps > 0 {
		m.report.Count(reception.RepairedTimes, 0, fmt.Errorf("the timestamps jump %d times; the parts were joined", jumps))
	}
	first := rec.report.Whys[reception.Damaged]
	switch {
	case len(m.tracks) == 0 && first != nil:
		return nil, fmt.Errorf("%w; first damage: %w", ErrNoTracks, first)
	case len(m.tracks) == 0:
		return nil, ErrNoTracks
	}
	return m, nil
}

// Payload implements [linear.Payloads].
func (rec *recording) Payload(track, sample int) ([]byte, error) {
	return rec.tracks[track].payloads[sample], nil
}
