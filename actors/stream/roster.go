package stream

import (
	"errors"
	"time"

	"weir/actors/input"
)

// Times of a stream's life, by the environment's clock.
const (
	// linger is how long a stream stays that is neither captured nor watched here.
	linger = 10 * time.Second

	// handover is how long the inputs of a released stream go on while its viewers wait for the new owner's media.
	handover = 3 * time.Second

	// LongestRelease is the longest that a stream goes on being captured that was released in favour of another node. Its viewers get its media meanwhile.
	LongestRelease = handover + checkEvery

	// ShortestIdle and LongestIdle are the shortest and the longest time for which a stream that is not captured here stays after its last
	// viewer has left.
	ShortestIdle = linger - checkEvery
	LongestIdle  = linger + checkEvery

	// packLinger is how long segments of an external stream are made after they were last asked for: longer than any
	// player waits before it asks for the next playlist.
	packLinger = 30 * time.Second

	// maxFails is the number of failures in a row after which an input is given up. When all inputs have been given up,
	// the capture has failed.
	maxFails = 3
)

// relayIndex is the index of the input that follows the stream's owner on another node.
const relayIndex = 0

// A Role is what this node does with a stream.
type Role uint8

// Roles.
const (
	Idle      Role = iota
	Capturing      // its own inputs, or a publisher, bring the media
	Following      // another node's capture is relayed for the viewers here
	Releasing      // another node has it; the inputs here go on until its media has arrived
)

// An order is what the holder has to do.
type order struct {
	start, stop int     // index of an input, or -1
	status      *Status // for the control plane, or nil
	spec        *Spec   // the specification from here on, or nil
	dispensable bool    // as in the message
	dismiss     error   // why the publication is ended; nil: it goes on
}

// A roster is the rules of one stream: which inputs run, and what the control plane is told. It knows neither actors
// nor clocks: instants are passed in.
type roster struct {
	name  string
	ranks []int // of the configured inputs, which have the indices 1 … len(ranks); 1 is the best

	role      Role
	running   map[int]bool  // the inputs that have been started
	active    int           // the input whose media viewers get, or -1
	fails     map[int]int   // failures in a row, by configured input
	present   bool          // a publisher has been admitted
	publisher bool          // and its media is what viewers get
	why       error         // what a publisher is told that has to go
	since     time.Duration // when a role, a viewer or a publisher last gave a reason to keep the stream
}

func newRoster(s Spec) *roster {
	return &roster{name: s.Name, ranks: ranks(s.Inputs), running: map[int]bool{}, active: -1, fails: map[int]int{}, why: errEnded}
}

// ranks are the ranks of a stream's inputs.
func ranks(inputs []Input) []int {
	list := make([]int, len(inputs))
	for i, in := range inputs {
		if list[i] = in.Config.Rank; list[i] == 0 {
			list[i] = i + 1
		}
	}
	return list
}

// restore makes the roster what it was before the core failed.
func (r *roster) restore(f facts, now time.Duration) {
	r.role, r.active, r.since = f.role, f.active, now
	for _, i := range f.running {
		r.running[i] = true
	}
	r.present = f.publication != nil && !f.publication.closed()
	r.publisher = r.present && f.publication.active()
}

func start(i int) order { return order{start: i, stop: -1} }
func stop(i int) order  { return order{start: -1, stop: i} }

func (r *roster) tell(s State, err error) order {
	return order{start: -1, stop: -1, status: &Status{Stream: r.name, State: s, Err: err}}
}

// capture starts the best configured input.
func (r *roster) capture(now time.Duration) (os []order) {
	if r.role == Capturing {
		if r.active > relayIndex || r.publisher {
			return []order{r.tell(Running, nil)}
		}
		return nil
	}
	wasReleasing := r.role == Releasing
	r.role, r.since = Capturing, now
	if wasReleasing { // the inputs never stopped
		if r.running[relayIndex] {
			os = append(os, r.end(relayIndex))
		}
		if r.active > relayIndex {
			return append(os, r.tell(Running, nil))
		}
	}
	if best := r.next(); best > relayIndex {
		os = append(os, r.begin(best)...)
	}
	if len(r.ranks) > 0 {
		os = append(os, r.tell(Starting, nil))
	}
	return os
}

