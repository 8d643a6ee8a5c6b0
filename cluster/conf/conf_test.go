package conf

import (
	"errors"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"weir/protocols"
)

const key = "cluster_key 0123456789abcdef0123456789abcdef;\n"

// A verdict is a file with errors or warnings, and the text of these problems.
type verdict struct{ name, src, says string }

const verdictsFile = "../../testdata/conf/verdicts.txtar"

// verdicts are the files of testdata/conf/verdicts.txtar. They seed the fuzz targets too.
func verdicts(t testing.TB) (list []verdict) {
	t.Helper()
	a, err := txtar.ParseFile(verdictsFile)
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(a.Files, 2) {
		if len(pair) != 2 || pair[1].Name != pair[0].Name+": says" {
			t.Fatalf("the file %q is not followed by its problems", pair[0].Name)
		}
		list = append(list, verdict{pair[0].Name, strings.TrimSuffix(string(pair[0].Data), "\n"), string(pair[1].Data)})
	}
	return list
}

// unwritable are files that cannot stand in a txtar file, and a part of their problems.
var unwritable = []verdict{
	{"control character", "http \x01;", "f:1:6: error: found control character U+0001"},
	{"no UTF-8", "http \xff;", "f:1:6: error: found byte 0xff"},
	{"too deep", strings.Repeat("a {", 40), "f:1:51: error: found a block 17 levels deep, expected at most 16"},
	{"peers without end", key + strings.Repeat("peer a;", maxEntries+1), "error: found more than 1000 of `peer`, expected fewer"},
}

