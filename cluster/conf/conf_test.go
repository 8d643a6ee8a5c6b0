package conf

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/protocols"
)

const key = "cluster_key 0123456789abcdef0123456789abcdef;\n"

// refusedTests are files with something wrong, and what is said about it. They seed the fuzz targets too.
var refusedTests = []struct {
	name string
	src  string
	want string // a part of one message; its place is a part of it
	sev  Severity
}{
	// Secrets stay unseen in whatever is wrong.
	{"key in the wrong place", "vod a { root b; cluster_key pa55pa55; }", "f:1:17: error: found `cluster_key` inside `vod a {`", Error},
	{"URL too much", "stream a { input fake://a rtsp://u:pa55@h/x; }", `f:1:27: error: found "rtsp://u:****@h/x", expected nothing more`, Error},
	{"URL as peer", "peer http://u:pa55@h;", `found "http://u:****@h"`, Error},
	{"URL of an open block", "stream a { input rtsp://u:pa55@h/x {", "found the end of the file inside `input rtsp://u:****@h/x {`", Error},
	{"URL with a user", key + "peer a { api_url http://u:pa55@h; }", "without user, path or query", Error},

	// Syntax.
	{"brace too many", "http 80;\n}", "f:2:1: error: found `}` where no block is open", Error},
	{"end before semicolon", "http 80", "f:1:8: error: found the end of the file, expected `;` or `{` to follow `http` (its last word is at 1:6)", Error},
	{"brace before semicolon", "peer a {\n  public b\n}", "f:3:1: error: found `}`, expected `;` or `{` to follow `public`", Error},
	{"semicolon forgotten", "http 80\nrtmp 1935;", "f:2:1: error: found \"rtmp\", expected `;` to end the `http` of line 1", Error},
	{"string not closed", "stream a {\n  title \"x;\n}", "f:2:9: error: found a string that is not closed on its line", Error},
	{"text behind string", `title "a"b;`, `f:1:10: error: found 'b' directly after a quoted string`, Error},
	{"escape", `title "a\q";`, `f:1:9: error: found a backslash in a string, expected one of`, Error},
	{"no name", `"http" 80;`, `f:1:1: error: found "http", expected the name of a directive`, Error},
	{"block alone", "{ }", "f:1:1: error: found `{`, expected a directive", Error},
	{"control character", "http \x01;", "f:1:6: error: found control character U+0001", Error},
	{"no UTF-8", "http \xff;", "f:1:6: error: found byte 0xff", Error},
	{"too deep", strings.Repeat("a {", 40), "levels deep, expected at most 16", Error},
	{"columns are characters", "stream ü { inptu fake://fake; }", "f:1:12: error: found \"inptu\"", Error},
	{"block where none is", "name a { }", "f:1:1: error: found a block behind `name`, expected `;`", Error},
	{"nothing where words are", "name;", "f:1:1: error: found `name` with nothing behind it, expected `name NAME`", Error},
	{"more words than one", "name a b;", "f:1:8: error: found \"b\", expected nothing more than `name NAME`", Error},
	{"twice", "name a;\nname b;", "f:2:1: error: found `name` a second time, expected it once; the first is at 1:1", Error},
	{"twice under another word", "log info;\nloglevel info;", "f:2:1: error: found `loglevel` a second time", Error},
	{"stray block inside", "stream a { input fake://a; http 81; }", "f:1:28: error: found `http 81` inside `stream a {`, which was opened at 1:1 and probably not closed", Error},

	// A1
	{"peer without key", "peer a; peer b;", "f:1:1: error: found `peer` without a cluster key (and 1 more)", Error},
	{"ingest without key", "stream a { input fake://a; cluster_ingest; }", "f:1:28: error: found `cluster_ingest` without a cluster key", Error},
	{"source without key", "source a;", "f:1:1: error: found `source` without a cluster key", Error},
	{"balancer without key", "balancer b { server a; }", "f:1:1: error: found `balancer` without a cluster key", Error},
	{"short key", "cluster_key abcd;", "f:1:13: warning: cluster_key has only 4 characters", Warning},
	{"short key of a peer", key + "peer a { cluster_key abcd; }", "f:2:22: warning: cluster_key has only 4", Warning},
	{"empty key", `cluster_key "";`, "f:1:13: error: found an empty cluster_key", Error},
	{"key in two words is not shown", "cluster_key abc pa55;", "f:1:17: error: found a further word, expected nothing more", Error},

	// A2, A4
	{"peer twice", key + "peer a;\npeer A:80;", "f:3:1: warning: `peer a:80` stands in the list twice, which is one node; the entry at 2:1 counts", Warning},
	{"peers without end", key + strings.Repeat("peer a;", maxEntries+1), "error: found more than 1000 of `peer`, expected fewer", Error},
	{"pin unknown", key + "peer streamer; stream a { input fake://a; cluster_ingest capture_at=steamer; }", `f:2:58: warning: capture_at: found "steamer", which is no peer's name; did you mean "streamer"?`, Warning},
	{"pin ambiguous", key + "peer h:81; peer h:82; stream a { input fake://a; cluster_ingest capture_at=h; }", `f:2:65: error: capture_at: found "h", which several peers share; expected the port too: h:81 or h:82`, Error},
	{"pin with a port that no peer has", key + "peer h:81; stream a { input fake://a; cluster_ingest capture_at=h:82; }", "warning: capture_at: found \"h:82\", which is no peer's name; did you mean \"h:81\"?", Warning},

	// A8
	{"stale too short", key + "peer a { fetch_timeout 1000; stale_timeout 1000; }", "error: `peer a`: found stale_timeout 1000 with fetch_timeout 1000, expected it longer", Error},
	{"stale too short by default", key + "peer a { fetch_timeout 10000; }", "f:2:10: error: `peer a`: found stale_timeout 10000 with fetch_timeout 10000", Error},
	{"stale short", key + "peer a { fetch_timeout 2000; stale_timeout 5999; }", "f:2:30: warning: `peer a`: stale_timeout 5999 is less than three times fetch_timeout 2000", Warning},
	{"fetch often", key + "peer a { fetch_timeout 1000; stale_timeout 3000; }", "warning: `peer a`: fetch_timeout 1000 is very often; in a group of 2 with one answer in a hundred lost, expect 17 false take-overs per day", Warning},
	{"fetch zero", key + "peer a { fetch_timeout 0; }", "f:2:24: error: `fetch_timeout`: found 0, expected milliseconds from 1", Error},
	{"fetch negative", key + "peer a { fetch_timeout -1; }", "found -1, expected milliseconds from 1", Error},
	{"stale zero", key + "peer a { stale_timeout 0; }", "f:2:24: error: `stale_timeout`: found 0", Error},
	{"a duration with a unit", key + "peer a { fetch_timeout 2s; }", `found "2s", expected milliseconds without a unit, here 2000`, Error},
	{"hold-down negative", "return_holddown -5;", "f:1:17: error: `return_holddown`: found -5", Error},

	// B4
	{"https to http", key + "https 443; peer a { public b; }", "f:2:21: warning: viewers who come over HTTPS would be sent to plain http: the public URL of `peer a` is http://b", Warning},
	{"https to http by default", key + "https 443; peer a;", "warning: viewers who come over HTTPS would be sent to plain http: the API URL, which stands in for its public one, of `peer a` is http://a", Warning},

	// F1
	{"port too large", "http 65536;", "f:1:6: error: `http`: found \"65536\", expected a whole number from 0 to 65535 as the port", Error},
	{"port no number", "http eighty;", "`http`: found \"eighty\", expected PORT or HOST:PORT", Error},
	{"off misspelt", "http of;", `did you mean "off"?`, Error},
	{"off and on", "http off; http 80;", "f:1:1: error: found `http off` beside `http :80` at 1:11", Error},
	{"one port for two", "rtmp 80;", "f:1:1: error: found `rtmp 80`, but port 80 is the default of `http`; expected another port, or `http off`", Error},
	{"one port twice", "http 81; https 127.0.0.1:81;", "f:1:10: error: found `https 127.0.0.1:81`, but the port is taken by `http 81` at 1:1", Error},
	{"bare IPv6 with port", "http ::1:80:;", "several colons", Error},

	// URLs
	{"peer as URL", key + "peer http://a;", "a URL belongs in the peer's `api_url`", Error},
	{"URL with a path", key + "peer a { public http://b/x; }", "found more than a host and a port in the URL", Error},
	{"URL with a scheme", key + "peer a { public htps://b; }", `found the scheme "htps", expected http or https; did you mean "https"?`, Error},

	// Names.
	{"reserved first", "stream api/a { input fake://a; }", "f:1:1: error: `stream`: found \"api/a\", but \"api\" as the first part of a name is reserved", Error},
	{"reserved last", "stream a/whep { input fake://a; }", "\"whep\" as the last part of a name is reserved", Error},
	{"reserved for a balancer", key + "balancer b { server a; } stream b/a { input fake://a; }", "is reserved for the balancer of that name", Error},
	{"stream twice", "stream a { input fake://a; }\nstream a { input fake://a; }", "f:2:1: error: found `stream a` a second time, expected every stream to have a name of its own; the first is at 1:1", Error},
	{"dots", "stream a/../b { input fake://a; }", `expected a name without ".." as a part`, Error},
	{"slash", "stream /a { input fake://a; }", "without an empty part", Error},
	{"control character in a name", `stream "a\nb" { input fake://a; }`, "without control characters", Error},

	// Inputs.
	{"no input", "stream a { }", "f:1:1: error: found `stream a` without an input", Error},
	{"test picture of no size", "stream a { input fake://fake?size=bad; }", `found "fake://fake?size=bad": size="bad": must be like`, Error},
	{"scheme misspelt", "stream a { input fakee://a; }", `found the scheme "fakee", expected fake, file, hls, hlss, http, https, publish, rtmp, rtmps, rtsp, rtsps, tshttp or tshttps; did you mean "fake"?`, Error},
	{"no scheme", "stream a { input bunny.mp4; }", "expected a URL that begins with one of the schemes", Error},
	{"scheme later", "stream a { input udp://u:pa55@h/x; }", "f:1:18: not supported yet: input of scheme udp", Unsupported},
	{"pull of no host", "stream a { input tshttp:///x; }", `f:1:18: error: ` + "`input`: found \"tshttp:///x\", expected tshttp://[USER:PASSWORD@]HOST[:PORT]/PATH", Error},
	{"pull of a wrong port", "stream a { input rtsp://u:pa55@h:99999/x; }", `f:1:18: error: ` + "`input`: found \"99999\", expected a whole number from 1 to 65535 as the port", Error},
	{"pull that is no URL", "stream a { input hls://u:pa55@h/%zz; }", `f:1:18: error: ` + "`input`: found \"hls://u:****@h/%zz\", expected hls://", Error},
	{"RTMP without a name", "stream a { input rtmp://h; }", `expected rtmp://HOST[:PORT]/APP/NAME`, Error},
	{"priority 0", "stream a { input fake://a priority=0; }", "f:1:27: error: `priority`: found \"0\", expected a whole number from 1 to 1000", Error},
	{"priority of a stream", "stream a { input fake://a; priority 1; }", "f:1:28: error: found `priority`, which cannot stand in `stream`; expected it in input", Error},
	{"source_timeout with a unit", "stream a { input fake://a; source_timeout 5s; }", "f:1:43: error: `source_timeout`: found \"5s\", expected seconds without a unit, here 5", Error},
	{"source_timeout of nothing", "stream a { input fake://a source_timeout=0; }", "f:1:27: error: `source_timeout`: found 0, expected seconds from 1 to 86400", Error},

	// On demand, templates, sources.
	{"clients_timeout of a kept stream", "stream a { input fake://a; clients_timeout 5; }", "f:1:28: warning: clients_timeout says nothing of `stream a`", Warning},
	{"clients_timeout true", "ondemand a { input fake://a; clients_timeout true; }", "f:1:46: error: `clients_timeout`: found \"true\", expected a whole number of seconds, or false for never", Error},
	{"on demand by a publisher", "ondemand a { input publish://; }", "f:1:1: error: found `ondemand a` with no other input than publish://, expected `stream a`", Error},
	{"on demand without input", "ondemand a { }", "f:1:1: error: found `stream a` without an input", Error},
	{"on demand and not", "stream a { input fake://a; }\nondemand a { input fake://a; }", "f:2:1: error: found `stream a` a second time", Error},
	{"template unknown", "template tv { input fake://a; } stream a { template tw; }", "f:1:53: error: `template`: found \"tw\", expected a template of the file; did you mean \"tv\"?", Error},
	{"template twice", "template a { } template a { }", "f:1:25: error: found `template a` a second time", Error},
	{"template of a template", "template a { } template b { template a; }", "f:1:29: error: found `template` in a template", Error},
	{"prefix twice", "template a { prefix p; input publish://; } template b { prefix p; input publish://; }", "f:1:64: error: found `prefix p` a second time", Error},
	{"prefix reserved", "template a { prefix api; input publish://; }", "f:1:21: error: `prefix`: ", Error},
	{"prefix of what is pulled", "template a { prefix p; input rtmp://h/a/b; }", "f:1:24: not supported yet: an input other than publish:// in a template with a prefix", Unsupported},
	{"prefix of nothing", "template a { prefix p; }", "f:1:1: error: found `template a` with a prefix and without an input", Error},
	{"source twice", key + "source a; source a:80;", "f:2:18: error: found `source a:80` a second time", Error},
	{"source of another kind", key + "source rtsp://a/b;", "f:2:8: error: `source`: found the scheme \"rtsp\", expected HOST[:PORT] of a node", Error},
	{"source without names", "source rtmp://u:pa55@a/live { only; }", "f:1:1: error: found `source rtmp://u:****@a/live` without names of streams", Error},
	{"source with a query", "source rtmp://a/live?x=1 { only b; }", "expected rtmp://HOST[:PORT]/PATH", Error},
	{"source that takes and leaves", key + "source a { only b; except b; }", "f:2:1: error: `source a`: found \"b\" both in `only` and in `except`", Error},
	{"source with archive", key + "source a { dvr /x 2d; }", "f:2:12: not supported yet: `dvr`", Unsupported},
	{"outside", "stream a { input file://vod/../../etc/passwd; }", `found ".." as a part of the path`, Error},
	{"absolute", "stream a { input file:///etc/passwd; }", "expected file://LOCATION/PATH", Error},
	{"undeclared", "stream a { input file://voda/x.mp4; }", `found the location "voda", expected one that is declared by`, Error},
	{"vod without root", "vod clips;", "f:1:1: error: found `vod clips` without a directory", Error},
	{"vod twice", "vod a { root /a; } vod a { root /b; }", "found `vod a` a second time", Error},

	// Delivery.
	{"hls protocol", "redirect hls;", "for HLS and DASH write `hls redirect;`", Error},
	{"both", "redirect rtmp; relay rtmp;", "f:1:22: error: found \"rtmp\" in `relay`, expected it either there or in `redirect`", Error},

	// What is not built.
	{"exclusive", key + "stream a { input fake://a; cluster_ingest partition=exclusive; }", "f:2:43: not supported yet: partition=exclusive", Unsupported},
	{"prefix later", key + "balancer b { streaming_prefix x; server a; }", "f:2:14: not supported yet: `streaming_prefix`", Unsupported},

	// Balancers.
	{"mode unknown", key + "balancer b { mode client; server a; }", "f:2:19: error: `mode`: found \"client\", expected bitrate, clients, streams or usage; did you mean \"clients\"?", Error},
	{"usage without a cap", key + "balancer b {\n mode usage;\n server a max_bitrate=1M;\n server b;\n}", "f:5:2: error: found `server b` without max_bitrate, which `mode usage` at 3:2 divides by", Error},
	{"cap with another unit", key + "balancer b { server a max_bitrate=40Mbit; }", "f:2:23: error: `max_bitrate`: found \"40Mbit\", expected bits per second above 0, such as 40M", Error},
	{"cap of nothing", key + "balancer b { server a max_bitrate=0; }", "f:2:23: error: `max_bitrate`: found \"0\"", Error},
	{"cap too large", key + "balancer b { server a max_bitrate=9999999999999G; }", "error: `max_bitrate`: found", Error},
	{"no country", key + "balancer b { server a countries=RU,UK; }", "f:2:23: error: `countries`: found \"UK\", expected codes of countries", Error},
	{"country twice", key + "balancer b { server a countries=RU,ru countries_default=true; }", "f:2:23: warning: RU stands twice", Warning},
	{"nobody for the rest of the world", key + "balancer b { server a countries=RU; }", "f:2:1: warning: `balancer b` has no server for clients of other countries", Warning},
	{"balancer with a reserved name", key + "balancer api { server a; }", "f:2:10: error: `balancer`: found \"api\", but \"api\" as the first part of a name is reserved", Error},
	{"balancer with a reserved last part", key + "balancer whip { server a; }", "f:2:10: error: `balancer`: found \"whip\"", Error},
	{"balancer of two parts", key + "balancer a/b { server a; }", "f:2:10: error: `balancer`: found \"a/b\", expected a name without a slash", Error},
	{"balancer named like a stream", key + "balancer b { server a; } stream b { input fake://a; }", "f:2:26: error: `stream`: found \"b\", but \"b\" as the first part of a name is reserved for the balancer of that name", Error},
	{"balancer twice", key + "balancer b { server a; }\nbalancer b { server a; }", "f:3:10: error: found `balancer b` a second time, expected every balancer to have a name of its own; the first is at 2:1", Error},
	{"balancer without servers", key + "balancer b { mode clients; }", "f:2:1: error: found `balancer b` without a server", Error},
	{"server twice", key + "balancer b { server a; peer A:80; }", "f:2:29: error: found `peer a:80` a second time in `balancer b`, expected it once; the first is at 2:14", Error},
	{"server of several peers", key + "peer h:81; peer h:82; balancer b { server h; }", "f:2:36: error: found the server \"h\", which several peers share; expected the port too: h:81 or h:82", Error},
	{"server as URL", key + "balancer b { server http://a; }", "f:2:21: error: `server`: found \"http://a\"", Error},
	{"proxy as a name", "trusted_proxies nginx;", "f:1:17: error: `trusted_proxies`: found \"nginx\", expected an address or a network", Error},

	// Limits.
	{"no channels", "channel_limit 0;", "f:1:15: error: ", Error},
	{"more than all", "cpu_limit 101;", "f:1:11: error: ", Error},
	{"rebalancing", "rebalance_rate -1;", "or off", Error},
	{"input option", "stream a { input fake://a via=x; }", "f:1:27: not supported yet: `via`", Unsupported},
	{"input option in a block", "stream a { input fake://a { via x; } }", "f:1:29: not supported yet: `via`", Unsupported},
	{"unknown in a balancer", key + "balancer b { mdoe clients; server a; }", "f:2:14: error: found \"mdoe\", which is no directive in `balancer`; did you mean `mode`?", Error},
	{"listener option", "http 80 { api false; }", "f:1:11: not supported yet: `api`", Unsupported},
}

