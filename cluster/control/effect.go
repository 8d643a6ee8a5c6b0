package control

// An Effect is something that control wants done.
type Effect interface{ effect() }

// A StopReason says why a capture ends.
type StopReason string

// Reasons to stop a capture.
const (
	Yielded   StopReason = "yielded"   // a node that comes first in the static order has it
	Outranked StopReason = "outranked" // of two publishers of one name; the other's node comes first
	Silenced  StopReason = "silent"    // of two publishers of one name this node's sends nothing, and the other one does
	Ungranted StopReason = "ungranted" // a publisher whose grant had ended before it came to the stream
	Unwanted  StopReason = "unwanted"  // its last client has been gone for a while
	Fenced    StopReason = "fenced"    // this node slept, and another one has it or the source allows one connection
	HandedOn  StopReason = "drained"   // this node drains and another runs it
	Unlisted  StopReason = "unlisted"  // a node runs it whose file does not list this one, so that it could never yield
	Removed   StopReason = "removed"   // no longer in the file, or disabled, or of another kind
)

// A Verdict answers whether a publisher may have a stream.
type Verdict uint8

const (
	// Granted means that the stream is the publisher's.
	Granted Verdict = iota
	// Busy means that it has a publisher here.
	Busy
	// AskNode means that Node is known to have a publisher; it knows best. If it has none after all, or cannot be reached, ask
	// again with Node in [PublishWanted.Asked].
	AskNode
	// Elsewhere means that this node takes no publisher of that name, but Node does.
	Elsewhere
	// NotFound means that no live node takes publishers of that name.
	NotFound
)

// String gives the name of the verdict for logs.
func (v Verdict) String() string {
	if names := [...]string{"granted", "busy", "ask node", "elsewhere", "not found"}; int(v) < len(names) {
		return names[v]
	}
	return "unknown"
}

// Effects.
type (
	// Fetch asks a peer for its state. The answer is [Fetched] or [FetchFailed] with the same ID, within Timeout.
	// Several fetches of one peer may be under way; each is on its own.
	Fetch struct {
		Peer      string // the entry
		Place     int    `json:"-"` // of the entry among [Config.Peers]: with it the entry need not be searched for
		ID        uint64
		*Question         // immutable; the same for as long as it says the same
		Timeout   Instant // then it may be given up; a later answer counts for nothing
	}

	// Reply answers [StateAsked].
	Reply struct {
		Token uint64
		State *State // belongs to the receiver
	}

	// StartCapture starts to capture a stream. It is never captured here already.
	StartCapture struct {
		Stream string
		Epoch  uint64 // greater than that of any earlier owner that this node knows of
		Why    Reason
		Of     string // the home node, for Spill
		Media  Media  // the last numbering known, with its age now; zero if none
	}

	// StopCapture ends a capture, or sends a publisher away. Effect to follow: [CaptureStopped].
	StopCapture struct {
		Stream string
		To     string // the node that has it now; empty if none
		Why    StopReason

		// Now says that the source allows one connection, so that it must not be kept until To has taken over.
		Now bool
	}

	// AskRelease asks a peer to let go of a stream so that it can be captured here. The answer is [Released]; a
	// refusal, and no answer, count for nothing.
	AskRelease struct {
		Stream string
		Node   string
	}

	// ReleaseAnswer answers [ReleaseAsked].
	ReleaseAnswer struct {
		Token    uint64
		Released bool // otherwise this node keeps the stream
	}

	// PublishAnswer answers [PublishWanted].
	PublishAnswer struct {
		Token   uint64
		Verdict Verdict
		Node    string // for AskNode and Elsewhere
		Epoch   uint64 // for Granted

		// Media, for Granted, is the last numbering of another node that had the stream, with its age now; zero if there is
		// none.
		Media Media
	}

	// WakeAt asks for a [Tick] at an instant. It replaces every earlier one.
	WakeAt struct{ At Instant }

	// Drained says that nothing is left to hand over, or that no node could take the streams that are left. Alone says that
	// no other node lives and stays, so that clients cannot be sent anywhere either.
	Drained struct {
		Left  int
		Alone bool
	}
)

func (Fetch) effect()         {}
func (Reply) effect()         {}
func (StartCapture) effect()  {}
func (StopCapture) effect()   {}
func (PublishAnswer) effect() {}
func (WakeAt) effect()        {}
func (Drained) effect()       {}
func (AskRelease) effect()    {}
func (ReleaseAnswer) effect() {}
func (Note) effect()          {}
