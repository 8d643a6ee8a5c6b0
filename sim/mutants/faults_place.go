package mutants

const (
	placeFile      = "cluster/place/place.go"
	homeFile       = "cluster/place/home.go"
	placeLimitFile = "cluster/place/limit.go"
)

// placeFaults are in the placement of streams.
var placeFaults = []Mutant{
	fault(Place, "score-reversed", "of two nodes the one with the lower score comes first",
		placeFile, "Before", `return x > y`, `return x < y`),
	fault(Place, "home-before-pin", "the home comes before the pin in the order of a stream",
		placeFile, "Before", `case pin != "" && (a == pin || b == pin):`, `case pin != "" && home == "" && (a == pin || b == pin):`),
	fault(Place, "quota-without-rest", "the quota is rounded up for every node",
		homeFile, "quota", `return low, total % within`, `return low + min(total%within, 1), 0`),
	fault(Place, "one-more-for-all", "every node may have one stream more than the quota, not only as many as are needed",
		homeFile, "dealing.room", `r.load[node] == r.low && r.extra > 0`, `r.load[node] == r.low`),
	fault(Place, "heap-upside-down", "pairs are dealt in rising score",
		homeFile, "dealing.less", `return a.score > b.score`, `return a.score < b.score`),
	fault(Place, "level-off-by-one", "a stream moves to a node that has only one fewer",
		homeFile, "Plan.level", `p.load[k]+2 <= p.load[from]`, `p.load[k]+1 <= p.load[from]`),
	fault(Place, "cap-off-by-one", "orphans go to a node that has its even share already",
		placeFile, "Plan.successor", `p.load[k] < share &&`, `p.load[k] <= share &&`),
	fault(Place, "cap-lost", "the even share is no limit for orphans",
		placeFile, "Plan.share", `return low + min(extra, 1)`, `return low + extra + free`),
	fault(Place, "pins-not-counted", "pinned streams do not count in the even share",
		placeFile, "Plan.share", `p.pins[p.pin[i]]++`, ``),
	fault(Place, "pins-free-homes", "pinned streams do not count in the spread of the homes",
		placeFile, "NewPlan", `p.load[at]++`, ``),
	fault(Place, "most-loaded", "what is left over goes to the node with the largest load",
		placeFile, "Plan.least", `load[k] < load[to] ||`, `load[k] > load[to] ||`),
	fault(Place, "orphans-not-sticky", "an orphan that runs somewhere is dealt out anew",
		placeFile, "Plan.Spill", `case claimed[i] >= 0 && live[claimed[i]]:`, `case claimed[i] >= 0 && live[claimed[i]] && h < 0:`),
	fault(Place, "spill-load-not-counted", "an orphan that was dealt out does not count for the next",
		placeFile, "Plan.Spill", "dst[base+i] = to\n\t\t\tp.load[to]++", "dst[base+i] = to"),
	fault(Place, "room-not-used-up", "an orphan that was dealt out takes no room",
		placeLimitFile, "Plan.Within", `p.used[to[i]]++`, ``),
	fault(Place, "room-at-home-off-by-one", "a home that is full gets one more",
		placeLimitFile, "Plan.roomAtHome", `p.used[h] < room[h]`, `p.used[h] <= room[h]`),
	fault(Place, "brought-home-not-counted", "streams that are brought home take no room there",
		placeLimitFile, "Plan.bringHome", `p.used[h]++`, ``),
	fault(Place, "pinned-last", "pinned streams get room after the others",
		placeLimitFile, "Plan.Within", `p.pinned(i, live) == (pass == 0)`, `p.pinned(i, live) == (pass == 1)`),
	fault(Place, "over-not-counted", "streams given to a full node are not counted",
		placeFile, "Plan.successor", `p.over++`, ``),
	fault(Place, "pin-without-stream", "a pin counts although the node's file does not have the stream",
		placeFile, "NewPlan", `ok && s.Pin != "" && s.On.Has(at)`, `ok && s.Pin != ""`),
	fault(Place, "orphan-to-node-without-stream", "an orphan goes to a node whose file does not have the stream",
		placeFile, "Plan.successor", `return live[k] && p.May(i, k)`, `return live[k]`),
	fault(Place, "rank-counts-the-dead", "dead nodes count in the order in which those that were not chosen try",
		placeFile, "Plan.Rank", `k != first && live[k] &&`, `k != first &&`),
	fault(Place, "idle-streams-count", "streams that no client wants count in the even share",
		placeFile, "Plan.share", `case claimed[i] == Nowhere:`, `case claimed[i] == Nowhere && false:`),
	fault(Place, "room-of-the-running", "what runs at a node takes no room there",
		placeLimitFile, "Plan.Within", `p.used[c]++`, ``),
	fault(Place, "orphan-to-dead-node", "an orphan goes to a node that is dead",
		placeFile, "Plan.successor", `return live[k] && p.May(i, k)`, `return p.May(i, k)`),
}
