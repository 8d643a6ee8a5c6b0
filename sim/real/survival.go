package real

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weir/protocols"
	"weir/sim"
	"weir/sim/scenario"
)

// survivalPeers are the nodes of the runs that show which viewers survive what: one owns the stream, one takes it over, and viewers
// ask the others, whose files have no stream and say how viewers are led to it.
const survivalPeers = `cluster_key for-the-tests-only-0123; return_holddown 5000;
peer owner:8080; peer spare:8080; peer redirects:8080; peer relays:8080; peer lists:8080;
`

// survivalGroup is the group as sections of a scenario.
const survivalGroup = "-- cluster.conf --\n" + survivalPeers + "stream cam { input fake://fake; cluster_ingest capture_at=owner; }\n" +
	"-- redirects.conf --\n" + survivalPeers + "redirect always; hls redirect;\n" +
	"-- relays.conf --\n" + survivalPeers + "relay rtmp rtsp mpegts flv; hls relay;\n" +
	"-- lists.conf --\n" + survivalPeers + "hls playlist;\n"

// An event is what happens to the owner of a stream, and the time in which its viewers are looked at.
type event struct {
	name     string
	from, to time.Duration
}

// survivalRuns are scenarios for the group, and the events in them.
var survivalRuns = []struct {
	steps  string
	events []event
}{
	{
		steps:  "at 8s crash owner\nat 33s restart owner\nuntil 63s\n",
		events: []event{{"killed", 8 * time.Second, 33 * time.Second}, {"returned", 33 * time.Second, 63 * time.Second}},
	},
	{
		steps:  "from 8s to 38s pause owner\nuntil 63s\n",
		events: []event{{"frozen", 8 * time.Second, 38 * time.Second}, {"thawed", 38 * time.Second, 63 * time.Second}},
	},
	{
		steps:  "at 8s drain owner\nuntil 58s\n",
		events: []event{{"drained", 8 * time.Second, 58 * time.Second}},
	},
}

// SurvivalEvents are the columns of a [Survival].
var SurvivalEvents = []string{"killed", "returned", "frozen", "thawed", "drained"}

// A Survival is what became of the viewers of one protocol whose owner was killed and came back, hung and went on, or was
// drained.
type Survival struct {
	Protocol protocols.Protocol
	Led      string // redirect, relay or playlist: how the node that was asked led the viewers to the stream
	Outcomes map[string]Outcome
	Back     string // the first picture of a connection that was not later than the one before; empty if there is none
}

// An Outcome is what a viewer met.
type Outcome struct {
	Kept    bool          // its connection, or that it reloads the same playlist
	Media   bool          // it had media again in the end
	Silence time.Duration // the longest time without media; zero if it was short
}

// String gives the words of a table.
func (o Outcome) String() string {
	switch {
	case !o.Media:
		return "neither media nor an end"
	case o.Silence == 0 && o.Kept:
		return "no gap"
	case o.Kept:
		return fmt.Sprintf("%.1f s", o.Silence.Seconds())
	case o.Silence == 0:
		return "has to come back"
	}
	return fmt.Sprintf("has to come back, %.1f s", o.Silence.Seconds())
}

// Wrong is what contradicts the promises, a sentence each: a viewer to whom the stream is relayed keeps its connection and has media
// again, whatever happens to the owner, and no connection sees time go back.
func (s Survival) Wrong() (list []string) {
	who := protocols.Of(s.Protocol).Title + ", " + s.Led
	if s.Back != "" {
		list = append(list, fmt.Sprintf("%s: time went back: %s", who, s.Back))
	}
	for _, e := range SurvivalEvents {
		if o := s.Outcomes[e]; s.Led == "relay" && (!o.Kept || !o.Media) {
			list = append(list, fmt.Sprintf("%s, %s: %s", who, e, o))
		}
	}
	return list
}

