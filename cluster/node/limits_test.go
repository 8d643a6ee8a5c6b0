package node

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"weir/protocols"
)

func TestLimitsFollowFromTheFileAndTheDescriptors(t *testing.T) {
	for _, tt := range []struct {
		text        string
		descriptors int
		connections int
		rtmp        int
		reserve     int
	}{
		{"", 256, 182, 136, 18},
		{"", 1024, 896, 672, 32},
		{"", 1 << 20, 1<<20 - 1066, (1<<20 - 1066) * 3 / 4, 64},
		{"", 0, 0, 0, 64}, // not known
		{"connection_limit 100;", 256, 100, 75, 18},
		{"connection_limit 1000;", 256, 182, 136, 18},
		{"connection_limit 1000;", 0, 1000, 750, 64},
		{"descriptor_reserve 100; rtmp_connection_limit 40;", 256, 156, 40, 25},
		{"stream a { input fake://a; } stream b { input publish://; } stream c { input fake://c; }", 256, 178, 133, 19},
	} {
		l := limitsOf(parseFile(t, tt.text), tt.descriptors)
		if l.Connections != tt.connections || l.Protocols[protocols.RTMP] != tt.rtmp || l.Reserve != tt.reserve {
			t.Errorf("%q with %d descriptors: %d connections, %d by RTMP, %d in reserve; want %d, %d, %d", tt.text, tt.descriptors,
				l.Connections, l.Protocols[protocols.RTMP], l.Reserve, tt.connections, tt.rtmp, tt.reserve)
		}
	}
}

// dialFrom connects as a client at an address, by way of a proxy that the node trusts.
func dialFrom(t *testing.T, to, from string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprintf(c, "PROXY TCP4 %s 192.0.2.200 999 80\r\n", from); err != nil {
		t.Fatal(err)
	}
	return c
}

// behindProxy is the directive without which [dialFrom] comes from this machine.
const behindProxy = "trusted_proxies 127.0.0.1;\n"

// closed waits until the node closes a connection.
func closed(c net.Conn) error {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
		return errors.New("the connection is still open")
	}
	return nil
}

func TestLimitsOfTheFileAreInForce(t *testing.T) {
	const limits = behindProxy + "connection_limit_per_address 3; rtmp_connection_limit 5; request_body_timeout 200;\n"
	n := lone(t, limits)
	open := func(protocol, from string, want int) {
		t.Helper()
		dialFrom(t, n.Addresses()[protocol][0], from)
		within(t, fmt.Sprintf("%d connections are open", want), func() error {
			if open, _ := n.servers.limiter.Counts(); open[protocols.Protocol(protocol)] != want {
				return fmt.Errorf("open are %v", open)
			}
			return nil
		})
	}
	for i := range 3 {
		open("rtmp", "192.0.2.1", i+1)
	}
	for _, at := range []string{n.rtmpAddr(), n.httpAddr()} {
		if err := closed(dialFrom(t, at, "192.0.2.1")); err != nil {
			t.Errorf("the fourth of an address: %v", err)
		}
	}
	open("rtmp", "192.0.2.2", 4)
	open("rtmp", "192.0.2.3", 5)
	if err := closed(dialFrom(t, n.rtmpAddr(), "192.0.2.4")); err != nil {
		t.Errorf("the sixth of RTMP: %v", err)
	}
	late := dialFrom(t, n.httpAddr(), "192.0.2.4")
	fmt.Fprint(late, "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
	if err := closed(late); err != nil {
		t.Errorf("a request whose body does not come: %v", err)
	}
	within(t, "the metrics tell of it", func() error {
		_, text := n.fetch(t, "GET", "/metrics", "")
		for _, want := range []string{
			`weir_connections{proto="rtmp"} 5`, `weir_limit_reached_total{limit="address",proto="rtmp"} 1`,
			`weir_limit_reached_total{limit="address",proto="http"} 1`, `weir_limit_reached_total{limit="protocol",proto="rtmp"} 1`,
			`weir_limit_reached_total{limit="body",proto="http"} 1`,
		} {
			if !strings.Contains(text, want+"\n") {
				return fmt.Errorf("%s is missing", want)
			}
		}
		return nil
	})
	n.reload(t, behindProxy+"rtmp_connection_limit 6; connection_limit_per_address off;\n")
	open("rtmp", "192.0.2.1", 6)
	if err := closed(dialFrom(t, n.rtmpAddr(), "192.0.2.4")); err != nil {
		t.Errorf("the seventh of RTMP, after a reload: %v", err)
	}
}
