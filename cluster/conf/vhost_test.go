package conf

import (
	"reflect"
	"strings"
	"testing"
)

// vhostTests are blocks with directives of SRS, the vhosts that they make, and their warnings.
var vhostTests = []struct {
	name string
	src  string
	want []Vhost
	warn string // a part of the only problem; empty for none
}{
	{"origin without a cluster", "vhost __defaultVhost__ { }", []Vhost{{Name: DefaultVhost, Fetch: FetchRTMP}}, ""},
	{
		"defaults are mode local and origin_cluster off", "vhost v.example.com { cluster { } }",
		[]Vhost{{Name: "v.example.com", Fetch: FetchRTMP}},
		"",
	},
	{
		"coworkers, this node among them", "vhost __defaultVhost__ { cluster { mode local; origin_cluster on; coworkers 127.0.0.1:9091 srs2; } }",
		[]Vhost{{Name: DefaultVhost, Fetch: FetchRTMP, OriginCluster: true, Coworkers: []string{"127.0.0.1:9091", "srs2:1985"}}},
		"",
	},
	{
		"coworkers without origin_cluster", "vhost __defaultVhost__ { cluster { coworkers a:1; } }",
		[]Vhost{{Name: DefaultVhost, Fetch: FetchRTMP}},
		"f:1:36: warning: `vhost __defaultVhost__` has `origin_cluster off`, so its coworkers are neither asked nor answered",
	},
	{
		"heartbeats without origin_cluster", "vhost __defaultVhost__ { cluster { register on; } }",
		[]Vhost{{Name: DefaultVhost, Fetch: FetchRTMP}},
		"f:1:26: warning: `vhost __defaultVhost__` has `origin_cluster off`",
	},
	{
		"edge", "vhost __defaultVhost__ { cluster { mode remote; origin a b:19350; protocol flv; token_traverse on; } http_remux { enabled on; mount [vhost]/[app]/[stream].flv; } }",
		[]Vhost{{Name: DefaultVhost, Fetch: FetchFLV, Remote: true, Origins: []string{"a:1935", "b:19350"}, TokenTraverse: true}},
		"",
	},
	{
		"edge with origin_cluster", "vhost __defaultVhost__ { cluster { mode remote; origin a; origin_cluster on; } }",
		[]Vhost{{Name: DefaultVhost, Fetch: FetchRTMP, Remote: true, Origins: []string{"a:1935"}}},
		"f:1:36: warning: `vhost __defaultVhost__` has `mode remote`, so `origin_cluster` does nothing",
	},
	{
		"edge with coworkers", "vhost __defaultVhost__ { cluster { mode remote; origin a; coworkers b:1; } }",
		[]Vhost{{Name: DefaultVhost, Fetch: FetchRTMP, Remote: true, Origins: []string{"a:1935"}}},
		"so `coworkers` does nothing",
	},
	{
		"origin that lists origins", "vhost __defaultVhost__ { cluster { origin a; } }",
		[]Vhost{{Name: DefaultVhost, Fetch: FetchRTMP}},
		"has `mode local`, so `origin` does nothing; write `mode remote;`",
	},
	{
		"coworkers that cannot reach the API", "http 127.0.0.1:8080; vhost __defaultVhost__ { cluster { origin_cluster on; coworkers 10.0.0.2:1985; } }",
		[]Vhost{{Name: DefaultVhost, Fetch: FetchRTMP, OriginCluster: true, Coworkers: []string{"10.0.0.2:1985"}}},
		"on other machines cannot ask this node: its `http` listens at 127.0.0.1:8080 only",
	},
	{
		"no API at all", "http off; vhost __defaultVhost__ { cluster { origin_cluster on; } }",
		[]Vhost{{Name: DefaultVhost, Fetch: FetchRTMP, OriginCluster: true}},
		"with `http off` no coworker can ask this node",
	},
	{"switched off", "vhost a { enabled off; }", nil, ""},
	{
		"hooks", "vhost a { http_hooks { enabled on; on_publish http://h/p http://h/q; on_close http://h/c?key=pa55; } }",
		[]Vhost{{Name: "a", Fetch: FetchRTMP, Hooks: map[string][]string{"on_publish": {"http://h/p", "http://h/q"}, "on_close": {"http://h/c?key=pa55"}}}},
		"",
	},
	{
		"hooks that nobody enabled", "vhost a { http_hooks { on_publish http://h/p; } }",
		[]Vhost{{Name: "a", Fetch: FetchRTMP}},
		"the `http_hooks` of `vhost a` are not enabled",
	},
	{"hooks that are off", "vhost a { http_hooks { enabled off; on_publish http://h/p; } }", []Vhost{{Name: "a", Fetch: FetchRTMP}}, ""},
}

