package identity

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"

	"weir/cluster/trust"
	"weir/cluster/wire"
)

// Nodes of these tests are processes of their own, since the library keeps its gRPC logger process-wide: several
// started remotes in one process race. A node is this test binary, told by its standard input what to do.
const nodeVariable = "WEIR_IDENTITY_TEST_NODE"

func TestMain(m *testing.M) {
	if name := os.Getenv(nodeVariable); name != "" {
		os.Exit(runNode(name))
	}
	os.Exit(m.Run())
}

func quiet(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }

// An order is one line to a node; a report is its answer.
type (
	order struct {
		Do        string
		Listen    string
		Advertise string
		Key       string
		Other     string // the key of the links to and from all peers
		View      *View
		Stream    string
		Count     int
	}
	report struct {
		Addr, SysID string // start
		Node        string // ask, request: who answered
		Count       int    // await: the messages that the stub got
		Err         string
		NoOwner     bool
		NoAnswer    bool
		Refused     int // messages that the allow-list refused
	}
)

// stub is the actor of a stream that answers and counts.
type stub struct {
	node string
	away bool // answers that it is not the owner
	*sync.Cond
	got int
}

func (s *stub) Receive(ctx actor.Context) {
	m, ok := ctx.Message().(wire.Question)
	if !ok {
		return
	}
	s.L.Lock()
	s.got++
	s.Broadcast()
	s.L.Unlock()
	switch q := m.(type) {
	case *wire.Describe:
		if s.away {
			ctx.Respond(wire.Refuse(q, wire.Refused_WHY_ELSEWHERE, "not here"))
			return
		}
		ctx.Respond(&wire.Description{Protocol: wire.Protocol, Ask: q.GetAsk(), Stream: q.GetStream(), Node: s.node})
	}
}

type testNode struct {
	name  string
	sys   *actor.ActorSystem
	c     *cluster.Cluster
	p     *Provider
	stop  func()
	stubs map[string]*stub

	mu      sync.Mutex
	refused int
}

func runNode(name string) int {
	n := &testNode{name: name, stubs: map[string]*stub{}}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			if n.stop != nil {
				n.stop()
			}
			return 0 // the test is over
		}
		r, err := n.do(o)
		if err != nil {
			r.Err, r.NoOwner, r.NoAnswer = err.Error(), errors.Is(err, ErrNoOwner), errors.Is(err, ErrNoAnswer)
		}
		if out.Encode(r) != nil {
			return 1
		}
	}
}

func (n *testNode) do(o order) (r report, err error) {
	switch o.Do {
	case "start":
		n.sys = actor.NewActorSystem(actor.WithLoggerFactory(quiet))
		keys, other := trust.Derive(o.Key), trust.Derive(o.Other) // here, since it takes longer than a question may
		n.c, n.p, n.stop, err = Start(n.sys, Options{
			Listen: o.Listen, Advertise: o.Advertise, Keys: func() []trust.Keys { return []trust.Keys{keys, other} },
			KeysOf:  func(string) trust.Keys { return other },
			Refused: func(string, error) { n.mu.Lock(); n.refused++; n.mu.Unlock() },
		})
		return report{Addr: n.sys.Address(), SysID: n.sys.ID}, err
	case "view":
		n.p.Publish(o.View)
	case "spawn", "spawn away":
		s := &stub{node: n.name, away: o.Do != "spawn", Cond: sync.NewCond(&sync.Mutex{})}
		n.stubs[o.Stream] = s
		_, err = n.sys.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return s }), StreamID(o.Stream))
	case "stop":
		err = n.sys.Root.StopFuture(actor.NewPID(n.sys.Address(), StreamID(o.Stream))).Wait()
	case "ask":
		m, err := Ask(context.Background(), n.c, o.Stream, &wire.Describe{Protocol: wire.Protocol, Stream: o.Stream})
		if err != nil {
			return r, err
		}
		r.Node = m.(*wire.Description).GetNode()
	case "request": // as any user of protoactor's virtual actors would
		m, err := n.c.Request(o.Stream, Kind, &wire.Describe{Protocol: wire.Protocol, Stream: o.Stream},
			cluster.WithTimeout(AskLimit), cluster.WithRetryCount(AskTries),
			cluster.WithRetryAction(func(i int) int { <-time.After(AskPause); return i + 1 }))
		if err != nil {
			return r, err
		}
		r.Node = m.(*wire.Description).GetNode()
	case "await":
		s := n.stubs[o.Stream]
		s.L.Lock()
		defer s.L.Unlock()
		for s.got < o.Count {
			s.Wait()
		}
		r.Count = s.got
		n.mu.Lock()
		defer n.mu.Unlock()
		r.Refused = n.refused
	default:
		err = fmt.Errorf("unknown order %q", o.Do)
	}
	return r, err
}

// A proc is a node as the test sees it.
type proc struct {
	t      *testing.T
	name   string
	member Member
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *bytes.Buffer
	dead   bool
}

// launch starts a process that has not started its remote yet.
func launch(t *testing.T, name string) *proc {
	t.Helper()
	p := &proc{t: t, name: name, cmd: exec.Command(os.Args[0]), stderr: &bytes.Buffer{}}
	// A process under the race detector lingers for a second to report; ours have nothing left to do.
	p.cmd.Env = append(os.Environ(), nodeVariable+"="+name, "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		if err := p.cmd.Wait(); err != nil && !p.dead {
			t.Errorf("node %s: %v\n%s", name, err, p.stderr)
		}
	})
	return p
}

const clusterKey = "abcd"

func boot(t *testing.T, name string) *proc {
	t.Helper()
	p := launch(t, name)
	r := p.must(order{Do: "start", Listen: "127.0.0.1:0", Key: clusterKey})
	p.member = Member{Name: name, Addr: r.Addr, SysID: r.SysID}
	return p
}

func (p *proc) do(o order) report {
	p.t.Helper()
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		p.t.Fatalf("node %s: %s: %v\n%s", p.name, o.Do, err, p.stderr)
	}
	line, err := p.out.ReadBytes('\n')
	var r report
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		_ = p.cmd.Wait()
		p.t.Fatalf("node %s: %s: %v\n%s", p.name, o.Do, err, p.stderr)
	}
	return r
}

func (p *proc) must(o order) report {
	p.t.Helper()
	r := p.do(o)
	if r.Err != "" {
		p.t.Fatalf("node %s: %s: %s", p.name, o.Do, r.Err)
	}
	return r
}

func (p *proc) kill() {
	p.dead = true
	_ = p.cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, p.out)
}

// publish gives every node the view of owner, as "stream=node …", over the given members.
func publish(members []Member, owners string, to ...*proc) {
	owner := map[string]string{}
	for _, o := range strings.Fields(owners) {
		stream, node, _ := strings.Cut(o, "=")
		owner[stream] = node
	}
	for _, p := range to {
		p.must(order{Do: "view", View: &View{Self: p.name, Members: members, Owner: owner}})
	}
}
