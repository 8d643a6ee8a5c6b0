package stream

// String gives the word that events and pages use.
func (s State) String() string {
	switch s {
	case Starting:
		return "starting"
	case Running:
		return "running"
	case Failed:
		return "failed"
	case Stopped:
		return "stopped"
	case Unpublished:
		return "unpublished"
	case Silent:
		return "silent"
	}
	return "unknown"
}

// String gives the word that events and pages use.
func (r Role) String() string {
	switch r {
	case Capturing:
		return "capturing"
	case Following:
		return "following"
	case Releasing:
		return "releasing"
	}
	return "idle"
}
