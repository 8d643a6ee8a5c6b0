package sim

import (
	"net"
	"strings"
	"time"

	"weir/cluster/srs"
	"weir/protocols"
)

// coworkerAsk is how long a question to a coworker takes, and how long a connection to it.
const coworkerAsk = 50 * time.Millisecond

// A coworker is an SRS origin. It has the streams that are published at it, and answers who asks whether it has one.
type coworker struct {
	name  string
	down  int // crashes that are on
	boots int
	pubs  map[*streamTruth]int // publishers
}

// has says whether media of a stream comes from the coworker now.
func (c *coworker) has(s *streamTruth) bool { return c.down == 0 && c.pubs[s] > 0 }

// coworker gives the coworker of a name.
func (w *world) coworker(name string) *coworker {
	c := w.coworkers[name]
	if c == nil {
		c = &coworker{name: name, pubs: map[*streamTruth]int{}}
		w.coworkers[name] = c
	}
	return c
}

// coworkersOf are the coworkers that a machine asks for a stream, in the order of its file.
func (w *world) coworkersOf(m *machine, s *streamTruth) (list []*coworker) {
	if m.file == nil || !strings.Contains(s.name, "/") {
		return nil // a name at SRS has an application
	}
	for i := range m.file.Vhosts {
		v := &m.file.Vhosts[i]
		if !v.OriginCluster || v.Prefix() != "" && !strings.HasPrefix(s.name, v.Prefix()) {
			continue
		}
		for _, at := range v.Coworkers {
			if host, _, err := net.SplitHostPort(at); err == nil {
				list = append(list, w.coworker(host))
			}
		}
	}
	return list
}

// finds gives the first of some coworkers, but one, that has a stream; nil if none has it.
func finds(list []*coworker, s *streamTruth, but *coworker) *coworker {
	for _, c := range list {
		if c != but && c.has(s) {
			return c
		}
	}
	return nil
}

// A fetch is what a relay does while no node of its group has the stream, as [srs.Cluster.Pull] does: it asks the coworkers again
// and again, and fetches the stream from one that has it.
type fetch struct {
	state  fetchState
	at     time.Duration // when the state ends: the answer comes, or the coworkers are asked again
	pause  time.Duration // after the next question that none answers
	from   *coworker
	boots  int           // of from
	heard  time.Duration // when media last came
	looked time.Duration // when other coworkers were asked last
}

// A fetchState is the state of a fetch.
type fetchState uint8

const (
	notFetching fetchState = iota
	questioning
	resting // no coworker has the stream
	fetching
)

// fetch brings a relay of which no node has the stream to this instant.
func (r *relay) fetch() {
	w, x := r.w, &r.external
	list := w.coworkersOf(r.m, r.s)
	if len(list) == 0 {
		return
	}
	ask := func() {
		x.state, x.at = questioning, w.now+coworkerAsk
		w.viewers.wake(x.at)
	}
	switch {
	case x.state == notFetching:
		x.pause = srs.LeastPause
		ask()
	case x.state == resting && w.now >= x.at:
		ask()
	case x.state == questioning && w.now >= x.at:
		c := finds(list, r.s, nil)
		if c == nil {
			x.state, x.at = resting, w.now+x.pause
			x.pause = min(2*x.pause, srs.MostPause)
			w.viewers.wake(x.at)
			return
		}
		*x = fetch{state: fetching, from: c, boots: c.boots, pause: srs.LeastPause, heard: w.now, looked: w.now}
		r.fetched(list, ask)
	case x.state == fetching:
		r.fetched(list, ask)
	}
}

// fetched takes media from the coworker of a fetch, or leaves it.
func (r *relay) fetched(list []*coworker, ask func()) {
	w, x := r.w, &r.external
	switch {
	case x.from.boots != x.boots || x.from.down > 0, w.now-x.heard >= srs.Silence:
		ask()
	case x.from.has(r.s):
		x.heard, x.looked = w.now, w.now
		r.receive(w.now - coworkerAsk)
	case w.now-x.looked >= srs.Quiet:
		if x.looked = w.now; finds(list, r.s, x.from) != nil {
			ask()
			return
		}
		fallthrough
	default:
		w.viewers.wake(x.looked + srs.Quiet)
	}
}

// Actions of coworkers.
type (
	// CoworkerPublish lets a publisher come to an SRS coworker. With To it leaves then.
	CoworkerPublish struct{ Coworker, Stream string }

	// CoworkerCrash ends an SRS coworker; with To it runs again then.
	CoworkerCrash struct{ Coworker string }
)

var coworkerKinds = []*Kind{
	kind(Kind{Subject: Sources, Word: "coworker-publish", Args: "STREAM at HOST", Help: "a publisher comes to an SRS server"},
		nil,
		func(w *world, f *fault, a CoworkerPublish) {
			if s := w.byName[a.Stream]; s != nil {
				c := w.coworker(a.Coworker)
				c.pubs[s]++
				f.undo = func() { c.pubs[s]-- }
			}
		}),
	kind(Kind{Subject: Sources, Word: "coworker-crash", Args: "HOST", Help: "an SRS server is down"},
		nil,
		func(w *world, f *fault, a CoworkerCrash) {
			c := w.coworker(a.Coworker)
			c.down++
			c.boots++
			f.undo = func() { c.down-- }
		}),
}

// atCoworker says whether a coworker that the entry of a viewer asks has the viewer's stream. Viewers of playlists are not judged: in the
// simulator no segments are made of a stream that comes from a coworker.
func (w *world) atCoworker(v *viewer) bool {
	return v.proto != protocols.HLS && v.entry.runs() && finds(w.coworkersOf(v.entry, v.s), v.s, nil) != nil
}
