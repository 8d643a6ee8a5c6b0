package real

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"weir/cluster/conf"
	"weir/sim"
)

// ChaosOptions say what a chaos is like.
type ChaosOptions struct {
	Program, Dir string

	Seed    uint64
	Length  time.Duration // all of it, the quiet end included
	Viewers int
	Tell    func(string)
}

// A ChaosReport is what a chaos showed.
type ChaosReport struct {
	Seed                    uint64
	Nodes, Streams          int
	Fetch, Stale            time.Duration
	Length                  time.Duration
	Faults                  map[string]int // by kind
	Boots                   int
	Viewers                 int
	Pictures                int
	Publishers, Refused     int             // that were let in, and that were not
	CaptureGaps, ViewerGaps []time.Duration // sorted
	Heard                   []time.Duration // until each viewer that does not reload playlists got a publisher's media, sorted
	Journals                int
	Late, Stood             map[string]time.Duration // by how much the machine let each node act too late at most, and for how long that was too much
	Judged                  map[string]int
	Violations              []string
}

// drawnTimeouts are pairs of fetch_timeout and stale_timeout in milliseconds.
var drawnTimeouts = [][2]int{{400, 2500}, {500, 2500}, {500, 3000}, {1000, 4000}}

// Streams of a chaos.
const (
	chaosCameras   = 8
	chaosPublished = 3
)

// lateLimit is which part of stale_timeout a node may be late; later, it counts as one that stood still.
const lateLimit = 10

// impatience is how long the viewers of a chaos wait without media before they ask again.
const impatience = 5 * time.Second

// calm is how long the end of a chaos is quiet.
func calm(stale time.Duration) time.Duration { return 20*time.Second + 3*stale }

// DrawChaos makes the scenario of a seed: from three to five nodes, and faults of all kinds that can be done to real processes,
// drawn as those of the swarm.
func DrawChaos(seed uint64, length time.Duration) *sim.Scenario {
	rng := rand.New(rand.NewPCG(seed, 3))
	n := 3 + rng.IntN(3)
	t := drawnTimeouts[rng.IntN(len(drawnTimeouts))]
	var b strings.Builder
	fmt.Fprintf(&b, "cluster_key %032d;\nreturn_holddown %d;\n", 7, []int{1000, 2000, 5000}[rng.IntN(3)])
	s := &sim.Scenario{Name: fmt.Sprintf("chaos, seed %d", seed), Seed: seed, Files: map[string]*conf.File{}}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		s.Nodes = append(s.Nodes, name)
		fmt.Fprintf(&b, "peer %s:8080 { fetch_timeout %d; stale_timeout %d; }\n", name, t[0], t[1])
	}
	for i := range chaosCameras {
		pin := ""
		if i == 0 {
			pin = fmt.Sprintf(" capture_at=n%d", 1+rng.IntN(n))
		}
		fmt.Fprintf(&b, "stream cam%02d { input fake://fake; cluster_ingest%s; }\n", i+1, pin)
	}
	for i := range chaosPublished {
		fmt.Fprintf(&b, "stream live%02d { input publish://; cluster_ingest; }\n", i+1)
	}
	file, problems := conf.Parse("chaos", []byte(b.String()))
	if problems.Failed() {
		panic(fmt.Sprintf("real: a drawn file is wrong: %v", problems)) // a bug of this function
	}
	s.Files[""] = file
	s.Net.Delay = sim.Range{Min: time.Millisecond, Max: time.Millisecond + time.Duration(rng.IntN(30))*time.Millisecond}
	s.Capture.Up = sim.Range{Min: 50 * time.Millisecond, Max: 50*time.Millisecond + time.Duration(rng.IntN(500))*time.Millisecond}
	stale := time.Duration(t[1]) * time.Millisecond
	from, to := 5*time.Second+2*stale, length-calm(stale)
	s.Steps = []sim.Step{{At: from, To: to, Action: sim.Random{}}, {At: to, Action: sim.Quiet{}}}
	s.Until = length
	links := rng.IntN(3) > 0 // otherwise processes and sources alone are disturbed
	drawn := slices.DeleteFunc(sim.Expand(s), func(st sim.Step) bool {
		onLinks := isType[sim.FlapLink](st.Action) || linkFault(&group{s: s}, st.Action) != nil
		return isType[sim.Edit](st.Action) || !Possible(st.Action) || onLinks && !links
	})
	s.Steps = append(drawn, s.Steps[1:]...)
	slices.SortStableFunc(s.Steps, func(a, b sim.Step) int { return cmp.Compare(a.At, b.At) })
	return s
}

