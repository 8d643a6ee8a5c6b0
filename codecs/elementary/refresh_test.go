package elementary_test

import (
	"testing"

	"weir/codecs"
	"weir/codecs/elementary"
)

// TestPicturesThatAreRefreshedLittleByLittleCanBeJoined has encoders that send a recovery point a second instead of key pictures. Where
// there are key pictures, recovery points that are not right at once are none.
func TestPicturesThatAreRefreshedLittleByLittleCanBeJoined(t *testing.T) {
	idr, slice, point := []byte{0x65, 0x88}, []byte{0x41, 0x9a}, []byte{6, 6, 1, 0x40, 0x80}
	for _, tt := range []struct {
		name string
		keys int // pictures from one key picture to the next; 0: only the first is one
		want int // random access points of 500 pictures
	}{
		{"a key picture at the start", 0, 1 + 16},
		{"key pictures as usual", 50, 10},
	} {
		p := elementary.NewParser(codecs.H264)
		got := 0
		for i := range 500 {
			units := [][]byte{slice}
			switch {
			case i == 0 || tt.keys > 0 && i%tt.keys == 0:
				units = [][]byte{idr}
			case i%25 == 0:
				units = [][]byte{point, slice}
			}
			if p.Units(units).RandomAccess {
				got++
			}
		}
		if got != tt.want {
			t.Errorf("%s: %d random access points, want %d", tt.name, got, tt.want)
		}
	}
}
