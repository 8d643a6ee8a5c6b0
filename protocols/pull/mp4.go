package pull

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/linear"
	"weir/codecs/nal"
	"weir/codecs/reception"
)

// Limits of the parts of an MP4 file that are read into memory, in bytes, and of the number of its boxes. The index
// of a day's film has some 40 MB; a file of fragments of one access unit each has two boxes for each.
const (
	maxMoov  = 256 << 20
	maxMoof  = 16 << 20
	maxEntry = 64 << 10
	maxBoxes = 2 * maxSamples
)

// A box is one of ISO/IEC 14496-12, 4.2, in memory.
type box struct {
	kind string
	all  []byte // with its header
	body []byte
}

// A finder finds boxes. After an error, which is kept, it finds none. Containers are walked here, and only boxes without
// children given to the library, because it follows nested boxes to any depth.
type finder struct{ err error }

// boxes splits the body of a container.
func (f *finder) boxes(in string, b []byte) []box {
	var list []box
	for len(b) > 0 && f.err == nil {
		size, header, err := boxSize(b, int64(len(b)))
		if err != nil {
			if len(list) > 0 && len(b) < 8 {
				break // QuickTime ends some containers with four zero bytes
			}
			f.err = fmt.Errorf("box %s: %w", in, err)
			return nil
		}
		list = append(list, box{kind: string(b[4:8]), all: b[:size], body: b[header:size]})
		b = b[size:]
	}
	return list
}

// boxSize reads the header of a box of which left bytes are there at most. The size covers the header.
func boxSize(head []byte, left int64) (size, header int64, err error) {
	if len(head) < 8 {
		return 0, 0, fmt.Errorf("%w within the header of a box", ErrTruncated)
	}
	size, header = int64(binary.BigEndian.Uint32(head)), 8
	switch size {
	case 0: // to the end
		return left, header, nil
	case 1:
		if len(head) < 16 {
			return 0, 0, fmt.Errorf("%w within the header of a box", ErrTruncated)
		}
		size, header = int64(binary.BigEndian.Uint64(head[8:])), 16
	}
	if size < header {
		return 0, 0, fmt.Errorf("box %q has %d bytes, fewer than its header", head[4:8], size)
	}
	if size > left {
		return 0, 0, fmt.Errorf("%w: box %q has %d bytes, of which there are %d", ErrTruncated, head[4:8], size, left)
	}
	return size, header, nil
}

// find returns the first box of a kind, following a list of containers by name; nil if there is none.
func (f *finder) find(list []box, kinds ...string) *box {
	for i, kind := range kinds {
		at := slices.IndexFunc(list, func(b box) bool { return b.kind == kind })
		if at < 0 {
			return nil
		}
		if i == len(kinds)-1 {
			return &list[at]
		}
		list = f.boxes(kind, list[at].body)
	}
	return nil
}

// decode parses a box without children. It is the zero T for nil.
func decode[T mp4.Box](f *finder, b *box) (t T) {
	if b == nil || f.err != nil {
		return t
	}
	parsed, err := mp4.DecodeBoxSR(0, bits.NewFixedSliceReader(b.all))
	if err != nil {
		f.err = err
		return t
	}
	t, ok := parsed.(T)
	if !ok {
		f.err = fmt.Errorf("box %s is none", b.kind)
	}
	return t
}

// want finds and parses a box; it is the zero T when there is none.
func want[T mp4.Box](f *finder, list []box, kinds ...string) T {
	return decode[T](f, f.find(list, kinds...))
}

// A movie is an MP4 file whose index has been read.
type movie struct {
	r    io.ReaderAt
	size int64

	anyCodec   bool // not only what files may hold is wanted
	movieScale uint32
	tracks     []*movieTrack
	extends    map[uint32]*mp4.TrexBox
	refused    []refusedTrack
}

// A refusedTrack is a track that cannot be played.
type refusedTrack struct {
	id     uint32
	codec  string
	video  bool
	reason error
}

// A movieTrack is one track of a movie.
type movieTrack struct {
	id    uint32
	scale uint32 // units in a second
	track linear.Track
	nal   *nal.Syntax // of a codec that consists of NAL units
	sets  nal.Config  // of it, as in the file

	empty     int64 // ticks before the first edit
	mediaTime int64 // where the first edit starts, in units

	decodeTime int64         // of the next sample, in units
	bytes      int64         // of all samples
	samples    []mediaSample // until the track is finished
	places     []place       // from then on
}

