package owner

import (
	"cmp"
	"fmt"
	"slices"

	"weir/actors/stream"
	"weir/cluster/wire"
	"weir/codecs/reception"
	"weir/protocols/cmaf"
)

// An Answerer answers other nodes for the streams that this node captures. Its functions must not block.
type Answerer struct {
	Self func() string // the announced name of this node

	// Streams sends a message to the supervisor of all streams.
	Streams func(msg any)

	// Release asks this node's control plane to let go of a stream; see [control.ReleaseAsked]. Any goroutine may call
	// answer.
	Release func(stream, from string, answer func(released bool))

	// Left calls told once the hooks of the publisher that has given way have been told of its end, or cannot be; it may do so
	// at once. Session is that publisher's, empty for none. Leaving is the session of a publisher of the stream whose hooks are
	// still being told, empty for none; a claim is answered once they have been.
	Left    func(stream, session string, told func())
	Leaving func(stream string) (session string)

	// Viewers counts the sessions of this node that watch a stream.
	Viewers func(stream string) int

	// Window describes the segments of a stream, to which none is added any more.
	Window func(q *wire.Window, self string, store *cmaf.Store) *wire.Windowed
}

// Answer is [stream.Config.Answer]: it is called in the mailbox of the stream, and gives nil for a message that is answered
// later, or not at all.
func (a *Answerer) Answer(live *stream.Live, is stream.Snapshot, msg any, later func(any)) any {
	q, ok := msg.(wire.Question)
	if !ok {
		return nil
	}
	if err := wire.Check(q); err != nil {
		return wire.Refuse(q, wire.Refused_WHY_PROTOCOL, err.Error())
	}
	if w, ok := msg.(*wire.Window); ok { // this node may no longer own the stream
		a.handOver(w, live, later)
		return nil
	}
	if q, ok := msg.(*wire.Claim); ok && (is.Publisher != "" || a.Leaving(q.Stream) != "") { // the publisher may give way
		a.giveWay(q, later)
		return nil
	}
	if is.Role != stream.Capturing && is.Publisher == "" {
		return wire.Refuse(q, wire.Refused_WHY_ELSEWHERE, "this node does not capture the stream")
	}
	switch q := msg.(type) {
	case *wire.Describe:
		return a.describe(q, live, is)
	case *wire.Claim:
		return a.claimed(q, is)
	case *wire.Kick:
		return a.kick(q, is)
	case *wire.Release:
		a.Release(q.Stream, q.Node, func(released bool) {
			if !released {
				later(wire.Refuse(q, wire.Refused_WHY_NOT_NOW, "this node comes first for the stream"))
				return
			}
			later(&wire.Released{Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream, Node: a.Self()})
		})
		return nil
	}
	return wire.Refuse(q, wire.Refused_WHY_UNSUPPORTED, fmt.Sprintf("%T is not answered by this version", msg))
}

func (a *Answerer) handOver(q *wire.Window, live *stream.Live, later func(any)) {
	a.Streams(stream.HandOver{Stream: q.Stream, To: q.Node, Reply: func(handed bool) {
		if !handed {
			later(wire.Refuse(q, wire.Refused_WHY_NOT_NOW, "this node makes no segments of the stream"))
			return
		}
		later(a.Window(q, a.Self(), live.Store))
	}})
}

// giveWay asks the publisher of this node to give way to one of another node, and answers later.
func (a *Answerer) giveWay(q *wire.Claim, later func(any)) {
	left := a.Leaving(q.Stream) // by the same question, when it was asked before
	a.Streams(stream.GiveWay{Stream: q.Stream, Reply: func(free bool, gone string) {
		gone = cmp.Or(gone, left)
		c := Given(a.Self(), free, gone)
		c.Protocol, c.Ask, c.Stream = wire.Protocol, q.Ask, q.Stream
		a.Left(q.Stream, gone, func() { later(c) })
	}})
}

// Given is the answer of a node whose publisher has been asked to give way, as [stream.GiveWay] answers.
func Given(node string, free bool, gone string) *wire.Claimed {
	c := &wire.Claimed{Node: node, Granted: free}
	switch {
	case !free:
		c.Reason = "it is published at " + node
	case gone != "":
		c.Reason = "its publisher at " + node + " gives way"
	}
	return c
}

// claimed says whether a publisher of another node may have the name: not while this node has media from an input of its own.
func (a *Answerer) claimed(q *wire.Claim, is stream.Snapshot) *wire.Claimed {
	c := &wire.Claimed{Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream, Node: a.Self()}
	switch {
	case slices.ContainsFunc(is.Inputs, func(i stream.InputState) bool { return i.Own && i.Active }):
		c.Reason = c.Node + " captures it from an input of its own"
	default:
		c.Granted = true
	}
	return c
}

func (a *Answerer) kick(q *wire.Kick, is stream.Snapshot) wire.Answer {
	if q.Session != "" {
		return wire.Refuse(q, wire.Refused_WHY_UNSUPPORTED, "only the publisher can be kicked from another node")
	}
	k := &wire.Kicked{Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream}
	if is.Publisher != "" {
		k.Sessions = 1
		a.Streams(stream.Kick{Stream: q.Stream, Why: "kicked: " + q.Reason})
	}
	return k
}

func (a *Answerer) describe(q *wire.Describe, live *stream.Live, is stream.Snapshot) *wire.Description {
	d := &wire.Description{
		Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream, Node: a.Self(),
		State: wire.State_STATE_STARTING, Publisher: is.Publisher, Clients: uint64(a.Viewers(q.Stream)),
	}
	if live.Hub.Written() > 0 {
		d.State = wire.State_STATE_RUNNING
	}
	for _, in := range is.All() {
		d.Inputs = append(d.Inputs, DescribeInput(in))
	}
	for _, t := range live.Hub.Tracks() {
		d.Tracks = append(d.Tracks, &wire.Track{
			Codec: t.Codec.String(), Width: uint32(t.Width), Height: uint32(t.Height),
			SampleRate: uint32(t.SampleRate), Channels: uint32(t.Channels),
		})
	}
	return d
}

// DescribeInput is what a node tells of an input of a stream that it captures.
func DescribeInput(in stream.InputState) *wire.Input {
	h := in.Monitor.Health()
	w := &wire.Input{
		Url: in.URL, Active: in.Active, Error: in.Err, Standby: in.Standby, Bytes: h.Bytes, Restarts: uint32(h.Restarts),
		Condition: h.Condition.String(), Reason: h.Reason, Counters: map[string]uint64{}, JitterMs: uint64(h.Jitter.Milliseconds()),
	}
	for _, l := range h.LeftOut {
		w.LeftOut = append(w.LeftOut, &wire.LeftOut{Track: l.Track, Codec: l.Codec, Reason: l.Reason})
	}
	for c, n := range h.Counts {
		if n > 0 {
			w.Counters[reception.Counter(c).String()] = n
		}
	}
	return w
}
