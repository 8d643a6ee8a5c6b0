package node

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"weir/cluster/certificate/certificatetest"
	"weir/protocols"
)

var update = flag.Bool("update", false, "write testdata/attacks/README.md anew")

// attackers is how many connections a stranger makes of each kind; with the tag e2e there are more.
var attackers = 200

// mostMemory is the most that a node may hold for a connection that has proved nothing, in bytes.
const mostMemory = 64 << 10

// recordMemory is what one record of TLS takes besides (RFC 8446, 5.1), in bytes.
const recordMemory = 16 << 10

// An attack is what a stranger does with each of many connections from one address.
type attack struct {
	proto   protocols.Protocol
	does    string
	send    string
	reads   int    // how much of what the node sends is read before more is sent
	more    string // sent then
	outcome string // how it ends
	cut     bool   // the node closes the connection at once
	within  bool   // what is sent and read is so within TLS
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
	{protocols.RTMP, "sends nothing", "", 0, "", "closed after 15 s", false, false},
	{protocols.RTMP, "sends half a handshake", rtmpHello[:900], 0, "", "closed after 15 s", false, false},
	{protocols.RTMP, "shakes hands and says nothing", rtmpHello, rtmpAnswer, rtmpHello[1:], "closed after 15 s", false, false},
	{protocols.RTMP, "sends most of a long command", rtmpHello, rtmpAnswer, rtmpHello[1:] + longCommand(30<<10, 28<<10), "closed after 15 s", false, false},
	{protocols.RTMP, "announces a command of 16 MB", rtmpHello, rtmpAnswer, rtmpHello[1:] + longCommand(1<<24-1, 128), "closed at once", true, false},
	{protocols.RTMP, "sends garbage", strings.Repeat("GARBAGE!", 300), 0, "", "closed at once", true, false},
	{protocols.RTSP, "sends nothing", "", 0, "", "closed after 10 s", false, false},
	{protocols.RTSP, "sends half a request", "OPTIONS rtsp://x/cam RTSP/1.0\r\nCSeq: 1\r\n", 0, "", "closed after 10 s", false, false},
	{protocols.RTSP, "sends most of a long header", "OPTIONS rtsp://x/cam RTSP/1.0\r\nCSeq: 1\r\n" + strings.Repeat("X-A: "+strings.Repeat("x", 200)+"\r\n", 180), 0, "", "closed after 10 s", false, false},
	{protocols.RTSP, "announces a body and sends half", "OPTIONS rtsp://x/cam RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 8000\r\n\r\n" + strings.Repeat("x", 4000), 0, "", "closed after 10 s", false, false},
	{protocols.RTSP, "announces a body of 1 MB", "OPTIONS rtsp://x/cam RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1000000\r\n\r\n", 0, "", "closed at once", true, false},
	{protocols.RTSP, "sends garbage", strings.Repeat("\x00\xff", 200), 0, "", "closed at once", true, false},
	{protocols.HTTP, "sends nothing", "", 0, "", "closed after 10 s", false, false},
	{protocols.HTTP, "sends half a head", "GET /cam/mpegts HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 20<<10), 0, "", "closed after 10 s", false, false},
	{protocols.HTTP, "sends a head of 100 KB", "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 100<<10), 0, "", "431, closed at once", true, false},
	{protocols.HTTP, "sends a body that does not come", "POST /streamer/api/v3/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx", 0, "", "closed after request_body_timeout, 60 s", false, false},
	{protocols.HTTP, "sends garbage", "GARBAGE\r\n\r\n", 0, "", "400, closed at once", true, false},
}

// init adds the attacks on listeners that speak TLS.
func init() {
	half := clientHello()[:200]
	for _, on := range []struct {
		proto  protocols.Protocol
		closed string
	}{{protocols.HTTPS, "closed after 10 s"}, {protocols.RTMPS, "closed after 15 s"}, {protocols.RTSPS, "closed after 10 s"}} {
		attacks = append(
			attacks,
			attack{proto: on.proto, does: "sends half of its first message of TLS", send: half, outcome: on.closed},
			attack{proto: on.proto, does: "shakes hands and says nothing", outcome: on.closed, within: true},
		)
	}
	attacks = append(
		attacks,
		attack{proto: protocols.HTTPS, does: "announces a first message of 16 MB", send: "\x16\x03\x01\x40\x00\x01\xff\xff\xff" + strings.Repeat("x", 1<<14-4), outcome: "closed at once", cut: true},
		attack{proto: protocols.HTTPS, does: "asks for HTTP/2 and says nothing", send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", outcome: "closed after 2 min", within: true},
		attack{proto: protocols.RTMPS, does: "sends most of a long command", send: rtmpHello, reads: rtmpAnswer, more: rtmpHello[1:] + longCommand(30<<10, 28<<10), outcome: "closed after 15 s", within: true},
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

// carry makes one connection of the attack. It is nil if the node refused it.
func (a attack) carry(t *testing.T, n *Node) (net.Conn, error) {
	conn := dialFrom(t, n.Addresses()[string(a.proto)][0], "192.0.2.66")
	_ = conn.SetDeadline(time.Now().Add(patience))
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
	_, err := io.Copy(io.Discard, c)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return nil, errors.New("the connection is still open")
	}
	return nil, nil
}

// inUse is the memory of heap and stacks in use.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

const attacksHead = `# What strangers do, and what becomes of it

One address makes many connections of a kind and holds them. Memory is what the node holds for each while they are open, as the test
measured it last; it may be 64 KB at most, and 80 KB within TLS. A viewer of another address plays on meanwhile, and the API answers. Above 2,000 connections
(` + "`connection_limit_per_address`" + `) the rest is refused. The table is made from ` + "`cluster/node/attack_test.go`" + ` by
` + "`go test ./cluster/node -run Strangers -update`" + `; with the tag e2e there are 10,000 connections of each kind.

| protocol | a stranger | outcome | memory of each |
|---|---|---|---|
`

const attacksTail = `
| attack | outcome | test |
|---|---|---|
| more connections than all descriptors | refused, with room for nodes and the API | ` + "`protocols/listen.TestReserveIsForNodesAndTheAPI`" + ` |
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

func TestStrangersLeaveViewersAndTheAPIUntouched(t *testing.T) {
	certificate, key := certificatetest.New(t).Issue(t, "node", time.Hour, "localhost")
	file := parseFile(t, behindProxy+fmt.Sprintf("certificate %s %s; https 127.0.0.1:0; rtmps 127.0.0.1:0; rtsps 127.0.0.1:0;\n", certificate, key)+
		"stream cam { input fake://fake?fps=50; }\n")
	n, err := Start(Config{File: file, Hostname: "n1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	within(t, "the node knows what there is", func() error { return n.reporter.status.Ready() })
	viewer := watchTS(t, &proc{http: n.httpAddr()}, "cam")
	page := attacksHead
	for _, a := range attacks {
		before := inUse()
		var held []net.Conn
		for range attackers {
			c, err := a.carry(t, n)
			if err != nil {
				t.Errorf("%s: who %s: %v", a.proto, a.does, err)
				break
			}
			if c != nil {
				held = append(held, c)
			}
		}
		goOn(t, viewer) // and what has been sent has come
		each := max(inUse()-before, 0) / int64(attackers)
		t.Logf("%s: who %s: %d KB each", a.proto, a.does, each>>10)
		most := int64(mostMemory)
		if a.within {
			most += recordMemory
		}
		if each > most {
			t.Errorf("%s: who %s holds %d bytes each, want at most %d", a.proto, a.does, each, most)
		}
		if status, _ := n.fetch(t, "GET", "/streamer/api/v3/streams", ""); status != 200 {
			t.Errorf("%s: while a stranger %s, the API answers %d", a.proto, a.does, status)
		}
		for _, c := range held {
			_ = c.Close()
		}
		within(t, "the stranger has gone", func() error {
			if open, _ := n.servers.limiter.Counts(); open[a.proto] > 2 { // the viewer, and the API's client
				return fmt.Errorf("open are %v", open)
			}
			return nil
		})
		page += fmt.Sprintf("| %s | %s | %s | %d KB |\n", protocols.Of(a.proto).Title, a.does, a.outcome, (each+1023)>>10)
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
