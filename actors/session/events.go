package session

import (
	"log/slog"

	"weir/actors/act"
	"weir/protocols/listen"
)

// refused says that no session could be made of a connection.
func refused(id string, err error) act.Event {
	return act.Warn("session_refused", "a connection gets no session", slog.String("session", id), act.Err(err))
}

// ended says that the session of a viewer or a publisher has ended.
func ended(id string, st listen.ClientStats, err error) act.Event {
	return act.Debug("session_end", "session ended", slog.String("session", id), slog.String("proto", string(st.Protocol)),
		slog.String("stream", st.Stream), act.Err(err))
}
