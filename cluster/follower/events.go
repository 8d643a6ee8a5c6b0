package follower

import (
	"log/slog"

	"weir/actors/act"
)

// lost says that a node has been silent for too long, and counts as dead.
func lost(kind, entry string, err error) act.Event {
	return act.Warn(kind+"_lost", "a node outside the group is silent", slog.String("server", entry), act.Err(err))
}

// failed says that a node gives another reason than before for not telling its state.
func failed(kind, entry string, err error) act.Event {
	return act.Warn(kind+"_failed", "a node outside the group does not tell its state", slog.String("server", entry), act.Err(err))
}

// found says that a node tells its state, for the first time or again.
func found(kind, entry, node string) act.Event {
	return act.Info(kind+"_found", "a node outside the group tells its state", slog.String("server", entry), slog.String("node", node))
}
