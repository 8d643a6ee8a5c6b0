package fake

import (
	"testing"
	"time"
)

// ReadClock returns what the clock shows in a decoded picture of luma samples.
func ReadClock(p *Pattern, luma []byte, width int) string {
	return readLine(&p.layout.date, len(reading{}.date), luma, width) + " " + readLine(&p.layout.time, len(reading{}.time), luma, width)
}

func readLine(l *line, length int, luma []byte, width int) string {
	text := make([]byte, 0, length)
	for i := range length {
		var seen [7]byte
		for y := range 7 {
			for x := range 5 {
				// The middle of the font's pixel.
				px := (l.column+i*l.size)*16 + (3+2*x+1)*l.size
				py := l.row*16 + (1+2*y+1)*l.size
				if luma[py*width+px] > 128 {
					seen[y] |= 1 << (4 - x)
				}
			}
		}
		ch := byte('?')
		for c, g := range font {
			if g == seen {
				ch = c
			}
		}
		text = append(text, ch)
	}
	return string(text)
}

func TestReadingIsThatOfTheCalendar(t *testing.T) {
	check := func(at time.Time) {
		t.Helper()
		r := read(at.UnixMilli())
		if got, want := string(r.date[:])+" "+string(r.time[:]), at.UTC().Format("2006-01-02 15:04:05.000"); got != want {
			t.Fatalf("read(%d) = %s, want %s", at.UnixMilli(), got, want)
		}
	}
	for day := time.Unix(0, 0); day.Year() < 2500; day = day.Add(24*time.Hour + 7321*time.Millisecond) {
		check(day)
	}
	check(time.UnixMilli(maxMillis - 1))
}

func TestEmulationPreventionIsUndone(t *testing.T) {
	for _, rbsp := range [][]byte{{0, 0, 0, 1}, {0, 0, 3, 0, 0, 2}, {1, 0, 0, 0, 0, 0, 0, 5}, {0, 0, 4, 0, 1}, {9}, {0, 0}} {
		nal := appendNAL(nil, nalSEI, rbsp)
		zeros := 0
		for _, c := range nal[5:] {
			if zeros >= 2 && c < 3 {
				t.Errorf("NAL unit of % x = % x: not prevented", rbsp, nal)
			}
			if zeros++; c != 0 {
				zeros = 0
			}
		}
		if got := unescape(nal[5:]); string(got) != string(rbsp) {
			t.Errorf("unescape(% x) = % x, want % x", nal[5:], got, rbsp)
		}
	}
}
