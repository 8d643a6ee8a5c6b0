package control

import "fmt"

// A Note is an effect: something that the log, the journal or a counter should have.
type Note struct {
	Kind   NoteKind
	Node   string // a peer, by name or, before it has one, by entry
	Stream string
	Detail string
	Age    Instant
}

// A NoteKind says what a [Note] is about. In scenarios, traces and journals it is a word.
type NoteKind uint8

// Kinds of notes. Those that are faults of a configuration come once, not at every poll.
const (
	NoteWarm       NoteKind = iota + 1 // Age: since boot
	NoteNamed                          // Node: the name
	NoteOverslept                      // Age: for how long
	NoteSuspended                      // Age: for how long
	NoteAlive                          // Node
	NoteStale                          // Node; Age: since the newest evidence
	NoteDown                           // Node; Age: since its connections broke
	NoteVouched                        // Node; Detail: who has heard it
	NoteRestarted                      // Node
	NoteRefused                        // Node; Detail: why
	NoteDrifted                        // Node
	NoteAlias                          // Node; Detail: the entry
	NoteLate                           // Node
	NoteOld                            // Node
	NoteBumped                         // Node
	NoteUnknownPin                     // Stream; Detail: the pin, and the nearest name that is known
	NoteClaimed                        // Stream; Detail: the reason
	NoteRunning                        // Stream
	NoteAsked                          // Stream; Node: who has it
	NoteYielded                        // Stream; Node: who has it now; Detail: the reason
	NoteFailed                         // Stream; Detail: why
	NoteSilent                         // Stream
	NoteRebalanced                     // Stream; Node, which has more streams
	NoteOverfull
	NoteRoom
	NoteLeftOut    // Node: this one
	NoteListed     // Node: this one
	NoteUnlisted   // Node: which asks and is in no peer entry
	NoteNameTaken  // Node: the entry; Detail: the name
	NoteMisnamed   // Node: this one; Detail: the name that its peer entry gives
	NoteUnexpected // Stream; Detail: which event
	NoteNotApplied // Detail: which part
)

// Levels of notes, in the numbers of log/slog.
const (
	debug = -4
	info  = 0
	warn  = 4
)

// noteKinds say of each kind its word, and the level and the sentence of its line in the log.
var noteKinds = [...]struct {
	word  string
	level int
	text  string
}{
	NoteWarm:       {"warm", info, "streams may be claimed from now on"},
	NoteNamed:      {"named", info, "the name that this node announces is final"},
	NoteOverslept:  {"overslept", warn, "this node did not run for a while"},
	NoteSuspended:  {"suspended", info, "the machine was suspended for a while"},
	NoteAlive:      {"peer alive", info, "peer alive"},
	NoteStale:      {"peer stale", warn, "peer stale: no node has heard it"},
	NoteDown:       {"peer down", warn, "peer down: its process has ended"},
	NoteVouched:    {"peer vouched", warn, "a peer refuses connections, and another node hears it"},
	NoteRestarted:  {"peer restarted", info, "peer restarted"},
	NoteRefused:    {"peer refused", warn, "peer refused: its state cannot be fetched"},
	NoteDrifted:    {"peer drifted", warn, "peer drifted: its configuration differs"},
	NoteAlias:      {"peer alias", warn, "peer alias: two entries lead to one node"},
	NoteLate:       {"late reply", debug, "late reply: its fetch was given up"},
	NoteOld:        {"old reply", debug, "old reply: newer ones are known"},
	NoteBumped:     {"inc raised", info, "incarnation raised above the one that a peer remembers"},
	NoteUnknownPin: {"unknown pin", warn, "unknown pin: no node has that name"},
	NoteClaimed:    {"claimed", info, "stream claimed"},
	NoteRunning:    {"running", info, "capture running"},
	NoteAsked:      {"release asked", info, "release asked of the owner"},
	NoteYielded:    {"yielded", info, "stream yielded"},
	NoteFailed:     {"capture failed", warn, "capture failed"},
	NoteSilent:     {"publisher silent", info, "publisher silent: it is connected and has sent nothing for a while"},
	NoteRebalanced: {"rebalanced", info, "stream rebalanced: it comes here from a node that has more"},
	NoteOverfull:   {"all full", warn, "all nodes are full, and the least loaded ones have taken more than their limits"},
	NoteRoom:       {"room again", info, "not all nodes are full any more"},
	NoteLeftOut:    {"left out", warn, "left out: no live peer has this node in its file, so it hands its streams over"},
	NoteListed:     {"listed", info, "a live peer has this node in its file again"},
	NoteUnlisted:   {"unlisted", warn, "a node asks for the state that no peer entry of the file leads to"},
	NoteNameTaken:  {"name taken", warn, "two processes announce one name"},
	NoteMisnamed:   {"misnamed", info, "this node announces another name than its peer entry gives; `name` in the block of the peer tells it to weir sim"},
	NoteUnexpected: {"unexpected", debug, "unexpected event"},
	NoteNotApplied: {"not applied", warn, "a change of the configuration needs a restart"},
}

// NoteKinds are all kinds, in their order.
func NoteKinds() (all []NoteKind) {
	for k := NoteWarm; int(k) < len(noteKinds); k++ {
		all = append(all, k)
	}
	return all
}

// String is the word.
func (k NoteKind) String() string { return noteKinds[k].word }

// Level is that of the line in the log, in the numbers of log/slog.
func (k NoteKind) Level() int { return noteKinds[k].level }

// Text is the message of the line in the log: the same for every note of the kind.
func (k NoteKind) Text() string { return noteKinds[k].text }

// MarshalText writes the word.
func (k NoteKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the word.
func (k *NoteKind) UnmarshalText(b []byte) error {
	for _, kind := range NoteKinds() {
		if kind.String() == string(b) {
			*k = kind
			return nil
		}
	}
	return fmt.Errorf("%q is no kind of note", b)
}
