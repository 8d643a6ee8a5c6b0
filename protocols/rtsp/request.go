package rtsp

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"weir/protocols"
)

// A resource is what the URL of a request names.
type resource struct {
	host        string // and port; empty where the client gives a path only
	path        string // unescaped, without the track
	written     string // the same as the client wrote it
	query       string
	track       int  // -1 if none is named
	bad         bool // the URL names a track that cannot be one
	secureStyle bool // the scheme is rtsps
}

const trackPart = "/trackID="

// readURL reads the URL of a request. Clients put the track behind the path or, as ffmpeg, behind the query, and may leave a slash
// behind either.
func readURL(s string) (r resource, err error) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Scheme != "" && u.Scheme != "rtsp" && u.Scheme != "rtsps" && u.Scheme != "rtspu" {
		return r, fmt.Errorf("%q is no URL of RTSP", s)
	}
	r = resource{host: u.Host, written: u.EscapedPath(), query: u.RawQuery, track: -1, secureStyle: u.Scheme == "rtsps"}
	cut := func(part *string) bool {
		i := strings.LastIndex(*part, trackPart)
		if i < 0 {
			return false
		}
		n, err := strconv.ParseUint((*part)[i+len(trackPart):], 10, 16)
		r.track, r.bad, *part = int(n), err != nil, (*part)[:i]
		return true
	}
	if !cut(&r.query) && !cut(&r.written) {
		if strings.HasSuffix(r.query, "/") {
			r.query = strings.TrimSuffix(r.query, "/")
		} else if len(r.written) > 1 {
			r.written = strings.TrimSuffix(r.written, "/")
		}
	}
	if r.written == "" {
		r.written = "/"
	}
	r.path, err = url.PathUnescape(r.written)
	return r, err
}

// base is the URL of the stream as the client addressed it, without a query: what is relative to it is found by every way of
// resolving a URL, of which some drop the query (RFC 3986, 5.2.2). It is empty where the client did not say the host.
func (r *resource) base() string {
	if r.host == "" {
		return ""
	}
	scheme := "rtsp://"
	if r.secureStyle {
		scheme = "rtsps://"
	}
	return scheme + r.host + r.written
}

// usualPort is the port that a URL of this scheme means if it names none.
func (r *resource) usualPort() int {
	if r.secureStyle {
		return protocols.Of(protocols.RTSPS).Port
	}
	return protocols.Of(protocols.RTSP).Port
}

// control is the URL of one medium.
func (r *resource) control(medium int) string {
	b := r.base()
	if b == "" {
		return fmt.Sprintf("trackID=%d", medium)
	}
	return fmt.Sprintf("%s%s%d", strings.TrimSuffix(b, "/"), trackPart, medium)
}

// A wish is a transport that a client asks for.
type wish struct {
	spec     string // as the client wrote it
	udp      bool
	channels [2]int // over TCP; negative if the server is to choose
	ports    [2]int // over UDP
}

// wishes are the transports of a Transport line that can be had, the client's first choice first (RFC 2326, 12.39).
func wishes(line string) (list []wish) {
	for offer := range strings.SplitSeq(line, ",") {
		w, ok := wish{channels: [2]int{-1, -1}}, true
		for i, part := range strings.Split(offer, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch name = strings.ToLower(strings.TrimSpace(name)); {
			case i == 0:
				w.spec = strings.ToUpper(name)
				w.udp = w.spec == "RTP/AVP" || w.spec == "RTP/AVP/UDP"
				ok = w.udp || w.spec == "RTP/AVP/TCP"
			case name == "multicast":
				ok = false
			case name == "mode":
				ok = ok && strings.EqualFold(strings.Trim(value, `"`), "play")
			case name == "interleaved":
				if p, read := pair(value); read && p[0] < 255 && p[1] == p[0]+1 {
					w.channels = p
				}
			case name == "client_port":
				w.ports, _ = pair(value)
			}
		}
		if w.udp && (w.ports[0] == 0 || w.ports[1] == 0) {
			ok = false
		}
		if ok {
			list = append(list, w)
		}
	}
	return list
}