func TestWhatIsWrongIsSaidWithItsPlace(t *testing.T) {
	list := verdicts(t)
	if *update {
		a, _ := txtar.ParseFile(verdictsFile)
		for i, v := range list {
			_, problems := Parse("f", []byte(v.src))
			a.Files[2*i+1].Data = []byte(problems.String())
		}
		if err := os.WriteFile(verdictsFile, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		list = verdicts(t)
	}
	for _, v := range list {
		_, problems := Parse("f", []byte(v.src))
		if got := problems.String(); got != v.says || got == "" {
			t.Errorf("%s: %q: problems are\n%swant\n%s", v.name, v.src, got, v.says)
		}
		if strings.Contains(problems.String(), "pa55") {
			t.Errorf("%s: a password is shown:\n%s", v.name, problems)
		}
	}
	for _, v := range unwritable {
		_, problems := Parse("f", []byte(v.src))
		if !problems.Failed() || !strings.Contains(problems.String(), v.says) {
			t.Errorf("%s: problems are\n%swant among them %s", v.name, problems, v.says)
		}
	}
}

// full is a file with every supported directive.
const full = `
name n1; # this node
` + key + `
return_holddown 1000;
http 127.0.0.1:8080; http [::1]:8080; https 8443; rtmp off; rtmps 127.0.0.1:1443; rtsp 127.0.0.1:0; remote 127.0.0.1:7000;
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
	input rtsps://h/y { trusted_ca /cameras.pem; }
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
connection_limit 500; connection_limit_per_address off; rtmp_connection_limit 40; descriptor_reserve 99; request_body_timeout 2000;
name_limit 30; name_limit_per_address 3; hls_viewer_limit_per_address 7;
balancer lb { mode usage; server n1.example.com max_bitrate=40M countries=ru,CN; peer n2 countries_default=true; server edge:8080 max_bitrate=400K; in_flight off; }
balancer all { server n1.example.com; }
certificate /a.pem /a.key; certificate "/b c.pem"; letsencrypt TV.example.com,a.example.com; letsencrypt b.example.com; trusted_ca /ca.pem;
letsencrypt_email root@example.com; letsencrypt_directory https://acme.example.com/directory; letsencrypt_store /srv/acme;
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
		Limits: Limits{
			Connections: 500, Protocols: map[protocols.Protocol]int{"rtmp": 40}, DescriptorReserve: 99, RequestBody: 2 * time.Second,
			Names: 30, NamesPerAddress: 3, ViewersPerAddress: 7,
		},
		Listeners: map[protocols.Protocol][]Listen{
			"http": {at("127.0.0.1", 8080), at("::1", 8080)}, "rtsp": {at("127.0.0.1", 0)},
			"https": {at("", 8443)}, "rtmps": {at("127.0.0.1", 1443)},
		},
		Certificates: []Certificate{{File: "/a.pem", Key: "/a.key"}, {File: "/b c.pem", Key: "/b c.pem"}},
		ACME: ACME{
			Names: []string{"tv.example.com", "a.example.com", "b.example.com"}, Email: "root@example.com", Directory: "https://acme.example.com/directory", Store: "/srv/acme",
		},
		TrustedCA: []string{"/ca.pem"},
		Remote:    Address{Host: "127.0.0.1", Port: 7000},
		Vods:      []Vod{{Name: "clips", Root: "/srv/my clips"}, {Name: "vod", Root: DefaultVodRoot}},
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
				Name: "1", ClientsTimeout: 5 * time.Second, SourceTimeout: 7 * time.Second,
				Inputs: []Input{
					{URL: "tshttp://u:p@h:81/a?b=c", Scheme: "tshttp", Address: "http://u:p@h:81/a?b=c", Form: TS, Priority: 1, SourceTimeout: 7 * time.Second},
					{URL: "hls://h/x.m3u8", Scheme: "hls", Address: "http://h/x.m3u8", Form: HLS, Priority: 1, SourceTimeout: 7 * time.Second},
					{URL: "HTTPS://h/x.flv", Scheme: "https", Address: "https://h/x.flv", Form: FLV, Priority: 3, SourceTimeout: 9 * time.Second},
					{URL: "rtsps://h/y", Scheme: "rtsps", Address: "rtsps://h/y", Priority: 4, SourceTimeout: 7 * time.Second, TrustedCA: "/cameras.pem"},
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
					Static: true, ClientsTimeout: 9 * time.Second, SourceTimeout: 4 * time.Second,
					Ingest:   &Ingest{Handover: Make, Partition: Available},
					Delivery: Delivery{HLS: HLSRelay, Redirect: []string{"flv"}, Relay: []string{"rtmp", "rtsp"}, Latency: 80 * ms},
				},
			},
			{
				Name: "rtmp://h2/live", URL: "rtmp://h2/live", Plain: true, Only: []string{"d"}, OnlyGiven: true,
				Stream: Stream{Static: true, ClientsTimeout: time.Minute, Delivery: global},
			},
			{
				Name: "N8", URL: "http://n8", OnlyGiven: true, ClusterKey: k,
				Stream: Stream{Static: true, ClientsTimeout: time.Minute, Delivery: global},
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
	f.index, f.Places = nil, nil
	clear := func(list []Listen) {
		for i := range list {
			list[i].Pos = Pos{}
		}
	}
	for _, list := range f.Listeners {
		clear(list)
	}
	for i := range f.Certificates {
		f.Certificates[i].Pos = Pos{}
	}
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
		{"http off; rtmp off; rtsp off; https off;", "http off https off rtmp off rtsp off"},
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
				got = append(got, l.words())
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
	for _, fl := range []Flags{{Values: values{"name": {"n1"}}}, {Self: []string{"N1"}}} {
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
	hash := func(src string) string {
		t.Helper()
		f, problems := Parse("f", []byte(src))
		if problems.Failed() {
			t.Fatalf("%q is refused:\n%s", src, problems)
		}
		return f.Hash()
	}
	const a, b = "stream a { input fake://a; cluster_ingest; }\n", "stream b { input fake://b; cluster_ingest; }\n"
	base := hash(key + a + b)
	for _, same := range []string{
		key + b + a,
		key + "http 8080; name n7; loglevel debug; # another node\n" + a + b,
		key + "stream a { url fake://a; title A; cluster_ingest; }" + b,
		key + "peer n1; peer n2;" + a + b,
		key + a + b + "stream own { input fake://own; }", // all peers may have different streams
		key + a + b + "source o;",
		key + a + b + "template t { prefix p; input publish://; }",
		"cluster_key another-key-of-16-or-more;" + a + b,
	} {
		if got := hash(same); got != base {
			t.Errorf("hash(%q) = %s, want %s as of the base", same, got, base)
		}
	}
	for _, other := range []string{
		key + a,
		key + a + "stream b { input fake://b; }",
		key + a + "stream b { input fake://b; cluster_ingest capture_at=n1; }",
		key + a + "stream b { input fake://b; cluster_ingest handover=break; }",
		key + a + "stream b { input fake://c; cluster_ingest; }",
		key + "return_holddown 1;" + a + b,
		key + "stream a { input fake://a; disabled; cluster_ingest; }" + b,
		key + "ondemand a { input fake://a; cluster_ingest; }" + b,
		key + "stream a { input fake://a priority=2; cluster_ingest; }" + b,
		key + a + b + "source o { cluster_ingest; }",
		key + a + b + "template t { prefix p; input publish://; cluster_ingest; }",
	} {
		if got := hash(other); got == base {
			t.Errorf("hash(%q) = %s as of the base, want another", other, got)
		}
	}
	const first, second = "source o { only x y; except z; cluster_ingest; }\n", "source p { prefix q; cluster_ingest; }\n"
	if hash(key+first+second) != hash(key+second+"source O { except z; only y x; cluster_ingest; }") {
		t.Error("the order of sources and names counts")
	}
	if hash(key+first) == hash(key+"source o { only x; except y z; cluster_ingest; }") {
		t.Error("the names of a source's streams do not count")
	}
}

func TestSharedLinesHideSecrets(t *testing.T) {
	f, problems := Parse("f", []byte(key+"stream a { input rtsp://root:geheim@gate/1; cluster_ingest capture_at=n1; }\nstream own { input fake://x; }\npeer n1;"))
	if problems.Failed() {
		t.Fatal(problems)
	}
	want := []string{"return_holddown 30000;", "stream a {", "    input rtsp://root:****@gate/1;", "    cluster_ingest capture_at=n1;", "}"}
	if got := f.Shared(true); !slices.Equal(got, want) {
		t.Errorf("Shared(true) = %q, want %q", got, want)
	}
	if open := f.Shared(false); open[2] != "    input rtsp://root:geheim@gate/1;" {
		t.Errorf("Shared(false) = %q, want the password in it", open)
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
		if got := Nearest(tt.word, words); got != tt.want {
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
	for _, v := range slices.Concat(verdicts(f), unwritable) {
		f.Add([]byte(v.src))
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
		file, problems := Load("", nil, Flags{Values: values{"cluster-key": {"0123456789abcdef"}, "peer": {peer}, "stream": {stream}, "vod": {vod}}})
		if len(file.Peers) > 1 || len(file.Streams) > 1 {
			t.Fatalf("one flag gave %d peers and %d streams: %s", len(file.Peers), len(file.Streams), problems)
		}
	})
}

func at(host string, port int) Listen { return Listen{Address: Address{host, port}} }
