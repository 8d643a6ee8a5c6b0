package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	tscodecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/pion/rtp"

	"weir/codecs/flv"
	"weir/protocols"
	"weir/protocols/api"
	"weir/protocols/rtmp"
)

// restarts are the counts of /api/tree by actor.
func restarts(t *testing.T, n *proc) map[string]uint64 {
	t.Helper()
	res, err := http.Get("http://" + n.http + "/api/tree")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var tree struct{ Actors []api.Actor }
	if err := json.NewDecoder(res.Body).Decode(&tree); err != nil {
		t.Fatal(err)
	}
	m := map[string]uint64{}
	for _, a := range tree.Actors {
		m[a.ID] = a.Restarts
	}
	return m
}

// A viewer notes the decoding time of each picture that it gets.
type viewer struct {
	name string
	step int64 // from one picture to the next

	mu    sync.Mutex
	times []int64
	ended error
}

// picture records the decoding time of a picture.
func (v *viewer) picture(at int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.times = append(v.times, at)
}

func (v *viewer) end(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = fmt.Errorf("it has ended: %w", err)
}

// seen is the number of pictures so far.
func (v *viewer) seen() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.times)
}

// goOn waits until each viewer has got so many more pictures.
func goOn(t *testing.T, pictures int, viewers ...*viewer) {
	t.Helper()
	more := map[*viewer]int{}
	for _, v := range viewers {
		more[v] = v.seen() + pictures
	}
	soon(t, "all go on", func() error {
		for _, v := range viewers {
			v.mu.Lock()
			seen, ended := len(v.times), v.ended
			v.mu.Unlock()
			if ended != nil {
				t.Fatalf("%s: %v", v.name, ended)
			}
			if seen < more[v] {
				return fmt.Errorf("%s: %d pictures of %d", v.name, seen, more[v])
			}
		}
		return nil
	})
}

// missing is how many pictures are missing among those from number first on.
func (v *viewer) missing(t *testing.T, first int) (n int64) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := max(first, 1); i < len(v.times); i++ {
		d := v.times[i] - v.times[i-1]
		if d <= 0 || d%v.step != 0 {
			t.Errorf("%s: a picture at %d after one at %d", v.name, v.times[i], v.times[i-1])
		}
		n += d/v.step - 1
	}
	return n
}

func watchRTMP(t *testing.T, n *proc, stream string) *viewer {
	t.Helper()
	v := &viewer{name: "RTMP viewer of " + stream, step: 40}
	c, err := rtmp.Play(t.Context(), "rtmp://"+n.rtmp+"/static/"+stream, rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		for {
			tag, err := c.ReadTag()
			if err != nil {
				v.end(err)
				return
			}
			if tag.Type == flv.TypeVideo && len(tag.Body) > 1 && tag.Body[1] == 1 { // not its configuration
				v.picture(int64(tag.Timestamp))
			}
		}
	}()
	return v
}

func watchTS(t *testing.T, n *proc, stream string) *viewer {
	t.Helper()
	v := &viewer{name: "HTTP MPEG-TS viewer of " + stream, step: 3600}
	res, err := http.Get("http://" + n.http + "/" + stream + "/mpegts")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	r := &mpegts.Reader{R: res.Body}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	for _, track := range r.Tracks() {
		if _, ok := track.Codec.(*tscodecs.H264); ok {
			r.OnDataH264(track, func(_, dts int64, _ [][]byte) error { v.picture(dts); return nil })
		}
	}
	go func() {
		for {
			if err := r.Read(); err != nil {
				v.end(err)
				return
			}
		}
	}()
	return v
}

func watchRTSP(t *testing.T, n *proc, stream string) *viewer {
	t.Helper()
	v := &viewer{name: "RTSP viewer of " + stream, step: 3600}
	u, err := base.ParseURL("rtsp://" + n.rtsp + "/" + stream)
	if err != nil {
		t.Fatal(err)
	}
	tcp := gortsplib.ProtocolTCP
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Protocol: &tcp}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	about, _, err := c.Describe(u)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetupAll(about.BaseURL, about.Medias); err != nil {
		t.Fatal(err)
	}
	var last uint32
	var at int64
	c.OnPacketRTPAny(func(_ *description.Media, f format.Format, p *rtp.Packet) {
		if _, ok := f.(*format.H264); ok && p.Marker {
			if at != 0 {
				at += int64(int32(p.Timestamp - last))
			} else {
				at = int64(p.Timestamp) + 1<<32
			}
			last = p.Timestamp
			v.picture(at)
		}
	})
	if _, err := c.Play(nil); err != nil {
		t.Fatal(err)
	}
	go func() { v.end(c.Wait()) }()
	return v
}

// sessionOf is the id of the only session of a protocol at n that watches a stream.
func sessionOf(t *testing.T, n *proc, p protocols.Protocol, stream string) string {
	t.Helper()
	var ids []string
	for _, s := range n.must(t, order{Do: "sessions"}).Sessions {
		if s.Protocol == p && s.Stream == stream {
			ids = append(ids, "node/sessions/"+s.ID)
		}
	}
	if len(ids) != 1 {
		t.Fatalf("sessions of %s over %s: %v, want one", stream, p, ids)
	}
	return ids[0]
}

