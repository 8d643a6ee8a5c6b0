// Package m3u8 reads the playlists of other servers (RFC 8216), and follows a live one from reload to reload.
//
// It is strict about what a reader needs, and passes over the rest: tags that it does not know, attributes that are quoted or not,
// blank lines, and the line ends of any system. It knows no request and no clock: every function is pure.
package m3u8

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxBytes bounds a playlist in bytes. One with a day's segments of six seconds has some 2 MB.
const MaxBytes = 8 << 20

// ErrNone says that a text is no playlist.
var ErrNone = errors.New("no playlist")

// A Playlist is a multivariant playlist, which has variants, or a media playlist.
type Playlist struct {
	// Of a multivariant playlist: the variants in the order of the text, and the renditions of all groups.
	Variants   []Variant
	Renditions []Rendition

	// Of a media playlist.
	Target   time.Duration // the target duration
	Segments []Segment     // with consecutive numbers; there may be none yet
	Ended    bool          // nothing will be added
	Complete bool          // it is that of a recording, whose first segment stays
}

// A Variant is one form of a presentation (4.3.4.2).
type Variant struct {
	URI       string
	Bandwidth int64    // bits per second at most
	Codecs    []string // as RFC 6381 names them; none if the playlist does not say
	Audio     string   // the group of renditions with its sound; empty if the variant has its own
}

// A Rendition is an alternative of a variant's sound, pictures or text (4.3.4.1).
type Rendition struct {
	Kind     string // AUDIO, VIDEO, SUBTITLES or CLOSED-CAPTIONS
	Group    string
	Name     string
	Language string
	URI      string // empty: the variant has it
	Default  bool
}

// A Segment is one of a media playlist.
type Segment struct {
	Number        int64 // the media sequence number
	URI           string
	Bytes         Range
	Duration      time.Duration
	Discontinuity bool // its media does not follow from that of the segment before
	Gap           bool // the server does not have it (EXT-X-GAP)
	Map           *Map // its init segment; nil without one
	Key           *Key // nil if it is not encrypted
}

// A Range is a part of a resource. The zero Range is all of it.
type Range struct{ Offset, Length int64 }

// A Map is an init segment (4.3.2.5).
type Map struct {
	URI   string
	Bytes Range
	Key   *Key
}

// A Key says how segments are encrypted (4.3.2.4).
type Key struct {
	Method string // AES-128, or one that cannot be read
	URI    string
	Format string // KEYFORMAT; empty stands for identity
	IV     []byte // 16 bytes, or nil: the number of the segment
}

// Parse reads a playlist. The error, which wraps [ErrNone] where the text is something else, says in which line.
func Parse(text []byte) (*Playlist, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	head, _, _ := bytes.Cut(bytes.TrimLeft(text, " \t\r\n"), []byte("\n"))
	if !bytes.HasPrefix(head, []byte("#EXTM3U")) {
		return nil, fmt.Errorf("%w: it begins with %q", ErrNone, head[:min(len(head), 40)])
	}
	r := reader{out: &Playlist{}}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if err := r.line(string(bytes.TrimSpace(line))); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch p := r.out; {
	case r.media && len(p.Variants) > 0:
		return nil, errors.New("it lists variants and segments")
	case !r.media && len(p.Variants) == 0:
		return nil, fmt.Errorf("%w: it lists neither variants nor segments", ErrNone)
	case r.media:
		p.finish()
	}
	return r.out, nil
}

// finish numbers the segments and finds a target duration where the playlist gives none.
func (p *Playlist) finish() {
	longest := time.Duration(0)
	for i := range p.Segments {
		p.Segments[i].Number += int64(i)
		longest = max(longest, p.Segments[i].Duration)
	}
	if p.Target <= 0 || longest > 0 && p.Target > 3*longest { // some servers give the length of everything
		p.Target = max(longest, time.Second)
	}
	p.Complete = p.Complete || p.Ended
}

// A reader keeps what applies to the lines that follow.
type reader struct {
	out   *Playlist
	media bool // a tag of a media playlist has come

	names    map[string]string // variables (EXT-X-DEFINE)
	variant  *Variant          // whose URI follows
	first    int64             // the media sequence number
	next     Segment           // as far as its tags have come
	timed    bool              // its EXTINF has come
	init     *Map
	keys     []*Key           // one of each format
	key      *Key             // of those the one that counts
	rangeEnd map[string]int64 // of each resource, where the next range begins that gives no offset
}

// maxSegments bounds the segments of a playlist.
const maxSegments = 200_000

func (r *reader) line(s string) error {
	switch {
	case s == "":
		return nil
	case !strings.HasPrefix(s, "#"):
		return r.uri(r.expand(s))
	case !strings.HasPrefix(s, "#EXT"):
		return nil // a comment
	}
	tag, value, _ := strings.Cut(s[1:], ":")
	read := tags[tag]
	if read == nil {
		return nil
	}
	if err := read(r, strings.TrimSpace(r.expand(value))); err != nil {
		return fmt.Errorf("%s: %w", tag, err)
	}
	return nil
}

