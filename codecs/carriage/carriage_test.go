package carriage_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir/codecs"
	"weir/codecs/carriage"
)

// all are the codecs that have names.
func all() (list []codecs.Codec) {
	for c := codecs.Codec(1); c.String() != "unknown"; c++ {
		list = append(list, c)
	}
	return list
}

func TestEveryCodecHasARowThatIsComplete(t *testing.T) {
	if len(all()) < 7 {
		t.Fatalf("codecs %v", all())
	}
	names := map[string]codecs.Codec{}
	for _, c := range all() {
		r := carriage.Of(c)
		if codecs.Named(c.String()) != c {
			t.Errorf("%v is not found by its name", c)
		}
		if r.Describe == nil && r.Frame == nil {
			t.Errorf("%v: neither a decoder configuration nor its frames describe a track", c)
		}
		if c.Video() == (r.Length != nil) {
			t.Errorf("%v: access units of audio have a length, those of video have none", c)
		}
		if (r.Pack == nil) != (r.Unpack == nil) {
			t.Errorf("%v goes over RTP one way only", c)
		}
		if r.MP4.Entry != "" && (r.MP4.Box == nil || r.MP4.Name == nil) {
			t.Errorf("%v: half a row for MP4", c)
		}
		if r.Segments && r.TS == nil {
			t.Errorf("%v: players find it in transport streams that cannot carry it", c)
		}
		if n := len(r.FLV.FourCC); n != 0 && n != 4 {
			t.Errorf("%v: FourCC %q", c, r.FLV.FourCC)
		}
		if before, twice := names[r.FLV.FourCC]; twice && r.FLV.FourCC != "" {
			t.Errorf("%v and %v have one FourCC", before, c)
		}
		names[r.FLV.FourCC] = c
		if got := carriage.Find(func(_ codecs.Codec, x *carriage.Row) bool { return x == r }); got != c {
			t.Errorf("the row of %v is found as that of %v", c, got)
		}
	}
}

func TestUnknownCodecIsCarriedByNothing(t *testing.T) {
	for _, c := range []codecs.Codec{0, codecs.Codec(len(all()) + 1), 255} {
		r := carriage.Of(c)
		if r.NAL != nil || r.Describe != nil || r.FLV.FourCC != "" || r.MP4.Box != nil || r.TS != nil || r.Segments || r.Pack != nil {
			t.Errorf("row of codec %d: %+v, want the zero Row", c, *r)
		}
	}
}

// readers are the files that may name codecs beside the table: each translates the names of a library, of SRS, or of one
// codec's own package.
var readers = []string{
	"codecs/aac/", "codecs/h264/", "codecs/h265/", "codecs/carriage/", "protocols/pull/", "cluster/srs/shown.go", "sim/",
}

func TestNobodyElseTellsCodecsApart(t *testing.T) {
	const root = "../.."
	var names []string
	for _, c := range all() {
		names = append(names, c.String())
	}
	name := regexp.MustCompile(`\bcodecs\.(` + strings.Join(names, "|") + `)\b`)
	for _, known := range []string{"codecs.H264", "codecs.AC3"} {
		if !name.MatchString(known) {
			t.Fatalf("%v does not match %s", name, known)
		}
	}
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		path = filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") ||
			slices.ContainsFunc(readers, func(r string) bool { return strings.HasPrefix(path, r) }) {
			return err
		}
		files++
		b, err := os.ReadFile(filepath.Join(root, path))
		if found := name.Find(b); found != nil {
			t.Errorf("%s names %s: ask the row of the codec instead", path, found)
		}
		return err
	})
	if err != nil || files < 100 {
		t.Errorf("%d files read, %v", files, err)
	}
}
