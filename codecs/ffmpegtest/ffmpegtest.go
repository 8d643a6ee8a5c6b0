// Package ffmpegtest runs ffmpeg and ffprobe for tests.
//
// It knows no media: the tests say what the programs have to do, and judge what they print.
package ffmpegtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Path finds ffmpeg or ffprobe. Without the program the test is skipped; where the variable CI is set, it fails.
func Path(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("%s is needed: %v", program, err)
	default:
		t.Skipf("left out: %s is not installed", program)
	}
	return path
}

// Run runs ffmpeg or ffprobe and returns what it printed to both outputs. The test fails if the program does.
func Run(t testing.TB, program string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Path(t, program), args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, errs.String())
	}
	return out.String(), errs.String()
}
