package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// What the demonstration's nodes are told about each other. A dead node is noticed within three seconds, so that a
// person who looks on is not bored, and its streams return to it five seconds after it does.
const (
	demoFetch    = 1000 * time.Millisecond
	demoStale    = 3000 * time.Millisecond
	demoHolddown = 5000 * time.Millisecond
)

// A demoStream is one stream of the demonstration.
type demoStream struct {
	name   string
	input  string
	pin    string // the node that captures it; empty means any
	remark string // its peculiarity, for the table; empty means none
}

// published says that a client has to bring the stream.
func (s demoStream) published() bool { return strings.HasPrefix(s.input, "publish://") }

// The streams that the table speaks of.
const (
	demoPinned = "cam10"
	demoLive   = "live"
)

// demoStreams lists the streams, given the name of the node to which one of them is pinned.
func demoStreams(pin string) []demoStream {
	return []demoStream{
		{name: "cam01", input: "fake://cam01"},
		{name: "cam02", input: "fake://cam02"},
		{name: "cam03", input: "fake://cam03"},
		{name: "cam04", input: "fake://cam04"},
		{name: "cam05", input: "fake://cam05"},
		{name: "cam06", input: "fake://cam06"},
		{name: "cam07", input: "fake://cam07?size=1280x720", remark: "1280x720"},
		{name: "cam08", input: "fake://cam08?size=320x180&fps=50", remark: "320x180, 50 pictures per second"},
		{name: "cam09", input: "fake://cam09?audio=none", remark: "without sound"},
		{name: demoPinned, input: "fake://cam10?rate=44100", pin: pin, remark: "pinned to " + pin},
		{name: "clip-ts", input: "file://vod/" + tsClip, remark: "a looped MPEG-TS file"},
		{name: "clip-mp4", input: "file://vod/" + mp4Clip, remark: "a looped MP4 file"},
		{name: demoLive, input: "publish://", remark: "yours to publish"},
	}
}

// demoConfig writes the configuration that all nodes share. Where each of them listens, its command line says.
func demoConfig(key, vod string, nodes []demoNode, streams []demoStream) string {
	var b strings.Builder
	b.WriteString("# The configuration of all three nodes of `weir demo`. It is gone when the demonstration ends.\n")
	fmt.Fprintf(&b, "cluster_key %s;\n", key)
	fmt.Fprintf(&b, "return_holddown %d;\n", demoHolddown.Milliseconds())
	fmt.Fprintf(&b, "remote %s;\n", loopbackAddr(0))
	fmt.Fprintf(&b, "vod vod { root %s; }\n\n", quoteWord(filepath.ToSlash(vod)))
	for _, n := range nodes {
		fmt.Fprintf(&b, "peer %s { api_url %s; fetch_timeout %d; stale_timeout %d; }\n",
			n.name, n.url(), demoFetch.Milliseconds(), demoStale.Milliseconds())
	}
	b.WriteByte('\n')
	for _, s := range streams {
		fmt.Fprintf(&b, "stream %s { input %s;", s.name, s.input)
		switch {
		case s.published(): // it runs where its publisher is
		case s.pin != "":
			fmt.Fprintf(&b, " cluster_ingest capture_at=%s;", s.pin)
		default:
			b.WriteString(" cluster_ingest;")
		}
		b.WriteString(" }\n")
	}
	return b.String()
}

// quoteWord writes a word that may contain anything but line breaks.
func quoteWord(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
