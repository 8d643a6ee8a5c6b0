package conf

import (
	"bytes"
	"errors"
	"fmt"
)

// A file that is written while it is read, or on a disk that is full, is a part of what it is to be.
const (
	// leastCut is the fewest streams by whose loss a file that was cut short is known, beside that they are half of all.
	leastCut = 2

	// leastLost is the fewest streams by whose loss any other file is suspected, beside that they are half of all.
	leastLost = 16
)

var (
	errEmptied = errors.New("the file has become empty")
	errKeyLost = errors.New("the file has lost its cluster_key")
)

// Lost says what f seems to have lost by accident, against the file old by which a node runs: everything, its cluster key, or half
// its streams. It is nil if nothing seems so. The texts are those of the files, without flags.
func (f *File) Lost(old *File, text, oldText []byte) error {
	text, oldText = bytes.TrimSpace(text), bytes.TrimSpace(oldText)
	if len(text) == 0 && len(oldText) > 0 {
		return errEmptied
	}
	if f.ClusterKey == "" && old.ClusterKey != "" {
		return errKeyLost
	}
	lost := 0
	for i := range old.Streams {
		if f.Stream(old.Streams[i].Name) == nil {
			lost++
		}
	}
	least := leastLost
	if bytes.HasPrefix(oldText, text) {
		least = leastCut
	}
	if lost >= least && 2*lost >= len(old.Streams) {
		return fmt.Errorf("the file has lost %d of %d streams", lost, len(old.Streams))
	}
	return nil
}
