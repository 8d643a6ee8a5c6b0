package srstest

import (
	"context"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"
)

// redirect302 is what SRS 7.0.18 sends for rtmp://127.0.0.1:19350/live/livestream.
const redirect302 = "0500000000 00e314 00000000 0200086f6e537461747573000000000000000000 05 03 00056c6576656c0200056572726f72" +
	"0004636f646502001e4e6574436f6e6e656374696f6e2e436f6e6e6563742e52656a6563746564 000b6465736372697074696f6e020011" +
	"52544d5020333032205265646972656374 00026578030004636f6465004072e00000000000 0008726564697265637402001b" +
	"72746d703a2f2f3132372e302e302e313a31393335302f6c697665 000972656469726563743202 0026" +
	"72746d703a2f2f3132372e302e302e313a31393335302f6c6976652f6c69766573747265616d 000009 000009"

func TestRedirectIsTheRecordedOne(t *testing.T) {
	here, there := net.Pipe()
	go func() {
		w := &wire{conn: here, out: 60000}
		_ = w.send(Redirect("127.0.0.1:19350", "live", "livestream"))
		_ = here.Close()
	}()
	want, err := hex.DecodeString(strings.Join(strings.Fields(redirect302), "")[2:])
	if err != nil {
		t.Fatal(err)
	}
	want = append([]byte{5}, want...)
	got := make([]byte, 4096)
	n, _ := there.Read(got)
	if string(got[:n]) != string(want) {
		t.Errorf("redirect =\n%swant\n%s", hex.Dump(got[:n]), hex.Dump(want))
	}
}

func TestAnswersAreTheRecordedOnes(t *testing.T) {
	o := Start(t, Config{})
	miss, err := AskRaw(o.API, Request("127.0.0.1:9090", "__defaultVhost__", "127.0.0.1", "live", "livestream"))
	if want := `{"code":0,"data":{"query":{"ip":"127.0.0.1","vhost":"__defaultVhost__","app":"live","stream":"livestream"},"origin":null}}`; err != nil || miss != want {
		t.Errorf("miss = %s, %v, want %s", miss, err, want)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if _, err := (&Edge{Origins: []string{o.RTMP}}).Publish(ctx, "live", "livestream", Tags(t, 256)); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(o.RTMP)
	hit, err := AskRaw(o.API, Request("127.0.0.1:9090", "__defaultVhost__", "127.0.0.1", "live", "livestream"))
	want := `{"code":0,"data":{"query":{"ip":"127.0.0.1","vhost":"__defaultVhost__","app":"live","stream":"livestream"},` +
		`"origin":{"ip":"127.0.0.1","port":` + port + `,"vhost":"__defaultVhost__","api":"127.0.0.1:9090","routers":["127.0.0.1:9090"]}}}`
	if err != nil || hit != want {
		t.Errorf("hit = %s, %v, want %s", hit, err, want)
	}
}

func TestEdgeFollowsFromOriginToOrigin(t *testing.T) {
	a, b := Start(t, Config{}), Start(t, Config{})
	a.Know(b.API)
	b.Know(a.API)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	if _, err := (&Edge{Origins: []string{b.RTMP}}).Publish(ctx, "live", "x", Tags(t, 288)); err != nil {
		t.Fatal(err)
	}
	e := &Edge{Origins: []string{a.RTMP}}
	tags, err := e.Play(ctx, "live", "x")
	if err != nil || Width(tags) != 288 || len(e.Visits) != 2 || e.Visits[1] != b.RTMP {
		t.Errorf("Play = a picture %d wide, %v, by way of %v; want 288, by way of both", Width(tags), err, e.Visits)
	}
	if asked := b.Asked(); len(asked) != 1 || asked[0] != Request(b.API, "__defaultVhost__", "127.0.0.1", "live", "x") {
		t.Errorf("the second origin was asked %q", asked)
	}
}
