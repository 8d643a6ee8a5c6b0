package pull_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/nal"
	"weir/protocols/pull"
)

// FuzzSegments has a server send any bytes as an init segment and as segments, which follow each other in the input behind the given
// text. What comes out has tracks, whole payloads, and times that rise.
func FuzzSegments(f *testing.F) {
	const between = "\nnext\n"
	seed := func(name string, numbers ...int64) []byte {
		s := &station{pattern: patternOf(f), window: 6, first: stationBase, began: time.Now()}
		var list [][]byte
		if strings.HasSuffix(name, "m") {
			list = append(list, s.serve(name+"-0.mp4"))
		} else {
			list = append(list, nil)
		}
		suffix := map[byte]string{'t': "ts", 'm': "m4s", 'p': "aac"}[name[len(name)-1]]
		for _, n := range numbers {
			b := s.serve(fmt.Sprintf("%s-%d.%s", name, n, suffix))
			list = append(list, b[:min(len(b), 188*40)])
		}
		return bytes.Join(list, []byte(between))
	}
	for _, name := range []string{"xt", "xm", "ap"} {
		f.Add(seed(name, stationBase, stationBase+1), false)
		f.Add(seed(name, stationBase+1, stationBase), true)
	}
	f.Add([]byte(between+"ID3\x04\x00\x00\x7f\x7f\x7f\x7f\xff\xf1"+between+"\x00\x00\x00\x08moof"), true)
	f.Fuzz(func(t *testing.T, in []byte, cut bool) {
		synctest.Test(t, func(t *testing.T) {
			parts := bytes.Split(in, []byte(between))
			if len(parts) > 6 {
				parts = parts[:6]
			}
			text := "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n"
			if len(parts[0]) > 0 {
				text += "#EXT-X-MAP:URI=\"0\"\n"
			}
			for i := range parts[1:] {
				if cut && i > 0 {
					text += "#EXT-X-DISCONTINUITY\n"
				}
				text += fmt.Sprintf("#EXTINF:2,\n%d\n", i+1)
			}
			s := newStation(t)
			s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
				n := 0
				if _, err := fmt.Sscanf(file, "%d", &n); err == nil && n >= 0 && n < len(parts) {
					return http.StatusOK, parts[n]
				}
				return http.StatusOK, []byte(text + "#EXT-X-ENDLIST\n")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			p := &pulled{}
			if err := pull.HLS(ctx, "http://station/fuzz.m3u8", pull.Options{Transport: s, Report: p}, p); err == nil {
				t.Error("the pull ends without saying why")
			}
			last := map[codecs.Codec]int64{}
			for _, au := range p.units {
				if au.Track < 0 || au.Track >= len(p.tracks) {
					t.Fatalf("access unit of track %d of %d", au.Track, len(p.tracks))
				}
				c := p.tracks[au.Track].Codec
				if before, any := last[c]; any && au.DTS <= before || au.PTS < au.DTS {
					t.Fatalf("DTS %d, PTS %d follow %d", au.DTS, au.PTS, before)
				}
				last[c] = au.DTS
				if carriage.Of(c).NAL != nil {
					if units, err := nal.Split(au.Payload, 4); err != nil || len(units) == 0 {
						t.Fatalf("payload %x is not whole", au.Payload)
					}
				}
			}
		})
	})
}
