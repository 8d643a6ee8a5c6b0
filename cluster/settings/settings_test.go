package settings

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/cluster/exchange"
	"weir/cluster/trust"
	"weir/protocols/api"
)

var diffTests = []struct{ a, b, want string }{
	{"", "", ""},
	{"a b c", "a b c", ""},
	{"a b c", "a x c", "@@ line 2|-b|+x"},
	{"a b c", "a c", "@@ line 2|-b"},
	{"a c", "a b c", "@@ line 2|+b"},
	{"a b c d e", "x b c d y", "@@ line 1|-a|+x|@@ line 5|-e|+y"},
	{"", "a", "@@ line 1|+a"},
	{"a a b", "a b b", "@@ line 2|-a|+b"},
}

func TestDiff(t *testing.T) {
	for _, tt := range diffTests {
		if got := strings.Join(Diff(strings.Fields(tt.a), strings.Fields(tt.b)), "|"); got != tt.want {
			t.Errorf("Diff(%q, %q) = %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzDiff applies what a comparison says: it makes the second text of the first one.
func FuzzDiff(f *testing.F) {
	for _, tt := range diffTests {
		f.Add(tt.a, tt.b)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		was, is := strings.Split(a, " "), strings.Split(b, " ")
		var plus, minus int
		for _, l := range Diff(was, is) {
			switch l[0] {
			case '+':
				plus++
			case '-':
				minus++
			}
		}
		if len(was)-minus+plus != len(is) || reflect.DeepEqual(was, is) != (plus+minus == 0) {
			t.Errorf("%q and %q: %d more, %d fewer", a, b, plus, minus)
		}
	})
}

var testKeys = []trust.Keys{trust.Derive("key-of-the-test")}

// A node is one whose file is a list of words. It fails to put a file into effect that has the word broken.
type node struct {
	*Settings
	name  string
	file  string
	runs  string // in effect
	down  bool
	write error
	wrong string  // why the file is not in effect
	disk  *string // the file, if it is another node's too
	told  []api.Event
	read  atomic.Int32 // how often a text was read for its lines
	now   time.Duration
	mute  func(kind string) bool // answers that get lost
}

func (n *node) config(others func() []exchange.Peer) Config {
	return Config{
		Path: "weir.conf", Node: func() string { return n.name },
		Read:    func() ([]byte, error) { return []byte(*n.disk), nil },
		Refused: func() string { return n.wrong },
		Write:   n.put, Restore: n.put,
		Make: func(text []byte, e api.Edit) ([]byte, error) {
			if e.Kind == api.EditText {
				return []byte(e.Text), nil
			}
			if e.Delete {
				before, after, found := strings.Cut(string(text), e.Name+"\n")
				if !found {
					return nil, &api.EditError{Status: http.StatusNotFound, Failure: api.Failure{Error: "no such " + e.Kind}}
				}
				return []byte(before + after), nil
			}
			return []byte(string(text) + e.Name + "\n"), nil
		},
		Check: func(text []byte, _ api.Edit) (p []api.Problem) {
			if strings.Contains(string(text), "wrong") {
				p = append(p, api.Problem{Path: "inputs[0].url", Severity: "error", Text: "expected something else"})
			}
			return p
		},
		Apply: func(context.Context) ([]string, error) {
			if strings.Contains(*n.disk, "broken "+n.name) {
				return nil, errors.New("it breaks")
			}
			n.runs = *n.disk
			return nil, nil
		},
		Shared: func(_, _ []byte, e api.Edit) bool { return e.Kind == "peer" },
		Lines: func(text []byte) ([]string, error) {
			n.read.Add(1)
			if strings.Contains(string(text), "wrong") {
				return nil, errors.New("the file is wrong")
			}
			return lines(text), nil
		},
		Now:     func() time.Duration { return n.now },
		Entry:   func([]byte, string, string) (map[string]any, error) { return map[string]any{}, nil },
		Others:  &exchange.Asker{Peers: others, Client: func(string) *http.Client { return http.DefaultClient }, Keys: func(string) []trust.Keys { return testKeys }},
		Event:   func(e api.Event) { n.told = append(n.told, e) },
		Schemas: nil,
	}
}

// put is how [Replace] and [Restore] change a file.
func (n *node) put(from, to []byte) error {
	switch {
	case n.write != nil:
		return n.write
	case *n.disk != string(from):
		return ErrChanged
	}
	*n.disk = string(to)
	return nil
}

// edited changes the file by hand.
func (n *node) edited(text string) { n.file, n.runs = text, text }

// group makes nodes whose files have one line.
func group(t *testing.T, names ...string) []*node {
	t.Helper()
	nodes := make([]*node, len(names))
	peers := make([]exchange.Peer, len(names))
	for i, name := range names {
		n := &node{name: name, file: "first\n", runs: "first\n"}
		n.disk = &n.file
		nodes[i] = n
		n.Settings = New(n.config(func() (others []exchange.Peer) {
			for j, p := range peers {
				if p.Alive = !nodes[j].down; j != i {
					others = append(others, p)
				}
			}
			return others
		}))
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			out := http.ResponseWriter(w)
			if lost := n.mute != nil && n.mute(strings.TrimPrefix(r.URL.Path, exchange.Path)); lost {
				out = httptest.NewRecorder()
				defer panic(http.ErrAbortHandler)
			}
			n.Answers().Handler(func() []trust.Keys { return testKeys }).ServeHTTP(out, r)
		}))
		t.Cleanup(s.Close)
		peers[i] = exchange.Peer{Name: name, Entry: name, URL: s.URL}
	}
	return nodes
}

