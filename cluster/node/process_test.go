package node

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/identity"
	"weir/cluster/wire"
	"weir/protocols"
	"weir/protocols/listen/listentest"
)

// boom makes the actor that takes it panic.
type boom struct{}

var errPlanted = errors.New("planted")

// faulty is an environment whose actors panic at a boom.
type faulty struct{ act.Env }

func (faulty) Mailbox() actor.MailboxProducer {
	plain := actor.Unbounded()
	return func() actor.Mailbox { return mined{plain()} }
}

type mined struct{ actor.Mailbox }

func (m mined) RegisterHandlers(i actor.MessageInvoker, d actor.Dispatcher) {
	m.Mailbox.RegisterHandlers(fuse{i}, d)
}

type fuse struct{ actor.MessageInvoker }

func (f fuse) InvokeUserMessage(m any) {
	if _, ok := actor.UnwrapEnvelopeMessage(m).(boom); ok {
		panic(errPlanted)
	}
	f.MessageInvoker.InvokeUserMessage(m)
}

// The nodes of these tests are processes of their own, since protoactor's remote keeps gRPC's logger process-wide: several
// started in one process race. A node is this test binary, told by its standard input what to do.
const nodeVariable = "WEIR_NODE_TEST_NODE"

func TestMain(m *testing.M) {
	if name := os.Getenv(nodeVariable); name != "" {
		os.Exit(runNode(name))
	}
	_ = flag.Set("test.parallel", "6") // tests wait for nodes most of the time, also where there are few processors
	os.Exit(m.Run())
}

// An order is a line that the test sends to a node. An account is the line that the node answers.
type (
	order struct {
		Do     string // start, reload, boom, owners, failing, sessions, describe, memory
		Config string // start, reload
		HTTP   string // start, reload: the address
		Path   string // start: the file that the API edits, of which Config is the text; empty for none
		ID     string // boom: the actor that is to panic
		Stream string // failing, describe
		Files  int    // start: how many the process may have open; 0 for as many as the system lets it
	}
	account struct {
		Err       string
		Addresses map[string][]string        // start
		Owners    map[string]string          // owners: of the running streams; "" for what does not run
		Sessions  []seat                     // sessions
		Node      string                     // describe: who answered
		Tracks    int                        // describe
		Memory    int64                      // memory: that of heap and stacks in use
		Open      map[protocols.Protocol]int // memory: connections
		Failing   bool                       // failing: nodes have failed with the stream again and again, and none tries now
	}
	seat struct {
		ID, Stream string
		Protocol   protocols.Protocol
	}
)

func runNode(name string) int {
	var n *Node
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			if n != nil {
				n.Stop()
			}
			return 0 // the test is over
		}
		var r account
		var err error
		if o.Do == "start" {
			n, err = startNode(name, o)
			if err == nil {
				r.Addresses = n.Addresses()
				r.Addresses["remote"] = []string{n.tree.sys.Address()}
			}
		} else {
			r, err = obey(n, o)
		}
		if err != nil {
			r.Err = err.Error()
		}
		if out.Encode(r) != nil {
			return 1
		}
	}
}

// flags give a node its name, and addresses to its listeners.
func flags(name, http, rtmp, rtsp string) conf.Flags {
	return conf.Flags{Values: map[string][]string{
		"name": {name}, "http": {http}, "rtmp": {rtmp}, "rtsp": {rtsp}, "remote": {"127.0.0.1:0"},
	}}
}

func startNode(name string, o order) (*Node, error) {
	if files := uint64(o.Files); files > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
			return nil, err
		}
	}
	file, problems := o.file(name)
	if problems.Failed() {
		return nil, errors.New(problems.String())
	}
	cfg := Config{
		File: file, Hostname: name, Machine: Machine{Env: func(e act.Env) act.Env { return faulty{e} }},
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if o.Path != "" {
		src := onDisk{o.Path, flags(name, o.HTTP, "127.0.0.1:0", "127.0.0.1:0")}
		cfg.Source, cfg.Reload = src, src.reload
	}
	return Start(cfg)
}

// An onDisk configuration is a file that the API can edit.
type onDisk struct {
	path  string
	flags conf.Flags
}

func (d onDisk) Path() string          { return d.path }
func (d onDisk) Text() ([]byte, error) { return os.ReadFile(d.path) }

func (d onDisk) Check(text []byte) (*conf.File, conf.Problems) {
	return Load(d.path, text, d.flags)
}

func (d onDisk) Parse(text []byte) (*conf.File, conf.Problems) {
	return conf.Load(d.path, text, d.flags)
}

