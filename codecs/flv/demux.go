package flv

import (
	"errors"
	"fmt"

	"weir/codecs"
	"weir/codecs/flv/amf"
)

// How long a publisher's tracks are waited for. Nothing says how many there will be; onMetaData hints.
const (
	waitUnhinted = 500  // ms of media
	waitHinted   = 2000 // ms of media, when onMetaData names audio and video
	waitUnits    = 1024
	waitBytes    = 8 << 20
)

// A Demuxer turns the tags of one publisher, at most one video and one audio track, into tracks and access units.
// The zero Demuxer is ready. It belongs to one goroutine.
type Demuxer struct {
	clock        clock
	video, audio half

	hinted               bool // onMetaData came
	hintVideo, hintAudio bool

	decided     bool // the sink knows the tracks
	list        codecs.Tracks
	waiting     []*codecs.AccessUnit // before that; Track is roleVideo or roleAudio
	waitingSize int
	first       int64 // ms; the time of the first media
	begun       bool
	unsupported error // the last UnsupportedError before that
}

const (
	roleVideo = iota
	roleAudio
)

// A half is the video or the audio of a publisher.
type half struct {
	known  bool
	track  codecs.Track
	nal    *nalConfig // H.264 and H.265
	frame  int64      // AAC: samples in a frame
	broken bool       // the next access unit is the first after a break

	clock trackClock
	grid  grid  // audio
	dts   int64 // the last one given out
	any   bool
}

// Tag takes the next tag and tells sink what it means. Tag owns the body from then on.
//
// The errors are: sink's, unchanged; [ErrNoTracks], after which the publisher should go; [*UnsupportedError], when
// the tag belongs to a track that is left out; [ErrMalformed], when the tag was skipped. After the latter two the next
// tag can be given.
func (d *Demuxer) Tag(t Tag, sink codecs.Writer) error {
	switch t.Type {
	case TypeVideo:
		b, err := parseVideo(t.Body)
		if err != nil {
			return d.failed(t, err)
		}
		return d.take(&d.video, roleVideo, t.Timestamp, b, sink)
	case TypeAudio:
		b, err := parseAudio(t.Body)
		if err != nil {
			return d.failed(t, err)
		}
		return d.take(&d.audio, roleAudio, t.Timestamp, b, sink)
	case TypeScript:
		return d.script(t.Body)
	default:
		return nil
	}
}

// Tracks returns the tracks that the sink was told last; none before.
func (d *Demuxer) Tracks() codecs.Tracks { return d.list }

// failed remembers that a codec is not supported, and gives a publisher up who has nothing else.
func (d *Demuxer) failed(t Tag, err error) error {
	var u *UnsupportedError
	if !errors.As(err, &u) {
		return fmt.Errorf("reading media: %w", err)
	}
	if !d.decided {
		d.unsupported = err
		ms, _ := d.clock.time(&trackClock{}, t.Timestamp)
		d.begin(ms)
		if !d.video.known && !d.audio.known && ms-d.first >= waitUnhinted {
			return fmt.Errorf("%w: %w", ErrNoTracks, err)
		}
	}
	return err
}

func (d *Demuxer) begin(ms int64) {
	if !d.begun {
		d.begun, d.first = true, ms
	}
}

// script reads onMetaData for its hints.
func (d *Demuxer) script(b []byte) error {
	vs, err := amf.Read(b)
	for len(vs) > 0 {
		name, ok := vs[0].(string)
		if !ok || name != "@setDataFrame" && name != "onMetaData" {
			break
		}
		vs = vs[1:]
		if name == "onMetaData" && len(vs) > 0 {
			if o, ok := amf.AsObject(vs[0]); ok {
				d.hinted = true
				d.hintVideo, d.hintAudio = o.Has("videocodecid"), o.Has("audiocodecid")
			}
			break
		}
	}
	if err != nil {
		return fmt.Errorf("reading script data: %w: %w", ErrMalformed, err)
	}
	return nil
}

func (d *Demuxer) take(h *half, role int, ts uint32, b body, sink codecs.Writer) error {
	switch b.kind {
	case kindConfig:
		changed, err := h.configure(b)
		if err != nil {
			return fmt.Errorf("reading media: %w", err)
		}
		if changed {
			return d.changed(sink)
		}
		return nil
	case kindMedia:
		return d.media(h, role, ts, b, sink)
	default:
		return nil
	}
}

// changed tells the sink about new tracks, unless it still waits for the first.
func (d *Demuxer) changed(sink codecs.Writer) error {
	if d.decided {
		d.announce(sink)
		return nil
	}
	return d.decide(sink, false)
}

func (d *Demuxer) announce(sink codecs.Writer) {
	d.list = nil
	if d.video.known {
		d.list = append(d.list, d.video.track)
	}
	if d.audio.known {
		d.list = append(d.list, d.audio.track)
	}
	sink.SetTracks(d.list)
}

// decide tells the sink the tracks once both are known, or no other is to be expected; late says that enough has
// been waited.
func (d *Demuxer) decide(sink codecs.Writer, late bool) error {
	some := d.video.known || d.audio.known
	both := d.video.known && d.audio.known
	alone := d.hinted && (d.video.known && !d.hintAudio || d.audio.known && !d.hintVideo)
	switch {
	case both, alone, late && some:
	case late && d.unsupported != nil:
		return fmt.Errorf("%w: %w", ErrNoTracks, d.unsupported)
	case late:
		return ErrNoTracks
	default:
		return nil
	}
	d.decided = true
	d.announce(sink)
	waiting := d.waiting
	d.waiting, d.waitingSize = nil, 0
	for _, au := range waiting {
		if err := d.emit(au, sink); err != nil {
			return err
		}
	}
	return nil
}

