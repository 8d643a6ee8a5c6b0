package router

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

// most is the most instances that there may be.
const most = 100

// local is this machine, whose streams are not counted for an address.
var local = netip.MustParseAddrPort("127.0.0.1:9")

var errName = errors.New("the name means something else")

// newInstances are those of a file that has templates for talk/ and lab/. changed counts the calls of Changed.
func newInstances() (i *Instances, now *time.Duration, changed *int) {
	now, changed = new(time.Duration), new(int)
	return &Instances{
		Belongs: func(name string) bool { return strings.HasPrefix(name, "talk/") || strings.HasPrefix(name, "lab/") },
		Reserved: func(name string) error {
			if strings.HasSuffix(name, "/mpegts") {
				return errName
			}
			return nil
		},
		Now:     func() time.Duration { return *now },
		Changed: func([]string) { *changed++ },
		Limits:  func() (all, perAddress int) { return most, 3 },
		Limiter: listen.NewLimiter(listen.Limits{}, nil, slog.New(slog.DiscardHandler)),
	}, now, changed
}

func TestStreamsOfTemplatesStayWhileSomebodyPublishes(t *testing.T) {
	i, now, changed := newInstances()
	published := map[string]bool{}
	for _, step := range []struct {
		at      time.Duration
		name    string // made, or empty: swept
		err     error
		leaves  string
		names   []string
		changed int
	}{
		{at: 0, name: "talk/a", names: []string{"talk/a"}, changed: 1},
		{at: 0, name: "lab/b", names: []string{"lab/b", "talk/a"}, changed: 2},
		{at: time.Second, name: "talk/a", names: []string{"lab/b", "talk/a"}, changed: 2},
		{at: time.Second, name: "other/c", err: listen.ErrNotFound, names: []string{"lab/b", "talk/a"}, changed: 2},
		{at: time.Second, name: "talk/mpegts", err: listen.ErrReserved, names: []string{"lab/b", "talk/a"}, changed: 2},
		{at: 30 * time.Second, leaves: "talk/a", names: []string{"lab/b", "talk/a"}, changed: 2},
		{at: 70 * time.Second, names: []string{"lab/b"}, changed: 3},
		{at: 80 * time.Second, names: []string{"lab/b"}, changed: 3},
		{at: 80 * time.Second, leaves: "lab/b", names: []string{"lab/b"}, changed: 3},
		{at: 139 * time.Second, names: []string{"lab/b"}, changed: 3},
		{at: 140 * time.Second, names: nil, changed: 4},
	} {
		*now = step.at
		switch {
		case step.name != "":
			if err := i.Make(step.name, protocols.RTMP, local); !errors.Is(err, step.err) {
				t.Errorf("%v: Make(%s) = %v, want %v", step.at, step.name, err, step.err)
			}
			published[step.name] = true
		default:
			delete(published, step.leaves)
			i.Sweep(*now, func(name string) bool { return published[name] })
		}
		if got := i.Names(); !slices.Equal(got, step.names) || *changed != step.changed {
			t.Errorf("%v: names %v after %d changes, want %v after %d", step.at, got, *changed, step.names, step.changed)
		}
	}
}

func TestStreamsOfTemplatesAreLimited(t *testing.T) {
	i, _, _ := newInstances()
	for n := range most {
		if err := i.Make(fmt.Sprintf("talk/%d", n), protocols.RTMP, local); err != nil {
			t.Fatalf("stream %d: %v", n, err)
		}
	}
	if err := i.Make("talk/more", protocols.RTMP, local); !errors.Is(err, errInstances) || !errors.Is(err, listen.ErrUnavailable) {
		t.Errorf("Make above the limit = %v, want %v", err, errInstances)
	}
	if err := i.Make("talk/0", protocols.RTMP, local); err != nil {
		t.Errorf("Make of one that is made = %v", err)
	}
}

func TestStreamsOfOneAddressAreLimited(t *testing.T) {
	i, now, _ := newInstances()
	one, other := netip.MustParseAddrPort("192.0.2.1:7"), netip.MustParseAddrPort("192.0.2.2:7")
	for n := range 3 {
		if err := i.Make(fmt.Sprintf("talk/%d", n), protocols.RTMP, one); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(name string, from netip.AddrPort) bool {
		err := i.Make(name, protocols.RTMP, from)
		if err != nil && (!errors.Is(err, errInstancesOfAddress) || !errors.Is(err, listen.ErrUnavailable)) {
			t.Errorf("Make = %v", err)
		}
		return err != nil
	}
	if !refused("talk/more", one) || !refused("talk/most", one) {
		t.Error("an address makes more streams than it may")
	}
	if refused("talk/2", one) {
		t.Error("a stream that the address has made is refused")
	}
	if refused("talk/more", other) || refused("talk/0", other) {
		t.Error("another address is refused")
	}
	*now = InstanceLinger
	i.Sweep(*now, func(name string) bool { return name == "talk/0" })
	for n, want := range []bool{false, false, true} {
		if refused(fmt.Sprintf("talk/new%d", n), one) != want {
			t.Errorf("stream %d after two of three are gone: refused %t, want %t", n, !want, want)
		}
	}
	_, counts := i.Limiter.Counts()
	if n := counts[listen.Refusal{Limit: listen.LimitNamesOfAddress, Protocol: protocols.RTMP}]; n != 3 {
		t.Errorf("%d refusals were counted, want 3", n)
	}
}
