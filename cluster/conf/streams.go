package conf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/protocols"
)

// The defaults of a stream's directives.
const (
	DefaultLatency        = 40 * time.Millisecond
	DefaultSourceTimeout  = time.Minute
	DefaultClientsTimeout = time.Minute
	DefaultTakeover       = 5 * time.Second

	// hlsSourceTimeout is the default of source_timeout for HLS inputs, whose media comes one segment at a time.
	hlsSourceTimeout = 3 * time.Minute
)

// A Stream is one stream that this node's file configures.
type Stream struct {
	Name   string
	Inputs []Input // in the order of the file; empty only if Disabled

	// SourceTimeout is the source_timeout in the stream's own block. It is the default for the stream's inputs; zero means not
	// given.
	SourceTimeout time.Duration

	// Ingest is nil if every node captures the stream for itself.
	Ingest *Ingest

	Disabled bool
	Title    string // empty means none
	Static   bool   // captured whether or not there is a viewer; otherwise on demand

	// ClientsTimeout is how long an on-demand stream is captured after its last client has left. Negative means that the
	// stream is never stopped once its first client has come. It is zero for a static stream.
	ClientsTimeout time.Duration

	// Restreamed says that the stream comes from a [Source]. It is not set for the streams that the file names.
	Restreamed bool

	Delivery
	Pos Pos
}

// An Ingest says that one node of the group captures a stream.
type Ingest struct {
	CaptureAt string // the preferred node as the file gives it; empty means none

	// Peer is the [Peer.Name] of the entry that CaptureAt means. It is empty if no entry fits: CaptureAt may be this node's own
	// name while the list of peers leaves this node out.
	Peer string

	Handover  Handover
	Partition Partition
	Pos       Pos
}

// Handover says how a stream moves between two live nodes.
type Handover string

// The hand-overs.
const (
	Make  Handover = "make"  // the new node captures before the old one stops
	Break Handover = "break" // the old one stops first, for sources that allow one connection
)

// Partition says what happens to a stream when some nodes of the group cannot reach the others.
type Partition string

// The ways through a partition.
const (
	Available Partition = "available" // each part of the group captures the stream
	Exclusive Partition = "exclusive" // at most one node of the whole group captures the stream
)

// The words of publish_takeover, as [Delivery.Takeover] has them.
const (
	TakeoverAlways time.Duration = -1
	TakeoverNever  time.Duration = -2
)

// Delivery says how viewers get a stream that another node has, and when a publisher gives way to another one. It has the
// settings that a stream takes from the top of the file.
type Delivery struct {
	HLS HLSMode

	// Redirect are the protocols whose viewers are redirected to the owner. Relay are the protocols whose viewers are served
	// by the asked node, which relays the stream. For a protocol in neither list, [protocols.Descriptor.Follows] decides. No
	// protocol is in both lists; both are sorted.
	Redirect, Relay []string

	// Latency is the interval at which a hub wakes its viewers.
	Latency time.Duration

	// Takeover is how long a publisher has sent nothing when another publisher of the stream takes its place, or one of
	// [TakeoverAlways] and [TakeoverNever]. Zero means [DefaultTakeover].
	Takeover time.Duration
}

// HLSMode says who answers for an HLS or DASH stream that another node has.
type HLSMode string

// The modes.
const (
	HLSPlaylist HLSMode = "playlist" // playlists from the asked node, segments from the owner
	HLSRelay    HLSMode = "relay"    // everything from the asked node
	HLSRedirect HLSMode = "redirect" // everything from the owner
)

// Stream gives the stream of that name, or nil. It must not be changed.
func (f *File) Stream(name string) *Stream {
	if i := f.at(name); i >= 0 {
		return &f.Streams[i]
	}
	if f.opened != nil && f.opened(name) {
		if s, ok := f.Open(name, true); ok {
			return &s
		}
	}
	return nil
}

// Lists says whether a stream of that name is in Streams.
func (f *File) Lists(name string) bool { return f.at(name) >= 0 }