// next is the best configured input that does not run; of equals the first of the list. It is relayIndex if there is
// none.
func (r *roster) next() int {
	best := relayIndex
	for i := 1; i <= len(r.ranks); i++ {
		if !r.running[i] && (best == relayIndex || r.ranks[i-1] < r.ranks[best-1]) {
			best = i
		}
	}
	return best
}

// better says whether configured input i has a better rank than j.
func (r *roster) better(i, j int) bool { return r.ranks[i-1] < r.ranks[j-1] }

// release ends the capture in favour of another node; at once, if its source allows one connection.
func (r *roster) release(now time.Duration, viewers int, elsewhere, atOnce bool) (os []order) {
	if r.role != Capturing && r.role != Releasing {
		if r.present { // it lost the name before its media came
			os = append(os, order{start: -1, stop: -1, dismiss: r.why})
		}
		return append(os, r.tell(Stopped, nil))
	}
	r.since = now
	if atOnce {
		os = r.quit(now)
		if viewers > 0 && !r.present {
			os = append(os, r.want(now)...)
		}
		return os
	}
	if viewers > 0 && elsewhere && !r.publisher {
		r.role = Releasing
		return r.begin(relayIndex)
	}
	os = r.quit(now)
	if viewers == 0 && !elsewhere && r.role == Idle && !r.present {
		os = append(os, order{start: -1, stop: -1, dispensable: true}) // a later viewer must not be given this old media
	}
	return os
}

// quit stops the configured inputs and ends the publication.
func (r *roster) quit(now time.Duration) (os []order) {
	os = r.endOwn()
	r.role, r.since = Idle, now
	if r.running[relayIndex] {
		r.role = Following
	}
	if r.present {
		os = append(os, order{start: -1, stop: -1, dismiss: r.why})
	}
	return append(os, r.tell(Stopped, nil))
}

// endOwn ends all configured inputs.
func (r *roster) endOwn() (os []order) {
	for i := 1; i <= len(r.ranks); i++ {
		if r.running[i] {
			os = append(os, r.end(i))
		}
	}
	clear(r.fails)
	return os
}

// restart ends the configured inputs that run, and begins them anew. The control plane is told nothing: the capture goes on.
func (r *roster) restart() (os []order) {
	for i := 1; i <= len(r.ranks); i++ {
		if r.running[i] {
			os = append(append(os, r.end(i)), r.begin(i)...)
		}
	}
	clear(r.fails)
	return os
}

// want makes a stream that is not captured here follow its owner.
func (r *roster) want(now time.Duration) []order {
	r.since = now
	if r.role != Idle || r.present {
		return nil
	}
	r.role = Following
	return r.begin(relayIndex)
}

// configure puts another specification into effect. If its inputs are others, those of the former one end, and the control
// plane, which is told, starts the stream again. Viewers follow another node's capture until there is media here.
func (r *roster) configure(now time.Duration, viewers int, spec *Spec, sameInputs bool) (os []order) {
	if !sameInputs {
		os = r.endOwn()
		if (r.role == Capturing || r.role == Releasing) && !r.publisher {
			r.role, r.since = Idle, now
			if r.running[relayIndex] {
				r.role = Following
			}
			os = append(os, r.tell(Stopped, nil))
		}
		r.ranks = ranks(spec.Inputs)
	}
	os = append(os, order{start: -1, stop: -1, spec: spec})
	if r.present && !spec.Published {
		os = append(os, order{start: -1, stop: -1, dismiss: errEnded})
	}
	if viewers > 0 {
		os = append(os, r.want(now)...)
	}
	return os
}

