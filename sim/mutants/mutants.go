// Package mutants plants known faults into the source of the cluster's rules, to prove that the simulator notices each of
// them. A fault is an edit of some lines. All of them are built into one program by `go build -overlay`, which leaves the
// source as it is, and an environment variable of that program says which of them is on. So nothing that is shipped holds
// a switch.
//
// It does not know the rules that it breaks, nor by which invariant a fault is noticed. Without Go and weir's source it can
// do nothing.
package mutants

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"weir/sim"
	"weir/sim/scenario"
)

// A Mutant is a fault that can be planted: the mistake of somebody who knows the rules by half.
type Mutant struct {
	Name string
	What string // it does, in a few words

	scenarios []string // in which it is looked for, the likeliest first
	edits     []edit
}

// An edit replaces a text that stands once in a file. Edits are made in the order of the table, those of one file one
// after the other.
type edit struct{ file, old, new string }

// planted is the file that every edit relies on.
const (
	plantedFile = "cluster/control/planted.go"
	planted     = `package control

import "os"

// Planted says whether a fault is on.
func Planted(name string) bool { return name == on }

var on = os.Getenv("` + variable + `")
`
	variable = "WEIR_MUTANT"
)

// Files of the rules.
const (
	nodeFile    = "cluster/control/control.go"
	peerFile    = "cluster/control/peer.go"
	rulesFile   = "cluster/control/rules.go"
	linkFile    = "cluster/control/link.go"
	limitFile   = "cluster/control/limit.go"
	machineFile = "sim/process_core.go"
)

// All are the faults that are planted.
var All = []Mutant{
	{"stale-inclusive", "a peer counts as alive at S itself", []string{"crash"}, []edit{
		{peerFile, `n.now-p.EvidenceAt-p.Slept < p.Stale`, `(n.now-p.EvidenceAt-p.Slept < p.Stale || n.now-p.EvidenceAt-p.Slept == p.Stale && Planted("stale-inclusive"))`},
	}},
	{"no-warm-up", "claims without waiting for answers", []string{"start"}, []edit{
		{nodeFile, `if !n.named || !late && !answered {`, `if !n.named || !late && !answered && !Planted("no-warm-up") {`},
	}},
	{"arrival-order", "evidence in the order of its arrival", []string{"reorder", "loop"}, []edit{
		{peerFile, "	switch {\n	case p.replaced(e.Instance),", "	switch {\n	case Planted(\"arrival-order\"):\n	case p.replaced(e.Instance),"},
		{peerFile, `e.Inc <= p.Said.Inc {`, `e.Inc <= p.Said.Inc && !Planted("arrival-order") {`},
		{peerFile, `n.now-age <= p.Asked {`, `n.now-age <= p.Asked && !Planted("arrival-order") {`},
		{peerFile, `if !full && (!p.Said.older(e) || !p.Relayed.older(e)) {`, `if !full && (!p.Said.older(e) || !p.Relayed.older(e)) && !Planted("arrival-order") {`},
	}},
	{"yield-relayed", "yields to a claim it only heard of", []string{"one link", "split"}, []edit{
		{rulesFile, `if c.c.Solo || !c.direct ||`, `if c.c.Solo || !c.direct && !Planted("yield-relayed") ||`},
	}},
	{"yield-starting", "yields to a claim that only starts", []string{"return", "split"}, []edit{
		{rulesFile, `|| c.c.State != ClaimRunning {`, `|| c.c.State != ClaimRunning && !Planted("yield-starting") {`},
	}},
	{"order-reversed", "of two claimants the wrong one yields", []string{"split", "return"}, []edit{
		{rulesFile, "byScore bool) bool {\n", "byScore bool) bool {\n	if Planted(\"order-reversed\") {\n		return n.before(s, n.self, c.p.Name)\n	}\n"},
	}},
	{"no-inc", "does not tell instances apart", []string{"loop", "reorder"}, []edit{
		{peerFile, `case e.Inc != f.Inc:`, `case e.Inc != f.Inc && !Planted("no-inc"):`},
		{peerFile, `case p.replaced(e.Instance),`, `case p.replaced(e.Instance) && !Planted("no-inc"),`},
		{peerFile, `&& asked < p.Asked,`, `&& asked < p.Asked && !Planted("no-inc"),`},
	}},
	{"wall-clock", "goes by the wall clock", []string{"wall clock"}, []edit{
		{machineFile, "	return m.clock.at(m.w.now)\n", "	if control.Planted(\"wall-clock\") {\n		return m.clock.at(m.w.now) + m.clock.wall\n	}\n	return m.clock.at(m.w.now)\n"},
	}},
	{"relay-chained", "passes on what was passed on to it", []string{"one link", "ring"}, []edit{
		{linkFile, "		if !p.Met || !p.Direct && p.Name != e.From {", `		if Planted("relay-chained") && p.Met && !p.Direct && p.Alive && p.Relayed.Instance != "" {
			st.Ages = append(st.Ages, Age{
				Node: p.Name, Instance: p.Relayed.Instance, Inc: p.Relayed.Inc, Seq: p.Relayed.Seq, Age: ageMS(n.now, p.EvidenceAt),
			})
			continue
		}
		if !p.Met || !p.Direct && p.Name != e.From {`},
	}},
	{"no-fallback", "no rule R4", []string{"blind node"}, []edit{
		{rulesFile, `case !served:`, `case !served && !Planted("no-fallback"):`},
	}},
	{"timer-lost", "no wake-up when a peer gets stale", []string{"pair", "crash"}, []edit{
		{nodeFile, "		if p.Alive {\n			next", "		if p.Alive && !Planted(\"timer-lost\") {\n			next"},
		{nodeFile, "		if p.Direct {\n			next", "		if p.Direct && !Planted(\"timer-lost\") {\n			next"},
	}},
	{"no-hold-down", "takes streams back at once", []string{"return"}, []edit{
		{rulesFile, "	at := max(n.boot+n.holddown(), s.HoldUntil)\n", "	at := max(n.boot+n.holddown(), s.HoldUntil)\n	if Planted(\"no-hold-down\") {\n		at = n.now\n	}\n"},
	}},
	{"limit-off", "one stream more than the limit", []string{"limit"}, []edit{
		{limitFile, "	return own\n", "	if Planted(\"limit-off\") && own.Channels > 0 {\n		own.Channels++\n	}\n	return own\n"},
	}},
}