// at is the index of a stream in Streams, or -1.
func (f *File) at(name string) int {
	if len(f.index) != len(f.Streams) { // the index is not complete
		return slices.IndexFunc(f.Streams, func(s Stream) bool { return s.Name == name })
	}
	if i, ok := f.index[name]; ok {
		return i
	}
	return -1
}

// WithOpened is f with the streams that publishers have made, see [File.Open]: opened says whether a stream of that name is one
// of them. Stream finds them; they are not in Streams, so that it costs nothing that their list changes.
func (f *File) WithOpened(opened func(name string) bool) *File {
	next := *f
	next.opened = opened
	return &next
}

// With is f with further streams behind its own. A further stream whose name is already there is left out.
func (f *File) With(streams []Stream) *File {
	next := *f
	next.Streams = slices.Clone(f.Streams)
	next.index = make(map[string]int, len(f.Streams)+len(streams))
	for i := range next.Streams {
		next.index[next.Streams[i].Name] = i
	}
	for _, s := range streams {
		if _, have := next.index[s.Name]; have {
			continue
		}
		next.index[s.Name] = len(next.Streams)
		next.Streams = append(next.Streams, s)
	}
	return &next
}

// These methods let one row of the table serve the block of a stream and the block of an input, see [part].
func (s *Stream) sourceTimeout() *time.Duration { return &s.SourceTimeout }
func (in *Input) sourceTimeout() *time.Duration { return &in.SourceTimeout }

const inAnyStream = streams | inSource

