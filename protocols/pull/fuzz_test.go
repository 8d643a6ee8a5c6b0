package pull

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"weir/codecs"
	"weir/codecs/linear"
)

// FuzzOpen opens garbage. What opens must play, or say why not, and the index must not be much larger than the file.
func FuzzOpen(f *testing.F) {
	files, err := filepath.Glob("testdata/*.[mt]*")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		if filepath.Ext(name) == ".md" {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(openGarbage)
}

// FuzzTransportStream opens garbage that begins as a transport stream. Its seeds are a few packets, so that what the
// mutator changes is mostly headers.
func FuzzTransportStream(f *testing.F) {
	whole, err := os.ReadFile("testdata/tiny.ts")
	if err != nil {
		f.Fatal(err)
	}
	for _, packets := range []int{4, 12, 30} {
		f.Add(whole[:packets*tsPacket])
	}
	f.Fuzz(openGarbage)
}

func openGarbage(t *testing.T, b []byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	clip, _, err := openMedia(bytes.NewReader(b), int64(len(b)), 0)
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(64<<20+1000*len(b)); got > most {
		t.Fatalf("%d bytes allocated for a file of %d", got, len(b))
	}
	if err != nil {
		return
	}
	p, err := linear.NewProgram(clip)
	if err != nil {
		return
	}
	const now = int64(1_795_000_000) * codecs.ClockRate
	msn := p.SegmentAt(now)
	start, end := p.Bounds(msn)
	if start > now || end <= now {
		t.Fatalf("SegmentAt(%d) = %d, whose bounds are %d, %d", now, msn, start, end)
	}
	if _, err := p.Segment(msn); err != nil {
		t.Skip(err)
	}
}
