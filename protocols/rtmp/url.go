package rtmp

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"weir/protocols"
)

// splitURL reads a URL up to its path, which is given as it is written, without slashes around it: a server compares
// the bytes of names, and not all names are proper paths.
func splitURL(rawURL string) (u *url.URL, path string, err error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, "", errors.New("not a URL")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if u, err = url.Parse(scheme + "://" + authority); err != nil {
		return nil, "", err
	}
	u.RawQuery = query
	return u, strings.Trim(path, "/"), nil
}

// place is the server of a URL in one form, whether or not its port is written.
func place(rawURL string) (string, error) {
	u, _, err := splitURL(rawURL)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port), nil
}

var defaultPorts = map[string]string{"rtmp": strconv.Itoa(protocols.Of(protocols.RTMP).Port), "rtmps": strconv.Itoa(protocols.Of(protocols.RTMPS).Port)}

// onceVhost mends a URL to which SRS has added the virtual host a second time, as ?vhost=x?vhost=x.
func onceVhost(rawURL string) string {
	path, query, _ := strings.Cut(rawURL, "?")
	if !strings.Contains(query, "?") {
		return rawURL
	}
	var parts []string
	named := false
	for part := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '?' || r == '&' }) {
		if vhost := strings.HasPrefix(part, "vhost="); vhost && named {
			continue
		} else if vhost {
			named = true
		}
		parts = append(parts, part)
	}
	return path + "?" + strings.Join(parts, "&")
}

// tcURL is where the client says that it connects to. A virtual host stands there too, because servers look for it
// before they are told the stream's name and query.
func (c *Client) tcURL() string {
	u := c.url.Scheme + "://" + c.url.Host + "/" + c.app
	if c.early && c.url.RawQuery != "" {
		return u + "?" + c.url.RawQuery
	}
	for part := range strings.SplitSeq(c.url.RawQuery, "&") {
		if strings.HasPrefix(part, "vhost=") {
			return u + "?" + part
		}
	}
	return u
}
