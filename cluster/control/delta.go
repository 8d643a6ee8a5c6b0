package control

import (
	"slices"
	"strings"
)

// maxGone bounds the claims that are over and of which a difference can tell; a peer that has missed more gets them all.
const maxGone = 1024

// A told is a claim as a reply of some version tells it, without its ages.
type told struct {
	Claim         Claim
	Media         Media
	Since         Instant
	MediaAt       Instant
	Supersessions uint64 // how often what it supersedes had changed
	Version       uint64 // in which it became so
}

// A gone is a claim that is over since a version.
type gone struct {
	Stream  string
	Version uint64
}

// tell notes which claims have changed since it was last called. They get the present version, which no peer has seen
// before.
func (n *Node) tell() {
	if n.toldVersion == n.version {
		return
	}
	n.toldVersion = n.version
	n.sortStreams()
	for _, s := range n.streams {
		c, ok := n.ownClaim(s)
		if !ok {
			n.untell(s)
			continue
		}
		t := told{Claim: c, Since: s.Since, Version: n.version}
		t.Claim.Since, t.Claim.Media, t.Claim.Supersedes = 0, nil, nil
		if c.Supersedes != nil {
			t.Supersessions = s.Supersessions
		}
		if c.Media != nil {
			t.Media, t.MediaAt = s.numbered()
		}
		if s.Told != nil {
			if t.Version = s.Told.Version; t == *s.Told {
				continue
			}
			t.Version = n.version
		}
		s.Told = &t
	}
}

// untell notes that a stream is claimed no more.
func (n *Node) untell(s *stream) {
	if s.Told == nil {
		return
	}
	s.Told = nil
	n.gone = append(n.gone, gone{s.Name, n.version})
	if over := len(n.gone) - maxGone; over > 0 {
		n.goneFrom = n.gone[over-1].Version
		n.gone = slices.Delete(n.gone, 0, over)
	}
}

// fillClaims puts the claims into a reply: all of them, or, if the asker has seen an earlier version of this instance,
// those that have changed since.
func (n *Node) fillClaims(st *State, seen Seen) {
	n.tell()
	base := uint64(0)
	if seen.Instance == n.cfg.Instance && seen.Inc == n.inc && seen.Version > n.goneFrom && seen.Version < n.version {
		base = seen.Version
	}
	st.Base = base
	for _, s := range n.streams {
		if s.Told == nil || s.Told.Version <= base {
			continue
		}
		if c, ok := n.ownClaim(s); ok {
			st.Claims = append(st.Claims, c)
		}
	}
	if base == 0 {
		return
	}
	for _, g := range n.gone {
		if s := n.byName[g.Stream]; g.Version > base && (s == nil || s.Told == nil) {
			st.Gone = append(st.Gone, g.Stream)
		}
	}
	slices.Sort(st.Gone)
	st.Gone = slices.Compact(st.Gone)
}

// merge applies a difference to the claims of a peer.
func merge(have, changed []claim, over []string) []claim {
	out := make([]claim, 0, len(have)+len(changed))
	drop := make(map[string]bool, len(changed)+len(over))
	for i := range changed {
		drop[changed[i].Stream] = true
	}
	for _, name := range over {
		drop[name] = true
	}
	for i := range have {
		if !drop[have[i].Stream] {
			out = append(out, have[i])
		}
	}
	out = append(out, changed...)
	slices.SortFunc(out, func(a, b claim) int { return strings.Compare(a.Stream, b.Stream) })
	return out
}
