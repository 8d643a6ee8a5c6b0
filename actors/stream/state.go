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
	}
	return "unknown"
}

func (r role) String() string {
	switch r {
	case capturing:
		return "capturing"
	case following:
		return "following"
	case releasing:
		return "releasing"
	}
	return "idle"
}
