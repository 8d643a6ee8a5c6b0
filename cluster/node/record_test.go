package node

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"weir/cluster/conf"
	"weir/protocols/api"
	"weir/protocols/pull"
)

// hasty is a clock with which the first minute passes at once.
type hasty struct {
	pull.Clock
	minutes atomic.Int64
}

func (h *hasty) Wait(ctx context.Context, d time.Duration) error {
	if d == time.Minute && h.minutes.Add(1) == 1 {
		return nil
	}
	return h.Clock.Wait(ctx, d)
}

func TestSessionsAndMinutesAreWrittenIntoOneDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	started := func() *Node {
		t.Helper()
		file, problems := conf.Load("test", []byte("session_log "+dir+"; pulsedb "+dir+"; stream cam { input fake://fake?size=256x144; }"), flags("n1", "127.0.0.1:0", "off", "off"))
		if problems.Failed() {
			t.Fatal(problems)
		}
		n, err := Start(Config{File: file, Hostname: "n1", Machine: Machine{Clock: &hasty{Clock: pull.SystemClock()}}})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := started()
	viewer, err := http.Get("http://" + n.Addresses()["http"][0] + "/cam/mpegts")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(viewer.Body, make([]byte, 188)); err != nil {
		t.Fatal(err)
	}
	_ = viewer.Body.Close()
	n.Stop()

	var session struct {
		Stream, Proto, Node string
		BytesOut            int `json:"bytes_out"`
		Ended               time.Time
	}
	line(t, filepath.Join(dir, "sessions.jsonl"), 1, &session)
	if session.Stream != "cam" || session.Proto != "mpegts" || session.Node != "n1" || session.BytesOut < 188 || session.Ended.IsZero() {
		t.Errorf("the session log says %+v", session)
	}
	var minute api.Minute
	line(t, filepath.Join(dir, "pulse.jsonl"), 1, &minute)
	if minute.Node != "n1" || minute.Time.IsZero() {
		t.Errorf("the minute is %+v", minute)
	}

	n = started()
	defer n.Stop()
	if got := n.reporter.status.Pulse(10); len(got) == 0 || !got[0].Time.Equal(minute.Time) {
		t.Errorf("after a restart the minutes are %+v, want that of before too", got)
	}
}

// line reads the first of so many lines of a file.
func line(t *testing.T, path string, lines int, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "\n"); n != lines {
		t.Errorf("%s has %d lines, want %d:\n%s", filepath.Base(path), n, lines, b)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if err := json.Unmarshal([]byte(first), into); err != nil {
		t.Errorf("%q: %v", first, err)
	}
}

func TestCountriesWithoutADatabaseAreAnErrorWithItsPlace(t *testing.T) {
	src := "cluster_key 0123456789abcdef;\ngeoip " + filepath.Join(t.TempDir(), "none.mmdb") + ";\nbalancer b {\n  server a countries=RU countries_default=true;\n}"
	file, problems := Load("f", []byte(src), conf.Flags{})
	if !problems.Failed() || !strings.Contains(problems.String(), "f:4:3: error: found `countries`, but no database of countries") {
		t.Errorf("Load says %q", problems)
	}
	if _, err := Start(Config{File: file, Hostname: "n"}); err == nil || !strings.Contains(err.Error(), "f:4:3") {
		t.Errorf("a start without a database: %v, want the place", err)
	}
	if _, problems = Load("f", []byte("cluster_key 0123456789abcdef; geoip /nowhere; balancer b { server a; }"), conf.Flags{}); problems.Failed() {
		t.Errorf("without countries: %v, want nothing", problems)
	}
}

func TestDatabaseThatBreaksRaisesAnAlarmAndStaysInUse(t *testing.T) {
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country"})
	if err != nil {
		t.Fatal(err)
	}
	_, network, _ := net.ParseCIDR("1.2.0.0/16")
	if err := w.Insert(network, mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String("CN")}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "c.mmdb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	file, problems := conf.Load("test", []byte("cluster_key for-the-test-only-0123; geoip "+path+"; balancer b { server 127.0.0.1:9 countries=CN countries_default=true; }"), flags("n1", "127.0.0.1:0", "off", "off"))
	if problems.Failed() {
		t.Fatal(problems)
	}
	n, err := Start(Config{File: file, Hostname: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	if a := n.reporter.status.Alarms(); len(a) != 0 {
		t.Errorf("alarms %v of a good database", a)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for len(n.reporter.status.Alarms()) == 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no alarm")
		}
	}
	if a := n.reporter.status.Alarms()[0]; a.Kind != "geoip" || !strings.Contains(a.Text, "the file is gone") {
		t.Errorf("the alarm is %+v", a)
	}
	if got := n.geo.Country(netip.MustParseAddr("1.2.3.4")); got != "CN" {
		t.Errorf("country %q, want that of the former database", got)
	}
}
