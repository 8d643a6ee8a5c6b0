package pull

import "time"

// A merged puts the access units of two media in the order of their times before they are joined: each comes a segment at a time, and
// the timeline takes tracks that are far apart for two timelines.
type merged struct {
	media  []*medium // those that are played; with one of them nothing waits
	begun  bool
	origin int64 // the first time; others are compared by their distance from it, since times wrap
}

// A later is an access unit that waits for those of another medium that are before it.
type later struct {
	at int64 // ticks after the origin
	do func() error
}

// apart is how much of a medium waits at most for the other one.
const apart = 20 * time.Second

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
	m.waiting = append(m.waiting, later{m.reached, do})
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
			if len(m.waiting) > 0 && (next == nil || m.waiting[0].at < next.waiting[0].at) {
				next = m
			}
		}
		if next == nil {
			return nil
		}
		for _, m := range s.order.media {
			if len(m.waiting) == 0 && s.failing[m] == "" && !m.ended && durationOf(next.reached-next.waiting[0].at) < apart {
				return nil
			}
		}
		do := next.waiting[0].do
		next.waiting[0] = later{}
		next.waiting = next.waiting[1:]
		if err := do(); err != nil {
			return err
		}
	}
}

// play says which media are played from now on. What waits of others is joined.
func (s *shared) play(media ...*medium) error {
	for _, m := range s.order.media {
		m.ended = true
	}
	err := s.advance()
	s.order.media = media
	for _, m := range media {
		m.ended = false
	}
	return err
}
