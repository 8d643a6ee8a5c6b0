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
	// Streams returns every stream of the cluster, configured, running or published anywhere, in any order. It may
	// ask other nodes for their figures, and waits for them for a moment only.
	Streams(ctx context.Context) []Stream

	// Stream returns one of them, with what its owner says about it; it may ask the owner and wait for as long as ctx
	// lasts. The error is [ErrNotFound] if there is no such stream.
	Stream(ctx context.Context, name string) (Stream, error)

	// Sessions returns the clients that this node serves, in any order.
	Sessions() []Session

	// Events returns what happened since the event of this number, the oldest first, and a channel that is closed when there
	// is more. Only the newest events are kept.
	Events(after uint64) (list []Event, more <-chan struct{})

	// Peers returns the nodes of the group, this one included, in any order.
	Peers(ctx context.Context) []Peer

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
	Name     string `json:"name" jsonschema:"its name, by which it is asked for"`
	Title    string `json:"title,omitempty" jsonschema:"the title of the file"`
	Owner    Maybe  `json:"owner" jsonschema:"name of the node that captures it"`
	State    string `json:"state" jsonschema:"starting, running, waiting, failed, moving, disabled"`
	Reason   Maybe  `json:"reason" jsonschema:"why it is there: pinned, home, spill, fallback, full elsewhere, published here, on demand, not clustered"`
	SpillOf  string `json:"spill_of,omitempty"`
	Error    string `json:"error,omitempty" jsonschema:"the last one, if it is not over"`
	Disabled bool   `json:"disabled,omitempty"`
	OnDemand bool   `json:"on_demand,omitempty"`

	ClusterIngest *ClusterIngest `json:"cluster_ingest,omitempty"`

	Inputs   []Input `json:"inputs"`
	Since    int64   `json:"since" jsonschema:"for how many seconds it has been in this state, as this node has seen it"`
	Restarts uint64  `json:"restarts" jsonschema:"how often its inputs have begun anew since they were configured"`

	Clients int         `json:"clients" jsonschema:"of the whole cluster, as far as this node knows"`
	Stats   StreamStats `json:"stats"`

	Config map[string]any `json:"config,omitempty" jsonschema:"what the file of this node says of it, secrets masked; in the answer for one stream only, and not while the file cannot be read"`
}

// ClusterIngest is the directive of the same name.
type ClusterIngest struct {
	CaptureAt string `json:"capture_at,omitempty"`
}

// An Input is one source of a stream.
type Input struct {
	URL string `json:"url" jsonschema:"without secrets"`

	State  string `json:"state" jsonschema:"starting, running, waiting or failed, or what keeps the input from being as it should: scrambled, unavailable, undecodable, stalled, no media, no picture, no key picture, silent, continuity errors, gaps, jittering"`
	Reason Maybe  `json:"reason" jsonschema:"why it is in this state; null only while all is well"`

	Error         string        `json:"error,omitempty"`
	Active        bool          `json:"active" jsonschema:"the stream's media comes from it"`
	Bytes         uint64        `json:"bytes"`
	Restarts      uint64        `json:"restarts"`
	TracksLeftOut []LeftOut     `json:"tracks_left_out"`
	Counters      InputCounters `json:"counters"`
}

// A LeftOut is a track of an input that does not become a track of the stream.
type LeftOut struct {
	Track  string `json:"track" jsonschema:"as the input names it: 'PID 257', 'medium 2'"`
	Codec  Maybe  `json:"codec"`
	Reason string `json:"reason"`
}

// InputCounters count since the input was configured.
type InputCounters struct {
	ContinuityErrors uint64 `json:"continuity_errors" jsonschema:"packets that were lost before they arrived"`
	Damaged          uint64 `json:"damaged" jsonschema:"packets, frames or messages that could not be read"`
	RepairedTimes    uint64 `json:"repaired_times" jsonschema:"timestamps that were missing, stepped back, jumped or drifted"`
	SkippedUnits     uint64 `json:"skipped_units" jsonschema:"access units that were not used"`
	LostSegments     uint64 `json:"lost_segments"`
	Reconnects       uint64 `json:"reconnects"`
	Gaps             uint64 `json:"gaps" jsonschema:"places where timestamps leave something out"`
	JitterMS         uint64 `json:"jitter_ms" jsonschema:"mean deviation of arrival from timestamps"`
}

