package conf

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"weir/codecs/fake"
)

// maxMillis bounds every duration of the file: a day, so that none overflows and a slip of the unit is seen.
const maxMillis = 24 * 60 * 60 * 1000

// parseMillis reads a duration, which the file gives as a whole number of milliseconds.
func parseMillis(text string, least int64) (time.Duration, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		if d, derr := time.ParseDuration(text); derr == nil && d >= 0 {
			return 0, fmt.Errorf("found %s, expected milliseconds without a unit, here %d", quote(text), d.Milliseconds())
		}
		return 0, fmt.Errorf("found %s, expected a whole number of milliseconds", quote(text))
	}
	if n < least || n > maxMillis {
		return 0, fmt.Errorf("found %d, expected milliseconds from %d to %d", n, least, maxMillis)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// parseSeconds reads a duration, which the file gives as a whole number of seconds.
func parseSeconds(text string) (time.Duration, error) {
	const most = maxMillis / 1000
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		if d, derr := time.ParseDuration(text); derr == nil && d >= time.Second {
			return 0, fmt.Errorf("found %s, expected seconds without a unit, here %d", quote(text), int64(d.Seconds()))
		}
		return 0, fmt.Errorf("found %s, expected a whole number of seconds", quote(text))
	}
	if n < 1 || n > most {
		return 0, fmt.Errorf("found %d, expected seconds from 1 to %d", n, most)
	}
	return time.Duration(n) * time.Second, nil
}

// parseCount reads a whole number within bounds.
func parseCount(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("found %s, expected a whole number from %d to %d", quote(text), least, most)
	}
	return n, nil
}

var boolWords = []string{"true", "false", "on", "off", "yes", "no"}

func parseBool(text string) (bool, error) {
	switch text {
	case "true", "on", "yes":
		return true, nil
	case "false", "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("found %s, expected true or false%s", quote(text), didYouMean(text, boolWords))
}

func parseWord(text string, known []string) (string, error) {
	if slices.Contains(known, text) {
		return text, nil
	}
	return "", fmt.Errorf("found %s, expected %s%s", quote(text), oneOf(known), didYouMean(text, known))
}

// parseListen reads [HOST:]PORT; a port alone means all interfaces.
func parseListen(text string) (Listen, error) {
	host, port, given, err := splitHostPort(text)
	if err != nil {
		return Listen{}, fmt.Errorf("%w, expected PORT or HOST:PORT", err)
	}
	if !given {
		if _, err := strconv.Atoi(text); err != nil {
			return Listen{}, fmt.Errorf("found %s, expected PORT or HOST:PORT", quote(text))
		}
		host, port = "", text
	}
	n, err := parseCount(port, 0, 65535)
	if err != nil {
		return Listen{}, fmt.Errorf("%w as the port", err)
	}
	if host == "" || host == "*" {
		return Listen{Port: n}, nil
	}
	host, err = parseHost(host)
	return Listen{Host: host, Port: n}, err
}

// parsePeerName reads HOST[:PORT]; port 0 means that none was given.
func parsePeerName(text string) (host string, port int, err error) {
	if strings.Contains(text, "://") {
		return "", 0, fmt.Errorf("found %s, expected HOST or HOST:PORT; a URL belongs in the peer's `api_url`", quote(text))
	}
	host, portText, given, err := splitHostPort(text)
	if err != nil {
		return "", 0, fmt.Errorf("%w, expected HOST or HOST:PORT", err)
	}
	if given {
		if port, err = parseCount(portText, 1, 65535); err != nil {
			return "", 0, fmt.Errorf("%w as the port", err)
		}
	}
	host, err = parseHost(host)
	return host, port, err
}

// splitHostPort cuts HOST:PORT, [V6]:PORT, :PORT, HOST or [V6], also a bare IPv6 address.
func splitHostPort(text string) (host, port string, given bool, err error) {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		host, rest, ok = strings.Cut(rest, "]")
		if !ok {
			return "", "", false, fmt.Errorf("found %s without a closing bracket", quote(text))
		}
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return "", "", false, fmt.Errorf("found %s in brackets, which is no IPv6 address", quote(host))
		}
		if rest == "" {
			return host, "", false, nil
		}
		port, given = strings.CutPrefix(rest, ":")
		if !given {
			return "", "", false, fmt.Errorf("found %s behind the bracket", quote(rest))
		}
		return host, port, true, nil
	}
	switch strings.Count(text, ":") {
	case 0:
		return text, "", false, nil
	case 1:
		host, port, _ = strings.Cut(text, ":")
		return host, port, true, nil
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return text, "", false, nil
	}
	return "", "", false, fmt.Errorf("found %s with several colons; an IPv6 address with a port needs brackets", quote(text))
}

