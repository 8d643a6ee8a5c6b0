//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/cluster/certificate/certificatetest"
	"weir/protocols/listen/listentest"
)

// A secureCluster is two nodes that ask each other over https and listen with TLS, with certificates of the test's authority.
type secureCluster struct {
	*cluster
	authority          *certificatetest.Authority
	https, rtmps, rtsp []string // host:port of each node
	certificate, key   string
}

// startSecure starts it with streams in the file.
func startSecure(t *testing.T, streams string) *secureCluster {
	t.Helper()
	a := certificatetest.New(t)
	s := &secureCluster{authority: a}
	s.certificate, s.key = a.Issue(t, "node", time.Hour, "127.0.0.1")
	for i, p := range listentest.Ports(t, 6) {
		list := []*[]string{&s.https, &s.rtmps, &s.rtsp}[i%3]
		*list = append(*list, fmt.Sprintf("127.0.0.1:%d", p))
	}
	s.cluster = start(t, 2, func(i int, _ []int) string {
		return fmt.Sprintf(`cluster_key for-the-test-only-0123;
https %s; rtmps %s; rtsps %s;
certificate %s %s; trusted_ca %s;
peer %s { name n1; api_url https://%[7]s; fetch_timeout 1000; stale_timeout 4000; }
peer %s { name n2; api_url https://%[8]s; fetch_timeout 1000; stale_timeout 4000; }
`, s.https[i], s.rtmps[i], s.rtsp[i], s.certificate, s.key, a.File, s.https[0], s.https[1]) + streams
	})
	return s
}

// trusting are the options with which ffmpeg takes certificates of the authority alone.
func (s *secureCluster) trusting() []string {
	return []string{"-tls_verify", "1", "-ca_file", s.authority.File}
}

func TestRealClientsPlayAndPublishOverTLS(t *testing.T) {
	s := startSecure(t, `stream cam { input fake://fake?size=256x144; cluster_ingest capture_at=n1; }
stream live/show { input publish://; }
`)
	s.settle(30*time.Second, s.nodes, []string{"cam"})
	publish(t, "rtmps://"+s.rtmps[1]+"/live/show?ca_file="+url.QueryEscape(s.authority.File))
	s.settle(30*time.Second, s.nodes, []string{"live/show"})

	table := "| protocol | at the owner | at the other node |\n|---|---|---|\n"
	for _, form := range []struct {
		name, url string // AT stands for the address
		at        []string
	}{
		{"HLS over https", "https://AT/cam/index.m3u8", s.https},
		{"HLS, fMP4, over https", "https://AT/cam/index.fmp4.m3u8", s.https},
		{"HTTP-TS over https", "https://AT/cam/mpegts", s.https},
		{"HTTP-FLV over https", "https://AT/cam.flv", s.https},
		{"RTMPS", "rtmps://AT/live/cam", s.rtmps},
		{"RTSPS", "rtsps://AT/cam", s.rtsp},
		{"published over RTMPS, HTTP-TS", "https://AT/live/show/mpegts", s.https},
	} {
		table += "| " + form.name
		for _, at := range form.at {
			result := "plays"
			codecs, err := probe(context.Background(), strings.Replace(form.url, "AT", at, 1), s.trusting()...)
			if err == nil && !slices.Equal(codecs, []string{"aac", "h264"}) {
				err = fmt.Errorf("the codecs are %v", codecs)
			}
			if err != nil {
				result = "fails"
				t.Errorf("%s at %s: %v", form.name, at, err)
			}
			table += " | " + result
		}
		table += " |\n"
	}
	t.Log("\n" + table)

	if _, err := probe(context.Background(), "https://"+s.https[0]+"/cam/mpegts", "-tls_verify", "1", "-ca_file", "/etc/ssl/certs/ca-certificates.crt"); err == nil {
		t.Error("a client that does not trust the authority plays: this proves nothing of the others")
	}
}

