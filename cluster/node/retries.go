package node

import (
	"strings"
	"unicode"

	"weir/cluster/control"
)

// Retries know which notes of the control plane tell nothing new: those of a stream whose capture is tried again and again and fails for
// the same reason each time. The zero retries are ready to use.
type retries struct {
	failing map[string]string // by stream, why its capture has failed last, without digits
}

// repeats says whether a note tells nothing new.
func (r *retries) repeats(o control.Note) bool {
	before, failing := r.failing[o.Stream]
	switch o.Kind {
	case control.NoteClaimed:
		return failing
	case control.NoteFailed:
		if r.failing == nil {
			r.failing = map[string]string{}
		}
		why := withoutDigits(o.Detail) // such as the port of this side
		r.failing[o.Stream] = why
		return failing && why == before
	case control.NoteRunning, control.NoteYielded:
		delete(r.failing, o.Stream)
	}
	return false
}

// changed forgets the streams that are gone.
func (r *retries) changed(v *control.View) {
	for name := range r.failing {
		if v.Stream(name) == nil {
			delete(r.failing, name)
		}
	}
}

func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}
