// Package sdp reads session descriptions (RFC 8866) as the servers of RTSP send them. Cameras leave lines out, misspell
// them and put them where they do not belong. One bad line costs nothing but itself, and one bad medium no other.
//
// It knows no codec: what a format means says the row of its codec in package carriage.
package sdp

import (
	"strconv"
	"strings"
)

// How much of a description is read. Servers of many languages, layers and metadata have a dozen media.
const (
	maxMedia   = 64
	maxFormats = 64
)

// A Session is what a description says. Nothing in it has been looked up or resolved.
type Session struct {
	Control string // of the whole session (RFC 2326, C.1.1); empty if there is none
	Media   []Medium
}

// A Medium is what follows one m= line.
type Medium struct {
	Kind    string // as it is written, in lower case: video, audio, application
	Control string // empty if there is none
	Back    bool   // the medium goes from the client to the server

	// FrameRate is the most pictures in a second (RFC 8866, 6.11); zero if nothing says.
	FrameRate float64

	Formats []Format
}

// A Format is one payload type of a medium.
type Format struct {
	Kind        string // of its medium
	PayloadType uint8

	// Encoding is the name of the payload format, in upper case: that of its rtpmap, or that of the static payload type
	// (RFC 3551, table 4 and 5), or, where neither is there, the one that the parameters give away. It is empty if nothing
	// says.
	Encoding string

	Clock      int // of timestamps, in Hz; zero if nothing says
	Channels   int // of audio; zero if nothing says
	Parameters map[string]string
}

// Parse reads a description. Lines that it does not understand are passed over; it fails for nothing.
func Parse(description []byte) Session {
	var s Session
	var shared section
	var sections []*section
	now := &shared
	for line := range lines(string(description)) {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch name {
		case "m":
			if len(sections) == maxMedia {
				return s.with(&shared, sections)
			}
			now = &section{head: strings.Fields(value)}
			sections = append(sections, now)
		case "a":
			now.attribute(value)
		}
	}
	return s.with(&shared, sections)
}

// lines yields the lines of a description whatever ends them.
func lines(text string) func(yield func(string) bool) {
	return strings.FieldsFuncSeq(strings.TrimPrefix(text, "\ufeff"), func(r rune) bool { return r == '\r' || r == '\n' || r == 0 })
}

// A section is the lines of one medium, or those before the first.
type section struct {
	head    []string // of the m= line
	control string
	back    bool
	rate    float64
	maps    []attribute // rtpmap
	params  []attribute // fmtp
}

// An attribute is a line that begins with a payload type.
type attribute struct {
	payloadType int // -1 if it does not begin with one
	value       string
}

func (s *section) attribute(value string) {
	name, value, _ := strings.Cut(value, ":")
	value = strings.TrimSpace(value)
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "control":
		if s.control == "" {
			s.control = value
		}
	case "sendonly": // the server's view is that of the client (RFC 2326, C.1.7)
		s.back = true
	case "recvonly", "sendrecv":
		s.back = false
	case "framerate", "x-framerate":
		if rate, err := strconv.ParseFloat(value, 64); err == nil && rate > 0 {
			s.rate = rate
		}
	case "rtpmap":
		if len(s.maps) < maxFormats {
			s.maps = append(s.maps, typed(value))
		}
	case "fmtp":
		if len(s.params) < maxFormats {
			s.params = append(s.params, typed(value))
		}
	}
}

// typed splits a payload type from the rest; there may be no space between the two.
func typed(value string) attribute {
	digits := 0
	for digits < len(value) && value[digits] >= '0' && value[digits] <= '9' {
		digits++
	}
	if n, err := strconv.ParseUint(value[:digits], 10, 7); err == nil {
		return attribute{int(n), strings.TrimLeft(value[digits:], " \t:")}
	}
	return attribute{-1, value}
}

func (s Session) with(shared *section, sections []*section) Session {
	s.Control = shared.control
	all := true // sendonly
	for _, c := range sections {
		m := Medium{Control: c.control, Back: c.back, FrameRate: c.rate}
		if len(c.head) > 0 {
			m.Kind = strings.ToLower(c.head[0])
		}
		for _, pt := range c.payloadTypes() {
			m.Formats = append(m.Formats, c.format(m.Kind, pt, shared))
		}
		all = all && m.Back
		s.Media = append(s.Media, m)
	}
	if all { // servers that mean the direction from their own side
		for i := range s.Media {
			s.Media[i].Back = false
		}
	}
	return s
}

