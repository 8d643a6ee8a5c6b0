package node

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/cluster/certificate/certificatetest"
	"weir/protocols"
	"weir/protocols/listen/listentest"
)

var update = flag.Bool("update", false, "write testdata/attacks/README.md anew")

// attackers is how many connections strangers make of each kind, and thorough says that a test waits until the node closes them; with the
// tag e2e there are more, and they are waited for.
var (
	attackers = 200
	thorough  = false
)

// assailants is how many make the connections at a time.
const assailants = 16

// ofAnAddress is how many of the connections come from each address of the strangers: half as many as the node takes of one.
const ofAnAddress = 1000

// mostMemory is the most that a node may hold for a connection that has proved nothing, in bytes.
const mostMemory = 64 << 10

// recordMemory is what one record of TLS takes besides (RFC 8446, 5.1), in bytes.
const recordMemory = 16 << 10

// An attack is what strangers do with each of many connections.
type attack struct {
	proto   protocols.Protocol // of the listener
	title   string             // of what they speak; empty for that of the protocol
	does    string
	send    string
	reads   int           // how much of what the node sends is read before more is sent
	more    string        // sent then
	outcome string        // how it ends
	cut     bool          // the node closes the connection at once
	gone    time.Duration // after which the node closes it; 0: it may stay
	within  bool          // what is sent and read is so within TLS
}

// rtmpHello is the first half of a handshake, after which the node sends 1 + 1536 + 1536 bytes.
var rtmpHello = "\x03" + strings.Repeat("\x00", 1536)

const rtmpAnswer = 1 + 2*1536

// longCommand is the beginning of a command of RTMP that says it has size bytes, and brings some of them in chunks of 128.
func longCommand(size, brings int) string {
	var b bytes.Buffer
	b.WriteByte(3) // a full header, on chunk stream 3
	b.Write([]byte{0, 0, 0})
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(size))[1:])
	b.Write([]byte{20, 0, 0, 0, 0})
	for brings > 0 {
		n := min(brings, 128)
		b.Write(make([]byte, n))
		if brings -= n; brings > 0 {
			b.WriteByte(3 | 3<<6)
		}
	}
	return b.String()
}

