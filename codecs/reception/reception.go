// Package reception holds what a source tells of its input beside the media: the tracks that it leaves out, the conditions in
// which the input is, and counts of what was damaged, lost or repaired.
//
// It knows no protocol and no clock. Sources tell a [Report]; who keeps what was told, and how an input is judged by it, is for
// others to say.
package reception

// A Report is told by a source what of its input does not become media. A source calls it from the goroutine that writes the media;
// what the report does with it may be read elsewhere. Telling the same twice changes nothing but counts.
type Report interface {
	// LeaveOut says which tracks are left out from now on, in the place of those that were told before. The caller does not
	// change the list afterwards.
	LeaveOut(tracks []LeftOut)

	// Meet says that the input is in a condition, for a reason that an operator can act on. An empty reason ends the condition.
	Meet(c Condition, reason string)

	// Count adds to a counter. why, which may be nil, says of what was damaged or lost how it was.
	Count(c Counter, n int, why error)
}

// A LeftOut is a track of an input that does not become a track of the stream.
type LeftOut struct {
	Track  string // as the input names it: "PID 257", "medium 2"
	Codec  string // its name; empty if it is not known
	Reason string // a sentence without a full stop
}

// A Condition is something that keeps an input from being as it should.
type Condition uint8

// The conditions of an input, the worst first. Sources report the first group; a [Judge] finds the others by what arrives.
const (
	Scrambled   Condition = iota + 1 // the media is encrypted, and there is no key
	Unavailable                      // a part of the input cannot be had, such as a segment, and is asked for again
	Undecodable                      // pictures come without parameter sets
	Stalled                          // the timestamps of a track stand still

	NoMedia      // nothing comes
	NoPicture    // there was video, and only sound comes
	NoKeyPicture // pictures come, and none from which a viewer can start
	SilentTrack  // a track of sound has fallen silent
	Continuity   // packets or segments are lost
	Gaps         // the timestamps of a track leave something out
	Jittering    // media comes later than its timestamps say
)

// words are what pages show as the state of an input in a condition.
var words = [...]string{
	Scrambled: "scrambled", Unavailable: "unavailable", Undecodable: "undecodable", Stalled: "stalled",
	NoMedia: "no media", NoPicture: "no picture", NoKeyPicture: "no key picture", SilentTrack: "silent",
	Continuity: "continuity errors", Gaps: "gaps", Jittering: "jittering",
}

// String gives the word that pages and logs show; it is empty for no condition.
func (c Condition) String() string {
	if int(c) < len(words) {
		return words[c]
	}
	return ""
}

// A Counter counts events of one kind.
type Counter uint8

// The counters of an input.
const (
	ContinuityErrors Counter = iota // packets that were lost before they arrived, by continuity counters or sequence numbers
	Damaged                         // packets, frames or messages that could not be read
	RepairedTimes                   // timestamps that were missing, stepped back, jumped or drifted
	SkippedUnits                    // access units that were not used, such as pictures before the first that can be decoded
	LostSegments                    // segments that were skipped
	Reconnects                      // connections that were made anew within one pull
	MissingMedia                    // places where timestamps leave something out
	Counters                        // how many counters there are
)

// names are what the API calls the counters.
var names = [Counters]string{
	ContinuityErrors: "continuity_errors", Damaged: "damaged", RepairedTimes: "repaired_times", SkippedUnits: "skipped_units",
	LostSegments: "lost_segments", Reconnects: "reconnects", MissingMedia: "gaps",
}

// String gives the name by which the API and the metrics show the counter.
func (c Counter) String() string { return names[c] }

// Discard is a report that keeps nothing.
var Discard Report = discard{}

type discard struct{}

func (discard) LeaveOut([]LeftOut)        {}
func (discard) Meet(Condition, string)    {}
func (discard) Count(Counter, int, error) {}

// A Record is a [Report] that keeps what it is told. The zero Record has been told nothing. It belongs to one goroutine.
type Record struct {
	LeftOut    []LeftOut
	Conditions map[Condition]string // those that last, with their reasons
	Counts     [Counters]uint64
	Whys       [Counters]error // the first that was given with each counter, or nil
}

// LeaveOut implements [Report].
func (r *Record) LeaveOut(tracks []LeftOut) { r.LeftOut = tracks }

// Meet implements [Report].
func (r *Record) Meet(c Condition, reason string) {
	if reason == "" {
		delete(r.Conditions, c)
		return
	}
	if r.Conditions == nil {
		r.Conditions = map[Condition]string{}
	}
	r.Conditions[c] = reason
}

// Count implements [Report].
func (r *Record) Count(c Counter, n int, why error) {
	r.Counts[c] += uint64(n)
	if r.Whys[c] == nil {
		r.Whys[c] = why
	}
}

// Tell tells another report what this one has been told.
func (r *Record) Tell(to Report) {
	to.LeaveOut(r.LeftOut)
	for c, reason := range r.Conditions {
		to.Meet(c, reason)
	}
	for c, n := range r.Counts {
		if n > 0 {
			to.Count(Counter(c), int(n), r.Whys[c])
		}
	}
}
