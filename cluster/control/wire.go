package control

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"weir/protocols"
)

// Protocol is the version of [State] that this build speaks. A node understands its predecessor's, so that a group is
// upgraded node by node; fields that a version does not know are ignored.
const (
	Protocol    = 1
	minProtocol = 1
)

// State is what a node answers when a peer asks for its state. Fields up to Ages are in every answer; the rest is left
// out when Same says that the asker has it already. Only durations are in it, no instants.
type State struct {
	V        int    `json:"v"`
	Node     string `json:"node"`     // announced name
	Instance string `json:"instance"` // of the process
	Inc      uint64 `json:"inc"`      // orders instances
	Seq      uint64 `json:"seq"`      // orders the answers of one instance
	Naming   bool   `json:"naming,omitempty"`
	Warm     bool   `json:"warm,omitempty"`
	Draining bool   `json:"draining,omitempty"`
	Version  uint64 `json:"version"`
	Same     bool   `json:"unchanged,omitempty"`
	Load     Load   `json:"load"`
	Aside    bool   `json:"aside,omitempty"` // another process has its name by right: it takes nothing, and does not count
	Busy     bool   `json:"busy,omitempty"`  // its processors are at their limit: it starts nothing new
	Ages     []Age  `json:"ages,omitempty"`

	// Numberings are those that the asker wants of itself, if this node does not know it by the name that it has now, so that no age can
	// tell them.
	Numberings []Claim `json:"numberings,omitempty"`

	Hash     string   `json:"config_hash,omitempty"`
	Channels int      `json:"channel_limit,omitempty"`
	Advert   Advert   `json:"advert,omitzero"`
	ListHash string   `json:"list_hash,omitempty"`
	List     []Listed `json:"list,omitempty"` // left out if the asker has seen ListHash
	Claims   []Claim  `json:"claims,omitempty"`

	// Names are left out if the asker has seen NamesHash. A node of an earlier version tells no hash, and always the names.
	Names     []EntryName `json:"names,omitempty"`
	NamesHash string      `json:"names_hash,omitempty"`

	Wants []string `json:"wants,omitempty"` // on-demand streams that its clients want

	// Base, if it is not zero, is the version that the asker has seen: Claims are then those that have changed since,
	// and Gone the streams of those that are over.
	Base uint64   `json:"base,omitempty"`
	Gone []string `json:"gone,omitempty"`
}

// Seen says what the asker has of a peer's state. Its zero value asks for everything.
type Seen struct {
	Instance string `json:"instance,omitempty"`
	Inc      uint64 `json:"inc,omitempty"`
	Version  uint64 `json:"version,omitempty"`
	List     string `json:"list,omitempty"`  // hash of a list of streams that the asker has, be it its own
	Names    string `json:"names,omitempty"` // hash of its names
}

// Load is what a node carries. It changes with every answer and is outside the version.
type Load struct {
	Clients   int   `json:"clients,omitempty"`
	Captures  int   `json:"captures,omitempty"`
	OutBits   int64 `json:"out,omitempty"`       // per second
	Interface int   `json:"interface,omitempty"` // share of the network interface, in permille
	CPU       int   `json:"cpu,omitempty"`       // permille of all processors
	Memory    int   `json:"memory,omitempty"`    // permille of the machine's
	Uptime    int64 `json:"up,omitempty"`        // seconds
	Chosen    int   `json:"sent,omitempty"`      // clients that it sends to servers of balancers, per second
	Age       int64 `json:"age,omitempty"`       // ms since all this was measured; set when it is sent
}

// Advert is what a node tells of itself so that others, and their clients, can reach it.
type Advert struct {
	Build   string `json:"build,omitempty"`
	Remote  string `json:"remote,omitempty"` // host:port of protoactor's remote; the host may be empty
	SysID   string `json:"sys_id,omitempty"` // of the actor system
	API     string `json:"api,omitempty"`
	Public  string `json:"public,omitempty"`
	Private string `json:"private,omitempty"`
	protocols.Ports
}

