package pull

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	tscodecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"weir/codecs"
	"weir/codecs/h264"
	"weir/codecs/linear"
)

const (
	tsPacket = 188
	tsSync   = 0x47
)

// maxTS bounds a transport stream in bytes, because its payloads are kept in memory.
const maxTS = 512 << 20

// A recording is a transport stream that has been read whole.
type recording struct {
	tracks   []*recordedTrack
	payloads [][][]byte // by track and sample

	clock  int64 // the last timestamp of any track, unwrapped
	ticked bool
	shift  int64 // what newly arriving timestamps are moved by, after jumps
	latest int64 // the latest DTS of all tracks, moved

	jumps, errors int
	firstError    error
}

// A recordedTrack is one track of a recording.
type recordedTrack struct {
	track linear.Track
	avc   h264.Config

	shift    int64 // what this track's timestamps are moved by
	last     int64 // its last DTS, moved
	started  bool
	payloads [][]byte
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
	notes, err := rec.choose(reader)
	if err != nil {
		return nil, err
	}
	reader.OnDecodeError(func(err error) {
		if rec.errors++; rec.firstError == nil {
			rec.firstError = err
		}
	})
	for {
		if err := reader.Read(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("transport stream: %w", err)
		}
	}
	m, err := rec.finish()
	if err != nil {
		return nil, err
	}
	m.notes = append(notes, m.notes...)
	return m, nil
}

// choose takes the first video and the first audio track that can be played, by the rules of [movie.choose].
func (rec *recording) choose(reader *mpegts.Reader) (notes []string, err error) {
	have := make(map[bool]bool)
	var refused []*codecError
	for _, t := range reader.Tracks() {
		name, video, known := tsCodec(t.Codec)
		switch _, isVideo := t.Codec.(*tscodecs.H264); {
		case !known:
			notes = append(notes, fmt.Sprintf("the track of PID %d is left out: it holds %s", t.PID, name))
		case name != "":
			refused = append(refused, &codecError{name: name, video: video})
		case have[isVideo]:
			notes = append(notes, fmt.Sprintf("the track of PID %d is left out: it is not the first of its kind", t.PID))
		case isVideo:
			have[true] = true
			rec.video(reader, t)
		default:
			have[false] = true
			if err := rec.audio(reader, t); err != nil {
				return nil, fmt.Errorf("audio of PID %d: %w", t.PID, err)
			}
		}
	}
	for _, e := range refused {
		if !have[e.video] {
			return nil, e
		}
		notes = append(notes, fmt.Sprintf("a track is left out: %v", e))
	}
	if len(rec.tracks) == 0 {
		return nil, ErrNoTracks
	}
	return notes, nil
}

// tsCodec names a codec that cannot be played; the name is empty for one that can. What is neither sound nor pictures,
// or cannot be told, is not known.
func tsCodec(c tscodecs.Codec) (name string, video, known bool) {
	switch c.(type) {
	case *tscodecs.H264, *tscodecs.MPEG4Audio:
		return "", false, true
	case *tscodecs.H265:
		return "H.265", true, true
	case *tscodecs.MPEG4Video:
		return "MPEG-4 Part 2", true, true
	case *tscodecs.MPEG1Video:
		return "MPEG-1 or MPEG-2 video", true, true
	case *tscodecs.MPEG4AudioLATM:
		return "AAC in LATM", false, true
	case *tscodecs.MPEG1Audio:
		return "MPEG-1 audio", false, true
	case *tscodecs.AC3:
		return "AC-3", false, true
	case *tscodecs.EAC3:
		return "E-AC-3", false, true
	case *tscodecs.Opus:
		return "Opus", false, true
	case *tscodecs.KLV:
		return "KLV metadata", false, false
	case *tscodecs.DVBSubtitle:
		return "DVB subtitles", false, false
	}
	return "something unknown", false, false
}

func (rec *recording) video(reader *mpegts.Reader, track *mpegts.Track) {
	t := &recordedTrack{track: linear.Track{Track: codecs.Track{Codec: codecs.H264}}}
	rec.tracks = append(rec.tracks, t)
	reader.OnDataH264(track, func(pts, dts int64, units [][]byte) error {
		dts, pts = rec.time(t, dts, pts)
		if len(t.avc.SPS) == 0 || len(t.avc.PPS) == 0 {
			if t.avc = parameterSets(units); len(t.avc.SPS) == 0 || len(t.avc.PPS) == 0 {
				return nil // nothing can be decoded before them
			}
		}
		kept := units[:0]
		for _, u := range units {
			for len(u) > 0 && u[len(u)-1] == 0 {
				u = u[:len(u)-1] // trailing_zero_8bits (ITU-T H.264, B.1.1)
			}
			if t.avc.Keep(u) {
				kept = append(kept, u)
			}
		}
		return t.add(dts, pts, h264.Join(kept...), randomAccess(kept))
	})
}

// parameterSets collects those of one access unit.
func parameterSets(units [][]byte) (c h264.Config) {
	c.LengthSize = 4
	for _, u := range units {
		switch u[0] & 0x1f {
		case h264.TypeSPS:
			c.SPS = append(c.SPS, u)
		case h264.TypePPS:
			c.PPS = append(c.PPS, u)
		}
	}
	return c
}

