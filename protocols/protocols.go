// Package protocols lists the protocols in which clients speak to a node, one row each: names, listeners and ports,
// URLs, and whether clients follow redirects. Everything that lists protocols reads this table.
//
// It knows no connection, no stream and no node. The wire formats are in the packages below it.
package protocols

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// A Protocol names the way in which a client speaks to a node. The names stand in configuration files, in the API, in
// metrics and logs, and listeners' names also in the state that nodes send each other.
type Protocol string

// The protocols.
const (
	HTTP  Protocol = "http"  // the listener of the protocols that come over HTTP; no session has it
	HTTPS Protocol = "https" // a listener with TLS, as RTMPS and RTSPS are; no session has it
	HLS   Protocol = "hls"
	RTMP  Protocol = "rtmp"
	RTMPS Protocol = "rtmps"
	RTSP  Protocol = "rtsp"
	RTSPS Protocol = "rtsps"
	TS    Protocol = "mpegts"
	FLV   Protocol = "flv"
	Relay Protocol = "relay" // another node

	// Cluster is what the actors of nodes speak with each other, at an address of its own. No client does, so there is no row for it.
	Cluster Protocol = "cluster"
)

// A Descriptor is the row of one protocol.
type Descriptor struct {
	Protocol Protocol

	// Title is what people read.
	Title string

	// Listener is the protocol whose listener accepts the clients: the row's own, or HTTP. One that is a row's own has
	// a field in [Ports].
	Listener Protocol

	// Port is the usual port of the row's own listener, which URLs leave out; 0 without one.
	Port int

	// On says that a node listens at Port although nothing in its configuration says so.
	On bool

	// Plain is the listener of the same protocol without TLS; empty for a row whose own listener is without TLS.
	Plain Protocol

	// Path is the path of a stream's URL, with STREAM for the stream's name; empty for what people do not play.
	Path string

	// Also is another path of the same, which players have from other servers; empty without one. URLs are made of Path.
	Also string

	// Form is the wire form that all viewers share (see listen.Source); empty where they get files. What it can carry is
	// said by the row of each codec in package carriage.
	Form string

	// Follows says that clients follow redirects. A viewer of a stream that another node has is redirected there if it
	// does, and served here by a relay if it does not.
	Follows bool

	// Forward says that the directives redirect and relay may name the protocol, to force the one or the other. HLS has
	// a directive of its own for that.
	Forward bool
}

var table = []Descriptor{
	{Protocol: HTTP, Title: "HTTP", Listener: HTTP, Port: 80, On: true},
	{Protocol: HTTPS, Title: "HTTPS", Listener: HTTPS, Port: 443, Plain: HTTP},
	{Protocol: HLS, Title: "HLS", Listener: HTTP, Path: "/STREAM/index.m3u8", Also: "/STREAM.m3u8", Follows: true},
	{Protocol: RTMP, Title: "RTMP", Listener: RTMP, Port: 1935, On: true, Path: "/static/STREAM", Form: "rtmp", Forward: true},
	{Protocol: RTMPS, Title: "RTMPS", Listener: RTMPS, Port: 443, Plain: RTMP},
	{Protocol: RTSP, Title: "RTSP", Listener: RTSP, Port: 554, On: true, Path: "/STREAM", Form: "rtsp", Follows: true, Forward: true},
	{Protocol: RTSPS, Title: "RTSPS", Listener: RTSPS, Port: 322, Plain: RTSP},
	{Protocol: TS, Title: "HTTP-TS", Listener: HTTP, Path: "/STREAM/mpegts", Also: "/STREAM.ts", Form: "mpegts", Follows: true, Forward: true},
	{Protocol: FLV, Title: "HTTP-FLV", Listener: HTTP, Path: "/STREAM.flv", Form: "flv", Follows: true, Forward: true},
	{Protocol: Relay, Title: "relay", Listener: HTTP, Form: "relay"},
}

// All gives the rows. Those with a listener of their own come in the order in which listeners are listed everywhere.
func All() []Descriptor { return slices.Clone(table) }

// Listeners gives the rows that have a listener of their own.
func Listeners() []Descriptor {
	return slices.DeleteFunc(All(), func(d Descriptor) bool { return d.Listener != d.Protocol })
}

// Of gives the row of a protocol; the zero Descriptor if there is none.
func Of(p Protocol) Descriptor {
	for _, d := range table {
		if d.Protocol == p {
			return d
		}
	}
	return Descriptor{}
}

// Ports are the first port of each listener of a node, in the form in which nodes tell each other; 0 where it does not
// listen. SRT is for nodes of later versions.
type Ports struct {
	HTTP  int `json:"http,omitempty"`
	HTTPS int `json:"https,omitempty"`
	RTMP  int `json:"rtmp,omitempty"`
	RTMPS int `json:"rtmps,omitempty"`
	RTSP  int `json:"rtsp,omitempty"`
	RTSPS int `json:"rtsps,omitempty"`
	SRT   int `json:"srt,omitempty"`
}

// At gives the place of a listener's port. The protocol must be the Listener of some row.
func (p *Ports) At(listener Protocol) *int {
	switch listener {
	case HTTP:
		return &p.HTTP
	case HTTPS:
		return &p.HTTPS
	case RTMP:
		return &p.RTMP
	case RTMPS:
		return &p.RTMPS
	case RTSP:
		return &p.RTSP
	case RTSPS:
		return &p.RTSPS
	}
	panic("no listener: " + listener)
}

// OverTLS gives the row of the listener that speaks the same with TLS as the given listener does without; the zero Descriptor if
// there is none.
func OverTLS(listener Protocol) Descriptor {
	for _, d := range table {
		if d.Plain == listener && listener != "" {
			return d
		}
	}
	return Descriptor{}
}

// Spoken is the protocol that the row's own listener speaks, within TLS or without.
func (d Descriptor) Spoken() Protocol { return cmp.Or(d.Plain, d.Protocol) }

// Directive is the name of the directive that sets the addresses of the row's own listener.
func (d Descriptor) Directive() string { return string(d.Protocol) }

// Flag is the flag of the command line that stands for the directive.
func (d Descriptor) Flag() string { return "--" + d.Directive() }

// Scheme is that of the protocol's URLs.
func (d Descriptor) Scheme() string { return string(d.Listener) }

// StreamIn is the name of the stream whose URL has that path, unescaped and without its leading slash. The form of the path
// is one of a row: its Path or Also.
func StreamIn(form, path string) (stream string, ok bool) {
	before, after, ok := strings.Cut(strings.TrimPrefix(form, "/"), "STREAM")
	if !ok || len(path) <= len(before)+len(after) || !strings.HasPrefix(path, before) || !strings.HasSuffix(path, after) {
		return "", false
	}
	return path[len(before) : len(path)-len(after)], true
}

// URL is where the stream of that name is at a node: host is HOST or HOST:PORT of the row's listener.
func (d Descriptor) URL(host, stream string) string {
	escaped := (&url.URL{Path: stream}).EscapedPath()
	return d.Scheme() + "://" + host + strings.Replace(d.Path, "STREAM", escaped, 1)
}
