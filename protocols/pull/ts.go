package pull

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/linear"
	"weir/codecs/nal"
	"weir/codecs/reception"
)

const (
	tsPacket = 188
	tsSync   = 0x47
	wrapTS   = 1 << 33 // timestamps begin again at 0
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

func parseTS(r io.ReaderAt, size int64) (*media, error) {
	if size > maxTS {
		return nil, fmt.Errorf("a transport stream of %d bytes is held in memory and may have %d: %w; an MP4 file may have more",
			size, maxTS, ErrTooLarge)
	}
	reader := &mpegts.Reader{R: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 256<<10)}
	if err := reader.Initialize(); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the transport stream describes no programme, or a track of it never comes", ErrNoTracks)
	} else if err != nil {
		return nil, fmt.Errorf("transport stream: %w", err)
	}
	rec := &recording{}
	joiner := elementary.New(rec, &rec.report, wrapTS)
	joiner.KeepWaiting = true
	offers := offersOf(reader)
	for i := range offers {
		rec.take(&offers[i])
	}
	if err := joiner.Choose(offers); err != nil {
		return nil, err
	}
	reader.OnDecodeError(func(err error) { rec.report.Count(reception.Damaged, 1, err) })
	for {
		if err := reader.Read(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("transport stream: %w", err)
		}
	}
	if err := joiner.Flush(); err != nil {
		return nil, fmt.Errorf("transport stream: %w", err)
	}
	return rec.finish()
}

// take refuses an offer that files cannot hold, or waits for it to be chosen.
func (rec *recording) take(o *elementary.Offer) {
	if o.Refused == nil && !inFiles(o.Codec) {
		o.Refused = &codecError{name: o.Name, video: o.Video}
		return
	}
	chosen := o.Take
	o.Take = func(s *elementary.Stream) error {
		rec.tracks = append(rec.tracks, &recordedTrack{track: linear.Track{Track: codecs.Track{Codec: o.Codec}}})
		return chosen(s)
	}
}

// SetTracks implements [codecs.Writer].
func (rec *recording) SetTracks(tracks codecs.Tracks) {
	rec.now = tracks
	for _, track := range tracks {
		t := rec.of(track.Codec)
		if len(t.payloads) == 0 {
			t.track.Track = track
			continue
		}
		if syntax := carriage.Of(track.Codec).NAL; syntax != nil && (t.sets != nil || !t.track.Track.Equal(track)) {
			t.sets, _ = syntax.Carried(track.Config) // of our own making
		}
	}
}

// of returns the track of a codec, which has been chosen.
func (rec *recording) of(codec codecs.Codec) *recordedTrack {
	return rec.tracks[slices.IndexFunc(rec.tracks, func(t *recordedTrack) bool { return t.track.Codec == codec })]
}

// Write implements [codecs.Writer].
func (rec *recording) Write(au *codecs.AccessUnit) error {
	t := rec.of(rec.now[au.Track].Codec)
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
		m.report.Count(reception.RepairedTimes, jumps, fmt.Errorf("the timestamps jump %d times; the parts were joined", jumps))
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
