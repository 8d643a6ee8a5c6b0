package origin

import (
	"log/slog"

	"weir/actors/act"
)

// lost says that the origin has been silent for too long: its streams are gone here.
func lost(source string, err error) act.Event {
	return act.Warn("source_lost", "a source is silent", slog.String("server", source), act.Err(err))
}

// failed says that the origin gives another reason than before for not telling its state.
func failed(source string, err error) act.Event {
	return act.Warn("source_failed", "a source does not tell its state", slog.String("server", source), act.Err(err))
}

// found says that the origin tells its state, for the first time or again.
func found(source, node string) act.Event {
	return act.Info("source_found", "a source tells its state", slog.String("server", source), slog.String("node", node))
}