// A place is where a sample is in the file.
type place struct {
	offset int64
	size   uint32
}

// A mediaSample says where a sample is, and when, in units of the track.
type mediaSample struct {
	offset   int64
	dts, pts int64
	size     uint32
	sync     bool
}

func newMovie(r io.ReaderAt, size int64) *movie {
	return &movie{r: r, size: size, extends: make(map[uint32]*mp4.TrexBox)}
}

func parseMP4(r io.ReaderAt, size int64) (*media, error) {
	m := newMovie(r, size)
	if err := m.scan(); err != nil {
		return nil, err
	}
	out := &media{payloads: m}
	if err := m.choose(&out.report); err != nil {
		return nil, err
	}
	for _, t := range m.tracks {
		if err := t.finish(m); err != nil {
			return nil, err
		}
		out.tracks = append(out.tracks, t.track)
	}
	return out, nil
}

// choose keeps the first video and the first audio track that can be played, and reports the others. It is an error if there is
// none.
func (m *movie) choose(report reception.Report) error {
	var selection elementary.Selection
	m.tracks = slices.DeleteFunc(m.tracks, func(t *movieTrack) bool {
		return !selection.Offer(trackName(t.id), t.track.Codec.String(), t.track.Codec.Video(), nil)
	})
	for _, r := range m.refused {
		selection.Offer(trackName(r.id), r.codec, r.video, r.reason)
	}
	report.LeaveOut(selection.LeftOut)
	return selection.Err()
}

func trackName(id uint32) string { return fmt.Sprintf("track %d", id) }

// scan goes through the boxes of the file and reads those that hold the index.
func (m *movie) scan() error {
	known := false
	head := make([]byte, 16)
	for at, n := int64(0), 0; at < m.size; n++ {
		if n > maxBoxes {
			return fmt.Errorf("more than %d boxes: %w", maxBoxes, ErrTooLarge)
		}
		left := m.size - at
		part := head[:min(left, int64(len(head)))]
		if _, err := m.r.ReadAt(part, at); err != nil && err != io.EOF {
			return fmt.Errorf("byte %d: %w", at, err)
		}
		size, header, err := boxSize(part, left)
		if err != nil {
			return fmt.Errorf("byte %d: %w", at, err)
		}
		switch kind := string(part[4:8]); {
		case kind == "moov" && !known:
			body, err := m.read(kind, at+header, size-header, maxMoov)
			if err != nil {
				return err
			}
			if err := m.moov(body); err != nil {
				return err
			}
			known = true
		case kind == "moof" && known:
			body, err := m.read(kind, at+header, size-header, maxMoof)
			if err != nil {
				return err
			}
			if err := m.moof(body, at); err != nil {
				return fmt.Errorf("fragment at byte %d: %w", at, err)
			}
		case kind == "moof":
			return fmt.Errorf("fragment at byte %d before the moov box that describes it", at)
		}
		at += size
	}
	if !known {
		return fmt.Errorf("%w: it has no moov box, which a writer adds when it is finished", ErrTruncated)
	}
	return nil
}

func (m *movie) read(kind string, at, size, most int64) ([]byte, error) {
	if size > most {
		return nil, fmt.Errorf("box %s of %d bytes, at most %d: %w", kind, size, most, ErrTooLarge)
	}
	b := make([]byte, size)
	if _, err := m.r.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("box %s at byte %d: %w", kind, at, err)
	}
	return b, nil
}

func (m *movie) moov(body []byte) error {
	var f finder
	list := f.boxes("moov", body)
	if header := want[*mp4.MvhdBox](&f, list, "mvhd"); header != nil {
		m.movieScale = header.Timescale
	}
	for _, b := range list {
		switch b.kind {
		case "mvex":
			for _, d := range f.boxes("mvex", b.body) {
				if d.kind != "trex" {
					continue
				}
				if trex := decode[*mp4.TrexBox](&f, &d); trex != nil {
					m.extends[trex.TrackID] = trex
				}
			}
		case "trak":
			if err := m.trak(&f, b.body); err != nil {
				return err
			}
		}
		if f.err != nil {
			return f.err
		}
	}
	return f.err
}

