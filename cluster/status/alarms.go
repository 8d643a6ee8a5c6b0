package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/cluster/control"
	"weir/protocols/api"
)

// Alarms implements [api.Control].
func (s *Status) Alarms() (out []api.Alarm) {
	v := s.cfg.View()
	if v == nil {
		return nil
	}
	now := control.Instant(s.cfg.Now())
	for _, a := range v.Alarms {
		out = append(out, api.Alarm{Kind: string(a.Kind), Node: a.Node, Since: seconds(now - a.Since), Text: a.Text})
	}
	out = append(out, absences(v, now, s.cfg.File())...)
	out = append(out, failures(v, now, s.cfg.Since)...)
	if path, why, since := s.cfg.Countries.Broken(); why != "" {
		out = append(out, api.Alarm{
			Kind: "geoip", Node: v.Self, Since: int64(since.Seconds()),
			Text: "the database of countries " + path + " cannot be read, the former one is in use: " + why,
		})
	}
	if why, since := s.cfg.Refused(); why != "" {
		out = append(out, api.Alarm{
			Kind: "configuration file", Node: v.Self, Since: int64(since.Seconds()),
			Text: "the configuration file is not in effect, the former one is: " + why,
		})
	}
	return append(out, s.cfg.Certificates()...)
}

// absences are alarms of nodes of the group that do not live, or that this node cannot hear. They say what has become of the streams
// whose home such a node is.
func absences(v *control.View, now control.Instant, file File) (out []api.Alarm) {
	var home map[string][]*control.StreamView
	for _, p := range v.Peers {
		what := absence(p, now, file)
		if what == "" || p.Status == control.NeverSeen && !v.Warm {
			continue
		}
		if home == nil { // most often nobody is absent
			home = map[string][]*control.StreamView{}
			for i := range v.Streams {
				st := &v.Streams[i]
				home[st.Home] = append(home[st.Home], st)
			}
		}
		out = append(out, api.Alarm{
			Kind: "node " + string(p.Status), Node: p.Name, Since: seconds(now - p.Since),
			Text: what + "; " + whereabouts(p.Name, home[p.Name], file.ReturnHolddown),
		})
	}
	return out
}

// absence says in words that a node does not live; empty if it does.
func absence(p control.PeerView, now control.Instant, file File) string {
	since := InWords(seconds(now - p.Since))
	switch p.Status {
	case control.Down:
		return fmt.Sprintf("the process of %s has ended %s ago", p.Name, since)
	case control.Stale:
		if p.LoadAt > 0 {
			since = InWords(seconds(now - p.LoadAt))
		}
		return fmt.Sprintf("%s has not answered for %s%s", p.Name, since, because(p, file))
	case control.NeverSeen:
		return fmt.Sprintf("%s has not been heard since this node started %s ago%s: look whether it runs, and at its address in the file", p.Name, since, because(p, file))
	case control.Refused:
		return fmt.Sprintf("%s and this node have refused each other for %s: write the same cluster_key into both files", p.Name, since)
	}
	return ""
}

// because says in brackets why a peer cannot be heard, as far as may be shown.
func because(p control.PeerView, file File) string {
	why := p.Detail
	if file.Peers[p.Entry].Given && why != "" {
		why = string(p.Why)
	}
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// whereabouts says where the streams of a node run that is absent.
func whereabouts(name string, streams []*control.StreamView, holddown time.Duration) string {
	on, nowhere := map[string]int{}, 0
	for _, st := range streams {
		switch {
		case st.State == control.StreamDisabled || st.State == control.StreamWaiting:
		case st.Owner == "" || st.OwnerState != control.ClaimRunning && st.OwnerState != control.ClaimDraining:
			nowhere++
		case st.Owner != name:
			on[st.Owner]++
		}
	}
	moved := 0
	var nodes []string
	for _, node := range slices.SortedFunc(maps.Keys(on), func(a, b string) int { return cmp.Or(on[b]-on[a], strings.Compare(a, b)) }) {
		moved += on[node]
		nodes = append(nodes, fmt.Sprintf("%s (%d)", node, on[node]))
	}
	var parts []string
	switch {
	case moved == 1:
		parts = append(parts, "its stream runs on "+nodes[0][:strings.LastIndex(nodes[0], " (")])
	case moved > 1:
		parts = append(parts, fmt.Sprintf("its %d streams run on %s", moved, listed(nodes)))
	}
	if nowhere > 0 {
		parts = append(parts, fmt.Sprintf("%s of its streams run%s nowhere", number(nowhere), third(nowhere)))
	}
	if moved > 0 {
		they := "they go"
		if moved == 1 {
			they = "it goes"
		}
		parts = append(parts, fmt.Sprintf("%s back %s after it returns", they, InWords(int64(holddown/time.Second))))
	}
	if len(parts) == 0 {
		return "no stream has moved for that"
	}
	return strings.Join(parts, "; ")
}

// maxNamed is how many streams an alarm names.
const maxNamed = 3

// failures is an alarm of the streams that have failed on every node that may capture them.
func failures(v *control.View, now control.Instant, since func(stream string) (time.Duration, bool)) []api.Alarm {
	var names []string
	failed, first := 0, now
	for i := range v.Streams {
		st := &v.Streams[i]
		if st.State != control.StreamFailed {
			continue
		}
		if failed++; failed <= maxNamed {
			names = append(names, st.Name+" ("+cmp.Or(st.Detail, "no reason is known")+")")
		}
		if at, ok := since(st.Name); ok {
			first = min(first, control.Instant(at))
		}
	}
	if failed == 0 {
		return nil
	}
	text := "one stream does not run: "
	if failed > 1 {
		text = fmt.Sprintf("%d streams do not run: ", failed)
	}
	if failed > maxNamed {
		names = append(names, fmt.Sprintf("%d more", failed-maxNamed))
	}
	return []api.Alarm{{Kind: "streams failed", Since: seconds(now - first), Text: text + listed(names)}}
}

// listed joins words to a list in a sentence.
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

func number(n int) string {
	if n == 1 {
		return "one"
	}
	return fmt.Sprint(n)
}

// third is the ending of a verb whose subject is so many.
func third(n int) string {
	if n == 1 {
		return "s"
	}
	return ""
}

// InWords is a number of seconds as a person says it.
func InWords(seconds int64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 2*3600:
		return fmt.Sprintf("%d min", seconds/60)
	case seconds < 48*3600:
		return fmt.Sprintf("%d h", seconds/3600)
	default:
		return fmt.Sprintf("%d days", seconds/86400)
	}
}
