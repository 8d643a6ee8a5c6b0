package conf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/protocols"
)

// What holds where the file says nothing.
const (
	DefaultFetchTimeout   = 2 * time.Second
	DefaultStaleTimeout   = 10 * time.Second
	DefaultReturnHolddown = 30 * time.Second
	DefaultLatency        = 40 * time.Millisecond
	DefaultRebalanceRate  = 1
	DefaultSourceTimeout  = time.Minute
	DefaultClientsTimeout = time.Minute
	DefaultLogLevel       = "info"
	DefaultVod            = "vod" // declared even if the file declares none
	DefaultVodRoot        = "/var/lib/weir/vod"
)

// A File is a configuration that was understood: defaults are filled in, names are resolved, URLs are in one form.
type File struct {
	// Name is the name under which the node announces itself; empty means that the node finds it out.
	Name string

	// ClusterKey authorises what nodes send each other; empty means none, and then Peers and cluster ingest are an
	// error. It is secret: see [File.Masked].
	ClusterKey string

	// Peers are the group as the file lists it, with or without the node itself, in the order of the file. No two
	// have the same host and port.
	Peers []Peer

	// ReturnHolddown is how long a node that returned is watched before its streams go back to it.
	ReturnHolddown time.Duration

	// ChannelLimit and CPULimit are this node's own, as in [Peer].
	ChannelLimit, CPULimit int

	// RebalanceRate is how many streams move per fetch interval to make the nodes even after an edit; 0 means none.
	RebalanceRate int

	// Journal is the file in which everything that the control plane meets and does is written down; empty means none.
	Journal string

	// Listeners are the addresses to listen at, by the protocol that listens there. No entry means that there is none: it
	// was switched off, or never switched on.
	Listeners map[protocols.Protocol][]Listen

	// Remote is where other nodes' actors connect; port 0 means any free one, as it is advertised anyway.
	Remote Listen

	// LogLevel is debug, info, warn or error.
	LogLevel string

	// Vods are the only directories that file inputs read; [DefaultVod] is always among them.
	Vods []Vod

	// Delivery holds for streams that only other nodes' files name.
	Delivery Delivery

	// Streams are in the order of the file; no two have the same name.
	Streams []Stream
	index   map[string]int // of Streams, by name

	// Templates are those with a prefix: the rest is in the streams that took from them. No two have the same prefix.
	Templates []Template

	// Sources are the origins whose streams are restreamed here, in the order of the file.
	Sources []Source

	// Vhosts are the virtual hosts in the order of the file; no two have the same name.
	Vhosts []Vhost

	// Advertise is the host under which RTMP clients of SRS servers reach this node, and AdvertisePort the port; empty
	// and 0 mean that the node works them out.
	Advertise     string
	AdvertisePort int

	// Balancers are in the order of the file; no two have the same name, and none that of a stream.
	Balancers []Balancer

	// EditAuth is who may change the node and see everything; nil means whoever is on this machine. ViewAuth is who may
	// see pages, the API and metrics; nil means EditAuth, or everybody without that.
	EditAuth, ViewAuth *Credentials

	// SessionLog is the directory in which a line is written for each session that ended, and Pulsedb that for the
	// statistics of each minute; they may be one. Empty means that nothing is written.
	SessionLog, Pulsedb string

	// GeoIP is the database in which the country of a client's address is looked up; empty means that of
	// the usual places which is there.
	GeoIP string

	// TrustedProxies are the addresses from which a client's address is taken from X-Forwarded-For, or from the PROXY
	// protocol.
	TrustedProxies []netip.Prefix
}

// A Listen is an address to accept connections at.
type Listen struct {
	Host string // empty means all interfaces; an IPv6 address has no brackets
	Port int    // 0 means any free one
	Pos  Pos
}

// Addr is the address in the form that package net takes.
func (l Listen) Addr() string { return joinHostPort(l.Host, l.Port) }

// A Peer is one entry of the list of nodes.
type Peer struct {
	Host string // lower case; an IPv6 address has no brackets
	Port int    // 0 means not given: 80, or 443 for an https API URL

	// The URLs are SCHEME://HOST[:PORT], without path; the port is left out where it is the scheme's own. APIURL is
	// where the peer's state is fetched, Public is what viewers see, Private where media is fetched. None is empty.
	APIURL, Public, Private string

	// PublicGiven says that the file itself names a public URL; otherwise viewers see the API URL.
	PublicGiven bool

	// FetchTimeout is the interval of fetches, StaleTimeout the silence after which the peer is taken for dead.
	// Invariant: 0 < FetchTimeout < StaleTimeout.
	FetchTimeout, StaleTimeout time.Duration

	ChannelLimit int // most captured streams; 0 means no limit
	CPULimit     int // percent; 0 means no limit

	// MaxBitrate is what the peer may send, in bits per second, where a balancer says nothing else; 0 means no cap.
	MaxBitrate int64

	// ClusterKey is the key of this link in both directions; it is the global one if the entry gives none.
	ClusterKey string

	Pos Pos
}

