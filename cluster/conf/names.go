package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest stream name in bytes: escaped, three times as long, it still fits into a URL and, below a
// directory, nearly always into a file name.
const maxName = 255

// ErrReserved is the reason of a name that is taken by the node's own URLs.
var ErrReserved = errors.New("reserved")

var (
	reservedFirst = []string{"api", "cluster", "metrics", "streamer"}
	reservedLast  = []string{"embed.html", "mpegts", "whep", "whip"}
)

// CheckName reports why a stream cannot have this name, for configured streams and publishers alike; nil means that it
// can. The error wraps [ErrReserved] if the name means something else in a URL. Balancers are the names of the
// configured balancers.
func CheckName(name string, balancers []string) error {
	if name == "" {
		return errors.New("found an empty name, expected a stream name")
	}
	if len(name) > maxName {
		return fmt.Errorf("found a name of %d bytes, expected at most %d", len(name), maxName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("found %s, expected a name in UTF-8", quote(name))
	}
	if i := strings.IndexFunc(name, unicode.IsControl); i >= 0 {
		return fmt.Errorf("found %s, expected a name without control characters", quote(name))
	}
	parts := strings.Split(name, "/")
	for _, p := range parts {
		switch p {
		case "":
			return fmt.Errorf("found %s, expected a name without an empty part before, between or behind slashes", quote(name))
		case ".", "..":
			return fmt.Errorf("found %s, expected a name without %q as a part, which clients remove from URLs", quote(name), p)
		}
	}
	first, last := parts[0], parts[len(parts)-1]
	switch {
	case slices.Contains(reservedFirst, first):
		return fmt.Errorf("found %s, but %q as the first part of a name is %w for the node's own URLs", quote(name), first, ErrReserved)
	case slices.Contains(balancers, first):
		return fmt.Errorf("found %s, but %q as the first part of a name is %w for the balancer of that name", quote(name), first, ErrReserved)
	case slices.Contains(reservedLast, last):
		return fmt.Errorf("found %s, but %q as the last part of a name is %w for the node's own URLs", quote(name), last, ErrReserved)
	}
	return nil
}

// checkNodeName reports why a node cannot announce this name: it stands in lists, logs and file names.
func checkNodeName(name string) error {
	switch {
	case name == "":
		return errors.New("found an empty name, expected the name of this node")
	case len(name) > maxName:
		return fmt.Errorf("found a name of %d bytes, expected at most %d", len(name), maxName)
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-:", r) {
			return fmt.Errorf("found %q in the name %s, expected letters, digits, dots, colons, hyphens and underscores", r, quote(name))
		}
	}
	return nil
}