// trak reads a track of sound or pictures; others are noted and left out.
func (m *movie) trak(f *finder, body []byte) error {
	list := f.boxes("trak", body)
	header := want[*mp4.TkhdBox](f, list, "tkhd")
	switch {
	case f.err != nil:
		return f.err
	case header == nil:
		return errors.New("a track without tkhd box")
	}
	t := &movieTrack{id: header.TrackID}
	if err := m.add(f, t, list); err != nil {
		return fmt.Errorf("track %d: %w", t.id, err)
	}
	return nil
}

// add adds a track, of which list has the boxes.
func (m *movie) add(f *finder, t *movieTrack, list []box) error {
	handler := want[*mp4.HdlrBox](f, list, "mdia", "hdlr")
	times := want[*mp4.MdhdBox](f, list, "mdia", "mdhd")
	switch {
	case f.err != nil:
		return f.err
	case handler == nil || times == nil || times.Timescale == 0:
		return errors.New("no handler or no timescale")
	case handler.HandlerType != "vide" && handler.HandlerType != "soun":
		m.refused = append(m.refused, refusedTrack{t.id, handler.HandlerType, false, errNeither})
		return nil
	}
	t.scale = times.Timescale
	if err := t.edits(f, list, m.movieScale); err != nil {
		return err
	}
	stbl := f.find(list, "mdia", "minf", "stbl")
	switch {
	case f.err != nil:
		return f.err
	case stbl == nil:
		return errors.New("no sample table")
	}
	tables := f.boxes("stbl", stbl.body)
	err := t.describe(f, tables, handler.HandlerType == "vide", m.anyCodec)
	if e, ok := errors.AsType[*codecError](err); ok {
		m.refused = append(m.refused, refusedTrack{t.id, cmp.Or(e.name, e.kind), e.video, e})
		return nil
	} else if err != nil {
		return err
	}
	m.tracks = append(m.tracks, t)
	return t.table(f, tables, m.size)
}

// edits reads where the presentation of the track starts (8.6.6). Of several edits the first that shows media counts.
func (t *movieTrack) edits(f *finder, list []box, movieScale uint32) error {
	edits := want[*mp4.ElstBox](f, list, "edts", "elst")
	if edits == nil {
		return f.err
	}
	for _, e := range edits.Entries {
		if e.MediaTime >= 0 {
			const most = 1 << 60
			if t.mediaTime = e.MediaTime; t.mediaTime > most {
				return fmt.Errorf("an edit that starts at %d", t.mediaTime)
			}
			return nil
		}
		if movieScale > 0 {
			ticks, err := rescale(int64(min(e.SegmentDuration, 1<<40)), movieScale)
			if err != nil {
				return err
			}
			t.empty += ticks
		}
	}
	return nil
}

// codecNames are the codecs that people meet, by the kind of their sample entries.
var codecNames = map[string]string{
	"hvc1": "H.265", "hev1": "H.265", "dvh1": "H.265", "dvhe": "H.265", "av01": "AV1", "vp08": "VP8", "vp09": "VP9",
	"mp4v": "MPEG-4 Part 2", "vvc1": "H.266", "vvi1": "H.266", "mjpg": "Motion JPEG", "jpeg": "Motion JPEG",
	"apch": "ProRes", "apcn": "ProRes", "encv": "encrypted video", "enca": "encrypted audio", "ac-3": "AC-3",
	"ec-3": "E-AC-3", "ac-4": "AC-4", "Opus": "Opus", "fLaC": "FLAC", "alac": "ALAC", ".mp3": "MP3", "sowt": "PCM",
	"twos": "PCM", "lpcm": "PCM", "ipcm": "PCM", "fpcm": "PCM", "ulaw": "G.711", "alaw": "G.711",
}

