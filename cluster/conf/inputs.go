package conf

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"weir/codecs/fake"

	"weir/protocols"
)

// An Input is one place from which a stream can come.
type Input struct {
	URL    string // as the file gives it
	Scheme string // of URL, in lower case

	// Address is the URL to pull from. Its scheme is that of the transport: http, https, rtmp, rtmps, rtsp or rtsps. Address
	// is empty for inputs that are not pulled. Form is the format of media that is pulled over HTTP, and else empty.
	Address string
	Form    Form

	// Priority orders the inputs of a stream; 1 is tried first. The default is the place in the list, counted from 1. A
	// stream does not return to an input that has failed while an input of equal priority works.
	Priority int

	// SourceTimeout is how long no picture may come, or no sound if the stream has no pictures, before the input counts as
	// lost.
	SourceTimeout time.Duration

	// Program is the number of the program of a transport stream that is played; 0 stands for the first that can be.
	Program int

	// UserAgent is what the server of an input over HTTP or RTSP is told; empty stands for weir's own. Headers are what the requests
	// of an input over HTTP carry besides, each as "Name: value".
	UserAgent string
	Headers   []string

	// TrustedCA is a file of authorities that prove the server of an input over TLS; empty for no more than the node trusts.
	TrustedCA string

	// Location is the name of a [Vod]. File is the path below the root of the Vod, with slashes, without `.` or `..`. Both
	// are empty for all schemes but file.
	Location, File string

	Pos Pos
}

// Form is the format of media that is pulled over HTTP.
type Form string

// The forms.
const (
	TS  Form = "ts"
	HLS Form = "hls"
	FLV Form = "flv"
)

// Shown is the input's URL with its password hidden.
func (in Input) Shown() string { return protocols.MaskURLs(in.URL) }

// defaultTimeout is the source_timeout of an input whose block gives none. StreamTimeout is what the stream's block gives, or 0.
func (in *Input) defaultTimeout(streamTimeout time.Duration) time.Duration {
	switch {
	case streamTimeout != 0:
		return streamTimeout
	case in.Form == HLS:
		return hlsSourceTimeout
	default:
		return DefaultSourceTimeout
	}
}

// inputValue keeps an input with an error in the model, so that its stream is not also reported as one without inputs.
var inputValue = func() value {
	v := entries("URL", func(s *Stream) *[]Input { return &s.Inputs }, parseInput, func(in *Input) *block { return newBlock(in.URL, "", in) })
	open := v.open
	v.open = func(r *reader, b *block, c *call) *block {
		in := open(r, b, c)
		in.refused = false
		return in
	}
	return v
}()

// maxHeaders is the most headers that the requests of one input carry.
const maxHeaders = 32

// headerValue is a header in a line.
var headerValue = func() value {
	field := func(in *Input) *[]string { return &in.Headers }
	v := listOf("NAME: VALUE", 1, field, false, maxHeaders, parseHeader, asIs)
	v.max = 1
	v.lines = func(b *block) (lines [][]string) {
		for _, h := range *field(part[*Input](b)) {
			lines = append(lines, []string{h})
		}
		return lines
	}
	return v
}()

// parseHeader reads a header (RFC 9110, 5.1 and 5.5), and writes it with one space behind the colon.
func parseHeader(s string) (string, error) {
	name, text, found := strings.Cut(s, ":")
	name, text = strings.TrimSpace(name), strings.TrimSpace(text)
	token := func(r rune) bool {
		return r > ' ' && r < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	}
	if !found || name == "" || strings.ContainsFunc(name, func(r rune) bool { return !token(r) }) {
		return "", fmt.Errorf("found %s, expected a header such as \"Referer: https://example.com/\"", quote(s))
	}
	return name + ": " + text, plainLine(text)
}

// plainLine refuses what a header cannot carry.
func plainLine(s string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("found %s, expected a text without line ends and other control characters", quote(s))
	}
	return nil
}

// hideHeader hides what a header says, which may be a token.
func hideHeader(s string) string {
	name, _, _ := strings.Cut(s, ":")
	return name + ": " + protocols.Mask
}

// hasDefaultTimeout reports whether b is the block of an input with the default source_timeout.
func hasDefaultTimeout(b *block) bool {
	in, ok := optional[*Input](b)
	return ok && in.SourceTimeout == in.defaultTimeout(part[*Stream](b.outer).SourceTimeout)
}

