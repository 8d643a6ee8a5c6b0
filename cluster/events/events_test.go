package events

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/cluster/control"
	"weir/protocols/api"
)

func newLog() *Log {
	return New(func() string { return "n1" }, func() time.Time { return time.Unix(1_700_000_000, 0) })
}

// view makes a view of streams, given as NAME OWNER STATE; - is no owner.
func view(streams ...string) *control.View {
	v := &control.View{Warm: true}
	for _, text := range streams {
		w := strings.Fields(text)
		v.Streams = append(v.Streams, control.StreamView{
			Name: w[0], Owner: strings.TrimPrefix(w[1], "-"), State: control.StreamState(w[2]), Reason: control.Home, Detail: "no such file",
		})
	}
	return v
}

var viewTests = []struct {
	name          string
	before, after []string
	want          string
}{
	{"nothing", []string{"a n1 running"}, []string{"a n1 running"}, ""},
	{"moved", []string{"a n1 running", "b n2 running"}, []string{"a n3 running", "b n2 running"}, "moved a n1>n3"},
	{"moved with a gap", []string{"a n1 running"}, []string{"a - starting"}, ""},
	{"started", []string{"a - waiting"}, []string{"a n2 running"}, "started a >n2"},
	{"failed", []string{"a n1 running"}, []string{"a n1 failed"}, "failed a > no such file"},
	{"recovered", []string{"a n1 failed"}, []string{"a n1 running"}, "recovered a >"},
	{"new", []string{}, []string{"a n1 running"}, "started a >n1"},
	{"gone", []string{"a n1 running"}, []string{}, ""},
}

func TestViewsAreCompared(t *testing.T) {
	for _, tt := range viewTests {
		l := newLog()
		l.Changed(view(append(tt.before, "z n1 running")...), 0)
		if list, _ := l.After(0); len(list) > 0 {
			t.Errorf("%s: the first view gives %v", tt.name, list)
		}
		l.Changed(view(append(tt.after, "z n1 running")...), time.Second)
		list, _ := l.After(0)
		var got []string
		for _, e := range list {
			text := fmt.Sprintf("%s %s %s>%s", e.Kind, e.Stream, e.From, e.To)
			if e.Level == "warning" {
				text += " " + e.Reason
			}
			got = append(got, text)
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
	}
}

func TestMoveIsToldThoughTheStreamHadNoOwnerMeanwhile(t *testing.T) {
	l := newLog()
	l.Changed(view("a n1 running"), 0)
	l.Changed(view("a - starting"), time.Second)
	l.Changed(view("a n2 running"), 4*time.Second)
	list, _ := l.After(0)
	if len(list) != 1 || list[0].Kind != "moved" || list[0].From != "n1" || list[0].To != "n2" {
		t.Errorf("events: %+v, want one move from n1 to n2", list)
	}
	if since, ok := l.Since("a"); !ok || since != 4*time.Second {
		t.Errorf("running since %v, want 4 s", since)
	}
}

func TestMovesAndGapsOfAStreamAreMeasured(t *testing.T) {
	for _, tt := range []struct {
		name  string
		views string // one a second
		moves uint64
		gap   time.Duration // at the last of them
	}{
		{"never ran", "a - starting; a - failed; a - failed", 0, 0},
		{"runs", "a n1 running; a n1 running", 0, 0},
		{"moves with a gap", "a n1 running; a - starting; a n2 starting; a n2 running; a n2 running", 1, 2 * time.Second},
		{"moves without one", "a n1 running; a n2 moving; a n2 running", 1, 0},
		{"is missing still", "a n1 running; a n1 failed; a n1 failed; a n1 failed", 0, 2 * time.Second},
		{"twice", "a n1 running; a - failed; a n1 running; a - failed; a n2 running", 1, 2 * time.Second},
		{"nobody publishes it", "a n1 running; a - waiting; a - waiting; a n1 running", 0, 0},
		{"nobody publishes it after a failure", "a n1 running; a - failed; a - waiting; a - waiting", 0, time.Second},
	} {
		l := newLog()
		last := time.Duration(0)
		for i, text := range strings.Split(tt.views, "; ") {
			last = time.Duration(i+1) * time.Second
			l.Changed(view(text), last)
		}
		if moves, gap := l.History("a", last); moves != tt.moves || gap != tt.gap {
			t.Errorf("%s: %d moves and %v missing, want %d and %v", tt.name, moves, gap, tt.moves, tt.gap)
		}
	}
}

func TestNewestEventsAreKeptAndFollowed(t *testing.T) {
	l := newLog()
	_, more := l.After(0)
	for range kept + 7 {
		l.Add(api.Event{Kind: "x"})
	}
	select {
	case <-more:
	default:
		t.Error("nobody is told of more events")
	}
	list, _ := l.After(0)
	if len(list) != kept || list[0].ID != 8 || list[0].Node != "n1" {
		t.Errorf("%d events from %d, want %d from 8", len(list), list[0].ID, kept)
	}
	if list, _ = l.After(kept); len(list) != 7 || !slices.IsSortedFunc(list, func(a, b api.Event) int { return int(a.ID) - int(b.ID) }) {
		t.Errorf("%d events after %d, want 7", len(list), kept)
	}
	if list, _ = l.After(1 << 40); len(list) != 0 {
		t.Errorf("%d events of the future", len(list))
	}
}

func TestNotesAboutStreamsAreLeftToTheViews(t *testing.T) {
	l := newLog()
	l.Note(control.Note{Kind: control.NoteClaimed, Stream: "a"})
	l.Note(control.Note{Kind: control.NoteLate, Node: "n2"})
	l.Note(control.Note{Kind: control.NoteStale, Node: "n2"})
	list, _ := l.After(0)
	if len(list) != 1 || list[0].Peer != "n2" || list[0].Level != "warning" || list[0].Kind != "peer stale" {
		t.Errorf("events: %+v, want one warning of n2", list)
	}
}
