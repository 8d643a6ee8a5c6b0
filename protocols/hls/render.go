package hls

import (
	"fmt"
	"strconv"

	"weir/codecs"
	"weir/codecs/fmp4"
	"weir/protocols/cmaf"
)

// The slots of a window's rendered texts that belong to this package.
const (
	mediaSlot        = 0 // and 1: by form
	multivariantSlot = 2 // and 3: by form
)

func renderMedia(w *cmaf.Window, f cmaf.Form) []byte {
	return w.Rendered(mediaSlot+int(f), mediaRenderers[f])
}

func renderMultivariant(w *cmaf.Window, f cmaf.Form) []byte {
	return w.Rendered(multivariantSlot+int(f), multivariantRenderers[f])
}

var (
	mediaRenderers = [...]func(*cmaf.Window) []byte{
		cmaf.TS:   func(w *cmaf.Window) []byte { return mediaText(w, cmaf.TS) },
		cmaf.CMAF: func(w *cmaf.Window) []byte { return mediaText(w, cmaf.CMAF) },
	}
	multivariantRenderers = [...]func(*cmaf.Window) []byte{
		cmaf.TS:   func(w *cmaf.Window) []byte { return multivariantText(w, cmaf.TS) },
		cmaf.CMAF: func(w *cmaf.Window) []byte { return multivariantText(w, cmaf.CMAF) },
	}
)

// mediaText renders a media playlist. It is a function of the window: nodes that cut alike answer alike.
func mediaText(w *cmaf.Window, f cmaf.Form) []byte {
	b := make([]byte, 0, 256+96*len(w.Segments))
	b = append(b, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:"...)
	b = strconv.AppendInt(b, int64(w.TargetDuration), 10)
	b = append(b, "\n#EXT-X-MEDIA-SEQUENCE:"...)
	b = strconv.AppendInt(b, w.First(), 10)
	b = append(b, "\n#EXT-X-DISCONTINUITY-SEQUENCE:"...)
	b = strconv.AppendInt(b, w.Discontinuities(), 10)
	b = append(b, '\n')
	independent := true
	for _, s := range w.Segments {
		independent = independent && s.Independent
	}
	if independent {
		b = append(b, "#EXT-X-INDEPENDENT-SEGMENTS\n"...)
	}
	generation := ""
	for _, s := range w.Segments {
		if s.Discontinuity {
			b = append(b, "#EXT-X-DISCONTINUITY\n"...)
		}
		if f == cmaf.CMAF && s.Generation.Name != generation {
			generation = s.Generation.Name
			b = append(b, `#EXT-X-MAP:URI="i`...)
			b = append(b, generation...)
			b = append(b, ".mp4\"\n"...)
		}
		b = append(b, "#EXT-X-PROGRAM-DATE-TIME:"...)
		b = cmaf.Time(s.Start).AppendFormat(b, "2006-01-02T15:04:05.000Z")
		b = append(b, "\n#EXTINF:"...)
		b = appendSeconds(b, s.Duration)
		b = append(b, ",\ns"...)
		b = strconv.AppendInt(b, s.Number, 10)
		b = append(b, extensions[f]...)
		b = append(b, '\n')
	}
	return b
}

var extensions = [...]string{cmaf.TS: ".ts", cmaf.CMAF: ".m4s"}

// appendSeconds writes ticks as seconds with five digits, the fewest that tell ticks apart.
func appendSeconds(b []byte, ticks int64) []byte {
	n := (ticks*100000 + codecs.ClockRate/2) / codecs.ClockRate
	return fmt.Appendf(b, "%d.%05d", n/100000, n%100000)
}

// multivariantText renders the multivariant playlist with the one variant of this form, without a query.
func multivariantText(w *cmaf.Window, f cmaf.Form) []byte {
	if len(w.Segments) == 0 {
		return nil
	}
	newest := w.Segments[len(w.Segments)-1]
	tracks := newest.Generation.Tracks
	peak, average := w.Rates(f)
	b := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d", peak, average)
	if names := fmp4.Codecs(tracks); names != "" {
		b = fmt.Appendf(b, ",CODECS=%q", names)
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
	name := "ts.m3u8"
	if f == cmaf.CMAF {
		name = "cmaf.m3u8"
	}
	return fmt.Appendf(b, "\n%s\n", name)
}

// formOf chooses the form of the one variant: MPEG-TS, which more players take, unless it leaves a track out.
func formOf(w *cmaf.Window) cmaf.Form {
	if len(w.Segments) > 0 && w.Segments[len(w.Segments)-1].Generation.Carries(cmaf.TS) {
		return cmaf.TS
	}
	return cmaf.CMAF
}
