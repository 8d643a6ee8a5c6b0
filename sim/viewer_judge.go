package sim

import (
	"time"

	"weir/cluster/control"
	"weir/cluster/node"
	"weir/cluster/router"
	"weir/cluster/source"
	"weir/cluster/srs"
	"weir/protocols"
	"weir/protocols/hls/playlist"
	"weir/protocols/listen"
	"weir/sim/oracle"
)

// judged is what the oracle needs of a viewer beside what the viewer itself tells.
type judged struct {
	*oracle.Viewer
	had  map[*feed]time.Duration // captures that the entry reaches, and since when
	srs  time.Duration           // since when a coworker that the entry asks has the stream; -1: none has it
	runs time.Duration           // since when the host runs; -1: it does not
	at   *machine                // the host of runs
	by   int                     // its boots
	kept time.Duration           // since when the viewer is with its entry, and that runs by one file; -1: it does not
	file any
	boot int
}

func (w *world) oracleCame(v *viewer) {
	v.judged = judged{Viewer: oracle.NewViewer(w.now), had: map[*feed]time.Duration{}, srs: -1, runs: -1, kept: -1}
}

// oracleUnit judges media that a viewer gets.
func (w *world) oracleUnit(v *viewer, source uint64, place time.Duration) {
	w.measureWait(v)
	w.told(oracle.I31, v, v.judged.Unit(w.now, source, place))
}

// oraclePlaylist judges a playlist that a viewer gets, and oracleSegment a segment.
func (w *world) oraclePlaylist(v *viewer, l *list) {
	w.told(oracle.I31, v, v.judged.Playlist(l.first(), l.last()))
}

func (w *world) oracleSegment(v *viewer, s segment, again time.Duration) {
	w.measureWait(v)
	w.told(oracle.I31, v, v.judged.Segment(w.now, s.number, s.from, s.to, again))
}

func (w *world) oracleEnded(v *viewer) { v.judged.Ended(w.now) }

// told reports what is wrong with a viewer.
func (w *world) told(i oracle.Invariant, v *viewer, wrong string) {
	w.checks.hold(i, wrong == "", v.s, []string{v.entry.name}, "viewer %d (%s at %s): %s", v.number, v.proto, v.host.name, wrong)
}

// measureWait measures how long a viewer has waited for media that comes now.
func (w *world) measureWait(v *viewer) {
	if since, ok := w.owed(v); ok {
		waits, _ := v.judged.Waits(w.now, since, never)
		bound := w.keptBound(v)
		if waits > lookEvery {
			w.checks.measure(oracle.I30, bound, waits)
		}
	}
}

// oracleLooks judges how long a viewer has been waiting: I30 and I33.
func (w *world) oracleLooks(v *viewer) {
	j := &v.judged
	w.reaches(v)
	if j.at != v.host || j.by != v.host.boots || !v.host.runs() {
		j.at, j.by, j.runs = v.host, v.host.boots, -1
		if v.host.runs() {
			j.runs = w.now
		}
	}
	if j.runs >= 0 && v.phase != away {
		w.told(oracle.I33, v, j.Silent(w.now, j.runs, w.silenceBound(v)))
	}
	if since, ok := w.owed(v); ok {
		if _, wrong := j.Waits(w.now, since, w.keptBound(v)); wrong != "" {
			w.told(oracle.I30, v, wrong)
		}
	}
}

// reaches notes which captures of the viewer's stream its entry reaches, and since when.
func (w *world) reaches(v *viewer) {
	j, m := &v.judged, v.entry
	if !m.runs() || m.boots != j.boot || any(m.file) != j.file || m.exhausted > 0 || v.host != m {
		j.kept, j.boot, j.file = -1, m.boots, m.file
		clear(j.had)
		j.srs = -1
		if !m.runs() || m.exhausted > 0 || v.host != m {
			return
		}
		j.kept = w.now
	}
	switch at := w.atCoworker(v); {
	case !at:
		j.srs = -1
	case j.srs < 0:
		j.srs = w.now
	}
	for f := range j.had {
		if !w.has(m, f) {
			delete(j.had, f)
		}
	}
	for f := range w.feeds(v.s) {
		if _, ok := j.had[f]; !ok && w.has(m, f) {
			j.had[f] = w.now
		}
	}
}

// has says whether a capture delivers at a machine that m reaches, or at m.
func (w *world) has(m *machine, f *feed) bool {
	q := f.m
	if !f.delivers() || q.captures[f.s.index].feed != f || f.state != control.Running {
		return false
	}
	if q == m {
		return true
	}
	clean := func(a, b *machine) bool {
		l := w.link(a, b)
		return w.carries(a, b) && l.refuse == 0 && a.exhausted == 0 && a.newer == 0 && a.broken == 0 && a.wrongKey == 0
	}
	return m.names(q) && clean(m, q) && clean(q, m) && !f.solo()
}

// owed is since when a viewer that its entry keeps is owed media; false if it is owed none.
func (w *world) owed(v *viewer) (since time.Duration, ok bool) {
	j := &v.judged
	if j.kept < 0 || v.phase == away || len(j.had) == 0 && j.srs < 0 {
		return 0, false
	}
	if s := v.entry.viewOf(v.s); s != nil && s.State == control.StreamDisabled {
		return 0, false
	}
	since = never
	if j.srs >= 0 {
		since = j.srs
	}
	for _, at := range j.had {
		since = min(since, at)
	}
	return max(since, j.kept), true
}

// keptBound is the bound of I30 for a viewer.
func (w *world) keptBound(v *viewer) time.Duration {
	b := w.checks.bounds()
	turn := source.RelaySilence + source.RelayPause + 2*lookEvery
	if v.judged.srs >= 0 {
		turn += oracle.CoworkerBound(srs.MostPause, srs.Quiet, coworkerAsk)
	}
	if v.proto == protocols.HLS {
		turn += 3*w.segment + comeBack
	}
	return oracle.KeptBound(b.rate(b.s), b.poll(), b.d, b.lag, turn)
}

// silenceBound is the bound of I33 for a viewer.
func (w *world) silenceBound(v *viewer) time.Duration {
	limit := max(listen.MediaDeadline, node.Hold(v.host.file)+router.StartUp)
	if v.proto == protocols.HLS {
		limit = playlist.RepeatFor + w.segment // until then the player is shown the last playlist
	}
	return limit + 2*lookEvery + v.host.lag
}
