package node

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"weir/actors/input"
	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/source"
)

// checkedFiles are the configurations of testdata: valid ones, ones with warnings or errors, and some that depend on this machine.
func checkedFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{
		"empty":                     "",
		"no listeners":              "http off; https off; rtmp off; rtsp off;",
		"https":                     "https 8443;",
		"no certificate there":      "https 8443; certificate /nowhere.pem;",
		"no authority there":        "trusted_ca /nowhere.pem;",
		"no authority of an input":  "stream a { input rtsps://h/x { trusted_ca /nowhere.pem; } }",
		"https off":                 "https off;",
		"countries without a file":  "cluster_key 0123456789abcdef; geoip /nowhere; balancer b { server a countries=RU countries_default=true; }",
		"geoip without countries":   "cluster_key 0123456789abcdef; geoip /nowhere; balancer b { server a; }",
		"a file that is not there":  "stream a { input file://vod/nowhere.mp4; }",
		"a directory that is not":   "vod a { root /nowhere; } stream a { input file://a/b.mp4; }",
		"fake parameters":           "stream a { input fake://fake?size=64x64&fps=5; }",
		"wrong fake parameters":     "stream a { input fake://fake?size=1x1; }",
		"disabled and wrong":        "stream a { input fake://fake?size=1x1; disabled; }",
		"a stream of each scheme":   "stream a { input publish://; input tshttp://h/x; input hls://h/x; input rtmp://h/a/b; input rtsp://h/a; input https://h/a.flv; }",
		"a template of a file":      "template t { input file://vod/x.mp4; } stream a { template t; }",
		"a template of no vod":      "template t { input file://other/x.mp4; } stream a { template t; }",
		"a disabled template":       "template t { input fake://a; disabled; } stream a { template t; }",
		"a plain source":            "source rtmp://h/live { only a b; }",
		"a plain source of no name": "source http://h/live { only ../x; }",
		"a journal":                 "journal /nowhere/at/all;",
	}
	archive, err := txtar.ParseFile("../../testdata/conf/verdicts.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		if !strings.HasSuffix(f.Name, ": says") {
			files[f.Name] = strings.TrimSuffix(string(f.Data), "\n")
		}
	}
	for _, pattern := range []string{"conf", "seeds"} {
		list, err := filepath.Glob("../../testdata/" + pattern + "/*.conf")
		if err != nil || len(list) == 0 {
			t.Fatalf("no files in %s: %v", pattern, err)
		}
		for _, name := range list {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(src)
		}
	}
	return files
}

// A start continues after prepare, with the parts that depend on the machine, such as sockets.
func TestCheckAcceptsExactlyTheFilesWithWhichANodeStarts(t *testing.T) {
	files := checkedFiles(t)
	if len(files) < 60 {
		t.Fatalf("%d files, want 60 at least", len(files))
	}
	accepted := 0
	for name, src := range files {
		_, problems := Load(name, []byte(src), conf.Flags{})
		file, refused := conf.Parse(name, []byte(src))
		starts := !refused.Failed()
		var err error
		if starts {
			for _, source := range file.Sources {
				file = file.With(source.Streams())
			}
			log := slog.New(slog.DiscardHandler)
			n := &Node{cfg: Config{File: file, Log: log, Machine: Machine{}.complete()}, log: log}
			n.media = n.newMedia()
			n.media.open = n.newOpener().Open
			_, err = n.prepare(file)
			starts = err == nil
		}
		if starts == problems.Failed() {
			t.Errorf("%s:\n%s\na check says:\n%sa start: %s %v", name, src, problems, refused, err)
		}
		if starts {
			accepted++
		}
	}
	if accepted < 20 || len(files)-accepted < 60 {
		t.Errorf("%d of %d files are accepted, want many of both", accepted, len(files))
	}
}

// TestStreamsStartAnewForTheDirectivesThatSaySo adds the example of each directive to a file. The specification by which the
// stream's actors run differs if, and only if, the row says that the stream starts anew.
func TestStreamsStartAnewForTheDirectivesThatSaySo(t *testing.T) {
	blocks := map[string]string{
		"the top of the file": "%s",
		"vod":                 "vod clips { %s }",
		"stream":              "stream cam { %s input file://clips/a.mp4; input fake://fake; cluster_ingest; }",
		"input":               "stream cam { input file://clips/a.mp4; input fake://fake { %s } cluster_ingest; }",
		"cluster_ingest":      "stream cam { input file://clips/a.mp4; input fake://fake; cluster_ingest { %s } }",
	}
	m := &media{open: func(source.Input) (input.Source, error) { return nil, nil }}
	specs := func(where, example string) []stream.Spec {
		parts := []string{"cluster_key 0123456789abcdef; peer n1.example.com; template tv { hls relay; }"}
		if where != "vod" {
			parts = append(parts, "vod clips { root /a; }")
		}
		if !strings.Contains(blocks[where], "stream") {
			parts = append(parts, fmt.Sprintf(blocks["stream"], ""))
		}
		file, problems := conf.Parse("f", []byte(strings.Join(append(parts, fmt.Sprintf(blocks[where], example)), "\n")))
		if problems.Failed() {
			return nil // the example is of no use here
		}
		list, err := m.specs(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, spec := range list {
			list[i].Takeover = 0 // it is read when a publisher comes, and starts nothing anew
			for i := range spec.Inputs {
				spec.Inputs[i].Config.Wall = nil
			}
		}
		return list
	}
	tried := 0
	for _, d := range conf.Directives() {
		for _, where := range d.Where {
			if blocks[where] == "" || d.Name == "disabled" { // of which there is no specification
				continue
			}
			before, after := specs(where, ""), specs(where, d.Example)
			if where == "vod" {
				before = specs(where, "root /a;")
			}
			if len(after) != 2 { // that of the stream, and that of streams which no file of this node names
				continue
			}
			tried++
			if anew := !reflect.DeepEqual(before, after); anew != (d.Reload == conf.Restream) {
				t.Errorf("%s in %s: the stream starts anew: %t, and the row says %q", d.Name, where, anew, d.Reload)
			}
		}
	}
	if tried < 30 {
		t.Errorf("%d directives were tried, want 30 at least", tried)
	}
}

func TestFilesOfInputsThatAreMissingAreNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "here.mp4"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	src := "vod clips { root " + dir + "; }\nstream a { input file://clips/here.mp4; }\nstream b { input file://clips/away.mp4; }\n" +
		"stream c { input file://clips/away.mp4; input fake://c; }\n"
	file, problems := Load("f", []byte(src), conf.Flags{})
	want := "f:3:12: warning: found no file " + filepath.Join(dir, "away.mp4") + " on this machine; the stream waits for it\n"
	if got := problems.String(); got != want || len(file.Streams) != 3 {
		t.Errorf("the problems are\n%swant\n%s", got, want)
	}
	many := ""
	for _, r := range "abcdefghijklmnopqrstuvwxyz" {
		many += "stream " + string(r) + " { input file://clips/" + string(r) + ".mp4; }\n"
	}
	_, problems = Load("f", []byte("vod clips { root "+dir+"; }\n"+many), conf.Flags{})
	if len(problems) != maxMissing+1 || !strings.HasPrefix(problems[maxMissing].Text, "more files") || problems.Failed() {
		t.Errorf("%d problems of 26 missing files:\n%s", len(problems), problems)
	}
}
