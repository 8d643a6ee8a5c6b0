package rtsp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/codecs"
	"weir/codecs/reception"
)

// A fakeCamera is an RTSP server that does what a script says, and else what a good one does: it describes the test pattern, plays
// four seconds of it at once and closes the connection.
type fakeCamera struct {
	t    *testing.T
	addr string

	// sdp is the description; empty stands for H.264 and AAC.
	sdp string

	// answer, if it is not nil, is asked before the camera answers a request, and says whether it has dealt with it.
	answer func(c *cameraConn, r *cameraRequest) bool

	// edit, if it is not nil, makes what is sent of each interleaved packet of medium 0 or 1, of RTP or RTCP.
	edit func(c *cameraConn, channel int, packet []byte) [][]byte

	// before and after are sent before and after the media.
	before, after []byte

	mu       sync.Mutex
	requests []*cameraRequest
}

type cameraRequest struct {
	method, url string
	header      header
}

// A cameraConn is one connection to a camera.
type cameraConn struct {
	net.Conn
	camera  *fakeCamera
	number  int // of packets that edit has been given
	picture int // that the next packet belongs to
	burst   int // bytes over UDP since the last pause
	udp     [2][2]*net.UDPAddr
	sockets [2]net.PacketConn
	closing bool // after the answer
}

const (
	sdpHead  = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\na=control:*\r\n"
	sdpVideo = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:trackID=0\r\n"
	sdpAudio = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\na=fmtp:97 mode=AAC-hbr;config=1190;sizelength=13;indexlength=3;indexdeltalength=3\r\na=control:trackID=1\r\n"
)

func (f *fakeCamera) start(t *testing.T) string {
	t.Helper()
	f.t = t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				c := &cameraConn{Conn: nc, camera: f}
				c.serve()
				_ = nc.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return "rtsp://" + f.addr + "/cam"
}

func (f *fakeCamera) asked(method string) (list []*cameraRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		if method == "" || r.method == method {
			list = append(list, r)
		}
	}
	return list
}

func (c *cameraConn) serve() {
	br := bufio.NewReader(c)
	for !c.closing {
		r, err := readCameraRequest(br)
		if err != nil {
			return
		}
		c.camera.mu.Lock()
		c.camera.requests = append(c.camera.requests, r)
		c.camera.mu.Unlock()
		if answer := c.camera.answer; answer != nil && answer(c, r) {
			continue
		}
		c.usual(r)
	}
	// What the client has sent meanwhile must be read, or the end of the connection overtakes the media.
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, br)
}

func readCameraRequest(br *bufio.Reader) (*cameraRequest, error) {
	for {
		b, err := br.Peek(1)
		if err != nil {
			return nil, err
		}
		if b[0] != frameMagic {
			break
		}
		head := make([]byte, frameHead)
		if _, err := io.ReadFull(br, head); err != nil {
			return nil, err
		}
		if _, err := br.Discard(int(binary.BigEndian.Uint16(head[2:]))); err != nil {
			return nil, err
		}
	}
	line, err := br.ReadString('\n')
	if err != nil {
		return nil, err
	}
	r := &cameraRequest{header: header{}}
	fields := append(strings.Fields(line), "", "")
	r.method, r.url = fields[0], fields[1]
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line = strings.TrimSpace(line); line == "" {
			return r, nil
		}
		name, value, _ := strings.Cut(line, ":")
		r.header[strings.ToLower(name)] = append(r.header[strings.ToLower(name)], strings.TrimSpace(value))
	}
}

