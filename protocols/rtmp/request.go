package rtmp

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"weir/codecs/carriage"
	"weir/codecs/flv/amf"
	"weir/protocols"
	"weir/protocols/listen"
)

// A connect is what a client told about itself in its connect command (RTMP 7.2.1.1).
type connect struct {
	app       string // without query
	query     string // of app, or else of tcUrl
	host      string
	agent     string
	tcURL     string
	pageURL   string
	secure    bool // its URL has the scheme rtmps, or a proxy says so
	redirects bool // it is known to follow redirects
	server    bool // it is an SRS server
	enhanced  bool // it speaks Enhanced RTMP
}

// agentPrefix begins the flashVer of weir's own client, which follows redirects.
const agentPrefix = "weir/"

// parseConnect reads the arguments of connect.
func parseConnect(c command) connect {
	o := c.object(0)
	var g connect
	g.tcURL, g.pageURL = o.String("tcUrl"), o.String("pageUrl")
	g.app, g.query, _ = strings.Cut(oldVhost(o.String("app")), "?")
	g.app = strings.Trim(strings.ReplaceAll(g.app, "/_definst_", ""), "/") // the default instance of an application, as FMLE writes it
	before, query, _ := strings.Cut(oldVhost(g.tcURL), "?")
	if g.query == "" {
		g.query = query
	}
	if scheme, rest, ok := strings.Cut(before, "://"); ok {
		g.host, _, _ = strings.Cut(rest, "/")
		g.secure = strings.EqualFold(scheme, "rtmps") || strings.EqualFold(scheme, "rtmpts")
	}
	g.agent = o.String("flashVer")
	g.enhanced = o.Has("fourCcList") || o.Has("videoFourCcInfoMap") || o.Has("capsEx")
	g.redirects = strings.HasPrefix(g.agent, agentPrefix)
	// SRS servers add an object of their own behind connect's; only they follow redirects.
	for i := range c.args {
		if c.object(i).Has("srs_sig") {
			g.redirects, g.server = true, true
		}
	}
	return g
}

// oldVhost turns the way in which encoders that take no query name a virtual host (APP...vhost...NAME) into a query.
func oldVhost(app string) string {
	if before, vhost, ok := strings.Cut(app, "...vhost..."); ok && !strings.Contains(before, "?") {
		return before + "?vhost=" + vhost
	}
	return app
}

// capabilities are what a client that speaks Enhanced RTMP is told about weir, in the properties of connect's answer.
func (g connect) capabilities() amf.Object {
	if !g.enhanced {
		return nil
	}
	return amf.Object{
		{Key: "fourCcList", Value: fourCCs()},
		{Key: "capsEx", Value: 4}, // ModEx
	}
}

// fourCCs is the fourCcList of Enhanced RTMP.
func fourCCs() (list []any) {
	for _, name := range carriage.FourCCs() {
		list = append(list, name)
	}
	return list
}

var errName = errors.New("the stream name must be valid UTF-8 without control characters, and not empty")

// request is the request of a client that has sent publish or play with name. The names that it may mean are the whole
// path of its URL and the shorter ones without leading components: clients cut a URL into app and name at different
// places.
func (g connect) request(name string, remote netip.AddrPort) (listen.Request, error) {
	name, query, _ := strings.Cut(name, "?")
	if g.query != "" {
		if query != "" {
			query += "&"
		}
		query += g.query
	}
	name = strings.Trim(name, "/")
	path := strings.Trim(g.app+"/"+name, "/")

	// ffmpeg writes "mp4:" before names that end so, and Flash servers want the like before others.
	bare := name
	for _, prefix := range []string{"mp4:", "flv:", "mp3:"} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	streams := appendNames(nil, strings.Trim(g.app+"/"+bare, "/"))
	if bare != name {
		streams = appendNames(streams, path)
	}
	if len(streams) == 0 {
		return listen.Request{}, errName
	}
	r := g.connectRequest(remote)
	r.Streams, r.Path, r.Query, r.Name, r.Hops = streams, "/"+escape(path), query, bare, listen.Hops(query)
	return r, nil
}

// connectRequest is the request of a client that has connected and not yet named a stream.
func (g connect) connectRequest(remote netip.AddrPort) listen.Request {
	return listen.Request{
		Protocol: protocols.RTMP, Path: "/" + escape(g.app), Query: g.query, Remote: remote, Host: g.host, Secure: g.secure, Agent: g.agent,
		App: g.app, TCURL: g.tcURL, PageURL: g.pageURL, Hops: listen.Hops(g.query), Redirects: g.redirects,
	}
}

// appendNames appends what path may mean, the longest first, each unescaped, and as it was where that differs: SRS compares
// raw bytes. Names that cannot be a stream's are left out.
func appendNames(names []string, path string) []string {
	for _, raw := range listen.Names(path) {
		plain, err := url.PathUnescape(raw)
		if err != nil {
			plain = raw
		}
		for _, n := range []string{plain, raw} {
			if valid(n) && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

func valid(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

// escape writes what cannot stand in a URL as percent signs and hexadecimal digits, and leaves what the client has
// escaped as it is.
func escape(path string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"#<>?\\^`{|}", c) >= 0:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// redirection returns the two forms in which SRS tells a client the place of a stream: without the stream's name, and
// whole. An SRS server is not told the number of hops, which it would drop. A client that was led to its virtual host
// by a host name would lose it at a place of another name, so the host is added to the query.
func (g connect) redirection(location string) (dir, whole string) {
	path, query, _ := strings.Cut(location, "?")
	if g.server {
		query = listen.WithoutHops(query)
	}
	host := hostOf(g.host)
	if host != hostOf(authority(path)) && !isAddr(host) && !strings.Contains("&"+query, "&vhost=") {
		query = strings.Trim(query+"&vhost="+host, "&")
	}
	whole = path
	if query != "" {
		whole += "?" + query
	}
	dir = path
	if i := strings.LastIndexByte(path, '/'); i > strings.Index(path, "://")+2 {
		dir = path[:i]
	}
	return dir, whole
}

// authority is what stands in a URL between the slashes.
func authority(location string) string {
	_, rest, _ := strings.Cut(location, "://")
	at, _, _ := strings.Cut(rest, "/")
	return at
}

// hostOf takes a port and the brackets of an address away.
func hostOf(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return strings.Trim(authority, "[]")
}

func isAddr(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || host == ""
}