// up notes that input i is the active one, and stops inputs of no better rank. Better ones that have failed go on trying:
// they take over at their next random access point.
func (r *roster) up(now time.Duration, i int) (os []order) {
	r.active = i
	delete(r.fails, i)
	switch {
	case r.role == Releasing && i == relayIndex:
		return r.quit(now)
	case i > relayIndex && r.running[relayIndex]:
		os = append(os, r.end(relayIndex))
	}
	for j := 1; j <= len(r.ranks); j++ {
		if j != i && r.running[j] && r.role == Capturing && (i == relayIndex || !r.better(j, i)) {
			os = append(os, r.end(j))
		}
	}
	if i > relayIndex && r.role == Capturing {
		os = append(os, r.tell(Running, nil))
	}
	return os
}

// down notes a failure of input i, which tries again by itself. If no input is active then and all that run have failed,
// the next one is started beside them; the first that brings media becomes active. When every input has failed maxFails
// times, or the only one has been silent, the capture has failed, and the control plane decides which node tries again,
// and when.
func (r *roster) down(now time.Duration, i int, err error) (os []order) {
	if r.active == i {
		r.active = -1
	}
	if i == relayIndex || r.role != Capturing {
		return nil
	}
	r.fails[i]++
	if errors.Is(err, input.ErrSilent) { // it has been waited for long enough already
		r.fails[i] = max(r.fails[i], maxFails)
	}
	if r.active > relayIndex {
		return nil // another input is active
	}
	allFailed := true
	for j := 1; j <= len(r.ranks); j++ {
		if r.running[j] && r.fails[j] == 0 {
			return nil
		}
		allFailed = allFailed && r.fails[j] >= maxFails
	}
	if next := r.next(); next > relayIndex {
		return r.begin(next)
	}
	if !allFailed {
		return nil
	}
	os = r.endOwn()
	r.role, r.since = Idle, now
	return append(os, r.tell(Failed, err))
}

// admitted notes that a publisher has been admitted. Its media has not arrived yet.
func (r *roster) admitted(now time.Duration) { r.present, r.since = true, now }

// arrived notes that viewers get the publisher's media.
func (r *roster) arrived(now time.Duration) (os []order) {
	r.present, r.publisher = true, true
	r.role, r.since = Capturing, now
	if r.running[relayIndex] {
		os = append(os, r.end(relayIndex))
	}
	return append(os, r.tell(Running, nil))
}

// sends notes that the publisher, which was silent, sends again.
func (r *roster) sends() []order {
	if !r.publisher || r.role != Capturing {
		return nil
	}
	return []order{r.tell(Running, nil)}
}

// left notes that the publisher has gone. Viewers follow whoever has the stream next.
func (r *roster) left(now time.Duration, viewers int) []order {
	r.present, r.publisher = false, false
	r.since = now
	if r.role == Capturing {
		r.role = Idle
	}
	os := []order{r.tell(Unpublished, nil)}
	if viewers > 0 {
		os = append(os, r.want(now)...)
	}
	return os
}

// check ends a relay or a stream that has had no viewers for long enough, and a release that has taken too long.
func (r *roster) check(now time.Duration, viewers int) (os []order) {
	switch {
	case r.present:
		r.since = now
		return nil
	case viewers > 0 && r.role != Releasing:
		r.since = now
		if r.role == Idle {
			return r.want(now)
		}
		return nil
	case r.role == Releasing && (now-r.since >= handover || viewers == 0):
		return r.quit(now)
	case r.role == Capturing || r.role == Releasing || now-r.since < linger:
		return nil
	case r.role == Following:
		r.role = Idle
		if r.running[relayIndex] {
			os = append(os, r.end(relayIndex))
		}
	}
	return append(os, order{start: -1, stop: -1, dispensable: true})
}

func (r *roster) begin(i int) []order {
	if r.running[i] {
		return nil
	}
	r.running[i] = true
	return []order{start(i)}
}

func (r *roster) end(i int) order {
	delete(r.running, i)
	if r.active == i {
		r.active = -1
	}
	return stop(i)
}
