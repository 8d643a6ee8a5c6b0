package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/cluster/conf"
	"weir/sim"
)

// Format writes a scenario down so that [Parse] gives the same again. Keys are replaced by others that are as different
// from each other, and what no simulation looks at is left out of the configuration; so the result may be shown to
// anybody.
func Format(s *sim.Scenario) string {
	f := &formatter{}
	sections := f.sections(s)
	for line := range strings.Lines(s.Comment) {
		f.line(strings.TrimRight("# "+strings.TrimRight(line, "\n"), " "))
	}
	keys := keyring{}
	var files []*conf.File
	for _, sec := range sections {
		files = append(files, sec.file)
		f.line("-- " + sec.name + " --")
		f.WriteString(formatConf(sec.file, keys))
	}
	f.line("-- " + stepsSection + " --")
	f.settings(s)
	if of, _ := nodesOf(union(files)); !slices.Equal(of, s.Nodes) && len(s.Nodes) > 0 {
		f.line("nodes " + list(s.Nodes))
	}
	f.steps(s.Steps)
	return f.String()
}

// A formatter writes lines.
type formatter struct {
	strings.Builder
	files map[*conf.File]string // the section of each configuration
}

func (f *formatter) line(text string) {
	f.WriteString(text)
	f.WriteByte('\n')
}

// A section is a configuration under its name in the archive.
type section struct {
	name string
	file *conf.File
}

// sections gives every configuration of a scenario a name, the one that holds for all first and the others sorted.
func (f *formatter) sections(s *sim.Scenario) []section {
	f.files = map[*conf.File]string{}
	var list []section
	add := func(name string, file *conf.File) {
		list = append(list, section{name, file})
		if f.files[file] == "" {
			f.files[file] = name
		}
	}
	for _, n := range s.Nodes {
		if file := s.Files[n]; file != nil {
			add(n+".conf", file)
		}
	}
	base := s.Files[""]
	if base != nil {
		f.files[base] = confSection
	}
	edits := 0
	for _, st := range s.Steps {
		if e, ok := st.Action.(sim.Edit); ok && e.File != nil && f.files[e.File] == "" {
			edits++
			add(fmt.Sprintf("edit%d.conf", edits), e.File)
		}
	}
	slices.SortFunc(list, func(a, b section) int { return strings.Compare(a.name, b.name) })
	if base != nil {
		list = append([]section{{confSection, base}}, list...)
	}
	return list
}

func (f *formatter) settings(s *sim.Scenario) {
	text := fmt.Sprintf("seed %d", s.Seed)
	if net := s.Net; net != (sim.Net{}) {
		text += "  net"
		if net.Delay != (sim.Range{}) || net.Loss == 0 {
			text += " delay " + formatSpan(net.Delay)
		}
		if net.Loss != 0 {
			text += " loss " + formatPPM(net.Loss)
		}
	}
	if c := s.Capture; c != (sim.Capture{}) {
		text += "  capture"
		for _, o := range []struct {
			word string
			is   sim.Range
		}{{"up", c.Up}, {"down", c.Down}, {"timeout", sim.Range{Min: c.Timeout, Max: c.Timeout}}, {"segment", sim.Range{Min: c.Segment, Max: c.Segment}}} {
			if o.is != (sim.Range{}) {
				text += " " + o.word + " " + formatSpan(o.is)
			}
		}
	}
	if s.Until != 0 {
		text += "  until " + formatDuration(s.Until)
	}
	if s.Fidelity == sim.Actors {
		text += "  fidelity actors"
	}
	f.line(text)
}

// steps writes what happens at one time on one line, and behind it, as lines of their own, what is expected.
func (f *formatter) steps(steps []sim.Step) {
	anchor := time.Duration(-1)
	for i := 0; i < len(steps); {
		st := steps[i]
		if st.Action == nil {
			head := "expect"
			if st.At != anchor {
				head = "at " + formatDuration(st.At) + " expect"
				anchor = st.At
			}
			text := fmt.Sprintf("%s %s", head, expectationText(st.Expect))
			if st.To > st.At {
				text += " within " + formatDuration(st.To-st.At)
			}
			f.line(text)
			i++
			continue
		}
		var parts []string
		n := i
		for ; n < len(steps) && steps[n].Action != nil && steps[n].At == st.At && steps[n].To == st.To; n++ {
			parts = append(parts, f.action(steps[n].Action))
		}
		if anchor = st.At; st.To > st.At {
			anchor = -1 // an expectation behind it would inherit the end
			f.line(fmt.Sprintf("from %s to %s %s", formatDuration(st.At), formatDuration(st.To), strings.Join(parts, " ; ")))
		} else {
			f.line(fmt.Sprintf("at %s %s", formatDuration(st.At), strings.Join(parts, " ; ")))
		}
		i = n
	}
}

// streamsText writes the streams at the beginning of an expectation.
func streamsText(names []string) string {
	if names == nil {
		return "each stream"
	}
	return list(names)
}

func ofText(names []string) string {
	if names == nil {
		return ""
	}
	return " of " + list(names)
}

// expectationText writes an expectation as the language has it, without its time.
func expectationText(e sim.Expectation) string {
	switch e := e.(type) {
	case sim.OwnedBy:
		if e.Node == "" {
			return streamsText(e.Streams) + " on nobody"
		}
		return streamsText(e.Streams) + " on " + word(e.Node)
	case sim.OneEach:
		return streamsText(e.Streams) + " on exactly 1 node"
	case sim.EachSide:
		return streamsText(e.Streams) + " on each side"
	case sim.AtHome:
		return streamsText(e.Streams) + " at home"
	case sim.Agreement:
		return "agreement"
	case sim.Refused:
		return fmt.Sprintf("%s at %s refused", word(e.Stream), word(e.Node))
	case sim.Moved:
		sign, count := "==", fmt.Sprint(e.Count)
		if e.AtMost {
			sign = "<="
		}
		if e.OwnedBefore != "" {
			count = "owned(" + e.OwnedBefore + ")"
		}
		return fmt.Sprintf("moved %s %s", sign, count)
	case sim.NoDuplicates:
		return "no duplicates" + ofText(e.Streams)
	case sim.NoTakeOver:
		return "no take-over" + ofText(e.Streams)
	case sim.ViewersWithin:
		return "viewers gap <= " + formatDuration(e.Limit) + ofText(e.Streams)
	case sim.GapWithin:
		return "gap <= " + formatDuration(e.Limit) + ofText(e.Streams)
	case sim.Liveness:
		return "liveness"
	case sim.Noted:
		text := "note " + kindWord(e.Kind)
		if e.Node != "" {
			text += " at " + word(e.Node)
		}
		return text
	}
	return fmt.Sprintf("%T", e) // as above
}