func states(nodes []*node) string {
	var out []string
	for _, n := range nodes {
		text := strings.Join(strings.Fields(n.file), ",")
		if n.file != n.runs {
			text += "!"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestEditReachesTheNodesThatItConcerns(t *testing.T) {
	for _, tt := range []struct {
		name    string
		edit    api.Edit
		prepare func(n []*node)
		nodes   string // what is told of them
		want    string // their files; ! where another one is in effect
	}{
		{"this node's alone", api.Edit{Kind: "stream", Name: "cam"}, nil, "n1 applied", "first,cam first first"},
		{"shared", api.Edit{Kind: "peer", Name: "n4"}, nil, "n1 applied n2 applied n3 applied", "first,n4 first,n4 first,n4"},
		{"shared, but meant for one", api.Edit{Kind: "peer", Name: "n4", Scope: "node"}, nil, "n1 applied", "first,n4 first first"},
		{"not shared, but meant for all", api.Edit{Kind: "stream", Name: "cam", Scope: "cluster"}, nil, "n1 applied n2 applied n3 applied", "first,cam first,cam first,cam"},
		{"a node is dead", api.Edit{Kind: "peer", Name: "n4"}, func(n []*node) { n[1].down = true }, "n1 applied n2 unreachable n3 applied", "first,n4 first first,n4"},
		{"the same text", api.Edit{Kind: api.EditText, Text: "first\n"}, nil, "n1 unchanged", "first first first"},
		{"others have it already", api.Edit{Kind: api.EditText, Text: "first\nx\n", Scope: "cluster"}, func(n []*node) { n[2].file, n[2].runs = "first\nx\n", "first\nx\n" }, "n1 applied n2 applied n3 unchanged", "first,x first,x first,x"},
		{"one does not have what is deleted", api.Edit{Kind: "peer", Name: "n4", Delete: true}, func(n []*node) {
			for _, n := range []*node{n[0], n[2]} {
				n.file, n.runs = "first\nn4\n", "first\nn4\n"
			}
		}, "n1 applied n2 unchanged n3 applied", "first first first"},
	} {
		nodes := group(t, "n1", "n2", "n3")
		if tt.prepare != nil {
			tt.prepare(nodes)
		}
		for _, n := range nodes[1:] {
			n.mute = func(kind string) bool {
				nodes[0].turn.mu.Lock()
				defer nodes[0].turn.mu.Unlock()
				if writes := nodes[0].turn.writes; writes != (kind == asksCommit) {
					t.Errorf("%s: %s while it is known that the edit writes files, %t", tt.name, kind, writes)
				}
				return false
			}
		}
		done, err := nodes[0].Edit(t.Context(), tt.edit)
		var said []string
		for _, n := range done.Nodes {
			said = append(said, n.Node+" "+n.Status)
		}
		if got := strings.Join(said, " "); err != nil || got != tt.nodes || states(nodes) != tt.want {
			t.Errorf("%s: %v, %q with files %q; want %q with %q", tt.name, err, got, states(nodes), tt.nodes, tt.want)
		}
	}
}

func TestEditThatFailsAnywhereIsMadeNowhere(t *testing.T) {
	for _, tt := range []struct {
		name    string
		edit    api.Edit
		prepare func(n []*node)
		status  int
		says    string
		want    string
	}{
		{"it breaks here", api.Edit{Kind: "peer", Name: "broken n1"}, nil, 409, "n1: putting the file into effect: it breaks; the former file is in effect again", "first first first"},
		{"it breaks at another node", api.Edit{Kind: "peer", Name: "broken n3"}, nil, 409, "n3 answers: putting the file into effect: it breaks", "first first first"},
		{"another file does not take it", api.Edit{Kind: "peer", Name: "n4"}, func(n []*node) { n[1].file = "wrong\n"; n[1].runs = "wrong\n" }, 409, "n2 does not take the edit", "first wrong first"},
		{"this file does not take it", api.Edit{Kind: "peer", Name: "wrong"}, nil, 400, "inputs[0].url: expected something else", "first first first"},
		{"only others have what is deleted", api.Edit{Kind: "peer", Name: "n4", Delete: true}, func(n []*node) { n[1].file, n[1].runs = "n4\n", "n4\n" }, 404, "no such peer", "first n4 first"},
		{"the disk is full", api.Edit{Kind: "peer", Name: "n4"}, func(n []*node) { n[0].write = errors.New("no space") }, 409, "no space", "first first first"},
		{"the disk of another node is full", api.Edit{Kind: "peer", Name: "n4"}, func(n []*node) { n[2].write = errors.New("no space") }, 409, "no space", "first first first"},
		{"the answer of another node is lost", api.Edit{Kind: "peer", Name: "n4"}, func(n []*node) { n[2].mute = func(kind string) bool { return kind == asksCommit } }, 409, "undone at all nodes", "first first first"},
		{"another node changes meanwhile", api.Edit{Kind: "peer", Name: "n4"}, func(n []*node) {
			n[2].mute = func(kind string) bool {
				if kind == asksCommit {
					n[2].file, n[2].runs = "other\n", "other\n"
				}
				return false
			}
		}, 409, "its file has changed meanwhile", "first first other"},
		{"this file is changed by hand before it is written", api.Edit{Kind: "peer", Name: "n4"}, func(n []*node) {
			n[2].mute = func(kind string) bool {
				if kind == asksPrepare {
					n[0].edited("hand\n")
				}
				return false
			}
		}, 409, "n1: writing weir.conf: the file was changed by somebody else meanwhile", "hand first first"},
		{"this file is changed by hand before it is undone", api.Edit{Kind: "peer", Name: "broken n3"}, func(n []*node) {
			n[2].mute = func(kind string) bool {
				if kind == asksCommit {
					n[0].edited("hand\n")
				}
				return false
			}
		}, 409, "n1: writing the former weir.conf: the file was changed by somebody else meanwhile", "hand first first"},
	} {
		nodes := group(t, "n1", "n2", "n3")
		if tt.prepare != nil {
			tt.prepare(nodes)
		}
		_, err := nodes[0].Edit(t.Context(), tt.edit)
		var e *api.EditError
		if !errors.As(err, &e) || e.Status != tt.status || !strings.Contains(e.Failure.Error, tt.says) || states(nodes) != tt.want {
			t.Errorf("%s: %v with files %q, want %d %q with %q", tt.name, err, states(nodes), tt.status, tt.says, tt.want)
		}
	}
}

// TestOfTwoEditsOfTheGroupAtOnceOneIsMade begins an edit at two nodes, each before the other node is asked.
func TestOfTwoEditsOfTheGroupAtOnceOneIsMade(t *testing.T) {
	nodes := group(t, "n1", "n2", "n3")
	var begun sync.WaitGroup
	begun.Add(2)
	for _, n := range nodes[:2] {
		n.mute = func(kind string) bool {
			if kind == asksPrepare {
				begun.Done()
				begun.Wait()
			}
			return false
		}
	}
	var errs [2]error
	var all sync.WaitGroup
	for i, n := range nodes[:2] {
		all.Go(func() { _, errs[i] = n.Edit(t.Context(), api.Edit{Kind: "peer", Name: "of-" + n.name}) })
	}
	all.Wait()
	var e *api.EditError
	if errs[0] != nil || !errors.As(errs[1], &e) || e.Status != http.StatusConflict ||
		!strings.Contains(e.Failure.Error, "nothing was changed: n1 does not take the edit: another edit is under way at n1") ||
		states(nodes) != "first,of-n1 first,of-n1 first,of-n1" {
		t.Errorf("at n1 %v, at n2 %v, files %q", errs[0], errs[1], states(nodes))
	}
}

func TestEditIsRefusedWhereAnotherOneChangesFiles(t *testing.T) {
	for _, kind := range []string{asksPrepare, asksCommit} {
		nodes := group(t, "n1", "n2", "n3")
		nodes[1].mute = func(k string) bool {
			if k == kind {
				if err := nodes[1].turn.take(t.Context(), always); err != nil {
					t.Error(err)
				}
				nodes[1].turn.write()
			}
			return false
		}
		_, err := nodes[0].Edit(t.Context(), api.Edit{Kind: "peer", Name: "n4"})
		if err == nil || !strings.Contains(err.Error(), "another edit is under way at n2") || states(nodes) != "first first first" {
			t.Errorf("%s: %v, files %q", kind, err, states(nodes))
		}
	}
}

// TestHowLongAnEditOfAnotherNodeWaits asks a node that has an edit of its own.
func TestHowLongAnEditOfAnotherNodeWaits(t *testing.T) {
	for _, tt := range []struct {
		kind, by string
		writes   bool
		want     time.Duration
	}{
		{asksPrepare, "n1", false, asking / 2},
		{asksPrepare, "n1", true, 0},
		{asksPrepare, "n3", false, 0},
		{asksCommit, "n3", false, asking},
		{asksCommit, "n1", true, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &node{name: "n2", file: "first\n"}
			n.Settings = New(n.config(nil))
			if err := n.turn.take(t.Context(), always); err != nil {
				t.Fatal(err)
			}
			if tt.writes {
				n.turn.write()
			}
			question, err := json.Marshal(proposal{Edit: api.Edit{Kind: "peer", Name: "n4"}, By: tt.by, From: Version([]byte(n.file))})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err = n.Answers()[tt.kind](t.Context(), question)
			if took := time.Since(start); err == nil || err.Error() != "another edit is under way at n2" || took != tt.want {
				t.Errorf("%s by %s, while the other edit writes, %t: %v after %v, want that after %v", tt.kind, tt.by, tt.writes, err, took, tt.want)
			}
		})
	}
}

// TestEditWhoseClientHasGoneIsNotMade lets a client give up while its edit waits for another one.
func TestEditWhoseClientHasGoneIsNotMade(t *testing.T) {
	n := group(t, "n1")[0]
	if err := n.turn.take(t.Context(), always); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := n.Edit(ctx, api.Edit{Kind: "stream", Name: "cam"})
		done <- err
	}()
	leave()
	n.turn.end()
	if err := <-done; !errors.Is(err, context.Canceled) || states([]*node{n}) != "first" {
		t.Errorf("%v, file %q", err, n.file)
	}
}

func TestWhoWaitsForAnotherEditToWriteNothingIsToldWhenItWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, writes := range []bool{false, true} {
			turn := newTurn()
			if err := turn.take(t.Context(), always); err != nil {
				t.Fatal(err)
			}
			var got error
			done := false
			go func() {
				got = turn.take(t.Context(), func(writes bool) bool { return !writes })
				done = true
			}()
			synctest.Wait()
			if done {
				t.Errorf("nobody waits: %v", got)
			}
			if writes {
				turn.write()
			} else {
				turn.end()
			}
			synctest.Wait()
			if !done || (got != nil) != writes {
				t.Errorf("the other edit writes, %t: done %t, %v", writes, done, got)
			}
		}
	})
}

