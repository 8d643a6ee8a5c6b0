package listen

import (
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
)

const allowed = "GET, HEAD, OPTIONS"

// CORS lets pages of any origin read an answer. Streams are not protected by the origin of a page but by tokens, which
// are in the URL, so credentials are not allowed.
func CORS(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", allowed)
	h.Set("Access-Control-Allow-Headers", "*")
	h.Set("Access-Control-Expose-Headers", "*")
	h.Set("Access-Control-Max-Age", "86400")
}

// Reads says whether a request only reads, and answers one that does not. Both answers have CORS headers.
func Reads(w http.ResponseWriter, r *http.Request) bool {
	CORS(w.Header())
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodOptions:
		w.Header().Set("Allow", allowed)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", allowed)
		Plain(w, http.StatusMethodNotAllowed, "Only GET, HEAD and OPTIONS are answered here.")
	}
	return false
}

// Refuse answers a request whose verdict is not Serve: with the status for it, CORS headers and one line of text that
// says why. None of these answers may be cached: all of them change when a stream moves.
func Refuse(w http.ResponseWriter, a Answer) {
	CORS(w.Header())
	status := http.StatusInternalServerError
	switch a.Verdict {
	case Redirect:
		w.Header().Set("Location", a.Location)
		status = http.StatusFound
	case NotFound:
		status = http.StatusNotFound
	case Unavailable:
		seconds := max(1, int64(math.Ceil(a.RetryAfter.Seconds())))
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
		if a.Failing {
			w.Header().Set(FailingHeader, "1")
		}
		status = http.StatusServiceUnavailable
	case Refused:
		status = http.StatusForbidden
	}
	Plain(w, status, a.Sentence())
}

// FailingHeader is set in answers to other nodes, and to viewers, that say [Answer.Failing]; the body is the reason.
const FailingHeader = "Weir-Failing"

// A FailingError is the answer of another node that the inputs of a stream fail.
type FailingError struct{ Reason string }

// Error implements error.
func (e *FailingError) Error() string { return e.Reason }

// FailingIn returns the error if an answer, whose body is given, is one of a stream whose inputs fail; nil if it is not.
func FailingIn(res *http.Response, body []byte) error {
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get(FailingHeader) == "" {
		return nil
	}
	return &FailingError{strings.TrimSpace(strings.ToValidUTF8(string(body), "?"))}
}

// Sentence says why a stream is not served: the reason of the answer, or the usual one for its verdict.
func (a Answer) Sentence() string {
	switch {
	case a.Reason != "":
		return a.Reason
	case a.Verdict == Redirect:
		return "The stream is at " + a.Location
	case a.Verdict == NotFound:
		return "There is no such stream."
	case a.Verdict == Unavailable:
		return "The stream is not available now."
	case a.Verdict == Refused:
		return "This stream may not be watched from here."
	}
	return "This request cannot be answered here."
}

// Plain answers with one line of text, which no cache may keep.
func Plain(w http.ResponseWriter, status int, line string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.NewReplacer("\r", " ", "\n", " ").Replace(line)+"\n")
}
