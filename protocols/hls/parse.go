package hls

import (
	"bytes"
	"errors"
	"fmt"

	"weir/protocols/cmaf"
)

// maxPlaylist bounds a playlist that another node sends, in bytes. Ours have some 100 bytes per segment.
const maxPlaylist = 1 << 20

// errPlaylist says that another node sent what is no playlist of weir.
var errPlaylist = errors.New("not a playlist of this program")

// A playlist is a parsed media playlist.
type playlist struct {
	text        []byte // with relative URIs
	first, last int64  // the numbers of the segments; last is first-1 if there is none
	target      int64  // seconds
	files       []string
	uris        []int // offsets in text at which a URI starts
}

// parseMedia understands a media playlist as [mediaText] writes it, with segments in form f. Whatever names anything
// but such segments is refused: its URIs are passed on to viewers.
func parseMedia(text []byte, f cmaf.Form) (*playlist, error) {
	p := &playlist{text: text}
	if len(text) > maxPlaylist {
		return nil, fmt.Errorf("%d bytes: %w", len(text), errPlaylist)
	}
	if !bytes.HasPrefix(text, []byte("#EXTM3U\n")) {
		return nil, fmt.Errorf("no EXTM3U: %w", errPlaylist)
	}
	seen := false
	for at := 0; at < len(text); {
		line := text[at:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end]
		}
		start := at
		at += len(line) + 1
		if value, ok := bytes.CutPrefix(line, []byte("#EXT-X-MEDIA-SEQUENCE:")); ok {
			if p.first, ok = parseNumber(string(value)); !ok || seen || len(p.files) > 0 {
				return nil, fmt.Errorf("media sequence %q: %w", value, errPlaylist)
			}
			p.last, seen = p.first-1, true
		} else if value, ok := bytes.CutPrefix(line, []byte("#EXT-X-TARGETDURATION:")); ok {
			if p.target, ok = parseNumber(string(value)); !ok || p.target < 1 || p.target > 3600 {
				return nil, fmt.Errorf("target duration %q: %w", value, errPlaylist)
			}
		} else if value, ok := bytes.CutPrefix(line, []byte(`#EXT-X-MAP:URI="`)); ok {
			name, found := bytes.CutSuffix(value, []byte(`"`))
			if is, valid := parseFile(string(name)); !found || !valid || is.kind != initSegment {
				return nil, fmt.Errorf("init segment %q: %w", value, errPlaylist)
			}
			p.uris = append(p.uris, start+len(line)-len(value))
			p.files = append(p.files, string(name))
		} else if bytes.Contains(line, []byte("URI=")) && line[0] == '#' {
			return nil, fmt.Errorf("tag %q: %w", line, errPlaylist)
		} else if len(line) > 0 && line[0] != '#' {
			is, valid := parseFile(string(line))
			if !valid || !seen || is.kind != segment || is.form != f || is.number != p.last+1 {
				return nil, fmt.Errorf("segment %q after %d: %w", line, p.last, errPlaylist)
			}
			p.last = is.number
			p.uris = append(p.uris, start)
			p.files = append(p.files, string(line))
		}
	}
	if !seen || p.target == 0 || p.last < p.first {
		return nil, fmt.Errorf("no segments: %w", errPlaylist)
	}
	return p, nil
}

// absolute returns the text with prefix before each URI.
func (p *playlist) absolute(prefix string) []byte {
	b := make([]byte, 0, len(p.text)+len(prefix)*len(p.uris))
	at := 0
	for _, uri := range p.uris {
		b = append(b, p.text[at:uri]...)
		b = append(b, prefix...)
		at = uri
	}
	return append(b, p.text[at:]...)
}

// checkMultivariant says whether text is a multivariant playlist as [multivariantText] writes it, once queries are
// taken off, and returns it without them.
func checkMultivariant(text []byte) ([]byte, error) {
	if len(text) > maxPlaylist || !bytes.HasPrefix(text, []byte("#EXTM3U\n")) {
		return nil, fmt.Errorf("no EXTM3U: %w", errPlaylist)
	}
	b := make([]byte, 0, len(text))
	variants := 0
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		switch {
		case len(line) == 0 || line[0] == '#':
			if bytes.Contains(line, []byte("URI=")) {
				return nil, fmt.Errorf("tag %q: %w", line, errPlaylist)
			}
		default:
			line, _, _ = bytes.Cut(line, []byte("?"))
			if is, ok := parseFile(string(line)); !ok || is.kind != mediaPlaylist {
				return nil, fmt.Errorf("variant %q: %w", line, errPlaylist)
			}
			variants++
		}
		b = append(append(b, line...), '\n')
	}
	if variants == 0 {
		return nil, fmt.Errorf("no variant: %w", errPlaylist)
	}
	return b, nil
}

// withQuery appends a query to each URI of a multivariant playlist without queries.
func withQuery(text []byte, query string) []byte {
	b := make([]byte, 0, len(text)+len(query)+16)
	for line := range bytes.Lines(text) {
		if line[0] == '#' || line[0] == '\n' {
			b = append(b, line...)
			continue
		}
		b = append(b, bytes.TrimSuffix(line, []byte("\n"))...)
		b = append(b, '?')
		b = append(b, query...)
		b = append(b, '\n')
	}
	return b
}
