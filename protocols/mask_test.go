package protocols

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

var maskTests = []struct{ in, want string }{
	{"rtsp://camera/1", "rtsp://camera/1"},
	{"rtsp://camera:8554/1", "rtsp://camera:8554/1"},
	{"rtsp://u:s3cret@camera:8554/1", "rtsp://u:****@camera:8554/1"},
	{"rtsp://s3cret@camera/1", "rtsp://****@camera/1"},
	{"rtsp://u:s3c/r?e#t@camera/1", "rtsp://u:****@camera/1"},
	{"rtsp://u:s3c@ret@camera/1", "rtsp://u:****@camera/1"},
	{"http://[2001:db8::1]:80/a@b", "http://[2001:db8::1]:80/a@b"},
	{"hls://h/x.m3u8?token=s3cret", "hls://h/x.m3u8?token=****"},
	{"hls://h/x.m3u8?program=2&a=1&Tok%65n=s3cret", "hls://h/x.m3u8?program=2&a=1&Tok%65n=****"},
	{"hls://h/x.m3u8?a=1;key=s3cret", "hls://h/x.m3u8?a=1;key=****"},
	{"hls://h/x.m3u8?token%3Ds3cret", "hls://h/x.m3u8?token=****"},
	{"hls://h/x.m3u8?s3cretWithoutAnyName123", "hls://h/x.m3u8?****"},
	{"hls://h/x.m3u8#token=s3cret", "hls://h/x.m3u8#token=****"},
	{"http://h/token=s3cret/x.ts", "http://h/token=****/x.ts"},
	{"http://h/hdnts=exp=1~acl=/*~hmac=s3cret/x.ts", "http://h/hdnts=****/*~hmac=****/x.ts"},
	{"http://h/x.ts;jsessionid=s3cret?a=s3cret", "http://h/x.ts;jsessionid=****?a=****"},
	{"http://h/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2VjcmV0/x.ts", "http://h/****/x.ts"},
	{"http://h/0123456789abcdef0123456789abcdef/x.ts", "http://h/****/x.ts"},
	{"http://h/aB3dE5fG7hI9jK1lM3nO5p/x.ts", "http://h/****/x.ts"},
	{"http://h/a-stream-with-a-long-name-of-words/x.ts", "http://h/a-stream-with-a-long-name-of-words/x.ts"},
	{"rtmp://h/live?token=s3cret?vhost=v", "rtmp://h/live?token=****?vhost=v"},
	{"rtmp://h/live?vhost=v&k=s3cret/cam", "rtmp://h/live?vhost=v&k=****"},
	{"live/cam?key=s3cret", "live/cam?key=****"},
	{"live/cam?s3cretWithoutAnyName123", "live/cam?****"},
	{"what happened?", "what happened?"},
	{`playing "rtmp://u:s3cret@h/live/cam?k=s3cret": refused`, `playing "rtmp://u:****@h/live/cam?k=****": refused`},
	{`{"url":"http://h/x?a=s3cret\u0026b=s3cret","n":1}`, `{"url":"http://h/x?a=****\u0026b=****","n":1}`},
	{"fake://fake?fps=25", "fake://fake?fps=25"},
	{`{"error":"Get \"http://h/?v=s3cret\": refused"}`, `{"error":"Get \"http://h/?v=****\": refused"}`},
	{`{"error":"Get \"http://h/s3c3etS3c3etS3c3etS3c3et0\": refused"}`, `{"error":"Get \"http://h/****\": refused"}`},
	{"two http://h/?a=s3cret and http://h/?b=s3cret", "two http://h/?a=**** and http://h/?b=****"},
}

func TestSecretsInURLsAreMaskedWhereverTheyStand(t *testing.T) {
	for _, tt := range maskTests {
		got := MaskURLs(tt.in)
		if got != tt.want || strings.Contains(got, "s3c") {
			t.Errorf("MaskURLs(%s) = %s, want %s", tt.in, got, tt.want)
		}
		if again := MaskURLs(got); again != got {
			t.Errorf("MaskURLs(%s) = %s, want no change", got, again)
		}
	}
}

func FuzzMaskURLs(f *testing.F) {
	for _, tt := range maskTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, text string) {
		inJSON, err := json.Marshal(map[string]string{"error": text, "quoted": strconv.Quote(text)})
		if err != nil {
			t.Fatal(err)
		}
		if masked := MaskURLs(string(inJSON)); !json.Valid([]byte(masked)) {
			t.Errorf("%s becomes %s, which is no JSON", inJSON, masked)
		}
		masked := MaskURLs(text)
		if again := MaskURLs(masked); again != masked {
			t.Errorf("MaskURLs(%q) = %q, and then %q", text, masked, again)
		}
		if got := MaskURLs("rtmp://u:marked@h/a?b=marked"); strings.Contains(got, "marked") {
			t.Errorf("%q", got)
		}
	})
}