// streamBlockDirectives are the directives in the blocks of streams and inputs. Many of them may also stand in the blocks of
// templates and sources, and some at the top of the file.
var streamBlockDirectives = []directive{
	{
		name: "input", also: "url", in: streams, many: true, plural: "inputs", key: "url", unbounded: true, block: inInput, inline: true, value: inputValue, hide: protocols.MaskURLs, reload: Restream,
		example: "rtmp://encoder/live/news",
		doc: "Where the media comes from, by a URL of one of the schemes " + strings.Join(inputSchemes, ", ") +
			"; when an input is lost, the next one replaces it.",
	},
	{
		name: "comment", in: inInput, value: unstored("TEXT", nil), reload: AtOnce, example: `"the encoder in the cellar"`,
		doc: "A note to the reader of the file.",
	},
	{
		name: "priority", in: inInput, value: number("NUMBER", func(in *Input) *int { return &in.Priority }, 1, 1000), reload: Restream,
		isDefault: func(b *block) bool { return part[*Input](b).Priority == b.at+1 }, defaultWords: "the place in the list", example: "1",
		doc: "Which input is preferred, 1 first; the stream returns to an input of a better priority once that works again.",
	},
	{
		name: "program", in: inInput, value: number("NUMBER", func(in *Input) *int { return &in.Program }, 1, 65535), reload: Restream,
		isDefault: func(b *block) bool { return part[*Input](b).Program == 0 }, defaultWords: "the first that can be played", example: "3",
		doc: "Which program of an MPEG transport stream is played, by its number.",
	},
	{
		name: "user_agent", in: inInput, value: text("TEXT", func(in *Input) *string { return &in.UserAgent }, plainLine), reload: Restream,
		defaultWords: "weir and its version", example: `"Mozilla/5.0"`,
		doc: "What an input that is pulled over HTTP or RTSP tells the server as its User-Agent.",
	},
	{
		name: "header", in: inInput, many: true, plural: "headers", value: headerValue, hide: hideHeader, reload: Restream, defaultWords: "none", example: `"Referer: https://example.com/"`,
		doc: "A header that the requests of an input carry that is pulled over HTTP; each stands in a line of its own. Other servers, to which redirects and playlists lead, get only Accept, Accept-Language, Cache-Control, Origin, Pragma, Referer and User-Agent.",
	},
	{
		name: "source_timeout", in: inInput | inAnyStream, reload: Restream,
		value: seconds(func(m interface{ sourceTimeout() *time.Duration }) *time.Duration { return m.sourceTimeout() }), isDefault: hasDefaultTimeout,
		defaultWords: secondsText(DefaultSourceTimeout) + ", and " + secondsText(hlsSourceTimeout) + " for HLS", example: "5",
		doc: "How long no picture may come, or no sound where there are no pictures, before an input counts as lost.",
	},
	{
		name: "clients_timeout", in: inAnyStream, omitDefault: true, reload: AtOnce,
		value:     orWord("SECONDS", "false", " for never", -1, func(s *Stream) *time.Duration { return &s.ClientsTimeout }, DefaultClientsTimeout, parseSeconds, secondsText),
		isDefault: func(b *block) bool { return part[*Stream](b).ClientsTimeout == 0 }, example: "30",
		doc: "How long an on-demand stream is captured after its last client; false means for ever, once a client has come.",
	},
	{
		name: "cluster_ingest", in: inAnyStream, block: inIngest, inline: true, value: ingestValue, reload: AtOnce,
		defaultWords: "every node captures the stream for itself", example: "capture_at=n1.example.com",
		doc: "One node of the group captures the stream; when that node dies, another one takes over.",
	},
	{
		name: "capture_at", in: inIngest, value: single("HOST[:PORT]", func(i *Ingest) *string { return &i.CaptureAt }, "", parsePin, asIs),
		reload: AtOnce, defaultWords: "the nodes share the streams evenly", example: "n1.example.com",
		doc: "The node that captures the stream whenever that node is alive: a peer's entry, or the name that a node announces.",
	},
	{
		name: "handover", in: inIngest, omitDefault: true, value: oneWord(func(i *Ingest) *Handover { return &i.Handover }, Make, Make, Break), reload: AtOnce,
		example: "break",
		doc:     "How the stream moves between two live nodes: with make the new one captures before the old one stops, with break after it, for sources that allow one connection.",
	},
	{
		name: "partition", in: inIngest, omitDefault: true, reload: AtOnce, example: "available",
		value: exceptUnsupported(string(Exclusive), oneWord(func(i *Ingest) *Partition { return &i.Partition }, Available, Available, Exclusive)),
		doc:   "What happens when some nodes cannot reach the others: with available each part of the group captures the stream; exclusive, with which at most one node does, is not supported yet.",
	},
	{
		name: "partition", in: streams, reload: AtOnce, defaultWords: string(Available), example: "available",
		value: exceptUnsupported(string(Exclusive), unstored("available or exclusive", func(s string) error {
			_, err := parseWord(s, []string{string(Available), string(Exclusive)})
			return err
		})),
		doc: "Only available is permitted, which is the default.",
	},
	{
		name: "disabled", in: streams, value: optionalBoolean(func(s *Stream) *bool { return &s.Disabled }), reload: AtOnce,
		doc: "The stream is neither captured nor played; it keeps its place in the file.",
	},
	{
		name: "static", in: streams, notFromTemplate: true, value: staticValue, reload: AtOnce, defaultWords: "true in stream, false in ondemand", example: "false",
		doc: "Whether the stream is captured without a client.",
	},
	{
		name: "title", in: streams, value: titleValue, reload: AtOnce, defaultWords: "none", example: "News at ten",
		doc: "The title of the stream on pages and in the API.",
	},
	{
		name: "hls", in: inFile | inAnyStream, inherits: true, reload: NewClients, example: "relay",
		value: oneWord(func(d *Delivery) *HLSMode { return &d.HLS }, HLSPlaylist, HLSPlaylist, HLSRelay, HLSRedirect),
		doc:   "Which node answers HLS requests for a stream that another node owns: with playlist the asked node sends playlists and the owner sends segments, with relay the asked node sends both, with redirect the owner sends both.",
	},
	{
		name: "redirect", in: inFile | inAnyStream, inherits: true, value: forwardValue("redirect", "relay", redirected, relayed), reload: NewClients,
		defaultWords: forwardedWords(func(d protocols.Descriptor) bool { return d.Follows }), example: "rtmp rtsp",
		doc: "Protocols (" + forwardedWords(nil) + ") whose viewers are redirected to the node that has the stream; always means all.",
	},
	{
		name: "relay", in: inFile | inAnyStream, inherits: true, value: forwardValue("relay", "redirect", relayed, redirected), reload: NewClients,
		defaultWords: forwardedWords(func(d protocols.Descriptor) bool { return !d.Follows }), example: "flv mpegts",
		doc: "Protocols (" + forwardedWords(nil) + ") whose viewers are served by the asked node, which gets the stream from the one that has it.",
	},
	{
		name: "latency", in: inFile | inAnyStream, inherits: true, reload: Restream, example: "100",
		value: millis(func(d *Delivery) *time.Duration { return &d.Latency }, DefaultLatency, 1),
		doc:   "The interval at which new media is sent to viewers; a longer one needs less of the processor.",
	},
	{
		name: "publish_takeover", in: inFile | inAnyStream, inherits: true, reload: AtOnce, example: "10",
		value: takeoverValue, defaultWords: secondsText(DefaultTakeover),
		doc: "How long a publisher must have sent no media before another publisher of the stream takes its place, on whatever node; always means that each newcomer does, never that none does while the first is connected. Of two publishers that nodes have let in while they did not hear each other, one that sends media stays, and one that has been silent for so long (five seconds with always and never) goes.",
	},
}