// tags has a row for each tag that is read.
var tags = map[string]func(*reader, string) error{
	"EXT-X-DEFINE":            (*reader).define,
	"EXT-X-STREAM-INF":        (*reader).streamInf,
	"EXT-X-MEDIA":             (*reader).rendition,
	"EXT-X-TARGETDURATION":    (*reader).target,
	"EXT-X-MEDIA-SEQUENCE":    (*reader).sequence,
	"EXT-X-ENDLIST":           func(r *reader, _ string) error { r.media, r.out.Ended = true, true; return nil },
	"EXT-X-PLAYLIST-TYPE":     func(r *reader, v string) error { r.media, r.out.Complete = true, v == "VOD"; return nil },
	"EXT-X-DISCONTINUITY":     func(r *reader, _ string) error { r.next.Discontinuity = true; return nil },
	"EXT-X-GAP":               func(r *reader, _ string) error { r.next.Gap = true; return nil },
	"EXTINF":                  (*reader).duration,
	"EXT-X-BYTERANGE":         (*reader).byteRange,
	"EXT-X-MAP":               (*reader).initSegment,
	"EXT-X-KEY":               (*reader).encryption,
	"EXT-X-PROGRAM-DATE-TIME": func(*reader, string) error { return nil }, // times are those of the media
}

// uri takes a line that is none of tags.
func (r *reader) uri(s string) error {
	if v := r.variant; v != nil {
		v.URI, r.variant = s, nil
		r.out.Variants = append(r.out.Variants, *v)
		return nil
	}
	if !r.timed {
		return nil // what no tag describes is no segment (4.3.2.1)
	}
	if len(r.out.Segments) >= maxSegments {
		return fmt.Errorf("more than %d segments", maxSegments)
	}
	next := r.next
	next.URI, next.Number, next.Map, next.Key = s, r.first, r.init, r.key
	next.Bytes = r.place(s, next.Bytes)
	r.out.Segments = append(r.out.Segments, next)
	r.next, r.timed = Segment{}, false
	return nil
}

// continues marks a [Range] whose offset is where the one before it in the same resource ended.
const continues = -1

// place completes a range.
func (r *reader) place(uri string, b Range) Range {
	if b.Length == 0 {
		return b
	}
	if b.Offset == continues {
		b.Offset = r.rangeEnd[uri]
	}
	if r.rangeEnd == nil {
		r.rangeEnd = map[string]int64{}
	}
	r.rangeEnd[uri] = b.Offset + b.Length
	return b
}

func (r *reader) target(v string) (err error) {
	r.media = true
	r.out.Target, err = seconds(v)
	return err
}

func (r *reader) sequence(v string) error {
	r.media = true
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64-maxSegments {
		return fmt.Errorf("found %q, expected a number from 0", v)
	}
	if len(r.out.Segments) > 0 {
		return errors.New("it stands behind the first segment")
	}
	r.first = n
	return nil
}

func (r *reader) duration(v string) (err error) {
	r.media, r.timed = true, true
	v, _, _ = strings.Cut(v, ",")
	r.next.Duration, err = seconds(v)
	return err
}

// seconds reads a decimal number of seconds.
func seconds(v string) (time.Duration, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil || !(f >= 0 && f <= 24*3600) {
		return 0, fmt.Errorf("found %q, expected seconds up to a day", v)
	}
	return time.Duration(f * float64(time.Second)), nil
}

func (r *reader) byteRange(v string) (err error) {
	r.next.Bytes, err = parseRange(v)
	return err
}

// parseRange reads a length and, behind an @, an offset.
func parseRange(v string) (Range, error) {
	length, offset, given := strings.Cut(v, "@")
	n, err := strconv.ParseInt(length, 10, 64)
	b := Range{continues, n}
	if err == nil && given {
		b.Offset, err = strconv.ParseInt(offset, 10, 64)
	}
	if err != nil || n <= 0 || given && b.Offset < 0 || b.Offset > math.MaxInt64-n {
		return Range{}, fmt.Errorf("found %q, expected LENGTH@OFFSET", v)
	}
	return b, nil
}

func (r *reader) initSegment(v string) error {
	a := parseAttributes(v)
	if a["URI"] == "" {
		return errors.New("it has no URI")
	}
	m := &Map{URI: a["URI"], Key: r.key}
	if b := a["BYTERANGE"]; b != "" {
		got, err := parseRange(b)
		if err != nil {
			return err
		}
		m.Bytes = got
		if m.Bytes.Offset == continues {
			m.Bytes.Offset = 0
		}
	}
	if r.init == nil || !r.init.Same(m) {
		r.init = m
	}
	return nil
}

