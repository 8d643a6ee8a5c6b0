package place

// Within is [Plan.Spill] where nodes have room for so many streams only: node k gets no further stream while it has room[k]
// or more. It keeps the streams that it has, however many they are. Pinned streams get room before others, but no more than
// there is. A stream whose home has no room is dealt out like an orphan. If no node that may have a stream has room, the
// one with the fewest streams gets it, and [Plan.Over] counts it. A nil room means that no node has limits.
func (p *Plan) Within(live []bool, claimed, room, dst []int) []int {
	p.over = 0
	if room == nil {
		return p.Spill(live, claimed, dst)
	}
	clear(p.load)
	clear(p.used)
	base := len(dst)
	for i := range p.home {
		dst = append(dst, -1)
		if c := claimed[i]; c >= 0 && live[c] {
			p.used[c]++
		}
	}
	to := dst[base:]
	for pass := range 2 {
		for _, i := range p.spillOrder() {
			if p.pinned(i, live) == (pass == 0) && claimed[i] != Nowhere {
				to[i] = p.settled(i, live, claimed[i], room)
			}
		}
	}
	share := p.share(live, claimed)
	if len(p.alive) == 0 {
		return dst
	}
	for _, i := range p.spillOrder() {
		if to[i] >= 0 || claimed[i] == Nowhere {
			continue
		}
		if to[i] = p.successor(i, live, p.used, room, share); to[i] >= 0 {
			p.load[to[i]]++
			p.used[to[i]]++
		}
	}
	p.bringHome(to, live, claimed, room)
	return dst
}

// bringHome gives streams that other nodes have to their homes, pinned ones first, as far as there is room once every stream
// that no node has is dealt out.
func (p *Plan) bringHome(to []int, live []bool, claimed, room []int) {
	for pass := range 2 {
		for _, i := range p.spillOrder() {
			h := p.home[i]
			if p.pinned(i, live) == (pass == 0) && to[i] >= 0 && to[i] == claimed[i] && to[i] != h && p.roomAtHome(i, live, room) {
				to[i] = h
				p.used[h]++
			}
		}
	}
}

// Over is the number of streams that the last [Plan.Within] gave to a node without room.
func (p *Plan) Over() int { return p.over }

func (p *Plan) pinned(i int, live []bool) bool { return p.pin[i] >= 0 && live[p.pin[i]] }

// settled returns the node that has a stream; its home, if no node has it and the home has room; otherwise -1. A stream that
// will go home counts as load of its home.
func (p *Plan) settled(i int, live []bool, owner int, room []int) int {
	at, bears := -1, owner
	if owner >= 0 && live[owner] {
		at = owner
	}
	if p.roomAtHome(i, live, room) {
		bears = p.home[i]
		if at < 0 {
			at = bears
			p.used[at]++
		}
	}
	if at >= 0 {
		p.load[bears]++
	}
	return at
}

// roomAtHome says whether the home of a stream lives and may have one more.
func (p *Plan) roomAtHome(i int, live []bool, room []int) bool {
	h := p.home[i]
	return h >= 0 && live[h] && p.used[h] < room[h]
}
