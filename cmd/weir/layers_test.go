package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// The tests of this file read what `go list` says, which the test cache cannot see: run them with -count=1.

// module is the path of this module, and root its folder as seen from here.
const (
	module = "weir"
	root   = "../.."
)

// layers lists the top-level folders from the lowest to the highest: each may import itself and those before it. It is
// a statement of policy; a failing build is mended by moving code, not by editing this list.
var layers = []string{"codecs", "protocols", "actors", "cluster", "sim", "cmd"}

// A ban keeps an import out of a folder. Both are matched as path prefixes, from below the module; one that ends in /.
// stands for that package alone, without those below it.
type ban struct{ from, to, why string }

const protoactor = "github.com/asynkron/protoactor-go"

// bans are the imports within the layers that are still wrong, and why. The first that matches decides; an empty why
// permits.
var bans = slices.Concat(
	banAll("codecs", "codecs are values and pure functions",
		"net", "os", "log", "sync", "math/rand", "crypto/rand", "context", protoactor),
	[]ban{{"codecs", "time", "timestamps are ticks; the clock belongs to callers"}},

	banAll("protocols", "a protocol states its needs as an interface", protoactor),
	[]ban{{"protocols/.", "net/url", ""}},
	banAll("protocols/.", "the table of protocols is plain data",
		"net", "os", "log", "sync", "time", "context", "weir/protocols"),
	[]ban{
		{"protocols", "weir/protocols/listen", ""},
		{"protocols", "weir/protocols/cmaf", ""},
		{"protocols", "weir/protocols/relay", ""},
		{"protocols", "weir/protocols/", "protocols do not know each other; they share codecs, listen, cmaf and relay"},
	},

	// cluster/conf is read by those who assemble: every other package owns its configuration.
	[]ban{
		{"cluster/node", "weir/cluster/conf", ""},
		{"cluster", "weir/cluster/conf", "each package owns its Config; cluster/node converts the file's model"},
		{"cluster", "weir/cluster/node", "cluster/node assembles the others and is known by none of them"},
	},
	pureCluster("cluster/control", "the control plane runs in three shells: Step(now, event)"),
	pureCluster("cluster/place", "placement is a pure function"),
	pureCluster("cluster/balance", "the choice of a server is a pure function"),
	pureCluster("cluster/conf", "the configuration is understood without looking at the machine"),

	// What decides about clients is tested without actors.
	banAll("cluster/directory", "where a stream is, is read from a view", protoactor, "weir/actors"),
	banAll("cluster/gateway", "what a path means is known without actors", protoactor, "weir/actors"),
	banAll("cluster/balancer", "what is known of servers is handed in", protoactor, "weir/actors"),
	banAll("cluster/router", "messages to actors are sent by the functions of its Config", protoactor),
	banAll("cluster/owner", "messages to actors are sent by functions that are handed in", protoactor),
	banAll("cluster/srs", "what SRS servers are told is handed in", protoactor),

	banAll("sim/oracle", "the oracle knows the rules, not the code", "weir/cluster", "weir/actors", "weir/protocols", "weir/sim", protoactor, "net", "os", "log", "sync", "math/rand"),

	// The command line and its colours.
	banAll("", "only cmd knows the command line", "github.com/alecthomas/kong"),
	banAll("", "loggers are passed in; only cmd knows how lines look", "github.com/lmittmann/tint"),
)

func banAll(from, why string, to ...string) []ban {
	var list []ban
	for _, t := range to {
		list = append(list, ban{from, t, why})
	}
	return list
}

func pureCluster(from, why string) []ban {
	return append([]ban{{from, "net/netip", ""}, {from, "net/url", ""}, {from, "weir/protocols/.", ""}}, banAll(from, why,
		"net", "os", "log", "sync", "crypto/rand", "context", protoactor, "weir/actors", "weir/protocols")...)
}

// A listed package is what `go list` says about one.
type listed struct {
	ImportPath, Dir, Export string
	Imports                 []string
	GoFiles                 []string
	Standard                bool
}

// goList runs `go list` at the root of the module.
func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Export,Imports,GoFiles,Standard"}, args...)...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var list []listed
	for dec := json.NewDecoder(out); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading the output of %v: %v", cmd, err)
		}
		list = append(list, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	return list
}

func TestImportsRunDownwards(t *testing.T) {
	list := goList(t, module+"/...")
	if len(list) == 0 {
		t.Fatal("go list gives no package")
	}
	for _, p := range list {
		from := strings.TrimPrefix(p.ImportPath, module+"/")
		if layer(from) < 0 {
			t.Errorf("%s is in no layer; the top-level folders of code are %s", p.ImportPath, strings.Join(layers, ", "))
			continue
		}
		for _, imported := range p.Imports {
			if why := wrong(from, imported); why != "" {
				t.Errorf("%s must not import %s: %s", p.ImportPath, imported, why)
			}
		}
	}
}

// TestPackagesForTestsStayOutsideProduction: a package whose name ends in "test" is for tests.
func TestPackagesForTestsStayOutsideProduction(t *testing.T) {
	for _, p := range goList(t, module+"/...") {
		for _, to := range p.Imports {
			if strings.HasPrefix(to, module+"/") && forTests(to) && !forTests(p.ImportPath) {
				t.Errorf("%s must not import %s, which is for tests", p.ImportPath, to)
			}
		}
	}
}