// Same says whether another init segment is the same part of the same resource under the same key.
func (m *Map) Same(o *Map) bool { return m.URI == o.URI && m.Bytes == o.Bytes && m.Key.same(o.Key) }

func (k *Key) same(o *Key) bool {
	if k == nil || o == nil {
		return k == o
	}
	return k.Method == o.Method && k.URI == o.URI && k.Format == o.Format && bytes.Equal(k.IV, o.IV)
}

func (r *reader) encryption(v string) error {
	a := parseAttributes(v)
	k := &Key{Method: a["METHOD"], URI: a["URI"], Format: a["KEYFORMAT"]}
	switch {
	case k.Method == "NONE":
		r.key, r.keys = nil, nil
		return nil
	case k.Method == "":
		return errors.New("it has no METHOD")
	case k.Format == "identity":
		k.Format = ""
	}
	if iv := a["IV"]; iv != "" {
		digits := strings.TrimPrefix(strings.TrimPrefix(iv, "0x"), "0X")
		b, err := hex.DecodeString(strings.Repeat("0", max(0, 32-len(digits))) + digits)
		if err != nil || len(b) != 16 {
			return fmt.Errorf("found the IV %q, expected 16 bytes in hexadecimal digits", iv)
		}
		k.IV = b
	}
	// Keys of several formats apply at once (4.3.2.4). The one that is not of a DRM counts.
	if at := slices.IndexFunc(r.keys, func(o *Key) bool { return o.Format == k.Format }); at < 0 {
		r.keys = append(slices.Clip(r.keys), k)
	} else {
		r.keys = slices.Clone(r.keys)
		r.keys[at] = k
	}
	r.key = r.keys[max(0, slices.IndexFunc(r.keys, func(o *Key) bool { return o.Format == "" }))]
	return nil
}

func (r *reader) streamInf(v string) error {
	a := parseAttributes(v)
	n, err := strconv.ParseInt(a["BANDWIDTH"], 10, 64)
	if err != nil || n < 0 {
		n = 0 // it is the choice between variants that suffers
	}
	out := &Variant{Bandwidth: n, Audio: a["AUDIO"]}
	for c := range strings.SplitSeq(a["CODECS"], ",") {
		if c = strings.TrimSpace(c); c != "" {
			out.Codecs = append(out.Codecs, c)
		}
	}
	r.variant = out
	return nil
}

func (r *reader) rendition(v string) error {
	a := parseAttributes(v)
	r.out.Renditions = append(r.out.Renditions, Rendition{
		Kind: a["TYPE"], Group: a["GROUP-ID"], Name: a["NAME"], Language: a["LANGUAGE"], URI: a["URI"], Default: a["DEFAULT"] == "YES",
	})
	return nil
}

// define takes a variable (EXT-X-DEFINE of RFC 8216bis, 4.4.2.3) that the playlist itself gives a value.
func (r *reader) define(v string) error {
	a := parseAttributes(v)
	if name := a["NAME"]; name != "" {
		if r.names == nil {
			r.names = map[string]string{}
		}
		r.names[name] = a["VALUE"]
	}
	return nil
}

// expand puts the values of variables in their places.
func (r *reader) expand(s string) string {
	if len(r.names) == 0 || !strings.Contains(s, "{$") {
		return s
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "{$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return out.String() + "{$" + rest
		}
		out.WriteString(r.names[name])
		s = after
	}
}

// parseAttributes reads an attribute list (4.2): NAME=VALUE with commas between, where a value may stand in quotes.
func parseAttributes(s string) map[string]string {
	out := map[string]string{}
	for s != "" {
		name, rest, found := strings.Cut(s, "=")
		if !found {
			break
		}
		var value string
		rest = strings.TrimLeft(rest, " \t")
		if strings.HasPrefix(rest, `"`) {
			value, rest, _ = strings.Cut(rest[1:], `"`)
			_, rest, _ = strings.Cut(rest, ",")
		} else {
			value, rest, _ = strings.Cut(rest, ",")
			value = strings.TrimSpace(value)
		}
		out[strings.TrimSpace(name)] = value
		s = rest
	}
	return out
}

// Sound returns the rendition with the sound of a variant: the default one of its group, or else the first that has a playlist. It is
// false if the variant has its sound itself.
func (p *Playlist) Sound(v *Variant) (Rendition, bool) {
	var of []Rendition
	for _, r := range p.Renditions {
		if r.Kind == "AUDIO" && r.Group == v.Audio && v.Audio != "" {
			of = append(of, r)
		}
	}
	if len(of) == 0 {
		return Rendition{}, false
	}
	r := of[max(0, slices.IndexFunc(of, func(r Rendition) bool { return r.Default }))]
	return r, r.URI != ""
}
