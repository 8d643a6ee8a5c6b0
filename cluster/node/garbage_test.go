package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/cluster/certificate/certificatetest"
	"weir/protocols"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// about are the lines of the log that contain an address.
func (l *lines) about(addr string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, addr) {
			found = append(found, line)
		}
	}
	return found
}

func TestGarbageOnAnyPortIsCutOffWithOneDebugLine(t *testing.T) {
	t.Parallel()
	n := launch(t, "n1")
	ports := map[string]string{}
	certificate, key := certificatetest.New(t).Issue(t, "node", time.Hour, "localhost")
	listeners, want := fmt.Sprintf("certificate %s %s;\n", certificate, key), 1 // the actors of other nodes
	for _, d := range protocols.Listeners() {
		want++
		if !d.On {
			listeners += d.Directive() + " 127.0.0.1:0;\n"
		}
	}
	for kind, addrs := range n.must(t, order{
		Do: "start", HTTP: "127.0.0.1:0",
		Config: "cluster_key for-the-test-only-0123;\npeer 127.0.0.1:1;\nstream a { input fake://fake; }\n" + listeners,
	}).Addresses {
		ports[kind] = addrs[0]
	}
	if len(ports) != want {
		t.Fatalf("the node listens at %v, want %d ports", ports, want)
	}
	for kind, addr := range ports {
		for name, garbage := range map[string]string{
			"binary": strings.Repeat("\x00\xffgarbage\r\n", 1000),
			"text":   "HELO there\r\nwho is it\r\n\r\n",
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
				_, _ = io.WriteString(conn, garbage)
				if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("the connection was not closed")
				}
				me := conn.LocalAddr().String()
				soon(t, "a line about it", func() error {
					if len(n.log.about(me)) == 0 {
						return errors.New("there is none")
					}
					return nil
				})
				if got := n.log.about(me); len(got) != 1 || !strings.Contains(got[0], "level=DEBUG") {
					t.Errorf("the log says\n%swant one line of level DEBUG", strings.Join(got, ""))
				}
			})
		}
	}
	res, err := http.Get("http://" + ports["http"] + "/a/index.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("after the garbage: %s, want 200", res.Status)
	}
}