// A client that came over TLS is sent to a URL with TLS, whatever its protocol.
func TestRedirectsKeepTLS(t *testing.T) {
	s := startSecure(t, "stream cam { input fake://fake?size=256x144; cluster_ingest capture_at=n1; }\n")
	s.settle(30*time.Second, s.nodes, []string{"cam"})
	for _, proto := range []string{"h2", "http/1.1"} {
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: s.authority.Pool, NextProtos: []string{proto}}, ForceAttemptHTTP2: proto == "h2",
		}
		request, err := http.NewRequest(http.MethodGet, "https://"+s.https[1]+"/cam/mpegts?token=a%20b", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if to, want := res.Header.Get("Location"), "https://"+s.https[0]+"/cam/mpegts?token=a%20b"; res.StatusCode != 302 || !strings.HasPrefix(to, want) {
			t.Errorf("over %s: %s to %q, want 302 to %s…", res.Proto, res.Status, to, want)
		}
		if (res.ProtoMajor == 2) != (proto == "h2") {
			t.Errorf("asked for %s, got %s", proto, res.Proto)
		}
		transport.CloseIdleConnections()
	}
	said := converseRTSP(t, s.rtsp[1], s.authority.Pool, "DESCRIBE rtsps://"+s.rtsp[1]+"/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n")
	if want := "Location: rtsps://" + s.rtsp[0] + "/cam"; !strings.HasPrefix(said, "RTSP/1.0 302") || !strings.Contains(said, want) {
		t.Errorf("RTSPS is answered\n%swant 302 with %s", said, want)
	}
	said = converseRTSP(t, s.rtsp[0], s.authority.Pool,
		"SETUP rtsps://"+s.rtsp[0]+"/cam/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;unicast;client_port=5000-5001\r\n\r\n")
	if !strings.HasPrefix(said, "RTSP/1.0 461") {
		t.Errorf("who wants datagrams of RTSPS, outside TLS, is answered\n%swant 461", said)
	}
	for _, n := range s.nodes { // the nodes ask each other over https alone
		for _, e := range n.log.find("peer unreachable", "", time.Time{}) {
			t.Errorf("%s: %s: %v", n.name, e.Msg, e.Err)
		}
	}
}

// The second node fetches streams from the first by each of the protocols over TLS.
func TestInputsAreFetchedOverTLS(t *testing.T) {
	s := startSecure(t, "stream cam { input fake://fake?size=256x144; }\n")
	s.settle(30*time.Second, s.nodes[:1], []string{"cam"})
	for _, tt := range []struct {
		name, with string
		fails      string
	}{
		{"trusting", fmt.Sprintf("{ trusted_ca %s; }", s.authority.File), ""},
		{"not trusting", "", "certificate signed by unknown authority"},
	} {
		inputs := map[string]string{
			"ts": "tshttps://" + s.https[0] + "/cam/mpegts", "flv": "https://" + s.https[0] + "/cam.flv", "hls": "hlss://" + s.https[0] + "/cam/index.m3u8",
			"rtmp": "rtmps://" + s.rtmps[0] + "/live/cam", "rtsp": "rtsps://" + s.rtsp[0] + "/cam",
		}
		text, names := "", []string{}
		for name, url := range inputs {
			text += fmt.Sprintf("stream %s { input %s %s; }\n", name, url, tt.with)
			names = append(names, name)
		}
		text = strings.ReplaceAll(text, "};", "}")
		lone := start(t, 1, func(int, []int) string { return text })
		if tt.fails == "" {
			lone.settle(30*time.Second, lone.nodes, names)
			continue
		}
		eventually(t, 30*time.Second, "each input says why it fails", func() error {
			all, err := lone.nodes[0].streams()
			if err != nil {
				return err
			}
			for _, name := range names {
				if in := all[name].Inputs; len(in) != 1 || !strings.Contains(in[0].Error, tt.fails) {
					return fmt.Errorf("%s: %+v", name, in)
				}
			}
			return nil
		})
	}
}

// A certificate is replaced while a viewer plays: new clients get the new one, the viewer goes on, and one of no use changes nothing.
func TestCertificateIsReplacedUnderViewers(t *testing.T) {
	s := startSecure(t, "stream cam { input fake://fake?size=256x144; cluster_ingest capture_at=n1; }\n")
	s.settle(30*time.Second, s.nodes, []string{"cam"})
	viewers := []*player{
		play(t, "https://"+s.https[0]+"/cam/mpegts", s.trusting()...), play(t, "rtmps://"+s.rtmps[0]+"/live/cam", s.trusting()...),
		play(t, "https://"+s.https[1]+"/cam/index.m3u8", s.trusting()...),
	}
	for _, v := range viewers {
		v.plays(t, 20*time.Second, 25)
	}
	serial := func() string {
		c, err := tls.Dial("tcp", s.https[0], &tls.Config{RootCAs: s.authority.Pool})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	if err := os.WriteFile(s.certificate, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "an alarm tells of the certificate", func() error {
		body, err := get("http://" + s.nodes[0].http + "/streamer/api/v3/cluster/alarms")
		if err == nil && !strings.Contains(string(body), "the certificate cannot be read again, the former one is in use") {
			err = fmt.Errorf("alarms are %s", body)
		}
		return err
	})
	if got := serial(); got != first {
		t.Error("a certificate of no use has replaced the one in use")
	}
	s.authority.Issue(t, "node", time.Hour, "127.0.0.1")
	eventually(t, 20*time.Second, "new clients get the new certificate", func() error {
		if serial() == first {
			return fmt.Errorf("they get the old one")
		}
		return nil
	})
	for _, v := range viewers {
		v.plays(t, 20*time.Second, 25)
	}
}

// converseRTSP sends a request over TLS and reads the head of the answer.
func converseRTSP(t *testing.T, addr string, roots *x509.CertPool, request string) string {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	for s := bufio.NewScanner(c); s.Scan() && s.Text() != ""; {
		head.WriteString(s.Text() + "\n")
	}
	return head.String()
}
