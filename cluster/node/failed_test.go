package node

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"weir/protocols/rtmp"
)

// TestStreamThatHasFailedIsAnsweredWithTheReason asks for a stream whose source refuses connections. Only an
// answer before the hold limit has the reason.
func TestStreamThatHasFailedIsAnsweredWithTheReason(t *testing.T) {
	t.Parallel()
	n := lone(t, "stream cam { input tshttp://"+dead(t)+"/secret; }")
	for _, path := range []string{"/cam.flv", "/cam/mpegts", "/cam/index.m3u8"} {
		res, err := http.Get("http://" + n.httpAddr() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "its input fails: connection refused") {
			t.Errorf("%s is answered with %s %q", path, res.Status, body)
		}
		if strings.Contains(string(body), "secret") || strings.Contains(string(body), "127.0.0.1") {
			t.Errorf("%s is answered with the place of the source: %q", path, body)
		}
	}
	conn, err := net.Dial("tcp", n.Addresses()["rtsp"][0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "DESCRIBE rtsp://%s/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", conn.RemoteAddr())
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "503") {
		t.Errorf("DESCRIBE is answered with %q, %v", line, err)
	}
}

// failedViewers ask for a stream over a protocol and give what they are told.
var failedViewers = map[string]func(t *testing.T, n *proc, stream string) string{
	"FLV": func(t *testing.T, n *proc, stream string) string { return overHTTP(n.http + "/" + stream + ".flv") },
	"TS":  func(t *testing.T, n *proc, stream string) string { return overHTTP(n.http + "/" + stream + "/mpegts") },
	"HLS": func(t *testing.T, n *proc, stream string) string {
		return overHTTP(n.http + "/" + stream + "/index.m3u8")
	},
	"HLS, playlist": func(t *testing.T, n *proc, stream string) string { return overHTTP(n.http + "/" + stream + "/ts.m3u8") },
	"HLS, balancer": func(t *testing.T, n *proc, stream string) string {
		return overHTTP(n.http + "/lb/" + stream + "/index.m3u8")
	},
	"RTSP": func(t *testing.T, n *proc, stream string) string { return overRTSP("rtsp://" + n.rtsp + "/" + stream) },
	"RTMP": func(t *testing.T, n *proc, stream string) string {
		c, err := rtmp.Dial(t.Context(), "rtmp://"+n.rtmp+"/live/"+stream, rtmp.ClientConfig{Plain: true})
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		return fmt.Sprint(c.Play())
	},
}

func overHTTP(url string) string {
	res, err := http.Get("http://" + url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.Status + " " + string(body)
}

// overRTSP describes a stream, and follows one redirect.
func overRTSP(at string) string {
	for range 2 {
		u, err := url.Parse(at)
		if err != nil {
			return err.Error()
		}
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "DESCRIBE %s RTSP/1.0\r\nCSeq: 1\r\n\r\n", at)
		r := textproto.NewReader(bufio.NewReader(conn))
		status, err := r.ReadLine()
		if err != nil {
			return err.Error()
		}
		head, _ := r.ReadMIMEHeader()
		if at = head.Get("Location"); at == "" {
			return status
		}
	}
	return "redirected to " + at
}

// TestFailedStreamIsAnsweredWithTheReasonEverywhere asks the node that has a stream, and another one, which redirects, relays or answers
// playlists, for streams whose source refuses connections: while the owner tries again, and in the pause between.
func TestFailedStreamIsAnsweredWithTheReasonEverywhere(t *testing.T) {
	t.Parallel()
	source := dead(t)
	nodes := threeNodes(t, func(entry [3]string) string {
		at := "input tshttp://" + source + "/secret; cluster_ingest capture_at=" + entry[0] + ";"
		return "stream cam { " + at + " }\nstream relayed { " + at + " relay flv mpegts rtsp; hls relay; }\nbalancer lb { server " + entry[0] + "; }\n"
	})
	for _, when := range []string{"while it is tried", "in the pause"} {
		if when == "in the pause" {
			soon(t, "all nodes have heard that the streams fail again and again", func() error {
				for _, n := range nodes[:2] {
					for _, stream := range []string{"cam", "relayed"} {
						if state := n.must(t, order{Do: "failing", Stream: stream}); !state.Failing {
							return fmt.Errorf("%s of %s", stream, n.name)
						}
					}
				}
				return nil
			})
		}
		t.Run(when, func(t *testing.T) {
			for _, stream := range []string{"cam", "relayed"} {
				for _, n := range nodes[:2] {
					for name, view := range failedViewers {
						t.Run(fmt.Sprintf("%s of %s over %s", stream, n.name, name), func(t *testing.T) {
							t.Parallel()
							told := view(t, n, stream)
							if !strings.Contains(told, "its input fails: connection refused") {
								t.Errorf("the viewer is told %q", told)
							}
							if strings.Contains(told, "secret") || strings.Contains(told, source) {
								t.Errorf("the viewer is told where the source is: %q", told)
							}
						})
					}
				}
			}
		})
	}
}
