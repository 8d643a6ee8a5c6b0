package router

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/protocols/listen"
)

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
		Changed: func() { *changed++ },
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
			if err := i.Make(step.name); !errors.Is(err, step.err) {
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
	for n := range maxInstances {
		if err := i.Make(fmt.Sprintf("talk/%d", n)); err != nil {
			t.Fatalf("stream %d: %v", n, err)
		}
	}
	if err := i.Make("talk/more"); !errors.Is(err, errInstances) || !errors.Is(err, listen.ErrUnavailable) {
		t.Errorf("Make above the limit = %v, want %v", err, errInstances)
	}
	if err := i.Make("talk/0"); err != nil {
		t.Errorf("Make of one that is made = %v", err)
	}
}
