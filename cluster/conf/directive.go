package conf

import (
	"slices"
	"strings"
)

// A scope is a set of blocks in which directives stand.
type scope uint32

const (
	inFile scope = 1 << iota
	inStream
	inIngest
	inInput
	inPeer
	inVod
	inListener
	inTemplate // template, and live, which is not built: whatever a stream permits
	inSource
	inBalancer
	inServer
	inVhost
	inCluster
	inHooks
	inRemux
	anywhere // a block whose directives are not looked at, because nothing of the directive is built
)

const streams = inStream | inTemplate

// scopeNames are the words for each block, in the order of the constants.
var scopeNames = []string{
	"the top of the file", "stream", "cluster_ingest", "input", "peer", "vod", "http", "template", "source", "balancer", "server",
	"vhost", "cluster", "http_hooks", "http_remux",
}

// words names the blocks of a set.
func (s scope) words() (words []string) {
	for i, name := range scopeNames {
		if s&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	return words
}

// Reload says how a change of a directive takes effect when a running node reads its file again.
type Reload string

// The ways.
const (
	AtOnce     Reload = "at once"
	NewClients Reload = "to new clients"             // those that are connected go on as they are
	Restream   Reload = "the stream starts anew"     // and so do its viewers
	Restart    Reload = "when the node is restarted" // until then the former setting holds
)

// A directive is one row of the table: everything that parser, printer, check, flags, reload and reference page know of
// a directive. `key=value` behind a directive that has a block means the same as `key value;` in that block.
type directive struct {
	name string
	in   scope
	also string // another spelling; empty for none

	value       // what stands behind the name, and how it becomes a part of the model
	block scope // where the directives of its block stand; zero means that it has none
	many  bool  // may stand several times in one block

	unbounded bool                     // may stand more than maxEntries times
	alike     bool                     // two that mean the same are no error
	hide      func(word string) string // hides what is secret in a word; nil if nothing is
	secret    bool                     // its last word is not shown
	inherits  bool                     // a block that does not say it takes it from the top of the file
	own       bool                     // a stream does not take it from its template
	brief     bool                     // the default is not printed
	implied   func(b *block) bool      // says that the model would be the same without the directive
	inline    bool                     // printed with options in place of a block
	reload    Reload

	// later marks what is not built: it is reported as [Unsupported], and so is everything in its block at once. One
	// that has a read function reports it there.
	later bool

	flag *nodeFlag // nil for none

	doc     string // one sentence
	usual   string // the default in words, where the value cannot tell it
	example string // what may stand behind the name

	same string // of a row that [spellings] made: the directive's other name
}

// A nodeFlag is the flag of `weir node` that stands for a directive.
type nodeFlag struct {
	name        string // empty: the directive's, with hyphens
	placeholder string
	help        string // empty: the directive's sentence

	// entry reads the directive of a flag that adds to the file; nil for one that replaces what the file says.
	entry   func(text string, at Pos) (*entry, *Problem)
	perLine bool // the variable has one per line; otherwise commas divide them
}

// canonical is the name under which two spellings are one directive.
func (d *directive) canonical() string {
	if d.same != "" {
		return d.same
	}
	return d.name
}

// table is every directive that is known, in the order in which they are printed.
var table = spellings(slices.Concat(
	globalDirectives, listenerDirectives(), addressDirectives, sourceSettings, streamSettings, accessDirectives,
	vodDirectives, peerDirectives, vhostDirectives(), balancerDirectives, streamDirectives,
	laterDirectives(),
))

// spellings adds a row for each other spelling.
func spellings(rows []directive) []*directive {
	var list []*directive
	for _, d := range rows {
		list = append(list, &d)
		if d.also != "" {
			other := d
			other.name, other.also, other.same, other.flag = d.also, "", d.name, nil
			list = append(list, &other)
		}
	}
	return list
}

// rows are the rows of the table by where they may stand, and byName those of one name.
var rows, byName = func() (map[scope][]*directive, map[string][]*directive) {
	rows, byName := map[scope][]*directive{}, map[string][]*directive{}
	for _, d := range table {
		byName[d.name] = append(byName[d.name], d)
		for s := inFile; s < anywhere; s <<= 1 {
			if d.in&s != 0 {
				rows[s] = append(rows[s], d)
			}
		}
	}
	return rows, byName
}()

// find gives the directive of this name in a block, or nil.
func find(name string, in scope) *directive {
	for _, d := range byName[name] {
		if d.in&in != 0 {
			return d
		}
	}
	return nil
}

// namesIn lists the names of directives that may stand in a block.
func namesIn(in scope) []string {
	var names []string
	for _, d := range table {
		if d.in&in != 0 {
			names = append(names, d.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// scopesOf gives every block in which a directive may stand; zero means that no directive has the name.
func scopesOf(name string) scope {
	var s scope
	for _, d := range byName[name] {
		s |= d.in
	}
	return s
}

// isSecret reports whether the words of a directive must not be shown, wherever it stands.
func isSecret(name string) bool {
	return slices.ContainsFunc(byName[name], func(d *directive) bool { return d.secret })
}

// laterRows are rows of directives that are understood and not obeyed.
func laterRows(in, block scope, args string, least, most int, names string) (list []directive) {
	for name := range strings.FieldsSeq(names) {
		list = append(list, directive{
			name: name, in: in, value: value{args: args, min: least, max: most}, block: block, many: block != 0, later: true,
		})
	}
	return list
}

// laterDirectives are the words of the systems whose files weir reads, as far as they are not built.
func laterDirectives() []directive {
	list := slices.Concat(
		laterRows(inFile, 0, "URL", 1, 1, "config_external"),
		laterRows(inListener, 0, "[true or false]", 0, 1, "api"),
		laterRows(inFile|streams, anywhere, "[HOST:]PORT", 0, 1, "srt"),
		laterRows(inFile|streams|inSource, anywhere, "NAME or DIRECTORY …", 0, -1, "cache dvr"),
		laterRows(inFile, anywhere, "NAME", 0, -1, "event_sink auth_backend"),
		laterRows(inFile, anywhere, "NAME", 1, -1, "plugin"),
		laterRows(inFile, anywhere, "", 0, -1, "vsaas"),
		laterRows(inFile, inTemplate, "NAME", 1, 1, "live"),
		laterRows(inPeer, 0, "HOST", 1, 1, "hostname"),
		laterRows(inInput, 0, "KEY", 1, 1, "cluster_key"),
		laterRows(inInput, 0, "VALUE", 1, 1, `allow_if audio_timeout deny_if frames_timeout max_retry_timeout output_audio
			remote_dvr timeout user_agent via video_timeout`),
		laterRows(inInput, anywhere, "NAME=VALUE …", 0, -1, "headers"),
		laterRows(streams|inSource, anywhere, "VALUE …", 0, -1, `add_audio_only auth backup chunk_duration domain domains drm
			group_config hls_scte35 labels meta no_auto_token on_play on_publish password playback_headers push pushes
			segment_count segment_duration stats thumbnails transcoder`),
		laterRows(inBalancer, 0, "PREFIX", 1, 1, "streaming_prefix"),
		laterRows(inHooks, 0, "URL …", 0, -1, "on_dvr on_hls on_hls_notify on_forward_backend"),
		laterRows(inCluster, 0, "VALUE", 1, 1, "vhost debug_srs_upnode"),
		laterRows(inVhost, anywhere, "VALUE …", 0, -1, `chunk_size exec forward gop_cache in_ack_size ingest min_latency
			out_ack_size play publish queue_length rtc rtmp refer security tcp_nodelay transcode dash dvr hds hls srt`),
	)
	for i := range list {
		list[i].secret = list[i].name == "config_external" || list[i].name == "cluster_key"
	}
	return list
}
