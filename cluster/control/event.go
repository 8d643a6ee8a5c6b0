package control

// An Event is something that has happened and that control is told of.
type Event interface{ event() }

// A FailReason says why a fetch brought nothing.
type FailReason string

// Reasons of a failed fetch.
const (
	Unreachable FailReason = "unreachable" // no connection, no answer, or an answer cut short
	// ConnectionRefused means that the machine of the peer refuses connections where one had led to the peer's process. A
	// refusal that may come from anything in between is [Unreachable].
	ConnectionRefused FailReason = "connection refused"
	Unauthorised      FailReason = "unauthorised" // one side refused the other's proof of the key
	Malformed         FailReason = "malformed"    // an answer that is no state, or breaks its limits
	Incompatible      FailReason = "incompatible" // a protocol version that is too old
	NameTaken         FailReason = "name taken"   // it announces the name of another live node
)

// Events.
type (
	// Tick says that the instant of [WakeAt] has come. A tick too many does no harm.
	Tick struct{}

	// Fetched brings a peer's state. State belongs to control from now on. A fetch that was abandoned may still
	// report; its answer is ignored.
	Fetched struct {
		Peer  string // the entry
		Place int    `json:"-"` // that of the [Fetch], if it is known
		ID    uint64 // of the [Fetch]
		State *State
	}

	// FetchFailed says that a fetch brought nothing.
	FetchFailed struct {
		Peer   string
		ID     uint64
		Why    FailReason
		Detail string // for people
	}

	// LinkBroken says that an established connection to the process of a peer was ended, and not by this node.
	LinkBroken struct{ Peer string }

	// StateAsked says that a peer that proved the key asks for this node's state. Effect: [Reply] with the same token.
	StateAsked struct {
		From      string // announced name of the asker, as it says
		Token     uint64
		*Question // nil asks for everything

		// Into is overwritten with the state that answers. Nil means that a new one is made.
		Into *State `json:"-"`
	}

	// CaptureUp says that a capture, or the publisher, has delivered its first access unit.
	CaptureUp struct{ Stream string }

	// CaptureDown says that a capture failed and has ended by itself. Control starts it again when it is due; the caller does
	// not.
	CaptureDown struct {
		Stream string
		Why    string // for people
	}

	// CaptureStopped says that the capture that [StopCapture] named has ended, or that one was ended because its inputs
	// were edited; then it begins anew.
	CaptureStopped struct{ Stream string }

	// MediaChanged gives the new anchor of a captured stream's segment numbering.
	MediaChanged struct {
		Stream string
		Media  Media
	}

	// PublishWanted asks whether a publisher may have a stream here. Effect: [PublishAnswer] with the same token; it
	// may come later, once the node is warm.
	PublishWanted struct {
		Stream string
		Token  uint64

		// Asked are the nodes that earlier answers named, and that have been asked since. None of them has a publisher:
		// it has said so, or could not be reached.
		Asked []string
	}

	// PublishEnded says that the publisher of a stream is gone and its linger is over.
	PublishEnded struct{ Stream string }

	// PublisherSilent says that the publisher of a stream is there, and has sent nothing for so long that it gives way to one
	// that sends. CaptureUp follows when the publisher sends again.
	PublisherSilent struct{ Stream string }

	// Measured gives the node's current load.
	Measured struct{ Load Load }

	// ConfigChanged puts another configuration into effect. Names, instance, inc and seed stay as they were.
	ConfigChanged struct{ Config Config }

	// StreamsChanged adds streams to the configuration and removes some by name, and changes nothing else. A stream that is
	// added and is there already is left as it is.
	StreamsChanged struct {
		Added   []Stream
		Removed []string
	}

	// Resumed tells a Node that replaces another one of the same process which captures go on. It is the first event. Up is the age of the process.
	Resumed struct {
		Captures []Capture
		Up       Instant
	}

	// ReleaseAsked says that another node asks this one to let go of a stream, because it comes first in the static
	// order. Effect: [ReleaseAnswer] with the same token, once the capture has ended.
	ReleaseAsked struct {
		Stream string
		From   string // announced name of the asker
		Token  uint64
	}

	// Released answers [AskRelease]: the node has let go of the stream, or does not have it.
	Released struct {
		Stream string
		Node   string
	}

	// Demanded says that clients of this node want an on-demand stream. It lapses after Fresh, unless it is repeated.
	Demanded struct {
		Stream string
		Fresh  Instant
	}

	// Suspended says that the machine did not run for a time that is not in the instants.
	Suspended struct{ For Instant }

	// Drain makes the node hand its streams over and take no new ones. Effect: [Drained], when it is through.
	Drain struct{}
)

// A Capture is a capture that outlived the Node that started it.
type Capture struct {
	Stream     string
	Epoch      uint64
	Up         bool           // it delivers
	Silent     bool           // its publisher has fallen silent since
	Supersedes []Supersession // as in [StreamView]
}

func (Tick) event()            {}
func (Fetched) event()         {}
func (FetchFailed) event()     {}
func (LinkBroken) event()      {}
func (StateAsked) event()      {}
func (CaptureUp) event()       {}
func (CaptureDown) event()     {}
func (CaptureStopped) event()  {}
func (MediaChanged) event()    {}
func (PublishWanted) event()   {}
func (PublishEnded) event()    {}
func (PublisherSilent) event() {}
func (Measured) event()        {}
func (ConfigChanged) event()   {}
func (StreamsChanged) event()  {}
func (Resumed) event()         {}
func (Demanded) event()        {}
func (Suspended) event()       {}
func (Drain) event()           {}
func (ReleaseAsked) event()    {}
func (Released) event()        {}
