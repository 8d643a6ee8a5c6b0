package sim

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the hashes in testdata")

// hashed are runs whose traces are compared with those of every earlier build. What changes a hash changes what nodes
// do, or what the simulator draws: it belongs to a commit that says so.
var hashed = []struct {
	name     string
	seed     uint64
	profile  Profile
	fidelity Fidelity
}{
	{"core, calm", 1, ProfileCalm, Core},
	{"core, swarm", 2, ProfileSwarm, Core},
	{"core, swarm", 17, ProfileSwarm, Core},
	{"core, network", 3, ProfileNetwork, Core},
	{"core, edit", 4, ProfileEdit, Core},
	{"actors, calm", 5, ProfileCalm, Actors},
	{"actors, swarm", 6, ProfileSwarm, Actors},
	{"actors, process", 7, ProfileProcess, Actors},
}

func hashes() string {
	var b strings.Builder
	for _, h := range hashed {
		s := Draw(h.seed, SwarmOptions{Profile: h.profile, Fidelity: h.fidelity, Disturbed: 40 * time.Second, MinHealing: 30 * time.Second})
		fmt.Fprintf(&b, "%s %s seed %d\n", Run(s, Options{}).Hash, h.name, h.seed)
	}
	return b.String()
}

func TestSameSeedGivesTheSameBytes(t *testing.T) {
	const golden = "testdata/hashes.txt"
	first := hashes()
	if *update {
		if err := os.WriteFile(golden, []byte(first), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if first != string(want) {
		t.Errorf("hashes are\n%swant\n%s(go test ./sim -run SameSeed -update, if nodes are meant to do otherwise)", first, want)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if got := hashes(); got != first {
		t.Errorf("with one processor the hashes are\n%swant\n%s", got, first)
	}
	runtime.GOMAXPROCS(4)
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	if got := hashes(); got != first {
		t.Errorf("with a busy collector the hashes are\n%swant\n%s", got, first)
	}
}

func TestTraceEndsInTheHashOfItsLines(t *testing.T) {
	s := Draw(3, SwarmOptions{Disturbed: 20 * time.Second, MinHealing: 10 * time.Second})
	r := Run(s, Options{Keep: true})
	if len(r.Trace) < hashEvery {
		t.Fatalf("%d lines, want more than %d", len(r.Trace), hashEvery)
	}
	last := r.Trace[len(r.Trace)-1]
	if !strings.Contains(last.Text, "sha256 sum="+r.Hash) {
		t.Errorf("last line = %q, want the hash %s", last.Text, r.Hash)
	}
	again := Run(s, Options{})
	if again.Hash != r.Hash || again.Trace != nil {
		t.Errorf("without lines the hash is %s, want %s and no lines", again.Hash, r.Hash)
	}
	for i, l := range r.Trace[:len(r.Trace)-1] {
		if l.Number != uint64(i+1) || l.Cause >= l.Number || !bytes.HasPrefix([]byte(l.Text), []byte("T+")) {
			t.Fatalf("line %d = %+v", i+1, l)
		}
	}
}

func TestNumbersOfATraceHaveAtLeastSoManyDigits(t *testing.T) {
	numbers := []uint64{0, 1, 9, 10, 99, 100, 101, 999_999, 1_000_000, 123_456_789, 1<<63 - 1, 1<<64 - 1}
	for _, n := range numbers {
		for _, digits := range []int{1, 5, 6, 9} {
			x := newTracer(false)
			x.pad(n, digits)
			if got, want := string(x.buf), fmt.Sprintf("%0*d", digits, n); got != want {
				t.Errorf("%d with %d digits = %s, want %s", n, digits, got, want)
			}
		}
	}
}
