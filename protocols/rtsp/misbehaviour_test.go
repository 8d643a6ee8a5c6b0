package rtsp

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/reception"
)

// before makes an answer that does something before the camera's usual one.
func before(method string, do func(c *cameraConn, r *cameraRequest)) func(*cameraConn, *cameraRequest) bool {
	return func(c *cameraConn, r *cameraRequest) bool {
		if r.method == method {
			do(c, r)
		}
		return false
	}
}

// instead makes an answer in the place of the camera's usual one.
func instead(method string, do func(c *cameraConn, r *cameraRequest)) func(*cameraConn, *cameraRequest) bool {
	return func(c *cameraConn, r *cameraRequest) bool {
		if r.method == method {
			do(c, r)
		}
		return r.method == method
	}
}

func sent(text string) []byte { return []byte(strings.ReplaceAll(text, "\n", "\r\n")) }

// packets makes an edit of the RTP packets of the pictures, of which the number is given, from 0 on.
func packets(do func(picture int, p []byte) [][]byte) func(*cameraConn, int, []byte) [][]byte {
	return func(c *cameraConn, channel int, p []byte) [][]byte {
		if channel != 0 {
			return alone(p)
		}
		picture := c.picture
		if p[1]&0x80 != 0 {
			c.picture++
		}
		return do(picture, p)
	}
}

// alone is an edited packet.
func alone(p []byte) [][]byte { return [][]byte{p} }

func addTime(p []byte, ticks int) {
	binary.BigEndian.PutUint32(p[4:], binary.BigEndian.Uint32(p[4:])+uint32(ticks))
}

const pcma = "m=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n"

