package conf

import (
	"strings"
	"testing"
)

func TestFilesOfOtherServersAreNamed(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"MediaMTX", "logLevel: info\nrtspAddress: :8554\npaths:\n  cam1:\n    source: rtsp://10.0.0.5/stream1\n  all_others:\n", "MediaMTX"},
		{"nginx", "worker_processes 1;\nevents { worker_connections 1024; }\nrtmp {\n  server {\n    listen 1935;\n    application live {\n      live on;\n    }\n  }\n}\n", "nginx"},
		{"SRS", "listen              1935;\nmax_connections     1000;\ndaemon off;\nhttp_api { enabled on; listen 1985; }\nvhost __defaultVhost__ { hls { enabled on; } }\n", "SRS"},
		{"Flussonic", "http 80;\niptv;\nstream a { input fake://a; dvr /storage 7d; }\n", "Flussonic"},
		{"Wowza", "<?xml version=\"1.0\"?>\n<Root version=\"1\">\n</Root>\n", "XML"},
		{"JSON", "{\n  \"streams\": [\n    {\"name\": \"a\"}\n  ],\n  \"http\": 80\n}\n", "JSON"},
		{"weir with a mistake", "http 80;\nstrem a { input fake://a; }\n", ""},
		{"weir beside SRS with a mistake", "vhost __defaultVhost__ { cluster { mode local; origin_cluster on; } }\nstrem a;\n", ""},
		{"weir without a mistake", "http 80;\nstream a { input fake://a; }\n", ""},
	} {
		_, problems := Parse("f", []byte(tt.file))
		said := ""
		if len(problems) > 0 && strings.HasPrefix(problems[0].Text, "this looks like a file of ") {
			said = problems[0].Text
		}
		if (said == "") != (tt.want == "") || !strings.Contains(said, tt.want) {
			t.Errorf("%s: the first problem says %q, want one of %q; all are\n%s", tt.name, said, tt.want, problems)
		}
		if strings.HasPrefix(tt.name, "weir without") == problems.Failed() {
			t.Errorf("%s: %v", tt.name, problems)
		}
	}
}

func TestCommonSlipsAreExplained(t *testing.T) {
	const head = "cluster_key 0123456789abcdef0123456789abcdef;\n"
	for _, tt := range []struct{ file, want string }{
		{head + "balancer b { server a max_bitrate = 5M; }", "f:2:35: error: found spaces around `=`, expected `NAME=VALUE` as one word, or `NAME VALUE;` in a block"},
		{head + "peer a { max_bitrate = 5M; }", "f:2:22: error: found spaces around `=`"},
		{"stream a { input fake://a priority = 1; }", "f:1:36: error: found spaces around `=`"},
		{"", "f:1:1: warning: found no directive"},
		{"# nothing but words\n", "f:1:1: warning: found no directive"},
		{"iptv;", "f:1:1: not supported yet: `iptv`"},
	} {
		if _, problems := Parse("f", []byte(tt.file)); !strings.Contains(problems.String(), tt.want) {
			t.Errorf("%q: the problems are\n%swant %q", tt.file, problems, tt.want)
		}
	}
}
