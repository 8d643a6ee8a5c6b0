package stream

import (
	"errors"
	"net"
	"strings"
)

// failing says how often in a row an input has failed, and why it did last.
type failing struct {
	times int
	cause string
}

// lasting is how many failures in a row make an input one that nobody waits for. The first may be of a source that a node
// before this one has not let go yet.
const lasting = 2

// Failed says that nothing comes, because all inputs fail; reason is why. An input that is being started, or was not
// started yet, may bring something.
func (s *Snapshot) Failed() (reason string, failed bool) {
	if s.Role != Capturing || s.Publisher != "" {
		return "", false
	}
	var causes []string
	for _, in := range s.Inputs {
		switch {
		case !in.Own:
		case in.Active || in.Failures < lasting:
			return "", false
		default:
			causes = append(causes, in.Cause)
		}
	}
	return "its input fails: " + strings.Join(causes, "; "), len(causes) > 0
}

// cause is the innermost error in err, which names no place: the errors around it do.
func cause(err error) string {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	if text := err.Error(); !strings.Contains(text, "://") {
		return text
	}
	return "the source is not to be had"
}
