package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weir/cluster/conf"
)

// says runs weir and gives what it writes to standard output. An exit code other than want is an error.
func says(t *testing.T, want int, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "weir", args...)
	cmd.Env = append(os.Environ(), env...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	_ = cmd.Run() // the exit code says it
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("weir %s ends with %d, want %d:\n%s", strings.Join(args, " "), got, want, problems.String())
	}
	return out.String()
}

func TestKeysAreLongAndDiffer(t *testing.T) {
	one, other := says(t, exitOK, nil, "key"), says(t, exitOK, nil, "key")
	for _, key := range []string{one, other} {
		if !regexp.MustCompile(`^[0-9a-f]{32}\n$`).MatchString(key) {
			t.Errorf("a key is %q, want 32 digits", key)
		}
		if _, problems := conf.Parse("", []byte("cluster_key "+strings.TrimSpace(key)+";")); len(problems) > 0 {
			t.Errorf("a file with the key %q: %s", key, problems)
		}
	}
	if one == other {
		t.Errorf("the key is %q twice", one)
	}
}

func TestVersionIsToldInEachForm(t *testing.T) {
	var b build
	if err := json.Unmarshal([]byte(says(t, exitOK, nil, "version", "--json")), &b); err != nil {
		t.Fatal(err)
	}
	if b.Version == "" || !strings.HasPrefix(b.Go, "go1.") || !strings.Contains(b.System, "/") {
		t.Errorf("the version is %+v", b)
	}
	if flag, command := says(t, exitOK, nil, "--version"), says(t, exitOK, nil, "version"); flag != command || flag != b.String()+"\n" {
		t.Errorf("weir --version says %q, weir version %q, and its JSON %q", flag, command, b)
	}
}

func TestCheckTellsProblemsAsJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.conf")
	for _, tt := range []struct {
		text string
		code int
		want checked
	}{
		{"stream a { input fake://a; }\n", exitOK, checked{OK: true, Streams: 1, Problems: []problem{}}},
		{"http 80;\n\nstrem a;", exitConfig, checked{Problems: []problem{{file, 3, 1, "error", "found \"strem\", which is no directive here; did you mean `stream`?"}}}},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		tt.want.File = file
		want, err := json.Marshal(tt.want)
		if err != nil {
			t.Fatal(err)
		}
		if got := says(t, tt.code, nil, "check", "--json", file); got != string(want)+"\n" {
			t.Errorf("a check of %q says\n%swant\n%s", tt.text, got, want)
		}
	}
}

func TestShellsCompleteCommandsAndFlags(t *testing.T) {
	for shell, want := range map[string]string{"bash": "complete -o default", "zsh": "bashcompinit", "fish": "commandline -cp"} {
		if got := says(t, exitOK, nil, "completion", shell); !strings.Contains(got, want) {
			t.Errorf("the completion for %s is\n%s", shell, got)
		}
	}
	for line, want := range map[string]string{"weir expl": "explain\n", "weir node --retu": "--return-holddown\n", "weir sim swe": "sweep\n"} {
		if got := says(t, exitOK, []string{"COMP_LINE=" + line}); got != want {
			t.Errorf("%q is completed by %q, want %q", line, got, want)
		}
	}
}

// TestPackagedConfigurationIsRight checks the file that a package installs, as it is and with its examples taken in.
func TestPackagedConfigurationIsRight(t *testing.T) {
	src, err := os.ReadFile("deploy/weir.conf")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile(`(?m)^# (\w+ .*[;}])$`)
	if n := len(examples.FindAll(src, -1)); n < 5 {
		t.Errorf("the file has %d examples, want 5 at least", n)
	}
	for name, text := range map[string][]byte{"as it is": src, "with its examples": examples.ReplaceAll(src, []byte("$1"))} {
		if _, problems := conf.Parse("weir.conf", text); len(problems) > 0 {
			t.Errorf("%s:\n%s", name, problems)
		}
	}
	unit, err := os.ReadFile("deploy/weir.service")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/weir (.*)$`).FindSubmatch(unit)
	if line == nil {
		t.Fatal("the unit starts something else")
	}
	parser, err := newParser(stdio{}, &cli{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(strings.Fields(string(line[1]))); err != nil {
		t.Errorf("the unit's command line: %v", err)
	}
}

// TestRulesAndBoardAskForMetricsThatExist reads the names that alerts.yml and grafana.json ask for.
func TestRulesAndBoardAskForMetricsThatExist(t *testing.T) {
	src, err := os.ReadFile(filepath.Join(root, "protocols", "api", "metrics.go"))
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]bool{}
	for _, m := range regexp.MustCompile(`"(weir_\w+)"`).FindAllSubmatch(src, -1) {
		exist[string(m[1])] = true
	}
	if len(exist) < 30 {
		t.Fatalf("found %d metrics in the source, want 30 at least", len(exist))
	}
	for file, least := range map[string]int{"deploy/alerts.yml": 12, "deploy/grafana.json": 25} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]bool{}
		for _, name := range regexp.MustCompile(`\bweir_\w+`).FindAllString(string(text), -1) {
			asked[name] = true
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				if whole := strings.TrimSuffix(name, part); exist[whole] {
					name = whole
				}
			}
			if !exist[name] {
				t.Errorf("%s asks for %s, which no node has", file, name)
			}
		}
		if len(asked) < least {
			t.Errorf("%s asks for %d metrics, want %d at least", file, len(asked), least)
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is no JSON", file)
		}
	}
}
