package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/cluster/conf"
)

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
