package conf

import (
	"slices"

	"weir/protocols"
)

// A context is a set of places in which directives stand.
type context uint32

const (
	inFile context = 1 << iota
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

// contextNames say in messages where a directive belongs.
var contextNames = []struct {
	context context
	name    string
}{
	{inFile, "the top of the file"},
	{inStream, "stream"},
	{inIngest, "cluster_ingest"},
	{inInput, "input"},
	{inPeer, "peer"},
	{inVod, "vod"},
	{inListener, "http"},
	{inTemplate, "template"},
	{inSource, "source"},
	{inBalancer, "balancer"},
	{inServer, "server"},
	{inVhost, "vhost"},
	{inCluster, "cluster"},
	{inHooks, "http_hooks"},
	{inRemux, "http_remux"},
}

func (c context) words() []string {
	var w []string
	for _, n := range contextNames {
		if c&n.context != 0 {
			w = append(w, n.name)
		}
	}
	return w
}

// A spec is a known directive. `key=value` behind a directive that may have a block means the same as `key value;` in
// that block.
type spec struct {
	name string
	in   context
	same string // the name of the directive of which this is another spelling; empty for none

	args     string // what follows the name, for messages
	min, max int    // how many words that may be; max < 0 means any number

	block  context // where the directives of its block stand; zero means that it has none
	many   bool    // may stand several times in one block
	secret bool    // its words are not shown in messages

	// later marks what is not built: it is reported as [Unsupported], and so is everything in its block at once.
	later bool

	// apply obeys the directive and gives the scope of its block, which may be nil. Nothing without apply is obeyed, so
	// only a later directive may lack it.
	apply func(*builder, *scope, *call) *scope
}

// canonical is the name under which two spellings are one directive.
func (s *spec) canonical() string {
	if s.same != "" {
		return s.same
	}
	return s.name
}

// obeyed, laterArgs and laterBlock are the three shapes of rows in the table below.
func obeyed(name string, in context, args string, least, most int, apply func(*builder, *scope, *call) *scope) spec {
	return spec{name: name, in: in, args: args, min: least, max: most, apply: apply}
}

func laterArgs(name string, in context, args string, least, most int) spec {
	return spec{name: name, in: in, args: args, min: least, max: most, later: true}
}

func laterBlock(name string, in context, args string, least, most int, block context) spec {
	return spec{name: name, in: in, args: args, min: least, max: most, block: block, many: true, later: true}
}

func (s spec) repeated() spec               { s.many = true; return s }
func (s spec) hidden() spec                 { s.secret = true; return s }
func (s spec) alias(same string) spec       { s.same = same; return s }
func (s spec) withBlock(block context) spec { s.block = block; return s }

// registry is every directive that is known.
var registry = slices.Concat(globals(), listenerDirectives(), streamDirectives(), peerDirectives(), vhostDirectives(), balancerDirectives(), laterDirectives())

func globals() []spec {
	return []spec{
		obeyed("name", inFile, "NAME", 1, 1, applyName),
		obeyed("cluster_key", inFile, "KEY", 1, 1, applyClusterKey).hidden(),
		obeyed("return_holddown", inFile, "MILLISECONDS", 1, 1, applyReturnHolddown),
		obeyed("channel_limit", inFile, "NUMBER", 1, 1, applyLimit),
		obeyed("cpu_limit", inFile, "PERCENT", 1, 1, applyLimit),
		obeyed("rebalance_rate", inFile, "STREAMS or off", 1, 1, applyRebalance),
		obeyed("journal", inFile, "FILE", 1, 1, applyDirectory),
		obeyed("edit_auth", inFile, "USER PASSWORD", 2, 2, applyAuth).hidden(),
		obeyed("view_auth", inFile, "USER PASSWORD", 2, 2, applyAuth).hidden(),
		obeyed("session_log", inFile, "DIRECTORY", 1, 1, applyDirectory),
		obeyed("pulsedb", inFile, "DIRECTORY", 1, 1, applyDirectory),
		obeyed("peer", inFile, "HOST[:PORT]", 1, 1, applyPeer).repeated().withBlock(inPeer),
		obeyed("remote", inFile, "[HOST:]PORT", 1, 1, applyRemote),
		obeyed("advertise", inFile, "HOST[:PORT]", 1, 1, applyAdvertise),
		obeyed("loglevel", inFile, "debug, info, warn or error", 1, 1, applyLogLevel),
		obeyed("log", inFile, "debug, info, warn or error", 1, 1, applyLogLevel).alias("loglevel"),
		obeyed("vod", inFile, "NAME", 1, 1, applyVod).repeated().withBlock(inVod),
		obeyed("root", inVod, "DIRECTORY", 1, 1, applyRoot),
		obeyed("stream", inFile, "NAME", 1, 1, applyStream).repeated().withBlock(inStream),
	}
}

func listenerDirectives() (list []spec) {
	for _, d := range protocols.Listeners() {
		list = append(list, obeyed(d.Directive(), inFile, "[HOST:]PORT or off", 1, 1, applyListen).repeated().withBlock(inListener))
	}
	return list
}

func streamDirectives() []spec {
	return []spec{
		obeyed("ondemand", inFile, "NAME", 1, 1, applyStream).repeated().withBlock(inStream),
		obeyed("template", inFile, "NAME", 1, 1, applyTemplate).repeated().withBlock(inTemplate),
		obeyed("template", streams, "NAME", 1, 1, applyInherit),
		obeyed("prefix", inTemplate|inSource, "PREFIX", 1, 1, applyPrefix),
		obeyed("source", inFile, "HOST[:PORT] or URL", 1, 1, applySource).repeated().withBlock(inSource),
		obeyed("only", inSource, "STREAM …", 0, -1, applyOnly),
		obeyed("except", inSource, "STREAM …", 0, -1, applyOnly),
		obeyed("cluster_key", inSource, "KEY", 1, 1, applySourceKey).hidden(),
		obeyed("input", streams, "URL", 1, 1, applyInput).repeated().withBlock(inInput),
		obeyed("url", streams, "URL", 1, 1, applyInput).repeated().withBlock(inInput).alias("input"),
		obeyed("comment", inInput, "TEXT", 1, 1, applyComment),
		obeyed("priority", inInput, "NUMBER", 1, 1, applyPriority),
		obeyed("source_timeout", inInput|streams|inSource, "SECONDS", 1, 1, applySourceTimeout),
		obeyed("clients_timeout", streams|inSource, "SECONDS or false", 1, 1, applyClientsTimeout),
		obeyed("cluster_ingest", streams|inSource, "", 0, 0, applyIngest).withBlock(inIngest),
		obeyed("capture_at", inIngest, "HOST[:PORT]", 1, 1, applyCaptureAt),
		obeyed("handover", inIngest, "make or break", 1, 1, applyHandover),
		obeyed("partition", inIngest|streams, "available or exclusive", 1, 1, applyPartition),
		obeyed("disabled", streams, "[true or false]", 0, 1, applyDisabled),
		obeyed("static", streams, "[true or false]", 0, 1, applyStatic),
		obeyed("title", streams, "TEXT", 1, -1, applyTitle),
		obeyed("hls", inFile|streams|inSource, "playlist, relay or redirect", 1, 1, applyHLS),
		obeyed("redirect", inFile|streams|inSource, "PROTOCOL …", 1, -1, applyForward),
		obeyed("relay", inFile|streams|inSource, "PROTOCOL …", 1, -1, applyForward),
		obeyed("latency", inFile|streams|inSource, "MILLISECONDS", 1, 1, applyLatency),
	}
}

func peerDirectives() []spec {
	return []spec{
		obeyed("api_url", inPeer, "URL", 1, 1, applyPeerURL),
		obeyed("public_payload_url", inPeer, "URL", 1, 1, applyPeerURL),
		obeyed("public", inPeer, "URL", 1, 1, applyPeerURL).alias("public_payload_url"),
		obeyed("private_payload_url", inPeer, "URL", 1, 1, applyPeerURL),
		obeyed("private", inPeer, "URL", 1, 1, applyPeerURL).alias("private_payload_url"),
		obeyed("fetch_timeout", inPeer, "MILLISECONDS", 1, 1, applyPeerTimeout),
		obeyed("stale_timeout", inPeer, "MILLISECONDS", 1, 1, applyPeerTimeout),
		obeyed("cluster_key", inPeer, "KEY", 1, 1, applyPeerKey).hidden(),
		obeyed("channel_limit", inPeer, "NUMBER", 1, 1, applyLimit),
		obeyed("cpu_limit", inPeer, "PERCENT", 1, 1, applyLimit),
		laterArgs("hostname", inPeer, "HOST", 1, 1),
	}
}

// laterDirectives are the words of the systems whose files weir reads, as far as they are not built.
func laterDirectives() []spec {
	list := []spec{
		laterArgs("config_external", inFile, "URL", 1, 1).hidden(),
		laterArgs("api", inListener, "[true or false]", 0, 1),
		laterBlock("srt", inFile|streams, "[HOST:]PORT", 0, 1, anywhere),
		laterBlock("cache", inFile|streams|inSource, "NAME or DIRECTORY …", 0, -1, anywhere),
		laterBlock("event_sink", inFile, "NAME", 0, -1, anywhere),
		laterBlock("auth_backend", inFile, "NAME", 0, -1, anywhere),
		laterBlock("plugin", inFile, "NAME", 1, -1, anywhere),
		laterBlock("vsaas", inFile, "", 0, -1, anywhere),
		laterBlock("dvr", inFile|streams|inSource, "NAME or DIRECTORY …", 0, -1, anywhere),

		laterBlock("live", inFile, "NAME", 1, 1, inTemplate),
		laterArgs("cluster_key", inInput, "KEY", 1, 1).hidden(),

		laterArgs("streaming_prefix", inBalancer, "PREFIX", 1, 1),
	}
	for _, name := range []string{
		"allow_if", "audio_timeout", "deny_if", "frames_timeout", "max_retry_timeout", "output_audio",
		"remote_dvr", "timeout", "user_agent", "via", "video_timeout",
	} {
		list = append(list, laterArgs(name, inInput, "VALUE", 1, 1))
	}
	list = append(list, laterBlock("headers", inInput, "NAME=VALUE …", 0, -1, anywhere))
	for _, name := range []string{
		"add_audio_only", "auth", "backup", "chunk_duration", "domain", "domains", "drm", "group_config",
		"hls_scte35", "labels", "meta", "no_auto_token", "on_play", "on_publish", "password", "playback_headers",
		"push", "pushes", "segment_count", "segment_duration", "stats", "thumbnails", "transcoder",
	} {
		list = append(list, laterBlock(name, streams|inSource, "VALUE …", 0, -1, anywhere))
	}
	return list
}

// find gives the directive of this name in this place, or nil.
func find(name string, in context) *spec {
	for i := range registry {
		if s := &registry[i]; s.name == name && s.in&in != 0 {
			return s
		}
	}
	return nil
}

// known lists the names that may stand in a place.
func known(in context) []string {
	var names []string
	for i := range registry {
		if registry[i].in&in != 0 {
			names = append(names, registry[i].name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// placesOf gives every place in which a directive may stand; zero means that it is unknown.
func placesOf(name string) context {
	var c context
	for i := range registry {
		if registry[i].name == name {
			c |= registry[i].in
		}
	}
	return c
}

// isSecret reports whether the words of a directive must not be shown, wherever it stands.
func isSecret(name string) bool {
	return slices.ContainsFunc(registry, func(s spec) bool { return s.name == name && s.secret })
}
