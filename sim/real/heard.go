package real

import (
	"slices"
	"time"

	"weir/protocols"
	"weir/sim/oracle"
)

// A publication is the time for which a publisher sent, from its first picture on, after it was told that it publishes.
type publication struct {
	stream, node string
	sends        span

	// claims is until when the node may take it for a publisher: of one whose connection was lost without a word to the end.
	claims time.Duration
}

// publications are all of a run.
func (j *judge) publications() (list []publication) {
	for _, h := range j.g.sources.all() {
		if h.publisher == nil || h.Up.IsZero() {
			continue
		}
		p := publication{h.Stream, h.Node, span{h.Up.Sub(j.g.zero), j.h.end}, j.h.end}
		if !h.To.IsZero() {
			p.sends.to = min(p.sends.to, h.To.Sub(j.g.zero))
			if !h.publisher.isMuted() {
				p.claims = p.sends.to
			}
		}
		list = append(list, p)
	}
	return list
}

// publishers judges that a publisher which was told Start and sends is heard by every viewer, or told otherwise (I29). What
// the viewer gets must have been sent since: the pictures say when they were on air.
func (j *judge) publishers() {
	for _, t := range j.g.told {
		switch t.What {
		case "start":
			j.r.Publishers++
		case "refused":
			j.r.Refused++
		}
	}
	all := j.publications()
	for i, p := range all {
		rivals := slices.DeleteFunc(slices.Clone(all), func(q publication) bool { return q == all[i] || q.stream != p.stream })
		for _, v := range j.g.viewers {
			if v.Stream == p.stream {
				j.hears(v, p, rivals)
			}
		}
	}
}

// hears judges one viewer of a publisher.
func (j *judge) hears(v *viewer, p publication, rivals []publication) {
	poll := j.r.Fetch + j.r.Fetch/10
	bound := oracle.HeardBound(j.r.Stale, poll, 2*j.delay, j.late, joining, 0, 0) + j.g.patience + comeback
	if v.Protocol == protocols.HLS {
		bound += 3*segmentLength + reloads
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, in := range j.reach(v.entry.name, p, rivals) {
		in.from = max(in.from, v.began.Sub(j.g.zero))
		from := indexAt(j.g.zero.Add(in.from))
		k := slices.IndexFunc(v.shown, func(s shown) bool { return s.index >= from })
		waited, heard := in.to-in.from, false
		if k >= 0 {
			if at := v.shown[k].at.Sub(j.g.zero); at <= in.to {
				waited, heard = at-in.from, true
			}
		}
		switch {
		case waited > bound:
			j.judged("publishers by viewers")
			j.violated("I29: the publisher of %s at %s was told that it publishes, and the %s viewer at %s has not got for %v what was sent from %v on, want at most %v",
				p.stream, p.node, v.Protocol, v.entry.name, short(waited), short(in.from), short(bound))
		case heard:
			j.judged("publishers by viewers")
			if v.Protocol != protocols.HLS {
				j.r.Heard = append(j.r.Heard, max(0, waited))
			}
		}
	}
}

// reach is the time in which what a publisher sends has to come to the viewers at a node, once that has noticed: both nodes run
// and are warm, they hear each other, and the node of any other publisher of the stream can settle with them who has the name.
func (j *judge) reach(entry string, p publication, rivals []publication) spans {
	s := spans{p.sends}.and(j.warm(entry)).and(j.warm(p.node)).and(j.h.apart(entry, p.node).not())
	for _, q := range rivals {
		apart := j.h.apart(p.node, q.node).or(j.h.apart(entry, q.node)).or(j.h.still[q.node])
		s = s.and(apart.and(spans{{q.sends.from, q.claims}}).not())
	}
	return s
}

// warm is the time in which a node runs and knows of the others: it waits for their answers after a boot and after a time in which
// it stood still, for stale_timeout at most.
func (j *judge) warm(node string) (list spans) {
	for _, s := range j.h.runs(node) {
		if s.from += j.r.Stale + j.late; s.from < s.to {
			list = append(list, s)
		}
	}
	return list
}
