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

	// Hub overrides the sizes that all hubs share, where its fields are not zero.
	Hub hub.Config
}

// An Input is one configured input of a stream that this node can run by itself.
type Input struct {
	Config input.Config // Index and Hub are filled in by the stream; a Rank of zero is the place in the list

	// Key is what the input's source is made of, beside what Config says: two with the same are the same.
	Key string
}

// Messages to the supervisor of all streams; it hands them to the stream that they name, which it makes if need be.
type (
	// Configure replaces the specifications of all streams. A stream whose specification did not change is not touched.
	Configure struct{ Specs []Spec }

	// Capture starts the stream's own inputs, or lets a publisher in.
	Capture struct {
		Stream string

		// Least, if not nil, says that segments were made elsewhere, so that they are made here from the beginning, and
		// gives a number above all of theirs so long after this message was made. It may be called by any goroutine. It
		// does not matter to a stream that is a function of time, whose numbers are one too.
		Least func(later time.Duration) int64

		// From is the live node that captures the stream until it runs here, whose segments go on here; empty for none.
		From string
	}

	// HandOver says that the node To makes the stream's segments from now on. Reply is called once, by any goroutine,
	// when no more are made here and the stream's store can be read; with false if there are none to be handed over. A
	// stream that is not released soon goes on by itself.
	HandOver struct {
		Stream, To string
		Reply      func(handed bool)
	}

	// Release ends the capture because the node To has it now. Viewers who are here are kept: the stream follows the
	// new owner, and the inputs go on until its media has arrived. To is empty when nobody else has the stream. Now
	// ends the inputs at once, for a source that allows one connection.
	Release struct {
		Stream, To string
		Now        bool
	}

	// Want says that somebody here wants to watch, and is answered with the stream, which then follows its owner if
	// it is not captured here. Pack asks for segments too: they are made where the stream is captured, and, of a External
	// one, which no node captures because it is another system's, where they are wanted. The channel must have room for
	// one answer.
	Want struct {
		Stream         string
		Pack, External bool
		Reply          chan<- *Live
	}

	// Publish asks to bring the media of a stream.
	Publish struct {
		Stream  string
		Session string // who publishes, for logs
		Reply   *act.Reply[Published]
	}

	// Kick ends the publisher of a stream, because of Why.
	Kick struct{ Stream, Why string }
)

// Published answers [Publish].
type Published struct {
	Publication listen.Publication
	Err         error
}

// A Status tells the control plane what a capture is doing.
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
)

// Live is a stream as goroutines beside the actors see it.
type Live struct {
	Hub   *hub.Hub
	Store *cmaf.Store // filled once somebody has asked for segments, here or where the stream was before
}

// Messages between a stream's holder and its core.
type (
	recall   struct{}           // core → holder: who is here?
	recalled struct{ is facts } // the answer
	obey     struct {           // core → holder
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
	}
	want    struct{}
	publish struct {
		session string
		reply   *act.Reply[Published]
	}
	admitted struct{ p *publication } // core → holder: there is a publisher
	arrived  struct{ p *publication } // its media is what viewers get
	left     struct{ p *publication }
	kick     struct{ why string }
	unpack   struct{ of *holder } // time to see whether anybody wants segments of a external stream
	check    struct{ of *core }   // time to see whether anybody needs the stream, for that incarnation
)

// A dispensable stream is one that nobody needs here: its parent stops it, unless it has sent more to the stream
// meanwhile than the stream had taken when it said so.
type dispensable struct {
	name string
	took uint64
}
