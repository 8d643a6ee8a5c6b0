package stream

import (
	"time"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

// A Spec is what the configuration says of one stream.
type Spec struct {
	Name   string
	Inputs []Input

	// Published says that a publisher may bring the stream's media.
	Published bool

	// Takeover says when that publisher gives way to another one.
	Takeover Takeover

	// Hub overrides the sizes that all hubs share, where its fields are not zero. The sizes of a ring are those with which the
	// stream began; the tick may change.
	Hub hub.Config
}

// An Input is one configured input of a stream that this node can run by itself.
type Input struct {
	Config input.Config // Index and Hub are filled in by the stream; a Rank of zero is the place in the list

	// Key is what the input's source is made of, beside what Config says: two with the same are the same.
	Key string
}

// Messages to the supervisor of all streams. It hands them to the stream that they name, and makes that stream if it does
// not exist.
type (
	// Configure replaces the specifications of all streams. A stream whose specification did not change is not touched. A
	// stream whose specification changed keeps its hub and its viewers; its own inputs end if they are others now, and its
	// publisher is dismissed if the stream takes none any more. The specification without a name is that of the streams which
	// no other names, such as those that are relayed.
	Configure struct{ Specs []Spec }

	// Amend is [Configure] for some streams: those of Specs get other specifications, and those of Gone have none any more. It
	// costs no more if there are many other streams.
	Amend struct {
		Specs []Spec
		Gone  []string
	}

	// Capture starts the stream's own inputs, or lets a publisher in.
	Capture struct {
		Stream string

		// Least, if not nil, says that another node has made segments. This node then makes some from the beginning of
		// the capture. Least returns a number above all that the other node can have used when the given time has passed
		// since this message was made. Any goroutine may call it. A stream that is a function of time ignores it, because
		// its numbers follow from the time.
		Least func(later time.Duration) int64

		// From is the live node that captures the stream until it runs here; this node continues its segments. Empty for
		// none.
		From string
	}

	// Succeed says that another node has made segments of a stream that is about to get a publisher here. Least is as in
	// [Capture].
	Succeed struct {
		Stream string
		Least  func(later time.Duration) int64
	}

	// HandOver says that the node To makes the stream's segments from now on. Reply is called once, by any goroutine,
	// when this node makes no more and the stream's store can be read; with false if there are no segments to hand over.
	// If the stream is not released soon after, this node goes on making segments.
	HandOver struct {
		Stream, To string
		Reply      func(handed bool)
	}

	// Release ends the capture because the node To has it now. Viewers who are here are kept: the stream follows the
	// new owner, and the inputs go on until its media has arrived. To is empty when nobody else has the stream. Now
	// ends the inputs at once, for a source that allows one connection. Why is what the publisher is told, if there is one.
	Release struct {
		Stream, To string
		Now        bool
		Why        error
	}

	// Want asks for a stream on behalf of a viewer and is answered with it. A stream that is not captured here then
	// follows its owner. Pack asks for segments as well, which are made where the stream is captured. External says that
	// no node captures the stream, because it is another system's; its segments are made where they are wanted. The
	// channel must have room for one answer.
	Want struct {
		Stream         string
		Pack, External bool
		Reply          chan<- *Live
	}

	// Publish asks to bring the media of a stream.
	Publish struct {
		Stream  string
		Session string // of the publisher, for logs
		Reply   *act.Reply[Published]
	}

	// GiveWay asks the publisher of a stream to give way to another one. Reply is called once, by any goroutine, with true
	// if the stream has no publisher now. The control plane has been told by then. Gone is the session of the publisher that
	// has given way; empty for none.
	GiveWay struct {
		Stream string
		Reply  func(free bool, gone string)
	}

	// Restart begins the inputs of a stream anew, and ends its publisher. Its viewers stay.
	Restart struct{ Stream string }

	// Kick ends the publisher of a stream, because of Why.
	Kick struct{ Stream, Why string }
)

// Published answers [Publish].
type Published struct {
	Publication listen.Publication
	Err         error
}

// A Status tells the control plane the state of a capture.
type Status struct {
	Stream string
	State  State
	Err    error // why it failed
}

// State is the state of a capture.
type State uint8

// The states of a capture. A stopped one that is started again begins anew.
const (
	Starting State = iota + 1
	Running        // viewers get media of its inputs
	Failed         // no media; it tries again by itself
	Stopped
	Unpublished // its publisher has left
	Silent      // its publisher is there and sends nothing; Running follows when the publisher sends again
)

// Live is a stream as goroutines beside the actors see it.
type Live struct {
	Hub   *hub.Hub
	Store *cmaf.Store // empty until segments have been asked for, here or at an earlier owner
}

// Messages between a stream's holder and its core.
type (
	recall   struct{}              // core → holder: asks for the facts
	recalled struct{ facts facts } // the answer
	obey     struct {              // core → holder
		order
		role Role
		took uint64 // messages of the holder's parent that the core had dealt with
	}
	capture struct {
		least func(later time.Duration) int64
		from  string
	}
	release struct {
		to  string
		now bool
		why error
	}
	succeed struct {
		least func(later time.Duration) int64
	}
	want      struct{}
	configure struct{ spec *Spec } // immutable
	publish   struct {
		session string
		reply   *act.Reply[Published]
	}
	admitted struct{ p *publication } // core → holder: there is a publisher
	arrived  struct{ p *publication } // its media is what viewers get
	left     struct{ p *publication }
	heard    struct{ p *publication } // its publisher, of which the control plane was told that it is silent, sends again
	giveWay  struct{ reply func(free bool, gone string) }
	gave     struct { // core → holder: the publisher has given way
		session string
		replies []func(free bool, gone string)
	}
	restart struct{}
	kick    struct{ why string }
	unpack  struct{ of *holder } // timer: have segments of an external stream been asked for lately?
	check   struct{ of *core }   // timer, of that incarnation: does the stream still have viewers?
)

// A dispensable stream has neither viewers nor a publisher and is not captured here. Its parent stops it, unless the
// parent has sent it messages that the core had not dealt with when it decided.
type dispensable struct {
	name string
	took uint64
}
