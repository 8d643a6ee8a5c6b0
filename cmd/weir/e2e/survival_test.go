//go:build e2e

package e2e

import (
	"testing"

	"weir/sim/real"
)

// A viewer to whom a node relays a stream goes on over the same connection when the owner dies, hangs, wakes up, is drained or
// comes back, in every protocol.
func TestRelayedViewersSurviveWhateverHappensToTheOwner(t *testing.T) {
	list, err := real.Survive(t.Context(), real.Options{Program: binary, Dir: t.TempDir(), Tell: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		t.Logf("%s, %s: %v", s.Protocol, s.Led, s.Outcomes)
		for _, wrong := range s.Wrong() {
			t.Error(wrong)
		}
	}
}
