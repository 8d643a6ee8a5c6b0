package soaktest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"weir/codecs"
)

// A source is a server of one stream, that does one thing at a time wrong.
type source struct {
	kind string
	port int
	m    *material
	r    *record
	rng  *rand.Rand // under the mutex
	url  string

	// troubles are what can go wrong with this kind, serve answers a connection.
	troubles []string
	serve    func(s *source, c net.Conn)

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	trouble  string // "" while all is well
	well     time.Time
	playing  int
	form     int   // of the material
	shift    int64 // of its timestamps
	numbers  int64 // HLS: what is added to the numbers of segments
	moved    bool  // TS: the sound is on another PID
	tokens   int   // that were given out
	piped    bool  // connections are pipes
	calm     bool  // nothing goes wrong any more
	hls      *station
}

// everyKind goes wrong with every stream that is live.
var everyKind = []string{"refused", "reset", "ended", "stall", "delay", "jump", "codec", "silent", "status 403", "status 404", "status 500"}

func (s *source) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// chance is true once in so many times.
func (s *source) chance(of int) bool { return s.random(of) == 0 }

func (s *source) random(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

// now is what goes wrong.
func (s *source) now() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

// look reads what the streams of the source are like.
func (s *source) look() (trouble string, form int, shift int64, moved bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble, s.form, s.shift, s.moved
}

// listen accepts connections.
func (s *source) listen() error {
	if s.piped {
		return nil
	}
	l, err := net.Listen("tcp", s.address())
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.accepted(c)
		}
	}()
	return nil
}

// accepted serves a connection.
func (s *source) accepted(c net.Conn) {
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	s.serve(s, c)
	_ = c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// close ends all connections, and the listener too if it is to.
func (s *source) close(listener, reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if listener && s.listener != nil {
		_ = s.listener.Close()
	}
	for c := range s.conns {
		if t, ok := c.(*net.TCPConn); ok && reset {
			_ = t.SetLinger(0)
		}
		_ = c.Close()
	}
}

// wait lets time pass; it returns false when the context has ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// misbehave has one thing after the other go wrong, until the context ends. Pauses are from 2 s to most.
func (s *source) misbehave(ctx context.Context, most time.Duration) {
	for wait(ctx, 2*time.Second+time.Duration(s.random(int((most-2*time.Second)/time.Millisecond)))*time.Millisecond) {
		what := s.troubles[s.random(len(s.troubles))]
		s.r.fault(what)
		lasts := 300*time.Millisecond + time.Duration(s.random(5000))*time.Millisecond
		s.set(what)
		switch what {
		case "refused":
			s.close(true, s.chance(2))
			wait(ctx, lasts)
			if err := s.listen(); err != nil {
				s.r.end(err)
				return
			}
		case "reset", "ended":
			s.close(false, what == "reset")
		case "status 403", "status 404", "status 500":
			if s.hls == nil {
				s.close(false, false)
			}
			wait(ctx, lasts)
		case "jump":
			s.mu.Lock()
			s.shift += (s.rng.Int64N(7200) - 3600) * second
			s.mu.Unlock()
		case "codec":
			s.mu.Lock()
			s.form = 1 - s.form
			s.mu.Unlock()
		case "moved":
			s.mu.Lock()
			s.moved = !s.moved
			s.mu.Unlock()
		case "renumbered":
			s.mu.Lock()
			s.numbers += s.rng.Int64N(2000) - 1000
			s.mu.Unlock()
		default:
			wait(ctx, lasts)
		}
		s.set("")
		s.r.note("well")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calm = true
}

func (s *source) set(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble = what; s.playing > 0 {
		return
	}
	if what == "" {
		s.well = time.Now()
	} else {
		s.unasked()
	}
}

func (r *record) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		r.ended = err
	}
}

// A form makes the bytes of a protocol.
type form interface {
	// prologue is sent before the media, and where the tracks change.
	prologue(tracks codecs.Tracks) []byte

	// encode makes the bytes of an access unit, which is not to arrive whole if it is not ok. Where the one before is spoilt by that too, both are.
	encode(au *codecs.AccessUnit, trouble string) (b []byte, ok, both bool)
}

// uncertain is how long before its end what was sent on a connection may not have arrived.
const uncertain = 2 * time.Second

// A delivery is what one connection has sent.
type delivery struct {
	numbers []int64
	times   []time.Time
	spoilt  bool // the random access point on which the next pictures depend has not been sent whole
}

func (d *delivery) add(number int64, ok, point, both bool) {
	if both && len(d.numbers) > 0 {
		d.numbers[len(d.numbers)-1] = -1
	}
	if point {
		d.spoilt = !ok
	}
	if ok && !d.spoilt {
		d.numbers, d.times = append(d.numbers, number), append(d.times, time.Now())
	}
}

// settle notes what has arrived.
func (d *delivery) settle(r *record) {
	for len(d.times) > 0 && time.Since(d.times[0]) > uncertain {
		r.send(d.numbers[0])
		d.numbers, d.times = d.numbers[1:], d.times[1:]
	}
}

// asked notes that the stream is asked for, and for how long it was not while all was well.
func (s *source) asked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.playing++; s.playing == 1 {
		s.unasked()
	}
}

// unasked counts the time for which all was well and nobody asked. The mutex is held.
func (s *source) unasked() {
	if s.hls != nil || s.well.IsZero() {
		return
	}
	d := time.Since(s.well)
	s.well = time.Time{}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.idle, s.r.unasked = max(s.r.idle, d), s.r.unasked+d
}

func (s *source) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.playing--; s.playing == 0 && s.trouble == "" {
		s.well = time.Now()
	}
}

// play sends the stream as it is on air, from a random access point on, until a write fails.
func (s *source) play(w func([]byte) error, f form) {
	s.asked()
	defer s.left()
	at := nextPoint(now())
	if s.chance(3) {
		at -= second // as with a cache of the last GOP
	}
	_, look, shift, _ := s.look()
	s.r.note(fmt.Sprintf("play from %d", (at-now())/picture))
	defer s.r.note("left")
	if w(f.prologue(s.m.tracks(look))) != nil {
		return
	}
	d := &delivery{}
	for {
		d.settle(s.r)
		trouble, next, nextShift, _ := s.look()
		until := now()
		switch trouble {
		case "stall":
			at = nextPoint(until)
			fallthrough
		case "delay":
			<-time.After(20 * time.Millisecond)
			continue
		}
		if until < at {
			<-time.After(20 * time.Millisecond)
			continue
		}
		tracks := s.m.tracks(look)
		for _, au := range s.m.between(look, at, until) {
			number, video := au.DTS/picture, tracks[au.Track].Codec.Video()
			if video && au.RandomAccess && (next != look || nextShift != shift) {
				until = au.DTS
				if next != look && w(f.prologue(s.m.tracks(next))) != nil {
					return
				}
				look, shift = next, nextShift
				break
			}
			if !video && trouble == "silent" {
				continue
			}
			au.DTS, au.PTS = au.DTS+shift, au.PTS+shift
			point := au.RandomAccess
			b, ok, both := f.encode(au, trouble)
			if w(b) != nil {
				return
			}
			if video {
				d.add(number, ok, point, both)
			} else if ok {
				s.r.mu.Lock()
				s.r.sounds++
				s.r.mu.Unlock()
			}
		}
		at = until
		if until > now()-second/10 {
			<-time.After(20 * time.Millisecond)
		}
	}
}

// pick is one of a list.
func pick[T any](s *source, list ...T) T { return list[s.random(len(list))] }

// with is a list and more.
func with(more ...string) []string { return slices.Concat(everyKind, more) }
