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
)

// An Input is one place from which a stream can come.
type Input struct {
	URL    string // as the file has it
	Scheme string // in lower case

	// Address is the URL to pull from, in the scheme of what carries it: http, https, rtmp, rtmps, rtsp or rtsps. It is
	// empty for inputs that are not pulled. Form says what comes over HTTP.
	Address string
	Form    Form

	// Priority orders the inputs of a stream, 1 first; it is the place in the list for one that is given none. Between
	// equals there is no return to the one that failed first.
	Priority int

	// SourceTimeout is how long no picture may come, or no sound where there are no pictures, before the input counts
	// as lost.
	SourceTimeout time.Duration

	// Location names a [Vod], and File is the path below its root, slash-separated, without `.` or `..`. Both are empty
	// for other schemes than file.
	Location, File string

	Pos Pos
}

// Form is what a pulled input brings.
type Form string

// The forms over HTTP. That of other schemes is the scheme's own.
const (
	TS  Form = "ts"
	HLS Form = "hls"
	FLV Form = "flv"
)

// Shown is the input's URL without a password.
func (in Input) Shown() string { return maskURL(in.URL) }

// usualTimeout is the source_timeout of an input that gives none, in a stream that gives stream.
func (in *Input) usualTimeout(stream time.Duration) time.Duration {
	switch {
	case stream != 0:
		return stream
	case in.Form == HLS:
		return hlsSourceTimeout
	default:
		return DefaultSourceTimeout
	}
}

// inputValue keeps a wrong input, so that its stream is not also said to have none.
var inputValue = func() value {
	v := entries("URL", func(s *Stream) *[]Input { return &s.Inputs }, parseInput, func(in *Input) *block { return about(in.URL, "", in) })
	open := v.open
	v.open = func(r *reader, b *block, c *call) *block {
		in := open(r, b, c)
		in.refused = false
		return in
	}
	return v
}()

// usualTimeout says of an input that it waits as long as its stream lets it.
func usualTimeout(b *block) bool {
	in, ok := optional[*Input](b)
	return ok && in.SourceTimeout == in.usualTimeout(part[*Stream](b.outer).SourceTimeout)
}

// The schemes of inputs: those that this version reads, and those of which it knows only the name.
var (
	inputSchemes = []string{
		"fake", "file", "hls", "hlss", "http", "https", "publish", "rtmp", "rtmps", "rtsp", "rtsps", "tshttp", "tshttps",
	}
	laterSchemes = []string{"m4f", "m4s", "playlist", "srt", "timeshift", "udp"}
)

// carriers are the schemes of what carries a pulled input, and what comes over it; an empty form is told by the path.
var carriers = map[string]struct {
	scheme string
	form   Form
}{
	"tshttp": {"http", TS}, "tshttps": {"https", TS}, "hls": {"http", HLS}, "hlss": {"https", HLS},
	"http": {"http", ""}, "https": {"https", ""},
	"rtmp": {"rtmp", ""}, "rtmps": {"rtmps", ""}, "rtsp": {"rtsp", ""}, "rtsps": {"rtsps", ""},
}

// pulled fills in the address of an input that is pulled; false for one that is not.
func pulled(in *Input, rest string) (bool, error) {
	c, ok := carriers[in.Scheme]
	if !ok {
		return false, nil
	}
	u, err := url.Parse(c.scheme + "://" + rest)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || strings.ContainsFunc(rest, unicode.IsControl) {
		return true, fmt.Errorf("found %s, expected %s://[USER:PASSWORD@]HOST[:PORT]/PATH", quote(maskURL(in.URL)), in.Scheme)
	}
	if port := u.Port(); port != "" {
		if _, err := parseCount(port, 1, 65535); err != nil {
			return true, fmt.Errorf("%w as the port", err)
		}
	}
	if strings.HasPrefix(in.Scheme, "rtmp") && strings.Trim(u.Path, "/") == "" {
		return true, fmt.Errorf("found %s, expected %s://HOST[:PORT]/APP/NAME", quote(maskURL(in.URL)), in.Scheme)
	}
	in.Address, in.Form = c.scheme+"://"+rest, c.form
	if strings.HasPrefix(in.Scheme, "http") {
		in.Form = formOf(u.Path)
	}
	return true, nil
}

// formOf tells by a path what comes over plain HTTP.
func formOf(path string) Form {
	switch {
	case strings.HasSuffix(path, ".flv"):
		return FLV
	case strings.HasSuffix(path, ".m3u8"):
		return HLS
	}
	return TS
}

// errLater is the reason of a value that this version understands and does not obey.
var errLater = errors.New("not built")

// parseInput reads the URL of an input. A scheme that is not built gives an error that wraps errLater.
func parseInput(text string, at Pos) (Input, error) {
	in := Input{URL: text, Pos: at}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return in, fmt.Errorf("found %s, expected a URL that begins with one of the schemes %s", quote(maskURL(text)), oneOf(inputSchemes))
	}
	in.Scheme = strings.ToLower(scheme)
	switch {
	case slices.Contains(laterSchemes, in.Scheme):
		return in, fmt.Errorf("%w: input of scheme %s", errLater, in.Scheme)
	case !slices.Contains(inputSchemes, in.Scheme):
		known := slices.Concat(inputSchemes, laterSchemes)
		return in, fmt.Errorf("found the scheme %s, expected %s%s", quote(in.Scheme), oneOf(inputSchemes), didYouMean(in.Scheme, known))
	}
	if is, err := pulled(&in, rest); is {
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