// survivors are the viewers of each run. A viewer that is silent longer than any run lasts never asks again by itself.
var survivors = []struct {
	protocol protocols.Protocol
	led      string
	entry    string
}{
	{protocols.RTMP, "redirect", "redirects"},
	{protocols.RTMP, "relay", "relays"},
	{protocols.RTSP, "redirect", "redirects"},
	{protocols.RTSP, "relay", "relays"},
	{protocols.TS, "redirect", "redirects"},
	{protocols.TS, "relay", "relays"},
	{protocols.FLV, "redirect", "redirects"},
	{protocols.FLV, "relay", "relays"},
	{protocols.HLS, "redirect", "redirects"},
	{protocols.HLS, "playlist", "lists"},
	{protocols.HLS, "relay", "relays"},
}

// Survive shows which viewers survive what, with real processes.
func Survive(ctx context.Context, o Options) ([]Survival, error) {
	list := make([]Survival, len(survivors))
	for i, s := range survivors {
		list[i] = Survival{Protocol: s.protocol, Led: s.led, Outcomes: map[string]Outcome{}}
	}
	for _, run := range survivalRuns {
		name := run.events[0].name
		d, problems := scenario.Parse(name, []byte(survivalGroup+"-- scenario --\nseed 1 net delay 1ms\n"+run.steps))
		if d == nil {
			return nil, fmt.Errorf("reading the scenario of an owner that is %s: %v", name, problems)
		}
		at := o
		at.Dir = filepath.Join(o.Dir, name)
		if err := os.MkdirAll(at.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("making a directory for the nodes: %w", err)
		}
		if o.Tell != nil {
			o.Tell("the owner is " + name)
		}
		if err := survive(ctx, d.Scenario, at, run.events, list); err != nil {
			return nil, fmt.Errorf("an owner that is %s: %w", name, err)
		}
	}
	return list, nil
}

// survive runs one scenario and adds what viewers met to the list.
func survive(ctx context.Context, s *sim.Scenario, o Options, events []event, list []Survival) error {
	steps := slices.SortedStableFunc(slices.Values(s.Steps), func(a, b sim.Step) int { return cmp.Compare(a.At, b.At) })
	g, err := newGroup(s, steps, o.Program, o.Dir)
	if err != nil {
		return err
	}
	g.patience = s.Until // no viewer asks again because it has got nothing
	ctx, cancel := context.WithCancel(ctx)
	defer g.end()
	defer cancel() // before the end, which waits for the viewers
	err = g.run(ctx, steps, s.Until, func() {
		for _, w := range survivors {
			g.come(ctx, &viewer{Stream: "cam", Protocol: w.protocol, entry: g.node(w.entry), follows: w.led == "redirect", strict: true})
		}
	})
	if err != nil {
		return err
	}
	end := time.Now()
	for i, v := range g.viewers {
		for _, e := range events {
			list[i].Outcomes[e.name] = v.met(g.zeroStep(e.from), g.zeroStep(e.to), end)
		}
		v.mu.Lock()
		list[i].Back = cmp.Or(list[i].Back, v.backText())
		v.mu.Unlock()
	}
	return nil
}

// rhythm is the longest time between two segments that is no gap: a segment lasts four seconds, and players reload in between.
const rhythm = 8 * time.Second

// met is what a viewer met between two instants. A silence counts where it began.
func (v *viewer) met(from, to, end time.Time) (o Outcome) {
	v.mu.Lock()
	defer v.mu.Unlock()
	least := noted
	if v.Protocol == protocols.HLS {
		least = rhythm
	}
	o.Kept = !slices.ContainsFunc(v.Ends, func(at time.Time) bool { return at.After(from) && at.Before(to) })
	o.Media = !v.at.IsZero()
	for _, s := range append(slices.Clone(v.Gaps), silent{v.at, end}) {
		if s.To.Before(from) || s.From.Before(from.Add(-least)) || s.From.After(to) || s.To.Sub(s.From) < least {
			continue
		}
		if s.To.After(to) {
			o.Media = false
		}
		o.Silence = max(o.Silence, s.To.Sub(s.From))
	}
	return o
}