// An Age is direct evidence that the answering node has of a third one. It is passed on once: no node relays evidence that
// was relayed to it.
type Age struct {
	Node     string    `json:"p"`
	Instance string    `json:"i"`
	Inc      uint64    `json:"n"`
	Seq      uint64    `json:"s"`
	Age      int64     `json:"ms"`                // rounded up
	Returns  int       `json:"returns,omitempty"` // how often it has come back; told to the node itself only
	Since    Testimony `json:"since,omitempty"`   // of a node that the asker doubts
	Full     bool      `json:"full,omitempty"`    // Claims holds all claims of the node: the asker wanted them
	Claims   []Claim   `json:"claims,omitempty"`  // as of Seq; of the asker itself only the numberings it wants
}

// A Testimony says whether a node has heard another one since the asker's connections to that broke: by an answer to a question
// that was asked later. Empty means that the node does not say, because its version is older.
type Testimony string

// Testimonies.
const (
	HeardSince   Testimony = "heard"
	NothingSince Testimony = "nothing" // its own question, asked since then, has failed
	AskingSince  Testimony = "asking"  // its question has no answer yet
)

// A Doubt asks for the [Testimony] about a node.
type Doubt struct {
	Node string `json:"node"`
	Age  int64  `json:"ms"` // since the asker's connections to it broke, rounded down
}

// A Listed stream is one that a node's file has.
type Listed struct {
	Name      string `json:"n"`
	Pin       string `json:"pin,omitempty"`
	Published bool   `json:"pub,omitempty"`
	Clustered bool   `json:"cl,omitempty"`
	OnDemand  bool   `json:"od,omitempty"`

	// Restreamed streams come from an origin outside the group.
	Restreamed bool `json:"re,omitempty"`
}

// A ClaimState says how far a claim is.
type ClaimState string

// States of a claim. One that this version does not know counts as Starting: no node takes the stream, and none yields.
const (
	ClaimStarting ClaimState = "starting"
	ClaimRunning  ClaimState = "running"
	ClaimFailed   ClaimState = "failed" // counts as no claim; told so that pages can show it
	ClaimDraining ClaimState = "draining"
	ClaimStopping ClaimState = "stopping" // it ends; its source allows no second connection before that
)

// A Reason says why a node has a stream, in the words of the streams page.
type Reason string

// Reasons of a claim.
const (
	Pinned        Reason = "pinned"
	Home          Reason = "home"
	Spill         Reason = "spill"
	Fallback      Reason = "fallback"
	OnDemand      Reason = "on demand"
	FullElsewhere Reason = "full elsewhere" // its home lives and has as much as it may
	PublishedHere Reason = "published here"
	NotClustered  Reason = "not clustered"
)

// A Claim says that a node captures a stream, or tries to.
type Claim struct {
	Stream string     `json:"stream"`
	State  ClaimState `json:"state"`
	Since  int64      `json:"since_age_ms"`
	Epoch  uint64     `json:"epoch"`
	Why    Reason     `json:"why,omitempty"`
	Of     string     `json:"of,omitempty"` // the home node, for Spill

	// Pin and Home are what the claimant takes for the first of the static order. Two claimants that disagree about
	// them settle by score alone, so that two homes cannot both refuse to yield (R8, stream by stream).
	Pin  string `json:"pin,omitempty"`
	Home string `json:"home,omitempty"`

	Solo   bool   `json:"solo,omitempty"`   // not clustered: it keeps no other node from capturing
	Retry  bool   `json:"retry,omitempty"`  // starting again after a failure, or failed again
	Silent bool   `json:"silent,omitempty"` // running, and its publisher has sent nothing for a while
	Detail string `json:"detail,omitempty"` // the last failure
	Media  *Media `json:"media,omitempty"`

	// Supersedes are the claims of other nodes that are over because this one was granted. It is a pointer so that claims
	// can be compared.
	Supersedes *[]Superseded `json:"supersedes,omitempty"`
}

// A Superseded is a claim that is over although its node may seem to be alive; see [Supersession].
type Superseded struct {
	Node     string `json:"p"`
	Instance string `json:"i"`
	Inc      uint64 `json:"n"`
	Seq      uint64 `json:"s"`  // the newest answer that was known as the other publisher was granted the name
	Age      int64  `json:"ms"` // since that grant, rounded up
}