// takeoverValue is a silence in seconds, or with a unit, or one of two words.
var takeoverValue = func() value {
	v := single("SECONDS, always or never", func(d *Delivery) *time.Duration { return &d.Takeover }, 0, parseTakeover, func(d time.Duration) string {
		switch {
		case d == TakeoverAlways:
			return "always"
		case d == TakeoverNever:
			return "never"
		case d%time.Second != 0:
			return d.String()
		}
		return secondsText(d)
	})
	v.unit, v.json = "seconds", []string{"integer", "string"}
	return v
}()

// maxTakeover is longer than any server of a protocol keeps a publisher that sends nothing.
const maxTakeover = time.Hour

func parseTakeover(text string) (time.Duration, error) {
	switch text {
	case "always":
		return TakeoverAlways, nil
	case "never":
		return TakeoverNever, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	if err != nil || d <= 0 || d > maxTakeover {
		return 0, fmt.Errorf("found %s, expected seconds from 1 to %s, always or never", quote(text), secondsText(maxTakeover))
	}
	return d, nil
}

// streamDirectives are the directives of the top of the file that make streams, each with a block.
var streamDirectives = []directive{
	{
		name: "stream", in: inFile, many: true, plural: "streams", unbounded: true, block: inStream, value: streamEntries(true), reload: AtOnce, example: "cam01 { input rtsp://camera/1; }",
		flag: &nodeFlag{
			placeholder: "NAME=URL", entry: streamFlag, perLine: true,
			help: "Add a stream; further directives may follow behind a semicolon. In the variable: one per line.",
		},
		doc: "A stream that is captured whether or not it has viewers, or that a publisher brings.",
	},
	{
		name: "ondemand", in: inFile, many: true, plural: "streams", unbounded: true, block: inStream, value: streamEntries(false), reload: AtOnce,
		example: "movies { input hls://archive/movies.m3u8; }", doc: "A stream that is captured while it has viewers.",
	},
	{
		name: "template", in: inFile, many: true, plural: "templates", block: inTemplate,
		value: entries("NAME", func(f *File) *[]Template { return &f.Templates }, parseTemplate, func(t *Template) *block {
			return newBlock(t.Name, t.Name, t, &t.Stream, &t.Stream.Delivery)
		}),
		reload: AtOnce, example: "talks { prefix talk; input publish://; }",
		doc: "Settings for all streams that name the template; with a prefix, also for streams that the file does not name and that publishers make.",
	},
	{
		name: "source", in: inFile, many: true, plural: "sources", key: "url", block: inSource,
		value: entries("HOST[:PORT] or URL", func(f *File) *[]Source { return &f.Sources }, parseSource, func(s *Source) *block {
			return newBlock(s.shown(), s.URL, s, &s.Stream, &s.Stream.Delivery)
		}),
		hide: protocols.MaskURLs, reload: AtOnce, example: "origin.example.com { except private; }",
		doc: "An origin whose streams are restreamed on this node: a node outside the group, or the URL of another server, to which /NAME is added.",
	},
}

// streamEntries is the value of stream and, if static is not set, of ondemand.
func streamEntries(static bool) value {
	v := entries("NAME", func(f *File) *[]Stream { return &f.Streams }, func(name string, at Pos) (Stream, error) {
		return Stream{Name: name, Static: static, Pos: at}, nil
	}, func(s *Stream) *block {
		b := newBlock(s.Name, "", s, &s.Delivery)
		if !s.Static {
			b.spelling = "ondemand"
		}
		return b
	})
	if !static { // the row of stream prints both kinds, in the order of the model
		v.each = nil
	}
	return v
}

// streamFlag reads NAME=URL[; DIRECTIVE …].
func streamFlag(text string, at Pos) (*entry, *Problem) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok {
		return nil, errorAt(at, "found %s, expected NAME=URL", quote(text))
	}
	url, more, _ := strings.Cut(rest, ";")
	kids, err := parse([]byte(more), at)
	if err != nil {
		return nil, err
	}
	input := &entry{name: "input", pos: at, words: []word{{text: strings.TrimSpace(url), pos: at}}}
	return &entry{name: "stream", pos: at, words: []word{{text: name, pos: at}}, hasBlock: true, kids: append([]*entry{input}, kids...)}, nil
}

