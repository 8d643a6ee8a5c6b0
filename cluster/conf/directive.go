package conf

import (
	"slices"
	"strings"
)

// A scope is a set of kinds of blocks. A row of the table says with a scope where its directive may stand.
type scope uint32

const (
	inFile scope = 1 << iota
	inStream
	inIngest
	inInput
	inPeer
	inVod
	inListener
	inTemplate // template; also live, which is not supported and takes the same directives
	inSource
	inBalancer
	inServer
	inVhost
	inCluster
	inHooks
	inRemux
	anywhere // the block of an unsupported directive, whose content is not checked at all
)

const streams = inStream | inTemplate

// scopeNames are the names of the blocks in messages, in the order of the constants.
var scopeNames = []string{
	"the top of the file", "stream", "cluster_ingest", "input", "peer", "vod", "http", "template", "source", "balancer", "server",
	"vhost", "cluster", "http_hooks", "http_remux",
}

// words are the names of the blocks in the set.
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

// The ways in which a change takes effect.
const (
	AtOnce     Reload = "at once"
	NewClients Reload = "to new clients"             // connected clients are not affected
	Restream   Reload = "the stream starts anew"     // its viewers stay connected
	Restart    Reload = "when the node is restarted" // until then the old setting stays in effect
)

// A directive is one row of the table. Parser, printer, `weir check`, flags, reload and the reference page learn from the row
// all that they know about the directive. If the directive has a block, `key=value` behind its name means the same as
// `key value;` in the block.
type directive struct {
	name string
	in   scope
	also string // another spelling; empty for none

	value       // the words behind the name, and how they are read and printed
	block scope // the scope of the directives in its block; zero if the directive has no block
	many  bool  // may stand several times in one block

	// In JSON, entries that may stand several times are a list under the name plural, in which the word behind the name of a block is
	// the member key. Where plural is empty, it is the directive's name, and an empty key is "name".
	plural, key string

	shared          bool                     // at the top of the file: all nodes have to have the same
	unbounded       bool                     // may stand more than maxEntries times
	mayRepeat       bool                     // a second entry with the same id is no error; its finish function decides
	hide            func(word string) string // removes secrets from a word that is shown; nil if the words hold none
	secret          bool                     // the last word is a secret and is never shown
	allSecret       bool                     // and so are the others
	inherits        bool                     // a block without the directive takes the setting of the top of the file
	notFromTemplate bool                     // a stream without the directive does not take the setting of its template
	omitDefault     bool                     // not printed if the setting is the default
	isDefault       func(b *block) bool      // reports whether the directive can be left out when b is printed; nil for never
	inline          bool                     // printed with options in place of a block
	reload          Reload

	// An unsupported directive is understood, so that files of other servers can be read, but reported as [Unsupported]. That
	// one report also covers everything in its block. If the row has an open function, that function makes the report.
	unsupported bool

	flag *nodeFlag // nil for none

	doc          string // one sentence
	defaultWords string // describes the default where value.defaultText cannot, such as "the cluster_key of the file"
	example      string // words that may stand behind the name

	aliasOf string // the name of the row of which this row is another spelling; set by [spellings]
}

// A nodeFlag is the flag of `weir node` that stands for a directive.
type nodeFlag struct {
	name        string // empty means the directive's name, with hyphens for underscores
	placeholder string
	help        string // empty means the directive's doc

	// entry makes a directive from the text of a flag that adds to the file. It is nil for a flag that replaces the
	// directives of the file.
	entry   func(text string, at Pos) (*entry, *Problem)
	perLine bool // the environment variable has one value per line; otherwise commas separate the values
}

// canonical is the name of the directive, without regard to its spelling.
func (d *directive) canonical() string {
	if d.aliasOf != "" {
		return d.aliasOf
	}
	return d.name
}

// table holds all directives, in the order in which they are printed.
var table = spellings(slices.Concat(
	globalDirectives, listenerDirectives(), tlsDirectives, addressDirectives, templateAndSourceDirectives, streamBlockDirectives, accessDirectives, limitDirectives(),
	vodDirectives, peerDirectives, vhostDirectives(), balancerDirectives, streamDirectives,
	unsupportedDirectives(),
))

