//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// channels are the streams of the cluster that loses a node: more than one for each node, pinned and not, with HLS in
// two modes.
const channels = `
stream clip     { input file://vod/bunny.mp4; cluster_ingest capture_at=n1; }
stream cliprel  { input file://vod/bunny.ts;  cluster_ingest capture_at=n1; hls relay; }
stream clock1   { input fake://fake; cluster_ingest; }
stream clock2   { input fake://fake; cluster_ingest; }
stream clock3   { input fake://fake; cluster_ingest; }
stream a/clock4 { input fake://fake; cluster_ingest; }
`

var channelNames = []string{"clip", "cliprel", "clock1", "clock2", "clock3", "a/clock4"}

func threeNodes(t *testing.T) *cluster {
	return start(t, 3, func(_ int, ports []int) string {
		return strings.ReplaceAll(peers(ports)+channels, "capture_at=n1", fmt.Sprintf("capture_at=127.0.0.1:%d", ports[0]))
	})
}

func TestEveryNodeAndProtocolLeadsToTheStream(t *testing.T) {
	c := threeNodes(t)
	at := c.settle(20*time.Second, c.nodes, channelNames)
	for _, name := range []string{"clip", "a/clock4"} {
		for _, n := range c.nodes {
			where := "a node that does not own it"
			if n.name == at[name] {
				where = "its owner"
			}
			for _, try := range []struct {
				url     string
				options []string
			}{
				{"rtmp://" + n.rtmp + "/static/" + name, nil},
				{"http://" + n.http + "/" + name + "/index.m3u8", nil},
				{"http://" + n.http + "/" + name + "/index.fmp4.m3u8", nil},
				{"rtsp://" + n.rtsp + "/" + name, []string{"-rtsp_transport", "tcp"}},
				{"rtsp://" + n.rtsp + "/" + name, []string{"-rtsp_transport", "udp"}},
				{"http://" + n.http + "/" + name + "/mpegts", nil},
				{"http://" + n.http + "/" + name + ".flv", nil},
			} {
				codecs, err := probe(t.Context(), try.url, try.options...)
				if err != nil {
					t.Errorf("from %s: %v", where, err)
				} else if want := []string{"aac", "h264"}; !slices.Equal(codecs, want) {
					t.Errorf("%s from %s: %v, want %v", try.url, where, codecs, want)
				}
			}
		}
	}
}

func TestDeathOfAnOwnerIsSurvivedAndItsReturnToo(t *testing.T) {
	losesANode(t, syscall.SIGKILL)
}

func TestSilenceOfAnOwnerIsSurvivedAndItsReturnToo(t *testing.T) {
	losesANode(t, syscall.SIGSTOP)
}

// losesANode takes n1 away by a signal while players watch its streams at n2, and gives it back.
func losesANode(t *testing.T, how syscall.Signal) {
	c := threeNodes(t)
	before := c.settle(20*time.Second, c.nodes, channelNames)
	victim, rest := c.by("n1")
	if before["clip"] != "n1" || before["cliprel"] != "n1" {
		t.Fatalf("the pinned streams are at %s and %s, want n1", before["clip"], before["cliprel"])
	}
	entry := rest[0]

	playlists := []*reader{
		watchPlaylist(t, "http://"+entry.http+"/clip/index.m3u8"),
		watchPlaylist(t, "http://"+entry.http+"/cliprel/index.m3u8"),
		watchPlaylist(t, "http://"+rest[1].http+"/clip/index.m3u8"),
	}
	players := []*player{play(t, "http://"+entry.http+"/cliprel/index.m3u8"), play(t, "rtmp://"+entry.rtmp+"/static/clip")}
	if how == syscall.SIGKILL {
		// A silent host, whose segments hang, is survived by ffmpeg with hls=relay only.
		players = append(players, play(t, "http://"+entry.http+"/clip/index.m3u8"))
	}
	for _, p := range players {
		p.plays(t, 20*time.Second, 25)
	}

	taken := time.Now()
	victim.signal(t, how)
	var during map[string]string
	eventually(t, 20*time.Second, "what "+victim.name+" had runs elsewhere", func() (err error) {
		during, err = owners(rest, channelNames)
		for name, owner := range during {
			if owner == victim.name {
				err = fmt.Errorf("%s is still said to be at %s", name, owner)
			}
		}
		return err
	})
	for name, owner := range before {
		if owner != victim.name && during[name] != owner {
			t.Errorf("%s moved from %s to %s although its owner lives", name, owner, during[name])
		}
	}
	for _, p := range players {
		p.plays(t, 30*time.Second, 100)
	}

	// A viewer who comes now, to the interim owner itself.
	interim, _ := c.by(during["clip"])
	late := play(t, "rtmp://"+interim.rtmp+"/static/clip")
	late.plays(t, 20*time.Second, 25)

	returned := time.Now()
	if how == syscall.SIGKILL {
		victim.run(t)
	} else {
		victim.signal(t, syscall.SIGCONT)
	}
	eventually(t, 30*time.Second, "all streams are back where they were", func() error {
		now, err := owners(c.nodes, channelNames)
		if err == nil && !maps.Equal(now, before) {
			err = fmt.Errorf("they are at %v, were at %v", now, before)
		}
		return err
	})
	late.plays(t, 20*time.Second, 150)
	for _, p := range players {
		p.plays(t, 30*time.Second, 50)
	}

	for _, p := range append(players, late) {
		missing := p.forward(t, step(p))
		t.Logf("%s: %d packets, %d missing", p.url, len(p.video()), missing)
		if p == late && missing > 0 {
			t.Errorf("a viewer of the interim owner missed %d access units at the return, want none", missing)
		}
	}
	for _, r := range playlists {
		r.check(t)
	}
	if how == syscall.SIGKILL {
		handedOver(t, c, before, returned)
	}
	t.Logf("the take-over is in the logs: %d claims", len(entry.log.find("stream claimed", "", taken)))
}

// step is the distance of two video packets of the clips in the time base of what the player reads: 25 a second in
// milliseconds for RTMP, in ticks of 90 kHz for HLS.
func step(p *player) int64 {
	if strings.HasPrefix(p.url, "rtmp:") {
		return 40
	}
	return 3600
}

// handedOver fails if an interim owner let go of a stream before the one that returned had media of it.
func handedOver(t *testing.T, c *cluster, before map[string]string, since time.Time) {
	t.Helper()
	for name, owner := range before {
		if owner != "n1" {
			continue
		}
		home, others := c.by(owner)
		running := home.log.find("capture running", name, since)
		if len(running) == 0 {
			t.Errorf("%s: %s does not say that it runs again", name, owner)
			continue
		}
		for _, n := range others {
			for _, stopped := range n.log.find("stream stopped", name, since) {
				if stopped.Time.Before(running[0].Time) {
					t.Errorf("%s: %s let go at %v, %s had media at %v: a moment without owner", name, n.name,
						stopped.Time.Format(time.StampMilli), owner, running[0].Time.Format(time.StampMilli))
				}
			}
		}
	}
}
