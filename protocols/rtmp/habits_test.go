package rtmp

import (
	"slices"
	"testing"

	"github.com/yutopp/go-rtmp/message"

	"weir/codecs/flv/amf"
)

// connects says connect as an encoder does.
func (p *peer) connects(app, tcURL string) {
	p.t.Helper()
	p.say(0, "connect", 1, amf.Object{{Key: "app", Value: app}, {Key: "flashVer", Value: "FMLE/3.0"}, {Key: "tcUrl", Value: tcURL}})
}

// habitTests are what encoders do beside or instead of the usual. Each publishes pictures at 0, 40 and 80 ms, and perhaps more.
var habitTests = []struct {
	name string
	does func(p *peer)
	want string // the stream
}{
	{"nothing is waited for", func(p *peer) {
		p.connects("live", "rtmp://h/live")
		p.say(0, "createStream", 2, nil)
		p.say(1, "publish", 3, nil, "cam1", "live")
		p.pictures(0)
	}, "live/cam1"},
	{"createStream is said twice", func(p *peer) {
		p.connects("live", "rtmp://h/live")
		p.say(0, "createStream", 2, nil)
		p.say(0, "createStream", 3, nil)
		p.say(1, "publish", 4, nil, "cam1", "record")
		p.pictures(0)
	}, "live/cam1"},
	{"the application has an instance", func(p *peer) {
		p.connects("live/_definst_", "rtmp://h/live/_definst_")
		p.say(1, "publish", 4, nil, "cam1?key=k", "append")
		p.pictures(0)
	}, "live/cam1"},
	{"all commands are AMF3", func(p *peer) {
		for _, m := range [][]any{{"connect", 1, amf.Object{{Key: "app", Value: "live"}, {Key: "tcUrl", Value: "rtmp://h/live?key=k"}}}, {"createStream", 2, nil}, {"publish", 3, nil, "cam1"}} {
			p.send(appendMessage(nil, 128, csCommand, 17, 0, 0, append([]byte{0}, amf.Append(nil, m...)...), nil))
		}
		p.pictures(0)
	}, "live/cam1"},
	{"chunk sizes change, messages are aborted, and types are unknown", func(p *peer) {
		p.publish("live", "cam1")
		p.tag(9, 0, avcHeader)
		p.send(appendControl(nil, message.TypeIDSetChunkSize, 4096), appendMessage(nil, 4096, csVideo, 9, 1, 0, idrBody, nil))
		p.send([]byte{7, 0, 0, 0, 0, 0, 99, 9, 1, 0, 0, 0}, make([]byte, 99), appendControl(nil, message.TypeIDAbortMessage, 7)) // whole, so nothing is aborted
		p.send(appendMessage(nil, 4096, 8, 77, 1, 0, []byte{1, 2, 3}, nil), event(nil, eventPing, 5), event(nil, 33, 5))
		p.send(appendControl(nil, message.TypeIDSetChunkSize, 64), appendMessage(nil, 64, csVideo, 9, 1, 40, sliceBody, nil))
		p.send(appendMessage(nil, 64, csVideo, 9, 1, 80, sliceBody, nil), appendControl(nil, message.TypeIDSetChunkSize, 128))
	}, "live/cam1"},
	{"the header is repeated with each key picture", func(p *peer) {
		p.publish("live", "cam1")
		for ts := uint32(0); ts <= 80; ts += 40 {
			p.tag(9, ts, avcHeader)
			p.tag(9, ts, idrBody)
		}
	}, "live/cam1"},
	{"the header comes late", func(p *peer) {
		p.publish("live", "cam1")
		p.tag(9, 0, idrBody)
		p.tag(9, 40, sliceBody)
		p.pictures(80)
	}, "live/cam1"},
	{"empty messages, and metadata with and without @setDataFrame", func(p *peer) {
		p.publish("live", "cam1")
		p.tag(8, 0, nil)
		p.tag(9, 0, nil)
		p.tag(18, 0, amf.Append(nil, "@setDataFrame", "onMetaData", amf.Object{{Key: "videocodecid", Value: 7.0}}))
		p.tag(18, 0, amf.Append(nil, "onMetaData", amf.Object{{Key: "videocodecid", Value: 7.0}}))
		p.pictures(0)
	}, "live/cam1"},
}

// pictures sends a header and three pictures.
func (p *peer) pictures(ts uint32) {
	p.t.Helper()
	p.tag(9, ts, avcHeader)
	p.tag(9, ts, idrBody)
	p.tag(9, ts+40, sliceBody)
	p.tag(9, ts+80, sliceBody)
}

func TestHabitsOfEncodersAreTaken(t *testing.T) {
	for _, tt := range habitTests {
		t.Run(tt.name, func(t *testing.T) {
			d := newStage()
			s := serve(t, d)
			p := shake(t, s.addr)
			tt.does(p)
			p.code()
			for ts := uint32(120); ts < 4000; ts += 40 { // until the demuxer no longer waits for sound
				p.tag(9, ts, sliceBody)
			}
			h := d.nth(t, 1)
			h.wait(t, "three pictures", func() bool { return len(h.units) >= 3 })
			h.mu.Lock()
			defer h.mu.Unlock()
			var times []int64
			for _, au := range h.units[:3] {
				times = append(times, au.DTS-h.units[0].DTS)
			}
			if want := []int64{0, 3600, 7200}; h.name != tt.want || !slices.Equal(times, want) {
				t.Errorf("%s with pictures at %v, want %s at %v", h.name, times, tt.want, want)
			}
		})
	}
}