// emit gives an access unit, whose Track is a role, to the sink.
func (d *Demuxer) emit(au *codecs.AccessUnit, sink codecs.Writer) error {
	if au.Track == roleAudio {
		au.Track = len(d.list) - 1
		au.RandomAccess = !d.video.known
	}
	return sink.Write(au)
}

func (d *Demuxer) media(h *half, role int, ts uint32, b body, sink codecs.Writer) error {
	ms, broken := d.clock.time(&h.clock, ts)
	h.broken = h.broken || broken && h.any
	d.begin(ms)

	au, changed, err := h.unit(b, ms)
	if err != nil {
		err = fmt.Errorf("reading media: %w", err)
	}
	if changed {
		if err := d.changed(sink); err != nil {
			return err
		}
	}
	if !d.decided {
		if au != nil {
			au.Track = role
			d.waiting = append(d.waiting, au)
			d.waitingSize += len(au.Payload)
		}
		wait := int64(waitUnhinted)
		if d.hinted && d.hintVideo && d.hintAudio {
			wait = waitHinted
		}
		late := ms-d.first >= wait || len(d.waiting) >= waitUnits || d.waitingSize >= waitBytes
		if derr := d.decide(sink, late); derr != nil {
			return derr
		}
		return err
	}
	if au == nil {
		return err
	}
	au.Track = role
	return d.emit(au, sink)
}

// configure takes a decoder configuration and says whether the track is another one now.
func (h *half) configure(b body) (changed bool, err error) {
	t, frame := codecs.Track{}, int64(0)
	var nal *nalConfig
	switch b.codec {
	case codecs.H264:
		if nal, err = parseAVCConfig(b.data); err == nil {
			t = nal.track()
		}
	case codecs.H265:
		if nal, err = parseHEVCConfig(b.data); err == nil {
			t = nal.track()
		}
	case codecs.AV1:
		t, err = parseAV1Config(b.data)
	case codecs.AAC:
		t, frame, err = parseAACConfig(b.data)
	case codecs.Opus:
		t, err = parseOpusConfig(b.data)
	default: // MP3 and AC-3 describe themselves in each frame
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h.nal, h.frame = nal, frame
	return h.become(t), nil
}

// become makes t the track and says whether it is another one.
func (h *half) become(t codecs.Track) bool {
	if h.known && h.track.Equal(t) {
		return false
	}
	h.broken = h.broken || h.any
	h.known, h.track = true, t
	h.grid = grid{}
	return true
}

// unit makes an access unit without Track of b, which the publisher puts at ms; nil if there is nothing in it. It says
// whether the track is another one from this access unit on.
func (h *half) unit(b body, ms int64) (au *codecs.AccessUnit, changed bool, err error) {
	au = &codecs.AccessUnit{Payload: b.data, RandomAccess: b.key, DTS: ms * (codecs.ClockRate / 1000)}
	switch b.codec {
	case codecs.H264, codecs.H265:
		if h.nal == nil || h.track.Codec != b.codec {
			return nil, false, malformed("%v before its configuration", b.codec)
		}
		u, err := splitNALs(b.codec, b.data, h.nal.size, b.key)
		if err != nil {
			return nil, false, err
		}
		if n := h.nal.with(u.sets); n != h.nal {
			h.nal = n
			changed = h.become(n.track())
		}
		if len(u.payload) == 0 {
			return nil, changed, nil
		}
		au.Payload, au.RandomAccess = u.payload, u.random
	case codecs.AV1:
		if !h.known || h.track.Codec != b.codec {
			return nil, false, malformed("%v before its configuration", b.codec)
		}
		if au.Payload, err = cleanAV1(b.data); err != nil || len(au.Payload) == 0 {
			return nil, false, err
		}
	default:
		if changed, err = h.audioUnit(b, au); err != nil {
			return nil, changed, err
		}
	}
	if h.any && au.DTS <= h.dts {
		au.DTS = h.dts + 1 // jitter: time never stands still within a track
	}
	h.dts, h.any = au.DTS, true
	au.PTS = au.DTS + int64(b.cts)*(codecs.ClockRate/1000)
	au.Discontinuity, h.broken = h.broken, false
	return au, changed, nil
}

// audioUnit places an audio frame on the grid of its samples.
func (h *half) audioUnit(b body, au *codecs.AccessUnit) (changed bool, err error) {
	samples := h.frame
	if b.codec != codecs.AAC {
		var t codecs.Track
		if t, samples, err = describeFrame(b.codec, b.data); err != nil {
			return false, err
		}
		if b.codec != codecs.Opus {
			changed = h.become(t)
		}
	}
	if !h.known || h.track.Codec != b.codec {
		return false, malformed("%v before its configuration", b.codec)
	}
	rate := int64(h.track.SampleRate)
	au.DTS = h.grid.place(au.DTS, samples, rate)
	au.Duration = samples * codecs.ClockRate / rate
	return changed, nil
}
