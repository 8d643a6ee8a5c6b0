package mutants

const (
	externalFile  = "cluster/follower/external.go"
	ownerFile     = "cluster/owner/claim.go"
	allowFile     = "cluster/identity/allow.go"
	askFile       = "cluster/identity/ask.go"
	providerFile  = "cluster/identity/provider.go"
	identityFile  = "cluster/identity/view.go"
	trustFile     = "cluster/trust/client.go"
	gateFile      = "cluster/trust/server.go"
	proofFile     = "cluster/trust/proof.go"
	nonceFile     = "cluster/trust/nonces.go"
	balanceFile   = "cluster/balance/balance.go"
	directoryFile = "cluster/directory/directory.go"
	decideFile    = "cluster/directory/decide.go"
	playFile      = "cluster/router/play.go"
	admitFile     = "cluster/router/publish.go"
	instancesFile = "cluster/router/instances.go"
)

// nodeFaults are between nodes, and between a node and its clients.
var nodeFaults = []Mutant{
	// Who is asked, and who may ask.
	fault(Identity, "generation-lost", "a peer that returns keeps the name under which it was blocked",
		providerFile, "describe", `if m.Name != v.Self {`, `if m.Name == v.Self {`),
	fault(Identity, "old-owner-cached", "where a stream was is not forgotten when its owner changes",
		providerFile, "Provider.Publish", `if v.Owner[stream] != owner {`, `if v.Owner[stream] == owner {`),
	fault(Identity, "members-each-time", "protoactor is told of its members with each view, changed or not",
		providerFile, "Provider.Publish", `p.last = key`, ``).
		equivalent("protoactor leaves its list alone when it is told the members that it has; to tell it less often saves only time"),
	fault(Identity, "last-sender-refused", "the last sender of a batch is out of range",
		allowFile, "allow.batch", `uint(e.GetSender()) > uint(len(m.GetSenders()))`, `uint(e.GetSender()) >= uint(len(m.GetSenders()))`),
	fault(Identity, "any-actor-asked", "a peer may send to actors below those of streams",
		allowFile, "isStream", `&& !strings.Contains(name, "/")`, ``),
	fault(Identity, "refusal-asked-again", "an owner that refuses is asked again, and one that does not have the stream is not",
		askFile, "ask", `refused.Why != wire.Refused_WHY_ELSEWHERE`, `refused.Why == wire.Refused_WHY_ELSEWHERE`),
	fault(Identity, "dead-members", "dead peers stay members",
		identityFile, "ViewOf", `if p.Alive {`, `if p.Alive || p.Advert.Remote != "" {`),
	fault(Identity, "relay-is-own-input", "viewers of a relay keep a publisher from taking the name",
		"cluster/owner/answer.go", "Answerer.claimed", `return i.Own && i.Active`, `return i.Active`),
	fault(Identity, "silent-owner-refuses", "an owner that does not answer keeps publishers away",
		ownerFile, "silent", `errors.Is(err, identity.ErrNoAnswer) ||`, ``),
	fault(Identity, "asked-for-ever", "a publisher's node goes on asking one owner after the other",
		ownerFile, "Claim.Verdict", `c.Asked = append(c.Asked, a.Node)`, `c.Asked = []string{a.Node}`),

	// Keys.
	fault(Trust, "old-nonces", "a nonce counts however old it is",
		nonceFile, "nonces.check", `|| age > lifetime {`, `|| age < 0 {`),
	fault(Trust, "nonce-used-twice", "a nonce that was used is not marked",
		nonceFile, "nonces.check", `*word |= bit`, `_ = bit`),
	fault(Trust, "window-off", "nonces of which it is not known any more whether they were used count",
		nonceFile, "nonces.check", `n.next-serial > window ||`, ``),
	fault(Trust, "bit-not-cleared", "a nonce is refused because another one, a million before it, was used",
		nonceFile, "nonces.issue", `n.used[serial%window/64] &^= 1 << (serial % 64)`, ``),
	fault(Trust, "stale-pool-kept", "the nonces that came before a stale one are tried one by one",
		trustFile, "transport.RoundTrip", `t.pool.drop(target)`, ``),
	fault(Trust, "reply-without-question", "a proved reply is accepted to a request that had no nonce",
		trustFile, "transport.verify", `err != nil || !issued {`, `err != nil {`),
	fault(Trust, "status-not-proved", "the status of a reply is not covered by its proof",
		proofFile, "replySum", `[]byte(strconv.Itoa(status))`, `[]byte(strconv.Itoa(200))`),
	fault(Trust, "method-not-proved", "the method of a request is not covered by its proof",
		proofFile, "requestProof.sign", `[]byte(method)`, `[]byte("GET")`),
	fault(Trust, "zero-key-accepted", "a proof made without a key is accepted by a node without one",
		gateFile, "gate.prover", `&& !k.Zero() {`, `{`),
	fault(Trust, "one-warning-only", "an address is warned of only once in the life of the process",
		gateFile, "warnings.due", `ok && now-t < warnEvery`, `ok && now-t >= 0`),
	fault(Trust, "link-key-accepted", "the key of a link that may only be asked is accepted from those who ask",
		"cluster/trust/keyring.go", "Keyring.Set", `if l.Accepted {`, `if l.Accepted || len(next.byLink) > 0 {`),

	// Balancers.
	fault(Balance, "arrival-not-counted", "clients that a server counts already are counted on top of its figure",
		balanceFile, "Balancer.update", `p.open -= came`, ``),
	fault(Balance, "draining-counted", "only servers that are ready count in the usual rate of a client",
		balanceFile, "bitsOf", `s.State == Ready || s.State == Booting`, `s.State == Ready`),
	fault(Balance, "publisher-to-full-server", "a publisher is sent to a server that takes no streams",
		balanceFile, "Balancer.full", `return s.Full || b.capped(i, l, 0)`, `return b.capped(i, l, 0)`),
	fault(Balance, "guess-keeps-out", "a client is kept out because of the rate that is guessed for it",
		balanceFile, "Balancer.full", "add = 0 // no client is kept out because of a guess", ""),
	fault(Balance, "settle-sign", "choices count once they should no longer, and not before",
		balanceFile, "Balancer.load", `if since-p.at < settle {`, `if since-p.at >= settle {`),
	fault(Balance, "fading-reversed", "the output to new clients fades in instead of out",
		balanceFile, "fading", `scale(bits, int64(window-since), int64(window))`, `scale(bits, int64(since), int64(window))`),
	fault(Balance, "choice-not-open", "of the choices of one moment only the first counts",
		balanceFile, "Balancer.remember", `last.open += weight`, ``),
	fault(Balance, "figure-kept-over-mode", "after a change of mode clients are compared with streams",
		balanceFile, "Balancer.Adopt", `if b.cfg.Mode == old.cfg.Mode {`, `if j >= 0 {`),
	fault(Balance, "booting-first", "servers that boot are chosen before those that are ready",
		balanceFile, "Balancer.pick", `[]State{Ready, Booting}`, `[]State{Booting, Ready}`),
	fault(Balance, "bitrate-not-capped", "a server at its highest output gets further clients whose rate is unknown",
		balanceFile, "Balancer.capped", `l.Sure >= most ||`, ``),
	fault(Balance, "default-countries", "a server for all countries that also lists some gets no others",
		balanceFile, "Balancer.tier", `case e.Default || len(e.Countries) == 0:`, `case len(e.Countries) == 0:`),
	fault(Balance, "old-choices-kept", "choices are remembered for ever",
		balanceFile, "Balancer.load", `if now-p.at >= horizon {`, `if now-p.at < 0 {`),
	fault(Balance, "failed-for-ever", "a server that failed once counts as failing although it has answered since",
		"cluster/balancer/servers.go", "Balancers.candidates", `&& time.Duration(c.is.Measured) < at {`, `&& at > 0 {`),
	fault(Balance, "silence-told-once", "a server that has never answered is not taken for dead",
		externalFile, "external.again", `(e.alive || !e.judged)`, `e.alive`),
	fault(Balance, "same-failure-not-told", "a failure is not told if the last one before an answer had the same reason",
		externalFile, "external.take", "e.failed = \"\"\n", "\n"),
	fault(Balance, "streams-of-the-dead", "the streams of a server that is silent are kept",
		externalFile, "external.again", `e.replica.forget()`, ``),
	fault(Balance, "old-state-of-server", "an answer that comes late replaces a newer one",
		"cluster/follower/state.go", "replica.take", `st.Inc == r.inc && st.Seq <= r.seq)`, `false)`),
	fault(Balance, "claims-shared", "the claims of a state that was handed out are changed by the next answer",
		"cluster/follower/state.go", "replica.streams", `claims = maps.Clone(r.state.Claims)`, `claims = r.state.Claims; _ = maps.Clone(claims)`),

	// Where a client is sent.
	fault(Directory, "sent-to-running-owner", "a client waits here although another node still has the stream",
		decideFile, "View.Decide", `(s.Running || s.Owner == "" || !s.OwnerRunning)`, `(s.Running || s.Owner == "" || s.OwnerRunning)`),
	fault(Directory, "one-hop-more", "a client is sent on once more than allowed",
		decideFile, "View.elsewhere", `r.Hops >= listen.HopLimit`, `r.Hops > listen.HopLimit`),
	fault(Directory, "busiest-node", "of several nodes the one with the most clients is chosen",
		decideFile, "View.owner", `v.Nodes[n].Clients < v.Nodes[best].Clients`, `v.Nodes[n].Clients > v.Nodes[best].Clients`),
	fault(Directory, "hops-not-counted", "a redirect does not count as a hop",
		decideFile, "location", `r.Hops+1`, `r.Hops`),
	fault(Directory, "leaves-tls", "a client that came over TLS is sent to a URL without",
		decideFile, "stays", `n.Public.Scheme == "https"`, `n.Public.Scheme != "https"`),
	fault(Directory, "leaves-proxy", "a client behind a proxy is sent to an address that may be none for it",
		"protocols/listen/listen.go", "Request.MayLeave", `(given || !r.Proxied)`, `true`),
	fault(Directory, "vain-before-warm", "a node that has just started says that nobody publishes a stream",
		decideFile, "View.elsewhere", `"nobody publishes it now", v.Warm`, `"nobody publishes it now", true`),
	fault(Directory, "owner-twice", "a stream that two nodes have is told to others as this node's",
		directoryFile, "View.Owned", `s.Running && s.Owner == ""`, `s.Running`),
	fault(Directory, "view-without-wake-up", "who waits for a newer view is not woken",
		directoryFile, "Directory.Publish", `close(old.changed)`, `_ = old`),
	fault(Directory, "relay-from-itself", "a relay goes on although the stream runs here now",
		directoryFile, "View.Upstream", `s.Here && (s.Running || !s.OwnerRunning)`, `s.Here && !s.OwnerRunning`),
	fault(Directory, "relay-ends-between-owners", "a relay ends before it is known who has the stream next",
		directoryFile, "View.Keeps", `if p != "" || peer == "" {`, `if p != "" || peer == "" || u == "" {`),
	fault(Directory, "relay-outlives-its-publisher", "a relay goes on from a node that nobody publishes to any more",
		directoryFile, "View.Keeps", `!s.Waiting && n.Alive`, `n.Alive`),
	fault(Directory, "closed-hub-kept", "a viewer goes on waiting for a stream that has ended here",
		playFile, "Router.find", `if live == nil || live.Hub.Closed() {`, `if live == nil {`),
	fault(Directory, "demand-not-ended", "a client who has given up still counts as one who waits",
		"cluster/router/demand.go", "Router.want", `if d.waiting[stream]--; d.waiting[stream] == 0 {`, `if d.waiting[stream] == 0 {`),
	fault(Directory, "packed-stream-not-asked", "a stream of which no segments are made serves a viewer of HLS",
		playFile, "Router.live", `(is.Packing || !pack)`, `(is.Packing || pack || !pack)`),
	fault(Directory, "claim-kept-after-srs", "a name that an SRS server does not give is kept",
		admitFile, "Router.claim", `r.cfg.Unclaim(name)`, ``),
	fault(Directory, "srs-name-kept", "the name is not given back to SRS servers when the stream refuses the publisher",
		admitFile, "Router.publish", "release()\n\t\treturn nil, err", "_ = release\n\t\treturn nil, err"),
	fault(Directory, "name-of-another-freed", "a publisher that is refused frees the name of the one who has it",
		admitFile, "Router.admit", `case !errors.Is(p.Err, listen.ErrBusy):`, `case p.Err != nil:`),
	fault(Directory, "instance-swept-early", "a stream of a template is forgotten a minute after its publisher came",
		instancesFile, "Instances.Sweep", `made.last = now`, `_ = now`),
	fault(Directory, "instances-not-counted", "one stream more than allowed is made of templates",
		instancesFile, "Instances.take", `len(i.seen) >= all`, `len(i.seen) > all`),
	fault(Directory, "instance-not-told", "that a stream of a template is gone is not told",
		instancesFile, "Instances.Sweep", `gone = append(gone, name)`, `_ = gone`),
	fault(Directory, "instances-of-address-not-counted", "an address makes one stream more than allowed",
		instancesFile, "Instances.take", `i.byAddress[of] >= perAddress`, `i.byAddress[of] > perAddress`),
	fault(Directory, "instances-of-address-kept", "an address may make no streams again when those that it made are gone",
		instancesFile, "Instances.Sweep", `i.byAddress[made.from]--`, `i.byAddress[made.from] += 0`),
}