// staticValue has no default and is not printed: the names stream and ondemand of the block say the same.
var staticValue = func() value {
	v := optionalBoolean(func(s *Stream) *bool { return &s.Static })
	v.setDefault, v.lines, v.defaultText = nil, nil, ""
	return v
}()

var titleValue = value{
	args: "TEXT", min: 1, max: -1, json: []string{"string"},
	read: func(_ *reader, b *block, c *call) {
		words := make([]string, len(c.args))
		for i, w := range c.args {
			words[i] = w.text
		}
		part[*Stream](b).Title = strings.Join(words, " ")
	},
	take: func(to, from *block) { part[*Stream](to).Title = part[*Stream](from).Title },
	lines: func(b *block) [][]string {
		if t := part[*Stream](b).Title; t != "" {
			return [][]string{{t}}
		}
		return nil
	},
}

var ingestValue = value{
	open: func(_ *reader, _ *block, c *call) *block { return &block{models: []any{&Ingest{Pos: c.pos}}} },
	each: func(b *block) []*block {
		if in := part[*Stream](b).Ingest; in != nil {
			return []*block{{models: []any{in}}}
		}
		return nil
	},
}

// parsePin reads HOST[:PORT], or a name that a node may announce although it is not a host name.
func parsePin(text string) (string, error) {
	host, port, err := parsePeerName(text)
	if err != nil {
		if checkNodeName(text) != nil || strings.Contains(text, ":") {
			return "", err
		}
		host, port = text, 0
	}
	return Peer{Host: host, Port: port}.Name(), nil
}

// forwarded are the protocols that the directives redirect and relay may name. For HLS and DASH there is the directive hls.
var forwarded = func() (names []string) {
	for _, d := range protocols.All() {
		if d.Forward {
			names = append(names, string(d.Protocol))
		}
	}
	slices.Sort(names)
	return names
}()

