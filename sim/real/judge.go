package real

import (
	"fmt"
	"slices"
	"time"

	"weir/protocols"
	"weir/sim"
)

// A judge judges what was seen of a chaos from outside: by sources, viewers, publishers, and in answers of the API. Each of its
// bounds is a formula of the timeouts and of what the network and the sources are like, and allows for how late the machine lets
// things happen.
type judge struct {
	g         *group
	h         *history
	r         *ChaosReport
	up, delay time.Duration

	late, limit time.Duration // by how much nodes were late at most, without what was above the limit
}

// segmentLength is that of the segments of a node.
const segmentLength = 4 * time.Second

func (j *judge) all(end time.Time) {
	for _, name := range j.g.clustered() {
		for _, gap := range j.g.gapsOf(name, j.g.sources.all(), j.g.frozenTimes(), end) {
			j.r.CaptureGaps = append(j.r.CaptureGaps, gap.To-gap.From)
		}
		j.captures(name)
	}
	for _, v := range j.g.viewers {
		j.viewer(v, end)
	}
	j.publishers()
	j.owners()
	j.consult()
	slices.Sort(j.r.CaptureGaps)
	slices.Sort(j.r.ViewerGaps)
	slices.Sort(j.r.Heard)
}

func (j *judge) violated(format string, args ...any) {
	j.r.Violations = append(j.r.Violations, fmt.Sprintf(format, args...))
}

func (j *judge) judged(what string) { j.r.Judged[what]++ }

