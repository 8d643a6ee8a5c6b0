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

// Hash is a hash of the settings on which all nodes must agree, so that they place streams alike: see [File.Shared]. Files that
// differ only in order, comments, spelling, streams without cluster_ingest or the node's own addresses have the same hash. Lists of
// peers are left out: a list may or may not contain the node itself.
func (f *File) Hash() string {
	h := sha256.New()
	put(h, "weir configuration 2")
	for _, line := range f.Shared(false) {
		put(h, line)
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

// Shared gives the settings on which all nodes must agree as lines, in an order that does not depend on the file: the return
// hold-down, and the streams, templates and sources with cluster_ingest, without their titles and the settings for viewers. Nodes
// may have different other streams. With masked, secrets in URLs are hidden.
func (f *File) Shared(masked bool) []string {
	url := func(in Input) string { return in.URL }
	if masked {
		url = Input.Shown
	}
	var blocks [][]string
	add := func(head string, in *Ingest, lines ...string) {
		if in == nil {
			return
		}
		lines = slices.Insert(lines, 0, head+" {")
		blocks = append(blocks, append(lines, "    "+in.line(), "}"))
	}
	for _, s := range f.Streams {
		head, lines := "stream ", s.inputLines(url)
		if !s.Static {
			head = "ondemand "
		}
		if s.Disabled {
			lines = append(lines, "    disabled;")
		}
		add(head+Quoted(s.Name), s.Ingest, lines...)
	}
	for _, t := range f.Templates {
		add("template of "+Quoted(t.Prefix), t.Stream.Ingest)
	}
	for _, s := range f.Sources {
		lines := []string{}
		if s.OnlyGiven {
			lines = append(lines, listLine("only", s.Only))
		}
		if len(s.Except) > 0 {
			lines = append(lines, listLine("except", s.Except))
		}
		if s.Prefix != "" {
			lines = append(lines, "    prefix "+Quoted(s.Prefix)+";")
		}
		name := s.URL
		if masked {
			name = s.Name
		}
		add("source "+Quoted(name), s.Stream.Ingest, lines...)
	}
	slices.SortFunc(blocks, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return append([]string{"return_holddown " + millisText(f.ReturnHolddown) + ";"}, slices.Concat(blocks...)...)
}

// inputLines are the inputs of a stream.
func (s *Stream) inputLines(url func(Input) string) (lines []string) {
	for i, in := range s.Inputs {
		line := "    input " + Quoted(url(in))
		if in.Priority != i+1 {
			line += fmt.Sprintf(" priority=%d", in.Priority)
		}
		lines = append(lines, line+";")
	}
	return lines
}

// line is the ingest as the file would have it.
func (in *Ingest) line() string {
	line := "cluster_ingest"
	if in.CaptureAt != "" {
		line += " capture_at=" + Quoted(in.CaptureAt)
	}
	if in.Handover != Make {
		line += " handover=" + string(in.Handover)
	}
	if in.Partition != Available {
		line += " partition=" + string(in.Partition)
	}
	return line + ";"
}

func listLine(name string, words []string) string {
	return "    " + strings.Join(append([]string{name}, slices.Sorted(slices.Values(words))...), " ") + ";"
}