// randomAccess says whether an access unit is an IDR picture, or carries a recovery point at which everything is right
// from the start (ITU-T H.264, D.2.8), as broadcasts do instead.
func randomAccess(units [][]byte) bool {
	const sei, recoveryPoint = 6, 6
	for _, u := range units {
		switch kind := u[0] & 0x1f; {
		case kind == h264.TypeIDR:
			return true
		case kind == sei && len(u) > 3 && u[1] == recoveryPoint && u[3]&0x80 != 0:
			return true // recovery_frame_cnt is 0
		}
	}
	return false
}

func (rec *recording) audio(reader *mpegts.Reader, track *mpegts.Track) error {
	config, err := track.Codec.(*tscodecs.MPEG4Audio).Marshal()
	if err != nil {
		return err
	}
	t := &recordedTrack{}
	if t.track, err = aacTrack(config); err != nil {
		return err
	}
	rec.tracks = append(rec.tracks, t)
	grid := linear.NewGrid(t.track.Unit, t.track.Rate)
	reader.OnDataMPEG4Audio(track, func(pts int64, units [][]byte) error {
		at, _ := rec.time(t, pts, pts)
		for i, u := range units {
			pts := at + grid.At(int64(i))
			if err := t.add(pts, pts, u, true); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

// add appends a sample; a payload without anything is left out.
func (t *recordedTrack) add(dts, pts int64, payload []byte, randomAccess bool) error {
	if len(t.payloads) >= maxSamples {
		return fmt.Errorf("more than %d access units: %w", maxSamples, ErrTooLarge)
	}
	if len(payload) == 0 {
		return nil
	}
	t.payloads = append(t.payloads, payload)
	t.track.Samples = append(t.track.Samples, linear.Sample{
		DTS: dts, PTS: pts, Size: len(payload), RandomAccess: randomAccess,
	})
	return nil
}

// unwrap33 returns the distance of two timestamps of 33 bits, the shorter way round.
func unwrap33(from, to int64) int64 {
	const wrap = 1 << 33
	return (to-from+wrap/2)&(wrap-1) - wrap/2
}

// time puts the timestamps of an access unit on one timeline for all tracks. Where those of a track jump, as in
// recordings that were joined, everything that follows is moved so that it goes on after what was there before.
func (rec *recording) time(t *recordedTrack, dts, pts int64) (movedDTS, movedPTS int64) {
	const back, ahead = codecs.ClockRate, 10 * codecs.ClockRate
	if !rec.ticked {
		rec.clock, rec.ticked = dts, true
	}
	composition := unwrap33(dts, pts)
	rec.clock += unwrap33(rec.clock, dts)
	fits := func(shift int64) bool {
		at := rec.clock + shift
		return !t.started || at >= t.last-back && at <= max(t.last, rec.latest)+ahead
	}
	switch {
	case t.started && fits(t.shift): // also while other tracks are beyond a jump already
	case fits(rec.shift):
		t.shift = rec.shift
	default:
		const gap = codecs.ClockRate / 25
		rec.jumps++
		rec.shift = max(t.last, rec.latest) + gap - rec.clock
		t.shift = rec.shift
	}
	t.started = true
	t.last = rec.clock + t.shift
	rec.latest = max(rec.latest, t.last)
	return t.last, t.last + composition
}

func (rec *recording) finish() (*media, error) {
	m := &media{payloads: rec}
	for _, t := range rec.tracks {
		n := len(t.track.Samples)
		if n == 0 {
			m.notes = append(m.notes, fmt.Sprintf("the %s track is left out: it is empty", t.track.Codec))
			continue
		}
		if t.track.Codec.Video() {
			track, err := t.avc.Track()
			if err != nil {
				return nil, err
			}
			t.track.Track = track
		}
		// The last one lasts as long as they do on average.
		first, last := t.track.Samples[0].DTS, t.track.Samples[n-1].DTS
		t.track.End = last + codecs.ClockRate/25
		if n > 1 && last > first {
			t.track.End = last + (last-first)/int64(n-1)
		}
		m.tracks = append(m.tracks, t.track)
		rec.payloads = append(rec.payloads, t.payloads)
	}
	if rec.jumps > 0 {
		m.notes = append(m.notes, fmt.Sprintf("the timestamps jump %d times; the parts were joined", rec.jumps))
	}
	if rec.errors > 0 {
		m.notes = append(m.notes, fmt.Sprintf("%d damaged places were skipped, the first: %v", rec.errors, rec.firstError))
	}
	switch {
	case len(m.tracks) == 0 && rec.firstError != nil:
		return nil, fmt.Errorf("%w; first damage: %w", ErrNoTracks, rec.firstError)
	case len(m.tracks) == 0:
		return nil, ErrNoTracks
	}
	return m, nil
}

// Payload implements [linear.Payloads].
func (rec *recording) Payload(track, sample int) ([]byte, error) {
	return rec.payloads[track][sample], nil
}
