package pull

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"weir/codecs"
	"weir/codecs/reception"
)

// A merged puts the access units of two media in the order of their times before they are joined: each comes a segment at a time, and
// the timeline takes tracks that are far apart for two timelines. A medium of which nothing comes is waited for, but not for ever: see
// [medium.patience].
type merged struct {
	media  []*medium // those that are played; with one of them nothing waits
	begun  bool
	origin int64 // the first time; others are compared by their distance from it, since times wrap
	front  int64 // the latest time that was joined, in ticks after the origin
	timer  *time.Timer
	err    error // of what was joined when nothing was put
}

// A pending is an access unit that waits for those of another medium that are before it.
type pending struct {
	at   int64 // ticks after the origin
	came time.Time
	do   func() error
}

const (
	// patient is how long a medium is waited for beside its target duration, and impatient once a request for it has failed.
	patient   = 10 * time.Second
	impatient = time.Second

	// longTarget is the most that counts of a target duration.
	longTarget = 30 * time.Second

	// soundFor is for how much media the tracks are not announced without the first sound, which may begin several segments
	// behind the first picture.
	soundFor = 60 * codecs.ClockRate

	// mostBehind is how far the first access unit of a medium may be behind what was joined. The timeline takes ten seconds for another
	// one, and a segment of the other medium may be joined before that unit gets there.
	mostBehind = 4 * codecs.ClockRate
)

var (
	errBehind = errors.New("it comes long after what belongs to it")
	errBefore = errors.New("it is before the first picture")
)

// play says which media are played from now on. What waits of others is joined.
func (s *shared) play(media ...*medium) error {
	before := s.order.media
	for _, m := range before {
		m.ended = true
	}
	for _, m := range media {
		m.ended, m.passed = false, false
		if !slices.Contains(before, m) {
			m.since = time.Now()
		}
	}
	s.order.media = slices.Concat(media, before)
	err := s.advance()
	s.order.media = media
	for _, m := range before {
		if m.ended {
			err = cmp.Or(err, s.release(m))
		}
	}
	s.joiner.Patience = 0
	if len(media) > 1 {
		s.joiner.Patience = soundFor
	}
	return err
}

// put joins an access unit now, or once the other medium is as far. Timed says that it has a time; without one it follows on the one
// before.
func (s *shared) put(m *medium, timed bool, at int64, do func() error) error {
	if len(s.order.media) < 2 {
		return do()
	}
	if timed {
		if !s.order.begun {
			s.order.begun, s.order.origin = true, at
		}
		m.reached = shortest(at - s.order.origin)
	}
	if !m.joined && m.reached < s.order.front-mostBehind {
		s.report.Count(reception.SkippedUnits, 1, errBehind)
		return nil
	}
	m.passed = false
	m.pending = append(m.pending, pending{m.reached, time.Now(), do})
	return s.advance()
}

// shortest is a distance of two timestamps of 33 bits by the shorter way round.
func shortest(d int64) int64 {
	d &= wrapTS - 1
	if d >= wrapTS/2 {
		d -= wrapTS
	}
	return d
}

// advance joins what waits for nothing.
func (s *shared) advance() error {
	for {
		var next *medium
		for _, m := range s.order.media {
			if len(m.pending) > 0 && (next == nil || m.pending[0].at < next.pending[0].at) {
				next = m
			}
		}
		if next == nil {
			return s.order.err
		}
		if wait := s.awaits(next.pending[0]); wait > 0 {
			s.wake(wait)
			return s.order.err
		}
		u := next.pending[0]
		next.pending[0] = pending{}
		next.pending = next.pending[1:]
		if s.order.early(next) {
			s.report.Count(reception.SkippedUnits, 1, errBefore)
			continue
		}
		next.joined, s.order.front = true, max(s.order.front, u.at)
		if err := u.do(); err != nil {
			return err
		}
	}
}

// early says whether an access unit of a medium is sound before the first picture. Playlists with segments of other lengths begin at
// other times, and viewers are not to wait for what was before.
func (o *merged) early(m *medium) bool {
	pictures := o.media[0]
	return m != pictures && !m.joined && !pictures.joined && len(pictures.pending) > 0
}

// awaits is how long an access unit still waits for media of which nothing is there. Those that have been waited for long enough are
// passed over from now on, until something comes of them.
func (s *shared) awaits(u pending) (wait time.Duration) {
	for _, m := range s.order.media {
		if len(m.pending) > 0 || m.ended || m.passed {
			continue
		}
		left := m.patience(u.came)
		if left <= 0 {
			m.passed, s.joiner.Patience = true, 0
		}
		wait = max(wait, left)
	}
	return wait
}

// wake has advance be called again.
func (s *shared) wake(after time.Duration) {
	if s.order.timer != nil {
		s.order.timer.Stop()
	}
	s.order.timer = time.AfterFunc(after, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.step()
	})
}

// step is advance where nothing was put, so that there is nobody to return an error to: put does.
func (s *shared) step() {
	s.order.fail(s.advance())
}

// fail keeps an error until there is somebody to return it to.
func (o *merged) fail(err error) {
	if err != nil {
		o.err = err
	}
}

// release joins what waits of a medium that ends, without waiting for others.
func (s *shared) release(m *medium) error {
	for _, u := range m.pending {
		if err := u.do(); err != nil {
			return err
		}
	}
	m.pending = nil
	return nil
}

// stop ends what wake began.
func (s *shared) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order.media = nil
	if s.order.timer != nil {
		s.order.timer.Stop()
	}
}

// patience is how long the medium is still waited for by an access unit of the other one that came at an instant.
func (m *medium) patience(came time.Time) time.Duration {
	if m.since.After(came) {
		came = m.since
	}
	left := time.Until(came.Add(patient + min(m.target, longTarget)))
	if m.failed.IsZero() {
		return left
	}
	if m.failed.After(came) {
		came = m.failed
	}
	return min(left, time.Until(came.Add(impatient)))
}

// ahead says whether so much of a medium waits for the other one that no more is to be fetched. A live playlist limits that itself.
func (m *medium) ahead() bool {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	return m.follower.Ended() && len(m.pending) > 0 && durationOf(m.reached-m.pending[0].at) >= 2*lead
}