// spellings makes the table from rows: behind each row that has another spelling it adds a row for that spelling.
func spellings(rows []directive) []*directive {
	var list []*directive
	for _, d := range rows {
		list = append(list, &d)
		if d.also != "" {
			other := d
			other.name, other.also, other.aliasOf, other.flag = d.also, "", d.name, nil
			list = append(list, &other)
		}
	}
	return list
}

// rows are the rows of the table by the block in which they may stand; byName are the rows by their name.
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

// find gives the row of the directive of this name in a block, or nil.
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

// scopesOf gives all blocks in which a directive of this name may stand; zero means that no directive has the name.
func scopesOf(name string) scope {
	var s scope
	for _, d := range byName[name] {
		s |= d.in
	}
	return s
}

// isSecret reports whether a directive of this name holds a secret in any of its blocks.
func isSecret(name string) bool {
	return slices.ContainsFunc(byName[name], func(d *directive) bool { return d.secret })
}

// unsupportedRows makes the rows of unsupported directives; names lists their names, with spaces between.
func unsupportedRows(in, block scope, args string, least, most int, names string) (list []directive) {
	for name := range strings.FieldsSeq(names) {
		list = append(list, directive{
			name: name, in: in, value: value{args: args, min: least, max: most}, block: block, many: block != 0, unsupported: true,
		})
	}
	return list
}

// unsupportedDirectives are the directives of Flussonic and SRS that weir understands and does not support yet. Single words that
// are not supported are marked by exceptUnsupported and errUnsupported.
func unsupportedDirectives() []directive {
	list := slices.Concat(
		unsupportedRows(inFile, 0, "URL", 1, 1, "config_external"),
		unsupportedRows(inListener, 0, "[true or false]", 0, 1, "api"),
		unsupportedRows(inFile|streams, anywhere, "[HOST:]PORT", 0, 1, "srt"),
		unsupportedRows(inFile|streams|inSource, anywhere, "NAME or DIRECTORY …", 0, -1, "cache dvr"),
		unsupportedRows(inFile, anywhere, "NAME", 0, -1, "event_sink auth_backend"),
		unsupportedRows(inFile, anywhere, "NAME", 1, -1, "plugin"),
		unsupportedRows(inFile, anywhere, "", 0, -1, "vsaas"),
		unsupportedRows(inFile, anywhere, "VALUE …", 0, -1, `admin_allowed_from admin_http allowed_countries api_allowed_from
			auth_token disallowed_countries dvb_card include iptv notify rewrite rproxy total_bandwidth
			total_clients transponder url_prefix`),
		unsupportedRows(inFile, inTemplate, "NAME", 1, 1, "live"),
		unsupportedRows(inPeer, 0, "HOST", 1, 1, "hostname"),
		unsupportedRows(inInput, 0, "KEY", 1, 1, "cluster_key"),
		unsupportedRows(inInput, 0, "VALUE", 1, 1, `allow_if audio_timeout deny_if frames_timeout max_retry_timeout output_audio
			remote_dvr timeout via video_timeout`),
		unsupportedRows(inInput, anywhere, "NAME=VALUE …", 0, -1, "headers"),
		unsupportedRows(streams|inSource, anywhere, "VALUE …", 0, -1, `add_audio_only auth backup chunk_duration domain domains drm
			gop_duration group_config hls_scte35 labels logo meta mosaic mpegts_pids mpegts_pmt no_auto_token on_play on_publish password playback_headers prepush protocols push pushes retry_limit
			segment_count segment_duration srt_play srt_publish stats thumbnails transcoder webrtc_abr`),
		unsupportedRows(inBalancer, 0, "PREFIX", 1, 1, "streaming_prefix"),
		unsupportedRows(inHooks, 0, "URL …", 0, -1, "on_dvr on_hls on_hls_notify on_forward_backend"),
		unsupportedRows(inCluster, 0, "VALUE", 1, 1, "vhost debug_srs_upnode"),
		unsupportedRows(inVhost, anywhere, "VALUE …", 0, -1, `chunk_size exec forward gop_cache in_ack_size ingest min_latency
			out_ack_size play publish queue_length rtc rtmp refer security tcp_nodelay transcode dash dvr hds hls srt`),
	)
	for i := range list {
		list[i].secret = list[i].name == "config_external" || list[i].name == "cluster_key"
	}
	return list
}