func TestStaleEditIsRefusedWithTheDifference(t *testing.T) {
	n := group(t, "n1")[0]
	read, _ := n.Text()
	n.file = "first\nsecond\n" // somebody else
	_, err := n.Edit(t.Context(), api.Edit{Kind: "stream", Name: "cam", Base: read.Version})
	var e *api.EditError
	if !errors.As(err, &e) || e.Status != http.StatusPreconditionFailed || !reflect.DeepEqual(e.Diff, []string{"@@ line 2", "+second"}) || n.file != "first\nsecond\n" {
		t.Fatalf("%+v, file %q", err, n.file)
	}
	if _, err = n.Edit(t.Context(), api.Edit{Kind: "stream", Name: "cam", Base: e.Version}); err != nil || n.file != "first\nsecond\ncam\n" {
		t.Errorf("with the version of the answer: %v, file %q", err, n.file)
	}
	if _, err = n.Edit(t.Context(), api.Edit{Kind: "stream", Name: "x", Base: "0123"}); !errors.As(err, &e) || !strings.Contains(e.Failure.Error, "not remembered") {
		t.Errorf("a version that nobody knows: %v", err)
	}
}

func TestDriftSaysWhichLinesDiffer(t *testing.T) {
	nodes := group(t, "n1", "n2", "n3", "n4")
	nodes[2].file = "first\nother\n"
	nodes[3].mute = func(string) bool { return true }
	list, err := nodes[0].Drift(t.Context())
	if err != nil || len(list) != 3 || list[0].Status != "same" || list[2].Status != "unreachable" || list[1].Status != "different" ||
		!reflect.DeepEqual(list[1].Diff, []string{"@@ line 2", "+other"}) {
		t.Errorf("drift: %+v, %v", list, err)
	}
}

