package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/protocols"
)

const readme = "../../README.md"

// readmeRow finds the rows of README's table of failures: the first cell ends with what weir sim whatif is asked.
const readmeRow = "| `whatif "

// TestReadmePromisesOfAFailureWhatTheSimulatorComputes compares README's table of failures with what weir sim whatif says about
// README's own file. With -update the table is written anew.
func TestReadmePromisesOfAFailureWhatTheSimulatorComputes(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	_, file, found := strings.Cut(string(text), "    # weir.conf\n")
	file, _, ended := strings.Cut(file, "\nand on each")
	if !found || !ended {
		t.Fatal("README has no weir.conf of a cluster any more")
	}
	config := filepath.Join(t.TempDir(), "weir.conf")
	if err := os.WriteFile(config, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := 0
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, readmeRow) {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		want := readmeCells(t, config, strings.TrimSuffix(strings.TrimPrefix(cells[0], "`whatif "), "`"))
		if !slices.Equal(cells[2:], want) {
			lines[i] = "| " + strings.Join(append(cells[:2:2], want...), " | ") + " |"
			if !*update {
				t.Errorf("README says\n%s\nand the simulator\n%s\n(go test ./cmd/weir -run Readme -update writes it)", line, lines[i])
			}
		}
	}
	if rows < 5 {
		t.Errorf("found %d rows of README's table of failures, want at least 5", rows)
	}
	if *update {
		if err := os.WriteFile(readme, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// readmeCells asks what would happen, and gives the answer in the cells of README's table: how long no node captures a stream
// while the fault lasts, how long pictures stand still, and when the last stream is back after it.
func readmeCells(t *testing.T, config, question string) []string {
	t.Helper()
	c := SimWhatifCmd{Config: config, Runs: 20, Loss: "0%"}
	if rest, ok := strings.CutPrefix(question, "--for "); ok {
		long, rest, _ := strings.Cut(rest, " ")
		d, err := time.ParseDuration(long)
		if err != nil {
			t.Fatal(err)
		}
		c.For, question = d, rest
	}
	c.What = strings.Fields(question)
	own, err := c.read(config, stdio{out: os.Stderr, err: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.answer(t.Context(), own, stdio{out: os.Stderr, err: os.Stderr})
	if err != nil || len(a.violations) > 0 {
		t.Fatalf("whatif %s: %v, %v", question, err, a)
	}
	longest := func(of ...protocols.Protocol) string {
		var list []time.Duration
		for _, p := range of {
			list = append(list, a.stills[shownTo{false, p}]...)
		}
		return atMost(list)
	}
	back := "–"
	if len(a.home) > 0 {
		back = atMost(a.home)
	}
	return []string{
		atMost(a.gaps[false]), longest(protocols.RTMP), longest(protocols.TS, protocols.FLV, protocols.RTSP), longest(protocols.HLS), back,
	}
}

// atMost is the longest of some times, rounded up: below ten seconds to tenths, above to seconds.
func atMost(list []time.Duration) string {
	if len(list) == 0 {
		return "none"
	}
	d, unit := slices.Max(list), 100*time.Millisecond
	if d > 10*time.Second {
		unit = time.Second
	}
	d = (d + unit - 1) / unit * unit
	if d < time.Minute {
		return fmt.Sprintf("%v s", float64(d)/float64(time.Second))
	}
	return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
}