// misbehaviours are what cameras do, a row each. Of the four seconds of the pattern there are 100 pictures and 187 or 188 sounds.
var misbehaviours = []struct {
	name   string
	camera fakeCamera

	left  string // the tracks that are left out
	quiet bool   // there is no sound
	fewer int    // pictures that are lost
	count []reception.Counter
}{
	{name: "a good camera"},

	// R1: a medium that cannot be carried.
	{name: "G.711 A-law", camera: fakeCamera{sdp: sdpHead + sdpVideo + pcma}, left: "medium 2 PCMA"},
	{name: "G.711 µ-law", camera: fakeCamera{sdp: sdpHead + sdpVideo + "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:trackID=1\r\n"}, left: "medium 2 PCMU"},
	{name: "G.726", camera: fakeCamera{sdp: sdpHead + sdpVideo + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 G726-32/8000\r\na=control:trackID=1\r\n"}, left: "medium 2 G726-32", quiet: true},
	{name: "sound first", camera: fakeCamera{sdp: sdpHead + strings.ReplaceAll(pcma, "trackID=1", "trackID=7") + sdpVideo}, left: "medium 1 PCMA"},
	{name: "metadata", camera: fakeCamera{sdp: sdpHead + sdpVideo + sdpAudio + "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:meta\r\n"}, left: "medium 3 VND.ONVIF.METADATA"},
	{name: "metadata of no known form", camera: fakeCamera{sdp: sdpHead + "m=application 0 udp wb\r\na=orient:portrait\r\n" + sdpVideo + sdpAudio}, left: "medium 1 "},
	{name: "MJPEG beside", camera: fakeCamera{sdp: sdpHead + "m=video 0 RTP/AVP 26\r\na=control:jpeg\r\n" + sdpVideo + sdpAudio}, left: "medium 1 JPEG"},
	{name: "each medium twice", camera: fakeCamera{sdp: sdpHead + sdpVideo + sdpAudio + sdpVideo + sdpAudio}, left: "medium 3 H264, medium 4 AAC"},
	{name: "sound of a payload type that nothing describes", camera: fakeCamera{sdp: sdpHead + sdpVideo + "m=audio 0 RTP/AVP 97\r\na=rtpmap:broken\r\na=control:trackID=1\r\n"}, left: "medium 2 BROKEN", quiet: true},
	{name: "AAC without a configuration", camera: fakeCamera{sdp: sdpHead + sdpVideo + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 config=zz;sizelength=x\r\na=control:trackID=1\r\n"}},
	{name: "no fmtp", camera: fakeCamera{sdp: sdpHead + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n" + sdpAudio}},
	{name: "parameter sets that are none", camera: fakeCamera{sdp: sdpHead + strings.Replace(sdpVideo, "mode=1", "mode=1;sprop-parameter-sets=!!,Z0I,aM4=;profile-level-id=xyz", 1) + sdpAudio}},
	{name: "mode 0", camera: fakeCamera{sdp: sdpHead + strings.Replace(sdpVideo, "mode=1", "mode=0", 1) + sdpAudio}},
	{name: "bad lines", camera: fakeCamera{sdp: "v=\r\no=nobody\r\nt=now\r\nkey\r\na=range\r\na=key-mgmt:mikey ???\r\nc=IN IP4\r\n" + sdpVideo + "a=mid:!\r\nb=AS:\r\na=framerate\r\n" + sdpAudio}},
	{name: "LF alone", camera: fakeCamera{sdp: strings.ReplaceAll(sdpHead+sdpVideo+sdpAudio, "\r\n", "\n")}},
	{name: "ports that are not zero", camera: fakeCamera{sdp: strings.ReplaceAll(sdpHead+sdpVideo+sdpAudio, " 0 RTP", " 5000 RTP")}},
	{name: "a back channel", camera: fakeCamera{sdp: sdpHead + sdpVideo + sdpAudio + strings.Replace(pcma, "trackID=1", "back", 1) + "a=sendonly\r\n"}},
	{name: "sound is refused at SETUP", camera: fakeCamera{answer: func(c *cameraConn, r *cameraRequest) bool {
		refused := r.method == "SETUP" && strings.Contains(r.url, "trackID=1")
		if refused {
			c.say(r, "500 Internal Server Error", "")
		}
		return refused
	}}, left: "medium 2 AAC", quiet: true},
	{name: "sound never comes", camera: fakeCamera{edit: func(_ *cameraConn, channel int, p []byte) [][]byte {
		if channel > 1 {
			return nil
		}
		return alone(p)
	}}, quiet: true, left: "medium 2 AAC"},

	// Controls.
	{name: "no control of the medium", camera: fakeCamera{sdp: sdpHead + strings.Replace(sdpVideo, "a=control:trackID=0\r\n", "", 1)}, quiet: true},
	{name: "absolute controls", camera: fakeCamera{sdp: sdpHead + strings.ReplaceAll(sdpVideo+sdpAudio, "control:", "control:rtsp://10.0.0.1/cam/")}},
	{name: "Content-Base is missing", camera: fakeCamera{answer: instead("DESCRIBE", func(c *cameraConn, r *cameraRequest) { c.describe(r) })}},
	{name: "Content-Base is doubled", camera: fakeCamera{answer: instead("DESCRIBE", func(c *cameraConn, r *cameraRequest) {
		c.describe(r, "Content-Base: rtsp://"+c.camera.addr+"/cam/, rtsp://"+c.camera.addr+"/cam/", "Content-Base: rtsp://x/")
	})}},
	{name: "Content-Base is private", camera: fakeCamera{answer: instead("DESCRIBE", func(c *cameraConn, r *cameraRequest) {
		c.describe(r, "content-base:rtsp://192.168.0.64:554/cam/")
	})}},
	{name: "Content-Base has a query, and controls go where RFC 3986 puts them", camera: fakeCamera{answer: func(c *cameraConn, r *cameraRequest) bool {
		switch {
		case r.method == "DESCRIBE":
			c.describe(r, "Content-Base: rtsp://"+c.camera.addr+"/cam/?user=a&channel=1")
		case r.method == "SETUP" && strings.Contains(r.url, "?"):
			c.say(r, "404 Not Found", "")
		default:
			return false
		}
		return true
	}}},

	// R4: messages that nobody awaits.
	{name: "requests of the server", camera: fakeCamera{
		before: sent("SET_PARAMETER rtsp://x/ RTSP/1.0\nCSeq: 1\nContent-Length: 4\n\na: bOPTIONS * RTSP/1.0\nCSeq: 2\n\nGET_PARAMETER * RTSP/1.0\n\nANNOUNCE rtsp://x/ RTSP/1.0\nCSeq: 3\nContent-Type: application/sdp\nContent-Length: 3\n\nv=0PING * RTSP/1.0\nCSeq: 4\nSession: 1234\n\n"),
	}},
	{name: "requests of the server during every answer", camera: fakeCamera{answer: func(c *cameraConn, _ *cameraRequest) bool {
		_, _ = c.Write(sent("ANNOUNCE rtsp://x/ RTSP/1.0\nCSeq: 1\n\nOPTIONS * RTSP/1.0\nCSeq: 1\n\n"))
		return false
	}}},
	{name: "late and unasked answers", camera: fakeCamera{
		answer: before("SETUP", func(c *cameraConn, _ *cameraRequest) {
			_, _ = c.Write(sent("RTSP/1.0 454 Session Not Found\nCSeq: 1\n\n"))
		}),
		before: sent("RTSP/1.0 200 OK\nCSeq: 77\n\nRTSP/1.0 500 Oops\nCSeq: 2\nContent-Length: 2\n\nhm"),
	}},
	{name: "answers without CSeq", camera: fakeCamera{answer: func(_ *cameraConn, r *cameraRequest) bool {
		r.header["cseq"] = []string{""}
		return false
	}}},
	{name: "a provisional answer", camera: fakeCamera{answer: before("DESCRIBE", func(c *cameraConn, r *cameraRequest) { c.say(r, "100 Continue", "") })}},
	{name: "folded, misspelt and empty header lines", camera: fakeCamera{answer: instead("OPTIONS", func(c *cameraConn, r *cameraRequest) {
		fmt.Fprintf(c, "RTSP/1.0 200\nPUBLIC: OPTIONS,\n DESCRIBE\nno line\n: nothing\ncseq :%s\n\n", r.header.first("cseq"))
	})}},
	{name: "OPTIONS is not implemented", camera: fakeCamera{answer: instead("OPTIONS", func(c *cameraConn, r *cameraRequest) { c.say(r, "501 Not Implemented", "") })}},
	{name: "OPTIONS is not allowed", camera: fakeCamera{answer: instead("OPTIONS", func(c *cameraConn, r *cameraRequest) { c.say(r, "405 Method Not Allowed", "") })}},
	{name: "PLAY with a range is refused", camera: fakeCamera{answer: func(c *cameraConn, r *cameraRequest) bool {
		refused := r.method == "PLAY" && r.header.first("range") != ""
		if refused {
			c.say(r, "457 Invalid Range", "")
		}
		return refused
	}}},
	{name: "data before the answer to PLAY", camera: fakeCamera{answer: before("PLAY", func(c *cameraConn, _ *cameraRequest) {
		_, _ = c.Write(append(appendHead(nil, 4, 3), 1, 2, 3))
		_, _ = c.Write(append(appendHead(nil, 1, 4), 0x80, 200, 0, 0))
	})}},
	{name: "channels that nobody set up", camera: fakeCamera{before: append(append(appendHead(nil, 9, 4), 0x80, 96, 0, 1), append(appendHead(nil, 4, 0), appendHead(nil, 200, 1)...)...), after: nil}},
	{name: "other channels than were asked for", camera: fakeCamera{
		answer: instead("SETUP", func(c *cameraConn, r *cameraRequest) {
			channels := "10-11"
			if strings.HasSuffix(r.url, "1") {
				channels = "20-21"
			}
			c.say(r, "200 OK", "", "Transport: RTP/AVP/TCP;unicast;interleaved="+channels, "Session: 1234")
		}),
		edit: func(c *cameraConn, channel int, p []byte) [][]byte {
			_, _ = c.Write(append(appendHead(nil, byte(10+channel/2*10+channel%2), len(p)), p...))
			return nil
		},
	}},
	{name: "both media on one channel", camera: fakeCamera{
		answer: instead("SETUP", func(c *cameraConn, r *cameraRequest) {
			c.say(r, "200 OK", "", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1234")
		}),
		edit: func(c *cameraConn, channel int, p []byte) [][]byte {
			_, _ = c.Write(append(appendHead(nil, byte(channel%2), len(p)), p...))
			return nil
		},
	}},
	{name: "SETUP is answered without Transport", camera: fakeCamera{answer: instead("SETUP", func(c *cameraConn, r *cameraRequest) { c.say(r, "200 OK", "", "session:1234") })}},
	{name: "garbage between messages", camera: fakeCamera{edit: packets(func(n int, p []byte) [][]byte { return alone(p) }), before: append([]byte("\r\n\x00\x01HTTP\xff\xfe"), make([]byte, 500)...)}},

	// R3: times.
	{name: "times step back", camera: fakeCamera{edit: packets(func(n int, p []byte) [][]byte {
		if sequence := binary.BigEndian.Uint32(p[4:]) / 3600; sequence%3 == 1 {
			addTime(p, -int(5+sequence%51)*90-3600)
		}
		return alone(p)
	})}, count: []reception.Counter{reception.RepairedTimes}},
	{name: "a time that is hours off", camera: fakeCamera{edit: packets(func(n int, p []byte) [][]byte {
		if n == 60 {
			addTime(p, 5*3600*90000)
		}
		return alone(p)
	})}},
	{name: "a time that is hours back", camera: fakeCamera{edit: packets(func(n int, p []byte) [][]byte {
		if n == 60 || n == 70 {
			addTime(p, -7*3600*90000)
		}
		return alone(p)
	})}},
	{name: "times of sound that are hours off", camera: fakeCamera{edit: func(c *cameraConn, channel int, p []byte) [][]byte {
		if channel == 2 {
			if c.number++; c.number%50 == 49 {
				addTime(p, 2*3600*48000)
			}
		}
		return alone(p)
	}}},
	{name: "no sender reports", camera: fakeCamera{edit: func(_ *cameraConn, channel int, p []byte) [][]byte {
		if channel%2 == 1 {
			return nil
		}
		return alone(p)
	}}},
	{name: "sender reports with times of their own", camera: fakeCamera{edit: func(_ *cameraConn, channel int, p []byte) [][]byte {
		if channel%2 == 1 {
			binary.BigEndian.PutUint64(p[8:], uint64(channel)<<50)
		}
		return alone(p)
	}}},

	// Packets.
	{name: "padding, extensions and sources that contribute", camera: fakeCamera{edit: packets(func(n int, p []byte) [][]byte {
		switch n % 4 {
		case 0:
			p[0] |= 0x20
			p = append(p, 0, 0, 3)
		case 1:
			p[0] |= 0x10
			p = append(append(append([]byte(nil), p[:12]...), 0xbe, 0xde, 0, 1, 9, 9, 9, 9), p[12:]...)
		case 2:
			p[0] |= 2
			p = append(append(append([]byte(nil), p[:12]...), make([]byte, 8)...), p[12:]...)
		}
		return alone(p)
	})}},
	{name: "RTCP that is damaged", camera: fakeCamera{edit: func(_ *cameraConn, channel int, p []byte) [][]byte {
		if channel%2 == 1 {
			return [][]byte{p, p[:7], {0x80, 200, 0xff, 0xff}, {0xa0, 203, 0, 0}, {}}
		}
		return alone(p)
	}}},
	{name: "packets that are damaged", camera: fakeCamera{edit: packets(func(_ int, p []byte) [][]byte { return [][]byte{{1, 2, 3}, {}, p} })}, count: []reception.Counter{reception.Damaged}},
	{name: "packets without a payload", camera: fakeCamera{edit: packets(func(n int, p []byte) [][]byte {
		number := binary.BigEndian.Uint16(p[2:]) + uint16(n)
		binary.BigEndian.PutUint16(p[2:], number)
		if p[1]&0x80 == 0 {
			return alone(p)
		}
		empty := append([]byte(nil), p[:12]...)
		binary.BigEndian.PutUint16(empty[2:], number+1)
		return [][]byte{p, empty}
	})}},
	{name: "no markers", camera: fakeCamera{edit: packets(func(_ int, p []byte) [][]byte {
		p[1] &= 0x7f
		return alone(p)
	})}, fewer: 1}, // the last, whose end nobody knows
	{name: "the first packet of a slice is lost", camera: fakeCamera{edit: lost(31, 1)}, fewer: 1, count: []reception.Counter{reception.ContinuityErrors, reception.Damaged}},
	{name: "the last packet of a picture is lost", camera: fakeCamera{edit: lost(31, -1)}, fewer: 1, count: []reception.Counter{reception.ContinuityErrors, reception.Damaged}},
	{name: "a packet in the middle of a fragmented picture is lost", camera: fakeCamera{edit: lost(50, 9)}, fewer: 1, count: []reception.Counter{reception.Damaged}},
	{name: "the first fragment of a picture is lost", camera: fakeCamera{edit: lost(50, 1)}, fewer: 1, count: []reception.Counter{reception.Damaged}},
	{name: "another source begins", camera: fakeCamera{edit: packets(func(n int, p []byte) [][]byte {
		if n >= 40 {
			p[8]++
			binary.BigEndian.PutUint16(p[2:], binary.BigEndian.Uint16(p[2:])+9999)
			addTime(p, 123456789)
		}
		return alone(p)
	})}, count: []reception.Counter{reception.ContinuityErrors}},
	{name: "sequence numbers begin again", camera: fakeCamera{edit: packets(func(n int, p []byte) [][]byte {
		if n >= 40 {
			binary.BigEndian.PutUint16(p[2:], binary.BigEndian.Uint16(p[2:])-20000)
		}
		return alone(p)
	})}, count: []reception.Counter{reception.ContinuityErrors}},
	{name: "a stray packet", camera: fakeCamera{edit: packets(func(n int, p []byte) [][]byte {
		if n == 30 {
			stray := append([]byte(nil), p...)
			stray[8]++
			return [][]byte{stray, p}
		}
		return alone(p)
	})}, count: []reception.Counter{reception.Damaged}},
	{name: "another payload type than the one described", camera: fakeCamera{edit: packets(func(_ int, p []byte) [][]byte {
		p[1] = p[1]&0x80 | 99
		return alone(p)
	})}},

	// Transports.
	{name: "UDP only", camera: fakeCamera{answer: func(c *cameraConn, r *cameraRequest) bool {
		refused := r.method == "SETUP" && strings.Contains(r.header.first("transport"), "TCP")
		if refused {
			c.say(r, "461 Unsupported Transport", "")
		}
		return refused
	}}},
}

// lost makes an edit that loses one packet of a picture, the first of which is 0, or the last by -1.
func lost(picture, which int) func(*cameraConn, int, []byte) [][]byte {
	at := 0
	return packets(func(n int, p []byte) [][]byte {
		if n != picture {
			return alone(p)
		}
		at++
		if at-1 == which || which < 0 && p[1]&0x80 != 0 {
			return nil
		}
		return alone(p)
	})
}

func TestMisbehaviourOfACameraCostsNoMoreThanItself(t *testing.T) {
	whole := map[string]bool{} // the pictures that there are
	for _, item := range pattern(t, "cam", 1).items {
		if au, ok := item.(*codecs.AccessUnit); ok {
			whole[string(au.Payload)] = true
		}
	}
	for i := range misbehaviours {
		m := &misbehaviours[i]
		t.Run(m.name, func(t *testing.T) {
			url := m.camera.start(t)
			k, report, err := pulledFrom(t, url)
			if err != io.EOF && err.Error() != "EOF" {
				t.Errorf("Pull = %v, want the end of the connection", err)
			}
			var left []string
			for _, l := range report.LeftOut {
				left = append(left, l.Track+" "+l.Codec)
				if l.Reason == "" {
					t.Errorf("%+v has no reason", l)
				}
			}
			if got := strings.Join(left, ", "); got != m.left {
				t.Errorf("left out %q, want %q", got, m.left)
			}
			pictures, sounds := k.of(true), k.of(false)
			if len(pictures) != 100-m.fewer {
				t.Errorf("%d pictures, want %d", len(pictures), 100-m.fewer)
			}
			for i, au := range pictures {
				if !whole[string(au.Payload)] {
					t.Fatalf("picture %d, of %d bytes, is none that the camera has", i, len(au.Payload))
				}
			}
			if most := 200; m.quiet && len(sounds) > 0 || !m.quiet && (len(sounds) < 180 || len(sounds) > most) {
				t.Errorf("%d sounds, want about 188: %t", len(sounds), !m.quiet)
			}
			for _, units := range [][]int64{times(pictures), times(sounds)} {
				for i := 1; i < len(units); i++ {
					if units[i] <= units[i-1] {
						t.Fatalf("DTS %d follows %d", units[i], units[i-1])
					}
				}
			}
			for _, c := range m.count {
				if report.Counts[c] == 0 {
					t.Errorf("counter %d is zero", c)
				}
			}
		})
	}
}

// A camera that is set to another size in mid-stream sends other parameter sets, without a word in RTSP.
func TestParameterSetsThatChangeInMidStreamReachTheWriter(t *testing.T) {
	c, err := fake.Parse("size=1280x720")
	if err != nil {
		t.Fatal(err)
	}
	p, err := fake.New(c)
	if err != nil {
		t.Fatal(err)
	}
	units, err := p.Segment(440_000_001)
	if err != nil {
		t.Fatal(err)
	}
	enc := newEncoder("cam", quiet)
	enc.Prologue(p.Tracks())
	camera := &fakeCamera{}
	for _, au := range units {
		camera.after = append(camera.after, enc.Encode(au)...)
	}
	k, report, err := pulledFrom(t, camera.start(t))
	if n := len(k.of(true)); n != 200 {
		t.Errorf("%d pictures, want 200: %v", n, err)
	}
	if v := k.tracks[0]; v.Width != 1280 || len(report.LeftOut) > 0 {
		t.Errorf("the track is %d wide at the end, and %v left out; want 1280 and nothing", v.Width, report.LeftOut)
	}
}
