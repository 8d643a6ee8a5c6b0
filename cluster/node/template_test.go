package node

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"weir/cluster/conf"
)

func TestStreamsOfTemplatesStayWhileSomebodyPublishes(t *testing.T) {
	f, problems := conf.Parse("f", []byte("template talks { prefix talk; input publish://; title Talk; }"))
	if problems.Failed() {
		t.Fatal(problems)
	}
	var i instances
	add := func(name string, now time.Duration, want bool) {
		t.Helper()
		if added, err := i.add(name, now); err != nil || added != want {
			t.Errorf("add(%s) = %t, %v, want %t", name, added, err, want)
		}
	}
	add("talk/a", 0, true)
	add("talk/b", 0, true)
	add("talk/a", time.Second, false)
	add("other/c", 0, true) // of a template that the file no longer has
	names := func(want ...string) {
		t.Helper()
		got := i.streams(f)
		if fmt.Sprint(len(got)) != fmt.Sprint(len(want)) {
			t.Fatalf("streams %+v, want %v", got, want)
		}
		for n, s := range got {
			if s.Name != want[n] || s.Title != "Talk" || len(s.Inputs) != 1 {
				t.Errorf("stream %+v, want %s as the template says", s, want[n])
			}
		}
	}
	names("talk/a", "talk/b")
	onlyB := func(name string) bool { return name == "talk/b" }
	if i.sweep(30*time.Second, onlyB) {
		t.Error("streams are dropped too early")
	}
	if !i.sweep(70*time.Second, onlyB) {
		t.Error("nothing is dropped")
	}
	names("talk/b")
	if i.sweep(80*time.Second, onlyB) {
		t.Error("it says that something was dropped a second time")
	}
	for n := range maxInstances + 1 {
		if _, err := i.add(fmt.Sprintf("talk/%d", n), 0); err != nil {
			if !errors.Is(err, errInstances) || n < maxInstances-1 {
				t.Errorf("add of number %d: %v", n, err)
			}
			return
		}
	}
	t.Error("there is no limit")
}
