package conf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// parseListen reads [HOST:]PORT; a port alone means all interfaces.
func parseListen(text string) (Address, error) {
	host, port, given, err := splitHostPort(text)
	if err != nil {
		return Address{}, fmt.Errorf("%w, expected PORT or HOST:PORT", err)
	}
	if !given {
		if _, err := strconv.Atoi(text); err != nil {
			return Address{}, fmt.Errorf("found %s, expected PORT or HOST:PORT", quote(text))
		}
		host, port = "", text
	}
	n, err := parseCount(port, 0, 65535)
	if err != nil {
		return Address{}, fmt.Errorf("%w as the port", err)
	}
	if host == "" || host == "*" {
		return Address{Port: n}, nil
	}
	host, err = parseHost(host)
	return Address{Host: host, Port: n}, err
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

func parsePeer(text string) (Address, error) {
	host, port, err := parsePeerName(text)
	return Address{host, port}, err
}

// splitHostPort splits HOST:PORT, [V6]:PORT, :PORT, HOST, [V6] or V6; given says whether there is a port.
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

// parseHost checks a host name or an IP address and normalises it: a name is in lower case without a final dot.
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

// parseBase reads [http[s]://]HOST[:PORT][/] and normalises it: the default scheme http is added, and the default port of the
// scheme is removed.
func parseBase(text string) (string, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "http", text
	}
	scheme = strings.ToLower(scheme)
	defaultPort := 0
	for _, u := range urlPorts {
		if u.scheme == scheme {
			defaultPort = u.port
		}
	}
	if defaultPort == 0 {
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

// baseURL makes a URL in the form of [parseBase]; port 0 is the default port of the scheme.
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

func joinHostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}