// StreamStats are the figures of a stream on the node that owns it; zero where that is another one and has not been
// asked.
type StreamStats struct {
	Bytes     uint64  `json:"bytes" jsonschema:"media of the stream since it began to run there"`
	InputKbit int64   `json:"input_kbit" jsonschema:"media of the last seconds, in kbit/s"`
	Alive     bool    `json:"alive" jsonschema:"media flows"`
	Publisher string  `json:"publisher,omitempty"`
	Uptime    int64   `json:"uptime" jsonschema:"seconds of media without a break"`
	BytesIn   uint64  `json:"bytes_in" jsonschema:"that its inputs have brought since they were configured, packaging included"`
	BytesOut  uint64  `json:"bytes_out" jsonschema:"that open sessions have got"`
	Dropped   uint64  `json:"dropped" jsonschema:"access units that were skipped for slow viewers"`
	MediaInfo []Track `json:"media_info,omitempty" jsonschema:"its tracks"`
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
	Hostname         string `json:"hostname" jsonschema:"the entry in the file, or the announced name of a node that is not in it"`
	Name             Maybe  `json:"name" jsonschema:"as it announces itself; null until it has been heard"`
	Self             bool   `json:"self,omitempty"`
	Status           string `json:"status" jsonschema:"alive, starting, stale, down, draining, unauthorised, drifted, never seen"`
	Since            int64  `json:"since" jsonschema:"for how many seconds the status has been so"`
	APIURL           string `json:"api_url,omitempty"`
	PublicPayloadURL string `json:"public_payload_url,omitempty"`
	FetchTimeout     int64  `json:"fetch_timeout,omitempty" jsonschema:"ms"`
	StaleTimeout     int64  `json:"stale_timeout,omitempty" jsonschema:"ms"`
	ChannelLimit     int    `json:"channel_limit,omitempty"`
	CPULimit         int    `json:"cpu_limit,omitempty" jsonschema:"percent"`
	MaxBitrate       int64  `json:"max_bitrate,omitempty" jsonschema:"bits per second"`
	Error            string `json:"error,omitempty" jsonschema:"of the last fetch, if it failed"`

	Stats PeerStats `json:"stats"`

	Config map[string]any `json:"config,omitempty" jsonschema:"what the file of this node says of it, secrets masked; in the answer for one peer only, and not while the file cannot be read"`
}

// PeerStats are what a node says about itself.
type PeerStats struct {
	ID             string  `json:"id,omitempty" jsonschema:"of this run of the process"`
	ServerVersion  string  `json:"server_version,omitempty"`
	StreamerStatus string  `json:"streamer_status,omitempty" jsonschema:"starting, running, draining"`
	ConfigVersion  string  `json:"config_version,omitempty" jsonschema:"hash of what the cluster shares"`
	Uptime         int64   `json:"uptime" jsonschema:"seconds"`
	RTT            float64 `json:"rtt" jsonschema:"ms, of the last fetch"`
	CPUUsage       float64 `json:"cpu_usage" jsonschema:"percent"`
	MemoryUsage    float64 `json:"memory_usage" jsonschema:"percent"`
	InterfaceLoad  float64 `json:"interface_load" jsonschema:"percent of the network interface"`
	BandwidthUsage float64 `json:"bandwidth_usage" jsonschema:"output in percent of max_bitrate; 0 without one"`
	InputKbit      int64   `json:"input_kbit"`
	OutputKbit     int64   `json:"output_kbit"`
	OnlineStreams  int     `json:"online_streams" jsonschema:"captured there"`
	TotalStreams   int     `json:"total_streams" jsonschema:"configured there"`
	TotalClients   int     `json:"total_clients"`
}

// A Balancer is one balancer, as one node sees it.
type Balancer struct {
	Name    string           `json:"name"`
	Mode    string           `json:"mode" jsonschema:"clients, bitrate, usage, streams"`
	Servers []BalancedServer `json:"servers"`
	Chosen  uint64           `json:"chosen" jsonschema:"clients that this node has sent to servers"`
	Refused uint64           `json:"refused" jsonschema:"clients for whom no server was left"`

	Config map[string]any `json:"config,omitempty" jsonschema:"what the file of this node says of it; in the answer for one balancer only, and not while the file cannot be read"`
}

// A BalancedServer is a server of a balancer. Its figures hold the clients that this node has sent there since it told of
// its own.
type BalancedServer struct {
	Server           string   `json:"server" jsonschema:"as in the file"`
	Name             Maybe    `json:"name" jsonschema:"as it announces itself; null until it has been heard"`
	Self             bool     `json:"self,omitempty"`
	Peer             bool     `json:"peer" jsonschema:"it is of the group; otherwise it only serves"`
	Clients          int      `json:"clients"`
	Bitrate          int64    `json:"bitrate" jsonschema:"bits per second"`
	Streams          int      `json:"streams"`
	InFlight         int      `json:"in_flight" jsonschema:"clients that it has not told of yet"`
	Share            float64  `json:"share" jsonschema:"percent of the figure of the mode, of all servers"`
	MaxBitrate       int64    `json:"max_bitrate" jsonschema:"bits per second; 0 without a cap"`
	Usage            float64  `json:"usage" jsonschema:"percent of max_bitrate"`
	Countries        []string `json:"countries,omitempty"`
	CountriesDefault bool     `json:"countries_default,omitempty"`
	Chosen           uint64   `json:"chosen"`
	Excluded         Maybe    `json:"excluded" jsonschema:"why it gets no clients; null if it does"`
	Error            string   `json:"error,omitempty"`
}

