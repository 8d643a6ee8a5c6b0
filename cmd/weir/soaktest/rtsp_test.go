package soaktest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"

	"weir/codecs"
	"weir/codecs/rtp"
)

// An rtspForm is RTP over the connection of RTSP, or over UDP.
type rtspForm struct {
	s       *source
	packets rtp.Packetizer
	held    []byte // a packet that is to come after the next one
	udp     [2]*net.UDPConn
}

func (f *rtspForm) prologue(tracks codecs.Tracks) []byte {
	f.packets.SetLayout(rtp.LayoutOf("cam", tracks, 2), len(tracks))
	return nil
}

func (f *rtspForm) encode(au *codecs.AccessUnit, trouble string) (b []byte, ok, both bool) {
	if trouble == "back" && au.Track == 0 && f.s.chance(5) {
		c := *au // timestamps that step back by 5 to 55 ms
		c.PTS -= int64(5+f.s.random(50)) * codecs.ClockRate / 1000
		au = &c
	}
	ok = true
	medium, packets, reports, err := f.packets.Pack(au)
	if err != nil {
		return nil, false, false
	}
	for i, r := range reports {
		b = f.frame(b, 2*i+1, r)
	}
	for _, p := range packets {
		raw, err := p.Marshal()
		if err != nil {
			return nil, false, false
		}
		switch {
		case trouble == "lost" && f.s.chance(40):
			ok, both = false, both || au.Track == 0
			continue
		case trouble == "swapped" && f.held == nil && f.s.chance(10):
			f.held = f.frame(nil, 2*medium, raw)
			continue
		case trouble == "doubled":
			b = f.frame(b, 2*medium, raw)
		}
		b = append(f.frame(b, 2*medium, raw), f.held...)
		f.held = nil
	}
	switch {
	case trouble == "requests" && f.s.chance(20):
		b = fmt.Appendf(b, "%s rtsp://x/cam RTSP/1.0\r\nCSeq: %d\r\nSession: 1234\r\n\r\n", pick(f.s, "SET_PARAMETER", "GET_PARAMETER", "ANNOUNCE", "OPTIONS", "STRANGE"), f.s.random(1000))
	case trouble == "noise" && f.s.chance(20):
		b = append(b, pick(f.s, "\r\n\r\n", "garbage\r\n", "\x00\x00\x00")...)
	}
	if f.udp[0] == nil {
		return b, ok, both
	}
	for len(b) >= 4 && b[0] == '$' { // requests go over the connection
		n := int(binary.BigEndian.Uint16(b[2:]))
		if to := f.udp[b[1]/2]; b[1]%2 == 0 {
			_, _ = to.Write(b[4 : 4+n])
		}
		b = b[4+n:]
	}
	return b, ok, both
}

func (f *rtspForm) frame(b []byte, channel int, packet []byte) []byte {
	b = append(b, '$', byte(channel), byte(len(packet)>>8), byte(len(packet)))
	return append(b, packet...)
}

// serveRTSP is a camera.
func serveRTSP(overUDP bool) func(*source, net.Conn) {
	return func(s *source, c net.Conn) {
		f := &rtspForm{s: s}
		defer func() {
			for _, u := range f.udp {
				if u != nil {
					_ = u.Close()
				}
			}
		}()
		br := bufio.NewReader(c)
		medium := 0
		for {
			method, url, header, err := request(br)
			if err != nil {
				return
			}
			say := func(status, body string, lines ...string) {
				_, _ = io.WriteString(c, fmt.Sprintf("RTSP/1.0 %s\r\nCSeq: %s\r\n%s\r\n%s", status, header["cseq"], strings.Join(append(lines, fmt.Sprintf("Content-Length: %d", len(body)), ""), "\r\n"), body))
			}
			if status, ok := strings.CutPrefix(s.now(), "status "); ok {
				say(status+" No", "")
				return
			}
			switch method {
			case "OPTIONS":
				say("200 OK", "", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
			case "DESCRIBE":
				say("200 OK", description(s.m.tracks(0)), "Content-Type: application/sdp", "Content-Base: "+url+"/")
			case "SETUP":
				transport := header["transport"]
				if over := strings.Contains(transport, "TCP"); over == overUDP {
					say("461 Unsupported Transport", "")
					continue
				}
				if overUDP {
					var port int
					_, ports, _ := strings.Cut(transport, "client_port=")
					_, _ = fmt.Sscanf(ports, "%d", &port)
					u, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
					if err != nil {
						return
					}
					f.udp[medium%2] = u
					own := u.LocalAddr().(*net.UDPAddr).Port
					transport += fmt.Sprintf(";server_port=%d-%d", own, own+1)
				}
				medium++
				say("200 OK", "", "Transport: "+transport, "Session: 1234;timeout=60")
			case "PLAY":
				say("200 OK", "", "Session: 1234")
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					answers(br, c)
				}()
				s.play(func(b []byte) error {
					select {
					case <-gone:
						return net.ErrClosed
					default:
						_, err := c.Write(b)
						return err
					}
				}, f)
				return
			default:
				say("200 OK", "", "Session: 1234")
			}
		}
	}
}

// answers answers what comes while the media plays.
func answers(br *bufio.Reader, c net.Conn) {
	for {
		method, _, header, err := request(br)
		if err != nil {
			_ = c.Close()
			return
		}
		if !strings.HasPrefix(method, "RTSP/") {
			_, _ = fmt.Fprintf(c, "RTSP/1.0 200 OK\r\nCSeq: %s\r\nSession: 1234\r\n\r\n", header["cseq"])
		}
	}
}

// request reads a request or an answer, and passes over packets.
func request(br *bufio.Reader) (method, url string, header map[string]string, err error) {
	for {
		b, err := br.Peek(4)
		if err != nil {
			return "", "", nil, err
		}
		if b[0] != '$' {
			break
		}
		if _, err := br.Discard(4 + int(binary.BigEndian.Uint16(b[2:]))); err != nil {
			return "", "", nil, err
		}
	}
	line, err := br.ReadString('\n')
	if err != nil {
		return "", "", nil, err
	}
	fields := append(strings.Fields(line), "", "")
	header = map[string]string{}
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return "", "", nil, err
		}
		if line = strings.TrimSpace(line); line == "" {
			return fields[0], fields[1], header, nil
		}
		name, value, _ := strings.Cut(line, ":")
		header[strings.ToLower(name)] = strings.TrimSpace(value)
	}
}

// description is the SDP of a stream.
func description(tracks codecs.Tracks) string {
	b := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\na=control:*\r\n"
	for i, m := range rtp.LayoutOf("cam", tracks, 2).Media {
		kind := "audio"
		if m.Codec.Video() {
			kind = "video"
		}
		b += fmt.Sprintf("m=%s 0 RTP/AVP %d\r\na=rtpmap:%d %s\r\na=fmtp:%d ", kind, m.Format.PayloadType(), m.Format.PayloadType(), m.Format.RTPMap(), m.Format.PayloadType())
		var list []string
		for name, value := range m.Format.FMTP() {
			list = append(list, name+"="+value)
		}
		b += strings.Join(list, ";") + fmt.Sprintf("\r\na=control:trackID=%d\r\n", i)
	}
	return b
}