func short(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// noticed is the time after which every node that hears the others has heard of a change.
func (j *judge) noticed() time.Duration {
	return j.r.Stale + 2*j.r.Fetch + j.r.Fetch/5 + 4*j.delay + 2*j.late
}

// captures judges the streams that nodes pull: after a change, and as long as nothing more happens and no link is disturbed, each
// is captured, and by one node.
func (j *judge) captures(stream string) {
	published := slices.Contains(streams(j.g.fileOf(j.g.nodes[0]), func(p bool) bool { return p }), stream)
	var some, many spans
	for _, d := range j.h.delivered[stream] {
		many = many.or(some.and(d))
		some = some.or(d)
	}
	bound := j.noticed() + j.up + j.r.Stale + j.r.Fetch // a node that was taken for dead may have to start
	for _, w := range j.undisturbed() {
		w.from = max(w.from, j.slowUntil(stream))
		if w.to-w.from <= bound {
			continue
		}
		rest := span{w.from + bound, w.to}
		if !published {
			j.judged("streams are captured")
			if d := some.not().longest(rest); d > 0 {
				j.violated("I20: %s is captured by nobody for %v at %v although nothing has happened since %v; connected without media: %v", stream, short(d),
					short(rest.from), short(w.from), j.waiting(stream, rest))
			}
		}
		j.judged("by one node")
		if d := many.longest(rest); d > j.bothFor() {
			j.violated("I18: %s is captured by two nodes for %v after %v although nothing has happened since %v", stream, short(d), short(rest.from), short(w.from))
		}
	}
}

// waiting says which nodes were connected to the source of a stream in a time and have got nothing, and since when.
func (j *judge) waiting(stream string, in span) (list []string) {
	for _, h := range j.g.sources.all() {
		from, to := h.From.Sub(j.g.zero), j.h.end
		if !h.To.IsZero() {
			to = h.To.Sub(j.g.zero)
		}
		if h.Stream == stream && h.Up.IsZero() && from < in.to && to > in.from {
			list = append(list, fmt.Sprintf("%s since %v", h.Node, short(from)))
		}
	}
	return list
}

// slowUntil is until when a connection may wait for media that was made while the source of a stream was slow.
func (j *judge) slowUntil(stream string) (at time.Duration) {
	for _, st := range j.h.done {
		if a, ok := st.Action.(sim.SlowSource); ok && slices.Contains(a.Streams, stream) {
			at = max(at, j.h.until(st)+a.Up.Max)
		}
	}
	return at
}

// bothFor is how long two nodes may capture a stream when one takes it back (B5, make before break).
func (j *judge) bothFor() time.Duration {
	return j.r.Fetch + j.r.Fetch/5 + 4*j.delay + 2*j.late + j.up + joining
}

// undisturbed are the times in which nothing was done to the group, no link was disturbed and no process stood still.
func (j *judge) undisturbed() (list []span) {
	var bad spans
	for _, s := range j.h.disturbed {
		bad = bad.or(s)
	}
	for _, n := range j.g.nodes {
		bad = bad.or(j.h.still[n.name]).or(j.h.draining[n.name])
	}
	at := time.Duration(0)
	for _, c := range append(slices.Clone(j.h.changes), j.h.end) {
		for _, s := range bad.not().and(spans{{at, c}}) {
			list = append(list, s)
		}
		at = c
	}
	return slices.DeleteFunc(list, func(s span) bool { return s.to <= s.from })
}

// restartLead is by how many segments a playlist may end earlier than the one before if its node has been started anew since, and
// the player has not noticed. The numbers of a capture that a node makes beside the owner, whom it does not hear, lead by two
// or three; a node that is started anew does not know that it has shown them.
const restartLead = 4

// restarted says whether the process of a node ended in a time.
func (j *judge) restarted(node string, in span) bool {
	return slices.ContainsFunc(j.h.down[node], func(d span) bool { return d.from <= in.to && in.from <= d.to })
}

// viewer judges what a viewer saw: it gets media whenever a node that its own hears well has it (I30, I33), and never goes back
// (I31).
func (j *judge) viewer(v *viewer, end time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	j.r.Pictures += v.Pictures
	j.judged("viewers in order")
	for _, b := range v.Back {
		at := b.at.Sub(j.g.zero)
		if !b.since.IsZero() && b.numbers <= restartLead && j.restarted(v.entry.name, span{b.since.Sub(j.g.zero), at}) {
			continue
		}
		j.violated("I31: at %v the %s viewer of %s at %s: %s", short(at), v.Protocol, v.Stream, v.entry.name, b.what)
	}
	// The node has to be warm and to have noticed, and the viewer may wait on a connection that leads nowhere.
	bound := j.r.Stale + j.noticed() + j.up + joining + j.g.patience + comeback
	if v.Protocol == protocols.HLS {
		bound += 3*segmentLength + reloads
	}
	served := j.h.served(v.Stream, v.entry.name)
	last := v.began
	if !v.at.IsZero() {
		last = v.at
	}
	gaps := append(slices.Clone(v.Gaps), silent{last, end})
	if !v.first.IsZero() {
		gaps = append(gaps, silent{v.began, v.first})
	}
	for _, s := range gaps {
		in := span{s.From.Sub(j.g.zero), s.To.Sub(j.g.zero)}
		if v.Protocol != protocols.HLS && in.to-in.from > noted && s.To != end {
			j.r.ViewerGaps = append(j.r.ViewerGaps, in.to-in.from)
		}
		j.judged("silences of viewers")
		if d := served.longest(in); d > bound {
			j.violated("I30: the %s viewer of %s at %s got nothing from %v to %v; for %v of it a node in reach had the stream, want at most %v",
				v.Protocol, v.Stream, v.entry.name, short(in.from), short(in.to), short(d), short(bound))
		}
	}
}

// owners judges the answers of the API: a node that has captured a stream for a while, alone, is named by itself, and by each that
// hears it (I23, I32).
func (j *judge) owners() {
	for _, a := range j.g.answers {
		for stream, nodes := range j.h.delivered {
			sole, alone := "", true
			before := span{a.asked - j.noticed(), a.came + j.late} // an end is noted a little late
			bound := before.to - before.from
			for node, d := range nodes {
				switch {
				case d.longest(before) >= bound && j.h.runs(node).longest(before) >= bound:
					alone = alone && sole == ""
					sole = node
				case d.longest(before) > 0:
					alone = false
				}
			}
			if !alone || sole == "" || before.from < 0 || j.h.runs(a.node).longest(before) < bound || j.h.apart(a.node, sole).longest(before) > 0 {
				continue
			}
			j.judged("answers of the API")
			if said := a.owners[stream]; said != sole {
				j.violated("I32: at %v %s names %q as the owner of %s, which %s has captured since %v at least", short(a.asked), a.node, said, stream, sole,
					short(before.from))
			}
		}
	}
}
