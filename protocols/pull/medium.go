package pull

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"weir/codecs/reception"
	"weir/protocols/pull/m3u8"
)

// A medium is one media playlist that is played.
type medium struct {
	name    string // "" for that of the pictures, or of all there is; "sound"
	url     *url.URL
	takes   wanted
	program int
	shared  *shared
	out     *pacer
	fetcher fetcher
	choice  *choice // to which it belongs; nil for sound beside pictures

	follower m3u8.Follower
	reader   segmentReader
	form     form
	init     []byte
	initOf   *m3u8.Map
	broken   bool // the bytes of the next segment do not follow on those of the last one
	again    bool // it may be one that was read before
	repeats  bool // the next access unit is the first of such a segment
	began    bool // a segment was read
	wait     backOff

	// The place among the media that are played, under the mutex of shared.
	pending []pending
	reached int64         // the time of the last access unit that came, in ticks after the origin
	joined  bool          // one was joined, of this medium or of that whose place it has
	ended   bool          // nothing follows
	passed  bool          // it is not waited for
	since   time.Time     // when it began to be played
	target  time.Duration // of its playlist
	failed  time.Time     // since when it cannot be had; zero if it can
}

// tries is after how many failures in a row the presentation is looked at again: its tokens may have expired, or another
// variant may be there.
const tries = 4

// stale is for how long, or for four target durations, a playlist may bring nothing new until the presentation is looked at again: the
// server may have been left by its encoder, while another variant goes on.
const stale = 15 * time.Second

// A backOff says how long to wait after a failure.
type backOff struct{ failures int }

// next is 0.5 s after the first failure in a row, and twice as much after each other one, up to 2 s.
func (b *backOff) next() time.Duration {
	d := 500 * time.Millisecond << min(b.failures, 2)
	b.failures++
	return d
}

func (b *backOff) reset() { b.failures = 0 }

// keepOn plays until the context ends; what fails is tried again.
func (m *medium) keepOn(ctx context.Context) {
	var wait backOff
	for {
		began, err := m.run(ctx, nil, nil)
		if ctx.Err() != nil || errors.Is(err, ErrEnded) {
			return
		}
		if began {
			wait.reset()
		}
		m.unavailable(err)
		if sleep(ctx, wait.next()) != nil {
			return
		}
	}
}

// unavailable reports that something cannot be had; nil that all can.
func (m *medium) unavailable(err error) {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	m.shared.fails(m, err)
	m.shared.step()
}

// put is [shared.put] for the medium.
func (m *medium) put(timed bool, at int64, do func() error) error {
	if m.repeats {
		m.repeats = false
		first := do
		do = func() error {
			m.shared.joiner.Again()
			return first()
		}
	}
	return m.shared.put(m, timed, at, do)
}

// run plays the playlist, which list is already if it is not nil.
func (m *medium) run(ctx context.Context, list *m3u8.Playlist, base *url.URL) (began bool, err error) {
	m.began = false
	asked := time.Now()
	news := asked
	for {
		m.spent()
		if list == nil {
			asked = time.Now()
			if list, base, err = m.fetcher.playlist(ctx, m.url); err != nil {
				if err := m.failure(ctx, err); err != nil {
					return m.began, err
				}
				list = nil
				continue
			}
		}
		if len(list.Variants) > 0 {
			return m.began, errors.New("a variant that leads to a multivariant playlist")
		}
		brought := m.take(list)
		if brought.Lost > 0 {
			m.lose(brought.Lost, errors.New("the playlist no longer lists it"))
		}
		m.broken, m.again = m.broken || brought.Restart, m.again || brought.Restart
		again, err := m.segments(ctx, base, brought.Segments)
		due := asked.Add(m.follower.Reload())
		switch {
		case err != nil:
			return m.began, err
		case again > 0:
			if err := sleep(ctx, again); err != nil {
				return m.began, err
			}
			if !list.Ended && time.Now().After(due) {
				list = nil
			}
			continue
		case list.Ended:
			return m.began, m.finish()
		case len(brought.Segments) > 0:
			news = time.Now()
		case time.Since(news) > max(stale, 4*list.Target) && m.buffered() == 0:
			err := fmt.Errorf("playlist: nothing new has come for %v", time.Since(news).Round(time.Second))
			m.unavailable(err)
			return m.began, fmt.Errorf("%w: %w", err, errAgain)
		}
		list = nil
		if err := sleep(ctx, time.Until(due)); err != nil {
			return m.began, err
		}
	}
}

