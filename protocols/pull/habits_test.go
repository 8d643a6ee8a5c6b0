package pull_test

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// hlsHabits are what servers of HLS do beside what most of them do.
var hlsHabits = []hlsCase{
	{name: "deflate", file: "xt.m3u8", set: coded("deflate", func(b []byte) []byte {
		var out bytes.Buffer
		z := zlib.NewWriter(&out)
		_, _ = z.Write(b)
		_ = z.Close()
		return out.Bytes()
	})},
	{name: "deflate without its header", file: "xt.m3u8", set: coded("deflate", func(b []byte) []byte {
		var out bytes.Buffer
		z, _ := flate.NewWriter(&out, flate.BestSpeed)
		_, _ = z.Write(b)
		_ = z.Close()
		return out.Bytes()
	})},
	{name: "gzip of the playlist alone", file: "xt.m3u8", set: func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			if strings.HasSuffix(file, "m3u8") {
				return http.StatusOK, append([]byte("coding:x-gzip\n"), zipped(s.serve(file))...)
			}
			return 0, nil
		}
	}},
	{name: "two content codings", file: "xt.m3u8", set: coded("gzip, gzip", func(b []byte) []byte { return zipped(zipped(b)) })},
	{name: "a content coding in capitals, and one that is none", file: "xt.m3u8", set: coded("GZIP, Identity", zipped)},
	{name: "a content coding that no file has", file: "xt.m3u8", set: coded("gzip", func(b []byte) []byte { return b })},
	{name: "a key in the playlist", file: "xt.m3u8", set: keyed(
		`#EXT-X-KEY:METHOD=AES-128,URI="data:text/plain;base64,`+base64.StdEncoding.EncodeToString(stationKey)+`",IV=0x0000000000000000000000000000002a`,
		func(int64) []byte { return ivOf(42) })},
	{name: "a key with the format of RFC 8216", file: "xt.m3u8", set: keyed(
		`#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0X2A,KEYFORMAT="identity",KEYFORMATVERSIONS="1"`,
		func(int64) []byte { return ivOf(42) })},
	{name: "the same key for a DRM, which is not read", file: "xt.m3u8", set: keyed(
		`#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x0000000000000000000000000000002A`+"\n"+
			`#EXT-X-KEY:METHOD=AES-128,URI="skd://key",KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"`,
		func(int64) []byte { return ivOf(42) })},
	{name: "a session key that is not needed", file: "multi.m3u8", set: func(s *station) {
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if file == "multi.m3u8" {
				return http.StatusOK, []byte("#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nxt.m3u8\n")
			}
			return 0, nil
		}
	}},
	{name: "each other segment is encrypted", file: "xt.m3u8", set: func(s *station) {
		keyed("#", func(int64) []byte { return ivOf(42) })(s)
		s.playlist = func(_ *station, lines []string) (out []string) {
			for _, l := range lines {
				if strings.HasPrefix(l, "#EXTINF") {
					_, file, _ := strings.Cut(l, "\n")
					key := "#EXT-X-KEY:METHOD=NONE"
					if numberOf(file)%2 == 0 {
						key = `#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x0000000000000000000000000000002A`
					}
					out = append(out, key)
				}
				out = append(out, l)
			}
			return out
		}
		all := s.file
		s.file = func(s *station, n int64, b []byte) []byte {
			if n%2 == 0 {
				return all(s, n, b)
			}
			return b
		}
	}},
	{name: "two segments in a row are missing for ever", file: "xt.m3u8", set: func(s *station) {
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if n := numberOf(file); n == stationBase+5 || n == stationBase+6 {
				return http.StatusNotFound, nil
			}
			return 0, nil
		}
	}, lost: 2, marks: 2, says: "404"},
	{name: "three segments in a row are damaged, the last in another way", file: "xm.m3u8", set: func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			switch b := s.serve(file); numberOf(file) {
			case stationBase + 5, stationBase + 6:
				return http.StatusOK, b[:len(b)/2]
			case stationBase + 7:
				return http.StatusNotFound, nil
			}
			return 0, nil
		}
	}, lost: 3, marks: 2, says: "truncated"},
	{name: "the init segment is missing for ten seconds", file: "xm.m3u8", set: refusesFile("xm-0.mp4", 10*time.Second), lost: 4, says: "init segment"},
	{name: "the playlist is a page for ten seconds", file: "xt.m3u8", set: func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			if strings.HasSuffix(file, "m3u8") && between(s, 20*time.Second, 30*time.Second) {
				return http.StatusOK, []byte("<!DOCTYPE html><html>please wait</html>")
			}
			return 0, nil
		}
	}, says: "playlist"},
	{name: "the playlist is empty now and then", file: "xt.m3u8", set: func(s *station) {
		n := 0
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if !strings.HasSuffix(file, "m3u8") {
				return 0, nil
			}
			if n++; n%4 == 0 {
				return http.StatusOK, nil
			}
			return 0, nil
		}
	}, says: "empty"},
	{name: "the playlist is redirected each time, to another place", file: "live.m3u8", set: func(s *station) {
		n := 0
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			switch {
			case file == "live.m3u8":
				n++
				return http.StatusFound, fmt.Appendf(nil, "/edge%d/xt.m3u8?session=%d", n%3, n)
			case strings.HasPrefix(file, "edge"):
				_, inner, _ := strings.Cut(file, "/")
				return http.StatusOK, s.serve(inner)
			}
			return http.StatusNotFound, nil
		}
	}},
	{name: "URLs without a scheme, and with what is escaped", file: "xt.m3u8", set: func(s *station) {
		changed(func(_ *station, l string) string {
			return strings.Replace(l, "\nxt-", "\n//station/some%20where/../xt-", 1)
		})(s)
	}},
	{name: "URLs that are absolute, with a port and tokens of slashes", file: "xt.m3u8", set: func(s *station) {
		changed(func(_ *station, l string) string {
			if strings.Contains(l, "\nxt-") {
				return strings.Replace(l, "\nxt-", "\nhttp://station:80/xt-", 1) + "?token=a/b+c%2Fd==&e=f:g"
			}
			return l
		})(s)
	}},
	{name: "low latency, with parts and hints", file: "xm.m3u8", set: func(s *station) {
		s.playlist = func(s *station, lines []string) []string {
			lines = append(lines[:1:1], append([]string{
				"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,HOLD-BACK=12.0", "#EXT-X-PART-INF:PART-TARGET=0.33",
			}, lines[1:]...)...)
			return append(lines,
				fmt.Sprintf(`#EXT-X-PART:DURATION=0.33,URI="xm-%d.1.m4s",INDEPENDENT=YES`, s.newest()+1),
				fmt.Sprintf(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="xm-%d.2.m4s"`, s.newest()+1),
				`#EXT-X-RENDITION-REPORT:URI="../low/live.m3u8",LAST-MSN=1,LAST-PART=1`)
		}
	}},
	{name: "ranges of one file a segment", file: "xt.m3u8", set: func(s *station) {
		sizes := map[int64]int{}
		s.playlist = func(s *station, lines []string) []string {
			for i, l := range lines {
				if _, file, ok := strings.Cut(l, "\n"); ok {
					n := numberOf(file)
					if sizes[n] == 0 {
						sizes[n] = len(s.serve(file))
					}
					lines[i] = strings.Replace(l, "\n", fmt.Sprintf("\n#EXT-X-BYTERANGE:%d@100\n", sizes[n]), 1)
				}
			}
			return lines
		}
		s.answer = func(s *station, r *http.Request, file string) (int, []byte) {
			var from, to int
			if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n == 2 {
				b := append(make([]byte, 100), s.serve(file)...)
				return http.StatusPartialContent, b[from : to+1]
			}
			return 0, nil
		}
	}},
	{name: "times of day, markers of advertising, unknown lines", file: "xt.m3u8", set: changed(func(s *station, l string) string {
		return strings.Replace(l, "#EXTINF", fmt.Sprintf("#EXT-X-PROGRAM-DATE-TIME:%s\n#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2020-01-01T00:00:00Z\"\n#EXT-X-CUE-OUT-CONT:2.0/30\n#EXT-OATCLS-SCTE35:/DAl\n#EXT-X-BITRATE:1000\n#EXTINF", s.began.Format(time.RFC3339)), 1)
	})},
	{name: "durations that are whole, and without a comma", file: "xt.m3u8", set: changed(func(_ *station, l string) string {
		return strings.Replace(l, ".000,", "", 1)
	})},
	{name: "a target duration that is too short, and none", file: "xt.m3u8", set: changed(func(_ *station, l string) string {
		if strings.HasPrefix(l, "#EXT-X-TARGETDURATION") {
			return "#EXT-X-TARGETDURATION:1"
		}
		return l
	})},
	{name: "variants for pictures to seek in, subtitles and captions", file: "multi.m3u8", set: func(s *station) {
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if file == "multi.m3u8" {
				return http.StatusOK, []byte(`#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",DEFAULT=YES,URI="subtitles.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="cc",INSTREAM-ID="CC1"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=900000000,URI="seek.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1000000,AVERAGE-BANDWIDTH=900000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=25.000,CLOSED-CAPTIONS="c",SUBTITLES="s"

xt.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=90000000,CODECS="hvc1.2.4.L153,ec-3",VIDEO-RANGE=PQ
nothing.m3u8
`)
			}
			return 0, nil
		}
	}},
	{name: "the same variant at two servers, the first of which is gone", file: "multi.m3u8", set: func(s *station) {
		s.answer = func(s *station, r *http.Request, file string) (int, []byte) {
			switch {
			case file == "multi.m3u8":
				return http.StatusOK, []byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://one/xt.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://two/xt.m3u8\n")
			case r.URL.Host == "one" && time.Since(s.began) > 20*time.Second:
				return http.StatusBadGateway, nil
			}
			return 0, nil
		}
	}, marks: 2, lost: 1, says: "502"},
}