// TestDriftCostsLittleHoweverOftenItIsAskedFor has many clients at one node.
func TestDriftCostsLittleHoweverOftenItIsAskedFor(t *testing.T) {
	nodes := group(t, "n1", "n2")
	var asked atomic.Int32
	waits := make(chan struct{})
	nodes[1].mute = func(kind string) bool {
		if kind == asksShared {
			asked.Add(1)
			<-waits
		}
		return false
	}
	// A client that leaves takes nothing from those that stay.
	gone, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	statuses := make([]string, 20)
	all.Go(func() { _, _ = nodes[0].Drift(gone) })
	for asked.Load() == 0 {
		runtime.Gosched()
	}
	leave()
	for i := range statuses {
		all.Go(func() {
			list, err := nodes[0].Drift(t.Context())
			statuses[i] = fmt.Sprint(len(list), err)
			if err == nil && len(list) == 1 {
				statuses[i] = list[0].Status
			}
		})
	}
	if _, err := nodes[0].Drift(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that has left: %v", err)
	}
	close(waits)
	all.Wait()
	for _, s := range statuses {
		if s != "same" {
			t.Errorf("drift: %s", s)
		}
	}
	for _, tt := range []struct {
		name          string
		change        func()
		asked, n1, n2 int32 // how often the other node was asked, and a text was read for its lines, in all
		status        string
	}{
		{"at once", func() {}, 1, 1, 1, "same"},
		{"after a while", func() { nodes[0].now += fresh }, 2, 1, 1, "same"},
		{"the other file has changed", func() { nodes[1].edited("first\nx\n"); nodes[0].now += fresh }, 3, 1, 2, "different"},
		{"this file has changed", func() { nodes[0].edited("first\nx\n") }, 4, 2, 2, "same"},
		{"the other file is wrong", func() { nodes[1].edited("wrong\n"); nodes[0].now += fresh }, 5, 2, 3, "unreachable"},
		{"it still is", func() { nodes[0].now += fresh }, 6, 2, 3, "unreachable"},
	} {
		tt.change()
		list, err := nodes[0].Drift(t.Context())
		if err != nil || list[0].Status != tt.status || asked.Load() != tt.asked || nodes[0].read.Load() != tt.n1 || nodes[1].read.Load() != tt.n2 {
			t.Errorf("%s: %+v, %v, asked %d times, read %d and %d times, want %+v", tt.name, list, err, asked.Load(), nodes[0].read.Load(), nodes[1].read.Load(), tt)
		}
	}
}

