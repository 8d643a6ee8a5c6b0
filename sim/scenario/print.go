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
	if !slices.Equal(nodesOf(files), s.Nodes) && len(s.Nodes) > 0 {
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
			parts = append(parts, f.actionText(steps[n].Action))
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

// list writes names; nil is all.
func list(names []string) string {
	if names == nil {
		return "all"
	}
	return strings.Join(foldNames(names), ",")
}

func linkText(from, to []string, oneWay bool) string {
	switch {
	case oneWay:
		return list(from) + " -> " + list(to)
	case to == nil:
		return list(from)
	}
	return list(from) + " | " + list(to)
}

// on writes the nodes behind streams.
func on(streams, nodes []string) string {
	if nodes == nil {
		return list(streams)
	}
	return list(streams) + " on " + list(nodes)
}

// ActionText writes an action as the language has it.
func ActionText(a sim.Action) string { return (&formatter{}).actionText(a) }

func (f *formatter) actionText(a sim.Action) string {
	if text, ok := linkActionText(a); ok {
		return text
	}
	switch a := a.(type) {
	case sim.Crash:
		return "crash " + list(a.Nodes)
	case sim.Restart:
		text := "restart " + list(a.Nodes)
		if a.Remembered {
			text += " remembered"
		}
		if a.Moved {
			text += " moved"
		}
		return text
	case sim.CrashLoop:
		return fmt.Sprintf("crash-loop %s up %s down %s", list(a.Nodes), formatDuration(a.Up), formatDuration(a.Down))
	case sim.Pause:
		return "pause " + list(a.Nodes)
	case sim.Resume:
		return "resume " + list(a.Nodes)
	case sim.Suspend:
		return "suspend " + list(a.Nodes)
	case sim.Throttle:
		return fmt.Sprintf("throttle %s by %s", list(a.Nodes), formatDuration(a.By))
	case sim.Exhaust:
		return "exhaust " + list(a.Nodes)
	case sim.Load:
		return fmt.Sprintf("load %s %s", list(a.Nodes), formatPPM(sim.PPM(a.CPU*1000)))
	case sim.Drain:
		return "drain " + list(a.Nodes)
	case sim.Edit:
		name := f.files[a.File]
		if name == "" {
			name = "FILE.conf"
		}
		return fmt.Sprintf("edit %s %s", list(a.Nodes), word(name))
	case sim.WrongKey:
		return "wrong-key " + list(a.Nodes)
	case sim.Foreign:
		return "foreign " + list(a.Nodes)
	case sim.KillActor:
		return fmt.Sprintf("kill %s on %s", word(a.ID), word(a.Node))
	case sim.ClockRate:
		return fmt.Sprintf("clock %s rate %+dppm", list(a.Nodes), a.PPM)
	case sim.ClockJump:
		return fmt.Sprintf("clock %s jump %s", list(a.Nodes), signed(a.By))
	case sim.SlowReplies:
		if a.After > 0 {
			return fmt.Sprintf("slow-replies %s after %s", list(a.Nodes), formatDuration(a.After))
		}
		return fmt.Sprintf("slow-replies %s by %s", list(a.Nodes), formatSpan(a.By))
	case sim.BrokenReplies:
		return fmt.Sprintf("broken-replies %s %s %s", list(a.Nodes), formatPPM(a.Probability), a.How)
	case sim.SourceDown:
		return "source-down " + on(a.Streams, a.Nodes)
	case sim.SourceUp:
		return "source-up " + on(a.Streams, a.Nodes)
	case sim.Stall:
		return "stall " + on(a.Streams, a.Nodes)
	case sim.SlowSource:
		return fmt.Sprintf("slow-source %s by %s", on(a.Streams, a.Nodes), formatSpan(a.Up))
	case sim.SingleLogin:
		return "single-login " + list(a.Streams)
	case sim.Publish:
		return fmt.Sprintf("publish %s at %s", word(a.Stream), word(a.Node))
	case sim.Unpublish:
		return fmt.Sprintf("unpublish %s at %s", word(a.Stream), word(a.Node))
	case sim.Demand:
		return fmt.Sprintf("demand %s at %s", list(a.Streams), list(a.Nodes))
	case sim.Random:
		return "random " + a.Profile
	case sim.Quiet:
		return "quiet"
	}
	return fmt.Sprintf("%T", a) // the language has no word for it, which a test keeps from happening
}

func signed(d time.Duration) string {
	if d < 0 {
		return formatDuration(d)
	}
	return "+" + formatDuration(d)
}

// linkActionText writes the actions on links.
func linkActionText(a sim.Action) (string, bool) {
	switch a := a.(type) {
	case sim.Cut:
		return "cut " + linkText(a.From, a.To, a.OneWay), true
	case sim.Partition:
		groups := make([]string, 0, len(a.Groups))
		for _, g := range a.Groups {
			groups = append(groups, list(g))
		}
		return "partition " + strings.Join(groups, " | "), true
	case sim.Ring:
		return strings.TrimSuffix("ring "+list(a.Nodes), " all"), true
	case sim.Swizzle:
		return strings.TrimSuffix("swizzle "+list(a.Nodes), " all"), true
	case sim.Isolate:
		text := "isolate " + list(a.Nodes)
		if a.In && !a.Out {
			text += " in"
		}
		if a.Out && !a.In {
			text += " out"
		}
		return text, true
	case sim.Refuse:
		return "refuse " + linkText(a.From, a.To, a.OneWay), true
	case sim.HalfOpen:
		return "half-open " + linkText(a.From, a.To, a.OneWay), true
	case sim.Reset:
		return fmt.Sprintf("reset %s %s", linkText(a.From, a.To, a.OneWay), formatPPM(a.Probability)), true
	case sim.Clog:
		return "clog " + linkText(a.From, a.To, a.OneWay), true
	case sim.Delay:
		return fmt.Sprintf("delay %s %s", linkText(a.From, a.To, a.OneWay), formatSpan(a.By)), true
	case sim.Spike:
		return fmt.Sprintf("spike %s %s by %s", linkText(a.From, a.To, a.OneWay), formatPPM(a.Probability), formatSpan(a.By)), true
	case sim.Loss:
		return fmt.Sprintf("loss %s %s", linkText(a.From, a.To, a.OneWay), formatPPM(a.Probability)), true
	case sim.Burst:
		return fmt.Sprintf("burst %s begin %s end %s", linkText(a.From, a.To, a.OneWay), formatPPM(a.Begin), formatPPM(a.End)), true
	case sim.Duplicate:
		return fmt.Sprintf("duplicate %s %s", linkText(a.From, a.To, a.OneWay), formatPPM(a.Probability)), true
	case sim.Reorder:
		return fmt.Sprintf("reorder %s %s by %s", linkText(a.From, a.To, a.OneWay), formatPPM(a.Probability), formatDuration(a.By)), true
	case sim.Bandwidth:
		return fmt.Sprintf("bandwidth %s %d", linkText(a.From, a.To, a.OneWay), a.Bytes), true
	case sim.FlapLink:
		return fmt.Sprintf("flap %s down %s up %s", linkText(a.From, a.To, a.OneWay), formatDuration(a.Down), formatDuration(a.Up)), true
	case sim.Heal:
		return "heal", true
	}
	return "", false
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