// describe reads the sample description. A codec that cannot be played is a codecError; see choose. Anything says that not only the
// codecs of files can be.
func (t *movieTrack) describe(f *finder, tables []box, video, anything bool) error {
	stsd := f.find(tables, "stsd")
	switch {
	case f.err != nil:
		return f.err
	case stsd == nil || len(stsd.body) < 8 || len(stsd.body) > maxEntry:
		return errors.New("no usable sample description")
	}
	entries := f.boxes("stsd", stsd.body[8:])
	switch {
	case f.err != nil:
		return f.err
	case len(entries) == 0:
		return errors.New("no sample description")
	}
	switch e := &entries[0]; {
	case video && (e.kind == "avc1" || e.kind == "avc3"):
		return t.describeVideo(f, e, codecs.H264, "avcC")
	case !video && e.kind == "mp4a":
		return t.describeAudio(f, e, anything)
	case anything && video && (e.kind == "hvc1" || e.kind == "hev1"):
		return t.describeVideo(f, e, codecs.H265, "hvcC")
	case anything && !video && e.kind == "Opus":
		return t.describeOpus(f, e)
	case anything && !video && e.kind == "ac-3":
		t.track.Codec = codecs.AC3 // its frames describe themselves
		return nil
	default:
		return &codecError{name: codecNames[e.kind], kind: e.kind, video: video}
	}
}

// A codecError says which codec it is that cannot be played.
type codecError struct {
	name, kind string
	video      bool
}

func (e *codecError) Error() string {
	what := "audio"
	if e.video {
		what = "video"
	}
	if e.name == "" {
		return fmt.Sprintf("its %s is of the unknown codec %q; %v", what, e.kind, ErrCodec)
	}
	return fmt.Sprintf("its %s is %s; %v", what, e.name, ErrCodec)
}

func (*codecError) Unwrap() error { return ErrCodec }

// describeVideo reads the record in a box of the sample entry of a codec that consists of NAL units.
func (t *movieTrack) describeVideo(f *finder, entry *box, codec codecs.Codec, kind string) (err error) {
	const fields = 78 // of a VisualSampleEntry (12.1.3.2)
	if len(entry.body) < fields {
		return fmt.Errorf("sample description %s of %d bytes", entry.kind, len(entry.body))
	}
	record := f.find(f.boxes(entry.kind, entry.body[fields:]), kind)
	switch {
	case f.err != nil:
		return f.err
	case record == nil:
		return fmt.Errorf("sample description %s without %s box", entry.kind, kind)
	}
	t.track.Codec, t.nal = codec, carriage.Of(codec).NAL
	t.sets, err = t.nal.Read(record.body)
	return err
}

func (t *movieTrack) describeOpus(f *finder, entry *box) (err error) {
	const fields = 28 // of an AudioSampleEntry (12.2.3.2)
	if len(entry.body) < fields {
		return fmt.Errorf("sample description %s of %d bytes", entry.kind, len(entry.body))
	}
	record := f.find(f.boxes(entry.kind, entry.body[fields:]), "dOps")
	switch {
	case f.err != nil:
		return f.err
	case record == nil:
		return fmt.Errorf("sample description %s without dOps box", entry.kind)
	}
	t.track.Track, err = carriage.Of(codecs.Opus).Describe(bytes.Clone(record.body))
	return err
}

func (t *movieTrack) describeAudio(f *finder, entry *box, anything bool) (err error) {
	parsed := decode[*mp4.AudioSampleEntryBox](f, entry)
	if f.err != nil {
		return f.err
	}
	esds := parsed.Esds
	if esds == nil && parsed.Wave != nil { // QuickTime
		for _, child := range parsed.Wave.Children {
			if e, ok := child.(*mp4.EsdsBox); ok {
				esds = e
			}
		}
	}
	if esds == nil || esds.DecConfigDescriptor == nil {
		return fmt.Errorf("sample description mp4a without decoder configuration")
	}
	d := esds.DecConfigDescriptor
	switch d.ObjectType {
	case 0x40, 0x66, 0x67, 0x68: // AAC of MPEG-4 and MPEG-2 (mp4ra.org)
	case 0x69, 0x6b:
		if !anything {
			return &codecError{name: "MP3"}
		}
		t.track.Codec = codecs.MP3 // its frames describe themselves
		return nil
	default:
		return &codecError{kind: fmt.Sprintf("mp4a.%02x", d.ObjectType)}
	}
	if d.DecSpecificInfo == nil {
		return fmt.Errorf("AAC without AudioSpecificConfig")
	}
	if t.track.Track, err = carriage.Of(codecs.AAC).Describe(d.DecSpecificInfo.DecConfig); err != nil {
		return err
	}
	return measure(&t.track)
}