// forwardedWords lists the forwarded protocols for which `meant` is true; all if it is nil.
func forwardedWords(meant func(protocols.Descriptor) bool) string {
	names := slices.DeleteFunc(slices.Clone(forwarded), func(name string) bool {
		return meant != nil && !meant(protocols.Of(protocols.Protocol(name)))
	})
	return strings.Join(names, ", ")
}

// unsupportedForwarded are the protocols that redirect and relay report as [Unsupported].
var unsupportedForwarded = []string{"srt", "whep", "whip"}

// forwardValue is the list of protocols of redirect, or of relay. No protocol may be in both lists.
func forwardValue(name, otherName string, mine, other func(*Delivery) *[]string) value {
	v := listOf("PROTOCOL …", 1, mine, true, maxEntries, func(p string) (string, error) {
		switch _, err := parseWord(p, forwarded); {
		case slices.Contains(unsupportedForwarded, p):
			return p, fmt.Errorf("%w: `%s` of %s", errUnsupported, name, p)
		case p == "hls" || p == "dash":
			return p, fmt.Errorf("found %s, expected %s; for HLS and DASH write `hls %s;`", quote(p), oneOf(forwarded), name)
		default:
			return p, err
		}
	}, asIs)
	read := v.read
	v.read = func(r *reader, b *block, c *call) {
		d := part[*Delivery](b)
		var args []word
		for _, w := range c.args {
			for _, p := range divided(w.text, true) {
				if p == "always" && name == "redirect" { // every protocol that is in neither list yet
					for _, each := range forwarded {
						if !slices.Contains(*mine(d), each) && !slices.Contains(*other(d), each) {
							args = append(args, word{text: each, pos: w.pos})
						}
					}
				} else if slices.Contains(*other(d), p) {
					r.errorf(w.pos, "found %s in `%s`, expected it either there or in `%s`", quote(p), name, otherName)
				} else {
					args = append(args, word{text: p, pos: w.pos})
				}
			}
		}
		read(r, b, &call{c.entry, args})
		slices.Sort(*mine(d))
	}
	v.merge = func(to, from *block) { // a protocol in one of the block's own lists is not taken from the other block
		d := part[*Delivery](to)
		own := slices.Concat(d.Redirect, d.Relay)
		for _, p := range *mine(part[*Delivery](from)) {
			if !slices.Contains(own, p) {
				*mine(d) = append(*mine(d), p)
			}
		}
		slices.Sort(*mine(d))
	}
	return v
}

// The lists of redirect and relay.
func redirected(d *Delivery) *[]string { return &d.Redirect }
func relayed(d *Delivery) *[]string    { return &d.Relay }

// inheriting selects the rows that a block takes from the top of the file, and templated those that a stream takes from its
// template.
func inheriting(d *directive) bool { return d.inherits }
func templated(d *directive) bool  { return !d.notFromTemplate }

func (r *reader) finishStreams() {
	f := r.file
	seen := map[string]Pos{}
	templates := map[string]*block{}
	for _, t := range r.top.all("template") {
		templates[t.id] = t
	}
	for _, b := range r.top.kids {
		if b.scope != inStream {
			continue
		}
		s := part[*Stream](b)
		if err := CheckName(s.Name, f.BalancerNames()); err != nil {
			r.errorf(s.Pos, "`stream`: %v", err)
		}
		if before, twice := seen[s.Name]; twice {
			r.errorf(s.Pos, "found `stream %s` a second time, expected every stream to have a name of its own; the first is at %s",
				short(s.Name), before.place())
			continue
		}
		seen[s.Name] = s.Pos
		r.checkFiles(b)
		if named := b.word("template"); named != (word{}) {
			if t := templates[named.text]; t != nil {
				r.takeOver(b, t, templated)
			} else {
				r.errorf(named.pos, "`template`: found %s, expected a template of the file%s", quote(named.text),
					didYouMean(named.text, slices.Collect(maps.Keys(templates))))
			}
		}
		r.settle(b)
		if len(s.Inputs) == 0 && !s.Disabled {
			r.errorf(s.Pos, "found `stream %s` without an input, expected `input URL;` in it, such as `input publish://;` or `disabled;`", short(s.Name))
		}
		f.Streams = append(f.Streams, *s)
	}
}

