package rtsp

import (
	"net"
	"testing"
	"time"

	"weir/protocols/listen"
)

// deadlines remembers the read deadline that was set last.
type deadlines struct {
	net.Conn
	read time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = t
	return nil
}

func TestReadDeadlineIsTheGreetingsUntilTheFirstRequest(t *testing.T) {
	inner := &deadlines{}
	opened := time.Unix(1000, 0)
	c := &conn{Conn: &listen.Conn{Conn: inner}, opened: opened}
	later, sooner := opened.Add(time.Minute), opened.Add(time.Second)
	for _, step := range []struct {
		greeted   bool
		set, want time.Time
	}{
		{false, later, opened.Add(firstRequest)},
		{false, sooner, sooner},
		{false, time.Time{}, opened.Add(firstRequest)},
		{true, later, later},
		{true, time.Time{}, time.Time{}},
	} {
		c.requested = step.greeted
		if err := c.SetReadDeadline(step.set); err != nil || !inner.read.Equal(step.want) {
			t.Errorf("greeted %v: SetReadDeadline(%v) set %v, want %v", step.greeted, step.set, inner.read, step.want)
		}
	}
}
