package act

import (
	"errors"
	"log/slog"
	"time"
)

// An Event is something that happened to an actor, for the log, the metrics and the trace. Packages make each kind of
// event in a function of their own, which gives it its level, its sentence and its attributes.
type Event struct {
	Kind  string // in metrics and traces
	Level slog.Level
	Text  string // the message in the log: the same for every event of the kind
	Attrs []slog.Attr
}

// Warn makes an event of which an operator should hear.
func Warn(kind, text string, attrs ...slog.Attr) Event {
	return Event{kind, slog.LevelWarn, text, attrs}
}

// Info makes an event of which an operator may want to read.
func Info(kind, text string, attrs ...slog.Attr) Event {
	return Event{kind, slog.LevelInfo, text, attrs}
}

// Debug makes an event that explains others.
func Debug(kind, text string, attrs ...slog.Attr) Event {
	return Event{kind, slog.LevelDebug, text, attrs}
}

// Err is the attribute for a reason, which may be the value of a panic. Without a reason the attribute is left out.
func Err(reason any) slog.Attr {
	if reason == nil {
		return slog.Attr{}
	}
	return slog.Any("err", reason)
}

// An Expected error is a failure outside of this program, such as that of a source. Its actor tries again, and tells its
// parent of it.
type Expected interface{ Expected() bool }

// restarting says that a child has failed and is started again after a delay.
func restarting(actor string, reason any, in time.Duration) Event {
	attrs := []slog.Attr{slog.String("actor", actor), Err(reason), slog.Duration("in", in)}
	err, _ := reason.(error)
	var expected Expected
	if errors.As(err, &expected) && expected.Expected() {
		return Debug("actor_restart", "an actor tries again", attrs...)
	}
	var panicked *PanicError
	if errors.As(err, &panicked) {
		attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
	}
	return Warn("actor_restart", "an actor has failed and will be restarted", attrs...)
}

// gaveUp says that a child failed too often, or that its parent is stopping.
func gaveUp(actor string, reason any) Event {
	return Warn("actor_gave_up", "an actor has failed and will be stopped", slog.String("actor", actor), Err(reason))
}

// stopPanicked says that an actor failed while it was being stopped.
func stopPanicked(actor string, reason any) Event {
	return Warn("actor_stop_panic", "an actor has failed while it was being stopped", slog.String("actor", actor), Err(reason))
}