func TestVhostsMeanWhatTheyMeanToSRS(t *testing.T) {
	for _, tt := range vhostTests {
		t.Run(tt.name, func(t *testing.T) {
			f, problems := Parse("f", []byte(tt.src))
			if problems.Failed() {
				t.Fatalf("refused: %s", problems)
			}
			if got := withoutPositions(f).Vhosts; !reflect.DeepEqual(got, tt.want) {
				t.Errorf("vhosts = %+v, want %+v", got, tt.want)
			}
			if got := problems.String(); (tt.warn == "") != (got == "") || !strings.Contains(got, tt.warn) || len(problems) > 1 {
				t.Errorf("problems = %s, want only %q", got, tt.warn)
			}
			text := f.render(false)
			again, problems := Parse("f", []byte(text))
			if problems.Failed() || !reflect.DeepEqual(withoutPositions(again).Vhosts, tt.want) {
				t.Errorf("the rendering means something else: %s\n%s", problems, text)
			}
			if strings.Contains(f.Masked(), "pa55") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestRedirectAlwaysMeansEveryProtocol(t *testing.T) {
	f, problems := Parse("f", []byte("relay rtsp; redirect always;"))
	if problems.Failed() || !reflect.DeepEqual(f.Delivery.Redirect, []string{"flv", "mpegts", "rtmp"}) {
		t.Errorf("redirect = %v with %s, want all that are not relayed", f.Delivery.Redirect, problems)
	}
}

func TestBothFormsStandInOneFile(t *testing.T) {
	f, problems := Parse("f", []byte(key+`
peer n2:8080;
stream cam01 { input fake://fake; cluster_ingest; }
vhost __defaultVhost__ { cluster { mode local; origin_cluster on; coworkers 127.0.0.1:9091; } }`))
	if problems.Failed() {
		t.Fatal(problems)
	}
	if len(f.Peers) != 1 || len(f.Streams) != 1 || f.Vhost(DefaultVhost) == nil || f.Vhost("other") != nil {
		t.Errorf("file = %+v, want a peer, a stream and a vhost", f)
	}
	if got := (Vhost{Name: "v"}).Prefix(); got != "v/" {
		t.Errorf("prefix of vhost v = %q, want v/", got)
	}
	if got := f.Vhost(DefaultVhost).Prefix(); got != "" {
		t.Errorf("prefix of the default vhost = %q, want none", got)
	}
}

func TestStreamsThatPublishersMakeBelongToATemplateOrAVhost(t *testing.T) {
	f, problems := Parse("f", []byte(`template a { prefix p; title "from the template"; input publish://; }
vhost __defaultVhost__ { } vhost edge { cluster { mode remote; origin h; } } vhost v { }`))
	if problems.Failed() {
		t.Fatal(problems)
	}
	for _, tt := range []struct {
		name   string
		have   bool
		ok     bool
		titled bool
	}{
		{"p/x", false, true, true},
		{"live/x", false, true, false},
		{"v/live/x", false, true, false},
		{"edge/live/x", false, false, false},
		{"edge/live/x", true, true, false},
	} {
		s, ok := f.Open(tt.name, tt.have)
		if ok != tt.ok || ok && (s.Name != tt.name || (s.Title != "") != tt.titled || len(s.Inputs) != 1 || s.Inputs[0].Scheme != "publish") {
			t.Errorf("Open(%q, %v) = %+v, %v", tt.name, tt.have, s, ok)
		}
	}
	if _, ok := (&File{}).Open("live/x", true); ok {
		t.Error("a file without vhosts and templates has a stream that nobody configured")
	}
}
