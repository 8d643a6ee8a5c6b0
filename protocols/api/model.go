package api

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// A Node is what the API shows. Its methods may be called by any goroutine but an actor's, at any time, and return
// copies.
type Node interface {
	// Streams returns every stream of the cluster, configured, running or published anywhere, in any order. It does
	// not wait for other nodes.
	Streams() []Stream

	// Stream returns one of them, with what its owner says about it; it may ask the owner and wait for as long as ctx
	// lasts. The error is [ErrNotFound] if there is no such stream.
	Stream(ctx context.Context, name string) (Stream, error)

	// Peers returns the nodes of the group, this one included, in any order.
	Peers() []Peer

	// Balancers returns the balancers of this node's file, as this node sees their servers.
	Balancers() []Balancer

	// Actors returns the living actors, in any order.
	Actors() []Actor

	// Pulse returns the last minutes of this node, at most so many, the oldest first; none if they are not kept.
	Pulse(minutes int) []Minute

	// Live returns an error if the node can no longer do its work and should be restarted.
	Live(ctx context.Context) error

	// Ready returns an error if the node should not get clients now: it has not heard its peers yet, or it drains.
	Ready() error
}

// ErrNotFound is the error of a [Node] that has no such stream.
var ErrNotFound = errors.New("no such stream")

// A Stream is one stream of the cluster, in the shape of Flussonic's stream_config with the cluster's facts beside it.
type Stream struct {
	Name     string `json:"name"`
	Title    string `json:"title,omitempty"`
	Owner    Maybe  `json:"owner"`  // name of the node that captures it
	State    string `json:"state"`  // starting, running, waiting, failed, moving, disabled
	Reason   Maybe  `json:"reason"` // why it is there: pinned, home, spill, fallback, full elsewhere, published here, on demand, not clustered
	SpillOf  string `json:"spill_of,omitempty"`
	Error    string `json:"error,omitempty"` // the last one, if it is not over
	Disabled bool   `json:"disabled,omitempty"`
	OnDemand bool   `json:"on_demand,omitempty"`

	ClusterIngest *ClusterIngest `json:"cluster_ingest,omitempty"`

	Inputs  []Input     `json:"inputs"`
	Clients int         `json:"clients"` // of the whole cluster, as far as this node knows
	Stats   StreamStats `json:"stats"`
}

// ClusterIngest is the directive of the same name.
type ClusterIngest struct {
	CaptureAt string `json:"capture_at,omitempty"`
}

// An Input is one source of a stream.
type Input struct {
	URL string `json:"url"` // without secrets

	// State is starting, running, waiting or failed, or what keeps the input from being as it should: scrambled, unavailable,
	// undecodable, stalled, no media, no picture, no key picture, silent, continuity errors, gaps, jittering. Reason says why; it is
	// null only while all is well.
	State  string `json:"state"`
	Reason Maybe  `json:"reason"`

	Error         string        `json:"error,omitempty"`
	Active        bool          `json:"active"` // the stream's media comes from it
	Bytes         uint64        `json:"bytes"`
	Restarts      uint64        `json:"restarts"`
	TracksLeftOut []LeftOut     `json:"tracks_left_out"`
	Counters      InputCounters `json:"counters"`
}

// A LeftOut is a track of an input that does not become a track of the stream.
type LeftOut struct {
	Track  string `json:"track"` // as the input names it: "PID 257", "medium 2"
	Codec  Maybe  `json:"codec"`
	Reason string `json:"reason"`
}

// InputCounters count since the input was configured.
type InputCounters struct {
	ContinuityErrors uint64 `json:"continuity_errors"` // packets that were lost before they arrived
	Damaged          uint64 `json:"damaged"`           // packets, frames or messages that could not be read
	RepairedTimes    uint64 `json:"repaired_times"`    // timestamps that were missing, stepped back, jumped or drifted
	SkippedUnits     uint64 `json:"skipped_units"`     // access units that were not used
	LostSegments     uint64 `json:"lost_segments"`
	Reconnects       uint64 `json:"reconnects"`
	Gaps             uint64 `json:"gaps"`      // places where timestamps leave something out
	JitterMS         uint64 `json:"jitter_ms"` // mean deviation of arrival from timestamps
}

// StreamStats are the figures of a stream on the node that owns it; zero where that is another one and has not been
// asked.
type StreamStats struct {
	Alive     bool    `json:"alive"` // media flows
	Publisher string  `json:"publisher,omitempty"`
	Uptime    int64   `json:"uptime"` // seconds of media without a break
	BytesIn   uint64  `json:"bytes_in"`
	BytesOut  uint64  `json:"bytes_out"`
	Dropped   uint64  `json:"dropped"` // access units skipped for slow viewers
	MediaInfo []Track `json:"media_info,omitempty"`
}

// A Track describes one elementary stream.
type Track struct {
	Codec      string `json:"codec"`
	Width      int    `json:"width,omitempty"`
	Height     int    `json:"height,omitempty"`
	SampleRate int    `json:"sample_rate,omitempty"`
	Channels   int    `json:"channels,omitempty"`
}

