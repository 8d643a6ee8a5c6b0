package conf

import (
	"reflect"
	"strings"
	"testing"

	"weir/protocols"
)

// addrs are addresses of listeners.
type addrs = map[protocols.Protocol][]string

func TestFlagsMeanWhatTheFileMeans(t *testing.T) {
	const k = "cluster_key 0123456789abcdef;"
	for _, tt := range []struct {
		name  string
		file  string // under the flags
		flags Flags
		same  string // the file that means the same
	}{
		{"name", "", Flags{Name: "n1"}, "name n1;"},
		{"name over the file's", "name n2;", Flags{Name: "n1"}, "name n1;"},
		{"listeners replace", "http 80; http 81; rtmp 1936;", Flags{Listeners: addrs{"http": {"8080", "127.0.0.1:8081"}, "rtsp": {"off"}}}, "http 8080; http 127.0.0.1:8081; rtmp 1936; rtsp off;"},
		{"https and rtmp", "", Flags{Listeners: addrs{"https": {":443"}, "rtmp": {"off"}}}, "https 443; rtmp off;"},
		{"remote", "remote 1;", Flags{Remote: "127.0.0.1:7000"}, "remote 127.0.0.1:7000;"},
		{"key", "cluster_key aaaaaaaaaaaaaaaaaaaa;", Flags{ClusterKey: "0123456789abcdef"}, k},
		{"key with signs", "", Flags{ClusterKey: `0123456789 ;{}"'#=`}, `cluster_key "0123456789 ;{}\"'#=";`},
		{"log under the other word", "log warn;", Flags{LogLevel: "debug"}, "loglevel debug;"},
		{"hold-down", "", Flags{ReturnHolddown: "1000"}, "return_holddown 1000;"},
		{"peers are added", k + "peer a;", Flags{Peers: []string{"b:81"}}, k + "peer a; peer b:81;"},
		{"a peer with a block", k, Flags{Peers: []string{"b:81 { public c; fetch_timeout 3000; }"}}, k + "peer b:81 { public c; fetch_timeout 3000; }"},
		{"a peer with options", k, Flags{Peers: []string{"b:81 public=c"}}, k + "peer b:81 { public c; }"},
		{"a peer replaces", k + "peer b:81 { public c; } peer d;", Flags{Peers: []string{"B:81"}}, k + "peer d; peer b:81;"},
		{"streams are added", "stream a { input fake://a; }", Flags{Streams: []string{"b=file://vod/x=y.mp4"}}, "stream a { input fake://a; } stream b { input file://vod/x=y.mp4; }"},
		{"a stream replaces", "stream a { input fake://a; title A; }", Flags{Streams: []string{"a=fake://b"}}, "stream a { input fake://b; }"},
		{"a stream with directives", k, Flags{Streams: []string{"a=fake://b; cluster_ingest capture_at=x; hls relay", "c=publish://;"}, Self: []string{"x"}}, k + "stream a { input fake://b; cluster_ingest capture_at=x; hls relay; } stream c { input publish://; }"},
		{"vod", "", Flags{Vods: []string{"testdata/vod", "clips=/srv/a=b"}}, `vod vod { root testdata/vod; } vod clips { root "/srv/a=b"; }`},
		{"geoip over the file's", "geoip /a;", Flags{GeoIP: "/b c"}, `geoip "/b c";`},
		{"vod replaces", "vod vod { root /a; }", Flags{Vods: []string{"./b=c"}}, `vod vod { root "./b=c"; }`},
		{"empty flags say nothing", "name a; http 81;", Flags{Listeners: addrs{"http": {""}}, Peers: []string{""}}, "name a; http 81;"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, problems := Load("f", []byte(tt.file), tt.flags)
			if problems.Failed() {
				t.Fatalf("refused:\n%s", problems)
			}
			want, problems := Load("f", []byte(tt.same), Flags{Self: tt.flags.Self})
			if problems.Failed() {
				t.Fatalf("the file is refused:\n%s", problems)
			}
			if !reflect.DeepEqual(withoutPositions(got), withoutPositions(want)) {
				t.Errorf("Load(%q, %+v) =\n%swant as\n%s", tt.file, tt.flags, got.render(false), want.render(false))
			}
		})
	}
}

func TestFlagsAreHeldToTheRulesOfTheFile(t *testing.T) {
	for _, tt := range []struct {
		flags Flags
		want  string
	}{
		{Flags{Listeners: addrs{"http": {"eighty"}}}, "--http: error: `http`: found \"eighty\""},
		{Flags{Listeners: addrs{"http": {"8080", "8080"}}}, "--http: error: found `http 8080`, but the port is taken by `http 8080` at --http"},
		{Flags{Peers: []string{"a"}}, "--peer: error: found `peer` without a cluster key"},
		{Flags{Peers: []string{"a { publik b; }"}}, "--peer: error: found \"publik\""},
		{Flags{Peers: []string{"a {"}}, "--peer: error: found the end of the flag inside `peer a {`"},
		{Flags{Peers: []string{"a; http 80;"}}, "--peer: error: found 2 directives, expected one peer"},
		{Flags{Streams: []string{"cam01"}}, "--stream: error: found \"cam01\", expected NAME=URL"},
		{Flags{Streams: []string{"cam01=fiel://x"}}, "--stream: error: `input`: found the scheme \"fiel\""},
		{Flags{Streams: []string{"api=fake://x"}}, "--stream: error: `stream`: found \"api\""},
		{Flags{Streams: []string{"a=fake://x; } http 80; stream b { input fake://b;"}}, "--stream: error: found"},
		{Flags{LogLevel: "wran"}, "did you mean \"warn\"?"},
		{Flags{Name: "a b"}, "--name: error: `name`: found ' '"},
		{Flags{ClusterKey: "abc"}, "--cluster-key: warning: cluster_key has only 3"},
		{Flags{ReturnHolddown: "30s"}, "--return-holddown: error: `return_holddown`: found \"30s\", expected milliseconds without a unit, here 30000"},
	} {
		_, problems := Load("", nil, tt.flags)
		if !strings.Contains(problems.String(), tt.want) {
			t.Errorf("Load(%+v) problems are\n%swant among them %s", tt.flags, problems, tt.want)
		}
	}
}