func TestWhatIsWrongIsSaidWithItsPlace(t *testing.T) {
	for _, tt := range refusedTests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := Parse("f", []byte(tt.src))
			if !strings.Contains(problems.String(), tt.want) {
				t.Fatalf("Parse(%q) problems are\n%swant among them %s", tt.src, problems, tt.want)
			}
			if got := problems.Failed(); got != (tt.sev != Warning) {
				t.Errorf("Parse(%q) failed = %t, want %t:\n%s", tt.src, got, tt.sev != Warning, problems)
			}
			if strings.Contains(problems.String(), "pa55") {
				t.Errorf("Parse(%q) shows a password:\n%s", tt.src, problems)
			}
		})
	}
}

// full is a file in which every obeyed directive occurs.
const full = `
name n1; # this node
` + key + `
return_holddown 1000;
http 127.0.0.1:8080; http [::1]:8080; https 8443; rtmp off; rtsp 127.0.0.1:0; remote 127.0.0.1:7000;
loglevel debug;
hls relay; redirect rtmp,flv; relay rtsp; latency 80;
vod clips { root "/srv/my clips"; }
peer N1.example.com.;
peer n2:8081 { api_url https://n2; public https://cdn.example.com:8443/; private 10.0.0.2:81; fetch_timeout 1500; stale_timeout 6000; max_bitrate 1G; cluster_key ab0123456789abcd==; }
peer [2001:db8::1]:80;
stream cam01 hls=redirect relay=rtmp,mpegts {
	url file://clips/dir/bunny.mp4 comment="the rabbit";
	input publish://;
	cluster_ingest capture_at=n2 handover=make;
	title "Camera; \"one\"";
}
stream "cam 02/low" { input fake://fake; cluster_ingest { capture_at [2001:db8::1]:80; } disabled; static; }
stream cam03 { input fake://fake; disabled false; latency 5; title News at ten; }
ondemand 1 {
	source_timeout 7;
	input tshttp://u:p@h:81/a?b=c;
	input hls://h/x.m3u8 priority=1;
	input HTTPS://h/x.flv { priority 3; source_timeout 9; }
	input rtsp://h/y;
	clients_timeout 5; cluster_ingest;
}
template tv { input rtmp://h/app/name; title TV; clients_timeout false; hls redirect; }
template talks { prefix talk; input publish://; relay mpegts; }
stream kept { template tv; title Own; static false; }
source n9:81 { only a b; except c; prefix far; cluster_key fedcba9876543210; clients_timeout 9; source_timeout 4; cluster_ingest; relay rtmp; }
source rtmp://h2/live/ { only d; }
source N8 { only; }
edit_auth root s3cret; view_auth guest "s3 cret"; session_log /var/lib/weir; pulsedb /var/lib/weir; geoip /srv/Country.mmdb;
trusted_proxies 10.1.2.3/8,::1; trusted_proxies 192.0.2.7;
balancer lb { mode usage; server n1.example.com max_bitrate=40M countries=ru,CN; peer n2 countries_default=true; server edge:8080 max_bitrate=400K; in_flight off; }
balancer all { server n1.example.com; }
`