// say writes a response with header lines and a body.
func (c *cameraConn) say(r *cameraRequest, status string, body string, lines ...string) {
	b := fmt.Sprintf("RTSP/1.0 %s\r\nCSeq: %s\r\n", status, r.header.first("cseq"))
	for _, l := range lines {
		b += l + "\r\n"
	}
	if body != "" {
		b += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	_, _ = io.WriteString(c, b+"\r\n"+body)
}

// usual answers as a good camera does.
func (c *cameraConn) usual(r *cameraRequest) {
	switch r.method {
	case "OPTIONS":
		c.say(r, "200 OK", "", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
	case "DESCRIBE":
		c.describe(r, "Content-Base: rtsp://"+c.camera.addr+"/cam/")
	case "SETUP":
		c.setUp(r)
	case "PLAY":
		c.say(r, "200 OK", "", "Session: 1234;timeout=60", "RTP-Info: url=wrong;seq=0;rtptime=77")
		c.play()
	case "TEARDOWN":
		c.say(r, "200 OK", "")
		c.closing = true
	case "GET_PARAMETER", "SET_PARAMETER":
		c.say(r, "200 OK", "", "Session: 1234")
	case "RTSP/1.0": // an answer to a request of the camera
	default:
		c.say(r, "501 Not Implemented", "")
	}
}

func (c *cameraConn) describe(r *cameraRequest, lines ...string) {
	body := c.camera.sdp
	if body == "" {
		body = sdpHead + sdpVideo + sdpAudio
	}
	c.say(r, "200 OK", body, append(lines, "Content-Type: application/sdp")...)
}

// setUp agrees to what is asked for.
func (c *cameraConn) setUp(r *cameraRequest) {
	asked := r.header.first("transport")
	if t := agreed(strings.ReplaceAll(asked, "client_port", "server_port")); !t.tcp {
		medium := 0
		if strings.HasSuffix(r.url, "1") {
			medium = 1
		}
		pair, err := bindUDP("127.0.0.1")
		if err != nil {
			c.camera.t.Error(err)
			return
		}
		c.camera.t.Cleanup(func() { _, _ = pair[0].Close(), pair[1].Close() })
		c.sockets = [2]net.PacketConn{pair[0], pair[1]}
		for i := range pair {
			c.udp[medium][i] = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: t.ports[i]}
		}
		port := pair[0].LocalAddr().(*net.UDPAddr).Port
		asked += fmt.Sprintf(";server_port=%d-%d", port, port+1)
	}
	c.say(r, "200 OK", "", "Transport: "+asked, "Session: 1234;timeout=60")
}

// play sends the media.
func (c *cameraConn) play() {
	_, _ = c.Write(c.camera.before)
	src := pattern(c.camera.t, "cam", 1)
	enc := newEncoder("cam", quiet)
	for _, item := range src.items {
		switch item := item.(type) {
		case codecs.Tracks:
			enc.Prologue(item)
		case *codecs.AccessUnit:
			for channel, packet := range split(enc.Encode(item)) {
				c.packet(channel, packet)
			}
		}
	}
	_, _ = c.Write(c.camera.after)
	c.closing = true
}

func (c *cameraConn) packet(channel int, packet []byte) {
	packets := [][]byte{packet}
	if c.camera.edit != nil {
		packets = c.camera.edit(c, channel, bytes.Clone(packet))
	}
	for _, p := range packets {
		if to := c.udp[channel/2][channel%2]; to != nil {
			if c.burst += len(p); c.burst > burst { // what sockets hold
				c.burst = 0
				<-time.After(time.Millisecond)
			}
			_, _ = c.sockets[channel%2].WriteTo(p, to)
			continue
		}
		_, _ = c.Write(append(appendHead(nil, byte(channel), len(p)), p...))
	}
}

// pulledFrom pulls everything that a camera plays.
func pulledFrom(t *testing.T, url string) (*keeper, *reception.Record, error) {
	t.Helper()
	k, report := &keeper{}, &reception.Record{}
	cfg := usual
	cfg.Report = report
	err := Pull(t.Context(), url, cfg, k)
	return k, report, err
}

// pictures are the access units of the picture track, and sounds those of the sound.
func (k *keeper) of(video bool) (list []*codecs.AccessUnit) {
	for _, au := range k.units {
		if k.tracks[min(au.Track, len(k.tracks)-1)].Codec.Video() == video {
			list = append(list, au)
		}
	}
	return list
}

func times(units []*codecs.AccessUnit) (dts []int64) {
	for _, au := range units {
		dts = append(dts, au.DTS)
	}
	return dts
}
