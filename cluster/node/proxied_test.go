package node

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
)

// TestClientBehindAProxyThatEndsTLSStaysWithIt asks a node for a stream of another one through what ends TLS before it: browsers load
// nothing over plain HTTP for a page that came over TLS.
func TestClientBehindAProxyThatEndsTLSStaysWithIt(t *testing.T) {
	t.Parallel()
	nodes := threeNodes(t, func(entry [3]string) string {
		return "stream cam { input fake://pattern; cluster_ingest capture_at=" + entry[0] + "; }\nbalancer lb { server " + entry[0] + "; }\n"
	})
	n := nodes[1]
	soon(t, "cam runs at n1", func() error {
		if at := n.must(t, order{Do: "owners"}).Owners["cam"]; at != "n1" {
			return fmt.Errorf("it is at %q", at)
		}
		return nil
	})
	for _, f := range []struct {
		name    string
		version string
		host    string // empty: as the client wrote it
		lines   string
	}{
		{"a pipe", "HTTP/1.1", "", ""},
		{"nginx, as it asks by itself", "HTTP/1.0", n.http, ""},
		{"a proxy that names the scheme", "HTTP/1.1", n.http, "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.1\r\n"},
		{"a proxy that names the host", "HTTP/1.1", n.http, "X-Forwarded-Host: tv.example.com\r\n"},
		{"a pipe, and a browser before it", "HTTP/1.1", "n2.example.com:" + n.http[strings.LastIndexByte(n.http, ':')+1:], "Sec-Fetch-Site: same-origin\r\n"},
	} {
		front := "https://" + endTLS(t, func(c net.Conn) {
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				return
			}
			host := f.host
			if host == "" {
				host = r.Host
			}
			through(c, n.http, fmt.Sprintf("%s %s %s\r\nHost: %s\r\nConnection: close\r\n%s\r\n", r.Method, r.RequestURI, f.version, host, f.lines))
		})
		for _, path := range []string{
			"/cam.flv", "/cam/mpegts", "/cam/index.m3u8", "/cam/ts.m3u8", "/cam/index.fmp4.m3u8", "/live/cam.m3u8",
			"/lb/cam.flv", "/lb/cam/mpegts", "/lb/cam/index.m3u8",
		} {
			t.Run(f.name+path, func(t *testing.T) { staysAt(t, front, path+"?token=x") })
		}
	}
	for _, scheme := range []string{"rtsp", "rtsps"} {
		pipe := func(c net.Conn) { through(c, n.rtsp, "") }
		var at string
		var conn net.Conn
		var err error
		if scheme == "rtsp" {
			at = listenAt(t, func(l net.Listener) net.Listener { return l }, pipe)
			conn, err = net.Dial("tcp", at)
		} else {
			at = endTLS(t, pipe)
			conn, err = tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true})
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "DESCRIBE %s://%s/cam?token=x RTSP/1.0\r\nCSeq: 1\r\n\r\n", scheme, at)
		head, err := textproto.NewReader(bufio.NewReader(conn)).ReadLine()
		_ = conn.Close()
		if err != nil || !strings.Contains(head, " 200 OK") {
			t.Errorf("%s through a pipe is answered with %q, %v", scheme, head, err)
		}
	}
	if res, err := stay.Get("http://" + n.http + "/cam.flv"); err != nil || res.StatusCode != http.StatusFound {
		t.Errorf("without a proxy the answer is %v, %v", res, err)
	}
}

// stay is a client that follows no redirect and has no use for certificates.
var stay = &http.Client{
	Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// staysAt follows playlists to a segment, and fails where anything leads away from the proxy.
func staysAt(t *testing.T, front, path string) {
	at, err := url.Parse(front + path)
	if err != nil {
		t.Fatal(err)
	}
	for at != nil {
		res, err := stay.Get(at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s is answered with %s %s", at, res.Status, res.Header.Get("Location"))
		}
		if !strings.Contains(at.Path, ".m3u8") {
			if _, err := io.ReadFull(res.Body, make([]byte, 400)); err != nil {
				t.Fatalf("%s brings nothing: %v", at, err)
			}
			return
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		of := at
		at = nil
		for line := range strings.Lines(string(body)) {
			if ref, err := url.Parse(strings.TrimSpace(line)); line[0] != '#' && err == nil {
				at = of.ResolveReference(ref)
			}
		}
		if at == nil || at.Scheme+"://"+at.Host != front {
			t.Fatalf("%s leads to %s:\n%s", of, at, body)
		}
	}
}

// endTLS takes TLS off connections and gives them to serve.
func endTLS(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	s.Close()
	return listenAt(t, func(l net.Listener) net.Listener {
		return tls.NewListener(l, &tls.Config{Certificates: s.TLS.Certificates})
	}, serve)
}

func listenAt(t *testing.T, wrap func(net.Listener) net.Listener, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w := wrap(l)
	go func() {
		for {
			c, err := w.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// through connects a client with a node, which is first sent what the proxy says.
func through(c net.Conn, node, first string) {
	n, err := net.Dial("tcp", node)
	if err != nil {
		return
	}
	defer n.Close()
	if _, err := io.WriteString(n, first); err != nil {
		return
	}
	go func() {
		defer n.Close()
		_, _ = io.Copy(n, c)
	}()
	_, _ = io.Copy(c, n)
}