// settle completes a stream: settings of the top of the file, its inputs, its ingest. It also checks what depends on them.
func (r *reader) settle(b *block) {
	s := part[*Stream](b)
	r.takeOver(b, r.top, inheriting)
	for i, k := range b.all("input") {
		in := *part[*Input](k)
		if in.Priority == 0 {
			in.Priority = i + 1
		}
		if in.SourceTimeout == 0 {
			in.SourceTimeout = in.defaultTimeout(s.SourceTimeout)
		}
		s.Inputs = append(s.Inputs, in)
	}
	if s.Static {
		if at := b.where("clients_timeout"); at != (Pos{}) {
			r.warnf(at, "clients_timeout has no effect on `%s`, which is captured without clients; it is for `ondemand`", b.head())
		}
		s.ClientsTimeout = 0
	} else if len(s.Inputs) > 0 && !slices.ContainsFunc(s.Inputs, func(in Input) bool { return in.Scheme != "publish" }) {
		r.errorf(s.Pos, "found `%s` with no other input than publish://, expected `stream %s`: it starts with its publisher, not with a client",
			"ondemand "+short(b.title[0]), short(b.title[0]))
	}
	r.pin(b)
}

// checkFiles refuses file inputs whose location is not the name of a vod.
func (r *reader) checkFiles(b *block) {
	for _, k := range b.all("input") {
		in := part[*Input](k)
		if in.Location == "" || r.file.Vod(in.Location) != nil {
			continue
		}
		var names []string
		for _, v := range r.file.Vods {
			names = append(names, v.Name)
		}
		r.errorf(in.Pos, "`input`: found the location %s, expected one that is declared by `vod NAME { root DIRECTORY; }`: %s%s",
			quote(in.Location), oneOf(names), didYouMean(in.Location, names))
	}
}

// pin gives a stream its ingest, and finds the peer that capture_at means. A name that fits no peer is a warning only: the
// stream is placed as if it were not pinned.
func (r *reader) pin(b *block) {
	ingest := b.all("cluster_ingest")
	if len(ingest) == 0 {
		return
	}
	s, in, at := part[*Stream](b), *part[*Ingest](ingest[0]), ingest[0].word("capture_at").pos
	s.Ingest = &in
	if r.file.ClusterKey == "" {
		r.keyless["cluster_ingest"] = append(r.keyless["cluster_ingest"], in.Pos)
	}
	if in.CaptureAt == "" {
		return
	}
	host, port, err := parsePeerName(in.CaptureAt)
	if err != nil {
		host, port = in.CaptureAt, 0
	}
	announced := slices.IndexFunc(r.file.Peers, func(p Peer) bool { return p.Announced == in.CaptureAt })
	switch fits := r.file.fitting(host, port); {
	case announced >= 0:
		in.Peer = r.file.Peers[announced].Name()
		return
	case len(fits) == 1:
		in.Peer = fits[0].Name()
		return
	case len(fits) > 1:
		r.errorf(at, "capture_at: found %s, which several peers share; expected the port too: %s", quote(in.CaptureAt), addresses(fits))
		return
	case slices.ContainsFunc(r.self, func(n string) bool { return strings.EqualFold(n, in.CaptureAt) }):
		return
	case r.full():
		r.warnf(at, "")
		return
	}
	names := slices.Clone(r.self)
	for _, p := range r.file.Peers {
		names = append(names, p.Host, p.Name())
		if p.Announced != "" {
			names = append(names, p.Announced)
		}
	}
	r.warnf(at, "capture_at: found %s, which is no peer's name%s (`stream %s` is placed as if it were not pinned, unless a node announces that name)",
		quote(in.CaptureAt), didYouMean(in.CaptureAt, names), short(b.title[0]))
}