func TestEveryObeyedDirectiveReachesTheModel(t *testing.T) {
	f, problems := Parse("f", []byte(full))
	if problems.Failed() {
		t.Fatalf("refused:\n%s", problems)
	}
	const ms = time.Millisecond
	const k = "0123456789abcdef0123456789abcdef"
	global := Delivery{HLS: HLSRelay, Redirect: []string{"flv", "rtmp"}, Relay: []string{"rtsp"}, Latency: 80 * ms}
	want := &File{
		Name: "n1", ClusterKey: k, ReturnHolddown: time.Second, RebalanceRate: DefaultRebalanceRate, LogLevel: "debug",
		Listeners: map[protocols.Protocol][]Listen{
			"http": {{Host: "127.0.0.1", Port: 8080}, {Host: "::1", Port: 8080}}, "https": {{Port: 8443}}, "rtsp": {{Host: "127.0.0.1"}},
		},
		Remote: Listen{Host: "127.0.0.1", Port: 7000},
		Vods:   []Vod{{Name: "clips", Root: "/srv/my clips"}, {Name: "vod", Root: DefaultVodRoot}},
		Peers: []Peer{
			{
				Host: "n1.example.com", APIURL: "http://n1.example.com", Public: "http://n1.example.com", Private: "http://n1.example.com",
				FetchTimeout: DefaultFetchTimeout, StaleTimeout: DefaultStaleTimeout, ClusterKey: k,
			},
			{
				Host: "n2", Port: 8081, APIURL: "https://n2", Public: "https://cdn.example.com:8443", PublicGiven: true, Private: "http://10.0.0.2:81",
				FetchTimeout: 1500 * ms, StaleTimeout: 6 * time.Second, ClusterKey: "ab0123456789abcd==", MaxBitrate: 1e9,
			},
			{
				Host: "2001:db8::1", Port: 80, APIURL: "http://[2001:db8::1]", Public: "http://[2001:db8::1]", Private: "http://[2001:db8::1]",
				FetchTimeout: DefaultFetchTimeout, StaleTimeout: DefaultStaleTimeout, ClusterKey: k,
			},
		},
		EditAuth: &Credentials{User: "root", Password: "s3cret"}, ViewAuth: &Credentials{User: "guest", Password: "s3 cret"},
		SessionLog: "/var/lib/weir", Pulsedb: "/var/lib/weir", GeoIP: "/srv/Country.mmdb",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.7/32")},
		Balancers: []Balancer{
			{Name: "lb", Mode: Usage, Servers: []Server{
				{Host: "n1.example.com", Peer: "n1.example.com", MaxBitrate: 40e6, Countries: []string{"CN", "RU"}},
				{Host: "n2", Peer: "n2:8081", MaxBitrate: 1e9, Default: true},
				{Host: "edge", Port: 8080, MaxBitrate: 400e3},
			}},
			{Name: "all", Mode: Clients, InFlight: true, Servers: []Server{{Host: "n1.example.com", Peer: "n1.example.com"}}},
		},
		Delivery: Delivery{HLS: HLSRelay, Redirect: []string{"flv", "rtmp"}, Relay: []string{"rtsp"}, Latency: 80 * ms},
		Streams: []Stream{
			{
				Name: "cam01", Title: `Camera; "one"`, Static: true,
				Inputs: []Input{
					{URL: "file://clips/dir/bunny.mp4", Scheme: "file", Location: "clips", File: "dir/bunny.mp4", Priority: 1, SourceTimeout: time.Minute},
					{URL: "publish://", Scheme: "publish", Priority: 2, SourceTimeout: time.Minute},
				},
				Ingest:   &Ingest{CaptureAt: "n2", Peer: "n2:8081", Handover: Make, Partition: Available},
				Delivery: Delivery{HLS: HLSRedirect, Redirect: []string{"flv"}, Relay: []string{"mpegts", "rtmp", "rtsp"}, Latency: 80 * ms},
			},
			{
				Name: "cam 02/low", Static: true, Disabled: true,
				Inputs:   []Input{{URL: "fake://fake", Scheme: "fake", Priority: 1, SourceTimeout: time.Minute}},
				Ingest:   &Ingest{CaptureAt: "[2001:db8::1]:80", Peer: "[2001:db8::1]:80", Handover: Make, Partition: Available},
				Delivery: Delivery{HLS: HLSRelay, Redirect: []string{"flv", "rtmp"}, Relay: []string{"rtsp"}, Latency: 80 * ms},
			},
			{
				Name: "cam03", Static: true, Title: "News at ten",
				Inputs:   []Input{{URL: "fake://fake", Scheme: "fake", Priority: 1, SourceTimeout: time.Minute}},
				Delivery: Delivery{HLS: HLSRelay, Redirect: []string{"flv", "rtmp"}, Relay: []string{"rtsp"}, Latency: 5 * ms},
			},
			{
				Name: "1", ClientsTimeout: 5 * time.Second,
				Inputs: []Input{
					{URL: "tshttp://u:p@h:81/a?b=c", Scheme: "tshttp", Address: "http://u:p@h:81/a?b=c", Form: TS, Priority: 1, SourceTimeout: 7 * time.Second},
					{URL: "hls://h/x.m3u8", Scheme: "hls", Address: "http://h/x.m3u8", Form: HLS, Priority: 1, SourceTimeout: 7 * time.Second},
					{URL: "HTTPS://h/x.flv", Scheme: "https", Address: "https://h/x.flv", Form: FLV, Priority: 3, SourceTimeout: 9 * time.Second},
					{URL: "rtsp://h/y", Scheme: "rtsp", Address: "rtsp://h/y", Priority: 4, SourceTimeout: 7 * time.Second},
				},
				Ingest:   &Ingest{Handover: Make, Partition: Available},
				Delivery: global,
			},
			{
				Name: "kept", ClientsTimeout: -1, Title: "Own",
				Inputs:   []Input{{URL: "rtmp://h/app/name", Scheme: "rtmp", Address: "rtmp://h/app/name", Priority: 1, SourceTimeout: time.Minute}},
				Delivery: Delivery{HLS: HLSRedirect, Redirect: []string{"flv", "rtmp"}, Relay: []string{"rtsp"}, Latency: 80 * ms},
			},
		},
		Templates: []Template{{
			Name: "talks", Prefix: "talk", Stream: Stream{
				Static: true, Inputs: []Input{{URL: "publish://", Scheme: "publish", Priority: 1, SourceTimeout: time.Minute}},
				Delivery: Delivery{HLS: HLSRelay, Redirect: []string{"flv", "rtmp"}, Relay: []string{"mpegts", "rtsp"}, Latency: 80 * ms},
			},
		}},
		Sources: []Source{
			{
				Name: "n9:81", URL: "http://n9:81", Only: []string{"a", "b"}, OnlyGiven: true, Except: []string{"c"}, Prefix: "far", ClusterKey: "fedcba9876543210",
				Stream: Stream{
					Static: true, ClientsTimeout: 9 * time.Second, Inputs: []Input{{SourceTimeout: 4 * time.Second}},
					Ingest:   &Ingest{Handover: Make, Partition: Available},
					Delivery: Delivery{HLS: HLSRelay, Redirect: []string{"flv"}, Relay: []string{"rtmp", "rtsp"}, Latency: 80 * ms},
				},
			},
			{
				Name: "rtmp://h2/live", URL: "rtmp://h2/live", Plain: true, Only: []string{"d"}, OnlyGiven: true,
				Stream: Stream{Static: true, ClientsTimeout: time.Minute, Inputs: []Input{{SourceTimeout: time.Minute}}, Delivery: global},
			},
			{
				Name: "N8", URL: "http://n8", OnlyGiven: true, ClusterKey: k,
				Stream: Stream{Static: true, ClientsTimeout: time.Minute, Inputs: []Input{{SourceTimeout: time.Minute}}, Delivery: global},
			},
		},
	}
	if got := withoutPositions(f); !reflect.DeepEqual(got, want) {
		t.Errorf("Parse(full) =\n%s\nwant\n%s", got.render(false), want.render(false))
		for i := range want.Streams {
			t.Logf("stream %d: %+v want %+v", i, got.Streams[i], want.Streams[i])
		}
	}
}

