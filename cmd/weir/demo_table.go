package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"weir/protocols"
)

// A screen is where the demonstration speaks.
type screen struct {
	out *os.File
	painter
}

// nodeColours tell the nodes apart.
var nodeColours = []string{"36", "35", "32"}

// node paints the name of a node.
func (s screen) node(name string) string {
	i, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil || i < 1 {
		return name
	}
	return s.paint(nodeColours[(i-1)%len(nodeColours)], name)
}

func (s screen) dim(text string) string { return s.paint("2", text) }

// say prints one line.
func (s screen) say(text string) error {
	if _, err := io.WriteString(s.out, text+"\n"); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// lines prints lines with the time at which they were found.
func (s screen) lines(now time.Time, lines []string) error {
	for _, l := range lines {
		if err := s.say(s.dim(now.Format(time.TimeOnly)) + " " + l); err != nil {
			return err
		}
	}
	return nil
}

// table lays out rows in columns, with an indent. Colours take no room.
func table(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, text := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(" ")
		for i, text := range row {
			b.WriteString(" " + text)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-width(text)+1))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// colours match what a [painter] adds to a text.
var colours = regexp.MustCompile(`\x1b\[\d+m`)

func width(text string) int { return utf8.RuneCountInString(colours.ReplaceAllString(text, "")) }

// printTable prints all that a person needs to play with the cluster.
func (d *demo) printTable(s sight) error {
	b := &strings.Builder{}
	heading := func(title, remark string) {
		fmt.Fprintf(b, "\n%s  %s\n", d.screen.bold(title), d.screen.dim(remark))
	}
	heading("THREE NODES, ONE CLUSTER", "each is a process of its own")
	b.WriteString(d.nodeTable())

	stream, owner, entry := d.example(s)
	heading("PLAY", fmt.Sprintf("%s is captured by %s and asked of %s here: any node leads a player to any stream", stream, owner, entry.name))
	b.WriteString(d.playTable(stream, owner, entry))

	heading("STREAMS", "and who captures them now")
	b.WriteString(d.streamTable(s))

	heading("PUBLISH", demoLive+" is yours: publish it at any node, play it from any other")
	fmt.Fprintf(b, "  %s\n", d.publishCommand(entry))

	heading("DISTURB", fmt.Sprintf("a node, such as %s while you play %s, and see below what becomes of its streams", owner, stream))
	b.WriteString(d.breakTable())

	heading("BRING BACK", "what was killed, in another terminal; its streams return to it "+demoHolddown.String()+" later")
	var rows [][]string
	for _, n := range d.nodes {
		rows = append(rows, []string{d.screen.node(n.name), d.command(n)})
	}
	b.WriteString(table(rows))

	heading("LOOK INSIDE", "at any node")
	b.WriteString(table([][]string{
		{"pages", entry.url() + "/"},
		{"streams", entry.url() + "/streamer/api/v3/streams"},
		{"peers", entry.url() + "/streamer/api/v3/cluster/peers"},
		{"actors", entry.url() + "/api/tree"},
		{"metrics", entry.url() + "/metrics"},
		{"config", d.config},
		{"logs", strings.TrimSuffix(d.nodes[0].log, d.nodes[0].name+".log") + "n*.log"},
	}))
	heading("WHAT CHANGES FROM NOW ON", "Ctrl-C ends everything")
	_, err := io.WriteString(d.screen.out, b.String())
	if err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	return nil
}

func (d *demo) nodeTable() string {
	head := []string{d.screen.dim("node"), d.screen.dim("pid")}
	for _, l := range demoListeners() {
		head = append(head, d.screen.dim(string(l.Protocol)))
	}
	rows := [][]string{head}
	for _, c := range d.children {
		row := []string{d.screen.node(c.node.name), strconv.Itoa(c.PID())}
		for _, l := range demoListeners() {
			row = append(row, l.Scheme()+"://"+c.node.addr(l.Protocol))
		}
		rows = append(rows, row)
	}
	return table(rows)
}

// example is a stream with its owner, and a node that is not the owner.
func (d *demo) example(s sight) (stream, owner string, entry demoNode) {
	entry = d.nodes[0]
	for _, want := range d.streams {
		if st := s.stream(want.name); st != nil && st.Owner != "" && string(st.Owner) != entry.name {
			return want.name, string(st.Owner), entry
		}
	}
	return d.streams[0].name, entry.name, entry
}

// playTable lists where a stream can be played through a node that is not its owner, and what becomes of the players.
func (d *demo) playTable(stream, owner string, n demoNode) string {
	var rows [][]string
	for _, p := range played() {
		how := "redirected to " + owner + ": open it again if " + owner + " dies"
		switch {
		case p.Protocol == protocols.HLS:
			how = "playlists by " + n.name + ", segments by " + owner + ": goes on if " + owner + " dies"
		case !p.Follows:
			how = "relayed by " + n.name + ": goes on if " + owner + " dies"
		}
		rows = append(rows, []string{p.Title, n.streamURL(p, stream), d.screen.dim(how)})
	}
	return table(rows) + d.screen.dim("  paste a URL behind ffplay or mpv, or into VLC's Open Network Stream") + "\n"
}

// played are the protocols in which people play streams.
func played() []protocols.Descriptor {
	return slices.DeleteFunc(protocols.All(), func(d protocols.Descriptor) bool { return d.Path == "" })
}

// streamTable lists the streams that each node captures, and the peculiarities of some.
func (d *demo) streamTable(s sight) string {
	var rows [][]string
	for _, n := range d.nodes {
		var names []string
		for _, want := range d.streams {
			if st := s.stream(want.name); st != nil && string(st.Owner) == n.name {
				names = append(names, want.name)
			}
		}
		rows = append(rows, []string{d.screen.node(n.name), strings.Join(names, " ")})
	}
	var remarks []string
	for _, want := range d.streams {
		if want.published() {
			rows = append(rows, []string{"–", want.name + " (waits for a publisher)"})
		} else if want.remark != "" {
			remarks = append(remarks, want.name+" "+want.remark)
		}
	}
	return table(rows) + "  " + d.screen.dim(strings.Join(remarks, " · ")) + "\n"
}

// publishCommand publishes a test picture of ffmpeg's, which looks different from weir's own.
func (d *demo) publishCommand(n demoNode) string {
	return "ffmpeg -re -f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=frequency=440 -c:v libx264 -preset veryfast" +
		" -tune zerolatency -pix_fmt yuv420p -g 50 -c:a aac -f flv " + n.streamURL(protocols.Of(protocols.RTMP), demoLive)
}

func (d *demo) breakTable() string {
	head := []string{d.screen.dim("node")}
	for _, what := range []string{"kill", "pause", "go on"}[:len(breakers(0))] {
		head = append(head, d.screen.dim(what))
	}
	rows := [][]string{head}
	for _, c := range d.children {
		rows = append(rows, append([]string{d.screen.node(c.node.name)}, breakers(c.PID())...))
	}
	return table(rows)
}