// A Question is what a node tells the peer whose state it asks for, so that the answer tells no more than is new to it.
type Question struct {
	Seen Seen

	// Want names peers whose claims the asker does not get from themselves.
	Want []string

	// Late names peers that the asker has not heard for longer than the interval of its polls. Of these the answer tells
	// when its node has heard them. Nil stands for all peers: the asker is of a version that does not name them.
	Late []string

	// Unlisted says that no peer entry in the file of the node that is asked leads to the asker, as the asker has found for
	// a while.
	Unlisted bool

	// Doubt names peers whose connections have broken and are refused. The answer says whether its node has heard them since.
	Doubt []Doubt

	// News says that the asker has started streams for which viewers wait, and is best asked at once.
	News bool
}

// equal says whether two questions are the same in every byte of their form in a journal.
func (q *Question) equal(p *Question) bool {
	return q.Seen == p.Seen && q.Unlisted == p.Unlisted && q.News == p.News && identical(q.Want, p.Want) &&
		identical(q.Late, p.Late) && identical(q.Doubt, p.Doubt)
}

// identical says whether two lists are the same, where none is not the same as an empty one.
func identical[T comparable](a, b []T) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

// Media is an anchor of a stream's segment numbering and its rate; from it and its age any node knows about
// which number is current. It is sent anew only when the numbering breaks.
type Media struct {
	Sequence      int64  `json:"msn"`           // of the anchor segment
	Discontinuity int64  `json:"dseq"`          //
	Config        string `json:"cfg,omitempty"` // hash of the decoder configuration
	Date          int64  `json:"pdt,omitempty"` // the anchor's program date-time, ms of the Unix epoch: media, not evidence
	Period        int64  `json:"period_ms"`     // of a segment
	Age           int64  `json:"age_ms"`        // since the anchor segment was begun
}

// An EntryName says which announced name a peer entry leads to, from the answering node's own contact with it.
type EntryName struct {
	Entry string `json:"entry"`
	Node  string `json:"node"`           // empty: its file has the entry, and it has not met the node yet
	List  string `json:"list,omitempty"` // hash of its list
}

// Limits of what a peer may send. They are far above what a group of hundreds of nodes has.
const (
	maxName    = 255     // bytes of a name
	maxText    = 1024    // bytes of a detail, a URL
	maxNodes   = 4096    // ages, names
	maxStreams = 500_000 // listed, claimed
	maxAge     = 1 << 40 // ms, about 35 years
)

var errTooMany = errors.New("too many entries")

// Check says whether the state keeps its limits. Control refuses one that does not, as malformed.
func (s *State) Check() error {
	if s == nil {
		return errors.New("no state")
	}
	if s.V < minProtocol {
		return fmt.Errorf("protocol version %d, want %d or later", s.V, minProtocol)
	}
	if s.Node == "" || s.Instance == "" {
		return errors.New("state without node or instance")
	}
	if len(s.Ages) > maxNodes || len(s.Names) > maxNodes || len(s.List) > maxStreams || len(s.Claims) > maxStreams ||
		len(s.Numberings) > maxStreams {
		return errTooMany
	}
	if l := &s.Load; s.Channels < 0 || min(l.Clients, l.Captures, l.Chosen) < 0 || l.OutBits < 0 || l.Age < 0 || l.Age > maxAge {
		return errors.New("a negative limit or load, or one too old")
	}
	if err := checkNames(maxName, s.Node, s.Instance, s.Hash, s.ListHash, s.NamesHash); err != nil {
		return err
	}
	a := &s.Advert
	if err := checkNames(maxText, a.Build, a.Remote, a.SysID, a.API, a.Public, a.Private); err != nil {
		return fmt.Errorf("advert: %w", err)
	}
	for i := range s.Ages {
		if err := s.Ages[i].check(); err != nil {
			return fmt.Errorf("age of %q: %w", s.Ages[i].Node, err)
		}
	}
	for i := range s.List {
		if err := checkNames(maxName, s.List[i].Name, s.List[i].Pin); err != nil {
			return fmt.Errorf("listed stream %d: %w", i, err)
		}
	}
	for i := range s.Names {
		if err := checkNames(maxText, s.Names[i].Entry, s.Names[i].Node, s.Names[i].List); err != nil {
			return fmt.Errorf("known name %d: %w", i, err)
		}
	}
	if len(s.Gone) > maxStreams || len(s.Wants) > maxStreams {
		return errTooMany
	}
	for _, names := range [][]string{s.Gone, s.Wants} {
		if err := checkNames(maxName, names...); err != nil {
			return fmt.Errorf("gone or wanted: %w", err)
		}
	}
	if err := checkClaims(s.Numberings); err != nil {
		return fmt.Errorf("numberings: %w", err)
	}
	return checkClaims(s.Claims)
}

