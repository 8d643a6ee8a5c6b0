package hls

import (
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/protocols/cmaf"
	"weir/protocols/hls/edge"
	"weir/protocols/hls/playlist"
)

// A streamKey tells streams apart.
type streamKey struct {
	name string // as the node has it

	// server is the URL of the server that a balancer has chosen, whose numbers may be its own. It is empty for the nodes
	// of the group, which all serve the same segments.
	server string
}

// A stream is the state of one stream that the router has found.
type stream struct {
	key  streamKey
	name string // as the router has it
	path string // of its URL, escaped, with a slash before and after

	used      atomic.Int64      // Unix seconds of the last request
	playlists [4]cachedPlaylist // index.m3u8, index.fmp4.m3u8, ts.m3u8, cmaf.m3u8

	mu       sync.Mutex
	store    *cmaf.Store // the last one that was served here; guarded by mu
	servedAt time.Time   // when it was; guarded by mu
}

func newStream(key streamKey, name string) *stream {
	key = streamKey{strings.Clone(key.name), strings.Clone(key.server)} // not the whole request
	return &stream{key: key, name: name, path: escape(name)}
}

// escape writes a stream's name as a URL path that starts and ends with a slash; slashes within the name stay.
func escape(name string) string {
	var b strings.Builder
	b.WriteByte('/')
	for part := range strings.SplitSeq(name, "/") {
		b.WriteString(url.PathEscape(part))
		b.WriteByte('/')
	}
	return b.String()
}

// source is the stream at a node.
func (st *stream) source(node string) edge.Source {
	return edge.Source{Stream: st.name, Path: st.path, Node: node, Separate: st.key.server != ""}
}

// playlist returns the state of a playlist.
func (st *stream) playlist(f playlist.File) *cachedPlaylist {
	i := 0
	switch {
	case f.Kind != playlist.MultivariantFile:
		i = 2 + int(f.Form)
	case !f.AnyForm:
		i = 1
	}
	return &st.playlists[i]
}

// lists says whether a segment is in the last playlist that was served. Of an init segment that is not known.
func (st *stream) lists(f playlist.File) bool {
	return f.Kind == playlist.InitFile || st.playlist(f).lists(f.Number)
}

// serve notes the store that serves the stream here. Viewers that have a playlist of it may ask for its segments when the
// stream has moved.
func (st *stream) serve(store *cmaf.Store, now time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.store, st.servedAt = store, now
}

// lastStore is the store that served the stream here last, or nil.
func (st *stream) lastStore() *cmaf.Store {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.store
}

// dropStore drops a store that was not served since an instant.
func (st *stream) dropStore(since time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.servedAt.Before(since) {
		st.store = nil
	}
}

// A servedPlaylist is a playlist in the form in which viewers get it. It is immutable.
type servedPlaylist struct {
	*playlist.Playlist
	path string // of the stream's URL

	// text is that of the playlist, by a numbering.
	text      []byte
	numbering playlist.Numbering

	// absolute is the text with URIs below base, the URL of the stream at the node that has it. Both are empty when
	// segments come through this node.
	absolute []byte
	base     string
}

// textFor is the playlist for a viewer, who may get URIs that lead to the node that has the stream only if leaves is true.
func (p *servedPlaylist) textFor(leaves bool) []byte {
	if p.absolute == nil || !leaves {
		return p.text
	}
	return p.absolute
}

// A cachedPlaylist is the newest playlist that was served under one URL. It is served again while no newer one can be had,
// and players are never shown numbers that go back: that stops a player for good.
type cachedPlaylist struct {
	reload edge.Reload

	mu     sync.Mutex
	newest *servedPlaylist // nil before the first
	repeat playlist.Repeat
}

// offer makes p the newest playlist unless it would go back behind the newest, and returns the one to serve. base is empty for a
// viewer whose segments come through this node; the playlist keeps the base that it has for others.
func (c *cachedPlaylist) offer(p *playlist.Playlist, path, base string, now time.Time) *servedPlaylist {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, last, numbering := p.First(), p.Last(), playlist.Numbering{}
	if old := c.newest; old != nil && len(p.Segments) > 0 && c.repeat.Repeats(now) {
		if n, ok := old.numbering.GoOn(old.Playlist, p); ok {
			first, numbering = n.First(p), n
		} else {
			last = min(last, old.Last()-1) // what does not come after the newest counts as lower
		}
	}
	if !c.repeat.Take(first, last, now) {
		return c.newest
	}
	if old := c.newest; old == nil || old.Playlist != p || base != "" && old.base != base || old.numbering != numbering {
		c.newest = &servedPlaylist{Playlist: p, path: path, base: base, text: p.Text, numbering: numbering}
		if numbering != (playlist.Numbering{}) {
			c.newest.text = p.Render(numbering, "", "")
		}
		if base != "" && len(p.Segments) > 0 {
			c.newest.absolute = p.Render(numbering, base, "")
		}
	}
	return c.newest
}

// last returns the newest playlist, or nil if there is none that may be repeated.
func (c *cachedPlaylist) last(now time.Time) *servedPlaylist {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.repeat.Repeats(now) {
		return nil
	}
	return c.newest
}

// lists says whether the newest playlist names the segment with this number.
func (c *cachedPlaylist) lists(number int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest != nil && c.newest.Lists(number)
}