var attacks = []attack{
	{protocols.RTMP, "", "sends nothing", "", 0, "", "closed after 15 s", false, 15 * time.Second, false},
	{protocols.RTMP, "", "sends half a handshake", rtmpHello[:900], 0, "", "closed after 15 s", false, 15 * time.Second, false},
	{protocols.RTMP, "", "shakes hands and says nothing", rtmpHello, rtmpAnswer, rtmpHello[1:], "closed after 15 s", false, 15 * time.Second, false},
	{protocols.RTMP, "", "sends most of a long command", rtmpHello, rtmpAnswer, rtmpHello[1:] + longCommand(30<<10, 28<<10), "closed after 15 s", false, 15 * time.Second, false},
	{protocols.RTMP, "", "announces a command of 16 MB", rtmpHello, rtmpAnswer, rtmpHello[1:] + longCommand(1<<24-1, 128), "closed at once", true, 0, false},
	{protocols.RTMP, "", "sends garbage", strings.Repeat("GARBAGE!", 300), 0, "", "closed at once", true, 0, false},
	{protocols.RTSP, "", "sends nothing", "", 0, "", "closed after 10 s", false, 10 * time.Second, false},
	{protocols.RTSP, "", "sends half a request", "OPTIONS rtsp://x/cam RTSP/1.0\r\nCSeq: 1\r\n", 0, "", "closed after 10 s", false, 10 * time.Second, false},
	{protocols.RTSP, "", "sends most of a long header", "OPTIONS rtsp://x/cam RTSP/1.0\r\nCSeq: 1\r\n" + strings.Repeat("X-A: "+strings.Repeat("x", 200)+"\r\n", 140), 0, "", "closed after 10 s", false, 10 * time.Second, false},
	{protocols.RTSP, "", "announces a body and sends half", "OPTIONS rtsp://x/cam RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 8000\r\n\r\n" + strings.Repeat("x", 4000), 0, "", "closed after 10 s", false, 10 * time.Second, false},
	{protocols.RTSP, "", "announces a body of 1 MB", "OPTIONS rtsp://x/cam RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1000000\r\n\r\n", 0, "", "closed at once", true, 0, false},
	{protocols.RTSP, "", "sends garbage", strings.Repeat("\x00\xff", 200), 0, "", "closed at once", true, 0, false},
	{protocols.HTTP, "", "sends nothing", "", 0, "", "closed after 10 s", false, 10 * time.Second, false},
	{protocols.HTTP, "", "sends half a head", "GET /cam/mpegts HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 20<<10), 0, "", "closed after 10 s", false, 10 * time.Second, false},
	{protocols.HTTP, "", "sends a head of 100 KB", "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 100<<10), 0, "", "431, closed at once", true, 0, false},
	{protocols.HTTP, "", "sends a body that does not come", "POST /streamer/api/v3/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx", 0, "", "closed after request_body_timeout, 60 s", false, 60 * time.Second, false},
	{protocols.HTTP, "", "sends garbage", "GARBAGE\r\n\r\n", 0, "", "400, closed at once", true, 0, false},
	{protocols.HTTP, "HTTP-TS", "plays a stream and reads nothing of it", "GET /cam/mpegts HTTP/1.1\r\nHost: x\r\n\r\n", len("HTTP/1.1 200 OK"), "", "played: a viewer like others", false, 0, false},
	{protocols.HTTP, "HLS", "asks for a playlist and keeps the connection", "GET /cam/index.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n", len("HTTP/1.1 200 OK"), "", "answered, closed after 2 minutes", false, 0, false},
	{protocols.HTTP, "API", "asks for the streams and keeps the connection", "GET /streamer/api/v3/streams HTTP/1.1\r\nHost: x\r\n\r\n", len("HTTP/1.1 200 OK"), "", "answered, closed after 2 minutes", false, 0, false},
	{protocols.Cluster, "nodes' actors", "sends nothing", "", 0, "", "closed after 2 s", false, 2 * time.Second, false},
	{protocols.Cluster, "nodes' actors", "sends half a greeting", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 200), 0, "", "closed after 2 s", false, 2 * time.Second, false},
	{protocols.Cluster, "nodes' actors", "sends garbage", strings.Repeat("GARBAGE!", 300), 0, "", "closed at once", true, 0, false},
}

// init adds the attacks on listeners that speak TLS.
func init() {
	half := clientHello()[:200]
	for _, on := range []struct {
		proto protocols.Protocol
		gone  time.Duration
	}{{protocols.HTTPS, 10 * time.Second}, {protocols.RTMPS, 15 * time.Second}, {protocols.RTSPS, 10 * time.Second}} {
		closed := fmt.Sprintf("closed after %d s", on.gone/time.Second)
		attacks = append(
			attacks,
			attack{proto: on.proto, does: "sends half of its first message of TLS", send: half, outcome: closed, gone: on.gone},
			attack{proto: on.proto, does: "shakes hands and says nothing", outcome: closed, within: true, gone: on.gone},
		)
	}
	attacks = append(
		attacks,
		attack{proto: protocols.HTTPS, does: "announces a first message of 16 MB", send: "\x16\x03\x01\x40\x00\x01\xff\xff\xff" + strings.Repeat("x", 1<<14-4), outcome: "closed at once", cut: true},
		attack{proto: protocols.HTTPS, does: "asks for HTTP/2 and says nothing", send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", outcome: "closed after 2 min", within: true},
		attack{proto: protocols.RTMPS, does: "sends most of a long command", send: rtmpHello, reads: rtmpAnswer, more: rtmpHello[1:] + longCommand(30<<10, 28<<10), outcome: "closed after 15 s", within: true, gone: 15 * time.Second},
	)
}

// clientHello is the first message of a client of TLS.
func clientHello() string {
	client, server := net.Pipe()
	go func() { _ = tls.Client(client, &tls.Config{ServerName: "localhost"}).Handshake() }()
	b := make([]byte, 4096)
	n, _ := server.Read(b)
	_ = server.Close()
	return string(b[:n])
}

// carry makes the connection number i of the attack. It is nil if the node has closed it.
func (a attack) carry(n *proc, i int) (net.Conn, error) {
	conn, err := net.Dial("tcp", n.at[string(a.proto)])
	if err != nil {
		return nil, err
	}
	_ = conn.(*net.TCPConn).SetLinger(0) // leaves nothing behind
	_ = conn.SetDeadline(time.Now().Add(patience))
	if a.proto != protocols.Cluster { // no proxies are trusted there
		_, _ = fmt.Fprintf(conn, "PROXY TCP4 192.0.2.%d 192.0.2.200 999 80\r\n", 1+i/ofAnAddress)
	}
	c := conn
	if a.within {
		config := &tls.Config{InsecureSkipVerify: true}
		if strings.HasPrefix(a.send, "PRI ") {
			config.NextProtos = []string{"h2"}
		}
		within := tls.Client(conn, config)
		if err := within.Handshake(); err != nil {
			return nil, err
		}
		c = within
	}
	// A node that closes the connection at once may do so before all is sent.
	if _, err := io.WriteString(c, a.send); err == nil && a.reads > 0 {
		if _, err := io.CopyN(io.Discard, c, int64(a.reads)); err == nil {
			_, _ = io.WriteString(c, a.more)
		}
	}
	if !a.cut {
		return conn, nil // what the other side of TLS holds is forgotten
	}
	defer func() { _ = conn.Close() }()
	_, err = io.Copy(io.Discard, c)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return nil, errors.New("the connection is still open")
	}
	return nil, nil
}

// name is what people call the protocol that the strangers speak.
func (a attack) name() string { return cmp.Or(a.title, protocols.Of(a.proto).Title) }

// inUse is the memory of heap and stacks in use.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

const attacksHead = `# What strangers do, and what becomes of it

Strangers of several addresses make many connections of a kind and hold them. Memory is what the node holds for each while they are open,
as the test measured it last; it may be 64 KB at most, and 80 KB within TLS. Viewers of the node and of another node of its cluster play on meanwhile, both nodes
answer each other, and the API answers. An address gets 2,000 connections (` + "`connection_limit_per_address`" + `), those to the port of
nodes' actors 256 in all until they have proved the key. The table is made from ` + "`cluster/node/attack_test.go`" + ` by
` + "`go test -tags e2e ./cluster/node -run Strangers -update`" + ` with 10,000 connections of each kind, which the node is seen to close; without
the tag there are 200.

| protocol | a stranger | outcome | memory of each |
|---|---|---|---|
`

const attacksTail = `
| attack | outcome | test |
|---|---|---|
| more connections than all descriptors, to all listeners at once | refused, with room for nodes and the API | ` + "`cluster/node.TestStrangersWhoWantAllDescriptorsLeaveRoom`" + ` |
| more connections of an address or a protocol than may be | refused, told once a minute | ` + "`cluster/node.TestLimitsOfTheFileAreInForce`" + ` |
| bodies that do not come | closed in time, counted | ` + "`protocols/listen.TestBodiesThatDoNotComeAreCounted`" + ` |
| a flood of new names from 64 clients, beside 10,000 streams | all are published, 0.3 ms a name | ` + "`cluster/node.TestNewNameCostsNoMoreBesideManyStreams`" + ` |
| new names of one address | refused above ` + "`name_limit_per_address`" + ` | ` + "`cluster/router.TestStreamsOfOneAddressAreLimited`" + ` |
| HLS sessions that nobody watches | served, and no viewers | ` + "`protocols/hls.TestOneAddressInventsNoViewers`" + ` |
| wrong passwords | answered ever later, for each address | ` + "`cluster/node.TestWrongPasswordsAreSlowedDownOnAllPaths`" + ` |
| wrong cluster keys | answered ever later, for each address | ` + "`cluster/trust.TestWrongKeysAreSlowedDown`" + ` |
| a configuration that is cut short | refused, with an alarm | ` + "`cmd/weir.TestFileThatWasCutShortIsRefusedUntilItIsAskedFor`" + ` |
`

// memoryColumn is the column of the table that differs from run to run.
var memoryColumn = regexp.MustCompile(`\| [0-9]+ KB \|`)

// A besieged is a cluster of two nodes, of which strangers meet the first.
type besieged struct {
	t       *testing.T
	nodes   [2]*proc
	viewers []*viewer
}

func besiege(t *testing.T, text string, descriptors int) *besieged {
	t.Helper()
	b := &besieged{t: t}
	var entries []string
	for _, port := range listentest.Ports(t, 2) {
		entries = append(entries, fmt.Sprintf("127.0.0.1:%d", port))
	}
	certificate, key := certificatetest.New(t).Issue(t, "node", time.Hour, "localhost")
	text += fmt.Sprintf("certificate %s %s; https 127.0.0.1:0; rtmps 127.0.0.1:0; rtsps 127.0.0.1:0;\n", certificate, key)
	text = fileOf(entries, behindProxy+text+"relay mpegts;\nstream cam { input fake://fake?fps=50; cluster_ingest capture_at=n1; }\n")
	for i, entry := range entries {
		n := launch(t, fmt.Sprintf("n%d", i+1))
		start := order{Do: "start", Config: text, HTTP: entry}
		if i == 0 {
			start.Files = descriptors
		}
		n.locate(n.must(t, start).Addresses)
		b.nodes[i] = n
	}
	soon(t, "n1 has the stream", b.sound)
	for _, n := range b.nodes {
		b.viewers = append(b.viewers, watchTS(t, n, "cam"))
	}
	goOn(t, 1, b.viewers...)
	return b
}

// sound says whether the nodes answer each other, and the API its client.
func (b *besieged) sound() error {
	for _, n := range b.nodes {
		r, err := n.do(order{Do: "owners"})
		switch {
		case err != nil:
			return err
		case r.Owners["cam"] != "n1":
			return fmt.Errorf("%s knows the owners %v", n.name, r.Owners)
		}
	}
	r, err := b.nodes[1].do(order{Do: "describe", Stream: "cam"})
	switch {
	case err != nil:
		return fmt.Errorf("asked by n2, n1 answers: %w", err)
	case r.Node != "n1":
		return fmt.Errorf("asked by n2, %s answers", r.Node)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	res, err := client.Get("http://" + b.nodes[0].http + "/streamer/api/v3/streams")
	if err != nil {
		return fmt.Errorf("the API: %w", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answers %s", res.Status)
	}
	return nil
}

// untouched fails the test unless all goes on while strangers do something.
func (b *besieged) untouched(while string) {
	b.t.Helper()
	goOn(b.t, 16, b.viewers...)
	if err := b.sound(); err != nil {
		b.t.Errorf("while %s: %v", while, err)
	}
}

// left waits until no more connections are open than were before.
func (b *besieged) left(p protocols.Protocol, before int, limit time.Duration) error {
	for until := time.Now().Add(limit); ; <-time.After(50 * time.Millisecond) {
		r, err := b.nodes[0].do(order{Do: "memory"})
		if err != nil || r.Open[p] <= before+1 { // a client of the API may be there
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("%d connections are open, before there were %d", r.Open[p], before)
		}
	}
}

func TestStrangersLeaveViewersPeersAndTheAPIUntouched(t *testing.T) {
	if !thorough { // which takes half of the descriptors that a process gets
		t.Parallel()
	}
	b := besiege(t, "", 0)
	n := b.nodes[0]
	page := attacksHead
	for _, a := range attacks {
		before := n.must(t, order{Do: "memory"})
		held := make([]net.Conn, attackers)
		var all sync.WaitGroup
		for w := range assailants {
			all.Go(func() {
				for i := w; i < attackers; i += assailants {
					var err error
					if held[i], err = a.carry(n, i); err != nil {
						t.Errorf("%s: who %s: %v", a.name(), a.does, err)
						return
					}
				}
			})
		}
		all.Wait()
		began := time.Now()
		b.untouched(fmt.Sprintf("a stranger of %s %s", a.name(), a.does)) // and what has been sent has come
		now := n.must(t, order{Do: "memory"})
		open := now.Open[a.proto] - before.Open[a.proto]
		each := max(now.Memory-before.Memory, 0) / int64(attackers)
		if !a.cut && open > 0 {
			each = max(now.Memory-before.Memory, 0) / int64(open)
		}
		t.Logf("%s: who %s: %d KB each, %d are open", a.name(), a.does, each>>10, open)
		most := int64(mostMemory + detectorMemory)
		if a.within {
			most += recordMemory
		}
		if each > most {
			t.Errorf("%s: who %s holds %d bytes each, want at most %d", a.name(), a.does, each, most)
		}
		if thorough && a.gone > 0 {
			if err := b.left(a.proto, before.Open[a.proto], a.gone+5*time.Second); err != nil {
				t.Errorf("%s: who %s, %v after: %v", a.name(), a.does, time.Since(began).Round(time.Second), err)
			}
		}
		for _, c := range held {
			if c != nil {
				_ = c.Close()
			}
		}
		if err := b.left(a.proto, before.Open[a.proto], patience); err != nil {
			t.Errorf("%s: who %s has gone: %v", a.name(), a.does, err)
		}
		page += fmt.Sprintf("| %s | %s | %s | %d KB |\n", a.name(), a.does, a.outcome, (each+1023)>>10)
	}
	page += attacksTail
	path := filepath.Join("..", "..", "testdata", "attacks", "README.md")
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(page), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if masked := func(s string) string { return memoryColumn.ReplaceAllString(s, "|") }; err != nil || masked(string(got)) != masked(page) {
		t.Errorf("testdata/attacks/README.md is not current (%v); run: go test ./cluster/node -run Strangers -update", err)
	}
}

// TestStrangersWhoWantAllDescriptorsLeaveRoom has more connections come to each listener than the process may have files open.
func TestStrangersWhoWantAllDescriptorsLeaveRoom(t *testing.T) {
	files, each := 256, 400
	if thorough {
		files, each = 1024, attackers/4
	} else {
		t.Parallel()
	}
	b := besiege(t, "", files)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	for _, p := range []protocols.Protocol{protocols.RTMP, protocols.RTSP, protocols.HTTP, protocols.Cluster} {
		for i := range each {
			c, err := attack{proto: p}.carry(b.nodes[0], i)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
		}
		b.untouched("a stranger wants all connections of " + string(p))
	}
	b.untouched("a stranger wants all connections")
}
