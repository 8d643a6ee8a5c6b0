package timeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"weir/cluster/control"
	"weir/sim"
)

// A knowledge is what a node was and knew at an instant, in the form in which the page's script shows it.
type knowledge struct {
	Is     string   `json:"is"`              // up, down, frozen
	Has    []string `json:"has,omitempty"`   // streams that it runs
	Starts []string `json:"begin,omitempty"` // streams that it starts
	Fails  []string `json:"fail,omitempty"`
	Dead   []string `json:"dead,omitempty"`  // peers that it takes for dead
	Deaf   []string `json:"deaf,omitempty"`  // peers that live by the word of others only
	Unmet  []string `json:"unmet,omitempty"` // peers that have never answered
	Wrong  []string `json:"wrong,omitempty"` // streams, and the owner that it believes they have
	Warm   bool     `json:"warm,omitempty"`
	Drain  bool     `json:"drain,omitempty"`
}

// An instant is what all nodes were: indexes into the list of different knowledges.
type instant struct {
	At    int64 `json:"t"`
	Nodes []int `json:"n"`
}

// panel writes the slider and what it shows. Most snapshots differ little, so each different state of a node stands in
// the page once.
func (p *page) panel() {
	var data struct {
		Nodes  []string          `json:"nodes"`
		Colour []string          `json:"colour"`
		States []json.RawMessage `json:"states"`
		Shots  []instant         `json:"shots"`
		Marks  []mark            `json:"marks"`
	}
	data.States, data.Shots = []json.RawMessage{}, []instant{}
	for i, n := range p.nodes {
		data.Nodes, data.Colour = append(data.Nodes, n), append(data.Colour, colour(i))
	}
	known := map[string]int{}
	for _, snap := range thinned(p.result.Snapshots) {
		shot := instant{At: snap.At.Microseconds()}
		running := owners(snap)
		byName := map[string]sim.NodeState{}
		for _, n := range snap.Nodes {
			byName[n.Name] = n
		}
		for _, name := range p.nodes {
			text := encode(know(byName[name], running))
			i, ok := known[text]
			if !ok {
				i = len(data.States)
				known[text] = i
				data.States = append(data.States, json.RawMessage(text))
			}
			shot.Nodes = append(shot.Nodes, i)
		}
		data.Shots = append(data.Shots, shot)
	}
	data.Marks = p.marks()
	p.f("<section class=moment><div class=slider><button type=button id=back title=\"to what happens before\">◀</button>" +
		"<input type=range id=at min=0 max=1000 value=0><button type=button id=forth title=\"to what happens next\">▶</button>" +
		"<output id=now></output><span class=zoom>zoom <button type=button id=out>−</button><button type=button id=in>+</button></span></div>" +
		"<p id=events></p><div id=cards></div></section>\n")
	p.f("<script type=\"application/json\" id=data>%s</script>\n", encode(data))
}

// encode gives JSON that may stand in a page: encoding/json escapes what would end the element.
func encode(v any) string {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return "{}" // no value of these types fails
	}
	return strings.TrimSpace(b.String())
}

// maxShots bounds what the slider can show; a longer run is shown with larger steps.
const maxShots = 3000

func thinned(list []sim.Snapshot) []sim.Snapshot {
	if len(list) <= maxShots {
		return list
	}
	out := make([]sim.Snapshot, 0, maxShots)
	for i := range maxShots {
		out = append(out, list[i*len(list)/maxShots])
	}
	return out
}

// owners are the nodes that run each stream, by what they know of themselves.
func owners(snap sim.Snapshot) map[string][]string {
	m := map[string][]string{}
	for _, n := range snap.Nodes {
		if n.View == nil || !n.Up {
			continue
		}
		for _, s := range n.View.Streams {
			if s.Mine == control.Running {
				m[s.Name] = append(m[s.Name], n.Name)
			}
		}
	}
	return m
}

func know(n sim.NodeState, running map[string][]string) knowledge {
	k := knowledge{Is: "up"}
	switch {
	case !n.Up || n.View == nil:
		return knowledge{Is: "down"}
	case n.Frozen:
		k.Is = "frozen"
	}
	k.Warm, k.Drain = n.View.Warm, n.View.Draining
	for _, s := range n.View.Streams {
		switch s.Mine {
		case control.Running:
			k.Has = append(k.Has, s.Name)
		case control.Starting:
			k.Starts = append(k.Starts, s.Name)
		case control.Failed:
			k.Fails = append(k.Fails, s.Name)
		}
		if is := running[s.Name]; s.Clustered && len(is) == 1 && s.Owner != is[0] {
			says := s.Owner
			if says == "" {
				says = "nobody"
			}
			k.Wrong = append(k.Wrong, fmt.Sprintf("%s: %s", s.Name, says))
		}
	}
	for _, q := range n.View.Peers {
		switch {
		case q.Name == n.View.Self || q.Name == n.Name: // its own entry
		case !q.Met:
			k.Unmet = append(k.Unmet, q.Name)
		case !q.Alive:
			k.Dead = append(k.Dead, q.Name)
		case !q.Direct:
			k.Deaf = append(k.Deaf, q.Name)
		}
	}
	return k
}

// A mark is something that the buttons beside the slider go to.
type mark struct {
	At   int64  `json:"t"`
	Text string `json:"text"`
}

// marks are the faults, the violations and the changes of owners.
func (p *page) marks() []mark {
	list := []mark{}
	for _, s := range flatten(p.faults) {
		list = append(list, mark{s.From.Microseconds(), s.text})
		if s.To > s.From && s.To < p.until {
			list = append(list, mark{s.To.Microseconds(), s.text + " ends"})
		}
	}
	for _, v := range p.pins {
		list = append(list, mark{v.At.Microseconds(), v.Invariant.String() + ": " + v.Text})
	}
	for _, l := range p.streams {
		for i, c := range l.pieces {
			switch n := len(c.owners); {
			case i == 0 || len(list) > 5000:
			case n == 0 && !l.waiting:
				list = append(list, mark{c.from.Microseconds(), l.name + " has nobody"})
			case n == 1:
				list = append(list, mark{c.from.Microseconds(), l.name + " is on " + p.name(c.owners[0])})
			case n > 1:
				list = append(list, mark{c.from.Microseconds(), l.name + " is on " + strings.Join(p.named(c.owners), " and ")})
			}
		}
	}
	return list
}
