package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"weir/cluster/conf"
	"weir/protocols"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weir": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "../../testdata/scripts", Setup: func(env *testscript.Env) error {
		source, err := filepath.Abs(root)
		if err != nil {
			return err
		}
		caches, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
		if err != nil {
			return err
		}
		lines := strings.Fields(string(caches))
		env.Setenv("SOURCE", source) // with Go's caches, for the script that builds it
		env.Setenv("GOCACHE", lines[0])
		env.Setenv("GOMODCACHE", lines[1])
		return nil
	}})
}

const testKey = "0123456789abcdef0123456789abcdef"

// settingTests give each flag that a node can run by, what it may say, and the directives that mean the same.
var settingTests = append(listenerSettings(), []settingTest{
	{"name", []string{"streamer"}, "streamer", "name streamer;"},
	{"http", []string{"8080", "127.0.0.1:8081"}, "8080,127.0.0.1:8081", "http 8080; http 127.0.0.1:8081;"},
	{"rtmp", []string{"off"}, "off", "rtmp off;"},
	{"remote", []string{"127.0.0.1:7000"}, "127.0.0.1:7000", "remote 127.0.0.1:7000;"},
	{"cluster-key", []string{testKey}, testKey, "cluster_key " + testKey + ";"},
	{
		"peer",
		[]string{"n1:8080", "n2 { cluster_key " + testKey + "; stale_timeout 20000; }"},
		"n1:8080,n2 { cluster_key " + testKey + "; stale_timeout 20000; }",
		"peer n1:8080; peer n2 { cluster_key " + testKey + "; stale_timeout 20000; }",
	},
	{
		"stream",
		[]string{"a=fake://a,b", "b=publish://; title \"B, c\""},
		"a=fake://a,b\nb=publish://; title \"B, c\"\n",
		"stream a { input fake://a,b; } stream b { input publish://; title \"B, c\"; }",
	},
	{"vod", []string{"testdata/vod", "clips=/srv/a,b"}, "testdata/vod\nclips=/srv/a,b", "vod vod { root testdata/vod; } vod clips { root /srv/a,b; }"},
	{"certificate", []string{"/a.pem /a.key", "/b.pem"}, "/a.pem /a.key\n/b.pem", "certificate /a.pem /a.key; certificate /b.pem;"},
	{"geoip", []string{"/srv/c.mmdb"}, "/srv/c.mmdb", "geoip /srv/c.mmdb;"},
	{"log", []string{"debug"}, "debug", "loglevel debug;"},
	{"return-holddown", []string{"1000"}, "1000", "return_holddown 1000;"},
}...)

type settingTest struct {
	flag string // without dashes
	args []string
	env  string
	file string
}

// listenerSettings have one test for the listener of each protocol.
func listenerSettings() (tests []settingTest) {
	for _, d := range protocols.Listeners() {
		const addr = "[::1]:5540"
		tests = append(tests, settingTest{d.Directive(), []string{addr}, addr, d.Directive() + " " + addr + ";"})
	}
	return tests
}

func TestFlagsEnvironmentAndFileAgree(t *testing.T) {
	parse := func(t *testing.T, args ...string) *conf.File {
		t.Helper()
		var c cli
		parser, err := newParser(stdio{out: os.Stdout, err: os.Stderr}, &c, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"node"}, args...)); err != nil {
			t.Fatalf("parsing %q: %v", args, err)
		}
		// The peers need a key and TLS a certificate, whichever setting the test is about.
		flags := c.Node.flags()
		f, problems := conf.Load("", []byte(""), flags)
		for _, p := range problems {
			if p.Severity == conf.Error && !strings.Contains(p.Text, "without a cluster key") && !strings.Contains(p.Text, "without a certificate") {
				t.Fatalf("%q is refused: %s", args, p)
			}
		}
		return withoutPositions(f)
	}
	for _, tt := range settingTests {
		t.Run(tt.flag, func(t *testing.T) {
			name := "WEIR_" + strings.ToUpper(strings.ReplaceAll(tt.flag, "-", "_"))
			fromFile, _ := conf.Parse("", []byte(tt.file))
			want := withoutPositions(fromFile)

			var args []string
			for _, a := range tt.args {
				args = append(args, "--"+tt.flag+"="+a)
			}
			if got := parse(t, args...); !reflect.DeepEqual(got, want) {
				t.Errorf("flags %q mean\n%swant as the file\n%s", args, got.Masked(), want.Masked())
			}
			t.Setenv(name, tt.env)
			if got := parse(t); !reflect.DeepEqual(got, want) {
				t.Errorf("%s=%q means\n%swant as the file\n%s", name, tt.env, got.Masked(), want.Masked())
			}
			if empty, _ := conf.Parse("", nil); reflect.DeepEqual(withoutPositions(empty), want) {
				t.Error("the setting says nothing, so this test proves nothing")
			}
		})
	}
}