// spent has the last access unit be read when viewers have got all others, and nothing that comes says where it ends: later it would be
// too late, and what follows would wait for its pace.
func (m *medium) spent() {
	if m.buffered() > 0 {
		return
	}
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	m.shared.order.fail(m.flush())
}

// take takes in a reload of the playlist.
func (m *medium) take(list *m3u8.Playlist) m3u8.News {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	m.target = list.Target
	return m.follower.Take(list, time.Now())
}

// buffered is how much media waits: for that of pictures up to the last of them, since sound beside it may go on.
func (m *medium) buffered() time.Duration { return m.out.buffered(m.takes.video) }

// room waits until the next segment may be fetched.
func (m *medium) room(ctx context.Context) error {
	for {
		if err := m.out.room(ctx, 3*lead); err != nil || !m.ahead() {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// failure reports that the playlist cannot be had, and waits. It returns an error when the presentation is to be looked at again.
func (m *medium) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.unavailable(err)
	switch {
	case !m.began && m.wait.failures == 0 && m.name == "": // another variant may be there
		m.wait.failures++
		return err
	case expired(err), m.wait.failures+1 >= tries:
		m.wait.reset()
		return fmt.Errorf("%w: %w", err, errAgain)
	}
	return sleep(ctx, m.wait.next())
}

// lose counts segments that are skipped.
func (m *medium) lose(n int64, why error) {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	m.shared.report.Count(reception.LostSegments, int(min(n, 1<<20)), why)
	m.broken = true
}

// segments plays segments. It says after which time the first that was not played is to be asked for again, or zero.
func (m *medium) segments(ctx context.Context, base *url.URL, list []m3u8.Segment) (again time.Duration, err error) {
	for i := 0; i < len(list); i++ {
		s := list[i]
		if s.Gap {
			m.lose(1, errors.New("the server does not have it"))
			continue
		}
		if err := m.room(ctx); err != nil {
			return 0, err
		}
		asked := time.Now()
		err := m.try(ctx, base, s)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if m.changes(share{time.Since(asked), s.Duration}, err) {
			if err != nil {
				m.follower.Resume(s.Number)
			} else if i+1 < len(list) {
				m.follower.Resume(list[i+1].Number)
			}
			return 0, errChange
		}
		if err == nil {
			continue
		}
		again = m.wait.next()
		m.unavailable(fmt.Errorf("segment %d: %w", s.Number, err))
		n := m.wait.failures
		if over := m.skip(ctx, base, list[i:], err); over > 0 {
			i += over
			continue
		}
		if m.follower.Ended() && n > 2*tries { // it stays in the playlist for ever
			m.wait.reset()
			m.lose(1, err)
			continue
		}
		m.follower.Resume(s.Number)
		if !m.began && (permanent(err) || n >= tries) || expired(err) && n%tries == 0 || n >= 2*tries && m.buffered() == 0 {
			return 0, fmt.Errorf("segment %d: %w: %w", s.Number, err, againUnless(!m.began && permanent(err)))
		}
		return again, nil
	}
	return 0, nil
}

// changes says whether another variant is to be played, after a segment has come or failed.
func (m *medium) changes(s share, err error) bool {
	return m.choice != nil && (err == nil || errors.Is(err, errLate)) && m.choice.segment(s, m.buffered(), time.Now())
}

// skip plays a segment behind the first of the list, which failed, and says how many were passed over: so that it is those that are
// bad. It is called after each failure and does nothing until viewers have nothing left; until then the first one is asked for again.
// It goes one segment farther after each failure; a server that does not answer is asked for the first and the last of these alone.
func (m *medium) skip(ctx context.Context, base *url.URL, list []m3u8.Segment, why error) int {
	if m.buffered() >= list[0].Duration {
		return 0
	}
	before, failures := m.broken, m.wait.failures
	farthest := min(failures, len(list)-1)
	for over := 1; over <= farthest; over++ {
		if list[over].Gap {
			continue
		}
		m.broken = true
		err := m.try(ctx, base, list[over])
		if err == nil {
			m.shared.mu.Lock()
			defer m.shared.mu.Unlock()
			m.shared.report.Count(reception.LostSegments, over, why)
			return over
		}
		m.broken = before
		if errors.Is(err, errLate) {
			over = max(over, farthest-1)
		}
	}
	return 0
}

// againUnless says whether the presentation is to be looked at again.
func againUnless(not bool) error {
	if not {
		return errHopeless
	}
	return errAgain
}

// permanent says whether another variant is to be tried, rather than the same segment again.
func permanent(err error) bool {
	return errors.Is(err, errEncrypted) || errors.Is(err, ErrNoTracks) || errors.Is(err, ErrCodec)
}

// expired says whether a server refuses what it has given the URL of, so that another URL may be asked for.
func expired(err error) bool {
	e, ok := errors.AsType[*StatusError](err)
	return ok && (e.Code == http.StatusUnauthorized || e.Code == http.StatusForbidden || e.Code == http.StatusGone)
}

// try fetches and reads a segment.
func (m *medium) try(ctx context.Context, base *url.URL, s m3u8.Segment) error {
	if err := supported(s.Key); err != nil {
		return err
	}
	if s.Map != nil && (m.initOf == nil || !m.initOf.Same(s.Map) || m.broken || s.Discontinuity) { // an encoder that begins anew writes over it
		if err := supported(s.Map.Key); err != nil {
			return err
		}
		b, err := m.fetcher.segment(ctx, base, m3u8.Segment{Number: s.Number, URI: s.Map.URI, Bytes: s.Map.Bytes, Key: s.Map.Key})
		if err != nil {
			return fmt.Errorf("init segment: %w", err)
		}
		m.init, m.initOf = b, s.Map
	}
	b, err := m.fetcher.segment(ctx, base, s)
	if err != nil {
		return err
	}
	var init []byte
	if s.Map != nil {
		init = m.init
	}
	if err := m.read(init, b, s.Discontinuity); err != nil {
		if s.Key != nil { // the padding of what a wrong key gave was right by chance
			m.fetcher.forget(base, s.Key)
		}
		return err
	}
	m.began = true
	m.wait.reset()
	m.unavailable(nil)
	return nil
}

// read hands a segment to the reader of its form.
func (m *medium) read(init, segment []byte, discontinuity bool) error {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	form := formOf(segment)
	switch {
	case init != nil:
		form = formFragments
	case form == formNone:
		return fmt.Errorf("%w: it begins with %q", ErrForm, segment[:min(len(segment), 16)])
	}
	if m.reader == nil || m.form != form {
		if m.reader != nil {
			m.reader.leave()
		}
		m.reader, m.form = form.reader(m), form
	}
	if m.broken {
		if err := m.flush(); err != nil {
			return err
		}
	}
	m.repeats, m.again = m.again, false
	err := m.reader.read(init, segment, discontinuity)
	if err == nil && len(m.shared.order.media) > 1 {
		// What the last access unit belongs to is joined before what the other medium brings next, which may be of another timeline.
		// Servers that have sound and pictures apart cut between access units.
		err = m.flush()
	}
	m.broken, m.repeats = err != nil, false
	return errors.Join(err, m.shared.order.err)
}

// finish says that nothing follows.
func (m *medium) finish() error {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if err := m.flush(); err != nil {
		return err
	}
	m.ended = true
	if err := m.shared.advance(); err != nil {
		return err
	}
	return ErrEnded
}

// flush has the last access unit be read whose end is not known.
func (m *medium) flush() error {
	if t, ok := m.reader.(*transportSegments); ok {
		return t.t.demuxer.Flush()
	}
	return nil
}

// end joins what has come and takes back what the medium has joined.
func (m *medium) end() {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if m.reader != nil {
		m.shared.order.fail(m.flush())
		m.shared.order.fail(m.shared.release(m))
		m.reader.leave()
		m.reader = nil
	}
	delete(m.shared.left, m)
	m.shared.fails(m, nil)
}