// The schemes of inputs: those that are supported, and those that are understood and reported as [Unsupported].
var (
	inputSchemes = []string{
		"fake", "file", "hls", "hlss", "http", "https", "publish", "rtmp", "rtmps", "rtsp", "rtsps", "tshttp", "tshttps",
	}
	unsupportedSchemes = []string{"m4f", "m4s", "playlist", "srt", "timeshift", "udp"}
)

// transports are, by the scheme of a pulled input, the scheme of its transport and its form. The form of http and https
// inputs is found by the path, see [formOf].
var transports = map[string]struct {
	scheme string
	form   Form
}{
	"tshttp": {"http", TS}, "tshttps": {"https", TS}, "hls": {"http", HLS}, "hlss": {"https", HLS},
	"http": {"http", ""}, "https": {"https", ""},
	"rtmp": {"rtmp", ""}, "rtmps": {"rtmps", ""}, "rtsp": {"rtsp", ""}, "rtsps": {"rtsps", ""},
}

// setAddress fills in Address and Form if the scheme of the input is one that is pulled, and reports whether it is. Rest is the
// URL without its scheme.
func setAddress(in *Input, rest string) (bool, error) {
	c, ok := transports[in.Scheme]
	if !ok {
		return false, nil
	}
	u, err := url.Parse(c.scheme + "://" + rest)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || strings.ContainsFunc(rest, unicode.IsControl) {
		return true, fmt.Errorf("found %s, expected %s://[USER:PASSWORD@]HOST[:PORT]/PATH", quote(protocols.MaskURLs(in.URL)), in.Scheme)
	}
	if port := u.Port(); port != "" {
		if _, err := parseCount(port, 1, 65535); err != nil {
			return true, fmt.Errorf("%w as the port", err)
		}
	}
	if strings.HasPrefix(in.Scheme, "rtmp") && strings.Trim(u.Path, "/") == "" {
		return true, fmt.Errorf("found %s, expected %s://HOST[:PORT]/APP/NAME", quote(protocols.MaskURLs(in.URL)), in.Scheme)
	}
	in.Address, in.Form = c.scheme+"://"+rest, c.form
	if strings.HasPrefix(in.Scheme, "http") {
		in.Form = formOf(u.Path)
	}
	return true, nil
}

// formOf is the form of media at a path of an http or https URL.
func formOf(path string) Form {
	switch {
	case strings.HasSuffix(path, ".flv"):
		return FLV
	case strings.HasSuffix(path, ".m3u8"):
		return HLS
	}
	return TS
}

// errUnsupported is wrapped by the error of a word that is understood and not supported yet.
var errUnsupported = errors.New("not built")

// parseInput reads the URL of an input.
func parseInput(text string, at Pos) (Input, error) {
	in := Input{URL: text, Pos: at}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return in, fmt.Errorf("found %s, expected a URL that begins with one of the schemes %s", quote(protocols.MaskURLs(text)), oneOf(inputSchemes))
	}
	in.Scheme = strings.ToLower(scheme)
	switch {
	case slices.Contains(unsupportedSchemes, in.Scheme):
		return in, fmt.Errorf("%w: input of scheme %s", errUnsupported, in.Scheme)
	case !slices.Contains(inputSchemes, in.Scheme):
		known := slices.Concat(inputSchemes, unsupportedSchemes)
		return in, fmt.Errorf("found the scheme %s, expected %s%s", quote(in.Scheme), oneOf(inputSchemes), didYouMean(in.Scheme, known))
	}
	if pulled, err := setAddress(&in, rest); pulled {
		return in, err
	}
	switch in.Scheme {
	case "publish":
		if rest != "" {
			return in, fmt.Errorf("found %s behind publish://, expected nothing", quote(rest))
		}
	case "fake":
		_, query, _ := strings.Cut(rest, "?")
		c, err := fake.Parse(query)
		if err == nil {
			_, err = fake.New(c)
		}
		if err != nil {
			return in, fmt.Errorf("found %s: %w", quote(text), err)
		}
	case "file":
		in.Location, in.File, ok = strings.Cut(rest, "/")
		if in.Location == "" || !ok || in.File == "" {
			return in, fmt.Errorf("found %s, expected file://LOCATION/PATH, LOCATION being declared by `vod LOCATION { root DIR; }`", quote(text))
		}
		for part := range strings.SplitSeq(in.File, "/") {
			if part == "" || part == "." || part == ".." || strings.ContainsRune(part, '\\') {
				return in, fmt.Errorf("found %s as a part of the path in %s, expected names of directories and a file", quote(part), quote(text))
			}
		}
	}
	return in, nil
}
