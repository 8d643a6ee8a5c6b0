package playlist

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxBytes bounds a playlist that another node sends. Playlists of this program have some 100 bytes per segment.
const MaxBytes = 1 << 20

// ErrInvalid says that a text is no playlist of this program.
var ErrInvalid = errors.New("not a playlist of this program")

// Parse parses the playlist f as another node sends it. A playlist with a URI that leads anywhere but to a file of the
// stream is refused, because viewers will follow its URIs. Tags that this program does not write are left out
// (RFC 8216, 6.3.1), and so is the query of a variant.
func Parse(text []byte, f File) (*Playlist, error) {
	switch {
	case len(text) > MaxBytes:
		return nil, fmt.Errorf("%d bytes: %w", len(text), ErrInvalid)
	case !bytes.HasPrefix(text, []byte("#EXTM3U\n")):
		return nil, fmt.Errorf("no EXTM3U: %w", ErrInvalid)
	case f.Kind == MultivariantFile:
		return parseMultivariant(string(text))
	}
	p := &Playlist{form: f.Form}
	next, timed := int64(-1), false // next is the number of the next segment, from the media sequence number on
	var s Segment                   // as far as its tags have been read
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		tag, value, _ := strings.Cut(line, ":")
		ok := true
		var err error
		switch {
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			first := next < 0 && s.Generation == ""
			next, ok = parseNumber(value)
			ok = ok && first
		case tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
			p.discontinuities, ok = parseNumber(value)
		case tag == "#EXT-X-TARGETDURATION":
			var n int64
			n, ok = parseNumber(value)
			ok = ok && n >= 1 && n <= 3600
			p.Target = time.Duration(n) * time.Second
		case line == "#EXT-X-INDEPENDENT-SEGMENTS":
			p.independent = true
		case line == "#EXT-X-DISCONTINUITY":
			s.Discontinuity = true
		case tag == "#EXT-X-MAP":
			name := strings.TrimSuffix(strings.TrimPrefix(value, `URI="`), `"`)
			var is File
			is, ok = ParseFile(name)
			ok = ok && is.Kind == InitFile && value == `URI="`+name+`"`
			s.Generation = is.Generation
		case tag == "#EXT-X-PROGRAM-DATE-TIME":
			s.Start, err = time.Parse(dateTime, value)
		case tag == "#EXTINF":
			seconds, _, _ := strings.Cut(value, ",")
			s.Duration, err = time.ParseDuration(seconds + "s")
			timed, ok = true, s.Duration >= 0
		case strings.HasPrefix(line, "#"):
			ok = !strings.Contains(line, "URI=")
		case line != "":
			var is File
			is, ok = ParseFile(line)
			ok = ok && timed && next >= 0 && is.Kind == SegmentFile && is.Form == f.Form && is.Number == next
			s.Number = next
			p.add(s)
			s, timed, next = Segment{Generation: s.Generation}, false, next+1
		}
		if !ok || err != nil {
			return nil, fmt.Errorf("line %q: %w", line, ErrInvalid)
		}
	}
	if p.Target == 0 || len(p.Segments) == 0 {
		return nil, fmt.Errorf("no segments: %w", ErrInvalid)
	}
	p.Text = p.Render(Numbering{}, "", "")
	return p, nil
}

// parseMultivariant takes the queries off a multivariant playlist.
func parseMultivariant(text string) (*Playlist, error) {
	var b strings.Builder
	variants := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		ok := !strings.Contains(line, "URI=")
		if line != "" && line[0] != '#' {
			line, _, _ = strings.Cut(line, "?")
			var is File
			is, ok = ParseFile(line)
			ok = ok && is.Kind == MediaFile
			variants++
		}
		if !ok {
			return nil, fmt.Errorf("line %q: %w", line, ErrInvalid)
		}
		b.WriteString(line + "\n")
	}
	if variants == 0 {
		return nil, fmt.Errorf("no variant: %w", ErrInvalid)
	}
	return &Playlist{Text: []byte(b.String())}, nil
}
