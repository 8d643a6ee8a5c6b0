package sim

import (
	"time"

	"weir/cluster/control"
)

// An established connection is what a machine keeps to the process of another one, from one question to the next: the boots of both. The zero
// value is none.
type established struct{ from, to int }

// Ends of connections are sent again as long as they are not acknowledged.
const (
	endAgain = 200 * time.Millisecond // the first time, and then twice as long each time
	endTries = 8
)

// refusal is how a question fails that the machine, or a firewall, refuses. It means something only where a connection has led
// straight to the process.
func (l *link) refusal() control.FailReason {
	if l.led == l.from.boots {
		return control.ConnectionRefused
	}
	return control.Unreachable
}

// ended tells the other machines that the process of m has ended: its kernel ends its connections.
func (w *world) ended(m *machine) {
	for _, a := range w.machines {
		if a != m && w.link(a, m).conn.to == m.boots {
			w.sendEnd(w.link(m, a), m.boots, 0)
		}
	}
}

// sendEnd sends the end of a connection on its way back to the machine that has opened it.
func (w *world) sendEnd(back *link, boots, try int) {
	delay, _, lost := w.transit(back, 60)
	if back.clog > 0 || lost || back.reject > 0 {
		if try < endTries {
			w.queue.push(item{at: w.now + endAgain<<try, do: func() { w.sendEnd(back, boots, try+1) }, cause: w.trace.cause})
		}
		return
	}
	if l := w.link(back.to, back.from); l.conn.to == boots {
		w.sever(l, delay)
	}
}

// sever lets the machine that keeps a connection learn after d that it has broken.
func (w *world) sever(l *link, d time.Duration) {
	if l.conn.to == 0 || l.conn.from != l.from.boots {
		return
	}
	was := l.conn
	w.queue.push(item{at: w.now + d, m: l.from, boots: was.from, cause: w.trace.cause, do: func() {
		if l.conn != was {
			return
		}
		l.conn = established{}
		for _, p := range l.from.read().config.Peers {
			if w.byEntry(p.Entry) == l.to {
				w.checks.severed(l.from, l.to)
				l.from.line("broken").text("to", l.to.name).causes()
				l.from.process.severed(p.Entry)
			}
		}
	}})
}