// payloadTypes are those of the m= line or, where it has none that can be read, those that the attributes name.
func (s *section) payloadTypes() (list []uint8) {
	if len(s.head) > 3 {
		for _, f := range s.head[3:] {
			if n, err := strconv.ParseUint(f, 10, 7); err == nil && len(list) < maxFormats {
				list = append(list, uint8(n))
			}
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, a := range s.maps {
		if a.payloadType >= 0 {
			list = append(list, uint8(a.payloadType))
		}
	}
	return list
}

// format is what a section says of a payload type, and where it says nothing, the lines before all media.
func (s *section) format(kind string, payloadType uint8, shared *section) Format {
	f := Format{Kind: kind, PayloadType: payloadType, Parameters: map[string]string{}}
	only := len(s.payloadTypes()) == 1
	value, ok := find(s.params, payloadType, only)
	if !ok {
		value, _ = find(shared.params, payloadType, false)
	}
	f.parameters(value)
	if value, ok = find(s.maps, payloadType, only); !ok {
		value, _ = find(shared.maps, payloadType, false)
	}
	if !f.encoding(value) && !f.static() {
		f.guess()
	}
	if f.Clock == 0 && kind == "video" {
		f.Clock = 90000
	}
	return f
}

// find returns the attribute of a payload type. Where a medium has only one payload type, an attribute that names none is its.
func find(list []attribute, payloadType uint8, only bool) (value string, ok bool) {
	for _, a := range list {
		if a.payloadType == int(payloadType) {
			return a.value, true
		}
	}
	for _, a := range list {
		if only && a.payloadType < 0 {
			return a.value, true
		}
	}
	return "", false
}

// encoding reads the value of an rtpmap: name, clock and channels. Only what can be read of it counts.
func (f *Format) encoding(value string) bool {
	parts := strings.Split(value, "/")
	name := strings.ToUpper(strings.TrimSpace(parts[0]))
	if name == "" || strings.ContainsAny(name, " \t=;") {
		return false
	}
	f.Encoding = name
	number := func(i int) int {
		if i >= len(parts) {
			return 0
		}
		n, err := strconv.ParseUint(strings.TrimSpace(parts[i]), 10, 24)
		if err != nil {
			return 0
		}
		return int(n)
	}
	f.Clock, f.Channels = number(1), number(2)
	return true
}

// parameters reads the value of an fmtp. Names are in lower case here.
func (f *Format) parameters(value string) {
	for part := range strings.SplitSeq(value, ";") {
		name, value, _ := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := f.Parameters[name]; name != "" && !twice && len(f.Parameters) < maxFormats {
			f.Parameters[name] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
}

// statics are the payload types of RFC 3551 that need no rtpmap.
var statics = map[uint8]Format{
	0:  {Encoding: "PCMU", Clock: 8000, Channels: 1},
	3:  {Encoding: "GSM", Clock: 8000, Channels: 1},
	4:  {Encoding: "G723", Clock: 8000, Channels: 1},
	8:  {Encoding: "PCMA", Clock: 8000, Channels: 1},
	9:  {Encoding: "G722", Clock: 8000, Channels: 1},
	10: {Encoding: "L16", Clock: 44100, Channels: 2},
	11: {Encoding: "L16", Clock: 44100, Channels: 1},
	14: {Encoding: "MPA", Clock: 90000},
	18: {Encoding: "G729", Clock: 8000, Channels: 1},
	26: {Encoding: "JPEG", Clock: 90000},
	32: {Encoding: "MPV", Clock: 90000},
	33: {Encoding: "MP2T", Clock: 90000},
	34: {Encoding: "H263", Clock: 90000},
}

func (f *Format) static() bool {
	s, ok := statics[f.PayloadType]
	if ok {
		f.Encoding, f.Clock, f.Channels = s.Encoding, s.Clock, s.Channels
	}
	return ok
}

// guess names the encoding whose parameters these are, for a server whose rtpmap is missing or broken.
func (f *Format) guess() {
	has := func(names ...string) bool {
		for _, n := range names {
			if _, ok := f.Parameters[n]; ok {
				return true
			}
		}
		return false
	}
	switch {
	case has("sprop-vps", "sprop-sps", "sprop-pps"):
		f.Encoding = "H265"
	case has("sprop-parameter-sets", "packetization-mode"):
		f.Encoding = "H264"
	case has("sizelength", "indexlength"):
		f.Encoding = "MPEG4-GENERIC"
	}
}

// Integer is a parameter that is a decimal number; fallback if it is missing or none.
func (f *Format) Integer(name string, fallback int) int {
	n, err := strconv.ParseUint(f.Parameters[name], 10, 16)
	if err != nil {
		return fallback
	}
	return int(n)
}
