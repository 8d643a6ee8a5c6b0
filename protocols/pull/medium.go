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

	follower m3u8.Follower
	reader   segmentReader
	form     form
	init     []byte
	initOf   *m3u8.Map
	broken   bool // the bytes of the next segment do not follow on those of the last one
	began    bool // a segment was read
	ended    bool // nothing follows
	reached  int64
	waiting  []later // for the other medium
	late     error   // of what had waited
	wait     backOff
}

// tries is after how many failures in a row the presentation is looked at again: its tokens may have expired, or another
// variant may be there.
const tries = 4

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
	if err := m.shared.proceed(m, err); err != nil {
		m.late = err
	}
}

// put is [shared.put] for the medium.
func (m *medium) put(timed bool, at int64, do func() error) error {
	return m.shared.put(m, timed, at, do)
}

// run plays the playlist, which list is already if it is not nil.
func (m *medium) run(ctx context.Context, list *m3u8.Playlist, base *url.URL) (began bool, err error) {
	m.began = false
	asked := time.Now()
	for {
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
		news := m.follower.Take(list)
		if news.Lost > 0 {
			m.lose(news.Lost, errors.New("the playlist no longer lists it"))
		}
		m.broken = m.broken || news.Restart
		again, err := m.segments(ctx, base, news.Segments)
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
		}
		list = nil
		if err := sleep(ctx, time.Until(due)); err != nil {
			return m.began, err
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
		if err := m.out.room(ctx, 3*lead); err != nil {
			return 0, err
		}
		err := m.try(ctx, base, s)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		again = m.wait.next()
		m.unavailable(fmt.Errorf("segment %d: %w", s.Number, err))
		switch n := m.wait.failures; {
		case !m.began && (permanent(err) || n >= tries), m.began && expired(err) && n%tries == 0:
			return 0, fmt.Errorf("segment %d: %w: %w", s.Number, err, againUnless(permanent(err)))
		case m.follower.Ended() && i+1 == len(list) && n >= 2*tries: // the last of all
			m.lose(1, err)
			return 0, nil
		case i+1 < len(list) && m.out.waiting() < s.Duration && m.skip(ctx, base, list[i+1], err):
			i++
			continue
		}
		m.follower.Resume(s.Number)
		return again, nil
	}
	return 0, nil
}

// skip plays the segment behind one that failed, and says whether it is there: so that it is the one before it that is bad.
// It is called when viewers have nothing left; until then the one before it is asked for again.
func (m *medium) skip(ctx context.Context, base *url.URL, next m3u8.Segment, why error) bool {
	before := m.broken
	m.broken = true
	if m.try(ctx, base, next) != nil {
		m.broken = before
		return false
	}
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	m.shared.report.Count(reception.LostSegments, 1, why)
	return true
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
	if s.Map != nil && (m.initOf == nil || *m.initOf != *s.Map) {
		if err := supported(s.Map.Key); err != nil {
			return err
		}
		b, err := m.fetcher.segment(ctx, base, s.Map.URI, s.Map.Bytes, s.Map.Key, s.Number)
		if err != nil {
			return fmt.Errorf("init segment: %w", err)
		}
		m.init, m.initOf = b, s.Map
	}
	b, err := m.fetcher.segment(ctx, base, s.URI, s.Bytes, s.Key, s.Number)
	if err != nil {
		return err
	}
	var init []byte
	if s.Map != nil {
		init = m.init
	}
	if err := m.read(init, b, s.Discontinuity); err != nil {
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
	err := m.reader.read(init, segment, discontinuity, m.broken)
	m.broken = err != nil
	return errors.Join(err, m.late)
}

// finish says that nothing follows.
func (m *medium) finish() error {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if t, ok := m.reader.(*transportSegments); ok {
		if err := t.t.demuxer.Flush(); err != nil {
			return err
		}
	}
	m.ended = true
	if err := m.shared.advance(); err != nil {
		return err
	}
	return ErrEnded
}

// end takes back what the medium has joined.
func (m *medium) end() {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if m.reader != nil {
		m.reader.leave()
		m.reader = nil
	}
	delete(m.shared.left, m)
	m.shared.fails(m, nil)
}
