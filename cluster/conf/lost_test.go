package conf

import (
	"fmt"
	"strings"
	"testing"
)

func TestFileThatWasCutShortIsKnown(t *testing.T) {
	streams := func(from, to int) (text string) {
		for i := from; i < to; i++ {
			text += fmt.Sprintf("stream s%d { input fake://a; }\n", i)
		}
		return text
	}
	for _, tt := range []struct {
		name     string
		old, now string
		lost     string
	}{
		{"nothing has changed", key + streams(0, 4), key + streams(0, 4), ""},
		{"empty", key + streams(0, 4), "", "the file has become empty"},
		{"a line feed is left", key + streams(0, 4), "\n", "the file has become empty"},
		{"it was empty before", "", " ", ""},
		{"no key", key + streams(0, 4), streams(0, 4), "the file has lost its cluster_key"},
		{"no key, as before", streams(0, 4), streams(0, 4), ""},
		{"half is cut off", key + streams(0, 4), key + streams(0, 2), "the file has lost 2 of 4 streams"},
		{"all streams are cut off", key + streams(0, 2), key, "the file has lost 2 of 2 streams"},
		{"the last one was taken out", key + streams(0, 2), key + streams(0, 1), ""},
		{"less than half is cut off", key + streams(0, 9), key + streams(0, 5), ""},
		{"others were taken out", key + streams(0, 4), key + streams(2, 4), ""},
		{"most of many are gone", key + streams(0, 40), key + streams(30, 40), "the file has lost 30 of 40 streams"},
		{"most of many have another name", key + streams(0, 40), key + streams(30, 70), "the file has lost 30 of 40 streams"},
		{"many of more are gone", key + streams(0, 90), key + streams(40, 90), ""},
	} {
		old, _ := Parse("f", []byte(tt.old))
		now, problems := Parse("f", []byte(tt.now))
		if problems.Failed() {
			t.Errorf("%s: %v", tt.name, problems)
		}
		got := ""
		if err := now.Lost(old, []byte(tt.now), []byte(tt.old)); err != nil {
			got = err.Error()
		}
		if got != tt.lost {
			t.Errorf("%s: lost is %q, want %q", tt.name, got, tt.lost)
		}
	}
	cut := key + strings.TrimSuffix(streams(0, 4), "\n")
	for n := len(cut) - 1; n >= 0; n-- { // wherever it is cut, it is refused, is known, or has most streams
		now, problems := Parse("f", []byte(cut[:n]))
		old, _ := Parse("f", []byte(cut))
		if !problems.Failed() && len(now.Streams) <= 2 && now.Lost(old, []byte(cut[:n]), []byte(cut)) == nil {
			t.Fatalf("a file that ends with %q is taken", cut[max(0, n-20):n])
		}
	}
}