func withoutPositions(f *File) *File {
	f.index = nil
	clear := func(list []Listen) {
		for i := range list {
			list[i].Pos = Pos{}
		}
	}
	for _, list := range f.Listeners {
		clear(list)
	}
	f.Remote.Pos = Pos{}
	for i := range f.Vods {
		f.Vods[i].Pos = Pos{}
	}
	for i := range f.Peers {
		f.Peers[i].Pos = Pos{}
	}
	for i := range f.Templates {
		f.Templates[i].Pos = Pos{}
		bare(&f.Templates[i].Stream)
	}
	for i := range f.Sources {
		f.Sources[i].Pos = Pos{}
		bare(&f.Sources[i].Stream)
	}
	for i := range f.Vhosts {
		f.Vhosts[i].Pos = Pos{}
	}
	for i := range f.Balancers {
		f.Balancers[i].Pos = Pos{}
		for j := range f.Balancers[i].Servers {
			f.Balancers[i].Servers[j].Pos = Pos{}
		}
	}
	for i := range f.Streams {
		bare(&f.Streams[i])
	}
	return f
}

func bare(s *Stream) {
	s.Pos = Pos{}
	if s.Ingest != nil {
		s.Ingest.Pos = Pos{}
	}
	for i := range s.Inputs {
		s.Inputs[i].Pos = Pos{}
	}
}

