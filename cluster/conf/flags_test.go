package conf

import (
	"reflect"
	"strings"
	"testing"
)

// values are the values of flags.
type values = map[string][]string

func TestFlagsMeanWhatTheFileMeans(t *testing.T) {
	const k = "cluster_key 0123456789abcdef;"
	for _, tt := range []struct {
		name  string
		file  string // under the flags
		flags Flags
		same  string // the file that means the same
	}{
		{"name", "", Flags{Values: values{"name": {"n1"}}}, "name n1;"},
		{"name over the file's", "name n2;", Flags{Values: values{"name": {"n1"}}}, "name n1;"},
		{"listeners replace", "http 80; http 81; rtmp 1936;", Flags{Values: values{"http": {"8080", "127.0.0.1:8081"}, "rtsp": {"off"}}}, "http 8080; http 127.0.0.1:8081; rtmp 1936; rtsp off;"},
		{"rtsp and rtmp", "", Flags{Values: values{"rtsp": {":5540"}, "rtmp": {"off"}}}, "rtsp 5540; rtmp off;"},
		{"remote", "remote 1;", Flags{Values: values{"remote": {"127.0.0.1:7000"}}}, "remote 127.0.0.1:7000;"},
		{"key", "cluster_key aaaaaaaaaaaaaaaaaaaa;", Flags{Values: values{"cluster-key": {"0123456789abcdef"}}}, k},
		{"key with signs", "", Flags{Values: values{"cluster-key": {`0123456789 ;{}"'#=`}}}, `cluster_key "0123456789 ;{}\"'#=";`},
		{"log under the other word", "log warn;", Flags{Values: values{"log": {"debug"}}}, "loglevel debug;"},
		{"hold-down", "", Flags{Values: values{"return-holddown": {"1000"}}}, "return_holddown 1000;"},
		{"peers are added", k + "peer a;", Flags{Values: values{"peer": {"b:81"}}}, k + "peer a; peer b:81;"},
		{"a peer with a block", k, Flags{Values: values{"peer": {"b:81 { public c; fetch_timeout 3000; }"}}}, k + "peer b:81 { public c; fetch_timeout 3000; }"},
		{"a peer with options", k, Flags{Values: values{"peer": {"b:81 public=c"}}}, k + "peer b:81 { public c; }"},
		{"a peer replaces", k + "peer b:81 { public c; } peer d;", Flags{Values: values{"peer": {"B:81"}}}, k + "peer d; peer b:81;"},
		{"streams are added", "stream a { input fake://a; }", Flags{Values: values{"stream": {"b=file://vod/x=y.mp4"}}}, "stream a { input fake://a; } stream b { input file://vod/x=y.mp4; }"},
		{"a stream replaces", "stream a { input fake://a; title A; }", Flags{Values: values{"stream": {"a=fake://b"}}}, "stream a { input fake://b; }"},
		{"a stream with directives", k, Flags{Values: values{"stream": {"a=fake://b; cluster_ingest capture_at=x; hls relay", "c=publish://;"}}, Self: []string{"x"}}, k + "stream a { input fake://b; cluster_ingest capture_at=x; hls relay; } stream c { input publish://; }"},
		{"vod", "", Flags{Values: values{"vod": {"testdata/vod", "clips=/srv/a=b"}}}, `vod vod { root testdata/vod; } vod clips { root "/srv/a=b"; }`},
		{"geoip over the file's", "geoip /a;", Flags{Values: values{"geoip": {"/b c"}}}, `geoip "/b c";`},
		{"vod replaces", "vod vod { root /a; }", Flags{Values: values{"vod": {"./b=c"}}}, `vod vod { root "./b=c"; }`},
		{"empty flags say nothing", "name a; http 81;", Flags{Values: values{"http": {""}, "peer": {""}}}, "name a; http 81;"},
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
		{Flags{Values: values{"http": {"eighty"}}}, "--http: error: `http`: found \"eighty\""},
		{Flags{Values: values{"http": {"8080", "8080"}}}, "--http: error: found `http 8080`, but the port is taken by `http 8080` at --http"},
		{Flags{Values: values{"peer": {"a"}}}, "--peer: error: found `peer` without a cluster key"},
		{Flags{Values: values{"peer": {"a { publik b; }"}}}, "--peer: error: found \"publik\""},
		{Flags{Values: values{"peer": {"a {"}}}, "--peer: error: found the end of the flag inside `peer a {`"},
		{Flags{Values: values{"peer": {"a; http 80;"}}}, "--peer: error: found 2 directives, expected one peer"},
		{Flags{Values: values{"stream": {"cam01"}}}, "--stream: error: found \"cam01\", expected NAME=URL"},
		{Flags{Values: values{"stream": {"cam01=fiel://x"}}}, "--stream: error: `input`: found the scheme \"fiel\""},
		{Flags{Values: values{"stream": {"api=fake://x"}}}, "--stream: error: `stream`: found \"api\""},
		{Flags{Values: values{"stream": {"a=fake://x; } http 80; stream b { input fake://b;"}}}, "--stream: error: found"},
		{Flags{Values: values{"log": {"wran"}}}, "did you mean \"warn\"?"},
		{Flags{Values: values{"name": {"a b"}}}, "--name: error: `name`: found ' '"},
		{Flags{Values: values{"cluster-key": {"abc"}}}, "--cluster-key: warning: cluster_key has only 3"},
		{Flags{Values: values{"return-holddown": {"30s"}}}, "--return-holddown: error: `return_holddown`: found \"30s\", expected milliseconds without a unit, here 30000"},
	} {
		_, problems := Load("", nil, tt.flags)
		if !strings.Contains(problems.String(), tt.want) {
			t.Errorf("Load(%+v) problems are\n%swant among them %s", tt.flags, problems, tt.want)
		}
	}
}