// A Peer is one node of the group, in the shape of Flussonic's peer with the link's state beside it. URLs that must
// not be shown are left empty.
type Peer struct {
	Hostname         string `json:"hostname"` // the entry in the file, or the announced name of a node that is not in it
	Name             Maybe  `json:"name"`     // as it announces itself; null until it has been heard
	Self             bool   `json:"self,omitempty"`
	Status           string `json:"status"` // alive, starting, stale, down, draining, unauthorised, drifted, never seen
	Since            int64  `json:"since"`  // for how many seconds the status has been so
	APIURL           string `json:"api_url,omitempty"`
	PublicPayloadURL string `json:"public_payload_url,omitempty"`
	FetchTimeout     int64  `json:"fetch_timeout,omitempty"` // ms
	StaleTimeout     int64  `json:"stale_timeout,omitempty"` // ms
	ChannelLimit     int    `json:"channel_limit,omitempty"`
	CPULimit         int    `json:"cpu_limit,omitempty"`   // percent
	MaxBitrate       int64  `json:"max_bitrate,omitempty"` // bits per second
	Error            string `json:"error,omitempty"`       // of the last fetch, if it failed

	Stats PeerStats `json:"stats"`
}

// PeerStats are what a node says about itself.
type PeerStats struct {
	ID             string  `json:"id,omitempty"` // of this run of the process
	ServerVersion  string  `json:"server_version,omitempty"`
	StreamerStatus string  `json:"streamer_status,omitempty"` // starting, running, draining
	ConfigVersion  string  `json:"config_version,omitempty"`  // hash of what the cluster shares
	Uptime         int64   `json:"uptime"`                    // seconds
	RTT            float64 `json:"rtt"`                       // ms, of the last fetch
	CPUUsage       float64 `json:"cpu_usage"`                 // percent
	MemoryUsage    float64 `json:"memory_usage"`              // percent
	BandwidthUsage float64 `json:"bandwidth_usage"`           // percent of the network interface
	InputKbit      int64   `json:"input_kbit"`
	OutputKbit     int64   `json:"output_kbit"`
	OnlineStreams  int     `json:"online_streams"` // captured there
	TotalStreams   int     `json:"total_streams"`  // configured there
	TotalClients   int     `json:"total_clients"`
}

// A Balancer is one balancer, as one node sees it.
type Balancer struct {
	Name    string           `json:"name"`
	Mode    string           `json:"mode"` // clients, bitrate, usage, streams
	Servers []BalancedServer `json:"servers"`
	Chosen  uint64           `json:"chosen"`  // clients that this node has sent to servers
	Refused uint64           `json:"refused"` // clients for whom no server was left
}

// A BalancedServer is a server of a balancer. Its figures hold the clients that this node has sent there since it told of
// its own.
type BalancedServer struct {
	Server           string   `json:"server"` // as in the file
	Name             Maybe    `json:"name"`   // as it announces itself; null until it has been heard
	Self             bool     `json:"self,omitempty"`
	Peer             bool     `json:"peer"` // it is of the group; otherwise it only serves
	Clients          int      `json:"clients"`
	Bitrate          int64    `json:"bitrate"` // bits per second
	Streams          int      `json:"streams"`
	InFlight         int      `json:"in_flight"`   // clients that it has not told of yet
	Share            float64  `json:"share"`       // percent of the figure of the mode, of all servers
	MaxBitrate       int64    `json:"max_bitrate"` // bits per second; 0 without a cap
	Usage            float64  `json:"usage"`       // percent of max_bitrate
	Countries        []string `json:"countries,omitempty"`
	CountriesDefault bool     `json:"countries_default,omitempty"`
	Chosen           uint64   `json:"chosen"`
	Excluded         Maybe    `json:"excluded"` // why it gets no clients; null if it does
	Error            string   `json:"error,omitempty"`
}

// An Actor is one living actor of this node.
type Actor struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	Restarts  uint64 `json:"restarts"`
	Failure   string `json:"failure,omitempty"` // why it was last restarted
	Note      string `json:"note,omitempty"`    // what it is doing, in its own words
	RunningMS int64  `json:"running_ms"`        // since it was last started
}

// Maybe is a string that JSON shows as null when it is empty.
type Maybe string

// MarshalJSON implements [json.Marshaler].
func (m Maybe) MarshalJSON() ([]byte, error) {
	if m == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(m))
}

// A Minute is what a node was like at the end of a minute; OutputBits is the average of the minute.
type Minute struct {
	Time           time.Time      `json:"time"` // of its end
	Node           string         `json:"node"`
	Clients        int            `json:"clients"`
	Captures       int            `json:"captures"`
	OutputBits     int64          `json:"output_bits"`     // per second
	CPUUsage       float64        `json:"cpu_usage"`       // percent
	MemoryUsage    float64        `json:"memory_usage"`    // percent
	BandwidthUsage float64        `json:"bandwidth_usage"` // percent of the network interface
	Streams        []StreamMinute `json:"streams,omitempty"`
}

// A StreamMinute is one stream in a [Minute].
type StreamMinute struct {
	Name      string `json:"name"`
	Clients   int    `json:"clients"`
	InputBits int64  `json:"input_bits"` // per second
}