func TestEveryOtherPackageIsPartOfTheProgram(t *testing.T) {
	part := map[string]bool{}
	for _, p := range goList(t, "-deps", module+"/cmd/weir") {
		part[p.ImportPath] = true
	}
	for _, p := range goList(t, module+"/...") {
		if !part[p.ImportPath] && !forTests(p.ImportPath) && p.ImportPath != module+"/cmd/weir/e2e" {
			t.Errorf("the program does not contain %s; a package for tests has a name that ends in test", p.ImportPath)
		}
	}
}

// forTests says whether a package is for tests, as net/http/httptest is.
func forTests(pkg string) bool { return strings.HasSuffix(path.Base(pkg), "test") }

// TestPlantedImportsAreReported proves that the policy above has teeth.
func TestPlantedImportsAreReported(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		ok       bool
	}{
		{"codecs/flv", "weir/codecs", true},
		{"codecs/flv", "weir/protocols/listen", false},
		{"codecs/flv", "net", false},
		{"codecs/flv", "net/url", false},
		{"codecs/flv", "time", false},
		{"codecs/flv", "sync/atomic", false},
		{"codecs/flv", "log/slog", false},
		{"codecs/flv", "math/rand/v2", false},
		{"codecs/flv", "math/bits", true},
		{"codecs/flv", "osx", true},
		{"codecs/ffmpegtest", "os", true},
		{"codecs/ffmpegtest", "weir/protocols/listen", false},
		{"protocols/rtmp", "weir/protocols/listen", true},
		{"protocols/rtmp", "weir/protocols", true},
		{"protocols", "net/url", true},
		{"protocols", "net/http", false},
		{"protocols", "weir/protocols/listen", false},
		{"protocols/hls", "weir/protocols/cmaf", true},
		{"protocols/rtmp", "weir/protocols/rtsp", false},
		{"protocols/api", "weir/protocols/api/web", true},
		{"protocols/rtmp", "net", true},
		{"protocols/rtmp", "weir/actors/act", false},
		{"protocols/rtmp", protoactor + "/actor", false},
		{"actors/stream", protoactor + "/actor", true},
		{"actors/stream", "weir/cluster/control", false},
		{"cluster/control", "weir/cluster/place", true},
		{"cluster/control", "net/netip", true},
		{"cluster/control", "weir/protocols", true},
		{"cluster/control", "weir/protocols/listen", false},
		{"cluster/control", "net/http", false},
		{"cluster/control", "weir/actors/act", false},
		{"cluster/control", protoactor + "/actor", false},
		{"cluster/control", "weir/cluster/conf", false},
		{"cluster/node", "weir/cluster/conf", true},
		{"cluster/follower", "weir/cluster/conf", false},
		{"cluster/follower", "weir/cluster/node", false},
		{"cluster/gateway", "weir/actors/session", false},
		{"cluster/router", "weir/actors/stream", true},
		{"cluster/router", protoactor + "/actor", false},
		{"cluster/node", "weir/sim", false},
		{"cluster/node", "github.com/alecthomas/kong", false},
		{"sim", "weir/cluster/node", true},
		{"sim", "weir/cluster/conf", true},
		{"sim", "weir/cmd/weir", false},
		{"sim", "weir/cluster/control", true},
		{"sim/oracle", "weir/cluster/control", false},
		{"sim/oracle", "weir/cluster/place", false},
		{"sim/oracle", "weir/sim/scenario", false},
		{"sim/oracle", "slices", true},
		{"cmd/weir", "github.com/alecthomas/kong", true},
		{"cmd/weir", "weir/cluster/node", true},
		{"cmd/weir", "weir/sim", true},
	} {
		if why := wrong(tt.from, tt.to); (why == "") != tt.ok {
			t.Errorf("wrong(%s, %s) = %q, want permitted %t", tt.from, tt.to, why, tt.ok)
		}
	}
}

// wrong says why a package, given from below the module, must not import another; empty means that it may.
func wrong(from, imported string) string {
	if to, ours := strings.CutPrefix(imported, module+"/"); ours {
		switch a, b := layer(from), layer(to); {
		case b < 0:
			return "it is in no layer"
		case b > a:
			return layers[b] + " is above " + layers[a]
		case below(to, parent(from)) || below(from, parent(to)):
			return "" // one subtree, such as api and api/web
		}
	}
	if layers[layer(from)] == "cmd" || forTests(from) {
		return ""
	}
	for _, b := range bans {
		if below(from, b.from) && below(imported, b.to) {
			return b.why
		}
	}
	return ""
}

// layer gives the index of the layer that a package, given from below the module, belongs to; -1 if to none.
func layer(pkg string) int {
	first, _, _ := strings.Cut(pkg, "/")
	return slices.Index(layers, first)
}

// parent gives the subtree that a package is part of: its first two folders, or itself where it has fewer.
func parent(pkg string) string {
	parts := strings.Split(pkg, "/")
	if len(parts) < 2 {
		return pkg + "/." // the top folder's own package is no subtree
	}
	return path.Join(parts[:2]...)
}

// below reports whether a path is the prefix or below it. A prefix that ends in a slash stands for what is below only.
func below(p, prefix string) bool {
	switch {
	case prefix == "":
		return true
	case strings.HasSuffix(prefix, "/."):
		return p == strings.TrimSuffix(prefix, "/.")
	case strings.HasSuffix(prefix, "/"):
		return strings.HasPrefix(p, prefix)
	default:
		return p == prefix || strings.HasPrefix(p, prefix+"/")
	}
}