func (d onDisk) reload() (*conf.File, error) {
	text, err := d.Text()
	if err != nil {
		return nil, err
	}
	f, problems := d.Check(text)
	if problems.Failed() {
		return nil, errors.New(problems.String())
	}
	return f, nil
}

// file is the configuration that an order gives.
func (o order) file(name string) (*conf.File, conf.Problems) {
	return conf.Load("test", []byte(o.Config), flags(name, o.HTTP, "127.0.0.1:0", "127.0.0.1:0"))
}

func obey(n *Node, o order) (r account, err error) {
	switch o.Do {
	case "reload":
		file, problems := o.file(n.View().Self)
		if problems.Failed() {
			return r, errors.New(problems.String())
		}
		_, err = n.Reload(file)
	case "boom":
		n.tree.sys.Root.Send(actor.NewPID(n.tree.sys.Address(), o.ID), boom{})
	case "owners":
		r.Owners = map[string]string{}
		if v := n.View(); v != nil {
			for _, s := range v.Streams {
				if r.Owners[s.Name] = ""; s.State == control.StreamRunning {
					r.Owners[s.Name] = s.Owner
				}
			}
		}
	case "failing":
		if v := n.View(); v != nil {
			s := v.Stream(o.Stream)
			r.Failing = s != nil && s.State == control.StreamFailed && s.Lasting
		}
	case "memory":
		r.Memory = inUse()
		r.Open, _ = n.servers.limiter.Counts()
	case "sessions":
		for _, s := range n.sessions.List() {
			r.Sessions = append(r.Sessions, seat{s.ID, s.Stream, s.Protocol})
		}
	case "describe":
		a, err := identity.Ask(context.Background(), n.group.cluster, o.Stream, &wire.Describe{Protocol: wire.Protocol, Stream: o.Stream})
		if err != nil {
			return r, err
		}
		d, ok := a.(*wire.Description)
		if !ok || d.State != wire.State_STATE_RUNNING {
			return r, fmt.Errorf("the answer is %v", a)
		}
		r.Node, r.Tracks = d.Node, len(d.Tracks)
	default:
		err = fmt.Errorf("unknown order %q", o.Do)
	}
	return r, err
}

// A proc is the process of a node.
type proc struct {
	name             string
	http, rtmp, rtsp string            // host:port
	at               map[string]string // by listener
	cmd              *exec.Cmd
	log              lines

	mu  sync.Mutex // one order at a time
	in  io.WriteCloser
	out *json.Decoder
}

func launch(t *testing.T, name string) *proc {
	t.Helper()
	p := &proc{name: name, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), nodeVariable+"="+name, "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = &p.log
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState.Exited() { // and was not killed
			t.Errorf("node %s: %v\n%s", name, err, strings.Join(p.log.about("level=WARN"), ""))
		}
	})
	return p
}

// locate takes in where the node listens.
func (p *proc) locate(at map[string][]string) {
	p.http, p.rtmp, p.rtsp = at["http"][0], at["rtmp"][0], at["rtsp"][0]
	p.at = map[string]string{"cluster": at["remote"][0]}
	for name, list := range at {
		p.at[name] = list[0]
	}
}

// do gives an order and waits for the account.
func (p *proc) do(o order) (r account, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		return r, err
	}
	if err := p.out.Decode(&r); err != nil {
		return r, err
	}
	if r.Err != "" {
		return r, fmt.Errorf("%s: %s", p.name, r.Err)
	}
	return r, nil
}

// must is do, and fails the test at an error.
func (p *proc) must(t *testing.T, o order) account {
	t.Helper()
	r, err := p.do(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// threeNodes starts three nodes of one file, which is given their HTTP ports.
func threeNodes(t *testing.T, streams func(entry [3]string) string) (nodes [3]*proc) {
	t.Helper()
	var entry [3]string
	for i, port := range listentest.Ports(t, 3) {
		entry[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	text := fileOf(entry[:], streams(entry))
	for i := range nodes {
		p := launch(t, fmt.Sprintf("n%d", i+1))
		p.locate(p.must(t, order{Do: "start", Config: text, HTTP: entry[i]}).Addresses)
		nodes[i] = p
	}
	return nodes
}

// fileOf is the file of a group.
func fileOf(entries []string, streams string) string {
	text := "cluster_key for-the-test-only-0123;\nreturn_holddown 1000;\n"
	for _, e := range entries {
		text += "peer " + e + " { fetch_timeout 500; stale_timeout 3000; }\n"
	}
	return text + streams
}

// soon waits until ok returns nil.
func soon(t *testing.T, what string, ok func() error) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("%s: %v", what, err)
		}
	}
}
