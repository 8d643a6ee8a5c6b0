package hls

import (
	"sync"
	"time"
)

// A text is a version of a playlist, wherever it came from. It is immutable.
type text struct {
	first, last int64         // media sequence numbers; both zero for a multivariant playlist
	target      time.Duration // zero for a multivariant playlist
	relative    []byte

	// absolute has the URIs below the node at public; nil when segments come through this node.
	absolute []byte
	public   string
}

// bytes returns the text for a viewer: without absolute URIs if those would lead him from https to http.
func (t *text) bytes(secure bool) []byte {
	if t.absolute == nil || secure && !startsSecure(t.public) {
		return t.relative
	}
	return t.absolute
}

// A page is what has been served under one URL: the newest playlist, which players may hold this node to. Numbers
// never go back: that is what stops a player for good.
type page struct {
	mu      sync.Mutex
	text    *text     // nil before the first
	changed time.Time // when text was last offered or confirmed
	lower   time.Time // since when only lower numbers are offered; zero if not

	flight *flight   // the newest fetch, ended or not; nil without one
	from   string    // where the newest fetch that ended went to
	fresh  time.Time // when a fetch from there last succeeded, unless one has failed since
	failed time.Time // when a fetch from there last failed, unless one has succeeded since

	wanted     []string // segments to be fetched before anybody asks
	wantedFrom string
	fetching   bool // somebody does
}

// offer makes t the page's text unless its numbers are lower than what has been served, and returns the text to
// serve.
func (p *page) offer(t *text, now time.Time, c *Config) *text {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offerLocked(t, now, c)
}

func (p *page) offerLocked(t *text, now time.Time, c *Config) *text {
	old := p.text
	if old != nil && old != t && now.Sub(p.changed) < c.Forget && (t.first < old.first || t.last < old.last) {
		if p.lower.IsZero() {
			p.lower = now
		}
		if now.Sub(p.lower) < c.Stubborn {
			return old
		}
	}
	p.text, p.changed, p.lower = t, now, time.Time{}
	return t
}

// offerLocal offers what this node has rendered itself, which it does once per window: mostly it is the page's text
// already.
func (p *page) offerLocal(first, last int64, target int, relative []byte, now time.Time, c *Config) *text {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.text; t != nil && len(relative) > 0 && &t.relative[0] == &relative[0] && t.absolute == nil {
		return p.offerLocked(t, now, c)
	}
	return p.offerLocked(&text{
		first: first, last: last, target: time.Duration(target) * time.Second, relative: relative,
	}, now, c)
}

// known returns the last text, unless it is too old to be repeated; nil without one.
func (p *page) known(now time.Time, c *Config) *text {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text == nil || now.Sub(p.changed) >= c.Forget {
		return nil
	}
	return p.text
}

// lists says whether the last text names the segment with this number.
func (p *page) lists(number int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text != nil && number >= p.text.first && number <= p.text.last
}
