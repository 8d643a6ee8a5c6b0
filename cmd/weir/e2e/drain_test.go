//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// drained is the last line that `weir drain --json` prints.
type drained struct {
	State                        string
	Left, Viewers, Moved, Closed int
	Alone, Expired               bool
	Streams, Relays              int
	states                       []string // in order
	code                         int
	complaint                    string
}

// drain runs `weir drain` on a node, with a deadline.
func drain(n *node, deadline time.Duration) (d drained, err error) {
	cmd := exec.Command(binary, "drain", "--node", "http://"+n.http, "--deadline", deadline.String(), "--json")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return d, err
	}
	d.code, d.complaint = cmd.ProcessState.ExitCode(), complaints.String()
	for line := range strings.Lines(string(out)) {
		states := d.states
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			return d, fmt.Errorf("%w in %q", err, line)
		}
		if d.states = states; len(states) == 0 || states[len(states)-1] != d.State {
			d.states = append(states, d.State)
		}
	}
	return d, nil
}

// The owner of a stream is drained while its own viewers and those of another node watch: nobody misses an access unit,
// and the owner's own viewers are waited for, then closed and counted.
func TestDrainOfAnOwnerLosesNoAccessUnit(t *testing.T) {
	c := start(t, 3, func(_ int, ports []int) string {
		return peers(ports) + fmt.Sprintf("stream cam { input fake://fake; cluster_ingest capture_at=127.0.0.1:%d; }\n", ports[0]) +
			"stream other { input fake://fake; cluster_ingest; }\nstream third { input fake://fake; cluster_ingest; }\n"
	})
	before := c.settle(20*time.Second, c.nodes, []string{"cam", "other", "third"})
	owner, rest := c.by(before["cam"])
	if owner.name != "n1" {
		t.Fatalf("cam is at %s, want n1, to which it is pinned", owner.name)
	}
	here := []*player{play(t, "rtmp://"+owner.rtmp+"/static/cam"), play(t, "http://"+owner.http+"/cam/index.m3u8")}
	there := []*player{
		play(t, "rtmp://"+rest[0].rtmp+"/static/cam"), play(t, "http://"+rest[0].http+"/cam/index.m3u8"),
		play(t, "rtmp://"+rest[1].rtmp+"/static/cam"),
	}
	for _, p := range append(here, there...) {
		p.plays(t, 20*time.Second, 50)
	}

	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"explain", "cam"}, "capture_at names n1, which lives"},
		{[]string{"plan", "--without", "n1"}, "would move without n1, as n2 sees it"},
		{[]string{"explain", "--json", "other"}, `"owner":"` + before["other"] + `"`},
	} {
		out, err := exec.Command(binary, append(tt.args, "--node", rest[0].http)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("weir %s: %v, it says\n%s\nwant %q in it", strings.Join(tt.args, " "), err, out, tt.want)
		}
	}

	began := time.Now()
	d, err := drain(owner, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the drain took %.1f s: %+v", time.Since(began).Seconds(), d)
	if d.State != "done" || d.Left != 0 || d.Streams != 0 || d.code != 0 {
		t.Errorf("the drain ended as %+v, want done with nothing left", d)
	}
	if want := "handing over waiting done"; strings.Join(d.states, " ") != want {
		t.Errorf("the drain went through %q, want %q", d.states, want)
	}
	if d.Closed != 2 || !d.Expired {
		t.Errorf("the drain closed %d viewers, expired = %v; want the owner's two, at the deadline", d.Closed, d.Expired)
	}
	eventually(t, 5*time.Second, "the node has ended", func() error {
		select {
		case <-owner.done:
			return nil
		default:
			return errors.New("it runs")
		}
	})
	if code := owner.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the node ended with %d, want 0", code)
	}
	during := c.settle(5*time.Second, rest, []string{"cam", "other", "third"})
	if during["cam"] == "n1" {
		t.Error("cam is still said to be at n1")
	}
	for _, p := range there {
		p.plays(t, 20*time.Second, 100)
	}
	for _, p := range append(here, there...) {
		missing := p.forward(t, step(p))
		t.Logf("%s: %d packets, %d missing", p.url, len(p.video()), missing)
		if missing > 0 {
			t.Errorf("%s missed %d access units, want none", p.url, missing)
		}
	}
	next, _ := c.by(during["cam"])
	running := next.log.find("capture running", "cam", began)
	stopped := owner.log.find("stream stopped", "cam", began)
	if len(running) == 0 || len(stopped) == 0 || stopped[0].Time.Before(running[0].Time) {
		t.Errorf("the old owner stopped at %v, the new one ran at %v: want it to run first", stopped, running)
	}

	// The last two are told to go at once: who has nobody to hand over to says so and ends.
	last := rest[1]
	rest[0].signal(t, syscall.SIGTERM)
	eventually(t, 15*time.Second, "SIGTERM drains too, with nobody to wait for but the players", func() error {
		if n := len(rest[0].log.find("draining", "", began)); n != 1 {
			return fmt.Errorf("%d lines say so", n)
		}
		if at, err := owners([]*node{last}, []string{"cam", "other", "third"}); err != nil || at["cam"] != last.name {
			return fmt.Errorf("the streams are at %v: %v", at, err)
		}
		return nil
	})
	rest[0].signal(t, syscall.SIGTERM) // the second ends it at once
	<-rest[0].done
	eventually(t, 15*time.Second, "the other is taken for dead", func() error {
		if n := len(last.log.find("peer down: its process has ended", "", began)); n < 2 {
			return fmt.Errorf("%d peers are", n)
		}
		return nil
	})
	d, err = drain(last, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Alone || d.Left != 3 || d.code != 1 || !strings.Contains(d.complaint, "no other node lives") {
		t.Errorf("the last node drains as %+v, want it to say that it is alone", d)
	}
	<-last.done
}
