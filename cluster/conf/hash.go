package conf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Hash is a hash of the settings on which all nodes must agree, so that they place streams alike: the return hold-down and the
// streams, without their titles and the settings for viewers. Files that differ only in order, comments, spelling or the node's
// own addresses have the same hash. Lists of peers are left out: a list may or may not contain the node itself.
//
// More are further strings on which the nodes must agree, such as the identifier of the cluster key. That identifier must come
// from a slow function: with a fast hash of the key, anybody who sees Hash could guess the key.
func (f *File) Hash(more ...string) string {
	h := sha256.New()
	put(h, "weir configuration 1")
	put(h, millisText(f.ReturnHolddown))
	list := slices.SortedFunc(slices.Values(f.Streams), func(a, b Stream) int { return strings.Compare(a.Name, b.Name) })
	put(h, fmt.Sprint(len(list)))
	for _, s := range list {
		put(h, s.Name)
		put(h, fmt.Sprint(len(s.Inputs), s.Disabled, s.Static, s.Ingest != nil))
		for i, in := range s.Inputs {
			put(h, in.URL)
			if in.Priority != i+1 {
				put(h, fmt.Sprint("priority ", in.Priority))
			}
		}
		if in := s.Ingest; in != nil {
			put(h, in.CaptureAt)
			put(h, string(in.Handover))
			put(h, string(in.Partition))
		}
	}
	f.hashDerived(h)
	for _, m := range more {
		put(h, m)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// put writes a string with its length in front, so that two different lists of strings never give the same bytes.
func put(w io.Writer, s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	_, _ = w.Write(n[:]) // writing to a hash never fails
	_, _ = io.WriteString(w, s)
}

// hashDerived adds the templates and sources, from which further streams come. A file without them adds nothing.
func (f *File) hashDerived(h io.Writer) {
	var lines []string
	for _, t := range f.Templates {
		lines = append(lines, fmt.Sprintf("template %q %s", t.Prefix, ingestWords(t.Stream.Ingest)))
	}
	for _, s := range f.Sources {
		lines = append(lines, fmt.Sprintf("source %q %t %q %q %q %s", s.URL, s.OnlyGiven, slices.Sorted(slices.Values(s.Only)),
			slices.Sorted(slices.Values(s.Except)), s.Prefix, ingestWords(s.Stream.Ingest)))
	}
	slices.Sort(lines)
	for _, l := range lines {
		put(h, l)
	}
}

func ingestWords(in *Ingest) string {
	if in == nil {
		return "alone"
	}
	return fmt.Sprintf("%q %s %s", in.CaptureAt, in.Handover, in.Partition)
}
