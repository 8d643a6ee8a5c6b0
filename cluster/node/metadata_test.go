package node

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"weir/codecs/flv"
	"weir/codecs/flv/amf"
)

// TestMetadataIsCompleteWhateverTheInput plays over HTTP-FLV what comes by each protocol.
func TestMetadataIsCompleteWhateverTheInput(t *testing.T) {
	t.Parallel()
	const source = "stream cam { input fake://pattern?size=256x144&fps=10&rate=44100; }\n"
	n := lone(t, source)
	text, names := source, []string{"cam"}
	for name, url := range map[string]string{
		"ts": "tshttp://" + n.httpAddr() + "/cam/mpegts", "hls": "hls://" + n.httpAddr() + "/cam/index.m3u8",
		"rtsp": "rtsp://" + n.Addresses()["rtsp"][0] + "/cam", "rtmp": "rtmp://" + n.rtmpAddr() + "/live/cam",
	} {
		text += fmt.Sprintf("stream %s { input %s; }\n", name, url)
		names = append(names, name)
	}
	n.reload(t, text)
	want := amf.Object{
		{Key: "width", Value: 256.},
		{Key: "height", Value: 144.},
		{Key: "framerate", Value: 10.},
		{Key: "videocodecid", Value: 7.},
		{Key: "audiocodecid", Value: 10.},
		{Key: "audiosamplerate", Value: 44100.},
		{Key: "stereo", Value: true},
	}
	for _, name := range names {
		within(t, name+" says all about itself", func() error {
			res, err := http.Get("http://" + n.httpAddr() + "/" + name + ".flv")
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s", res.Status)
			}
			tag, err := flv.NewReader(bufio.NewReader(res.Body)).Next()
			if err != nil {
				return err
			}
			vs, err := amf.Read(tag.Body)
			if err != nil || len(vs) != 2 {
				return fmt.Errorf("%v, %w", vs, err)
			}
			o, _ := amf.AsObject(vs[1])
			var wrong []string
			for _, f := range want {
				if got := o.Get(f.Key); got != f.Value {
					wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", f.Key, got, f.Value))
				}
			}
			if len(wrong) > 0 {
				return fmt.Errorf("%s", strings.Join(wrong, "; "))
			}
			return nil
		})
	}
}
