package node

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/cluster/conf"
)

// drawn are the ids of the actors in the drawing of actors/tree.go. The parts of an id that vary are in angle brackets.
func drawn(t *testing.T) []string {
	t.Helper()
	src, err := os.ReadFile("../../actors/tree.go")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^//\t([│ ]*)(?:[├└]── )?(\S+)`)
	var ids, above []string
	for l := range strings.Lines(string(src)) {
		m := line.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		depth := 0
		if strings.ContainsAny(l, "├└") {
			depth = len([]rune(m[1]))/4 + 1
		}
		above = append(above[:depth], m[2])
		ids = append(ids, strings.Join(above, "/"))
	}
	return ids
}

func TestLiveTreeIsTheOneThatIsDrawn(t *testing.T) {
	file, problems := conf.Load("test", []byte("cluster_key for-the-test-only-0123;\npeer 127.0.0.1:1;\nbalancer lb { server 127.0.0.1:2; }\nstream a/b { input fake://fake; }\n"), flags("n1", "127.0.0.1:0", "off", "off"))
	if problems.Failed() {
		t.Fatal(problems)
	}
	n, err := Start(Config{File: file, Hostname: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	base := "http://" + n.Addresses()["http"][0] + "/a/b"
	client := &http.Client{Timeout: 20 * time.Second}
	playlist, err := client.Get(base + "/ts.m3u8") // starts the packager
	if err != nil {
		t.Fatal(err)
	}
	_ = playlist.Body.Close()
	viewer, err := client.Get(base + "/mpegts") // a session
	if err != nil {
		t.Fatal(err)
	}
	defer viewer.Body.Close()
	if _, err := io.ReadFull(viewer.Body, make([]byte, 188)); err != nil {
		t.Fatal(err)
	}

	vary := strings.NewReplacer("streams/a%2Fb", "streams/<name>", "inputs/1", "inputs/<n>", "peers/127.0.0.1:1", "peers/<entry>", "servers/127.0.0.1:2", "servers/<entry>")
	session, address := regexp.MustCompile(`sessions/\d+`), regexp.MustCompile(`listeners/http:.*`)
	var live []string
	for _, l := range n.tree.env.Tree().Leaves() {
		id := address.ReplaceAllString(session.ReplaceAllString(vary.Replace(l.ID), "sessions/<id>"), "listeners/<address>")
		live = append(live, id)
	}
	want := drawn(t)
	slices.Sort(live)
	slices.Sort(want)
	if live = slices.Compact(live); !slices.Equal(live, want) {
		t.Errorf("live tree:\n  %s\ndrawn in actors/tree.go:\n  %s", strings.Join(live, "\n  "), strings.Join(want, "\n  "))
	}
}
