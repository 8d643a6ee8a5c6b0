package real

import (
	"context"
	"errors"
	"sync"
	"time"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/reception"
	"weir/protocols"
	"weir/protocols/pull"
	"weir/protocols/rtmp"
	"weir/protocols/rtsp"
)

// watched are the protocols of the viewers.
var watched = []protocols.Protocol{protocols.RTMP, protocols.RTSP, protocols.FLV, protocols.TS, protocols.HLS}

// comeback is how long a viewer waits before it asks again after its connection has ended.
const comeback = 300 * time.Millisecond

// silence is the patience of a viewer without media; then it asks again.
const silence = 15 * time.Second

// A viewer watches a stream, always at the same node, and comes back when it is sent away.
type viewer struct {
	Stream   string
	Protocol protocols.Protocol
	entry    *node
	began    time.Time
	follows  bool // a viewer of RTMP says that it follows redirects
	strict   bool // a viewer of HLS gives up when a playlist is not answered

	mu       sync.Mutex
	last     int64     // index of the last picture of this connection; -1 before the first
	at       time.Time // when it came; zero before the first of all connections
	first    time.Time // when the first of all pictures came
	Gaps     []silent  // longer than noted
	shown    []shown   // see shownEvery
	Pictures int
	Missing  int64       // pictures that were left out within connections
	Back     []wentBack  // pictures that came twice or went back within a connection, and playlists that did
	Again    int         // segments that repeated less than their duration of the one before, made by another node
	begins   bool        // the next picture is the first of a segment
	of       string      // that segment, in words
	Ends     []time.Time // of connections
}

// A silent time is one in which a viewer got nothing.
type silent struct{ From, To time.Time }

// A shown picture is one that came to a viewer.
type shown struct {
	index int64
	at    time.Time
}

// shownEvery is how near to each other pictures may have come that are noted: of nearer ones, as of a segment, the last.
const shownEvery = 40 * time.Millisecond

// noted is the shortest silence that is kept.
const noted = 250 * time.Millisecond

// watch lets a viewer come.
func (g *group) watch(ctx context.Context, p protocols.Protocol, stream string, entry *node) *viewer {
	v := &viewer{Stream: stream, Protocol: p, entry: entry}
	g.come(ctx, v)
	return v
}

// come lets a viewer come.
func (g *group) come(ctx context.Context, v *viewer) {
	v.began = time.Now()
	g.mu.Lock()
	g.viewers = append(g.viewers, v)
	g.mu.Unlock()
	g.running.Go(func() { v.run(ctx, g) })
}

func (v *viewer) run(ctx context.Context, g *group) {
	for ctx.Err() == nil {
		v.mu.Lock()
		v.last = -1
		v.mu.Unlock()
		_ = v.pull(ctx, g) // why a connection ended is not the viewer's to judge; it asks again
		v.mu.Lock()
		v.Ends = append(v.Ends, time.Now())
		v.mu.Unlock()
		select {
		case <-time.After(comeback):
		case <-ctx.Done():
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := time.Now(); !v.at.IsZero() && now.Sub(v.at) >= noted {
		v.Gaps = append(v.Gaps, silent{v.at, now})
	}
}

// pull plays until the connection ends.
func (v *viewer) pull(ctx context.Context, g *group) error {
	d := protocols.Of(v.Protocol)
	url := d.URL(address(v.entry.host, *g.ports.at(d.Listener)), v.Stream)
	o := pull.Options{Connect: g.patience, Silence: g.patience, Agent: "weir-sim"}
	switch v.Protocol {
	case protocols.RTMP:
		return rtmp.Pull(ctx, url, rtmp.ClientConfig{Timeout: g.patience, Plain: !v.follows}, reception.Discard, v)
	case protocols.RTSP:
		return rtsp.Pull(ctx, url, rtsp.PullConfig{Timeout: g.patience, Agent: o.Agent, Report: reception.Discard}, v)
	case protocols.FLV:
		return pull.FLV(ctx, url, o, v)
	case protocols.TS:
		return pull.TS(ctx, url, o, v)
	case protocols.HLS:
		return v.playlist(ctx, url, g.patience)
	}
	return errors.New("no viewer plays " + string(v.Protocol))
}

// perSegment is how many pictures a segment has at most.
const perSegment = int64(segmentLength/time.Second) * 25

// indexAt is the index of the picture that is on air at an instant.
func indexAt(at time.Time) int64 { return at.UnixMilli() / 40 }

// clock is the time of day that a picture shows.
func clock(index int64) string {
	return time.Unix(index/25, index%25*40_000_000).UTC().Format("15:04:05.000")
}

// WentBack is that something came twice or went back.
type wentBack struct {
	at      time.Time
	since   time.Time // of a playlist: when the one before came; else zero
	numbers int64     // of a playlist: by how many segments its end went back
	what    string
}

// back notes that something came twice or went back.
func (v *viewer) back(b wentBack) { v.Back = append(v.Back, b) }

// backText says how often something came twice or went back, and what did first; empty if nothing did.
func (v *viewer) backText() string {
	if len(v.Back) == 0 {
		return ""
	}
	return v.Back[0].what
}

// SetTracks implements [codecs.Writer].
func (*viewer) SetTracks(codecs.Tracks) {}

// Write implements [codecs.Writer]. An RTSP client that is redirected while it plays (RFC 2326, 10.10) begins anew at the other
// server, which its client marks as a discontinuity.
func (v *viewer) Write(au *codecs.AccessUnit) error {
	index, ok := fake.Index(au.Payload)
	if !ok {
		return nil
	}
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.at.IsZero() && now.Sub(v.at) >= noted {
		v.Gaps = append(v.Gaps, silent{v.at, now})
	}
	begins := v.begins
	v.begins = false
	if v.Protocol == protocols.RTSP && au.Discontinuity {
		v.last = -1
	}
	switch {
	case v.last >= 0 && index <= v.last && begins && v.last-index < perSegment:
		v.Again++
	case v.last >= 0 && index <= v.last:
		v.back(wentBack{at: now, what: clock(v.last) + " was followed by " + clock(index) + v.of})
	case v.last >= 0:
		v.Missing += index - v.last - 1
	}
	if v.first.IsZero() {
		v.first = now
	}
	if n := len(v.shown); n == 0 || now.Sub(v.shown[n-1].at) >= shownEvery {
		v.shown = append(v.shown, shown{index, now})
	} else {
		v.shown[n-1].index = index
	}
	v.last, v.at = index, now
	v.Pictures++
	return nil
}
