package journal

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"weir/cluster/control"
)

// written makes the journal of a node that fetches a peer's state, captures a stream, is asked for its state, and yields the stream.
func written(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	put := func(b []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	cfg := control.Config{
		Self: "n1", Named: true, Instance: "i1", Seed: 7, Hash: "h",
		Peers:   []control.Peer{{Entry: "n2:80", Host: "n2", Name: "n2", Fetch: control.Second, Stale: 3 * control.Second}},
		Streams: []control.Stream{{Name: "a", Clustered: true}, {Name: "b", Clustered: true}},
	}
	n, now := control.New(cfg, 5), control.Instant(5)
	put(Start("test", n.Save(), false))
	var fetches []control.Fetch
	step := func(ev control.Event) {
		put(Event(now, ev))
		for _, e := range n.Step(now, ev) {
			put(Effect(e))
			if f, ok := e.(control.Fetch); ok {
				fetches = append(fetches, f)
			}
		}
	}
	step(control.Tick{})
	for i := range 40 {
		now += 250 * control.Millisecond
		switch {
		case i%4 == 1 && len(fetches) > 0:
			f := fetches[len(fetches)-1]
			step(control.Fetched{Peer: f.Peer, ID: f.ID, State: &control.State{V: 1, Node: "n2", Instance: "j", Seq: uint64(i + 1), Version: 1, Hash: "h", Warm: true}})
		case i%4 == 2:
			step(control.StateAsked{From: "n2", Token: uint64(i)})
		case i == 11:
			step(control.CaptureUp{Stream: "a"})
		default:
			step(control.Tick{})
		}
		if i == 20 {
			put(Start("test", n.Save(), true)) // as after a rotation
		}
	}
	return out.Bytes()
}

func TestReplayDoesWhatWasDone(t *testing.T) {
	j := written(t)
	d, n, err := Replay(bytes.NewReader(j))
	if d != nil || n != 41 || err != nil {
		t.Errorf("Replay = %v after %d events, %v; want no difference after 41", d, n, err)
	}
	// A crash cuts the last lines.
	for cut := range 400 {
		if d, _, err := Replay(bytes.NewReader(j[:len(j)-cut])); d != nil || err != nil {
			t.Fatalf("with %d bytes cut off: %v, %v", cut, d, err)
		}
	}
	// A journal that begins with the second Start line.
	at := bytes.LastIndex(j, []byte(`{"t":`+fmt.Sprint(5+21*250*control.Millisecond)+`,"start"`))
	if at <= 0 {
		t.Fatal("the second beginning is not there")
	}
	if d, n, err := Replay(bytes.NewReader(j[at:])); d != nil || n != 19 || err != nil {
		t.Errorf("from the second beginning: %v after %d events, %v; want no difference after 19", d, n, err)
	}
}

func TestReplayReportsTheFirstDifference(t *testing.T) {
	j := string(written(t))
	changed := strings.Replace(j, `"x":"StartCapture","v":{"Stream":"a"`, `"x":"StartCapture","v":{"Stream":"z"`, 1)
	if changed == j {
		t.Fatalf("nothing was captured:\n%.3000s", j)
	}
	d, _, err := Replay(strings.NewReader(changed))
	if err != nil || d == nil {
		t.Fatalf("Replay = %v, %v, want a difference", d, err)
	}
	if s := d.String(); !strings.Contains(s, `then: StartCapture {"Stream":"z"`) || !strings.Contains(s, `now:  StartCapture {"Stream":"a"`) {
		t.Errorf("the difference is shown as\n%s", s)
	}
	if want := strings.Count(changed[:strings.Index(changed, `"Stream":"z"`)], "\n") + 1; d.Line >= want || d.Line < want-4 {
		t.Errorf("the difference is in line %d, want that of the event before line %d", d.Line, want)
	}
}

func TestWhatIsNoJournalIsRefused(t *testing.T) {
	for _, in := range []string{"", "{}\n{}\n", "GIF89a\n\n", `{"e":"Tick"}` + "\n", `{"journal":9,"start":{}}` + "\n", `{"journal":1,"start":{}}` + "\n" + `{"e":"Nothing"}` + "\n"} {
		if d, n, err := Replay(strings.NewReader(in)); err == nil {
			t.Errorf("Replay(%q) = %v, %d, nil, want an error", in, d, n)
		}
	}
}

// Every event and effect of package control must be in the lists of events and effects.
func TestEveryEventAndEffectIsKnown(t *testing.T) {
	for file, method := range map[string]string{"event.go": "event", "effect.go": "effect"} {
		f, err := parser.ParseFile(token.NewFileSet(), "../control/"+file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == method && fn.Recv != nil {
				want = append(want, fn.Recv.List[0].Type.(*ast.Ident).Name)
			}
		}
		known := events
		if method == "effect" {
			known = effects
		}
		for name := range known {
			got = append(got, name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("known are %v, want every %s: %v", got, method, want)
		}
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte(`{"journal":1,"start":{"Config":{"Self":"a","Instance":"i"}}}` + "\n" + `{"t":1,"e":"Tick"}` + "\n"))
	f.Add([]byte(`{"journal":1,"start":{"Streams":[{"Name":"a","State":2}],"Peers":[{"Name":"b","List":5}],"Links":[{"Peer":"x"}]}}` + "\n" + `{"e":"Fetched"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if d, n, err := Replay(bytes.NewReader(in)); err == nil && d == nil && n > bytes.Count(in, []byte("\n"))+1 {
			t.Errorf("%d events of %d lines", n, bytes.Count(in, []byte("\n"))+1)
		}
	})
}
