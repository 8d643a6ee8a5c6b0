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

// Hash identifies what nodes must agree on to place streams alike: the streams, without titles and viewers' matters,
// and the return hold-down. It is the same for files that differ in order, comments, spelling or local addresses.
//
// Two things are the caller's to add, in an order that all nodes share: the announced names of the group, because a list
// of peers may leave the node itself out and so differs between nodes that agree, and an identifier of the cluster key
// that was derived slowly, because whoever sees a plain hash could guess the key with it.
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

// put writes a string so that no two lists of strings give the same bytes.
func put(w io.Writer, s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	_, _ = w.Write(n[:]) // a hash never fails
	_, _ = io.WriteString(w, s)
}

// hashDerived adds what streams are derived from. A file without templates and sources adds nothing.
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
