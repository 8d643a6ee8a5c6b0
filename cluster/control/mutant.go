package control

// A Mutant is a fault that is planted into the rules to prove that the simulator notices it.
type Mutant string

// The mutants, each the mistake of somebody who knows the rules by half.
const (
	StaleInclusive Mutant = "stale-inclusive" // a peer is alive at S too
	NoWarmUp       Mutant = "no-warm-up"      // claims are made right after boot
	ArrivalOrder   Mutant = "arrival-order"   // evidence is ordered by its arrival
	YieldToRelayed Mutant = "yield-relayed"   // yield to a claim that only others tell of
	YieldToStart   Mutant = "yield-starting"  // yield to a claim without frames
	OrderReversed  Mutant = "order-reversed"  // of two claimants the wrong one yields
	NoInc          Mutant = "no-inc"          // instances are not told apart
	WallClock      Mutant = "wall-clock"      // time is the wall clock's; planted by the shell
	RelayChained   Mutant = "relay-chained"   // what was relayed is passed on
	NoFallback     Mutant = "no-fallback"     // rule R4 is missing
	TimerLost      Mutant = "timer-lost"      // no wake-up for the staleness of a peer
	NoHolddown     Mutant = "no-hold-down"    // streams are taken back at once
	LimitOffByOne  Mutant = "limit-off"       // one stream more than channel_limit
)

// Mutants are all of them.
var Mutants = []Mutant{
	StaleInclusive, NoWarmUp, ArrivalOrder, YieldToRelayed, YieldToStart, OrderReversed, NoInc, WallClock, RelayChained,
	NoFallback, TimerLost, NoHolddown, LimitOffByOne,
}

// mutant is the one that is planted now; none outside the simulator.
var mutant Mutant

// Mutate plants a fault into every node of this process; the empty Mutant takes it out. Only the simulator calls it,
// while no node steps.
func Mutate(m Mutant) { mutant = m }