func (a *Age) check() error {
	if err := checkNames(maxName, a.Node, a.Instance); err != nil {
		return err
	}
	if a.Node == "" || a.Instance == "" || a.Age < 0 || a.Age > maxAge {
		return errors.New("no node, no instance, or no age")
	}
	if a.Returns < 0 {
		return errors.New("a negative number of returns")
	}
	if len(a.Claims) > maxStreams {
		return errTooMany
	}
	return checkClaims(a.Claims)
}

func checkClaims(claims []Claim) error {
	for i := range claims {
		c := &claims[i]
		if err := checkNames(maxName, c.Stream, string(c.State), string(c.Why), c.Of, c.Pin, c.Home); err != nil {
			return fmt.Errorf("claim %d: %w", i, err)
		}
		if c.Stream == "" || c.Since < 0 || c.Since > maxAge || len(c.Detail) > maxText {
			return fmt.Errorf("claim %d: no stream, no age, or too long a detail", i)
		}
		if m := c.Media; m != nil {
			if m.Age < 0 || m.Age > maxAge || m.Period < 0 || m.Period > maxAge || len(m.Config) > maxName {
				return fmt.Errorf("claim %d: media out of range", i)
			}
		}
		if err := c.checkSuperseded(); err != nil {
			return fmt.Errorf("claim %d: superseded: %w", i, err)
		}
	}
	return nil
}

func (c *Claim) checkSuperseded() error {
	if c.Supersedes == nil {
		return nil
	}
	if len(*c.Supersedes) > maxSuperseded {
		return errTooMany
	}
	for _, v := range *c.Supersedes {
		if err := checkNames(maxName, v.Node, v.Instance); err != nil {
			return err
		}
		if v.Node == "" || v.Age < 0 || v.Age > maxAge {
			return errors.New("no node, or no age")
		}
	}
	return nil
}

func checkNames(limit int, names ...string) error {
	for _, s := range names {
		if s == "" {
			continue
		}
		if len(s) > limit {
			return fmt.Errorf("a name of %d bytes, want at most %d", len(s), limit)
		}
		if !proper(s) {
			return fmt.Errorf("name %q has control characters or is no UTF-8", s)
		}
	}
	return nil
}

// proper says whether a text is UTF-8 without control characters.
func proper(s string) bool {
	ascii := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	return ascii || utf8.ValidString(s)
}

// normalList sorts a list and drops what is there twice.
func normalList(list []Listed) []Listed {
	slices.SortStableFunc(list, func(a, b Listed) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(list, func(a, b Listed) bool { return a.Name == b.Name })
}

// hashList identifies a normal list.
func hashList(list []Listed) string {
	h := newDigest()
	for _, l := range list {
		flags := ""
		if l.Published {
			flags += "p"
		}
		if l.Clustered {
			flags += "c"
		}
		if l.OnDemand {
			flags += "d"
		}
		if l.Restreamed {
			flags += "r"
		}
		h.add(l.Name)
		h.add(l.Pin)
		h.add(flags)
	}
	return h.text(len(list))
}

// hashNames identifies what a node knows of its peer entries.
func hashNames(names []EntryName) string {
	h := newDigest()
	for i := range names {
		h.add(names[i].Entry)
		h.add(names[i].Node)
		h.add(names[i].List)
	}
	return h.text(len(names))
}

// A digest is FNV-1a of texts, with their lengths so that they cannot run together.
type digest uint64

func newDigest() digest { return 14695981039346656037 }

func (h *digest) add(s string) {
	x := (*h ^ digest(len(s))) * 1099511628211
	for i := range len(s) {
		x = (x ^ digest(s[i])) * 1099511628211
	}
	*h = x
}

// text is the digest of so many things.
func (h digest) text(count int) string {
	return strconv.FormatUint(uint64(h), 16) + "." + strconv.Itoa(count)
}

// ageMS turns the time since an instant into whole milliseconds, rounded up so that nothing looks younger than
// it is.
func ageMS(now, since Instant) int64 {
	return int64(max(0, now-since)+Millisecond-1) / int64(Millisecond)
}