func TestStreamsOfAPlainServerAreThoseThatTheSourceLists(t *testing.T) {
	f, problems := Parse("f", []byte("source http://u:p@h:81/live { only a b/c; prefix far; except x; } source rtmp://h/app { only d; }"))
	if problems.Failed() {
		t.Fatal(problems)
	}
	var got []string
	for _, s := range f.Sources {
		for _, st := range s.Streams() {
			got = append(got, st.Name+" "+st.Inputs[0].Address+" "+string(st.Inputs[0].Form))
		}
	}
	want := []string{"far/a http://u:p@h:81/live/a.flv flv", "far/b/c http://u:p@h:81/live/b/c.flv flv", "d rtmp://h/app/d "}
	if !slices.Equal(got, want) {
		t.Errorf("streams %q, want %q", got, want)
	}
	more := f.With(f.Sources[0].Streams())
	if more.Stream("far/a") == nil || f.Stream("far/a") != nil || len(more.With(f.Sources[0].Streams()).Streams) != 2 {
		t.Error("With does not add what is not there, or changes what it was given")
	}
}

func TestTemplateOfTheLongestPrefixIsMeant(t *testing.T) {
	f, problems := Parse("f", []byte("template a { prefix p; input publish://; } template b { prefix p/q; input publish://; }"))
	if problems.Failed() {
		t.Fatal(problems)
	}
	for name, want := range map[string]string{"p/x": "a", "p/q/x": "b", "p/q": "a", "q/x": "", "p": ""} {
		got := ""
		if t := f.Template(name); t != nil {
			got = t.Name
		}
		if got != want {
			t.Errorf("Template(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestDefaultPortsHoldWhereNoneIsGiven(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"", "http 80 https off rtmp 1935 rtsp 554"},
		{"http 8080; http 8081;", "http 8080 8081 https off rtmp 1935 rtsp 554"},
		{"http off; rtmp off; rtsp off; https 443;", "http off https 443 rtmp off rtsp off"},
		{"http :8080; rtsp *:5540;", "http 8080 https off rtmp 1935 rtsp 5540"},
	} {
		f, problems := Parse("f", []byte(tt.src))
		if problems.Failed() {
			t.Errorf("%q is refused:\n%s", tt.src, problems)
			continue
		}
		var got []string
		for _, p := range []protocols.Protocol{"http", "https", "rtmp", "rtsp"} {
			got = append(got, string(p))
			for _, l := range f.Listeners[p] {
				got = append(got, addrWords(l))
			}
			if len(f.Listeners[p]) == 0 {
				got = append(got, "off")
			}
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("Parse(%q) listens at %s, want %s", tt.src, s, tt.want)
		}
	}
}

func TestFalseTakeOversFollowTheFormula(t *testing.T) {
	for _, tt := range []struct {
		n            int
		fetch, stale time.Duration
		want         string // the table of section 5 of the cluster rules, per day
	}{
		{20, time.Second, 3 * time.Second, "3250"},      // one per 27 s
		{20, time.Second, 5 * time.Second, "0.33"},      // one per 3 days
		{20, 2 * time.Second, 10 * time.Second, "0.16"}, // one per 6 days
		{2, 100 * time.Millisecond, time.Second, "less than 0.01"},
	} {
		if got := rate(falseTakeOvers(tt.n, tt.fetch, tt.stale)); got != tt.want {
			t.Errorf("falseTakeOvers(%d, %s, %s) = %s, want %s", tt.n, tt.fetch, tt.stale, got, tt.want)
		}
	}
}

func TestNodeOutsideItsOwnListIsMeantByItsName(t *testing.T) {
	src := []byte(key + "peer n2; stream a { input fake://a; cluster_ingest capture_at=n1; }")
	for _, fl := range []Flags{{Name: "n1"}, {Self: []string{"N1"}}} {
		f, problems := Load("f", src, fl)
		if len(problems) != 0 || f.Streams[0].Ingest.CaptureAt != "n1" || f.Streams[0].Ingest.Peer != "" {
			t.Errorf("Load(…, %+v): ingest %+v, problems:\n%s", fl, f.Streams[0].Ingest, problems)
		}
	}
	if _, problems := Parse("f", src); len(problems) != 1 {
		t.Errorf("without a name there are %d problems, want one warning:\n%s", len(problems), problems)
	}
}

func TestLimitsAreThoseOfTheNodeOrOfAPeer(t *testing.T) {
	f, problems := Parse("f", []byte(key+"channel_limit 7; cpu_limit 80; rebalance_rate off; journal /var/log/j;\npeer a { channel_limit 5; cpu_limit 90; }\n"+
		"stream s { input fake://a; cluster_ingest handover=break; }"))
	if problems.Failed() {
		t.Fatal(problems)
	}
	if f.ChannelLimit != 7 || f.CPULimit != 80 || f.Peers[0].ChannelLimit != 5 || f.Peers[0].CPULimit != 90 {
		t.Errorf("limits %d, %d and of the peer %d, %d, want 7, 80, 5, 90", f.ChannelLimit, f.CPULimit, f.Peers[0].ChannelLimit, f.Peers[0].CPULimit)
	}
	if f.RebalanceRate != 0 || f.Journal != "/var/log/j" || f.Streams[0].Ingest.Handover != Break {
		t.Errorf("rebalance_rate %d, journal %q, handover %s, want 0, /var/log/j, break", f.RebalanceRate, f.Journal, f.Streams[0].Ingest.Handover)
	}
	if g, _ := Parse("f", nil); g.RebalanceRate != 1 {
		t.Errorf("rebalance_rate of an empty file = %d, want 1", g.RebalanceRate)
	}
}

func TestHashIsOfWhatNodesMustAgreeOn(t *testing.T) {
	hash := func(src string, more ...string) string {
		t.Helper()
		f, problems := Parse("f", []byte(src))
		if problems.Failed() {
			t.Fatalf("%q is refused:\n%s", src, problems)
		}
		return f.Hash(more...)
	}
	const a, b = "stream a { input fake://a; }\n", "stream b { input fake://b; cluster_ingest; }\n"
	base := hash(key + a + b)
	for _, same := range []string{
		key + b + a,
		key + "http 8080; name n7; loglevel debug; # another node\n" + a + b,
		key + "stream a { url fake://a; title A; }" + b,
		key + "peer n1; peer n2;" + a + b,
	} {
		if got := hash(same); got != base {
			t.Errorf("hash(%q) = %s, want %s as of the base", same, got, base)
		}
	}
	for _, other := range []string{
		key + a,
		key + a + "stream b { input fake://b; }",
		key + a + "stream b { input fake://b; cluster_ingest capture_at=n1; }",
		key + a + "stream b { input fake://c; cluster_ingest; }",
		key + "return_holddown 1;" + a + b,
		key + "stream a { input fake://a; disabled; }" + b,
		key + "ondemand a { input fake://a; }" + b,
		key + "stream a { input fake://a priority=2; }" + b,
		key + a + b + "source o;",
		key + a + b + "template t { prefix p; input publish://; }",
	} {
		if got := hash(other); got == base {
			t.Errorf("hash(%q) = %s as of the base, want another", other, got)
		}
	}
	const first, second = "source o { only x y; except z; cluster_ingest; }\n", "source p { prefix q; }\n"
	if hash(key+first+second) != hash(key+second+"source O { except z; only y x; cluster_ingest; }") {
		t.Error("the order of sources and names counts")
	}
	if hash(key+first) == hash(key+"source o { only x y; except z; }") {
		t.Error("how a source's streams are placed does not count")
	}
	if hash(key+a, "ab", "c") == hash(key+a, "a", "bc") {
		t.Error("what the caller adds runs together")
	}
}

func TestMaskedShowsNoSecret(t *testing.T) {
	f, _ := Parse("f", []byte(`cluster_key topsecret-topsecret; edit_auth root topsecret; view_auth u topsecret;
		peer a { cluster_key other-topsecret-secret; } stream s { input rtmp://u:topsecret@h/x; }`))
	got := f.Masked()
	if strings.Contains(got, "secret") {
		t.Errorf("Masked() shows a secret:\n%s", got)
	}
	if !strings.Contains(got, "cluster_key ****;") || !strings.Contains(got, "rtmp://u:****@h/x") {
		t.Errorf("Masked() leaves out that there is one:\n%s", got)
	}
}

func TestRegistryIsWhole(t *testing.T) {
	for i, s := range registry {
		if !s.later && s.apply == nil {
			t.Errorf("%s is neither obeyed nor marked as not built", s.name)
		}
		for _, o := range registry[:i] {
			if o.name == s.name && o.in&s.in != 0 {
				t.Errorf("%s stands twice in %v", s.name, (o.in & s.in).words())
			}
		}
		if s.same != "" && find(s.same, s.in) == nil {
			t.Errorf("%s is another word for %s, which is unknown in %v", s.name, s.same, s.in.words())
		}
	}
}

func TestNamesOfPublishersAreHeldToTheSameRules(t *testing.T) {
	for _, tt := range []struct {
		name     string
		ok       bool
		reserved bool
	}{
		{"cam01", true, false},
		{"site/cam 1", true, false},
		{"камера", true, false},
		{"mpegts/x", true, false},
		{"metrics", false, true},
		{"x/mpegts", false, true},
		{"lb/x", false, true},
		{"x/lb", true, false},
		{"", false, false},
		{"a//b", false, false},
		{"a/./b", false, false},
		{"a\x00", false, false},
		{"a\xff", false, false},
		{strings.Repeat("a", 256), false, false},
	} {
		err := CheckName(tt.name, []string{"lb"})
		if (err == nil) != tt.ok || errors.Is(err, ErrReserved) != tt.reserved {
			t.Errorf("CheckName(%q) = %v, want ok %t, reserved %t", tt.name, err, tt.ok, tt.reserved)
		}
	}
}

func TestNearestKnownWord(t *testing.T) {
	words := []string{"peer", "stream", "cluster_key", "http", "https", "rtmp", "rtsp"}
	for _, tt := range []struct{ word, want string }{
		{"per", "peer"},
		{"steam", "stream"},
		{"STREAM", "stream"},
		{"htpps", "https"},
		{"clusterkey", "cluster_key"},
		{"rtps", "rtsp"},
		{"zzz", ""},
		{"", ""},
		{strings.Repeat("stream", 100), ""},
	} {
		if got := nearest(tt.word, words); got != tt.want {
			t.Errorf("nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

func TestManyProblemsAreCountedNotListed(t *testing.T) {
	_, problems := Parse("f", []byte(strings.Repeat("nonsense;\n", 1000)))
	if len(problems) != maxProblems+1 || !strings.Contains(problems[maxProblems].Text, "900 more problems") {
		t.Errorf("%d problems, the last %v; want %d and a count", len(problems), problems[len(problems)-1], maxProblems+1)
	}
}

func TestOversizedFilesAreRefused(t *testing.T) {
	for _, src := range []string{strings.Repeat(" ", maxFile+1), strings.Repeat("a;", maxTokens/2+1)} {
		if _, problems := Parse("f", []byte(src)); !problems.Failed() {
			t.Errorf("a file of %d bytes is accepted", len(src))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range refusedTests {
		f.Add([]byte(tt.src))
	}
	f.Add([]byte(full))
	for _, tt := range vhostTests {
		f.Add([]byte(tt.src))
	}
	for _, dir := range []string{"seeds", "conf"} {
		for _, name := range examples(f, dir) {
			f.Add(readExample(f, dir, name))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, problems := Parse("f", src)
		if len(problems) > maxProblems+1 {
			t.Fatalf("%d problems", len(problems))
		}
		for _, p := range problems {
			if p.Text == "" || p.Severity == 0 || p.Pos.Line == 0 {
				t.Fatalf("problem without words, severity or place: %+v", p)
			}
		}
		if problems.Failed() {
			_ = file.Masked()
			return
		}
		text := file.render(false)
		again, problems := Parse("f", []byte(text))
		if problems.Failed() {
			t.Fatalf("the rendering is refused:\n%s\n%s", problems, text)
		}
		if a, b := withoutPositions(file), withoutPositions(again); !reflect.DeepEqual(a, b) {
			t.Fatalf("the rendering means something else:\n%s\n%s", text, b.render(false))
		}
		if file.Hash() != again.Hash() {
			t.Fatal("the rendering has another hash")
		}
	})
}

func FuzzFlags(f *testing.F) {
	f.Add("a:80 { public b; }", "a=fake://fake; cluster_ingest", "clips=/srv")
	f.Add("a", "a=file://vod/x.mp4; title \"x\";", "/srv")
	f.Add("a; } stream x {", "a=fake://; } stream b { input fake://b", "=")
	f.Fuzz(func(t *testing.T, peer, stream, vod string) {
		file, problems := Load("", nil, Flags{ClusterKey: "0123456789abcdef", Peers: []string{peer}, Streams: []string{stream}, Vods: []string{vod}})
		if len(file.Peers) > 1 || len(file.Streams) > 1 {
			t.Fatalf("one flag gave %d peers and %d streams: %s", len(file.Peers), len(file.Streams), problems)
		}
	})
}