// Chaos lets faults happen to real processes under viewers and publishers, and judges what these saw.
func Chaos(ctx context.Context, o ChaosOptions) (*ChaosReport, error) {
	s := DrawChaos(o.Seed, o.Length)
	p := s.Files[""].Peers[0]
	if o.Length < calm(p.StaleTimeout)+30*time.Second {
		return nil, fmt.Errorf("%v is too short for a chaos, of which the last %v are quiet", o.Length, calm(p.StaleTimeout))
	}
	g, err := newGroup(s, s.Steps, o.Program, o.Dir)
	if err != nil {
		return nil, err
	}
	g.patience = impatience
	ctx, cancel := context.WithCancel(ctx)
	defer g.end()
	defer cancel()
	g.late = g.measureLate(ctx)
	err = g.run(ctx, s.Steps, s.Until, func() {
		g.crowd(ctx, o.Viewers)
		g.encoders(ctx)
		g.sample(ctx, p.FetchTimeout)
	})
	if err != nil {
		return nil, err
	}
	end := time.Now()
	if err := g.trees(ctx); err != nil {
		return nil, err
	}
	cancel()
	limit := p.StaleTimeout / lateLimit
	h := g.history(end, limit)
	r := &ChaosReport{
		Seed: o.Seed, Nodes: len(g.nodes), Streams: chaosCameras + chaosPublished, Fetch: p.FetchTimeout, Stale: p.StaleTimeout, Length: h.end,
		Faults: map[string]int{}, Viewers: o.Viewers, Late: map[string]time.Duration{}, Stood: map[string]time.Duration{}, Judged: map[string]int{},
	}
	for _, st := range s.Steps {
		if _, quiet := st.Action.(sim.Quiet); !quiet {
			r.Faults[sim.KindOf(st.Action).Word]++
		}
	}
	most := time.Duration(0)
	for _, n := range g.nodes {
		r.Late[n.name], r.Stood[n.name] = g.late.of(n.name), g.late.still(n.name, limit).sum()
		most = max(most, min(limit, r.Late[n.name]))
	}
	g.end()
	r.Boots = len(g.boots)
	j := &judge{g: g, h: h, r: r, late: most, limit: limit, up: s.Capture.Up.Max + joining, delay: g.base.delay.Max}
	j.all(end)
	events, err := g.replay()
	if err != nil {
		r.Violations = append(r.Violations, err.Error())
	}
	r.Judged["events of journals"] = events
	return r, nil
}

// trees writes the actors of each node beside its log, for those who look for the cause of a violation. A node that does not
// answer has none.
func (g *group) trees(ctx context.Context) error {
	client := &http.Client{Timeout: time.Second}
	for _, n := range g.nodes {
		body, _, err := fetch(ctx, client, "http://"+address(n.host, g.ports.http)+"/api/tree")
		if err != nil {
			continue
		}
		if err := os.WriteFile(n.tree, body, 0o600); err != nil {
			return fmt.Errorf("keeping the actors of %s: %w", n.name, err)
		}
	}
	return nil
}

// crowd lets viewers come: the streams, the protocols and the nodes in turn.
func (g *group) crowd(ctx context.Context, n int) {
	names := streams(g.fileOf(g.nodes[0]), func(bool) bool { return true })
	for i := range n {
		g.watch(ctx, watched[i%len(watched)], names[i/len(watched)%len(names)], g.nodes[(i/len(watched)+i%len(watched))%len(g.nodes)])
	}
}

// encoders publishes each stream that has to be published, again and again: when it was refused or cut off, it tries another node
// soon.
func (g *group) encoders(ctx context.Context) {
	for i, name := range streams(g.fileOf(g.nodes[0]), func(published bool) bool { return published }) {
		rng := rand.New(rand.NewPCG(g.s.Seed, uint64(100+i)))
		g.running.Go(func() {
			for wait(ctx, 200*time.Millisecond+time.Duration(rng.IntN(2000))*time.Millisecond) {
				life, cancel := context.WithTimeout(ctx, time.Duration(5+rng.IntN(40))*time.Second)
				<-g.publish(life, g.nodes[rng.IntN(len(g.nodes))], name).over
				cancel()
			}
		})
	}
}

// An answer is what the API of a node said of the owners of all streams, at some instant between the question and its arrival.
type answer struct {
	asked, came time.Duration
	node        string
	owners      map[string]string
}

// sample asks the API of each node again and again until the context ends.
func (g *group) sample(ctx context.Context, every time.Duration) {
	for _, n := range g.nodes {
		client := &http.Client{Timeout: time.Second}
		g.running.Go(func() {
			for wait(ctx, every) {
				asked := g.since()
				body, _, err := fetch(ctx, client, "http://"+address(n.host, g.ports.http)+"/streamer/api/v3/streams?limit=1000")
				var said struct {
					Streams []struct{ Name, Owner string }
				}
				if err == nil {
					err = json.Unmarshal(body, &said)
				}
				if err != nil {
					continue // the process is down or stands still
				}
				a := answer{asked, g.since(), n.name, map[string]string{}}
				for _, s := range said.Streams {
					a.owners[s.Name] = s.Owner
				}
				g.mu.Lock()
				g.answers = append(g.answers, a)
				g.mu.Unlock()
			}
		})
	}
}
