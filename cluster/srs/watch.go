package srs

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"weir/protocols/listen"
)

const (
	// watchAge is how long after its last request a viewer of playlists counts as one; refusedAge is how long a refusal holds.
	watchAge   = 30 * time.Second
	refusedAge = time.Second

	maxWatches = 50_000
)

// playlistSuffix is what SRS has behind the name of a stream for those who play its playlist.
const playlistSuffix = ".m3u8"

// A watch is a viewer of playlists: the requests for one stream from one address with one token.
type watch struct {
	client  *Client
	streams []string      // as in the request
	asked   chan struct{} // closed once the hook has answered
	err     error         // what it said
	last    time.Time     // guarded by Hooks.mu
}

// Watch asks whether a client may have a playlist, once for each viewer. The viewer's on_stop is sent when it has asked for
// no playlist in a while.
func (h *Hooks) Watch(ctx context.Context, vh *Vhost, r listen.Request) error {
	if vh == nil || len(vh.Hooks["on_play"]) == 0 && len(vh.Hooks["on_stop"]) == 0 || len(r.Streams) == 0 {
		return nil
	}
	r.Query = listen.WithoutHops(without(r.Query, "session=", "_HLS_")) // these differ between the requests of one viewer
	key := strings.Join([]string{r.Streams[0], r.Remote.Addr().String(), r.Query}, "\x00")
	h.mu.Lock()
	w := h.watches[key]
	if w != nil {
		w.last = time.Now()
		h.mu.Unlock()
		select {
		case <-w.asked:
			return w.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w = &watch{client: h.newClient(&r), streams: r.Streams, asked: make(chan struct{}), last: time.Now()}
	w.client.Player = true
	describe(w.client, vh, &r)
	w.client.suffix, w.client.TCURL = playlistSuffix, "http://"+hostOnly(r.Host)+"/"+w.client.App
	kept := len(h.watches) < maxWatches
	if kept {
		h.watches[key] = w
	}
	h.mu.Unlock()
	// Other requests of the viewer may wait for this answer, so that it must not end with this request.
	w.err = h.ask(context.WithoutCancel(ctx), w.client, "on_play", h.streamBody("on_play", w.client))
	close(w.asked)
	if kept {
		age := watchAge
		if w.err != nil {
			age = refusedAge
		}
		time.AfterFunc(age, func() { h.expire(key, w, age) })
	}
	return w.err
}

// viewers are the viewers of playlists that a hook has let in, by their addresses, in the order in which they came.
func (h *Hooks) viewers() map[netip.Addr][]*watch {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[netip.Addr][]*watch{}
	for _, w := range h.watches {
		select {
		case <-w.asked:
			if w.err == nil {
				at := w.client.remote.Addr()
				out[at] = append(out[at], w)
			}
		default:
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b *watch) int { return a.client.Since.Compare(b.client.Since) })
	}
	return out
}

// expire forgets a viewer of playlists that has asked for nothing for that long.
func (h *Hooks) expire(key string, w *watch, age time.Duration) {
	h.mu.Lock()
	quiet := time.Since(w.last)
	over := quiet >= age || w.err != nil
	if over {
		delete(h.watches, key)
	}
	h.mu.Unlock()
	switch {
	case !over:
		time.AfterFunc(age-quiet, func() { h.expire(key, w, age) })
	case w.err == nil:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.send(w.client, hook{"on_stop", h.streamBody("on_stop", w.client)})
	}
}
