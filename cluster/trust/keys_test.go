package trust

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

func TestEqualKeysDeriveEqualAndOthersDoNot(t *testing.T) {
	a, b := derive("abcd"), Derive("abcd")
	if a != b {
		t.Errorf("Derive(%q) twice gave different keys", "abcd")
	}
	if Derive("abcde") == a {
		t.Errorf("Derive gave the same keys for %q and %q", "abcd", "abcde")
	}
	if bytes.Equal(a.mac[:], a.seed[:]) {
		t.Error("the two keys of one cluster key are equal")
	}
	if got := Derive(""); !got.Zero() {
		t.Errorf("Derive(%q) = %v, want the zero Keys", "", got)
	}
}

// The derivation is part of the protocol: a node that derives otherwise is refused by all of its predecessors.
func TestDerivationIsThatOfVersionOne(t *testing.T) {
	const want = "b67273b2"
	if got := Derive("abcd").ID(); got != want {
		t.Errorf("Derive(%q).ID() = %q, want %q", "abcd", got, want)
	}
}

func TestDeriveKeepsWhatItDerived(t *testing.T) {
	Derive("kept")
	if n := testing.AllocsPerRun(10, func() { Derive("kept") }); n > 0 {
		t.Errorf("Derive of a key that it has derived allocates %v times, want 0", n)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { Derive("kept") })
	}
	wg.Wait()
}

func TestKeysNeverPrintThemselves(t *testing.T) {
	k := Derive("abcd")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k)
	raw := []string{fmt.Sprintf("%x", k.mac[:4]), fmt.Sprint(k.mac[0]) + " " + fmt.Sprint(k.mac[1])}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %x %s %d", k, k, k, k, k, k), fmt.Sprint(&k), log.String()} {
		for _, r := range raw {
			if strings.Contains(text, r) {
				t.Errorf("%q shows the key", text)
			}
		}
	}
}