// plant makes an actor panic, and fails unless it alone is restarted, once.
func plant(t *testing.T, n *proc, id string) {
	t.Helper()
	before := restarts(t, n)
	if _, ok := before[id]; !ok {
		t.Fatalf("there is no actor %s", id)
	}
	n.must(t, order{Do: "boom", ID: id})
	soon(t, "the restart", func() error {
		after := restarts(t, n)
		for other, count := range after {
			was := before[other]
			if other == id {
				was++
			}
			if count > was {
				t.Fatalf("%s was restarted %d times, want %d", other, count, was)
			}
		}
		if after[id] != before[id]+1 {
			return errors.New("it is not counted")
		}
		return nil
	})
}

// watchOwners checks the owners that all nodes name, until odd is called. Odd returns the wrong ones.
func watchOwners(t *testing.T, nodes [3]*proc, want map[string]string) (odd func() string) {
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan string, 1)
	go func() {
		defer close(watched)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			for _, m := range nodes {
				if r, err := m.do(order{Do: "owners"}); err != nil || !maps.Equal(r.Owners, want) {
					watched <- fmt.Sprintf("%s says %v, %v", m.name, r.Owners, err)
					return
				}
			}
			<-tick.C
		}
	}()
	return func() string {
		stop()
		return <-watched
	}
}

// One actor of each kind panics. Only that actor is restarted, no viewer of another one loses a picture, and the other
// nodes do not notice.
func TestPanicOfAnActorGoesNoFurther(t *testing.T) {
	t.Parallel()
	const owned = "cam, other, third and free at n1"
	nodes := threeNodes(t, func(entry [3]string) (s string) {
		for _, name := range []string{"cam", "other", "third"} {
			s += "stream " + name + " { input fake://fake; cluster_ingest capture_at=" + entry[0] + "; }\n"
		}
		return s + "stream free { input fake://fake; cluster_ingest capture_at=" + entry[1] + "; }\n"
	})
	n := nodes[0]
	want := map[string]string{"cam": "n1", "other": "n1", "third": "n1", "free": "n2"}
	for _, m := range nodes {
		soon(t, owned, func() error {
			if got := m.must(t, order{Do: "owners"}).Owners; !maps.Equal(got, want) {
				return fmt.Errorf("%s says %v", m.name, got)
			}
			return nil
		})
	}
	cam := []*viewer{watchRTMP(t, n, "cam"), watchTS(t, n, "cam"), watchRTSP(t, n, "cam")}
	others := []*viewer{watchRTMP(t, n, "other"), watchTS(t, n, "other"), watchRTSP(t, n, "other"), watchRTMP(t, n, "free"), watchRTMP(t, nodes[2], "other")}
	third := []*viewer{watchRTMP(t, n, "third"), watchTS(t, n, "third"), watchRTSP(t, n, "third")}
	all := slices.Concat(cam, others, third)
	if res, err := http.Get("http://" + n.http + "/cam/ts.m3u8"); err != nil { // starts the packager
		t.Fatal(err)
	} else {
		_ = res.Body.Close()
	}
	goOn(t, 25, all...)

	odd := watchOwners(t, nodes, want)

	for _, tt := range []struct {
		kind, id string
		stream   []*viewer // of the stream or the connection that it belongs to
		spared   bool      // they lose nothing either
	}{
		{"core", "node/streams/cam/core", cam, true},
		{"input", "node/streams/cam/inputs/1", cam, false},
		{"RTMP session", sessionOf(t, n, protocols.RTMP, "third"), third[:1], false},
		{"HTTP MPEG-TS session", sessionOf(t, n, protocols.TS, "third"), third[1:2], false},
		{"RTSP session", sessionOf(t, n, protocols.RTSP, "third"), third[2:], false},
		{"peer link", "node/peers/" + url.PathEscape(nodes[1].http), cam, true},
		{"packager", "node/streams/cam/packager", cam, true},
		{"control", "node/control", cam, true},
		{"listener", "node/listeners/" + url.PathEscape("rtmp:"+n.rtmp), cam, true},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			from := map[*viewer]int{}
			for _, v := range all {
				from[v] = v.seen()
			}
			plant(t, n, tt.id)
			goOn(t, 25, all...)
			for _, v := range all {
				missing := v.missing(t, from[v])
				if concerned := slices.Contains(tt.stream, v); concerned {
					t.Logf("%s, whose %s failed, missed %d pictures", v.name, tt.kind, missing)
					if !tt.spared {
						continue
					}
				}
				if missing != 0 {
					t.Errorf("%s missed %d pictures, want none", v.name, missing)
				}
			}
		})
	}
	if said := odd(); said != "" {
		t.Errorf("%s; want %v all the time", said, want)
	}
	goOn(t, 25, watchRTMP(t, n, "cam")) // the listener accepts again
}

func TestDescribeIsAnsweredByTheNewOwnerAfterATakeOver(t *testing.T) {
	nodes := threeNodes(t, func(entry [3]string) string {
		return "stream cam { input fake://fake; cluster_ingest capture_at=" + entry[0] + "; }\n"
	})
	third := nodes[2]
	describe := func(want string) func() error {
		return func() error {
			r, err := third.do(order{Do: "describe", Stream: "cam"})
			if err == nil && (r.Node != want || r.Tracks != 2) {
				err = fmt.Errorf("%s answered, with %d tracks", r.Node, r.Tracks)
			}
			return err
		}
	}
	soon(t, "n1 describes its stream", describe("n1"))
	if err := nodes[0].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var owner string
	soon(t, "another node has it", func() error {
		if owner = third.must(t, order{Do: "owners"}).Owners["cam"]; owner == "" || owner == "n1" {
			return fmt.Errorf("it is at %q", owner)
		}
		return nil
	})
	soon(t, "the new owner describes it", describe(owner))
}