// planting gives the files with all faults in them, by their names. Read gives a file of the source.
func planting(read func(file string) ([]byte, error)) (map[string]string, error) {
	files := map[string]string{plantedFile: planted}
	for _, m := range All {
		for _, e := range m.edits {
			if _, ok := files[e.file]; !ok {
				text, err := read(e.file)
				if err != nil {
					return nil, fmt.Errorf("planting %s: %w", m.Name, err)
				}
				files[e.file] = string(text)
			}
			if n := strings.Count(files[e.file], e.old); n != 1 {
				return nil, fmt.Errorf("planting %s: found %q %d times in %s, expected it once: the source is not that of this program", m.Name, e.old, n, e.file)
			}
			files[e.file] = strings.Replace(files[e.file], e.old, e.new, 1)
		}
	}
	return files, nil
}

// texts are small groups in which one thing goes wrong.
//
//go:embed scenarios
var texts embed.FS

// text is a scenario as it is written.
func text(name string) []byte {
	b, err := texts.ReadFile("scenarios/" + strings.ReplaceAll(name, " ", "_") + ".txtar")
	if err != nil {
		panic(fmt.Sprintf("mutants: the table names a scenario that is not there: %v", err)) // a bug of the table
	}
	return b
}

// names are those of all scenarios in which mutants are looked for.
func names() []string {
	var list []string
	for _, m := range All {
		list = append(list, m.scenarios...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Pack runs the standard pack: a swarm of so many seeds, and the scenarios of the mutants with no fault planted. Together
// they have to reach every one of [sim.SometimesStates] and exercise every invariant that applies.
func Pack(o sim.SweepOptions) *sim.SweepResult {
	list := names()
	swarm := o.Seeds
	o.Seeds += uint64(len(list))
	return sim.Sweep(o, func(seed uint64) *sim.Scenario {
		if i := seed - o.From; i >= swarm {
			d, problems := scenario.Parse(list[i-swarm]+".txtar", text(list[i-swarm]))
			if d == nil {
				panic(fmt.Sprintf("mutants: a scenario is wrong: %v", problems)) // a bug of the file
			}
			return d.Scenario
		}
		return sim.Draw(seed, sim.SwarmOptions{})
	})
}
