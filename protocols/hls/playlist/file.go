// Package playlist makes, parses and renumbers the HLS playlists (RFC 8216) of this program, and knows the names of the
// files below the URL of a stream.
//
// It knows no request, no viewer, no other node and no clock: every function is pure.
package playlist

import (
	"strconv"
	"strings"

	"weir/protocols/cmaf"
)

// A Kind is the kind of a file.
type Kind uint8

// The kinds of files below the URL of a stream.
const (
	MultivariantFile Kind = iota
	MediaFile             // a media playlist
	SegmentFile
	InitFile
)

// A File is what the last component of a URL names.
type File struct {
	Name       string
	Kind       Kind
	Form       cmaf.Form
	AnyForm    bool   // of a multivariant playlist: the tracks of the stream decide about the form
	Number     int64  // of a segment
	Generation string // of an init segment
}

// The names of media playlists, as the multivariant playlists have them.
const (
	tsName   = "ts.m3u8"
	cmafName = "cmaf.m3u8"
)

var playlists = map[string]File{
	"index.m3u8":      {Name: "index.m3u8", AnyForm: true},
	"index.fmp4.m3u8": {Name: "index.fmp4.m3u8", Form: cmaf.CMAF},
	tsName:            {Name: tsName, Kind: MediaFile},
	cmafName:          {Name: cmafName, Kind: MediaFile, Form: cmaf.CMAF},
}

// ParseFile parses the last component of a URL. Each file has one name: no leading zeros, no capitals.
func ParseFile(name string) (File, bool) {
	if f, ok := playlists[name]; ok {
		return f, true
	}
	if len(name) < 4 || len(name) > 32 {
		return File{}, false
	}
	f, ok := File{Name: name}, false
	stem, extension, _ := strings.Cut(name[1:], ".")
	switch {
	case name[0] == 's' && extension == "ts":
		f.Kind = SegmentFile
		f.Number, ok = parseNumber(stem)
	case name[0] == 's' && extension == "m4s":
		f.Kind, f.Form = SegmentFile, cmaf.CMAF
		f.Number, ok = parseNumber(stem)
	case name[0] == 'i' && extension == "mp4":
		f.Kind, f.Form, f.Generation = InitFile, cmaf.CMAF, stem
		ok = Hexadecimal(stem, 16)
	}
	if !ok {
		return File{}, false
	}
	return f, true
}

// SegmentName is the name of the segment with a number.
func SegmentName(number int64, form cmaf.Form) string {
	extension := ".ts"
	if form == cmaf.CMAF {
		extension = ".m4s"
	}
	return "s" + strconv.FormatInt(number, 10) + extension
}

func initName(generation string) string { return "i" + generation + ".mp4" }

// parseNumber parses a media sequence number as this package writes it.
func parseNumber(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil && len(s) <= 18 && (s[0] != '0' || len(s) == 1)
}

// Hexadecimal says whether s is n lower-case hexadecimal digits.
func Hexadecimal(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