// parseHost checks a host name or address and gives its one form: addresses canonical, names in lower case without a
// final dot.
func parseHost(host string) (string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String(), nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" {
		return "", errors.New("found no host, expected a host name or an address")
	}
	if len(name) > 253 {
		return "", fmt.Errorf("found a host name of %d characters, expected at most 253", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return "", fmt.Errorf("found %s, expected a host name whose parts have 1 to 63 characters", quote(host))
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' {
				return "", fmt.Errorf("found %q in the host name %s, expected letters, digits, dots and hyphens", r, quote(host))
			}
		}
	}
	return name, nil
}

var urlPorts = []struct {
	scheme string
	port   int
}{{"http", 80}, {"https", 443}}

// parseBase reads [http[s]://]HOST[:PORT][/] and gives its one form: a scheme, which is http if none is written, and no
// port where it is the scheme's own.
func parseBase(text string) (string, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "http", text
	}
	scheme = strings.ToLower(scheme)
	own := 0
	for _, u := range urlPorts {
		if u.scheme == scheme {
			own = u.port
		}
	}
	if own == 0 {
		return "", fmt.Errorf("found the scheme %s, expected http or https%s", quote(scheme), didYouMean(scheme, []string{"http", "https"}))
	}
	rest = strings.TrimSuffix(rest, "/")
	if strings.ContainsAny(rest, "/?#@") {
		return "", errors.New("found more than a host and a port in the URL, expected [http://]HOST[:PORT] without user, path or query")
	}
	host, port, err := parsePeerName(rest)
	if err != nil {
		return "", err
	}
	return baseURL(scheme, host, port), nil
}

// baseURL composes a URL in the form of [parseBase]; port 0 is the scheme's own.
func baseURL(scheme, host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	for _, u := range urlPorts {
		if u.scheme == scheme && u.port == port {
			port = 0
		}
	}
	if port == 0 {
		return scheme + "://" + host
	}
	return scheme + "://" + host + ":" + strconv.Itoa(port)
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

// parseSource reads HOST[:PORT], or a URL of a server that is no node.
func parseSource(text string) (Source, error) {
	s := Source{Name: text}
	scheme, rest, ok := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if !ok || (scheme == "http" || scheme == "https") && !strings.Contains(strings.TrimSuffix(rest, "/"), "/") {
		base, err := parseBase(text)
		s.URL = base
		return s, err
	}
	text = strings.TrimSuffix(text, "/")
	s.Plain, s.Name = true, maskURL(text)
	if !slices.Contains([]string{"http", "https", "rtmp", "rtmps"}, scheme) {
		return s, fmt.Errorf("found the scheme %s, expected HOST[:PORT] of a node, or the URL before the names of streams, with one of the schemes "+
			"http, https, rtmp and rtmps", quote(scheme))
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsFunc(text, unicode.IsControl) {
		return s, fmt.Errorf("found %s, expected %s://HOST[:PORT]/PATH, to which /NAME is added", quote(s.Name), scheme)
	}
	s.URL = text
	return s, nil
}

// errLater is the reason of a value that this version understands and does not obey.
var errLater = errors.New("not built")

// parseInput reads the URL of an input. A scheme that is not built gives an error that wraps errLater.
func parseInput(text string) (Input, error) {
	in := Input{URL: text}
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

// maskURL hides the password of a URL's user.
func maskURL(text string) string {
	head, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		return text
	}
	user, _, has := strings.Cut(rest[:at], ":")
	if !has {
		return text
	}
	return head + "://" + user + ":" + masked + rest[at:]
}