// TestWriterThatIsKilledLeavesAWholeFile kills a process that replaces a file again and again.
func TestWriterThatIsKilledLeavesAWholeFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.conf")
	if replaced := os.Getenv("WEIR_REPLACED"); replaced != "" {
		for i := range 1 << 30 {
			if i == 1 {
				fmt.Println("begun")
			}
			now, err := os.ReadFile(replaced)
			if err == nil {
				err = Replace(replaced, now, bytes.Repeat([]byte{'a' + byte(i%26)}, 200_000))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte{'a'}, 200_000), 0o640); err != nil {
		t.Fatal(err)
	}
	for i := range kills {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestWriterThatIsKilled")
		cmd.Env = append(os.Environ(), "WEIR_REPLACED="+path)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		begun := bufio.NewScanner(out)
		for begun.Scan() && begun.Text() != "begun" {
		}
		for range i * 3000 { // until some moment of a save
			_ = os.Getpid()
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for _, name := range []string{path, path + Backup} {
			text, err := os.ReadFile(name)
			if err != nil || len(text) != 200_000 || len(bytes.Trim(text, string(text[:1]))) != 0 {
				t.Fatalf("after kill %d, %s has %d bytes, %v", i, name, len(text), err)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 1 {
		t.Errorf("files are left over: %v", left)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("permissions %v, %v, want 640", st.Mode(), err)
	}
}

func TestFileBehindALinkIsReplacedWhereItIs(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.conf"), filepath.Join(dir, "weir.conf")
	if err := errors.Join(os.WriteFile(real, []byte("a"), 0o600), os.Symlink(real, link), Replace(link, []byte("a"), []byte("b"))); err != nil {
		t.Fatal(err)
	}
	now, _ := os.ReadFile(real)
	before, _ := os.ReadFile(real + Backup)
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 || string(now) != "b" || string(before) != "a" {
		t.Errorf("%v, %v, %q, before %q", st.Mode(), err, now, before)
	}
	if err := Replace(filepath.Join(dir, "none"), nil, nil); err == nil {
		t.Error("a file that does not exist is made")
	}
}

func TestTextThatIsNotTheOneToBeReplacedStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.conf")
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	if err := os.WriteFile(path, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name         string
		change       func(path string, from, to []byte) error
		from, to     string
		err          error
		file, backup string
	}{
		{"an edit", Replace, "a", "b", nil, "b", "a"},
		{"an edit of another text", Replace, "a", "c", ErrChanged, "b", "a"},
		{"undoing another edit", Restore, "c", "a", ErrChanged, "b", "a"},
		{"undoing the edit", Restore, "b", "a", nil, "a", "a"},
		{"the next edit", Replace, "a", "d", nil, "d", "a"},
		{"undoing it keeps the text that was refused nowhere", Restore, "d", "a", nil, "a", "a"},
	} {
		err := tt.change(path, []byte(tt.from), []byte(tt.to))
		if !errors.Is(err, tt.err) || read(path) != tt.file || read(path+Backup) != tt.backup {
			t.Errorf("%s: %v, file %s, backup %s; want %v, %s, %s", tt.name, err, read(path), read(path+Backup), tt.err, tt.file, tt.backup)
		}
	}
	// A text that comes while the new one is being written stays too.
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := put(path, []byte("x"), st, func() error { return ErrChanged }); !errors.Is(err, ErrChanged) || read(path) != "a" {
		t.Errorf("%v, file %s", err, read(path))
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("files are left over: %v", left)
	}
}

func TestNodesThatReadOneFileAreEditedTogether(t *testing.T) {
	for name, tt := range map[string]struct {
		edit    api.Edit
		applied bool
		runs    string // at each of them then
	}{
		"it works":       {api.Edit{Kind: "peer", Name: "n4"}, true, "first\nn4\n"},
		"it fails at n3": {api.Edit{Kind: "peer", Name: "broken n3"}, false, "first\n"},
	} {
		nodes := group(t, "n1", "n2", "n3")
		nodes[1].disk, nodes[2].disk = nodes[0].disk, nodes[0].disk
		done, err := nodes[0].Edit(t.Context(), tt.edit)
		if (err == nil) != tt.applied || tt.applied && len(done.Nodes) != 3 {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
		for _, n := range nodes {
			if *n.disk != tt.runs || n.runs != tt.runs {
				t.Errorf("%s: %s has the file %q and runs by %q, want %q", name, n.name, *n.disk, n.runs, tt.runs)
			}
		}
	}
}

func TestFileThatIsNotInEffectIsNotAddedTo(t *testing.T) {
	nodes := group(t, "n1", "n2")
	nodes[0].file, nodes[0].wrong = "", "the file has become empty"
	_, err := nodes[0].Edit(t.Context(), api.Edit{Kind: "stream", Name: "cam"})
	var refused *api.EditError
	if !errors.As(err, &refused) || refused.Status != http.StatusConflict || !strings.Contains(err.Error(), "has become empty") || nodes[0].file != "" {
		t.Errorf("an edit of a file that has become empty: %v, and the file is %q", err, nodes[0].file)
	}
	if _, err := nodes[1].Edit(t.Context(), api.Edit{Kind: "peer", Name: "n4"}); err == nil || nodes[1].file != "first\n" {
		t.Errorf("an edit of the group while the file of n1 is not in effect: %v, and n2 has %q", err, nodes[1].file)
	}
	if _, err := nodes[0].Edit(t.Context(), api.Edit{Kind: api.EditText, Text: "whole\n"}); err != nil || nodes[0].runs != "whole\n" {
		t.Errorf("a whole text in its place: %v, and n1 runs by %q", err, nodes[0].runs)
	}
}
