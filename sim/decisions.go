package sim

import "time"

// Decisions are all that a run drew at random, in the form in which it can be repeated after the code has changed: the
// faults, and for each message what became of it.
type Decisions struct {
	Steps []Step     // the faults drawn
	Fates []Decision // of messages, by their numbers; those that are missing are drawn
}

// A Decision is what became of one message.
type Decision struct {
	Message uint64 // counted over the run
	Delay   time.Duration
	Lost    bool
	Again   time.Duration // delay of a second copy; 0 if there is none
}