// Name is the entry's identity: HOST, or HOST:PORT if the port was given.
func (p Peer) Name() string {
	if p.Port == 0 {
		return p.Host
	}
	return joinHostPort(p.Host, p.Port)
}

// A Vod is a directory that file inputs may read.
type Vod struct {
	Name string // the LOCATION of file://LOCATION/PATH
	Root string
	Pos  Pos
}

// A Stream is one stream that this node's file configures.
type Stream struct {
	Name   string
	Inputs []Input // in the order of the file; never empty unless Disabled

	// Ingest is nil for a stream that every node captures for itself.
	Ingest *Ingest

	Disabled bool
	Title    string // empty means none
	Static   bool   // captured without a viewer; otherwise on demand

	// ClientsTimeout is how long an on-demand stream is captured after its last client. Negative means for ever, once a
	// client has come; it is zero for a static stream.
	ClientsTimeout time.Duration

	// Restreamed says that it comes from a [Source]; no file says so itself.
	Restreamed bool

	Delivery
	Pos Pos
}

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

// A Template makes streams of names that no [Stream] has: PREFIX/ANYTHING, once somebody publishes it.
type Template struct {
	Name, Prefix string

	// Stream is what such a stream is like; its name is empty.
	Stream Stream

	Pos Pos
}

// A Source is an origin whose streams are restreamed here.
type Source struct {
	// Name is the origin as the file has it. URL is where it answers, SCHEME://HOST[:PORT] without path for another
	// node, whose list of streams is fetched. For a server of the scheme rtmp, rtmps, or http or https with a path, it
	// is what stands before the names of its streams, which Only has to list.
	Name, URL string
	Plain     bool // not a node

	// Only, if OnlyGiven, are the streams that are restreamed by themselves; none means that all are, on request.
	// Except are those that are not restreamed at all.
	Only, Except []string
	OnlyGiven    bool

	// Prefix stands before the names here, with a slash; empty means none.
	Prefix string

	// ClusterKey is the key of the link; it is the global one if the entry gives none.
	ClusterKey string

	// Stream is what its streams are like here: everything but name, inputs and title.
	Stream Stream

	Pos Pos
}

// An Ingest says that one node of the group captures a stream.
type Ingest struct {
	CaptureAt string // the preferred node as the file has it; empty means none

	// Peer is the [Peer.Name] of the entry that CaptureAt means. It is empty if there is none such, or if CaptureAt is
	// the node's own name and the list leaves the node itself out.
	Peer string

	Handover  Handover
	Partition Partition
	Pos       Pos
}

// Handover says how a stream moves between two live nodes.
type Handover string

// The hand-overs.
const (
	Make  Handover = "make"  // the new node captures before the old one stops
	Break Handover = "break" // the old one stops first, for sources that allow one connection
)

// Partition says what counts more when the group falls apart.
type Partition string

// The ways through a partition.
const (
	Available Partition = "available" // each part captures
	Exclusive Partition = "exclusive" // at most one node captures
)

// Delivery says how viewers get a stream that another node has.
type Delivery struct {
	HLS HLSMode

	// The protocols, as package protocols names them, whose viewers are sent away and those whose viewers are served
	// through the asked node, whatever is the rule for the protocol. No protocol is in both; both are sorted.
	Redirect, Relay []string

	// Latency is the interval at which a hub wakes its viewers.
	Latency time.Duration
}

// HLSMode says who answers for an HLS or DASH stream that another node has.
type HLSMode string

// The modes.
const (
	HLSPlaylist HLSMode = "playlist" // playlists from the asked node, segments from the owner
	HLSRelay    HLSMode = "relay"    // everything from the asked node
	HLSRedirect HLSMode = "redirect" // everything from the owner
)

// Credentials are a name and a password.
type Credentials struct {
	User, Password string
}

// Stream gives the stream of that name, or nil. The pointer is into f.
func (f *File) Stream(name string) *Stream {
	if len(f.index) == len(f.Streams) { // as it was understood
		if i, ok := f.index[name]; ok {
			return &f.Streams[i]
		}
		return nil
	}
	for i := range f.Streams {
		if f.Streams[i].Name == name {
			return &f.Streams[i]
		}
	}
	return nil
}

// With is f with further streams, which its own come before: of two with one name the first counts.
func (f *File) With(streams []Stream) *File {
	next := *f
	next.Streams = slices.Clone(f.Streams)
	next.index = make(map[string]int, len(f.Streams)+len(streams))
	for i := range next.Streams {
		next.index[next.Streams[i].Name] = i
	}
	for _, s := range streams {
		if _, have := next.index[s.Name]; have {
			continue
		}
		next.index[s.Name] = len(next.Streams)
		next.Streams = append(next.Streams, s)
	}
	return &next
}

// Vod gives the directory of that name, or nil. The pointer is into f.
func (f *File) Vod(name string) *Vod {
	for i := range f.Vods {
		if f.Vods[i].Name == name {
			return &f.Vods[i]
		}
	}
	return nil
}

func joinHostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}
