package stream

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/packager"
	"weir/protocols/cmaf"
)

const (
	// inheritLimit is how long segments that another node has made are waited for before new ones are made without them.
	inheritLimit = 6 * time.Second

	// reclaimAfter is how long a stream whose segments have been handed over may stay captured here before they are made
	// here again: the new owner has gone, or never made any.
	reclaimAfter = 10 * time.Second
)

// segments is the state of handing the making of segments over from one node to another.
type segments struct {
	successor *successor
	handed    *handed
	closed    bool // the last capture here has ended, and its segments are in the store

	// apart says that the media has come from elsewhere since the last capture here: another node may have captured the stream,
	// or have made segments of it while a server of another system had it.
	apart bool
}

// A successor is a capture whose segments follow those of another node. None are made until the other node has answered
// or the wait for it has ended.
type successor struct {
	capture
	at    time.Duration // when the message came
	asked bool
}

// handed says that another node makes the segments although the stream is still captured here.
type handed struct {
	at      time.Duration
	replies []func(bool) // to be called when the packager has finished
}

type (
	// inherited is the answer to the question that the successor asked the other node.
	inherited struct {
		to     *successor
		window *cmaf.Handover // nil: there is none
	}
	reclaim struct{ of *handed }
)

// waits says whether no segments may be made now although the stream is captured.
func (h *holder) waits() bool { return h.successor != nil || h.handed != nil }

// succeed notes that a capture begins, and whether it continues another node's segments. A capture that runs here already
// continues its own.
func (h *holder) succeed(m capture) {
	if h.captures() {
		return
	}
	h.successor, h.closed, h.apart = nil, false, false // the control plane has the numbers of the others
	if m.least != nil && h.past().Backfill == nil {
		h.successor = &successor{capture: m, at: h.Env.Now()}
		h.live.Store.Unlist()
	}
}

// inherit asks the other node for its segments as soon as the stream runs here. The other node makes no more from then
// on.
func (h *holder) inherit(ctx actor.Context) {
	successor := h.successor
	if successor == nil || successor.asked {
		return
	}
	successor.asked = true
	if successor.from == "" || h.cfg.Inherit == nil {
		h.inherited(ctx, inherited{successor, nil})
		return
	}
	root, self := ctx.ActorSystem().Root, ctx.Self()
	h.Env.After(inheritLimit, self, inherited{successor, nil})
	h.cfg.Inherit(ctx, h.facts.spec.Name, successor.from, func(l *cmaf.Handover) { root.Send(self, inherited{successor, l}) })
}

// inherited continues the segments of the other node, or begins at a number that the other node has not reached.
func (h *holder) inherited(ctx actor.Context, m inherited) {
	if m.to != h.successor {
		return
	}
	h.successor = nil
	if !h.captures() {
		return
	}
	if m.window != nil {
		h.live.Store.Inherit(*m.window)
	} else {
		h.above(m.to.least(h.Env.Now() - m.to.at))
	}
	h.pack = true
	h.packUp(ctx)
}

// above lets the next segment have at least that number. Discontinuities are counted as if each number before had
// been one.
func (h *holder) above(least int64) {
	h.live.Store.Inherit(cmaf.Handover{Record: cmaf.Record{Next: least, Discontinuities: max(least, h.live.Store.Record().Discontinuities)}})
}

// renumber ends a packager whose segments would have numbers that other nodes may have used meanwhile. The next packager goes on
// above them; see [holder.follow].
func (h *holder) renumber(ctx actor.Context) {
	if h.apart && h.packer != nil && h.past().Backfill == nil && h.live.Store.Record().Next > 0 {
		ctx.Send(h.packer, packager.Finish{})
	}
}

// follow gives the next segment a number that is above all that other nodes can have used, if they may have made segments and the
// control plane does not know their numbers.
func (h *holder) follow() {
	if !h.apart || h.past().Backfill != nil {
		return
	}
	if h.live.Store.Record().Next > 0 {
		h.above(cmaf.FreshNumber(h.cfg.Pack.Wall()))
	}
	h.apart = !h.captures()
}

// handOver ends the making of segments here, because another node goes on with them.
func (h *holder) handOver(ctx actor.Context, m HandOver) {
	switch {
	case h.past().Backfill != nil:
		m.Reply(false) // every node makes the same ones
	case h.packer != nil && h.captures():
		if h.handed == nil {
			h.handed = &handed{at: h.Env.Now()}
			h.Env.After(reclaimAfter, ctx.Self(), reclaim{h.handed})
			h.Env.Event(segmentsHandedOver(h.facts.spec.Name, m.To))
		}
		h.handed.replies = append(h.handed.replies, m.Reply)
		ctx.Send(h.packer, packager.Finish{})
	case h.packer != nil: // it is finishing
		if h.handed == nil {
			h.handed = &handed{at: h.Env.Now()}
		}
		h.handed.replies = append(h.handed.replies, m.Reply)
	default:
		m.Reply(h.handed != nil || h.closed)
	}
}

// finished ends a packager that makes no more segments.
func (h *holder) finished(ctx actor.Context) {
	if h.packer != nil {
		h.Stop(ctx, h.packer)
	}
}

// answerHandOver calls the replies that wait for the last segment; there says whether it is in the store.
func (h *holder) answerHandOver(there bool) {
	if h.handed == nil {
		return
	}
	for _, reply := range h.handed.replies {
		reply(there)
	}
	h.handed.replies = nil
	if !h.captures() {
		h.handed, h.closed = nil, there
	}
}

// yield ends the making of segments because the capture has ended. The one that is open becomes the last.
func (h *holder) yield(ctx actor.Context) {
	h.closed = h.packer != nil || h.handed != nil
	h.pack, h.successor = false, nil
	if h.packer != nil {
		ctx.Send(h.packer, packager.Finish{})
	} else {
		h.handed = nil
	}
}

// reclaim goes on making segments that were handed over when the stream has stayed here: above all numbers that the
// other node can have used meanwhile.
func (h *holder) reclaim(ctx actor.Context, m reclaim) {
	switch {
	case m.of != h.handed:
	case h.facts.role == Releasing, h.packer != nil: // the other node runs it, or the last segment is not closed yet
		h.Env.After(reclaimAfter, ctx.Self(), m)
	case h.captures():
		if next := h.live.Store.Record().Next; next > 0 {
			h.above(next + int64((h.Env.Now()-h.handed.at)/cmaf.Shortest) + 1)
		}
		h.handed, h.pack = nil, true
		h.packUp(ctx)
	}
}
