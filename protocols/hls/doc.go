// Package hls serves streams as HTTP Live Streaming (RFC 8216): playlists over the segments that package cmaf holds,
// and, on a node that does not have the stream, the playlists and segments of the node that has it.
//
// It knows no cluster and no actor. Where a stream is, the node says through [Router]; who watches, this package says
// through [listen.Sessions].
//
// Below the URL of a stream there are
//
//	index.m3u8        the multivariant playlist: one variant, MPEG-TS if players take all tracks of the stream
//	                  in it, else CMAF
//	index.fmp4.m3u8   the multivariant playlist of the CMAF variant
//	ts.m3u8           the media playlist with MPEG-TS segments
//	cmaf.m3u8         the media playlist with CMAF segments
//	s123.ts s123.m4s  the segment with media sequence number 123
//	i89….mp4          the init segment of a generation of tracks, named by a hash of their configuration
//
// The same names mean the same media on every node, and all URIs in playlists are relative, unless segments are to be
// fetched from the node that has them. The bytes of a media playlist are shared by all viewers; the multivariant
// playlist is made for each, because it gives the viewer a session identifier in the query of the variant's URI.
package hls

import (
	"strconv"
	"strings"

	"weir/protocols/cmaf"
)

// A kind is what a URL below a stream names.
type kind uint8

const (
	multivariant kind = iota
	mediaPlaylist
	segment
	initSegment
)

// A file is a parsed last component of a URL.
type file struct {
	name       string
	kind       kind
	form       cmaf.Form
	any        bool   // a multivariant playlist that leaves the form to the stream
	number     int64  // of a segment
	generation string // of an init segment
}

// parseFile understands the last component of a URL. Each file has one name: no leading zeros, no capitals.
func parseFile(name string) (file, bool) {
	f := file{name: name}
	switch name {
	case "index.m3u8":
		f.kind, f.any = multivariant, true
		return f, true
	case "index.fmp4.m3u8":
		f.kind, f.form = multivariant, cmaf.CMAF
		return f, true
	case "ts.m3u8":
		f.kind, f.form = mediaPlaylist, cmaf.TS
		return f, true
	case "cmaf.m3u8":
		f.kind, f.form = mediaPlaylist, cmaf.CMAF
		return f, true
	}
	if len(name) < 4 || len(name) > 32 {
		return file{}, false
	}
	stem, ok := "", false
	switch rest := name[1:]; name[0] {
	case 's':
		f.kind = segment
		if stem, ok = strings.CutSuffix(rest, ".ts"); !ok {
			f.form = cmaf.CMAF
			stem, ok = strings.CutSuffix(rest, ".m4s")
		}
		if ok {
			f.number, ok = parseNumber(stem)
		}
	case 'i':
		f.kind, f.form = initSegment, cmaf.CMAF
		f.generation, ok = strings.CutSuffix(rest, ".mp4")
		ok = ok && hexadecimal(f.generation, 16)
	}
	if !ok {
		return file{}, false
	}
	return f, true
}

// parseNumber reads a media sequence number as this package writes it.
func parseNumber(s string) (int64, bool) {
	if s == "" || len(s) > 18 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// hexadecimal says whether s is n lower-case hexadecimal digits.
func hexadecimal(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Serves says whether the last component of a URL is one of this package's.
func Serves(name string) bool {
	_, ok := parseFile(name)
	return ok
}
