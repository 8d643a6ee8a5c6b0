package playlist

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"weir/codecs"
	"weir/codecs/fmp4"
	"weir/protocols/cmaf"
)

// Of returns the playlist f of a window, which is not empty. A window has one playlist of each name, made at the first
// call; nodes that cut a stream alike make the same bytes. The result is nil if the form does not carry the newest tracks.
func Of(w *cmaf.Window, f File) *Playlist {
	form, tracks := f.Form, w.Segments[len(w.Segments)-1].Generation
	if f.AnyForm && !tracks.Carries(cmaf.TS) { // more players take MPEG-TS
		form = cmaf.CMAF
	}
	if !tracks.Carries(form) {
		return nil
	}
	slot, render := int(form), media
	if f.Kind == MultivariantFile {
		slot, render = slot+2, multivariant
	}
	return w.Rendered(slot, func(w *cmaf.Window) any { return render(w, form) }).(*Playlist)
}

// media makes a media playlist.
func media(w *cmaf.Window, form cmaf.Form) *Playlist {
	p := &Playlist{
		Target: time.Duration(w.TargetDuration) * time.Second, Segments: make([]Segment, 0, len(w.Segments)),
		form: form, discontinuities: w.Discontinuities(), independent: true,
	}
	for _, s := range w.Segments {
		p.independent = p.independent && s.Independent
		listed := Segment{
			Number: s.Number, Start: cmaf.Time(s.Start), Duration: time.Duration(s.Duration) * time.Second / codecs.ClockRate,
			Discontinuity: s.Discontinuity,
		}
		if form == cmaf.CMAF {
			listed.Generation = s.Generation.Name
		}
		p.add(listed)
	}
	p.Text = p.Render(Numbering{}, "", "")
	return p
}

// dateTime is the form of EXT-X-PROGRAM-DATE-TIME.
const dateTime = "2006-01-02T15:04:05.000Z"

// Render writes a media playlist with the numbers that n gives, with prefix before each URI and query after it.
func (p *Playlist) Render(n Numbering, prefix, query string) []byte {
	segments := p.Segments
	if n.moved && n.from > p.First() {
		segments = segments[min(n.from-p.First(), int64(len(segments))):]
	}
	b := make([]byte, 0, 256+(96+len(prefix)+len(query))*len(segments))
	b = fmt.Appendf(b, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:%d\n", p.Target/time.Second)
	if len(segments) > 0 {
		first := segments[0]
		sequence := first.sequence + n.discontinuities
		if n.breaks(first) {
			sequence-- // the number counts the discontinuities before the first segment's own
		}
		b = fmt.Appendf(b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", first.Number+n.offset, sequence)
	}
	if p.independent {
		b = append(b, "#EXT-X-INDEPENDENT-SEGMENTS\n"...)
	}
	generation := ""
	for _, s := range segments {
		if n.breaks(s) {
			b = append(b, "#EXT-X-DISCONTINUITY\n"...)
		}
		if s.Generation != generation {
			generation = s.Generation
			b = fmt.Appendf(b, "#EXT-X-MAP:URI=\"%s%s%s\"\n", prefix, initName(generation), query)
		}
		if !s.Start.IsZero() {
			b = append(b, "#EXT-X-PROGRAM-DATE-TIME:"...)
			b = append(s.Start.AppendFormat(b, dateTime), '\n')
		}
		// Five digits are the fewest that tell ticks of 90 kHz apart.
		d := (s.Duration + 5*time.Microsecond) / (10 * time.Microsecond)
		b = fmt.Appendf(b, "#EXTINF:%d.%05d,\n%s%s%s\n", d/100000, d%100000, prefix, SegmentName(s.Number, p.form), query)
	}
	return b
}

// multivariant makes the multivariant playlist with the one variant of this form.
func multivariant(w *cmaf.Window, form cmaf.Form) *Playlist {
	newest := w.Segments[len(w.Segments)-1]
	tracks := newest.Generation.Tracks
	peak, average := w.Rates(form)
	b := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d", peak, average)
	if names := fmp4.Codecs(tracks); names != "" {
		b = append(b, ",CODECS="+strconv.Quote(names)...)
	}
	if v := tracks.Video(); v >= 0 {
		if t := tracks[v]; t.Width > 0 && t.Height > 0 {
			b = fmt.Appendf(b, ",RESOLUTION=%dx%d", t.Width, t.Height)
		}
		if newest.Pictures > 0 {
			rate := (int64(newest.Pictures)*codecs.ClockRate*1000 + newest.Duration/2) / newest.Duration
			b = fmt.Appendf(b, ",FRAME-RATE=%d.%03d", rate/1000, rate%1000)
		}
	}
	name := tsName
	if form == cmaf.CMAF {
		name = cmafName
	}
	return &Playlist{Text: fmt.Appendf(b, "\n%s\n", name)}
}

// RenderVariants writes a multivariant playlist with prefix before each URI and query after it.
func (p *Playlist) RenderVariants(prefix, query string) []byte {
	b := make([]byte, 0, len(p.Text)+len(prefix)+len(query)+16)
	for line := range bytes.Lines(p.Text) {
		if line[0] == '#' || line[0] == '\n' {
			b = append(b, line...)
			continue
		}
		b = append(b, prefix...)
		b = append(b, bytes.TrimSuffix(line, []byte("\n"))...)
		b = append(b, query...)
		b = append(b, '\n')
	}
	return b
}
