package conf

import (
	"strconv"
	"strings"
	"time"
)

// What holds where the file says nothing.
const (
	DefaultFetchTimeout   = 2 * time.Second
	DefaultStaleTimeout   = 10 * time.Second
	DefaultReturnHolddown = 30 * time.Second
	DefaultLatency        = 40 * time.Millisecond
	DefaultRebalanceRate  = 1
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

	// The addresses to listen at. An empty list means that there is none: it was switched off, or, for HTTPS, never
	// switched on.
	HTTP, HTTPS, RTMP, RTSP []Listen

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

	// Balancers are the names of the balancers, which are reserved as the first component of stream names.
	Balancers []string

	// EditAuth and ViewAuth are who may change and who may see; nil means that the file does not say.
	EditAuth, ViewAuth *Credentials

	// Where sessions and statistics are kept and where countries are looked up; empty means nowhere.
	SessionLog, Pulsedb, GeoIP string
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
	Inputs []Input // in the order of the file, which is their priority; never empty unless Disabled

	// Ingest is nil for a stream that every node captures for itself.
	Ingest *Ingest

	Disabled bool
	Title    string // empty means none
	Static   bool   // captured without a viewer; always true as long as on-demand streams are not supported

	Delivery
	Pos Pos
}

// An Input is one place from which a stream can come.
type Input struct {
	URL    string // as the file has it
	Scheme string // file, fake or publish

	// Location names a [Vod], and File is the path below its root, slash-separated, without `.` or `..`. Both are empty
	// for other schemes than file.
	Location, File string

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

	// The protocols, in the words of listen.Protocol, whose viewers are sent away and those whose viewers are served
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
