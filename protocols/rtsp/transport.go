package rtsp

import (
	"net/url"
	"strconv"
	"strings"
)

// A transport is what a server has agreed on for a medium (RFC 2326, 12.39). Ports and channels are zero where it does not say.
type transport struct {
	tcp         bool
	source      string
	channels    [2]int
	interleaved bool // channels says something
	ports       [2]int
}

// agreed reads the Transport line of an answer. Of several transports the first counts.
func agreed(line string) (t transport) {
	line, _, _ = strings.Cut(line, ",")
	for i, part := range strings.Split(line, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "interleaved":
			t.channels, t.interleaved = pair(value)
		case "server_port":
			t.ports, _ = pair(value)
		case "source":
			t.source = strings.TrimSpace(value)
		default:
			t.tcp = t.tcp || i == 0 && strings.HasSuffix(strings.ToUpper(name), "/TCP")
		}
	}
	t.tcp = t.tcp || t.interleaved
	return t
}

// pair reads two numbers, or one of which the other follows.
func pair(s string) (p [2]int, ok bool) {
	first, second, two := strings.Cut(s, "-")
	a, err := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	if err != nil {
		return p, false
	}
	p = [2]int{int(a), int(a) + 1}
	if b, err := strconv.ParseUint(strings.TrimSpace(second), 10, 16); two && err == nil {
		p[1] = int(b)
	}
	return p, true
}

// baseOf is what the control URLs of an answer to DESCRIBE are relative to (RFC 2326, C.1.1): the first URL of Content-Base or
// Content-Location that is one, or else the URL that was asked for.
func baseOf(asked *url.URL, h header) string {
	for _, name := range []string{"content-base", "content-location"} {
		for _, line := range h[name] {
			if line = firstURL(line); strings.HasPrefix(line, "/") {
				line = asked.Scheme + "://" + asked.Host + line
			}
			if u, err := url.Parse(line); err == nil && (u.Scheme == "rtsp" || u.Scheme == "rtsps") && u.Host != "" {
				return withoutUser(u)
			}
		}
	}
	return withoutUser(asked)
}

// firstURL is the first of the URLs in a line that some cameras fill twice, with a separator or without.
func firstURL(line string) string {
	line = strings.TrimSpace(line)
	line, _, _ = strings.Cut(line, " ")
	if len(line) > 1 {
		if i := strings.Index(line[1:], "rtsp://"); i >= 0 {
			line = line[:1+i]
		}
	}
	return strings.TrimRight(line, ",")
}

func withoutUser(u *url.URL) string {
	v := *u
	v.User, v.Fragment = nil, ""
	return v.String()
}

// controls are the URLs that a control attribute may stand for, the likeliest first. Servers expect a relative one behind the
// whole base, its query included, as ffmpeg and live555 send it; and some where RFC 3986 puts it, as GStreamer does.
func controls(base, control string) (list []string) {
	if lower := strings.ToLower(control); strings.HasPrefix(lower, "rtsp://") || strings.HasPrefix(lower, "rtsps://") {
		return []string{firstURL(control)}
	}
	if control == "" || control == "*" {
		return []string{base}
	}
	joined := base + control
	if control[0] != '?' && control[0] != '/' && !strings.HasSuffix(base, "/") {
		joined = base + "/" + control
	} else if control[0] == '/' && strings.HasSuffix(base, "/") {
		joined = base + control[1:]
	}
	list = append(list, joined)
	if b, err := url.Parse(base); err == nil {
		if c, err := url.Parse(control); err == nil {
			if r := b.ResolveReference(c).String(); r != joined {
				list = append(list, r)
			}
		}
		if q := b.RawQuery; q != "" && control[0] != '?' { // behind the path, before the query
			b.RawQuery, b.RawPath = "", ""
			list = append(list, strings.TrimSuffix(b.String(), "/")+"/"+strings.TrimPrefix(control, "/")+"?"+q)
		}
	}
	return list
}
