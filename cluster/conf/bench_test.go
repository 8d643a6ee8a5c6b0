package conf

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkParse reads a file with 2,000 streams, the largest that occurs. A reload may take a tenth of a second.
func BenchmarkParse(b *testing.B) {
	var t strings.Builder
	t.WriteString(full)
	for i := range 2000 {
		fmt.Fprintf(&t, "stream site/%04d {\n  input fake://fake;\n  cluster_ingest capture_at=n2;\n  title \"Camera %d\";\n}\n", i, i)
	}
	src := []byte(t.String())
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := Parse("f", src); problems.Failed() {
			b.Fatal(problems)
		}
	}
}
