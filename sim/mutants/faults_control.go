package mutants

const (
	controlFile   = "cluster/control/control.go"
	dampFile      = "cluster/control/damp.go"
	deltaFile     = "cluster/control/delta.go"
	demandFile    = "cluster/control/demand.go"
	fenceFile     = "cluster/control/fence.go"
	limitFile     = "cluster/control/limit.go"
	linkFile      = "cluster/control/link.go"
	nameFile      = "cluster/control/name.go"
	publishFile   = "cluster/control/publish.go"
	rebalanceFile = "cluster/control/rebalance.go"
	releaseFile   = "cluster/control/release.go"
	rulesFile     = "cluster/control/rules.go"
	streamFile    = "cluster/control/stream.go"
	supersedeFile = "cluster/control/supersede.go"
	namesakeFile  = "cluster/control/namesake.go"
	listingFile   = "cluster/control/listing.go"
	viewFile      = "cluster/control/view.go"
)

// controlFaults are in the state machine of the control plane, but for what it makes of its peers' answers.
var controlFaults = []Mutant{
	// Warm-up, pauses and timers.
	fault(Control, "no-warm-up", "a node claims without waiting for its peers' answers",
		controlFile, "Node.warmUp", `if !n.named || !late && !answered {`, `if !n.named {`),
	fault(Control, "publishers-wait-twice", "the queue of publishers that wait for a warm node is not emptied",
		controlFile, "Node.warmUp", "n.waiting = nil", ""),
	fault(Control, "warm-up-not-restarted", "after a pause the time of the first warm-up still counts",
		controlFile, "Node.overslept", `n.warm, n.warmFrom = false, now`, `n.warm = false`),
	fault(Control, "pause-held-against-peers", "peers are taken for dead for the time that this node itself was paused",
		controlFile, "Node.overslept", `p.Slept += late`, `p.Slept += 0`),
	fault(Control, "answers-before-the-pause", "answers from before a pause count as answers of the new warm-up",
		controlFile, "Node.overslept", "l.Answered = false\n", "\n"),
	fault(Control, "timer-lost", "no wake-up is asked for the instant at which a peer gets stale",
		controlFile, "Node.schedule", `next = min(next, n.expireAt)`, ``),
	fault(Control, "wall-clock", "a node goes by the wall clock",
		"sim/process_core.go", "machine.reads", `return m.clock.at(m.w.now)`, `return m.clock.at(m.w.now) + m.clock.wall`),

	// Damping.
	fault(Control, "damping-without-end", "the bound of the damped hold-down is lost",
		dampFile, "damped", `min(max(k, 0), maxDamping)`, `max(k, 0)`),
	fault(Control, "damping-one-too-far", "the first return counts as the second",
		dampFile, "Node.holddown", `count-1`, `count`),
	fault(Control, "old-returns-kept", "returns are held against a node for ever, and new ones are forgotten",
		dampFile, "returns.count", `now-t >= damping`, `now-t < damping`),
	fault(Control, "flap-undamped", "streams go back at once to a peer whose link flaps",
		dampFile, "Node.yieldAt", `if k < 2 || s.single() {`, `if k < 20 || s.single() {`),
	fault(Control, "flap-holds-new-streams", "of a peer that flaps those streams are kept that began here since it came back",
		dampFile, "Node.yieldAt", `if s.Began > back {`, `if s.Began < back {`),
	fault(Control, "no-hold-down", "a node that returns takes its streams back at once",
		rulesFile, "Node.takeBack", `at := n.returnsAt(s)`, `at := s.HoldUntil`),

	// Differences of the state.
	fault(Control, "end-not-told", "a difference does not say that a claim is over",
		deltaFile, "Node.untell", `n.gone = append(n.gone, gone{s.Name, n.version})`, `_ = gone{s.Name, n.version}`),
	fault(Control, "change-under-old-version", "a claim that has changed keeps the version in which it was told before",
		deltaFile, "Node.tell", "continue\n\t\t\t}\n\t\t\tt.Version = n.version", "continue\n\t\t\t}"),
	fault(Control, "end-one-version-late", "the end of a claim is left out of the difference from the version just before it",
		deltaFile, "Node.fillClaims", `g.Version > base &&`, `g.Version > base+1 &&`),
	fault(Control, "merge-keeps-ended", "claims that a difference ends are kept",
		deltaFile, "merge", "for _, name := range over {\n\t\tdrop[name] = true", "for _, name := range over {\n\t\tdrop[name] = false"),

	// Streams on demand.
	fault(Control, "demand-of-peers-ignored", "what clients of a peer want counts only if this node's file lacks the stream",
		demandFile, "Node.wants", `(s.clustered || s.cfg == nil)`, `s.cfg == nil`),
	fault(Control, "clients-timeout-unit", "the time for which a stream is kept after its last client is a thousandth of what the file says",
		demandFile, "stream.clientsTimeout", `return s.cfg.ClientsTimeout`, `return s.cfg.ClientsTimeout / 1000`),
	fault(Control, "demand-kept", "what clients of a peer want is not forgotten when they leave",
		demandFile, "Node.takeWants", `p.Wants = slices.Clone(wants)`, `p.Wants = append(slices.Clone(p.Wants), wants...)`),

	// A suspended machine.
	fault(Control, "no-warm-up-after-suspension", "a node that was suspended claims at once",
		fenceFile, "Node.fence", `n.warm, n.warmFrom = false, n.now`, `n.warmFrom = n.now`),
	fault(Control, "fence-starting-only", "only captures that have not begun are let go of after a suspension",
		fenceFile, "Node.fence", `s.single() && s.active()`, `s.single() && s.State == Starting`),
	fault(Control, "suspension-sign", "evidence seems younger by the time of a suspension, not older",
		fenceFile, "Node.fence", `p.EvidenceAt -= e.For`, `p.EvidenceAt += e.For`),

	// Limits.
	fault(Control, "limit-off", "one stream more than the limit",
		limitFile, "Node.limits", `return own`, "if own.Channels > 0 {\n\t\town.Channels++\n\t}\n\treturn own"),
	fault(Control, "doubted-capture-is-a-retry", "a capture that failed once counts as another try while a sleep of its node makes it doubtful",
		streamFile, "Node.ownClaim", `c.Retry = s.State == Starting && s.Fails > 0`, `c.Retry = s.Fails > 0`),
	fault(Control, "numbering-not-passed-on", "the claims that are passed on of another node lack the numbering of segments",
		linkFile, "Node.stateAsked", `c.Media = &m`, `c.Media = nil; _ = m`),
	fault(Control, "taken-back-not-counted", "a stream that failed here and is taken back from another node counts for no limit",
		limitFile, "Node.rooms", `(s.State == Running || s.Fails == 0 || n.claimed[s.index] >= 0)`, `(s.State == Running || s.Fails == 0)`),
	fault(Control, "full-off-by-one", "a node counts as full when it is beyond its limit, not at it",
		limitFile, "Node.full", `n.captures() >= most`, `n.captures() > most`),
	fault(Control, "full-peer-off-by-one", "a peer counts as full when it is beyond its limit, not at it",
		limitFile, "Node.fullPeer", `p.captures() >= most`, `p.captures() > most`),
	fault(Control, "no-hysteresis", "a busy node takes streams again as soon as its load is below the limit",
		limitFile, "Limits.busy", `cpu >= l.CPU*9/10`, `cpu >= l.CPU`),
	fault(Control, "overfull-for-ever", "the alarm that every node is full does not end",
		limitFile, "Node.overflow", `if over == n.overful {`, `if over == n.overful || n.overful {`),
	fault(Control, "max-limit", "of two limits the higher counts",
		limitFile, "least", `b < a {`, `b > a {`),

	// Edits and names.
	fault(Control, "edit-forgets-peers", "an edit of the file forgets which node an entry leads to",
		nameFile, "Node.configure", `if at >= 0 {`, `if at >= 0 && old[at].Self {`),
	fault(Control, "disabled-streams-listed", "peers are told of streams that are disabled in this node's file",
		nameFile, "Node.listOwn", `!c.Disabled {`, `!c.Disabled || c.Clustered {`),
	fault(Control, "peers-unsorted", "a peer that has told its name stays where its provisional name was in the sorted list",
		nameFile, "Node.rename", `slices.SortFunc(n.peers, func(a, b *peer) int { return strings.Compare(a.Name, b.Name) })`, ``),

	// Numbers of segments.
	fault(Control, "numbers-without-end", "the numbers of a node go on after it has ended",
		"cluster/control/numbering.go", "Node.endNumberings", `s.MediaEnd = n.now + releasing`, ``),
	fault(Control, "numbers-of-others-claimed", "a node claims a stream with the numbers of another node that had it too",
		"cluster/control/numbering.go", "stream.numbered", `if s.Own != (Media{}) {`, `if false {`),
	fault(Control, "ended-numbers-forgotten", "what the claims of a peer said of numbers is forgotten with them",
		"cluster/control/peer.go", "Node.body", `n.rememberOver(p, st)`, ``),

	// Publishers.
	fault(Control, "free-ignored", "the node that has said that it has no publisher is named again",
		publishFile, "Node.publishWanted", `n.first(s, e.Asked)`, `n.first(s, nil)`),
	fault(Control, "dead-claim-outranks", "the claim of a node that was asked in vain goes on outranking the publisher that was granted the name",
		publishFile, "Node.publishWanted", `n.supersedeAsked(s, e.Asked)`, ``),
	fault(Control, "supersession-not-told", "other nodes are not told which claims a grant supersedes",
		streamFile, "Node.ownClaim", `c.Supersedes = n.supersedes(s.Superseded)`, ``),
	fault(Control, "superseded-by-hearsay", "a superseded claim counts again as soon as another node tells of it",
		supersedeFile, "Node.superseded", `if !direct && s.active() {`, `if false && direct {`),
	fault(Control, "supersession-forgotten", "a supersession is forgotten while evidence from before it may still come",
		supersedeFile, "Node.forgetSuperseded", `n.now-v.At > 2*n.stale &&`, ``),
	fault(Control, "supersession-never-forgotten", "a supersession is kept although its node is dead",
		supersedeFile, "Node.forgetSuperseded", `(p == nil || !p.Alive || !n.superseded(s, p))`, `p == nil`),
	fault(Control, "relayed-claim-counts-early", "a claim that was passed on counts again although it may be from before the grant",
		supersedeFile, "Node.superseded", `asked = p.RelayedAt - n.stale`, `asked = p.RelayedAt`),
	fault(Control, "later-grant-ignored", "a supersession is not replaced by that of a later grant",
		supersedeFile, "Node.supersede", `case s.Superseded[i].At < v.At:`, `case false:`),
	fault(Control, "supersessions-not-passed-on", "a claim is passed on without what it supersedes",
		linkFile, "Node.stateAsked", `c.Supersedes = n.supersedes(c.supersessions())`, `c.Supersedes = nil`),
	fault(Control, "supersession-change-not-told", "a peer that has seen a claim is not told that it supersedes more now",
		deltaFile, "Node.tell", `t.Supersessions = s.Supersessions`, ``),
	fault(Control, "yields-to-silence", "a publisher that sends has to go for one that is silent and comes first in the order",
		rulesFile, "Node.yield", `c.c.State != ClaimRunning || c.c.Silent && !s.Silent {`, `c.c.State != ClaimRunning {`),
	fault(Control, "silence-kept", "a silent publisher stays beside one that sends and comes later in the order",
		rulesFile, "Node.yield", `!first && (!s.Silent || c.c.Silent)`, `!first`),
	fault(Control, "silence-given-up-at-once", "a silent publisher goes before the other node can know that it is silent",
		rulesFile, "Node.yield", `at = s.Since + n.stale`, `at = n.now`),
	fault(Control, "silence-not-over", "a publisher that sends again counts as silent",
		streamFile, "Node.captureUp", `s.State != Starting && !s.Silent {`, `s.State != Starting {`),
	fault(Control, "led-to-silence", "clients are led to a silent publisher that comes first in the order rather than to one that sends",
		"cluster/control/view.go", "standing", `c.State == ClaimRunning && !c.Silent:`, `c.State == ClaimRunning:`),
	fault(Control, "two-publishers", "a second publisher is admitted while the first has sent nothing yet",
		publishFile, "Node.publishWanted", `if s.State != Idle && s.State != Stopping {`, `if s.State == Running {`),
	fault(Control, "name-not-freed", "a publisher that leaves before it has sent anything keeps the name",
		publishFile, "Node.publishEnded", `s.State == Idle ||`, `s.State != Running ||`),
	fault(Control, "publisher-sent-to-draining-node", "a publisher is sent to a node that drains",
		publishFile, "Node.elsewhere", `!p.Alive || p.Leaving ||`, `!p.Alive ||`),

	// Rebalancing.
	fault(Control, "rebalance-too-eager", "a stream moves for a difference of one",
		rebalanceFile, "Node.rebalance", `count[at]-count[home] < 2`, `count[at]-count[home] < 1`).
		and(rebalanceFile, "Node.rebalance", `if most-least < 2 {`, `if most-least < 1 {`),
	fault(Control, "rebalance-without-rate", "when a stream was moved last is not noted",
		rebalanceFile, "Node.rebalance", `n.rebalanced = n.now`, `n.rebalanced = 0`),

	// Release.
	fault(Control, "old-release-believed", "the answer to an earlier question counts as an answer to a new one",
		releaseFile, "Node.ask", `s.AskedOf, s.AskedAt, s.Released = of, n.now, false`, `s.AskedOf, s.AskedAt = of, n.now`).
		and(releaseFile, "Node.unask", `s.AskedOf, s.Released = "", false`, `s.AskedOf = ""`),
	fault(Control, "return-not-counted-down", "a question for a release that is given up keeps its place among the returns",
		releaseFile, "Node.unask", `n.endReturn(s)`, ``),
	fault(Control, "release-to-anybody", "a stream is released for a node that comes after this one",
		releaseFile, "Node.releaseAsked", `|| !n.before(s, e.From, n.self)`, ``),
	fault(Control, "release-answered-twice", "the questions for a release are kept after they were answered",
		releaseFile, "Node.answerReleases", `s.Releases = s.Releases[:0]`, ``),
	fault(Control, "release-answered-no", "a capture that has ended answers that it goes on",
		streamFile, "Node.captureStopped", `n.answerReleases(s, true)`, `n.answerReleases(s, false)`),

	// The rules.
	fault(Control, "yield-relayed", "a node yields to a claim of which it has only heard from others",
		rulesFile, "Node.yield", `c.c.Solo || !c.direct || c.c.State`, `c.c.Solo || c.c.State`),
	fault(Control, "yield-starting", "a node yields to a claim without media",
		rulesFile, "Node.yield", `!c.direct || c.c.State != ClaimRunning ||`, `!c.direct ||`),
	fault(Control, "order-reversed", "of two claimants the wrong one yields",
		rulesFile, "Node.above", `return n.before(s, c.p.Name, n.self)`, `return n.before(s, n.self, c.p.Name)`),
	fault(Control, "no-fallback", "rule R4 is missing",
		rulesFile, "Node.claim", `case !served:`, `case !served && n.draining:`),
	fault(Control, "fallback-all-at-once", "all nodes that were not chosen start a stream in the same moment",
		rulesFile, "Node.fallBack", `rank*n.grace()`, `min(rank, 1)*n.grace()`),
	fault(Control, "placed-at-draining-node", "streams are placed at nodes that drain",
		rulesFile, "Node.spill", `p.Alive && !p.Leaving`, `p.Alive`),
	fault(Control, "holder-reversed", "of several claimants the last in the order counts as the holder",
		rulesFile, "Node.holder", `n.before(s, c.p.Name, name)`, `n.before(s, name, c.p.Name)`),
	fault(Control, "drain-gap", "a draining node lets go of a stream as soon as another one starts it",
		rulesFile, "Node.handOn", `c.c.State == ClaimRunning`, `c.c.State != ClaimFailed`),
	fault(Control, "drained-too-early", "a node says that it has handed everything over while captures are still ending",
		rulesFile, "Node.drainedYet", `case s.State == Stopping, s.active() && n.takeable(s):`, `case s.active() && n.takeable(s):`),
	fault(Control, "one-return-too-many", "one stream more than allowed is taken back at once",
		rulesFile, "Node.takeBack", `n.returning < MaxReturning`, `n.returning <= MaxReturning`),
	fault(Control, "edit-preempts", "an edit that makes a node the home of a stream takes it from the node that runs it",
		rulesFile, "Node.rebuild", `s.MayReturn = false`, `s.MayReturn = true`),
	fault(Control, "take-back-from-unaware", "a stream is taken back from a node that does not see this one",
		rulesFile, "Node.takeBack", `!c.direct || c.p.Unaware ||`, `!c.direct ||`),
	fault(Control, "pin-not-told", "peers are not told that a pin has changed",
		rulesFile, "Node.setPin", `n.changed()`, `_ = n.version`),

	// What the node shows of a stream.
	fault(Control, "home-named-as-owner", "clients are led to where a stream belongs, not to where it is",
		viewFile, "Node.viewOwner", `v.Owner, v.OwnerState, v.Reason, v.Of = c.Node, c.State, why, of`,
		"v.Owner, v.OwnerState, v.Reason, v.Of = c.Node, c.State, why, of\n\t\tif s.Home != \"\" {\n\t\t\tv.Owner = s.Home\n\t\t}"),
	fault(Control, "owner-only-if-direct", "a node that has to rely on others names no owner of a stream",
		viewFile, "Node.viewOwner", `for _, c := range s.claimants {`, "for _, c := range s.claimants {\n\t\tif !c.direct {\n\t\t\tcontinue\n\t\t}"),
	fault(Control, "claims-not-shown", "a node goes on naming the owners that it knew before a peer's claims changed",
		"cluster/control/peer.go", "Node.body", "n.dirty, n.peersDirty, n.streamsDirty = true, true, true\n", "n.dirty, n.peersDirty = true, true\n"),
	fault(Control, "owner-out-of-reach", "of two owners the first in the order is named, though this node hears only the other itself",
		viewFile, "Node.betterOwner", `if a.Direct != b.Direct {`, `if false {`),
	fault(Control, "ending-owner-preferred", "of two nodes that have a stream the one that is about to stop is named",
		viewFile, "Node.betterOwner", `return x > y`, `return x < y`),

	// A stream's life.
	fault(Control, "return-slot-leaks", "a stream that has been taken back keeps its place among the returns",
		streamFile, "Node.endReturn", `n.returning--`, ``),
	fault(Control, "epoch-not-raised", "a capture begins with the epoch of the one before",
		streamFile, "Node.start", `s.Epoch++`, ``),
	fault(Control, "up-while-stopping", "media that comes while a capture is being ended makes it run again",
		streamFile, "Node.captureUp", `if s.State != Starting && !s.Silent {`, `if s.State == Running && !s.Silent {`),
	fault(Control, "fails-forgotten", "any capture that has run, however shortly, resets the back-off",
		streamFile, "Node.captureDown", `if n.now-s.Since >= steady {`, `if true {`),
	fault(Control, "source-given-up", "a source that comes and goes is tried as seldom as one that brings nothing",
		streamFile, "Node.captureDown", `s.Brought = n.now`, ``),
	fault(Control, "retry-unit", "a source that failed is tried again after milliseconds instead of seconds",
		streamFile, "stream.pause", `Second<<min(s.Fails, 6)`, `Millisecond<<min(s.Fails, 6)`),
	fault(Control, "no-hold-after-failure", "a stream that has failed here is taken back at once",
		streamFile, "Node.captureDown", `n.hold(s)`, ``),
	fault(Control, "no-hold-after-suspension", "a source of one connection is taken back at once by a node that was suspended",
		fenceFile, "Node.fence", `n.hold(s)`, ``),
	fault(Control, "no-hold-after-pause", "a node that hung takes back at once what others have taken over meanwhile",
		fenceFile, "Node.settle", `n.hold(s)`, ``),
	fault(Control, "resumed-age-sign", "a restarted control plane takes its process for younger than it is",
		streamFile, "Node.resumed", `n.boot -= max(0, e.Up)`, `n.boot += max(0, e.Up)`),
	fault(Control, "resumed-not-running", "captures that go on count as starting after a restart of the control plane",
		streamFile, "Node.resumed", `if c.Up {`, `if !c.Up {`),
	fault(Control, "draining-not-told", "a draining node goes on claiming its streams as ever",
		streamFile, "Node.ownClaim", `case n.draining && s.movable()`, `case !n.draining && n.drained && s.movable()`),
	fault(Control, "retry-blocks", "a repeated attempt at a source keeps other nodes from trying",
		streamFile, "claimant.blocks", `return !c.c.Retry`, `return true`),

	// What others' files list, and two processes with one name.
	fault(Control, "left-out-takes", "a node that no live peer lists goes on taking streams",
		rulesFile, "Node.spill", `!n.draining && !n.unlisted && !n.aside`, `!n.draining && !n.aside`),
	fault(Control, "difference-kept", "how long two claimants have differed about the order is kept when they agree again",
		rulesFile, "Node.yield", `if !differ {`, `if !differ && s.Differs < 0 {`),
	fault(Control, "asker-alarm-kept", "the alarm about a node that is in no entry goes on when it asks no more",
		listingFile, "Node.expireAskers", `!a.Over && n.now >= n.askerUntil(a)`, `!a.Over && n.now < a.Last`),
	fault(Control, "both-stand-aside", "of two processes with one name that nothing else tells apart both stand aside",
		namesakeFile, "Node.namesake", `theirs == mine && st.Instance < n.cfg.Instance`, `theirs == mine`),
	fault(Control, "neither-stands-aside", "a process goes on although the entry of its name leads to another one",
		namesakeFile, "Node.namesake", `theirs && !mine ||`, ``),
	fault(Control, "aside-for-ever", "a process stands aside for one of its name that has long been gone",
		namesakeFile, "Node.standsAside", `l.Why == NameTaken && n.now-l.TakenAt < l.cfg.Stale`, `l.Why == NameTaken`),
	fault(Control, "aside-before-running", "a process that stands aside gives a stream up before the other one runs it",
		namesakeFile, "Node.namesake", `c.State == ClaimRunning && !c.Solo`, `!c.Solo`),
	fault(Control, "name-of-the-displaced-kept", "a link goes on leading to the peer whose name its process has lost",
		namesakeFile, "Node.refuseName", `l.Answered, l.Instance = true, ""`, `l.Answered = true`),

	// Its actor.
	fault(Control, "old-timer-counts", "a wake-up that was replaced counts too, and the one that replaced it does not",
		"cluster/controller/controller.go", "controller.Receive", `if m.n == c.wakes {`, `if m.n < c.wakes {`),
	fault(Control, "release-answer-lost", "nobody who asks for a release is told the answer",
		"cluster/controller/controller.go", "controller.do", `c.asking[e.Token](e.Released)`, ``),
	fault(Control, "granted-to-nobody", "the name granted to a publisher who has given up is not freed",
		"cluster/controller/controller.go", "controller.do", `e.Verdict == control.Granted {`, `e.Verdict != control.Granted {`),
	fault(Control, "same-inc-after-restart", "a restarted control plane goes on under the number of the one that failed",
		"cluster/controller/controller.go", "controller.start", `cfg.Inc += c.incarnation - 1`, ``),
	fault(Control, "suspension-counted-twice", "the time that a machine has slept is counted anew with each step",
		"cluster/controller/controller.go", "controller.step", `c.asleep = asleep`, `c.asleep = was`),
}
