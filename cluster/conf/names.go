package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest stream name, in bytes. Escaping makes a name at most three times as long, and so it still fits into a
// URL and, as a path, nearly always into a file system.
const maxName = 255

// ErrReserved is wrapped by the error of a name that has another meaning in the node's URLs.
var ErrReserved = errors.New("reserved")

var (
	reservedFirst = []string{"api", "cluster", "metrics", "streamer"}
	reservedLast  = []string{"embed.html", "mpegts", "whep", "whip"}
)

// CheckName returns an error if a stream cannot have this name. It is used for streams of the file and for publishers. Balancers
// are the names of the configured balancers. The error wraps [ErrReserved] if the name has another meaning in the node's URLs.
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

// checkNodeName returns an error if a node cannot have this name. Node names appear in lists, logs and file names.
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
