package pull

import (
	"context"
	"sync"
	"time"

	"weir/codecs"
)

// A pacer is a writer that hands access units on at the pace of their timestamps, in the order of their times. Segments come at once,
// and those of sound apart from those of pictures; viewers of other protocols than HLS are to get neither in bursts.
//
// Its methods may be called by any goroutine.
type pacer struct {
	mu      sync.Mutex
	queue   []paced
	newest  codecs.Tracks // that were announced last
	changed chan struct{} // has a value when something was added or finished
	done    bool          // nothing will be added
	err     error         // of the writer

	tracks  codecs.Tracks // that were handed on last
	running bool
	base    time.Time // when an access unit whose DTS is origin is due
	origin  int64
	starved bool // the queue was empty when something was due
}

// A paced is an access unit, or tracks that are announced at its place.
type paced struct {
	au     *codecs.AccessUnit
	tracks codecs.Tracks
}

const (
	// lead is a usual amount of media that is kept ready. Above twice as much the pace is raised, by a quarter at most, and segments
	// are fetched up to three times as much.
	lead = 10 * time.Second

	// hasten is by how many hundredths the pace is raised, as after a server that hung, and again for each second that is too much: a
	// server lists its segments for a short time, in which there must be room for them.
	hasten = 10
)

func newPacer() *pacer { return &pacer{changed: make(chan struct{}, 1)} }

func (p *pacer) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// SetTracks implements [codecs.Writer].
func (p *pacer) SetTracks(t codecs.Tracks) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.newest = append(p.queue, paced{tracks: t}), t
	p.wake()
}

// Write implements [codecs.Writer]. It does not wait.
func (p *pacer) Write(au *codecs.AccessUnit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	at := len(p.queue)
	for at > 0 && p.queue[at-1].au != nil && p.queue[at-1].au.DTS > au.DTS && p.queue[at-1].au.Track != au.Track {
		at--
	}
	p.queue = append(p.queue, paced{})
	copy(p.queue[at+1:], p.queue[at:])
	p.queue[at] = paced{au: au}
	p.wake()
	return nil
}

// finish says that nothing will be added.
func (p *pacer) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
	p.wake()
}

// span is how much media waits, of all tracks or up to the last picture. The mutex is held.
func (p *pacer) span(pictures bool) time.Duration {
	pictures = pictures && p.newest.Video() >= 0
	var first, last *codecs.AccessUnit
	for i := range p.queue {
		if first = p.queue[i].au; first != nil {
			break
		}
	}
	for i := len(p.queue) - 1; i >= 0 && last == nil; i-- {
		if au := p.queue[i].au; au != nil && (!pictures || au.Track == p.newest.Video()) {
			last = au
		}
	}
	if first == nil || last == nil {
		return 0
	}
	return max(0, durationOf(last.DTS-first.DTS))
}

// buffered is how much media waits, of all tracks or up to the last picture.
func (p *pacer) buffered(pictures bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.span(pictures)
}

// room waits until less than so much media waits.
func (p *pacer) room(ctx context.Context, most time.Duration) error {
	for {
		p.mu.Lock()
		over, err := p.span(false)-most, p.err
		p.mu.Unlock()
		switch {
		case err != nil:
			return err
		case over < 0:
			return ctx.Err()
		}
		if err := sleep(ctx, max(over, 50*time.Millisecond)); err != nil {
			return err
		}
	}
}

// run hands on until everything has been handed on behind finish, the context ends, or the writer refuses.
func (p *pacer) run(ctx context.Context, out codecs.Writer) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.mu.Lock()
		done := p.done && len(p.queue) == 0
		next, wait := p.due(time.Now())
		p.mu.Unlock()
		switch {
		case next.au != nil:
			if err := out.Write(next.au); err != nil {
				p.mu.Lock()
				p.err = err
				p.mu.Unlock()
				return err
			}
			continue
		case next.tracks != nil:
			p.tracks = next.tracks
			out.SetTracks(next.tracks)
			continue
		case done:
			return nil
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-p.changed:
		}
	}
}

// due takes what is to be handed on now, or says how long to wait.
func (p *pacer) due(now time.Time) (paced, time.Duration) {
	if len(p.queue) == 0 {
		p.starved = true
		return paced{}, time.Hour
	}
	next := p.queue[0]
	if next.au != nil {
		at := p.base.Add(durationOf(next.au.DTS - p.origin))
		switch over := p.span(false) - 2*lead; {
		case !p.running, p.starved && now.After(at), p.late(next.au, now.Sub(at)):
			p.running, p.base, p.origin = true, now, next.au.DTS
		case at.After(now):
			return paced{}, at.Sub(now)
		case over > 0 && next.au.DTS > p.origin:
			// The timeline is moved forward by a part of what has passed since the last time.
			raised := min(hasten*(1+over/time.Second), 2*hasten)
			p.base, p.origin = at.Add(-durationOf(min(next.au.DTS-p.origin, codecs.ClockRate))*raised/100), next.au.DTS
		}
		p.starved = false
	}
	p.queue[0] = paced{}
	p.queue = p.queue[1:]
	return next, 0
}

// late says whether an access unit is a picture behind whose time sound was handed on already. It is not hurried, as late sound is.
func (p *pacer) late(au *codecs.AccessUnit, by time.Duration) bool {
	return by > time.Second && au.Track < len(p.tracks) && p.tracks[au.Track].Codec.Video()
}

// sleep waits, or ends with the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