// An Actor is one living actor of this node.
type Actor struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	Restarts  uint64 `json:"restarts"`
	Failure   string `json:"failure,omitempty" jsonschema:"why it was last restarted"`
	Note      string `json:"note,omitempty" jsonschema:"what it is doing, in its own words"`
	RunningMS int64  `json:"running_ms" jsonschema:"since it was last started"`
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
	Time          time.Time      `json:"time" jsonschema:"of its end"`
	Node          string         `json:"node"`
	Clients       int            `json:"clients"`
	Captures      int            `json:"captures"`
	OutputBits    int64          `json:"output_bits" jsonschema:"per second"`
	CPUUsage      float64        `json:"cpu_usage" jsonschema:"percent"`
	MemoryUsage   float64        `json:"memory_usage" jsonschema:"percent"`
	InterfaceLoad float64        `json:"interface_load" jsonschema:"percent of the network interface"`
	Streams       []StreamMinute `json:"streams,omitempty"`
}

// A StreamMinute is one stream in a [Minute].
type StreamMinute struct {
	Name      string `json:"name"`
	Clients   int    `json:"clients"`
	InputBits int64  `json:"input_bits" jsonschema:"per second"`
}

// A Session is one client of a node: a viewer, a publisher, or a server that restreams.
type Session struct {
	ID       string `json:"id" jsonschema:"NODE-NUMBER: it is of one node"`
	Name     Maybe  `json:"name" jsonschema:"the stream; null until it is known"`
	Type     string `json:"type" jsonschema:"play, publish or relay; relay is another node that takes the stream from here"`
	Protocol string `json:"proto" jsonschema:"such as hls, rtmp, rtsp, mpegts, flv"`
	IP       string `json:"ip" jsonschema:"the client's address"`
	Country  string `json:"country,omitempty" jsonschema:"by the database of countries, ISO 3166"`
	Node     string `json:"node" jsonschema:"which serves it"`
	Duration int64  `json:"duration" jsonschema:"for how many seconds it has been open"`
	Bytes    uint64 `json:"bytes" jsonschema:"sent to a viewer, or got from a publisher"`
	Dropped  uint64 `json:"dropped" jsonschema:"access units that were skipped because the viewer was too slow"`
}

// An Event is something that happened, as this node has seen it.
type Event struct {
	ID     uint64    `json:"id" jsonschema:"rises with each event of this run of the process"`
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind" jsonschema:"a word or two: moved, peer alive, peer stale, capture failed, edited and others"`
	Level  string    `json:"level" jsonschema:"info or warning"`
	Node   string    `json:"node" jsonschema:"which has seen it"`
	Peer   string    `json:"peer,omitempty" jsonschema:"the other node that it is about"`
	Stream string    `json:"stream,omitempty" jsonschema:"the stream that it is about"`
	From   string    `json:"from,omitempty" jsonschema:"the owner before a move"`
	To     string    `json:"to,omitempty" jsonschema:"the owner after a move"`
	Reason string    `json:"reason,omitempty" jsonschema:"why it happened"`
	Text   string    `json:"text" jsonschema:"a sentence"`
}

// A Failure is an answer that is not the one asked for.
type Failure struct {
	Error    string    `json:"error" jsonschema:"a sentence that says what is wrong and what was expected"`
	Problems []Problem `json:"problems,omitempty" jsonschema:"each thing that is wrong, where there is a place to name"`
	Diff     []string  `json:"diff,omitempty" jsonschema:"of an edit of a file that has changed meanwhile: the lines that differ, with - for what was read and + for what is there now"`
	Version  string    `json:"version,omitempty" jsonschema:"of an edit of a file that has changed meanwhile: the version of the file as it is now"`
}

// A Problem is one thing that is wrong or doubtful.
type Problem struct {
	Path     string `json:"path,omitempty" jsonschema:"the member of the body or the parameter, such as inputs[0].url"`
	Line     int    `json:"line,omitempty" jsonschema:"of a configuration file, from 1"`
	Column   int    `json:"column,omitempty" jsonschema:"in characters, from 1"`
	Severity string `json:"severity" jsonschema:"error, warning or not supported yet"`
	Text     string `json:"error" jsonschema:"what was found and what was expected"`
}