func TestEveryFlagOfANodeIsCompared(t *testing.T) {
	known := map[string]bool{"config": true}
	for _, tt := range settingTests {
		known[tt.flag] = true
	}
	parser, err := newParser(stdio{out: os.Stdout, err: os.Stderr}, &cli{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		if node.Name != "node" {
			continue
		}
		for _, f := range node.Flags {
			if f.Hidden {
				continue // nobody's setting
			}
			if !known[f.Name] {
				t.Errorf("--%s is in no test of settings", f.Name)
			}
			if len(f.Envs) != 1 || f.Envs[0] != "WEIR_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")) {
				t.Errorf("--%s has the variables %v, want the one of its name", f.Name, f.Envs)
			}
		}
	}
}

// withoutPositions makes files comparable that say the same in different places.
func withoutPositions(f *conf.File) *conf.File {
	for _, list := range f.Listeners {
		for i := range list {
			list[i].Pos = conf.Pos{}
		}
	}
	f.Places = nil
	for i := range f.Certificates {
		f.Certificates[i].Pos = conf.Pos{}
	}
	for i := range f.Vods {
		f.Vods[i].Pos = conf.Pos{}
	}
	for i := range f.Peers {
		f.Peers[i].Pos = conf.Pos{}
	}
	for i := range f.Streams {
		f.Streams[i].Pos = conf.Pos{}
		for j := range f.Streams[i].Inputs {
			f.Streams[i].Inputs[j].Pos = conf.Pos{}
		}
	}
	return f
}

// TestCheckAndNodeRefuseTheSameFiles runs both commands on each file that a check refuses; cluster/node compares what both
// decide on the files that are accepted.
func TestCheckAndNodeRefuseTheSameFiles(t *testing.T) {
	archive, err := txtar.ParseFile("../../testdata/conf/verdicts.txtar")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "weir.conf")
	run := func(command func(c *cli, std stdio) error, args ...string) (int, string) {
		t.Helper()
		var c cli
		out, read := tempFile(t)
		std := stdio{in: out, out: out, err: out}
		parser, err := newParser(std, &c, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(args); err != nil {
			t.Fatal(err)
		}
		return code(std, command(&c, std)), read()
	}
	refused := 0
	for pair := range slices.Chunk(archive.Files, 2) {
		if err := os.WriteFile(file, bytes.TrimSuffix(pair[0].Data, []byte("\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		checked, says := run(func(c *cli, std stdio) error { return c.Check.Run(std) }, "check", file)
		if checked == exitOK {
			continue
		}
		refused++
		started, said := run(func(c *cli, std stdio) error {
			ended, end := context.WithCancel(t.Context()) // a node that starts nevertheless ends at once
			end()
			return c.Node.Run(ended, std)
		}, "node", "--config", file)
		if checked != exitConfig || started != exitConfig || said != says {
			t.Errorf("%s: a check ends with %d and says\n%sa node ends with %d and says\n%s", pair[0].Name, checked, says, started, said)
		}
	}
	if refused < 60 {
		t.Errorf("%d files were refused, want 60 at least", refused)
	}
}
