package place

// Within is [Plan.Spill] where nodes have room for so many streams only: a node gets no stream more while it has
// room[k] or more. What it has it keeps, however many that are, and a pin goes before other streams but not beyond the
// room. A stream whose home has none left is dealt out like an orphan. If no node that may have a stream has room, the
// one with the fewest streams gets it, and [Plan.Over] counts it. A nil room means that nobody has limits.
func (p *Plan) Within(live []bool, claimed, room, dst []int) []int {
	p.over = 0
	if room == nil {
		return p.Spill(live, claimed, dst)
	}
	if p.used == nil {
		p.used = make([]int, len(p.nodes))
	}
	clear(p.load)
	clear(p.used)
	alive, free := 0, 0
	for _, l := range live {
		if l {
			alive++
		}
	}
	base := len(dst)
	for i := range p.home {
		dst = append(dst, -1)
		if c := claimed[i]; c >= 0 && live[c] {
			p.used[c]++
		}
		if !p.pinned(i, live) && claimed[i] != Nowhere {
			free++
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
	if alive == 0 {
		return dst
	}
	limit := (free + alive - 1) / alive
	for _, i := range p.spillOrder() {
		if to[i] >= 0 || claimed[i] == Nowhere {
			continue
		}
		if to[i] = p.heirWithin(i, live, room, limit); to[i] >= 0 {
			p.load[to[i]]++
			p.used[to[i]]++
		}
	}
	p.bringHome(to, live, claimed, room)
	return dst
}

// bringHome gives streams that others have to their homes, pins first, as far as there is room when every stream that
// nobody has is dealt out.
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

// settled says who has a stream, or whose it is that nobody has: its home's, if that has room; -1 for others. Of those
// that will go home the home bears the load.
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
	if at >= 0 && !p.pinned(i, live) {
		p.load[bears]++
	}
	return at
}

// roomAtHome says whether the home of a stream lives and may have one more.
func (p *Plan) roomAtHome(i int, live []bool, room []int) bool {
	h := p.home[i]
	return h >= 0 && live[h] && p.used[h] < room[h]
}

// heirWithin picks the live node that gets a stream that is not settled, or -1: by score below the even share, else the
// least loaded with room, else the least loaded.
func (p *Plan) heirWithin(i int, live []bool, room []int, limit int) int {
	best, least, full := -1, -1, -1
	fewer := func(k, than int) bool {
		return than < 0 || p.used[k] < p.used[than] || p.used[k] == p.used[than] && p.outscores(i, k, than)
	}
	for k := range p.nodes {
		if !live[k] || !p.May(i, k) {
			continue
		}
		if fewer(k, full) {
			full = k
		}
		if p.used[k] >= room[k] {
			continue
		}
		if p.load[k] < limit && (best < 0 || p.outscores(i, k, best)) {
			best = k
		}
		if fewer(k, least) {
			least = k
		}
	}
	switch {
	case best >= 0:
		return best
	case least >= 0:
		return least
	case full >= 0:
		p.over++
	}
	return full
}
