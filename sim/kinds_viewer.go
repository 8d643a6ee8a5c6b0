package sim

import (
	"time"

	"weir/protocols"
)

// Actions of viewers.
type (
	// Viewer lets one viewer open a stream at a node. With To it leaves then.
	Viewer struct {
		Protocol protocols.Protocol
		Stream   string
		Node     string
	}

	// Viewers lets so many viewers come, who share the streams and the nodes evenly. With To they leave then.
	Viewers struct {
		Count          int
		Protocol       protocols.Protocol
		Streams, Nodes []string
	}

	// Crowd lets so many viewers come and go until the fault ends: each comes at some instant, stays for a time, and is
	// followed by another one.
	Crowd struct {
		Count          int
		Protocol       protocols.Protocol
		Streams, Nodes []string
		Stay           Range
	}
)

// ViewerProtocols are the protocols in which simulated viewers play.
func ViewerProtocols() []protocols.Protocol {
	return []protocols.Protocol{protocols.RTMP, protocols.TS, protocols.FLV, protocols.RTSP, protocols.HLS}
}

var viewerKinds = []*Kind{
	kind(Kind{Subject: Sources, Word: "viewer", Args: "PROTOCOL STREAM via NODE", Help: "a viewer opens the stream there", client: true},
		nil,
		func(w *world, f *fault, a Viewer) { w.come(f, a.Protocol, []string{a.Stream}, []string{a.Node}, 1) }),
	kind(Kind{Subject: Sources, Word: "viewers", Args: "COUNT PROTOCOL STREAMS via NODES", Help: "so many open the streams there", client: true},
		nil,
		func(w *world, f *fault, a Viewers) { w.come(f, a.Protocol, a.Streams, a.Nodes, a.Count) }),
	kind(Kind{Subject: Sources, Word: "crowd", Args: "COUNT PROTOCOL STREAMS via NODES stay TIME..TIME", Help: "so many come and go", client: true},
		nil,
		(*world).crowd),
}

// named are the streams of a list; all for nil.
func (w *world) named(names []string) (out []*streamTruth) {
	for _, s := range w.streams {
		if among(names, s) {
			out = append(out, s)
		}
	}
	return out
}

// come lets viewers come, and leave when the fault ends.
func (w *world) come(f *fault, p protocols.Protocol, streams, nodes []string, count int) {
	list, at := w.named(streams), w.pick(nodes)
	if len(list) == 0 || len(at) == 0 {
		return
	}
	var came []*viewer
	for i := range count {
		came = append(came, w.viewers.come(p, list[i%len(list)], at[(i+i/len(list))%len(at)]))
	}
	f.undo = func() {
		for _, v := range came {
			w.viewers.leave(v)
		}
	}
}

// crowd lets viewers come and go.
func (w *world) crowd(f *fault, a Crowd) {
	list, at := w.named(a.Streams), w.pick(a.Nodes)
	if len(list) == 0 || len(at) == 0 {
		return
	}
	rng := w.rng("crowd " + described(a))
	var here []*viewer
	var come func(i int)
	come = func(i int) {
		if f.ended {
			return
		}
		v := w.viewers.come(a.Protocol, list[rng.IntN(len(list))], at[rng.IntN(len(at))])
		here[i] = v
		w.queue.push(item{at: w.now + draw(rng, a.Stay), do: func() {
			if f.ended {
				return
			}
			w.viewers.leave(v)
			w.queue.push(item{at: w.now + draw(rng, Range{0, a.Stay.Max}), do: func() { come(i) }})
		}})
	}
	here = make([]*viewer, a.Count)
	for i := range here {
		w.queue.push(item{at: w.now + draw(rng, Range{time.Millisecond, a.Stay.Max}), do: func() { come(i) }})
	}
	f.undo = func() {
		for _, v := range here {
			if v != nil {
				w.viewers.leave(v)
			}
		}
	}
}
